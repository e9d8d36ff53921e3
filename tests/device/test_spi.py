"""The register port over SPI, the emulated chip select, and FIFO and rate of emulated chips."""

from drivers.bus import EmulatedSPI
from drivers.emulation import Conversions, EmulatedSpiChip, Fifo
from drivers.errors import DriverError
from drivers.registers import READ_WRITE, Register, RegisterMap
from drivers.spi_port import SpiDialect, SpiPort

CONTROL = Register("control", 0x10, ">H", READ_WRITE, 0x8001)
MAP = RegisterMap("chip", "a document", (CONTROL,))


class Silent:
    """A chip select that fails with one error."""

    def __init__(self, number):
        self._number = number

    def write_readinto(self, _out, _into):
        raise OSError(self._number)


def _message(error_class, function, *arguments):
    """Return the message of the error that the call raises."""
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_spi_port_puts_address_and_direction_into_one_byte():
    for dialect in (SpiDialect(1, 1, 0), SpiDialect(0, 0, 0x80), SpiDialect(0, 0x80, 0)):
        chip = EmulatedSpiChip(MAP, dialect)
        spi = EmulatedSPI(chip, lambda: 0, "SPI(1)")
        port = SpiPort("chip", spi, None, dialect, 2)
        assert port.read(CONTROL) == 0x8001
        port.write(CONTROL, 0x0021)
        assert port.read(CONTROL) == 0x0021
        assert bytes(port.receive(CONTROL, 2)[1:]) == b"\x00\x21"
        assert spi.transfers == 4


def test_spi_port_says_where_a_bus_failed():
    port = SpiPort("chip", Silent(5), None, SpiDialect(1, 1, 0), 2)
    assert "bus error 5" in _message(DriverError, port.read, CONTROL)
    assert "bus error 5" in _message(DriverError, port.write, CONTROL, 1)
    empty = SpiPort("chip", EmulatedSPI(None, lambda: 0, "SPI(1)"), None, SpiDialect(1, 1, 0), 2)
    message = _message(DriverError, empty.expect_identity, CONTROL, 0xFFFF, 0x8001)
    assert message.startswith(
        "chip: register control (0x10) on SPI(1): expected 0x8001, got 0xFFFF"
    )


def test_spi_takes_as_many_bytes_as_it_gives():
    spi = EmulatedSPI(None, lambda: 0, "SPI(1)")
    assert "2 bytes out, 3 in" in _message(ValueError, spi.write_readinto, b"ab", bytearray(3))


def test_fifo_loses_the_oldest():
    fifo = Fifo(4)
    assert fifo.held(0) == 0
    assert fifo.held(3) == 3
    assert fifo.take() == 1
    assert fifo.held(5) == 4
    assert fifo.lost == 0
    assert fifo.held(10) == 4
    assert fifo.lost == 5
    assert [fifo.take() for _ in range(4)] == [7, 8, 9, 10]
    assert fifo.held(10) == 0


def test_conversions_may_have_a_rate_that_divides_no_second():
    conversions = Conversions()
    conversions.run(0, 300, 1000000, 3332)
    for number in (1, 2, 3, 3332, 3333, 99999):
        ended_us = conversions.ended_us(number)
        assert conversions.count(ended_us) == number
        assert conversions.count(ended_us - 1) == number - 1
    assert conversions.ended_us(3333) == 1000300
