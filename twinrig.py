"""The command line: one sentence per subcommand; what a subcommand needs is imported when it runs.

Promises: an error that a person can mend is one message on standard error and exit status 1, never
a traceback; a rig that failed is exit status 3; a fault of our own keeps its traceback; Ctrl-C ends
with 130 and leaves no process behind.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

app = typer.Typer(
    help="Sensor nodes that sign, a gateway that checks, a rig that proves it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
board_app = typer.Typer(help="Boards, real or emulated.", no_args_is_help=True)
gateway_app = typer.Typer(help="The gateway.", no_args_is_help=True)
hil_app = typer.Typer(help="The hardware-in-the-loop rig.", no_args_is_help=True)
app.add_typer(board_app, name="board")
app.add_typer(gateway_app, name="gateway")
app.add_typer(hil_app, name="hil")

console = Console()
EXIT_RIG = 3
"""Exit status of a rig that failed and says nothing about what it tests: worth a retry."""

BoardName = Annotated[str, typer.Argument(help="A folder of boards/, see `twinrig board list`.")]
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

    with _progress() as (building, playing):
        watch = Watch(building=building, playing=playing)
        result = asyncio.run(run_demo(console, watch, linger_s=seconds, trace=trace, board=board))
    if result.failures:
        raise typer.Exit(1)


@board_app.command("list")
def board_list() -> None:
    """List the boards there are."""
    from rich.table import Table

    from boards.catalog import board_names, load_board

    table = Table(box=None, pad_edge=False)
    for heading in ("board", "what it is", "MCU", "RAM", "simulation", "features"):
        table.add_column(heading)
    for name in board_names():
        board = load_board(name)
        table.add_row(
            board.name,
            board.title,
            board.mcu,
            f"{board.ram_bytes // 1024} KiB",
            board.simulation,
            ", ".join(board.features),
        )
    console.print(table)


@board_app.command("build")
def board_build(
    name: Annotated[str | None, typer.Argument(help="A board; or give --all.")] = None,
    all_boards: Annotated[bool, typer.Option("--all", help="All that are built here.")] = False,
) -> None:
    """Build the firmware image of a board with the application frozen in."""
    from boards.build import APPLICATION, DEVICE_TESTS, boards_built_here, build
    from boards.catalog import load_board

    if (name is None) == (not all_boards):
        raise typer.BadParameter("name one board, or give --all")
    chosen = boards_built_here() if all_boards else [str(name)]
    contents = (APPLICATION, DEVICE_TESTS) if all_boards else (APPLICATION,)
    for each in chosen:
        for content in contents:
            with _progress() as (building, _):
                image = build(load_board(each), content, progress=building)
            console.print(f"{each:<14} {content.name:<13} {image}", soft_wrap=True)


@board_app.command("emulate")
def board_emulate(
    name: BoardName,
    code: Annotated[str | None, typer.Option("--code", "-c", help="Python to run there.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A script to run there.")] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Real seconds it may take.")] = 60.0,
) -> None:
    """Start an emulated board, run Python in its MicroPython, print what it prints, end it.

    Without --code and --file the board says what it is.  Code that raises gives exit status 1.
    """
    from boards.build import build, cache_dir
    from boards.catalog import load_board
    from boards.emulate import SELF_PORTRAIT, execute
    from boards.errors import BoardError

    board = load_board(name)
    if file is not None:
        try:
            code = file.read_text(encoding="utf-8")
        except OSError as error:
            raise BoardError(
                f"{file}: cannot be read ({error.strerror}); check the path"
            ) from error
    with _progress() as (building, _):
        image = build(board, progress=building)
    folder = cache_dir() / "emulate" / name
    output = execute(board, image, folder, code or SELF_PORTRAIT, timeout_s=timeout_s)
    console.print(output.rstrip(), markup=False, highlight=False, soft_wrap=True)


@board_app.command("console")
def board_console(name: BoardName) -> None:
    """Open the MicroPython prompt of an emulated board in this terminal (Ctrl-A X ends QEMU)."""
    from boards.build import build, cache_dir
    from boards.catalog import load_board
    from boards.emulate import interact

    board = load_board(name)
    with _progress() as (building, _):
        image = build(board, progress=building)
    raise typer.Exit(interact(board, image, cache_dir() / "console" / name))


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

    with _progress() as (building, playing):
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


@contextmanager
def _progress() -> Iterator[tuple[Callable[[str, int], None], Callable[[float, float], None]]]:
    """A bar for builds (files compiled) and one for runs (virtual seconds), shown when used."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        bar = _Bar(progress)
        yield bar.building, bar.playing


class _Bar:
    """One bar that changes its description as the work goes on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._step = ""
        self._task = progress.add_task("starting", total=None, visible=False)

    def building(self, step: str, count: int) -> None:
        """Files compiled in this step of a build."""
        self._show(step, count, None)

    def playing(self, now_s: float, end_s: float) -> None:
        """Virtual seconds played, of how many."""
        self._show("virtual seconds", round(now_s), round(end_s))

    def _show(self, step: str, done: int, total: int | None) -> None:
        if step != self._step:
            self._step = step
            self._progress.reset(self._task, description=step, total=total, visible=True)
        self._progress.update(self._task, completed=done)


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
