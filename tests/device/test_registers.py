"""Register declarations, the port over a bus and the emulated bus, on any interpreter."""

from drivers.bus import EmulatedI2C
from drivers.emulation import Conversions, EmulatedChip
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.port import RegisterPort
from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap

RATE = Field("rate", 4, 4, settings={12.5: 1, 26: 2})
CONTROL = Register(
    "control",
    0x10,
    ">H",
    READ_WRITE,
    0x8001,
    (RATE, Field("go", 15), Field("busy", 0, access=READ_ONLY)),
)
RESULT = Register("result", 0x12, "<h", lsb=0.5)
MAP = RegisterMap("chip", "a document", (CONTROL, RESULT))


class Silent:
    """A bus that fails with one error."""

    def __init__(self, number):
        self._number = number

    def readfrom_mem_into(self, _address, _register, _buffer):
        raise OSError(self._number)


def _message(error_class, function, *arguments):
    """Return the message of the error that the call raises."""
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def _faults(*registers, is_byte_addressed=False):
    return RegisterMap("chip", "none", registers, is_byte_addressed=is_byte_addressed).faults()


def test_field_takes_and_gives_its_bits():
    assert RATE.mask() == 0xF0
    assert RATE.get(0x12A5) == 0xA
    assert RATE.put(0xFFFF, 0) == 0xFF0F
    assert RATE.put(0, 15) == 0xF0


def test_field_refuses_a_code_that_does_not_fit():
    assert "16 does not fit 4 bits" in _message(RegisterError, RATE.put, 0, 16)
    assert "-1 does not fit" in _message(RegisterError, RATE.put, 0, -1)


def test_field_knows_its_settings():
    assert RATE.code(26) == 2
    assert RATE.code(26.0) == 2
    assert RATE.code(12.5000001) == 1
    assert RATE.setting(0x10) == 12.5
    assert _message(RegisterError, RATE.code, 13) == "rate: no setting 13, use one of 12.5, 26"
    assert "code 9 is reserved" in _message(RegisterError, RATE.setting, 0x90)


def test_word_starts_from_the_reset_value():
    assert CONTROL.word() == 0x8001
    assert CONTROL.word(rate=2) == 0x8021
    assert CONTROL.word(go=0, rate=15) == 0x00F1
    assert "use one of rate, go, busy" in _message(RegisterError, CONTROL.field, "stop")


def test_writable_leaves_out_what_is_read_only_or_reserved():
    assert CONTROL.writable() == 0x80F0
    assert RESULT.writable() == 0
    assert Register("free", 0, "B", READ_WRITE).writable() == 0xFF


def test_bytes_follow_order_and_sign():
    assert CONTROL.pack(0x1234) == b"\x12\x34"
    assert RESULT.pack(-2) == b"\xfe\xff"
    assert RESULT.unpack(b"\xfe\xff") == -2
    assert CONTROL.unpack(b"\xff\xfe") == 0xFFFE
    assert Register("byte", 0, "B").pack(0x6C) == b"\x6c"


def test_three_bytes_have_an_order_and_a_sign():
    wide = Register("wide", 0, ">t")
    assert wide.width_bytes == 3
    assert wide.mask() == 0xFFFFFF
    assert wide.pack(-16) == b"\xff\xff\xf0"
    assert wide.unpack(b"\x80\x00\x01") == -0x7FFFFF
    assert Register("wide", 0, ">T").unpack(b"\x80\x00\x01") == 0x800001


def test_map_finds_registers_by_address():
    assert MAP.at(0x10) is CONTROL
    assert MAP.at(0x11) is None
    by_byte = RegisterMap("chip", "none", (CONTROL,), is_byte_addressed=True)
    assert by_byte.at(0x11) is CONTROL


def test_true_map_has_no_faults():
    assert MAP.faults() == []


def test_faults_name_overlapping_and_repeated_fields():
    bits = (Field("bdu", 6), Field("bdu", 4), Field("wide", 3, 2))
    found = _faults(Register("ctrl", 0, "B", fields=bits))
    assert found == [
        "chip: ctrl: field bdu is declared twice",
        "chip: ctrl: field wide overlaps another",
    ]


