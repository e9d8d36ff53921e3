"""The simple detectors: what they compute, and that none of them looks ahead."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from benchmarks import baselines
from benchmarks.baselines import Floats, Learner, Rule

RULES = [
    baselines.t2_and_q,
    baselines.t2_and_q_as_meant,
    baselines.probabilistic_pca,
    baselines.always,
    baselines.never,
    baselines.stopwatch,
]
SENSING = RULES[:3]
LEARNERS = [
    baselines.learn_t2,
    baselines.learn_q,
    baselines.learn_joint_gaussian,
    baselines.learn_var,
]


@pytest.fixture
def plant() -> Callable[[int], Floats]:
    """Rows (n, 5) of two slow factors and noise of each signal."""
    rng = np.random.default_rng(4)
    loadings = rng.normal(size=(2, 5))

    def rows(count: int) -> Floats:
        factors = np.zeros((count, 2))
        for row in range(1, count):
            factors[row] = 0.7 * factors[row - 1] + rng.normal(size=2)
        return factors @ loadings + 0.3 * rng.normal(size=(count, 5)) + 20.0

    return rows


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_does_not_look_ahead(rule: Rule, plant: Callable[[int], Floats]) -> None:
    training, rows = plant(200), plant(80)
    rows[50:] += 30.0
    assert rule(training, rows)[:40].tolist() == rule(training, rows[:40]).tolist()


@pytest.mark.parametrize("rule", SENSING)
def test_a_detector_is_quiet_on_its_like_and_finds_a_shift(
    rule: Rule, plant: Callable[[int], Floats]
) -> None:
    training, rows = plant(400), plant(400)
    rows[200:, 2] += 8.0
    alarmed = rule(training, rows)
    assert alarmed[:200].mean() < 0.1
    assert alarmed[230:].mean() > 0.9


@pytest.mark.parametrize("learn", LEARNERS)
def test_a_score_does_not_look_ahead_and_has_a_value_for_every_row(
    learn: Learner, plant: Callable[[int], Floats]
) -> None:
    score, rows = learn(plant(300)), plant(60)
    values = score(rows)
    assert len(values) == 60
    assert np.isfinite(values[5:]).all()
    np.testing.assert_allclose(values[:30], score(rows[:30]), rtol=1e-9)


def test_t2_with_all_components_is_the_squared_distance(plant: Callable[[int], Floats]) -> None:
    training, rows = plant(300), plant(10)
    model = baselines.principal(training, explained=0.999999)
    distance = np.array(
        [
            row @ np.linalg.solve(np.cov(training, rowvar=False, ddof=0) * 300 / 299, row)
            for row in rows - training.mean(axis=0)
        ]
    )
    left = np.square(model.components(rows)[:, model.kept :]) / model.values[model.kept :]
    np.testing.assert_allclose(model.t2(rows) + left.sum(axis=1), distance, rtol=1e-9)


def test_q_limit_is_that_of_chi_squared_where_q_is_chi_squared() -> None:
    # Eight left components of variance 1; the formula is then Wilson and Hilferty's.
    limit = baselines.q_limit(8.0, 8.0, 8.0)
    assert limit == pytest.approx(stats.chi2.ppf(baselines.CONFIDENCE, 8), rel=0.01)


def test_joint_gaussian_is_chi_squared_on_its_like(plant: Callable[[int], Floats]) -> None:
    score = baselines.learn_joint_gaussian(plant(20_000), lags=2, mean_rows=1)
    values = score(plant(5_000))[2:]
    assert (values > stats.chi2.ppf(0.9, 15)).mean() == pytest.approx(0.1, abs=0.02)


def test_var_recovers_what_the_past_explains() -> None:
    rng = np.random.default_rng(8)
    rows = np.zeros((4_000, 2))
    for row in range(1, len(rows)):
        rows[row] = [[0.9, 0.0], [0.3, 0.5]] @ rows[row - 1] + rng.normal(size=2)
    values = baselines.learn_var(rows[:2_000], lags=2)(rows[2_000:])
    assert np.nanmean(values) == pytest.approx(2.0, rel=0.1)


def test_lags_stand_beside_their_row() -> None:
    rows = np.arange(4.0)[:, None]
    assert baselines.with_lags(rows, 2).tolist() == [[2, 1, 0], [3, 2, 1]]


def test_trailing_windows() -> None:
    values = np.array([1.0, 3.0, 8.0, 0.0])
    assert baselines.trailing_mean(values, 2).tolist() == [1.0, 2.0, 5.5, 4.0]
    assert baselines.trailing_median(values, 3)[2:].tolist() == [3.0, 3.0]
    assert np.isnan(baselines.trailing_median(values, 3)[:2]).all()


def test_a_step_of_the_mean_is_detected_once_and_soon(plant: Callable[[int], Floats]) -> None:
    training, rows = plant(400), plant(300)
    rows[150:] += 9.0
    detected = baselines.shift_detections(training, rows)
    assert len(detected) == 1
    assert 150 <= detected[0] < 150 + baselines.CHANGE_ROWS


def test_no_sensor_is_read_by_the_stopwatch() -> None:
    alarmed = baselines.stopwatch(np.zeros((400, 1)), np.zeros((700, 1)))
    assert np.flatnonzero(alarmed)[[0, -1]].tolist() == [170, 569]
