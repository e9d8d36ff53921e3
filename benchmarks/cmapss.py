"""C-MAPSS FD001: how well prognosis tells the remaining life of engines it has never seen.

    python -m benchmarks.cmapss --data DIR [--seed N] [--cuts N]    DIR holds cmapss/

Protocol. Only the 100 training engines are needed. Five folds of whole engines, drawn with the
printed seed. Each held-out engine is cut `cuts` times, like the published test engines: the true
remaining life is drawn evenly from 7 to 145 cycles (the span of the published answers, whose mean
of 75.5 it also has), but at least 31 cycles stay (the shortest published test engine). The rows up
to the cut are given, the raw remaining life at the last of them is asked: no cap on the truth.

Everything is learnt and chosen inside the training folds: scaling, factors, failure modes, time
constants. What is known beforehand is stated in each line: when the question is asked (evenly in 7
to 145, as the protocol says; evenly up to the shortest training life; or at any moment of a life),
and whether the age of the engine is known. RMSE depends on the spread of the true answers, so that
is printed too; `any moment` cuts evenly over all cycles from the 31st on and is a harder question.

NASA score (Saxena and others 2008): sum of exp(-d/13) - 1 for d < 0, exp(d/10) - 1 else, with
d = answer - truth; per 100 engines. Beside ours: the mean of the training cuts, a line in age, and
a ridge regression on the mean and slope of every sensor over the last 30 cycles. With test_FD001
and RUL_FD001 in the folder the published test is run once as well, on all training engines.
"""

import argparse
import gzip
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from gateway.models import prognosis, prognosis_fit
from gateway.models.degradation import Floats
from gateway.models.prognosis import Prognosis, Remaining

FOLDS: Final = 5
ASKED_MIN: Final = 7
ASKED_MAX: Final = 145
ROWS_MIN: Final = 31
WINDOW_ROWS: Final = 30
PUBLISHED: Final = (
    "published for the official test engines, for orientation: repositories RMSE 15.2-16.2; random "
    "forest on 30-cycle window statistics 12.9 (NASA 231); best papers about 11-12"
)


class Cut(NamedTuple):
    """An engine's rows (n, signals) up to the question, and the cycles it had left."""

    rows: Floats
    left: int


class Told(NamedTuple):
    """Answers to a set of cuts, all (cuts,); intervals are NaN where a method has none."""

    mean: Floats
    low: Floats
    high: Floats


Answer = Callable[[Cut], Remaining]


