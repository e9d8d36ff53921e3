"""Remaining life of made-up fleets: close, honest about its doubt, blind to names and age."""

import dataclasses

import numpy as np
import pytest

from gateway.errors import TrainingError
from gateway.models import prognosis, prognosis_fit
from tests.gateway.models import wearing

NAMES = ("a", "b", "c", "d", "e")
QUICK = prognosis_fit.Settings(factors_max=2, kinds_max=1, folds=2, questions=2, iterations=10)


@pytest.fixture(scope="module")
def model():
    """A fleet learnt from thirty lives."""
    return prognosis_fit.fit(wearing.runs(30, seed=1), NAMES, fleet="pumps", settings=QUICK)


@pytest.fixture(scope="module")
def asked(model):
    """(true, answer) of other units cut early and late."""
    rng = np.random.default_rng(2)
    pairs = []
    for run in wearing.runs(60, seed=3):
        left = int(rng.integers(0, len(run) - 10))
        pairs.append((left, model.remaining(model.gather(run[: len(run) - left]))))
    return pairs


@pytest.mark.slow
def test_the_number_beats_the_mean_life_by_far_and_intervals_hold(asked):
    truth = np.array([left for left, _ in asked])
    error = np.array([answer.mean for _, answer in asked]) - truth
    assert np.sqrt((error**2).mean()) < 0.6 * truth.std()
    held = np.mean([answer.low <= left <= answer.high for left, answer in asked])
    assert 0.8 <= held <= 0.98


@pytest.mark.slow
def test_near_failure_the_answer_is_sharp(model):
    run = wearing.runs(1, seed=9)[0]
    late = model.remaining(model.gather(run[:-2]))
    early = model.remaining(model.gather(run[:15]))
    assert late.high < 8.0
    assert early.high - early.low > 3.0 * (late.high - late.low)


@pytest.mark.slow
def test_a_live_unit_row_by_row_says_the_same(model):
    run = wearing.runs(1, seed=4)[0][:-10]
    run[5, 1] = np.nan
    evidence = model.start()
    for row in run:
        evidence = model.observe(evidence, row)
    live, whole = model.remaining(evidence), model.remaining(model.gather(run))
    assert live.mean == pytest.approx(whole.mean, abs=1e-6)


@pytest.mark.slow
def test_without_rows_the_answer_is_the_survival_of_the_fleet(model):
    answer = model.remaining(model.start())
    np.testing.assert_allclose(answer.probability, prognosis.survival(model.lives), atol=1e-9)


@pytest.mark.slow
def test_trust_widens_the_answer(model):
    evidence = model.gather(wearing.runs(1, seed=6)[0][:40])
    sure = dataclasses.replace(model, trust=1.0).remaining(evidence)
    unsure = dataclasses.replace(model, trust=0.3).remaining(evidence)
    assert 0.3 <= model.trust <= 1.0
    assert unsure.high - unsure.low > 1.2 * (sure.high - sure.low)


def test_survival_counts_the_lives_that_are_longer():
    weights = prognosis.survival(np.array([2.0, 4.0]))
    np.testing.assert_allclose(weights, np.array([2.0, 2.0, 1.0, 1.0]) / 6.0)


@pytest.mark.slow
def test_the_age_narrows_what_young_units_are_told(model):
    run = wearing.runs(1, seed=6)[0]
    evidence = model.gather(run[:20])
    blind, aged = model.remaining(evidence), model.remaining(evidence, age_rows=20)
    assert aged.high - aged.low < blind.high - blind.low


@pytest.mark.slow
def test_a_prior_of_the_caller_bounds_the_answer(model):
    prior = np.zeros(9)
    prior[3:] = 1.0
    answer = model.remaining(model.gather(wearing.runs(1, seed=6)[0][:30]), prior=prior)
    assert answer.probability[:3].sum() == 0.0
    assert 3.0 <= answer.mean <= 8.0


@pytest.mark.slow
def test_units_offsets_and_a_dead_signal_change_nothing(model):
    factor, shift = np.array([10.0, 0.1, 3.0, 1.0, 7.0]), np.array([5.0, -2.0, 0.0, 1e3, 4.0])
    runs = [
        np.hstack([run * factor + shift, np.full((len(run), 1), 21.5)])
        for run in wearing.runs(30, seed=1)
    ]
    other = prognosis_fit.fit(runs, (*NAMES, "dead"), fleet="pumps", settings=QUICK)
    assert other.used.tolist() == [True] * 5 + [False]
    run = wearing.runs(1, seed=8)[0][:-12]
    told = np.hstack([run * factor + shift, np.full((len(run), 1), 99.0)])
    first, second = model.remaining(model.gather(run)), other.remaining(other.gather(told))
    assert second.mean == pytest.approx(first.mean, rel=1e-3)


@pytest.mark.slow
def test_the_same_runs_give_the_same_bits(model):
    again = prognosis_fit.fit(wearing.runs(30, seed=1), NAMES, fleet="pumps", settings=QUICK)
    assert again.degradation.loadings.tobytes() == model.degradation.loadings.tobytes()
    assert again.held_out == model.held_out


@pytest.mark.slow
def test_a_made_up_life_looks_like_one(model):
    rng = np.random.default_rng(7)
    lives = [model.sample(rng) for _ in range(60)]
    assert np.median([len(life) for life in lives]) == pytest.approx(60.0, rel=0.15)
    ends = np.array([life[-1] for life in lives])
    np.testing.assert_allclose(ends.mean(axis=0), wearing.WEAR * wearing.LOADINGS, atol=1.0)


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (wearing.runs(3), "3 runs to failure"),
        ([*wearing.runs(5), np.zeros((4, 5))], "run 5 has 4 rows"),
        ([*wearing.runs(5), np.zeros((40, 4))], r"run 5 has shape \(40, 4\)"),
        ([np.ones((30, 5))] * 6, "no signal varies"),
    ],
)
def test_runs_that_carry_nothing_are_refused_by_name(runs, said):
    with pytest.raises(TrainingError, match=said):
        prognosis_fit.fit(runs, NAMES, fleet="pumps", settings=QUICK)


def test_quantiles_are_linear_within_a_row():
    answer = prognosis.summarise(np.array([0.0, 0.5, 0.5]))
    assert answer.mean == pytest.approx(1.5)
    assert answer.median == pytest.approx(1.5)
    assert answer.quantile(0.25) == pytest.approx(1.0)
    assert answer.quantile(0.0) == pytest.approx(0.5)


def test_a_question_that_no_run_can_answer_is_refused():
    never = np.zeros(500)
    never[400:] = 1.0
    with pytest.raises(TrainingError, match="does not weigh any remaining life"):
        prognosis_fit.fit(wearing.runs(6), NAMES, fleet="pumps", asked=never, settings=QUICK)
