"""Injected faults: is the right cause named, at the right signal, with an honest probability?

    python -m benchmarks.faults --data DIR      DIR holds skab/ and tep/

Three assets: the SKAB recording without faults, Tennessee Eastman without fault, and our own pump
skid (hil/plants). The first rows train a model; faults are put into later rows, 12 to 40 rows
before the end of a window of 60. The level is the mean of the 60 rows before the window. Onset,
signal and sign are drawn, the seed is fixed. One sigma is the standard deviation of a signal's
healthy training rows about that mean, so a signal that wanders has a wide one.

Promises: one configuration for all assets, learnt from their training rows alone; every trial is
counted. Top-1 is the signal with the greatest probability summed over causes.
Leaves to others: when an alarm is raised (tracker.py); here somebody asks, alarm or not.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.engine import in_parallel
from benchmarks.recordings import MissingDataError, read_skab_file, read_skab_normal, read_tep
from gateway.models.causes import CAUSES, Weighed, compare
from gateway.models.explanation import Experience, experience
from gateway.models.fit import fit
from gateway.models.hypotheses_law import healthy_windows, law_of, level_variance
from gateway.models.hypotheses_window import Law, deviation_given_all
from gateway.models.repeats import Memory
from gateway.models.scaling import scaled
from gateway.models.twin_model import TwinModel
from hil.plants.pump import write_pump_trace

Floats = NDArray[np.float64]

WINDOW: Final = 60
LEVEL_ROWS: Final = 60
AGES: Final = (12, 40)
SIZES: Final = (2.0, 5.0, 10.0)
SIZED: Final = ("process", "bias", "drift", "noise", "spike")
PLACED: Final = tuple(cause for cause in CAUSES if cause not in ("none", "process"))
TRIALS: Final = {"skab": 8, "tep": 3, "pump": 8}
_SHARES: Final = np.array([0.0, 0.5, 0.7, 0.9, 0.99, 1.0000001])
_PUMP_ROWS: Final = 6000
_SMOOTH_ROWS: Final = 11


class Asset(NamedTuple):
    """One asset: its model, what healthy rows taught, and rows to put faults into."""

    name: str
    model: TwinModel
    learnt: Experience
    law: Law
    memory: Memory
    sigma: Floats
    """(u,)."""
    training: Floats
    """(t, u), scaled."""
    rows: Floats
    """(n, u), scaled, healthy, after the training rows."""


class Trial(NamedTuple):
    """One fault and what was said about it."""

    asset: str
    cause: str
    size: float
    """NaN where a cause has no size."""
    signal: int | None
    said_cause: str
    rank: int
    """Of the true signal, 1 is first; 0 where there is none."""
    cause_probability: float
    """Of the cause that was said."""
    signal_probability: float
    """Of the signal that was said, among those with a signal."""
    pair_probability: float
    """Of the likeliest pair of cause and signal."""
    is_pair_right: bool


# --- faults ---------------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a fault goes: into the last `age` rows of one signal of a window."""

    asset: Asset
    signal: int
    age: int
    size: float
    """In units of the signal's scale, signed."""
    rng: np.random.Generator


def inject(cause: str, rows: Floats, place: Place) -> Floats:
    """Return rows (n, u) with one fault in their last part."""
    changed = rows.copy()
    if cause != "none":
        _INJECTORS[cause](changed, place)
    return changed


def _process(rows: Floats, place: Place) -> None:
    current = place.asset.law.state_space.current
    moved = current @ place.rng.normal(size=current.shape[1])
    spread = place.asset.sigma
    rows[-place.age :] += (
        moved * abs(place.size) / spread[place.signal] / (abs(moved) / spread).max()
    )


def _bias(rows: Floats, place: Place) -> None:
    rows[-place.age :, place.signal] += place.size


def _drift(rows: Floats, place: Place) -> None:
    rows[-place.age :, place.signal] += place.size * np.arange(1, place.age + 1) / place.age


def _stuck(rows: Floats, place: Place) -> None:
    rows[-place.age :, place.signal] = rows[-place.age, place.signal]


def _noise(rows: Floats, place: Place) -> None:
    rows[-place.age :, place.signal] += place.size * place.rng.normal(size=place.age)


def _spike(rows: Floats, place: Place) -> None:
    rows[-place.age, place.signal] += place.size


def _loss(rows: Floats, place: Place) -> None:
    rows[-place.age :, place.signal] = np.nan


def _clock(rows: Floats, place: Place) -> None:
    late = int(place.rng.integers(3, 7))
    rows[-place.age :, place.signal] = rows[-place.age - late : -late, place.signal].copy()


