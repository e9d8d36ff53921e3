"""What is measured about alignment: streams are what they say, figures come out as they should."""

import numpy as np
import pytest

from benchmarks import alignment
from benchmarks.alignment_streams import SOURCES, Plant, arrivals, streams


@pytest.fixture(scope="module")
def plant():
    """Two waves of a minute and more, of which sensors see a tenth of noise."""
    times_s = np.arange(3_000.0)
    waves = np.column_stack([np.sin(times_s / 10.0), 50.0 * np.cos(times_s / 15.0)])
    return Plant("waves", ("w:a", "w:b"), 1.0, waves, np.array([0.07, 3.5]), 5.0, 3e3, 3e3)


def test_the_same_seed_makes_the_same_streams_and_nothing_arrives_early(plant):
    one, other = (streams(plant, (0.01,) * SOURCES, 3) for _ in range(2))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.values, second.values)
        assert (first.arrival_s >= first.stated_s).all()
        assert (np.diff(first.true_s) > 0).all()


def test_clock_errors_are_as_large_as_stated(plant):
    made = streams(plant, (0.5,) * SOURCES, 3)[0]
    assert np.std(made.stated_s - made.true_s) == pytest.approx(0.5, rel=0.4)
    lost = streams(plant, (0.0,) * SOURCES, 3, (1_000.0, 2.0))
    assert not lost[0].deviation_s.any(), "only the last source loses its clock"


def test_samples_become_records_in_the_order_of_arrival(plant):
    made = streams(plant, (0.01,) * SOURCES, 3)
    found = arrivals(plant, made)
    assert len(found) == sum(len(stream.values) for stream in made)
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert {value.uncertainty_ns for _, value in found} == {20_000_000}


def test_on_waves_the_conditional_mean_wins_and_its_variance_holds(plant):
    found = alignment.resampling(plant, streams(plant, (0.01,) * SOURCES, 3), 3)
    hold, linear, _, ours = found.values()
    assert ours.rms < linear.rms < hold.rms
    assert 0.9 < ours.coverage <= 1.0


def test_carried_values_are_as_far_off_as_they_say_also_once_a_plant_at_rest_runs(plant):
    """From half a lesson of the slowest signal after the plant has begun to run."""
    for each in (plant, alignment.first_at_rest(plant, 1_500.0)):
        made = streams(each, (0.01,) * SOURCES, 3)
        found = alignment.carried(each, made, 2_500.0)
        assert 0.0 < found.rms < 0.3
        assert 0.9 < found.coverage <= 1.0


def test_cost_is_a_share_of_a_core():
    share, worst_s = alignment.cost(1_000_000_000, signals=3, seconds=4)
    assert 0.0 < share < 1.0
    assert worst_s > 0.0
