"""Laws are learnt, watched and learnt again; what rests or fails costs nothing."""

import numpy as np
import pytest

from gateway.models import alignment_law, alignment_lessons
from gateway.models.alignment_lessons import AT_ONCE, LESSONS, WATCHED, Heard, Lessons, Recent

SECOND_NS = 1_000_000_000


def taught(lessons, values, start=0, *, is_suspect=False, unsure_s=0.0, period_ns=SECOND_NS):
    """Teach rows of values (n, s), one a period; return when how many laws were known."""
    known = []
    signals = values.shape[1]
    for row, found in enumerate(values, start):
        heard = Heard(np.arange(signals), np.full(signals, row * period_ns), found)
        newest = np.full((signals, 4), np.nan)
        last = values[max(row - start - 3, 0) : row - start + 1].T
        newest[:, 4 - last.shape[1] :] = last
        times_s = np.tile(np.arange(-3.0, 1.0) * period_ns / 1e9, (signals, 1))
        recent = Recent(times_s, newest, np.full(signals, unsure_s))
        lessons.take(heard, recent, row * period_ns, is_suspect=is_suspect)
        known.append(int(lessons.law.is_known.sum()))
    return known


def walks(count, signals=1, seed=0, step=1.0):
    """Return random walks with a little noise of the sensor."""
    rng = np.random.default_rng(seed)
    walked = np.cumsum(step * rng.normal(size=(count, signals)), axis=0)
    return walked + 0.1 * rng.normal(size=walked.shape)


def change(lessons):
    """Return the variance of the change of the first signal within a second, as it is sampled."""
    law = lessons.law
    return float((alignment_law.change_variance(law, np.ones(1)) + 2.0 * law.noise)[0])


def resting(count, seed=1):
    """Return noise about a level."""
    return 0.1 * np.random.default_rng(seed).normal(size=(count, 1))


def test_laws_come_after_the_first_lesson_and_no_more_than_some_at_once():
    signals = 3 * AT_ONCE
    known = taught(Lessons(signals), walks(LESSONS[0] + 3, signals))
    assert known[LESSONS[0] - 2 :] == [0, AT_ONCE, 2 * AT_ONCE, signals, signals]


