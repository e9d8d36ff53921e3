"""OPC UA client: values of a server, each with the time its source gave it, and the server's clock.

Two modes. "poll" reads every node once per period: the value was current between the first
request and the last answer. "subscription" has the server sample and tell changes; with a
keep-alive in every period a value that is not mentioned is one that has not changed, so it is
repeated, without a stamp.
Promises: stamps and the server's clock are handed on as they were stated (`Reading.stamp_ns`,
`Polled.clock_ns`), however absurd; a node's own status goes with its value, and one node that fails
is one node; a connection that failed is built from scratch, and one that is silent has failed.

What is known of the time of a subscribed value: response k holds samples that were not yet taken
when response k-1 was formed, and that one answered a request which left after response k-2 had
come. So the value was taken between the arrivals of k-2 and k, by the gateway's own clock, if the
server keeps to OPC 10000-4, 5.14; one PublishRequest is on its way at a time.
Left to others: when to reconnect (`supervisor.py`), what the clocks are worth (`stages/sync.py`).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, final

from asyncua import ua

from gateway.clock import NS_PER_MS, NS_PER_S, Cadence, Clock, SystemClock
from gateway.errors import LinkError
from gateway.links.opcua_session import LINK, OpcUaSession
from gateway.links.opcua_subscription import Notices
from gateway.links.opcua_values import Values, node_id, status_name
from gateway.loss import LossLedger
from gateway.records import Polled, Reading
from gateway.sinks.opcua_identity import TrustList, own_identity
from gateway.site_opcua import OpcUaServer

_LOG: Final = logging.getLogger("twinrig.links.opcua")
NODE_FAILED: Final = "node_failed"
UNKNOWN_HANDLE: Final = "unknown_handle"
"""A subscription told a value under a handle that we never gave."""
_NODES_PER_READ_MAX: Final = 200
"""Servers limit a request (MaxNodesPerRead); small ones are known to take no more."""
_SILENT_PERIODS: Final = 3
"""A subscription that is silent for so many periods, and a time-out, has ended."""
_CURRENT_TIME: Final = ua.NodeId(ua.Int32(ua.ObjectIds.Server_ServerStatus_CurrentTime))


@final
class OpcUaLink:
    """One server; a `Connection` for the supervisor.

    Args:
        site: name of the site, for the name by which servers know us.
        server: the [[opcua_servers]] table.
        folder: where our certificate and the trusted ones are kept.
        clock: when requests leave and answers come.
        ledger: nodes that failed, by server.
        deliver: takes every poll, in order.
    """

    def __init__(
        self,
        site: str,
        server: OpcUaServer,
        folder: Path,
        clock: Clock,
        ledger: LossLedger,
        deliver: Callable[[Polled], None],
    ) -> None:
        self.server = server
        self._uri = f"urn:twinrig:{site}:client"
        self._folder = folder
        self._clock = clock
        self._ledger = ledger
        self._deliver = deliver
        self._cadence = Cadence(server.period_ms * NS_PER_MS)
        self._session: OpcUaSession | None = None
        self._is_served = False
        """Whether the connection has worked and not failed, so that a polite end is worth it."""
        self._ids: dict[int, ua.NodeId] = {}
        """Nodes that the server can have, by their index in the site file."""
        self._values = Values(server.name, server.nodes)

    @property
    def connect_s(self) -> float:
        """Return the deadline of one attempt: two channels, a session, names, a subscription."""
        return 8 * self.server.timeout_ms / 1000

    @property
    def silence_s(self) -> float:
        """Return after how long without data the connection counts as dead."""
        return (_SILENT_PERIODS + 1) * self.server.period_ms / 1000 + self.connect_s

    async def connect(self) -> None:
        """Connect and find the nodes; raises `LinkError`, `OperatorError` for our own files."""
        self._is_served = False
        self._session = session = await self._new_session()
        await session.open()
        named = [node.node for node in self.server.nodes]
        has_names = any(text.startswith("nsu=") for text in named)
        namespaces = await session.namespaces() if has_names else []
        self._values = Values(self.server.name, self.server.nodes)
        self._ids.clear()
        for index, text in enumerate(named):
            known = node_id(text, namespaces)
            if isinstance(known, str):
                self._refuse(index, known)
            else:
                self._ids[index] = known
        if not self._ids:
            raise LinkError(self.server.name, LINK, "has none of the nodes of the site file")

    async def serve(self, proof_of_life: Callable[[], None]) -> None:
        """Deliver what the server says until the connection ends; raises `LinkError`."""
        session = self._session
        if session is None:
            raise LinkError(self.server.name, LINK, "not connected")
        self._is_served = True
        try:
            if self.server.mode == "poll":
                await self._poll(session, proof_of_life)
            else:
                await self._listen(session, proof_of_life)
        except LinkError:
            self._is_served = False
            raise

    async def close(self) -> None:
        """Release everything."""
        session, self._session = self._session, None
        if session is not None:
            await session.close(is_broken=not self._is_served)

    # --- poll ------------------------------------------------------------------------------------

    async def _poll(self, session: OpcUaSession, proof_of_life: Callable[[], None]) -> None:
        """Read every node on a grid."""
        indices = list(self._ids)
        while True:
            now_ns = self._clock.now_ns()
            if self._cadence.take(now_ns):
                self._hand_on(await self._read(session, indices))
                proof_of_life()
            await self._clock.sleep_until(self._cadence.due_ns(self._clock.now_ns()))

    async def _read(self, session: OpcUaSession, indices: list[int]) -> Polled:
        """Read nodes, in as many requests as it takes, as one poll with the server's clock.

        Its window is that of all requests, so the clock is that of the answer in the middle.
        """
        reads = [
            await session.read(
                [self._ids[index] for index in indices[start:][:_NODES_PER_READ_MAX]]
            )
            for start in range(0, len(indices), _NODES_PER_READ_MAX)
        ]
        values = [value for read in reads for value in read.values]
        return self._polled(
            self._readings(zip(indices, values, strict=True)),
            reads[0].requested_ns,
            max(read.received_ns for read in reads),
            reads[(len(reads) - 1) // 2].clock_ns,
        )

    # --- subscription ----------------------------------------------------------------------------

    async def _listen(self, session: OpcUaSession, proof_of_life: Callable[[], None]) -> None:
        """Subscribe, deliver what is told, and ask for the server's clock on a grid."""
        notices = Notices(self._clock, self._ids)
        statuses = await session.subscribe(self._ids, self.server.period_ms, notices.hear)
        for index, status in zip(self._ids, statuses, strict=True):
            if not status.is_good():
                self._refuse(index, status_name(int(status.value)))
        limit_ns = _SILENT_PERIODS * self._cadence.period_ns + self.server.timeout_ms * NS_PER_MS
        while True:
            now_ns = self._clock.now_ns()
            shown = await session.read([_CURRENT_TIME]) if self._cadence.take(now_ns) else None
            found = [
                self._polled(self._readings(n.values.items()), n.since_ns, n.received_ns, None)
                for n in notices.take()
            ]
            self._count_strangers(notices.take_strangers())
            if found:
                proof_of_life()
            if shown is not None:
                clock_ns = shown.clock_ns
                found.append(self._polled((), shown.requested_ns, shown.received_ns, clock_ns))
            for polled in sorted(found, key=lambda polled: polled.received_ns):
                self._hand_on(polled)
            silent_ns = notices.silent_ns(self._clock.now_ns())
            if silent_ns > limit_ns:
                silent_s = silent_ns / NS_PER_S
                raise LinkError(self.server.name, LINK, f"told nothing for {silent_s:.1f} s")
            await notices.wait(self._cadence.due_ns(self._clock.now_ns()))

    def _count_strangers(self, count: int) -> None:
        """Count values that belong to no node of ours; of their kind only the first is logged."""
        if not count:
            return
        if not self._ledger.account(self.server.name).line_errors[UNKNOWN_HANDLE]:
            _LOG.warning("opcua_unknown_handle server=%s", self.server.name)
        self._ledger.line_error(self.server.name, UNKNOWN_HANDLE, count)

    # --- both ------------------------------------------------------------------------------------

    def _readings(self, answers: Iterable[tuple[int, ua.DataValue]]) -> tuple[Reading, ...]:
        """Return the readings that answers of nodes are; those without a value are counted."""
        readings = []
        for index, answer in answers:
            reading, refusal = self._values.reading(index, answer)
            self._refuse(index, refusal)
            readings.append(reading)
        return tuple(readings)

    def _refuse(self, index: int, why: str) -> None:
        """Count a node that gave no value, and log it once per reason; "" is a good answer."""
        if why:
            self._ledger.line_error(self.server.name, NODE_FAILED)
        if self._values.is_news(index, why):
            name = f"{self.server.name}:{self.server.nodes[index].name}"
            _LOG.info("opcua_node signal=%s error=%r", name, why)

    def _polled(
        self,
        readings: tuple[Reading, ...],
        requested_ns: int,
        received_ns: int,
        clock_ns: int | None,
    ) -> Polled:
        """Return readings, or the server's clock, or both, as the record of a poll."""
        step_ns = round(self.server.clock_step_ms * NS_PER_MS)
        return Polled(
            source=self.server.name,
            link=LINK,
            readings=readings,
            requested_ns=requested_ns,
            received_ns=received_ns,
            clock_ns=clock_ns,
            clock_resolution_ns=0 if clock_ns is None else step_ns,
        )

    def _hand_on(self, polled: Polled) -> None:
        """Deliver a record that says something."""
        if polled.readings or polled.clock_ns is not None:
            self._deliver(polled)

    async def _new_session(self) -> OpcUaSession:
        """Return a session that has not connected; makes our certificate when it is first needed.

        Certificates are held against real time, whatever time a test plays.
        """
        server = self.server
        trust = TrustList(self._folder / server.name, SystemClock())
        identity = None
        if not server.allow_unencrypted:
            identity = await asyncio.to_thread(own_identity, self._folder, self._uri, "localhost")
        return OpcUaSession(server, identity, trust, self._uri, self._clock)
