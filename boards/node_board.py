"""What every real board does in the same way, over the tables of its hal and its port.

Promises: an object whose methods are the functions of `hal.py`.  A bus is opened when it is first
asked for and is the same object from then on; a number that is not in the board's tables raises
ValueError with the numbers that are.
Leaves to the port (`node_esp32.py`, `node_stm32.py`) how `machine` wants to be asked, and to
`node_files.py` the flash.  A port is a module with `open_i2c`, `open_spi`, `open_uart`, `make_pin`
and CAUSES.

    I2C    {number: (row of open_i2c)}
    SPI    {number: (controller, frequency_hz, mode, select pin)}
    SPIS   {controller: (row of open_spi)}
    UARTS  {number: (row of open_uart)}
    RS485  {number: (row of open_uart, driver-enable pin)}
"""

import sys

import machine
from node_clock import Clock
from node_lines import Chip, Controller, Line, Rs485


class NodeBoard:
    """One real board."""

    def __init__(self, port, *, i2c, spi, spis, uarts, rs485) -> None:
        self._port = port
        self._rows = {"i2c": i2c, "spi": spi, "uart": uarts, "rs485": rs485}
        self._spis = spis
        self._controllers = {}
        self._open = {}
        self.clock = Clock()

    def start(self) -> None:
        """Start the clock at zero."""
        self.clock.start()

    def stop(self) -> None:
        """The application has ended; the prompt follows."""

    def i2c(self, number: int):
        """The I2C bus `number`: a machine.I2C."""
        return self._opened("i2c", number, self._port.open_i2c)

    def spi(self, number: int):
        """The SPI chip select `number`."""
        return self._opened("spi", number, self._make_chip)

    def uart(self, number: int):
        """The UART `number`; its input ends a sleep."""
        return self._opened("uart", number, self._make_line)

    def rs485(self, number: int):
        """The half-duplex line `number`; its input ends a sleep."""
        return self._opened("rs485", number, self._make_rs485)

    def pin(self, number: int, level=None) -> int:
        """Drive pin `number` to `level`, or read it when `level` is None."""
        pin = self._port.make_pin(number)
        if level is not None:
            pin.init(machine.Pin.OUT, value=int(bool(level)))
        return pin.value()

    def watchdog(self, timeout_ms: int):
        """Start the watchdog, which nothing can stop again; the answer's `feed()` feeds it."""
        return machine.WDT(timeout=timeout_ms)

    def unique_id(self) -> bytes:
        """The chip's factory id."""
        return machine.unique_id()

    def reset(self) -> None:
        """Restart the board as its reset button does."""
        machine.reset()

    def reset_cause(self) -> str:
        """Why the board started, as far as its port can tell; see CAUSES there."""
        cause = machine.reset_cause()
        for number, name in self._port.CAUSES:
            if cause == number:
                return name
        return "unknown"

    def log(self, text: str) -> None:
        """One line on the console."""
        print(text)

    def identity(self) -> str:
        """What `sys` says inside this MicroPython."""
        version = ".".join([str(part) for part in sys.implementation.version[:3]])
        return "%s %s | %s | %s" % (
            sys.implementation.name,
            version,
            getattr(sys.implementation, "_machine", "?"),
            sys.platform,
        )

    def _opened(self, kind: str, number: int, make):
        if (kind, number) not in self._open:
            rows = self._rows[kind]
            if number not in rows:
                raise ValueError("no %s %d on this board, only %s" % (kind, number, sorted(rows)))
            self._open[kind, number] = make(*rows[number])
        return self._open[kind, number]

    def _make_chip(self, controller: int, frequency_hz: int, mode: int, select):
        if controller not in self._controllers:
            row = self._spis[controller]
            self._controllers[controller] = Controller(self._port.open_spi(*row))
        pin = self._port.make_pin(select)
        pin.init(machine.Pin.OUT, value=1)
        return Chip(self._controllers[controller], pin, frequency_hz, mode)

    def _make_line(self, *row):
        uart = self._port.open_uart(*row)
        self.clock.watch(uart)
        return Line(uart)

    def _make_rs485(self, *row):
        uart = self._port.open_uart(*row[:-1])
        pin = self._port.make_pin(row[-1])
        pin.init(machine.Pin.OUT, value=0)
        self.clock.watch(uart)
        return Rs485(uart, pin)