def test_faster_rows_learn_no_more_laws_in_a_second():
    signals = 3 * AT_ONCE
    rows = walks(LESSONS[0] + 12, signals)
    known = taught(Lessons(signals), rows, period_ns=SECOND_NS // 10)
    assert known[-13:] == 10 * [AT_ONCE] + 3 * [2 * AT_ONCE]


def test_a_law_that_holds_is_not_learnt_again():
    lessons = Lessons(1)
    taught(lessons, walks(20 * WATCHED))
    assert not lessons.under_way


@pytest.mark.parametrize("seed", range(3))
def test_a_signal_that_was_learnt_at_rest_is_learnt_again_when_it_moves(seed):
    lessons = Lessons(1)
    taught(lessons, resting(LESSONS[-1], seed))
    assert not lessons.under_way
    at_rest = change(lessons)
    rows = walks(LESSONS[0] + WATCHED, seed=seed)
    taught(lessons, rows, LESSONS[-1])
    assert at_rest == pytest.approx(0.02, rel=0.3)
    assert change(lessons) == pytest.approx(1.02, rel=0.5)


def test_a_signal_that_comes_to_rest_is_learnt_again_but_not_while_it_says_nothing():
    lessons = Lessons(1)
    taught(lessons, walks(LESSONS[-1]))
    taught(lessons, np.full((4 * WATCHED, 1), 5.0), LESSONS[-1])
    assert lessons.under_way == {0}
    assert lessons.law.is_known.all(), "the old law holds"
    taught(lessons, resting(LESSONS[-1]), 10 * WATCHED)
    assert change(lessons) == pytest.approx(0.02, rel=0.3)


def test_a_lesson_under_way_begins_anew_if_its_first_law_fails():
    """Else its second law would be of two ways of moving."""
    lessons = Lessons(1)
    taught(lessons, resting(2 * LESSONS[0]))
    rows = walks(2 * LESSONS[0], step=10.0)
    taught(lessons, rows[: LESSONS[0]], 2 * LESSONS[0])
    assert len(lessons._open[0].values) < LESSONS[0]
    assert change(lessons) < 1.0
    taught(lessons, rows[LESSONS[0] :], 3 * LESSONS[0])
    assert change(lessons) == pytest.approx(100.0, rel=0.5)


def test_how_far_a_sample_may_lie_from_those_before_is_what_the_law_says():
    """Against a covariance worked out entry by entry, at odd times."""
    law = alignment_law.Law(*(np.array([part]) for part in (0.3, 1.0, 2.0, 0.5, True)))
    times_s = np.array([-3.0, -2.5, -0.7, 0.0])
    gaps_s = np.abs(times_s[:, None] - times_s)
    covariance = 2.0 * alignment_law.correlation(law.rate, law.smooth, gaps_s) + 0.5 * np.eye(4)
    weights = np.array([-1 / 3, -1 / 3, -1 / 3, 1.0])
    found = alignment_lessons._expected(law, times_s[None])
    assert found == pytest.approx(weights @ covariance @ weights)


def test_some_spikes_are_no_other_law():
    lessons = Lessons(1)
    rows = walks(LESSONS[-1] + 4 * WATCHED)
    rows[LESSONS[-1] + 10 :: WATCHED // 4] += 1e6
    taught(lessons, rows)
    assert not lessons.under_way


def test_suspect_rows_teach_nothing_unless_they_last():
    lessons = Lessons(1)
    taught(lessons, resting(LESSONS[-1]))
    before = [part.tolist() for part in lessons.law]
    rows = walks(alignment_lessons.SUSPECT_MAX + 2 * LESSONS[-1])
    taught(lessons, rows[: alignment_lessons.SUSPECT_MAX], LESSONS[-1], is_suspect=True)
    assert [part.tolist() for part in lessons.law] == before
    taught(lessons, rows[alignment_lessons.SUSPECT_MAX :], 10**6, is_suspect=True)
    assert [part.tolist() for part in lessons.law] != before


def test_a_sample_whose_time_is_badly_known_does_not_count():
    lessons = Lessons(1)
    taught(lessons, walks(LESSONS[-1]))
    taught(lessons, 100.0 * walks(2 * WATCHED), LESSONS[-1], unsure_s=10.0)
    assert not lessons.under_way


def test_signals_that_rest_are_not_taught_and_are_as_soon_as_they_move(monkeypatch):
    asked = []
    learn = alignment_law.learn
    monkeypatch.setattr(
        alignment_lessons.alignment_law, "learn", lambda *each: asked.append(1) or learn(*each)
    )
    lessons = Lessons(1)
    taught(lessons, np.full((4 * LESSONS[-1], 1), 5.0))
    assert not asked
    taught(lessons, walks(LESSONS[0]), 4 * LESSONS[-1])
    assert asked == [1]
    assert lessons.law.is_known.all()


def test_a_lesson_that_gives_no_law_is_tried_again_after_ever_more_samples(monkeypatch):
    asked = []

    def nothing(times_s, values):
        asked.append(times_s.shape[1])
        return alignment_law.unknown(len(values))

    monkeypatch.setattr(alignment_lessons.alignment_law, "learn", nothing)
    taught(Lessons(1), walks(16 * LESSONS[-1]))
    assert asked == [64, 256] * 4, "after 256, 512 and 1,024 samples more"


def test_a_clock_that_is_set_begins_lessons_anew_and_keeps_laws():
    lessons = Lessons(1)
    taught(lessons, walks(LESSONS[0] + 1))
    lessons.forget()
    assert lessons.law.is_known.all()
    taught(lessons, walks(LESSONS[-1]), -(10**6))
    assert not lessons.under_way
