"""The `board` commands: boards emulated and real, from bare metal to a running node.

One process at a time does anything to a real board (boards/lock.py).  Secrets are never printed.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinrig_terminal import bar, console, progress

if TYPE_CHECKING:
    from boards.catalog import Board, FlashMethod
    from boards.deploy import Deployment
    from boards.identity import Identity
    from boards.provision import KeyStore
    from boards.provision_board import Provisioning
    from gateway.site import Node

board_app = typer.Typer(help="Boards, real or emulated.", no_args_is_help=True)

BoardName = Annotated[str, typer.Argument(help="A folder of boards/, see `twinrig board list`.")]
Port = Annotated[str, typer.Option("--port", help="Serial port, see `twinrig board scan`.")]
SiteFile = Annotated[Path, typer.Option("--site", help="The site.toml that has the node.")]
NodeName = Annotated[str, typer.Option("--node", help="A node of the site.")]
NewKey = Annotated[
    bool, typer.Option("--new-key", help="Replace the key that the gateway has for this node.")
]


@board_app.command("list")
def board_list() -> None:
    """List the boards there are."""
    from rich.table import Table

    from boards.catalog import board_names, load_board

    table = Table(box=None, pad_edge=False)
    for heading in ("board", "what it is", "RAM", "how it runs"):
        table.add_column(heading, no_wrap=True)
    for name in board_names():
        board = load_board(name)
        kind = {"none": "real board", "qemu": "emulated by QEMU", "process": "process here"}
        ram = f"{board.ram_bytes // 1024} KiB"
        table.add_row(board.name, board.title, ram, kind[board.simulation])
    console.print(table)
    console.print("boards/BOARD/board.toml has the buses, pins, parts and features of each")


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
            with progress() as (building, _):
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
    with progress() as (building, _):
        image = build(board, progress=building)
    folder = cache_dir() / "emulate" / name
    output = execute(board, image, folder, code or SELF_PORTRAIT, timeout_s=timeout_s)
    console.print(output.rstrip(), markup=False, highlight=False, soft_wrap=True)


@board_app.command("console")
def board_console(
    name: BoardName,
    port: Annotated[str | None, typer.Option(help="Serial port of a real board.")] = None,
) -> None:
    """Open the MicroPython prompt of a board in this terminal.

    Ctrl-A X ends QEMU, Ctrl-] leaves a real board.  Ctrl-C there stops a running node.
    """
    from boards.build import build, cache_dir
    from boards.catalog import load_board
    from boards.emulate import interact
    from boards.errors import PortError

    board = load_board(name)
    if board.simulation == "none":
        if port is None:
            raise PortError(f"{name} is a real board: say where it is with --port")
        _need_board_extra()
        with _held(port, f"console {name}"):
            command = [sys.executable, "-m", "mpremote", "connect", port, "repl"]
            raise typer.Exit(subprocess.run(command, check=False).returncode)
    with progress() as (building, _):
        image = build(board, progress=building)
    raise typer.Exit(interact(board, image, cache_dir() / "console" / name))


@board_app.command("scan")
def board_scan(
    probe: Annotated[
        bool, typer.Option(help="Also ask each port for a prompt; stops what runs there.")
    ] = False,
) -> None:
    """List the serial ports with what their USB ids tell; nothing is opened without --probe."""
    from rich.table import Table

    from boards.errors import BoardError
    from boards.scan import scan

    table = Table(box=None, pad_edge=False)
    for heading in ("port", "USB id", "serial number", "may be", "says"):
        table.add_column(heading)
    ports = scan()
    for port in ports:
        says = ""
        if probe:
            try:
                says = _identity(port.path, "scan").machine
            except BoardError as error:
                says = str(error).split(":", maxsplit=1)[-1].strip()
        boards = ", ".join(port.boards)
        table.add_row(port.path, port.usb_id or "", port.serial_number or "", boards, says)
    console.print(table if ports else "no serial ports")


@board_app.command("identify")
def board_identify(port: Port) -> None:
    """Ask the board on a port who it is; this stops what runs there until its next start."""
    for line in _identity(port, "identify").lines():
        console.print(line, soft_wrap=True, highlight=False, markup=False)


@board_app.command("flash")
def board_flash(
    name: BoardName,
    port: Annotated[str | None, typer.Option(help="Serial port of the board.")] = None,
    probe: Annotated[
        str | None, typer.Option(help="Id of its debug probe, or its USB serial number in DFU.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Image of the interpreter.")] = None,
    method: Annotated[
        str | None, typer.Option(help="esptool, an3155, dfu or pyocd; else by what is given.")
    ] = None,
    node: Annotated[str | None, typer.Option(help="The node that it becomes.")] = None,
    site: Annotated[Path | None, typer.Option(help="The site.toml that has the node.")] = None,
    new_key: NewKey = False,
) -> None:
    """Erase a real board and write and verify its interpreter; with --node all that makes it one.

    Everything on the board is lost, its keys too.  `done` is said after the board has answered.
    """
    from boards.catalog import load_board
    from boards.flash import Reach, choose_method, find_image, flash_board

    if (node is None) != (site is None):
        raise typer.BadParameter("--node and --site go together")
    if node is not None and port is None:
        raise typer.BadParameter("--node needs --port: its files go through the board's prompt")
    board = load_board(name)
    reach = Reach(port=port, probe=probe)
    chosen = choose_method(board, _method(method), reach)
    file = find_image(board, image)
    deployment = plan = None
    if node is not None and site is not None:
        _need_board_extra()
        plan = _new_plan(node, site, new_key=new_key)
        deployment = _deployment(board, plan.settings)
    with _held(port, f"flash {name}", probe), bar() as shown:
        done = flash_board(board, file, chosen, reach, deployment, shown.working)
        if plan:
            plan.commit()
    console.print(f"interpreter  {file.name}, SHA-256 {done.image_sha256}", soft_wrap=True)
    if done.identity is None:
        console.print(f"done: {name} has its interpreter and nothing else", soft_wrap=True)
        return
    _say_done(done.identity, plan.public_key if plan else None)


@board_app.command("freeze")
def board_freeze(
    name: BoardName,
    folder: Annotated[Path, typer.Argument(help="A new folder for manifest and sources.")],
) -> None:
    """Write what MicroPython's own build needs for an image with the application in its flash."""
    from boards.catalog import load_board
    from boards.frozen import write_frozen

    for line in write_frozen(load_board(name), folder):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


