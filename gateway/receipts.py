"""What the gateway has stored of each node, said in time for the node to forget it.

The rule of a receipt: it names a frame only when the gateway is done with it. With a store, that is
when the commit that holds all records of the frame has succeeded, or the store has counted them as
dropped; without one, when they are in the outboxes of the sinks. A frame whose content was refused
is done with, too: to send it again would change nothing.

A receipt is due: once after the start, and at once after a boot record, but then not before the
node's clock is known (or `PATIENCE_NS` have passed), because it makes the node send what it stored;
after `FRESH_MAX` frames; `SPACING_NS` after the last one if anything is new; soon when a node sends
what was seen before, since then a receipt got lost; and every `REPEAT_NS` in any case, so that a
node that backed off hears that somebody listens.

Promises: never names a frame that is not done with, also when numbers are done with out of order,
nor one of another root key, whose numbers are others; never goes back. `settled_marks` gives the
replay windows in the same sense: what is not done with may come again after a crash.
Left to others: sealing and sending (`dialogue.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, final

from gateway.clock import NS_PER_S
from gateway.stages.replay_window import WINDOW, Lane, ReplayMark

SPACING_NS: Final = 5 * NS_PER_S
FRESH_MAX: Final = 16
SOON_NS: Final = NS_PER_S
REPEAT_NS: Final = 15 * NS_PER_S
PATIENCE_NS: Final = 10 * NS_PER_S


class DueReceipt(NamedTuple):
    """A receipt to send now; as in `wire.messages.encode_receipt`."""

    node: str
    highest: int
    seen: int


@final
class _State:
    """What one node is to be told."""

    __slots__ = ("asked_ns", "fresh", "highest", "is_begun", "is_soon", "sent_ns", "unsettled")

    def __init__(self) -> None:
        self.unsettled: set[int] = set()
        self.fresh = 0
        """Frames done with since the last receipt."""
        self.is_soon = False
        self.is_begun = False
        """The receipt that opens the conversation with this boot was sent."""
        self.asked_ns: int | None = None
        """Since when that receipt is wanted."""
        self.sent_ns: int | None = None
        self.highest = 0


@final
class Receipts:
    """Receipts for `nodes`; `windows` returns the data lane's replay windows of a node."""

    def __init__(
        self, nodes: Iterable[str], windows: Callable[[str], Sequence[ReplayMark]]
    ) -> None:
        self._windows = windows
        self._states = {node: _State() for node in nodes}

    def taken(self, node: str, sequence: int, *, is_boot: bool = False) -> None:
        """Take note of a frame of the data lane whose records are on their way."""
        state = self._states.get(node)
        if state is None:
            return
        state.unsettled.add(sequence)
        if is_boot:
            state.is_begun, state.asked_ns = False, None

    def settled(self, node: str, sequence: int) -> None:
        """Take note that the gateway is done with a frame."""
        state = self._states.get(node)
        if state is not None and sequence in state.unsettled:
            state.unsettled.remove(sequence)
            state.fresh += 1

    def refused(self, node: str, *, was_seen: bool) -> None:
        """Take note of an authentic frame that was refused, perhaps because it was seen before."""
        state = self._states.get(node)
        if state is None:
            return
        if was_seen:
            state.is_soon = True
        else:
            state.fresh += 1

    def due(self, now_ns: int, is_ready: Callable[[str], bool]) -> list[DueReceipt]:
        """Return the receipts to send now; `is_ready` tells whether a node's clock is known."""
        found = []
        for node, state in self._states.items():
            if not self._is_due(node, state, now_ns, is_ready):
                continue
            highest, seen = self._receipt(node, state)
            if highest < state.highest or (not seen and state.unsettled):
                # It would go back, or name a number that is not done with as not stored.
                continue
            found.append(DueReceipt(node, highest, seen))
            state.highest, state.sent_ns = highest, now_ns
            state.fresh, state.is_soon, state.is_begun = 0, False, True
        return found

    def settled_marks(self, marks: Sequence[ReplayMark]) -> list[ReplayMark]:
        """Return replay windows without the frames that the gateway is not done with."""
        kept = []
        for mark in marks:
            state = self._states.get(mark.source)
            open_numbers = state.unsettled if state and mark.lane is Lane.DATA else ()
            left = _without(mark, open_numbers) if open_numbers else mark
            if left is not None:
                kept.append(left)
        return kept

    def _is_due(
        self, node: str, state: _State, now_ns: int, is_ready: Callable[[str], bool]
    ) -> bool:
        """Tell whether the node should hear a receipt now."""
        if not state.is_begun:
            if state.asked_ns is None or state.asked_ns > now_ns:
                state.asked_ns = now_ns
            return is_ready(node) or now_ns - state.asked_ns >= PATIENCE_NS
        since_ns = now_ns - (state.sent_ns or 0)
        if since_ns < 0:
            # The clock was set back; what was due before is due.
            return True
        return (
            state.fresh >= FRESH_MAX
            or (state.fresh > 0 and since_ns >= SPACING_NS)
            or (state.is_soon and since_ns >= SOON_NS)
            or since_ns >= REPEAT_NS
        )

    def _receipt(self, node: str, state: _State) -> tuple[int, int]:
        """Return (highest, seen) of what is done with; (0, 0) if nothing is.

        Numbers above one that is not done with are left out: their turn comes with it.
        """
        limit = min(state.unsettled, default=None)
        done = [
            mark.highest - place
            for mark in self._windows(node)
            for place in range(WINDOW)
            if mark.seen >> place & 1
        ]
        done = [number for number in done if limit is None or number < limit]
        if not done:
            return 0, 0
        highest = max(done)
        seen = 0
        for number in done:
            if highest - number < WINDOW:
                seen |= 1 << (highest - number)
        return highest, seen


def _without(mark: ReplayMark, numbers: Iterable[int]) -> ReplayMark | None:
    """Return a window without some numbers, None if none is left."""
    seen = mark.seen
    for number in numbers:
        if 0 <= mark.highest - number < WINDOW:
            seen &= ~(1 << (mark.highest - number))
    if not seen:
        return None
    lowest_bit = (seen & -seen).bit_length() - 1
    return replace(mark, highest=mark.highest - lowest_bit, seen=seen >> lowest_bit)
