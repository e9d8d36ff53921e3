"""What the clock of a node is worth, on simulated links and crystals whose truth is known.

    python -m benchmarks.clock [--probes 1000000] [--runs 1000] [--clocks 20] [--seed 1]

Prints, per kind of link and over all: violations of the hard bound (must be 0), coverage of the
expanded uncertainty (k = 2), error of the time against last probe, NTP's clock filter and least
squares; coverage and error of the rate; the rate after 60 s at 1 probe/s with jitter of 1 ms;
polled clocks of coarse steps; samples whose order an exchange turns; and what one probe costs. The
asymmetry of all links but "symmetric" is drawn from the stated prior, so their coverage is that of
the whole population; of a single link the error hardly changes from probe to probe, and it is
covered almost always or almost never.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.clock_baselines import Baseline, LastProbe, LeastSquares, NtpFilter
from benchmarks.clock_links import (
    CLASSES_PPM,
    LINKS,
    START_NS,
    Floats,
    Link,
    Recording,
    exponential,
    record,
)
from benchmarks.clock_polled import backwards, polled_table
from gateway.models.node_clock import Crystal, ExchangeVerdict, NodeClock

PROBES_PER_LINK: Final = 1_000
WARM: Final = 64
"""Exchanges before the rate is counted: about one window at 1 probe/s."""
BASELINES: Final[dict[str, Callable[[], Baseline]]] = {
    "last probe": LastProbe,
    "NTP filter": NtpFilter,
    "least squares": LeastSquares,
}


@dataclass
class Tally:
    """What is counted over all links of a kind."""

    probes: int = 0
    violations: int = 0
    covered: int = 0
    restarts: int = 0
    bounds_ns: list[int] = field(default_factory=list)
    uncertainties_ns: list[int] = field(default_factory=list)
    errors_ns: dict[str, list[float]] = field(default_factory=dict)
    skew_covered: int = 0
    skew_errors_ppm: list[float] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take in what was counted elsewhere."""
        self.probes += other.probes
        self.violations += other.violations
        self.covered += other.covered
        self.restarts += other.restarts
        self.skew_covered += other.skew_covered
        self.bounds_ns += other.bounds_ns
        self.uncertainties_ns += other.uncertainties_ns
        self.skew_errors_ppm += other.skew_errors_ppm
        for name, errors in other.errors_ns.items():
            self.errors_ns.setdefault(name, []).extend(errors)


def replay(recording: Recording, tally: Tally) -> None:
    """Pass the probes of one node through its clock and the baselines; count against the truth."""
    clock = NodeClock(Crystal(recording.oscillator.class_ppm))
    others = {name: kind() for name, kind in BASELINES.items()}
    base_ns = (recording.t1_ns[0] - recording.t2_us[0] * 1000) if recording.t1_ns else 0
    for index, stamps in enumerate(
        zip(recording.t1_ns, recording.t2_us, recording.t3_us, recording.t4_ns, strict=True)
    ):
        exchange = clock.exchange(*stamps)
        if exchange.verdict is not ExchangeVerdict.USED:
            tally.restarts += 1
            clock.restart()
            clock.exchange(*stamps)
            others = {name: kind() for name, kind in BASELINES.items()}
        time_s = (stamps[3] - START_NS) / 1e9
        for other in others.values():
            other.exchange(time_s, exchange.offset_ns - base_ns, exchange.delay_ns)
        _look(recording, index, clock, tally)
        look_ns, look_us = recording.look_ns[index], recording.look_us[index]
        for name, other in others.items():
            shown_ns = look_us * 1000 + 500 + base_ns
            said_ns = shown_ns - look_ns + other.offset_at((look_ns - START_NS) / 1e9)
            tally.errors_ns.setdefault(name, []).append(abs(said_ns))


