"""Names, qualities and numbers as Sparkplug metrics have them.

Promises: quality travels as the property "Quality" (0 bad, 192 good, 500 stale) with the OPC UA
code beside it; what is no number, or bad, is null.
Source: Sparkplug 3.0.0 chapter 6.4.8 (PropertySet, Quality).
"""

import math
from typing import Final

from gateway import status
from gateway.sinks.sparkplug_payload import DataType, Metric, Property

QUALITY_BAD: Final = 0
QUALITY_GOOD: Final = 192
QUALITY_STALE: Final = 500


def metric_name(signal: str) -> str:
    """Return the metric of a signal: `node:channel` becomes the folder and leaf `node/channel`."""
    return signal.replace(":", "/")


def quality(code: int) -> int:
    """Return the Sparkplug quality of an OPC UA status; the spec has these three only."""
    if status.is_bad(code):
        return QUALITY_BAD
    stale = (
        status.UNCERTAIN_LAST_USABLE_VALUE,
        status.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE,
    )
    return QUALITY_STALE if code in stale else QUALITY_GOOD


def qualified(code: int) -> tuple[Property, ...]:
    """Return quality and status as properties."""
    return (
        Property(key="Quality", datatype=DataType.INT32, value=quality(code)),
        Property(key="StatusCode", datatype=DataType.UINT32, value=code),
    )


def number(name: str, value: float, code: int) -> Metric:
    """Return a number with its quality, without a time; what is no number is null and bad."""
    if not math.isfinite(value) and not status.is_bad(code):
        code = status.BAD_NO_DATA
    return Metric(
        name=name,
        datatype=DataType.DOUBLE,
        value=None if status.is_bad(code) else value,
        properties=qualified(code),
    )
