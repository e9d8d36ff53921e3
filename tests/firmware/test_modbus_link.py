"""The node as a Modbus server for a master of another make: pymodbus, over a pseudo-terminal."""

import math
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymodbus.client import ModbusSerialClient
from pymodbus.pdu.file_message import FileRecord

from boards.build import build
from boards.catalog import load_board
from boards.emulate import execute
from drivers.modbus import crc16_modbus
from drivers.tmp117.emulator import EMULATOR
from firmware.app import bring_up
from firmware.modbus_bank import NO_VALID_VALUE
from firmware.node import Node
from tests.firmware.fake_hal import FakeHal
from tests.firmware.node_run import KID, ROOT_KEY, Gateway, configuration
from wire import content
from wire.cose import open_sealed
from wire.keys import uplink_key
from wire.mac import HmacSha256
from wire.messages import decode_answer, encode_probe
from wire.senml import unpack

UNIT = 17
WAITING, TICKET, COMPLETE = 0, 0, 1
RECORDS_AT_ONCE = 120
PATIENCE_S = 20.0


class Line:
    """The node's end of an RS-485 line: a pseudo-terminal."""

    def __init__(self) -> None:
        self.fd, other = pty.openpty()
        tty.setraw(self.fd)
        tty.setraw(other)
        self.name = os.ttyname(other)
        self._other = other

    def any(self) -> bool:
        return bool(select.select([self.fd], [], [], 0)[0])

    def read(self, bytes_max: int = 256) -> bytes:
        return os.read(self.fd, bytes_max) if self.any() else b""

    def write(self, data: Any) -> None:
        os.write(self.fd, data)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._other)


class Board(FakeHal):
    """A fake board in real time with one RS-485 line; `ended` ends the node on it."""

    def __init__(self, files: dict[str, bytes], line: Line) -> None:
        self.chip = EMULATOR()
        self.chip.drive("temperature_celsius", 20.0)
        super().__init__({0x48: self.chip}, files)
        self.line = line
        self.ended = threading.Event()
        self._start_ns = time.monotonic_ns()

    def rs485(self, _number: int) -> Line:
        return self.line

    def ticks_us(self) -> int:
        if self.ended.is_set():
            raise SystemExit
        return (time.monotonic_ns() - self._start_ns) // 1000

    def sleep_us(self, duration_us: int) -> None:
        self.ended.wait(duration_us / 1e6)

    def sleep_until_us(self, wake_us: int) -> bool:
        wait_s = max(0, wake_us - self.ticks_us()) / 1e6
        return bool(select.select([self.line.fd], [], [], wait_s)[0])


