"""C-MAPSS FD001 for truth.py: remaining life of engines nobody has seen, cross-validated.

Promises: the protocol of cmapss.py (five folds of whole engines, each held-out engine cut like the
published test engines, the raw remaining life asked), its simple methods and ours, one row each.
The names say what a method is told beforehand: the published protocol asks from 7 to 145 cycles
before the end, and whoever knows that has an easier question than a plant has.
Leaves to others: cuts at any moment of a life, and the published test engines (cmapss.py).
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import cmapss, engine
from benchmarks.cmapss import Cut, Told
from benchmarks.measures import Aim
from benchmarks.recordings import MissingDataError
from gateway.models import prognosis_fit

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

SEED: Final = 0
CUTS: Final = 5
OURS: Final = "twinrig, asked in 7..145"
PUBLISHED: Final = (
    ("repositories", "15.2-16.2", "-"),
    ("random forest on 30-cycle window statistics", "12.9", "231"),
    ("best papers", "11-12", "-"),
)
"""Name, RMSE and NASA score on the official test engines."""


class Fold(NamedTuple):
    """What every method told about the cuts of one fold."""

    told: dict[str, Told]
    truth: Floats
    """(cuts,)."""


class Figures(NamedTuple):
    """Of one method over all folds; NaN without intervals."""

    rmse: float
    bias: float
    nasa: float
    held: float
    width: float


def report(data: Path, console: Console, with_ours: bool) -> list[Aim]:
    """Print the table, with our engine or without; return what was aimed at."""
    path = data / "cmapss" / "train_FD001.txt.gz"
    if not path.is_file():
        raise MissingDataError(
            f"{path}: no such record, nothing measured; give the folder above with --data DIR"
        )
    engines = cmapss.read(path)
    folds = np.array_split(np.random.default_rng(SEED).permutation(len(engines)), cmapss.FOLDS)
    work: list[tuple[object, ...]] = [(engines, fold, with_ours) for fold in folds]
    results = engine.in_parallel(of_fold, work, "C-MAPSS: folds", console)
    got = figures(results)
    shown = _table(len(engines))
    for name in sorted(got, key=lambda name: not name.startswith("twinrig")):
        _add(shown, name, got[name])
    shown.add_section()
    for name, rmse, nasa in PUBLISHED:
        shown.add_row(f"published, official test engines: {name}", rmse, "-", nasa, "-", "-")
    console.print(shown)
    return _aims(got[OURS]) if with_ours else []


def of_fold(engines: list[Floats], fold: Places, with_ours: bool) -> Fold:
    """Learn from all engines but those of the fold (places), ask about cuts of those."""
    rng = np.random.default_rng([SEED, int(fold[0])])
    held_out = {int(place) for place in fold}
    training = [rows for place, rows in enumerate(engines) if place not in held_out]
    cuts = _cuts([engines[place] for place in sorted(held_out)], rng)
    told = cmapss.baselines(_cuts(training, rng), cuts)
    if with_ours:
        signals = [f"signal {place}" for place in range(engines[0].shape[1])]
        model = prognosis_fit.fit(training, signals, fleet="FD001", asked=cmapss.protocol_law())
        answers = cmapss.engine_answers(model)
        told |= {name: cmapss.ask(answer, cuts) for name, answer in answers.items()}
    return Fold(told, np.array([float(cut.left) for cut in cuts]))


def figures(folds: list[Fold]) -> dict[str, Figures]:
    """Put the folds together, method by method."""
    truth = np.concatenate([fold.truth for fold in folds])
    found: dict[str, Figures] = {}
    for name in folds[0].told:
        mean, low, high = (
            np.concatenate([fold.told[name][part] for fold in folds]) for part in range(3)
        )
        errors = mean - truth
        has_interval = bool(np.isfinite(low).all())
        found[name] = Figures(
            float(np.sqrt((errors**2).mean())),
            float(errors.mean()),
            cmapss.nasa_score(errors),
            float(((low <= truth) & (truth <= high)).mean()) if has_interval else np.nan,
            float((high - low).mean()) if has_interval else np.nan,
        )
    return found


def _cuts(engines: list[Floats], rng: np.random.Generator) -> list[Cut]:
    return [cut for rows in engines for cut in cmapss.cuts_like_published(rows, CUTS, rng)]


def _aims(ours: Figures) -> list[Aim]:
    return [
        Aim("C-MAPSS, RMSE cycles", ours.rmse, most=12.5),
        Aim("C-MAPSS, 90 % intervals hold %", 100 * ours.held, least=85.0, most=95.0),
    ]


def _table(engines: int) -> Table:
    shown = Table("method", title=f"C-MAPSS FD001, {engines} engines, {CUTS} cuts each")
    for name in ("RMSE", "bias", "NASA/100", "90 % holds", "width"):
        shown.add_column(name, justify="right")
    return shown


def _add(shown: Table, name: str, got: Figures) -> None:
    has_interval = not np.isnan(got.held)
    shown.add_row(
        f"[bold]{name}[/]" if name == OURS else name,
        f"{got.rmse:.2f}",
        f"{got.bias:+.2f}",
        f"{got.nasa:.0f}",
        f"{got.held:.1%}" if has_interval else "-",
        f"{got.width:.1f}" if has_interval else "-",
    )
