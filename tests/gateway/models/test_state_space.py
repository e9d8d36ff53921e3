"""Filter, smoother, conditionals and samples agree with one joint Gaussian of all rows."""

import numpy as np
import pytest

from gateway.models import state_space
from tests.gateway.models.dynamics import gapped, joint, known

SHAPES = [(2, 1, 4), (2, 2, 3), (1, 3, 2), (3, 0, 5), (0, 0, 3), (4, 1, 2), (1, 1, 1)]
ROWS = 6


def drawn(model, rows, seed=0):
    return state_space.sample(model, rows, np.random.default_rng(seed))


@pytest.fixture(params=SHAPES, ids=lambda shape: "k{}p{}s{}".format(*shape))
def model(request):
    return known(*request.param)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("with_extra", [False, True])
def test_filter_and_smoother_equal_the_joint_gaussian(model, share, with_extra):
    rows = gapped(drawn(model, ROWS), share, seed=int(10 * share))
    extra = np.random.default_rng(5).uniform(0.0, 2.0, rows.shape) if with_extra else None
    filtered = state_space.filter_rows(model, rows, extra)
    smoothed = state_space.smooth(model, rows, extra)
    law = joint(model, rows, extra)
    signals, states = len(model.noise), len(model.transition)
    assert smoothed.log_likelihood == pytest.approx(law.log_likelihood(), abs=1e-9)
    assert filtered.log_densities.sum() == pytest.approx(law.log_likelihood(), abs=1e-9)
    everywhere = np.arange(ROWS * signals)
    for row in range(ROWS):
        here = np.arange(row * states, (row + 1) * states)
        for before, means, covariances in (
            (row, filtered.predicted_means, filtered.predicted_covariances),
            (row + 1, filtered.means, filtered.covariances),
            (ROWS, smoothed.means, smoothed.covariances),
        ):
            seen = law.seen & (everywhere < before * signals)
            mean, covariance = law.given(here, law.with_states.T, law.states, seen)
            np.testing.assert_allclose(means[row], mean, atol=1e-10)
            np.testing.assert_allclose(covariances[row], covariance, atol=1e-10)
        if row + 1 < ROWS:
            both = np.arange(row * states, (row + 2) * states)
            _, covariance = law.given(both, law.with_states.T, law.states)
            np.testing.assert_allclose(
                smoothed.cross[row], covariance[states:, :states], atol=1e-10
            )


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_conditionals_equal_the_joint_gaussian(model, share):
    rows = gapped(drawn(model, ROWS), share, seed=3)
    extra = np.random.default_rng(6).uniform(0.0, 2.0, rows.shape[1])
    filtered = state_space.filter_rows(model, rows, extra)
    belief = state_space.Belief(filtered.predicted_means[-1], filtered.predicted_covariances[-1])
    means, variances = state_space.conditional(model, belief, rows[-1], extra)
    law = joint(model, rows, extra)
    for signal, place in enumerate(range((ROWS - 1) * rows.shape[1], rows.size)):
        others = law.seen.copy()
        others[place] = False
        mean, covariance = law.given(np.array([place]), law.covariance, law.covariance, others)
        assert means[signal] == pytest.approx(mean[0], abs=1e-9)
        assert variances[signal] == pytest.approx(covariance[0, 0], abs=1e-9)


@pytest.mark.slow
def test_one_row_at_a_time_equals_many_at_once_where_the_gain_has_settled():
    model = known(3, 2, 8)
    rows = drawn(model, 600)
    rows[300:320, 2:5] = np.nan
    rows[400] = np.nan
    rows[500:, 7] = np.nan
    filtered = state_space.filter_rows(model, rows)
    belief = state_space.start(model)
    for index, row in enumerate(rows):
        np.testing.assert_allclose(filtered.predicted_means[index], belief.mean, atol=1e-8)
        np.testing.assert_allclose(
            filtered.predicted_covariances[index], belief.covariance, atol=1e-8
        )
        updated = state_space.update(model, belief, row)
        assert filtered.log_densities[index] == pytest.approx(updated.log_density, abs=1e-7)
        belief = state_space.predict(model, updated.belief)
    assert len(state_space.causal(model, rows).matrices.blocks.lengths) < 300


def test_a_row_without_values_changes_nothing():
    model = known(2, 1, 4)
    belief = state_space.start(model)
    updated = state_space.update(model, belief, np.full(4, np.nan))
    assert updated.belief is belief
    assert updated.log_density == 0.0
    assert np.isnan(updated.innovation).all()
    assert not updated.seen.any()


