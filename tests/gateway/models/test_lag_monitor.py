"""Rows in, lags that are not what they were out."""

import numpy as np
import pytest

from gateway.models import lag, lag_marginals
from gateway.models.lag_monitor import HOP_ROWS, JUDGE_WINDOWS, LEARN_WINDOWS, Group, LagMonitor
from gateway.models.scaling import scaled
from gateway.models.twin_model import sample
from tests.gateway.models import lagging

TAUGHT_ROWS = 8 * lag.WINDOW_ROWS


@pytest.fixture(scope="module", autouse=True)
def _learnt() -> None:
    """Learn the model before the first test."""
    lagging.model()


def groups():
    return [Group(name, np.array([place])) for place, name in enumerate(lagging.model().names)]


def run(monitor, rows):
    """Return (row, found) of everything that is found."""
    return [(number, found) for number, row in enumerate(rows) for found in monitor.step(row)]


def taught(seed=21, extra=()):
    """Return a monitor that healthy rows have taught."""
    monitor = LagMonitor(lagging.model(), [*groups(), *extra])
    assert run(monitor, lagging.values(TAUGHT_ROWS, seed=seed)) == []
    return monitor


def test_two_rows_late_is_found_named_and_sized() -> None:
    rows = lagging.late(lagging.values(1_024, seed=22), 0, 2, 0)
    found = run(taught(), rows)
    assert len(found) == 1
    row, lagged = found[0]
    assert row < lag.WINDOW_ROWS * 4
    assert (lagged.group, lagged.is_active) == ("flow", True)
    assert lagged.lag_rows == pytest.approx(2.0, abs=2.0 * lagged.deviation_rows + 0.25)
    assert lagged.gain > lagged.limit


def test_early_is_found_with_its_sign() -> None:
    monitor = taught()
    found = run(monitor, lagging.late(lagging.values(1_024, seed=23), 0, -6, 0))
    early = found[-1][1]
    # Late is preferred where two explain it alike; then the other one is named.
    assert early.group == "flow" or "flow" in early.rivals
    assert abs(early.lag_rows) == pytest.approx(6.0, abs=1.0)
    assert (early.lag_rows < 0) == (early.group == "flow")


def test_it_ends_once_when_the_stream_is_right_again() -> None:
    monitor = taught()
    rows = lagging.values(2_048, seed=24)
    rows[:600] = lagging.late(rows, 0, 5, 0)[:600]
    found = [each for _, each in run(monitor, rows)]
    assert [each.is_active for each in found] == [True, False]
    assert found[0].group == found[1].group == "flow"
    assert monitor.active is None


@pytest.mark.slow
def test_health_says_nothing_and_teaches_up_to_a_bound() -> None:
    monitor = taught()
    rows = scaled(lagging.model().scaling, sample(lagging.model(), 8_000, np.random.default_rng(3)))
    assert run(monitor, rows) == []
    assert {each.windows for each in monitor.references.values()} == {LEARN_WINDOWS}


def test_nothing_is_judged_before_enough_was_learnt() -> None:
    monitor = LagMonitor(lagging.model(), groups())
    rows = lagging.values((JUDGE_WINDOWS - 1) * lag.WINDOW_ROWS + HOP_ROWS, seed=25)
    run(monitor, rows)
    late = lagging.late(lagging.values(lag.WINDOW_ROWS // 2, seed=26), 0, 8, 0)
    assert run(monitor, late) == []


def test_suspect_rows_teach_nothing() -> None:
    monitor = LagMonitor(lagging.model(), groups())
    for row in lagging.values(1_024, seed=27):
        monitor.step(row, is_healthy=False)
    assert monitor.references == {}


def test_a_source_is_named_as_one() -> None:
    machine = Group("machine", np.array([0, 1, 2]))
    monitor = taught(extra=[machine])
    found = run(monitor, lagging.late(lagging.values(1_024, seed=28), [0, 1, 2], 6, 0))
    assert found[0][1].group == "machine"
    assert found[0][1].lag_rows == pytest.approx(6.0, abs=0.7)


def test_a_gap_empties_the_window_and_keeps_what_was_learnt() -> None:
    monitor = taught()
    before = dict(monitor.references)
    assert monitor.skip(10**12) == []
    assert monitor.references == before
    found = run(monitor, lagging.late(lagging.values(1_024, seed=29), 0, 4, 0))
    assert found[0][0] >= lag.WINDOW_ROWS - 1


def test_a_few_missing_rows_change_little() -> None:
    monitor = taught()
    rows = lagging.late(lagging.values(1_024, seed=22), 0, 3, 0)
    found = []
    for number, row in enumerate(rows):
        found += monitor.skip(1) if number % 9 == 4 else monitor.step(row)
    assert found[0].group == "flow"


def test_silence_of_everything_is_no_finding() -> None:
    monitor = taught()
    assert run(monitor, np.full((600, 6), np.nan)) == []


def test_the_same_rows_find_the_same() -> None:
    rows = lagging.late(lagging.values(700, seed=30), 1, 4, 0)
    assert run(taught(), rows) == run(taught(), rows)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [20, 30, -25, -30, 60])
def test_a_lag_beyond_reach_is_named_with_its_sign_and_no_size(shift) -> None:
    rows = lagging.late(lagging.values(1_024, seed=31), 0, shift, 0)
    found = [each for _, each in run(taught(), rows) if each.is_active]
    assert found
    for each in found:
        assert each.group == "flow" or "flow" in each.rivals
        assert each.is_beyond
        assert each.deviation_rows == lag.REACH_ROWS
        assert (each.lag_rows > 0) == (shift > 0 if each.group == "flow" else shift < 0)


@pytest.mark.slow
@pytest.mark.parametrize("period", [16, 24, 32, 40, 64])
def test_an_oscillation_of_all_signals_is_no_lag(period) -> None:
    rows = lagging.values(1_600, seed=32)
    swing = 2.0 * np.sin(2.0 * np.pi * np.arange(1_600) / period)
    assert run(taught(), rows + swing[:, None]) == []


def test_a_lag_is_found_in_spite_of_an_oscillation() -> None:
    rows = lagging.values(1_024, seed=33)
    swing = 2.0 * np.sin(2.0 * np.pi * np.arange(1_024) / 40)
    found = run(taught(), lagging.late(rows + swing[:, None], 0, 5, 0))
    assert found[0][1].group == "flow"
    assert found[-1][1].lag_rows == pytest.approx(5.0, abs=1.0)


def test_of_too_many_signals_some_are_left_out(monkeypatch) -> None:
    monkeypatch.setattr(lag_marginals, "SIGNALS_MAX", 4)
    source = Group("all", np.arange(6))
    monitor = LagMonitor(lagging.model(), [*groups(), source])
    assert len(monitor.left_out) == 2
    assert run(monitor, lagging.values(TAUGHT_ROWS, seed=21)) == []
    assert {*monitor.references}.isdisjoint(monitor.left_out)
    assert len(monitor.references) == 4
    late = next(lagging.model().names.index(name) for name in monitor.references)
    found = run(monitor, lagging.late(lagging.values(1_024, seed=22), late, 5, 0))
    assert found[0][1].group in monitor.references
