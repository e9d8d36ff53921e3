"""EM never falls, finds what made the rows, and gets the same from parts as from the whole."""

from dataclasses import fields

import numpy as np
import pytest

from gateway.models import em, normal_form, state_space
from tests.gateway.models.dynamics import gapped, known


def drawn(model, rows, seed=0):
    return state_space.sample(model, rows, np.random.default_rng(seed))


def log_likelihood(model, rows):
    return float(state_space.causal(model, rows).log_densities.sum())


# --- statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("factors", "lags"), [(0, 0), (2, 0), (2, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.4])
def test_statistics_are_the_sums_of_the_smoother(factors, lags, share):
    model = known(factors, lags, 4)
    rows = gapped(drawn(model, 120), share)
    found = em.expect(model, rows)
    means, covariances, cross, log_density = state_space.smooth(model, rows)
    seconds = covariances + np.einsum("ni,nj->nij", means, means)
    steps = cross + np.einsum("ni,nj->nij", means[1:], means[:-1])
    seen, values = ~np.isnan(rows), np.nan_to_num(rows)
    top = np.s_[:factors]
    assert found.log_likelihood == pytest.approx(log_density)
    assert (found.starts, found.steps) == (1, 119)
    for ours, sums in (
        (found.counts, seen.sum(axis=0)),
        (found.squares, (values**2).sum(axis=0)),
        (found.values, values.T @ means[:, top]),
        (found.seconds, np.einsum("ns,nij->sij", seen, seconds[:, top, top])),
        (found.first, seconds[0]),
        (found.previous, seconds[:-1].sum(axis=0)),
        (found.cross, steps[:, top].sum(axis=0)),
        (found.present, seconds[1:, top, top].sum(axis=0)),
    ):
        np.testing.assert_allclose(ours, sums, atol=1e-7)


def test_statistics_add_up_field_by_field():
    model = known(2, 1, 4)
    first, second = (em.expect(model, drawn(model, 50, seed)) for seed in (1, 2))
    for field in fields(em.Statistics):
        np.testing.assert_array_equal(
            getattr(first + second, field.name),
            getattr(first, field.name) + getattr(second, field.name),
        )


# --- never falling --------------------------------------------------------------------------------


