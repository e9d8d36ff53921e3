"""What is written to a node and to the gateway: the firmware's own readers accept it."""

import json
import stat
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from boards.errors import ProvisionError
from boards.provision import (
    KeyStore,
    NodeSecrets,
    key_file,
    new_secrets,
    provisioned_files,
    used_parts,
)
from firmware import config, keyfile
from gateway.site import Node

SECRETS = NodeSecrets(bytes(range(32)), bytes(range(32, 64)), 3)
SITE = """
name = "pump-a"
key_file = "keys/pump-a.key"
sample_period_ms = 50
block = 20
status_s = 30
receipts = false
link = { kind = "mqtt", host = "broker.plant", tls_ca = "ca.pem", user = "pump-a", \
password_file = "login", wifi = { ssid = "plant", password_file = "wifi" } }
spool = { segments = 8, segment_bytes = 4096 }

[[channels]]
name = "temperature"
quantity = "temperature_celsius"
unit = "Cel"
part = "tmp117"
address = 0x48
reading = "temperature_celsius"
filter = [{ sos = [[0.1, 0.2, 0.1, -0.9, 0.3]] }, { decimate = 4 }, "rms"]

[[outputs]]
name = "valve"
pin = 4
hold_ms_max = 5000

[[waveforms]]
name = "vibration"
part = "adxl355"
rate_hz = 4000
block_samples = 4000
features = [{ name = "x-band", axis = "x", feature = "band", low_hz = 90.0, high_hz = 110.0 }]
"""


class Files:
    """A hal with the provisioned files and no more."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def read_file(self, name: str) -> bytes:
        if name not in self.files:
            raise OSError(2)
        return self.files[name]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    for name in ("ca.pem", "login", "wifi"):
        (tmp_path / name).write_bytes(name.encode())
    return Node.model_validate(tomllib.loads(SITE), context=tmp_path)


def test_the_firmware_takes_every_field(node: Node) -> None:
    files = provisioned_files(node, SECRETS)
    assert set(files) == {
        *("node.json", "node.key", "broker.ca", "broker.password", "wifi.password"),
    }
    settings, problems = config.parse(files["node.json"])
    assert problems == []
    assert (settings.node, settings.sample_period_us, settings.block_samples) == (
        *("pump-a", 50_000, 20),
    )
    assert settings.channels[0].filter[-1] == "rms"
    assert settings.outputs[0].hold_ms_max == 5000
    assert settings.waveforms[0]["features"][0]["high_hz"] == 110.0
    assert (settings.spool["segments"], settings.spool["segment_bytes"]) == (8, 4096)
    assert (settings.status_us, settings.receipts) == (30_000_000, False)
    assert settings.link["wifi"] == {"ssid": "plant", "password_file": "wifi.password"}
    assert files[settings.link["tls_ca"]] == b"ca.pem"
    assert files[settings.link["password_file"]] == b"login"
    assert used_parts(files) == {"tmp117", "adxl355"}


def test_the_firmware_takes_the_key_and_it_stands_nowhere_else(node: Node) -> None:
    files = provisioned_files(node, SECRETS)
    identity = keyfile.load(Files(files))
    assert identity == ("pump-a", SECRETS.root, SECRETS.seed, 3)
    assert keyfile.encode(identity) == files["node.key"] == key_file("pump-a", SECRETS)
    for name, content in files.items():
        for secret in (SECRETS.root, SECRETS.seed):
            assert (secret.hex().encode() in content) == (name == "node.key")


def test_a_table_without_the_optional_ones_will_do() -> None:
    node = SimpleNamespace(name="bare", sample_period_ms=10, block=5, channels=())
    files = provisioned_files(node, SECRETS)
    settings, problems = config.parse(files["node.json"])
    assert problems == []
    assert settings.link == {"kind": "serial"}
    assert settings.watchdog_ms == 8000


@pytest.mark.parametrize("kind", ["rig", "serial"])
def test_a_line_needs_no_port_on_the_node(kind: str) -> None:
    table = tomllib.loads(SITE) | {"link": kind}
    files = provisioned_files(Node.model_validate(table, context=Path()), SECRETS)
    assert json.loads(files["node.json"])["link"] == {"kind": "serial"}
    assert set(files) == {"node.json", "node.key"}


def test_a_modbus_slave() -> None:
    link = {"kind": "modbus_rtu", "unit_id": 7, "baud": 9600}
    table = tomllib.loads(SITE) | {"link": link}
    files = provisioned_files(Node.model_validate(table, context=Path()), SECRETS)
    assert json.loads(files["node.json"])["link"] == link


def test_a_file_of_the_link_that_is_missing_is_named(node: Node, tmp_path: Path) -> None:
    (tmp_path / "login").unlink()
    with pytest.raises(ProvisionError, match=r"node pump-a: .*login cannot be read"):
        provisioned_files(node, SECRETS)


def test_secrets_are_fresh_checked_and_not_printed() -> None:
    first, second = new_secrets(), new_secrets()
    assert len({first.root, first.seed, second.root, second.seed}) == 4
    assert first.root.hex() not in repr(first)
    with pytest.raises(ValueError, match="seed: 32 bytes are needed, not 31"):
        NodeSecrets(bytes(32), bytes(31))


def test_the_public_key_is_that_of_rfc_8032() -> None:
    """RFC 8032, 7.1, TEST 1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    expected = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    public_key = NodeSecrets(bytes(32), seed).public_key
    assert public_key.hex() == expected
    Ed25519PublicKey.from_public_bytes(public_key)


def test_the_gateways_key_file(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys" / "pump-a.key")
    assert not store.exists()
    with pytest.raises(ProvisionError, match=r"`twinrig board provision` makes it"):
        store.read()
    root = store.prepare()
    assert not store.exists()
    store.commit(replaces=False)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store.path.read_text() == root.hex() + "\n"
    assert store.read() == root
    assert [path.name for path in store.path.parent.iterdir()] == ["pump-a.key"]


def test_a_key_is_not_overwritten_unless_asked_for(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "pump-a.key")
    store.prepare()
    store.commit(replaces=False)
    first = store.read()
    second = store.prepare()
    with pytest.raises(ProvisionError, match="is there already and is not overwritten"):
        store.commit(replaces=False)
    assert store.read() == first
    # The interrupted attempt goes on with the key that the node may have by now.
    assert KeyStore(store.path).prepare() == second != first
    assert stat.S_IMODE(store.pending.stat().st_mode) == 0o600
    store.commit(replaces=True)
    assert store.read() == second
    assert not store.pending.exists()


def test_a_key_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pump-a.key"
    for text in ("", "12" * 31, "x" * 64):
        path.write_text(text)
        with pytest.raises(ProvisionError, match="64 hexadecimal digits"):
            KeyStore(path).read()
