"""The cells of a file of rows: what is a number, what is a time, and what to say when it is not.

Promises: times are exact, in integer nanoseconds; nothing is rounded but digits below a nanosecond.
Leaves to others: in which file, line and column the cell stands
(lifecycle/data_csv.py, and the rig's traces).
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from gateway.clock import NS_PER_S

_INSTANT_S_MAX: Final = (1 << 62) // NS_PER_S
"""Half of what 64-bit nanoseconds hold, so that the difference of two instants fits too."""
NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_NOT_FINITE: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
ISO: Final = re.compile(
    r"(?P<second>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?(?P<offset>Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def not_a_number(text: str) -> str:
    """Return what is wrong with a cell that is no number, and how to mend it."""
    if _NOT_FINITE.fullmatch(text):
        return f"{text!r} is not finite; cut or mend the row"
    remedy = "write a decimal point" if "," in text else "mend or cut the row"
    return f"{shown(text)} is not a number; {remedy}"


def instant_ns(text: str) -> int:
    """Return Unix nanoseconds, exactly, of an ISO date or of seconds, or raise ValueError."""
    text = text.strip()
    iso = ISO.fullmatch(text)
    if iso:
        return _iso_ns(iso)
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a time; write 2020-03-09 10:14:33 or seconds")
    seconds = Decimal(text)
    if abs(seconds) >= _INSTANT_S_MAX:
        raise ValueError(f"{shown(text)} s is too far away; times are in seconds, not ms or ns")
    return int((seconds * NS_PER_S).to_integral_value())


def _iso_ns(iso: re.Match[str]) -> int:
    offset = (iso["offset"] or "Z").replace("Z", "+00:00")
    try:
        whole_s = (datetime.fromisoformat(iso["second"] + offset) - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{iso[0]!r} is not a date ({error}); mend the row") from error
    if abs(whole_s) >= _INSTANT_S_MAX:
        raise ValueError(f"{iso[0]!r} is too far away; dates from 1824 to 2116 are read")
    return whole_s * NS_PER_S + int((iso["fraction"] or "0").ljust(9, "0"))


def shown(text: str, characters_max: int = 40) -> str:
    """Return a cell as a message quotes it, cut where it is long."""
    return repr(text if len(text) <= characters_max else text[:characters_max] + "...")
