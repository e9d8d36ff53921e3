"""Waves between the rows of a trace: exact RMS over a block, and robust against when one reads."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.traces import TraceChannel, read_trace
from hil.waveform import Hold, RmsSine, SampleGrid, peak_factor, unit_wave

GRID = SampleGrid(sample_period_us=100_000, block_samples=10)
LATE_US = 12_499
"""Latest read after it is due that still belongs to the sample: just below 1/8 period."""
EARLY_US = 87_500
"""Earliest conversion before it."""


def channel(folder: Path, rows: list[tuple[str, float]]) -> TraceChannel:
    path = folder / "wave.csv"
    path.write_text("t;x\n" + "".join(f"{time};{value!r}\n" for time, value in rows))
    return read_trace(path, {"x": "V"}).channels[0]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(block=st.integers(3, 400), first=st.integers(0, 1000), rms=st.floats(1e-9, 1e6))
def test_any_block_of_samples_has_mean_0_and_the_rms_of_the_row(block, first, rms):
    wave = unit_wave(block)
    samples = [rms * wave[(first + each) % block] for each in range(block)]
    mean = math.fsum(samples) / block
    got = math.sqrt(math.fsum(each * each for each in samples) / block)
    assert abs(mean) <= 1e-14 * rms
    assert got == pytest.approx(rms, rel=1e-14, abs=0)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(block=st.integers(3, 400))
def test_the_wave_is_the_sine_it_is_documented_as(block):
    for sample, value in enumerate(unit_wave(block)):
        angle = 2 * math.pi * sample / block + math.pi / block
        assert value == pytest.approx(math.sqrt(2) * math.sin(angle), abs=1e-12)
    assert peak_factor(block) <= math.sqrt(2) + 1e-12


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_sine_needs_three_samples(block):
    with pytest.raises(ValueError, match="needs 3 samples"):
        unit_wave(block)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    jitter_us=st.lists(st.integers(-EARLY_US, LATE_US), min_size=30, max_size=30),
    origin_us=st.integers(0, 3_000_000),
)
def test_each_block_has_its_rows_rms_however_the_reads_jitter(
    tmp_path_factory, jitter_us, origin_us
):
    rows = [("0", 0.25), ("1", 0.5), ("2", 3.0)]
    grid = SampleGrid(sample_period_us=100_000, block_samples=10, origin_us=origin_us)
    held = channel(tmp_path_factory.getbasetemp(), rows).held()
    source = RmsSine(held, lambda volt: 2.0 * volt, grid)
    for block, (_, rms) in enumerate(rows):
        samples = []
        for each in range(10 * block, 10 * block + 10):
            due_us = origin_us + 100_000 * each
            samples.append(source(due_us + jitter_us[each]))
        got = math.sqrt(math.fsum(value * value for value in samples) / 10)
        assert got == pytest.approx(2.0 * rms, rel=1e-14)


def test_a_row_that_starts_within_a_block_waits_for_the_next_block(tmp_path):
    held = channel(tmp_path, [("0", 1.0), ("1.5", 9.0), ("4", 0.0)]).held()
    source = RmsSine(held, float, GRID)
    peaks = [max(abs(source(1_000_000 * s + 100_000 * k)) for k in range(10)) for s in range(4)]
    assert peaks == pytest.approx([1.0 * peak_factor(10)] * 2 + [9.0 * peak_factor(10)] * 2)


def test_hold_changes_at_the_sample_that_is_due_with_the_row(tmp_path):
    held = channel(tmp_path, [("0", 1.0), ("0.3", 2.0), ("5", 3.0)]).held()
    source = Hold(held, lambda volt: 10.0 * volt, GRID)
    assert source(200_000) == 10.0
    assert source(200_000 + LATE_US) == 10.0
    assert source(300_000 - EARLY_US) == 20.0
    assert source(300_000) == 20.0
    assert source(4_900_000) == 20.0
    assert source(5_000_000) == 30.0


def test_before_the_origin_the_first_row_holds(tmp_path):
    held = channel(tmp_path, [("0", 1.0), ("1", 2.0)]).held()
    grid = SampleGrid(sample_period_us=100_000, block_samples=10, origin_us=2_000_000)
    source = Hold(held, float, grid)
    assert (source(0), source(2_000_000), source(3_000_000)) == (1.0, 1.0, 2.0)


def test_a_source_is_a_pure_function_of_time(tmp_path):
    held = channel(tmp_path, [("0", 1.0), ("1", 2.0), ("2", 3.0)]).held()
    source = RmsSine(held, float, GRID)
    forward = [source(50_000 * each) for each in range(60)]
    backward = [source(50_000 * each) for each in reversed(range(60))]
    assert forward == backward[::-1]


@pytest.mark.parametrize(("period_us", "block"), [(0, 10), (100, 0)])
def test_a_grid_without_samples_is_refused(period_us, block):
    with pytest.raises(ValueError, match="at least 1"):
        SampleGrid(sample_period_us=period_us, block_samples=block)
