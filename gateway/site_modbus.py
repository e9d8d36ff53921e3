"""[[modbus]] of `site.toml`: a device polled over Modbus TCP, its tags, and its clock.

Promises: a tag is a value or, with `role = "clock"`, the device's own clock, which is never a
signal: raw x scale + offset is then seconds since 1970 (`scale` 1, 0.001 or 0.000001; a clock that
counts from another year has that year's seconds as `offset`). Left to others: rules between fields
(`site_rules.py`), reading (`links/modbus.py`).
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from gateway.clock import NS_PER_MS, NS_PER_S, NS_PER_US
from gateway.site_fields import Finite, Host, Name, NotEmpty, Port, Table, Unit

CLOCK_STEPS_NS: Final = {1.0: NS_PER_S, 0.001: NS_PER_MS, 0.000001: NS_PER_US}
"""Length of one step of a clock by its `scale`: exact, where a product of floats is not."""


class Tag(Table):
    """[[modbus.tags]] One value of a Modbus device: value = raw x scale + offset."""

    name: Name
    table: Literal["holding", "input", "coil", "discrete"] = "holding"
    address: Annotated[int, Field(ge=0, le=65535)]
    """Zero-based, as in the request: 40001 of a manual is 0 here."""
    type: Literal["int16", "uint16", "int32", "uint32", "uint64", "float32", "bool"]
    unit: Unit
    role: Literal["value", "clock"] = "value"
    """"clock": seconds since 1970 by the device's own clock; checked, never published."""
    scale: Finite = 1.0
    offset: Finite = 0.0
    word_order: Literal["big", "little"] = "big"
    byte_order: Literal["big", "little"] = "big"

    @property
    def is_clock(self) -> bool:
        """Tell whether the tag is the device's clock."""
        return self.role == "clock"


class ModbusDevice(Table):
    """[[modbus]] A device polled over Modbus TCP. Nothing vouches for its values."""

    name: Name
    host: Host
    port: Port = 502
    unit_id: Annotated[int, Field(ge=0, le=255)] = 1
    period_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1000
    timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 1000
    gap_registers_max: Annotated[int, Field(ge=0, le=124)] = 8
    """Registers nobody asked for that one request may read along to save another request."""
    tags: Annotated[tuple[Tag, ...], Field(strict=False), NotEmpty]

    @property
    def values(self) -> tuple[Tag, ...]:
        """Return the tags that are signals."""
        return tuple(tag for tag in self.tags if not tag.is_clock)
