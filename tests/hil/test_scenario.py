"""Scenario files: what is read, all errors with their paths, and where the trace is from."""

from pathlib import Path

import pytest

from hil.errors import ScenarioError, TraceError
from hil.scenario import Expect, Scenario, load_scenario, open_trace

EXAMPLE = Path(__file__).parents[2] / "examples/pump/scenario.toml"
S = 1_000_000_000

SMALL = """\
[scenario]
name = "small"
seed = 3

[gateway]
site = "site.toml"

[trace]
path = "small.csv"
fallback = "pump"

[[boards]]
node = "pump-b"
board = "host"

[[wires]]
column = "Pressure"
unit = "bar"
node = "pump-b"
channel = "pressure"

[[wires]]
column = "Voltage"
unit = "V"
node = "pump-b"
channel = "voltage"
"""


def loaded(folder: Path, text: str) -> Scenario:
    path = folder / "scenario.toml"
    path.write_text(text)
    return load_scenario(path)


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ScenarioError) as caught:
        loaded(folder, text)
    assert str(caught.value).startswith(str(folder / "scenario.toml"))
    return caught.value.problems


def changed(old: str, new: str, text: str = SMALL) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_the_example_is_a_scenario_of_eight_wires_on_two_boards():
    scenario = load_scenario(EXAMPLE)
    assert scenario.path == EXAMPLE.resolve()
    assert scenario.gateway.site == EXAMPLE.parent.resolve() / "site.toml"
    assert [board.node for board in scenario.boards] == ["pump-a", "pump-b"]
    assert len(scenario.wires) == 8
    assert [w.column for w in scenario.wires if w.waveform == "rms_sine"] == [
        "Accelerometer1RMS",
        "Accelerometer2RMS",
    ]
    assert (scenario.expect.rejected, scenario.expect.lost) == (0, 0)


def test_paths_start_at_the_file_and_defaults_are_filled_in(tmp_path):
    scenario = loaded(tmp_path, SMALL)
    assert scenario.trace.path == (tmp_path / "small.csv").resolve()
    assert scenario.columns == {"Pressure": "bar", "Voltage": "V"}
    assert scenario.wires[0].waveform == "hold"
    assert scenario.plc is None
    assert scenario.expect == Expect()


def test_a_scenario_cannot_be_changed(tmp_path):
    scenario = loaded(tmp_path, SMALL)
    with pytest.raises(ValueError, match="frozen"):
        scenario.scenario.seed = 4


def test_all_errors_come_together_with_their_paths(tmp_path):
    text = changed("seed = 3", 'seed = "3"')
    text = changed('unit = "bar"', 'unit = "baar"', text)
    text = changed('channel = "voltage"', 'chanel = "voltage"', text)
    text = changed('board = "host"', 'board = "hots"', text)
    found = problems(tmp_path, text)
    assert [each.split(":")[0] for each in found] == [
        "scenario.seed",
        "boards[0].board",
        "wires[0].unit",
        "wires[1].channel",
        "wires[1].chanel",
    ]
    assert "valid integer (got '3')" in found[0]
    assert "did you mean 'host'? boards: host, qemu_rv32, qemu_stm32f2" in found[1]
    assert "unknown unit 'baar'; did you mean 'bar'?" in found[2]
    assert found[3] == "wires[1].channel: missing; add this key"
    assert found[4].startswith("wires[1].chanel: unknown key; did you mean 'channel'? known keys: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[scenario]", "[scenari]", "scenari: unknown key; did you mean 'scenario'?"),
        ('path = "small.csv"\nfallback = "pump"', "", "trace: give a path, or fallback"),
        ('fallback = "pump"', 'delimiter = "|"', "trace.delimiter: "),
        ("seed = 3", "seed = -1", "scenario.seed: "),
        ('node = "pump-b"\nboard', 'node = "pump-c"\nboard', "wires[0].node: no board for node"),
        ('channel = "voltage"', 'channel = "pressure"', "wires[1].channel: wires[0] drives"),
        (
            'column = "Voltage"\nunit = "V"',
            'column = "Pressure"\nunit = "kPa"',
            "wires[1].unit: column 'Pressure' is 'bar' in an earlier wire",
        ),
        (
            "[[wires]]",
            '[[boards]]\nnode = "pump-b"\nboard = "host"\n[[wires]]',
            "boards[1].node: 'pump-b' has a board already",
        ),
        ("[[wires]]", "[duration]\nvirtual_s = 0\n[[wires]]", "duration.virtual_s: "),
        ("[[wires]]", "[expect]\nlost = -1\n[[wires]]", "expect.lost: "),
    ],
)
def test_each_error_has_its_path(tmp_path, old, new, message):
    found = problems(tmp_path, changed(old, new))
    assert any(each.startswith(message) for each in found), found


def test_a_scenario_without_boards_and_wires_runs_nothing(tmp_path):
    head = SMALL[: SMALL.index("[[boards]]")]
    assert problems(tmp_path, head) == (
        "boards: missing; add this key",
        "wires: missing; add this key",
    )
    assert problems(tmp_path, "boards = []\nwires = []\n" + head) == (
        "boards: at least one is needed",
        "wires: at least one is needed",
    )


