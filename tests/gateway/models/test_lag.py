"""The likelihood over lags: its spectra, its lags, and what it says against the exact density."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.models import lag, state_space
from gateway.models.regimes import Regimes
from tests.gateway.models import lagging

ONE = np.array([0])
ZERO = len(lag.lags()) // 2


@pytest.fixture(scope="module", autouse=True)
def _learnt() -> None:
    """Learn the model before the first test."""
    lagging.model()


def plain_model():
    """Return the model without wandering levels and memory of the noise: the state space alone."""
    found = lagging.model()
    return replace(found, drift=np.zeros_like(found.drift), long_run=np.ones_like(found.long_run))


def all_frequencies(count=512):
    return 2.0 * np.pi * (np.arange(count) + 0.5) / count


def test_the_spectra_add_up_to_the_covariance() -> None:
    found = plain_model()
    density = lag.spectral_density(found, all_frequencies())
    assert density.mean(axis=0).real == pytest.approx(
        state_space.covariance(found.state_space), abs=1e-6
    )
    assert density == pytest.approx(np.conj(np.swapaxes(density, 1, 2)))


def test_the_spectra_turn_into_the_covariance_of_the_next_row() -> None:
    found, frequencies = plain_model(), all_frequencies()
    density = lag.spectral_density(found, frequencies)
    later = (density * np.exp(1j * frequencies)[:, None, None]).mean(axis=0)
    assert later.real == pytest.approx(state_space.autocovariance(found.state_space, 1), abs=1e-6)


def test_own_noise_is_a_textbook_autoregression() -> None:
    """Brillinger (1981), 5.2: sigma^2 / (1 - 2 p cos f + p^2); long-run variance 3 is p = 1/2."""
    found = plain_model()
    longer = replace(found, long_run=np.full(len(found.drift), 3.0))
    frequencies = np.array([0.1, 1.0, 3.0])
    more = lag.spectral_density(longer, frequencies) - lag.spectral_density(found, frequencies)
    textbook = 0.75 / (1.25 - np.cos(frequencies)) - 1.0
    assert more[:, 0, 0].real == pytest.approx(textbook * found.state_space.noise[0], rel=1e-6)


def test_regimes_add_the_spectrum_of_a_telegraph_signal() -> None:
    """Two states that change with probability q each: a^2 (1 - r^2) / (1 - 2 r cos f + r^2)."""
    found = plain_model()
    offset = np.arange(1.0, 7.0)
    stay = np.array([[0.9, 0.1], [0.1, 0.9]])
    both = replace(
        found,
        regimes=Regimes(
            offsets=np.array([offset, -offset]), transition=stay, weights=np.array([0.5, 0.5])
        ),
    )
    frequencies = np.array([0.05, 0.7, 2.5])
    more = lag.spectral_density(both, frequencies) - lag.spectral_density(found, frequencies)
    textbook = (1.0 - 0.8**2) / (1.0 - 1.6 * np.cos(frequencies) + 0.8**2)
    expected = textbook[:, None, None] * np.outer(offset, offset)
    assert more == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shift", [1, 3])
def test_a_shift_costs_what_the_coherence_says(shift) -> None:
    """Knapp and Carter (1976): a frequency f says 2 g^2 / (1 - g^2) (1 - cos(f shift)) of it."""
    found = plain_model()
    law = lag.law_of(found)
    frequencies = 2.0 * np.pi * np.arange(1, law.rows // 2 + 1) / law.rows
    density = lag.spectral_density(found, frequencies)
    inner = np.linalg.solve(density[:, 1:, 1:], density[:, 1:, :1])
    coherence = ((density[:, :1, 1:] @ inner)[:, 0, 0] / density[:, 0, 0]).real
    said = 2.0 * coherence / (1.0 - coherence) * (1.0 - np.cos(frequencies * shift))
    expected = float((said * law.weight).sum()) * law.overlap
    rng, lost = np.random.default_rng(4), []
    for _ in range(60):
        rows = state_space.sample(found.state_space, lag.WINDOW_ROWS, rng)
        course = lag.weigh(law, rows, [ONE])[0].log_likelihood
        lost.append(course[ZERO] - course[ZERO + shift * lag.STEPS_PER_ROW])
    assert np.mean(lost) == pytest.approx(expected, rel=0.1)


def test_the_likelihood_is_that_of_the_time_domain() -> None:
    law = lag.law_of(plain_model())
    shifts = (-3, -1, 0, 1, 3)
    places = ZERO + lag.STEPS_PER_ROW * np.array(shifts)
    by_frequency, by_row = np.zeros(5), np.zeros(5)
    for seed in range(8):
        rows = lagging.values(lag.WINDOW_ROWS, seed=100 + seed)
        profile = lag.weigh(law, rows, [ONE])[0]
        by_frequency += profile.log_likelihood[places]
        by_row += lagging.exact(rows, 0, shifts)
    lost_by_frequency = by_frequency[2] - np.delete(by_frequency, 2)
    lost_by_row = by_row[2] - np.delete(by_row, 2)
    # The taper gives less weight to rows at the edges, and counts for less of them: see `overlap`.
    share = (lost_by_frequency / lost_by_row).mean() / law.overlap
    assert 0.8 < share < 1.25


@pytest.mark.parametrize("shift", [-5, -2, 2, 9])
def test_a_late_stream_is_best_explained_at_its_lag(shift) -> None:
    rows = lagging.values(lag.WINDOW_ROWS + 40, seed=5)
    moved = np.roll(rows, shift, axis=0)[20 : 20 + lag.WINDOW_ROWS, 0]
    window = rows[20 : 20 + lag.WINDOW_ROWS].copy()
    window[:, 0] = moved
    profile = lag.weigh(lag.law_of(lagging.model()), window, [ONE])[0]
    assert lag.lags()[profile.log_likelihood.argmax()] == pytest.approx(shift, abs=0.5)
    assert lag.lags()[profile.plain.argmax()] == pytest.approx(shift, abs=1.0)


def test_a_source_is_moved_as_a_whole() -> None:
    rows = lagging.values(lag.WINDOW_ROWS, seed=6)
    moved = lagging.late(rows, [0, 1, 2], 3, 0)
    profile = lag.weigh(lag.law_of(lagging.model()), moved, [np.array([0, 1, 2])])[0]
    assert lag.lags()[profile.log_likelihood.argmax()] == pytest.approx(3.0, abs=0.5)


def test_gaps_shift_nothing() -> None:
    rows = lagging.late(lagging.values(lag.WINDOW_ROWS, seed=7), 0, 4, 0)
    rows[1::2, 0] = np.nan
    rows[::3, 2] = np.nan
    rows[:, 4] = np.nan
    law = lag.law_of(lagging.model())
    first, nothing = lag.weigh(law, rows, [ONE, np.array([4])])
    assert lag.lags()[first.log_likelihood.argmax()] == pytest.approx(4.0, abs=0.5)
    assert nothing is None


def test_without_others_nothing_is_said() -> None:
    rows = np.full((lag.WINDOW_ROWS, 6), np.nan)
    rows[:, 0] = lagging.values(lag.WINDOW_ROWS, seed=8)[:, 0]
    assert lag.weigh(lag.law_of(lagging.model()), rows, [ONE]) == [None]


def test_what_the_frequencies_say_adds_up() -> None:
    rows = lagging.late(lagging.values(lag.WINDOW_ROWS, seed=7), 0, 4, 0)
    law = lag.law_of(lagging.model())
    profile = lag.weigh(law, rows, [ONE])[0]
    places = np.arange(len(lag.lags()))
    course = profile.log_likelihood
    parts = lag.said(profile.cross, places, ZERO)
    assert parts.sum(axis=1) == pytest.approx(course - course[ZERO], abs=1e-9)


def gain(profile):
    """Return what speaks for the best lag against none, in nats."""
    best = int(profile.log_likelihood.argmax())
    return (profile.log_likelihood[best] - profile.log_likelihood[ZERO]) / profile.looseness(best)


def test_a_sensor_that_has_become_loud_says_nothing() -> None:
    rng = np.random.default_rng(9)
    rows = lagging.values(lag.WINDOW_ROWS, seed=200)
    rows[:, 0] = 20.0 * rng.normal(size=len(rows))
    assert lag.weigh(lag.law_of(lagging.model()), rows, [ONE]) == [None]


@pytest.mark.parametrize("size", [3.0, 30.0, 1e6])
def test_steps_of_several_levels_are_no_evidence_for_a_lag(size) -> None:
    law = lag.law_of(lagging.model())
    rng, gains = np.random.default_rng(10), []
    for seed in range(10):
        rows = lagging.values(lag.WINDOW_ROWS, seed=220 + seed)
        rows[int(rng.integers(40, 200)) :] += size * rng.normal(size=6)
        groups = [np.array([place]) for place in range(6)]
        gains += [gain(profile) for profile in lag.weigh(law, rows, groups)]
    assert max(gains) < 15.0


def test_a_move_is_as_wide_as_in_the_rows() -> None:
    rows = lagging.values(4_000, seed=60)
    seen = np.diff(rows, axis=0).std(axis=0)
    assert lag.law_of(lagging.model()).move == pytest.approx(seen, rel=0.15)
