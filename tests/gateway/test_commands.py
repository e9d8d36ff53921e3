"""Commands go out in order, one at a time, until answered; their ids are never used twice."""

import json
from pathlib import Path

import pytest

from gateway.clock import NS_PER_S
from gateway.commands import WAITING_MAX, CommandJournal, Request, RequestState
from gateway.errors import OperatorError
from wire import commands
from wire.commands import CommandAnswer

START_NS = 1_700_000_000 * NS_PER_S
RATE = {0: 100_000, 1: 10}


def open_journal(folder: Path) -> CommandJournal:
    journal = CommandJournal(folder / "state" / "commands.json", ["a", "b"])
    journal.load()
    return journal


@pytest.fixture
def journal(tmp_path: Path) -> CommandJournal:
    return open_journal(tmp_path)


def ids_due(journal: CommandJournal, now_ns: int) -> list[tuple[str, int]]:
    """Return (node, id) of the commands to send now."""
    return [
        (due.node, commands.decode_command(due.payload).command_id) for due in journal.due(now_ns)
    ]


def answer(command_id: int, result: int = commands.DONE, last_id=None) -> CommandAnswer:
    return CommandAnswer(command_id, result, "", last_id)


def ask(journal: CommandJournal, node: str = "a", **changes) -> Request:
    return journal.request(node, commands.SET_RATE, RATE, START_NS, **changes)


def test_a_command_is_sent_until_it_is_answered(journal: CommandJournal) -> None:
    request = ask(journal)
    assert request.state is RequestState.WAITING
    assert ids_due(journal, START_NS) == [("a", 1)]
    assert request.state is RequestState.SENT
    assert ids_due(journal, START_NS + NS_PER_S) == []
    assert ids_due(journal, START_NS + 2 * NS_PER_S) == [("a", 1)], "the same id again"
    assert journal.answered("a", answer(1)) is request
    assert (request.state, request.outcome, request.was_obeyed) == (
        RequestState.ANSWERED, "done", True,
    )  # fmt: skip
    assert ids_due(journal, START_NS + 60 * NS_PER_S) == []


def test_pauses_grow_and_have_a_limit(journal: CommandJournal) -> None:
    ask(journal, expires_s=1000.0)
    sent = [second for second in range(120) if ids_due(journal, START_NS + second * NS_PER_S)]
    assert sent == [0, 2, 6, 14, 30, 60, 90]


def test_the_next_command_waits_for_the_one_before(journal: CommandJournal) -> None:
    first, second, other = ask(journal), ask(journal), ask(journal, "b")
    assert ids_due(journal, START_NS) == [("a", 1), ("b", 1)]
    assert journal.answered("a", answer(2)) is None, "an answer to what was never sent"
    assert not second.is_done
    journal.answered("a", answer(1, commands.REFUSED))
    assert (first.outcome, first.was_obeyed) == ("refused", False)
    assert ids_due(journal, START_NS) == [("a", 2)]
    assert [request.command_id for request in journal.waiting("b")] == [other.command_id]


def test_an_answer_before_anything_was_sent_is_nobodys(journal: CommandJournal) -> None:
    request = ask(journal)
    assert journal.answered("a", answer(1)) is None
    assert journal.answered("x", answer(1)) is None
    assert request.state is RequestState.WAITING


def test_an_old_answer_changes_nothing(journal: CommandJournal) -> None:
    ask(journal)
    journal.due(START_NS)
    journal.answered("a", answer(1))
    request = ask(journal)
    journal.due(START_NS)
    assert journal.answered("a", answer(1)) is None
    assert not request.is_done


def test_a_command_expires_and_says_that_nobody_knows(journal: CommandJournal) -> None:
    late, next_one = ask(journal, expires_s=10.0), ask(journal)
    journal.due(START_NS)
    assert ids_due(journal, START_NS + 10 * NS_PER_S) == [("a", 2)]
    assert (late.state, late.outcome, late.was_obeyed) == (RequestState.EXPIRED, "expired", False)
    assert journal.answered("a", answer(1)) is None
    assert not next_one.is_done


async def test_who_asked_can_wait(journal: CommandJournal) -> None:
    request = ask(journal)
    journal.due(START_NS)
    journal.answered("a", answer(1))
    await request.done()
    assert request.is_done


# --- over restarts -------------------------------------------------------------------------------


def test_what_waits_and_what_comes_next_survive_a_restart(tmp_path: Path) -> None:
    first = open_journal(tmp_path)
    ask(first)
    ask(first)
    first.due(START_NS)
    later = open_journal(tmp_path)
    assert [request.command_id for request in later.waiting("a")] == [1, 2]
    assert later.answered("a", answer(1)) is not None, "the run before may have sent it"
    assert ids_due(later, START_NS) == [("a", 2)]
    assert ask(later).command_id == 3
    assert ask(open_journal(tmp_path)).command_id == 4


def test_an_id_is_on_the_disk_before_it_is_sent(tmp_path: Path, monkeypatch) -> None:
    journal = open_journal(tmp_path)
    synced: list[bool] = []
    monkeypatch.setattr(
        "gateway.commands.replace_file",
        lambda path, text, *, is_synced, is_private: synced.append(is_synced and is_private),
    )
    ask(journal)
    assert synced == [True]


