"""OPC UA server: every value with its source time, its uncertainty, its status and its proof.

Promises: clients read and nobody writes; the default is SignAndEncrypt with Basic256Sha256 for
clients the operator has trusted (`opcua_identity.py`); an endpoint without encryption exists only
on a loopback host and only when the site file asks for it. A value older than the one shown is
never shown as new (dropped as "late"), unless the gateway's own clock was set back meanwhile. The
ledger and the health of the nodes are part of the address space. A stop ends the sessions of
clients that stay connected.
Left to others: the nodes themselves (`opcua_space.py`), what of a record goes to which node
(`opcua_estimate.py`, `opcua_health.py`, `opcua_time.py`); history, alarms and users come later.
"""

import asyncio
import errno
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Final, final

from asyncua import Server, ua

from gateway.clock import Clock, SystemClock, give_way
from gateway.errors import PortInUseError
from gateway.loss import LossLedger, SinkBalance, SourceBalance
from gateway.records import Aligned, Estimate, Record, Report, TimeRecord, Verdict
from gateway.records_time import LinkKpi, SyncCheck
from gateway.sinks.opcua_estimate import show_estimate, show_verdict
from gateway.sinks.opcua_health import show_report
from gateway.sinks.opcua_identity import ReadOnly, TrustedReaders, TrustList, own_identity
from gateway.sinks.opcua_server import QuietServer, free_port, in_url
from gateway.sinks.opcua_space import Space, standard, utc
from gateway.sinks.opcua_time import (
    build_time,
    is_configured,
    path_of,
    show_check,
    show_kpi,
    show_time,
)
from gateway.sinks.outbox import Outbox
from gateway.sinks.time_tags import active_after
from gateway.site import OpcUaSettings, Site

LATE: Final = "late"
_Published = Aligned | Estimate | Verdict | Report | TimeRecord
_QUEUE_MAX: Final = 50_000
_BATCH_MAX: Final = 500
"""Records written before other tasks get their turn."""


