"""A Modbus server to the byte: the specification's examples, refusals, and what is no request."""

from drivers.modbus import crc16_modbus
from firmware.modbus_line import ABSENT_US
from firmware.modbus_rtu import Server

UNIT = 0x11
SILENCE_US = 6000


class Bank:
    """The registers and files of the specification's examples."""

    def __init__(self):
        self.inputs = {8: 0x000A}
        self.holding = {0x6B: 0x022B, 0x6C: 0, 0x6D: 0x64, 1: 0, 2: 0}
        self.files = {(4, 1): 0x0DFE, (4, 2): 0x20, (3, 9): 0x33CD, (3, 10): 0x40}
        for record in range(7, 10):
            self.files[(4, record)] = 0
        self.held_us = None

    def hold(self, now_us):
        self.held_us = now_us

    def input_register(self, address):
        return self.inputs.get(address)

    def holding_register(self, address):
        return self.holding.get(address)

    def can_write_holding(self, _address, word):
        return word != 0xFFFF

    def write_holding(self, address, word):
        self.holding[address] = word

    def read_record(self, file, record):
        return self.files.get((file, record))

    def can_write_record(self, file, record):
        return (file, record) in self.files

    def write_record(self, file, record, word):
        self.files[(file, record)] = word


def framed(text, unit=UNIT):
    """The PDU written in hexadecimal as a frame."""
    data = bytes([unit]) + bytes.fromhex(text.replace(" ", ""))
    check = crc16_modbus(data, 0, len(data))
    return data + bytes([check & 0xFF, check >> 8])


def make_server(bank=None):
    server = Server(UNIT, bank or Bank(), SILENCE_US)
    assert server.feed(b"", 0) is None
    return server


def answer(server, data, now_us=1000):
    """What the server says to `data`, or None."""
    response = server.feed(data, now_us)
    return None if response is None else bytes(response)


def asked(text, bank=None):
    """The PDU of the response to a PDU, in hexadecimal."""
    response = answer(make_server(bank), framed(text))
    check = crc16_modbus(response, 0, len(response) - 2)
    assert response[0] == UNIT
    assert response[-2:] == bytes([check & 0xFF, check >> 8])
    return response[1:-2].hex()


def test_the_crc_is_that_of_the_specification():
    # MODBUS over Serial Line 1.02, appendix B: the frame 02 07 is followed by 41 12.
    assert crc16_modbus(b"\x02\x07", 0, 2) == 0x1241
    assert framed("03 006b 0003").hex() == "1103006b00037687"


def test_reads_are_answered_as_in_the_specification():
    assert asked("03 006b 0003") == "0306022b00000064"
    assert asked("04 0008 0001") == "0402000a"
    assert asked("14 0e 06 0004 0001 0002 06 0003 0009 0002") == "140c05060dfe0020050633cd0040"


def test_writes_are_answered_and_done_as_in_the_specification():
    bank = Bank()
    assert asked("06 0001 0003", bank) == "0600010003"
    assert bank.holding[1] == 3
    assert asked("10 0001 0002 04 000a 0102", bank) == "1000010002"
    assert (bank.holding[1], bank.holding[2]) == (0x0A, 0x0102)
    request = "150d0600040007000306af04be100d"
    assert asked(request, bank) == request
    assert [bank.files[(4, record)] for record in (7, 8, 9)] == [0x06AF, 0x04BE, 0x100D]


def test_what_is_not_there_is_refused_with_the_right_code():
    for request, response in (
        ("01 0000 0001", "8101"),
        ("05 0000 ff00", "8501"),
        ("2b 0e 01 00", "ab01"),
        ("11", "9101"),
        ("03 006b 0004", "8302"),
        ("03 006b 0000", "8303"),
        ("03 006b 007e", "8303"),
        ("04 0007 0002", "8402"),
        ("06 0005 0000", "8602"),
        ("06 0001 ffff", "8603"),
        ("10 0001 0002 03 0000 00", "9003"),
        ("14 00", "9403"),
        ("14 08 06 0004 0001 0002 00", "9403"),
        ("14 07 05 0004 0001 0002", "9402"),
        ("14 07 06 0004 0001 0003", "9402"),
        ("14 07 06 0004 0001 0000", "9403"),
        ("14 07 06 0004 0001 007a", "9403"),
        ("15 08 06 0004 0007 0000 00", "9503"),
        ("15 09 06 0004 0007 0002 0000", "9503"),
        ("15 09 07 0004 0007 0001 0000", "9502"),
    ):
        assert asked(request) == response, request


