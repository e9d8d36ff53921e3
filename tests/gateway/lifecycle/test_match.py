"""What belongs to a model passes in its order; what does not is refused or noted by name."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.lifecycle.data import Rows
from gateway.lifecycle.match import MismatchError, match
from gateway.models.fit import Settings, fit
from gateway.models.twin_model import TwinModel
from tests.gateway.lifecycle import models_on_disk
from tests.gateway.lifecycle.models_on_disk import LOCATION, SCALE, SIGNALS, UNITS, S

MODEL = models_on_disk.model()


def rows_of(
    values: np.ndarray, signals: tuple[str, ...] = SIGNALS, units: tuple[str, ...] = UNITS
) -> Rows:
    count = len(values)
    return Rows(
        source="new.csv",
        sha256="ab" * 32,
        signals=signals,
        units=units,
        values=values,
        numbers=np.arange(count),
        times_ns=np.arange(count) * S,
        lines=np.arange(count) + 2,
        suspect=None,
        verified=np.ones(count, dtype=np.bool_),
        period_ns=S,
        notes=("merged",),
    )


def refused(rows: Rows) -> MismatchError:
    with pytest.raises(MismatchError) as caught:
        match(MODEL, rows)
    return caught.value


def healthy(seed: int = 1) -> np.ndarray:
    return models_on_disk.rows(200, seed)


def test_the_models_order_is_taken_and_nothing_is_odd() -> None:
    turned = rows_of(healthy()[:, ::-1], SIGNALS[::-1], UNITS[::-1])
    matched = match(MODEL, turned)
    np.testing.assert_array_equal(matched.rows.values, healthy())
    assert matched.notes == ("merged",)


def test_units_periods_and_missing_columns_are_refused() -> None:
    assert refused(rows_of(healthy(), units=("l/s", "bar", "A", ""))).signal == "flow"
    assert (
        "needs 4 signals" in refused(rows_of(healthy(), ("flow", "p", "current", "speed"))).remedy
    )
    assert "--period 1" in refused(replace(rows_of(healthy()), period_ns=2 * S)).remedy


def test_numbers_that_look_converted_are_refused_unless_a_person_says_otherwise() -> None:
    values = healthy()
    values[:, 1] *= 14.5038
    assert "bar to psi" in refused(rows_of(values)).what
    notes = match(MODEL, rows_of(values), units_as_they_are=True).notes
    assert any(note.startswith("pressure: 10 of 10 blocks") for note in notes)


def test_a_way_of_running_never_seen_is_noted_with_its_channels() -> None:
    values = healthy()
    values[100:, [0, 2]] += 20.0 * SCALE[[0, 2]]
    notes = match(MODEL, rows_of(values)).notes[1:]
    assert [note.split(":")[0] for note in notes] == ["flow", "current"]
    assert all("5 of 10 blocks" in note and "every way of running" in note for note in notes)


def test_an_old_level_may_be_anywhere() -> None:
    values = healthy() + 20.0 * SCALE
    rows = rows_of(values)
    assert len(match(MODEL, rows, units_as_they_are=True).notes) == 5
    assert len(match(MODEL, rows, units_as_they_are=True, age_rows=10**9).notes) == 1


def test_silent_and_frozen_channels_are_noted() -> None:
    values = healthy()
    values[:, 0], values[:, 3] = np.nan, LOCATION[3]
    _, silent, frozen = match(MODEL, rows_of(values)).notes
    assert silent.startswith("flow: no value in any row")
    assert frozen.startswith("speed: 1500 in every row")


@pytest.fixture(scope="module")
def still() -> TwinModel:
    """Return a model in whose training the speed never changed."""
    values = models_on_disk.rows(models_on_disk.TRAINING_ROWS)
    values[:, 3] = 1500.0
    return fit(values, SIGNALS, UNITS, period_ns=S, asset="pump", settings=Settings(order=(1, 0)))


def test_a_channel_that_stood_still_in_training_and_moves_now_is_noted(still: TwinModel) -> None:
    assert still.names == SIGNALS[:3]
    values = healthy()
    values[:, 3] = 1500.0
    assert match(still, rows_of(values)).notes == ("merged",)
    values[150:, 3] = 1200.0
    (_, note) = match(still, rows_of(values)).notes
    expected = "speed: 1500 in every training row, now 1200 to 1200 in 50 rows; it takes no part"
    assert note.startswith(expected)
