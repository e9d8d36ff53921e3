"""Tennessee Eastman fault by fault: as a ranking, and at the engine's own limits.

    python -m benchmarks.tep --data DIR         DIR holds tep/train.csv.gz and tep/test*.csv.gz

`ranking` is the protocol of truth.py: the score's limit is what 1 % of the rows of the test run
without fault exceed, detected is the share of rows from row 160 on above it. It says how well the
score orders rows, and borrows its limit from a run nobody has before a fault.
`own limit` is what a gateway does: the probability crosses 0.5, by training rows alone; the first
line is then its false alarms on the run without fault.

Leaves to others: what other methods get (truth.py).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import engine, recordings
from benchmarks.baselines import learn_joint_gaussian
from benchmarks.engine import Said
from benchmarks.measures import TEP_FAULT_ROW, detection_rates, mean_rate
from benchmarks.recordings import MissingDataError, Process


def watch(process: Process, console: Console) -> tuple[dict[int, Said], str]:
    """Learn once, watch every test run; return what was said, and how levels are treated."""
    with console.status("TEP: learning from the run without fault ..."):
        model = engine.learn(process.training, process.signals)
    work: list[tuple[object, ...]] = [(model, rows) for rows in process.tests.values()]
    said = engine.in_parallel(engine.say, work, "TEP: runs", console)
    joint = getattr(model.calibration, "joint", None)
    levels = "no joint law" if joint is None else f"levels followed: {joint.follows_levels}"
    return dict(zip(process.tests, said, strict=True)), levels


def table(process: Process, said: dict[int, Said]) -> Table:
    """Return the rates of every run."""
    score = learn_joint_gaussian(process.training)
    simple = detection_rates({key: score(rows) for key, rows in process.tests.items()})
    ours = detection_rates({key: each.score for key, each in said.items()})
    own = {key: _share(each, TEP_FAULT_ROW if key else 0) for key, each in said.items()}
    found = {key: rate for key, rate in own.items() if key}
    shown = Table("fault", "ranking", "joint Gaussian", "own limit", title="TEP, rows detected")
    shown.add_row("none", "0.010", "0.010", f"{own[0]:.3f}")
    for fault in ours:
        rates = (ours[fault], simple[fault], own[fault])
        shown.add_row(str(fault), *(f"{rate:.3f}" for rate in rates))
    shown.add_section()
    shown.add_row("mean", *(f"{mean_rate(each):.4f}" for each in (ours, simple, found)))
    return shown


def _share(said: Said, first: int) -> float:
    return float(np.mean(said.probability[first:] >= 0.5))


def main() -> int:
    """Print the table; say plainly when the data is absent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    console = Console()
    try:
        process = recordings.read_tep(parser.parse_args().data)
    except MissingDataError as error:
        console.print(str(error), soft_wrap=True)
        return 1
    said, levels = watch(process, console)
    console.print(table(process, said))
    console.print(levels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
