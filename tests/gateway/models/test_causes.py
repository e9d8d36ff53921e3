"""Which cause, which signal: every kind of fault put into rows of a known law."""

import numpy as np
import pytest

from gateway.models.causes import CAUSES, PRIORS, compare, learn_handicap
from gateway.models.hypotheses_additive import additive, age_grid, age_weights
from gateway.models.hypotheses_process import process
from gateway.models.hypotheses_replaced import Copy, replaced
from gateway.models.hypotheses_window import log_density, weigh
from gateway.models.state_space import sample
from gateway.models.trust import fuse
from tests.gateway.models import windows

AGE = 20
ONSET = windows.ROWS - AGE


@pytest.fixture(scope="module")
def law():
    return windows.law()


def said(weighed):
    """Return the likeliest cause and the place of its likeliest finding."""
    causes = weighed.cause_probabilities()
    cause = max(causes, key=lambda name: causes[name])
    return cause, next(f for f in weighed.findings if f.cause == cause).signal


def faulty(law, cause, seed, signal=0, size=5.0):
    """Return healthy rows with a fault in the last AGE rows of a signal."""
    rows = windows.healthy(law, seed)
    rng = np.random.default_rng(seed + 1000)
    part = rows[ONSET:, signal]
    reach = size * law.spread[signal]
    if cause == "bias":
        part += reach
    elif cause == "drift":
        part -= reach * np.arange(1, AGE + 1) / AGE
    elif cause == "stuck":
        part[:] = part[0]
    elif cause == "noise":
        part += reach * rng.normal(size=AGE)
    elif cause == "spike":
        part[3] += 2.0 * reach
    elif cause == "loss":
        part[:] = np.nan
    elif cause == "clock":
        part[:] = rows[ONSET - 4 : -4, signal].copy()
    elif cause == "spoof":
        part[:] = sample(law.state_space, AGE, rng)[:, signal]
    elif cause == "process":
        rows[ONSET:] += law.state_space.current @ np.array([size, -size])
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cause", "least"),
    [
        ("process", 5),
        ("bias", 5),
        ("drift", 5),
        ("stuck", 6),
        ("noise", 6),
        ("spike", 5),
        ("loss", 6),
        ("clock", 5),
    ],
)
def test_a_fault_is_named_with_its_signal(law, cause, least):
    """In how many of six draws."""
    right = 0
    for seed in range(6):
        signal = seed % 3
        truth = None if cause == "process" else signal
        right += said(compare(law, faulty(law, cause, seed, signal))) == (cause, truth)
    assert right >= least


@pytest.mark.slow
def test_a_spoof_is_named_though_not_always_its_signal(law):
    """Two signals of one factor that go apart by themselves: the rows cannot say which is true."""
    twins = {0: {0, 1}, 1: {0, 1}, 2: {2, 3}}
    causes, places = 0, 0
    for seed in range(6):
        signal = seed % 3
        weighed = compare(law, faulty(law, "spoof", seed, signal))
        cause, place = said(weighed)
        causes += cause == "spoof"
        places += place in twins[signal]
    assert causes >= 4
    assert places >= 5


@pytest.mark.slow
def test_healthy_rows_are_rarely_given_a_culprit(law):
    sure = [compare(law, windows.healthy(law, seed)).findings[0] for seed in range(12)]
    accused = [finding for finding in sure if finding.cause != "none" and finding.probability > 0.5]
    assert len(accused) <= 2


def test_probabilities_sum_to_one_and_are_ranked(law):
    findings = compare(law, faulty(law, "bias", 5)).findings
    shares = [finding.probability for finding in findings]
    assert sum(shares) == pytest.approx(1.0)
    assert shares == sorted(shares, reverse=True)
    assert sum(PRIORS.values()) == pytest.approx(1.0)
    assert set(PRIORS) == set(CAUSES)


def test_size_and_onset_are_found_with_their_doubt(law):
    finding = compare(law, faulty(law, "bias", 2, signal=1)).findings[0]
    assert (finding.cause, finding.signal) == ("bias", 1)
    assert abs(finding.size - 5.0) < 3.0 * finding.size_deviation
    assert 0.02 < finding.size_deviation < 1.0
    assert abs(finding.age_rows - AGE) <= 2


@pytest.mark.slow
def test_a_lone_signal_may_be_the_process_as_well_as_the_sensor(law):
    """Nothing confirms the last signal, so a step of it is not surely the sensor's."""
    confirmed = compare(law, faulty(law, "bias", 5, signal=1)).cause_probabilities()["process"]
    alone = compare(law, faulty(law, "bias", 5, signal=4)).cause_probabilities()["process"]
    assert confirmed < 0.02 < alone


def test_two_equal_sensors_that_part_are_both_suspects(law):
    """Signals 0 and 1 say the same; without others either may be wrong."""
    rows = faulty(law, "bias", 6, signal=0)
    rows[:, 2:] = np.nan
    priors = dict.fromkeys(CAUSES, 0.0) | {"bias": 0.5, "none": 0.5}
    shares = compare(law, rows, priors=priors).signal_probabilities()
    assert shares[0] + shares[1] > 0.99


