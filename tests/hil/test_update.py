"""An update end to end: sealed pieces, the node's own files, its loader, trial, and what follows.

The node runs from a folder as a real board does, with nothing of its image in reach.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from boards.catalog import load_board
from boards.emulate import Emulated, start
from boards.mpy import application_files, compile_files
from gateway.records import Record, Report, ReportKind
from gateway.site import load_site
from gateway.updates import send_update, without_loader
from hil.repeat import south_only
from hil.run import Run
from hil.scenario import load_scenario, open_trace
from tests.hil.conftest import MakeScenario
from wire.measurement import files_sha256

NODE = "pump-a"
BOARD = "host"
LOADER = """
import sys
sys.path[:] = [""]
import main
def reset():
    with open("reset.cause", "wb") as file:
        file.write(b"soft")
    sys.exit(0)
main.main(reset)
"""
"""What a board's own start does: main.py, and a new start after a crash."""
ROOT = Path(__file__).resolve().parents[2]


def with_app(files: list[tuple[str, bytes]], text: str, folder: Path) -> list[tuple[str, bytes]]:
    """The same set with another firmware/app.py."""
    path = folder / "changed" / "firmware" / "app.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    ((name, content),) = compile_files(load_board(BOARD), [(folder / "changed", "firmware/app.py")])
    assert name in dict(files)
    return list((dict(files) | {name: content}).items())


def play(
    scenario: Path,
    folder: Path,
    running: list[tuple[str, bytes]],
    fresh: list[tuple[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> list[Report]:
    """Run the scenario from files, send the node a set, and return its boots and statuses."""
    loaded = load_scenario(scenario)
    opened = open_trace(loaded, folder, None)
    reports: list[Report] = []

    def start_from_files(
        board: Any, image: Path, place: Path, *, code: str, files: dict[str, bytes]
    ) -> Emulated:
        del code
        if files:
            for path, content in running:
                target = place / (path if path == "main.py" else f"a/{path}")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        return start(board, image, place, code=LOADER, files=files)

    def see(record: Record, _now_ns: int) -> None:
        if isinstance(record, Report) and record.source == NODE:
            reports.append(record)

    monkeypatch.setattr("hil.rig.start", start_from_files)

    async def once() -> None:
        site = south_only(load_site(loaded.gateway.site))
        async with Run(loaded, opened, site, folder, observer=see) as run:
            assert run.gateway is not None
            async with asyncio.TaskGroup() as group:
                group.create_task(run.play())
                group.create_task(send_update(run.gateway, NODE, fresh, class_id=BOARD, sequence=7))

    asyncio.run(once())
    return reports


def of_kind(reports: list[Report], kind: ReportKind) -> list[dict[str, Any]]:
    return [dict(report.facts) for report in reports if report.kind is kind]


@pytest.mark.slow
def test_a_set_that_works_is_confirmed_and_stays(
    make_scenario: MakeScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = application_files(load_board(BOARD))
    text = (ROOT / "firmware" / "app.py").read_text()
    newer = text.replace('FIRMWARE_VERSION = "', 'FIRMWARE_VERSION = "9.')
    assert newer != text
    fresh = with_app(running, newer, tmp_path)
    scenario = make_scenario(virtual_s=900, board=BOARD)
    reports = play(scenario, tmp_path / "run", running, fresh, monkeypatch)
    first, trial = of_kind(reports, ReportKind.BOOT)
    assert (first["boot_reason"], trial["boot_reason"]) == ("idle", "trial")
    assert trial["firmware"] == f"9.{first['firmware']}"
    assert of_kind(reports, ReportKind.STATUS)[-1]["update_state"] == "idle"
    folder = tmp_path / "run" / NODE
    for path, content in without_loader(fresh):
        assert (folder / "b" / path).read_bytes() == content
    measured = sorted(
        (path, bytes.fromhex(str(digest)))
        for facts in of_kind(reports, ReportKind.MEASUREMENT)
        for path, digest in facts.items()
        if path.startswith("b/") or path == "main.py"
    )
    assert len({path for path, _ in measured}) == len(fresh)
    assert files_sha256(sorted(set(measured))).hex() == trial["files_sha256"]
    assert not (folder / "crash.log").exists()


@pytest.mark.slow
def test_a_set_that_crashes_is_rolled_back(
    make_scenario: MakeScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = application_files(load_board(BOARD))
    fresh = with_app(running, "def bring_up(hal):\n    raise ValueError('broken')\n", tmp_path)
    scenario = make_scenario(virtual_s=900, board=BOARD)
    reports = play(scenario, tmp_path / "run", running, fresh, monkeypatch)
    first, back = of_kind(reports, ReportKind.BOOT)
    assert (first["boot_reason"], back["boot_reason"]) == ("idle", "rolled back")
    assert back["files_sha256"] == first["files_sha256"]
    crash = (tmp_path / "run" / NODE / "crash.log").read_text()
    assert crash.startswith("in folder b:")
    assert "ValueError: broken" in crash
