"""Boot id and sequence numbers that survive power cuts and are never used twice.

Promises: every number from `next_sequence` is larger than any ever handed out by this node, over
reboots too.  How: the state file holds the first number that has *not* been reserved; it is written
before a number from the next block is used (RFC 8613, B.1.1 describes the same practice).  A reboot
therefore skips what was left of the block, at most RESERVED_BLOCK - 1 numbers.

    {"boot": 3, "sequence": 768}
"""

import json

from firmware.errors import StateError

STATE_FILE = "node.state"
RESERVED_BLOCK = 256


class Counters:
    """The counters of one boot; `hal` gives `read_file` and `write_file`."""

    def __init__(self, hal) -> None:
        self._hal = hal
        self.boot_id = 0
        self.sequence_start = 0
        self._next = 0
        self._reserved = 0

    def start(self) -> None:
        """Count this boot; raises StateError when the state file is there but damaged."""
        boot, sequence = self._read()
        self.boot_id = boot + 1
        self.sequence_start = sequence
        self._next = sequence
        self._reserve()

    def next_sequence(self) -> int:
        """A number that was never used before; may write the state file."""
        if self._next == self._reserved:
            self._reserve()
        sequence = self._next
        self._next += 1
        return sequence

    def _reserve(self) -> None:
        self._reserved = self._next + RESERVED_BLOCK
        content = json.dumps({"boot": self.boot_id, "sequence": self._reserved})
        self._hal.write_file(STATE_FILE, content.encode())

    def _read(self) -> tuple:
        try:
            content = self._hal.read_file(STATE_FILE)
        except OSError:
            return 0, 0
        try:
            fields = json.loads(content)
            boot, sequence = fields["boot"], fields["sequence"]
            if isinstance(boot, int) and isinstance(sequence, int) and boot >= 0 and sequence >= 0:
                return boot, sequence
        except (ValueError, KeyError, TypeError):
            pass
        raise StateError(
            "%s is damaged: provision the node again with a new key, its old sequence numbers"
            " are unknown" % STATE_FILE
        )
