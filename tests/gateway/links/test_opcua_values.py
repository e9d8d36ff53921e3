"""What OPC UA answers become: times, numbers, notices; and answers that are damaged."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from gateway import status
from gateway.clock import NS_PER_S, ManualClock
from gateway.links.opcua_session import FAILURES
from gateway.links.opcua_subscription import Notices
from gateway.links.opcua_values import Values, node_id, utc_ns
from gateway.site_opcua import OpcUaNode

NODES = (
    OpcUaNode(name="p", node="i=1", unit="Pa", scale=100.0, offset=-5.0),
    OpcUaNode(name="q", node="i=2", unit="Pa"),
)


def answer(value, kind=ua.VariantType.Double, **changes) -> ua.DataValue:
    return ua.DataValue(ua.Variant(value, kind), **changes)


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp", "shown_ns"),
    [
        (None, None),
        (datetime(1601, 1, 1, tzinfo=UTC), None),
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), -NS_PER_S),
        (datetime(2000, 1, 1, tzinfo=UTC), 946_684_800 * NS_PER_S),
        (datetime(2000, 1, 1, 0, 0, 0, 1), 946_684_800 * NS_PER_S + 1000),  # noqa: DTZ001 - as sent
        (datetime(9999, 12, 31, tzinfo=UTC), (1 << 63) - 1),
    ],
)
def test_a_time_is_whole_nanoseconds_or_none(stamp: datetime | None, shown_ns: int | None) -> None:
    assert utc_ns(stamp) == shown_ns


# --- nodes ---------------------------------------------------------------------------------------


def test_a_namespace_is_found_by_its_name_whatever_its_index_is() -> None:
    names = ["http://opcfoundation.org/UA/", "urn:a", "urn:b"]
    assert node_id("nsu=urn:b;s=x;y=z", names) == ua.NodeId("x;y=z", 2)
    assert node_id("ns=3;i=7", names) == ua.NodeId(7, 3)
    assert node_id("nsu=urn:c;i=7", names) == "the server has no namespace urn:c"
    assert node_id("g=" + "-" * 36, names) == f"g={'-' * 36} is no NodeId"


# --- values --------------------------------------------------------------------------------------


def test_numbers_of_every_kind_are_scaled() -> None:
    values = Values("press", NODES)
    for kind, raw in (("Boolean", True), ("UInt64", 2), ("Float", 0.5)):
        reading, refusal = values.reading(0, answer(raw, ua.VariantType[kind]))
        assert (reading.value, refusal) == (float(raw) * 100 - 5, "")
        assert (reading.signal, reading.unit, reading.tick_us) == ("press:p", "Pa", None)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer("12", ua.VariantType.String), status.BAD_CONFIGURATION_ERROR),
        (answer([1.0]), status.BAD_CONFIGURATION_ERROR),
        (answer(None, ua.VariantType.Null), status.BAD_CONFIGURATION_ERROR),
        (ua.DataValue(None), status.BAD_CONFIGURATION_ERROR),
        (answer(math.inf), status.BAD_SENSOR_FAILURE),
        (answer(math.nan), status.BAD_SENSOR_FAILURE),
        (answer(1.7e308), status.BAD_SENSOR_FAILURE),
        (answer(1.0, StatusCode=ua.StatusCode(0x80350000)), 0x80350000),
        (answer(1.0, StatusCode=ua.StatusCode(0xC0000000)), status.BAD),
    ],
)
def test_what_is_no_number_or_bad_is_nan_with_a_bad_status(said: ua.DataValue, code: int) -> None:
    reading, refusal = Values("press", NODES).reading(0, said)
    assert math.isnan(reading.value)
    assert (reading.status, bool(refusal)) == (code, True)


def test_a_stamp_is_told_when_it_has_changed_and_each_node_has_its_own() -> None:
    values = Values("press", NODES)

    def told(index: int, second: int | None) -> int | None:
        stamp = None if second is None else datetime(2000, 1, 1, 0, 0, second, tzinfo=UTC)
        reading, _ = values.reading(index, answer(1.0, SourceTimestamp=stamp))
        return None if reading.stamp_ns is None else reading.stamp_ns // NS_PER_S - 946_684_800

    seconds = (5, 5, 6, 6, None, 6, 4)
    assert [told(0, second) for second in seconds] == [None, None, 6, None, None, None, 4]
    assert [told(1, second) for second in (6, 7)] == [None, 7]


def test_a_refusal_is_news_once() -> None:
    values = Values("press", NODES)
    told = [values.is_news(0, why) for why in ("", "BadX", "BadX", "", "", "BadX")]
    assert told == [False, True, False, True, False, True]
    assert values.is_news(1, "BadX"), "each node for itself"


def damaged(response, count: int) -> Iterator[Any]:
    """Yield what is read of an answer with bytes changed at random, None for a failure."""
    right, rng = struct_to_binary(response), random.Random(1)
    for _ in range(count):
        wrong = bytearray(right)
        for _ in range(rng.choice((1, 1, 2, 5))):
            wrong[rng.randrange(len(wrong))] = rng.randrange(256)
        try:
            read = struct_from_binary(type(response), Buffer(bytes(wrong)))
            read.ResponseHeader.ServiceResult.check()
        except FAILURES:
            yield None
            continue
        yield read


def test_a_damaged_answer_is_a_failure_of_the_link_or_readings() -> None:
    """Bytes of a Read response changed at random; nothing else may come out of it."""
    response = ua.ReadResponse()
    response.Results = [answer(2.5), answer("x", ua.VariantType.String)]
    failed = 0
    for read in damaged(response, 1500):
        if read is None:
            failed += 1
            continue
        values = Values("press", NODES)
        assert utc_ns(read.ResponseHeader.Timestamp) is None or read.ResponseHeader.Timestamp
        for index, value in enumerate(read.Results[:2]):
            reading, _ = values.reading(index, value)
            assert reading.stamp_ns is None or abs(reading.stamp_ns) < 1 << 63
    assert 100 < failed < 1400, "both kinds must have been met"


def test_a_damaged_notice_is_a_failure_or_values_of_our_nodes() -> None:
    response = ua.PublishResponse(Parameters=published((0, 1.5), (1, 2.5)))
    notices, values, failed = Notices(ManualClock(0), (0, 1)), Values("press", NODES), 0
    for read in damaged(response, 800):
        if read is None:
            failed += 1
            continue
        notices.hear(read.Parameters)
        for notice in notices.take():
            for handle, value in notice.values.items():
                assert values.reading(handle, value)[0].tick_us is None
    assert 50 < failed < 750, "both kinds must have been met"
    assert notices.take_strangers() > 0


# --- notices -------------------------------------------------------------------------------------


def published(*changes: tuple[int, float], more: bool = False) -> ua.PublishResult:
    result = ua.PublishResult(MoreNotifications=more)
    items = [ua.MonitoredItemNotification(handle, answer(value)) for handle, value in changes]
    if items:
        result.NotificationMessage.NotificationData = [ua.DataChangeNotification(items)]
    return result


def shown(notice) -> dict[int, float]:
    return {handle: value.Value.Value for handle, value in notice.values.items()}


def test_the_window_of_a_notice_begins_when_the_one_before_the_last_came() -> None:
    clock = ManualClock(1000)
    notices = Notices(clock, (0, 1))
    said = [published((0, 1.0), (1, 5.0)), published(), published((0, 2.0)), published()]
    for second, result in enumerate(said):
        clock.advance_to(2000 + 1000 * second)
        notices.hear(result)
    heard = notices.take()
    assert [(n.since_ns, n.received_ns) for n in heard] == [
        (1000, 2000), (1000, 3000), (2000, 4000), (3000, 5000),
    ]  # fmt: skip
    assert [shown(n) for n in heard] == [{0: 1.0, 1: 5.0}] * 2 + [{0: 2.0, 1: 5.0}] * 2
    assert notices.take() == []


def test_a_cycle_in_several_notices_keeps_its_beginning() -> None:
    clock = ManualClock(0)
    notices = Notices(clock, (0, 1))
    for time_ns, more in (
        (10, False),
        (20, False),
        (30, True),
        (31, True),
        (32, False),
        (40, False),
    ):
        clock.advance_to(time_ns)
        notices.hear(published((0, 1.0), more=more))
    heard = notices.take()
    assert [n.since_ns for n in heard] == [0, 0, 10, 10, 10, 31]


def test_a_clock_that_is_set_back_makes_no_window_that_ends_before_it_begins() -> None:
    clock = ManualClock(5000)
    notices = Notices(clock, (0, 1))
    clock._now_ns = 100
    for _ in range(3):
        notices.hear(published((0, 1.0)))
    heard = notices.take()
    assert [(n.since_ns, n.received_ns) for n in heard] == [(100, 100)] * 3


def test_what_waits_is_bounded_and_silence_is_measured() -> None:
    clock = ManualClock(0)
    notices = Notices(clock, (0, 1))
    for count in range(1000):
        notices.hear(published((0, float(count))))
    heard = notices.take()
    assert len(heard) == 64
    assert shown(heard[-1]) == {0: 999.0}
    clock.advance_to(77)
    assert notices.silent_ns(clock.now_ns()) == 77


async def test_waiting_ends_with_a_notice_or_with_its_time() -> None:
    clock = ManualClock(0)
    notices = Notices(clock, (0, 1))
    await notices.wait(0)
    assert notices.take() == []
    notices.hear(published())
    await notices.wait(3600 * NS_PER_S)
    assert len(notices.take()) == 1


def test_values_under_handles_that_we_never_gave_are_dropped_and_counted() -> None:
    notices = Notices(ManualClock(0), (0, 1))
    for stranger in range(2, 2000):
        notices.hear(published((0, 1.0), (stranger, 9.0)))
    heard = notices.take()
    assert all(shown(notice) == {0: 1.0} for notice in heard)
    assert (notices.take_strangers(), notices.take_strangers()) == (1998, 0)
