"""An update over the cable: the same transaction as over the air, begun from the prompt.

Promises: the set that runs is not touched; the new one goes into the other folder, is read back
there against its hashes, and is tried once at the next start.  If it does not come up, or nobody
confirms it, the start after that takes the old one (firmware/loader.py).  So a cable that is pulled
leaves a node that runs what it ran, or, for the seconds in which its loader is set aside, one that
this command completes.
Leaves the transaction itself to `firmware/update.py` on the board, and updates through the gateway,
which are sealed, to the gateway.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from boards.catalog import Board
from boards.deploy import FOLDERS, HELD_FILE, LOADER_FILE, needed_files, stop_application
from boards.deploy_prompt import Progress, Prompt, open_prompt
from boards.errors import DeployError
from boards.identity import ask_identity, check_board
from boards.provision import NODE_FILE
from wire.cbor import encode

VENDOR_ID: Final = "twinrig"
"""Whose updates a node takes (firmware/app.py)."""
_CHUNK_BYTES: Final = 512
_LOADER_MODULE: Final = "twinrig_loader"
# The loader says which folder runs; only from that one anything is imported.
_BEGIN: Final = """
import sys
import {loader} as _tw_loader
_, _tw_trusted, _tw_phase, _tw_newest, _ = _tw_loader._newest()
_tw_running = _tw_loader.FOLDERS[_tw_trusted ^ (_tw_phase == _tw_loader.TRIAL)]
sys.path.insert(0, _tw_running)
import hal
from firmware.manifest import parse
from firmware.update import Update
_tw_update = Update(hal, {vendor!r}, getattr(hal, "BOARD", ""))
for _tw_folder in _tw_loader.FOLDERS:
    try:
        with open(_tw_folder + ".manifest", "rb") as file:
            _tw_newest = max(_tw_newest, parse(file.read()).sequence)
    except Exception:
        pass
"""


def manifest(
    sequence: int, class_id: str, files: Mapping[str, bytes], vendor_id: str = VENDOR_ID
) -> bytes:
    """The manifest of a set of files, for nodes of one class (firmware/manifest.py)."""
    entries = [
        [path, len(content), hashlib.sha256(content).digest()] for path, content in files.items()
    ]
    return encode({0: 1, 1: sequence, 2: vendor_id, 3: class_id, 4: entries})


def update(
    port: str,
    board: Board,
    application: Mapping[str, bytes],
    mpy_version: tuple[int, int],
    progress: Progress,
) -> str:
    """Put a new application beside the one that runs and restart into its trial.

    Returns the folder that is on trial.  DeployError when the node refuses, with its own words.
    """
    prompt = open_prompt(port)
    try:
        check_board(board, ask_identity(prompt), mpy_version)
        loader = application[LOADER_FILE]
        prompt = stop_application(prompt)
        settings = _settings(prompt)
        files = {
            name: content
            for name, content in needed_files(application, settings).items()
            if name != LOADER_FILE
        }
        prompt.put(f"{_LOADER_MODULE}.py", loader, lambda done: None)
        try:
            target = _transfer(prompt, board, files, progress)
            prompt.remove(f"{_LOADER_MODULE}.py")
        finally:
            # Whatever came of it, the node starts again.
            prompt.replace(LOADER_FILE, loader, lambda done: None)
            prompt.remove(HELD_FILE)
        prompt.restart()
    finally:
        prompt.close()
    return target


def _transfer(prompt: Prompt, board: Board, files: Mapping[str, bytes], progress: Progress) -> str:
    prompt.run(_BEGIN.format(loader=_LOADER_MODULE, vendor=VENDOR_ID), 30.0)
    running, newest = prompt.ask("[_tw_running, _tw_newest]")
    prompt.run(f"_tw_update.begin({manifest(newest + 1, board.name, files)!r})", 60.0)
    total = sum(len(content) for content in files.values())
    done = 0
    for index, (name, content) in enumerate(files.items()):
        for start in range(0, len(content), _CHUNK_BYTES):
            chunk = content[start : start + _CHUNK_BYTES]
            prompt.run(f"_tw_update.write({index}, {start}, {chunk!r})")
            done += len(chunk)
            progress(f"sending {name}", done, total)
    prompt.run("_tw_update.finish()", 120.0)
    state = prompt.ask("_tw_update.state()")
    if state != "ready":
        raise DeployError(f"{prompt.port}: the update is {state!r} after it was sent: run it again")
    return FOLDERS[1 - FOLDERS.index(running)]


def _settings(prompt: Prompt) -> dict[str, bytes]:
    """`node.json` as the board has it, so that only drivers it needs are sent; or nothing."""
    if prompt.hash_of(NODE_FILE) is None:
        return {}
    text = prompt.ask(f"open({NODE_FILE!r}).read()")
    return {NODE_FILE: str(text).encode()}
