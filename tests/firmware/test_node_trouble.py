"""A node in trouble runs what it can, says what it does not, and never sends an invented value."""

import json
from typing import Any

import pytest

from drivers.tmp117.emulator import EMULATOR
from firmware.app import bring_up
from firmware.errors import KeyFileError, StateError
from tests.firmware.fake_hal import FakeHal
from tests.firmware.node_run import (
    CHANNEL,
    Sent,
    configuration,
    make_hal,
    of_type,
    readings,
    run,
    sent_frames,
)
from wire import content
from wire.senml import unpack
from wire.status import decode_status


def channel(**changes: Any) -> dict[str, Any]:
    return {**CHANNEL, "name": "second", **changes}


def problems(frames: list[Sent]) -> list[str]:
    """What the newest status record says is wrong."""
    statuses = of_type(frames, content.STATUS_RECORD)
    found = decode_status(statuses[-1].payload)["problems"]
    assert isinstance(found, list)
    return found


def names(sent: Sent) -> list[str]:
    return [record.name for record in unpack(sent.payload)]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"address": 0x49}, "0x49"),
        ({"part": "ina226"}, "ina226"),
        ({"part": "bmp999"}, "bmp999"),
        ({"reading": "humidity_percent"}, "humidity_percent"),
        ({"filter": "medium"}, "medium"),
        ({"address": 300}, "address"),
        ({"options": {"colour": 1}}, "colour"),
    ],
    ids=["absent", "wrong id", "no driver", "no reading", "no filter", "no address", "no option"],
)
def test_a_channel_that_cannot_be_is_named_and_the_others_run(
    changes: dict[str, Any], word: str
) -> None:
    files = configuration(channels=[channel(**changes), CHANNEL], status_s=1)
    frames = run(make_hal(files=files), 6_000_000)
    assert len(readings(frames)) == 5
    assert {tuple(names(sent)) for sent in readings(frames)} == {("pump-a:temperature",)}
    assert len([text for text in problems(frames) if word in text]) == 1


