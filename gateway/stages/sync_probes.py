"""When each node is asked for its time: once per period, and never at an exact one.

A probe that is sent at an exact period keeps its place against whatever else has a period on the
way, a node's loop or its frames, and drifts through it within hours: the delay then rises slowly on
one way and falls at once, which looks like a clock that steps. So each probe follows the one before
after `PERIOD_LEAST` to 1 of the period, by a hash of source and probe id: as even as chance, the
same in every run, and different for every source.

Promises: at least one probe per period; a time planned before the gateway's clock was set back is
due at once and counted, `clock_set_back`. Left to others: sealing and sending a probe at its time.
"""

from collections.abc import Iterable
from hashlib import blake2s
from typing import Final

from gateway.stages.sync_clock import BootClock, SourceClock
from gateway.stages.sync_views import ProbeRequest

PERIOD_LEAST: Final = 0.75
"""Least share of a period between two probes: a quarter of it is longer than a node's loop."""
PERIOD_MEAN: Final = (1 + PERIOD_LEAST) / 2
_PROBE_IDS: Final = 1 << 30
"""Probe ids wrap here, so that they stay small integers on a 32-bit node."""
_HASH_BITS: Final = 32
_AT_ONCE_NS: Final = 0
_HASTY_NS: Final = 500_000_000
_SUSPECT_NS: Final = 1_000_000_000
"""When something has changed and it is open what, a probe a second tells."""
_HASTY_MAX: Final = 16


def dithered_ns(wait_ns: int, source: str, probe_id: int) -> int:
    """Return how long to wait after a probe: `PERIOD_LEAST` to 1 of `wait_ns`."""
    digest = blake2s(f"{source} {probe_id}".encode(), digest_size=_HASH_BITS // 8).digest()
    share = int.from_bytes(digest)
    spread_ns = wait_ns - round(wait_ns * PERIOD_LEAST)
    return wait_ns - (spread_ns * share >> _HASH_BITS)


def due(clocks: Iterable[SourceClock], now_ns: int, period_ns: int) -> list[ProbeRequest]:
    """Return the probes to send now, and plan those after them."""
    requests = []
    for clock in clocks:
        if clock.due_ns is not None and clock.due_ns - now_ns > period_ns:
            clock.fault("clock_set_back")
        if clock.due_ns is not None and now_ns < clock.due_ns:
            continue
        # Milliseconds make an id differ from those of an earlier run of the gateway.
        clock.probe_id = max(clock.probe_id + 1, now_ns // 1_000_000 % _PROBE_IDS) % _PROBE_IDS
        clock.due_ns = now_ns + dithered_ns(period_ns, clock.source, clock.probe_id)
        requests.append(ProbeRequest(source=clock.source, probe_id=clock.probe_id))
    return requests


def hasten(clock: SourceClock, boot: BootClock, now_ns: int, bound_max_ns: int) -> None:
    """Probe again soon, but not for ever, while the bound is beyond the budget or in doubt.

    A node that has just started has much to say, and its first answers wait for the line.
    """
    belief = boot.clock.at(now_ns)
    is_accurate = belief is not None and belief.bound_ns <= bound_max_ns
    if is_accurate and not boot.checks.is_suspect:
        clock.hasty = 0
    elif clock.hasty < _HASTY_MAX and clock.due_ns is not None:
        clock.hasty += 1
        wait_ns = _SUSPECT_NS if is_accurate else _HASTY_NS
        soon_ns = now_ns + dithered_ns(wait_ns, clock.source, clock.probe_id)
        clock.due_ns = min(clock.due_ns, soon_ns)


def next_due_ns(clocks: Iterable[SourceClock]) -> int | None:
    """Return when the next probe is due, 0 if one is due at once; None without a node to ask."""
    return min(
        (_AT_ONCE_NS if clock.due_ns is None else clock.due_ns for clock in clocks), default=None
    )
