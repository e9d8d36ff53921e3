"""Versions behind a gate: each change is on record, none is half, no edit goes unseen."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import OperatorError
from gateway.lifecycle.file import JSON_NAME, ModelFileError
from gateway.lifecycle.store import Gate, ModelStore, UpdateRefusedError, changes_of, open_model
from tests.gateway.lifecycle.models_on_disk import model, origin

OPEN = Gate(facts={"rows": 600})


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    made = ModelStore(tmp_path / "pump")
    made.put(model(0), origin(0), OPEN, now_ns=1)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pump"


def test_old_versions_stay_and_the_newest_is_current(store: ModelStore, folder: Path) -> None:
    second = store.put(model(1), origin(1), OPEN, now_ns=2)
    first, newest = store.versions()
    assert newest == second == store.current()
    assert store.first() == first
    assert store.load().digest != store.load(first).digest
    assert open_model(folder).digest == store.load().digest
    assert open_model(folder / first).digest == store.load(first).digest
    assert [change.action for change in changes_of(folder / first)] == ["first", "update"]


def test_a_closed_gate_changes_nothing_and_is_on_record(store: ModelStore) -> None:
    before = store.current()
    shut = Gate(facts={"alarmed_share": 0.4}, refusals=("pressure: level 5 then, 7 now",))
    with pytest.raises(UpdateRefusedError, match="pressure: level 5 then, 7 now"):
        store.put(model(1), origin(1), shut, now_ns=2, by="somebody who insists")
    assert store.current() == before
    assert len(store.versions()) == 1
    refused = store.changes()[-1]
    assert (refused.action, refused.version) == ("refused", before)
    assert refused.gate["refusals"] == ["pressure: level 5 then, 7 now"]


def test_a_person_can_vouch_for_what_seals_do_not(store: ModelStore) -> None:
    gate = Gate(facts={}, unverified="nothing vouches for 100 % of the rows")
    with pytest.raises(UpdateRefusedError, match="--vouch NAME"):
        store.put(model(1), origin(1), gate, now_ns=2)
    store.put(model(1), origin(1), gate, now_ns=3, by="A. Turner")
    assert store.changes()[-1].by == "A. Turner"
    assert [change.action for change in store.changes()] == ["first", "refused", "update"]


def test_a_refused_first_model_leaves_none(tmp_path: Path) -> None:
    empty = ModelStore(tmp_path / "none")
    with pytest.raises(UpdateRefusedError):
        empty.put(model(), origin(), Gate(facts={}, refusals=("no",)), now_ns=1)
    with pytest.raises(ModelFileError, match="no model yet"):
        empty.load()
    empty.put(model(), origin(), OPEN, now_ns=2)
    assert [change.action for change in empty.changes()] == ["refused", "first"]


def test_going_back_is_a_persons_decision(store: ModelStore) -> None:
    first = store.current()
    store.put(model(1), origin(1), OPEN, now_ns=2)
    with pytest.raises(OperatorError, match="say who"):
        store.go_back(first, now_ns=3, by="")
    store.go_back(first, now_ns=3, by="A. Turner")
    assert store.current() == first
    store.put(model(1), origin(1), OPEN, now_ns=4)
    assert store.current().startswith("000003-")


def test_an_exchanged_version_is_found(store: ModelStore, folder: Path) -> None:
    first = store.current()
    store.put(model(1), origin(1), OPEN, now_ns=2)
    other = store.current()
    for path in (folder / other).iterdir():
        (folder / first / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ModelFileError, match=f"exchanged; name one of {other}"):
        store.load(first)
    store.load()


@pytest.mark.parametrize("line", [0, 1])
def test_an_edited_record_is_found(store: ModelStore, folder: Path, line: int) -> None:
    for now_ns in (2, 3):
        store.put(model(now_ns), origin(now_ns), OPEN, now_ns=now_ns, by="A. Turner")
    path = folder / "changes.jsonl"
    lines = path.read_text().splitlines()
    body = json.loads(lines[line])
    lines[line] = json.dumps(body | {"by": "nobody"}, sort_keys=True)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ModelFileError, match=f"line {line + 2} does not follow"):
        store.load()


def test_a_removed_line_and_a_line_of_nonsense_are_found(store: ModelStore, folder: Path) -> None:
    head = store.head()
    store.put(model(1), origin(1), OPEN, now_ns=2)
    path = folder / "changes.jsonl"
    whole = path.read_text().splitlines()
    path.write_text(whole[1] + "\n")
    with pytest.raises(ModelFileError, match="line 1"):
        store.current()
    path.write_text("nonsense\n")
    with pytest.raises(ModelFileError, match="line 1 is no change"):
        store.current()
    # Only a hash kept elsewhere tells that the end is gone.
    path.write_text(whole[0] + "\n")
    assert store.head() == head


def test_a_kill_between_the_files_leaves_the_old_version(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.current()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gateway.lifecycle.store.replace_file", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put(model(1), origin(1), OPEN, now_ns=2)
    assert store.current() == before
    store.load()
    store.put(model(1), origin(1), OPEN, now_ns=3)
    assert store.current() != before


def test_another_model_under_the_recorded_name_is_refused(store: ModelStore, folder: Path) -> None:
    version = store.current()
    text = (folder / version / JSON_NAME).read_text()
    (folder / version / JSON_NAME).write_text(text.replace('"asset": "pump"', '"asset": "fan"'))
    with pytest.raises(ModelFileError, match="hash"):
        store.load()
    with pytest.raises(ModelFileError, match="no version '000009-00000000'"):
        store.load("000009-00000000")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="name a folder of yours"):
        ModelStore(tmp_path / "file").put(model(), origin(), OPEN, now_ns=1)


def test_two_models_may_differ_in_one_fact_alone(store: ModelStore) -> None:
    changed = replace(model(0), facts={"rows": 1})
    store.put(changed, origin(0), OPEN, now_ns=2)
    assert store.load().model.facts == {"rows": 1}


def test_a_model_that_could_not_be_read_again_is_not_put(store: ModelStore) -> None:
    blind = replace(model(1), level=np.full(4, np.nan))
    with pytest.raises(ModelFileError, match=r"field level: is not finite.* not to be used"):
        store.put(blind, origin(1), OPEN, now_ns=2)
    assert [change.action for change in store.changes()] == ["first"]
    assert len(store.versions()) == 1


def test_the_first_version_is_one_of_the_same_signals(store: ModelStore) -> None:
    """An asset that gained a sensor, or got another in its place, begins anew."""
    oldest = store.first()
    changed = replace(model(1), signals=("flow", "pressure", "current", "torque"))
    second = store.put(changed, origin(1), OPEN, now_ns=2)
    assert store.first() == second
    store.put(replace(changed, facts={}), origin(1), OPEN, now_ns=3)
    assert store.first() == second
    store.go_back(oldest, now_ns=4, by="A. Turner")
    assert store.first() == oldest
