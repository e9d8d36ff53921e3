"""The gateway put together, in reading order: links -> stages -> sinks.

Promises: one object for both lives of the gateway. In wall time `run` owns one task per link and
sink, all named, all in one task group. In virtual time the rig calls `receive`, `probes`,
`poll_modbus` and `drain` itself and nothing happens in between but the work of the sinks. South
never waits for north: `receive` only queues.
Left to others: checking and understanding (`stages/`), the connections (`links/`, `sinks/`).
Order: `start`, then any of the others, then `stop`, all in the same task.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, final

from gateway.clock import NS_PER_MS, NS_PER_S, Cadence, Clock, SystemClock
from gateway.commands import Commands, next_start
from gateway.errors import InternalError
from gateway.links.modbus import ModbusLink
from gateway.links.node_serial import NodeSerial
from gateway.links.supervisor import Supervision, default_backoff, supervise
from gateway.loss import LossLedger
from gateway.records import Input, Received, Record
from gateway.site import Site, load_keys
from gateway.stages.pipeline import Pipeline

_LOG: Final = logging.getLogger("twinrig.gateway")


class Sink(Protocol):
    """What the gateway asks of a place where records go."""

    name: str

    async def start(self) -> None:
        """Open what must be open before the first record; raise `OperatorError` if it cannot."""
        ...

    async def work(self) -> None:
        """Deliver what is queued until cancelled."""
        ...

    async def settle(self) -> None:
        """Return when it is known whether the sink works, at most a few seconds."""
        ...

    def put(self, record: Record) -> None:
        """Queue a record, or ignore a kind this sink does not publish. Never waits."""
        ...

    async def drain(self) -> None:
        """Return when everything queued is out, or cannot go out now."""
        ...

    async def stop(self) -> None:
        """Say goodbye and release everything; harmless when `start` failed."""
        ...

    def endpoints(self) -> dict[str, str]:
        """Return where a client finds this sink: name -> address."""
        ...


@final
class Gateway:
    """A gateway for one site.

    Args:
        site: what to run.
        clock: whose time it is.
        state_dir: where certificates, store and start counter live; made if missing.
        keys: root key by node name; None reads the key files of the site at `start`.
        seed: of the jitter between connection attempts.
    """

    def __init__(
        self,
        site: Site,
        clock: Clock,
        state_dir: Path,
        *,
        keys: Mapping[str, bytes] | None = None,
        seed: int = 0,
    ) -> None:
        self.site = site
        self.ledger = LossLedger()
        self._clock = clock
        self._state_dir = state_dir
        self._keys = keys
        self._rng = random.Random(seed)

    async def start(self) -> None:
        """Load keys, open the sinks and their tasks; on any error close what was open already."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Close everything in reverse order; what is queued is delivered if it can be."""
        raise NotImplementedError

    def receive(self, item: Input, now_ns: int) -> list[Record]:
        """Take one frame or poll through all stages; queue and return every record it made."""
        raise NotImplementedError

    def probes(self, now_ns: int) -> list[tuple[str, bytes]]:
        """Return (node, framed and sealed bytes) of every time probe that is due; send them now."""
        raise NotImplementedError

    async def poll_modbus(self, now_ns: int) -> list[Record]:
        """Poll every Modbus device that is due and take the answers through all stages."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Return when every sink has delivered what is queued, or cannot now."""
        raise NotImplementedError

    def endpoints(self) -> dict[str, str]:
        """Return what can be read where, for example {"opcua": "opc.tcp://127.0.0.1:4840/..."}."""
        raise NotImplementedError

    async def run(self) -> None:
        """Run links and sinks in wall time until cancelled; between `start` and `stop`."""
        raise NotImplementedError