def _spoof(rows: Floats, place: Place) -> None:
    """Half of them: a stretch of another time, shuffled in sign; half: the truth without noise."""
    if place.rng.random() < 0.5:
        start = int(place.rng.integers(len(place.asset.training) - place.age))
        other = place.asset.training[start : start + place.age, place.signal]
        middle = rows[: -place.age, place.signal].mean()
        rows[-place.age :, place.signal] = middle - (other - other.mean())
        return
    kernel = np.ones(_SMOOTH_ROWS) / _SMOOTH_ROWS
    padded = np.pad(rows[:, place.signal], _SMOOTH_ROWS // 2, mode="edge")
    rows[-place.age :, place.signal] = np.convolve(padded, kernel, mode="valid")[-place.age :]


def _replay(rows: Floats, place: Place) -> None:
    """Rows of the training, of one signal or (one time in three) of all."""
    start = int(place.rng.integers(len(place.asset.training) - place.age))
    stored = place.asset.training[start : start + place.age]
    chosen = slice(None) if place.signal < 0 else place.signal
    rows[-place.age :, chosen] = stored[:, chosen]


_INJECTORS: Final[dict[str, Callable[[Floats, Place], None]]] = {
    "process": _process,
    "bias": _bias,
    "drift": _drift,
    "stuck": _stuck,
    "noise": _noise,
    "spike": _spike,
    "loss": _loss,
    "clock": _clock,
    "spoof": _spoof,
    "replay": _replay,
}


# --- assets ---------------------------------------------------------------------------------------


def make_asset(name: str, data: Path) -> Asset:
    """Fit a model to the first rows of an asset; the rest is for faults."""
    rows, signals, split = read_asset(name, data)
    units = ("",) * len(signals)
    model = fit(rows[:split], tuple(signals), units, period_ns=1_000_000_000, asset=name)
    values = scaled(model.scaling, rows)
    learnt = experience(model, values[:split])
    law = law_of(model, learnt.ways, level_variance=level_variance(model))
    memory = Memory(deviation_given_all(law, WINDOW), law.resolution)
    memory.learn(values[:split])
    sigma = np.nanstd(np.vstack(healthy_windows(values[:split])), axis=0)
    return Asset(name, model, learnt, law, memory, sigma, values[:split], values[split:])


def read_asset(name: str, data: Path) -> tuple[Floats, Sequence[str], int]:
    """Return rows, names and how many rows train."""
    if name == "skab":
        recording = read_skab_normal(data)
        return recording.rows, recording.signals, 2000
    if name == "tep":
        process = read_tep(data)
        rows = np.vstack([process.training, process.tests[0]])
        return rows, process.signals, len(process.training)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pump.csv"
        write_pump_trace(path, rows=_PUMP_ROWS, seed=1)
        recording = read_skab_file(path)
    return recording.rows[: _PUMP_ROWS // 3], recording.signals, 1200


# --- trials ---------------------------------------------------------------------------------------


def cells(name: str) -> Iterator[tuple[str, float]]:
    """Yield every (cause, size) of an asset, once for each trial."""
    for cause in CAUSES:
        sizes = SIZES if cause in SIZED else (np.nan,)
        for size in sizes:
            yield from [(cause, size)] * TRIALS[name]


def run_asset(name: str, data: Path, seed: int, part: int, parts: int) -> list[Trial]:
    """Run every `parts`-th trial of an asset."""
    asset = make_asset(name, data)
    trials = []
    for number, (cause, size) in enumerate(cells(name)):
        if number % parts == part:
            rng = np.random.default_rng([seed, number, len(asset.law.resolution)])
            trials.append(run_trial(asset, cause, size, rng))
    return trials


def run_trial(asset: Asset, cause: str, size: float, rng: np.random.Generator) -> Trial:
    """Put one fault into healthy rows and ask."""
    signals = asset.rows.shape[1]
    start = int(rng.integers(LEVEL_ROWS, len(asset.rows) - WINDOW))
    before = asset.rows[start - LEVEL_ROWS : start]
    signal = int(rng.integers(signals))
    if cause == "replay" and rng.random() < 1 / 3:
        signal = -1
    reach = 0.0 if np.isnan(size) else size * asset.sigma[signal] * rng.choice([-1.0, 1.0])
    place = Place(asset, signal, int(rng.integers(*AGES)), float(reach), rng)
    rows = inject(cause, asset.rows[start : start + WINDOW], place)
    memory = copy.deepcopy(asset.memory)
    for row in np.vstack([before, rows]):
        memory.step(row)
    level = before.mean(axis=0)
    weighed = compare(
        asset.law,
        rows - level,
        copies=memory.copies(WINDOW, level),
        handicap=asset.learnt.handicap,
    )
    is_placed = cause in PLACED and signal >= 0
    return _trial(asset.name, cause, size, signal if is_placed else None, weighed)


def _trial(asset: str, cause: str, size: float, signal: int | None, weighed: Weighed) -> Trial:
    """Return what was said beside what is true."""
    causes = weighed.cause_probabilities()
    said = max(causes, key=lambda name: causes[name])
    places = weighed.signal_probabilities()
    order = [int(place) for place in np.argsort(-places, kind="stable")]
    first = weighed.findings[0]
    return Trial(
        asset,
        cause,
        size,
        signal,
        said,
        0 if signal is None else order.index(signal) + 1,
        causes[said],
        float(places.max()),
        first.probability,
        (first.cause, first.signal) == (cause, signal),
    )


# --- tables ---------------------------------------------------------------------------------------


def report(trials: Sequence[Trial], console: Console) -> None:
    """Print localisation, confusion and calibration."""
    for name in TRIALS:
        mine = [trial for trial in trials if trial.asset == name]
        if mine:
            console.print(_localisation(name, mine))
    console.print(_confusion(trials))
    console.print(_calibration(trials))
    placed = [t for t in trials if t.signal is not None and (np.isnan(t.size) or t.size >= 5.0)]
    for name in (*TRIALS, None):
        mine = [t for t in placed if name in (t.asset, None)]
        if mine:
            five = [t for t in mine if t.size == 5.0]
            console.print(
                f"{name or 'all':5s} signal at 5 sigma: top-1 {_share(five, 1)}, "
                f"top-2 {_share(five, 2)}; faults without size and from 5 sigma: "
                f"top-1 {_share(mine, 1)}, top-2 {_share(mine, 2)}"
            )


def _localisation(name: str, trials: Sequence[Trial]) -> Table:
    """Return a table by cause and size."""
    table = Table("cause", "size", "trials", "cause top-1", "signal top-1", "signal top-2")
    table.title = f"{name}: who is named, 12-40 rows after the onset"
    for cause, size in dict.fromkeys((t.cause, str(t.size)) for t in trials):
        mine = [t for t in trials if (t.cause, str(t.size)) == (cause, size)]
        right = sum(t.said_cause == t.cause for t in mine)
        placed = [t for t in mine if t.signal is not None]
        table.add_row(
            cause,
            "" if size == "nan" else size,
            str(len(mine)),
            f"{right / len(mine):.0%}",
            _share(placed, 1),
            _share(placed, 2),
        )
    return table


def _share(trials: Sequence[Trial], rank: int) -> str:
    """Return how often the true signal is among the first `rank`."""
    if not trials:
        return ""
    return f"{sum(t.rank <= rank for t in trials) / len(trials):.0%}"


def _confusion(trials: Sequence[Trial]) -> Table:
    """Return what was said (columns) for what is true (rows); sizes from 5 sigma."""
    table = Table("true \\ said", *CAUSES, title="causes, sizes from 5 sigma, all assets")
    for cause in CAUSES:
        mine = [t for t in trials if t.cause == cause and not t.size < 5.0]
        counts = [sum(t.said_cause == said for t in mine) for said in CAUSES]
        table.add_row(cause, *(str(count) if count else "." for count in counts))
    return table


def _calibration(trials: Sequence[Trial]) -> Table:
    """Return said probability beside the share that was right, for the first answer."""
    table = Table("said", "cause: mean", "right", "n", "cause and signal: mean", "right", "n")
    table.title = "calibration of the first answer, all sizes and assets"
    of_cause = [(t.cause_probability, t.said_cause == t.cause) for t in trials]
    of_pair = [(t.pair_probability, t.is_pair_right) for t in trials]
    for low, high in pairwise(_SHARES):
        texts: list[str] = []
        for pairs in (of_cause, of_pair):
            mine = [(said, right) for said, right in pairs if low <= said < high]
            if mine:
                said, right = np.mean(np.array(mine, dtype=np.float64), axis=0)
                texts += [f"{said:.0%}", f"{right:.0%}", str(len(mine))]
            else:
                texts += ["", "", "0"]
        table.add_row(f"{low:.0%}-{min(high, 1):.0%}", *texts)
    return table


def main() -> int:
    """Run all trials on two processes and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asset", choices=tuple(TRIALS), action="append")
    options = parser.parse_args()
    console = Console()
    try:
        for name in options.asset or TRIALS:
            read_asset(name, options.data)
    except MissingDataError as error:
        console.print(str(error))
        return 1
    names = options.asset or list(TRIALS)
    parts = 2
    items = [
        (name, options.data, options.seed, part, parts) for name in names for part in range(parts)
    ]
    found = in_parallel(run_asset, items, "faults", console)
    report([trial for part in found for trial in part], console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