def test_a_step_is_integrated_over_its_size_exactly(law):
    """The ratio of one variant equals that of two joint Student densities."""
    rows = windows.healthy(law, seed=8, rows=10)
    window = weigh(law, rows)
    bias = next(part for part in additive(window) if part.cause == "bias")
    age, size = 4, 1.5
    covariance = windows.joint_covariance(law, 10)
    signature = np.zeros((windows.SIGNALS, 10))
    signature[2, -age:] = size * law.spread[2]
    signature = signature.ravel()
    values = rows.T.ravel()
    grown = covariance + np.outer(signature, signature)
    densities = [
        float(
            log_density(
                values @ np.linalg.solve(among, values),
                np.linalg.slogdet(among)[1],
                len(values),
                law.degrees,
            )
        )
        for among in (grown, covariance)
    ]
    # Ages 3, 4, ...: variant 1 of the onset, variant 1 of nine sizes; weights taken off again.
    weight = np.log(age_weights(np.arange(3, 11), 10))[1] + np.log(1.0 / 4.9)
    found = bias.log_likelihood[2, 9 + 1] - weight
    assert found == pytest.approx(densities[0] - densities[1], abs=1e-6)


def test_weights_of_onsets_sum_to_one():
    for ages in (np.arange(3, 61), age_grid(60, 6), np.array([5])):
        assert age_weights(ages, 60).sum() == pytest.approx(1.0)
    assert len(age_grid(5, 6)) == 0


def test_a_constant_counts_for_a_fine_signal_and_not_for_one_that_holds(law):
    fine = faulty(law, "stuck", 1)
    holding = windows.law(hold=0.95)
    ratio = {
        name: next(p for p in replaced(weigh(known, fine), ()) if p.cause == "stuck")
        .log_likelihood[0]
        .max()
        for name, known in (("fine", law), ("holds", holding))
    }
    assert ratio["fine"] > 50.0
    assert ratio["holds"] < ratio["fine"] - 50.0


@pytest.mark.slow
def test_a_copy_of_stored_rows_is_a_replay_of_one_or_of_all(law):
    stored = windows.healthy(law, seed=77)
    for members, signal in (((3,), 3), (tuple(range(windows.SIGNALS)), None)):
        rows = windows.healthy(law, seed=9)
        rows[ONSET:, list(members)] = stored[ONSET:, list(members)]
        weighed = compare(law, rows, copies=[Copy(members, stored, 10_000)])
        assert said(weighed) == ("replay", signal)
    assert compare(law, rows).cause_probabilities()["replay"] == 0.0


def test_a_silent_asset_has_lost_everything_not_one_signal(law):
    rows = windows.healthy(law, seed=10)
    rows[-6:] = np.nan
    assert said(compare(law, rows)) == ("loss", None)


def test_a_process_change_tells_what_it_moves(law):
    rows = windows.healthy(law, seed=11)
    rows[ONSET:, [0, 4]] += 6.0 * law.spread[[0, 4]]
    candidates, changed = process(weigh(law, rows))
    assert set(changed.signals[:2]) == {0, 4}
    assert changed.sizes[0] == pytest.approx(6.0, abs=1.5)
    assert candidates.log_likelihood.max() > 100.0


@pytest.mark.slow
def test_handicap_takes_off_what_healthy_windows_claimed(law):
    """A law that believes in half the noise sees noise everywhere, until it is told."""
    space = law.state_space
    narrow = law._replace(state_space=space._replace(noise=0.4 * space.noise))
    handicap = learn_handicap(narrow, [windows.healthy(law, seed) for seed in range(4)])
    fresh = windows.healthy(law, seed=50)
    before = compare(narrow, fresh).cause_probabilities()["none"]
    after = compare(narrow, fresh, handicap=handicap).cause_probabilities()["none"]
    assert handicap.shape == (len(CAUSES), windows.SIGNALS + 1)
    assert (handicap >= 0.0).all()
    assert after > before
    assert np.array_equal(learn_handicap(law, []), np.zeros(handicap.shape))


def test_the_best_value_leaves_a_false_one_out_and_keeps_the_true(law):
    rows = windows.healthy(law, seed=12)
    truth = rows[-1].copy()
    rows[ONSET:, 0] += 8.0 * law.spread[0]
    fused = fuse(compare(law, rows))
    assert fused.left_out == (0,)
    assert abs(fused.value[0] - truth[0]) < 3.0 * fused.deviation[0] < 3.0 * law.spread[0]
    np.testing.assert_allclose(fused.value[1:], truth[1:], atol=0.02)


def test_the_best_value_of_a_missing_signal_is_what_the_rest_says(law):
    rows = windows.healthy(law, seed=13)
    truth = rows[-1, 1]
    rows[-1, 1] = np.nan
    fused = fuse(compare(law, rows))
    assert abs(fused.value[1] - truth) < 4.0 * fused.deviation[1]
    assert fused.deviation[1] < 0.7 * law.spread[1]


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_short_windows_are_compared_as_far_as_they_go(law, rows):
    findings = compare(law, windows.healthy(law, seed=14, rows=rows)).findings
    assert sum(finding.probability for finding in findings) == pytest.approx(1.0)


def test_rows_of_another_model_are_refused(law):
    with pytest.raises(ValueError, match=r"give \(n, 5\)"):
        compare(law, np.zeros((10, 4)))


def test_absurd_values_are_a_fault_and_no_overflow(law):
    rows = windows.healthy(law, seed=15)
    rows[ONSET:, 2] = 1e6
    weighed = compare(law, rows)
    assert np.isfinite([finding.probability for finding in weighed.findings]).all()
    assert int(np.argmax(weighed.signal_probabilities())) == 2
