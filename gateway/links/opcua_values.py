"""What an OPC UA server says, as readings and times: no I/O, and no answer is too odd.

Promises: a value counts only as a finite scalar number with a status that is not bad, else it is
NaN with a bad status; the source's own status goes with it; a time comes out as integer nanoseconds
or None, whatever was sent; a stamp is told once, when a signal has changed it under our eyes.
Left to others: asking (`opcua_client.py`), what a stamp is worth (`stages/sync.py`).

Why only a stamp that is new is told: a server keeps the SourceTimestamp of a value for as long as
it has no newer one (OPC 10000-4, 7.11.3). A stamp that is repeated, or that was there when we came,
says how old the value is and nothing about the clock that made it.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, final

from asyncua import ua

from gateway import status
from gateway.records import Reading
from gateway.site_opcua import OpcUaNode

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NULL_YEAR: Final = 1601
"""A DateTime of 0 means that there is none (OPC 10000-6, 5.2.2.5); it reads as this year."""
_TIME_END_NS: Final = (1 << 63) - 1
"""Where a time is cut off, in 2262: absurd in any case, and still 64 bits."""
_RESERVED: Final = 0xC000_0000
"""From here on a status code has the reserved severity 11, to be taken for bad (7.39)."""
_NUMBERS: Final = frozenset(
    {
        ua.VariantType.Boolean, ua.VariantType.SByte, ua.VariantType.Byte, ua.VariantType.Int16,
        ua.VariantType.UInt16, ua.VariantType.Int32, ua.VariantType.UInt32, ua.VariantType.Int64,
        ua.VariantType.UInt64, ua.VariantType.Float, ua.VariantType.Double,
    }
)  # fmt: skip


def utc_ns(stamp: datetime | None) -> int | None:
    """Return a DateTime in nanoseconds since 1970; None when the server stated none."""
    if stamp is None or stamp.year <= _NULL_YEAR:
        return None
    aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
    shown_ns = (aware - _EPOCH) // _MICROSECOND * 1000
    return max(-_TIME_END_NS, min(shown_ns, _TIME_END_NS))


def status_name(code: int) -> str:
    """Return the standard's name of a status code, or its digits."""
    name, _ = ua.status_codes.get_name_and_doc(code)
    return name or f"0x{code:08X}"


def node_id(text: str, namespaces: Sequence[str]) -> ua.NodeId | str:
    """Return the NodeId that a site file names, or say why the server cannot have it.

    `namespaces` is the server's NamespaceArray; only `nsu=` needs it.
    """
    try:
        if not text.startswith("nsu="):
            return ua.NodeId.from_string(text)
        uri, _, rest = text.removeprefix("nsu=").partition(";")
        if uri not in namespaces:
            return f"the server has no namespace {uri}"
        return ua.NodeId.from_string(f"ns={namespaces.index(uri)};{rest}")
    except ua.UaError:
        return f"{text} is no NodeId"


@final
class Values:
    """The values of one server's nodes as readings; remembers what was said last of each.

    Args:
        source: name of the server in the site file.
        nodes: what is read; answers are given by their index.
    """

    def __init__(self, source: str, nodes: Sequence[OpcUaNode]) -> None:
        self._nodes = tuple(nodes)
        self._signals = tuple(f"{source}:{node.name}" for node in nodes)
        self._stamps: dict[int, int] = {}
        self._refusals: dict[int, str] = {}

    def reading(self, index: int, answer: ua.DataValue) -> tuple[Reading, str]:
        """Return what a node said as a reading, and why it has no value, "" if it has one."""
        code = 0 if answer.StatusCode is None else int(answer.StatusCode.value)
        if code >= _RESERVED:
            code = status.BAD
        raw, refusal = _number(answer.Value), ""
        if status.is_bad(code):
            refusal = status_name(code)
        elif raw is None:
            refusal, code = "is no scalar number", status.BAD_CONFIGURATION_ERROR
        node = self._nodes[index]
        number = math.nan if refusal or raw is None else raw * node.scale + node.offset
        if not refusal and not math.isfinite(number):
            number, refusal, code = math.nan, "is no finite number", status.BAD_SENSOR_FAILURE
        reading = Reading(
            signal=self._signals[index],
            unit=node.unit,
            value=number,
            tick_us=None,
            stamp_ns=self._new_stamp(index, utc_ns(answer.SourceTimestamp)),
            status=code,
        )
        return reading, refusal

    def is_news(self, index: int, refusal: str) -> bool:
        """Tell whether a node is refused for another reason than last time; "" for an answer."""
        before = self._refusals.get(index, "")
        self._refusals[index] = refusal
        return refusal != before

    def _new_stamp(self, index: int, stamp_ns: int | None) -> int | None:
        """Return a stamp if it has replaced another one."""
        is_first = index not in self._stamps
        if stamp_ns is None or self._stamps.get(index) == stamp_ns:
            return None
        self._stamps[index] = stamp_ns
        return None if is_first else stamp_ns


def _number(variant: ua.Variant | None) -> float | None:
    """Return a scalar number; None for anything else."""
    if variant is None or variant.is_array or variant.VariantType not in _NUMBERS:
        return None
    return None if variant.Value is None else float(variant.Value)
