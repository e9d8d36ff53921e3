"""The command line: one sentence per subcommand; what a subcommand needs is imported when it runs.

Promises: an error that a person can mend is one message on standard error and exit status 1, never
a traceback; a rig that failed is exit status 3; a fault of our own keeps its traceback; Ctrl-C ends
with 130 and leaves no process behind.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, cast

import typer

from twinrig_board import board_app
from twinrig_terminal import console, progress

app = typer.Typer(
    help="Sensor nodes that sign, a gateway that checks, a rig that proves it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
gateway_app = typer.Typer(help="The gateway.", no_args_is_help=True)
hil_app = typer.Typer(help="The hardware-in-the-loop rig.", no_args_is_help=True)
app.add_typer(board_app, name="board")
app.add_typer(gateway_app, name="gateway")
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


@gateway_app.command("check")
def gateway_check(
    site: Annotated[Path, typer.Argument(help="A site.toml.")],
    keys: Annotated[bool, typer.Option(help="Also open the key files it names.")] = True,
) -> None:
    """Say everything that is wrong with a site file, without running anything."""
    from gateway.site import load_keys, load_site

    loaded = load_site(site)
    if keys:
        load_keys(loaded)
    signals = len(loaded.units())
    console.print(f"{site}: ok: {len(loaded.nodes)} nodes, {signals} signals", soft_wrap=True)


@gateway_app.command("trust")
def gateway_trust(
    thumbprint: Annotated[
        str | None, typer.Argument(help="Start of the thumbprint; without it, list them.")
    ] = None,
    state: Annotated[Path, typer.Option(help="The gateway's state folder.")] = Path("state"),
) -> None:
    """Let an OPC UA client in whose certificate was rejected, or list who waits."""
    from gateway.clock import SystemClock
    from gateway.sinks.opcua_identity import TrustList

    trusted = TrustList(state / "opcua", SystemClock())
    if thumbprint is None:
        waiting = trusted.rejected()
        console.print("\n".join(waiting) if waiting else "no rejected certificates")
        return
    console.print(f"trusted: {trusted.trust(thumbprint).stem}", soft_wrap=True)


@gateway_app.command("run")
def gateway_run(
    site: Annotated[Path, typer.Argument(help="A site.toml.")],
    state: Annotated[
        Path, typer.Option(help="Folder for certificates, store and counters.")
    ] = Path("state"),
) -> None:
    """Run the gateway of a site until Ctrl-C."""
    from gateway.app import Gateway
    from gateway.clock import SystemClock
    from gateway.errors import ConfigError
    from gateway.site import load_site

    # The libraries' own chatter at INFO runs to a thousand lines at every start.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("twinrig").setLevel(logging.INFO)

    loaded = load_site(site)
    on_a_rig = [
        f"nodes[{index}].link: {node.name} hangs on a rig, where only `twinrig hil run` reads it;"
        ' give it link = "serial" and a port'
        for index, node in enumerate(loaded.nodes)
        if node.link == "rig"
    ]
    if on_a_rig:
        raise ConfigError(str(site), on_a_rig)

    async def run() -> None:
        gateway = Gateway(loaded, SystemClock(), state)
        await gateway.start()
        try:
            for name, address in gateway.endpoints().items():
                console.print(f"{name}: {address}", soft_wrap=True)
            console.print("running; Ctrl-C or SIGTERM ends it")
            await gateway.run()
        finally:
            await gateway.stop()

    asyncio.run(_until_signal(run()))


async def _until_signal(work: Coroutine[None, None, None]) -> None:
    """Do `work` until it ends, or until SIGINT or SIGTERM asks for an orderly end."""
    task = cast("asyncio.Task[None]", asyncio.current_task())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await work
    except asyncio.CancelledError:
        task.uncancel()


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

    with progress() as (building, playing):
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
    same = len({(r.frames_sha256, r.verdicts_sha256) for r in results}) == 1
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
