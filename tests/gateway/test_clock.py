"""Clocks and cadences: virtual time repeats itself, periods neither drift nor burst."""

import asyncio

import pytest

from gateway.clock import NS_PER_MS, Cadence, ManualClock, SystemClock, give_way
from gateway.errors import InternalError


async def test_manual_clock_wakes_sleepers_in_order_of_their_times() -> None:
    clock = ManualClock(100)
    woken: list[str] = []

    async def sleeper(name: str, time_ns: int) -> None:
        await clock.sleep_until(time_ns)
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        for name, time_ns in (("late", 300), ("early", 200), ("past", 50), ("also late", 300)):
            group.create_task(sleeper(name, time_ns))
        await give_way()
        assert woken == ["past"]
        clock.advance_to(199)
        await give_way()
        assert woken == ["past"]
        clock.advance_to(300)
    assert woken == ["past", "early", "late", "also late"]


def test_manual_clock_does_not_go_back() -> None:
    clock = ManualClock(100)
    with pytest.raises(InternalError, match="go back from 100 to 99"):
        clock.advance_to(99)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await clock.sleep_until(1)
    clock.advance_to(2)
    assert clock.now_ns() == 2


async def test_system_clock_sleeps_until_the_time() -> None:
    clock = SystemClock()
    until_ns = clock.now_ns() + 5 * NS_PER_MS
    await clock.sleep_until(until_ns)
    assert clock.now_ns() >= until_ns


async def test_a_wall_clock_set_back_does_not_lengthen_a_sleep(monkeypatch) -> None:
    clock = SystemClock()
    start_ns = clock.now_ns()
    times = iter([start_ns, start_ns])
    hour_ns = 3_600_000_000_000
    monkeypatch.setattr(SystemClock, "now_ns", lambda _: next(times, start_ns - hour_ns))
    async with asyncio.timeout(2):
        await clock.sleep_until(start_ns + 5 * NS_PER_MS)


def test_cadence_keeps_to_its_grid() -> None:
    cadence = Cadence(100)
    taken = [now for now in range(1000, 1500, 7) if cadence.take(now)]
    slots = [(now - 1000) // 100 for now in taken]
    assert slots == [0, 1, 2, 3, 4]
    assert cadence.skipped == 0


def test_cadence_skips_what_was_missed_and_counts_it() -> None:
    cadence = Cadence(100)
    assert cadence.take(1000)
    assert cadence.take(1350)
    assert cadence.skipped == 2
    assert not cadence.take(1399)
    assert cadence.take(1400)


def test_cadence_starts_afresh_when_the_clock_is_set_back() -> None:
    cadence = Cadence(100)
    assert cadence.take(1_000_000)
    assert cadence.take(500), "must not wait until the old time comes again"
    assert cadence.due_ns(500) == 600


def test_cadence_needs_a_period() -> None:
    with pytest.raises(InternalError, match="positive"):
        Cadence(0)
