"""[[opcua_servers]] of `site.toml`: OPC UA servers whose values this gateway reads.

Promises: encryption with certificates unless `allow_unencrypted` says otherwise, which is for
loopback only (`site_rules.py`). Left to others: reading (`links/opcua_client.py`), and the server
that this gateway is itself (`OpcUaSettings` in `site.py`).

    [[opcua_servers]]
    name = "press"
    endpoint = "opc.tcp://press.plant:4840/server"
    [[opcua_servers.nodes]]
    name = "pressure"
    node = "nsu=urn:maker:press;s=Press.Hydraulics.Pressure"
    unit = "Pa"
"""

from typing import Annotated, Literal

from pydantic import Field

from gateway.clock import NS_PER_MS
from gateway.site_fields import FilePath, Finite, Name, NotEmpty, Positive, Table, Unit

Endpoint = Annotated[
    str,
    Field(pattern=r"^opc\.tcp://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}(/\S*)?$"),
    Field(max_length=512),
]
"""URL of OPC UA's binary protocol; the port must be stated."""
NodeText = Annotated[
    str,
    Field(
        pattern=r"^((ns=[0-9]{1,5}|nsu=[^;]+);)?(i=[0-9]{1,10}|s=.+|g=[0-9A-Fa-f-]{36}|b=[A-Za-z0-9+/=]+)$",
        max_length=512,
    ),
]
"""NodeId as in OPC 10000-6, 5.3.1.10; `nsu=` names a namespace whatever its index is today."""


class OpcUaNode(Table):
    """[[opcua_servers.nodes]] One variable: value = raw x scale + offset."""

    name: Name
    node: NodeText
    unit: Unit
    scale: Finite = 1.0
    offset: Finite = 0.0


class OpcUaServer(Table):
    """[[opcua_servers]] A server read from: polled, or subscribed to for changes."""

    name: Name
    endpoint: Endpoint
    policy: Literal["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] = (
        "Basic256Sha256"
    )
    """Security policy of the endpoint to take; messages are signed and encrypted."""
    allow_unencrypted: bool = False
    """Speak without security to a server on this machine."""
    username: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    password_file: FilePath | None = None
    mode: Literal["poll", "subscription"] = "poll"
    """"poll" reads every node once per period; "subscription" has the server sample them at that
    period and tell what changed."""
    period_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1000
    timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 2000
    clock_step_ms: Positive = 16.0
    """One step of the server's clock: 15.6 ms is the coarsest of operating systems in use."""
    nodes: Annotated[tuple[OpcUaNode, ...], Field(strict=False), NotEmpty]

    def units(self) -> dict[str, str]:
        """Return the SenML unit of every signal by its resolved name."""
        return {f"{self.name}:{node.name}": node.unit for node in self.nodes}

    def periods_ns(self) -> dict[str, int]:
        """Return how often every signal comes, by its resolved name."""
        return dict.fromkeys(self.units(), self.period_ms * NS_PER_MS)
