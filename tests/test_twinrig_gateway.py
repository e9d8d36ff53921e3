"""The commands to a running gateway, as their user meets them: a real gateway, a real node."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import twinrig
from boards.build import PROJECT_DIR
from tests.gateway.wall_node import ROOT, SEED, SITE, WallNode

Cli = Callable[..., tuple[int, str, str]]
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw().hex()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `twinrig gateway ARGUMENTS` in this process; exit status, standard output and error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["twinrig", "gateway", *map(str, arguments)])
        status = 0
        try:
            twinrig.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@dataclass
class Bench:
    """A gateway that runs, and the node on its line."""

    node: WallNode
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    key = tmp_path / "a.key"
    key.touch(0o600)
    key.write_text(ROOT.hex())
    with WallNode() as node:
        (tmp_path / "site.toml").write_text(SITE.format(port=node.port))
        command = [sys.executable, "twinrig.py", "gateway", "run", str(tmp_path / "site.toml")]
        process = subprocess.Popen(
            [*command, "--state", str(tmp_path / "state")],
            cwd=PROJECT_DIR,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "running;" in line:
                    break
            yield Bench(node, tmp_path)
            process.terminate()
            _, err = process.communicate(timeout=30)
            assert process.returncode == 0, err
        finally:
            process.kill()
            process.wait(timeout=10)
    assert not (tmp_path / "state" / "control.sock").exists()


def refused(outcome: tuple[int, str, str], what: str) -> None:
    """A refusal is exit status 1 and one `error:` that says what, without a traceback."""
    status, _, err = outcome
    assert status == 1, outcome
    assert err.startswith("error: "), err
    assert "Traceback" not in err
    assert re.search(what, err), err


@pytest.mark.slow
def test_a_node_obeys_what_it_can_and_says_why_it_does_not(cli: Cli, bench: Bench) -> None:
    to = ("--state", bench.state)
    assert cli("command", "a", "set-rate", 10_000, 10, *to) == (0, "a: set_rate: done\n", "")
    assert cli("command", "a", "set-filter", "temperature", "median", *to)[0] == 0
    assert cli("command", "a", "actuate", "valve", "value=1", "hold_ms=200", *to)[0] == 0
    assert (7, 1) in [(pin, level) for _, pin, level in bench.node.hal.pin_changes]
    refused(
        cli("command", "a", "set-rate", 1, 10, *to),
        r"a: set_rate: out of limits \(sample_period_us is",
    )
    refused(cli("command", "a", "capture", "vibration", 64, *to), "vibration is no waveform")
    refused(cli("command", "b", "restart", *to), r"no node 'b' takes commands here; .* has a")
    before = bench.node.starts
    assert cli("command", "a", "restart", *to) == (0, "a: restart: done\n", "")
    # Obeyed once: the next command is answered by the node's second start.
    assert cli("command", "a", "set-rate", 20_000, 5, *to)[0] == 0
    assert bench.node.starts == before + 1


@pytest.mark.slow
def test_a_key_is_rotated_and_its_file_holds_the_new_one(cli: Cli, bench: Bench) -> None:
    status, out, err = cli("rotate-key", "a", "--state", bench.state)
    assert status == 0, err
    assert out.startswith("a: rotate_key: done\na: key epoch 1; ")
    key = bench.folder / "a.key"
    assert key.read_text().strip() != ROOT.hex()
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in out
    assert cli("command", "a", "restart", "--state", bench.state)[0] == 0
    refused(cli("rotate-key", "b", "--state", bench.state), "no node 'b' has keys here")


def a_set(folder: Path) -> Path:
    """A folder with an entry point, two pieces long, and the loader, which is left out."""
    (folder / "set" / "firmware").mkdir(parents=True)
    (folder / "set" / "firmware" / "main.mpy").write_bytes(os.urandom(1500))
    (folder / "set" / "main.py").write_text("loader")
    return folder / "set"


@pytest.mark.slow
def test_an_update_is_tried_and_confirmed(cli: Cli, bench: Bench) -> None:
    files = a_set(bench.folder)
    status, out, err = cli("update", "a", files, "--board", "host", "--state", bench.state)
    assert status == 0, err
    assert out.splitlines() == [
        "a: 1 files are there and whole; it restarts into them",
        "a: runs the new files, on trial",
        "a: confirmed",
    ]
    sent = (files / "firmware" / "main.mpy").read_bytes()
    assert bench.node.hal.files["b/firmware/main.mpy"] == sent
    refused(
        cli("update", "a", files, "--board", "pybv11", "--state", bench.state),
        r"a over update: update_begin: refused \(class 'pybv11', this node is 'host'\)",
    )


@pytest.mark.slow
def test_an_update_that_does_not_start_is_rolled_back(cli: Cli, bench: Bench) -> None:
    bench.node.crashes_on_trial = True
    outcome = cli("update", "a", a_set(bench.folder), "--board", "host", "--state", bench.state)
    refused(outcome, "a: rolled back: the new files did not come to work")
    assert cli("command", "a", "restart", "--state", bench.state)[0] == 0


@pytest.mark.slow
def test_what_was_stored_is_exported_and_proven(cli: Cli, bench: Bench) -> None:
    out = bench.folder / "a.jsonl"
    said = proof = ""
    while not proof.splitlines()[-1:] or not proof.splitlines()[-1].startswith("COMPLETE: numbers"):
        # Nothing is stored in the first moments, and nothing signed before the first checkpoint.
        _, said, _ = cli("export", "a", out, "--state", bench.state)
        if out.exists() and out.read_text().count("\n") >= 80:
            _, proof, _ = cli("verify-node", out, "--key", PUBLIC)
    assert re.match(rf"{re.escape(str(out))}: \d+ frames of a, 0 to \d+\n", said)
    assert proof.splitlines()[-1].startswith("COMPLETE: numbers 0 to ")
    key = bench.folder / "a.pub"
    key.write_text(PUBLIC + "\n")
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:5] + lines[6:]))
    status, said, err = cli("verify-node", out, "--key", key, "--from", 0, "--to", 20)
    assert (status, err) == (1, "")
    assert re.search(r"^missing +1 \(5\)|^unproven", said, re.MULTILINE), said
    assert said.splitlines()[-1].startswith("INCOMPLETE: ")
    status, said, _ = cli("verify-node", out, "--key", "00" * 32)
    assert status == 1
    assert said.splitlines()[-1].startswith("FORGED: ")


def test_without_a_gateway_it_says_how_to_start_one(cli: Cli, tmp_path: Path) -> None:
    for arguments in (("command", "a", "restart"), ("rotate-key", "a")):
        refused(
            cli(*arguments, "--state", tmp_path),
            r"control\.sock: no gateway runs with this state folder; start it with `twinrig gate",
        )
    refused(cli("command", "a", "restart", "--state", tmp_path / "absent"), "no gateway runs")


def test_what_cannot_be_asked_is_said_before_anybody_is(cli: Cli, tmp_path: Path) -> None:
    refused(cli("command", "a", "reboot"), "no verb 'reboot'; there are set-rate, ")
    refused(cli("command", "a", "set-rate", "fast", 10), r"sample_period_us: 'fast' is no integer")
    refused(cli("command", "a", "set-rate", 100), "block_samples is missing: set-rate SAMPLE_P")
    refused(cli("command", "a", "set-filter", "x", "meen"), "'meen' is no reducer")
    refused(cli("update", "a", tmp_path), "--board is needed")
    refused(cli("update", "a", tmp_path, "--board", "host"), "holds no .mpy or .py file")
    refused(cli("export", "a", tmp_path / "x", "--state", tmp_path), "name the store of a gateway")
    refused(cli("verify-node", tmp_path / "x", "--key", "zz"), "64 hexadecimal digits nor a file")
