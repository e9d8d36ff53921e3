"""The sample grid: no drift, no invented slot, and blocks plus overruns add up."""

from firmware.schedule import Schedule

PERIOD_US = 1000
BLOCK = 5


def _play(costs_us, period_us=PERIOD_US, block=BLOCK, until_us=100000):
    """Sample with the given costs, in turn; (block middles, schedule, when it started)."""
    schedule = Schedule(period_us, block)
    now_us = 777
    schedule.start(now_us)
    started_us = schedule.due_us
    middles = []
    turn = 0
    while schedule.due_us < until_us:
        now_us = max(now_us, schedule.due_us)
        if not schedule.arrive(now_us):
            continue
        now_us += costs_us[turn % len(costs_us)]
        turn += 1
        if schedule.advance():
            middles.append(schedule.middle_us())
    return middles, schedule, started_us


def test_slots_stand_on_a_grid_that_does_not_drift():
    middles, schedule, started_us = _play([300, 0, 999])
    assert started_us == BLOCK * PERIOD_US
    for index, middle_us in enumerate(middles):
        assert middle_us == started_us + index * BLOCK * PERIOD_US + 2 * PERIOD_US
    assert schedule.overruns == 0
    assert schedule.samples == BLOCK * len(middles)


def test_lateness_is_measured_and_starts_anew_when_taken():
    schedule = Schedule(PERIOD_US, BLOCK)
    schedule.start(0)
    for late_us in (3, 40, 7):
        assert schedule.arrive(schedule.due_us + late_us)
        schedule.advance()
    assert schedule.take_jitter_us() == 40
    assert schedule.take_jitter_us() == 0


def test_a_sample_before_the_next_slot_counts_and_one_in_it_does_not():
    schedule = Schedule(PERIOD_US, BLOCK)
    schedule.start(0)
    assert schedule.arrive(schedule.due_us + PERIOD_US - 1)
    schedule.advance()
    assert not schedule.arrive(schedule.due_us + PERIOD_US)
    assert schedule.taken == 0
    assert schedule.overruns == BLOCK
    assert schedule.due_us == 2 * BLOCK * PERIOD_US


def test_blocks_and_overruns_add_up_whatever_a_sample_costs():
    for costs_us in ([1000], [1001], [100, 2500], [0, 0, 0, 7000], [20000, 0, 0], [999, 1200]):
        for block in (1, 2, 5):
            middles, schedule, started_us = _play(costs_us, PERIOD_US, block)
            slots = (schedule.due_us - started_us) // PERIOD_US
            assert len(middles) * block + schedule.overruns + schedule.taken == slots, costs_us
            assert middles == sorted(set(middles))


def test_a_new_rate_begins_on_its_own_grid_and_counts_what_it_drops():
    schedule = Schedule(PERIOD_US, BLOCK)
    schedule.start(0)
    for _ in range(3):
        assert schedule.arrive(schedule.due_us)
        schedule.advance()
    schedule.change(250, 4, 8100)
    assert schedule.overruns == 3
    assert schedule.due_us == 9000
    for _ in range(3):
        assert not schedule.advance()
    assert schedule.advance()
    assert schedule.middle_us() == 9375
