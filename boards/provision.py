"""What a node has to know before it can run: `node.json`.

Promises: `node_file(node, root_key)` makes the file from the node's table in site.toml, so that
site and node cannot disagree.  `firmware/config.py` reads it.  The file holds the root key; whoever
writes it makes it readable by its owner only.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

NODE_FILE = "node.json"


class ChannelTable(Protocol):
    """One [[nodes.channels]] table of site.toml."""

    name: str
    part: str
    bus: int
    address: int
    reading: str
    argument: int | str | None
    unit: str
    filter: str
    gain: float
    offset: float
    options: Mapping[str, int | float | str | bool]


class NodeTable(Protocol):
    """One [[nodes]] table of site.toml."""

    name: str
    sample_period_ms: int
    block: int

    @property
    def channels(self) -> Sequence[ChannelTable]:
        """The node's channels, in the order in which they are sampled."""


def node_file(node: NodeTable, root_key: bytes) -> bytes:
    """The content of `node.json`; `root_key` has 32 bytes."""
    if len(root_key) != 32:
        raise ValueError(f"node {node.name}: a root key has 32 bytes, this one {len(root_key)}")
    return json.dumps(
        {
            "node": node.name,
            "key": root_key.hex(),
            "sample_period_us": node.sample_period_ms * 1000,
            "block_samples": node.block,
            "channels": [_channel(channel) for channel in node.channels],
        }
    ).encode()


def _channel(channel: ChannelTable) -> dict[str, object]:
    return {
        "name": channel.name,
        "part": channel.part,
        "bus": channel.bus,
        "address": channel.address,
        "reading": channel.reading,
        "argument": channel.argument,
        "unit": channel.unit,
        "filter": channel.filter,
        "gain": channel.gain,
        "offset": channel.offset,
        "options": dict(channel.options),
    }
