"""site.toml: what is right loads, what is wrong is said all at once, with path and remedy."""

import os
from pathlib import Path

import pytest

from gateway.errors import ConfigError, KeyFileError
from gateway.keyfile import load_key, load_password
from gateway.site import load_keys, load_site
from gateway.site_rules import hint, is_loopback
from tests.gateway.plant import SITE, make_site

KEY = "0123456789abcdef" * 4


def problems(folder: Path, text: str) -> list[str]:
    """Return what `load_site` says about a file."""
    with pytest.raises(ConfigError) as caught:
        make_site(folder, text)
    assert str(folder / "site.toml") in str(caught.value)
    return list(caught.value.problems)


def write_key(path: Path, text: str = KEY, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_example_is_right(root: Path) -> None:
    site = load_site(root / "examples" / "pump" / "site.toml")
    assert [node.name for node in site.nodes] == ["pump-a", "pump-b"]
    assert len(site.fused_signals()) == 8
    assert site.units()["plc:flow-setpoint"] == "m3/s"
    assert site.nodes[0].key_file == root / "examples" / "pump" / "keys" / "pump-a.key"
    flow = site.nodes[1].channels[3]
    spans = [volt * flow.gain + flow.offset for volt in (0.4, 2.0)]
    assert spans == pytest.approx([0.0, 0.0025])
    pressure = site.nodes[1].channels[2]
    spans = [volt * pressure.gain + pressure.offset for volt in (0.4, 2.0)]
    assert spans == pytest.approx([-100_000.0, 200_000.0])


def test_defaults_are_the_safe_ones(tmp_path: Path) -> None:
    text = SITE.replace("port = 0\nallow_unencrypted_loopback = true", "")
    site = make_site(tmp_path, text)
    assert site.opcua is not None
    assert site.sparkplug is not None
    assert (site.opcua.host, site.opcua.allow_unencrypted_loopback) == ("127.0.0.1", False)
    assert (site.sparkplug.host, site.sparkplug.allow_unencrypted) == ("127.0.0.1", False)


def test_every_problem_is_reported_at_once_with_its_path(tmp_path: Path) -> None:
    text = (
        SITE.replace('unit = "Cel"', 'unit = "cel"')
        .replace("port = 0\n", "prot = 0\n")
        .replace('asset = "pump"', "")
        .replace("argument = 1", "filter = 'medain'")
        .replace('host = "127.0.0.1"', 'host = "127.0.0.1"\nport = "502"\nperiod_ms = 0')
    )
    found = problems(tmp_path, text)
    expected = {
        "site.asset": "is required; add it",
        "nodes[0].channels[1].unit": 'did you mean "Cel"?',
        "nodes[0].channels[0].filter": "'medain' is no reducer; did you mean \"median\"?",
        "opcua.prot": 'unknown key; did you mean "port"?',
        "modbus[0].port": "write it without quotes",
        "modbus[0].period_ms": "must be greater than or equal to 10, not 0",
    }
    assert len(found) == len(expected), found
    for path, remedy in expected.items():
        assert any(line.startswith(f"{path}: ") and remedy in line for line in found), (path, found)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name = "plc"', 'name = "A"', "modbus[0].name: 'A' is already the name of nodes[0]"),
        (
            'name = "temperature"',
            'name = "flow"',
            "nodes[0].channels[1].name: 'flow' is already the name of nodes[0].channels[0]",
        ),
        (
            'unit = "m3/s"\npart',
            'unit = "Pa"\npart',
            'nodes[0].channels[0].unit: flow_m3_s is stated in "m3/s", not "Pa"',
        ),
        ("[0.0, 0.0025]", "[0.0025, 0.0]", "nodes[0].channels[0].valid: 0.0025 is not below 0.0"),
        ('link = "rig"', 'link = "serial"', "nodes[0].port: a serial link needs its device"),
        (
            "[opcua]",
            '[fuse]\nsignals = ["a:flwo"]\n[opcua]',
            "fuse.signals[0]: 'a:flwo' is no signal of this site; did you mean \"a:flow\"?",
        ),
        (
            "[opcua]",
            '[opcua]\nhost = "0.0.0.0"',
            "opcua.allow_unencrypted_loopback: 0.0.0.0 is not loopback",
        ),
        (
            "[sparkplug]",
            '[sparkplug]\nhost = "broker.plant"',
            "sparkplug.ca_file: broker.plant is not loopback",
        ),
        ('group_id = "g"', 'group_id = "g/h"', "sparkplug.group_id: must match pattern"),
        (
            'type = "float32"',
            'table = "coil"\ntype = "float32"',
            'modbus[0].tags[0].type: coils and discrete inputs are "bool"',
        ),
        ("valid = [0.0, 0.0025]", "valid = [0.0]", "nodes[0].channels[0].valid[1]: is required"),
        ("valid = [0.0, 0.0025]", "gain = nan", "nodes[0].channels[0].gain: must be a finite"),
        ("[[modbus.tags]]", "tags = []\n[sink]", "modbus[0].tags: is empty; add at least one"),
        ("address = 0x48", "address = 248", "nodes[0].channels[0].address: must be less than"),
        ('name = "skid"', 'name = "a skid"', "site.name: must match pattern"),
        ('host = "127.0.0.1"', 'host = "plc..local"', "modbus[0].host: 'plc..local' has an empty"),
        (
            'host = "127.0.0.1"',
            f'host = "{"p" * 64}.local"',
            f"modbus[0].host: '{'p' * 64}.local' has an empty part or one of more than 63",
        ),
        ("[sparkplug]", '[sparkplug]\nhost = ".local"', "sparkplug.host: '.local' has an empty"),
        ('name = "a"', 'name = "opcua"', "nodes[0].name: 'opcua' is a name of the gateway itself"),
        ('name = "a"', 'name = "Gateway"', "nodes[0].name: 'Gateway' is a name of the gateway"),
        ('name = "plc"', 'name = "store"', "modbus[0].name: 'store' is a name of the gateway"),
        ('name = "plc"', 'name = "sparkplug"', "modbus[0].name: 'sparkplug' is a name of the"),
        ('asset = "pump"', 'asset = "Ledger"', "site.asset: 'Ledger' is a name of the gateway"),
        (
            'asset = "pump"',
            'asset = "server"',
            "site.asset: 'server' is a name of the gateway itself; choose another, for example",
        ),
    ],
)
def test_a_wrong_site_names_path_and_remedy(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert SITE.count(old) >= 1, "the case no longer changes anything"
    found = problems(tmp_path, SITE.replace(old, new, 1))
    assert any(line.startswith(problem) for line in found), found


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, SITE + "\n[store\n")
    number = SITE.count("\n") + 2
    assert line.startswith(f"line {number}, column ")
    assert "TOML syntax" in line


