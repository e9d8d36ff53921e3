"""The queue before a sink: bounded, in order, and every record accounted for."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.loss import LossLedger
from gateway.sinks.outbox import Outbox

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
