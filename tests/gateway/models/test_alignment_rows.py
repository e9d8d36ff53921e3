"""Samples become rows: regular ones stay as they are, others are carried, memory is bounded."""

import math

import numpy as np
import pytest

from gateway.models import alignment_rows
from gateway.models.alignment_lessons import LESSONS
from gateway.models.alignment_rows import BEFORE, OWN_MAX, Again, Resampler, Usual, batch

PERIOD_NS = 1_000_000_000
NOTHING = batch([], [], [], [])


def closed(resampler, rows, times_of, value_of, unsure_ns=0.0):
    """Close rows with the samples of each signal at `times_of(row)`; return what they had."""
    out = []
    for row in rows:
        samples = [(place, time_ns) for place, time_ns in times_of(row)]
        own = batch(
            [place for place, _ in samples],
            [time_ns for _, time_ns in samples],
            [value_of(place, time_ns) for place, time_ns in samples],
            [unsure_ns] * len(samples),
        )
        out.append(resampler.close(own, NOTHING, row * PERIOD_NS + PERIOD_NS // 2))
    return out


def ramp(place, time_ns):
    """Return a value that wanders and rises."""
    time_s = time_ns / PERIOD_NS
    return (place + 1) * (0.5 * time_s + 20.0 * math.sin(time_s / 15.0))


def regular(row):
    """Two signals once a row, each at its own phase."""
    return [(0, row * PERIOD_NS + 100_000_000), (1, row * PERIOD_NS + 800_000_000)]


def test_regular_complete_rows_are_what_was_sampled_to_the_last_bit():
    resampler = Resampler(2, PERIOD_NS)
    rows = range(2 * LESSONS[-1])
    out = closed(resampler, rows, regular, ramp, unsure_ns=0.0)
    assert resampler.law.is_known.all()
    for row, carried in zip(rows, out, strict=True):
        assert carried.values.tolist() == [ramp(*sample) for sample in regular(row)]
        assert carried.extra.tolist() == [0.0, 0.0]


def test_a_badly_known_time_adds_to_the_variance_and_moves_nothing():
    resampler = Resampler(2, PERIOD_NS)
    closed(resampler, range(LESSONS[-1] + 10), regular, ramp)
    row = LESSONS[-1] + 10
    (sure,) = closed(resampler, [row], regular, ramp, unsure_ns=1e6)
    (unsure,) = closed(resampler, [row + 1], regular, ramp, unsure_ns=1e8)
    assert unsure.values.tolist() == [ramp(*sample) for sample in regular(row + 1)]
    assert (unsure.extra > 1_000 * sure.extra).all()
    assert (sure.extra > 0.0).all()


def anywhere(seed):
    """Return what samples one signal once a row, anywhere in it."""
    rng = np.random.default_rng(seed)
    return lambda row: [(0, row * PERIOD_NS + int(rng.integers(PERIOD_NS)))]


def test_irregular_samples_are_carried_to_the_middle_of_the_row():
    resampler = Resampler(1, PERIOD_NS)
    times_of = anywhere(1)
    closed(resampler, range(LESSONS[-1]), times_of, ramp)
    asked, raw = [], []
    rows = range(LESSONS[-1], LESSONS[-1] + 200)

    def kept(row):
        asked.append(times_of(row))
        return asked[-1]

    out = closed(resampler, rows, kept, ramp)
    truth = np.array([ramp(0, row * PERIOD_NS + PERIOD_NS // 2) for row in rows])
    raw = np.array([ramp(*samples[0]) for samples in asked])
    carried = np.array([row.values[0] for row in out])
    assert np.std(carried - truth) < 0.5 * np.std(raw - truth)


def test_a_sample_after_the_row_helps():
    errors = []
    for with_after in (False, True):
        resampler = Resampler(1, PERIOD_NS)
        times_of = anywhere(2)
        closed(resampler, range(LESSONS[-1]), times_of, ramp)
        off = []
        for row in range(LESSONS[-1], LESSONS[-1] + 100):
            own_ns, after_ns = (times_of(at)[0][1] for at in (row, row + 1))
            own = batch([0], [own_ns], [ramp(0, own_ns)], [0.0])
            after = batch([0], [after_ns], [ramp(0, after_ns)], [0.0]) if with_after else NOTHING
            middle_ns = row * PERIOD_NS + PERIOD_NS // 2
            off.append(resampler.close(own, after, middle_ns).values[0] - ramp(0, middle_ns))
        errors.append(np.std(off))
    assert errors[1] < 0.5 * errors[0]


def test_until_a_law_is_learnt_samples_of_a_row_are_averaged():
    resampler = Resampler(1, PERIOD_NS)
    (row,) = closed(resampler, [5], lambda row: [(0, row * PERIOD_NS), (0, row * PERIOD_NS + 2)],
                    lambda place, time_ns: float(time_ns % 10))  # fmt: skip
    assert (row.values.tolist(), row.extra.tolist()) == ([1.0], [0.0])


def regular_one(row):
    """One signal, once a row."""
    return [(0, row * PERIOD_NS + 300_000_000)]


def test_a_source_that_starts_anew_at_another_phase_is_followed():
    resampler = Resampler(1, PERIOD_NS)
    closed(resampler, range(LESSONS[-1]), regular_one, ramp)

    def later(row):
        return [(0, row * PERIOD_NS + 900_000_000)]

    rows = range(LESSONS[-1], LESSONS[-1] + 300)
    out = closed(resampler, rows, later, ramp)
    assert out[0].values[0] != ramp(*later(rows[0])[0])
    assert out[-1].values[0] == pytest.approx(ramp(*later(rows[-1])[0]), abs=1e-3)
    assert out[-1].extra[0] < 0.01 * out[0].extra[0]


def test_after_forgetting_nothing_old_is_used_and_laws_stay():
    resampler = Resampler(1, PERIOD_NS)
    closed(resampler, range(LESSONS[-1]), regular_one, ramp)
    resampler.forget()
    assert resampler.law.is_known[0]
    (row,) = closed(resampler, [-4000], regular_one, lambda place, time_ns: 1e6)
    assert row.values[0] == 1e6


@pytest.mark.parametrize("number", [math.nan, math.inf, -1e300])
def test_what_is_no_number_or_absurd_is_left_out(number):
    resampler = Resampler(1, PERIOD_NS)
    closed(resampler, range(LESSONS[-1]), regular_one, ramp)
    (row,) = closed(resampler, [LESSONS[-1]], regular_one, lambda place, time_ns: number)
    assert math.isnan(row.values[0])
    assert row.extra[0] == 0.0


def test_a_flood_of_samples_costs_no_more_than_the_newest_ones():
    resampler = Resampler(1, PERIOD_NS)
    (row,) = closed(
        resampler,
        [0],
        lambda row: [(0, time_ns) for time_ns in range(1_000)],
        lambda place, time_ns: float(time_ns),
    )
    assert row.values[0] == np.mean(range(1_000 - OWN_MAX, 1_000))
    assert resampler._values.shape == (1, BEFORE + 1)


def test_a_closed_row_can_be_asked_again():
    resampler = Resampler(1, PERIOD_NS)
    closed(resampler, range(LESSONS[-1]), regular_one, ramp)
    at_ns = regular_one(50)[0][1]
    near = Again(NOTHING, batch([0], [at_ns], [77.0], [0.0]), NOTHING)
    found = resampler.again([0], [50 * PERIOD_NS + PERIOD_NS // 2], near)
    assert found.values == pytest.approx([77.0])
    assert found.extra == pytest.approx([0.0], abs=1e-6)


def test_asked_again_a_row_is_what_it_was():
    """Also one whose samples lie anywhere, from the same neighbours."""
    resampler = Resampler(1, PERIOD_NS)
    times_of = anywhere(2)
    closed(resampler, range(LESSONS[-1]), times_of, ramp)
    rows = range(LESSONS[-1], LESSONS[-1] + 3)
    times_ns = [times_of(row)[0][1] for row in rows]
    before, own, after = (batch([0], [at], [ramp(0, at)], [0.0]) for at in times_ns)
    middle_ns = rows[1] * PERIOD_NS + PERIOD_NS // 2
    resampler.forget()
    resampler.close(before, own, middle_ns - PERIOD_NS)
    resampler._phase[:] = 0.0
    first = resampler.close(own, after, middle_ns)
    resampler._phase[:] = 0.0
    again = resampler.again([0], [middle_ns], Again(before, own, after))
    assert again.values == pytest.approx(first.values)
    assert again.extra == pytest.approx(first.extra)


def test_what_is_usual_in_training_is_not_added_again():
    usual = Usual(2, 2)
    for extra, has_law in ((0.0, False), (1.0, True), (3.0, True), (9.0, True)):
        row = np.array([5.0, math.nan]), np.array([extra, 9.0]), np.array([has_law, True])
        usual.learn(alignment_rows.Carried(*row))
    assert usual.extra.tolist() == [2.0, 0.0]
    assert usual.beyond(np.array([5.0, 0.5])).tolist() == [3.0, 0.5]
    assert usual.beyond(np.array([1.0, 0.0])).tolist() == [0.0, 0.0]
