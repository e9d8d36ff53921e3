"""A fit finds the model that made the rows, names what is wrong, and adds up over parts."""

import numpy as np
import pytest

from gateway.models import fit, state_space
from gateway.models.fit import Asset, UnfitRowsError, fit_parts
from gateway.models.training_part import TrainingPart
from gateway.models.twin_model import at_end
from tests.gateway.models import assets

ORDER = (2, 1)


@pytest.fixture(scope="module")
def learnt():
    return assets.model(assets.rows(4000), order=ORDER)


def test_the_law_of_the_rows_is_found(learnt):
    scale = np.outer(learnt.scaling.scale, learnt.scaling.scale)
    for lag in (0, 1, 5):
        found = state_space.autocovariance(learnt.state_space, lag) * scale
        true = state_space.autocovariance(assets.SPACE, lag) * np.outer(assets.SCALE, assets.SCALE)
        deviation = assets.SCALE * np.sqrt(np.diag(state_space.covariance(assets.SPACE)))
        np.testing.assert_array_less(np.abs(found - true), 0.12 * np.outer(deviation, deviation))
    roots = np.sort(np.abs(np.linalg.eigvals(learnt.state_space.transition)))
    np.testing.assert_allclose(roots, np.sort(assets.ROOTS), atol=0.07)


def test_steady_signals_drift_little_and_are_not_slow(learnt):
    assert np.all(learnt.drift * learnt.window_rows < 0.1 * learnt.state_space.noise)
    assert not learnt.is_slow.any()
    assert len(learnt.regimes.weights) == 1


def test_a_slow_channel_is_told_by_the_data():
    model = assets.model(assets.rows(400, drift=[0, 0, 0, 0, 0.6, 0]), order=ORDER)
    assert model.is_slow.tolist() == [False, False, False, False, True, False]
    steps = model.drift[4] * model.scaling.scale[4] ** 2
    assert 1 / 3 < steps / (0.6 * assets.SCALE[4]) ** 2 < 3


@pytest.mark.slow
def test_factors_and_lags_are_chosen_by_held_out_rows():
    facts = assets.model(assets.rows(800)).facts
    assert facts["factors"] == 2
    assert facts["lags"] in (1, 2)


@pytest.mark.slow
def test_two_ways_of_running_are_believed_if_held_out_rows_say_so():
    modes = np.array([12.0, -9.0, 15.0, 0.0, 0.0, 0.0])
    model = assets.model(assets.rows(600, modes=modes), order=ORDER)
    table = model.facts["held_out_by_regimes"]
    assert len(model.regimes.weights) == 2
    assert table["2"] > table["1"]
    step = np.abs(np.diff(model.regimes.offsets, axis=0)[0]) * model.scaling.scale / assets.SCALE
    np.testing.assert_allclose(step, np.abs(modes), atol=1.2)


@pytest.mark.slow
def test_parts_that_keep_their_rows_give_the_pooled_fit():
    rows = assets.rows(420, drift=[0, 0, 0, 0, 0.3, 0])
    rows[50:60, 2] = rows[200, :] = np.nan
    segments = [rows[:120], rows[120:240], rows[240:]]
    pooled = assets.model(segments, order=ORDER)
    asset = Asset("pump", assets.SIGNALS, assets.UNITS, assets.PERIOD_NS)
    parts = [TrainingPart([segment], 20) for segment in segments]
    federated = at_end(fit_parts(parts, asset, fit.Settings(order=ORDER)), segments[-1])
    for name in ("scaling", "state_space", "regimes"):
        for mine, its in zip(getattr(pooled, name), getattr(federated, name), strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-9)
    for name in ("drift", "level", "level_variance", "long_run", "conditional_widening", "tail"):
        np.testing.assert_allclose(
            getattr(pooled, name), getattr(federated, name), rtol=1e-9, atol=1e-9
        )
    assert pooled.facts == federated.facts


@pytest.mark.slow
def test_nothing_with_a_row_in_it_leaves_a_part(monkeypatch):
    """Every array a part returns has a size that does not depend on its number of rows."""
    shapes = {}

    def spied(method, count):
        def call(self, *args):
            result = method(self, *args)
            if not isinstance(result, TrainingPart):
                arrays = [np.shape(leaf) for leaf in _leaves(result)]
                shapes.setdefault(method.__name__, {})[count[0]] = arrays
            return result

        return call

    count = [0]
    for name in [name for name in vars(TrainingPart) if not name.startswith("_")]:
        monkeypatch.setattr(TrainingPart, name, spied(getattr(TrainingPart, name), count))
    for rows in (400, 460):
        count[0] = rows
        assets.model(assets.rows(rows), order=ORDER)
    assert {"survey", "value_counts", "products", "moments", "expect", "surprises"} <= set(shapes)
    for name, by_count in shapes.items():
        assert by_count[400] == by_count[460], name


