"""The test of blindness to position can fail, and passes what reads nothing but the rows."""

import numpy as np
import pytest

from benchmarks import baselines, shift
from benchmarks.shift import Comparison, Floats, Front, Watch

LABEL = np.zeros(800, dtype=np.bool_)
LABEL[200:600] = True


@pytest.fixture
def rows() -> Floats:
    """Rows (800, 2) with a shift from 200 to 600."""
    found = np.random.default_rng(3).normal(size=(800, 2))
    found[200:600] += 5.0
    return found


def front(count: int) -> Front:
    return Front("other", "moved", np.random.default_rng(9).normal(size=(count, 2)))


def test_a_rule_on_the_row_alone_passes(rows: Floats) -> None:
    def watch(given: Floats) -> shift.Bools:
        return np.asarray(given[:, 0] > 2.5)

    for found in shift.compare(watch, rows, LABEL, [front(50), front(300)]):
        assert found.files_same == 1
        assert found.rows_same == found.rows == 800


def test_the_stopwatch_is_caught(rows: Floats) -> None:
    def watch(given: Floats) -> shift.Bools:
        return baselines.stopwatch(given, given)

    assert watch(rows)[200:570].all()
    found = shift.compare(watch, rows, LABEL, [front(300)])[1]
    assert found.files_same == 0
    assert found.rows_same < 0.5 * found.rows


def test_what_a_window_carries_over_is_not_counted_as_late(rows: Floats) -> None:
    def watch(given: Floats) -> shift.Bools:
        return np.asarray(baselines.trailing_mean(given[:, 0], 20) > 0.1)

    found = shift.compare(watch, rows, LABEL, [front(100)])[1]
    assert found.rows_same < found.rows
    assert found.late_same == found.late == 740


def test_alarms_in_front_are_counted(rows: Floats) -> None:
    everywhere: Watch = lambda given: np.ones(len(given), dtype=np.bool_)  # noqa: E731
    found = shift.compare(everywhere, rows, LABEL, [front(50)])[1]
    assert found.front_alarms == 50
    assert found.counts == (400, 400, 0, 0)


def test_rows_are_moved_to_the_level_of_this_run() -> None:
    rng = np.random.default_rng(5)
    own, theirs = rng.normal(70.0, 2.0, (400, 1)), rng.normal(20.0, 0.5, (400, 1))
    normal = rng.normal(20.0, 0.5, (400, 1))
    found = shift.fronts(own, [("other", theirs, normal)])
    assert [(each.kind, len(each.rows)) for each in found] == [
        (kind, count) for count in shift.COUNTS for kind in ("recorded", "moved")
    ]
    np.testing.assert_array_equal(found[0].rows, normal[-50:])
    assert found[5].rows.mean() == pytest.approx(70.0, abs=0.5)
    assert found[5].rows.std() == pytest.approx(2.0, rel=0.2)


def test_files_add_up() -> None:
    one = Comparison("a", "moved", 50, 1, 1, 10, 10, 5, 5, 0, 4, 0, 0, 6)
    other = Comparison("a", "moved", 50, 1, 0, 10, 7, 5, 4, 3, 2, 1, 2, 5)
    assert shift.merged([[one], [other]]) == [
        Comparison("a", "moved", 50, 2, 1, 20, 17, 10, 9, 3, 6, 1, 2, 11)
    ]
    assert shift.table([one]).row_count == 1
