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

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def part(self) -> str: ...  # noqa: D102
    @property
    def bus(self) -> int: ...  # noqa: D102
    @property
    def address(self) -> int: ...  # noqa: D102
    @property
    def reading(self) -> str: ...  # noqa: D102
    @property
    def argument(self) -> int | str | None: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def filter(self) -> str: ...  # noqa: D102
    @property
    def gain(self) -> float: ...  # noqa: D102
    @property
    def offset(self) -> float: ...  # noqa: D102
    @property
    def options(self) -> Mapping[str, int | float | str | bool]: ...  # noqa: D102


class NodeTable(Protocol):
    """One [[nodes]] table of site.toml."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def sample_period_ms(self) -> int: ...  # noqa: D102
    @property
    def block(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> Sequence[ChannelTable]: ...  # noqa: D102


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
