"""The application and the settings of a node onto a board, through its prompt.

Promises: what `deploy` returns from is on the board, hash by hash as the board reads it back.  It
can be interrupted anywhere and run again: files that are there already are not sent twice, and the
loader comes last, so a board with a part of an application starts none.
Leaves the interpreter to `flash.py`, the two folders while it runs to `firmware/loader.py`.

Order: set the loader aside, restart (a running application may have a watchdog, which nothing else
stops) | remove what is not wanted | files | settings and keys | loader.

    main.py    the loader            main.held  the loader while a command has set it aside
    a/...      the application       b/...  empty until the first update
    node.json  node.key              of this node
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from boards.catalog import Board
from boards.deploy_prompt import Progress, Prompt, open_prompt, reopen_prompt
from boards.errors import BoardError, DeployError
from boards.frozen import STARTER
from boards.identity import Identity, ask_identity, check_board
from boards.new_life import forget
from boards.provision import KEY_FILE, ROTATED_KEY_FILE, used_parts

LOADER_FILE: Final = "main.py"
HELD_FILE: Final = "main.held"
FOLDERS: Final = ("a", "b")
CRASH_FILE: Final = "crash.log"
UPDATE_FILES: Final = (
    *("update.state.a", "update.state.b", "a.manifest", "b.manifest", "a.partial", "b.partial"),
    CRASH_FILE,
)
"""What updates leave beside the folders (firmware/update.py, firmware/loader.py)."""
START_S: Final = 10.0
"""A node has imported everything and sent its first frames by then."""
_SPARE_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What goes onto a board: the application by path, and the settings of its node, if any."""

    board: Board
    application: Mapping[str, bytes]
    settings: Mapping[str, bytes]
    mpy_version: tuple[int, int]

    def contents(self, *, is_frozen: bool = False) -> dict[str, bytes]:
        """Every file by its name on the board, what starts it last.

        A board with the application in its image needs the settings and a line that starts it.
        """
        if is_frozen:
            return {**self.settings, LOADER_FILE: STARTER}
        chosen = needed_files(self.application, self.settings)
        files = {f"{FOLDERS[0]}/{name}": content for name, content in chosen.items()}
        loader = files.pop(f"{FOLDERS[0]}/{LOADER_FILE}", None)
        files |= self.settings
        return files if loader is None else files | {LOADER_FILE: loader}


def needed_files(
    application: Mapping[str, bytes], settings: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The application without the drivers of chips that the node does not have.

    Without settings all of it: nobody knows yet which node this becomes.
    """
    if not settings:
        return dict(application)
    parts = used_parts(settings)
    return {
        name: content
        for name, content in application.items()
        if len(PurePosixPath(name).parts) < 3
        or not name.startswith("drivers/")
        or PurePosixPath(name).parts[1] in parts
    }


def deploy(port: str, deployment: Deployment, progress: Progress) -> Identity:
    """Put everything on the board and start it; what it says of itself, checked.

    Raises DeployError with what the node died of when it does not live through its first seconds.
    """
    prompt = open_prompt(port)
    try:
        identity = ask_identity(prompt)
        check_board(deployment.board, identity, deployment.mpy_version)
        prompt = stop_application(prompt)
        contents = deployment.contents(is_frozen=identity.is_frozen)
        remove_leftovers(prompt, contents)
        send(prompt, contents, progress)
        identity = ask_identity(prompt)
        prompt.restart()
    finally:
        prompt.close()
    progress("waiting for its first seconds", 0, 1)
    check_start(port)
    return identity


def check_start(port: str, start_s: float | None = None) -> None:
    """See that the node does not die at its start; this stops it once and starts it again.

    The loader writes down what an application dies of (firmware/loader.py), memory included.
    """
    threading.Event().wait(START_S if start_s is None else start_s)
    prompt = reopen_prompt(port)
    try:
        if prompt.hash_of(CRASH_FILE) is not None:
            text = str(prompt.ask(f"open({CRASH_FILE!r}).read()"))
            last = text.strip().splitlines()[-1]
            raise DeployError(
                f"{port}: the node does not start: {last} (all of it is in {CRASH_FILE} there)"
            )
        prompt.restart()
    finally:
        prompt.close()


def stop_application(prompt: Prompt) -> Prompt:
    """Set the loader aside and restart, so that nothing runs and no watchdog does.

    A watchdog that was started outlives the application, and ends with a reset only.
    """
    if prompt.hash_of(LOADER_FILE) is None:
        return prompt
    prompt.rename(LOADER_FILE, HELD_FILE)
    prompt.restart()
    return reopen_prompt(prompt.port)


def start_application(prompt: Prompt) -> None:
    """Restart with the loader that was set aside, by this command or by one that was cut short."""
    if prompt.hash_of(LOADER_FILE) is None and prompt.hash_of(HELD_FILE) is not None:
        prompt.rename(HELD_FILE, LOADER_FILE)
    prompt.restart()


@contextmanager
def stopped_application(prompt: Prompt) -> Iterator[Prompt]:
    """The prompt of the board with nothing running on it; whatever came of it, it starts again.

    A cable that is pulled meanwhile leaves the loader aside: the next command finds it.
    """
    try:
        prompt = stop_application(prompt)
        yield prompt
    except BaseException:
        with contextlib.suppress(BoardError):
            start_application(prompt)
        raise
    else:
        start_application(prompt)
    finally:
        prompt.close()


def remove_leftovers(prompt: Prompt, contents: Mapping[str, bytes]) -> None:
    """Empty both folders of what does not belong there, and forget updates and former keys."""
    kept = [name for folder in FOLDERS for name in prompt.list_files(folder)]
    for name in kept:
        if name not in contents:
            prompt.remove(name)
    for name in (*UPDATE_FILES, HELD_FILE):
        prompt.remove(name)
    if KEY_FILE in contents:
        prompt.remove(ROTATED_KEY_FILE)
        if not _has(prompt, KEY_FILE, contents[KEY_FILE]):
            forget(prompt)


def send(prompt: Prompt, contents: Mapping[str, bytes], progress: Progress) -> None:
    """Write the files that the board does not have yet and compare every one; in their order.

    Raises DeployError before anything is written when they do not fit.
    """
    missing = [name for name, content in contents.items() if not _has(prompt, name, content)]
    check_room(prompt, [contents[name] for name in missing])
    total = sum(len(contents[name]) for name in missing)
    done = 0
    for name in missing:
        prompt.make_folders(name)
        prompt.replace(name, contents[name], _counting(progress, name, done, total))
        done += len(contents[name])
    progress("files compared", total, total)


def check_room(prompt: Prompt, contents: Iterable[bytes]) -> None:
    """Raise DeployError unless new files with these contents fit."""
    needed_bytes = sum(len(content) for content in contents)
    free = ask_identity(prompt).free_bytes
    if free is not None and needed_bytes + _SPARE_BYTES > free and needed_bytes:
        raise DeployError(
            f"{needed_bytes} bytes of files and {_SPARE_BYTES} to work with do not fit into"
            f" {free} free ones: use fewer kinds of chips, or a board with more flash"
        )


def _has(prompt: Prompt, name: str, content: bytes) -> bool:
    return prompt.hash_of(name) == hashlib.sha256(content).hexdigest()


def _counting(progress: Progress, name: str, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(f"sending {name}", before + done, total)
