"""Stored rows that come again: found exactly and nearly, not found where chance would do it."""

import numpy as np
import pytest

from gateway.models.hypotheses_window import deviation_given_all
from gateway.models.repeats import GAP_ROWS, STRIDE, Memory
from tests.gateway.models import windows

TRAINING = 600


@pytest.fixture(scope="module")
def law():
    return windows.law()


@pytest.fixture
def stored(law):
    return windows.healthy(law, seed=1, rows=TRAINING)


@pytest.fixture
def memory(law, stored):
    return make(law, stored)


def make(law, rows, rows_max=4096):
    """Return a memory that has learnt from healthy rows."""
    memory = Memory(deviation_given_all(law, 20), law.resolution, rows_max)
    memory.learn(rows)
    return memory


def last(memory, rows):
    """Pass rows; return what the last one says."""
    found = ()
    for row in rows:
        found = memory.step(row)
    return found


def test_an_exact_replay_of_all_is_found_within_rows(memory, stored):
    last(memory, windows.healthy(windows.law(), seed=2, rows=30))
    found = last(memory, stored[100 : 100 + STRIDE + 2])
    assert found[0].signals == tuple(range(windows.SIGNALS))
    assert found[0].rows >= STRIDE
    assert found[0].log_evidence > 20.0


def test_a_replay_of_one_signal_names_it_and_its_lag(memory, stored, law):
    live = windows.healthy(law, seed=3, rows=30)
    live[-20:, 2] = stored[200:220, 2]
    found = last(memory, live)
    assert found[0].signals == (2,)
    assert found[0].lag_rows == TRAINING + 30 - 220
    assert found[0].log_evidence > 10.0


def test_a_near_replay_is_found(memory, stored, law):
    rng = np.random.default_rng(4)
    near = stored[300:340] + 0.03 * rng.normal(size=(40, windows.SIGNALS)) * law.spread
    found = last(memory, near)
    assert set(found[0].signals) >= {0, 2}


def test_copies_are_the_stored_rows_behind_the_window(memory, stored, law):
    live = windows.healthy(law, seed=5, rows=10)
    last(memory, np.vstack([live, stored[150:180]]))
    level = np.full(windows.SIGNALS, 0.5)
    copy = memory.copies(30, level)[0]
    np.testing.assert_allclose(copy.rows, stored[150:180] - level, atol=1e-6)
    assert copy.choices == memory.choices


@pytest.mark.slow
def test_healthy_rows_hardly_ever_claim_a_repeat(memory, law):
    """The evidence bounds the chance: e^-5 over 1500 rows of five signals is rare."""
    strong = [
        repeat
        for row in windows.healthy(law, seed=6, rows=1500)
        for repeat in memory.step(row)
        if repeat.log_evidence > 5.0
    ]
    assert len(strong) <= 2


@pytest.mark.slow
def test_coarse_and_held_signals_prove_nothing_by_repeating(law):
    """Two levels, held for long: every stretch has been there before."""
    rng = np.random.default_rng(7)
    coarse = np.repeat(rng.integers(0, 2, size=(200, windows.SIGNALS)), 10, axis=0).astype(float)
    memory = make(law, coarse[:1500])
    assert (memory.chance > 0.7).all()
    evidence = [
        repeat.log_evidence / len(repeat.signals)
        for row in coarse[1500:]
        for repeat in memory.step(row)
    ]
    assert max(evidence, default=0.0) < 10.0


def test_an_echo_of_the_last_rows_is_not_a_repeat(memory, law):
    live = windows.healthy(law, seed=8, rows=GAP_ROWS)
    assert not any(
        repeat.lag_rows < GAP_ROWS for repeat in last(memory, np.vstack([live, live[-20:]]))
    )


def test_missing_values_neither_make_nor_break_a_repeat(memory, stored):
    replayed = stored[100:130].copy()
    replayed[20:25] = np.nan
    found = last(memory, replayed)
    assert found[0].signals == tuple(range(windows.SIGNALS))
    assert last(memory, np.full((20, windows.SIGNALS), np.nan))[0].rows == found[0].rows


def test_what_has_been_overwritten_is_forgotten(law, stored):
    memory = make(law, stored, rows_max=256)
    last(memory, windows.healthy(law, seed=9, rows=300))
    assert last(memory, stored[100:120]) == ()
    assert memory.choices == 256 - GAP_ROWS


def test_the_same_rows_give_the_same_answers(law, stored):
    answers = [last(make(law, stored), stored[50:70]) for _ in range(2)]
    assert answers[0] == answers[1]
