"""A clock that is believed again only when two exchanges agree.

What contradicts what was certain, an exchange or a frame, has false stamps, or the clock stepped
before it: it alone does not tell which. So the clock becomes unknown with it. Exchanges are held
against each other in a trial that gives no time, until two in a row agree; with them the clock is
known again.

Promises: one false exchange never moves a clock, whatever its stamps; while it is in doubt there is
no time. The first exchange of a clock is believed as it is, there is nothing to hold it against.
Left to others: asking again soon, what frames sealed before are worth (sync_clock.py), causes.
"""

from typing import final

from gateway.models.node_clock import Crystal, Exchange, ExchangeVerdict, NodeClock

Stamps = tuple[int, int, int, int]
"""T1 (gateway, ns), T2 and T3 (source, us), T4 (gateway, ns)."""


@final
class AgreedClock:
    """One clock of one source; `clock` is what is known of it."""

    __slots__ = ("_last", "_trial", "clock", "started_ns")

    def __init__(self, crystal: Crystal) -> None:
        self.clock = NodeClock(crystal)
        self.started_ns = 0
        """Gateway time of the first exchange the clock is made from."""
        self._trial: NodeClock | None = None
        """Made from the exchanges since a contradiction, while no two agree."""
        self._last: Stamps | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether something contradicted, and no two exchanges have agreed since."""
        return self._trial is not None

    def exchange(self, stamps: Stamps) -> Exchange:
        """Take an exchange; a contradiction makes the clock unknown."""
        trial = self._trial
        exchange = (self.clock if trial is None else trial).exchange(*stamps)
        if exchange.verdict is ExchangeVerdict.CONTRADICTION:
            self.doubt()
            self.exchange(stamps)
        elif exchange.verdict is ExchangeVerdict.USED:
            self._used(stamps)
        return exchange

    def doubt(self) -> None:
        """Forget the clock, and believe the next exchange only with another that agrees."""
        self.restart()
        self._trial = NodeClock(self.clock.crystal)

    def renew(self, since_ns: int | None) -> bool:
        """Follow the clock from its newest exchange on, if it is not followed so already.

        since_ns: it stepped after that moment; None: it did not, an exchange before was false.
        """
        is_new = since_ns is not None and self.started_ns > since_ns
        if is_new or self._trial is not None or self._last is None:
            return False
        self.clock.restart()
        self.clock.exchange(*self._last)
        self.started_ns = self._last[3]
        return True

    def restart(self) -> None:
        """Forget everything: it is another clock, or the gateway's own was set."""
        self.clock.restart()
        self._trial = self._last = None

    def _used(self, stamps: Stamps) -> None:
        """Take note of an exchange that agreed, or is the first one."""
        self._last = stamps
        trial = self._trial
        if (self.clock if trial is None else trial).exchanges == 1:
            self.started_ns = stamps[3]
        elif trial is not None:
            self.clock, self._trial = trial, None
