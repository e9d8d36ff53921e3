"""Waveforms over a fake chip: features against numpy, time, losses, silence, captures."""

import math
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import cbor2
import numpy as np
import pytest

from firmware.waveform import NEVER_US, Waveform
from tests.firmware.fifo_chip import Clock, FifoChip
from wire.raw_block import counts, decode_raw_block

RATE_HZ = 4000
BLOCK = 4000
SETTLING = RATE_HZ // 2
LSB = 2 * 9.80665 / 512000
FEATURES = [
    {"name": "x-rms", "axis": "x", "feature": "rms"},
    {"name": "x-peak", "axis": "x", "feature": "peak"},
    {"name": "x-crest", "axis": "x", "feature": "crest"},
    {"name": "x-kurtosis", "axis": "x", "feature": "kurtosis"},
    {"name": "x-velocity", "axis": "x", "feature": "velocity_rms"},
    {"name": "x-band", "axis": "x", "feature": "band", "low_hz": 90, "high_hz": 110},
    {"name": "z-band", "axis": "z", "feature": "band", "low_hz": 480, "high_hz": 520},
    {"name": "z-rms", "axis": "z", "feature": "rms"},
]


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FifoChip]]:
    """The class of the fake chip, found by the firmware as the driver of part `fifochip`."""
    fresh = type("Chip", (FifoChip,), {})
    module = ModuleType("drivers.fifochip.driver")
    module.DRIVER = fresh  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "drivers.fifochip", ModuleType("drivers.fifochip"))
    monkeypatch.setitem(sys.modules, "drivers.fifochip.driver", module)
    return fresh


def table(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "vibration",
        "part": "fifochip",
        "bus": 0,
        "address": None,
        "rate_hz": RATE_HZ,
        "block_samples": BLOCK,
        "options": {},
        "features": FEATURES,
    }
    fields.update(changes)
    return fields


def signal(n: int) -> tuple[int, int, int]:
    x = 20_000 * math.sin(2 * math.pi * 100 * n / RATE_HZ)
    x += 6_000 * math.sin(2 * math.pi * 730 * n / RATE_HZ)
    z = 3_000 * math.sin(2 * math.pi * 500 * n / RATE_HZ)
    return round(256_000 + x), -5, round(z)


def poll(waveform: Waveform) -> None:
    """Drain the FIFO, and do all the work that follows from it."""
    waveform.poll()
    while waveform.work():
        pass


def run(waveform: Waveform, clock: Clock, until_us: int) -> list[tuple[int, list[Any]]]:
    """Poll whenever it is due; (middle_us, values) of every block."""
    blocks = []
    while waveform.due_us < until_us:
        clock.now_us = max(clock.now_us, waveform.due_us)
        poll(waveform)
        if waveform.is_complete:
            blocks.append((waveform.middle_us, waveform.take()))
    clock.now_us = until_us
    return blocks


def test_features_agree_with_numpy(chip: type[FifoChip]) -> None:
    chip.signal = staticmethod(signal)
    clock = Clock()
    waveform = Waveform(table(), clock)
    assert waveform.start() == []
    assert waveform.channels[4] == ("x-velocity", "m/s")
    ((_, values),) = run(waveform, clock, 1_700_000)
    # The velocity's filters have half a second to settle.
    samples = np.array([signal(n) for n in range(SETTLING, SETTLING + BLOCK)], float) * LSB
    x = samples[:, 0] - samples[:, 0].mean()
    rms = math.sqrt((x**2).mean())
    velocity = LSB * math.hypot(20_000 / (2 * math.pi * 100), 6_000 / (2 * math.pi * 730))
    # The gain of the velocity band at 730 Hz is 0.96 (test_design_sections.py has the curve).
    assert values[0] == pytest.approx(rms, rel=1e-9)
    assert values[1] == pytest.approx(abs(x).max(), rel=1e-9)
    assert values[2] == pytest.approx(abs(x).max() / rms, rel=1e-9)
    assert values[3] == pytest.approx((x**4).mean() / rms**4, rel=2e-3)
    assert values[4] == pytest.approx(velocity / math.sqrt(2), rel=2e-3)
    assert values[5] == pytest.approx(20_000 * LSB / math.sqrt(2), rel=2e-3)
    assert values[6] == pytest.approx(3_000 * LSB / math.sqrt(2), rel=2e-3)
    assert values[7] == pytest.approx(samples[:, 2].std(), rel=1e-9)


@pytest.mark.parametrize("rate_error", [-0.01, 0.0, 0.01])
def test_the_time_of_a_block_is_that_of_its_middle(chip: type[FifoChip], rate_error: float) -> None:
    chip.rate_error = rate_error
    clock = Clock()
    clock.now_us = 7_000
    waveform = Waveform(table(features=FEATURES[:1]), clock)
    waveform.start()
    blocks = run(waveform, clock, 10_000_000)
    assert len(blocks) in (9, 10)
    driver = waveform._chip
    for index, (middle_us, _) in enumerate(blocks):
        first = driver.time_us(index * BLOCK)
        last = driver.time_us((index + 1) * BLOCK - 1)
        assert middle_us == pytest.approx((first + last) / 2, abs=300)


