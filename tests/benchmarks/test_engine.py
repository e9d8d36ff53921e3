"""The engine as the benchmarks see it: the judge's rule, and two processes that keep the order."""

import io

import numpy as np
import pytest
from rich.console import Console

from benchmarks import engine
from gateway.stages.judge import Persistence

RULE = Persistence(alarm_on=0.5, rows_on=2, alarm_off=0.2, rows_off=3)


def states(*probabilities: float) -> str:
    """Say the states as letters: A in alarm, - not."""
    alarmed = engine.lasting(np.array(probabilities), RULE)
    return "".join("A" if each else "-" for each in alarmed)


def test_alarm_begins_with_enough_rows_in_a_row() -> None:
    assert states(0.5, 0.1, 0.9, 0.9, 0.9) == "---AA"


def test_alarm_ends_with_enough_quiet_rows_in_a_row() -> None:
    assert states(0.9, 0.9, 0.1, 0.1, 0.3, 0.2, 0.2, 0.2, 0.2) == "-AAAAAA--"


def test_in_between_the_state_stays() -> None:
    assert states(0.3, 0.3, 0.3) == "---"
    assert states(0.9, 0.9, 0.3, 0.3, 0.3) == "-AAAA"


def square(number: int) -> int:
    return number * number


@pytest.mark.slow
def test_results_come_in_the_order_of_the_work() -> None:
    console = Console(file=io.StringIO())
    numbers: list[tuple[object, ...]] = [(number,) for number in range(7)]
    assert engine.in_parallel(square, numbers, "squares", console) == [
        0, 1, 4, 9, 16, 25, 36,
    ]  # fmt: skip


@pytest.mark.slow
def test_rows_like_the_training_are_quiet_and_a_large_shift_is_not() -> None:
    rng = np.random.default_rng(6)
    weights = rng.normal(size=(1, 4))
    rows = rng.normal(size=(900, 1)) @ weights + rng.normal(size=(900, 4)) + 10.0
    rows[700:, 1] += 12.0
    said = engine.say(engine.learn(rows[:400], ("a", "b", "c", "d")), rows[400:])
    assert len(said.score) == len(said.probability) == len(said.alarmed) == 500
    assert said.alarmed[:300].mean() < 0.1
    assert said.alarmed[340:].mean() > 0.9
