"""Emulated boards as processes: provision, start, run a line of Python, stop.

Promises: `start(...)` runs one line of Python on a board in a folder of its own that holds the
provisioned files and the two FIFOs of the rig bus; `Emulated.close()` ends the process and can
always be called.  `execute(...)` runs a piece of Python on a board and returns what it printed;
device tests and `twinrig board emulate` use it.  Leaves the meaning of the rig bus to `hil/bus.py`.
"""

import os
import selectors
import shutil
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from boards.catalog import Board
from boards.errors import EmulatorError, MissingToolError

REQUEST_FIFO = "rig.request"
REPLY_FIFO = "rig.reply"
END_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
"""Before a command: the kernel ends it when the thread that started it ends, even by SIGKILL."""
_PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-riscv32": "qemu-system-misc"}
_PROMPT = b">>> "
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"


class Emulated:
    """One running board: its process, its console and the two ends of its rig bus."""

    def __init__(self, board: Board, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self.board = board
        self.process = process
        self.folder = folder
        self.console = b""
        self.request_fd = os.open(folder / REQUEST_FIFO, os.O_RDWR | os.O_NONBLOCK)
        self.reply_fd = os.open(folder / REPLY_FIFO, os.O_RDWR)
        self.pid_fd = os.pidfd_open(process.pid)

    def type_bytes(self, data: bytes) -> None:
        """Type raw bytes on the board's console."""
        if self.process.stdin is None:
            raise EmulatorError(f"{self.board.name}: the console has no input")
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise EmulatorError(self.obituary()) from error

    def wait_for(self, marker: bytes, timeout_s: float) -> bytes:
        """Read the console until `marker`; return what came before it.

        Raises EmulatorError when the board dies or the deadline passes.
        """
        if self.process.stdout is None:
            raise EmulatorError(f"{self.board.name}: the console has no output")
        deadline_s = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while marker not in self.console:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not selector.select(left_s):
                    raise EmulatorError(
                        f"{self.board.name}: no {marker!r} within {timeout_s:g} s;"
                        f" the console ends with {self.console[-200:]!r}"
                    )
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise EmulatorError(self.obituary())
                self.console += data
        before, _, self.console = self.console.partition(marker)
        return before

    def obituary(self) -> str:
        """Why the board is gone, with the end of its console."""
        code = self.process.wait(timeout=10)
        if self.process.stdout is not None:
            # The process has ended, so this is what is left in the pipe and then its end.
            self.console += self.process.stdout.read()
        return (
            f"{self.board.name} ended (exit status {code}); its console ends with"
            f" {self.console[-300:].decode(errors='replace')!r}; see {self.folder}"
        )

    def close(self) -> None:
        """End the process and free its descriptors; safe to call twice."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        for name in ("request_fd", "reply_fd", "pid_fd"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)


def check_emulator(board: Board) -> None:
    """Raise MissingToolError if `board` needs an emulator that is not there; look at nothing else.

    To be asked before an image is built, which may take minutes.
    """
    emulator = board.emulator
    if emulator is None or board.simulation == "process":
        return
    program = emulator.program or "qemu-system-arm"
    if shutil.which(program) is None:
        package = _PACKAGES.get(program)
        remedy = f"install the Debian package {package}, or " if package else ""
        raise MissingToolError(f"board {board.name} needs {program}: {remedy}use the board `host`")


def command_line(board: Board, image: Path, code: str = "") -> list[str]:
    """The command that starts `board`; raises MissingToolError without QEMU.

    A process board runs `code` itself; an emulated one has it typed on its console.
    """
    emulator = board.emulator
    if emulator is None:
        raise EmulatorError(f"{board.name} is a real board: nothing can be started here")
    if board.simulation == "process":
        return [str(image), "-X", f"heapsize={emulator.heap_bytes or 1 << 20}", "-c", code]
    check_emulator(board)
    shift = emulator.icount_shift
    return [
        emulator.program or "qemu-system-arm",
        *("-machine", str(emulator.machine)),
        *(() if shift is None else ("-icount", f"shift={shift},sleep=off")),
        *("-display", "none", "-monitor", "none", "-serial", "stdio"),
        *(argument.format(image=image) for argument in emulator.arguments),
    ]


def start(
    board: Board,
    image: Path,
    folder: Path,
    *,
    code: str,
    files: Mapping[str, bytes],
    timeout_s: float = 30.0,
    arguments: Sequence[str] = (),
) -> Emulated:
    """Start `board` in `folder` with `files` provisioned there, and run the one line `code`.

    arguments: what else the emulator is told, such as the devices on its buses.
    """
    _prepare(folder, files)
    emulated = _spawn(board, image, folder, code, arguments)
    try:
        if board.simulation == "qemu":
            emulated.wait_for(_PROMPT, timeout_s)
            emulated.type_bytes(code.encode() + b"\r\n")
    except BaseException:
        # Ctrl-C too: nobody else knows of this process yet.
        emulated.close()
        raise
    return emulated


SELF_PORTRAIT: Final = """
import gc, sys
print(sys.implementation.name, ".".join(str(part) for part in sys.implementation.version[:3]))
print("machine  ", getattr(sys.implementation, "_machine", "?"))
print("platform ", sys.platform)
gc.collect()
print("heap     ", gc.mem_free(), "bytes free of", gc.mem_free() + gc.mem_alloc())
from wire.framing import frame
print("frozen    wire.framing: frame of b'twinrig' is", frame(b"twinrig").hex())
"""
"""What a board says of itself when it is asked nothing else."""


def interact(board: Board, image: Path, folder: Path) -> int:
    """Hand this terminal to the board's prompt; return the exit status of its process."""
    _prepare(folder, {})
    if board.simulation == "process":
        command = command_line(board, image)[:-2]
    else:
        command = command_line(board, image)
        command[command.index("stdio")] = "mon:stdio"
    environment = {**os.environ, "MICROPYPATH": ".frozen"}
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def execute(board: Board, image: Path, folder: Path, code: str, *, timeout_s: float) -> str:
    """Run `code` on the board alone and return what it printed.

    Raises EmulatorError with the traceback when the code raises, and when the deadline passes.
    """
    _prepare(folder, {})
    emulated = _spawn(board, image, folder, code)
    try:
        if board.simulation == "process":
            return _execute_process(emulated, timeout_s)
        return _execute_raw_repl(emulated, code, timeout_s)
    finally:
        emulated.close()


def _execute_process(emulated: Emulated, timeout_s: float) -> str:
    try:
        output, _ = emulated.process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise EmulatorError(f"{emulated.board.name}: not done within {timeout_s:g} s") from error
    text = output.decode(errors="replace")
    if emulated.process.returncode:
        raise EmulatorError(f"{emulated.board.name}: the code failed:\n{text.rstrip()}")
    return text


def _execute_raw_repl(emulated: Emulated, code: str, timeout_s: float) -> str:
    emulated.wait_for(_PROMPT, timeout_s)
    emulated.type_bytes(b"\x01")
    emulated.wait_for(_RAW_PROMPT, timeout_s)
    emulated.type_bytes(code.encode() + b"\x04")
    emulated.wait_for(b"OK", timeout_s)
    output = emulated.wait_for(b"\x04", timeout_s).decode(errors="replace")
    traceback = emulated.wait_for(b"\x04", timeout_s).decode(errors="replace")
    if traceback:
        raise EmulatorError(
            f"{emulated.board.name}: the code failed:\n{(output + traceback).rstrip()}"
        )
    return output.replace("\r\n", "\n")


def _prepare(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make the FIFOs and the provisioned files, which hold keys and so are the owner's alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (REQUEST_FIFO, REPLY_FIFO):
        path = folder / name
        if not path.exists():
            os.mkfifo(path, 0o600)
        elif not stat.S_ISFIFO(path.stat().st_mode):
            raise EmulatorError(f"{path} is in the way: remove it, the rig bus needs a FIFO there")
    for name, content in files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def _spawn(
    board: Board, image: Path, folder: Path, code: str, arguments: Sequence[str] = ()
) -> Emulated:
    process = subprocess.Popen(
        [*END_WITH_US, *command_line(board, image, code), *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", os.defpath), "MICROPYPATH": ".frozen"},
        start_new_session=True,
    )
    try:
        return Emulated(board, process, folder)
    except BaseException:
        with process:
            process.kill()
        raise