def test_a_block_with_lost_samples_is_dropped_and_counted(chip: type[FifoChip]) -> None:
    chip.signal = staticmethod(signal)
    clock = Clock()
    waveform = Waveform(table(), clock)
    waveform.start()
    assert len(run(waveform, clock, 2_700_000)) == 2
    clock.now_us += 20_000
    blocks = run(waveform, clock, 5_400_000)
    assert waveform.blocks_dropped == 1
    assert waveform.problems() == ["waveform vibration: blocks dropped: 1"]
    assert len(blocks) == 2
    # Behind the gap, less what the FIFO still had, the filters settle first.
    assert blocks[0][0] == pytest.approx(2_720_000 - 8_000 + 500_000 + 500_000, abs=300)
    assert all(None not in values for _, values in blocks)


def test_a_chip_that_falls_silent_is_tried_again_with_backoff(chip: type[FifoChip]) -> None:
    chip.silent_us = (1_500_000, 8_000_000)
    clock = Clock()
    waveform = Waveform(table(features=FEATURES[:1]), clock)
    assert waveform.start() == []
    assert len(run(waveform, clock, 1_600_000)) == 1
    assert "silent" in waveform.problems()[0]
    blocks = run(waveform, clock, 12_000_000)
    # Tried 1, 2 and 4 s after each other; the last one is after the silence.
    assert chip.starts == 4
    assert len(blocks) == 3
    assert waveform.problems() == ["waveform vibration: blocks dropped: 1"]


def test_a_chip_that_is_silent_from_the_start_does_not_stop_the_node(
    chip: type[FifoChip],
) -> None:
    chip.silent_us = (0, 500_000)
    clock = Clock()
    waveform = Waveform(table(features=FEATURES[:1]), clock)
    assert "silent" in waveform.start()[0]
    assert waveform.capture(10) == "waveform vibration is not running"
    assert len(run(waveform, clock, 3_000_000)) == 1


@pytest.mark.usefixtures("chip")
@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"part": "bmp999"}, "no driver for part bmp999"),
        ({"bus": 3}, "spi 3 is not on this board"),
        ({"rate_hz": 999, "features": FEATURES[:1]}, "1000 and 4000 Hz are possible"),
        ({"rate_hz": 1000}, "velocity_rms needs a rate_hz of 3332, 4000, 6664"),
        ({"options": {"colour": 1}}, "options of fifochip"),
        ({"features": []}, "a list of 1 to 40 is needed"),
        ({"features": [{"name": "a", "axis": "w", "feature": "rms"}]}, "features[0].axis"),
        ({"features": [{"name": "a", "axis": "x", "feature": "sum"}]}, "features[0].feature"),
        ({"features": [{**FEATURES[0], "colour": 1}]}, "unknown key colour"),
        ({"features": [{**FEATURES[5], "low_hz": 200}]}, "0 < low_hz < high_hz"),
        ({"features": [{**FEATURES[5], "low_hz": 109}]}, "at least 15.625 Hz wide"),
        ({"block_samples": 1000}, "at least 62.5 Hz wide"),
        ({"block_samples": 127}, "a block of at least 128 samples"),
    ],
)
def test_a_wrong_table_is_a_problem_that_says_what(changes: dict[str, Any], what: str) -> None:
    waveform = Waveform(table(**changes), Clock())
    (problem,) = waveform.start()
    assert what in problem
    assert waveform.due_us == NEVER_US
    assert waveform.problems() == [problem]
    assert waveform.channels


def test_a_capture_is_every_sample_once(chip: type[FifoChip]) -> None:
    chip.signal = staticmethod(lambda n: (n, -n, 2 * n))
    clock = Clock()
    waveform = Waveform(table(features=FEATURES[:1]), clock)
    waveform.base_name = "pump-a:"
    waveform.start()
    run(waveform, clock, 100_000)
    assert waveform.capture(0) == "a capture has 1 to 65536 samples"
    assert waveform.capture(300) is None
    assert waveform.capture(5) == "a capture is running"
    found: list[int] = []
    while len(found) < 900:
        clock.now_us = waveform.due_us
        poll(waveform)
        piece = waveform.take_captured()
        if piece is not None:
            payload, tick_us = piece
            # SenML labels: -2 base name, 0 name, 6 time, 8 data value.
            (record,) = cbor2.loads(payload)
            block = decode_raw_block(record[8])
            assert record[-2] + record[0] == "pump-a:vibration"
            assert (block.capture_id, block.total, block.axes) == (1, 300, 3)
            assert block.first == len(found) // 3
            time_us = tick_us + record[6] * 1e6
            values = counts(block)
            assert time_us == pytest.approx(waveform._chip.time_us(values[0]), abs=300)
            found += values
    assert found[0] < 400
    assert found == [each for n in range(found[0], found[0] + 300) for each in (n, -n, 2 * n)]
    assert waveform.take_captured() is None
    assert waveform.capture(1) is None


@pytest.mark.usefixtures("chip")
def test_a_capture_that_is_not_taken_ends_with_a_word() -> None:
    clock = Clock()
    waveform = Waveform(table(features=FEATURES[:1]), clock)
    waveform.start()
    waveform.capture(1000)
    run(waveform, clock, 200_000)
    assert waveform.problems() == ["waveform vibration: a capture was not taken in time"]
    assert waveform.take_captured() is None
