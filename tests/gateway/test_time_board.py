"""The board of the last words on time, what is answered from it, and how numbers read."""

import json
import math

import pytest

from gateway.clock import ManualClock
from gateway.records_time import KpiFigure, SyncCause
from gateway.stages.kpi_figures import FIGURES
from gateway.time_answers import read_clocks, read_links
from gateway.time_board import ACTIVE_MAX, RECENT_MAX, SOURCES_MAX, TimeBoard
from gateway.time_words import (
    LABELS,
    amount,
    budget,
    duration,
    limits,
    met,
    moment,
    offset,
    ppm,
    ratio,
    service,
)
from tests.gateway.plant import START_NS, aligned
from tests.gateway.time_records import NASTY, check, clock, event, link


@pytest.fixture
def board() -> TimeBoard:
    return TimeBoard("skid", ManualClock(START_NS))


def test_the_last_word_of_each_source_stays(board: TimeBoard) -> None:
    for record in (clock("b"), clock("a"), clock("a", probes=402), link("a"), event(), aligned()):
        board.tell(record)
    assert [(known.source, known.probes) for known in board.clocks()] == [("a", 402), ("b", 401)]
    assert [known.source for known in board.links()] == ["a"]
    assert [known.machine for known in board.events()] == ["pump"]


def test_a_finding_lasts_until_it_is_over(board: TimeBoard) -> None:
    board.tell(check("a"))
    board.tell(check("a", signal="a:flow"))
    board.tell(check("a", is_active=False))
    assert [found.signal for found in board.active()] == ["a:flow"]
    assert [found.is_active for found in board.recent()] == [False, True, True]
    assert board.found() == {("a", "step"): 2}


def test_what_lasts_no_time_counts_once(board: TimeBoard) -> None:
    board.tell(check("a", SyncCause.DUPLICATED, is_active=False))
    assert board.active() == []
    assert board.found() == {("a", "duplicated"): 1}


def test_memory_is_bounded(board: TimeBoard) -> None:
    for number in range(SOURCES_MAX + 10):
        board.tell(clock(f"s{number}"))
        board.tell(check(f"s{number}"))
    assert len(board.clocks()) == SOURCES_MAX
    assert len(board.active()) == len(board.found()) == ACTIVE_MAX
    assert len(board.recent()) == RECENT_MAX


def test_an_answer_comes_back_as_the_records_it_was_made_of(board: TimeBoard) -> None:
    records = (clock("a"), check("a", text=NASTY), link("a"), event())
    for record in records:
        board.tell(record)
    said = read_clocks(json.loads(json.dumps(board.clock_answer(), allow_nan=False)))
    assert (said.site, said.time_ns) == ("skid", START_NS)
    assert said.clocks == (records[0],)
    assert said.active_checks == said.recent_checks == (records[1],)
    assert said.machines == (records[3],)
    links = read_links(json.loads(json.dumps(board.kpi_answer(), allow_nan=False)))
    assert links.links == (records[2],)


def test_no_number_of_json_is_missing_its_meaning(board: TimeBoard) -> None:
    figures = (KpiFigure(name="jitter_s", value=math.nan, unit="s", high=math.inf),)
    board.tell(link("a", figures=figures))
    (answered,) = read_links(json.loads(json.dumps(board.kpi_answer(), allow_nan=False))).links
    assert (answered.figures[0].value, answered.figures[0].high) == (None, None)


@pytest.mark.parametrize("answer", [{}, {"links": 3}, {"site": "s", "time_ns": 1, "links": [{}]}])
def test_another_answer_is_refused(answer: dict) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read_links(answer)
    with pytest.raises(ValueError, match="validation error"):
        read_clocks(answer)


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (None, "-"), (math.nan, "-"), (0, "0 s"), (1e-10, "0.10 ns"), (412e-6, "412 us"),
        (-0.00125, "-1.25 ms"), (0.0009996, "1.00 ms"), (1.0, "1.00 s"), (59.99, "60.0 s"),
        (60, "1 min"), (90, "1 min 30 s"), (3599.9, "1 h"), (4000, "1 h 7 min"),
        (90_000, "1 d 1 h"), (86_399.0, "1 d"), (1e9, "11,574 d 2 h"),
    ],
)  # fmt: skip
def test_durations_read_as_people_say_them(value_s: float | None, text: str) -> None:
    assert duration(value_s) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1.0, "100 %"), (0.0, "0 %"), (0.999, "99.9 %"), (0.999_997_4, "99.99974 %"),
     (0.000_862, "0.0862 %"), (0.5, "50 %")],
)  # fmt: skip
def test_an_availability_keeps_its_nines(value: float | None, text: str) -> None:
    assert ratio(value) == text


def test_a_rate_shares_the_digits_of_its_uncertainty() -> None:
    assert ppm(-12.3456, 0.2149) == "-12.35 ± 0.21 ppm"
    assert ppm(31.4, 14.0) == "+31 ± 14 ppm"
    assert (ppm(1.0, None), ppm(None, 1.0)) == ("+1.00 ppm", "-")


def test_the_offset_of_a_clock_that_counts_from_its_start_is_a_date() -> None:
    assert offset(clock("a")) == "0 at 2023-11-14 22:12:40 UTC"
    assert offset(clock("a", offset_ns=-20_000_000)) == "-20.0 ms"
    assert offset(clock("a", offset_ns=None)) == "-"
    assert moment(1 << 80) == f"{1 << 80} ns"


def test_a_figure_reads_with_its_limits_and_its_budget() -> None:
    latency, mtbf = link().figures[5], link().figures[13]
    assert (amount(latency.value, latency.unit), limits(latency)) == ("250 ms", "200 ms to 300 ms")
    assert (budget(latency), met(latency)) == ("at most 100 ms", "NOT MET")
    assert (limits(mtbf), budget(mtbf), met(mtbf)) == (
        "at least 16 min 40 s",
        "at least 7 d",
        "open",
    )
    loss = KpiFigure(name="message_loss_ratio", value=0.0, unit="/", high=0.01)
    assert (limits(loss), budget(loss), met(loss)) == ("at most 1 %", "", "")
    assert amount(12_345.0, "count") == "12,345"


def test_every_figure_has_a_label() -> None:
    assert LABELS.keys() == FIGURES.keys()
    assert len(set(LABELS.values())) == len(LABELS)


def test_a_link_is_up_down_or_waited_for() -> None:
    states = (link(), link(is_up=False), link(is_up=False, observed_s=0.0))
    assert [service(found) for found in states] == ["up", "down", "waiting"]
