"""Which frames of a node were seen already: sliding windows over its sealed sequence numbers.

A node has two lanes, told apart by content type: what it answers overtakes what it stores
(`wire.content.is_live`). Each lane has a window of its own, so a stored frame that comes an hour
after the answers of now is not too old. Rules of a lane, in this order (after RFC 8613, 7.4, and
the IPsec window):
1. a boot id below the lowest one remembered is `stale_boot`; an unknown one opens an empty window.
   The live lane remembers one boot. The data lane remembers the last few: frames that a node stored
   before it restarted come after it, and one that got lost on the line comes after newer ones;
2. a number above the highest of its boot is taken and moves the window;
3. a number `WINDOW` or more below the highest is `too_old`;
4. a number seen before is `replayed`; an unseen one is taken.

Numbers are unique under one root key only, so a mark says of which one it is: what is known of a
board says nothing of the one that takes its place with a new key.

`admit` decides and remembers in one step. Left to the caller: calling it only after the MAC was
found right, since an unauthenticated number must not move anything; counting what is missing
(`numbering.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, final

WINDOW: Final = 64
"""Numbers remembered below the highest one; the bits of a receipt."""
BOOTS_MAX: Final = 4
"""Boots the data lane remembers."""

_MASK: Final = (1 << WINDOW) - 1


class Lane(StrEnum):
    """Which of a node's two streams a frame belongs to."""

    DATA = "data"
    LIVE = "live"


_BOOTS: Final = {Lane.DATA: BOOTS_MAX, Lane.LIVE: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayMark:
    """What must outlive the gateway so that old frames stay old: store it, hand it to `Verify`."""

    source: str
    lane: Lane
    boot_id: int
    highest: int
    seen: int
    """Bit i set: number `highest - i` was seen."""
    root_id: str = ""
    """Of which root key (`keyring.root_id`); empty for a mark of before they said it: of any."""


@final
class ReplayWindow:
    """The window of one lane of one node."""

    __slots__ = ("_boots", "_boots_max", "_lane")

    def __init__(self, lane: Lane, marks: Iterable[ReplayMark] = ()) -> None:
        self._lane = lane
        self._boots_max = _BOOTS[lane]
        self._boots = {mark.boot_id: (mark.highest, mark.seen & _MASK) for mark in marks}

    def admit(self, boot_id: int, sequence: int) -> str | None:
        """Take the number and return None, or leave everything as it is and return the reason."""
        known = self._boots.get(boot_id)
        if known is None:
            if self._boots and boot_id < self._oldest_allowed():
                return "stale_boot"
            self._boots[boot_id] = sequence, 1
            if len(self._boots) > self._boots_max:
                del self._boots[min(self._boots)]
            return None
        highest, seen = known
        ahead = sequence - highest
        if ahead > 0:
            # A jump past the window empties it; shifting by the full jump could need huge integers.
            seen = ((seen << ahead) | 1) & _MASK if ahead < WINDOW else 1
            self._boots[boot_id] = sequence, seen
            return None
        if ahead <= -WINDOW:
            return "too_old"
        bit = 1 << -ahead
        if seen & bit:
            return "replayed"
        self._boots[boot_id] = highest, seen | bit
        return None

    def marks(self, source: str, root_id: str = "") -> list[ReplayMark]:
        """Return what to remember of this lane, oldest boot first; nothing before the first."""
        return [
            ReplayMark(
                source=source, lane=self._lane, boot_id=boot, highest=highest, seen=seen,
                root_id=root_id,
            )
            for boot, (highest, seen) in sorted(self._boots.items())
        ]  # fmt: skip

    def _oldest_allowed(self) -> int:
        """Return the lowest boot id of which nothing can have been forgotten."""
        return max(self._boots) if self._boots_max == 1 else min(self._boots)


def merged_marks(first: Iterable[ReplayMark], second: Iterable[ReplayMark]) -> list[ReplayMark]:
    """Return marks in which every number counts as seen that one of both has seen.

    Those of different root keys stay apart.
    """
    merged: dict[tuple[str, Lane, int, str], ReplayMark] = {}
    for mark in (*first, *second):
        key = (mark.source, mark.lane, mark.boot_id, mark.root_id)
        other = merged.get(key, mark)
        high, low = (mark, other) if mark.highest >= other.highest else (other, mark)
        behind = high.highest - low.highest
        seen = high.seen | (low.seen << behind & _MASK if behind < WINDOW else 0)
        merged[key] = replace(high, seen=seen)
    return list(merged.values())


def marks_under(marks: Iterable[ReplayMark], root_ids: Sequence[str]) -> list[ReplayMark]:
    """Return the marks that hold for a node with these root keys, as marks of the first one."""
    own = [mark for mark in marks if not mark.root_id or mark.root_id in root_ids]
    return merged_marks((replace(mark, root_id=root_ids[0]) for mark in own), ())
