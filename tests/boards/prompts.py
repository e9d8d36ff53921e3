"""Boards with a prompt on a pseudo-terminal: the unix port of MicroPython, and QEMU."""

import os
import re
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boards.build import Contents, build
from boards.catalog import load_board
from boards.emulate import END_WITH_US, command_line

PROMPT = Contents(name="prompt", globs=())
"""An image with nothing of ours frozen in."""


@contextmanager
def host_prompt(folder: Path) -> Iterator[str]:
    """The port of a board `host` whose file system is `folder`.

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
    try:
        yield os.ttyname(slave)
    finally:
        process.kill()
        process.communicate()
        os.close(master)
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
