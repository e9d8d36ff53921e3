"""Reads an export of a node's frames once, and keeps by number what a proof needs of each.

An export is a recording as `links/replay.py` writes and reads it, one frame on each line.

Promises: bounded memory whatever the length of the export: some 100 bytes of each frame go to a
database in a temporary file that only this process sees. A line that is no such object is an error
with its number; a frame that contradicts a signature or another frame is a `ForgeryError`. MACs
are not looked at. Left to others: comparing frames with the signed trees (`node_proof.py`).
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import OperatorError
from gateway.links.replay import recorded_frames
from wire import content, cose
from wire.checkpoint import Checkpoint, decode_checkpoint, frame_leaf
from wire.errors import WireError
from wire.merkle import HASH_BYTES
from wire.messages import Loss, decode_loss
from wire.sign1 import sign1_open

PUBLIC_KEY_BYTES: Final = 32
_SCHEMA: Final = """
CREATE TABLE frames (
    sequence INTEGER PRIMARY KEY, boot INTEGER NOT NULL, line INTEGER NOT NULL,
    leaf BLOB NOT NULL) STRICT;
CREATE TABLE checkpoints (
    boot INTEGER NOT NULL, size INTEGER NOT NULL, start INTEGER NOT NULL, line INTEGER NOT NULL,
    hashes BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (boot, size)) STRICT;
