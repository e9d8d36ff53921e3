"""The queue before a sink: bounded, in order, and every record accounted for."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.loss import LossLedger
from gateway.sinks import outbox as outbox_module
from gateway.sinks.outbox import Outbox
from tests.gateway.plant import aligned
from tests.gateway.sinks.time_records import sync_check

STEPS = st.lists(
    st.one_of(
        st.just(("put", 1)),
        st.tuples(st.sampled_from(["deliver", "return", "drop"]), st.integers(1, 5)),
    ),
    max_size=60,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(steps=STEPS, capacity=st.integers(1, 6))
def test_whatever_happens_it_adds_up_and_stays_in_order(steps: list, capacity: int) -> None:
    ledger = LossLedger()
    outbox: Outbox[int] = Outbox("s", capacity, ledger)
    offered = 0
    delivered: list[int] = []
    for step, count in steps:
        if step == "put":
            outbox.put(offered)
            offered += 1
            continue
        batch = outbox.take(count)
        if step == "deliver":
            delivered += batch
            outbox.delivered(len(batch))
        elif step == "return":
            outbox.give_back(batch)
        else:
            outbox.drop("test", len(batch))
        assert len(outbox) <= capacity
        assert ledger.sink_balance("s").adds_up()
    balance = ledger.sink_balance("s")
    assert delivered == sorted(set(delivered))
    assert balance.offered == offered
    assert balance.delivered == len(delivered)
    assert balance.queued == len(outbox)
    assert balance.adds_up()


def test_the_oldest_goes_when_there_is_no_room() -> None:
    ledger = LossLedger()
    outbox: Outbox[int] = Outbox("s", 3, ledger)
    for number in range(5):
        outbox.put(number)
    batch = outbox.take(10)
    assert batch == [2, 3, 4]
    assert ledger.sink_balance("s").dropped == {"queue_full": 2}
    outbox.put(5)
    outbox.give_back(batch)
    assert outbox.take(10) == [3, 4, 5], "returned records are the oldest and go first"
    assert ledger.sink_balance("s").dropped == {"queue_full": 3}


FINDING_STEPS = st.lists(
    st.one_of(
        st.sampled_from([("put", 1), ("find", 1)]),
        st.tuples(st.sampled_from(["deliver", "return", "drop"]), st.integers(1, 5)),
    ),
    max_size=80,
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(steps=FINDING_STEPS, capacity=st.integers(1, 5))
def test_findings_stay_in_order_with_values_and_adds_up(steps: list, capacity: int) -> None:
    ledger = LossLedger()
    gone: list[int] = []
    outbox: Outbox = Outbox("s", capacity, ledger, dropped=lambda r: gone.append(r.sequence))
    delivered: list[int] = []
    offered = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "FINDINGS_MAX", 3)
        for step, count in steps:
            if step in ("put", "find"):
                record = aligned(sequence=offered) if step == "put" else sync_check(offered)
                outbox.put(record)
                offered += 1
                continue
            batch = outbox.take(count)
            if step == "deliver":
                delivered += [record.sequence for record in batch]
                outbox.delivered(len(batch))
            elif step == "return":
                outbox.give_back(batch)
            else:
                outbox.drop("test", len(batch))
            assert len(outbox) <= capacity + 3
            assert ledger.sink_balance("s").adds_up()
    assert delivered == sorted(set(delivered))
    assert not set(gone) & set(delivered)
    balance = ledger.sink_balance("s")
    assert balance.dropped.get("queue_full", 0) == len(gone)
    assert balance.offered == offered


def test_a_finding_is_not_pushed_out_by_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "FINDINGS_MAX", 2)
    ledger = LossLedger()
    outbox: Outbox = Outbox("s", 2, ledger)
    for number in range(4):
        outbox.put(sync_check(number))
        outbox.put(aligned(second=10 + number, sequence=10 + number))
    for number in range(20, 23):
        outbox.put(aligned(sequence=number))
    batch = outbox.take(3)
    assert [record.sequence for record in batch] == [2, 3, 21], "the last two, then the newest"
    outbox.put(aligned(sequence=23))
    outbox.give_back(batch)
    assert [record.sequence for record in outbox.take(9)] == [2, 3, 22, 23]
    assert ledger.sink_balance("s").dropped == {"queue_full": 8}


def test_what_a_stopping_sink_leaves_is_dropped_by_reason() -> None:
    ledger = LossLedger()
    outbox: Outbox[int] = Outbox("s", 3, ledger)
    outbox.put(1)
    outbox.drop_all("stopped")
    outbox.drop_all("stopped")
    assert ledger.sink_balance("s").dropped == {"stopped": 1}
    assert ledger.sink_balance("s").queued == 0


def test_a_batch_that_is_forgotten_shows() -> None:
    ledger = LossLedger()
    outbox: Outbox[int] = Outbox("s", 9, ledger)
    for number in range(5):
        outbox.put(number)
    outbox.take(2)
    assert ledger.sink_balance("s").queued == 5, "under delivery is still held"
    assert ledger.sink_balance("s").adds_up()
    outbox.delivered(len(outbox.take(3)))
    assert not ledger.sink_balance("s").adds_up(), "the first two are nowhere"


async def test_wait_returns_only_when_something_is_queued() -> None:
    outbox: Outbox[int] = Outbox("s", 3, LossLedger())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.wait()
    outbox.put(1)
    await outbox.wait()
    batch = outbox.take(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.wait()
    outbox.give_back(batch)
    await outbox.wait()
