"""The drift learnt from a few dozen block means is of the right size, and grows with its safety."""

import numpy as np
import pytest

from gateway.models import drift

BLOCKS = 20


def block_means(noise, step, seed):
    """Return block means of a level that takes steps of variance `step`."""
    rng = np.random.default_rng(seed)
    level = np.cumsum(rng.normal(size=BLOCKS) * np.sqrt(step))
    return level + rng.normal(size=BLOCKS) * np.sqrt(noise)


@pytest.mark.parametrize("step", [0.5, 5.0, 50.0])
def test_a_wandering_level_is_rated_at_its_size_on_average(step):
    logs = [np.log(drift.learn(block_means(1.0, step, seed), 1.0, 0.0).drift) for seed in range(20)]
    assert 1 / 3 < np.exp(np.mean(logs)) / step < 3


def test_a_steady_level_drifts_little_and_keeps_its_noise():
    learnt = [drift.learn(block_means(1.0, 0.0, seed), 1.0, 0.0) for seed in range(20)]
    assert np.median([wander.drift for wander in learnt]) < 0.05
    assert 0.7 < np.median([wander.noise for wander in learnt]) < 1.4


def test_rows_that_are_alike_make_noisier_means():
    learnt = drift.learn(block_means(4.0, 0.0, 3), 1.0, 0.0)
    assert learnt.noise > 2.0


def test_safety_raises_the_drift_only():
    means = block_means(1.0, 1.0, 0)
    plain, safe = drift.learn(means, 1.0, 0.0), drift.learn(means, 1.0, 1.0)
    assert safe.drift > plain.drift
    assert safe.noise == plain.noise


def test_the_unit_does_not_matter():
    means = block_means(1.0, 1.0, 0)
    one, thousand = drift.learn(means, 1.0, 0.25), drift.learn(1000 * means, 1e6, 0.25)
    assert thousand.drift == pytest.approx(1e6 * one.drift)
    assert thousand.noise == pytest.approx(1e6 * one.noise)
