"""Hardware access of `host`: the MicroPython unix port on the rig bus.

Computing takes no time on this board: its clock shows what the rig granted, so a run is exact on
any machine.  The bus travels over two FIFOs in the working folder, and the board's files stand
there too: what was written is in the host's file, which the end of the process does not undo.
"""

import sys

import node_files
import rig_client
import rig_clock
import rig_devices

BOARD = "host"

_request = None
_reply = None


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
    node_files.write_file(rig_clock.CAUSE_FILE, cause.encode())
    sys.exit(0)


def start() -> None:
    """Open the rig bus, start the clock at zero and say hello."""
    global _cause, _request, _reply
    _cause = rig_clock.take_cause(node_files.read_file, node_files.remove_file)
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

# Its files are those of any MicroPython with a file system.
read_file = node_files.read_file
read_file_at = node_files.read_file_at
write_file = node_files.write_file
append_file = node_files.append_file
file_size = node_files.file_size
remove_file = node_files.remove_file
rename_file = node_files.rename_file
make_folder = node_files.make_folder
