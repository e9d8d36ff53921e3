"""How often each signal speaks: as stated, or recognised from the values themselves.

    period = stated, else the median of the first `_GAPS` gaps between times of values

It is kept from then on, so that a signal which becomes slower is missing, not taken for one that
was meant to be slow; it follows a signal that becomes faster by a quarter or more. Until a period
is known a signal is expected in every row, as if it had the period of the rows.

Promises: times of the sources alone count, so a slow line changes nothing; all integers, hence the
same answers for the same values. Left to others: what becomes of a row without a value (`rows.py`).
"""

from collections import deque
from collections.abc import Mapping
from typing import Final, final

_GAPS: Final = 5
"""Odd, so that one gap too long (a lost value) or two do not set the period."""


@final
class SignalCadence:
    """The periods of `signals`; `stated_ns` are those that are known beforehand."""

    def __init__(
        self, signals: tuple[str, ...], row_period_ns: int, stated_ns: Mapping[str, int]
    ) -> None:
        self._row_period_ns = row_period_ns
        self._periods_ns = {name: stated_ns.get(name) for name in signals}
        self._gaps_ns: dict[str, deque[int]] = {name: deque(maxlen=_GAPS) for name in signals}
        self._last_ns: dict[str, int] = {}
        self._slow = {name for name in signals if self._is_slow(name)}
        """Signals that are not due in every row."""

    def heard(self, signal: str, time_ns: int) -> None:
        """Take the time of a value; one that is older than the last says nothing."""
        last_ns = self._last_ns.get(signal)
        if last_ns is not None and time_ns <= last_ns:
            return
        self._last_ns[signal] = time_ns
        if last_ns is None:
            return
        gaps_ns, known_ns = self._gaps_ns[signal], self._periods_ns[signal]
        gaps_ns.append(time_ns - last_ns)
        # A gap that is no shorter cannot make the median of the gaps shorter.
        if known_ns is not None and 4 * (time_ns - last_ns) >= 3 * known_ns:
            return
        if len(gaps_ns) < _GAPS:
            return
        median_ns = sorted(gaps_ns)[_GAPS // 2]
        if known_ns is None or 4 * median_ns < 3 * known_ns:
            self._periods_ns[signal] = median_ns
            if self._is_slow(signal):
                self._slow.add(signal)
            else:
                self._slow.discard(signal)

    def _is_slow(self, signal: str) -> bool:
        return 2 * self.period_ns(signal) >= 3 * self._row_period_ns

    def forget(self) -> None:
        """Forget when each signal spoke last, for a clock that was set back; periods stay."""
        self._last_ns.clear()
        for gaps_ns in self._gaps_ns.values():
            gaps_ns.clear()

    def period_ns(self, signal: str) -> int:
        """Return the period of a signal; that of the rows while it is not known."""
        return self._periods_ns[signal] or self._row_period_ns

    def is_due(self, signal: str, end_ns: int) -> bool:
        """Tell whether a value of the signal belongs to the row that ends at `end_ns`.

        A signal about as fast as the rows is due in each; so is one that has not spoken yet. A
        slower one is due whole periods after its last value, and already in the row before if that
        is within a quarter of a row: its jitter may have brought it forward.
        """
        if signal not in self._slow:
            return True
        period_ns, last_ns = self.period_ns(signal), self._last_ns.get(signal)
        if last_ns is None:
            return True
        reach_ns = end_ns + self._row_period_ns // 4 - 1
        periods = (reach_ns - last_ns) // period_ns
        return periods >= 1 and last_ns + periods * period_ns >= end_ns - self._row_period_ns

    def has_more(self, signal: str, time_ns: int, end_ns: int) -> bool:
        """Tell whether a signal faster than the rows speaks again after `time_ns`, before the end.

        A quarter of its period is left to its jitter. Of one that is about as fast as the rows, or
        whose period is not known, nothing more is waited for.
        """
        period_ns = self._periods_ns[signal]
        if period_ns is None or 2 * period_ns > self._row_period_ns:
            return False
        return time_ns + period_ns + period_ns // 4 < end_ns
