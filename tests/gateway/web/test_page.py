"""The page: what a person finds on it, and how much of it there can be."""

import re

import pytest

from gateway.clock import ManualClock
from gateway.records_time import SyncCause
from gateway.time_board import TimeBoard
from gateway.web.page import SHOWN_MAX, page
from tests.gateway.plant import START_NS
from tests.gateway.time_records import check, clock, event, link


@pytest.fixture
def board() -> TimeBoard:
    return TimeBoard("skid", ManualClock(START_NS))


def words(board: TimeBoard) -> str:
    """Return the text of the page without its tags."""
    body = page(board).partition("</head>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_an_empty_page_says_what_it_waits_for(board: TimeBoard) -> None:
    text = words(board)
    assert "2023-11-14 22:13:20 UTC · 0 of 0 links up · 0 clocks followed · 0 findings" in text
    assert "Nothing is wrong with the time of any source." in text
    assert "No clock has been heard of yet." in text
    assert "No link has been measured yet." in text


def test_clocks_links_findings_and_machines_are_told(board: TimeBoard) -> None:
    for record in (
        clock("a"),
        clock("plc", is_two_way=False, offset_ns=-20_000_000, bound_ns=None),
        clock("b", offset_ns=None),
        check("a"),
        check("b", SyncCause.DUPLICATED, is_active=False, size=1.0, size_uncertainty=None),
        link("a"),
        link("c", is_up=False, link=""),
        event(),
    ):
        board.tell(record)
    text = words(board)
    for expected in (
        "1 of 2 links up · 3 clocks followed · 1 finding about time",
        "a known two-way boot 3 offset 0 at 2023-11-14 22:12:40 UTC bound 1.51 ms hard",
        "skew -12.35 ± 0.21 ppm round trip 3.02 ms",
        "plc rate only one-way: offset cannot be known boot 3 change of offset -20.0 ms",
        "b unknown two-way",
        "a: step lasts the clock of a jumped since 2023-11-14 22:13:19",
        "size -0.25 ± 0.002 s",
        "b: duplicated over",
        "c down no link yet, observed for 1 h 7 min",
        "end-to-end latency, 99 % 250 ms 200 ms to 300 ms; at most 100 ms: NOT MET",
        "service reliability, MTBF - at least 16 min 40 s; at least 7 d: open",
        "pump too late starting → running",
    ):
        assert expected in text, expected


def test_a_budget_that_is_not_met_is_seen(board: TimeBoard) -> None:
    board.tell(link("a"))
    assert page(board).count('class="bad"') == 1


def test_a_large_site_makes_no_endless_page(board: TimeBoard) -> None:
    for number in range(SHOWN_MAX + 200):
        board.tell(clock(f"s{number}"))
    text = words(board)
    assert "and 200 more" in text
    assert len(page(board)) < 200_000