def test_nobody_else_may_read_the_journal(tmp_path: Path) -> None:
    ask(open_journal(tmp_path))
    path = tmp_path / "state" / "commands.json"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "3", '{"a": 3}', '{"a": {"next_id": 0, "waiting": []}}',
        '{"a": {"next_id": true, "waiting": []}}', '{"a": {"next_id": 1}}',
        '{"a": {"next_id": 1, "waiting": [{"payload": "zz", "expires_ns": 1}]}}',
        '{"a": {"next_id": 1, "waiting": [{"payload": "ff", "expires_ns": 1}]}}',
        '{"a": {"next_id": 1, "waiting": [{"payload": "a0", "expires_ns": 1}]}}',
    ],
)  # fmt: skip
def test_a_damaged_journal_stops_the_start_with_a_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "commands.json"
    path.write_text(text)
    journal = CommandJournal(path, ["a"])
    with pytest.raises(OperatorError, match="remove the file to forget those that wait"):
        journal.load()


def test_a_journal_that_was_lost_goes_on_above_what_the_node_knows(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    first, second = ask(journal), ask(journal)
    journal.due(START_NS)
    assert journal.answered("a", answer(1, commands.OUT_OF_ORDER, last_id=40)) is None
    assert (first.command_id, second.command_id) == (41, 42)
    assert ids_due(journal, START_NS + 1) == [("a", 41)], "at once, under its new id"
    assert journal.answered("a", answer(41)) is first
    assert ask(journal).command_id == 43
    kept = json.loads((tmp_path / "state" / "commands.json").read_text())
    assert kept["a"]["next_id"] == 44


def test_a_node_that_has_used_up_all_ids_stops_nothing(journal: CommandJournal) -> None:
    request = ask(journal)
    journal.due(START_NS)
    last_id = commands.COMMAND_ID_MAX
    assert journal.answered("a", answer(1, commands.OUT_OF_ORDER, last_id=last_id)) is request
    assert request.outcome == "out_of_order"


def test_ids_start_above_the_one_a_node_says_it_obeyed_last(journal: CommandJournal) -> None:
    journal.obeyed_last("a", 17)
    journal.obeyed_last("a", 4)
    journal.obeyed_last("nobody", 4)
    assert ask(journal).command_id == 18


# --- what cannot be commanded --------------------------------------------------------------------


def test_impossible_commands_are_refused_here(journal: CommandJournal) -> None:
    with pytest.raises(OperatorError, match="no node 'x' takes commands here; the site has a, b"):
        ask(journal, "x")
    with pytest.raises(OperatorError, match="set_rate needs block_samples"):
        journal.request("a", commands.SET_RATE, {0: 1}, START_NS)
    with pytest.raises(OperatorError, match="no verb 99"):
        journal.request("a", 99, {}, START_NS)
    for _ in range(WAITING_MAX):
        ask(journal)
    with pytest.raises(OperatorError, match="64 commands wait already"):
        ask(journal)
    assert journal.waiting("a")[-1].command_id == WAITING_MAX, "a refusal uses no id up"


# --- a disk that takes nothing -------------------------------------------------------------------


def refuse(*_args, **_kwargs) -> None:
    raise OSError(28, "No space left on device")


def test_what_the_disk_does_not_take_is_refused_and_never_sent(tmp_path: Path, monkeypatch) -> None:
    journal = open_journal(tmp_path)
    monkeypatch.setattr("gateway.commands.replace_file", refuse)
    with pytest.raises(OperatorError, match="cannot be kept"):
        ask(journal)
    monkeypatch.undo()
    assert journal.waiting("a") == ()
    assert ids_due(journal, START_NS) == []
    assert ask(journal).command_id == 2, "the file may have got its name before the disk failed"
    assert ids_due(journal, START_NS) == [("a", 2)]


def test_a_full_disk_keeps_no_command_from_ending(tmp_path: Path, monkeypatch) -> None:
    journal = open_journal(tmp_path)
    path = tmp_path / "state" / "commands.json"
    answered, late = ask(journal), ask(journal, expires_s=10.0)
    journal.due(START_NS)
    monkeypatch.setattr("gateway.commands.replace_file", refuse)
    assert journal.answered("a", answer(1)) is answered
    assert ids_due(journal, START_NS + 10 * NS_PER_S) == []
    assert late.state is RequestState.EXPIRED
    monkeypatch.undo()
    assert len(json.loads(path.read_text())["a"]["waiting"]) == 2
    assert ids_due(journal, START_NS + 20 * NS_PER_S) == []
    assert json.loads(path.read_text())["a"]["waiting"] == [], "written as soon as it can be"


def test_a_new_id_is_not_sent_before_the_disk_has_it(tmp_path: Path, monkeypatch) -> None:
    journal = open_journal(tmp_path)
    ask(journal)
    journal.due(START_NS)
    monkeypatch.setattr("gateway.commands.replace_file", refuse)
    journal.answered("a", answer(1, commands.OUT_OF_ORDER, last_id=40))
    assert ids_due(journal, START_NS + NS_PER_S) == []
    monkeypatch.undo()
    assert ids_due(journal, START_NS + 11 * NS_PER_S) == [("a", 41)]
