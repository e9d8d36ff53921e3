"""[[mqtt_sources]] of `site.toml`: devices that publish plain JSON, heard through [mqtt].

Promises: every topic is stated in full, for what is not asked for is not listened to. Nothing
vouches for such values but the broker's access list. Left to others: rules between fields
(`site_rules.py`), understanding messages (`links/mqtt_json.py`).

    [[mqtt_sources]]
    name = "scale-7"
    [[mqtt_sources.values]]
    name = "weight"
    topic = "hall/scale7/state"
    value = "/net/kg"             # {"net": {"kg": 12.5}, "at": 1700000000123}
    unit = "kg"
    stamp = "/at"
    stamp_format = "ms"
"""

from typing import Annotated, Literal

from pydantic import Field

from gateway.clock import NS_PER_MS
from gateway.site_fields import Finite, Name, NotEmpty, Table, Unit

Topic = Annotated[str, Field(pattern=r"^[^+#$\x00-\x1f][^+#\x00-\x1f]*$", max_length=256)]
"""A topic without wildcards; those with "$" are the broker's own."""
Pointer = Annotated[str, Field(pattern=r"^(/([^~/]|~[01])*)*$", max_length=256)]
"""JSON Pointer (RFC 6901); "" is the whole message."""
StampFormat = Literal["s", "ms", "us", "ns", "iso8601"]


class MqttValue(Table):
    """[[mqtt_sources.values]] One number of a message: value = raw x scale + offset."""

    name: Name
    topic: Topic
    value: Pointer = ""
    unit: Unit
    scale: Finite = 1.0
    offset: Finite = 0.0
    stamp: Pointer | None = None
    """Where the message says when it was measured, by the device's own clock."""
    stamp_format: StampFormat = "iso8601"
    """A number since 1970 in this unit, or text; text without an offset is UTC."""


class MqttSource(Table):
    """[[mqtt_sources]] A device; all its stamps are taken for those of one clock."""

    name: Name
    period_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1000
    """How often its values come."""
    delay_max_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 2000
    """Longest way of a message to the gateway. A choice that nothing proves: the bound of a value
    with a stamp is all of it, of one without half, and a device that keeps messages back breaks
    it."""
    values: Annotated[tuple[MqttValue, ...], Field(strict=False), NotEmpty]

    def units(self) -> dict[str, str]:
        """Return the SenML unit of every signal by its resolved name."""
        return {f"{self.name}:{value.name}": value.unit for value in self.values}

    def periods_ns(self) -> dict[str, int]:
        """Return how often every signal comes, by its resolved name."""
        return dict.fromkeys(self.units(), self.period_ms * NS_PER_MS)
