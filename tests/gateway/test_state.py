"""What outlives the gateway: the start counter and the replay windows."""

import os
import stat
from pathlib import Path

import pytest

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError
from gateway.stages.replay_window import Lane, ReplayMark
from gateway.state import load_marks, next_start, save_marks

MARKS = [
    ReplayMark(source="a", lane=Lane.DATA, boot_id=3, highest=17, seen=0b1011, root_id="0f" * 8),
    ReplayMark(source="a", lane=Lane.LIVE, boot_id=4, highest=20, seen=1),
    ReplayMark(source="b", lane=Lane.DATA, boot_id=0, highest=0, seen=1),
]


def test_starts_are_counted_on_disk(tmp_path: Path) -> None:
    assert [next_start(tmp_path / "new" / "folder") for _ in range(3)] == [1, 2, 3]
    assert (tmp_path / "new" / "folder" / "starts").read_text() == "3\n"


def test_a_start_is_numbered_by_the_time_when_the_count_is_lost(tmp_path: Path) -> None:
    starts = [next_start(tmp_path, 1_700_000_000 * NS_PER_S + later) for later in (0, 1, 5)]
    assert starts == [1_700_000_000, 1_700_000_001, 1_700_000_002], "three in one second"
    assert next_start(tmp_path, 0) == 1_700_000_003, "a clock set back"
    (tmp_path / "starts").unlink()
    assert next_start(tmp_path, 1_700_000_009 * NS_PER_S) == 1_700_000_009
    assert next_start(tmp_path / "b", (1 << 32) * NS_PER_S) == 1, "no boot id is that large"
    assert next_start(tmp_path / "c", -NS_PER_S) == 1


@pytest.mark.parametrize("text", ["", "three", "1.5", "-1"])
def test_a_damaged_counter_stops_the_start_with_a_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "starts").write_text(text)
    with pytest.raises(OperatorError, match="remove it: a clock that is right"):
        next_start(tmp_path)


def test_a_counter_that_cannot_be_kept_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(OperatorError, match="make the folder writable"):
        next_start(tmp_path / "state")


def test_marks_come_back_as_they_were(tmp_path: Path) -> None:
    assert load_marks(tmp_path) == []
    save_marks(tmp_path, MARKS)
    assert load_marks(tmp_path) == MARKS
    save_marks(tmp_path, MARKS[:1])
    assert load_marks(tmp_path) == MARKS[:1]
    assert [file.name for file in tmp_path.iterdir()] == ["replay-marks.json"]


def test_a_mark_from_before_there_were_lanes_stands_for_both(tmp_path: Path) -> None:
    (tmp_path / "replay-marks.json").write_text(
        '[{"source": "a", "boot_id": 3, "highest": 17, "seen": 11}]'
    )
    marks = load_marks(tmp_path)
    assert [(mark.lane, mark.highest, mark.seen, mark.root_id) for mark in marks] == [
        (Lane.DATA, 17, 11, ""), (Lane.LIVE, 17, 11, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "3", "[3]", "[{}]", '[{"source": "a"}]', "{}", '""', "null", "[" * 16_000,
        '[{"source": "a", "boot_id": -1, "highest": 1, "seen": 1}]',
        '[{"source": "a", "boot_id": 1, "highest": -1, "seen": 1}]',
        '[{"source": "a", "boot_id": 1, "highest": 1, "seen": -1}]',
        '[{"source": "a", "boot_id": "1", "highest": 1, "seen": 1}]',
        '[{"source": "a", "boot_id": true, "highest": 1, "seen": 1}]',
        '[{"source": "a", "boot_id": 1, "highest": 1, "seen": 1, "more": 1}]',
        '[{"source": "a", "lane": "side", "boot_id": 1, "highest": 1, "seen": 1}]',
        '[{"source": "a", "boot_id": 1, "highest": 1, "seen": 1, "root_id": 7}]',
        '[{"source": "a", "lane": null, "boot_id": 1, "highest": 1, "seen": 1}]',
    ],
)  # fmt: skip
def test_damaged_marks_stop_the_start_with_a_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "replay-marks.json").write_text(text)
    with pytest.raises(OperatorError, match="remove the file only if"):
        load_marks(tmp_path)


def test_the_counter_is_on_the_disk_with_its_name(tmp_path: Path, monkeypatch) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    next_start(tmp_path)
    assert steps == ["file", "rename", "folder"]
    steps.clear()
    save_marks(tmp_path, MARKS)
    assert steps == ["rename"], "every second, so without waiting for the disk"


def test_marks_that_cannot_be_kept_say_so(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be kept"):
        save_marks(tmp_path / "absent", MARKS)
