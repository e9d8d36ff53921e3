"""The monitor finds what has moved, names it, and keeps to its rate when nothing has."""

import numpy as np
import pytest

from gateway.models import monitor
from gateway.models.fit import Settings, fit
from gateway.models.monitor import Healthy
from gateway.models.twin_model import TwinModel
from tests.gateway.lifecycle import models_on_disk
from tests.gateway.lifecycle.models_on_disk import LOCATION, SCALE, TRAINING_ROWS

COUNT = 600
MODEL = models_on_disk.model()
BEFORE = monitor.summarise(MODEL, models_on_disk.rows(TRAINING_ROWS))


def compare(rows: np.ndarray, model: TwinModel = MODEL, **options: float) -> monitor.Movement:
    return monitor.compare(model, BEFORE, monitor.summarise(model, rows), **options)


@pytest.mark.slow
def test_the_null_rate_is_what_is_said() -> None:
    found = [compare(models_on_disk.rows(COUNT, seed), false_alarms=0.05) for seed in range(1, 201)]
    assert all(movement.is_known for movement in found)
    # Bonferroni and wide levels make it conservative; 200 draws at 5 % give 10 and a deviation of 3
    assert sum(movement.has_moved for movement in found) <= 16


def test_an_offset_is_found_in_its_signal() -> None:
    rows = models_on_disk.rows(COUNT, 1)
    rows[:, 1] += 2.0 * SCALE[1]
    finding = compare(rows).findings[0]
    assert (finding.kind, finding.places) == ("level", (1,))
    assert finding.statistic > 4
    scale = MODEL.scaling.scale[1]
    assert (finding.now - finding.was) * scale == pytest.approx(2.0 * SCALE[1], rel=0.4)


def test_the_same_offset_after_a_long_time_is_ordinary_wandering() -> None:
    rows = models_on_disk.rows(COUNT, 1)
    rows[:, 1] += 2.0 * SCALE[1]
    levels = [f for f in compare(rows, age_rows=10_000_000).findings if f.kind == "level"]
    assert levels == []


def test_a_wider_signal_is_found() -> None:
    rows = models_on_disk.rows(COUNT, 2)
    rows[:, 3] = LOCATION[3] + 2.0 * (rows[:, 3] - LOCATION[3])
    finding = compare(rows).findings[0]
    assert (finding.kind, finding.places) == ("spread", (3,))
    assert finding.now / finding.was == pytest.approx(2.0, rel=0.2)


def test_signals_that_part_are_found_though_each_looks_the_same() -> None:
    rows = models_on_disk.rows(COUNT, 3)
    rows[:, 2] = models_on_disk.rows(COUNT, 4)[:, 2]
    kinds = {(f.kind, f.places) for f in compare(rows).findings}
    assert kinds == {("coupling", (0, 2)), ("coupling", (1, 2))}


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    rows = models_on_disk.rows(COUNT, 5)
    rows[3:9, 0] = np.nan
    rows[:, 2][::3] = np.nan
    whole = monitor.summarise(MODEL, rows)
    parts = [monitor.summarise(MODEL, part) for part in np.split(rows, [100, 300])]
    total = parts[0] + parts[1] + parts[2]
    in_pieces = monitor.summarise(MODEL, np.split(rows, [100, 300]))
    for field in Healthy.__dataclass_fields__:
        np.testing.assert_allclose(getattr(total, field), getattr(whole, field), rtol=1e-12)
        np.testing.assert_allclose(getattr(in_pieces, field), getattr(whole, field), rtol=1e-12)


def test_a_silent_signal_is_unknown_and_hides_nothing() -> None:
    rows = models_on_disk.rows(COUNT, 6)
    rows[:, 0] = np.nan
    rows[:, 1] += 2.0 * SCALE[1]
    movement = compare(rows)
    assert not movement.is_known
    assert movement.unknown == ((0,),)
    assert {0} & {place for f in movement.findings for place in f.places} == set()
    assert movement.findings[0].places == (1,)


def test_too_few_rows_say_so() -> None:
    movement = compare(models_on_disk.rows(70, 7))
    assert (movement.is_known, movement.has_moved) == (False, False)
    assert movement.unknown == ((0,), (1,), (2,), (3,))
    assert compare(models_on_disk.rows(10, 7)).blocks == 1


def test_two_signals_that_never_meet_any_more_are_an_unknown_pair() -> None:
    rows = models_on_disk.rows(COUNT, 8)
    rows[::2, 0] = np.nan
    rows[1::2, 2] = np.nan
    assert compare(rows).unknown == ((0, 2),)


def test_pieces_shorter_than_a_block_are_compared() -> None:
    rows = models_on_disk.rows(COUNT, 9)
    rows[:, 1] += 2.0 * SCALE[1]
    pieces = [rows[first : first + 9] for first in range(0, COUNT, 30)]
    movement = monitor.compare(MODEL, BEFORE, monitor.summarise(MODEL, pieces))
    assert movement.is_known
    assert ("level", (1,)) in {(f.kind, f.places) for f in movement.findings}


def test_a_signal_seen_in_few_rows_of_each_block_is_compared() -> None:
    rows = models_on_disk.rows(COUNT, 10)
    rows[:, 3] = LOCATION[3] + 4.0 * (rows[:, 3] - LOCATION[3])
    rows[np.arange(COUNT) % 20 >= 9, 3] = np.nan
    movement = compare(rows)
    assert movement.is_known
    assert ("spread", (3,)) in {(f.kind, f.places) for f in movement.findings}


def test_values_that_stand_alone_are_not_passed_over() -> None:
    rows = models_on_disk.rows(COUNT, 11)
    assert monitor.alone(MODEL, rows) == ()
    rows[100:, 2] = np.where(np.arange(500) % 20 == 1, rows[100:, 2], np.nan)
    # Five whole blocks are enough to compare; a fifth of the values is in none.
    assert compare(rows).is_known
    assert monitor.alone(MODEL, rows) == (2,)
    assert monitor.alone(MODEL, list(rows[:, None, :])) == (0, 1, 2, 3)


@pytest.mark.slow
def test_another_mix_of_known_ways_of_running_is_no_movement() -> None:
    """Training ran half of the time at each of two speeds; now it runs at one of them alone."""
    rng = np.random.default_rng(12)
    first = np.zeros((1_200, 3))
    first[(np.arange(1_200) // 60) % 2 == 1] = [8.0, 8.0, 0.0]
    model = fit(
        first + rng.normal(size=first.shape) * 0.3,
        ("speed", "flow", "heat"),
        ("", "", ""),
        period_ns=models_on_disk.S,
        asset="pump",
        settings=Settings(order=(1, 0)),
    )
    assert len(model.regimes.weights) == 2
    before = monitor.summarise(model, first + rng.normal(size=first.shape) * 0.3)
    now = np.array([8.0, 8.0, 0.0]) + rng.normal(size=(400, 3)) * 0.3
    assert not monitor.compare(model, before, monitor.summarise(model, now)).has_moved
    now[:, 1] += 1.0
    moved = monitor.compare(model, before, monitor.summarise(model, now))
    assert moved.findings[0].places == (1,)
