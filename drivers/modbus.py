"""Reading registers over Modbus RTU: one request, one reply before a deadline, nothing believed.

Modbus over Serial Line V1.02 and Modbus Application Protocol V1.1b3. A reply counts when unit,
function, length and CRC are those asked for; whatever else comes (another unit's reply, noise) is
skipped byte by byte. A reply bears no number, so one that comes too late cannot be told from the
next one by its bytes: input is thrown away before each request, and after a deadline was missed
the line first gets as long again to fall silent.

The line has `write(data)` and `read(bytes_max)`, as `hal.rs485(n)` gives it.
"""

from drivers.errors import DriverError
from wire.kernel import micropython, ptr8

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}
REGISTERS_MAX = 125
_EXCEPTION = 0x80
_EXCEPTION_BYTES = 5
_OVERHEAD_BYTES = 5
_POLL_US = 1000
# 3.5 characters of 11 bits at 9600 baud; longer than the fixed 1.75 ms above 19200 baud.
_SILENCE_US = 4011
_DRAIN_BYTES = 256
_DRAINS_MAX = 8
_READS_PER_POLL = 4


@micropython.viper
def crc16_modbus(data: ptr8, start: int, count: int) -> int:
    """Return the CRC-16/MODBUS of `count` bytes of `data` from `start` on; sent low byte first."""
    crc = 0xFFFF
    for index in range(start, start + count):
        crc ^= data[index]
        for _ in range(8):
            if crc & 1:
                crc = (crc >> 1) ^ 0xA001
            else:
                crc >>= 1
    return crc


class ModbusPort:
    """The registers of the `part` with unit id `unit` on `line`.

    A reply is awaited for `deadline_us` after the request; `sleep_us` waits.
    """

    def __init__(self, part: str, line, unit: int, sleep_us, deadline_us: int):
        self.part = part
        self._bus = line
        self._unit = unit
        self._sleep_us = sleep_us
        self._deadline_us = deadline_us
        self._request = bytearray(8)
        self._reply = bytearray(_OVERHEAD_BYTES + 2 * REGISTERS_MAX)
        self._count = 0
        self._is_late = False

    def where(self) -> str:
        """Return line and unit as messages show them."""
        return f"{self._bus} unit {self._unit}"

    def fail(self, label: str, what: str) -> None:
        """Raise the `DriverError` of this transmitter and line."""
        raise DriverError(self.part, label, self.where(), what)

    def read_registers(self, function: int, register: int, count: int, label: str):
        """Return a buffer whose bytes from index 3 on are `count` registers, as they came.

        The buffer is valid until the next call. `label` names the register in a `DriverError`.
        """
        try:
            if self._is_late:
                self._sleep_us(self._deadline_us)
            self._drain()
            self._sleep_us(_SILENCE_US)
            self._bus.write(self._frame(function, register, count))
            self._is_late = True
            self._await(function, count, label)
        except OSError as error:
            number = error.args[0] if error.args else 0
            self.fail(label, f"bus error {number}; check the line")
        self._is_late = False
        if self._reply[1] & _EXCEPTION:
            code = self._reply[2]
            self.fail(label, f"refused: exception {code}, {EXCEPTIONS.get(code, 'unknown')}")
        return self._reply

    def _frame(self, function: int, register: int, count: int) -> bytearray:
        frame = self._request
        frame[0] = self._unit
        frame[1] = function
        frame[2] = register >> 8
        frame[3] = register & 0xFF
        frame[4] = count >> 8
        frame[5] = count & 0xFF
        crc = crc16_modbus(frame, 0, 6)
        frame[6] = crc & 0xFF
        frame[7] = crc >> 8
        return frame

    def _drain(self) -> None:
        """Throw away what has come without being asked for; bounded, as a line may chatter."""
        for _ in range(_DRAINS_MAX):
            if not self._bus.read(_DRAIN_BYTES):
                return

    def _await(self, function: int, count: int, label: str) -> None:
        """Collect bytes until they are the reply; `DriverError` at the deadline."""
        self._count = heard = 0
        wanted = _OVERHEAD_BYTES + 2 * count
        for _ in range(self._deadline_us // _POLL_US + 1):
            for _ in range(_READS_PER_POLL):
                data = self._bus.read(wanted - self._count)
                if not data:
                    break
                heard += len(data)
                self._reply[self._count : self._count + len(data)] = data
                self._count += len(data)
                if self._is_reply(function, count):
                    return
            self._sleep_us(_POLL_US)
        deadline_ms = self._deadline_us // 1000
        if heard:
            what = f"{heard} bytes in {deadline_ms} ms and no valid reply"
            self.fail(label, f"{what}; check baud, parity, termination and word count")
        self.fail(label, f"no reply in {deadline_ms} ms; check supply, A and B, and the unit id")

    def _is_reply(self, function: int, count: int) -> bool:
        """Say whether a whole reply stands at the start of the buffer; skip what cannot be one."""
        reply = self._reply
        while self._count:
            wanted = _OVERHEAD_BYTES + 2 * count
            is_possible = reply[0] == self._unit
            if is_possible and self._count > 1:
                if reply[1] == function | _EXCEPTION:
                    wanted = _EXCEPTION_BYTES
                else:
                    is_possible = reply[1] == function
                    if is_possible and self._count > 2:
                        is_possible = reply[2] == 2 * count
            if is_possible:
                if self._count < wanted:
                    return False
                crc = crc16_modbus(reply, 0, wanted - 2)
                if reply[wanted - 2] == crc & 0xFF and reply[wanted - 1] == crc >> 8:
                    return True
            self._count -= 1
            reply[: self._count] = reply[1 : 1 + self._count]
        return False
