"""Rows side by side say what rows one after another say, whatever the gaps."""

import numpy as np
import pytest

from gateway.models import lanes, passes, state_space
from tests.gateway.models.dynamics import gapped, joint, known

SHAPES = [(0, 0), (2, 0), (1, 1), (3, 2), (2, 3)]


def drawn(model, rows, share, seed=0):
    return gapped(state_space.sample(model, rows, np.random.default_rng(seed)), share, seed)


@pytest.fixture
def in_lanes(monkeypatch):
    """Make every pass one in lanes, of few rows each."""
    monkeypatch.setattr(passes, "_is_restless", lambda edges: True)
    monkeypatch.setattr(lanes, "_ROWS_MIN", 3)


# --- cutting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[1], [15], [1, 1, 1], [700], [250, 3, 90, 1]])
def test_lanes_cover_every_row_once_and_no_two_segments(lengths):
    cut = lanes.cut(lengths)
    rows = np.concatenate([rows for _, rows in cut.steps])
    np.testing.assert_array_equal(np.sort(rows), np.arange(sum(lengths)))
    begins = np.cumsum([0, *lengths[:-1]])
    np.testing.assert_array_equal(cut.firsts[cut.is_first], begins)
    np.testing.assert_array_equal(cut.firsts[1:], cut.stops[:-1])
    assert np.ptp(cut.stops - cut.firsts) <= max(lengths)


# --- against brute force --------------------------------------------------------------------------


@pytest.mark.usefixtures("in_lanes")
@pytest.mark.parametrize(("factors", "lags"), SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_beliefs_are_those_of_one_joint_gaussian(factors, lags, share):
    model = known(factors, lags, 4)
    rows = drawn(model, 25, share)
    rows[7] = np.nan
    law = joint(model, rows)
    found = state_space.smooth(model, rows)
    assert found.log_likelihood == pytest.approx(law.log_likelihood(), abs=1e-9)
    states = len(model.transition)
    for row in (0, 7, 12, 24):
        here = np.arange(row * states, (row + 1) * states)
        mean, covariance = law.given(here, law.with_states.T, law.states)
        np.testing.assert_allclose(found.means[row], mean, atol=1e-9)
        np.testing.assert_allclose(found.covariances[row], covariance, atol=1e-9)
    both = np.arange(11 * states, 13 * states)
    _, covariance = law.given(both, law.with_states.T, law.states)
    np.testing.assert_allclose(found.cross[11], covariance[states:, :states], atol=1e-9)


# --- against one row after another ----------------------------------------------------------------


def one_by_one(model, rows):
    """Return the log densities, means and covariances of a filter without any shared matrix."""
    belief = state_space.start(model)
    found = []
    for row in rows:
        updated = state_space.update(model, belief, row)
        found.append((updated.log_density, *updated.belief))
        belief = state_space.predict(model, updated.belief)
    return [np.array(part) for part in zip(*found, strict=True)]


@pytest.mark.parametrize("pattern", ["random", "every fifth row", "long gaps"])
@pytest.mark.parametrize("noise", [1.0, 1e-4])
def test_patterns_that_change_are_exact_whatever_they_are(pattern, noise):
    model = known(3, 2, 8, noise=noise)
    rows = drawn(model, 300, 0.05 if pattern == "random" else 0.0)
    if pattern == "every fifth row":
        rows[np.arange(300) % 5 != 0, :3] = np.nan
    if pattern == "long gaps":
        for first in range(0, 300, 13):
            rows[first : first + 6, first % 8] = np.nan
    assert passes.is_restless(np.isnan(rows))
    filtered = state_space.filter_rows(model, rows)
    for ours, theirs in zip(
        (filtered.log_densities, filtered.means, filtered.covariances),
        one_by_one(model, rows),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_a_model_that_hardly_forgets_is_exact_too():
    model = state_space.assemble(
        np.array([[0.999]]), np.array([[1e-6]]), np.full((2, 1), 0.1), np.ones(2), 1
    )
    rows = drawn(model, 200, 0.3)
    found = state_space.filter_rows(model, rows)
    densities, _, covariances = one_by_one(model, rows)
    np.testing.assert_allclose(found.log_densities, densities, atol=1e-9)
    np.testing.assert_allclose(found.covariances, covariances, rtol=1e-9)


def test_segments_side_by_side_are_segments_apart():
    model = known(2, 2, 5)
    rows = drawn(model, 400, 0.1)
    lengths = [250, 1, 100, 49]
    together = state_space.causal(model, rows, None, lengths)
    apart = [state_space.filter_rows(model, part) for part in np.split(rows, [250, 251, 351])]
    np.testing.assert_allclose(
        together.log_densities, np.concatenate([part.log_densities for part in apart]), atol=1e-9
    )
    np.testing.assert_allclose(
        together.means.updated, np.concatenate([part.means for part in apart]), atol=1e-9
    )


# --- when lanes pay -------------------------------------------------------------------------------


def test_lanes_are_for_patterns_that_keep_changing():
    rows = np.zeros((2000, 10))
    assert not passes.is_restless(np.isnan(rows))
    rows[700:900, 3] = np.nan
    assert not passes.is_restless(np.isnan(rows))
    assert not passes.is_restless(np.isnan(gapped(rows[:30], 0.5)))
    assert passes.is_restless(np.isnan(gapped(rows, 0.01)))
    rows[np.arange(2000) % 5 != 0, 0] = np.nan
    assert passes.is_restless(np.isnan(rows))
