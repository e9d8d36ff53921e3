"""Root keys over time: which one a node has, which one it may rotate to, which one it had.

    <key file of the site>      the present root key, as ever
    <state>/rotations.json      epoch, a rotation that is under way, the key before

The steps of a rotation, each on the disk before the next:
1. `begin`: epoch, salt and a mark of the new key; only then is the node asked;
2. `keep`, when the first frame under the new key has come: the old key goes to rotations.json, then
   the new one into the key file, then the rotation is over;
3. `keep`, when nothing sealed under the old key can come any more: it is forgotten. Until then no
   other rotation begins, since three keys would be in use.

Promises: a crash between any two writes leaves keys with which every frame of the node verifies;
the files are readable by the gateway's user only, nothing here prints a key. Keys that were given,
not read, stay in memory.
Left to others: what is believed when (`stages/keyring.py`), asking the node (`dialogue.py`).
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from gateway.errors import OperatorError
from gateway.keyfile import replace_key
from gateway.stages.keyring import NodeKeys, Retired
from gateway.stages.replay_window import WINDOW
from gateway.state import replace_file
from wire.keys import KEY_BYTES, SALT_BYTES, rotated_root

ROTATIONS: Final = "rotations.json"
_MARK_DIGITS: Final = 16


@dataclass(slots=True)
class _Rotation:
    """What is known of the keys of one node beside the present one."""

    epoch: int = 0
    """Of the present key."""
    salt: bytes = field(default=b"", repr=False)
    """Of the rotation under way, empty if there is none."""
    mark: str = ""
    """Start of the SHA-256 of the key it leads to: tells whether that is the present one."""
    retired: Retired | None = None


@final
class KeyKeeper:
    """The root keys of all nodes; `key_files` are empty for keys that no file holds."""

    def __init__(
        self, roots: Mapping[str, bytes], key_files: Mapping[str, Path], state_dir: Path
    ) -> None:
        self._roots = dict(roots)
        self._key_files = dict(key_files)
        self._path = state_dir / ROTATIONS
        self._rotations = {node: _Rotation() for node in roots}

    def load(self) -> dict[str, NodeKeys]:
        """Return the keys of every node; raise `OperatorError` when the state is damaged."""
        if self._path.exists():
            try:
                for node, row in json.loads(self._path.read_text()).items():
                    if node in self._rotations:
                        self._rotations[node] = _rotation(row)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise OperatorError(
                    f"{self._path}: the rotations cannot be read ({error}); restore it, or remove "
                    "it and provision the nodes that were being rotated"
                ) from error
        return {node: self._keys(node) for node in self._roots}

    def begin(self, node: str, epoch_heard: int = 0) -> tuple[int, bytes, NodeKeys]:
        """Begin or repeat a rotation; return (epoch, salt, keys to believe from now on).

        `epoch_heard` is what the node last said its epoch is. Raises `OperatorError` for an unknown
        node, while the key before is still needed, and when the disk does not take the salt.
        """
        rotation = self._rotation(node)
        retired = self._keys(node).retired
        if retired is not None:
            raise OperatorError(
                f"node {node}: the rotation before is not over: frames with numbers below "
                f"{retired.before} may still come under the old key; try again when stored frames "
                f"up to number {retired.before + WINDOW} have come"
            )
        if not rotation.salt:
            rotation.epoch = max(rotation.epoch, epoch_heard)
            rotation.salt = secrets.token_bytes(SALT_BYTES)
            rotation.mark = _mark(self._next_root(node))
            try:
                self._save()
            except OperatorError:
                rotation.salt, rotation.mark = b"", ""
                raise
        return rotation.epoch + 1, rotation.salt, self._keys(node)

    def give_up(self, node: str) -> NodeKeys:
        """End a rotation that the node refused; return the keys to believe, for `keep`."""
        rotation = self._rotations[node]
        rotation.salt, rotation.mark = b"", ""
        return self._keys(node)

    def keep(self, node: str, keys: NodeKeys) -> None:
        """Put what frames have changed on the disk."""
        rotation = self._rotations[node]
        rotation.retired = keys.retired
        if keys.root == self._roots[node]:
            self._save()
            return
        self._save()
        path = self._key_files.get(node)
        if path is not None:
            replace_key(path, keys.root, f"node {node}")
        self._roots[node] = keys.root
        rotation.epoch += 1
        rotation.salt, rotation.mark = b"", ""
        self._save()

    def epoch(self, node: str) -> int:
        """Return the epoch of the present key as far as it is known."""
        return self._rotation(node).epoch

    def _rotation(self, node: str) -> _Rotation:
        """Return what is known of a node's keys; raise `OperatorError` for an unknown one."""
        rotation = self._rotations.get(node)
        if rotation is None:
            known = ", ".join(sorted(self._rotations))
            raise OperatorError(f"no node {node!r} has keys here; the site has {known}")
        return rotation

    def _keys(self, node: str) -> NodeKeys:
        """Return the keys to believe, whichever step a crash has interrupted."""
        rotation, root = self._rotations[node], self._roots[node]
        if rotation.mark and rotation.mark == _mark(root):
            # The new key is in its file already; only the note of it is missing.
            rotation.epoch += 1
            rotation.salt, rotation.mark = b"", ""
        retired = rotation.retired
        return NodeKeys(
            root=root,
            following=self._next_root(node) if rotation.salt else None,
            retired=None if retired is None or retired.root == root else retired,
        )

    def _next_root(self, node: str) -> bytes:
        """Return the root key that the rotation under way leads to."""
        rotation = self._rotations[node]
        return rotated_root(self._roots[node], node.encode(), rotation.epoch + 1, rotation.salt)

    def _save(self) -> None:
        rows = {}
        for node, rotation in self._rotations.items():
            retired = rotation.retired
            rows[node] = {
                "epoch": rotation.epoch,
                "salt": rotation.salt.hex(),
                "mark": rotation.mark,
                "retired": None
                if retired is None
                else {"root": retired.root.hex(), "before": retired.before},
            }
        try:
            replace_file(self._path, json.dumps(rows) + "\n", is_synced=True, is_private=True)
        except OSError as error:
            raise OperatorError(
                f"{self._path}: the keys cannot be kept ({error}); make the folder writable and "
                "free some space"
            ) from error


def _mark(root: bytes) -> str:
    return hashlib.sha256(root).hexdigest()[:_MARK_DIGITS]


def _rotation(row: Mapping[str, object]) -> _Rotation:
    """Return what a row says, or raise ValueError, KeyError or TypeError."""
    epoch, salt, mark = row["epoch"], bytes.fromhex(str(row["salt"])), str(row["mark"])
    if type(epoch) is not int or epoch < 0 or len(salt) not in (0, SALT_BYTES):
        raise ValueError("an epoch or a salt is none")
    match row["retired"]:
        case None:
            return _Rotation(epoch, salt, mark)
        case {"root": str() as digits, "before": int() as before}:
            root = bytes.fromhex(digits)
            if len(root) != KEY_BYTES:
                raise ValueError(f"a retired key of {len(root)} bytes")
            return _Rotation(epoch, salt, mark, Retired(root=root, before=before))
        case _:
            raise ValueError("what is retired is no key")
