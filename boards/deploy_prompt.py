"""The prompt of a real board: MicroPython's raw REPL over a serial port, by mpremote's transport.

Promises: everything is bounded in time; what goes wrong with the port is a PortError, what goes
wrong on the board a DeployError with its last line; nothing that was sent is ever printed, because
it may be a key.  Leaves to `deploy.py` what is put there.
"""

import contextlib
import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from boards.errors import DeployError, PortError

Progress = Callable[[str, int, int], None]
"""Called with the step, what is done and what there is to do."""
_ATTEMPTS: Final = 3
_PROMPT_S: Final = 3.0
_READ_S: Final = 5.0
_RESTART_S: Final = 20.0
_POLL_S: Final = 0.25
_CHUNK_BYTES: Final = 256

# What is kept on the board for the length of a session; names of our own, so none is in the way.
_HELPERS: Final = """
import os, hashlib, json
def _tw_hash(name):
    digest = hashlib.sha256()
    piece = bytearray(512)
    try:
        file = open(name, "rb")
    except OSError:
        return None
    while True:
        count = file.readinto(piece)
        if not count:
            break
        digest.update(memoryview(piece)[:count])
    file.close()
    return "".join(["%02x" % byte for byte in digest.digest()])
def _tw_list(top):
    found = []
    try:
        entries = list(os.ilistdir(top))
    except OSError:
        return found
    for entry in entries:
        path = top + "/" + entry[0]
        found += _tw_list(path) if entry[1] == 0x4000 else [path]
    return found
def _tw_folder(name):
    try:
        os.mkdir(name)
    except OSError as error:
        if error.args[0] != 17:
            raise
def _tw_remove(name):
    try:
        os.remove(name)
    except OSError:
        pass
"""
PARTIAL_FILE: Final = "twinrig.partial"
"""What a file is called on the board until it is whole."""


