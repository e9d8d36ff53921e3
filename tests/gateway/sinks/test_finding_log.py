"""One line for each finding, and no more lines than a person can read."""

import logging

import pytest

from gateway.records_time import SyncCause, Timing
from gateway.sinks.finding_log import LINES_MAX, FindingLog
from tests.gateway.sinks.time_records import sync_check, timed_event


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "twinrig.gateway.time")


def test_a_finding_is_a_warning_and_its_end_is_none(caplog: pytest.LogCaptureFixture) -> None:
    log = FindingLog()
    log.tell(sync_check())
    log.tell(sync_check(5, is_active=False, cause=SyncCause.LAG, signal="a:flow", text="over"))
    start, end = caplog.records
    assert (start.levelname, end.levelname) == ("WARNING", "INFO")
    assert start.getMessage() == (
        "sync_check source=a cause=step active=True signal=- size=0.25 unit=s "
        "text='the clock of a stepped by +0.250 s' unsaid=0"
    )
    assert end.getMessage() == (
        "sync_check source=a cause=lag active=False signal=a:flow size=0.25 unit=s "
        "text='over' unsaid=0"
    )


def test_the_words_of_a_finding_forge_no_line(caplog: pytest.LogCaptureFixture) -> None:
    FindingLog().tell(sync_check(text="x\n2026-01-01 ERROR forged"))
    assert "\n" not in caplog.records[0].getMessage()


def test_only_odd_events_are_news(caplog: pytest.LogCaptureFixture) -> None:
    log = FindingLog()
    for timing in Timing:
        log.tell(timed_event(timing=timing))
    told = [line.getMessage().split()[2] for line in caplog.records]
    assert told == [f"timing={t}" for t in ("too_early", "too_late", "wrong_order", "missing")]
    assert caplog.records[1].getMessage().endswith("expected within 10 s' unsaid=0")


def test_a_source_that_flaps_fills_no_disk(caplog: pytest.LogCaptureFixture) -> None:
    log = FindingLog()
    for number in range(LINES_MAX + 7):
        log.tell(sync_check(number))
    log.tell(sync_check(3, source="b"))
    assert len(caplog.records) == LINES_MAX + 1, "another source has lines of its own"
    log.tell(sync_check(60))
    assert caplog.records[-1].getMessage().endswith("unsaid=7")
    log.tell(sync_check(0))
    assert caplog.records[-1].getMessage().endswith("unsaid=0"), "a clock set back begins anew"


def test_names_without_end_take_no_memory() -> None:
    log = FindingLog()
    for number in range(3_000):
        log.tell(sync_check(source=f"source-{number}"))
    assert len(log._windows) <= 1_000
