"""[[machines]] of site.toml become machines; what is wrong is said with a remedy."""

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.models.timed_events import Transition, Window
from gateway.site import load_site
from gateway.stages.anchors import AnchorRule
from tests.gateway.plant import SITE, make_site

S = 1_000_000_000
MACHINES = """
[[machines]]
name = "run-state"
signal = "SIGNAL"
states = { stopped = 0, starting = 1, running = 2 }
transitions = [
  { before = "stopped", after = "starting" },
  { before = "starting", after = "running", min_s = 2.0, max_s = 10.0 },
]
anchors = [{ state = "running", signal = "OTHER", above = 0.6, delay_s = [0.1, 0.5] }]
"""


@pytest.fixture
def text(tmp_path: Path) -> str:
    """Return a site file with a machine on a signal of its device, anchored at one of its node."""
    site = make_site(tmp_path, SITE)
    polled = next(name for name in site.units() if name.startswith(site.modbus[0].name + ":"))
    sealed = next(iter(site.nodes[0].units()))
    return SITE + MACHINES.replace("SIGNAL", polled).replace("OTHER", sealed)


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make_site(folder, text)
    return "\n".join(caught.value.problems)


def test_a_machine_becomes_what_the_stage_wants(tmp_path: Path, text: str) -> None:
    settings = make_site(tmp_path, text).machines[0]
    machine = settings.machine()
    assert machine.name == "run-state"
    assert machine.signal == settings.signal
    assert machine.states == {0: "stopped", 1: "starting", 2: "running"}
    assert machine.transitions == (
        Transition("stopped", "starting", Window()),
        Transition("starting", "running", Window(2 * S, 10 * S)),
    )
    assert machine.anchors == (
        AnchorRule(
            machine="run-state",
            state="running",
            signal=settings.anchors[0].signal,
            level=0.6,
            is_rising=True,
            delay=Window(S // 10, S // 2),
            within_ns=60 * S,
        ),
    )


def test_a_site_without_machines_has_none(tmp_path: Path) -> None:
    assert make_site(tmp_path, SITE).machines == ()


def test_the_example_has_what_its_plc_may_do(root: Path) -> None:
    machines = load_site(root / "examples" / "pump" / "site.toml").machines
    assert [machine.machine().name for machine in machines] == ["run-state"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'after = "running"',
            'after = "runing"',
            "'runing' is no state; did you mean \"running\"?",
        ),
        ("running = 2 }", "running = 1 }", "1 is the number of two states; give each its own"),
        ("max_s = 10.0", "max_s = 1.0", "max_s = 1.0 is below min_s = 2.0; exchange them"),
        ("min_s = 2.0", "min_s = -2.0", "machines[0].transitions[1].min_s: "),
        ("above = 0.6", "above = 0.6, below = 0.2", "wants one level; write either above"),
        ("above = 0.6,", "", "wants one level; write either above"),
        ("[0.1, 0.5]", "[0.5, 0.1]", "write [least, most]"),
        ('state = "running"', 'state = "walking"', "anchors[0].state: 'walking' is no state"),
        ("max_s = 10.0", "maxs = 10.0", 'unknown key; did you mean "max_s"?'),
        (
            '{ before = "stopped", after = "starting" },',
            "{ before = 1 },",
            "transitions[0].after: is req",
        ),
        (
            'before = "stopped", after = "starting"',
            'before = "stopped", after = "stopped", max_s = 5.0',
            "staying shows no change; leave it out",
        ),
        (
            '{ before = "stopped", after = "starting" },',
            '{ before = "starting", after = "running", max_s = 50.0 },',
            "from starting to running is already transitions[0], and only one window can hold",
        ),
        ("[0.1, 0.5]", "[0.1, 300.0]", "goes beyond within_s = 60.0"),
        (
            "anchors = [",
            'anchors = [{ state = "running", signal = "OTHER", above = 0.7 }, ',
            "is already anchors[0], and one crossing is one event; keep one of the two",
        ),
        (
            "running = 2",
            '"Unknown 7" = 7, running = 2',
            "is what a number without a name is called; choose another",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, old: str, new: str, said: str) -> None:
    assert old in text
    other = make_site(tmp_path, text).machines[0].anchors[0].signal
    changed = text.replace(old, new.replace("OTHER", other))
    assert said in problems(tmp_path, changed)


def test_signals_have_to_exist_and_names_to_differ(tmp_path: Path, text: str) -> None:
    settings = make_site(tmp_path, text).machines[0]
    wrong = text.replace(f'"{settings.signal}"', '"plc:nothing"')
    assert "machines[0].signal: 'plc:nothing' is no signal of this site" in problems(
        tmp_path, wrong
    )
    anchor = text.replace(f'signal = "{settings.anchors[0].signal}"', 'signal = "a:nothing"')
    assert "machines[0].anchors[0].signal: 'a:nothing' is no signal" in problems(tmp_path, anchor)
    twice = text + text[len(SITE) :].replace('"run-state"', '"Run-State"')
    assert "machines[1].name: 'Run-State' is already the name of machines[0]" in problems(
        tmp_path, twice
    )


def test_an_anchor_needs_a_second_clock(tmp_path: Path, text: str) -> None:
    settings = make_site(tmp_path, text).machines[0]
    same = text.replace(f'"{settings.anchors[0].signal}"', f'"{settings.signal}"')
    assert "of the same source as the machine" in problems(tmp_path, same)