def test_a_refused_write_changes_nothing():
    bank = Bank()
    registers, files = dict(bank.holding), dict(bank.files)
    assert asked("10 0001 0002 04 0005 ffff", bank) == "9003"
    assert asked("10 0002 0002 04 0005 0006", bank) == "9002"
    # The first group could be written, the second could not.
    assert asked("15 12 06 0004 0007 0001 1234 06 0004 00ff 0001 1234", bank) == "9502"
    assert bank.holding == registers
    assert bank.files == files


def test_a_request_may_come_byte_by_byte():
    server = make_server()
    request = framed("03 006b 0003")
    for index in range(len(request) - 1):
        assert answer(server, request[index : index + 1], 1000 + 500 * index) is None
    assert answer(server, request[-1:], 6000)[1] == 3
    assert (server.requests, server.line_errors) == (1, 0)


def test_others_are_let_talk():
    server = make_server()
    for frame in (
        framed("03 006b 0003", 5),
        framed("03 06 022b 0000 0064", 5),
        framed("84 02", 5),
        framed("10 0001 0002 04 000a 0102", 0),
        framed("14 07 06 0004 0001 0002", 247),
        framed("06 0001 0003", 0),
    ):
        assert answer(server, frame, 1000) is None
    assert (server.requests, server.line_errors) == (0, 0)
    assert answer(server, framed("04 0008 0001"), 1000) is not None


def test_a_request_inside_anothers_frame_is_none():
    server = make_server()
    inner = framed("06 0001 0003")
    outer = framed("15 11 06 0004 0007 0005 " + inner.hex() + "0000", 5)
    assert answer(server, outer) is None
    assert server.requests == 0


def test_noise_before_a_request_costs_nothing_but_itself():
    server = make_server()
    assert answer(server, b"\x00\xff\xfe" + framed("04 0008 0001"))[1] == 4
    assert server.line_errors == 3


def test_a_request_that_something_follows_is_too_old_to_answer():
    server = make_server()
    first, second = framed("04 0008 0001"), framed("03 006b 0003")
    assert answer(server, first + second)[1] == 3
    assert answer(server, first + framed("03 006b 0003", 5)) is None
    assert server.requests == 1


def test_what_came_while_nobody_was_there_is_thrown_away():
    server = make_server()
    request = framed("04 0008 0001")
    assert answer(server, request, ABSENT_US + 1) is None
    assert server.line_errors == len(request)
    assert answer(server, request, 2 * ABSENT_US) is not None


def test_a_cut_frame_ends_with_a_silence():
    server = make_server()
    request = framed("04 0008 0001")
    assert answer(server, request[:5], 1000) is None
    assert answer(server, request, 1001 + SILENCE_US) is not None
    assert server.line_errors == 5


def test_a_wrong_crc_is_no_request():
    server = make_server()
    request = bytearray(framed("06 0001 0003"))
    for index in range(len(request)):
        request[index] ^= 0x10
        assert answer(server, request, 1000) is None
        request[index] ^= 0x10
        assert answer(server, b"", 1000 + 2 * SILENCE_US) is None


def test_more_than_a_frame_of_anything_does_no_harm():
    server = make_server()
    for start in (b"\x11\x15\xfb", b"\x05\x10\x00\x00\x00\x00\xf0", b"\x11\x64"):
        assert answer(server, start + bytes(300), 1000) is None
        assert answer(server, framed("04 0008 0001"), 1000) is not None


def test_all_of_a_response_is_of_one_moment():
    bank = Bank()
    assert answer(make_server(bank), framed("04 0008 0001"), 4321) is not None
    assert bank.held_us == 4321
