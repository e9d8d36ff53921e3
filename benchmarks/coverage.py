"""How often intervals hold the truth: imputation, virtual sensors, forecasts.

    python -m benchmarks.coverage --data DIR        DIR holds skab/ and tep/

Every model is fitted with the product's settings to the first rows of a recording, and asked about
later healthy rows that it has not seen:

- imputation: one value in ten is hidden at random, and every signal once for ten rows in a row;
- virtual sensor: every signal in turn from all others and the past of the others;
- forecast: 1 to 60 rows ahead, from an origin every 40 rows.

Sets: SKAB anomaly-free in pieces (400 rows to learn, 747 to ask), the rows of SKAB valve1 before
the first label, TEP without fault, and models drawn by a generator (few rows, many rows, drift,
gaps). A share is over all values of all signals; the spread over signals is printed beside it.
A 90 % interval shall hold 85 to 95 %.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import recordings
from gateway.models import fit, state_space, twin_model
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

SHARES: Final = (0.5, 0.9, 0.99)
HORIZONS: Final = (1, 5, 20, 60)
_SECOND_NS: Final = 1_000_000_000
_HIDDEN_SHARE: Final = 0.1
_GAP_ROWS: Final = 10
_ORIGIN_EVERY: Final = 40


class Case(NamedTuple):
    """Rows to learn from and later ones (n, S) of one recording."""

    name: str
    signals: tuple[str, ...]
    training: Floats
    later: Floats


class Answers(NamedTuple):
    """Truth, mean and deviation (n, S); NaN where nothing was asked."""

    truth: Floats
    mean: Floats
    deviation: Floats


def skab_normal(data: Path) -> list[Case]:
    """Return pieces of the recording without faults."""
    whole = recordings.read_skab_normal(data)
    rows = recordings.SKAB_TRAINING_ROWS
    return [
        Case("SKAB anomaly-free", piece.signals, piece.rows[:rows], piece.rows[rows:])
        for piece in recordings.pieces(whole)
    ]


def skab_healthy(data: Path) -> list[Case]:
    """Return the labelled files up to their first label."""
    rows = recordings.SKAB_TRAINING_ROWS
    cases = []
    for file in recordings.read_skab(data):
        first = int(np.argmax(file.anomalies)) if file.anomalies.any() else len(file.rows)
        cases.append(Case("SKAB valve1", file.signals, file.rows[:rows], file.rows[rows:first]))
    return cases


def tep_healthy(data: Path) -> list[Case]:
    """Return the run to learn from, with the test run without fault."""
    process = recordings.read_tep(data)
    return [Case("TEP fault 0", process.signals, process.training, process.tests[0])]


def simulated() -> Iterator[Case]:
    """Yield rows of models drawn at random: 8 signals, 2 factors with one lag."""
    signals = tuple(f"signal {number}" for number in range(8))
    for name, rows, drift, gaps in (
        ("simulated, 200 rows", 200, 0.0, 0.0),
        ("simulated, 2000 rows", 2000, 0.0, 0.0),
        ("simulated, drift", 400, 0.05, 0.0),
        ("simulated, 20 % missing", 400, 0.0, 0.2),
    ):
        for seed in range(4):
            rng = np.random.default_rng([seed, rows])
            values = _drawn(rng, rows + 600)
            values += drift * np.cumsum(rng.normal(size=values.shape), axis=0) * (np.arange(8) < 3)
            values[rng.random(values.shape) < gaps] = np.nan
            yield Case(name, signals, values[:rows], values[rows:])


def _drawn(rng: np.random.Generator, rows: int) -> Floats:
    """Return rows (n, 8) of a model drawn at random."""
    roots = np.diag(rng.uniform(0.3, 0.95, size=2))
    space = state_space.assemble(
        roots, np.eye(2) - roots**2, rng.normal(size=(8, 2)), rng.uniform(0.2, 1.0, size=8), 1
    )
    return state_space.sample(space, rows, rng) * rng.uniform(0.1, 100.0, size=8)


def imputed(model: TwinModel, case: Case, rng: np.random.Generator) -> Answers:
    """Hide values and ask for them."""
    hidden = rng.random(case.later.shape) < _HIDDEN_SHARE
    span = len(case.later) - _GAP_ROWS
    for signal in range(len(case.signals)):
        start = int(rng.integers(0, span))
        hidden[start : start + _GAP_ROWS, signal] = True
    answer = twin_model.impute(model, np.where(hidden, np.nan, case.later))
    return Answers(np.where(hidden, case.later, np.nan), answer.mean, answer.deviation)


def sensed(model: TwinModel, case: Case) -> Answers:
    """Ask for every signal in turn from all others."""
    answers = [twin_model.virtual(model, case.later, [signal]) for signal in case.signals]
    return Answers(
        case.later,
        np.hstack([answer.mean for answer in answers]),
        np.hstack([answer.deviation for answer in answers]),
    )


def forecast(model: TwinModel, case: Case, horizon: int) -> Answers:
    """Ask for the row `horizon` rows after each origin."""
    origins = range(_ORIGIN_EVERY, len(case.later) - horizon, _ORIGIN_EVERY)
    answers = [twin_model.forecast(model, case.later[:origin], horizon) for origin in origins]
    return Answers(
        case.later[[origin + horizon - 1 for origin in origins]],
        np.array([answer.mean[-1] for answer in answers]),
        np.array([answer.deviation[-1] for answer in answers]),
    )


def held(model: TwinModel, answers: Answers) -> Floats:
    """Return how many truths each interval holds and how many there are, (shares + 1, S)."""
    asked = ~np.isnan(answers.truth) & ~np.isnan(answers.deviation)
    counts = []
    for share in SHARES:
        low, high = twin_model.interval(model, answers.mean, answers.deviation, share)
        counts.append(((answers.truth >= low) & (answers.truth <= high) & asked).sum(axis=0))
    return np.array([*counts, asked.sum(axis=0)], dtype=np.float64)


def measure(cases: list[Case]) -> dict[str, Floats]:
    """Return counts (shares + 1, S) by task, summed over cases of one kind."""
    totals: dict[str, Floats] = {}
    for number, case in enumerate(cases):
        model = fit.fit(
            case.training,
            case.signals,
            ("",) * len(case.signals),
            period_ns=_SECOND_NS,
            asset=case.name,
        )
        tasks = {
            "imputation": imputed(model, case, np.random.default_rng(number)),
            "virtual sensor": sensed(model, case),
        }
        tasks |= {f"forecast {steps}": forecast(model, case, steps) for steps in HORIZONS}
        for task, answers in tasks.items():
            totals[task] = totals.get(task, 0.0) + held(model, answers)
    return totals


def report(name: str, cases: list[Case]) -> None:
    """Print the shares of one set."""
    print(f"{name}: {len(cases)} fits of {len(cases[0].training)} rows")
    for task, counts in measure(cases).items():
        shares = counts[:-1].sum(axis=1) / counts[-1].sum()
        per_signal = counts[1] / np.maximum(counts[-1], 1.0)
        asked = per_signal[counts[-1] > 0]
        mark = "" if 0.85 <= shares[1] <= 0.95 else "  <- not within 85 to 95 %"
        listing = "  ".join(
            f"{share:.0%}: {held_share:6.1%}"
            for share, held_share in zip(SHARES, shares, strict=True)
        )
        print(
            f"  {task:15s} {listing}   90 % by signal {asked.min():.0%} to {asked.max():.0%}{mark}"
        )


def main() -> int:
    """Print the report; say plainly which data is absent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    data = parser.parse_args().data
    is_complete = True
    for read in (skab_normal, skab_healthy, tep_healthy):
        try:
            cases = read(data)
        except recordings.MissingDataError as error:
            print(error)
            is_complete = False
            continue
        report(cases[0].name, cases)
    drawn = list(simulated())
    for name in dict.fromkeys(case.name for case in drawn):
        report(name, [case for case in drawn if case.name == name])
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
