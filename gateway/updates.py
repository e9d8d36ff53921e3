"""New files for a node, sent through the gateway: manifest, pieces, finish; or nothing changes.

    files = read_files(folder)                                   or (path, content) of boards/mpy.py
    await send_update(gateway, "pump-a", files, class_id="nucleo_f446re")

Promises: every piece is a command of its own, answered before the next one goes, so the line is
never flooded and a piece that got lost is sent again; what the node refuses ends the update with
the node's own words, and the node is told to give it up. Until the last step it runs what it ran.
Left to others: whether the set works. The node tries it once and confirms or rolls back by itself
(`firmware/loader.py`); its next boot record says what it runs.
Order: begin with the manifest, the files in its order, finish.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from gateway.clock import NS_PER_S
from gateway.commands import Arguments, Ended
from gateway.errors import LinkError, OperatorError
from wire import commands
from wire.cbor import encode

VENDOR_ID: Final = "twinrig"
LOADER_FILE: Final = "main.py"
"""Stays as it is on the node: it chooses between the sets, and is in neither."""
PIECE_BYTES: Final = 1024
_FORMAT: Final = 1
_SUFFIXES: Final = (".mpy", ".py")
_FILES_MAX: Final = 160
_TOTAL_BYTES_MAX: Final = 524_288
_ANSWER_S: Final = 60.0
_FINISH_S: Final = 300.0
"""The node reads everything back and hashes it before it answers."""
_LOG: Final = logging.getLogger("twinrig.gateway.updates")

Files = Sequence[tuple[str, bytes]]
Progress = Callable[[int, int], None]
"""Told bytes sent and bytes in all."""


class Performs(Protocol):
    """What an update needs of a gateway, be it in this process or behind its control socket."""

    async def perform(
        self, node: str, verb: int, arguments: Arguments, *, expires_s: float = ...
    ) -> Ended:
        """Command a node and return what became of it."""
        ...


def read_files(folder: Path) -> list[tuple[str, bytes]]:
    """Return (path, content) of the files of a set, sorted by path; the loader is left out.

    Raises `OperatorError` when the folder cannot be read or holds no set.
    """
    try:
        found = [
            (path.relative_to(folder).as_posix(), path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in _SUFFIXES
        ]
    except OSError as error:
        raise OperatorError(
            f"{folder}: cannot be read ({error}); name a folder of files"
        ) from error
    files = without_loader(found)
    if not files:
        raise OperatorError(f"{folder}: holds no .mpy or .py file; name the folder of a set")
    return files


def without_loader(files: Files) -> list[tuple[str, bytes]]:
    """Return the files that an update may carry."""
    return [(path, content) for path, content in files if path != LOADER_FILE]


def make_manifest(files: Files, sequence: int, class_id: str, vendor_id: str = VENDOR_ID) -> bytes:
    """Return what a set consists of, as `firmware/manifest.py` reads it.

    `sequence` must be above that of every set the node has confirmed; `class_id` is its board.
    Raises `OperatorError` for a set that no node takes.
    """
    total = sum(len(content) for _, content in files)
    if not 0 < len(files) <= _FILES_MAX or total > _TOTAL_BYTES_MAX:
        raise OperatorError(
            f"{len(files)} files of {total} bytes are no update: 1 to {_FILES_MAX} files of at "
            f"most {_TOTAL_BYTES_MAX} bytes together are; send only what the node needs"
        )
    entries = [[path, len(content), hashlib.sha256(content).digest()] for path, content in files]
    return encode({0: _FORMAT, 1: sequence, 2: vendor_id, 3: class_id, 4: entries})


async def send_update(
    gateway: Performs,
    node: str,
    files: Files,
    *,
    class_id: str,
    sequence: int,
    progress: Progress = lambda sent, total: None,
) -> None:
    """Have a node take a set of files and restart into its trial.

    Raises `LinkError` with the node's words when it refuses or does not answer, `OperatorError` for
    a set that cannot be sent.
    """
    chosen = without_loader(files)
    steps = list(_steps(make_manifest(chosen, sequence, class_id), chosen))
    total = sum(size for _, _, size in steps)
    sent = 0
    _LOG.info("update_begun node=%s files=%d bytes=%d", node, len(chosen), total)
    for verb, arguments, size in steps:
        expires_s = _FINISH_S if verb == commands.UPDATE_FINISH else _ANSWER_S
        ended = await gateway.perform(node, verb, arguments, expires_s=expires_s)
        if not ended.was_obeyed:
            # A node that is silent now forgets it when the next update begins.
            if verb != commands.UPDATE_FINISH and ended.is_answered:
                await gateway.perform(node, commands.UPDATE_ABORT, {}, expires_s=_ANSWER_S)
            raise LinkError(node, "update", ended.text)
        sent += size
        progress(sent, total)
    _LOG.info("update_sent node=%s sequence=%d", node, sequence)


def sequence_at(now_ns: int) -> int:
    """Return the number of an update made now: seconds since 1970, so newer sets are higher."""
    return now_ns // NS_PER_S


def _steps(manifest: bytes, files: Files) -> Iterator[tuple[int, Arguments, int]]:
    """Yield (verb, arguments, bytes carried) of every command of an update."""
    for offset in range(0, len(manifest), PIECE_BYTES):
        piece = manifest[offset : offset + PIECE_BYTES]
        if len(piece) == len(manifest):
            yield commands.UPDATE_BEGIN, {0: piece}, len(piece)
        else:
            yield commands.UPDATE_BEGIN, {0: piece, 1: offset, 2: len(manifest)}, len(piece)
    for index, (_, content) in enumerate(files):
        for offset in range(0, len(content), PIECE_BYTES):
            piece = content[offset : offset + PIECE_BYTES]
            yield commands.UPDATE_DATA, {0: index, 1: offset, 2: piece}, len(piece)
    yield commands.UPDATE_FINISH, {}, 0
