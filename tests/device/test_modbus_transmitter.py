"""A Modbus transmitter on RS-485: frames of the specification, deadlines, replies not believed."""

from drivers.bus import EmulatedRS485
from drivers.errors import DriverError, RegisterError
from drivers.modbus import ModbusPort, crc16_modbus
from drivers.modbus_transmitter.driver import ModbusTransmitter
from drivers.modbus_transmitter.emulator import ModbusTransmitterEmulator

UNIT = 0x11


class Bench:
    """The transmitter, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
        names = ("table", "number", "word_order", "first_register", "values")
        wiring = {name: value for name, value in options.items() if name in names}
        self.chip = ModbusTransmitterEmulator(**wiring)
        self.line = EmulatedRS485({UNIT: self.chip}, self.ticks_us, 9600, "RS485(1)")
        self.driver = ModbusTransmitter(self.line, UNIT, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us


class Recorder:
    """A line that keeps what is written and answers with `reply`."""

    def __init__(self, reply):
        self.reply = reply
        self.written = b""

    def write(self, data):
        self.written = bytes(data)
        self.coming = self.reply

    def read(self, bytes_max):
        if not self.written:
            return b""
        data = self.coming[:bytes_max]
        self.coming = self.coming[bytes_max:]
        return data


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def _sealed(body):
    crc = crc16_modbus(body, 0, len(body))
    return body + bytes((crc & 0xFF, crc >> 8))


def test_crc_check_value():
    assert crc16_modbus(b"123456789", 0, 9) == 0x4B37
    assert crc16_modbus(b"_123456789", 1, 9) == 0x4B37
    assert crc16_modbus(b"\x11\x03\x00\x6b\x00\x03\x76\x87", 0, 8) == 0


def test_frames_of_the_specification():
    line = Recorder(b"\x11\x03\x06\x02\x2b\x00\x00\x00\x64\xc8\xba")
    port = ModbusPort("part", line, UNIT, lambda _us: None, 100000)
    reply = port.read_registers(3, 0x6B, 3, "holding 107")
    assert line.written == b"\x11\x03\x00\x6b\x00\x03\x76\x87"
    assert bytes(reply[3:9]) == b"\x02\x2b\x00\x00\x00\x64"


def test_exception_of_the_specification():
    line = Recorder(b"\x11\x83\x02\xc1\x34")
    port = ModbusPort("part", line, UNIT, lambda _us: None, 100000)
    message = _error_of(DriverError, port.read_registers, 3, 0x6B, 3, "holding 107")
    assert message.startswith("part: register holding 107 on ")
    assert message.endswith("unit 17: refused: exception 2, illegal data address")


def test_every_kind_of_number_comes_back():
    for number, value in (
        ("float32", 123.5),
        ("float32", -0.0625),
        ("int32", -2000000),
        ("uint32", 3000000000),
        ("int16", -32768),
        ("uint16", 65535),
    ):
        for word_order in ("big", "little"):
            bench = Bench(number=number, word_order=word_order, table="input", first_register=30)
            bench.driver.start()
            register = 31 if number.endswith("16") else 32
            bench.chip.drive("value_count_%d" % register, value)
            assert bench.driver.value_count(register) == value


def test_word_orders_of_a_float():
    for word_order, image in (("big", b"\x42\xf6\xe9\x79"), ("little", b"\xe9\x79\x42\xf6")):
        line = Recorder(_sealed(b"\x11\x03\x04" + image))
        driver = ModbusTransmitter(line, UNIT, lambda _us: None, word_order=word_order)
        driver.start()
        assert abs(driver.value_count(0) - 123.456) < 1e-4


def test_a_reply_takes_turnaround_and_line_time():
    bench = Bench()
    bench.driver.start()
    begun_us = bench.now_us
    bench.driver.value_count(2)
    # Silence, 8 bytes out, 5 ms of thought, 9 bytes back, and at most one poll.
    least_us = 4011 + 8 * 11000000 // 9600 + 5000 + 9 * 11000000 // 9600
    assert least_us <= bench.now_us - begun_us <= least_us + 1100


def test_silence_ends_at_the_deadline():
    bench = Bench(deadline_ms=50)
    bench.driver.start()
    bench.chip.is_silent = True
    begun_us = bench.now_us
    message = _error_of(DriverError, bench.driver.value_count, 0)
    assert "holding 0 on RS485(1) unit 17: no reply in 50 ms; check supply, A and B" in message
    assert 50000 < bench.now_us - begun_us < 60000


def test_a_late_reply_is_not_taken_for_the_next():
    bench = Bench(deadline_ms=40)
    bench.chip.drive("value_count_0", 1.0)
    bench.chip.drive("value_count_2", 2.0)
    bench.driver.start()
    bench.chip.turnaround_us = 60000
    _error_of(DriverError, bench.driver.value_count, 0)
    bench.chip.turnaround_us = 5000
    assert bench.driver.value_count(2) == 2.0


def test_what_lies_on_the_line_is_thrown_away():
    bench = Bench()
    bench.driver.start()
    bench.line.inject(_sealed(b"\x11\x03\x04\x3f\x80\x00\x00"), bench.now_us)
    bench.sleep_us(1000)
    assert bench.driver.value_count(0) == 0


def test_foreign_replies_and_noise_are_skipped():
    bench = Bench()
    bench.chip.drive("value_count_0", 5.0)
    bench.driver.start()
    soon_us = bench.now_us + 6000
    bench.line.inject(_sealed(b"\x12\x03\x04\x3f\x80\x00\x00"), soon_us)
    bench.line.inject(b"\x11\x03\x04\x00", soon_us + 100)
    bench.line.inject(_sealed(b"\x11\x03\x02\x00\x07"), soon_us + 200)
    bench.line.inject(_sealed(b"\x11\x04\x04\x3f\x80\x00\x00"), soon_us + 300)
    assert bench.driver.value_count(0) == 5.0


def test_a_wrong_crc_is_no_reply():
    line = Recorder(b"\x11\x03\x04\x3f\x80\x00\x00\x00\x00")
    port = ModbusPort("part", line, UNIT, lambda _us: None, 20000)
    message = _error_of(DriverError, port.read_registers, 3, 0, 2, "holding 0")
    assert "9 bytes in 20 ms and no valid reply; check baud" in message


def test_a_line_that_chatters_does_not_hold_the_node():
    class Chatter:
        def write(self, _data):
            pass

        def read(self, bytes_max):
            return b"\x55" * bytes_max

    sleeps = []
    port = ModbusPort("part", Chatter(), UNIT, sleeps.append, 5000)
    message = _error_of(DriverError, port.read_registers, 3, 0, 1, "holding 0")
    assert "no valid reply" in message
    assert len(sleeps) <= 8


def test_an_exception_names_its_code():
    bench = Bench()
    bench.driver.start()
    bench.chip.exception_code = 6
    message = _error_of(DriverError, bench.driver.value_count, 0)
    assert "refused: exception 6, server device busy" in message
    bench.chip.exception_code = 0
    assert bench.driver.value_count(0) == 0


def test_a_fault_reported_as_no_number_is_refused():
    line = Recorder(_sealed(b"\x11\x03\x04\x7f\xc0\x00\x00"))
    driver = ModbusTransmitter(line, UNIT, lambda _us: None)
    assert "7fc00000 is no number" in _error_of(DriverError, driver.start)
    line.reply = _sealed(b"\x11\x03\x04\xff\x80\x00\x00")
    assert "ff800000 is no number" in _error_of(DriverError, driver.start)


def test_emulator_refuses_as_a_server_does():
    chip = ModbusTransmitterEmulator()
    for request, code in (
        (b"\x11\x04\x00\x00\x00\x02", 1),
        (b"\x11\x03\x00\x07\x00\x02", 2),
        (b"\x11\x03\x00\x00\x00\x00", 3),
        (b"\x11\x03\x00\x00\x00\x7e", 3),
    ):
        reply = chip.respond(_sealed(request), 0)
        assert reply == _sealed(bytes((0x11, request[1] | 0x80, code)))
    assert chip.respond(b"\x11\x03\x00\x00\x00\x02\x00\x00", 0) == b""
    assert chip.respond(b"\x11", 0) == b""


def test_a_block_of_registers_is_one_image():
    chip = ModbusTransmitterEmulator(number="int16")
    chip.drive("value_count_1", 258)
    reply = chip.respond(_sealed(b"\x11\x03\x00\x00\x00\x03"), 0)
    assert reply[3:9] == b"\x00\x00\x01\x02\x00\x00"


def test_options_and_order_are_checked():
    message = _error_of(RegisterError, ModbusTransmitter(None, 1, None, number="float64").start)
    assert "no number 'float64', use one of float32, int16, int32, uint16, uint32" in message
    assert "word_order 'mixed'" in _error_of(
        RegisterError, ModbusTransmitter(None, 1, None, word_order="mixed").start
    )
    bench = Bench()
    assert "call start() first" in _error_of(DriverError, bench.driver.value_count, 0)
    bench.driver.start()
    message = _error_of(RegisterError, bench.driver.value_count, 3)
    assert "no number at holding 3, use 0 .. 6 in steps of 2" in message
