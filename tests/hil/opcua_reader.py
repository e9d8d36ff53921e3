"""A foreign OPC UA client: a process of its own that knows nothing of the gateway but its address.

    python opcua_reader.py URL SIGNAL...

Finds the variables by browsing, subscribes to them, prints `ready`, then one JSON line for every
value it is told: [signal, value, status code, source time in Unix microseconds].  Ends when its
standard input does.
"""

import asyncio
import json
import sys
from datetime import UTC
from typing import Any

from asyncua import Client, Node, ua


class Printer:
    """Writes down every notification."""

    def __init__(self, names: dict[Any, str]) -> None:
        self._names = names

    def datachange_notification(self, node: Node, value: float | None, data: Any) -> None:
        found = data.monitored_item.Value
        source = found.SourceTimestamp
        time_us = None if source is None else round(source.replace(tzinfo=UTC).timestamp() * 1e6)
        line = [self._names[node.nodeid], value, found.StatusCode.value, time_us]
        print(json.dumps(line), flush=True)


async def find(parent: Node, wanted: set[str], depth: int) -> dict[Any, str]:
    """Variables below `parent` whose browse name is wanted."""
    found: dict[Any, str] = {}
    if depth == 0:
        return found
    for child in await parent.get_children():
        name = (await child.read_browse_name()).Name
        kind = await child.read_node_class()
        if name in wanted and kind == ua.NodeClass.Variable:
            found[child.nodeid] = name
        elif kind == ua.NodeClass.Object and child.nodeid.NamespaceIndex:
            found |= await find(child, wanted, depth - 1)
    return found


async def main(url: str, signals: list[str]) -> None:
    async with Client(url, timeout=30) as client:
        names = await find(client.nodes.objects, set(signals), 2)
        if len(names) != len(signals):
            raise SystemExit(f"found {sorted(names.values())} of {signals}")
        subscription = await client.create_subscription(50, Printer(names))
        nodes = [client.get_node(node_id) for node_id in names]
        await subscription.subscribe_data_change(nodes, queuesize=100_000)
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
