"""One way to write a record down: the same record is the same bytes on every machine.

JSON, UTF-8, keys sorted, no spaces, floats by `repr` (the shortest text that reads back to the same
64-bit value), enums by value, bytes as hex, and null for a float that is not finite. The kind of
record is under the key "record", so no two kinds can share bytes. A SHA-256 over these lines is the
identity of a run; `canonical` is therefore part of the contract and changes only with an ADR.
"""

import json
import math
from dataclasses import fields, is_dataclass
from enum import Enum

from gateway.errors import InternalError

TYPE_KEY = "record"


def as_json(record: object) -> dict[str, object]:
    """Return the record as a dict of JSON types, its kind under "record".

    Raises `InternalError` for anything but a record (a dataclass instance of simple fields).
    """
    if not is_dataclass(record) or isinstance(record, type):
        raise InternalError(f"{type(record).__name__} is not a record")
    body: dict[str, object] = {
        field.name: _plain(getattr(record, field.name)) for field in fields(record)
    }
    body[TYPE_KEY] = type(record).__name__
    return body


def canonical(record: object) -> bytes:
    """Return the one byte string that stands for this record (no line end)."""
    text = json.dumps(as_json(record), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _plain(value: object) -> object:
    """Turn one field into JSON types; the order of the cases matters (a StrEnum is a str)."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return as_json(value)
