"""Tennessee Eastman for truth.py: ours, multivariate process monitoring as it is taught, published.

Promises: one row for each method, the same limit rule for all (1 % of the test run without fault);
the means over all faults that are there, and over those that some method finds; "early FAR" is the
share of rows before the fault that are above the limit as well. Published means are
over 21 faults, so they compare only roughly with those over the faults that are there.
"""

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import baselines, engine, recordings
from benchmarks.baselines import Floats, Learner
from benchmarks.measures import Aim, detection_rates, early_rate, mean_rate
from benchmarks.recordings import Process
from gateway.models.twin_model import TwinModel

LEARNERS: Final[dict[str, Learner]] = {
    "PCA, T2": baselines.learn_t2,
    "PCA, Q": baselines.learn_q,
    "dynamic PCA, Q, two lags": lambda training: baselines.learn_q(training, lags=2),
    "VAR(2), innovations": baselines.learn_var,
    "joint Gaussian of three lags, 10-row mean": baselines.learn_joint_gaussian,
}
STANDARD: Final = "joint Gaussian of three lags, 10-row mean"
BETTER_BY: Final = 0.02
PUBLISHED: Final = (
    ("PCA, T2", 0.555, 0.644),
    ("PCA, Q", 0.658, 0.762),
    ("dynamic PCA, Q", 0.710, 0.822),
    ("factor analysis, likelihood", 0.794, 0.920),
    ("VAR(2), innovations", 0.785, 0.914),
    ("CVA, from memory", 0.815, 0.944),
    ("joint Gaussian of three lags, 10-row mean", 0.830, 0.954),
)
"""Name, mean over 21 faults, mean over 18 (without 3, 9, 15)."""


def report(data: Path, console: Console, with_ours: bool) -> list[Aim]:
    """Print the table, with our engine or without; return what was aimed at."""
    process = recordings.read_tep(data)
    faults = [fault for fault in process.tests if fault]
    shown = Table(
        "method",
        "mean",
        "found by some",
        "early FAR %",
        title=f"TEP, faults {faults[0]}-{faults[-1]}",
    )
    for fault in faults:
        shown.add_column(str(fault), justify="right")
    ours: dict[int, float] = {}
    if with_ours:
        said = our_scores(process, console)
        ours = detection_rates(said)
        _add(shown, "[bold]twinrig, causal[/]", said)
        shown.add_section()
    simple: dict[str, dict[int, float]] = {}
    for name, learn in LEARNERS.items():
        score = learn(process.training)
        scores = {key: score(rows) for key, rows in process.tests.items()}
        simple[name] = detection_rates(scores)
        _add(shown, name, scores)
    shown.add_section()
    for name, over_all, over_found in PUBLISHED:
        blank = [""] * len(faults)
        shown.add_row(f"21 faults: {name}", f"{over_all:.3f}", f"{over_found:.3f}", "-", *blank)
    console.print(shown)
    return _aims(ours, simple[STANDARD]) if with_ours else []


def our_scores(process: Process, console: Console) -> dict[int, Floats]:
    """Learn once, run over all test runs two at a time; return the score of every row."""
    with console.status("TEP: learning from the run without fault ..."):
        model = engine.learn(process.training, process.signals)
    work: list[tuple[object, ...]] = [(model, rows) for rows in process.tests.values()]
    said = engine.in_parallel(of_run, work, "TEP: runs", console)
    return dict(zip(process.tests, said, strict=True))


def of_run(model: TwinModel, rows: Floats) -> Floats:
    """Return our score of every row of one test run, (n,)."""
    return engine.say(model, rows).score


def _aims(ours: dict[int, float], standard: dict[int, float]) -> list[Aim]:
    got, least = mean_rate(ours), mean_rate(standard)
    return [
        Aim("TEP, mean detection, at least the joint Gaussian", got, least=least),
        Aim("TEP, mean detection, two points better", got, least=least + BETTER_BY),
    ]


def _add(shown: Table, name: str, scores: dict[int, Floats]) -> None:
    rates = detection_rates(scores)
    shown.add_row(
        name,
        f"{mean_rate(rates):.3f}",
        f"{mean_rate(rates, without_undetectable=True):.3f}",
        f"{100 * early_rate(scores):.1f}",
        *(f"{rate:.2f}" for rate in rates.values()),
    )
