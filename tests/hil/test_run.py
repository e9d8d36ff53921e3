"""What a run concludes: alarms against labels, expectations, and the demo's whole story."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from boards.build import PROJECT_DIR
from boards.provision import KEY_FILE, provisioned_files
from gateway.errors import OperatorError
from gateway.records import State, Verdict
from hil.bus import Wiring
from hil.errors import RigError, ScenarioError
from hil.folder_lock import FolderLock
from hil.repeat import repeat_scenario
from hil.result import TimedVerdict, judge_alarms
from tests.hil.conftest import MakeScenario

S = 1_000_000_000


def verdict(state: State, at_s: int) -> TimedVerdict:
    return TimedVerdict(
        verdict=Verdict(
            asset="a",
            time_ns=(at_s - 1) * S,
            state=state,
            probability=0.9,
            since_ns=(at_s - 2) * S,
            blamed=(),
            evidence="",
            sequence=0,
        ),
        emitted_ns=at_s * S,
    )


def test_the_first_alarm_inside_a_label_counts_and_those_outside_are_false() -> None:
    early, normal = verdict(State.ALARM, 5), verdict(State.NORMAL, 8)
    inside, late = verdict(State.ALARM, 12), verdict(State.ALARM, 30)
    found, false = judge_alarms([early, normal, inside, late], [(10 * S, 20 * S)])
    assert found is inside
    assert false == 2


def test_without_an_alarm_inside_the_label_there_is_none() -> None:
    assert judge_alarms([verdict(State.ALARM, 5)], [(10 * S, 20 * S)]) == (None, 1)
    assert judge_alarms([], [(10 * S, 20 * S)]) == (None, 0)


def test_without_labels_no_alarm_is_called_false() -> None:
    alarm = verdict(State.ALARM, 5)
    assert judge_alarms([alarm], None) == (alarm, None)


def test_in_a_trace_that_is_labelled_healthy_every_alarm_is_false() -> None:
    assert judge_alarms([verdict(State.ALARM, 5)], []) == (None, 1)


def test_what_the_trace_cannot_tell_is_said_to_be_unjudged(
    make_scenario: MakeScenario, tmp_path: Path
) -> None:
    scenario = make_scenario(virtual_s=5, board="host")
    (labelled,) = repeat_scenario(scenario, folder=tmp_path / "run")
    # The fault of the simulated trace lies beyond the five seconds that are played.
    assert labelled.unjudged == ("alarm_within_s: no labelled fault in what was played",)
    made = next((tmp_path / "run").glob("pump-*.csv")).read_text(encoding="utf-8").splitlines()
    own = tmp_path / "own.csv"
    own.write_text("\n".join(line.rsplit(";", 2)[0] for line in made), encoding="utf-8")
    (plain,) = repeat_scenario(scenario, trace=own, folder=tmp_path / "run")
    assert plain.false_alarms is None
    assert "false_alarms_max: no label column 'anomaly'" in plain.unjudged
    assert plain.failures == ()


def test_both_boards_are_heard_from_their_boot_record_on(
    make_scenario: MakeScenario, tmp_path: Path
) -> None:
    (result,) = repeat_scenario(make_scenario(virtual_s=10), folder=tmp_path / "run")
    assert [board.node for board in result.boards] == ["pump-a", "pump-b"]
    for board in result.boards:
        assert board.identity.startswith("micropython 1.")
        assert "netduino2" in board.identity
        assert board.log == ("stopped",)
        assert board.computed_ns > 0
    assert result.rejected == result.lost == 0
    # Boot record, a frame for each of the eleven blocks from second 1 on, an answer to each probe.
    plc = next(row for row in result.ledger if row.source == "plc")
    for row in result.ledger:
        assert row.adds_up()
        if row is not plc:
            assert row.verified >= 1 + 11 + 1


def test_a_board_whose_application_ends_is_an_error_of_the_rig(
    make_scenario: MakeScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_a_key(node: Any, secrets: Any) -> dict[str, bytes]:
        files = dict(provisioned_files(node, secrets))
        del files[KEY_FILE]
        return files

    monkeypatch.setattr("hil.rig.provisioned_files", without_a_key)
    scenario = make_scenario(virtual_s=5, board="host")
    with pytest.raises(RigError, match=r"node pump-a: its application ended by itself .*node\.key"):
        repeat_scenario(scenario, folder=tmp_path / "run")


def test_a_chip_that_is_not_there_costs_its_channel_and_no_other(
    make_scenario: MakeScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_a_chip(i2c: dict[tuple[int, int], Any], **others: Any) -> Wiring:
        return Wiring(i2c={at: chip for at, chip in i2c.items() if at != (0, 0x60)}, **others)

    monkeypatch.setattr("hil.rig.Wiring", without_a_chip)
    (result,) = repeat_scenario(make_scenario(virtual_s=5, board="host"), folder=tmp_path / "run")
    assert result.ledger_adds_up
    assert (result.rejected, result.lost) == (0, 0)


def test_a_folder_that_another_run_uses_is_left_alone(
    make_scenario: MakeScenario, tmp_path: Path
) -> None:
    scenario = make_scenario(virtual_s=5, board="host")
    other = FolderLock(tmp_path / "run")
    other.take()
    with pytest.raises(OperatorError, match=r"process \d+ runs a scenario there"):
        repeat_scenario(scenario, folder=tmp_path / "run")
    other.release()
    other.release()
    (result,) = repeat_scenario(scenario, folder=tmp_path / "run")
    assert result.failures == ()


def test_blocks_that_never_start_together_are_refused(
    make_scenario: MakeScenario, tmp_path: Path
) -> None:
    scenario = make_scenario(virtual_s=5, board="host")
    site = scenario.parent / "site.toml"
    text = site.read_text(encoding="utf-8")
    site.write_text(text.replace("sample_period_ms = 100", "sample_period_ms = 997", 1))
    with pytest.raises(ScenarioError, match=r"pump-a 9970 ms, pump-b 1000 ms start together only"):
        repeat_scenario(scenario, folder=tmp_path / "run")


def test_a_wire_the_site_does_not_know_stops_the_run_before_it_starts(
    make_scenario: MakeScenario, tmp_path: Path
) -> None:
    scenario = make_scenario(virtual_s=5, replace={'channel = "flow"': 'channel = "flux"'})
    with pytest.raises(ScenarioError, match=r"wires\[7\]\.channel: .*no channel 'flux'; it has"):
        repeat_scenario(scenario, folder=tmp_path / "run")
    assert not (tmp_path / "run" / "pump-a").exists()


def test_the_demo_tells_the_whole_story_and_ends_well(shared_dir: Path) -> None:
    del shared_dir
    demo = subprocess.run(
        [sys.executable, "twinrig.py", "demo", "--seconds", "0.1"],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "recorded: " in demo.stdout
    assert demo.stdout.count("micropython 1.") == 2
    assert "opc.tcp://127.0.0.1:" in demo.stdout
    assert "spBv1.0/" in demo.stdout
    assert "adds up: received = verified + rejected" in demo.stdout
    assert re.search(r"first alarm \d+\.\d s after the labelled\s+start", demo.stdout)
    stated = re.findall(r"pump-[ab] values +[\d,]+ +(\d+) +([\d.]+)%", demo.stdout)
    assert [false for false, _ in stated] == ["0", "0"], "bounds that did not hold"
    assert min(float(held) for _, held in stated) >= 90.0, "k = 2"
    last = demo.stdout.strip().splitlines()[-1]
    found = re.fullmatch(
        r"demo ok: frames=(\d+) verified=(\d+) rejected=0 lost=0"
        r" alarm_delay_s=(\d+\.\d) speed=(\d+)x",
        last,
    )
    assert found, last
    assert found[1] == found[2]
    assert int(found[1]) > 2 * 1199
    assert float(found[3]) <= 60.0
