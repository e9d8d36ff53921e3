"""Innovations of a known autoregression: learnt, calibrated, loud when a relation breaks."""

import numpy as np
import pytest

from gateway.models import evidence_joint, joint_law

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
    return joint_law.learn(healthy(3000))


def weighed(law, rows, window=10):
    """Return the evidence of each full window of rows."""
    last = evidence_joint.Innovations(law)
    zero = np.zeros(len(law.mean))
    found = [last.step(row, zero, zero) for row in rows]
    place = evidence_joint.WINDOWS.index(window)
    return [each[place][2] for each in found if len(each) > place]


def innovations(law, rows):
    """Return the innovations of rows without gaps, lag by lag."""
    away = rows - law.mean
    past = [away[law.lags - lag : len(rows) - lag] for lag in range(1, law.lags + 1)]
    return away[law.lags :] - np.hstack(past) @ law.coefficients


def all_seen(covariance):
    return evidence_joint.inverse(covariance, np.ones(len(covariance), dtype=bool))


def test_complete_rows_are_weighed_by_the_plain_formula(law):
    rows, offset = healthy(30, seed=7), np.array([0.3, -0.2, 0.1, 0.0])
    follows, spread = law._replace(follows_levels=True), np.full(SIGNALS, 0.1)
    last = evidence_joint.Innovations(follows)
    found = [last.step(row, law.mean + offset, spread) for row in rows][-1]
    passed = law.passed_on
    for _, window, weight in found:
        away = innovations(law, rows)[-window:]
        if window > 1:
            reach = evidence_joint.REACH * np.sqrt(np.diag(law.covariance))
            away = np.clip(away, -reach, reach)
        mean = away.mean(axis=0) - passed @ offset
        covariance = law.covariance / window + passed @ np.diag(spread) @ passed.T
        expected = mean @ np.linalg.solve(covariance, mean)
        assert weight.shares.sum() == pytest.approx(expected)


def gaussian_of_rows(law, rows):
    """Return what the last of `rows` stationary rows has for mean and covariance: built by hand."""
    size = rows * SIGNALS
    state = np.zeros((SIGNALS, SIGNALS))
    for _ in range(500):
        state = law.coefficients.T @ state @ law.coefficients + law.covariance
    joint = np.zeros((size, size))
    for early in range(rows):
        for late in range(early, rows):
            block = state @ np.linalg.matrix_power(law.coefficients, late - early)
            here, there = (slice(at * SIGNALS, (at + 1) * SIGNALS) for at in (early, late))
            joint[here, there] = block
            joint[there, here] = block.T
    return joint


@pytest.mark.parametrize("seed", range(4))
def test_the_distance_of_a_row_is_that_of_the_exact_marginal_whatever_is_missing(law, seed):
    """Given all seen values before it: the joint Gaussian of five rows, conditioned by hand."""
    rng = np.random.default_rng(seed)
    rows = healthy(5, seed=seed + 20)
    rows[rng.random(rows.shape) < 0.4] = np.nan
    rows[-1, 2] = np.nan
    rows[-1, 0] = 7.0
    weight = weighed(law, rows, window=1)[-1]
    seen = ~np.isnan(rows).ravel()
    away = (rows - law.mean).ravel()
    past, now = np.flatnonzero(seen[:-SIGNALS]), np.flatnonzero(seen[-SIGNALS:]) + 4 * SIGNALS
    joint = gaussian_of_rows(law, 5)
    gain = np.linalg.solve(joint[np.ix_(past, past)], joint[np.ix_(past, now)]).T
    mean = away[now] - gain @ away[past]
    covariance = joint[np.ix_(now, now)] - gain @ joint[np.ix_(past, now)]
    assert weight.shares.sum() == pytest.approx(mean @ np.linalg.solve(covariance, mean), rel=1e-6)
    assert not weight.shares[np.isnan(rows[-1])].any()
    log_determinant = np.linalg.slogdet(covariance)[1]
    assert weight.cost == pytest.approx(0.5 * (log_determinant + weight.shares.sum()), rel=1e-6)


@pytest.mark.parametrize("lost", [(1,), (0, 3)])
def test_a_lost_sensor_raises_no_evidence_and_hides_no_fault_of_the_others(law, lost):
    rows = healthy(900, seed=11)
    rows[100:, list(lost)] = np.nan
    rows[800:, 2] += 6.0
    for window in (1, 10):
        evidence = np.array([each.evidence for each in weighed(law, rows, window)])
        assert (evidence[90:780] > np.log(10.0)).mean() <= 0.12
        assert evidence[-85:].max() > 5.0


