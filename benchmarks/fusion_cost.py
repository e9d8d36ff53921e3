"""What the model of an asset costs: learning it, one live row, and memory over many rows.

    python -m benchmarks.fusion_cost [--rows 20000] [--signals 50] [--live 8 100 1000]

Promises: seconds on this machine, of the wall clock and of its processors (where others work too,
only the latter mean something); a plant simulated from a stated seed, so that every machine does
the same work. The fit is the one everybody gets, order chosen and limits set included; models for
the live row are told the order of the plant, because the choice is not what is timed there.
The growth of the live row is the slope of log(seconds) over log(signals) by least squares: 1 is
proportional, 2 is quadratic.
Memory is what Python and numpy hold (tracemalloc) and what the process has (resident pages), read
while rows pass. Flat means that both grow by less than one byte a row from the first quarter of the
readings to the last: whatever is kept for a row costs a pointer at least, which has eight.
Leaves to others: how good the model is (truth.py).
"""

import argparse
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.signal import lfilter

from benchmarks import engine
from gateway.models.calibration import Calibration
from gateway.models.fit import Settings
from gateway.models.tracker import Habits, Tracker
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

SEED: Final = 20
FACTORS: Final = 4
"""Of the simulated plant; the fit is not told."""
FIT_GOAL_S: Final = 20.0
"""Of processors, limits included."""
GAP_SHARE: Final = 0.01
SLOW_SIGNALS: Final = 3
SLOW_EVERY: Final = 5
STEP_GOAL_S: Final = 0.005
"""For 1,000 signals."""
LIVE_TRAINING_ROWS: Final = 2_000
LIVE_ROWS: Final = 400
WARM_ROWS: Final = 60
MEMORY_SIGNALS: Final = 8
MEMORY_ROWS: Final = 20_000
MEMORY_READINGS: Final = 20
FLAT_BYTES_PER_ROW: Final = 1.0


class Live(NamedTuple):
    """Seconds of one live row of an asset with so many signals."""

    signals: int
    median_s: float
    slow_s: float
    """99 % of the rows take no longer."""
    has_joint: bool
    """Whether the training rows sufficed for the evidence of all signals together."""


class Reading(NamedTuple):
    """Memory after so many rows."""

    rows: int
    traced_bytes: int
    resident_bytes: int


def plant(rows: int, signals: int, rng: np.random.Generator) -> Floats:
    """Simulate rows (rows, signals): autoregressive factors, noise and offsets of each signal."""
    factors = lfilter([1.0], [1.0, -0.8], rng.normal(size=(rows, FACTORS)), axis=0)
    loadings = rng.normal(size=(FACTORS, signals))
    noise = rng.uniform(0.5, 2.0, signals) * rng.normal(size=(rows, signals))
    offsets = rng.normal(scale=50.0, size=signals)
    simulated: Floats = offsets + factors @ loadings + noise
    return simulated


def learn(rows: Floats, settings: Settings | None = None) -> TwinModel:
    """Fit and calibrate rows (n, s) through the public interface."""
    names = [f"plant:{number}" for number in range(rows.shape[1])]
    return engine.learn(rows, names, settings)


