"""A few numbers that survive a power cut at any moment: two files, written in turn.

Promises: `write` touches only the older slot, so whatever a cut leaves of it, the other still holds
what was written before.  `read` returns the newest whole slot; only when no slot is whole, and this
cannot be a cut during the very first write, it raises StateError.
Leaves to `counters.py` and `update.py` what the numbers mean.  Rule of order: the first write goes
to slot a, the next to slot b; whoever needs both whole writes until `read` would say so.

    4 bytes "TWS1" | u64 generation | u64 numbers[] | first 8 bytes of the SHA-256 of all before

All integers are big-endian; the slot with the higher generation is the newer one.  How many numbers
there are is the same for the life of a pair of slots: a slot of another length is damaged.
"""

import hashlib
import struct

from firmware.errors import StateError

SLOT_FILES = ("node.state.a", "node.state.b")
"""The slots of the counters; other users name their own."""
NUMBERS = 4

_MAGIC = b"TWS1"
_CHECK_BYTES = 8
_ENOENT = 2


class Slots:
    """The two slots `files` of `numbers` integers; `hal` gives `read_file` and `write_file`."""

    def __init__(self, hal, files=SLOT_FILES, numbers: int = NUMBERS) -> None:
        self._hal = hal
        self._files = files
        self._body = ">4s%dQ" % (1 + numbers)
        self._generation = 0
        self._target = 0

    def read(self) -> tuple:
        """(numbers or None on a new node, whether both slots are whole).

        Raises StateError when a slot cannot be read or what was stored is lost.
        """
        contents = [self._content(name) for name in self._files]
        slots = [self._parse(content) for content in contents]
        if slots == [None, None]:
            if contents[1] is not None:
                raise StateError(
                    "%s and %s are damaged: remove both and provision the node with a new key,"
                    " its old sequence numbers are unknown" % self._files
                )
            # Slot b has never been written, so nothing was ever built on slot a.
            self._generation = self._target = 0
            return None, False
        newest = 0 if slots[1] is None or (slots[0] or (-1,))[0] > slots[1][0] else 1
        self._target = 1 - newest
        self._generation = slots[newest][0]
        return slots[newest][1:], None not in slots

    def write(self, numbers) -> None:
        """Store `numbers` (each 0 .. 2**64 - 1); OSError means that the old ones still stand."""
        body = struct.pack(self._body, _MAGIC, self._generation + 1, *numbers)
        self._hal.write_file(self._files[self._target], body + _check(body))
        self._generation += 1
        self._target = 1 - self._target

    def _content(self, name: str):
        try:
            return self._hal.read_file(name)
        except OSError as error:
            code = error.args[0] if error.args else None
            if code == _ENOENT:
                return None
            raise StateError(
                "%s is there and cannot be read (errno %s): going on could repeat a sequence"
                " number; restart the node, and replace its flash if that does not help"
                % (name, code)
            ) from None

    def _parse(self, content):
        """(generation, numbers ...) of a whole slot, None of any other content."""
        body_bytes = struct.calcsize(self._body)
        if content is None or len(content) != body_bytes + _CHECK_BYTES:
            return None
        body = bytes(content[:body_bytes])
        if body[:4] != _MAGIC or content[body_bytes:] != _check(body):
            return None
        return struct.unpack(self._body, body)[1:]


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECK_BYTES]
