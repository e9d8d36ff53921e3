"""Reads a transmitter over Modbus RTU: one number, one or two registers, one request a reading.

The number is handed out as the transmitter states it, in its own unit: gain and offset of the
channel make it what the plant means. Numbers stand one after the other from `first_register` on;
a reading takes the register of its own as argument. A transmitter has no identity to check, so
`start()` reads the first number and leaves judging it to the channel's range.
"""

from struct import unpack

from drivers.errors import RegisterError
from drivers.modbus import ModbusPort
from drivers.modbus_transmitter.registers import (
    FUNCTIONS,
    NUMBERS,
    WORD_ORDERS,
    registers_of,
    setting,
    swapped,
)

_DATA_AT = 3


class ModbusTransmitter:
    """The transmitter with unit id `address` on `line`.

    `table` is "holding" or "input", `number` one of float32, int32, uint32, int16, uint16, the
    same for all; `word_order` "big" when the more significant register comes first. It has
    `values` numbers from `first_register` on.
    """

    PART = "modbus_transmitter"
    BUS = "rs485"

    def __init__(  # noqa: PLR0913, PLR0917 - each is a line of the transmitter's manual
        self,
        line,
        address: int,
        sleep_us,
        table: str = "holding",
        number: str = "float32",
        word_order: str = "big",
        first_register: int = 0,
        values: int = 4,
        deadline_ms: int = 200,
    ):
        self._port = ModbusPort(self.PART, line, address, sleep_us, deadline_ms * 1000)
        self._table = table
        self._number = number
        self._word_order = word_order
        self._first_register = first_register
        self._values = values
        self._function = 0

    def start(self) -> None:
        """Check the options, read the first number."""
        setting("number", self._number, NUMBERS)
        setting("word_order", self._word_order, WORD_ORDERS)
        self._function = FUNCTIONS[setting("table", self._table, FUNCTIONS)]
        self.value_count(self._first_register)

    def value_count(self, register: int) -> float:
        """Return the number at `register`, in the transmitter's own unit."""
        label = f"{self._table} {register}"
        if not self._function:
            self._port.fail(label, "not started; call start() first")
        width = registers_of(self._number)
        index = register - self._first_register
        if index % width or not 0 <= index < width * self._values:
            last = self._first_register + width * (self._values - 1)
            raise RegisterError(
                f"{self.PART}: no number at {label}, use {self._first_register} .. {last} in steps"
                f" of {width}, or change first_register and values"
            )
        reply = self._port.read_registers(self._function, register, width, label)
        data = bytes(reply[_DATA_AT : _DATA_AT + 2 * width])
        if width == 2 and self._word_order == "little":
            data = swapped(data)
        value = unpack(NUMBERS[self._number], data)[0]
        # An infinity minus itself is a NaN, and a NaN equals nothing.
        if value - value != 0:
            self._port.fail(label, f"{data.hex()} is no number: the transmitter reports a fault")
        return value


DRIVER = ModbusTransmitter
