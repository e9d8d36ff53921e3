"""What becomes of an update after its last byte: confirmed or rolled back, in the node's own words.

The node restarts into the new set once (`firmware/loader.py`). Its boot record of that start says
"trial"; when the set has sampled, sealed and been heard, a status record of the same boot says
"idle": it is confirmed. Any start after that which says "rolled back" runs the old set again.

Promises: what is returned follows from sealed records of boots after `boot_before`, never from
silence; silence is `UNKNOWN`. Left to others: sending the set (`updates.py`).
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from gateway.clock import NS_PER_S, Clock
from gateway.control_client import NodeFacts

_POLL_NS: Final = NS_PER_S // 2
_IDLE: Final = "idle"
_TRIAL: Final = "trial"
_ROLLED_BACK: Final = "rolled back"


class Trial(StrEnum):
    """What became of a set of files."""

    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled back"
    NOT_TRIED = "not tried"
    """The node has started again and says nothing of a trial: what it runs is not chosen by it."""
    UNKNOWN = "unknown"


async def await_trial(
    facts: Callable[[], Awaitable[NodeFacts]],
    clock: Clock,
    boot_before: int,
    deadline_s: float,
    started: Callable[[], None] = lambda: None,
) -> Trial:
    """Return what became of the update of a node whose boot id was `boot_before`.

    `started` is called once, when the boot record of the trial has come.
    """
    end_ns = clock.now_ns() + int(deadline_s * NS_PER_S)
    is_on_trial = False
    while True:
        now = await facts()
        reason = str(now.boot.get("boot_reason", "")) if now.boot_id > boot_before else ""
        if reason == _TRIAL and not is_on_trial:
            is_on_trial = True
            started()
        if reason and reason != _TRIAL:
            # The boot record of the trial itself may have been overtaken by the next one.
            return Trial.ROLLED_BACK if is_on_trial or reason == _ROLLED_BACK else Trial.NOT_TRIED
        state = now.status.get("update_state") if now.status_boot_id == now.boot_id else None
        if is_on_trial and state == _IDLE:
            return Trial.CONFIRMED
        now_ns = clock.now_ns()
        if now_ns >= end_ns:
            return Trial.UNKNOWN
        await clock.sleep_until(now_ns + _POLL_NS)