def test_random_gaps_leave_the_evidence_of_health_a_bayes_factor(law):
    rows = healthy(3000, seed=12)
    rows[np.random.default_rng(0).random(rows.shape) < 0.15] = np.nan
    for window in (1, 10):
        evidence = np.array([each.evidence for each in weighed(law, rows, window)])
        for bound in (3.0, 10.0):
            assert (evidence > np.log(bound)).mean() <= 1.2 / bound


def test_matrices_are_made_once_for_a_lost_sensor_and_kept_within_bounds(law, monkeypatch):
    last, zero = evidence_joint.Innovations(law), np.zeros(SIGNALS)
    rows = healthy(600, seed=13)
    rows[:, 3] = np.nan
    for row in rows[:200]:
        last.step(row, zero, zero)
    made = []
    kept = evidence_joint.inverse
    monkeypatch.setattr(evidence_joint, "inverse", lambda *of: made.append(1) or kept(*of))
    for row in rows[200:300]:
        last.step(row, zero, zero)
    assert not made
    rows[np.random.default_rng(1).random(rows.shape) < 0.5] = np.nan
    for row in rows[300:]:
        last.step(row, zero, zero)
    assert len(last._takes) <= evidence_joint.PATTERNS_KEPT
    assert len(last._inverses) <= evidence_joint.PATTERNS_KEPT


def test_a_signal_that_is_left_out_changes_nothing_for_the_others():
    rows = healthy(60, seed=14)
    small = joint_law.learn(healthy(3000)[:, [0, 2, 3]])
    kept = np.array([True, False, True, True])
    wide = evidence_joint.without(small, kept)
    ours = [each.evidence for each in weighed(small, rows[:, kept])]
    theirs = [each.evidence for each in weighed(wide, np.where(kept, rows, np.nan))]
    np.testing.assert_allclose(theirs, ours)


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
    assert joint_law.learn(rows).lags == 2


@pytest.mark.parametrize("rows", [3, 19])
def test_too_few_rows_carry_no_law(rows):
    assert joint_law.learn(healthy(rows)) is None


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


def test_shares_add_up_to_the_distance_of_the_seen_signals(law):
    covariance = law.covariance / 10
    away = np.array([0.3, -0.4, np.nan, 0.2])
    seen = ~np.isnan(away)
    weight = evidence_joint.weigh(law, away, evidence_joint.inverse(covariance, seen))
    block = covariance[np.ix_(seen, seen)]
    assert weight.shares.sum() == pytest.approx(away[seen] @ np.linalg.solve(block, away[seen]))
    assert weight.shares[2] == 0.0


def test_rows_without_any_value_say_nothing(law):
    rows = np.vstack([healthy(15, seed=4), np.full((15, SIGNALS), np.nan)])
    for window in (1, 10):
        last = weighed(law, rows, window)[-1]
        assert last.evidence == 0.0
        assert not last.shares.any()


def test_an_offset_of_the_levels_leaves_what_passed_on_says(law):
    rows, offset = healthy(50, seed=5), np.array([1.0, -2.0, 0.5, 3.0])
    left = innovations(law, rows + offset) - innovations(law, rows)
    np.testing.assert_allclose(left, np.tile(law.passed_on @ offset, (49, 1)), atol=1e-9)


def test_scale_of_a_signal_does_not_matter(law):
    scale = np.array([1.0, 1e3, 1e-3, 10.0])
    other = joint_law.learn(healthy(3000) * scale)
    ours = [each.evidence for each in weighed(law, healthy(40, seed=6))]
    theirs = [each.evidence for each in weighed(other, healthy(40, seed=6) * scale)]
    np.testing.assert_allclose(theirs, ours, atol=1e-6)


# --- values with a variance of their own ---------------------------------------------------------


def test_a_value_that_is_as_much_worse_as_it_says_leaves_the_evidence_of_health():
    """The stand-in has the law of a healthy value, however sharply the others know it."""
    rng = np.random.default_rng(21)
    common = rng.normal(size=(1_500, 1))
    rows = common + 0.1 * rng.normal(size=(1_500, 4))
    law = joint_law.learn(rows[:1_000])
    own = np.array([0.0, 0.0, 0.0, 0.5])
    spoilt = rows[1_000:].copy()
    spoilt[:, 3] += np.sqrt(0.5) * rng.normal(size=500)
    found = []
    for extra in (None, own):
        innovations = evidence_joint.Innovations(law)
        weights = [innovations.step(row, law.mean, np.zeros(4), extra) for row in spoilt]
        evidence = np.array([each[0][2].evidence for each in weights if each])
        found.append(np.mean(evidence > 3.0))
    assert found[0] > 0.5
    assert found[1] < 0.02
