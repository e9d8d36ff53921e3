"""The first rows become a model, the same rows the same one; what cannot be learnt is said."""

import math

import numpy as np
import pytest

from gateway.errors import TrainingError
from gateway.models.fit import Asset, Settings
from gateway.stages import learning
from gateway.stages.learning import Lesson, LiveRow, model_id, segments, training_rows_min
from tests.gateway.models import healthy
from tests.gateway.stages.frames import SECOND_NS

SIGNALS = tuple(f"n:s{place}" for place in range(healthy.SIGNALS))
ASSET = Asset("pump", SIGNALS, ("V",) * healthy.SIGNALS, SECOND_NS)
ROWS = 200
QUICK = Settings(order=(2, 0))
"""The choice of an order takes a second, and is tested elsewhere."""


def live(values, first=0, is_sealed=True):
    """Return rows as they come, numbered from `first`."""
    return [
        LiveRow(number, number * SECOND_NS, list(row), is_sealed)
        for number, row in enumerate(values, first)
    ]


def learnt_from(rows, lesson=None):
    """Return what the last row of a lesson led to."""
    lesson = Lesson(ASSET, ROWS, 0.1, QUICK) if lesson is None else lesson
    *before, last = [lesson.take(row) for row in rows]
    assert before == [None] * (len(rows) - 1)
    return last


def test_the_last_row_that_is_needed_makes_the_model():
    learnt = learnt_from(live(healthy.rows(ROWS), first=7))
    assert (learnt.rows, learnt.from_ns, learnt.to_ns) == (ROWS, 7 * SECOND_NS, 206 * SECOND_NS)
    assert (learnt.model.asset, learnt.model.signals) == ("pump", SIGNALS)
    assert learnt.model.units == ("V",) * healthy.SIGNALS
    assert learnt.is_sealed


def test_the_same_rows_give_the_same_id_and_others_another():
    first, again = (learnt_from(live(healthy.rows(ROWS))) for _ in range(2))
    other = learnt_from(live(healthy.rows(ROWS, seed=1)))
    assert model_id(first) == model_id(again)
    assert model_id(first) != model_id(other)
    assert len(model_id(first)) == 16


def test_one_value_that_nobody_sealed_is_remembered():
    rows = live(healthy.rows(ROWS))
    rows[3] = rows[3]._replace(is_sealed=False)
    assert not learnt_from(rows).is_sealed


def test_rows_that_cannot_be_fitted_are_said_and_the_oldest_quarter_makes_room():
    lesson = Lesson(ASSET, ROWS, 0.1, QUICK)
    assert learnt_from(live(np.ones((ROWS, healthy.SIGNALS))), lesson) is None
    assert SIGNALS[0] in lesson.problem
    more = live(healthy.rows(ROWS), first=ROWS)
    taken = [lesson.take(row) for row in more]
    assert [place for place, learnt in enumerate(taken) if learnt is not None][:1] == [49]
    assert lesson.problem == ""


@pytest.mark.parametrize(
    "error", [np.linalg.LinAlgError("singular"), ValueError("infs"), ZeroDivisionError("by zero")]
)
def test_numbers_that_run_out_are_said_and_leave_the_lesson_going(monkeypatch, error):
    def run_out(*_args, **_options):
        raise error

    monkeypatch.setattr(learning, "experience", run_out)
    monkeypatch.setattr(learning, "calibrated", lambda model, *_: model)
    lesson = Lesson(ASSET, ROWS, 1.0, QUICK)
    taken = [lesson.take(row) for row in live(healthy.rows(ROWS))]
    assert set(taken) == {None}
    assert lesson.problem == str(error)


def test_short_gaps_are_rows_without_values_and_long_ones_part_the_rows():
    rows = live([[1.0], [2.0]]) + live([[3.0]], first=4) + live([[4.0]], first=30)
    first, second = segments(rows)
    assert np.array_equal(first[:, 0], [1.0, 2.0, math.nan, math.nan, 3.0], equal_nan=True)
    assert second.tolist() == [[4.0]]


def test_a_clock_set_back_starts_the_lesson_anew():
    lesson = Lesson(ASSET, ROWS, 0.1, QUICK)
    for row in live(healthy.rows(ROWS - 1), first=1000):
        lesson.take(row)
    assert learnt_from(live(healthy.rows(ROWS)), lesson).from_ns == 0


@pytest.mark.parametrize(("signals", "rows"), [(("a",), 199), ((), 400), (SIGNALS * 40, 400)])
def test_settings_that_can_never_work_are_refused_at_once(signals, rows):
    with pytest.raises(TrainingError, match="set training_rows to"):
        Lesson(Asset("pump", signals, ("V",) * len(signals), SECOND_NS), rows, 0.1)


def test_enough_rows_are_ten_blocks_or_twice_the_signals():
    assert (training_rows_min(1), training_rows_min(120)) == (200, 241)
