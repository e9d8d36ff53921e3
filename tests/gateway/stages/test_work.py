"""Calculations at once and beside the flow: the same answers, the same errors."""

import threading

import pytest

from gateway.models.scaling import UnfitRowsError
from gateway.stages.work import aside, at_once


def fail() -> int:
    raise UnfitRowsError("n:s0 is odd")


def test_at_once_is_done_when_it_returns_and_raises_what_the_work_raises() -> None:
    future = at_once(lambda: 42)
    assert future.done()
    assert future.result() == 42
    with pytest.raises(UnfitRowsError, match="odd"):
        at_once(fail)


def test_aside_returns_before_the_work_is_done() -> None:
    gate = threading.Event()
    future = aside(lambda: (gate.wait(10), threading.current_thread().daemon))
    assert not future.done()
    gate.set()
    assert future.result(timeout=10) == (True, True)


def test_an_error_beside_the_flow_reaches_whoever_asks() -> None:
    with pytest.raises(UnfitRowsError, match="odd"):
        aside(fail).result(timeout=10)
