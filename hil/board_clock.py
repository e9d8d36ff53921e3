"""The clock of one board: what its counter shows at a true moment of the run.

    phase(t)   = t + integral of rate(s) ds,   rate(s) = ppm + ppm_per_s (s - from) + ...
    reading(t) = phase(t) - phase(start) + preset + sum of the jumps since the start, mod modulus

Promises: pure functions of virtual time in integer nanoseconds, so a run repeats exactly; without
rates and jumps the reading is the time since the board's start, to the nanosecond. A timer of the
board counts its oscillator and not its reading: a sleep lasts as long as it was asked to by the
crystal, whatever jumps meanwhile. A counter knows nothing below zero and stops there.
Leaves to others: which faults there are (`fault_plan.py`), and the microseconds a board computes
between two transactions, which it adds to the last reading itself, at the nominal rate: the reading
is off by rate x that time then, 5 ns for 50 us at 100 ppm, until the next transaction.

A tuning fork's rate is a parabola over temperature with its top near 25 degrees Celsius:
rate = -PARABOLA (T - top)^2; the coefficient is a data sheet's, -0.030 +- 0.010 ppm/K^2.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, NamedTuple, final

PARABOLA_PPM_PER_K2: Final = 0.030
TOP_CELSIUS: Final = 25.0
RATE_PPM_MAX: Final = 100_000.0
"""Beyond a tenth nobody would call it a clock; the inverse below converges for all within."""

_NS_PER_S: Final = 1_000_000_000
_NS_PER_PPM_S: Final = 1_000
_ROUNDS_MAX: Final = 64


class Rate(NamedTuple):
    """How much too fast a clock runs from a moment on, until the next `Rate` begins."""

    from_ns: int
    ppm: float
    ppm_per_s: float = 0.0
    ppm_per_s2: float = 0.0

    def ppm_at(self, now_ns: int) -> float:
        """Return the rate at a moment, by this law."""
        elapsed_s = (now_ns - self.from_ns) / _NS_PER_S
        return self.ppm + elapsed_s * (self.ppm_per_s + elapsed_s * self.ppm_per_s2)

    def gained_ns(self, now_ns: int) -> float:
        """Return what the clock has gained since `from_ns`, by this law."""
        elapsed_s = (now_ns - self.from_ns) / _NS_PER_S
        mean_ppm = self.ppm + elapsed_s * (self.ppm_per_s / 2 + elapsed_s * self.ppm_per_s2 / 3)
        return _NS_PER_PPM_S * elapsed_s * mean_ppm


class Jump(NamedTuple):
    """A moment at which the reading leaps by `size_ns`, or begins again at zero (None)."""

    at_ns: int
    size_ns: int | None


@final
class BoardClock:
    """One board's oscillator and counter, over the virtual time of the run.

    rates: laws of the rate, each in force until the next one begins; none before the first.
    jumps: of the reading. preset_ns: what the counter shows at the board's first start.
    modulus_ns: where the counter begins again; 0 if it never does.
    """

    __slots__ = ("_gained_ns", "_jumps", "_modulus_ns", "_preset_ns", "_rates", "_starts")

    def __init__(
        self,
        rates: Iterable[Rate] = (),
        jumps: Iterable[Jump] = (),
        *,
        preset_ns: int = 0,
        modulus_ns: int = 0,
    ) -> None:
        self._rates = sorted(rates)
        self._jumps = sorted(jumps, key=lambda jump: jump.at_ns)
        self._preset_ns = preset_ns
        self._modulus_ns = modulus_ns
        self._starts = [rate.from_ns for rate in self._rates]
        gained, gained_ns = 0.0, []
        for index, rate in enumerate(self._rates):
            if index:
                gained += self._rates[index - 1].gained_ns(rate.from_ns)
            gained_ns.append(gained)
        self._gained_ns = gained_ns

    def ppm_at(self, now_ns: int) -> float:
        """Return how much too fast the oscillator runs at a moment."""
        index = bisect_right(self._starts, now_ns) - 1
        return self._rates[index].ppm_at(now_ns) if index >= 0 else 0.0

    def reading_ns(self, now_ns: int, started_ns: int = 0) -> int:
        """Return what the counter of a board shows that was started at `started_ns`."""
        begun_ns, shown_ns = started_ns, 0 if started_ns else self._preset_ns
        for jump in self._jumps:
            if not started_ns < jump.at_ns <= now_ns:
                continue
            if jump.size_ns is None:
                begun_ns, shown_ns = jump.at_ns, 0
            else:
                shown_ns += jump.size_ns
        shown_ns += self._phase_ns(now_ns) - self._phase_ns(begun_ns)
        if self._modulus_ns:
            shown_ns %= self._modulus_ns
        return max(0, shown_ns)

    def timer_ns(self, now_ns: int, duration_ns: int) -> int:
        """Return when a timer ends that is set now for a duration by the board's own count."""
        if not self._rates:
            return now_ns + duration_ns
        target_ns = self._phase_ns(now_ns) + duration_ns
        end_ns = now_ns + duration_ns
        # Each round leaves at most a tenth of the error, since a rate is at most RATE_PPM_MAX.
        for _ in range(_ROUNDS_MAX):
            short_ns = target_ns - self._phase_ns(end_ns)
            if short_ns == 0:
                break
            end_ns += short_ns
        return max(now_ns, end_ns)

    def _phase_ns(self, now_ns: int) -> int:
        index = bisect_right(self._starts, now_ns) - 1
        if index < 0:
            return now_ns
        return now_ns + round(self._gained_ns[index] + self._rates[index].gained_ns(now_ns))


NOMINAL: Final = BoardClock()
"""A clock without a fault."""


def warming(at_ns: int, ramp_ns: int, celsius: float, until_ns: int | None) -> list[Rate]:
    """Return the rates of a tuning fork that warms from its top to `celsius` within `ramp_ns`.

    It stays there; or cools down again, as slowly, from `until_ns` on.
    """
    most_ppm = -PARABOLA_PPM_PER_K2 * (celsius - TOP_CELSIUS) ** 2
    ramp_s = ramp_ns / _NS_PER_S
    # With u = elapsed / ramp the difference of temperatures is u on the way up, 1 - u down.
    rates = [Rate(at_ns, 0.0, 0.0, most_ppm / ramp_s**2), Rate(at_ns + ramp_ns, most_ppm)]
    if until_ns is not None:
        down = Rate(until_ns, most_ppm, -2 * most_ppm / ramp_s, most_ppm / ramp_s**2)
        rates += [down, Rate(until_ns + ramp_ns, 0.0)]
    return rates


def added(laws: Iterable[list[Rate]]) -> list[Rate]:
    """Return the sum of several laws, each a list of rates in the order of their begin."""
    all_laws = [sorted(law) for law in laws]
    moments = sorted({rate.from_ns for law in all_laws for rate in law})
    return [_sum_at(moment_ns, all_laws) for moment_ns in moments]


def _sum_at(moment_ns: int, laws: list[list[Rate]]) -> Rate:
    ppm = per_s = per_s2 = 0.0
    for law in laws:
        index = bisect_right([rate.from_ns for rate in law], moment_ns) - 1
        if index >= 0:
            rate = law[index]
            elapsed_s = (moment_ns - rate.from_ns) / _NS_PER_S
            ppm += rate.ppm_at(moment_ns)
            per_s += rate.ppm_per_s + 2 * rate.ppm_per_s2 * elapsed_s
            per_s2 += rate.ppm_per_s2
    return Rate(moment_ns, ppm, per_s, per_s2)
