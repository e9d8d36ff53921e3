"""What the checks of a clock find, how soon, how exactly, and how often they are wrong.

    python -m benchmarks.sync_checks [--runs N] [--clean N]

Simulated exchanges of one clock (20 ppm, wander of a crystal) over a path of 2 ms each way with
exponential waiting of 1 ms (mean) in each direction, one exchange in 10 s, as a site has them; the
stage asks once a second while something is open, and so does this. Each run has 60 clean
exchanges, then a change; it counts as found when a finding of any kind is told within 60 exchanges.
Clean clocks: exchanges without any change of the clock. Three kinds of path that do nothing either,
where every finding is a false alarm; and three that do what paths do, on one way only: a way that
becomes 30 ms shorter every other hour and longer again, a queue that grows to 60 ms in an hour and
is gone, five minutes of load (40 ms, mean) in each hour. There "asymmetry" is true, and what is
told of the clock is a false alarm; the last column counts these.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng

from gateway.models.clock_checks_exchange import ExchangeChecks, ExchangeFinding, Found
from gateway.models.node_clock import Crystal

PERIOD_S: Final = 10.0
OPEN_S: Final = 1.0
BEFORE: Final = 60
AFTER: Final = 60
SET_POINT: Final = 0.01
OF_THE_PATH: Final = ("asymmetry", "asymmetry_over")
FLOOR_NS: Final = 5_000_000
CHANGES: Final = (
    ("step", "ms", (2.0, 5.0, 10.0, 50.0, 1000.0)),
    ("skew_change", "ppm", (5.0, 20.0, 50.0, 100.0)),
    ("asymmetry", "ms", (5.0, 10.0, 20.0, 100.0)),
    ("false_stamp", "ms", (10.0, 100.0)),
    ("beyond_class", "ppm", (150.0, 300.0)),
)


class Path(NamedTuple):
    """A path: waiting in each direction, in ns; bursts: both directions wait together."""

    name: str
    up_ns: float
    down_ns: float
    burst_ns: float = 0.0
    longer: Callable[[Generator, float], float] | None = None
    """More on the way down at a time in seconds."""


def shorter(rng: Generator, time_s: float) -> float:
    """Return 30 ms in every other hour."""
    del rng
    return 3e7 if time_s % 7200 < 3600 else 0.0


def ramp(rng: Generator, time_s: float) -> float:
    """Return what grows to 60 ms in an hour and is gone for the next."""
    del rng
    return 6e7 * (time_s % 7200) / 3600 if time_s % 7200 < 3600 else 0.0


def load(rng: Generator, time_s: float) -> float:
    """Return waiting of 40 ms (mean) in five minutes of each hour."""
    return float(rng.exponential(4e7)) if time_s % 3600 < 300 else 0.0


PATHS: Final = (
    Path("1 ms waiting, both ways", 1e6, 1e6),
    Path("waiting on the way up only", 2e6, 1e4),
    Path("bursts of 20 ms for a minute", 5e5, 5e5, 2e7),
    Path("one way 30 ms shorter, and longer again", 1e6, 1e6, longer=shorter),
    Path("one way 60 ms longer in an hour, then gone", 1e6, 1e6, longer=ramp),
    Path("load on one way, 5 min an hour", 1e6, 1e6, longer=load),
)


class Link:
    """One clock and its path; every exchange is (T4, offset, round trip) in ns."""

    def __init__(self, rng: Generator, path: Path, skew_ppm: float = 20.0) -> None:
        self._rng = rng
        self._path = path
        self.skew_ppm = skew_ppm
        self.time_s = 0.0
        self.offset_ns = 1e9
        self.extra_up_ns = 0.0
        self._burst_until_s = 0.0

    def exchange(self, after_s: float) -> tuple[int, int, int]:
        """Let time pass, then make an exchange."""
        self.time_s += after_s
        # A crystal in a room: its rate wanders by a tenth of a ppm within minutes.
        self.skew_ppm += 0.002 * math.sqrt(after_s) * self._rng.standard_normal()
        self.offset_ns += self.skew_ppm * 1e3 * after_s
        up, down = (
            self._rng.exponential(self._path.up_ns),
            self._rng.exponential(self._path.down_ns),
        )
        if self._path.burst_ns:
            if self._rng.random() < after_s / 1800:
                self._burst_until_s = self.time_s + 60.0
            if self.time_s < self._burst_until_s:
                up += self._rng.exponential(self._path.burst_ns)
                down += self._rng.exponential(self._path.burst_ns)
        if self._path.longer is not None:
            down += self._path.longer(self._rng, self.time_s)
        up, down = up + 2e6 + self.extra_up_ns, down + 2e6
        theta = self.offset_ns + (up - down) / 2
        return int(self.time_s * 1e9) + 1, round(theta), round(up + down)


class Result(NamedTuple):
    """What became of one change."""

    finding: ExchangeFinding | None
    delay_s: float
    error: float
    deviation: float


def checks() -> ExchangeChecks:
    """Return checks as a site has them."""
    return ExchangeChecks(
        Crystal(100.0),
        false_alarms_per_day=SET_POINT,
        period_s=PERIOD_S,
        asymmetry_min_ns=FLOOR_NS,
    )


def run(kind: str, size: float, rng: Generator) -> Result:
    """Make one change of one size and see what is found first."""
    link, watch = Link(rng, PATHS[0]), checks()
    for _ in range(BEFORE):
        watch.exchange(*link.exchange(PERIOD_S))
    begin_s = link.time_s
    true = _change(link, kind, size)
    for index in range(AFTER):
        after_s = OPEN_S if watch.is_suspect else PERIOD_S
        at_ns, theta, delay = link.exchange(after_s)
        if kind == "false_stamp" and index == 0:
            theta -= round(size * 1e6)
        found: list[Found] = watch.exchange(at_ns, theta, delay)
        if kind == "beyond_class":
            # Its beginning is a change of rate as well, and told as one before.
            found = [each for each in found if each.finding == kind]
        if found:
            first = found[0]
            return Result(first.finding, link.time_s - begin_s, first.size - true, first.deviation)
    return Result(None, math.nan, math.nan, math.nan)


def _change(link: Link, kind: str, size: float) -> float:
    """Change the link; return the size that should be told, in ns or ppm of the source."""
    if kind == "step":
        link.offset_ns -= size * 1e6
        return size * 1e6
    if kind in ("skew_change", "beyond_class"):
        link.skew_ppm -= size
        return size if kind == "skew_change" else -link.skew_ppm
    if kind == "asymmetry":
        link.extra_up_ns = size * 1e6
    return size * 1e6


def found_table(runs: int) -> Iterator[str]:
    """Yield the lines of the table of changes."""
    yield "| change | size | found | after s (median, 95 %) | error (median) | in 2 sigma | named |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for kind, unit, sizes in CHANGES:
        for size in sizes:
            results = [run(kind, size, default_rng(1000 + seed)) for seed in range(runs)]
            yield _row(kind, size, unit, results)


def _row(kind: str, size: float, unit: str, results: list[Result]) -> str:
    found = [result for result in results if result.finding is not None]
    named = Counter(str(result.finding) for result in found)
    words = ", ".join(f"{name} {count}" for name, count in named.most_common())
    head = f"| {kind} | {size:g} {unit} | {len(found) / len(results):.0%} |"
    right = [result for result in found if result.finding == kind]
    if not right:
        return f"{head} | | | {words} |"
    scale = 1e6 if unit == "ms" else 1.0
    delay = np.percentile([result.delay_s for result in right], (50, 95))
    error = np.median([abs(result.error) for result in right]) / scale
    inside = np.mean([abs(result.error) <= 2 * result.deviation for result in right])
    return f"{head} {delay[0]:.0f}, {delay[1]:.0f} | {error:.2g} {unit} | {inside:.0%} | {words} |"


def clean_table(exchanges: int) -> Iterator[str]:
    """Yield the lines of the table of false alarms; 3.0 / T is the 95 % limit of none.

    The last column is processor time of an exchange.
    """
    yield "| clean clock, path | days | findings | of the clock a day, at most (95 %) | us |"
    yield "| --- | --- | --- | --- | --- |"
    for path in PATHS:
        link, watch = Link(default_rng(7), path), checks()
        named: Counter[str] = Counter()
        spent_s = 0.0
        for _ in range(exchanges):
            stamps = link.exchange(OPEN_S if watch.is_suspect else PERIOD_S)
            begin_s = time.process_time()
            found = watch.exchange(*stamps)
            spent_s += time.process_time() - begin_s
            named.update(str(each.finding) for each in found)
        days = link.time_s / 86_400
        words = ", ".join(f"{name} {count}" for name, count in named.most_common()) or "none"
        # Where a path does something, what is told of the path is no false alarm.
        true = 0 if path.longer is None else sum(named[name] for name in OF_THE_PATH)
        false = named.total() - true
        most = (false + 2 * math.sqrt(false) + 3.0) / days
        cost = spent_s / exchanges * 1e6
        yield f"| {path.name} | {days:.1f} | {words} | {most:.2g} | {cost:.0f} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--clean", type=int, default=200_000)
    options = parser.parse_args()
    for line in (*found_table(options.runs), "", *clean_table(options.clean)):
        print(line)


if __name__ == "__main__":
    main()