@final
class OpcUaSink:
    """The OPC UA server of a site.

    Args:
        site: names, units and ranges of the signals.
        settings: its [opcua] table.
        ledger: counts this sink and is shown by it.
        clock: server times; certificates live in real time, even while a rig runs in virtual time.
        folder: where certificate, trust list and rejected certificates live.
        sinks: names of all sinks in the ledger.
    """

    name = "opcua"

    def __init__(
        self,
        site: Site,
        settings: OpcUaSettings,
        ledger: LossLedger,
        clock: Clock,
        folder: Path,
        sinks: tuple[str, ...],
    ) -> None:
        self._site = site
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._folder = folder
        self._sinks = sinks
        self._outbox: Outbox[_Published] = Outbox(self.name, _QUEUE_MAX, ledger)
        self._shown: dict[str, tuple[int, int]] = {}
        """By path: time of the record shown, and the gateway's time when that was done."""
        self._active: dict[str, tuple[str, ...]] = {}
        """By source: the findings about its time that hold."""
        self._shown_rows: dict[str, SourceBalance | SinkBalance] = {}
        self._server: Server | None = None
        self._space: Space | None = None
        self._draining = asyncio.Lock()
        self.url = ""

    async def start(self) -> None:
        """Make the address space and listen; raise `PortInUseError` when the port is taken."""
        port = free_port(self._settings.host, self._settings.port)
        self.url = f"opc.tcp://{in_url(self._settings.host)}:{port}/twinrig/{self._site.name}"
        server = await self._make_server()
        space = Space(server, await server.register_namespace(self._namespace), self._site)
        await space.build(self._sinks)
        await build_time(space, self._site, self._clock.now_ns())
        try:
            await server.start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(self._settings.host, port, "OPC UA server") from error
            raise
        self._server, self._space = server, space
        self._tell_time(server)

    def workers(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return the one task of this sink."""
        return (self._pump(),)

    async def settle(self) -> None:
        """Return at once: a started server works."""

    def put(self, record: Record) -> None:
        """Queue what can be published here; frames and polls themselves cannot."""
        if isinstance(record, _Published):
            self._outbox.put(record)

    async def drain(self) -> None:
        """Write everything queued and the ledger as it stands."""
        async with self._draining:
            if self._space is None:
                return
            while batch := self._outbox.take(_BATCH_MAX):
                for record in batch:
                    await self._show(self._space, record)
                await give_way()
            await self._show_ledger(self._space)

    async def stop(self) -> None:
        """Close all sessions and the port."""
        server, self._server, self._space = self._server, None, None
        self._outbox.drop_all("stopped")
        if server is not None:
            if isinstance(server.iserver, QuietServer):
                await server.iserver.end_sessions()
            await server.stop()
            # A turn for the tasks that were cancelled last.
            await give_way()

    def endpoints(self) -> dict[str, str]:
        """Return the endpoint URL."""
        return {self.name: self.url}

    async def _pump(self) -> None:
        """Write queued records until cancelled."""
        while True:
            await self._outbox.wait()
            await self.drain()

    @property
    def _namespace(self) -> str:
        return f"urn:twinrig:{self._site.name}"

    async def _make_server(self) -> Server:
        """Return a configured server that does not listen yet."""
        settings = self._settings
        uri = f"{self._namespace}:gateway"
        identity = await asyncio.to_thread(own_identity, self._folder, uri, settings.host)
        trust = TrustList(self._folder, SystemClock())
        readers = TrustedReaders(trust, allow_unencrypted=settings.allow_unencrypted_loopback)
        internal = QuietServer(user_manager=readers)
        internal.allow_remote_admin = False
        # The clock task of asyncua delays every stop by up to a second; see `_tell_time`.
        internal.disabled_clock = True
        server = Server(iserver=internal)
        await server.init()
        await server.set_application_uri(uri)
        server.set_server_name(f"Twinrig {self._site.name}")
        server.set_endpoint(self.url)
        await server.load_certificate(identity.certificate_path)
        await server.load_private_key(identity.key_path)
        policies = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        if settings.allow_unencrypted_loopback:
            policies.append(ua.SecurityPolicyType.NoSecurity)
        server.set_security_policy(policies, ReadOnly())
        # The client's certificate is the identity: no passwords, no user certificates yet.
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        return server

    def _tell_time(self, server: Server) -> None:
        """Answer reads of CurrentTime with the gateway's clock, virtual time included."""

        def current(_node: ua.NodeId, _attribute: ua.AttributeIds) -> ua.DataValue:
            now = utc(self._clock.now_ns())
            return ua.DataValue(ua.Variant(now, ua.VariantType.DateTime), SourceTimestamp=now)

        server.set_attribute_value_callback(
            standard(ua.ObjectIds.Server_ServerStatus_CurrentTime), current
        )

    async def _show(self, space: Space, record: _Published) -> None:
        """Write one record to its nodes."""
        path = self._path(record)
        if not self._is_configured(space, path, record):
            self._outbox.drop("not_configured")
            return
        if self._is_late(path, record.time_ns):
            self._outbox.drop(LATE)
            return
        now_ns = self._clock.now_ns()
        match record:
            case Aligned():
                await self._show_value(space, path, record)
            case Estimate():
                await show_estimate(space, record, now_ns)
            case Verdict():
                await show_verdict(space, record, now_ns)
            case Report():
                await show_report(space, record, now_ns)
            case SyncCheck():
                active = active_after(self._active.get(record.source, ()), record)
                self._active[record.source] = active
                await show_check(space, record, active, now_ns)
            case LinkKpi():
                await show_kpi(space, record, now_ns)
            case _:
                await show_time(space, record, self._site.asset, now_ns)
        self._outbox.delivered(1)

    def _path(self, record: _Published) -> str:
        """Return the path of what a record replaces."""
        match record:
            case Aligned():
                return f"{self._site.asset}/{record.signal}"
            case Report():
                return f"Nodes/{record.source}/{record.kind.value}"
            case Estimate() | Verdict():
                return f"{record.asset}/{type(record).__name__}"
            case _:
                return path_of(record, self._site.asset)

    def _is_configured(self, space: Space, path: str, record: _Published) -> bool:
        """Tell whether there are nodes for a record."""
        if isinstance(record, Aligned):
            return space.knows(path)
        return not isinstance(record, TimeRecord) or is_configured(space, record, self._site.asset)

    def _is_late(self, path: str, time_ns: int) -> bool:
        """Tell whether something newer is shown already; if not, this is what is shown now.

        What was shown before the gateway's clock was set back is newer by that clock only.
        """
        now_ns = self._clock.now_ns()
        shown_ns, done_ns = self._shown.get(path, (time_ns, now_ns))
        if time_ns < shown_ns and now_ns >= done_ns:
            return True
        self._shown[path] = time_ns, now_ns
        return False

    async def _show_value(self, space: Space, path: str, value: Aligned) -> None:
        """Write a value after what qualifies it."""
        now_ns = self._clock.now_ns()
        for name, fact in (
            ("TimeBoundNs", value.bound_ns),
            ("TimeUncertaintyK2Ns", value.uncertainty_ns),
            ("Provenance", value.provenance.value),
        ):
            await space.write(f"{path}/{name}", fact, source_ns=value.time_ns, server_ns=now_ns)
        await space.write(
            path, value.value, code=value.status, source_ns=value.time_ns, server_ns=now_ns
        )

    async def _show_ledger(self, space: Space) -> None:
        """Write the accounts that have changed since they were last shown."""
        for source in self._ledger.rows():
            facts: dict[str, object] = {
                "Received": source.received,
                "Verified": source.verified,
                "Rejected": source.rejected_total,
                "Lost": source.lost,
                "Unanswered": source.unanswered,
                "Awaited": source.awaited,
                "Declared": source.declared,
                "Unknown": source.unknown,
                "Recovered": source.recovered,
                "Delivered": source.delivered,
                "LineErrors": sum(source.line_errors.values()),
                "Reasons": _reasons({**source.rejected, **source.line_errors}),
            }
            await self._show_row(space, source.source, source, facts)
        for sink in self._ledger.sink_rows():
            facts = {
                "Offered": sink.offered,
                "Delivered": sink.delivered,
                "Dropped": sum(sink.dropped.values()),
                "Queued": sink.queued,
                "Reasons": _reasons(sink.dropped),
            }
            await self._show_row(space, sink.sink, sink, facts)

    async def _show_row(
        self,
        space: Space,
        name: str,
        row: SourceBalance | SinkBalance,
        facts: Mapping[str, object],
    ) -> None:
        """Write one account."""
        path = f"Ledger/{name}"
        if self._shown_rows.get(name) == row or not space.knows(f"{path}/AddsUp"):
            return
        self._shown_rows[name] = row
        now_ns = self._clock.now_ns()
        await space.write_all(path, {**facts, "AddsUp": row.adds_up()}, now_ns, now_ns)


def _reasons(counts: Mapping[str, int]) -> str:
    """Return counts by reason as one line: "bad_mac=2 replayed=1"."""
    return " ".join(f"{reason}={count}" for reason, count in sorted(counts.items()))
