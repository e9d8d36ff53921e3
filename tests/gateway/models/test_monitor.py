"""The monitor finds what has moved, names it, and keeps to its rate when nothing has."""

import numpy as np
import pytest

from gateway.models import monitor
from gateway.models.monitor import Healthy
from gateway.models.twin_model import TwinModel
from tests.gateway import models_on_disk
from tests.gateway.lifecycle.models_on_disk import LOCATION, SCALE, TRAINING_ROWS

COUNT = 600
MODEL = models_on_disk.model()
BEFORE = monitor.summarise(MODEL.scaling, models_on_disk.rows(TRAINING_ROWS))


def compare(rows: np.ndarray, model: TwinModel = MODEL, **options: float) -> monitor.Movement:
    return monitor.compare(model, BEFORE, monitor.summarise(model.scaling, rows), **options)


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
    whole = monitor.summarise(MODEL.scaling, rows)
    parts = [monitor.summarise(MODEL.scaling, part) for part in np.split(rows, [100, 300])]
    total = parts[0] + parts[1] + parts[2]
    in_pieces = monitor.summarise(MODEL.scaling, np.split(rows, [100, 300]))
    for field in Healthy.__dataclass_fields__:
        np.testing.assert_allclose(getattr(total, field), getattr(whole, field), rtol=1e-12)
        np.testing.assert_allclose(getattr(in_pieces, field), getattr(whole, field), rtol=1e-12)


def test_a_silent_signal_says_nothing_and_hides_nothing() -> None:
    rows = models_on_disk.rows(COUNT, 6)
    rows[:, 0] = np.nan
    rows[:, 1] += 2.0 * SCALE[1]
    movement = compare(rows)
    assert not movement.is_known
    assert {0} & {place for f in movement.findings for place in f.places} == set()
    assert movement.findings[0].places == (1,)


def test_too_few_rows_say_so() -> None:
    movement = compare(models_on_disk.rows(70, 7))
    assert (movement.is_known, movement.has_moved) == (False, False)
    assert compare(models_on_disk.rows(10, 7)).blocks == 0
