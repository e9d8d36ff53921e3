"""Live rows are held against every way of running, a block at a time."""

import numpy as np

from gateway.models.belonging import Watch, strangers
from tests.gateway.lifecycle import models_on_disk
from tests.gateway.lifecycle.models_on_disk import SCALE

MODEL = models_on_disk.model()
ROWS = models_on_disk.rows(60, 1)


def watched(rows: np.ndarray, watch: Watch) -> list[tuple[str, ...] | None]:
    found = [watch.step(row) for row in rows]
    return [None if each is None else tuple(p.signal for p in each) for each in found]


def test_nothing_is_said_inside_a_block_and_nothing_of_healthy_ones() -> None:
    answers = watched(ROWS, Watch(MODEL))
    assert [place for place, answer in enumerate(answers) if answer is not None] == [19, 39, 59]
    assert [answers[place] for place in (19, 39, 59)] == [(), (), ()]


def test_a_block_far_away_is_said_with_its_channel_and_the_next_is_well_again() -> None:
    rows = ROWS.copy()
    rows[20:40, 1] += 20.0 * SCALE[1]
    answers = watched(rows, Watch(MODEL))
    assert [answers[place] for place in (19, 39, 59)] == [(), ("pressure",), ()]
    (problem,) = strangers(MODEL, rows)
    assert "1 of 3 blocks of 20 rows" in problem.what


def test_a_gap_ends_the_block_and_ages_the_level() -> None:
    rows = ROWS.copy()
    rows[:, 1] += 20.0 * SCALE[1]
    watch = Watch(MODEL)
    assert watched(rows[:19], watch) == [None] * 19
    watch.skip(10**9)
    answers = watched(rows[19:39], watch)
    assert answers == [None] * 19 + [()]


def test_rows_without_values_are_no_strangers() -> None:
    silent = np.full((20, 4), np.nan)
    assert watched(silent, Watch(MODEL))[-1] == ()
