"""Late readings correct published values by Bayes' rule, and nothing else."""

import math

import pytest

from gateway import status
from gateway.records import SignalEstimate
from gateway.stages.revisions import ROWS_MAX, WAITING_MAX, Belief, Revisions, Witness, revised
from gateway.stages.row_history import Late

NAN = math.nan


def published(signal="a:x", fused=10.0, deviation=2.0, value=NAN, trust=1.0):
    """Return what was said of a signal."""
    return SignalEstimate(
        signal=signal,
        value=value,
        expected=fused,
        standard_deviation=deviation,
        fused=fused,
        fused_deviation=deviation,
        interval=(fused - deviation, fused + deviation),
        contribution=0.0,
        trust=trust,
        status=status.GOOD,
        fused_status=status.GOOD,
    )


def late(value=13.0, number=7, place=0):
    """Return what a late value makes of a row."""
    return Late(number, place, value, 0.0, status.GOOD, 5_000)


def remembering(*values, variance=4.0, rows_max=10):
    """Return revisions that remember row 7."""
    revisions = Revisions("pump", rows_max)
    revisions.remember(7, 70, values, [variance] * len(values))
    return revisions


# --- arithmetic ----------------------------------------------------------------------------------


def test_a_new_witness_is_weighed_by_precision():
    """Two readings of equal variance meet halfway, with half of it (GUM: weighted mean)."""
    found = revised(Belief(10.0, 2.0), None, Witness(13.0, 4.0))
    assert found.mean == pytest.approx(11.5)
    assert found.deviation == pytest.approx(math.sqrt(2.0))


def test_a_reading_in_place_of_another_leaves_what_the_other_never_said():
    first = revised(Belief(10.0, 2.0), None, Witness(13.0, 4.0))
    again = revised(first, Witness(13.0, 4.0), Witness(9.0, 1.0))
    alone = revised(Belief(10.0, 2.0), None, Witness(9.0, 1.0))
    assert again == pytest.approx(alone)


@pytest.mark.parametrize(
    ("belief", "before", "after"),
    [
        (Belief(10.0, 2.0), None, Witness(10.0 + 6.1 * math.sqrt(8.0), 4.0)),
        (Belief(10.0, 2.0), None, Witness(NAN, 4.0)),
        (Belief(10.0, 2.0), None, Witness(10.0, 0.0)),
        (Belief(10.0, 2.0), None, Witness(10.0, NAN)),
        (Belief(NAN, 2.0), None, Witness(10.0, 4.0)),
        (Belief(10.0, 2.0), Witness(10.0, 3.0), Witness(10.0, 4.0)),
        (Belief(10.0, 0.0), None, Witness(10.0, 4.0)),
    ],
)
def test_what_cannot_be_believed_revises_nothing(belief, before, after):
    assert revised(belief, before, after) is None


# --- records -------------------------------------------------------------------------------------


def test_a_revision_says_what_was_what_is_and_how_late():
    revisions = remembering(published())
    revisions.revise(late(), 4.0)
    (made,) = revisions.take()
    assert (made.asset, made.signal, made.time_ns) == ("pump", "a:x", 70)
    assert (made.before, made.after) == (10.0, pytest.approx(11.5))
    assert made.deviation == pytest.approx(math.sqrt(2.0))
    assert (made.number, made.late_ns, made.status) == (1, 5_000, status.GOOD)
    assert revisions.take() == []
    assert revisions.counts == {"revised": 1}


def test_the_second_revision_of_a_value_begins_where_the_first_ended():
    revisions = remembering(published())
    revisions.revise(late(13.0), 4.0)
    revisions.revise(late(12.0), 4.0)
    first, second = revisions.take()
    assert (second.number, second.before) == (2, first.after)
    assert second.after == pytest.approx(11.0), "the second reading stands in for the first"


def test_a_reading_that_was_judged_false_was_no_witness():
    revisions = remembering(published(value=50.0, trust=0.1))
    revisions.revise(late(), 4.0)
    assert revisions.take()[0].after == pytest.approx(11.5)


@pytest.mark.parametrize("what", ["unknown row", "no value", "too far"])
def test_what_cannot_be_revised_is_counted(what):
    revisions = remembering(published(fused=NAN if what == "no value" else 10.0))
    far = 1e6 if what == "too far" else 11.0
    revisions.revise(late(far, number=8 if what == "unknown row" else 7), 4.0)
    assert revisions.take() == []
    assert revisions.counts == {"unrevised": 1}


def test_rows_and_waiting_revisions_are_bounded():
    revisions = Revisions("pump", 10**9)
    for number in range(ROWS_MAX + 50):
        revisions.remember(number, number, [published()], [4.0])
    revisions.revise(late(number=49), 4.0)
    assert revisions.counts == {"unrevised": 1}
    for _ in range(WAITING_MAX + 5):
        revisions.revise(late(10.0, number=ROWS_MAX), 4.0)
    assert len(revisions.take()) == WAITING_MAX
    assert revisions.counts["revisions_dropped"] == 5


def test_a_clock_that_was_set_back_starts_anew():
    revisions = remembering(published())
    revisions.remember(3, 30, [published()], [4.0])
    revisions.revise(late(), 4.0)
    assert revisions.counts == {"unrevised": 1}
    revisions.revise(late(number=3), 4.0)
    assert revisions.take()[0].time_ns == 30
