"""The gateway's own clock: what the machine says of it, and whether it keeps step with itself.

UTC less a timer that is never set is constant, for Linux slews both alike; elsewhere it may be
slewed by `SLEW_PPM`. A change beyond that is a step of UTC by as much. Slewing shows in the rate of
UTC against a raw oscillator: beyond `CRYSTAL_PPM` a time service pulls UTC, and all sources seem to
change their rate. What the machine states itself (`maxerror`, STA_UNSYNC) is held against a budget.
Promises: pure; a reading that repeats or goes back leads to nothing.
Left to others: reading the machine (host_clock.py), sources that all step at once
(clock_checks_peers.py).

Sources: RFC 5905, 7.2 (root distance, MAXDIST); Linux adjtimex(2): 500 ppm in frequency, 500 ppm
by `adjtime`, and a tick of 9000 to 11000 us; clock_gettime(2): CLOCK_BOOTTIME is slewed along,
CLOCK_MONOTONIC_RAW is not.
"""

from typing import Final, NamedTuple, final

SLEW_PPM: Final = 1000
"""What UTC may gain on a timer that is not slewed along: 500 ppm of frequency, 500 of adjtime."""
STEP_MIN_NS: Final = 2_000_000
"""Two readings one after the other are not one moment: a task switch may lie between them."""

CRYSTAL_PPM: Final = 200
"""Rate of UTC against the machine's raw oscillator that its crystal explains: 100 ppm of class, and
as much again for heat."""
_TICK_SHARE: Final = 8
"""Time services slew by a tenth at most: a timer that gains an eighth on the raw oscillator went on
while the machine slept."""
SLEW_WINDOW_NS: Final = 20_000_000_000
"""Readings so far apart make the rate of UTC: what they are uncertain by is 100 ppm of that."""


class HostState(NamedTuple):
    """What the machine says of its clock at one moment."""

    utc_ns: int
    monotonic_ns: int
    is_synchronised: bool
    """Whether the kernel believes its clock to be synchronised (not STA_UNSYNC)."""
    max_error_ns: int | None
    """Upper limit of the error as the kernel states it; None where nobody can tell."""
    estimated_error_ns: int | None
    tai_offset_s: int | None
    """TAI minus UTC; None while the machine does not know it."""
    raw_ns: int | None = None
    """An oscillator that nobody slews, and that stops while the machine sleeps; None without."""


class HostStep(NamedTuple):
    """UTC leapt against the monotonic clock."""

    size_ns: int
    """How far UTC moved forward; negative: back."""
    since_ns: int
    """UTC of the reading before, on the new time scale."""
    error_ns: int
    """Half width of what slewing and reading may be of it."""


class HostSlew(NamedTuple):
    """UTC is pulled against the machine's raw oscillator."""

    rate_ppm: float
    """How much faster UTC runs."""
    moved_ns: int
    """By how much it has moved since."""
    since_ns: int
    """UTC from which on it was watched."""


@final
class HostWatch:
    """Holds readings of the machine's clocks against each other."""

    __slots__ = ("_first", "_last", "slew")

    def __init__(self) -> None:
        self._last: HostState | None = None
        self._first: HostState | None = None
        """The reading from which on the rate is watched."""
        self.slew: HostSlew | None = None
        """How UTC is pulled now; None if it is not."""

    def step(self, state: HostState) -> HostStep | None:
        """Return by how much UTC leapt since the reading before; None if it did not."""
        last, self._last = self._last, state
        if last is None or state.monotonic_ns <= last.monotonic_ns:
            self._first = state
            return None
        elapsed_ns = state.monotonic_ns - last.monotonic_ns
        moved_ns = state.utc_ns - last.utc_ns - elapsed_ns
        if abs(moved_ns) > error_ns(elapsed_ns):
            self._first = state
            return HostStep(moved_ns, last.utc_ns + moved_ns, error_ns(elapsed_ns))
        if state.raw_ns is None or _has_slept(last, state):
            self._first = state
        else:
            self._rate(state, state.raw_ns)
        return None

    def _rate(self, state: HostState, raw_ns: int) -> None:
        """Hold UTC against the raw oscillator since the first reading of the window."""
        first = self._first
        if first is None or first.raw_ns is None or raw_ns <= first.raw_ns:
            self._first = state
            return
        elapsed_ns = raw_ns - first.raw_ns
        moved_ns = state.utc_ns - first.utc_ns - elapsed_ns
        is_over = elapsed_ns >= SLEW_WINDOW_NS
        if abs(moved_ns) > STEP_MIN_NS + elapsed_ns * CRYSTAL_PPM // 1_000_000:
            since_ns = first.utc_ns if self.slew is None else self.slew.since_ns
            told_ns = moved_ns if self.slew is None else self.slew.moved_ns
            self.slew = HostSlew(moved_ns / elapsed_ns * 1e6, told_ns, since_ns)
        elif is_over:
            self.slew = None
        if is_over:
            self._first = state


def _has_slept(last: HostState, state: HostState) -> bool:
    """Tell whether the raw oscillator stood still for a while, or is not there."""
    if last.raw_ns is None or state.raw_ns is None:
        return True
    elapsed_ns = state.monotonic_ns - last.monotonic_ns
    stood_ns = elapsed_ns - (state.raw_ns - last.raw_ns)
    return stood_ns > elapsed_ns // _TICK_SHARE + STEP_MIN_NS


def error_ns(elapsed_ns: int) -> int:
    """Return by how much two readings may differ that far apart, though UTC was not set."""
    return STEP_MIN_NS + max(elapsed_ns, 0) * SLEW_PPM // 1_000_000


def distrust(state: HostState, error_max_ns: int) -> str | None:
    """Return why the machine's clock is not to be trusted, in its own terms; None if it may be."""
    if not state.is_synchronised:
        return "the kernel says that its clock is not synchronised (STA_UNSYNC)"
    if state.max_error_ns is not None and state.max_error_ns > error_max_ns:
        return (
            f"the kernel states an error of up to {state.max_error_ns / 1e6:.3g} ms, "
            f"the budget is {error_max_ns / 1e6:.3g} ms"
        )
    return None
