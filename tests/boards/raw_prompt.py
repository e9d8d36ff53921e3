"""A raw prompt for the unix port of MicroPython, which has none: mpremote takes it for a board's.

Runs on the board `host`: `micropython raw_prompt.py`, with a pseudo-terminal as its console.  It
follows MicroPython's description of the raw REPL (Ctrl-A, code, Ctrl-D; "OK", output, Ctrl-D,
error, Ctrl-D) without raw-paste mode.  `machine.reset()` starts it anew; where there is a main.py
it needs Ctrl-C first, as a board with a running application does.  With a file `watchdog` that
application has started one: it resets the board in the middle of the so many-th round after that,
whoever has stopped the application, as nothing feeds it any more.
"""

import io
import os
import sys


class Restart(Exception):  # noqa: N818
    """The code reset the board."""


class Machine:
    def reset(self) -> None:
        raise Restart

    def unique_id(self) -> bytes:
        return b"\xca\xfe"


sys.modules["machine"] = Machine()
# A board looks for modules where it starts, not where this script is.
sys.path[0] = ""


def read_until(stream, ends: bytes) -> "tuple[bytes, int]":
    data = bytearray()
    while True:
        byte = stream.read(1)
        if not byte:
            raise SystemExit
        if byte[0] in ends:
            return bytes(data), byte[0]
        data += byte


def run(code: bytes, space: dict, out) -> None:
    """One round of "OK", output, errors."""
    out.write(b"OK")
    errors = b""
    try:
        exec(code.decode(), space)  # noqa: S102  it is a prompt
    except Restart:
        raise
    except Exception as error:  # noqa: BLE001  a prompt shows every error
        text = io.StringIO()
        sys.print_exception(error, text)
        errors = text.getvalue().encode()
    out.write(b"\x04" + errors + b"\x04>")


def patience() -> int:
    """Rounds that a watchdog leaves."""
    try:
        with open("watchdog") as file:  # noqa: PTH123  MicroPython has no pathlib
            return int(file.read())
    except OSError:
        return -1


def serve(stream, out, rounds: int) -> None:
    """The prompt until the board is reset."""
    raw = False
    space = {"__name__": "__main__"}
    while True:
        data, end = read_until(stream, b"\x01\x02\x03\x04\x05")
        if end == 1:
            raw = True
            out.write(b"raw REPL; CTRL-B to exit\r\n>")
        elif end == 2:
            raw = False
            out.write(b"\r\n>>> ")
        elif end == 4 and raw:
            if rounds == 0:
                raise Restart
            rounds -= 1
            run(data, space, out)
        elif end == 5:
            # "A\x01" follows; this prompt does not know raw-paste mode.
            stream.read(2)
            out.write(b"R\x00")


def main() -> None:
    """Start, run main.py until Ctrl-C, serve; again after every reset."""
    stream = sys.stdin.buffer
    out = sys.stdout.buffer
    while True:
        rounds = -1
        try:
            os.stat("main.py")  # noqa: PTH116  MicroPython has no pathlib
            out.write(b"running\r\n")
            read_until(stream, b"\x03")
            rounds = patience()
        except OSError:
            out.write(b"\r\n>>> ")
        try:
            serve(stream, out, rounds)
        except Restart:
            continue


main()
