"""The normal form is the same model, unique, and within its limits."""

import numpy as np
import pytest

from gateway.models import normal_form, state_space
from tests.gateway.models.dynamics import known

SHAPES = [(2, 1, 4), (2, 2, 3), (1, 3, 2), (3, 0, 5), (0, 0, 3), (4, 1, 2)]


def turned(model, seed=1):
    """Return the same model in other coordinates of its factors."""
    forth = np.random.default_rng(seed).normal(size=(model.factors, model.factors))
    back = np.linalg.inv(forth)
    blocks = normal_form.coefficients_of(model).reshape(model.factors, model.lags, model.factors)
    return state_space.assemble(
        np.einsum("ia,alb,bj->ilj", back, blocks, forth).reshape(model.factors, -1)
        if model.factors * model.lags
        else normal_form.coefficients_of(model),
        back @ normal_form.noise_of_factors(model) @ back.T,
        model.current @ forth,
        model.noise,
        model.lags,
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_the_normal_form_is_the_same_law(shape):
    model = known(*shape)
    form = normal_form.canonical(model)
    for lag in (0, 1, 3):
        np.testing.assert_allclose(
            state_space.autocovariance(form, lag),
            state_space.autocovariance(model, lag),
            atol=1e-9,
        )


# The last one has factors without any information, and those may be turned among themselves.
@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_the_normal_form_does_not_depend_on_the_coordinates_it_is_found_from(shape):
    model = known(*shape)
    for ours, other in zip(
        normal_form.canonical(model)[:4], normal_form.canonical(turned(model))[:4], strict=True
    ):
        np.testing.assert_allclose(ours, other, atol=1e-7)


def test_factors_have_unit_variance_falling_information_and_a_positive_largest_loading():
    form = normal_form.canonical(known(3, 2, 6))
    np.testing.assert_allclose(state_space.stationary(form)[:3, :3], np.eye(3), atol=1e-9)
    information = form.current.T @ (form.current / form.noise[:, None])
    np.testing.assert_allclose(information, np.diag(np.diag(information)), atol=1e-8)
    assert list(np.diag(information)) == sorted(np.diag(information), reverse=True)
    assert (form.current[np.abs(form.current).argmax(axis=0), range(3)] > 0.0).all()


@pytest.mark.parametrize("lags", [1, 2, 3])
def test_a_model_that_would_run_away_is_held_at_the_limit_with_its_roots_in_proportion(lags):
    model = known(2, lags, 3)
    growth = np.repeat(1.3 ** np.arange(1, lags + 1), 2)
    wild = normal_form.with_dynamics(
        model, normal_form.coefficients_of(model) * growth, normal_form.noise_of_factors(model)
    )
    held = normal_form.limited(wild)
    assert normal_form.radius(wild) > 1.0
    assert normal_form.radius(held) == pytest.approx(normal_form.RADIUS_MAX)
    sizes = [np.sort(np.abs(np.linalg.eigvals(each.transition))) for each in (wild, held)]
    np.testing.assert_allclose(sizes[1], sizes[0] * sizes[1][-1] / sizes[0][-1], atol=1e-9)
    assert normal_form.limited(model) is model


def test_innovations_keep_a_least_variance_in_every_direction():
    flat = normal_form.floored(np.array([[1.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(
        np.linalg.eigvalsh(flat), [normal_form.INNOVATION_MIN, 2.0], atol=1e-9
    )