class Prompt:
    """An open raw prompt; made by `open_prompt`."""

    def __init__(self, transport: SerialTransport) -> None:
        self._transport = transport

    @property
    def port(self) -> str:
        """The path of the port."""
        return str(self._transport.device_name)

    def run(self, code: str, timeout_s: float = 15.0) -> str:
        """What `code` prints; DeployError with the last line of its traceback."""
        with self._guarded():
            output, errors = self._transport.exec_raw(code, timeout=timeout_s)
        if errors:
            last = errors.decode(errors="replace").strip().splitlines()[-1]
            raise DeployError(f"{self.port}: the board says: {last}")
        return str(output.decode(errors="replace"))

    def ask(self, expression: str, timeout_s: float = 15.0) -> Any:
        """The value of an expression on the board, through JSON."""
        text = self.run(f"print(json.dumps({expression}))", timeout_s)
        try:
            return json.loads(text.strip().splitlines()[-1])
        except (ValueError, IndexError) as error:
            raise DeployError(f"{self.port}: the answer is no JSON: {text[:60]!r}") from error

    def prepare(self) -> None:
        """Define what `hash_of`, `list_files` and `remove` need there."""
        self.run(_HELPERS)

    def hash_of(self, name: str) -> str | None:
        """SHA-256 (hex) of a file as the board reads it; None when there is none."""
        value = self.ask(f"_tw_hash({name!r})", 30.0)
        return None if value is None else str(value)

    def list_files(self, top: str) -> list[str]:
        """Every file below a folder; empty when there is no such folder."""
        return [str(name) for name in self.ask(f"_tw_list({top!r})", 30.0)]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self.run(f"_tw_remove({name!r})")

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, which it takes from whatever has it."""
        self.run(f"os.rename({old!r}, {new!r})")

    def make_folders(self, name: str) -> None:
        """Make the folders above a file, as far as they are missing."""
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            self.run(
                f"try:\n os.mkdir({folder!r})\nexcept OSError as e:\n if e.args[0] != 17: raise"
            )

    def replace(self, name: str, content: bytes, step: Callable[[int], None]) -> None:
        """Write a file under another name, read it back, and only then give it its own.

        DeployError when it reads back otherwise; what had the name before is untouched until then.
        """
        self.put(PARTIAL_FILE, content, step)
        if self.hash_of(PARTIAL_FILE) != hashlib.sha256(content).hexdigest():
            raise DeployError(
                f"{self.port}: {name} reads back otherwise than it was written: run this again;"
                " if it stays, erase the board with `twinrig board flash`"
            )
        self.rename(PARTIAL_FILE, name)

    def put(self, name: str, content: bytes, step: Callable[[int], None]) -> None:
        """Write a file where it stands; `step` is called with the bytes that have gone."""
        with self._guarded():
            try:
                self._transport.fs_writefile(
                    name,
                    content,
                    chunk_size=_CHUNK_BYTES,
                    progress_callback=lambda done, total: step(done),
                )
            except OSError as error:
                if isinstance(error, serial.SerialException):
                    raise
                raise DeployError(
                    f"{self.port}: {name} was not written (errno {error.errno}):"
                    " is the file system full, or damaged?"
                ) from error

    def close(self) -> None:
        """Leave the raw prompt and close the port; safe on a port that has gone."""
        with contextlib.suppress(OSError, TransportError, serial.SerialException):
            self._transport.exit_raw_repl()
        with contextlib.suppress(OSError, serial.SerialException):
            self._transport.close()

    def restart(self) -> None:
        """Reset the board as its button does, and close the port."""
        with self._guarded():
            self._transport.exec_raw_no_follow("import machine\nmachine.reset()")
        with contextlib.suppress(OSError, serial.SerialException):
            self._transport.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            # mpremote prints what it does not understand, which may be what we have sent.
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except serial.SerialException as error:
            raise _gone(self.port) from error
        except TransportExecError as error:
            last = error.error_output.strip().splitlines()[-1:]
            raise DeployError(f"{self.port}: the board says: {' '.join(last)}") from None
        except TransportError as error:
            raise DeployError(
                f"{self.port}: the prompt stopped answering; press reset and run this again"
            ) from error


def open_prompt(port: str, baud: int = 115_200) -> Prompt:
    """Stop what runs on the board and get its raw prompt.

    Raises PortError when the port cannot be opened, DeployError when no prompt answers.
    """
    transport = _open(port, baud)
    prompt = Prompt(transport)
    for _ in range(_ATTEMPTS):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                transport.enter_raw_repl(soft_reset=False, timeout_overall=_PROMPT_S)
            prompt.prepare()
        except TransportError:
            continue
        except OSError as error:
            prompt.close()
            raise _gone(port) from error
        return prompt
    prompt.close()
    raise DeployError(
        f"{port}: no MicroPython prompt answers: is this the right port, and is the interpreter"
        " flashed? `twinrig board flash` writes it"
    )


def reopen_prompt(port: str, baud: int = 115_200, timeout_s: float = _RESTART_S) -> Prompt:
    """The prompt of a board that is just starting, whose port may be away for a while."""
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        try:
            return open_prompt(port, baud)
        except (PortError, DeployError):
            if time.monotonic() >= deadline_s:
                raise
            # A port that is away cannot be waited for, only looked at again.
            pause.wait(_POLL_S)


def _open(port: str, baud: int) -> SerialTransport:
    try:
        serial.serial_for_url(port, baudrate=baud, exclusive=True).close()
        return SerialTransport(port, baudrate=baud, timeout=_READ_S)
    except serial.SerialException as error:
        raise port_error(port, error) from error
    except TransportError as error:
        raise PortError(f"{port} cannot be opened: close the program that uses it") from error


def port_error(port: str, error: OSError) -> PortError:
    """What an error while opening a port means, and what to do."""
    text = str(error)
    if error.errno == 2 or "No such file" in text:
        return PortError(f"{port} is not there: `twinrig board scan` lists the ports")
    if error.errno == 13 or "Permission denied" in text:
        return PortError(
            f"{port}: no permission: add yourself to the group dialout and log in again"
        )
    if "lock" in text or error.errno in (11, 16):
        return PortError(f"{port} is busy: close the program that uses it")
    return PortError(f"{port} cannot be opened: {text}")


def _gone(port: str) -> PortError:
    return PortError(f"{port} went away: plug the cable in and run the same command again")