def test_a_site_without_any_source_says_so(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, '[site]\nname = "x"\nasset = "y"\n')
    assert "add [[nodes]], [[modbus]], [[opcua_servers]], [[mqtt_sources]]" in line


def test_files_that_are_no_site_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .*name an existing site file"):
        load_site(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="byte 5 is not UTF-8"):
        load_site(tmp_path / "binary.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="is it a site file"):
        load_site(tmp_path / "big.toml")


@pytest.mark.parametrize(
    "host", ["plc", "plc.local", "plc.local.", "10.0.0.7", "::1", "a_b-c.d", f"{'p' * 63}.local"]
)
def test_hosts_a_resolver_takes_are_taken(tmp_path: Path, host: str) -> None:
    site = make_site(tmp_path, SITE.replace('"127.0.0.1"', f'"{host}"'))
    assert site.modbus[0].host == host


def test_a_file_nested_without_end_is_a_problem_too(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "a = " + "[" * 3000 + "]" * 3000)
    assert "too deep" in line


def test_wrong_shapes_are_problems_too_not_crashes(tmp_path: Path) -> None:
    for text in (
        "nodes = 3",
        "nodes = [3]",
        "site = []",
        'fuse = "x"',
        "opcua = [1]",
        "modbus.x=1",
    ):
        assert problems(tmp_path, text)


def test_a_site_is_frozen_and_moves_by_copy(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        site.site = None
    moved = site.at_ports({"plc": 1502, "sparkplug": 1884})
    assert (moved.modbus[0].port, moved.sparkplug.port) == (1502, 1884)
    assert (site.modbus[0].port, site.sparkplug.port) == (502, 1883)


def test_hint_names_the_nearest_or_all() -> None:
    assert hint("Port", ["port", "host"]) == 'did you mean "port"?'
    assert hint("zzz", ["port", "host"]) == "use one of host, port"


def test_loopback_is_only_this_machine() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("::", "10.0.0.1", "plant", ""))
    assert not is_loopback("0.0.0.0")  # noqa: S104 - nothing is bound


# --- secrets -------------------------------------------------------------------------------------


def test_a_private_key_file_loads(tmp_path: Path) -> None:
    path = write_key(tmp_path / "a.key", KEY + "\n")
    assert load_key(path, "node a") == bytes.fromhex(KEY)
    path.chmod(0o400)
    assert load_key(path, "node a") == bytes.fromhex(KEY)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o644, 0o601])
