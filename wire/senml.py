"""SenML packs in CBOR (RFC 8428): our own records out, anybody's resolved records in."""

from collections import namedtuple

from wire.kernel import Buffer

Record = namedtuple("Record", ("name", "unit", "value", "time_s", "update_s", "value_sum"))


def pack(base_name: str, records: "list[tuple[str, str, float, float]]") -> bytes:
    """Return the pack of (name, unit, value, time_s <= 0) records; the first carries `base_name`."""
    raise NotImplementedError


def unpack(data: Buffer, items_max: int = 1024) -> "list[Record]":
    """Return the resolved records of the pack."""
    raise NotImplementedError