def test_a_chip_that_falls_silent_gives_no_value_and_comes_back_by_itself() -> None:
    hal = make_hal(files=configuration(status_s=1))
    plain_i2c = hal.i2c

    def i2c(number: int) -> Any:
        bus = plain_i2c(number)
        plain_read = bus.readfrom_mem_into

        def read(address: int, register: int, buffer: bytearray) -> None:
            if 3_200_000 < hal.now_us < 5_200_000:
                raise OSError(19)
            plain_read(address, register, buffer)

        bus.readfrom_mem_into = read  # type: ignore[method-assign]
        return bus

    hal.i2c = i2c  # type: ignore[method-assign]
    frames = run(hal, 30_000_000)
    ends = {sent.at_us // 1_000_000 for sent in readings(frames)}
    # The blocks that end at 3.9 s, 4.9 s and 5.9 s hold samples the chip did not give.
    assert {1, 2} <= ends
    assert not {3, 4, 5} & ends
    assert max(ends) == 29
    values = {record.value for sent in readings(frames) for record in unpack(sent.payload)}
    assert all(value == pytest.approx(41.0) for value in values)
    said = [
        decode_status(sent.payload)["problems"] for sent in of_type(frames, content.STATUS_RECORD)
    ]
    assert any("no acknowledge" in text for texts in said for text in texts)  # type: ignore[attr-defined]
    assert said[-1] == []


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[1]", None])
def test_a_corrupt_configuration_leaves_a_node_that_says_so(text: bytes | None) -> None:
    files = configuration()
    if text is None:
        del files["node.json"]
    else:
        files["node.json"] = text
    frames = run(make_hal(files=files), 12_000_000)
    assert readings(frames) == []
    assert any("provision" in text for text in problems(frames))


def test_an_impossible_schedule_samples_nothing_and_says_so() -> None:
    files = configuration(sample_period_us=10)
    frames = run(make_hal(files=files), 3_000_000_000)
    assert readings(frames) == []
    files = configuration(sample_period_us=10, status_s=1)
    frames = run(make_hal(files=files), 5_000_000)
    assert any("sample_period_us" in text for text in problems(frames))


def test_a_node_without_a_key_sends_nothing_at_all() -> None:
    for damage in (b"", b"{}", b"\x00" * 200):
        files = configuration()
        files["node.key"] = damage
        hal = make_hal(files=files)
        with pytest.raises(KeyFileError, match="provision"):
            bring_up(hal)
        assert hal.sent == []


def test_a_node_that_cannot_count_sends_nothing_at_all() -> None:
    files = configuration()
    files["node.state.a"] = files["node.state.b"] = b"damaged"
    hal = make_hal(files=files)
    with pytest.raises(StateError):
        bring_up(hal)
    assert hal.sent == []


def test_keys_and_configuration_of_different_nodes_are_told_apart() -> None:
    files = configuration(node="pump-b", status_s=1)
    frames = run(make_hal(files=files), 3_000_000)
    assert any("'pump-b'" in text and "'pump-a'" in text for text in problems(frames))


def test_a_full_flash_stops_no_sample() -> None:
    spool = {"behind_bytes": 0}
    hal = make_hal(files=configuration(receipts=True, status_s=1, spool=spool))
    node = bring_up(hal)
    hal.is_full = True
    hal.deadline_us = 8_000_000
    with pytest.raises(SystemExit):
        node.run()
    frames = sent_frames(hal)
    assert len(readings(frames)) == 7
    assert any("flash" in text for text in problems(frames))


def test_a_flash_that_takes_no_more_numbers_ends_sealing_and_not_sampling() -> None:
    hal = make_hal(files=configuration())
    node = bring_up(hal)
    hal.is_full = True
    hal.deadline_us = 400_000_000
    with pytest.raises(SystemExit):
        node.run()
    numbers = [data for _, data in hal.sent]
    assert len(numbers) == 256
    assert node.schedule.samples > 3900


def test_an_output_is_safe_even_on_a_node_without_a_key() -> None:
    outputs = [{"name": "relay", "pin": 7, "safe": 1, "hold_ms_max": 2000}]
    files = configuration(outputs=outputs)
    del files["node.key"]
    hal = make_hal(files=files)
    with pytest.raises(KeyFileError):
        bring_up(hal)
    assert hal.pins == {7: 1}


def test_a_link_that_is_not_here_falls_back_to_the_line_and_says_so() -> None:
    for link in ({"kind": "pigeon"}, {"kind": "mqtt"}):
        files = configuration(link=link, status_s=1)
        frames = run(make_hal(files=files), 3_000_000)
        assert any("the serial line is used" in text for text in problems(frames))


def test_a_message_in_the_middle_of_noise_is_heard() -> None:
    hal = make_hal()
    hal.inbox.append((1_500_000, bytes(range(1, 256)) * 9))
    frames = run(hal, 5_000_000)
    assert len(readings(frames)) == 4


def test_two_chips_at_one_bus_do_not_disturb_each_other() -> None:
    hot = EMULATOR()
    hot.drive("temperature_celsius", 80.0)
    cold = EMULATOR()
    cold.drive("temperature_celsius", -10.0)
    files = configuration(channels=[CHANNEL, channel(address=0x49)])
    frames = run(FakeHal({0x48: hot, 0x49: cold}, files), 3_000_000)
    (values,) = {
        tuple(round(record.value) for record in unpack(sent.payload)) for sent in readings(frames)
    }
    assert sorted(values) == [-19, 161]


def test_the_key_is_in_no_message_of_an_error() -> None:
    files = configuration()
    key = json.loads(files["node.key"])
    files["node.key"] = files["node.key"].replace(b'"epoch": 0', b'"epoch": 9')
    with pytest.raises(KeyFileError) as caught:
        bring_up(make_hal(files=files))
    assert key["root"][:8] not in str(caught.value)
