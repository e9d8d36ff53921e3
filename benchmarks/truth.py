"""The public records: ours beside what everybody can do and what was published, in one command.

    python -m benchmarks.truth --data DIR [--only skab tep cmapss] [--simple]

DIR holds skab/, tep/ and cmapss/; `--simple` leaves our own engine out. Protocols, stated before
anything is measured:

SKAB         Each file: a fresh model from rows 0-399 without labels, verdicts on all later rows,
             causal. Change points: those a method says, else the rows at which its verdict changes;
             NAB score with a window of 60 s to the right. "normal" is the share of alarmed rows on
             the recording without faults, cut into overlapping pieces as long as a file; "delay"
             the median over files from the label to the first alarm in it.
TEP          Learnt from the run without fault; the limit is what 1 % of the rows of the test run
             without fault exceed; detected is the share of rows from row 160 on above it.
C-MAPSS      Five folds of whole training engines, cut like the published test engines (cmapss.py).

Nothing is point-adjusted and no threshold comes from labelled rows. A published figure stands as
published, on the files it is of; a simple one is computed here. Exit status 1: no data.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import truth_cmapss, truth_skab, truth_tep
from benchmarks.measures import Aim
from benchmarks.recordings import MissingDataError

SETS: Final[dict[str, Callable[[Path, Console, bool], list[Aim]]]] = {
    "skab": truth_skab.report,
    "tep": truth_tep.report,
    "cmapss": truth_cmapss.report,
}
_FILE_COLUMNS: Final = 160
"""How wide tables are in a file or a pipe."""


def run(
    data: Path, chosen: list[str], console: Console, with_ours: bool
) -> tuple[list[Aim], list[str]]:
    """Report the chosen sets; return what was aimed at, and the sets whose data is absent."""
    aims: list[Aim] = []
    absent: list[str] = []
    for name in chosen:
        try:
            aims += SETS[name](data, console, with_ours)
        except MissingDataError as error:
            console.print(str(error), soft_wrap=True)
            absent.append(name)
    return aims, absent


def main() -> int:
    """Print the tables, then what was reached and what was not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=sorted(SETS), default=list(SETS))
    parser.add_argument("--simple", action="store_true", help="only what everybody can do")
    given = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        # A file or a pipe has no edge to fold a table at.
        console = Console(width=_FILE_COLUMNS)
    started_s = time.perf_counter()
    aims, absent = run(given.data, given.only, console, not given.simple)
    for aim in aims:
        console.print(f"[{'green' if aim.is_reached else 'red'}]{aim}[/]", highlight=False)
    reached = sum(aim.is_reached for aim in aims)
    taken_s = time.perf_counter() - started_s
    said = f"{reached} of {len(aims)} aims reached, " if aims else ""
    console.print(f"{said}{taken_s:.0f} s")
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
