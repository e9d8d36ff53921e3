"""Faults of clocks and paths in whole runs: as written in a scenario, as played, as found."""

from pathlib import Path

import pytest

from boards.build import PROJECT_DIR
from hil.board_clock import NOMINAL
from hil.errors import ScenarioError
from hil.fault_plan import UNSET_NS, Frame, plan_faults
from hil.repeat import repeat_scenario
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


# --- what a scenario may say --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clean.toml", "faults.toml"])
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
