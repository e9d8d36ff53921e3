"""A conversation between a started gateway and a node, for the tests of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.app import Gateway
from gateway.clock import ManualClock
from tests.gateway.nodes import FakeNode
from tests.gateway.plant import SECOND_NS, SITE, START_NS, make_site
from wire import content, messages

KEY = bytes(range(32))
SOUTH = SITE.partition("[opcua]")[0]
STORED = SOUTH + "[store]\n"


class Talk:
    """A started gateway, its node, and the time."""

    def __init__(self, gateway: Gateway, node: FakeNode, clock: ManualClock) -> None:
        self.gateway, self.node, self.clock = gateway, node, clock

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns()

    def wait(self, later_ns: int) -> None:
        self.clock.advance_to(self.now_ns + later_ns)

    def say(self, value: float = 0.001) -> list:
        """Let the node send one reading; return what it leads to."""
        return self.hear(self.node.readings(self.now_ns, ("flow", "m3/s", value)))

    def hear(self, frame) -> list:
        return self.gateway.receive(frame, self.now_ns)

    def down(self, content_type: int) -> list[bytes]:
        """Return what is due of a type, as payloads."""
        frames = self.gateway.downlink(self.now_ns)
        return [
            self.node.open_command(frame)[1]
            for frame in self.node.commands_in(frames, content_type)
        ]

    def synchronise(self) -> None:
        """Let the node answer the time probe."""
        frames = self.gateway.downlink(self.now_ns)
        (probe,) = self.node.commands_in(frames, content.TIME_PROBE)
        self.hear(self.node.answer(probe, self.now_ns))

    def receipts(self) -> list[tuple[int, int]]:
        return [tuple(messages.decode_receipt(data)) for data in self.down(content.RECEIPT)]


@asynccontextmanager
async def talking(folder: Path, text: str = SOUTH, *, keys=None, node=None) -> AsyncIterator[Talk]:
    clock = ManualClock(START_NS)
    if node is None:
        node = FakeNode(name="a", key=KEY, boot_ns=START_NS - 5 * SECOND_NS, sequence=1)
    keys = {"a": KEY} if keys is None else keys
    gateway = Gateway(make_site(folder, text), clock, folder / "state", keys=keys or None)
    await gateway.start()
    try:
        yield Talk(gateway, node, clock)
    finally:
        await gateway.stop()
