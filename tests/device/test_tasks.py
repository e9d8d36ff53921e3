"""Work in the gaps: what does not fit waits, and what never fits is done all the same."""

from firmware.tasks import PATIENCE, Task


class Clock:
    def __init__(self):
        self.now_us = 0

    def ticks_us(self):
        return self.now_us


def _task(clock, costs_us, every_us=0):
    done = []

    def act(now_us):
        cost_us = costs_us[min(len(done), len(costs_us) - 1)]
        if cost_us is None:
            return False
        done.append(now_us)
        clock.now_us += cost_us
        return True

    return Task(act, every_us), done


def test_a_task_that_fits_runs():
    clock = Clock()
    task, done = _task(clock, [50])
    assert task.run(clock, 0, 100)
    assert done == [0]


def test_a_task_that_took_longer_than_the_gap_waits_for_a_longer_one():
    clock = Clock()
    task, done = _task(clock, [500, 10])
    assert task.run(clock, 0, 100)
    assert not task.run(clock, 600, 700)
    assert task.run(clock, 600, 1200)
    assert done == [0, 600]


def test_a_long_run_is_forgotten_slowly():
    clock = Clock()
    task, _done = _task(clock, [1600, 10])
    task.run(clock, 0, 100000)
    runs = 0
    while not task.run(clock, clock.now_us, clock.now_us + 400):
        clock.now_us = 1000000 * (runs + 1)
        assert task.run(clock, clock.now_us, clock.now_us + 100000)
        runs += 1
    assert 40 < runs < 80


def test_nothing_starves():
    clock = Clock()
    task, done = _task(clock, [500])
    task.run(clock, 0, 100000)
    refused = 0
    while not task.run(clock, clock.now_us, clock.now_us + 100):
        refused += 1
    assert refused == PATIENCE
    assert len(done) == 2


def test_a_task_with_a_period_keeps_it_and_idle_work_costs_nothing():
    clock = Clock()
    task, done = _task(clock, [0], 1000)
    for now_us in range(0, 5000, 250):
        task.run(clock, now_us, now_us + 100)
    assert done == [0, 1000, 2000, 3000, 4000]
    idle, _ = _task(clock, [None])
    assert not idle.run(clock, 0, 100)


def test_one_long_run_is_a_surprise_and_two_are_a_habit():
    clock = Clock()
    task, done = _task(clock, [20, 2500000, 20, 2500000, 2500000, 20])
    for _ in range(5):
        assert task.run(clock, clock.now_us, clock.now_us + 100000)
    assert not task.run(clock, clock.now_us, clock.now_us + 5000)
    assert len(done) == 5
