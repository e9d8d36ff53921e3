"""The node's Modbus link and nonsense: any bytes, other units' traffic, lines that misbehave."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus import crc16_modbus
from firmware.app import bring_up
from firmware.errors import ConfigError
from firmware.keyfile import Identity
from firmware.modbus_bank import NO_VALID_VALUE, NO_VALUE_YET, TOO_OLD, Bank
from firmware.modbus_line import FRAME_BYTES_MAX, RequestFinder
from firmware.modbus_rtu import Server
from firmware.modbus_server import ModbusLink
from tests.firmware.fake_hal import FakeHal
from tests.firmware.node_run import KID, ROOT_KEY, SEED, Gateway, configuration, make_hal
from wire import content
from wire.cose import open_sealed
from wire.keys import uplink_key
from wire.mac import HmacSha256

UNIT = 17


def framed(pdu: bytes, unit: int = UNIT) -> bytes:
    data = bytes([unit]) + pdu
    return data + crc16_modbus(data, 0, len(data)).to_bytes(2, "little")


class Schedule:
    overruns, period_us, block_samples = 0, 100_000, 10


def make_server() -> Server:
    bank = Bank(lambda: 0)
    bank.prepare(2, Schedule())
    server = Server(UNIT, bank, 6000)
    assert server.feed(b"", 0) is None
    return server


FRAMES = st.builds(framed, st.binary(min_size=1, max_size=250), st.integers(0, 255))
TRAFFIC = st.lists(st.one_of(st.binary(max_size=300), FRAMES), max_size=8)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(TRAFFIC)
def test_whatever_is_on_the_line_an_answer_is_a_frame_of_ours(traffic: list[bytes]) -> None:
    server = make_server()
    for index, data in enumerate(traffic):
        response = server.feed(data, 1000 * index)
        if response is not None:
            assert response[0] == UNIT
            assert framed(bytes(response[1:-2])) == bytes(response)
            assert len(response) <= FRAME_BYTES_MAX


@settings(derandomize=True, deadline=None, max_examples=200)
@given(TRAFFIC, st.data())
def test_after_a_silence_a_request_is_always_answered(
    traffic: list[bytes], data: st.DataObject
) -> None:
    server = make_server()
    now_us = 0
    for noise in traffic:
        server.feed(noise, now_us)
        now_us += data.draw(st.sampled_from((500, 5000, 9000)))
    request = framed(b"\x04\x00\x00\x00\x08")
    cut = data.draw(st.integers(1, len(request)))
    now_us += 10_000
    first = server.feed(request[:cut], now_us)
    response = first if first is not None else server.feed(request[cut:], now_us + 3000)
    assert response is not None
    assert response[1] == 4


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(FRAMES.filter(lambda frame: frame[0] != UNIT), max_size=6), st.integers(1, 300))
def test_traffic_of_others_is_never_answered(frames: list[bytes], piece: int) -> None:
    server = make_server()
    line = b"".join(frames)
    for at in range(0, len(line), piece):
        assert server.feed(line[at : at + piece], 1000) is None
    assert server._line._count <= FRAME_BYTES_MAX


def test_the_finder_keeps_no_more_than_a_frame() -> None:
    finder = RequestFinder(UNIT, 6000)
    finder.feed(b"", 0)
    assert finder.feed(bytes([5, 16, 0, 0, 0, 0, 246]) * 400, 1000) is None
    assert finder._count <= FRAME_BYTES_MAX


# --- the link itself ------------------------------------------------------------------------------


class QuietLine:
    """A line that says what it is given and hears itself."""

    def __init__(self) -> None:
        self.coming: list[bytes] = []
        self.written: list[bytes] = []
        self.is_broken = False

    def any(self) -> bool:
        return bool(self.coming)

    def read(self, _bytes_max: int = 256) -> bytes:
        return self.coming.pop(0) if self.coming else b""

    def write(self, data: Any) -> None:
        if self.is_broken:
            raise OSError(110)
        self.written.append(bytes(data))
        self.coming.append(bytes(data))


def make_link(line: QuietLine, **changes: Any) -> tuple[ModbusLink, FakeHal]:
    hal = FakeHal({}, {})
    hal.rs485 = lambda _number: line  # type: ignore[attr-defined]
    identity = Identity("pump-a", ROOT_KEY, SEED, 0)
    link = ModbusLink(hal, {"kind": "modbus_rtu", "unit_id": UNIT, **changes}, identity)
    link.prepare(1, Schedule())
    link.receive()
    return link, hal


def test_a_frame_that_nobody_took_outlives_a_power_cut() -> None:
    files = configuration(
        link={"kind": "modbus_rtu", "unit_id": UNIT},
        spool={"segments": 4, "segment_bytes": 16384, "behind_bytes": 0},
    )
    shown = []
    for _ in range(2):
        hal = make_hal(files=files)
        hal.rs485 = lambda _number: QuietLine()  # type: ignore[attr-defined]
        hal.deadline_us = 3_000_000
        node = bring_up(hal)
        with pytest.raises(SystemExit):
            node.run()
        assert not node._delivery.is_proven
        assert not node._link.has_room()
        shown.append(bytes(node._link._bank._window))
        # What was in RAM is gone; the files are still there.
        files = hal.files
    assert shown[0] == shown[1]
    mac = HmacSha256(uplink_key(ROOT_KEY, KID))
    message = shown[0][: node._link._bank._waiting]
    assert open_sealed(message, mac, KID)[0].sequence == 0


def test_a_line_that_hears_itself_does_not_answer_itself() -> None:
    line = QuietLine()
    link, hal = make_link(line)
    link._bank.put(Gateway().seal(content.TIME_PROBE, b""))
    ticket = link._bank.holding_register(0)
    # The response to this one looks like a request.
    line.coming.append(framed(b"\x06\x00\x00" + ticket.to_bytes(2, "big")))
    for _ in range(5):
        hal.now_us += 4000
        link.receive()
    assert len(line.written) == 1


def test_a_response_waits_for_the_silence_of_the_standard() -> None:
    for baud, silence_us in ((9600, 4010), (19200, 2005), (115200, 1750)):
        line = QuietLine()
        link, hal = make_link(line, baud=baud)
        line.coming.append(framed(b"\x04\x00\x00\x00\x01"))
        before_us = hal.now_us
        link.receive()
        assert hal.now_us - before_us == silence_us
        assert len(line.written) == 1


def test_a_line_that_takes_nothing_stops_nothing() -> None:
    line = QuietLine()
    link, _ = make_link(line)
    line.is_broken = True
    line.coming.append(framed(b"\x04\x00\x00\x00\x01"))
    assert link.receive() == []
    assert link.write_errors == 1


def test_a_master_that_is_gone_is_told() -> None:
    line = QuietLine()
    link, hal = make_link(line)
    link.service(60_000_000)
    assert link.state == "up"
    link.service(60_000_001)
    assert link.state == "down: no Modbus master asks"
    hal.now_us = 60_000_000
    link.receive()
    line.coming.append(framed(b"\x04\x00\x00\x00\x01"))
    link.receive()
    link.service(60_010_000)
    assert link.state == "up"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit_id": 0}, "link.unit_id"),
        ({"unit_id": 248}, "link.unit_id"),
        ({"baud": "9600"}, "link.baud"),
        ({"rs485": -1}, "link.rs485"),
    ],
)
def test_what_cannot_be_a_line_is_refused_at_the_start(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_link(QuietLine(), **changes)


def test_a_board_without_such_a_line_is_told_so() -> None:
    hal = FakeHal({}, {})

    def none(number: int) -> None:
        raise ValueError(f"no rs485 {number} on this board, only []")

    hal.rs485 = none  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"link\.rs485: no rs485 1 on this board"):
        ModbusLink(hal, {"unit_id": 1}, None)


def test_statuses_are_those_of_the_map() -> None:
    assert (NO_VALUE_YET, NO_VALID_VALUE, TOO_OLD) == (1, 2, 3)