def test_faults_name_what_does_not_fit():
    found = _faults(Register("ctrl", 0, "B", reset=0x100, fields=(Field("far", 7, 2),)))
    assert len(found) == 2
    assert "reset value 0x100 needs over 8 bits" in found[0]
    assert "field far lies outside 8 bits" in found[1]


def test_faults_name_repeated_codes():
    field = Field("mode", 0, 1, settings={"a": 1, "b": 1})
    assert "field mode repeats a code" in _faults(Register("ctrl", 0, "B", fields=(field,)))[0]
    field = Field("mode", 0, 1, settings={"a": 2})
    assert "or exceeds its width" in _faults(Register("ctrl", 0, "B", fields=(field,)))[0]


def test_faults_name_shared_addresses_and_names():
    one, two = Register("one", 0x28, ">H"), Register("one", 0x29, ">H")
    assert _faults(one, two) == ["chip: register name one is used twice"]
    assert "one and one share 0x29" in _faults(one, two, is_byte_addressed=True)[1]


def test_port_reads_and_writes_over_the_bus():
    i2c = EmulatedI2C({0x20: EmulatedChip(MAP)}, lambda: 0)
    port = RegisterPort("chip", i2c, 0x20)
    assert port.read(CONTROL) == 0x8001
    port.write(CONTROL, 0x0021)
    assert port.read(CONTROL) == 0x0021
    assert i2c.transfers == 3


def test_port_says_where_a_bus_failed():
    port = RegisterPort("chip", EmulatedI2C({}, lambda: 0, "I2C(0)"), 0x20)
    message = _message(DriverError, port.read, CONTROL)
    where = "chip: register control (0x10) on I2C(0) address 0x20: "
    assert message == where + "no acknowledge: check supply, wiring and address straps"
    message = _message(DriverError, RegisterPort("chip", Silent(110), 0x20).read, CONTROL)
    assert "bus timeout: a line is held low" in message
    message = _message(DriverError, RegisterPort("chip", Silent(5), 0x20).read, CONTROL)
    assert "bus error 5" in message


def test_port_waits_a_bounded_time():
    sleeps = []
    port = RegisterPort("chip", EmulatedI2C({0x20: EmulatedChip(MAP)}, lambda: 0), 0x20)
    port.await_bits(CONTROL, 1, 1, sleeps.append, 100, 3)
    assert sleeps == []
    message = _message(DriverError, port.await_bits, CONTROL, 1, 0, sleeps.append, 100, 3)
    assert "not ready after 3 polls, 100 us apart" in message
    assert sleeps == [100, 100, 100]


def test_bus_offers_the_calls_of_machine_i2c():
    i2c = EmulatedI2C({0x20: EmulatedChip(MAP)}, lambda: 0)
    assert i2c.scan() == [0x20]
    assert i2c.writeto(0x20, b"\x10\x80\x21") == 3
    word = bytearray(2)
    i2c.readfrom_into(0x20, word)
    assert word == b"\x80\x21"
    try:
        i2c.writeto(0x21, b"\x00")
    except OSError as error:
        assert error.args[0] == 19
    else:
        raise AssertionError("an absent chip acknowledged")


def test_emulated_chip_refuses_what_is_not_declared():
    chip = EmulatedChip(MAP)
    assert "register 0x11 is not declared" in _message(EmulatorError, chip.transfer, b"\x11", 1, 0)
    assert "3 bytes read of control" in _message(EmulatorError, chip.transfer, b"\x10", 3, 0)
    assert "1 bytes written" in _message(EmulatorError, chip.transfer, b"\x10\x00", 0, 0)
    message = _message(EmulatorError, chip.transfer, b"\x10\x80\x20", 0, 0)
    assert message == (
        "chip emulator: write of 0x8020 to control (0x10) changes"
        " its read-only or reserved bits 0x1"
    )


def test_conversions_end_at_their_times():
    conversions = Conversions()
    assert conversions.count(10**6) == 0
    conversions.run(1000, 30, 100)
    assert [conversions.count(now) for now in (1029, 1030, 1129, 1130, 2030)] == [0, 1, 1, 2, 11]
    assert conversions.ended_us(11) == 2030
    conversions.halt()
    assert not conversions.is_running()
    assert conversions.count(10**6) == 0
