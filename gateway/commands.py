"""What goes down to a node: sealed with its downlink key, numbered, framed for the line.

Promises: a pair of (boot id, sequence) is never used twice with a key. The boot id is the gateway's
own start counter (`state.py`), on disk before the first command leaves: a crash only skips numbers.
Left to others: when to ask (`stages/sync.py`), which link carries the bytes (`app.py`).
"""

from collections.abc import Mapping
from typing import final

from gateway.clock import NS_PER_US
from wire.content import TIME_PROBE
from wire.cose import Sealer
from wire.framing import frame
from wire.keys import downlink_key
from wire.mac import HmacSha256
from wire.messages import encode_probe


@final
class Commands:
    """Seals commands for the nodes of a site.

    Args:
        keys: root key (32 bytes) by node name; the name is also the key id on the wire.
        boot_id: number of this start, from `state.next_start`.
        started_ns: UTC of the start; ticks count from here.
    """

    def __init__(self, keys: Mapping[str, bytes], boot_id: int, started_ns: int) -> None:
        self._boot_id = boot_id
        self._started_ns = started_ns
        self._sequences = dict.fromkeys(keys, 0)
        self._sealers = {
            node: Sealer(node.encode(), HmacSha256(downlink_key(root, node.encode())))
            for node, root in keys.items()
        }

    def probe(self, node: str, probe_id: int, now_ns: int) -> bytes:
        """Return a time probe for a node as one frame for its serial line, delimiter included."""
        return frame(self._seal(node, TIME_PROBE, encode_probe(probe_id), now_ns))

    def _seal(self, node: str, content_type: int, payload: bytes, now_ns: int) -> bytes:
        """Return the COSE_Mac0 of one command and use up its sequence number."""
        sequence = self._sequences[node]
        self._sequences[node] = sequence + 1
        tick_us = max(0, now_ns - self._started_ns) // NS_PER_US
        return self._sealers[node].seal(content_type, sequence, self._boot_id, tick_us, payload)
