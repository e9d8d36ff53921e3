"""Faults of clocks and paths in whole runs: as written in a scenario, as played, as found."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from boards.build import PROJECT_DIR
from gateway.app import Gateway
from gateway.records import Record
from gateway.records_time import SyncCause, SyncCheck
from hil.board_clock import NOMINAL
from hil.clock_report import time_report
from hil.clock_truth import NodeTruth
from hil.errors import ScenarioError
from hil.fault_plan import UNSET_NS, Frame, plan_faults
from hil.repeat import repeat_scenario
from hil.report import hash_lines
from hil.result import RunResult
from hil.scenario import Scenario, load_scenario

S = 1_000_000_000
BENCH = PROJECT_DIR / "examples" / "clock"
FRAME = Frame(
    origin_ns=2 * S, epoch_ns=1000 * S, end_ns=1202 * S, site_name="clock-bench", drift_ppm=100.0
)


def bench(folder: Path, faults: str, *, virtual_s: float = 60.0, board: str = "host") -> Path:
    """Write the clean scenario with other faults; return its path."""
    text = (BENCH / "clean.toml").read_text(encoding="utf-8")
    text = text[: text.index("[[faults]]")].replace('"host"', f'"{board}"')
    path = folder / "scenario.toml"
    path.write_text(f"{text}\n[duration]\nvirtual_s = {virtual_s}\n{faults}", encoding="utf-8")
    (folder / "site.toml").write_text((BENCH / "site.toml").read_text(encoding="utf-8"))
    return path


def a_fault(
    kind: str, node: str = "node-a", at_s: float = 30.0, cause: str = "none", **keys
) -> str:
    expect = f'cause = "{cause}"' + ("" if cause == "none" else ", within_s = 15.0")
    lines = [f"{key} = {value}" for key, value in keys.items()]
    head = f'[[faults]]\nkind = "{kind}"\nnode = "{node}"\nat_s = {at_s}\n'
    return head + "\n".join([*lines, f"expect = {{ {expect} }}"]) + "\n"


def loaded(folder: Path, faults: str) -> Scenario:
    return load_scenario(bench(folder, faults))


def problems(folder: Path, faults: str) -> tuple[str, ...]:
    with pytest.raises(ScenarioError) as caught:
        plan_faults(loaded(folder, faults), FRAME)
    return caught.value.problems


def played(folder: Path, faults: str, **options) -> RunResult:
    (result,) = repeat_scenario(bench(folder, faults, **options), folder=folder / "run")
    return result


def truth_of(result: RunResult, node: str = "node-a") -> NodeTruth:
    return next(each for each in result.truth if each.node == node)


# --- what a scenario may say --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clean.toml", "faults.toml", "rare.toml"])
def test_the_examples_can_be_planned(name: str) -> None:
    scenario = load_scenario(BENCH / name)
    plan = plan_faults(scenario, FRAME)
    assert len(plan.truths) == len(scenario.faults) > 0
    assert set(plan.paths) == {"node-a", "node-b", "node-c"}


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (a_fault("step"), "kind 'step' needs size_s"),
        (a_fault("restart", size_s=1.0), "kind 'restart' has no size_s; leave it out"),
        (a_fault("delay_up", size_s=-1.0, for_s=3), "kind 'delay_up' needs size_s above 0"),
        (a_fault("skew", size_ppm=2e6), "size_ppm"),
        (a_fault("leap", size_s=1.0), "faults[0].kind"),
        (a_fault("restart", cause="stepp"), "did you mean 'step'? causes: step, skew_change"),
        (a_fault("restart").replace('"none"', '"step"'), "give within_s"),
        (a_fault("restart").replace('"none"', '"none", size = 1.0'), "neither within_s nor size"),
        (a_fault("restart").replace("cause", "couse"), "known keys: cause, within_s, size"),
        (a_fault("restart", node="node-d"), "nothing is called 'node-d'; did you mean 'node-"),
        (a_fault("loss", node="plc", for_s=3), "a PLC can have step, skew, restart, unset"),
        (a_fault("unset"), "a node counts from its start"),
        (a_fault("step", node="gateway", size_s=-1.0), "can leap ahead (step) or drift"),
        ('[[clocks]]\nnode = "node-x"\n', "clocks[3].node: no board for node 'node-x'"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(
    tmp_path: Path, faults: str, message: str
) -> None:
    assert any(message in problem for problem in problems(tmp_path, faults))


def test_a_plan_has_every_fault_in_virtual_time(tmp_path: Path) -> None:
    plan = plan_faults(
        loaded(
            tmp_path,
            a_fault("step", size_s=0.5)
            + a_fault("skew", "node-b", at_s=10, size_ppm=90.0, for_s=20)
            + a_fault("reboot", "node-c", at_s=5)
            + a_fault("unset", "plc", at_s=50)
            + a_fault("step", "gateway", size_s=2.0),
        ),
        FRAME,
    )
    clock = plan.clock("node-a")
    assert clock.reading_ns(32 * S) - clock.reading_ns(32 * S - 1) >= S // 2
    assert plan.clock("node-b").ppm_at(12 * S) == pytest.approx(65.0)
    assert plan.reboots == ((7 * S, "node-c"),)
    assert plan.plc.reading_ns(51 * S) == 1051 * S
    assert plan.plc.reading_ns(53 * S) == UNSET_NS + S
    assert plan.clock("gateway").reading_ns(32 * S) == 34 * S
    assert [truth.begin_ns // S for truth in plan.truths] == [32, 12, 7, 32, 52]
    assert [truth.breaks_bounds for truth in plan.truths] == [True, False, False, True, True]
    assert "plc" in plan.truths[3].sources


def test_without_faults_and_crystals_every_clock_is_nominal() -> None:
    scenario = load_scenario(PROJECT_DIR / "examples" / "pump" / "scenario.toml")
    plan = plan_faults(scenario, FRAME)
    assert plan.clock("pump-a") is NOMINAL
    assert plan.paths == {}


def test_a_counter_that_wraps_is_full_when_the_fault_is_due(tmp_path: Path) -> None:
    plan = plan_faults(loaded(tmp_path, a_fault("wrap", "node-b", size_s=1073.741824)), FRAME)
    clock = plan.clock("node-b")
    assert clock.reading_ns(31 * S) > 1072 * S
    assert clock.reading_ns(32 * S + S // 10) < S


# --- what is played -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_one_sided_delay_breaks_no_hard_bound(tmp_path: Path) -> None:
    faults = a_fault("delay_down", size_s=0.3, for_s=20) + a_fault(
        "delay_up", "node-b", at_s=35, size_s=0.3, for_s=20
    )
    result = played(tmp_path, faults)
    for node in ("node-a", "node-b", "node-c"):
        values = truth_of(result, node).values
        assert values.claims > 50
        assert values.broken == 0
        assert truth_of(result, node).values_in_fault.claims == 0
    # Half of the delay passes for an offset where nothing better is known.
    assert truth_of(result, "node-c").values.error_max_ns < 20_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "virtual_s", "at_s"), [("host", 60.0, 33.0), ("qemu_stm32f2", 25.0, 15.0)]
)
def test_a_clock_that_leaps_breaks_the_bounds_and_only_from_then_on(
    tmp_path: Path, board: str, virtual_s: float, at_s: float
) -> None:
    faults = a_fault("step", at_s=at_s, size_s=-0.4, cause="step")
    result = played(tmp_path, faults, virtual_s=virtual_s, board=board)
    truth = truth_of(result)
    assert truth.values.claims >= at_s - 1
    assert truth.values.broken == 0
    assert truth.values_in_fault.broken > 0
    assert truth.values_in_fault.error_max_ns > 300_000_000
    assert truth_of(result, "node-b").values.broken == 0
    (finding,) = result.checks.findings
    assert finding.is_cause_right
    assert finding.delay_s is not None
    assert finding.delay_s < 15.0, "a probe period and a half"
    assert finding.size_error == pytest.approx(0.0, abs=0.02)


@pytest.mark.slow
def test_everything_at_random_is_the_same_every_time(tmp_path: Path) -> None:
    faults = a_fault("reorder", size_s=1.5, for_s=20, share=0.5) + a_fault(
        "loss", "node-b", at_s=10, for_s=20, share=0.4
    )
    path = bench(tmp_path, faults, virtual_s=40)
    first, second = repeat_scenario(path, times=2, folder=tmp_path / "run")
    assert first.hashes == second.hashes
    assert hash_lines(first).count("sha256") == 3
    assert first.truth == second.truth


@pytest.mark.slow
def test_frames_on_their_way_at_the_end_still_count(tmp_path: Path) -> None:
    result = played(tmp_path, a_fault("hold_back", at_s=25.0, for_s=60), virtual_s=30)
    row = next(row for row in result.ledger if row.source == "node-a")
    sent = next(board.sent_frames for board in result.boards if board.node == "node-a")
    assert row.received == row.verified + row.rejected_total == sent
    assert result.lost == 0


@pytest.mark.slow
def test_what_is_sent_twice_or_again_is_refused(tmp_path: Path) -> None:
    faults = a_fault("duplicate", at_s=20, for_s=5) + a_fault(
        "replay", "node-b", at_s=30, size_s=10, for_s=5
    )
    result = played(tmp_path, faults, virtual_s=40)
    rejected = {row.source: row.rejected_total for row in result.ledger}
    assert rejected["node-a"] >= 5
    assert rejected["node-b"] >= 5
    assert rejected["node-c"] == 0


@pytest.mark.slow
def test_a_counter_that_begins_anew_still_answers(tmp_path: Path) -> None:
    result = played(tmp_path, a_fault("restart", at_s=20.0), virtual_s=50)
    # Its samples wait until the counter is where it was; the line is served meanwhile.
    assert truth_of(result).values_in_fault.claims < truth_of(result, "node-b").values.claims - 15
    assert result.ledger_adds_up
    assert result.boards[0].log == ("stopped",)


@pytest.mark.slow
def test_a_power_cut_is_a_new_clock(tmp_path: Path) -> None:
    result = played(tmp_path, a_fault("reboot", at_s=20.0), virtual_s=50)
    assert truth_of(result).values.claims > 40
    assert truth_of(result).values.broken == 0


# --- what is found ------------------------------------------------------------------------------


@pytest.fixture
def gateway_that_says_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the gateway find a step of node-a in every run, 40 s after the boards' start."""
    tick = Gateway.tick

    def tick_and_say(gateway: Gateway, now_ns: int) -> list[Record]:
        said.append(now_ns)
        records = tick(gateway, now_ns)
        if now_ns - said[0] == 40 * S:
            check = SyncCheck(
                source="node-a",
                cause=SyncCause.STEP,
                is_active=True,
                time_ns=now_ns,
                since_ns=now_ns,
                size=0.45,
                size_uncertainty=0.01,
                unit="s",
                text="made by a test",
            )
            records.append(check)
        return [each for each in records if not isinstance(each, SyncCheck) or each is records[-1]]

    said: list[int] = []
    monkeypatch.setattr(Gateway, "tick", tick_and_say)
    monkeypatch.setattr("gateway.stages.sync.Sync.findings", lambda sync: [])


