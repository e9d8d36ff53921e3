"""The figures outlive the gateway; a damaged file costs them, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import OperatorError
from gateway.kpi_state import FILE, load_kpis, save_kpis
from gateway.models.log_histogram import HistogramState
from gateway.stages.kpi_link import LinkState
from gateway.stages.kpi_service import ServiceState

STATE = LinkState(
    stated_ns=(10**9, 4 * 10**9, 5 * 10**9),
    link="serial",
    service=ServiceState(
        up_ns=10**15, down_ns=5, failures=1, longest_gap_ns=6 * 10**9, is_up=True, has_begun=True
    ),
    messages=1000,
    untimely=3,
    sent=1010,
    lost=10,
    lost_squares=52,
    untimely_squares=9,
    lost_in_a_row=4,
    untimely_in_a_row=3,
    jitter_s=0.001,
    histograms={"update_time": HistogramState({-1: 2, 300: 998}, 12.5, -0.25, 1.5)},
)


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    save_kpis(tmp_path, {"a": STATE, "b": replace(STATE, histograms={})})
    assert load_kpis(tmp_path) == ({"a": STATE, "b": replace(STATE, histograms={})}, "")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_first_start_has_nothing_and_no_problem(tmp_path: Path) -> None:
    assert load_kpis(tmp_path) == ({}, "")


def damaged(**changes) -> str:
    """Return a file in which one thing of the link is wrong."""
    link = {
        "stated_ns": [1, 2, 3],
        "link": "",
        "service": STATE.service._asdict(),
        "messages": 1,
        "untimely": 0,
        "sent": 1,
        "lost": 0,
        "lost_squares": 0,
        "untimely_squares": 0,
        "lost_in_a_row": 0,
        "untimely_in_a_row": 0,
        "jitter_s": 0,
        "histograms": {},
    }
    return json.dumps({"format": 1, "links": {"a": link | changes}})


HISTOGRAM = {"counts": {"3": 1}, "total_s": 1.0, "least_s": 1.0, "greatest_s": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"links"',
        "[" * 100_000,
        '{"format": 2, "links": {}}',
        '{"format": 1}',
        '{"format": 1, "links": []}',
        '{"format": 1, "links": {"a": 3}}',
        damaged(messages=-1),
        damaged(messages=True),
        damaged(messages=1 << 63),
        damaged(messages=1.5),
        damaged(untimely=2),
        damaged(lost=2),
        damaged(lost_in_a_row=1),
        damaged(untimely_in_a_row=1),
        damaged(jitter_s="fast"),
        damaged(jitter_s=-1),
        damaged(jitter_s=10**400),
        damaged(messages=10**400),
        damaged(stated_ns=[1, 2]),
        damaged(link="x" * 1000),
        damaged(service={}),
        damaged(service=STATE.service._asdict() | {"has_begun": False}),
        damaged(service=STATE.service._asdict() | {"up_ns": None}),
        damaged(histograms={"update_time": {}}),
        damaged(histograms={"update_time": HISTOGRAM | {"counts": {"x": 1}}}),
        damaged(histograms={"update_time": HISTOGRAM | {"counts": {"9999": 1}}}),
        damaged(histograms={"update_time": HISTOGRAM | {"least_s": 2.0}}),
        damaged(histograms={"update_time": HISTOGRAM | {"total_s": 10**400}}),
        damaged(histograms={"update_time": HISTOGRAM | {"greatest_s": 10**400}}),
        damaged(
            histograms={"update_time": HISTOGRAM | {"counts": {str(i): 2**61 for i in range(9)}}}
        ),
        damaged(histograms={"update_time": HISTOGRAM | {"total_s": "1"}}),
        damaged(histograms={"update_time": HISTOGRAM}).replace('"total_s": 1.0', '"total_s": NaN'),
    ],
)
def test_a_damaged_file_is_named_and_kept_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    found, problem = load_kpis(tmp_path)
    assert found == {}
    assert FILE in problem
    assert "begin afresh" in problem
    assert (tmp_path / f"{FILE}.damaged").read_text() == text
    assert load_kpis(tmp_path) == ({}, "")


def test_a_sound_file_is_no_damaged_one(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(damaged(histograms={"update_time": HISTOGRAM}))
    found, problem = load_kpis(tmp_path)
    assert problem == ""
    assert found["a"].histograms["update_time"].counts == {3: 1}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=3))
def test_no_flipped_byte_raises(tmp_path: Path, place: int, other: bytes) -> None:
    save_kpis(tmp_path, {"a": STATE})
    content = bytearray((tmp_path / FILE).read_bytes())
    at = place % len(content)
    content[at : at + len(other)] = other
    (tmp_path / FILE).write_bytes(content)
    found, problem = load_kpis(tmp_path)
    assert isinstance(found, dict)
    assert isinstance(problem, str)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="free some space"):
        save_kpis(tmp_path / "none", {"a": STATE})
    (tmp_path / FILE).mkdir()
    found, problem = load_kpis(tmp_path)
    assert (found, "damaged" in problem) == ({}, True)
