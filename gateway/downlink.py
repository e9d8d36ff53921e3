"""What goes down to a node: sealed with its downlink key and numbered.

Promises: a pair of (boot id, sequence) is never used twice with a key. The boot id is the number
of this start (`state.py`), on disk before the first message leaves: a crash only skips numbers.
A node whose root key is being rotated may have either: what needs no answer is sealed for both.
Left to others: what to say and when (`dialogue.py`), framing and which link carries it (`app.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Final, final

from gateway.clock import NS_PER_US
from wire.cose_sealer import JoiningSealer
from wire.keys import downlink_key
from wire.mac import HmacSha256

NODE_BLOCK: Final = 16
"""Messages for which a node reserves numbers at a time."""


@final
class Downlink:
    """Seals messages for the nodes of a site.

    Args:
        roots: root key (32 bytes) by node name; the name is also the key id on the wire.
        boot_id: number of this start, from `state.next_start`.
        started_ns: UTC of the start; ticks count from here.
    """

    def __init__(self, roots: Mapping[str, bytes], boot_id: int, started_ns: int) -> None:
        self._boot_id = boot_id
        self._started_ns = started_ns
        self._sequences = dict.fromkeys(roots, 0)
        self._sealers: dict[str, list[JoiningSealer]] = {}
        for node, root in roots.items():
            self.use_roots(node, (root,))

    def use_roots(self, node: str, roots: Sequence[bytes]) -> None:
        """Seal for a node under other root keys from now on; numbers go on.

        `seal` takes the first one, `seal_each` all of them.
        """
        kid = node.encode()
        self._sealers[node] = [
            JoiningSealer(kid, HmacSha256(downlink_key(root, kid))) for root in roots
        ]

    def leap(self, node: str) -> None:
        """Pass over the numbers that a node which has just started refuses.

        It does not know which of its last block it had heard (`firmware/counters.py`), and would be
        deaf for as many messages otherwise.
        """
        self._sequences[node] += NODE_BLOCK

    def seal(self, node: str, content_type: int, payload: bytes, now_ns: int) -> bytes:
        """Return the COSE_Mac0 of one message and use up its sequence number."""
        return self._seal(self._sealers[node][0], node, content_type, payload, now_ns)

    def seal_each(self, node: str, content_type: int, payload: bytes, now_ns: int) -> list[bytes]:
        """Return a message sealed under every root key that the node may have."""
        return [
            self._seal(sealer, node, content_type, payload, now_ns)
            for sealer in self._sealers[node]
        ]

    def _seal(
        self, sealer: JoiningSealer, node: str, content_type: int, payload: bytes, now_ns: int
    ) -> bytes:
        sequence = self._sequences[node]
        self._sequences[node] = sequence + 1
        tick_us = max(0, now_ns - self._started_ns) // NS_PER_US
        return bytes(sealer.seal(content_type, sequence, self._boot_id, tick_us, payload))
