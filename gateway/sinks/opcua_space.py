"""The address space of a site: which node says what.

    Objects/<asset>/<signal>                  value; EngineeringUnits, EURange and VALUE
    Objects/<asset>/Estimate/...              AnomalyProbability, Score, Cause, ModelId, ...
    Objects/<asset>/Estimate/<signal>/...     Expected, Fused, Interval, Contribution, Trust, ...
    Objects/<asset>/Verdict/...               State, Probability, Blamed, Evidence, Causes, ...
    Objects/Ledger/<source or sink>/...       counters, Reasons, AddsUp
    Objects/Nodes/<node>/...                  what a node says about itself (opcua_health.py)
    Objects/Time, Objects/Kpi, ...            what is known about time (opcua_time.py)

Promises: node ids are strings made of the names of the site file (`ns=2;s=pump/pump-a:flow`), so a
client keeps its configuration over restarts; every variable starts as BadWaitingForInitialData and
only this process can write. Left to others: when a value is written (`opcua.py`,
`opcua_estimate.py`).
Source: OPC 10000-8 5.3.2 (AnalogItemType), 5.6.3 (EUInformation).
"""

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Final, final

from asyncua import Server, ua

from gateway import status
from gateway.clock import NS_PER_US
from gateway.errors import InternalError
from gateway.sinks.time_tags import sources
from gateway.site import Site
from wire import units

_EPOCH: Final = ua.DateTime(1970, 1, 1, tzinfo=UTC)
_UNECE_NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
_DOUBLE, _STRING, _INT64 = ua.VariantType.Double, ua.VariantType.String, ua.VariantType.Int64
_BOOLEAN, _TIME, _UINT32 = (
    ua.VariantType.Boolean,
    ua.VariantType.DateTime,
    ua.VariantType.UInt32,
)

VALUE: Final = {"TimeBoundNs": _INT64, "TimeUncertaintyK2Ns": _INT64, "Provenance": _STRING}
"""Properties of a value: hard bound and expanded uncertainty (k = 2) of its time, its proof."""
CAUSES: Final = {
    "Cause": _STRING,
    "CauseSignal": _STRING,
    "CauseProbability": _DOUBLE,
    "Causes": _STRING,
}
"""The most probable cause in parts, and all that are named, each as a line of text."""
ESTIMATE: Final = {
    "AnomalyProbability": _DOUBLE,
    "Score": _DOUBLE,
    "IsTrained": _BOOLEAN,
    "Kind": _STRING,
    "ScaleRows": _INT64,
    "Regime": _INT64,
    "ModelId": _STRING,
    "CoherenceK2Ns": _INT64,
    "TimeBoundNs": _INT64,
    **CAUSES,
}
IN_UNIT: Final = ("Expected", "StandardDeviation", "Fused", "FusedDeviation", "Interval")
"""Estimates in the unit of their signal."""
SIGNAL_ESTIMATE: Final = (*IN_UNIT, "Contribution", "Trust")
VERDICT: Final = {
    "State": _STRING,
    "Probability": _DOUBLE,
    "Time": _TIME,
    "Since": _TIME,
    "Blamed": _STRING,
    "BlamedShare": _DOUBLE,
    "Evidence": _STRING,
    **CAUSES,
    "Sequence": _UINT32,
}
HEALTH: Final = {
    "Status": _STRING,
    "StatusTime": _TIME,
    "Problems": _STRING,
    "LastReport": _STRING,
    "BootTime": _TIME,
    "BootId": _INT64,
    "BootReason": _STRING,
    "Firmware": _STRING,
    "FilesSha256": _STRING,
    "UpdateState": _STRING,
    **dict.fromkeys(
        (
            "UptimeUs", "Samples", "Overruns", "JitterMaxUs", "FreeBytes", "SpoolFrames",
            "SpoolDropped", "SpoolBytes", "Rejected", "LinkRestarts", "CommandId", "KeyEpoch",
            "WatchdogResets",
        ),
        _INT64,
    ),
}  # fmt: skip
"""What a node says about itself."""
_ARRAYS: Final = frozenset(("Blamed", "BlamedShare", "Causes", "Interval", "Problems"))
SOURCE_COUNTERS: Final = (
    "Received", "Verified", "Rejected", "Lost", "Unanswered", "Awaited", "Declared", "Unknown",
    "Recovered", "Delivered", "LineErrors",
)  # fmt: skip
SINK_COUNTERS: Final = ("Offered", "Delivered", "Dropped", "Queued")


