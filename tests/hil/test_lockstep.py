"""The order of things among boards and gateway: by virtual time, then by the stated rule."""

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hil.bus import (
    FLAG_UART_PENDING,
    OP_EXIT,
    OP_HELLO,
    OP_LOG,
    OP_SLEEP,
    OP_UART_READ,
    OP_UART_WRITE,
    STATUS_STOP,
    BoardPort,
    Wiring,
)
from hil.errors import RigError
from hil.lockstep import Lockstep, TimerDue, UplinkBytes
from tests.hil.scripted_board import ScriptedBoard, request

HELLO = request(OP_HELLO)
EXIT = request(OP_EXIT)
BAUD = 1_000_000
BYTE_NS = 10_000


def sleep(duration_us: int, *, wakes: bool = False) -> bytes:
    return request(OP_SLEEP, int(wakes), struct.pack("<I", duration_us))


def write(data: bytes) -> bytes:
    return request(OP_UART_WRITE, 0, data)


READ = request(OP_UART_READ, 0, struct.pack("<H", 100))


@contextmanager
def simulation(
    tmp_path: Path, scripts: dict[str, list[bytes]]
) -> Iterator[tuple[Lockstep, dict[str, ScriptedBoard]]]:
    lockstep = Lockstep()
    boards = {}
    with ExitStack() as stack:
        for node, script in scripts.items():
            board = stack.enter_context(ScriptedBoard(tmp_path / node, script))
            wiring = Wiring(i2c={}, uart_baud=BAUD)
            lockstep.add(BoardPort(node, board.emulated, wiring, uplink=lockstep.uplink))
            boards[node] = board
        yield lockstep, boards


def events(lockstep: Lockstep) -> list[tuple[int, str]]:
    found = []
    while (event := lockstep.next_event()) is not None:
        what = event.node if isinstance(event, UplinkBytes) else event.tag
        found.append((event.time_ns, what))
    return found


def test_events_come_in_the_order_of_virtual_time(tmp_path: Path) -> None:
    scripts = {
        "a": [HELLO, sleep(300), write(b"1"), sleep(300), write(b"2"), EXIT],
        "b": [HELLO, sleep(100), write(b"1"), sleep(400), write(b"2"), EXIT],
    }
    with simulation(tmp_path, scripts) as (lockstep, _):
        lockstep.set_timer(200_000, "timer")
        assert events(lockstep) == [
            (110_000, "b"),
            (200_000, "timer"),
            (310_000, "a"),
            (510_000, "b"),
            (610_000, "a"),
        ]


def test_at_one_instant_lines_come_before_boards_and_boards_in_the_scenario_s_order(
    tmp_path: Path,
) -> None:
    script = [HELLO, sleep(100), write(b"x"), EXIT]
    with simulation(tmp_path, {"second": script, "first": script}) as (lockstep, _):
        lockstep.set_timer(100_000, "timer")
        assert [what for _, what in events(lockstep)] == ["timer", "second", "first"]


def test_bytes_of_one_instant_come_in_the_scenario_s_order_whoever_computes_faster(
    tmp_path: Path,
) -> None:
    # Both write at once after the same sleep; the slower one is first in the scenario.
    slow = [HELLO, sleep(100), *[request(OP_LOG)] * 200, write(b"x"), EXIT]
    fast = [HELLO, sleep(100), write(b"x"), EXIT]
    with simulation(tmp_path, {"slow": slow, "fast": fast}) as (lockstep, _):
        assert [what for _, what in events(lockstep)] == ["slow", "fast"]


def test_input_wakes_a_board_that_listens_at_its_time_of_arrival(tmp_path: Path) -> None:
    script = [HELLO, sleep(10_000, wakes=True), READ, EXIT]
    with simulation(tmp_path, {"a": script}) as (lockstep, boards):
        lockstep.set_timer(2_000_000, "send")
        assert isinstance(lockstep.next_event(), TimerDue)
        lockstep.send("a", b"hello")
        assert lockstep.next_event() is None
        _, woken, read, _ = boards["a"].replies
    assert woken.now_us == 2_000 + 5 * BYTE_NS // 1000
    assert woken.flags & FLAG_UART_PENDING
    assert read.payload == b"hello"
    assert not read.flags & FLAG_UART_PENDING


def test_input_does_not_wake_a_board_that_waits_for_a_chip(tmp_path: Path) -> None:
    script = [HELLO, sleep(10_000), READ, EXIT]
    with simulation(tmp_path, {"a": script}) as (lockstep, boards):
        lockstep.set_timer(2_000_000, "send")
        lockstep.next_event()
        lockstep.send("a", b"hello")
        assert lockstep.next_event() is None
        _, slept, read, _ = boards["a"].replies
    assert slept.now_us == 10_000
    assert read.payload == b"hello"


def test_input_that_is_there_ends_a_listening_sleep_at_once(tmp_path: Path) -> None:
    script = [HELLO, sleep(5_000), sleep(5_000, wakes=True), EXIT]
    with simulation(tmp_path, {"a": script}) as (lockstep, boards):
        lockstep.set_timer(0, "send")
        lockstep.next_event()
        lockstep.send("a", b"x")
        assert lockstep.next_event() is None
        assert [reply.now_us for reply in boards["a"].replies[1:3]] == [5_000, 5_000]


def test_stop_ends_every_board_that_sleeps(tmp_path: Path) -> None:
    script = [HELLO, sleep(1_000_000), EXIT]
    with simulation(tmp_path, {"a": script, "b": script}) as (lockstep, boards):
        lockstep.set_timer(1000, "end")
        lockstep.next_event()
        lockstep.stop()
        assert lockstep.next_event() is None
        for board in boards.values():
            assert [reply.status for reply in board.replies[1:]] == [STATUS_STOP, 0]
        assert not any(port.is_live for port in lockstep.ports)


def test_a_board_that_dies_ends_the_run_with_its_obituary(tmp_path: Path) -> None:
    with simulation(tmp_path, {"a": [HELLO]}) as (lockstep, boards):
        boards["a"].emulated.process.kill()
        with pytest.raises(RigError, match="node a: host ended"):
            lockstep.next_event()


def test_a_board_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.lockstep.ANSWER_TIMEOUT_S", 0.05)
    with (
        simulation(tmp_path, {"a": [HELLO]}) as (lockstep, _),
        pytest.raises(RigError, match=r"node a: no request within 0\.05 s"),
    ):
        lockstep.next_event()


def test_nobody_acts_in_the_past_or_on_a_node_that_is_not_there(tmp_path: Path) -> None:
    with simulation(tmp_path, {"a": [HELLO, sleep(100), EXIT]}) as (lockstep, _):
        lockstep.set_timer(50_000, "timer")
        lockstep.next_event()
        with pytest.raises(RigError, match="lies before now"):
            lockstep.set_timer(49_999, "late")
        with pytest.raises(RigError, match="no board for node 'c'"):
            lockstep.send("c", b"")
        assert lockstep.next_event() is None