def seconds_of(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds that `work` takes once."""
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def live(model: TwinModel, rows: Floats) -> Live:
    """Time each of rows (n, s) after WARM_ROWS others."""
    tracker = Tracker(model, Habits())
    taken_s = [seconds_of(lambda row=row: tracker.step(row)) for row in rows]  # type: ignore[misc]
    later_s = np.array(taken_s[WARM_ROWS:])
    limits = model.calibration
    return Live(
        rows.shape[1],
        float(np.median(later_s)),
        float(np.quantile(later_s, 0.99)),
        isinstance(limits, Calibration) and limits.joint is not None,
    )


def growth(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the exponent g of seconds ~ sizes^g by least squares over the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def memory(model: TwinModel, rows: Floats, readings: int = MEMORY_READINGS) -> list[Reading]:
    """Step through rows (n, s) and read the memory `readings` times, evenly spaced.

    The readings go into an array made beforehand, or they would be the memory that grows.
    """
    every = max(1, len(rows) // readings)
    found = np.zeros((len(rows) // every, 3), dtype=np.int64)
    tracemalloc.start()
    tracker = Tracker(model, Habits())
    for number, row in enumerate(rows, start=1):
        tracker.step(row)
        if number % every == 0:
            traced_bytes, _ = tracemalloc.get_traced_memory()
            found[number // every - 1] = number, traced_bytes, resident_bytes()
    tracemalloc.stop()
    return [Reading(*map(int, values)) for values in found]


def bytes_per_row(readings: Sequence[Reading]) -> tuple[float, float]:
    """Return how fast both kinds of memory grow from the first quarter to the last."""
    quarter = max(1, len(readings) // 4)
    first, last = readings[quarter - 1], readings[-1]
    rows = max(1, last.rows - first.rows)
    traced, resident = (
        (
            max(each[kind] for each in readings[-quarter:])
            - max(each[kind] for each in readings[:quarter])
        )
        / rows
        for kind in (1, 2)
    )
    return traced, resident


def is_flat(readings: Sequence[Reading]) -> bool:
    """Whether nothing is kept for a row."""
    return max(bytes_per_row(readings)) < FLAT_BYTES_PER_ROW


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not tell."""
    path = Path("/proc/self/statm")
    if not path.is_file():
        return 0
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def gapped(rows: Floats, rng: np.random.Generator) -> Floats:
    """Return a copy of rows (n, s) with GAP_SHARE of the values missing, at random."""
    return np.where(rng.random(rows.shape) < GAP_SHARE, np.nan, rows)


def multi_rate(rows: Floats) -> Floats:
    """Return a copy of rows (n, s) with the first SLOW_SIGNALS present every SLOW_EVERY-th row."""
    result = rows.copy()
    result[np.arange(len(rows)) % SLOW_EVERY != 0, :SLOW_SIGNALS] = np.nan
    return result


def _report_fit(console: Console, rows: int, signals: int) -> None:
    simulated = plant(rows, signals, np.random.default_rng(SEED))
    kinds = {
        "complete": simulated,
        f"{GAP_SHARE:.0%} of the values missing": gapped(simulated, np.random.default_rng(SEED)),
        f"{SLOW_SIGNALS} signals every {SLOW_EVERY}th row": multi_rate(simulated),
    }
    table = Table("rows", "wall clock", "processors", "goal", title=f"Fit of {rows:,} x {signals}")
    for kind, values in kinds.items():
        with console.status(f"learning, {kind} ..."):
            worked_s = time.process_time()
            taken_s = seconds_of(lambda values=values: learn(values))  # type: ignore[misc]
            worked_s = time.process_time() - worked_s
        said = _said(worked_s <= FIT_GOAL_S)
        table.add_row(kind, f"{taken_s:.1f} s", f"{worked_s:.1f} s", f"{FIT_GOAL_S:.0f} s, {said}")
    console.print(table)


def _report_live(console: Console, sizes: Sequence[int]) -> None:
    table = Table("signals", "one row, median", "99 % within", "joint evidence", title="Live")
    found: list[Live] = []
    for size in track(sizes, "one live row ...", console=console, transient=True):
        rows = plant(LIVE_TRAINING_ROWS + LIVE_ROWS, size, np.random.default_rng(SEED))
        model = learn(rows[:LIVE_TRAINING_ROWS], Settings(order=(FACTORS, 1)))
        found.append(live(model, rows[LIVE_TRAINING_ROWS:]))
        latest = found[-1]
        table.add_row(
            f"{size:,}",
            f"{1e3 * latest.median_s:.3f} ms",
            f"{1e3 * latest.slow_s:.3f} ms",
            "yes" if latest.has_joint else "no, too few rows",
        )
    console.print(table)
    if len(found) > 1:
        console.print(f"growth: seconds ~ signals^{_growth(found):.2f}, ", end="")
        console.print(f"over the largest two ^{_growth(found[-2:]):.2f}")
    for each in found:
        if each.signals == 1_000:
            said = _said(each.median_s <= STEP_GOAL_S)
            console.print(f"goal for 1,000 signals: {1e3 * STEP_GOAL_S:.0f} ms, {said}")


def _report_memory(console: Console, rows: int) -> None:
    simulated = plant(LIVE_TRAINING_ROWS + rows, MEMORY_SIGNALS, np.random.default_rng(SEED))
    model = learn(simulated[:LIVE_TRAINING_ROWS])
    with console.status(f"memory over {rows:,} rows of {MEMORY_SIGNALS} signals ..."):
        readings = memory(model, simulated[LIVE_TRAINING_ROWS:])
    table = Table("rows", "held by Python and numpy", "resident", title="Memory")
    for each in readings[:: max(1, len(readings) // 5)]:
        table.add_row(
            f"{each.rows:,}",
            f"{each.traced_bytes / 1024:,.0f} KiB",
            f"{each.resident_bytes / 2**20:,.1f} MiB",
        )
    console.print(table)
    traced, resident = bytes_per_row(readings)
    console.print(
        f"growth: {traced:.2f} bytes a row held, {resident:.2f} resident; "
        f"memory flat: {_said(is_flat(readings))}"
    )


def _growth(found: Sequence[Live]) -> float:
    return growth([each.signals for each in found], [each.median_s for each in found])


def _said(is_reached: bool) -> str:
    return "reached" if is_reached else "NOT reached"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--signals", type=int, default=50)
    parser.add_argument("--live", type=int, nargs="+", default=[8, 100, 1_000])
    parser.add_argument("--memory-rows", type=int, default=MEMORY_ROWS)
    given = parser.parse_args()
    console = Console()
    console.print(
        f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '-')}"
    )
    _report_fit(console, given.rows, given.signals)
    _report_live(console, given.live)
    _report_memory(console, given.memory_rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
