"""A Modbus transmitter: registers made from driven numbers, exceptions, turnaround, silence.

Its constructor takes what the driver's options of the same names say, so that a site's channels
wire it. A frame with a wrong CRC is not answered (Modbus over Serial Line, 2.4). `turnaround_us` is
what it thinks for, `exception_code` other than 0 makes it refuse, `is_silent` switches it off.
"""

from struct import pack

from drivers.emulation import Inputs
from drivers.modbus import REGISTERS_MAX, crc16_modbus
from drivers.modbus_transmitter.registers import FUNCTIONS, MAP, NUMBERS, registers_of, swapped

_REQUEST_BYTES = 8
_ILLEGAL_FUNCTION = 1
_ILLEGAL_ADDRESS = 2
_ILLEGAL_VALUE = 3
# What may be driven, and how far a reading may be from it: half a count, or 24 bits of mantissa.
_LIMITS = {
    "float32": (-1e6, 1e6, 0.07),
    "int32": (-1e9, 1e9, 0.52),
    "uint32": (0.0, 4e9, 0.52),
    "int16": (-32768.0, 32767.0, 0.52),
    "uint16": (0.0, 65535.0, 0.52),
}


def _ranges(number: str, first_register: int, values: int) -> dict:
    width = registers_of(number)
    addresses = range(first_register, first_register + width * values, width)
    return {f"value_count_{address}": _LIMITS[number] for address in addresses}


class ModbusTransmitterEmulator(Inputs):
    """Quantities `value_count_<register>`, one for each number it has."""

    RANGES = _ranges("float32", 0, 4)

    def __init__(
        self,
        table: str = "holding",
        number: str = "float32",
        word_order: str = "big",
        first_register: int = 0,
        values: int = 4,
    ):
        self.RANGES = _ranges(number, first_register, values)
        super().__init__(MAP.part)
        self._function = FUNCTIONS[table]
        self._number = number
        self._word_order = word_order
        self._first_register = first_register
        self._registers = registers_of(number) * values
        self.turnaround_us = 5000
        self.exception_code = 0
        self.is_silent = False

    def respond(self, frame: bytes, now_us: int) -> bytes:
        """Return the reply to `frame`, which has been heard whole; b"" is silence."""
        crc = crc16_modbus(frame, 0, len(frame) - 2) if len(frame) == _REQUEST_BYTES else None
        if self.is_silent or crc is None or frame[6] != crc & 0xFF or frame[7] != crc >> 8:
            return b""
        function = frame[1]
        register = (frame[2] << 8) | frame[3]
        count = (frame[4] << 8) | frame[5]
        code = self.exception_code or self._objection(function, register, count)
        if code:
            return _sealed(bytes((frame[0], function | 0x80, code)))
        image = self._image(register, count, now_us)
        return _sealed(bytes((frame[0], function, 2 * count)) + image)

    def _objection(self, function: int, register: int, count: int) -> int:
        if function != self._function:
            return _ILLEGAL_FUNCTION
        if not 1 <= count <= REGISTERS_MAX:
            return _ILLEGAL_VALUE
        index = register - self._first_register
        return 0 if index >= 0 and index + count <= self._registers else _ILLEGAL_ADDRESS

    def _image(self, register: int, count: int, now_us: int) -> bytes:
        """Return the bytes of `count` registers, each number sampled once."""
        width = registers_of(self._number)
        index = register - self._first_register
        first = index - index % width
        data = b""
        for offset in range(first, index + count, width):
            value = self._value(f"value_count_{self._first_register + offset}", now_us)
            code = NUMBERS[self._number]
            number = pack(code, value if code == ">f" else round(value))
            data += swapped(number) if width == 2 and self._word_order == "little" else number
        return data[2 * (index - first) :][: 2 * count]


def _sealed(body: bytes) -> bytes:
    crc = crc16_modbus(body, 0, len(body))
    return body + bytes((crc & 0xFF, crc >> 8))


EMULATOR = ModbusTransmitterEmulator
