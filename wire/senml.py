"""SenML packs in CBOR (RFC 8428): our own records out, anybody's resolved records in.

Out: one base name, then name, unit, value and relative time of each record; values and times are
CBOR floats of 16 or 32 bits, the same bytes from every interpreter. Times are seconds before the
tick in the seal, so a node needs no wall clock.

In: CBOR in any well-formed shape, within bounds. Base fields act on their own record and on those
after it; unknown labels are ignored, but a text label that ends in "_" must be understood (4.4),
and none is. A record with nothing but base fields is no reading. The result is in chronological
order.
"""

from collections import namedtuple

from wire.cbor import Tagged, decode
from wire.errors import CborError, SenmlError
from wire.kernel import Buffer, const
from wire.senml_packer import Packer, pack

__all__ = ("VERSION", "Packer", "Record", "pack", "resolve", "unpack")

# The value is a float, str, bool or bytes, or None when there is only a sum. A time_s below 2^28 is
# relative to now, from there on it counts from 1970.
Record = namedtuple("Record", ("name", "unit", "value", "time_s", "update_s", "value_sum"))

VERSION = const(10)
_NAME, _UNIT, _VALUE, _TEXT, _FLAG = const(0), const(1), const(2), const(3), const(4)
_SUM, _TIME, _UPDATE, _DATA = const(5), const(6), const(7), const(8)
_BASE_VERSION, _BASE_NAME, _BASE_TIME = const(-1), const(-2), const(-3)
_BASE_UNIT, _BASE_VALUE, _BASE_SUM = const(-4), const(-5), const(-6)
_DECIMAL_FRACTION = const(4)
_EXPONENT_MAX = const(400)

_NAME_STARTS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_NAME_CHARACTERS = _NAME_STARTS + "-:./_"


def unpack(data: Buffer, items_max: int = 1024) -> "list[Record]":
    """Return the resolved records of the pack `data`, which may hold `items_max` CBOR items.

    Raises SenmlError, for broken CBOR too.
    """
    try:
        return resolve(decode(data, 4, items_max))
    except CborError as error:
        raise SenmlError("a pack that is not CBOR: %s" % error) from None


def resolve(entries: object) -> "list[Record]":
    """Return the resolved records (RFC 8428, 4.6) of a pack that is already decoded CBOR."""
    if not isinstance(entries, list) or not entries:
        raise SenmlError("a pack is an array of at least one record")
    base: "dict[object, object]" = {}
    records = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise SenmlError("a record is a map, not a %s" % type(entry).__name__)
        if _take_base(base, entry):
            records.append(_resolve(base, entry))
    return _chronological(records)


def _take_base(base: "dict[object, object]", entry: "dict[object, object]") -> bool:
    """Put the base fields of `entry` into `base`; return whether it has any other field."""
    has_fields = False
    for label, value in entry.items():
        if type(label) is int and label < 0:
            if label == _BASE_VERSION:
                _check_version(base, value)
            base[label] = value
        elif type(label) is str and label.endswith("_"):
            raise SenmlError("label %s must be understood, and is not" % label)
        else:
            has_fields = True
    if _BASE_VERSION not in base:
        base[_BASE_VERSION] = VERSION
    return has_fields


def _check_version(base: "dict[object, object]", version: object) -> None:
    """Accept the versions up to 10; higher ones have features unknown here (RFC 9100, 2)."""
    if type(version) is not int or not 0 < version <= VERSION:
        raise SenmlError("base version %r is not understood; up to %d are" % (version, VERSION))
    if base.get(_BASE_VERSION, version) != version:
        raise SenmlError("base version %d in a pack of another" % version)


def _resolve(base: "dict[object, object]", entry: "dict[object, object]") -> Record:
    name = _text(base.get(_BASE_NAME, ""), "base name") + _text(entry.get(_NAME, ""), "name")
    if name[:1] not in _NAME_STARTS or name.strip(_NAME_CHARACTERS) or not name:
        raise SenmlError("name %r is empty or has characters that a name may not have" % name)
    value_sum = None
    if _SUM in entry or _BASE_SUM in base:
        value_sum = _number(base.get(_BASE_SUM, 0), name) + _number(entry.get(_SUM, 0), name)
    update_s = entry.get(_UPDATE)
    return Record(
        name,
        _text(entry.get(_UNIT) or base.get(_BASE_UNIT, ""), "unit"),
        _value(base, entry, name, _SUM in entry),
        _number(base.get(_BASE_TIME, 0), name) + _number(entry.get(_TIME, 0), name),
        None if update_s is None else _number(update_s, name),
        value_sum,
    )


def _value(
    base: "dict[object, object]", entry: "dict[object, object]", name: str, has_sum: bool
) -> "float | str | bool | bytes | None":
    """Return the one value of `entry`; without one, the base value, or None if it has a sum."""
    found = [label for label in (_VALUE, _TEXT, _FLAG, _DATA) if label in entry]
    if len(found) > 1:
        raise SenmlError("record %s has %d values" % (name, len(found)))
    if not found and has_sum:
        return None
    if not found and _BASE_VALUE not in base:
        raise SenmlError("record %s has neither a value nor a sum" % name)
    label = found[0] if found else _VALUE
    if label == _VALUE:
        number = _number(base.get(_BASE_VALUE, 0), name) + _number(entry.get(_VALUE, 0), name)
        return float(number)
    value = entry[label]
    if label == _TEXT and isinstance(value, str):
        return value
    if label == _FLAG and isinstance(value, bool):
        return value
    if label == _DATA and isinstance(value, bytes):
        return value
    raise SenmlError("record %s has a value of the wrong type" % name)


def _text(value: object, what: str) -> str:
    if isinstance(value, str):
        return value
    raise SenmlError("a %s is a text, not a %s" % (what, type(value).__name__))


def _number(value: object, name: str) -> "int | float":
    """Return a finite number: an integer, a float, or a decimal fraction (RFC 8949, 3.4.4)."""
    if type(value) is int:
        return value
    if isinstance(value, Tagged):
        value = _decimal_fraction(value)
    if type(value) is float and value - value == 0:
        return value
    raise SenmlError("record %s has %r where a finite number is due" % (name, value))


def _decimal_fraction(tagged: Tagged) -> "float | None":
    """Return the float nearest to a decimal fraction, or None when it is none or does not fit."""
    parts = tagged.value
    if tagged.tag != _DECIMAL_FRACTION or not isinstance(parts, list) or len(parts) != 2:
        return None
    exponent, mantissa = parts
    if type(exponent) is not int or type(mantissa) is not int or abs(exponent) > _EXPONENT_MAX:
        return None
    scale = 10 ** abs(exponent)
    try:
        return mantissa / scale if exponent < 0 else float(mantissa * scale)
    except OverflowError:
        return None


def _chronological(records: "list[Record]") -> "list[Record]":
    """Return `records` by time; equal times keep their order (MicroPython's sort is not stable)."""
    times = [record.time_s for record in records]
    order = sorted(range(len(times)), key=lambda index: (times[index], index))
    return [records[index] for index in order]
