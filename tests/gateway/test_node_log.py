"""News of a node are one line each; "ok" every ten seconds is none."""

import logging

import pytest

from gateway.node_log import NodeLog
from gateway.records import ReportKind
from tests.gateway.plant import report


@pytest.fixture
def told(caplog):
    """Return a function that tells reports to a log, and gives (level, line) of each line."""
    log = NodeLog()
    caplog.set_level(logging.INFO, "twinrig.gateway.nodes")

    def tell(*reports):
        caplog.clear()
        for each in reports:
            log.tell(each)
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return tell


def test_a_status_is_news_when_its_problems_change(told):
    bad = report(problems=("hot",), text="1 problem: hot")
    assert told(report(), report()) == []
    assert told(bad, bad) == [("WARNING", "node_status node=a text='1 problem: hot'")]
    assert told(report()) == [("INFO", "node_status node=a text='ok'")]


def test_nodes_are_told_apart(told):
    bad = report(problems=("hot",), text="1 problem: hot")
    assert len(told(bad, report(source="b"), report(source="b"), bad)) == 1


def test_starts_and_losses_are_always_news(told):
    boot = report(ReportKind.BOOT, text="started: boot_reason watchdog")
    loss = report(ReportKind.LOSS, text="7 frames lost", problems=("7 frames lost",))
    assert [level for level, _ in told(boot, boot, loss)] == ["INFO", "INFO", "WARNING"]


@pytest.mark.parametrize("kind", [ReportKind.CHECKPOINT, ReportKind.RAW_BLOCK])
def test_routine_is_no_news(told, kind):
    assert told(report(kind)) == []


def test_the_words_of_a_node_cannot_forge_a_line(told):
    ((_, line),) = told(report(problems=("x",), text="ok\nroot_login user=admin"))
    assert "\n" not in line
