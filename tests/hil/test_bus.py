"""The rig's end of the bus: what each request costs, answers and refuses."""

import ast
import struct
from pathlib import Path

import pytest

from boards.build import PROJECT_DIR
from drivers.adxl355.emulator import Adxl355Emulator
from drivers.modbus_transmitter.emulator import ModbusTransmitterEmulator
from drivers.sht4x.emulator import Sht4xEmulator
from drivers.tmp117.emulator import EMULATOR
from hil import bus
from hil.bus import (
    OP_EXIT,
    OP_HELLO,
    OP_I2C,
    OP_LOG,
    OP_PIN,
    OP_SLEEP,
    OP_SPI,
    OP_UART_READ,
    OP_UART_WRITE,
    STATUS_NACK,
    STATUS_OK,
    BoardPort,
    Wiring,
)
from hil.errors import RigError
from hil.lockstep import Lockstep, UplinkBytes
from tests.hil.scripted_board import ScriptedBoard, request

HELLO = request(OP_HELLO, 0, b"a board")
EXIT = request(OP_EXIT)


def test_both_ends_of_the_bus_agree_on_every_number() -> None:
    # The board's end is MicroPython only, so its constants are read from the source.
    source = (PROJECT_DIR / "boards" / "rig_client.py").read_text(encoding="utf-8")
    constants = {
        node.targets[0].id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    shared = {
        name: value
        for name, value in constants.items()
        if name.startswith(("OP_", "STATUS_", "FLAG_"))
    }
    assert len(shared) > 10
    assert shared == {name: getattr(bus, name) for name in shared}


def sleep(duration_us: int, *, wakes: bool = False, cpu_ns: int = 0) -> bytes:
    return request(OP_SLEEP, int(wakes), struct.pack("<I", duration_us), cpu_ns)


def i2c(address: int, write: bytes, read_count: int, cpu_ns: int = 0) -> bytes:
    return request(OP_I2C, 0, struct.pack("<BH", address, read_count) + write, cpu_ns)


def play(
    tmp_path: Path, script: list[bytes], wiring: Wiring | None = None
) -> tuple[ScriptedBoard, BoardPort, list[UplinkBytes]]:
    """Run one scripted board to its end; what it was answered, its port, what it sent."""
    lockstep = Lockstep()
    sent = []
    with ScriptedBoard(tmp_path / "board", script) as board:
        port = BoardPort("node", board.emulated, wiring or Wiring(i2c={}), uplink=lockstep.uplink)
        lockstep.add(port)
        while (event := lockstep.next_event()) is not None:
            assert isinstance(event, UplinkBytes)
            sent.append(event)
    return board, port, sent


def test_the_clock_starts_at_the_hello_and_counts_computing(tmp_path: Path) -> None:
    script = [
        request(OP_HELLO, 0, b"me", cpu_ns=5_000_000),
        request(OP_LOG, 0, b"later", cpu_ns=7_500_999),
        request(OP_EXIT, 0, b"", cpu_ns=7_500_999),
    ]
    board, port, _ = play(tmp_path, script)
    assert [reply.now_us for reply in board.replies] == [0, 2500, 2500]
    assert port.identity == "me"
    assert list(port.log_lines) == ["later"]


def test_a_board_that_was_started_again_has_a_new_clock_and_old_counts(tmp_path: Path) -> None:
    lockstep = Lockstep()
    with ScriptedBoard(tmp_path / "a", []) as first, ScriptedBoard(tmp_path / "b", []) as second:
        old = BoardPort("node", first.emulated, Wiring(i2c={}), uplink=lockstep.uplink)
        lockstep.add(old)
        old.sent_frames, old.transactions = 3, 7
        new = old.restarted_at(5_000_000_000)
        lockstep.remove(old)
        new.emulated = second.emulated
        lockstep.put_back(new)
        assert lockstep.ports == [new]
        assert (new.sent_frames, new.transactions) == (3, 7)
        assert (new.now_ns, new.started_ns) == (5_000_000_000, 5_000_000_000)


def test_the_cpu_clock_may_wrap(tmp_path: Path) -> None:
    script = [
        request(OP_HELLO, cpu_ns=0xFFFF_FF00),
        request(OP_LOG, cpu_ns=0x0000_0F00),
        EXIT[:4] + struct.pack("<I", 0x0000_0F00),
    ]
    board, _, _ = play(tmp_path, script)
    assert board.replies[1].now_us == (0x1000) // 1000


def test_a_sleep_is_a_jump(tmp_path: Path) -> None:
    board, _, _ = play(tmp_path, [HELLO, sleep(123_456), EXIT])
    assert board.replies[1].now_us == 123_456


def test_an_i2c_transfer_reads_the_chip_and_takes_its_time_on_the_bus(tmp_path: Path) -> None:
    chip = EMULATOR()
    wiring = Wiring(i2c={(0, 0x48): chip}, i2c_hz=400_000)
    board, _, _ = play(tmp_path, [HELLO, i2c(0x48, b"\x0f", 2), EXIT], wiring)
    reply = board.replies[1]
    assert reply.status == STATUS_OK
    assert reply.payload == b"\x01\x17"
    # Start, address, register, repeated start, address, two bytes, stop: 48 bits of 2.5 us.
    assert reply.now_us == 48 * 5 // 2


def test_an_absent_address_is_not_acknowledged(tmp_path: Path) -> None:
    board, _, _ = play(tmp_path, [HELLO, i2c(0x50, b"\x00", 2), EXIT])
    assert board.replies[1].status == STATUS_NACK
    assert board.replies[1].payload == b""


def test_what_the_chip_forbids_ends_the_run_with_time_and_place(tmp_path: Path) -> None:
    wiring = Wiring(i2c={(0, 0x48): EMULATOR()})
    with pytest.raises(RigError, match=r"node node, i2c bus 0, address 0x48, t = 0\.000000 s: .*"):
        play(tmp_path, [HELLO, i2c(0x48, b"\xee", 2), EXIT], wiring)


def test_uart_output_arrives_after_its_time_on_the_line_one_after_the_other(tmp_path: Path) -> None:
    wiring = Wiring(i2c={}, uart_baud=100_000)
    script = [HELLO, request(OP_UART_WRITE, 0, b"abc\0"), request(OP_UART_WRITE, 0, b"d\0"), EXIT]
    _, port, sent = play(tmp_path, script, wiring)
    # 10 bits a byte at 100 kbit/s are 100 us a byte.
    assert [(event.time_ns, event.data) for event in sent] == [
        (400_000, b"abc\0"),
        (600_000, b"d\0"),
    ]
    assert port.sent_frames == 2


def test_pins_keep_their_level(tmp_path: Path) -> None:
    script = [
        HELLO,
        request(OP_PIN, 3, b"\x02"),
        request(OP_PIN, 3, b"\x01"),
        request(OP_PIN, 3, b"\x02"),
        EXIT,
    ]
    board, port, _ = play(tmp_path, script)
    assert [reply.payload for reply in board.replies[1:4]] == [b"\x00", b"\x01", b"\x01"]
    assert port.pins == {3: 1}


def test_an_spi_transfer_is_full_duplex_and_takes_its_time(tmp_path: Path) -> None:
    class Inverter:
        def exchange(self, data: bytes, now_us: int) -> bytes:
            assert now_us == 0
            return bytes(byte ^ 0xFF for byte in data)

    wiring = Wiring(i2c={}, spi={3: Inverter()}, spi_hz=1_000_000)
    script = [HELLO, request(OP_SPI, 3, b"\x0f\xf0"), EXIT]
    board, _, _ = play(tmp_path, script, wiring)
    assert board.replies[1].payload == b"\xf0\x0f"
    assert board.replies[1].now_us == 16


def test_a_chip_select_without_a_chip_reads_an_idle_line(tmp_path: Path) -> None:
    board, _, _ = play(tmp_path, [HELLO, request(OP_SPI, 0, b"\x01\x00\x00"), EXIT])
    assert board.replies[1].status == STATUS_OK
    assert board.replies[1].payload == b"\xff\xff\xff"
    assert board.replies[1].now_us == 24


def test_an_spi_chip_reads_its_identity_and_refuses_misuse(tmp_path: Path) -> None:
    wiring = Wiring(i2c={}, spi={1: Adxl355Emulator()}, spi_hz=8_000_000)
    script = [HELLO, request(OP_SPI, 1, b"\x01\x00\x00\x00"), EXIT]
    board, _, _ = play(tmp_path / "identity", script, wiring)
    assert board.replies[1].payload == b"\x00\xad\x1d\xed"
    assert board.replies[1].now_us == 4
    with pytest.raises(RigError, match=r"node node, SPI chip select 1, t = 0\.000000 s: adxl355"):
        play(tmp_path / "misuse", [HELLO, request(OP_SPI, 1, b"\xff\x00"), EXIT], wiring)


def test_a_chip_may_refuse_to_acknowledge(tmp_path: Path) -> None:
    wiring = Wiring(i2c={(0, 0x44): Sht4xEmulator()})
    script = [HELLO, i2c(0x44, b"\xfd", 0), i2c(0x44, b"", 6), sleep(8300), i2c(0x44, b"", 6), EXIT]
    board, _, _ = play(tmp_path, script, wiring)
    assert [board.replies[number].status for number in (1, 2, 4)] == [
        STATUS_OK,
        STATUS_NACK,
        STATUS_OK,
    ]
    assert len(board.replies[4].payload) == 6


REQUEST = bytes.fromhex("110300000002") + bytes.fromhex("c69b")
"""Unit 17, two holding registers from 0."""


def line_script(*waits_us: int) -> list[bytes]:
    """Send REQUEST on UART 1, then after each wait read what has come."""
    script = [HELLO, request(OP_UART_WRITE, 1, REQUEST)]
    for wait_us in waits_us:
        script += [sleep(wait_us), request(OP_UART_READ, 1, struct.pack("<H", 256))]
    return [*script, EXIT]


def test_a_transmitter_answers_after_turnaround_and_line_time(tmp_path: Path) -> None:
    chip = ModbusTransmitterEmulator()
    chip.drive("value_count_0", 1.0)
    chip.turnaround_us = 3000
    wiring = Wiring(i2c={}, rs485={1: {17: chip}}, rs485_baud=19_200)
    # 8 bytes out and 9 bytes back, 11 bits each at 19200 baud: 4583 us and 5156 us.
    board, port, sent = play(tmp_path, line_script(4583 + 3000 + 5155, 10, 0), wiring)
    early, late, nothing = (board.replies[number] for number in (3, 5, 7))
    assert early.payload == b""
    assert late.payload[:7] == bytes.fromhex("1103043f800000")
    assert nothing.payload == b""
    assert sent == []
    assert port.sent_frames == 0


def test_input_on_a_line_is_flagged_by_its_number(tmp_path: Path) -> None:
    wiring = Wiring(i2c={}, rs485={3: {17: ModbusTransmitterEmulator()}})
    script = [
        HELLO,
        request(OP_UART_WRITE, 3, REQUEST),
        sleep(100_000),
        request(OP_UART_READ, 3, struct.pack("<H", 4)),
        request(OP_LOG, 0, b"five bytes are left"),
        request(OP_UART_READ, 3, struct.pack("<H", 256)),
        EXIT,
    ]
    board, _, _ = play(tmp_path, script, wiring)
    assert [reply.flags for reply in board.replies] == [0, 0, 8, 8, 8, 0, 0]


@pytest.mark.parametrize("rs485", [{}, {1: {}}, {1: {18: ModbusTransmitterEmulator()}}])
def test_nobody_answers_where_no_such_unit_hangs(tmp_path: Path, rs485: dict) -> None:
    board, _, _ = play(tmp_path, line_script(100_000), Wiring(i2c={}, rs485=rs485))
    assert board.replies[3].payload == b""


def test_uart_0_stays_the_line_to_the_gateway(tmp_path: Path) -> None:
    wiring = Wiring(i2c={}, rs485={1: {17: ModbusTransmitterEmulator()}})
    _, port, sent = play(tmp_path, [HELLO, request(OP_UART_WRITE, 0, b"a\0"), EXIT], wiring)
    assert [event.data for event in sent] == [b"a\0"]
    assert port.sent_frames == 1


def test_a_value_beyond_a_transmitter_ends_the_run_with_the_line(tmp_path: Path) -> None:
    chip = ModbusTransmitterEmulator()
    chip.drive("value_count_0", 1e9)
    with pytest.raises(RigError, match=r"node node, RS-485 on UART 1, t = .* outside"):
        play(tmp_path, line_script(0), Wiring(i2c={}, rs485={1: {17: chip}}))


@pytest.mark.parametrize(
    "data", [b"\x01", request(99), struct.pack("<HBBI", 9000, OP_LOG, 0, 0), HELLO + b"more"]
)
def test_noise_is_no_request(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(RigError, match="no rig request"):
        play(tmp_path, [data, EXIT])


def test_every_byte_and_time_is_in_the_hash(tmp_path: Path) -> None:
    scripts = {
        "same 1": [HELLO, sleep(1000), EXIT],
        "same 2": [HELLO, sleep(1000), EXIT],
        "another time": [HELLO, sleep(1001), EXIT],
        "another byte": [request(OP_HELLO, 0, b"b board"), sleep(1000), EXIT],
    }
    hashes = {
        name: play(tmp_path / name, script)[1].transactions_sha256
        for name, script in scripts.items()
    }
    assert hashes["same 1"] == hashes["same 2"]
    assert len(set(hashes.values())) == 3
