"""What a node has to know before it can run: `node.json`, `node.key` and the files they name.

Promises: `provisioned_files` makes them from the node's table in site.toml, so that site and node
cannot disagree; `firmware/config.py` and `firmware/keyfile.py` read them.  Secrets stand in
`node.key` and in password files only: whoever writes files here makes them readable by their owner
only, and nothing here prints one.  `KeyStore` keeps the gateway's half, the root key of each node.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from boards.errors import ProvisionError

NODE_FILE: Final = "node.json"
KEY_FILE: Final = "node.key"
ROTATED_KEY_FILE: Final = "node.key.b"
"""Where a node keeps a rotated key; provisioning removes it (firmware/keyfile.py)."""
CERTIFICATE_FILE: Final = "broker.ca"
LOGIN_FILE: Final = "broker.password"
WIFI_FILE: Final = "wifi.password"
SECRET_BYTES: Final = 32
_CHANNEL_KEYS: Final = (
    *("name", "part", "bus", "address", "reading", "argument", "unit", "filter", "gain", "offset"),
    "options",
)
_WAVEFORM_KEYS: Final = (
    *("name", "part", "bus", "address", "rate_hz", "block_samples", "options"),
)
_OUTPUT_KEYS: Final = ("name", "pin", "safe", "hold_ms_max")


class NodeTable(Protocol):
    """One [[nodes]] table of site.toml; what else it may have, `gateway/site_nodes.py` says."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def sample_period_ms(self) -> int: ...  # noqa: D102
    @property
    def block(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> Sequence[Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class NodeSecrets:
    """The two secrets of a node, 32 bytes each; `epoch` counts the rotations of the root key."""

    root: bytes = field(repr=False)
    seed: bytes = field(repr=False)
    epoch: int = 0

    def __post_init__(self) -> None:
        for name in ("root", "seed"):
            size = len(getattr(self, name))
            if size != SECRET_BYTES:
                raise ValueError(f"{name}: {SECRET_BYTES} bytes are needed, not {size}")

    @property
    def public_key(self) -> bytes:
        """The Ed25519 public key of `seed`, which checkpoints are verified with (RFC 8032)."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()


def new_secrets() -> NodeSecrets:
    """Fresh secrets from the operating system."""
    return NodeSecrets(secrets.token_bytes(SECRET_BYTES), secrets.token_bytes(SECRET_BYTES))


def provisioned_files(
    node: NodeTable, keys: NodeSecrets, read: Callable[[Path], bytes] = Path.read_bytes
) -> dict[str, bytes]:
    """Every file that a node needs, by its name on the node; the key last.

    `read` fetches the files that the node's link names; ProvisionError when one is missing.
    """
    link, link_files = _link(getattr(node, "link", None), node.name, read)
    table = {
        "node": node.name,
        "sample_period_us": node.sample_period_ms * 1000,
        "block_samples": node.block,
        "channels": [_table(channel, _CHANNEL_KEYS) for channel in node.channels],
        "waveforms": [_waveform(item) for item in getattr(node, "waveforms", ())],
        "outputs": [_table(output, _OUTPUT_KEYS) for output in getattr(node, "outputs", ())],
        "link": link,
    }
    for name, keys_of_table in (
        ("spool", ("segments", "segment_bytes", "behind_bytes")),
        ("checkpoint", ("every_frames", "every_s")),
    ):
        if getattr(node, name, None) is not None:
            table[name] = _table(getattr(node, name), keys_of_table)
    for name in ("status_s", "watchdog_ms", "receipts"):
        if getattr(node, name, None) is not None:
            table[name] = getattr(node, name)
    settings = {NODE_FILE: json.dumps(table).encode()} | link_files
    return settings | {KEY_FILE: key_file(node.name, keys)}


def key_file(node: str, keys: NodeSecrets) -> bytes:
    """The content of `node.key`."""
    root, seed = keys.root.hex(), keys.seed.hex()
    check = hashlib.sha256(f"{node}|{root}|{seed}|{keys.epoch}".encode()).digest()[:8].hex()
    table = {"node": node, "root": root, "seed": seed, "epoch": keys.epoch, "check": check}
    return json.dumps(table).encode()


def used_parts(files: Mapping[str, bytes]) -> frozenset[str]:
    """The sensor chips that a `node.json` among `files` names."""
    table = json.loads(files[NODE_FILE])
    return frozenset(item["part"] for item in (*table["channels"], *table.get("waveforms", ())))


def _table(item: object, names: Sequence[str]) -> dict[str, object]:
    return {name: _plain(getattr(item, name)) for name in names}


def _waveform(item: Any) -> dict[str, object]:
    features = [
        {
            name: getattr(feature, name)
            for name in ("name", "axis", "feature", "low_hz", "high_hz")
            if getattr(feature, name, None) is not None
        }
        for feature in item.features
    ]
    return {**_table(item, _WAVEFORM_KEYS), "features": features}


def _plain(value: object) -> object:
    """Mappings as dict and tuples as list, all the way down: JSON knows no other."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _link(
    link: Any, node: str, read: Callable[[Path], bytes]
) -> tuple[dict[str, object], dict[str, bytes]]:
    """(`link` of node.json, the files it names); a board on the rig has a serial line too."""
    kind = getattr(link, "kind", "serial")
    files: dict[str, bytes] = {}

    def copied(path: Path | None, name: str) -> str | None:
        if path is None:
            return None
        try:
            files[name] = read(path)
        except OSError as error:
            raise ProvisionError(
                f"node {node}: {path} cannot be read ({error.strerror}); its link names it"
            ) from error
        return name

    if kind == "modbus_rtu":
        return {"kind": kind, "unit_id": link.unit_id, "baud": link.baud}, files
    if kind != "mqtt":
        return {"kind": "serial"}, files
    table: dict[str, object] = {
        "kind": kind,
        "host": link.host,
        "port": link.port,
        "tls_ca": copied(link.tls_ca, CERTIFICATE_FILE),
        "user": link.user,
        "password_file": copied(link.password_file, LOGIN_FILE),
    }
    if link.wifi is not None:
        table["wifi"] = {
            "ssid": link.wifi.ssid,
            "password_file": copied(link.wifi.password_file, WIFI_FILE),
        }
    return table, files


class KeyStore:
    """The gateway's key file of one node: 64 hexadecimal digits, readable by its owner only.

    A new key waits in the file `pending` beside it until the node has it; so a cable that is pulled
    in between leaves both sides with what is needed to go on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pending = path.with_name(path.name + ".next")

    def exists(self) -> bool:
        """Whether the node has a key already."""
        return self.path.exists()

    def read(self) -> bytes:
        """The root key; ProvisionError when there is none."""
        return _read_secret(self.path)

    def prepare(self) -> bytes:
        """The next key: that of an attempt that was interrupted, or a fresh one."""
        if self.pending.exists():
            return _read_secret(self.pending)
        root = secrets.token_bytes(SECRET_BYTES)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _write_secret(self.pending, root)
        return root

    def commit(self, *, replaces: bool) -> None:
        """Make the pending key the key, in one step.

        ProvisionError when there is one already and `replaces` does not allow it.
        """
        if replaces:
            self.pending.replace(self.path)
        else:
            try:
                os.link(self.pending, self.path)
            except FileExistsError as error:
                raise ProvisionError(
                    f"{self.path} is there already and is not overwritten: without it the records"
                    " of its node cannot be verified; `twinrig board rotate-key` changes a key"
                ) from error
            self.pending.unlink()
        _sync_folder(self.path.parent)


def _read_secret(path: Path) -> bytes:
    try:
        root = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise ProvisionError(
            f"{path} cannot be read ({error.strerror}): `twinrig board provision` makes it"
        ) from error
    except ValueError:
        root = b""
    if len(root) != SECRET_BYTES:
        raise ProvisionError(f"{path} is no key: 64 hexadecimal digits are needed; remove the file")
    return root


def _write_secret(path: Path, root: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(root.hex().encode() + b"\n")
        file.flush()
        os.fsync(descriptor)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