@board_app.command("provision")
def board_provision(port: Port, node: NodeName, site: SiteFile, new_key: NewKey = False) -> None:
    """Write the settings of a node, and its keys if it has none yet; print its public key."""
    from boards.provision_board import provision

    _need_board_extra()
    table, store = _node(node, site)
    with _held(port, f"provision {node}"), bar() as shown:
        plan, identity = provision(port, table, store, shown.working, new_key=new_key)
    if plan.public_key is not None:
        console.print("what the board had counted, accepted and stored is gone", soft_wrap=True)
    _say_given_up(plan.given_up)
    _say_done(identity, plan.public_key)


@board_app.command("rotate-key")
def board_rotate_key(
    port: Port,
    node: NodeName,
    site: SiteFile,
    state: Annotated[
        Path, typer.Option("--state", help="The gateway's state folder, for frames that wait.")
    ] = Path("state"),
    drop: Annotated[
        bool, typer.Option("--drop-stored-frames", help="Give up the frames that wait.")
    ] = False,
) -> None:
    """Give a node and the gateway a new root key over the cable; interrupted, run it again.

    Frames that wait on the board are sealed under the old key: the gateway is told to believe it
    for those, and must not run meanwhile.
    """
    from boards.deploy import stopped_application
    from boards.deploy_prompt import open_prompt
    from boards.retired import retiring
    from boards.rotation import rotate

    _need_board_extra()
    _, store = _node(node, site)
    with _held(port, f"rotate-key {node}"), stopped_application(open_prompt(port)) as prompt:
        done = rotate(prompt, node, store, retiring(node, state), drops_stored=drop)
    _say_given_up(done.given_up)
    if done.waiting:
        line = f"{done.waiting} stored frames keep the old key, which the gateway believes for them"
        console.print(line, soft_wrap=True)
    line = f"done: {node} has root key {done.key.root_id}, rotation {done.key.epoch}"
    console.print(line, soft_wrap=True)
    console.print("restart the gateway if it runs: it has read the old key", soft_wrap=True)