def read(path: Path) -> list[Floats]:
    """Return each engine's rows (cycles, signals) of one file; engine and cycle number left out."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        table = np.loadtxt(file)
    return [table[table[:, 0] == engine, 2:] for engine in np.unique(table[:, 0])]


def cuts_like_published(engine: Floats, count: int, rng: np.random.Generator) -> list[Cut]:
    """Cut an engine `count` times, remaining life even in 7 to 145."""
    most = min(ASKED_MAX, len(engine) - ROWS_MIN)
    return [_cut(engine, int(left)) for left in rng.integers(ASKED_MIN, most + 1, count)]


def cuts_any_moment(engine: Floats, count: int, rng: np.random.Generator) -> list[Cut]:
    """Cut an engine `count` times, evenly over its life from the 31st cycle on."""
    return [_cut(engine, int(left)) for left in rng.integers(0, len(engine) - ROWS_MIN + 1, count)]


def protocol_law() -> Floats:
    """Return how often each remaining life is asked by the protocol."""
    law = np.zeros(ASKED_MAX + 1)
    law[ASKED_MIN:] = 1.0
    law /= law.sum()
    return law


def nasa_score(errors: Floats) -> float:
    """Return the NASA score of errors (n,) = answer - truth, in cycles, per 100 engines."""
    costs = np.where(errors < 0.0, np.exp(-errors / 13.0), np.exp(errors / 10.0)) - 1.0
    return float(costs.mean()) * 100.0


def ask(answer: Answer, cuts: Sequence[Cut]) -> Told:
    """Put every question."""
    answers = [answer(cut) for cut in cuts]
    return Told(
        np.array([told.mean for told in answers]),
        np.array([told.low for told in answers]),
        np.array([told.high for told in answers]),
    )


def baselines(training: Sequence[Cut], cuts: Sequence[Cut]) -> dict[str, Told]:
    """Return what needs no model of wear: mean, line in age, ridge on window statistics."""
    left = np.array([float(cut.left) for cut in training])
    nothing = np.full(len(cuts), np.nan)
    line = np.polyfit([len(cut.rows) for cut in training], left, 1)
    ages = np.array([float(len(cut.rows)) for cut in cuts])
    seen = np.stack([_window_statistics(cut.rows) for cut in training])
    centre, scale = seen.mean(axis=0), np.where(seen.std(axis=0) > 1e-9, seen.std(axis=0), np.inf)
    seen = (seen - centre) / scale
    gain = np.linalg.solve(seen.T @ seen + np.eye(seen.shape[1]), seen.T @ (left - left.mean()))
    new = (np.stack([_window_statistics(cut.rows) for cut in cuts]) - centre) / scale
    return {
        "mean of the training cuts": Told(np.full(len(cuts), left.mean()), nothing, nothing),
        "line in age": Told(line[0] * ages + line[1], nothing, nothing),
        "ridge, 30-cycle statistics": Told(left.mean() + new @ gain, nothing, nothing),
    }


def engine_answers(model: Prognosis) -> dict[str, Answer]:
    """Return our answers by what is known beforehand."""
    shortest = np.ones(int(model.lives[0]) + 1)
    shortest /= shortest.sum()
    anytime = prognosis.survival(model.lives)

    def answer(prior: Floats | None, with_age: bool) -> Answer:
        return lambda cut: model.remaining(
            model.gather(cut.rows), prior=prior, age_rows=len(cut.rows) if with_age else None
        )

    return {
        "twinrig, asked in 7..145": answer(None, False),
        "twinrig, same, age known": answer(None, True),
        "twinrig, up to shortest life": answer(shortest, False),
        "twinrig, any moment": answer(anytime, False),
    }


def report(engines: Sequence[Floats], seed: int, count: int) -> None:
    """Cross-validate and print both protocols."""
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(len(engines)), FOLDS)
    gathered: dict[str, dict[str, list[Told]]] = {"like the published test": {}, "any moment": {}}
    truths: dict[str, list[Cut]] = {protocol: [] for protocol in gathered}
    for number, fold in enumerate(folds):
        training = [engines[place] for place in np.setdiff1d(np.arange(len(engines)), fold)]
        model = _fit(training)
        print(f"fold {number}: {_shape(model)}", flush=True)
        for protocol, cutter in zip(gathered, (cuts_like_published, cuts_any_moment), strict=True):
            cuts = [cut for place in fold for cut in cutter(engines[place], count, rng)]
            truths[protocol] += cuts
            known = [cut for engine in training for cut in cutter(engine, count, rng)]
            told = baselines(known, cuts)
            told |= {name: ask(answer, cuts) for name, answer in engine_answers(model).items()}
            for name, part in told.items():
                gathered[protocol].setdefault(name, []).append(part)
    for protocol, methods in gathered.items():
        print(f"\n{len(engines)} engines, {count} cuts each, {protocol}; seed {seed}")
        told = {
            name: Told(*(np.concatenate(part) for part in zip(*parts, strict=True)))
            for name, parts in methods.items()
        }
        _print_table(told, np.array([float(cut.left) for cut in truths[protocol]]))


def report_published(folder: Path, engines: Sequence[Floats]) -> None:
    """Run the published test if its files are there."""
    test, answers = (_find(folder, name) for name in ("test_FD001", "RUL_FD001"))
    if test is None or answers is None:
        print(f"\n{folder}: no test_FD001 and RUL_FD001 there, the published test is not run")
        return
    with gzip.open(answers, "rt") if answers.suffix == ".gz" else answers.open() as file:
        left = np.loadtxt(file).ravel()
    cuts = [Cut(rows, int(rest)) for rows, rest in zip(read(test), left, strict=True)]
    model = _fit(engines)
    print(f"\npublished test, {len(cuts)} engines: {_shape(model)}")
    rng = np.random.default_rng(0)
    known = [cut for engine in engines for cut in cuts_like_published(engine, 5, rng)]
    told = baselines(known, cuts)
    told |= {name: ask(answer, cuts) for name, answer in engine_answers(model).items()}
    _print_table(told, left)


def _fit(engines: Sequence[Floats]) -> Prognosis:
    """Learn the fleet, told when the question will be put and nothing else."""
    signals = [f"signal {place}" for place in range(engines[0].shape[1])]
    return prognosis_fit.fit(engines, signals, fleet="FD001", asked=protocol_law())


def _shape(model: Prognosis) -> str:
    """Return what was chosen as text."""
    factors, kinds, score = model.held_out[-1]
    return (
        f"{len(model.lives)} training engines, {int(model.used.sum())} signals vary, {factors} "
        f"factors, {kinds} kinds of wear, trust {model.trust:.1f}, held-out log probability "
        f"{score:.3f}"
    )


def _print_table(told: dict[str, Told], truth: Floats) -> None:
    """Print a line for each method."""
    quartiles = " ".join(f"{value:.0f}" for value in np.percentile(truth, [0, 25, 50, 75, 100]))
    print(
        f"true remaining life: mean {truth.mean():.1f}, deviation {truth.std():.1f}, "
        f"min, quartiles, max {quartiles} cycles"
    )
    print(f"{'':30} {'RMSE':>6} {'bias':>6} {'NASA/100':>9} {'90 % holds':>10} {'width':>6}")
    for name, answers in told.items():
        errors = answers.mean - truth
        line = f"{name:30} {np.sqrt((errors**2).mean()):6.2f} {errors.mean():6.2f} "
        line += f"{nasa_score(errors):9.0f}"
        if np.isfinite(answers.low).all():
            holds = ((answers.low <= truth) & (truth <= answers.high)).mean()
            line += f" {holds:10.1%} {(answers.high - answers.low).mean():6.1f}"
        print(line)


def _window_statistics(rows: Floats) -> Floats:
    """Return mean and slope (2 * signals,) of the last 30 rows (n, signals)."""
    window = rows[-WINDOW_ROWS:]
    time = np.arange(len(window)) - (len(window) - 1) / 2.0
    return np.concatenate([window.mean(axis=0), time @ window / (time @ time)])


def _cut(engine: Floats, left: int) -> Cut:
    """Return the engine with `left` cycles to go."""
    return Cut(engine[: len(engine) - left], left)


def _find(folder: Path, name: str) -> Path | None:
    """Return the file of that name, packed or not."""
    return next((path for path in sorted(folder.glob(f"{name}.txt*"))), None)


def main() -> int:
    """Print the report; say plainly when the data is absent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cuts", type=int, default=5, help="cuts of each held-out engine")
    arguments = parser.parse_args()
    folder = arguments.data / "cmapss"
    training = _find(folder, "train_FD001")
    if training is None:
        print(f"{folder}: no train_FD001 there, nothing measured; give the folder with --data DIR")
        return 1
    engines = read(training)
    report(engines, arguments.seed, arguments.cuts)
    print(PUBLISHED)
    report_published(folder, engines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