@pytest.mark.parametrize(("factors", "lags"), [(0, 0), (1, 0), (3, 0), (2, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_no_single_step_falls_even_from_a_bad_start(factors, lags, share):
    rows = gapped(drawn(known(2, 1, 4), 60), share)
    model = normal_form.canonical(known(factors, lags, 4, seed=9))
    passed = []
    for _ in range(25):
        statistics = em.expect(model, rows[:25]) + em.expect(model, rows[25:])
        passed.append(statistics.log_likelihood)
        model = em.maximise(statistics, model)
    assert np.diff(passed).min() > -1e-6
    assert passed[-1] > passed[0]


@pytest.mark.parametrize("kind", ["walk", "sine", "steps", "copies"])
def test_no_step_falls_where_limits_bind(kind):
    rng = np.random.default_rng(0)
    time = np.arange(200.0)
    rows = {
        "walk": np.cumsum(rng.normal(size=(200, 3)), axis=0) / 8.0,
        "sine": np.stack([np.sin(time / 9), np.cos(time / 9), np.sin(time / 5)], axis=1),
        "steps": np.repeat([[-1.0, 1.0], [1.0, -1.0]], 100, axis=0),
        "copies": np.repeat(rng.normal(size=(200, 1)), 3, axis=1),
    }[kind]
    model = em.initial(em.moments(rows, 2), 2, 2)
    passed = []
    for _ in range(20):
        statistics = em.expect(model, rows)
        passed.append(statistics.log_likelihood)
        model = em.maximise(statistics, model)
        assert normal_form.radius(model) <= normal_form.RADIUS_MAX + 1e-9
        assert (model.noise >= normal_form.NOISE_MIN).all()
    assert np.diff(passed).min() > -1e-5 * max(1.0, abs(passed[0]))


# --- recovery -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("factors", "lags"), [(2, 0), (2, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("with_outages", [False, True])
def test_known_models_are_recovered(factors, lags, with_outages):
    model = known(factors, lags, 6)
    rows = drawn(model, 8_000)
    if with_outages:
        for signal in range(6):
            rows[1200 * signal : 1200 * signal + 1500, signal] = np.nan
    segments = [rows[:3000], rows[3000:]]
    found, passed = em.fit(segments, factors, lags)
    assert passed[-1] >= sum(log_likelihood(model, each) for each in segments)
    # By theory half a nat is lost for each parameter if the held-out rows are as many.
    held_out = drawn(model, 8_000, seed=1)
    lost = log_likelihood(model, held_out) - log_likelihood(found, held_out)
    assert 0.0 < lost < 1.5 * (factors * 6 + 6 + factors**2 * lags)
    np.testing.assert_allclose(found.noise, model.noise, rtol=0.25)
    for lag in (0, 1, 2):
        law = state_space.autocovariance(model, lag)
        scale = np.abs(state_space.covariance(model)).max()
        np.testing.assert_allclose(
            state_space.autocovariance(found, lag) / scale, law / scale, atol=0.1
        )


def test_the_first_lag_that_matters_is_learnt_in_its_direction():
    """Signal 1 follows signal 0 one row later; the factors must not see it the other way round."""
    cause = np.random.default_rng(0).normal(size=4001)
    noise = 0.3 * np.random.default_rng(1).normal(size=(4000, 2))
    found = em.fit([np.stack([cause[1:], cause[:-1]], axis=1) + noise], 2, 1).model
    lagged = state_space.autocovariance(found, 1)
    assert lagged[1, 0] == pytest.approx(1.0, abs=0.1)
    assert lagged[0, 1] == pytest.approx(0.0, abs=0.1)


# --- parts ----------------------------------------------------------------------------------------


class Distant:
    """A part that has nothing but the two answers."""

    def __init__(self, rows):
        self.moments = em.LocalPart([rows]).moments
        self.expect = em.LocalPart([rows]).expect


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_three_parts_give_the_pooled_fit(share):
    rows = gapped(drawn(known(2, 1, 5), 300), share)
    segments = [rows[:50], rows[50:180], rows[180:]]
    pooled = em.fit(segments, 2, 1, iterations=20)
    apart = em.fit_parts([Distant(each) for each in segments], 2, 1, iterations=20)
    assert len(apart.log_likelihoods) == len(pooled.log_likelihoods)
    np.testing.assert_allclose(apart.log_likelihoods, pooled.log_likelihoods, rtol=1e-9)
    for ours, other in zip(apart.model[:4], pooled.model[:4], strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-9)


# --- hard cases -----------------------------------------------------------------------------------

HARD = {
    "no factors": (np.random.default_rng(0).normal(size=(50, 3)), 0, 1),
    "as many factors as signals": (np.random.default_rng(0).normal(size=(80, 4)), 4, 2),
    "fewer rows than signals": (np.random.default_rng(0).normal(size=(10, 30)), 5, 1),
    "zeros": (np.zeros((60, 3)), 2, 1),
    "copies": (np.repeat(np.random.default_rng(0).normal(size=(60, 1)), 4, axis=1), 3, 1),
    "one row": (np.ones((1, 4)), 2, 2),
    "nothing seen": (np.full((20, 3), np.nan), 1, 1),
    "an absurd value": (np.vstack([np.zeros((50, 3)), np.full((1, 3), 1e6)]), 2, 1),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_cases_end_in_a_sound_model(name):
    found, passed = em.fit([HARD[name][0]], *HARD[name][1:], iterations=15)
    assert np.isfinite(passed).all()
    assert all(np.isfinite(part).all() for part in found[:4])
    assert normal_form.radius(found) < 1.0
    assert (found.noise >= normal_form.NOISE_MIN).all()
    assert np.linalg.eigvalsh(state_space.covariance(found)).min() > 0.0


def test_a_signal_never_seen_is_independent_of_the_others():
    rows = drawn(known(1, 1, 4), 300)
    rows[:, 2] = np.nan
    found = em.fit([rows], 1, 1).model
    np.testing.assert_allclose(found.current[2], 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("segments", "factors", "lags", "words"),
    [
        ([], 1, 1, "no rows"),
        ([np.zeros((0, 3))], 1, 1, "no rows"),
        ([np.zeros((5, 3)), np.zeros((5, 2))], 1, 1, "different shapes"),
        ([np.array([[0.0, 1.0], [2.0, np.inf]])], 1, 1, "segment 0, row 1: signal 1"),
        ([np.zeros((5, 3))], 4, 1, "0 to 3 factors"),
        ([np.zeros((5, 3))], 1, -1, "lags"),
    ],
)
def test_what_cannot_be_fitted_is_said(segments, factors, lags, words):
    with pytest.raises(em.UnfitSegmentsError, match=words):
        em.fit(segments, factors, lags)


def test_the_same_rows_give_the_same_bits():
    rows = gapped(drawn(known(2, 1, 4), 200), 0.05)
    first, second = (em.fit([rows], 2, 1, iterations=5).model for _ in range(2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first[:4], second[:4], strict=True))