def utc(time_ns: int) -> ua.DateTime:
    """Return a time as OPC UA's DateTime, cut to whole microseconds."""
    return _EPOCH + timedelta(microseconds=time_ns // NS_PER_US)


def standard(identifier: int) -> ua.NodeId:
    """Return a node id of the OPC UA namespace itself."""
    return ua.NodeId(ua.Int32(identifier))


OBJECTS: Final = standard(ua.ObjectIds.ObjectsFolder)


def eu_information(symbol: str) -> ua.EUInformation:
    """Return the EUInformation of a SenML unit."""
    unit = units.unit(symbol)
    return ua.EUInformation(
        NamespaceUri=_UNECE_NAMESPACE,
        UnitId=units.unece_id(unit.unece),
        DisplayName=ua.LocalizedText(unit.display),
        Description=ua.LocalizedText(unit.senml),
    )


@final
class Space:
    """Builds and writes the nodes of one site in namespace `index`."""

    def __init__(self, server: Server, index: int, site: Site) -> None:
        self._server = server
        self._index = index
        self._site = site
        self._types: dict[str, ua.VariantType] = {}

    async def build(self, sinks: tuple[str, ...]) -> None:
        """Add every node; `sinks` are the names the ledger has accounts for."""
        asset = self._site.asset
        await self.add_object(OBJECTS, asset)
        ranges = {
            f"{node.name}:{channel.name}": channel.valid
            for node in self._site.nodes
            for channel in node.channels
        }
        for signal, unit in self._site.units().items():
            await self._signal(asset, signal, unit, ranges.get(signal))
        await self._estimate(asset)
        await self.add_object(self.node(asset), "Verdict", f"{asset}/Verdict")
        for name, kind in VERDICT.items():
            await self.add_variable(f"{asset}/Verdict", name, kind, is_array=name in _ARRAYS)
        await self._ledger(sinks)
        await self.add_object(OBJECTS, "Nodes")
        for each in self._site.nodes:
            await self.add_object(self.node("Nodes"), each.name, f"Nodes/{each.name}")
            for name, kind in HEALTH.items():
                await self.add_variable(f"Nodes/{each.name}", name, kind, is_array=name in _ARRAYS)

    def node(self, path: str) -> ua.NodeId:
        """Return the node id of a path such as "pump/Verdict/State"."""
        return ua.NodeId(ua.String(path), ua.Int16(self._index))

    def knows(self, path: str) -> bool:
        """Tell whether there is a variable at this path."""
        return path in self._types

    async def write(
        self,
        path: str,
        value: object,
        *,
        code: int = status.GOOD,
        source_ns: int | None = None,
        server_ns: int | None = None,
    ) -> None:
        """Write a value, or None for null, with its status and times; a bad one is read as null."""
        kind = ua.VariantType.Null if value is None else self._types[path]
        data = ua.DataValue(
            ua.Variant(value, kind),
            StatusCode=ua.StatusCode(ua.UInt32(code)),
            SourceTimestamp=None if source_ns is None else utc(source_ns),
            ServerTimestamp=None if server_ns is None else utc(server_ns),
        )
        result = await self._server.iserver.aspace.write_attribute_value(
            self.node(path), ua.AttributeIds.Value, data
        )
        if result is None or not result.is_good():
            raise InternalError(f"OPC UA node {path} does not take {value!r}: {result}")

    async def write_all(
        self,
        path: str,
        facts: Mapping[str, object],
        source_ns: int,
        server_ns: int,
        code: int = status.GOOD,
    ) -> None:
        """Write several variables below `path` with one status and one pair of times."""
        for name, fact in facts.items():
            await self.write(
                f"{path}/{name}", fact, code=code, source_ns=source_ns, server_ns=server_ns
            )

    async def _signal(
        self, asset: str, signal: str, unit: str, valid: tuple[float, float] | None
    ) -> None:
        """Add one signal with its properties."""
        kind = ua.ObjectIds.AnalogUnitType if valid is None else ua.ObjectIds.AnalogItemType
        await self.add_variable(asset, signal, _DOUBLE, type_definition=kind)
        path = f"{asset}/{signal}"
        await self.add_units(path, unit)
        if valid is not None:
            limits = ua.Variant(ua.Range(Low=valid[0], High=valid[1]))
            await self._property(path, "EURange", limits, ua.ObjectIds.Range)
        for name, type_of in VALUE.items():
            await self.add_variable(path, name, type_of, is_property=True)

    async def _estimate(self, asset: str) -> None:
        """Add the estimate of the asset and of every signal the model covers."""
        parent = f"{asset}/Estimate"
        await self.add_object(self.node(asset), "Estimate", parent)
        for name, kind in ESTIMATE.items():
            await self.add_variable(parent, name, kind, is_array=name in _ARRAYS)
        all_units = self._site.units()
        for signal in self._site.fused_signals():
            await self.add_object(self.node(parent), signal, f"{parent}/{signal}")
            for name in SIGNAL_ESTIMATE:
                await self.add_variable(
                    f"{parent}/{signal}", name, _DOUBLE, is_array=name in _ARRAYS
                )
            for name in IN_UNIT:
                await self.add_units(f"{parent}/{signal}/{name}", all_units[signal])

    async def _ledger(self, sinks: tuple[str, ...]) -> None:
        """Add the counters of every source and sink."""
        await self.add_object(OBJECTS, "Ledger")
        rows: Mapping[str, tuple[str, ...]] = {
            **dict.fromkeys(sources(self._site), SOURCE_COUNTERS),
            **dict.fromkeys(sinks, SINK_COUNTERS),
        }
        for name, counters in rows.items():
            parent = f"Ledger/{name}"
            await self.add_object(self.node("Ledger"), name, parent)
            for counter in counters:
                await self.add_variable(parent, counter, _INT64)
            await self.add_variable(parent, "Reasons", _STRING)
            await self.add_variable(parent, "AddsUp", _BOOLEAN)

    async def add_units(self, path: str, unit: str) -> None:
        """Add the unit of a variable."""
        value = ua.Variant(eu_information(unit))
        await self._property(path, "EngineeringUnits", value, ua.ObjectIds.EUInformation)

    async def add_object(self, parent: ua.NodeId, name: str, path: str | None = None) -> None:
        """Add an object."""
        node = self._server.get_node(parent)
        await node.add_object(self.node(path or name), ua.QualifiedName(name, self._index))

    async def _property(self, path: str, name: str, value: ua.Variant, datatype: int) -> None:
        """Add a property of namespace 0 that never changes."""
        await self._server.get_node(self.node(path)).add_property(
            self.node(f"{path}/{name}"),
            ua.QualifiedName(name, 0),
            value.Value,
            value.VariantType,
            standard(datatype),
        )

    async def add_variable(
        self,
        parent: str,
        name: str,
        kind: ua.VariantType,
        *,
        type_definition: int = ua.ObjectIds.BaseDataVariableType,
        is_array: bool = False,
        is_property: bool = False,
    ) -> None:
        """Add a variable without a value yet."""
        path = f"{parent}/{name}"
        attributes = ua.VariableAttributes(
            DisplayName=ua.LocalizedText(name),
            Value=ua.Variant(None, ua.VariantType.Null),
            DataType=standard(kind.value),
            ValueRank=ua.ValueRank.OneDimension if is_array else ua.ValueRank.Scalar,
            AccessLevel=ua.AccessLevel.CurrentRead.mask,
            UserAccessLevel=ua.AccessLevel.CurrentRead.mask,
        )
        item = ua.AddNodesItem(
            ParentNodeId=self.node(parent),
            ReferenceTypeId=standard(
                ua.ObjectIds.HasProperty if is_property else ua.ObjectIds.HasComponent
            ),
            RequestedNewNodeId=self.node(path),
            BrowseName=ua.QualifiedName(name, self._index),
            NodeClass=ua.NodeClass.Variable,
            NodeAttributes=attributes,
            TypeDefinition=standard(ua.ObjectIds.PropertyType if is_property else type_definition),
        )
        results = await self._server.iserver.isession.add_nodes([item])
        results[0].StatusCode.check()
        self._types[path] = kind
        waiting = ua.DataValue(
            ua.Variant(None, ua.VariantType.Null),
            StatusCode=ua.StatusCode(ua.UInt32(status.BAD_WAITING_FOR_INITIAL_DATA)),
        )
        await self._server.iserver.aspace.write_attribute_value(
            self.node(path), ua.AttributeIds.Value, waiting
        )