@pytest.mark.slow
@pytest.mark.usefixtures("gateway_that_says_step")
def test_a_finding_is_timed_sized_and_shown(tmp_path: Path) -> None:
    fault = a_fault("step", at_s=30.0, size_s=0.4, cause="step")
    result = played(tmp_path, fault.replace("15.0", "15.0, tolerance = 0.01"), virtual_s=45)
    (finding,) = result.checks.findings
    assert finding.delay_s == pytest.approx(8.25), "the boards start 2 s before the trace"
    assert finding.size_error == pytest.approx(0.05)
    assert finding.is_cause_right
    assert result.failures == ("step of node-a: size off by 0.05 s, at most 0.01 expected",)
    console = Console(width=120, file=io.StringIO())
    with console.capture() as shown:
        for part in time_report(result):
            console.print(part)
    text = shown.get()
    assert "step  node-a 0.4 s step     right 8.2 s +50.0 ms" in text
    assert "false alarms: 0 in 0.05 hours of a source without a fault" in text


@pytest.mark.slow
@pytest.mark.usefixtures("gateway_that_says_step")
def test_what_no_fault_explains_fails_a_clean_run(tmp_path: Path) -> None:
    result = played(tmp_path, "[expect]\nsync_checks_max = 0\n", virtual_s=45)
    assert result.failures == ("sync checks: at most 0 false, got 1 (node-a step)",)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clean.toml", "faults.toml"])
def test_the_example_comes_out_as_it_says(tmp_path: Path, name: str) -> None:
    """Every fault of the bench by its cause, in time and in size; nothing where nothing is."""
    (result,) = repeat_scenario(BENCH / name, folder=tmp_path)
    assert result.failures == ()
    assert result.checks.false_checks == ()
    assert all(finding.is_cause_right for finding in result.checks.findings)
    for node in result.truth:
        assert node.values.claims > 500
        assert (node.values.broken, node.estimates.broken) == (0, 0)
