"""The command line as its user meets it: what it prints, what it refuses and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import twinrig
from boards.build import PROJECT_DIR
from hil.plants.pump import write_pump_trace
from tests.hil.conftest import EXAMPLE, make_scenario  # noqa: F401 - a fixture

Cli = Callable[..., tuple[int, str, str]]
MakeScenario = Callable[..., Path]
HEADER = (
    "datetime;Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;"
    "Voltage;Volume Flow RateRMS;anomaly;changepoint"
)
ROW = "2020-03-09 10:14:{second:02};0.02;0.04;1.3;0.05;79.3;26.0;233.0;32.0;0;0"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `twinrig ARGUMENTS` in this process; exit status, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["twinrig", *map(str, arguments)])
        status = 0
        try:
            twinrig.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def trace(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def good_rows(count: int = 30) -> list[str]:
    return [ROW.format(second=second) for second in range(count)]


def refused(outcome: tuple[int, str, str]) -> str:
    """The message of a refusal, which is an exit status and one `error:`, and no traceback."""
    status, _, err = outcome
    assert status == 1, outcome
    assert err.startswith("error: "), err
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    return re.sub(r"\s+", " ", err).replace('"', "'")


def test_every_subcommand_has_one_sentence_of_help(cli: Cli) -> None:
    for words in ([], ["board"], ["gateway"], ["hil"], ["demo"], ["hil", "run"]):
        status, out, _ = cli(*words, "--help")
        assert status == 0
        assert "Usage" in out


def test_board_list_names_every_board(cli: Cli) -> None:
    status, out, _ = cli("board", "list")
    assert status == 0
    assert "qemu_stm32f2" in out
    assert "host" in out


def test_board_emulate_runs_code_in_micropython(cli: Cli) -> None:
    status, out, _ = cli(
        "board", "emulate", "qemu_stm32f2", "-c", "import sys; print(sys.platform)"
    )
    assert (status, out.strip()) == (0, "qemu")


def test_board_emulate_fails_as_the_code_does(cli: Cli) -> None:
    status, _, err = cli("board", "emulate", "host", "--code", "raise ValueError('wrong')")
    assert status == 1
    # The traceback is the board's.
    assert err.startswith("error: host: the code failed:")
    assert err.rstrip().endswith("ValueError: wrong")


def test_an_unknown_board_gets_a_suggestion(cli: Cli) -> None:
    assert "did you mean 'qemu_stm32f2'?" in refused(cli("board", "emulate", "qemu_stm32"))


def test_gateway_check_says_everything_that_is_wrong(cli: Cli, tmp_path: Path) -> None:
    text = (EXAMPLE / "site.toml").read_text(encoding="utf-8")
    text = text.replace('unit = "Cel"', 'unit = "Celsius"', 1).replace("baud", "bauds")
    text = text.replace("sample_period_ms = 100", "sample_period = 100", 1)
    site = tmp_path / "site.toml"
    site.write_text(text, encoding="utf-8")
    message = refused(cli("gateway", "check", site))
    assert "nodes[0].channels[2].unit" in message
    assert "nodes[0].sample_period: unknown key; did you mean 'sample_period_ms'?" in message


def test_gateway_check_opens_the_key_files(cli: Cli, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text((EXAMPLE / "site.toml").read_text(encoding="utf-8"), encoding="utf-8")
    message = refused(cli("gateway", "check", site))
    assert "keys/pump-a.key" in message
    assert "keys/pump-b.key" in message
    (tmp_path / "keys").mkdir()
    for node in ("pump-a", "pump-b"):
        key = tmp_path / "keys" / f"{node}.key"
        key.write_text("5a" * 32)
        key.chmod(0o644)
    message = refused(cli("gateway", "check", site))
    assert "chmod 600" in message
    assert "5a5a" not in message
    for node in ("pump-a", "pump-b"):
        (tmp_path / "keys" / f"{node}.key").chmod(0o600)
    status, out, _ = cli("gateway", "check", site)
    assert status == 0
    assert "ok: 2 nodes" in out


@pytest.mark.parametrize(
    ("rows", "header", "what"),
    [
        ([], HEADER, "only a header"),
        (good_rows(), HEADER.replace("Voltage", "Volts"), "no column 'Voltage'; did you mean"),
        ([*good_rows(3), good_rows(3)[0]], HEADER, r":5: column 'datetime': time .* lies before"),
        ([*good_rows(3), ROW.format(second=9).replace("79.3", "nan")], HEADER, r":5: .*not finite"),
        (
            [*good_rows(3), ROW.format(second=9).replace("79.3", "200")],
            HEADER,
            r":5: column 'Temperature': 200 degC .*outside .*tmp117",
        ),
    ],
)
def test_a_trace_that_cannot_be_played_is_refused_before_anything_starts(
    cli: Cli,
    make_scenario: MakeScenario,  # noqa: F811
    tmp_path: Path,
    rows: list[str],
    header: str,
    what: str,
) -> None:
    scenario = make_scenario(virtual_s=5)
    message = refused(cli("hil", "run", scenario, "--trace", trace(tmp_path, *rows, header=header)))
    assert "trace.csv" in message
    assert re.search(what, message), message
    assert no_board_left()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("seed = 1", "seeds = 1", "scenario.seeds: unknown key; did you mean 'seed'?"),
        ('unit = "bar"', 'unit = "A"', "wires[6].unit"),
        ('node = "pump-b"\nboard', 'node = "pump-c"\nboard', "pump-c"),
        ('fallback = "pump"', 'path = "absent.csv"', "absent.csv: no such file"),
        ('site = "site.toml"', 'site = "plant.toml"', "plant.toml: 1 problem(s) cannot be read"),
    ],
)
def test_a_scenario_that_cannot_be_run_is_refused(
    cli: Cli,
    make_scenario: MakeScenario,  # noqa: F811
    old: str,
    new: str,
    what: str,
) -> None:
    scenario = make_scenario(virtual_s=5, replace={old: new})
    assert what in refused(cli("hil", "run", scenario))
    assert no_board_left()


def test_a_missing_file_is_named(cli: Cli, tmp_path: Path) -> None:
    assert "absent.toml" in refused(cli("hil", "run", tmp_path / "absent.toml"))
    assert "absent.toml" in refused(cli("gateway", "check", tmp_path / "absent.toml"))
    assert "absent.csv" in refused(cli("demo", "--trace", tmp_path / "absent.csv"))


def test_an_empty_trace_is_refused(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert "empty.csv: the file is empty" in refused(cli("demo", "--trace", empty))


def test_without_qemu_the_package_is_named(
    cli: Cli,
    make_scenario: MakeScenario,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = make_scenario(virtual_s=5)
    # Everything but QEMU: the tools that a build would need are there.
    for folder in os.environ["PATH"].split(os.pathsep):
        for tool in Path(folder).glob("*") if Path(folder).is_dir() else ():
            link = tmp_path / "bin" / tool.name
            link.parent.mkdir(exist_ok=True)
            if not tool.name.startswith("qemu-system") and not link.is_symlink():
                link.symlink_to(tool)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    message = refused(cli("hil", "run", scenario))
    assert "install the Debian package qemu-system-arm" in message


def test_a_port_in_use_is_said_and_nothing_stays(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        site = tmp_path / "site.toml"
        text = (EXAMPLE / "site.toml").read_text(encoding="utf-8")
        serial = 'link = "serial"\nport = "/dev/ttyUSB0"'
        text = re.sub(r'^link = "rig"', serial, text, flags=re.MULTILINE)
        site.write_text(text.replace("port = 0 ", f"port = {port} "), encoding="utf-8")
        (tmp_path / "keys").mkdir()
        for node in ("pump-a", "pump-b"):
            key = tmp_path / "keys" / f"{node}.key"
            key.touch(0o600)
            key.write_text("5a" * 32)
        monkeypatch.chdir(tmp_path)
        message = refused(cli("gateway", "run", site, "--state", tmp_path / "state"))
        assert str(port) in message


def test_a_node_that_hangs_on_a_rig_is_no_node_of_a_plant(cli: Cli) -> None:
    message = refused(cli("gateway", "run", EXAMPLE / "site.toml"))
    assert "nodes[0].link: pump-a hangs on a rig" in message
    assert "nodes[1].link: pump-b" in message


def test_a_rig_that_fails_has_a_status_of_its_own(
    cli: Cli,
    make_scenario: MakeScenario,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hil.lockstep.ANSWER_TIMEOUT_S", 0.0)
    status, _, err = cli("hil", "run", make_scenario(virtual_s=5, board="host"))
    assert status == twinrig.EXIT_RIG
    assert err.startswith("rig error: node pump-")
    assert no_board_left()


def test_a_rejected_certificate_is_listed_and_trusted(cli: Cli, tmp_path: Path) -> None:
    assert "no rejected certificates" in cli("gateway", "trust", "--state", tmp_path)[1]
    rejected = tmp_path / "opcua" / "rejected"
    rejected.mkdir(parents=True)
    (rejected / "ab12cd.der").write_bytes(b"a certificate")
    assert cli("gateway", "trust", "--state", tmp_path)[1].strip() == "ab12cd"
    assert "rejected are: ab12cd" in refused(cli("gateway", "trust", "ff", "--state", tmp_path))
    status, out, _ = cli("gateway", "trust", "ab", "--state", tmp_path)
    assert (status, out.strip()) == (0, "trusted: ab12cd")
    assert (tmp_path / "opcua" / "trusted" / "ab12cd.der").read_bytes() == b"a certificate"


def test_hil_run_prints_the_same_hashes_each_time(
    cli: Cli,
    make_scenario: MakeScenario,  # noqa: F811
) -> None:
    status, out, _ = cli("hil", "run", make_scenario(virtual_s=10, board="host"), "--repeat", 3)
    assert status == 0
    hashes = re.findall(r"^(frames|verdicts) +sha256 ([0-9a-f]{64})$", out, re.MULTILINE)
    assert len(hashes) == 6
    assert len(set(hashes)) == 2
    assert "3 runs: identical" in out
    assert re.search(r"^hil ok: frames=\d+ verified=\d+ rejected=0 lost=0 ", out, re.MULTILINE)


def test_an_expectation_that_does_not_hold_fails_the_run(
    cli: Cli,
    make_scenario: MakeScenario,  # noqa: F811
) -> None:
    scenario = make_scenario(virtual_s=10, board="host", replace={"rejected = 0": "rejected = 1"})
    status, out, _ = cli("hil", "run", scenario)
    assert status == 1
    assert "not as expected: rejected: expected 1, got 0" in out
    assert "hil FAILED" in out


def short_trace(path: Path, rows: int) -> Path:
    """Write the first rows of a simulated pump without its label: the demo is soon at its end."""
    write_pump_trace(path, seed=1)
    lines = path.read_text().splitlines()[: rows + 1]
    label = lines[0].split(";").index("anomaly")
    cells = [line.split(";") for line in lines]
    path.write_text("".join(";".join(row[:label] + row[label + 1 :]) + "\n" for row in cells))
    return path


def test_ctrl_c_ends_the_demo_without_a_traceback_or_a_process(tmp_path: Path) -> None:
    trace = short_trace(tmp_path / "short.csv", 60)
    process = subprocess.Popen(
        [sys.executable, "twinrig.py", "demo", "--board", "host", "--trace", str(trace)],
        cwd=PROJECT_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ctrl-C ends the demo" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait(timeout=10)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert out.strip().splitlines()[-1].startswith("demo ok: frames=")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_gateway_of_a_site_runs_until_it_is_asked_to_end(
    tmp_path: Path, end: signal.Signals
) -> None:
    master, slave = os.openpty()
    key = tmp_path / "node.key"
    key.touch(0o600)
    key.write_text("5a" * 32)
    site = tmp_path / "site.toml"
    site.write_text(
        f"""
[site]
name = "bench"
asset = "bench"
[[nodes]]
name = "n"
link = "serial"
port = "{os.ttyname(slave)}"
key_file = "node.key"
[[nodes.channels]]
name = "temperature"
quantity = "temperature_celsius"
unit = "Cel"
part = "tmp117"
address = 0x48
reading = "temperature_celsius"
[opcua]
port = 0
[store]
""",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [sys.executable, "twinrig.py", "gateway", "run", str(site), "--state", str(tmp_path / "s")],
        cwd=PROJECT_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "running;" in line:
                break
        assert any("opcua: opc.tcp://127.0.0.1:" in line for line in lines), lines
        process.send_signal(end)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait(timeout=10)
        os.close(master)
        os.close(slave)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def no_board_left() -> bool:
    """Whether this process has no child that is an emulated board."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return not any(
        "qemu-system" in Path(f"/proc/{child}/cmdline").read_text() for child in children
    )
