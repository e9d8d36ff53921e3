"""The `gateway` commands: run a site, speak to the nodes of a running gateway, prove its frames."""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from twinrig_gateway_time import gateway_clocks, gateway_kpi
from twinrig_terminal import bar, console

if TYPE_CHECKING:
    from gateway.commands import Ended
    from gateway.node_proof import Proof

gateway_app = typer.Typer(help="The gateway.", no_args_is_help=True)

NodeName = Annotated[str, typer.Argument(help="A node of the site.")]
State = Annotated[Path, typer.Option("--state", help="The gateway's state folder.")]
First = Annotated[int | None, typer.Option("--from", min=0, help="First number of the range.")]
Last = Annotated[int | None, typer.Option("--to", min=0, help="Last number of the range.")]
STATE = Path("state")
_HEARD_S = 30.0
_ROTATED_S = 120.0
"""A node seals its next frame long before this; only then its new key is the present one."""


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
    state: State = STATE,
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
    ] = STATE,
) -> None:
    """Run the gateway of a site until Ctrl-C."""
    from gateway.app import Gateway
    from gateway.clock import SystemClock
    from gateway.errors import ConfigError
    from gateway.host_clock import MachineClock
    from gateway.site import load_site
    from gateway.site_nodes import RigLink
    from gateway.stages.work import aside

    # The libraries' own chatter at INFO runs to a thousand lines at every start.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("twinrig").setLevel(logging.INFO)
    # Our own link says once and in words what this library says at length at every attempt.
    logging.getLogger("asyncua.client").setLevel(logging.CRITICAL)

    loaded = load_site(site)
    on_a_rig = [
        f"nodes[{index}].link: {node.name} hangs on a rig, where only `twinrig hil run` reads it;"
        ' give it link = "serial" and a port'
        for index, node in enumerate(loaded.nodes)
        if isinstance(node.link, RigLink)
    ]
    if on_a_rig:
        raise ConfigError(str(site), on_a_rig)

    async def run() -> None:
        gateway = Gateway(loaded, SystemClock(), state, begin=aside, host=MachineClock())
        await gateway.start()
        try:
            for name, address in gateway.endpoints().items():
                console.print(f"{name}: {address}", soft_wrap=True)
            await gateway.run(lambda: console.print("running; Ctrl-C or SIGTERM ends it"))
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


# --- what a running gateway knows about time -----------------------------------------------------

gateway_app.command("kpi")(gateway_kpi)
gateway_app.command("clocks")(gateway_clocks)


# --- to the nodes of a running gateway -----------------------------------------------------------


@gateway_app.command("command")
def gateway_command(
    node: NodeName,
    verb: Annotated[str, typer.Argument(help="set-rate, set-filter, capture, actuate or restart.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="In order, or NAME=VALUE; left out, they are named.")
    ] = None,
    state: State = STATE,
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, max=3600, help="Seconds the node may take to answer.")
    ] = 120.0,
) -> None:
    """Have a node do something, and wait for its answer; the running gateway seals and repeats it.

    set-rate 100000 10 | set-filter temperature median | capture vibration 4096 |
    actuate valve 1 5000 | restart
    """
    from gateway.command_words import read_command
    from gateway.control_client import ControlClient

    number, keyed = read_command(verb, arguments or [])
    control = ControlClient(state)
    _tell(node, asyncio.run(control.perform(node, number, keyed, expires_s=wait_s)))


@gateway_app.command("rotate-key")
def gateway_rotate_key(node: NodeName, state: State = STATE) -> None:
    """Give a node and the running gateway a new root key, which is never sent or shown."""
    from gateway.control_client import ControlClient
    from gateway.errors import OperatorError

    control = ControlClient(state)

    async def rotate() -> int:
        before = (await control.facts(node)).key_epoch
        _tell(node, await control.rotate_key(node))
        async with asyncio.timeout(_ROTATED_S):
            return await control.key_epoch_after(node, before)

    try:
        epoch = asyncio.run(rotate())
    except TimeoutError as error:
        raise OperatorError(
            f"{node}: it has sealed nothing under its new key for {_ROTATED_S:g} s; the gateway "
            "believes both keys until it does, so nothing is lost: see that it is on its link"
        ) from error
    console.print(f"{node}: key epoch {epoch}; the key file of the site holds the new key")


@gateway_app.command("update")
def gateway_update(
    node: NodeName,
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder with the .mpy files of a set; without it, this checkout's."),
    ] = None,
    board: Annotated[
        str, typer.Option("--board", help="What the node runs on, see `twinrig board list`.")
    ] = "",
    state: State = STATE,
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, max=3600, help="Seconds the trial may take.")
    ] = 180.0,
) -> None:
    """Send a node new files; it tries them once, and keeps them or goes back to the old ones."""
    from gateway.clock import SystemClock
    from gateway.control_client import ControlClient
    from gateway.errors import OperatorError
    from gateway.update_trial import Trial, await_trial
    from gateway.updates import send_update, sequence_at

    files = _update_files(folder, board)
    control, clock = ControlClient(state), SystemClock()

    async def update() -> Trial:
        before = await control.newest_boot(node, _HEARD_S)
        with bar() as shown:
            await send_update(
                control,
                node,
                files,
                class_id=board,
                sequence=sequence_at(clock.now_ns()),
                progress=lambda sent, total: shown.working(f"to {node}", sent, total),
            )
        console.print(f"{node}: {len(files)} files are there and whole; it restarts into them")
        return await await_trial(
            lambda: control.facts(node),
            clock,
            before,
            wait_s,
            lambda: console.print(f"{node}: runs the new files, on trial"),
        )

    trial = asyncio.run(update())
    if trial is Trial.CONFIRMED:
        console.print(f"{node}: confirmed")
        return
    raise OperatorError(f"{node}: {_TRIALS[trial.value].format(wait_s=wait_s)}")


