"""What the node says, sealed: every message gets its number, its tick, its place in the proof.

Promises: sequence numbers are handed out in the order in which messages are sealed, without a gap
within a boot, and every sealed message is entered in the checkpoints' tree, so leaf i of a boot is
number `sequence_start` + i.  A message is the sealer's own buffer: valid until the next is sealed.
Rule of order: `seal`, then `enter`, for every message; they are two since each takes its time.
"""

from wire.cose import Sealer
from wire.keys import uplink_key
from wire.mac import HmacSha256


class Sealing:
    """Seals under the node's present key; `checkpoints` may be None."""

    def __init__(self, identity, counters, ticks_us, checkpoints) -> None:
        self._counters = counters
        self._ticks_us = ticks_us
        self._checkpoints = checkpoints
        self.use(identity)

    def use(self, identity) -> None:
        """Seal with the keys of `identity` from now on."""
        kid = identity.node.encode()
        self._sealer = Sealer(kid, HmacSha256(uplink_key(identity.root, kid)))

    def seal(self, content_type: int, payload, tick_us=None) -> "tuple":
        """(sequence number, message); OSError when the number cannot be kept in the flash.

        `tick_us` is the time that the payload's relative times refer to, now unless given.
        """
        counters = self._counters
        sequence = counters.next_sequence()
        if tick_us is None:
            tick_us = self._ticks_us()
        return sequence, self._sealer.seal(
            content_type, sequence, counters.boot_id, tick_us, payload
        )

    def enter(self, message) -> None:
        """Append a sealed message to the tree, before the next one is sealed."""
        if self._checkpoints is not None:
            self._checkpoints.append(message)
