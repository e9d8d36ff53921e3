"""Innovations of a known autoregression: learnt, calibrated, loud when a relation breaks."""

import numpy as np
import pytest

from gateway.models import evidence_joint

SIGNALS = 4
COEFFICIENTS = np.array(
    [[0.6, 0.0, 0.2, 0.0], [0.0, 0.3, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 0.4, 0.0, 0.0]]
)
MIXED = np.array([[1.0, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 0, 1.0, 0], [0, 0, 0.5, 1.0]])


def healthy(count, seed=0):
    """Return rows (count, SIGNALS) of y_t = y_(t-1) COEFFICIENTS + MIXED w_t, about 5."""
    rng = np.random.default_rng(seed)
    rows, row = np.empty((count, SIGNALS)), np.zeros(SIGNALS)
    for place in range(count):
        row = row @ COEFFICIENTS + MIXED @ rng.normal(size=SIGNALS)
        rows[place] = row
    return rows + 5.0


@pytest.fixture(scope="module")
def law():
    return evidence_joint.learn(healthy(3000))


def weighed(law, rows, window=10):
    """Return the evidence of each full window of rows."""
    found = evidence_joint.innovations(law, rows)
    precision = np.linalg.inv(evidence_joint.window_covariance(law, window, None))
    ends = range(window, len(found) + 1)
    return [evidence_joint.weigh(law, found[e - window : e].mean(axis=0), precision) for e in ends]


def test_coefficients_and_covariance_are_found(law):
    assert law.lags == 1
    np.testing.assert_allclose(law.coefficients, COEFFICIENTS, atol=0.06)
    np.testing.assert_allclose(law.covariance, MIXED @ MIXED.T, atol=0.12)
    np.testing.assert_allclose(law.mean, 5.0, atol=0.2)


def test_two_lags_are_kept_where_they_help():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(600, 2))
    for place in range(2, 600):
        rows[place] += 0.8 * rows[place - 2]
    assert evidence_joint.learn(rows).lags == 2


@pytest.mark.parametrize("rows", [3, 19])
def test_too_few_rows_carry_no_law(rows):
    assert evidence_joint.learn(healthy(rows)) is None


def test_the_evidence_of_health_exceeds_no_more_often_than_a_bayes_factor(law):
    evidence = np.array([each.evidence for each in weighed(law, healthy(4000, seed=2))])
    for bound in (3.0, 10.0):
        assert (evidence > np.log(bound)).mean() <= 1.2 / bound


def test_a_broken_relation_is_found_though_every_signal_stays_in_its_range(law):
    rows = healthy(300, seed=3)
    spread = rows.std(axis=0)
    rows[150:, 1] += 0.8
    assert spread[1] > 0.8
    found = weighed(law, rows)
    assert max(each.evidence for each in found[:130]) < np.log(1000)
    assert min(each.evidence for each in found[165:]) > 5.0
    assert np.argmax(sum(each.shares for each in found[165:])) == 1


def test_shares_add_up_to_the_distance(law):
    rows = healthy(40, seed=4)
    innovations = evidence_joint.innovations(law, rows)
    precision = np.linalg.inv(evidence_joint.window_covariance(law, 10, None))
    mean = innovations[-10:].mean(axis=0)
    shares = evidence_joint.weigh(law, mean, precision).shares
    assert shares.sum() == pytest.approx(10 * mean @ np.linalg.solve(law.covariance, mean))


def test_a_missing_innovation_counts_nothing(law):
    precision = np.linalg.inv(evidence_joint.window_covariance(law, 1, None))
    nothing = evidence_joint.weigh(law, np.full(SIGNALS, np.nan), precision)
    assert nothing.evidence == 0.0
    assert not nothing.shares.any()
    one = evidence_joint.weigh(law, np.array([np.nan, 9.0, np.nan, np.nan]), precision)
    assert one.evidence > 5.0
    assert np.flatnonzero(one.shares).tolist() == [1]


def test_an_offset_of_the_levels_leaves_what_passed_on_says(law):
    rows, offset = healthy(50, seed=5), np.array([1.0, -2.0, 0.5, 3.0])
    left = evidence_joint.innovations(law, rows + offset) - evidence_joint.innovations(law, rows)
    np.testing.assert_allclose(left, np.tile(law.passed_on @ offset, (49, 1)), atol=1e-9)
    known = evidence_joint.window_covariance(law, 10, None)
    unknown = evidence_joint.window_covariance(law, 10, np.full(SIGNALS, 4.0))
    widened = law.passed_on @ law.passed_on.T * 4.0
    np.testing.assert_allclose(unknown - known, widened, atol=1e-9)


def test_scale_of_a_signal_does_not_matter(law):
    scale = np.array([1.0, 1e3, 1e-3, 10.0])
    other = evidence_joint.learn(healthy(3000) * scale)
    ours = [each.evidence for each in weighed(law, healthy(40, seed=6))]
    theirs = [each.evidence for each in weighed(other, healthy(40, seed=6) * scale)]
    np.testing.assert_allclose(theirs, ours, atol=1e-6)