_TRIALS = {
    "rolled back": "rolled back: the new files did not come to work, it runs what it ran before; "
    "its crash.log says why",
    "not tried": "not tried: it started without the loader, from files that no update replaces; "
    "deploy it once with `twinrig board deploy`",
    "unknown": "no word of a trial within {wait_s:g} s; its next boot record will say which files "
    "it runs, see the gateway's log",
}


def _update_files(folder: Path | None, board: str) -> list[tuple[str, bytes]]:
    """Return the set to send; raise OperatorError or BoardError without a known board."""
    from boards.catalog import board_names, load_board
    from boards.mpy import application_files
    from gateway.errors import OperatorError
    from gateway.updates import read_files, without_loader

    if not board:
        known = ", ".join(board_names())
        raise OperatorError(f"--board is needed: a node takes files made for it alone; {known}")
    loaded = load_board(board)
    if folder is not None:
        return read_files(folder)
    with bar() as shown:
        return without_loader(application_files(loaded, progress=shown.building))


def _tell(node: str, ended: "Ended") -> None:
    """Print the node's answer; raise OperatorError unless it obeyed."""
    from gateway.errors import OperatorError

    if not ended.was_obeyed:
        raise OperatorError(f"{node}: {ended.text}")
    console.print(f"{node}: {ended.text}", soft_wrap=True, markup=False, highlight=False)


# --- for somebody who does not trust this gateway ------------------------------------------------


@gateway_app.command("export")
def gateway_export(
    node: NodeName,
    out: Annotated[Path, typer.Argument(help="File to write, a JSON object per line.")],
    state: State = STATE,
    first: First = None,
    last: Last = None,
    store: Annotated[
        Path | None, typer.Option(help="The store, if the site has it elsewhere.")
    ] = None,
) -> None:
    """Write the sealed frames of a node as they came; needs a store with frames = true."""
    from gateway.frame_export import write_export

    exported = write_export(store or state / "store.sqlite3", node, first, last, out)
    lines = [f"{out}: {exported.frames:,} frames of {node}, {exported.first} to {exported.last}"]
    if exported.missing:
        lines.append(
            f"{exported.missing:,} numbers between them have no frame: answers, which are not "
            "kept, or losses; `twinrig gateway verify-node` tells them apart"
        )
    if exported.dropped:
        lines.append(f"the store has dropped {exported.dropped:,} older frames for age or size")
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)


@gateway_app.command("verify-node")
def gateway_verify_node(
    export: Annotated[Path, typer.Argument(help="An export of `twinrig gateway export`.")],
    key: Annotated[
        str, typer.Option("--key", help="Public key of the node: 64 hex digits, or their file.")
    ],
    first: First = None,
    last: Last = None,
) -> None:
    """Prove from its signatures alone what a node has sealed, and that nothing is missing."""
    from gateway.node_proof import Verdict, prove, read_public_key

    proof = prove(export, read_public_key(key), first, last)
    console.print(_proof_lines(proof), soft_wrap=True, markup=False, highlight=False)
    if proof.verdict is not Verdict.COMPLETE:
        raise typer.Exit(1)


def _proof_lines(proof: "Proof") -> str:
    """Return the proof in words, a line for each thing."""
    from gateway.node_proof import count_of, words_of

    boots = ", ".join(map(str, proof.boots)) or "none"
    rows = [
        ("node", proof.node or "unknown"),
        ("export", f"{proof.frames:,} frames, {proof.checkpoints:,} checkpoints signed by the key"),
    ]
    if proof.boots:
        rows += [("boots", boots), ("numbers", f"{proof.first} to {proof.last}")]
    meanings = (
        ("proven", proof.proven, "here and in the signed tree"),
        ("live", proof.live, "answers of the moment, which are not kept; the tree shows them"),
        ("missing", proof.missing, "signed or numbered, and not here"),
        ("declared", proof.declared, "of the missing ones, said to be lost by the node itself"),
        ("unproven", proof.unproven, "here, and not signed yet or beside a missing one"),
        ("signed", proof.signed, "last checkpoint of its start: proven, except for its number"),
    )
    rows += [
        (name, f"{count_of(ranges):,} ({words_of(ranges)}): {meaning}")
        for name, ranges, meaning in meanings
        if ranges
    ]
    lines = [f"{name:<9} {text}" for name, text in rows]
    return "\n".join([*lines, f"{proof.verdict.value.upper()}: {proof.reason}"])
