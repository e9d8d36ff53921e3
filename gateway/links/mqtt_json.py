"""Plain JSON messages of foreign devices as readings: bounded, exact, and without exceptions.

Promises: whatever the bytes, `read_message` returns readings and reasons; numbers keep their digits
until they are a float or whole nanoseconds; a stamp comes out as it was stated, cut off at 64 bits;
a value that is there and is no number is NaN with a bad status, one that is not there is no value.
Left to others: topics (`mqtt_values.py`), what a stamp is worth (`stages/sync.py`).

Sources: RFC 8259 (JSON; NaN and Infinity are none), RFC 6901 (JSON Pointer).
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from gateway import status
from gateway.clock import NS_PER_MS, NS_PER_S, NS_PER_US
from gateway.records import Reading
from gateway.site_mqtt import MqttValue

MESSAGE_BYTES_MAX: Final = 65_536
MALFORMED: Final = "malformed"
VALUE_MISSING: Final = "value_missing"
VALUE_UNREADABLE: Final = "value_unreadable"
STAMP_UNREADABLE: Final = "stamp_unreadable"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_UNITS_NS: Final = {"s": NS_PER_S, "ms": NS_PER_MS, "us": NS_PER_US, "ns": 1}
_TIME_END_NS: Final = (1 << 63) - 1
_DIGITS_MAX: Final = 30
"""Decimal places before the point of a stamp: more are absurd, and would cost memory."""
_ABSENT: Final = object()

Parsed = dict[str, object] | list[object] | str | int | Decimal | bool | None


def read_message(
    source: str, values: Sequence[MqttValue], payload: bytes
) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    """Return the readings of one message, and a reason for whatever could not be read.

    `values` are those of the message's topic.
    """
    try:
        message = _parse(payload)
    except (ValueError, ArithmeticError, RecursionError):
        return (), (MALFORMED,)
    readings: list[Reading] = []
    reasons: list[str] = []
    for value in values:
        raw = _find(message, value.value)
        if raw is _ABSENT:
            reasons.append(VALUE_MISSING)
            continue
        number = _number(raw, value)
        if number is None:
            reasons.append(VALUE_UNREADABLE)
        stamp_ns = None
        if value.stamp is not None:
            stamp_ns = _stamp_ns(_find(message, value.stamp), value.stamp_format)
            if stamp_ns is None:
                reasons.append(STAMP_UNREADABLE)
        readings.append(
            Reading(
                signal=f"{source}:{value.name}",
                unit=value.unit,
                value=math.nan if number is None else number,
                tick_us=None,
                stamp_ns=stamp_ns,
                status=status.BAD_CONFIGURATION_ERROR if number is None else status.GOOD,
            )
        )
    return tuple(readings), tuple(reasons)


def _parse(payload: bytes) -> Parsed:
    """Parse a message.

    Raises `ValueError` for what is no JSON, `ArithmeticError` for an exponent and `RecursionError`
    for a depth beyond all measure.
    """
    if len(payload) > MESSAGE_BYTES_MAX:
        raise ValueError(f"{len(payload)} bytes")
    parsed: Parsed = json.loads(payload.decode(), parse_float=Decimal, parse_constant=_refuse)
    return parsed


def _refuse(word: str) -> None:
    """Refuse NaN and Infinity, which are no JSON."""
    raise ValueError(word)


def _find(message: object, pointer: str) -> object:
    """Return what a JSON Pointer points at, `_ABSENT` if there is nothing."""
    found = message
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name, _ABSENT)
        elif isinstance(found, list) and _is_index(name):
            found = found[int(name)] if int(name) < len(found) else _ABSENT
        else:
            return _ABSENT
    return found


def _is_index(name: str) -> bool:
    """Tell whether a token is an array index as RFC 6901 has it: digits, no leading zero."""
    return name.isascii() and name.isdigit() and len(name) < 10 and str(int(name)) == name


def _number(raw: object, value: MqttValue) -> float | None:
    """Return a finite number in its unit (true is 1); None for anything else."""
    if not isinstance(raw, bool | int | Decimal):
        return None
    try:
        number = float(raw) * value.scale + value.offset
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _stamp_ns(raw: object, stamp_format: str) -> int | None:
    """Return a stamp in nanoseconds since 1970, cut off at 64 bits; None if it is none."""
    if stamp_format == "iso8601":
        return _text_ns(raw) if isinstance(raw, str) else None
    if isinstance(raw, bool) or not isinstance(raw, int | Decimal):
        return None
    number = Decimal(raw)
    if number.adjusted() > _DIGITS_MAX:
        return _TIME_END_NS if number > 0 else -_TIME_END_NS
    return _cut(int(number * _UNITS_NS[stamp_format]))


def _text_ns(text: str) -> int | None:
    """Return the nanoseconds of an ISO 8601 text; without an offset it is UTC."""
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
    return _cut((aware - _EPOCH) // _MICROSECOND * NS_PER_US)


def _cut(time_ns: int) -> int:
    """Keep a time within 64 bits; beyond them it is absurd in any case."""
    return max(-_TIME_END_NS, min(time_ns, _TIME_END_NS))