class Master:
    """What a PLC or a gateway does, in pymodbus' words."""

    def __init__(self, name: str) -> None:
        self.client = ModbusSerialClient(name, baudrate=19200, timeout=1, retries=3)
        assert self.client.connect()

    def inputs(self, first: int, count: int) -> list[int]:
        response = self.client.read_input_registers(first, count=count, device_id=UNIT)
        assert not response.isError(), response
        return response.registers

    def value(self, channel: int) -> tuple[float, int, int]:
        """(value, status, age in tenths of a second)."""
        words = self.inputs(8 + 4 * channel, 4)
        decode = self.client.convert_from_registers
        value = decode(words[:2], self.client.DATATYPE.FLOAT32, word_order="big")
        assert isinstance(value, float)
        return value, words[2], words[3]

    def frame(self) -> tuple[bytes, int]:
        """(the frame in the window, its ticket)."""
        count, ticket = self._records(0, 2)
        words = []
        while len(words) < (count + 1) // 2:
            left = (count + 1) // 2 - len(words)
            words += self._records(2 + len(words), min(left, RECORDS_AT_ONCE))
        return b"".join([word.to_bytes(2, "big") for word in words])[:count], ticket

    def _records(self, first: int, count: int) -> list[int]:
        record = FileRecord(file_number=1, record_number=first, record_length=2 * count)
        response = self.client.read_file_record([record], device_id=UNIT)
        assert not response.isError(), response
        data = response.records[0].record_data
        return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]

    def taken(self, ticket: int) -> None:
        response = self.client.write_register(TICKET, ticket, device_id=UNIT)
        assert not response.isError(), response

    def tell(self, message: bytes) -> None:
        """Write a message into file 2 and say that it is complete."""
        padded = message + bytes(len(message) % 2)
        for at in range(0, len(padded), 2 * RECORDS_AT_ONCE):
            piece = padded[at : at + 2 * RECORDS_AT_ONCE]
            record = FileRecord(file_number=2, record_number=2 + at // 2, record_data=piece)
            response = self.client.write_file_record([record], device_id=UNIT)
            assert not response.isError(), response
        assert not self.client.write_register(COMPLETE, len(message), device_id=UNIT).isError()


class Bench:
    """A whole node on a line, and a master at the other end."""

    def __init__(self, **changes: Any) -> None:
        link = {"kind": "modbus_rtu", "unit_id": UNIT, "baud": 19200}
        self.line = Line()
        files = configuration(sample_period_us=10_000, block_samples=5, link=link, **changes)
        self.board = Board(files, self.line)
        self.node: Node = bring_up(self.board)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.master = Master(self.line.name)
        self._mac = HmacSha256(uplink_key(ROOT_KEY, KID))

    def _run(self) -> None:
        try:
            self.node.run()
        except SystemExit:
            return

    def pull(self) -> tuple[Any, bytes]:
        """(header, payload) of the next frame, opened with the node's key."""
        self.wait_for(lambda: self.master.inputs(2, 1) == [1])
        message, ticket = self.master.frame()
        self.master.taken(ticket)
        return open_sealed(message, self._mac, KID)

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end_s, "it did not come about"

    def close(self) -> None:
        self.board.ended.set()
        self._thread.join()
        self.master.client.close()
        self.line.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.mark.slow
def test_a_master_reads_values_and_what_they_are_worth(bench: Bench) -> None:
    bench.wait_for(lambda: bench.master.value(0)[1] == 0)
    value, status, age = bench.master.value(0)
    assert (value, status) == (pytest.approx(41.0, abs=0.02), 0)
    assert age <= 2
    assert bench.master.inputs(0, 3)[:2] == [1, 1]
    # The chip falls silent: no value any more, and not the one before.
    bench.board._bus._devices.clear()
    bench.wait_for(lambda: bench.master.value(0)[1] == NO_VALID_VALUE)
    value, _, age = bench.master.value(0)
    assert math.isnan(value)
    assert age <= 2


@pytest.mark.slow
def test_a_master_takes_sealed_frames_one_after_the_other(bench: Bench) -> None:
    frames = [bench.pull() for _ in range(5)]
    assert [header.sequence for header, _ in frames] == [0, 1, 2, 3, 4]
    assert frames[0][0].content_type == content.BOOT_RECORD
    values = [payload for header, payload in frames if header.content_type == content.SENML_CBOR]
    assert unpack(values[0])[0].name == "pump-a:temperature"
    assert unpack(values[0])[0].value == pytest.approx(41.0, abs=0.02)
    assert bench.node._spool.dropped == 0


@pytest.mark.slow
def test_a_command_goes_down_and_its_answer_comes_first(bench: Bench) -> None:
    bench.wait_for(lambda: bench.node._spool.frames > 4)
    bench.master.tell(Gateway().seal(content.TIME_PROBE, encode_probe(7)))
    first, second = bench.pull(), bench.pull()
    assert first[0].content_type == content.BOOT_RECORD, "it was in the window already"
    assert second[0].content_type == content.TIME_ANSWER
    assert decode_answer(second[1])[0] == 7
    assert bench.pull()[0].sequence == 1


@pytest.mark.slow
def test_what_is_not_sealed_for_the_node_is_counted_and_has_no_effect(bench: Bench) -> None:
    bench.master.tell(bytes(200))
    bench.master.tell(Gateway(root=bytes(32)).seal(content.TIME_PROBE, encode_probe(7)))
    bench.wait_for(lambda: sum(bench.node._downlink.rejected.values()) == 2)
    assert bench.node._downlink.rejected == {"malformed": 1, "bad_mac": 1}


@pytest.mark.slow
def test_refusals_are_exceptions_that_a_master_understands(bench: Bench) -> None:
    client = bench.master.client
    assert client.read_input_registers(4000, count=1, device_id=UNIT).exception_code == 2
    assert client.read_coils(0, count=1, device_id=UNIT).exception_code == 1
    assert client.write_register(TICKET, 0, device_id=UNIT).exception_code == 3
    assert client.write_register(9, 1, device_id=UNIT).exception_code == 2


HOST = """
import sys
class Schedule:
    overruns, period_us, block_samples = 3, 100000, 10
class Line:
    def __init__(self):
        self.said = []
    def any(self):
        return True
    def read(self, bytes_max=256):
        return self.said.pop(0) if self.said else b""
    def write(self, data):
        print(bytes(data).hex())
class Hal:
    now_us = 0
    line = Line()
    def ticks_us(self):
        self.now_us += 1000
        return self.now_us
    def sleep_us(self, duration_us):
        self.now_us += duration_us
    def rs485(self, number):
        return self.line
from firmware.modbus_server import ModbusLink
link = ModbusLink(Hal(), {"unit_id": 17, "baud": 19200}, None)
link.prepare(2, Schedule())
link.publish(0, [21.5, None], 500)
link.receive()
for request in %r:
    Hal.line.said = [bytes.fromhex(request)]
    link.receive()
"""


def framed(pdu: bytes, unit: int = UNIT) -> bytes:
    data = bytes([unit]) + pdu
    return data + crc16_modbus(data, 0, len(data)).to_bytes(2, "little")


def test_the_unix_port_of_micropython_says_the_same(tmp_path: Any) -> None:
    board = load_board("host")
    requests = [
        framed(bytes.fromhex(pdu)).hex() for pdu in ("0400080006", "140706000100000002", "11")
    ]
    output = execute(board, build(board), tmp_path / "host", HOST % (requests,), timeout_s=30)
    assert output.split() == [
        framed(bytes.fromhex("040c41ac0000000000007fc00000")).hex(),
        framed(bytes.fromhex("1406050600000000")).hex(),
        framed(bytes.fromhex("9101")).hex(),
    ]
