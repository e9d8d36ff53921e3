"""The command line: one sentence per subcommand; what a subcommand needs is imported when it runs.

Promises: an error that a person can mend is one message on standard error and exit status 1, never
a traceback; a rig that failed is exit status 3; a fault of our own keeps its traceback; Ctrl-C ends
with 130 and leaves no process behind.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from twinrig_board import board_app
from twinrig_gateway import gateway_app
from twinrig_model import model_app
from twinrig_terminal import console, progress

# The model's matrices are small: threads of the linear algebra would spend their time waiting for
# each other. It reads this once, when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

app = typer.Typer(
    help="Sensor nodes that sign, a gateway that checks, a rig that proves it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
hil_app = typer.Typer(help="The hardware-in-the-loop rig.", no_args_is_help=True)
app.add_typer(board_app, name="board")
app.add_typer(gateway_app, name="gateway")
app.add_typer(model_app, name="model")
app.add_typer(hil_app, name="hil")

EXIT_RIG = 3
"""Exit status of a rig that failed and says nothing about what it tests: worth a retry."""

TraceFile = Annotated[
    Path | None, typer.Option("--trace", help="Your own CSV with the scenario's columns.")
]


@app.command()
def demo(
    seconds: Annotated[
        float, typer.Option(help="How long the endpoints stay open at the end; 0 = until Ctrl-C.")
    ] = 0.0,
    trace: TraceFile = None,
    board: Annotated[
        str | None, typer.Option(help="Run both nodes on this board instead of the scenario's.")
    ] = None,
) -> None:
    """Emulate two STM32 nodes, replay a recorded fault into them and watch the gateway find it."""
    from hil.demo import Watch
    from hil.demo import demo as run_demo

    with progress() as (building, playing):
        watch = Watch(building=building, playing=playing)
        result = asyncio.run(run_demo(console, watch, linger_s=seconds, trace=trace, board=board))
    if result.failures:
        raise typer.Exit(1)


@contextmanager
def _findings_left_to_the_report() -> Iterator[None]:
    """Keep the gateway from logging line by line what the report says in a table."""
    logger = logging.getLogger("twinrig")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@hil_app.command("run")
def hil_run(
    scenario: Annotated[Path, typer.Argument(help="A scenario.toml.")],
    repeat: Annotated[int, typer.Option(min=1, max=1000, help="How many times.")] = 1,
    trace: TraceFile = None,
    board: Annotated[
        str | None, typer.Option(help="Run every node on this board instead of the scenario's.")
    ] = None,
) -> None:
    """Run a scenario in lockstep and judge what comes out; print one hash per run and kind.

    The gateway runs without its north side (OPC UA, MQTT, store): a verdict does not depend on it.
    """
    from hil.repeat import repeat_scenario
    from hil.report import full_report, hash_lines, judgement_lines, summary_line

    with _findings_left_to_the_report(), progress() as (building, playing):
        results = repeat_scenario(
            scenario,
            times=repeat,
            trace=trace,
            board=board,
            building=building,
            playing=playing,
            each=lambda result: console.print(hash_lines(result), soft_wrap=True, highlight=False),
        )
    console.print(full_report(results[-1]))
    last = results[-1]
    same = len({r.hashes for r in results}) == 1
    for line in judgement_lines(last):
        console.print(line)
    if repeat > 1:
        console.print(f"{repeat} runs: {'identical' if same else 'NOT IDENTICAL'}")
    ok = same and not last.failures
    console.print(
        f"hil {'ok' if ok else 'FAILED'}: {summary_line(last)}", soft_wrap=True, highlight=False
    )
    if not ok:
        raise typer.Exit(1)


def main() -> None:
    """Entry point: turn errors that a person can mend into one message."""
    from boards.errors import BoardError
    from gateway.errors import InternalError, TwinrigError
    from hil.errors import RigError

    try:
        app(standalone_mode=True)
    except InternalError:
        raise
    except RigError as error:
        print(f"rig error: {error}", file=sys.stderr)
        sys.exit(EXIT_RIG)
    except (TwinrigError, BoardError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
