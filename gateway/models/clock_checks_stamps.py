"""Is a date a clock's, or that of a clock nobody set?

A clock that lost its battery begins at the epoch of whoever wrote its software and counts on from
there. So a date within `_AFTER_S` of such an epoch, and more than a day away from the gateway's, is
that of an unset clock. A date outside 1970 to 2200, or more than `_FAR_S` away from the gateway's,
is no date of a clock at work.

Promises: pure; any integer leads to a verdict. Left to others: whether the gateway's own clock is
right (clock_checks_host.py); everything smaller (clock_checks.py).

Sources: RFC 5905, 6 (eras of NTP: 1900 and 2036-02-07); POSIX (1970; 2^31 s: 2038-01-19); ECMA-234
and OPC UA Part 6, 5.2.2.5 (1601); PC clocks (1980); GPS (1980-01-06); clock chips and embedded
systems (2000).
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple

_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400
_AFTER_S: Final = 366 * _DAY_S
"""Longest a plant lets a clock run that shows 1970."""
_FAR_S: Final = 10 * 366 * _DAY_S
_END_S: Final = 7_258_118_400
"""2200-01-01."""


def _epoch(year: int, month: int = 1, day: int = 1) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


EPOCHS_S: Final = tuple(
    sorted(
        _epoch(*date)
        for date in (
            (1601,), (1899, 12, 30), (1900,), (1904,), (1970,), (1980,), (1984,), (1990,), (2000,),
            (2001,), (2010,), (2036, 2, 7), (2038, 1, 19), (2106, 2, 7),
        )
    )
)  # fmt: skip
"""Where clocks begin that nobody set, in seconds of UTC."""


class Date(NamedTuple):
    """A date that cannot be right."""

    is_unset: bool
    """True: that of a clock nobody set; False: no clock shows it."""
    away_ns: int
    """How far it is from the gateway's date; negative: in the past."""
    epoch: str
    """The year the clock began at; empty if it is absurd."""


def wrong_date(stamp_ns: int, now_ns: int) -> Date | None:
    """Return what is wrong with a date; None for one that a clock at work may show."""
    away_ns = stamp_ns - now_ns
    if abs(away_ns) <= _DAY_S * _NS:
        return None
    stamp_s = stamp_ns // _NS
    for epoch_s in reversed(EPOCHS_S):
        # Some are behind UTC by a time zone.
        if -_DAY_S <= stamp_s - epoch_s < _AFTER_S:
            year = datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d")
            return Date(True, away_ns, year)
    if not 0 <= stamp_s < _END_S or abs(away_ns) > _FAR_S * _NS:
        return Date(False, away_ns, "")
    return None
