"""Hardware access of `host`: the MicroPython unix port on the rig bus.

Computing takes no time on this board: its clock shows what the rig granted, so a run is exact on
any machine.  The bus travels over two FIFOs in the working folder.
"""

import errno
import os
import sys

import rig_client
import rig_clock
import rig_devices

_request = None
_reply = None


def read_file(name: str) -> bytes:
    """The content of a provisioned file; OSError(2) when there is none."""
    with open(name, "rb") as file:
        return file.read()


def write_file(name: str, content: bytes) -> None:
    """Replace a file's content; a power cut in between leaves a part of it, or nothing."""
    with open(name, "wb") as file:
        file.write(content)


def read_file_at(name: str, offset: int, buffer) -> int:
    """Fill `buffer` from byte `offset` on: how many bytes there were, 0 at the end.

    OSError(2) when there is no such file.
    """
    with open(name, "rb") as file:
        file.seek(offset)
        return file.readinto(buffer)


def append_file(name: str, content) -> None:
    """Add `content` at the end of a file, which is made when there is none.

    It is in the host's file when this returns, and the end of the process does not undo it: that is
    this board's stable storage.
    """
    with open(name, "ab") as file:
        file.write(content)


def file_size(name: str) -> int:
    """Bytes in a file; -1 when there is none."""
    try:
        return os.stat(name)[6]
    except OSError as error:
        if error.args[0] == errno.ENOENT:
            return -1
        raise


def remove_file(name: str) -> None:
    """Remove a file; nothing when there is none."""
    try:
        os.remove(name)
    except OSError as error:
        if error.args[0] != errno.ENOENT:
            raise


def rename_file(old: str, new: str) -> None:
    """Give a file another name at one stroke; a file that had this name is gone."""
    os.rename(old, new)


def make_folder(name: str) -> None:
    """Make a folder in one that exists; nothing when it is there."""
    try:
        os.mkdir(name)
    except OSError as error:
        if error.args[0] != errno.EEXIST:
            raise


def _exchange(_line) -> None:
    request = rig_client.REQUEST
    length = request[0] | (request[1] << 8)
    for index in range(4, 8):
        request[index] = 0
    _request.write(memoryview(request)[:length])
    # The port's readinto waits until the buffer is full, so the header says how much follows.
    reply = memoryview(rig_client.REPLY)
    head_bytes = rig_client.REPLY_HEADER_BYTES
    if not _reply.readinto(reply[:head_bytes]):
        raise SystemExit
    count = reply[2] | (reply[3] << 8)
    if count:
        _reply.readinto(reply[head_bytes : head_bytes + count])


def cycles_ns() -> int:
    """This board does not count instructions."""
    return 0


def unique_id() -> bytes:
    """A process has no factory id: its provisioned node name stands in for it."""
    return b"host"


def reset() -> None:
    """Restart the board: the process ends, and whoever started it starts it again."""
    _restart("soft")


def reset_cause() -> str:
    """Why the board started: "power_on", "watchdog" or "soft"."""
    return _cause


def _restart(cause: str) -> None:
    write_file(rig_clock.CAUSE_FILE, cause.encode())
    sys.exit(0)


def start() -> None:
    """Open the rig bus, start the clock at zero and say hello."""
    global _cause, _request, _reply
    _cause = rig_clock.take_cause(read_file, remove_file)
    _reply = open("rig.reply", "rb")
    _request = open("rig.request", "wb")
    _bus.hello(identity())


_cause = "unknown"
_bus = rig_client.RigBus(_exchange, None)
_devices = rig_devices.RigDevices(_bus)
_clock = rig_clock.RigClock(_bus, lambda _line: 0, _restart)

# What every board on the rig bus does in the same way.
pin = _bus.pin
log = _bus.log
stop = _bus.exit
identity = rig_client.identity
i2c = _devices.i2c
spi = _devices.spi
uart = _devices.uart
rs485 = _devices.rs485
ticks_us = _clock.ticks_us
sleep_us = _clock.sleep_us
sleep_until_us = _clock.sleep_until_us
watchdog = _clock.watchdog