def test_what_is_not_toml_is_told_with_its_line(tmp_path):
    (found,) = problems(tmp_path, changed("seed = 3", "seed = "))
    assert found.startswith("not TOML: ")
    assert "line 3" in found


def test_a_missing_file_and_foreign_bytes_are_scenario_errors(tmp_path):
    with pytest.raises(ScenarioError, match="no such file"):
        load_scenario(tmp_path / "gone.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        load_scenario(tmp_path / "bytes.toml")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(tmp_path)
    (tmp_path / "long.toml").write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(ScenarioError, match="is it a scenario"):
        load_scenario(tmp_path / "long.toml")


# --- the trace of a scenario ---------------------------------------------------------------------

RECORDED = "t;Pressure;Voltage\n0;0.1;230\n1;0.2;231\n2;0.3;232\n"


def test_the_recorded_trace_is_read_when_it_is_there(tmp_path):
    (tmp_path / "small.csv").write_text(RECORDED)
    opened = open_trace(loaded(tmp_path, SMALL), tmp_path / "work")
    assert not opened.is_simulated
    assert opened.origin == f"recorded: {tmp_path / 'small.csv'}"
    assert opened.trace.channel("Voltage").values.tolist() == [230, 231, 232]
    assert not (tmp_path / "work").exists()


def test_without_the_file_the_model_makes_one_and_says_so(tmp_path):
    scenario = loaded(tmp_path, SMALL)
    first = open_trace(scenario, tmp_path / "work")
    assert first.is_simulated
    assert first.origin.startswith("simulated by the pump model, seed 3; ")
    assert first.origin.endswith("small.csv does not exist")
    assert first.trace.duration_ns == 1200 * S
    assert open_trace(scenario, tmp_path / "other").trace.sha256 == first.trace.sha256


def test_without_a_fallback_a_missing_trace_is_an_error(tmp_path):
    scenario = loaded(tmp_path, changed('fallback = "pump"', ""))
    with pytest.raises(TraceError, match=r"small\.csv: no such file; give the trace with --trace"):
        open_trace(scenario, tmp_path)


def test_the_users_own_trace_is_used_and_never_replaced(tmp_path):
    (tmp_path / "small.csv").write_text(RECORDED)
    own = tmp_path / "own.csv"
    own.write_text(RECORDED.replace("230", "240"))
    scenario = loaded(tmp_path, SMALL)
    opened = open_trace(scenario, tmp_path, override=own)
    assert opened.trace.channel("Voltage").values[0] == 240
    with pytest.raises(TraceError, match=r"gone\.csv: no such file"):
        open_trace(scenario, tmp_path, override=tmp_path / "gone.csv")


def test_a_folder_that_cannot_be_made_is_a_trace_error(tmp_path):
    (tmp_path / "work").write_text("a file")
    with pytest.raises(TraceError, match="cannot be written"):
        open_trace(loaded(tmp_path, SMALL), tmp_path / "work")


@pytest.mark.parametrize(("limit", "expected_s"), [("", 3), ("2.5", 2.5), ("60", 3)])
def test_the_duration_is_the_trace_or_less(tmp_path, limit, expected_s):
    (tmp_path / "small.csv").write_text(RECORDED)
    table = f"[duration]\nvirtual_s = {limit}\n" if limit else ""
    scenario = loaded(tmp_path, SMALL + table)
    trace = open_trace(scenario, tmp_path).trace
    assert scenario.duration_ns(trace) == expected_s * S


# --- expectations --------------------------------------------------------------------------------

GOOD_RUN = {
    "rejected": 0,
    "lost": 0,
    "alarm_delay_s": 12.0,
    "false_alarms": 1,
    "blamed": "b:flow",
    "cause": "bias",
}
STRICT = Expect(
    rejected=0,
    lost=0,
    alarm_within_s=12.0,
    false_alarms_max=1,
    blamed=("b:flow", "b:current"),
    causes=("bias",),
)


def test_a_run_that_meets_everything_has_no_failures():
    assert STRICT.failures(**GOOD_RUN) == []


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"rejected": 2}, "rejected: expected 0, got 2"),
        ({"lost": 1}, "lost: expected 0, got 1"),
        ({"alarm_delay_s": 12.5}, "alarm: expected within 12 s, came after 12.5 s"),
        ({"alarm_delay_s": None}, "alarm: expected within 12 s, none came"),
        ({"false_alarms": 2}, "false alarms: at most 1, got 2"),
        ({"blamed": "a:x"}, "blamed: expected b:flow or b:current, got a:x"),
        ({"cause": None}, "cause: expected bias, got none"),
    ],
)
def test_each_broken_expectation_is_one_sentence(outcome, message):
    assert STRICT.failures(**{**GOOD_RUN, **outcome}) == [message]


def test_what_is_not_expected_is_not_judged():
    worst = {"rejected": 9, "lost": 9, "alarm_delay_s": None, "false_alarms": 9}
    assert Expect().failures(**worst) == []
