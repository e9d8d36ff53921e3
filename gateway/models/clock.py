"""How a node's clock stands to the gateway's: a hard interval for the offset, never a mere guess.

    offset(t) = gateway_ns(t) - node_ns(t),   |d offset / dt| <= drift

Two-way exchange (the four stamps of RFC 5905, 8): the probe left at T1 and came in at node time T2,
so offset(T2) >= T1 - T2; the answer left at node time T3 and came in at T4, so
offset(T3) <= T4 - T3. Together offset = middle +- delay / 2, whatever the asymmetry of the path.
One way, any frame: it came in after it was sent, so offset <= received - sent.

Intervals are carried to the same moment (widened by drift x age) and intersected. An empty
intersection means a false stamp, a clock that stepped, or a broken drift limit: a fault, after
which the estimate starts anew. All integers: nanoseconds, except node ticks in whole microseconds,
which are read off truncated and may therefore be up to `TICK_NS` late.
"""

from typing import Final, NamedTuple, final

from gateway.errors import InternalError

TICK_NS: Final = 1_000
_PPB: Final = 1_000_000_000


class Offset(NamedTuple):
    """Gateway minus node time at some moment: the truth lies in `offset_ns +- bound_ns`."""

    offset_ns: int
    bound_ns: int


@final
class OffsetInterval:
    """The offset of one node's clock within one boot.

    `drift_ppm` is the largest rate difference of the two clocks that is believed possible; every
    bound is as hard as this number. `tick_ns` is one step of its clock, which shows a time up to so
    much later.
    """

    __slots__ = ("_at_ns", "_drift_ppb", "_high_ns", "_low_ns", "_tick_ns")

    def __init__(self, drift_ppm: float, tick_ns: int = TICK_NS) -> None:
        self._tick_ns = tick_ns
        self._drift_ppb = round(drift_ppm * 1000)
        if not 0 <= self._drift_ppb < _PPB:
            raise InternalError(f"drift_ppm {drift_ppm} is not in 0 to below 1000000")
        self._low_ns: int | None = None
        self._high_ns = 0
        self._at_ns = 0

    @property
    def is_known(self) -> bool:
        """Tell whether a two-way exchange has been made since the last fault."""
        return self._low_ns is not None

    def exchange(self, t1_ns: int, t2_us: int, t3_us: int, t4_ns: int) -> bool:
        """Take one two-way exchange; return False if it contradicts what was known (a fault).

        After a fault the interval is that of this exchange alone, or unknown if the exchange is
        impossible in itself (it ended before it began on one of the clocks).
        """
        # Both limits hold at moments between T1 and T4; carried to T4 they widen by the difference.
        low_ns = t1_ns - (t2_us * 1000 + self._tick_ns) - self._widening_ns(t4_ns - t1_ns)
        high_ns = t4_ns - t3_us * 1000 + self._widening_ns(t4_ns - t1_ns)
        if t4_ns < t1_ns or t3_us < t2_us or low_ns > high_ns:
            self._low_ns = None
            return False
        was_known = self.is_known
        if was_known and self._intersect(low_ns, high_ns, t4_ns):
            return True
        self._low_ns, self._high_ns, self._at_ns = low_ns, high_ns, t4_ns
        return not was_known

    def arrival(self, sent_us: int, received_ns: int) -> bool:
        """Take the arrival of any frame; return False if it came before it was sent (a fault)."""
        if self._low_ns is None:
            return True
        high_ns = received_ns - sent_us * 1000
        if received_ns >= self._at_ns and high_ns >= self._high_ns + self._widening_ns(
            received_ns - self._at_ns
        ):
            return True
        if self._intersect(None, high_ns, received_ns):
            return True
        self._low_ns = None
        return False

    def is_possible(self, t1_ns: int, t2_us: int, t3_us: int, t4_ns: int) -> bool:
        """Tell whether an exchange is possible in itself: no time was lost on the way."""
        widening_ns = 2 * self._widening_ns(max(t4_ns - t1_ns, 0))
        delay_ns = t4_ns - t1_ns - (t3_us - t2_us) * 1000
        return t4_ns >= t1_ns and t3_us >= t2_us and delay_ns + self._tick_ns + widening_ns >= 0

    def contradiction_ns(self, t1_ns: int, t2_us: int, t3_us: int, t4_ns: int) -> int:
        """Return how far an exchange's interval lies above (+) or below (-) the carried one.

        0 if they meet, or while nothing is known. Nothing is changed.
        """
        if self._low_ns is None:
            return 0
        reach_ns = self._widening_ns(abs(t4_ns - self._at_ns)) + self._widening_ns(t4_ns - t1_ns)
        above_ns = t1_ns - t2_us * 1000 - self._tick_ns - (self._high_ns + reach_ns)
        below_ns = t4_ns - t3_us * 1000 - (self._low_ns - reach_ns)
        return above_ns if above_ns > 0 else min(below_ns, 0)

    def early_ns(self, sent_us: int, received_ns: int) -> int:
        """Return by how much a frame came before it can have been sent; 0 if it did not."""
        if self._low_ns is None:
            return 0
        low_ns = self._low_ns - self._widening_ns(abs(received_ns - self._at_ns))
        return max(0, low_ns - (received_ns - sent_us * 1000))

    def at(self, now_ns: int) -> Offset | None:
        """Return the offset at gateway time `now_ns`; None before the first exchange."""
        if self._low_ns is None:
            return None
        # Rounded outwards, so that an odd sum does not lose half a nanosecond.
        middle_ns = (self._low_ns + self._high_ns) // 2
        widening_ns = self._widening_ns(abs(now_ns - self._at_ns))
        return Offset(middle_ns, self._high_ns - middle_ns + widening_ns)

    def time_of(self, tick_us: int) -> tuple[int, int] | None:
        """Return (gateway time, bound) in ns of the node time `tick_us`; None while unknown."""
        if self._low_ns is None:
            return None
        middle_ns = (self._low_ns + self._high_ns) // 2
        half_ns = self._high_ns - middle_ns
        time_ns = tick_us * 1000 + middle_ns
        # The moment itself is only known to +- half, so that much age is added; and this age went
        # by on the node's clock, while the drift is a rate per gateway time.
        node_age_ns = abs(time_ns - self._at_ns) + half_ns + self._tick_ns
        age_ns = -(-node_age_ns * _PPB // (_PPB - self._drift_ppb))
        return time_ns, half_ns + self._tick_ns + self._widening_ns(age_ns)

    def _intersect(self, low_ns: int | None, high_ns: int, at_ns: int) -> bool:
        """Intersect with limits that hold at `at_ns`; change nothing if that is empty."""
        if self._low_ns is None:
            return False
        latest_ns = max(at_ns, self._at_ns)
        ours_ns = self._widening_ns(latest_ns - self._at_ns)
        theirs_ns = self._widening_ns(latest_ns - at_ns)
        low_new_ns = self._low_ns - ours_ns
        if low_ns is not None:
            low_new_ns = max(low_new_ns, low_ns - theirs_ns)
        high_new_ns = min(self._high_ns + ours_ns, high_ns + theirs_ns)
        if low_new_ns > high_new_ns:
            return False
        self._low_ns, self._high_ns, self._at_ns = low_new_ns, high_new_ns, latest_ns
        return True

    def _widening_ns(self, age_ns: int) -> int:
        """Return drift x age, rounded up."""
        return -(-self._drift_ppb * age_ns // _PPB)


def relative_time_error_ns(age_us: int) -> int:
    """Return how far a time stated as 32-bit seconds before the seal may be off, in ns.

    Two roundings to 24 bits (the node's division, the wire: docs/wire-format.md, 4), each at most
    2^-24 of the age, and half a microsecond when it is read to whole ones.
    """
    return -(-(age_us + 1) * 1000 >> 23) + TICK_NS // 2