CREATE TABLE losses (
    sequence INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
"""


class ForgeryError(Exception):
    """The export contradicts a signature or itself; the message says what and in which line."""


class Leaf(NamedTuple):
    """One frame: its number, boot id, line in the export and the hash of its leaf."""

    sequence: int
    boot: int
    line: int
    hash: bytes


class Head(NamedTuple):
    """One checkpoint: boot id, leaves, number of the first one, line, compact range, own number."""

    boot: int
    size: int
    start: int
    line: int
    hashes: tuple[bytes, ...]
    number: int


@final
class ProofIndex:
    """The frames of one export; `add` takes its lines, everything else asks about them."""

    def __init__(self, public_key: bytes) -> None:
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise OperatorError(
                f"the public key has {len(public_key)} bytes, an Ed25519 key has "
                f"{PUBLIC_KEY_BYTES}: give 64 hexadecimal digits"
            )
        self._key = Ed25519PublicKey.from_public_bytes(public_key)
        # An empty name is a database in a temporary file, removed when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA)
        self.node = ""
        self.frames = 0
        self.checkpoints = 0

    def close(self) -> None:
        """Remove what was kept."""
        self._database.close()

    def read(self, export: Path) -> None:
        """Take all lines; raise `TraceError` for bad input, `ForgeryError` for contradictions."""
        self._database.execute("BEGIN")
        for number, frame in enumerate(recorded_frames(export), start=1):
            self._add(number, frame.source, frame.data)
        self._database.execute("COMMIT")

    def heads(self) -> Iterator[Head]:
        """Yield the checkpoints by the number of their boot's first frame, then by size."""
        rows = self._database.execute(
            "SELECT boot, size, start, line, hashes, number FROM checkpoints "
            "ORDER BY start, boot, size"
        )
        for boot, size, start, line, hashes, number in rows:
            yield Head(boot, size, start, line, _split(hashes), number)

    def leaves(self, first: int, last: int) -> Iterator[Leaf]:
        """Yield the frames with numbers `first` to `last`, in order."""
        rows = self._database.execute(
            "SELECT sequence, boot, line, leaf FROM frames WHERE sequence BETWEEN ? AND ? "
            "ORDER BY sequence",
            (first, last),
        )
        return map(Leaf._make, rows)

    def count(self, first: int, last: int) -> int:
        """Return how many frames have numbers `first` to `last`."""
        (count,) = self._database.execute(
            "SELECT count(*) FROM frames WHERE sequence BETWEEN ? AND ?", (first, last)
        ).fetchone()
        return int(count)

    def lowest(self) -> int:
        """Return the lowest number of a frame; -1 if there is none."""
        (number,) = self._database.execute("SELECT min(sequence) FROM frames").fetchone()
        return -1 if number is None else int(number)

    def losses(self) -> Iterator[tuple[int, int, int]]:
        """Yield (number of the loss record, first and last number lost), by first number."""
        return self._database.execute("SELECT sequence, first, last FROM losses ORDER BY first")

    def _add(self, line: int, node: str, data: bytes) -> None:
        try:
            header, _, payload, _ = cose.peek(data)
        except WireError as error:
            raise ForgeryError(f"line {line}: no sealed frame ({error})") from error
        kid = header.kid.decode(errors="replace")
        if node != kid or (self.node and kid != self.node):
            raise ForgeryError(
                f"line {line}: a frame of {kid!r} among those of {self.node or node!r}"
            )
        self.node = kid
        if not self._keep(Leaf(header.sequence, header.boot_id, line, frame_leaf(data))):
            return
        if header.content_type == content.CHECKPOINT:
            self._keep_head(line, header, self._open(line, header, payload))
        elif header.content_type == content.LOSS_RECORD:
            self._keep_loss(line, header.sequence, payload)

    def _keep(self, leaf: Leaf) -> bool:
        """Keep a frame; return False for one that is there already, as it is after a resend."""
        found = self._database.execute(
            "SELECT boot, line, leaf FROM frames WHERE sequence = ?", (leaf.sequence,)
        ).fetchone()
        if found is None:
            self._database.execute(
                "INSERT INTO frames (sequence, boot, line, leaf) VALUES (?, ?, ?, ?)", leaf
            )
            self.frames += 1
            return True
        boot, line, value = found
        if (boot, value) != (leaf.boot, leaf.hash):
            raise ForgeryError(
                f"line {leaf.line}: another frame than line {line} with number {leaf.sequence}"
            )
        return False

    def _open(self, line: int, header: cose.Header, payload: bytes) -> Checkpoint:
        """Return the checkpoint that a frame carries, once it is known to be the key's own."""
        try:
            protected, signed = sign1_open(payload, self._is_signed)
            checkpoint = decode_checkpoint(signed)
        except WireError as error:
            raise ForgeryError(f"line {line}: no checkpoint of this key: {error}") from error
        if protected.get(3) != content.CHECKPOINT or protected.get(4) != header.kid:
            raise ForgeryError(f"line {line}: what is signed is no checkpoint of {self.node}")
        if checkpoint.boot_id != header.boot_id:
            raise ForgeryError(
                f"line {line}: a checkpoint of boot {checkpoint.boot_id} in a frame of boot "
                f"{header.boot_id}"
            )
        if checkpoint.sequence_start + checkpoint.size > header.sequence:
            raise ForgeryError(f"line {line}: a checkpoint over numbers that came after it")
        return checkpoint

    def _is_signed(self, signed: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    def _keep_head(self, line: int, header: cose.Header, checkpoint: Checkpoint) -> None:
        hashes = b"".join(checkpoint.hashes)
        found = self._database.execute(
            "SELECT line, start, hashes FROM checkpoints WHERE boot = ? AND size = ?",
            (header.boot_id, checkpoint.size),
        ).fetchone()
        if found is not None and found[1:] != (checkpoint.sequence_start, hashes):
            raise ForgeryError(
                f"line {line}: the checkpoint signs other frames than that of line {found[0]}"
            )
        self.checkpoints += 1
        facts = (checkpoint.size, checkpoint.sequence_start, line, hashes, header.sequence)
        # Of two frames with one checkpoint only one can be the node's; the lower number is taken.
        self._database.execute(
            "INSERT INTO checkpoints (boot, size, start, line, hashes, number) "
            "VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (boot, size) DO UPDATE SET number = min(number, excluded.number)",
            (header.boot_id, *facts),
        )

    def _keep_loss(self, line: int, sequence: int, payload: bytes) -> None:
        try:
            loss: Loss = decode_loss(payload)
        except WireError as error:
            raise ForgeryError(f"line {line}: no loss record ({error})") from error
        self._database.execute(
            "INSERT INTO losses (sequence, first, last) VALUES (?, ?, ?)",
            (sequence, loss.first, loss.last),
        )


def _split(hashes: bytes) -> tuple[bytes, ...]:
    """Return the hashes that stand one behind the other in `hashes`."""
    return tuple(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
