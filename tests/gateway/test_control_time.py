"""What the control socket answers about time: without a board nothing, with one all of it."""

import json
from pathlib import Path

import pytest

from gateway.clock import ManualClock, SystemClock
from gateway.control import Control
from gateway.control_client import ControlClient
from gateway.errors import OperatorError
from gateway.time_answers import read_links
from gateway.time_board import TimeBoard
from tests.gateway.plant import START_NS, background
from tests.gateway.test_control import Desk
from tests.gateway.time_records import link


async def test_a_gateway_that_measures_nothing_refuses_the_question(tmp_path: Path) -> None:
    with Control(Desk(), tmp_path, SystemClock()) as opened:
        async with background(*opened.workers()):
            with pytest.raises(OperatorError, match="no request is known"):
                await ControlClient(tmp_path).kpi()


async def test_an_answer_may_be_longer_than_a_request(tmp_path: Path) -> None:
    links = [link(f"s{number}") for number in range(200)]
    board = TimeBoard("skid", ManualClock(START_NS))
    for record in links:
        board.tell(record)
    with Control(Desk(), tmp_path, SystemClock(), board) as opened:
        async with background(*opened.workers()):
            answer = await ControlClient(tmp_path).kpi()
            assert (await ControlClient(tmp_path).clocks())["clocks"] == []
    assert len(json.dumps(answer)) > 300_000
    assert len(read_links(answer).links) == 200
