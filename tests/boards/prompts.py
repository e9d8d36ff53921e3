"""Boards with a prompt on a pseudo-terminal: the unix port of MicroPython, and QEMU."""

import os
import re
import subprocess
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boards.build import Contents, build
from boards.catalog import load_board
from boards.emulate import END_WITH_US, command_line

PROMPT = Contents(name="prompt", globs=())
"""An image with nothing of ours frozen in."""


@dataclass(frozen=True, slots=True)
class Console:
    """A board's port, and a way to take it away as a pulled cable does."""

    port: str
    pull_cable: Callable[[], None]


@contextmanager
def host_prompt(folder: Path) -> Iterator[Console]:
    """A board `host` whose file system is `folder`.

    The process has the master of the pseudo-terminal for its console, so a program that opens the
    port has the slave, as with a USB serial port.
    """
    image = build(load_board("host"), PROMPT)
    master, slave = os.openpty()
    tty.setraw(slave)
    process = subprocess.Popen(
        [*END_WITH_US, str(image), str(Path(__file__).with_name("raw_prompt.py"))],
        cwd=folder,
        stdin=master,
        stdout=master,
        stderr=subprocess.PIPE,
    )
    # With the last master the port goes; until then the slave keeps it open between two users.
    os.close(master)

    def pull_cable() -> None:
        process.kill()
        process.wait(timeout=10)

    try:
        yield Console(os.ttyname(slave), pull_cable)
    finally:
        pull_cable()
        process.communicate()
        os.close(slave)


@contextmanager
def qemu_prompt(name: str, folder: Path) -> Iterator[str]:
    """The port of an emulated board whose console is a pseudo-terminal of QEMU's."""
    board = load_board(name)
    command = command_line(board, build(board, PROMPT))
    command[command.index("stdio")] = "pty"
    process = subprocess.Popen(
        [*END_WITH_US, *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"redirected to (/dev/pts/\d+)", line)
        assert found, line
        yield found[1]
    finally:
        process.kill()
        process.communicate()
