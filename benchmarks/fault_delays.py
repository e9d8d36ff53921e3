"""Injected faults: how soon is there an alarm, and how often without a fault?

    python -m benchmarks.fault_delays --data DIR      DIR holds skab/ and tep/

The assets, faults and sizes of benchmarks/faults.py. A fresh tracker, its level learnt from the 60
rows before as if it had lived until then, sees 120 healthy rows and then 80 with the fault; the delay is counted from the onset to the first row that leaves
the judge in ALARM. A trial that is in alarm before the onset counts as "before" and has no delay.
False alarms are beginnings of alarms in healthy rows, per hour of rows (a row is a second here).

The tracker alone is asked: it has no stored rows, so a replay looks normal to it; losses and
repeats are seen by gateway/stages/diagnosis.py.
Leaves to others: who is named (benchmarks/faults.py).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.engine import in_parallel, learn, say
from benchmarks.faults import (
    LEVEL_ROWS,
    SIZED,
    SIZES,
    Asset,
    Place,
    inject,
    make_asset,
    read_asset,
)
from benchmarks.recordings import MissingDataError
from gateway.models.causes import CAUSES
from gateway.models.hypotheses_law import level_variance
from gateway.models.twin_model import TwinModel

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


def watch_asset(name: str, data: Path, seed: int) -> tuple[list[Watched], Quiet]:
    """Run all trials of an asset, and all its healthy rows in one go."""
    rows, signals, split = read_asset(name, data)
    model = learn(rows[:split], signals)
    asset = make_asset(name, data)
    watched = []
    number = 0
    for cause in CAUSES[1:]:
        for size in SIZES if cause in SIZED else (np.nan,):
            for _ in range(TRIALS):
                number += 1
                rng = np.random.default_rng([seed, number])
                watched.append(_watch(asset, model, cause, size, rng))
    alarmed = say(model, rows[split:]).alarmed
    begun = int((alarmed[1:] & ~alarmed[:-1]).sum()) + int(alarmed[0])
    return watched, Quiet(name, begun, len(alarmed), int(alarmed.sum()))


def _watch(
    asset: Asset, model: TwinModel, cause: str, size: float, rng: np.random.Generator
) -> Watched:
    """Live through one fault."""
    start = int(rng.integers(LEVEL_ROWS, len(asset.rows) - HEALTHY_ROWS - FAULTY_ROWS))
    before = asset.rows[start - LEVEL_ROWS : start]
    recent = replace(
        model,
        level=before.mean(axis=0),
        level_variance=level_variance(model),
        tail=before[len(before) - len(model.tail) :],
    )
    signal = int(rng.integers(asset.rows.shape[1]))
    reach = 0.0 if np.isnan(size) else size * asset.sigma[signal] * rng.choice([-1.0, 1.0])
    place = Place(asset, signal, FAULTY_ROWS, float(reach), rng)
    rows = inject(cause, asset.rows[start : start + HEALTHY_ROWS + FAULTY_ROWS], place)
    scaling = asset.model.scaling
    own = np.tile(scaling.location, (len(rows), 1))
    own[:, scaling.used] += scaling.scale[scaling.used] * rows
    alarmed = say(recent, own).alarmed
    after = np.flatnonzero(alarmed[HEALTHY_ROWS:])
    return Watched(
        asset.name,
        cause,
        size,
        int(after[0]) + 1 if len(after) else None,
        bool(alarmed[HEALTHY_ROWS - 1]),
    )


def table(watched: Sequence[Watched]) -> Table:
    """Return detections and median delays by cause and size, a column pair for each asset."""
    names = tuple(dict.fromkeys(trial.asset for trial in watched))
    heads = [head for name in names for head in (f"{name}: found", "delay, rows", "before")]
    shown = Table("cause", "size", *heads, title=f"alarm within {FAULTY_ROWS} rows of the onset")
    for cause, size in dict.fromkeys((t.cause, str(t.size)) for t in watched):
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