def _look(recording: Recording, index: int, clock: NodeClock, tally: Tally) -> None:
    """Place the moment after this exchange, and hold time and rate against the truth."""
    look_ns = recording.look_ns[index]
    placed, belief = clock.time_of(recording.look_us[index]), clock.at(look_ns)
    if placed is None or belief is None:
        message = f"{recording.name}: no belief after exchange {index}"
        raise RuntimeError(message)
    error_ns = abs(placed.time_ns - look_ns)
    tally.probes += 1
    tally.violations += error_ns > placed.bound_ns
    tally.covered += error_ns <= placed.uncertainty_ns
    tally.bounds_ns.append(placed.bound_ns)
    tally.uncertainties_ns.append(placed.uncertainty_ns)
    tally.errors_ns.setdefault("Twinrig", []).append(error_ns)
    if clock.exchanges >= WARM:
        truth_ppm = recording.oscillator.skew_ppm((look_ns - START_NS) / 1e9)
        skew_error_ppm = abs(belief.skew_ppm - truth_ppm)
        tally.skew_errors_ppm.append(skew_error_ppm)
        tally.skew_covered += skew_error_ppm <= belief.skew_uncertainty_ppm


def population(probes: int, seed: int) -> dict[str, Tally]:
    """Return what was counted, per kind of link, over about as many probes."""
    tallies = {link.name: Tally() for link in LINKS}
    links = max(1, round(probes / PROBES_PER_LINK))
    for number in range(links):
        link = LINKS[number % len(LINKS)]
        class_ppm = CLASSES_PPM[number // len(LINKS) % len(CLASSES_PPM)]
        rng = np.random.default_rng([seed, number])
        # A lossy link is asked more often, so that as many answers count.
        asked = round(PROBES_PER_LINK / (1 - link.lost))
        replay(record(rng, link, class_ppm, asked), tallies[link.name])
    return tallies


def after_a_minute(law: str, runs: int, seed: int) -> Floats:
    """Return (runs, 2): error and uncertainty (k = 2) of the rate, ppm, 60 s at 1 probe/s.

    A crystal of the 50 ppm class at constant temperature; jitter of 1 ms each way on top of 2 ms:
    exponential with that mean, uniform up to it, or normal with that deviation.
    """
    laws = {
        "exponential": lambda rng: rng.exponential(1e6, 60),
        "uniform": lambda rng: rng.uniform(0.0, 1e6, 60),
        "half normal": lambda rng: np.abs(rng.normal(0.0, 1e6, 60)),
        "normal": lambda rng: np.maximum(rng.normal(5e6, 1e6, 60), 0.0),
    }
    told = np.empty((runs, 2))
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        skew_ppm = rng.uniform(-50.0, 50.0)
        asked = np.arange(60) * 1e9
        came = asked + 2e6 + laws[law](rng)
        back = came + 1e6 + 2e6 + laws[law](rng)
        clock = NodeClock(Crystal(50.0))
        for t1, t2, t4 in zip(asked, came, back, strict=True):
            ticks = [int(t // 1000 - skew_ppm * t * 1e-9) + 10**9 for t in (t2, t2 + 1e6)]
            clock.exchange(START_NS + int(t1), ticks[0], ticks[1], START_NS + int(t4))
        belief = clock.at(START_NS + 60 * 10**9)
        if belief is None:
            message = "no belief after 60 exchanges"
            raise RuntimeError(message)
        told[run] = abs(belief.skew_ppm - skew_ppm), belief.skew_uncertainty_ppm
    return told


def cost_us(seed: int, probes: int = 4_000, rounds: int = 5) -> tuple[float, float, float]:
    """Return processor time in us of an exchange, an arrival and a time_of: the best round."""
    link = Link("cost", exponential, 0.0, is_asymmetric=True)
    seen = record(np.random.default_rng(seed), link, 50.0, probes)
    stamps = list(zip(seen.t1_ns, seen.t2_us, seen.t3_us, seen.t4_ns, strict=True))
    best = [float("inf")] * 3
    for _ in range(rounds):
        clock = NodeClock(Crystal(50.0))
        times = [time.process_time()]
        for four in stamps:
            clock.exchange(*four)
        times.append(time.process_time())
        for _, _, t3, t4 in stamps[-1000:]:
            clock.arrival(t3, t4)
        times.append(time.process_time())
        for tick in seen.look_us[-1000:]:
            clock.time_of(tick)
        times.append(time.process_time())
        counts = (probes, 1000, 1000)
        spent = [(b - a) / n * 1e6 for a, b, n in zip(times, times[1:], counts, strict=False)]
        best = [min(pair) for pair in zip(best, spent, strict=True)]
    return best[0], best[1], best[2]


def _us(errors_ns: list[float] | list[int], share: float) -> str:
    return f"{np.quantile(np.asarray(errors_ns, dtype=float), share) / 1000:.0f}"


def population_tables(tallies: dict[str, Tally]) -> Iterator[str]:
    """Yield the lines of both tables of the population."""
    whole, drawn = Tally(), Tally()
    for link in LINKS:
        whole.add(tallies[link.name])
        if link.is_asymmetric:
            drawn.add(tallies[link.name])
    rows = {**tallies, "all of the prior": drawn, "all": whole}
    yield (
        "| link | probes | restarts | hard bound violated | time covered (k = 2) "
        "| bound, median us | U, median us | rate covered | rate error, median ppm | 95 % |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, tally in rows.items():
        skews = tally.skew_errors_ppm or [float("nan")]
        yield (
            f"| {name} | {tally.probes} | {tally.restarts} | {tally.violations} "
            f"| {tally.covered / max(tally.probes, 1):.1%} | {_us(tally.bounds_ns, 0.5)} "
            f"| {_us(tally.uncertainties_ns, 0.5)} | {tally.skew_covered / len(skews):.1%} "
            f"| {np.median(skews):.2f} | {np.quantile(skews, 0.95):.2f} |"
        )
    names = ("Twinrig", *BASELINES)
    yield from ("", f"| link | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|")
    for name, tally in rows.items():
        cells = [tally.errors_ns[other] for other in names]
        told = " | ".join(f"{_us(cell, 0.5)} / {_us(cell, 0.95)}" for cell in cells)
        yield f"| {name} | {told} |"


def minute_table(runs: int, seed: int) -> Iterator[str]:
    """Yield the lines of the table of the rate after a minute."""
    yield "| law of the jitter | median ppm | 95 % | within 1 ppm | covered (k = 2) |"
    yield "|---|---|---|---|---|"
    for law in ("exponential", "uniform", "half normal", "normal"):
        told = after_a_minute(law, runs, seed)
        errors = told[:, 0]
        yield (
            f"| {law} | {np.median(errors):.2f} | {np.quantile(errors, 0.95):.2f} "
            f"| {(errors <= 1).mean():.0%} | {(errors <= told[:, 1]).mean():.1%} |"
        )


def order_lines(clocks: int, seed: int) -> Iterator[str]:
    """Yield how often a sample after an exchange is placed before the one ahead of it."""
    for rate_hz in (100, 1000):
        pairs, back, worst_ms = backwards(rate_hz, clocks, seed)
        share = f"{back} of {pairs} pairs over an exchange run backwards"
        yield f"Samples at {rate_hz} Hz: {share}, by up to {worst_ms:.2g} ms"


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--probes", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1000, help="minutes per law of jitter")
    parser.add_argument("--clocks", type=int, default=20, help="polled clocks per kind")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    tables = (
        population_tables(population(chosen.probes, chosen.seed)),
        minute_table(chosen.runs, chosen.seed),
        polled_table(chosen.clocks, chosen.seed),
        order_lines(3 * chosen.clocks, chosen.seed),
    )
    for table in tables:
        for line in (*table, ""):
            print(line)
    exchange, arrival, time_of = cost_us(chosen.seed)
    print(
        f"Processor time, best of 5: exchange {exchange:.1f} us, arrival {arrival:.1f} us, "
        f"time_of {time_of:.1f} us"
    )


if __name__ == "__main__":
    main()
