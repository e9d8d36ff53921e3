"""What a node says after an update decides; what it does not say decides nothing."""

import asyncio

import pytest

from gateway.clock import ManualClock
from gateway.control_client import NodeFacts
from gateway.update_trial import Trial, await_trial


class EagerClock:
    """Time passes while somebody waits for it, and only then."""

    def __init__(self) -> None:
        self._clock = ManualClock()

    def now_ns(self) -> int:
        return self._clock.now_ns()

    async def sleep_until(self, time_ns: int) -> None:
        self._clock.advance_to(time_ns)


def said(boot_id: int, reason: str, status_boot_id: int = -1, state: str = "") -> NodeFacts:
    return NodeFacts(
        key_epoch=0,
        heard_boot_id=boot_id,
        boot_id=boot_id,
        boot={"boot_reason": reason},
        status_boot_id=status_boot_id,
        status={"update_state": state} if state else {},
    )


BEFORE = said(7, "idle", 7, "idle")
TRIAL = said(8, "trial", 7, "ready")


def outcome(*answers: NodeFacts) -> tuple[Trial, int]:
    """Return what becomes of it when the node says this, half a second apart, and then no more."""
    told, begun = list(answers), []

    async def facts() -> NodeFacts:
        return told.pop(0) if len(told) > 1 else told[0]

    trial = asyncio.run(await_trial(facts, EagerClock(), 7, 30.0, lambda: begun.append(1)))
    return trial, len(begun)


@pytest.mark.parametrize(
    ("answers", "trial", "begun"),
    [
        ((BEFORE, TRIAL, said(8, "trial", 8, "trial"), said(8, "trial", 8, "idle")),
         Trial.CONFIRMED, 1),
        ((BEFORE, TRIAL, TRIAL, said(9, "rolled back", 7, "idle")), Trial.ROLLED_BACK, 1),
        ((BEFORE, said(9, "rolled back", 7, "idle")), Trial.ROLLED_BACK, 0),
        ((TRIAL, said(9, "idle", 7, "idle")), Trial.ROLLED_BACK, 1),
        ((BEFORE, said(8, "idle", 8, "idle")), Trial.NOT_TRIED, 0),
        ((BEFORE,), Trial.UNKNOWN, 0),
        ((BEFORE, TRIAL, said(8, "trial", 8, "trial")), Trial.UNKNOWN, 1),
    ],
)  # fmt: skip
def test_only_what_the_node_says_after_the_update_counts(
    answers: tuple[NodeFacts, ...], trial: Trial, begun: int
) -> None:
    assert outcome(*answers) == (trial, begun)


def test_the_status_of_an_earlier_boot_confirms_nothing() -> None:
    assert outcome(said(8, "trial", 7, "idle"))[0] is Trial.UNKNOWN