def test_a_key_open_to_others_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "my keys.key", mode=mode)
    with pytest.raises(KeyFileError) as caught:
        load_key(path, "node a")
    text = str(caught.value)
    assert "node a" in text
    assert f"mode {mode:04o}" in text
    assert f"chmod 600 '{path}'" in text, "the path must survive the shell"


def test_a_key_of_another_user_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = write_key(tmp_path / "a.key")
    theirs = path.stat().st_uid
    ours = theirs + 1
    monkeypatch.setattr(os, "geteuid", lambda: ours)
    with pytest.raises(KeyFileError) as caught:
        load_key(path, "node a")
    assert f"belongs to user {theirs}, the gateway runs as user {ours}" in str(caught.value)
    assert f"chown {ours} {path}" in str(caught.value)


@pytest.mark.parametrize("text", ["", "zz" * 32, KEY[:-1], KEY + "00", f"{KEY[:32]} {KEY[32:]}"])
def test_a_malformed_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = write_key(tmp_path / "a.key", text)
    with pytest.raises(KeyFileError) as caught:
        load_key(path, "node a")
    assert "64 hexadecimal digits" in str(caught.value)
    assert not text or text not in str(caught.value)


def test_odd_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"cannot be opened .*chmod 600"):
        load_key(tmp_path / "absent.key", "node a")
    os.mkfifo(tmp_path / "pipe.key", 0o600)
    with pytest.raises(KeyFileError, match="not a regular file"):
        load_key(tmp_path / "pipe.key", "node a")
    with pytest.raises(KeyFileError, match="exceeds"):
        load_key(write_key(tmp_path / "big.key", "0" * 5000), "node a")
    binary = tmp_path / "binary.key"
    binary.write_bytes(b"\xff\xfe")
    binary.chmod(0o600)
    with pytest.raises(KeyFileError, match="not text"):
        load_key(binary, "node a")


def test_all_unusable_keys_of_a_site_are_named(tmp_path: Path) -> None:
    second = SITE.partition("[[nodes]]")[2].partition("[[modbus]]")[0].replace('"a', '"b')
    site = make_site(tmp_path, SITE + "\n[[nodes]]\n" + second)
    with pytest.raises(KeyFileError) as caught:
        load_keys(site)
    assert "a.key" in str(caught.value)
    assert "b.key" in str(caught.value)
    write_key(tmp_path / "a.key")
    write_key(tmp_path / "b.key")
    assert load_keys(site) == {"a": bytes.fromhex(KEY), "b": bytes.fromhex(KEY)}


def test_a_password_is_one_line(tmp_path: Path) -> None:
    assert load_password(write_key(tmp_path / "p", "secret word\n"), "broker") == "secret word"
    for text in ("", "\n", "two\nlines\n"):
        with pytest.raises(KeyFileError, match="exactly one line"):
            load_password(write_key(tmp_path / "p", text), "broker")


def test_training_rows_that_cannot_make_a_model_are_refused(root: Path, tmp_path: Path) -> None:
    text = (root / "examples" / "pump" / "site.toml").read_text()
    few = text.replace("training_rows = 400", "training_rows = 20")
    assert problems(tmp_path, few) == [
        "fuse.training_rows: 20 are too few for 8 signals; set it to 200 or more"
    ]


@pytest.mark.parametrize("key", ["wait_ms", "horizon_ms"])
def test_more_rows_than_are_kept_are_refused(root: Path, tmp_path: Path, key: str) -> None:
    text = (root / "examples" / "pump" / "site.toml").read_text()
    (found,) = problems(tmp_path, text.replace("[fuse]", f"[fuse]\n{key} = 600001"))
    remedy = "set it to 600000 or less, or period_ms to 1001 or more"
    assert found == f"fuse.{key}: 600001 is more than 600 rows of 1000 ms; {remedy}"
    make_site(tmp_path, text.replace("[fuse]", f"[fuse]\n{key} = 600000"))


def test_a_drift_that_no_oscillator_has_is_refused(root: Path, tmp_path: Path) -> None:
    text = (root / "examples" / "pump" / "site.toml").read_text()
    (found,) = problems(tmp_path, text.replace("drift_ppm = 100.0", "drift_ppm = 2e6"))
    assert found.startswith("time.drift_ppm: ")
