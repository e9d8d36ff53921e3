"""One record, one byte string: sorted, strict JSON, and different records never share it."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import records_time
from gateway.canonical import as_json, canonical
from gateway.errors import InternalError
from gateway.records import Blame, Cause, Reading, Received, Rejected, State, Verdict
from tests.gateway.sinks.time_records import (
    clock_estimate,
    link_kpi,
    revision,
    sync_check,
    timed_event,
)

VERDICT = Verdict(
    asset="pump",
    time_ns=1_583_748_003_000_000_000,
    state=State.ALARM,
    probability=0.1 + 0.2,
    since_ns=1_583_748_001_000_000_000,
    blamed=(Blame(signal="b:flow", share=0.75),),
    evidence="not normal: \N{DEGREE SIGN}",
    sequence=1,
    causes=(Cause(cause="bias", signal="b:flow", probability=0.875, words="w"),),
)


def test_the_bytes_of_a_verdict_are_these():
    """If this test must change, every stored digest changes with it: write an ADR."""
    assert canonical(VERDICT) == (
        b'{"asset":"pump","blamed":[{"record":"Blame","share":0.75,"signal":"b:flow"}],'
        b'"causes":[{"cause":"bias","probability":0.875,"record":"Cause","signal":"b:flow",'
        b'"words":"w"}],"evidence":"not normal: \\u00b0",'
        b'"probability":0.30000000000000004,"record":"Verdict",'
        b'"sequence":1,"since_ns":1583748001000000000,"state":"alarm",'
        b'"time_ns":1583748003000000000}'
    )


def test_bytes_are_hex_and_kinds_never_collide():
    frame = Received(source="n", link="l", data=b"\x00\xff", received_ns=1)
    assert as_json(frame)["data"] == "00ff"
    rejected = Rejected(
        source="n",
        link="l",
        reason="r",
        detail="",
        received_ns=1,
        sequence=None,
        content_type=None,
    )
    assert as_json(frame)["record"] != as_json(rejected)["record"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null(value):
    assert as_json(Reading(signal="s", unit="V", value=value, tick_us=None))["value"] is None


def test_a_finding_about_time_has_these_bytes():
    check = sync_check(3, size=math.nan, size_uncertainty=None, text="t")
    assert canonical(check) == (
        b'{"cause":"step","is_active":true,"record":"SyncCheck","sequence":3,"signal":null,'
        b'"since_ns":1700000000000000000,"size":null,"size_uncertainty":null,"source":"a",'
        b'"text":"t","time_ns":1700000003000000000,"unit":"s"}'
    )


def test_every_record_about_time_has_bytes_of_its_own():
    made = [clock_estimate(), sync_check(), timed_event(), revision(), link_kpi()]
    bodies = [json.loads(canonical(record)) for record in made]
    assert {body["record"] for body in bodies} == {
        name
        for name, kind in vars(records_time).items()
        if dataclasses.is_dataclass(kind) and name != "KpiFigure"
    }
    assert bodies[4]["figures"][1] == {
        "record": "KpiFigure", "name": "end_to_end_latency_p99_s", "value": None, "unit": "s",
        "low": None, "high": None, "budget": None, "is_met": None,
    }  # fmt: skip
    assert bodies[2]["timing"] == "too_late"


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**63))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_numbers_read_back_to_the_same_bits(value, tick_us):
    body = json.loads(canonical(Reading(signal="s", unit="V", value=value, tick_us=tick_us)))
    assert math.copysign(1, body["value"]) == math.copysign(1, value)
    assert (body["value"], body["tick_us"]) == (value, tick_us)


@pytest.mark.parametrize("thing", [1, "text", {"a": 1}, Reading, object()])
def test_only_records_have_canonical_bytes(thing):
    with pytest.raises(InternalError, match="is not a record"):
        as_json(thing)
