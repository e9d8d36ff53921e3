"""Is the communication service up? The rule of TS 22.104 as an automaton on observed time.

    waiting --message--> up --no message for the grace--> down --message--> up
    waiting --nothing for the grace--> down
    up --restart of the gateway--> waiting again

    grace = transfer interval + survival time: the next message is expected one transfer interval
    after the last, and the application lives for the survival time without it.

Promises: a failure begins when the survival time ends, not when somebody looks; a service that
never was up has no failure, only downtime, and that from its start; what is waited for and comes is
no part of the time that was observed, and after a restart no wait is. Time comes as an argument and
is that of `kpi.py`: the gateway's own pauses have no length in it.
Left to others: what is a message in time (`kpi_link.py`), limits of the figures
(`models/reliability.py`).

Sources: 3GPP TS 22.104, 3.1 (communication service availability, survival time) and annex C.
"""

from typing import Final, NamedTuple, final

NS_MAX: Final = 1 << 62
"""146 years; a state that says more is damaged."""


class ServiceState(NamedTuple):
    """What outlives a restart of the gateway."""

    up_ns: int = 0
    down_ns: int = 0
    failures: int = 0
    longest_gap_ns: int = 0
    is_up: bool = False
    """When somebody knew last."""
    has_begun: bool = False


NEW: Final = ServiceState()


@final
class Service:
    """Up and down times of one communication service, from `at_ns` on.

    After a restart a service that was up is waited for: nothing is counted, and nobody calls it up,
    until a message in time or the end of the grace, with which it has failed, once. One that was
    down is still down. So no restart makes a failure if the service speaks within its grace, and
    none makes up time.
    """

    __slots__ = ("_grace_ns", "_is_awaited", "_last_ns", "_mark_ns", "_state")

    def __init__(self, grace_ns: int, at_ns: int, state: ServiceState = NEW) -> None:
        self._grace_ns = grace_ns
        self._state = state
        self._is_awaited = state.is_up
        """It was up before a restart, and has not spoken since."""
        self._mark_ns = at_ns
        """Up to here up and down times are counted."""
        self._last_ns = at_ns
        """Last message in time, or when it was first waited for."""

    @property
    def state(self) -> ServiceState:
        """Return the times as of the last call."""
        return self._state

    @property
    def is_up(self) -> bool:
        """Tell whether the service was up at the last call."""
        return self._state.is_up and not self._is_awaited

    def look(self, at_ns: int) -> None:
        """Let time pass without a message."""
        state, fails_ns = self._state, self._last_ns + self._grace_ns
        if self._is_awaited:
            if at_ns <= fails_ns:
                return
            self._is_awaited = False
            state = state._replace(failures=state.failures + 1, is_up=False)
            self._mark_ns = fails_ns
        elif at_ns > fails_ns and not state.has_begun:
            state = state._replace(has_begun=True)
        elif at_ns > fails_ns and state.is_up:
            up_ns = state.up_ns + fails_ns - self._mark_ns
            state = state._replace(up_ns=up_ns, failures=state.failures + 1, is_up=False)
            self._mark_ns = fails_ns
        if state.has_begun:
            passed_ns = at_ns - self._mark_ns
            if state.is_up:
                state = state._replace(up_ns=state.up_ns + passed_ns)
            else:
                state = state._replace(down_ns=state.down_ns + passed_ns)
            gap_ns = max(state.longest_gap_ns, at_ns - self._last_ns)
            state = state._replace(longest_gap_ns=gap_ns)
            self._mark_ns = at_ns
        self._state = state

    def message(self, at_ns: int) -> None:
        """Take note of a message in time."""
        self.look(at_ns)
        self._is_awaited = False
        self._state = self._state._replace(has_begun=True, is_up=True)
        self._mark_ns = self._last_ns = at_ns
