"""The node's loop in virtual time: when it samples, what it sends, what it believes."""

import json
from typing import Any

import pytest

from drivers.tmp117.emulator import EMULATOR
from firmware.app import FIRMWARE_VERSION, bring_up
from firmware.counters import COMMAND_BLOCK
from firmware.errors import ConfigError
from tests.firmware.fake_hal import FakeHal
from wire import content
from wire.cose import Header, Sealer, open_sealed
from wire.framing import Deframer, frame
from wire.keys import downlink_key, uplink_key
from wire.mac import HmacSha256
from wire.messages import decode_answer, decode_boot, encode_probe
from wire.senml import unpack

ROOT_KEY = bytes(range(32))
KID = b"pump-a"
PERIOD_US = 100_000
BLOCK = 10


def configuration(**changes: Any) -> dict[str, bytes]:
    fields = {
        "node": "pump-a",
        "key": ROOT_KEY.hex(),
        "sample_period_us": PERIOD_US,
        "block_samples": BLOCK,
        "channels": [
            {
                "name": "temperature",
                "part": "tmp117",
                "bus": 0,
                "address": 0x48,
                "reading": "temperature_celsius",
                "argument": None,
                "unit": "Cel",
                "filter": "mean",
                "gain": 2.0,
                "offset": 1.0,
                "options": {},
            }
        ],
    }
    fields.update(changes)
    return {"node.json": json.dumps(fields).encode()}


def make_hal(source: Any = 20.0, files: dict[str, bytes] | None = None) -> FakeHal:
    chip = EMULATOR()
    chip.drive("temperature_celsius", source)
    return FakeHal({0x48: chip}, files if files is not None else configuration())


def run(hal: FakeHal, until_us: int) -> list[tuple[int, Header, bytes]]:
    """Run the node; (time of sending, header, payload) of every frame it sealed."""
    hal.deadline_us = until_us
    with pytest.raises(SystemExit):
        bring_up(hal).run()
    return sent_frames(hal)


def sent_frames(hal: FakeHal) -> list[tuple[int, Header, bytes]]:
    """(time of sending, header, payload) of every frame the node sealed."""
    mac = HmacSha256(uplink_key(ROOT_KEY, KID))
    frames = []
    for at_us, data in hal.sent:
        ((message, reason),) = Deframer().feed(data)
        assert reason is None
        frames.append((at_us, *open_sealed(message, mac, KID)))
    return frames


def test_a_boot_record_comes_first() -> None:
    _, header, payload = run(make_hal(), 2_000_000)[0]
    assert header.content_type == content.BOOT_RECORD
    assert (header.sequence, header.boot_id) == (0, 1)
    assert decode_boot(payload)["firmware"] == FIRMWARE_VERSION


def test_one_frame_a_block_with_the_middle_of_the_block_as_its_time() -> None:
    frames = run(make_hal(), 5_000_000)[1:]
    assert len(frames) == 4
    for at_us, header, payload in frames:
        (record,) = unpack(payload)
        middle_us = header.tick_us + record.time_s * 1e6
        # Blocks start at whole seconds; the mean of ten sample times is 0.45 s later.
        assert middle_us % 1_000_000 == pytest.approx(450_000, abs=1)
        assert at_us == header.tick_us
        assert record.name == "pump-a:temperature"
        assert record.unit == "Cel"
        assert record.value == pytest.approx(2.0 * 20.0 + 1.0)


def test_sequence_numbers_and_ticks_only_grow() -> None:
    headers = [header for _, header, _ in run(make_hal(), 10_000_000)]
    assert [header.sequence for header in headers] == list(range(len(headers)))
    ticks = [header.tick_us for header in headers]
    assert ticks == sorted(ticks)


