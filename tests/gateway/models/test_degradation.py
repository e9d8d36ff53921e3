"""Evidence is exact, and EM finds the fleet that made the runs."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gateway.models import degradation
from tests.gateway.models import wearing

TAUS = np.geomspace(5.0, 80.0, 9)


def fleet(kinds=1, factors=2):
    """Return a small hand-made fleet of three signals."""
    rng = np.random.default_rng(5)
    return degradation.Degradation(
        np.array([0.1, -0.2, 0.3]),
        rng.normal(size=(3, factors)),
        np.array([0.5, 1.0, 2.0]),
        tuple(
            degradation.Kind(
                1.0 / kinds,
                rng.normal(size=(2, 2 * factors)),
                np.eye(2 * factors) + 0.3,
                3.0,
                0.5,
            )
            for _ in range(kinds)
        ),
        TAUS,
        3.0,
    )


def with_gaps(count, seed=3):
    """Return scaled rows (count, 3) with a fifth of the values missing."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 3))
    return np.where(rng.random(rows.shape) < 0.2, np.nan, rows)


def test_row_by_row_is_the_same_evidence_as_all_at_once():
    rows = with_gaps(40)
    evidence = degradation.no_evidence(3, TAUS)
    for row in rows:
        evidence = degradation.observe(evidence, row, TAUS)
    for live, whole in zip(evidence, degradation.gather(rows, TAUS), strict=True):
        np.testing.assert_allclose(live, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kinds", [1, 2])
def test_the_density_is_that_of_the_stacked_gaussian_with_gaps(kinds):
    model, rows, left = fleet(kinds), with_gaps(6), 7.0
    found = degradation.infer(model, degradation.gather(rows, TAUS), np.array([left]))[0]
    seen = np.isfinite(rows).ravel()
    for place, kind in enumerate(model.kinds):
        weights = degradation.log_tau_weights(model, kind)
        for number, tau in enumerate(TAUS):
            fade = np.exp(-(left + np.arange(len(rows))[::-1]) / tau)
            maps = np.concatenate([np.hstack([model.loadings, f * model.loadings]) for f in fade])
            mean = degradation.coefficient_means(model, kind)[number]
            covariance = maps @ kind.covariance @ maps.T + np.diag(np.tile(model.noise, len(rows)))
            expected = multivariate_normal.logpdf(
                rows.ravel()[seen],
                (np.tile(model.offset, len(rows)) + maps @ mean)[seen],
                covariance[np.ix_(seen, seen)],
            )
            expected += weights[number] + np.log(kind.weight)
            assert found[place, number] == pytest.approx(expected, abs=1e-8)


def test_em_does_not_lose_likelihood_but_for_the_discretised_tau():
    runs = [degradation.gather(run, TAUS) for run in wearing.runs(12, seed=1)]
    model = fleet()._replace(
        offset=np.zeros(wearing.SIGNALS),
        loadings=np.random.default_rng(0).normal(size=(wearing.SIGNALS, 2)),
        noise=np.ones(wearing.SIGNALS),
    )
    history = np.array(degradation.fit(model, runs, 12, 0.0).log_likelihoods)
    assert (np.diff(history) > -0.05 * len(runs)).all()
    assert history[-1] > history[0] + 100.0


def test_em_stops_when_little_is_gained():
    runs = [degradation.gather(run, TAUS) for run in wearing.runs(12, seed=1)]
    model = fleet()._replace(
        offset=np.zeros(wearing.SIGNALS),
        loadings=np.random.default_rng(0).normal(size=(wearing.SIGNALS, 2)),
        noise=np.ones(wearing.SIGNALS),
    )
    assert len(degradation.fit(model, runs, 40, 1e6).log_likelihoods) == 2


def test_nothing_seen_leaves_the_prior():
    model = fleet(2)
    weight = degradation.infer(model, degradation.no_evidence(3, TAUS), np.array([0.0, 9.0]))
    prior = [degradation.log_tau_weights(model, kind) - np.log(2.0) for kind in model.kinds]
    np.testing.assert_allclose(weight, np.stack([prior, prior]), atol=1e-9)


def test_few_units_make_wide_answers():
    model = fleet()
    few, many = (degradation.for_new_unit(model, runs).kinds[0] for runs in (8, 2000))
    np.testing.assert_allclose(many.covariance, model.kinds[0].covariance, rtol=0.01)
    np.testing.assert_allclose(few.covariance, 9.0 * model.kinds[0].covariance)
