"""One board from bare metal to a running node: interpreter, application, settings, identity.

Promises: a board is held by one process while anything is done to it; `Done` is returned only after
the board has answered with the interpreter, the files and the keys that it was given.  Every step
can be run again after an interruption.
Leaves the tools to `flash_tools.py`, the prompt to `deploy.py`, secrets to `provision.py`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from boards import flash_tools
from boards.build import cache_dir
from boards.catalog import Board, Flash, FlashMethod
from boards.deploy import Deployment, deploy
from boards.deploy_prompt import Progress
from boards.errors import FlashError, IdentityError, ImageError
from boards.flash_image import read_image
from boards.identity import Identity
from boards.provision import KEY_FILE

_IMAGES: Final = "interpreters"
"""Where in the cache folder stock images are put."""
_OVER_PROBE: Final = ("pyocd", "dfu")
"""Methods that reach the board over USB by an id; the others over a serial port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How a board can be reached: its serial port, and its probe or USB serial number."""

    port: str | None = None
    probe: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a board said after all was written, and the SHA-256 (hex) of the interpreter's file."""

    image: Path
    image_sha256: str
    identity: Identity | None


def find_image(board: Board, given: Path | None) -> Path:
    """The image to flash: the given one, else the stock image where it is to be put.

    Raises ImageError that says which one to download, from where and to where.
    """
    flash = flash_tools.flash_table(board)
    if given is not None:
        return given
    path = cache_dir() / _IMAGES / flash.image
    if not path.is_file():
        raise ImageError(
            f"{board.name} has no image yet: {_how_to_get(flash)}; twinrig downloads nothing by"
            " itself"
        )
    return path


def _how_to_get(flash: Flash) -> str:
    return (
        f"download {flash.image} from {flash.download} and put it into {cache_dir() / _IMAGES},"
        " or name one with --image"
    )


def choose_method(board: Board, asked: FlashMethod | None, reach: Reach) -> FlashMethod:
    """The method that is asked for, else the first of the board's that `reach` allows."""
    flash = flash_tools.flash_table(board)
    known = (flash.method, *flash.alternatives)
    if asked is not None and asked not in known:
        raise FlashError(f"{board.name} is flashed by {' or '.join(known)}, not by {asked}")
    for method in known if asked is None else (asked,):
        if (reach.probe if method in _OVER_PROBE else reach.port) is not None:
            return method
    ways: dict[str, list[str]] = {}
    for method in known if asked is None else (asked,):
        ways.setdefault("--probe ID" if method in _OVER_PROBE else "--port PORT", []).append(method)
    options = " or with ".join(f"{way} ({', '.join(by)})" for way, by in ways.items())
    raise FlashError(
        f"{board.name}: say where it is with {options}; for the image, {_how_to_get(flash)}"
    )


def flash_interpreter(
    board: Board, image: Path, method: FlashMethod, reach: Reach, progress: Progress
) -> str:
    """Erase the chip, write and verify the image; its SHA-256 (hex)."""
    pieces = read_image(image, flash_tools.flash_table(board).offset)
    size = sum(len(piece.content) for piece in pieces)
    if size > board.flash_bytes:
        raise ImageError(f"{image}: {size} bytes do not fit into {board.flash_bytes} of flash")
    if method == "esptool":
        flash_tools.esptool(board, image, str(reach.port), progress)
    elif method == "an3155":
        flash_tools.uart_loader(board, pieces, str(reach.port), progress)
    elif method == "dfu":
        flash_tools.dfu_util(pieces, str(reach.probe), progress)
    else:
        flash_tools.pyocd(board, pieces, str(reach.probe), progress)
    return hashlib.sha256(image.read_bytes()).hexdigest()


def flash_board(
    board: Board,
    image: Path,
    method: FlashMethod,
    reach: Reach,
    deployment: Deployment | None,
    progress: Progress,
) -> Done:
    """Everything, in order; without a deployment or a serial port the interpreter only."""
    digest = flash_interpreter(board, image, method, reach, progress)
    identity = None
    if deployment is not None and reach.port is not None:
        identity = deploy(reach.port, deployment, progress)
        check_keys(identity, deployment.settings)
    return Done(image=image, image_sha256=digest, identity=identity)


def check_keys(identity: Identity, settings: Mapping[str, bytes]) -> None:
    """Raise IdentityError unless the board answers as the node it was given."""
    if KEY_FILE not in settings:
        return
    table = json.loads(settings[KEY_FILE])
    if (identity.node, identity.key_check) != (table["node"], table["check"]):
        raise IdentityError(
            f"the board says it is node {identity.node!r} with key check {identity.key_check},"
            f" it was given {table['node']!r} with {table['check']}: provision it again"
        )