@board_app.command("update")
def board_update(name: BoardName, port: Port) -> None:
    """Put the application of this checkout beside the one that runs; the next start tries it.

    The node confirms it when it works, else the start after that takes the old one.
    """
    from boards.catalog import load_board
    from boards.deploy_update import update
    from boards.mpy import MPY_VERSION

    _need_board_extra()
    board = load_board(name)
    deployment = _deployment(board, {})
    with _held(port, f"update {name}"), bar() as shown:
        folder = update(port, board, deployment.application, MPY_VERSION, shown.working)
    console.print(f"done: folder {folder} is on trial", soft_wrap=True)


def _need_board_extra() -> None:
    """Raise MissingToolError without mpremote, which brings files to a board."""
    from boards.errors import MissingToolError

    if find_spec("mpremote") is None:
        raise MissingToolError("mpremote is not installed: pip install 'twinrig[board]'")


@contextmanager
def _held(port: str | None, work: str, probe: str | None = None) -> Iterator[None]:
    """Hold the board for one command."""
    from boards.lock import board_lock, port_key
    from boards.scan import serial_number_of

    key = f"usb:{probe}" if port is None else port_key(port, serial_number_of(port))
    with board_lock(key, work):
        yield


def _method(text: str | None) -> "FlashMethod | None":
    from typing import get_args

    from boards.catalog import FlashMethod

    for method in get_args(FlashMethod):
        if method == text:
            return method
    if text is not None:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(get_args(FlashMethod))}")
    return None


def _identity(port: str, work: str) -> "Identity":
    _need_board_extra()
    from boards.deploy_prompt import open_prompt
    from boards.identity import ask_identity

    with _held(port, work):
        prompt = open_prompt(port)
        try:
            return ask_identity(prompt)
        finally:
            prompt.close()


def _node(name: str, site: Path) -> "tuple[Node, KeyStore]":
    """The node of a site and the gateway's key file for it."""
    from boards.errors import ProvisionError
    from boards.provision import KeyStore
    from gateway.site import load_site

    nodes = {node.name: node for node in load_site(site).nodes}
    if name not in nodes:
        raise ProvisionError(f"{site} has no node {name!r}: it has {', '.join(sorted(nodes))}")
    return nodes[name], KeyStore(Path(nodes[name].key_file))


def _new_plan(node: str, site: Path, *, new_key: bool) -> "Provisioning":
    """New keys and settings for a node whose board is erased."""
    from boards.provision_board import with_new_keys

    table, store = _node(node, site)
    return with_new_keys(table, store, replaces=new_key)


def _deployment(board: "Board", settings: Mapping[str, bytes]) -> "Deployment":
    """The application, compiled for a board."""
    from boards.deploy import Deployment
    from boards.mpy import MPY_VERSION, application_files

    with progress() as (building, _):
        application = dict(application_files(board, progress=building))
    return Deployment(
        board=board, application=application, settings=settings, mpy_version=MPY_VERSION
    )


def _say_given_up(frames: int) -> None:
    if frames:
        console.print(f"{frames} stored frames are given up: no gateway gets them", soft_wrap=True)


def _say_done(identity: "Identity", public_key: bytes | None) -> None:
    for line in identity.lines():
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if public_key is not None:
        line = f'public_key = "{public_key.hex()}"'
        console.print(f"{line}    (belongs into [[nodes]] of the site)", soft_wrap=True)
    console.print(f"done: {identity.machine} is {identity.node or 'not a node yet'}")