def test_samples_are_due_on_a_grid_without_drift() -> None:
    seen: list[int] = []

    def source(now_us: int) -> float:
        seen.append(now_us)
        return 20.0

    run(make_hal(source), 20_000_000)
    # The chip converts every 15.5 ms by itself: each sample reads the conversion before its slot.
    slots = sorted({(now_us + 15_500) // PERIOD_US for now_us in seen if now_us > 1_000_000})
    assert slots == list(range(slots[0], slots[0] + len(slots)))


def test_a_block_that_was_missed_is_counted_and_not_made_up() -> None:
    hal = make_hal()
    node = bring_up(hal)
    plain_write = hal.write

    def slow_write(data: bytes) -> None:
        plain_write(data)
        if len(hal.sent) == 2:
            hal.now_us += 2_500_000

    hal.write = slow_write  # type: ignore[method-assign]
    hal.deadline_us = 9_000_000
    with pytest.raises(SystemExit):
        node.run()
    assert node.overruns == 3 * BLOCK
    starts = [at_us // 1_000_000 for at_us, _ in hal.sent[1:]]
    assert starts == [1, 5, 6, 7, 8]


def slow_chip(hal: FakeHal, cost_us: int, samples: range) -> None:
    """Make a number of samples (counted from 0 after start) cost `cost_us` more."""
    reads = 0
    plain_i2c = hal.i2c

    def i2c(number: int) -> Any:
        bus = plain_i2c(number)
        plain_read = bus.readfrom_mem_into

        def read(address: int, register: int, buffer: bytearray) -> None:
            nonlocal reads
            plain_read(address, register, buffer)
            if hal.now_us >= 1_000_000:
                if reads in samples:
                    hal.now_us += cost_us
                reads += 1

        bus.readfrom_mem_into = read  # type: ignore[method-assign]
        return bus

    hal.i2c = i2c  # type: ignore[method-assign]


def test_a_block_with_a_slot_that_was_missed_is_dropped_and_its_samples_counted() -> None:
    hal = make_hal()
    slow_chip(hal, 230_000, range(12, 13))
    hal.deadline_us = 5_999_999
    node = bring_up(hal)
    with pytest.raises(SystemExit):
        node.run()
    frames = sent_frames(hal)[1:]
    assert [at_us // 1_000_000 for at_us, _, _ in frames] == [1, 3, 4, 5]
    assert [header.sequence for _, header, _ in frames] == [1, 2, 3, 4]
    assert node.overruns == BLOCK


@pytest.mark.parametrize("cost_us", [99_000, 130_000, 350_000])
@pytest.mark.parametrize("block", [1, 3, 10])
def test_a_frame_is_never_further_off_than_a_slot(cost_us: int, block: int) -> None:
    hal = make_hal(lambda now_us: now_us / 1e6, configuration(block_samples=block))
    slow_chip(hal, cost_us, range(1000))
    hal.deadline_us = 20_000_000
    node = bring_up(hal)
    block_us = block * PERIOD_US
    start_us = (hal.now_us // block_us + 1) * block_us
    with pytest.raises(SystemExit):
        node.run()
    frames = sent_frames(hal)[1:]
    for _, header, payload in frames:
        (record,) = unpack(payload)
        claimed_s = header.tick_us / 1e6 + record.time_s
        true_s = (record.value - 1.0) / 2.0
        # The chip's newest conversion may be 16 ms old, and a step is 8 mK.
        assert -0.024 <= true_s - claimed_s < PERIOD_US / 1e6
    assert (node.overruns > 0) == (cost_us > PERIOD_US)
    # Frames and overruns cover all blocks up to the one that the deadline cut short.
    covered_us = start_us + (len(frames) * block + node.overruns) * PERIOD_US
    assert abs(covered_us - hal.deadline_us) <= block_us + cost_us


def test_a_sealed_probe_is_answered_with_its_time_of_arrival() -> None:
    hal = make_hal()
    sealer = Sealer(KID, HmacSha256(downlink_key(ROOT_KEY, KID)))
    probe = sealer.seal(content.TIME_PROBE, 0, 1, 0, encode_probe(77))
    hal.inbox.append((1_234_567, frame(probe)))
    answers = [
        (at_us, header, payload)
        for at_us, header, payload in run(hal, 4_000_000)
        if header.content_type == content.TIME_ANSWER
    ]
    ((at_us, header, payload),) = answers
    assert decode_answer(payload) == (77, 1_234_567)
    assert header.tick_us == at_us


@pytest.mark.parametrize("attack", ["repeated", "flipped", "foreign key", "uplink key", "noise"])
def test_what_is_not_a_fresh_sealed_command_has_no_effect(attack: str) -> None:
    hal = make_hal()
    sealer = Sealer(KID, HmacSha256(downlink_key(ROOT_KEY, KID)))
    genuine = sealer.seal(content.TIME_PROBE, 5, 1, 0, encode_probe(1))
    message = {
        "repeated": genuine,
        "flipped": genuine[:-1] + bytes([genuine[-1] ^ 1]),
        "foreign key": Sealer(KID, HmacSha256(bytes(32))).seal(65000, 6, 1, 0, encode_probe(1)),
        "uplink key": Sealer(KID, HmacSha256(uplink_key(ROOT_KEY, KID))).seal(
            65000, 6, 1, 0, encode_probe(1)
        ),
        "noise": b"\x01\x02\x03",
    }[attack]
    hal.inbox.append((1_100_000, frame(genuine)))
    hal.inbox.append((1_200_000, frame(message)))
    answers = [
        header for _, header, _ in run(hal, 3_000_000) if header.content_type == content.TIME_ANSWER
    ]
    assert len(answers) == 1


def test_a_command_of_an_earlier_gateway_start_is_refused() -> None:
    hal = make_hal()
    sealer = Sealer(KID, HmacSha256(downlink_key(ROOT_KEY, KID)))
    for at_us, boot_id, sequence in ((1_100_000, 2, 0), (1_200_000, 1, 9), (1_300_000, 2, 1)):
        message = sealer.seal(content.TIME_PROBE, sequence, boot_id, 0, encode_probe(sequence))
        hal.inbox.append((at_us, frame(message)))
    answers = [
        decode_answer(payload)[0]
        for _, header, payload in run(hal, 3_000_000)
        if header.content_type == content.TIME_ANSWER
    ]
    assert answers == [0, 1]


def test_a_probe_heard_again_after_a_reboot_is_refused() -> None:
    sealer = Sealer(KID, HmacSha256(downlink_key(ROOT_KEY, KID)))
    files = configuration()
    answered = []
    for sequences in ((0,), (0, COMMAND_BLOCK - 1, COMMAND_BLOCK)):
        hal = make_hal(files=files)
        for sequence in sequences:
            message = sealer.seal(content.TIME_PROBE, sequence, 1, 0, encode_probe(sequence))
            hal.inbox.append((1_100_000 + sequence, frame(message)))
        answered.append(
            [
                decode_answer(payload)[0]
                for _, header, payload in run(hal, 3_000_000)
                if header.content_type == content.TIME_ANSWER
            ]
        )
    assert answered == [[0], [COMMAND_BLOCK]]


def test_an_unprovisioned_node_says_so() -> None:
    with pytest.raises(ConfigError, match=r"node\.json is missing: provision"):
        bring_up(make_hal(files={}))


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("part", "bmp999", "no driver for part bmp999"),
        ("reading", "humidity_percent", "no reading humidity_percent"),
    ],
)
def test_a_channel_that_cannot_be_is_named(key: str, value: str, what: str) -> None:
    files = configuration()
    fields = json.loads(files["node.json"])
    fields["channels"][0][key] = value
    with pytest.raises(ConfigError, match=what):
        bring_up(make_hal(files={"node.json": json.dumps(fields).encode()}))
