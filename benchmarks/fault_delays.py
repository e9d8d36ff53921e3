"""Injected faults: how soon is there an alarm, and how often without a fault?

    python -m benchmarks.fault_delays --data DIR      DIR holds skab/ and tep/

The assets, faults and sizes of benchmarks/faults.py. One tracker lives through all healthy rows
after the training; at each onset a copy of it sees 80 rows with the fault instead. The delay is
counted from the onset to the first row that leaves the judge in ALARM.
A trial that is in alarm before the onset counts as "before" and has no delay.
False alarms are beginnings of alarms in healthy rows, per hour of rows (a row is a second here).

The tracker alone is asked: it has no stored rows, so a replay looks normal to it; losses and
repeats are seen by gateway/stages/diagnosis.py.
Leaves to others: who is named (benchmarks/faults.py).
"""

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.engine import in_parallel, lasting, learn
from benchmarks.faults import SIZED, SIZES, Asset, Place, inject, make_asset, read_asset
from benchmarks.recordings import MissingDataError
from gateway.models.causes import CAUSES
from gateway.models.tracker import Habits, Tracker

Floats = NDArray[np.float64]

ASSETS: Final = ("skab", "tep", "pump")
TRIALS: Final = 5
HEALTHY_ROWS: Final = 120
FAULTY_ROWS: Final = 80
_ROWS_PER_HOUR: Final = 3600


class Watched(NamedTuple):
    """What happened in one trial."""

    asset: str
    cause: str
    size: float
    """NaN where a cause has no size."""
    delay_rows: int | None
    """None: no alarm in the rows with the fault."""
    was_before: bool


class Quiet(NamedTuple):
    """Alarms in healthy rows."""

    asset: str
    alarms: int
    rows: int
    alarmed_rows: int


class _Plan(NamedTuple):
    """One fault to come."""

    onset: int
    cause: str
    size: float
    signal: int
    rng: np.random.Generator


def watch_asset(name: str, data: Path, seed: int) -> tuple[list[Watched], Quiet]:
    """Run all trials of an asset along its healthy rows."""
    rows, signals, split = read_asset(name, data)
    model = learn(rows[:split], signals)
    asset = make_asset(name, data)
    plans = sorted(_plans(asset, seed), key=lambda plan: plan.onset)
    tracker = Tracker(model, Habits())
    watched: list[Watched] = []
    probability: list[float] = []
    for number, row in enumerate(rows[split:]):
        while len(watched) < len(plans) and plans[len(watched)].onset == number:
            plan = plans[len(watched)]
            watched.append(_watch(asset, plan, copy.deepcopy(tracker), probability))
        probability.append(tracker.step(row).probability)
    alarmed = lasting(np.array(probability))
    begun = int((alarmed[1:] & ~alarmed[:-1]).sum()) + int(alarmed[0])
    return watched, Quiet(name, begun, len(alarmed), int(alarmed.sum()))


def _plans(asset: Asset, seed: int) -> list[_Plan]:
    """Return all faults to come; place and signal are drawn."""
    plans = []
    for cause in CAUSES[1:]:
        for size in SIZES if cause in SIZED else (np.nan,):
            for _ in range(TRIALS):
                rng = np.random.default_rng([seed, len(plans)])
                onset = int(rng.integers(HEALTHY_ROWS, len(asset.rows) - FAULTY_ROWS))
                signal = int(rng.integers(asset.rows.shape[1]))
                plans.append(_Plan(onset, cause, size, signal, rng))
    return plans


def _watch(asset: Asset, plan: _Plan, tracker: Tracker, before: Sequence[float]) -> Watched:
    """Let a tracker see one fault; `before` are the probabilities of all rows so far."""
    sized = 0.0 if np.isnan(plan.size) else plan.size * float(asset.sigma[plan.signal])
    sign = float(plan.rng.choice([-1.0, 1.0]))
    place = Place(asset, plan.signal, FAULTY_ROWS, sized * sign, plan.rng)
    rows = asset.rows[plan.onset - HEALTHY_ROWS : plan.onset + FAULTY_ROWS]
    faulty = inject(plan.cause, rows, place)[HEALTHY_ROWS:]
    scaling = asset.model.scaling
    own = np.tile(scaling.location, (FAULTY_ROWS, 1))
    own[:, scaling.used] += scaling.scale[scaling.used] * faulty
    seen = [tracker.step(row).probability for row in own]
    alarmed = lasting(np.array([*before, *seen]))
    after = np.flatnonzero(alarmed[plan.onset :])
    return Watched(
        asset.name,
        plan.cause,
        plan.size,
        int(after[0]) + 1 if len(after) else None,
        bool(alarmed[plan.onset - 1]),
    )


def table(watched: Sequence[Watched]) -> Table:
    """Return detections and median delays by cause and size, a column pair for each asset."""
    names = tuple(dict.fromkeys(trial.asset for trial in watched))
    heads = [head for name in names for head in (f"{name}: found", "delay, rows", "before")]
    shown = Table("cause", "size", *heads, title=f"alarm within {FAULTY_ROWS} rows of the onset")
    ordered = sorted(watched, key=lambda trial: (CAUSES.index(trial.cause), trial.size))
    for cause, size in dict.fromkeys((t.cause, str(t.size)) for t in ordered):
        texts = []
        for name in names:
            mine = [t for t in watched if (t.asset, t.cause, str(t.size)) == (name, cause, size)]
            fresh = [t for t in mine if not t.was_before]
            delays = [t.delay_rows for t in fresh if t.delay_rows is not None]
            texts += [
                f"{len(delays)} of {len(fresh)}",
                f"{np.median(delays):.0f}" if delays else "",
                str(len(mine) - len(fresh)),
            ]
        shown.add_row(cause, "" if size == "nan" else size, *texts)
    return shown


def main() -> int:
    """Run all assets on two processes and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asset", choices=ASSETS, action="append")
    options = parser.parse_args()
    console = Console()
    names = options.asset or list(ASSETS)
    try:
        for name in names:
            read_asset(name, options.data)
    except MissingDataError as error:
        console.print(str(error))
        return 1
    items = [(name, options.data, options.seed) for name in names]
    found = in_parallel(watch_asset, items, "delays", console)
    console.print(table([trial for part, _ in found for trial in part]))
    for _, quiet in found:
        console.print(
            f"{quiet.asset:5s} without fault: {quiet.alarms} alarms in {quiet.rows} rows, "
            f"{quiet.alarms * _ROWS_PER_HOUR / quiet.rows:.2f} per 3600 rows, "
            f"{quiet.alarmed_rows / quiet.rows:.1%} of rows in alarm"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