def _leaves(result):
    """Yield the numbers and arrays of a record."""
    if isinstance(result, tuple):
        for part in result:
            yield from _leaves(part)
    elif hasattr(result, "__dataclass_fields__"):
        for name in result.__dataclass_fields__:
            yield from _leaves(getattr(result, name))
    elif not isinstance(result, dict):
        yield result


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "signal", "says"),
    [
        (lambda rows: rows.__setitem__((slice(None), 2), 7.25), "current", "are all 7.25"),
        (lambda rows: rows.__setitem__((slice(None), 2), np.nan), "current", "is missing"),
        (lambda rows: rows.__setitem__((slice(None), 2), 3 * rows[:, 0]), "current", "flow"),
        (
            lambda rows: rows.__setitem__((slice(None), 5), rows[:, 0] - 2e-6 * rows[:, 1]),
            "voltage",
            "flow and pressure",
        ),
    ],
)
def test_a_channel_that_cannot_take_part_is_left_out_by_name(spoil, signal, says):
    rows = assets.rows(400)
    spoil(rows)
    model = assets.model(rows, order=ORDER)
    assert model.names == tuple(name for name in assets.SIGNALS if name != signal)
    (problem,) = [text for text in model.facts["problems"] if text.startswith(signal)]
    assert says in problem
    assert model.drift.shape == (5,)


@pytest.mark.slow
def test_absurd_values_are_taken_as_missing_and_named():
    clean, rows = assets.rows(400), assets.rows(400)
    rows[[5, 77, 300], 1] = [1e30, np.inf, -9e8]
    model = assets.model(rows, order=ORDER)
    assert model.scaling.used.all()
    texts = [text for text in model.facts["problems"] if text.startswith("pressure")]
    assert len(texts) == 2
    same = assets.model(clean, order=ORDER)
    np.testing.assert_allclose(model.state_space.noise, same.state_space.noise, rtol=0.1)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (assets.rows(60), r"60 training rows of the 6 signals of pump \(flow, .* at least 100"),
        (np.zeros((0, 6)), "0 training rows"),
        (np.full((400, 6), 3.0), "no signal varies .*flow: its training values are all 3"),
        (np.full((400, 6), np.nan), "no signal varies .*voltage: every training value is missing"),
        (np.zeros((400, 5)), "one column for each of the signals flow"),
    ],
)
def test_rows_that_cannot_carry_a_model_are_refused(rows, says):
    with pytest.raises(UnfitRowsError, match=says):
        assets.model(rows)


def test_rows_without_neighbours_are_refused_by_channel():
    rows = assets.rows(400)
    with pytest.raises(UnfitRowsError, match=r"flow, pressure, .* have a neighbour"):
        assets.model([rows[at : at + 1] for at in range(0, 400, 3)], order=ORDER)


def test_fewer_rows_than_channels_are_refused():
    names = tuple(f"s{number}" for number in range(200))
    rows = np.random.default_rng(0).normal(size=(150, 200))
    with pytest.raises(UnfitRowsError, match="at least 201"):
        fit.fit(rows, names, ("",) * 200, period_ns=1, asset="big")


def test_a_name_twice_and_a_unit_too_few_are_refused():
    with pytest.raises(UnfitRowsError, match="a name is double"):
        fit.fit(np.zeros((9, 2)), ("a", "a"), ("", ""), period_ns=1, asset="x")
    with pytest.raises(UnfitRowsError, match="2 signals have 1 units"):
        fit.fit(np.zeros((9, 2)), ("a", "b"), ("",), period_ns=1, asset="x")
    with pytest.raises(UnfitRowsError, match="no rows to learn from"):
        fit.fit([], ("a", "b"), ("", ""), period_ns=1, asset="x")


@pytest.mark.slow
def test_the_unit_of_a_signal_does_not_matter():
    rows = assets.rows(400)
    other = rows * np.array([1e3, 1e-5, 1.0, 1.0, 1.8, 1.0]) + np.array([0, 0, 0, 0, -459.67, 0])
    one, two = assets.model(rows, order=ORDER), assets.model(other, order=ORDER)
    np.testing.assert_allclose(one.state_space.noise, two.state_space.noise, rtol=0.02)
    np.testing.assert_allclose(one.drift, two.drift, rtol=0.1, atol=1e-6)


@pytest.mark.slow
def test_the_same_rows_give_the_same_bits():
    first, second = (assets.model(assets.rows(400), order=ORDER) for _ in range(2))
    assert first.state_space.loadings.tobytes() == second.state_space.loadings.tobytes()
    assert first.level.tobytes() == second.level.tobytes()


@pytest.mark.slow
def test_gaps_of_any_pattern_are_survived():
    rows = assets.rows(200)
    rows[np.random.default_rng(0).random(rows.shape) < 0.4] = np.nan
    rows[100:150, :] = np.nan
    model = assets.model(rows, order=ORDER)
    assert np.isfinite(model.state_space.noise).all()
    assert np.isfinite(model.level).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "edges",
    [
        [(0, 150), (150, 151), (151, 155), (160, 161), (170, 400)],
        [(0, 300), (300, 300), (310, 400)],
        [(at, at + 11) for at in range(0, 400, 20)],
    ],
)
def test_segments_of_any_length_are_learnt_from(edges):
    rows = assets.rows(400)
    model = assets.model([rows[first:last] for first, last in edges], order=ORDER)
    assert model.scaling.used.all()
    assert np.isfinite(model.level).all()
    assert np.isfinite(model.conditional_widening).all()
    assert np.isfinite(model.state_space.loadings).all()
