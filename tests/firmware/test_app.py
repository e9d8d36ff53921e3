"""The node's loop in virtual time: when it samples, what it sends, in which order it starts."""

import hashlib
from itertools import pairwise
from typing import Any

import pytest

from firmware.app import FIRMWARE_VERSION, bring_up
from firmware.counters import RESERVED_BLOCK
from tests.firmware.fake_hal import FakeHal
from tests.firmware.node_run import (
    BLOCK,
    PERIOD_US,
    configuration,
    make_hal,
    of_type,
    readings,
    run,
    sent_frames,
)
from wire import content
from wire.measurement import decode_measurement, files_sha256
from wire.messages import POWER_CUT, decode_boot, decode_loss
from wire.senml import unpack


def test_a_boot_record_comes_first() -> None:
    hal = make_hal()
    sent = run(hal, 2_000_000)[0]
    assert sent.header.content_type == content.BOOT_RECORD
    assert (sent.header.sequence, sent.header.boot_id) == (0, 1)
    fields = decode_boot(sent.payload)
    assert fields["firmware"] == FIRMWARE_VERSION
    assert fields["reset_cause"] == "power_on"
    assert fields["config_sha256"] == hashlib.sha256(hal.files["node.json"]).digest()


def test_the_boot_record_stands_for_the_files_that_follow_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [
        (f"wire/{index:02}.py", hashlib.sha256(bytes([index])).digest()) for index in range(20)
    ]
    monkeypatch.setattr("firmware.measured.measure", lambda hal: files)
    frames = run(make_hal(), 2_000_000)
    parts = [decode_measurement(sent.payload) for sent in of_type(frames, content.MEASUREMENT)]
    assert [(part.part, part.parts) for part in parts] == [(0, 2), (1, 2)]
    assert [entry for part in parts for entry in part.entries] == files
    assert decode_boot(frames[0].payload)["files_sha256"] == files_sha256(files)


def test_one_frame_a_block_with_the_middle_of_the_block_as_its_time() -> None:
    frames = readings(run(make_hal(), 5_000_000))
    assert len(frames) == 4
    for sent in frames:
        (record,) = unpack(sent.payload)
        middle_us = sent.header.tick_us + record.time_s * 1e6
        # Blocks start at whole seconds; the mean of ten sample times is 0.45 s later.
        assert middle_us % 1_000_000 == pytest.approx(450_000, abs=1)
        assert sent.at_us == sent.header.tick_us
        assert record.name == "pump-a:temperature"
        assert record.unit == "Cel"
        assert record.value == pytest.approx(2.0 * 20.0 + 1.0)


def test_sequence_numbers_and_ticks_only_grow() -> None:
    headers = [sent.header for sent in run(make_hal(), 10_000_000)]
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
    is_slow = True

    def slow_write(data: bytes) -> None:
        nonlocal is_slow
        plain_write(data)
        if is_slow and hal.now_us > 1_500_000:
            is_slow = False
            hal.now_us += 2_500_000

    hal.write = slow_write  # type: ignore[method-assign]
    hal.deadline_us = 9_000_000
    with pytest.raises(SystemExit):
        node.run()
    starts = [sent.at_us // 1_000_000 for sent in readings(sent_frames(hal))]
    assert starts == [1, 5, 6, 7, 8]
    assert node.schedule.overruns == 3 * BLOCK


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
    frames = readings(sent_frames(hal))
    assert [sent.at_us // 1_000_000 for sent in frames] == [1, 3, 4, 5]
    numbers = [sent.header.sequence for sent in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert node.schedule.overruns == BLOCK


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
    frames = readings(sent_frames(hal))
    for sent in frames:
        (record,) = unpack(sent.payload)
        claimed_s = sent.header.tick_us / 1e6 + record.time_s
        true_s = (record.value - 1.0) / 2.0
        # The chip's newest conversion may be 16 ms old, and a step is 8 mK.
        assert -0.024 <= true_s - claimed_s < PERIOD_US / 1e6
    assert (node.schedule.overruns > 0) == (cost_us > PERIOD_US)
    # Frames and overruns cover all blocks up to the one that the deadline cut short.
    covered_us = start_us + (len(frames) * block + node.schedule.overruns) * PERIOD_US
    assert abs(covered_us - hal.deadline_us) <= block_us + cost_us


@pytest.mark.parametrize("changes", [{}, {"block_samples": 100}, {"sample_period_us": 30_000_000}])
def test_the_watchdog_is_fed_while_nothing_is_late(changes: dict[str, int]) -> None:
    hal = make_hal(files=configuration(watchdog_ms=2000, **changes))
    run(hal, 70_000_000)
    assert hal.dog is not None
    assert hal.dog.timeout_us == 2_000_000
    fed_us = [0, *hal.dog.fed_us]
    assert max(after - before for before, after in pairwise(fed_us)) <= 1_000_000 + PERIOD_US
    assert fed_us[-1] >= 68_000_000


def test_a_node_that_does_not_get_round_to_sampling_does_not_feed() -> None:
    hal = make_hal()
    slow_chip(hal, 130_000, range(1000))
    node = bring_up(hal)
    hal.deadline_us = 20_000_000
    with pytest.raises(SystemExit):
        node.run()
    assert hal.dog is not None
    late = [at_us for at_us in hal.dog.fed_us if at_us > 5_000_000]
    # Once a sample, and not while it only waits for the next one, which is late already.
    assert len(late) <= node.schedule.samples + len(readings(sent_frames(hal)))


def test_a_second_boot_declares_the_numbers_nobody_will_see() -> None:
    files = configuration()
    first = run(make_hal(files=files), 4_000_000)
    assert of_type(first, content.LOSS_RECORD) == []
    second = run(make_hal(files=files), 4_000_000)
    loss = decode_loss(second[0].payload)
    assert second[0].header.content_type == content.LOSS_RECORD
    assert (loss.first, loss.last, loss.reason) == (0, RESERVED_BLOCK - 1, POWER_CUT)
    assert {sent.header.boot_id for sent in second} == {2}
    assert second[0].header.sequence == RESERVED_BLOCK
