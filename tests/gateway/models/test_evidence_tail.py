"""Limits above what was seen: theory where nothing speaks against it, else what exceeded."""

import numpy as np
import pytest

from gateway.models import evidence_tail
from gateway.models.evidence_tail import APART, PRIOR_CLUSTERS, Tail


def quiet(rows=200, columns=2):
    return np.full((rows, columns), -5.0)


def test_quiet_rows_leave_the_tail_of_theory():
    tail = evidence_tail.learn([quiet(), quiet()])
    np.testing.assert_array_equal(tail.highest, 0.0)
    np.testing.assert_array_equal(tail.scale, 1.0)
    assert (tail.clusters, tail.rows) == (0, 400)
    np.testing.assert_allclose(evidence_tail.limits(tail, 3600.0), np.log(9.0))


def test_what_one_part_exceeds_the_other_by_is_an_excess():
    one, other = quiet(), quiet()
    one[50:60, 0], other[50:55, 0], one[80, 1] = 7.0, 4.0, -1.0
    tail = evidence_tail.learn([one, other])
    np.testing.assert_array_equal(tail.highest, [7.0, 0.0])
    np.testing.assert_allclose(tail.scale, [(PRIOR_CLUSTERS + 3.0) / (PRIOR_CLUSTERS + 1.0), 1.0])
    assert tail.clusters == 1


@pytest.mark.parametrize(("second", "clusters"), [(50 + APART, 1), (51 + APART, 2)])
def test_what_is_near_is_one_event_that_counts_with_its_peak(second, clusters):
    one = quiet()
    one[50, 0], one[second, 0] = 3.0, 9.0
    tail = evidence_tail.learn([one, quiet()])
    assert tail.clusters == clusters
    summed = 9.0 if clusters == 1 else 12.0
    assert tail.scale[0] == pytest.approx((PRIOR_CLUSTERS + summed) / (PRIOR_CLUSTERS + clusters))


def test_the_rate_is_that_of_all_together_and_moves_by_the_scale():
    tail = Tail(np.array([3.0, 0.0]), np.array([2.0, 1.0]), 4, 400)
    hourly, rarer = (evidence_tail.limits(tail, rows) for rows in (3600.0, 36_000.0))
    np.testing.assert_allclose(hourly, [3.0 + 2.0 * np.log(45.0), np.log(45.0)])
    np.testing.assert_allclose(rarer - hourly, np.log(10.0) * tail.scale)
    np.testing.assert_array_equal(evidence_tail.limits(tail, 1e-6), 0.0)


@pytest.mark.slow
def test_exponential_evidence_is_exceeded_about_as_often_as_agreed():
    """Ten evidences with an event in 1,000 rows each; 400 rows are tried, then comes an hour.

    Where theory's tail holds the rate is kept. Where it is three times as long, 400 rows show so
    little of it that the prior still counts; the tail of theory alone would be exceeded 14 times.
    """
    rng = np.random.default_rng(0)
    for scale, most in ((1.0, 1.3), (3.0, 10.0)):
        events = 0
        for _ in range(200):
            one, other, hour = (_made(rng, rows, scale) for rows in (200, 200, 3600))
            tail = evidence_tail.learn([one, other])
            events += int((hour > evidence_tail.limits(tail, 3600.0)).any(axis=1).sum())
        assert events / 200 < most


def _made(rng, rows, scale):
    happens = rng.random((rows, 10)) < 0.001
    return np.where(happens, rng.exponential(scale, (rows, 10)), -5.0)
