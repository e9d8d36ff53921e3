"""The measure of cost: exponent, flatness, and that memory that grows is seen."""

import numpy as np
import pytest

from benchmarks import fusion_cost
from benchmarks.fusion_cost import Reading


def test_growth_is_the_exponent() -> None:
    assert fusion_cost.growth([8, 100, 1000], [8.0, 100.0, 1000.0]) == pytest.approx(1.0)
    assert fusion_cost.growth([10, 100], [3.0, 300.0]) == pytest.approx(2.0)


def test_memory_that_keeps_a_pointer_for_each_row_is_not_flat() -> None:
    numbers = range(1_000, 21_000, 1_000)
    stays = [Reading(rows, 20_000 + rows % 300, 50_000_000) for rows in numbers]
    assert fusion_cost.is_flat(stays)
    held = [each._replace(traced_bytes=20_000 + 8 * each.rows) for each in stays]
    assert fusion_cost.bytes_per_row(held)[0] == pytest.approx(8.0)
    assert not fusion_cost.is_flat(held)
    pages = [each._replace(resident_bytes=50_000_000 + 40 * each.rows) for each in stays]
    assert not fusion_cost.is_flat(pages)


def test_the_simulated_plant_is_the_same_every_time() -> None:
    one = fusion_cost.plant(50, 6, np.random.default_rng(fusion_cost.SEED))
    other = fusion_cost.plant(50, 6, np.random.default_rng(fusion_cost.SEED))
    assert one.shape == (50, 6)
    np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_row_is_timed_and_memory_is_read_through_the_public_interface() -> None:
    rows = fusion_cost.plant(700, 5, np.random.default_rng(1))
    model = fusion_cost.learn(rows[:400])
    timed = fusion_cost.live(model, rows[400:])
    assert timed.signals == 5
    assert 0.0 < timed.median_s <= timed.slow_s
    readings = fusion_cost.memory(model, rows[400:], readings=5)
    assert [each.rows for each in readings] == [60, 120, 180, 240, 300]
    assert all(each.traced_bytes > 0 for each in readings)


def test_gaps_are_few_and_slow_signals_keep_every_fifth_row() -> None:
    rows = fusion_cost.plant(1_000, 5, np.random.default_rng(0))
    missing = np.isnan(fusion_cost.gapped(rows, np.random.default_rng(0)))
    assert missing.mean() == pytest.approx(fusion_cost.GAP_SHARE, abs=0.003)
    seen = ~np.isnan(fusion_cost.multi_rate(rows))
    assert seen[:, 3:].all()
    np.testing.assert_array_equal(seen[:, 0], np.arange(1_000) % fusion_cost.SLOW_EVERY == 0)
    assert not np.isnan(rows).any()
