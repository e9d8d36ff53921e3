"""`twinrig gateway kpi` and `clocks`: asked of a real control socket, as tables and as JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.clock import ManualClock, SystemClock
from gateway.control import Control
from gateway.errors import OperatorError
from gateway.time_answers import read_clocks, read_links
from gateway.time_board import TimeBoard
from tests.gateway.plant import START_NS, background
from tests.gateway.test_control import Desk
from tests.gateway.time_records import NASTY, check, clock, event, link
from twinrig_gateway import gateway_app
from twinrig_terminal import console

BOTH = ("kpi", "clocks")


@asynccontextmanager
async def serving(folder: Path, *records) -> AsyncIterator[TimeBoard]:
    board = TimeBoard("skid", ManualClock(START_NS))
    for record in records:
        board.tell(record)
    with Control(Desk(), folder, SystemClock(), board) as opened:
        async with background(*opened.workers()):
            yield board


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the tables room; the terminal was measured when its module was first imported."""
    monkeypatch.setattr(console, "_width", 160)


def run(*arguments: str):
    """Run a command."""
    return CliRunner().invoke(gateway_app, arguments)


def outcome(folder: Path, *records, command: str, as_json: bool = False):
    """Return what a command printed about these records."""

    async def ask():
        async with serving(folder, *records):
            more = ["--json"] if as_json else []
            return await asyncio.to_thread(run, command, "--state", str(folder), *more)

    result = asyncio.run(ask())
    assert result.exit_code == 0, result.output
    return result.stdout


def test_links_are_shown_as_tables(tmp_path: Path) -> None:
    text = outcome(tmp_path, link("a"), link("plc", is_up=False, link=""), command="kpi")
    assert "a over serial: up, observed for 1 h 7 min" in text
    assert "plc over no link yet: down" in text
    (row,) = {line for line in text.splitlines() if "end-to-end latency, 99 %" in line}
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "end-to-end latency, 99 %", "250 ms", "200 ms to 300 ms", "at most 100 ms", "NOT MET",
    ]  # fmt: skip


def test_clocks_machines_and_findings_are_shown(tmp_path: Path) -> None:
    records = (
        clock("a"),
        clock("plc", is_two_way=False, boot_id=None, offset_ns=-20_000_000, bound_ns=None),
        check("a", text=f"[bold]{NASTY}[/bold]"),
        check("b", is_active=False),
        event(),
    )
    text = outcome(tmp_path, *records, command="clocks")
    assert "0 at 2023-11-14 22:12:40 UTC" in text
    assert "one-way: offset cannot be known" in text
    assert "too late" in text
    assert "findings that last: 1" in text
    assert f"step: [bold]{NASTY}[/bold]" in text, "words from outside are no markup"
    assert "findings that are over: 1" in text


def test_json_is_the_answer_itself(tmp_path: Path) -> None:
    records = (link("a"), clock("a"), check("a"))
    links = read_links(json.loads(outcome(tmp_path, *records, command="kpi", as_json=True)))
    assert links.links == (records[0],)
    clocks = read_clocks(json.loads(outcome(tmp_path, *records, command="clocks", as_json=True)))
    assert (clocks.clocks, clocks.active_checks) == ((records[1],), (records[2],))


@pytest.mark.parametrize(
    ("command", "words"),
    [("kpi", "no link has been measured yet"), ("clocks", "no clock has been heard of yet")],
)
def test_a_gateway_that_knows_nothing_yet_says_so(tmp_path: Path, command: str, words: str) -> None:
    assert words in outcome(tmp_path, command=command)


@pytest.mark.parametrize("command", BOTH)
def test_without_a_gateway_it_says_how_to_start_one(tmp_path: Path, command: str) -> None:
    result = run(command, "--state", str(tmp_path))
    assert isinstance(result.exception, OperatorError)
    assert "no gateway runs with this state folder" in str(result.exception)


def test_the_answer_of_another_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeBoard, "kpi_answer", lambda self: {"links": "many"})

    async def ask():
        async with serving(tmp_path):
            return await asyncio.to_thread(run, "kpi", "--state", str(tmp_path))

    result = asyncio.run(ask())
    assert isinstance(result.exception, OperatorError)
    assert "run both ends in one version" in str(result.exception)
