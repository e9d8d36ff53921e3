"""Hardware access of `host`: the MicroPython unix port on the rig bus.

Computing takes no time on this board: its clock shows what the rig granted, so a run is exact on
any machine.  The bus travels over two FIFOs in the working folder.
"""

import sys

import rig_client
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


def ticks_us() -> int:
    """Microseconds since `start()`, as granted by the rig; never wraps."""
    return _bus.now_us()


def cycles_ns() -> int:
    """This board does not count instructions."""
    return 0


def sleep_until_us(wake_us: int) -> bool:
    """Sleep until `ticks_us()` reaches `wake_us`; True when UART input ended the sleep early."""
    duration_us = wake_us - ticks_us()
    return duration_us > 0 and _bus.sleep_for_us(duration_us, True)


def sleep_us(duration_us: int) -> None:
    """Sleep for a short, fixed time, such as a conversion; UART input does not end it."""
    _bus.sleep_for_us(duration_us, False)


def i2c(number: int):
    """The I2C bus `number`, as a subset of machine.I2C."""
    return rig_devices.RigI2C(_bus, number)


def spi(number: int):
    """The SPI chip select `number`, as a subset of machine.SPI."""
    return rig_devices.RigSPI(_bus, number)


def uart(number: int):
    """The UART `number` towards the gateway."""
    return rig_devices.RigUART(_bus, number)


def unique_id() -> bytes:
    """A process has no factory id: its provisioned node name stands in for it."""
    return b"host"


def reset() -> None:
    """End the process; whoever started it starts it again."""
    sys.exit(0)


def start() -> None:
    """Open the rig bus, start the clock at zero and say hello."""
    global _request, _reply
    _reply = open("rig.reply", "rb")
    _request = open("rig.request", "wb")
    _bus.hello(identity())


_bus = rig_client.RigBus(_exchange, None)

# What every board on the rig bus does in the same way.
pin = _bus.pin
log = _bus.log
stop = _bus.exit
identity = rig_client.identity