def test_no_rows_give_nothing():
    filtered = state_space.filter_rows(known(2, 1, 4), np.zeros((0, 4)))
    assert filtered.means.shape == (0, 2)
    assert filtered.covariances.shape == (0, 2, 2)
    assert state_space.smooth(known(2, 1, 4), np.zeros((0, 4))).log_likelihood == 0.0


def test_covariances_are_symmetric_and_not_negative_with_hardly_any_noise():
    model = known(3, 2, 6, noise=1e-4)
    rows = gapped(drawn(model, 50), 0.2)
    for result in (state_space.filter_rows(model, rows), state_space.smooth(model, rows)):
        np.testing.assert_array_equal(
            result.covariances, result.covariances.transpose(0, 2, 1), strict=True
        )
        assert np.linalg.eigvalsh(result.covariances).min() > -1e-11


def test_the_stationary_law_is_a_fixed_point_of_the_prediction(model):
    law = state_space.stationary(model)
    again = state_space.predict(model, state_space.start(model)).covariance
    np.testing.assert_allclose(again, law, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        state_space.covariance(model),
        model.loadings @ law @ model.loadings.T + np.diag(model.noise),
    )


@pytest.mark.parametrize("rows", [1, 2, 7, 40])
def test_the_mean_of_rows_has_the_covariance_of_the_joint_gaussian(model, rows):
    law = joint(model, np.zeros((rows, len(model.noise))))
    averaging = np.kron(np.full((1, rows), 1.0 / rows), np.eye(len(model.noise)))
    spread = state_space.mean_state_covariance(model, rows)
    ours = model.loadings @ spread @ model.loadings.T + np.diag(model.noise) / rows
    np.testing.assert_allclose(ours, averaging @ law.covariance @ averaging.T, atol=1e-11)


def test_a_forecast_is_the_joint_gaussian_of_rows_to_come():
    model = known(2, 2, 3)
    rows = drawn(model, ROWS)
    filtered = state_space.filter_rows(model, rows[:4])
    belief = state_space.Belief(filtered.means[-1], filtered.covariances[-1])
    means, covariances = state_space.forecast(model, belief, 2)
    rows[4:] = np.nan
    law = joint(model, rows)
    for step in range(2):
        here = np.arange((4 + step) * 3, (5 + step) * 3)
        mean, covariance = law.given(here, law.covariance, law.covariance)
        np.testing.assert_allclose(means[step], mean, atol=1e-10)
        np.testing.assert_allclose(covariances[step], covariance, atol=1e-10)


@pytest.mark.slow
def test_samples_have_the_correlations_of_the_model_across_signals_and_lags():
    model = known(2, 2, 4)
    rows = drawn(model, 200_000)
    for lag in (0, 1, 2, 5):
        found = rows[lag:].T @ rows[: len(rows) - lag] / (len(rows) - lag)
        law = state_space.autocovariance(model, lag)
        size = np.sqrt(np.diag(state_space.covariance(model)))
        np.testing.assert_allclose(
            found / np.outer(size, size), law / np.outer(size, size), atol=0.03
        )


@pytest.mark.slow
def test_samples_have_the_cross_spectrum_of_the_model():
    model = known(2, 2, 3)
    width, pieces = 256, 1500
    rows = drawn(model, width * pieces).reshape(pieces, width, 3)
    window = np.hanning(width)[:, None]
    transforms = np.fft.rfft(rows * window, axis=1)[:, 2:-1] / np.sqrt((window**2).sum())
    found = np.einsum("pfi,pfj->fij", transforms, transforms.conj()) / pieces
    for index, frequency in enumerate(np.arange(2, width // 2) / width):
        turn = np.exp(-2j * np.pi * frequency)
        response = model.loadings @ np.linalg.inv(np.eye(4) - model.transition * turn)
        law = response @ model.state_noise @ response.conj().T + np.diag(model.noise)
        size = np.sqrt(np.diag(law).real)
        coherence = np.outer(size, size)
        np.testing.assert_allclose(found[index] / coherence, law / coherence, atol=0.13)


def test_the_same_generator_gives_the_same_bits():
    model = known(2, 1, 3)
    assert drawn(model, 100).tobytes() == drawn(model, 100).tobytes()
    assert drawn(model, 100).tobytes() != drawn(model, 100, seed=1).tobytes()
