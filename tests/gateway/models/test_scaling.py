"""Location and scale are robust and found by counts; every channel left out is named."""

import numpy as np
import pytest

from gateway.models import scaling
from gateway.models.drift import block_medians
from gateway.models.scaling import ABSURD, Scaling, agree, copies, problems, quantile, survey

NAMES = ("a", "b", "c")


def agreed(parts):
    """Return the scaling of rows that lie in parts."""
    spreads = [np.abs(rows - np.repeat(block_medians(rows, 20), 20, axis=0)) for rows in parts]
    total = survey(parts[0])
    for rows in parts[1:]:
        total = total.merged(survey(rows))

    def ask(held):
        return lambda low, width: sum(scaling.histogram(rows, low, width) for rows in held)

    return agree(total, ask(parts), ask(spreads), NAMES)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return np.array([1e6, -3.0, 0.0]) + np.array([0.01, 2.0, 1e-6]) * rng.normal(size=(400, 3))


def test_location_and_scale_are_found_at_every_size(rows):
    found = agreed([rows])
    np.testing.assert_allclose(found.scale, [0.01, 2.0, 1e-6], rtol=0.15)
    assert np.all(np.abs(found.location - np.median(rows, axis=0)) <= 0.02 * found.scale)
    assert found.used.all()


def test_parts_agree_on_what_all_rows_say(rows):
    pooled, apart = agreed([rows]), agreed([rows[:100], rows[100:240], rows[240:]])
    for mine, its in zip(pooled, apart, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_spikes_and_absurd_values_move_nothing_much(rows):
    clean = agreed([rows])
    spoilt = rows.copy()
    spoilt[5::50] *= 1e30
    found = agreed([spoilt])
    np.testing.assert_allclose(found.scale, clean.scale, rtol=0.2)
    assert np.all(np.abs(found.location - clean.location) <= 0.3 * clean.scale)


def test_a_slow_wander_does_not_inflate_the_scale(rows):
    rows[:, 1] += np.linspace(0.0, 200.0, 400)
    assert agreed([rows]).scale[1] < 3.0 * 2.0


def test_a_quantile_is_as_good_as_it_was_asked_for():
    values = np.random.default_rng(1).normal(size=(999, 1)) ** 3
    found = quantile(
        lambda low, width: scaling.histogram(values, low, width),
        values.min(axis=0),
        values.max(axis=0),
        0.5,
        np.array([1e-9]),
    )
    assert found[0] == pytest.approx(np.median(values), abs=1e-9)


@pytest.mark.parametrize(
    ("spoil", "is_used", "says"),
    [
        (lambda rows: rows.__setitem__((slice(None), 1), 7.25), False, "b: .*are all 7.25"),
        (lambda rows: rows.__setitem__((slice(None), 1), np.nan), False, "b: .*is missing"),
        (lambda rows: rows.__setitem__((slice(None), 1), np.inf), False, "b: .*infinite or absurd"),
        (lambda rows: rows.__setitem__((slice(30, None), 1), np.nan), False, "b: only 30 of 400"),
        (lambda rows: rows.__setitem__((3, 1), np.inf), True, "b: 1 of 400 .*infinite"),
        (lambda rows: rows.__setitem__((3, 1), 2 * ABSURD), True, "b: 1 of 400 .*infinite"),
    ],
)
def test_each_trouble_is_named_with_its_channel(rows, spoil, is_used, says):
    spoil(rows)
    (found,) = problems(survey(rows), NAMES)
    assert found.signal == "b"
    assert __import__("re").search(says, str(found))
    assert agreed([np.where(np.abs(rows) > ABSURD, np.nan, rows)]).used[1] == is_used


def test_healthy_channels_have_no_problem(rows):
    assert problems(survey(rows), NAMES) == ()


def test_a_copy_and_a_sum_are_found_and_say_of_what():
    rng = np.random.default_rng(0)
    free = rng.normal(size=(300, 2))
    rows = np.column_stack(
        [free, free[:, 0] - 2 * free[:, 1], rng.normal(size=300), 3 * free[:, 0]]
    )
    names = ("a", "b", "sum", "own", "copy")
    products = np.cov(rows.T) * 299
    found = dict(copies(products, names))
    assert set(found) == {2, 4}
    assert "a and b" in str(found[2]) or "b and a" in str(found[2])
    assert str(found[4]).startswith("copy: it says nothing that a does not say")


def test_nearly_a_copy_is_none():
    rng = np.random.default_rng(0)
    one = rng.normal(size=300)
    rows = np.column_stack([one, one + 0.01 * rng.normal(size=300)])
    assert copies(np.cov(rows.T) * 299, ("a", "b")) == ()


def test_scaled_leaves_out_limits_and_keeps_gaps():
    agreed_on = Scaling(
        np.array([1.0, 0.0, 5.0]),
        np.array([2.0, 1.0, 1.0]),
        np.array([True, False, True]),
        np.zeros(3),
    )
    rows = np.array([[3.0, 9.0, np.nan], [np.inf, 9.0, 1e30]])
    np.testing.assert_array_equal(
        scaling.scaled(agreed_on, rows), [[1.0, np.nan], [np.nan, scaling.FAR_SCALES]]
    )
