"""Serial lines and chip selects of a real board, over `machine.UART`, `machine.SPI` and `Pin`.

Promises: `read` never waits and never returns None; `write` returns when the bytes are in the
transmitter's buffer; a chip select is released whatever happens during its transfer.

Copied to real boards beside their hal; imports nothing but what it is given.
"""

_ETIMEDOUT = 110


class Line:
    """A full-duplex UART."""

    def __init__(self, uart) -> None:
        self._uart = uart

    def write(self, data) -> None:
        """Send `data`; OSError(ETIMEDOUT) when the transmitter takes only a part of it."""
        if self._uart.write(data) != len(data):
            raise OSError(_ETIMEDOUT)

    def any(self) -> bool:
        """Whether input is waiting."""
        return self._uart.any() > 0

    def read(self, bytes_max: int = 256) -> bytes:
        """What has arrived, at most `bytes_max` bytes; empty when nothing has."""
        return self._uart.read(bytes_max) or b""


class Rs485(Line):
    """A half-duplex line: `driver_enable` is high exactly while this end talks.

    The receiver's enable is to be tied to it (DE and /RE of the transceiver), so that nothing of
    what is sent is heard.
    """

    def __init__(self, uart, driver_enable) -> None:
        super().__init__(uart)
        self._driver_enable = driver_enable
        driver_enable.value(0)

    def write(self, data) -> None:
        """Send `data` and give the line free when its last stop bit is out.

        OSError(ETIMEDOUT) when it does not get out; the line is free then as well.
        """
        self._driver_enable.value(1)
        try:
            super().write(data)
            self._uart.flush()
        finally:
            self._driver_enable.value(0)


class Controller:
    """One SPI controller, whose chips may differ in speed and mode."""

    def __init__(self, spi) -> None:
        self._spi = spi
        self._setting = None

    def transfer(self, setting, data, buffer) -> None:
        """One transfer at `setting`: (baud, polarity, phase)."""
        if setting != self._setting:
            self._spi.init(baudrate=setting[0], polarity=setting[1], phase=setting[2])
            self._setting = setting
        self._spi.write_readinto(data, buffer)


class Chip:
    """Full-duplex transfers with one chip, whose select is low only during them."""

    def __init__(self, controller: Controller, select, frequency_hz: int, mode: int) -> None:
        self._controller = controller
        self._select = select
        self._setting = (frequency_hz, mode >> 1, mode & 1)
        select.value(1)

    def write_readinto(self, data, buffer) -> None:
        """Clock `data` out and as many bytes into `buffer`."""
        self._select.value(0)
        try:
            self._controller.transfer(self._setting, data, buffer)
        finally:
            self._select.value(1)
