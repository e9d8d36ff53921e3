"""Do the calendars of the sources agree with each other, and not with the gateway's?

One calendar that is off is its own fault. If more than half of all, and two at least, lie within
`ALIKE_NS` of each other and further than `AWAY_NS` from the gateway's, it is the gateway that has
the wrong date: calendars that nobody set, or that drift, are not off by the same amount.

Not taken for it: a whole number of quarter hours up to 14 hours, which is local time; and dates of
clocks nobody set (clock_checks_stamps.py), which begin together after a power cut. So a gateway
that is off by exactly a time zone is not found. Promises: bounded by the number of sources, no
exception, whatever the offsets. Left to others: whose each offset is, words (stages/).
"""

from typing import Final, NamedTuple, final

ALIKE_NS: Final = 1_000_000_000
"""Clocks that follow one time service agree better than that; some show whole seconds."""
AWAY_NS: Final = 60_000_000_000
"""Less is what clocks without a time service gather in a month."""
_ERROR_MAX_NS: Final = 30_000_000_000
_ZONE_NS: Final = 900_000_000_000
_ZONE_MAX_NS: Final = 14 * 3_600_000_000_000


class Shown(NamedTuple):
    """How a calendar stands: `gateway - source` lies in `offset_ns +- error_ns`."""

    offset_ns: int
    error_ns: int


class Common(NamedTuple):
    """What most calendars say of the gateway's."""

    offset_ns: int
    """By how much the gateway's is ahead of them; negative: behind."""
    error_ns: int
    sources: tuple[str, ...]
    calendars: int
    """All that were asked."""


@final
class Calendars:
    """What each calendar showed last."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[Shown, int]] = {}

    @property
    def count(self) -> int:
        """Return how many calendars have been seen."""
        return len(self._shown)

    def show(self, source: str, shown: Shown, at_ns: int) -> None:
        """Take note of a calendar."""
        if shown.error_ns <= _ERROR_MAX_NS:
            self._shown[source] = shown, at_ns

    def drop(self) -> None:
        """Forget all: the gateway's clock was set."""
        self._shown.clear()

    def common(self, now_ns: int, alive_ns: int) -> Common | None:
        """Return how most calendars contradict the gateway's; None if they do not."""
        alive = sorted(
            (shown, source)
            for source, (shown, at_ns) in self._shown.items()
            if abs(now_ns - at_ns) <= alive_ns
        )
        best = _largest(alive)
        if len(best) < 2 or 2 * len(best) <= len(alive):
            return None
        offset_ns, error_ns = best[len(best) // 2][0]
        if abs(offset_ns) <= AWAY_NS or _is_zone(offset_ns):
            return None
        sources = tuple(sorted(source for _, source in best))
        return Common(offset_ns, error_ns + ALIKE_NS, sources, len(alive))


def _largest(ordered: list[tuple[Shown, str]]) -> list[tuple[Shown, str]]:
    """Return the longest run of calendars, ordered by offset, that agree with each other."""
    best: list[tuple[Shown, str]] = []
    first = 0
    for last, (shown, _) in enumerate(ordered):
        while shown.offset_ns - ordered[first][0].offset_ns > (
            ALIKE_NS + shown.error_ns + ordered[first][0].error_ns
        ):
            first += 1
        if last + 1 - first > len(best):
            best = ordered[first : last + 1]
    return best


def _is_zone(offset_ns: int) -> bool:
    """Tell whether an offset is that of a time zone, to within a minute."""
    away_ns = (offset_ns + _ZONE_NS // 2) % _ZONE_NS - _ZONE_NS // 2
    return abs(offset_ns) <= _ZONE_MAX_NS + AWAY_NS and abs(away_ns) <= AWAY_NS
