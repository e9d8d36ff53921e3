"""Which numbers of a node are missing, and what has become of them.

A node numbers all its frames in one row, over both lanes, without a gap within a boot. So of every
boot all numbers from the lowest to the highest one seen were announced, and each of them is exactly
one of

    arrived    verified or refused
    awaited    missing, and the node may still have it
    lost       missing, and the node will not send it again
    unanswered the same, but an answer of the live lane explains it: these are not stored, so one
               that the line took is gone, and no data with it
    declared   the node said in a loss record that it will not deliver it
    unknown    the node said so, and that it does not know whether it was a frame at all

A node that stores its frames until they are receipted never has two of them under way that lie
further apart than the replay window reaches. So it may still have what lies above the data lane's
highest number less that window; of any other node, what lies above that highest number. Of what a
storing node will not send again, as many numbers are taken for answers as questions of the gateway
(`asked`) are without one: a count, no proof, behind which as many frames of data could hide. Proof
gives `gateway/node_proof.py`.

A number that was lost, declared or unknown and arrives after all is `recovered`. A loss record may
also name numbers outside of what was seen (from before the gateway's start, or left out by a cut of
power): as many frames as it speaks of are announced by it, and declared. One that speaks of no
frame leaves open what its numbers were: all of them are announced, and unknown.

Promises: the sums in the account are right after every call, whatever the order of arrival; memory
is bounded: of the last `BOOTS_MAX` boots, `INTERVALS_MAX` intervals each. What is older keeps its
place in the sums, and loses its number: it arrives as the next best that is missing.
"""

from typing import Final, final

from gateway.loss import Account
from gateway.stages.intervals import Interval, IntervalSet, gaps, size
from gateway.stages.replay_window import BOOTS_MAX, WINDOW, ReplayMark

INTERVALS_MAX: Final = 256


@final
class _Boot:
    """The numbers of one boot."""

    __slots__ = (
        "awaited", "data_high", "declared", "floor", "forgotten", "gone", "high", "is_closed",
        "low", "missing", "unknown",
    )  # fmt: skip

    def __init__(self, floor: int) -> None:
        self.floor = floor
        """Up to here an earlier run of the gateway has counted; -1 if none has."""
        self.low: int | None = None if floor < 0 else floor + 1
        self.high = floor
        self.data_high = floor
        self.is_closed = False
        """Nothing more is awaited of it."""
        self.missing = IntervalSet()
        self.declared = IntervalSet()
        self.unknown = IntervalSet()
        self.forgotten = 0
        """Missing numbers that are only counted any more, all of them lost."""
        self.gone = 0
        """What of the sums is of this boot: lost or unanswered, and awaited."""
        self.awaited = 0

    def knows(self, sequence: int) -> bool:
        """Tell whether the number was announced in this run of the gateway."""
        return self.low is not None and self.low <= sequence <= self.high


@final
class Numbering:
    """Counts announced numbers of one node and what has become of them.

    `marks` are the replay windows an earlier run left: what it counted is not counted again.
    `is_storing` tells that the node keeps its frames until they are receipted.
    """

    def __init__(
        self, account: Account, marks: list[ReplayMark], *, is_storing: bool = False
    ) -> None:
        self._account = account
        self._is_storing = is_storing
        self._horizon = -1
        """A storing node sends nothing again up to here."""
        self._questions = 0
        """Asked, and not answered so far."""
        self._gone = 0
        floors: dict[int, int] = {}
        for mark in marks:
            floors[mark.boot_id] = max(floors.get(mark.boot_id, -1), mark.highest)
        self._boots = {boot_id: _Boot(floor) for boot_id, floor in floors.items()}
        self._outside = IntervalSet()
        """Numbers that a loss record named and that were seen in no boot."""
        self._outside_counted = 0
        """How many of them stand in the account as declared."""
        self._open = IntervalSet()
        """The same of a record that spoke of no frame: all stand in the account as unknown."""

    def asked(self) -> None:
        """Take note that the node was sent something that it answers, if it gets it."""
        self._questions += 1
        self._share_out()

    def arrived(self, boot_id: int, sequence: int, *, is_live: bool) -> None:
        """Take note of an authentic frame whose number is new to the replay window."""
        boot = self._boot(boot_id)
        if sequence <= boot.floor:
            self._account.announced += 1
            return
        if boot.knows(sequence):
            self._fill(boot, sequence)
        else:
            self._grow(boot, sequence)
        if is_live:
            self._questions = max(self._questions - 1, 0)
        elif sequence > boot.data_high:
            boot.data_high = sequence
            self._pass_over(boot_id, sequence)
        self._settle(boot)
        self._share_out()

    def declare(self, first: int, last: int, frames: int) -> None:
        """Take note of a loss record: numbers `first` to `last`, `frames` of them were frames.

        Later records name the numbers of earlier ones again, so what was declared is taken off.
        """
        if not frames:
            self._leave_open(first, last)
            return
        unknown: list[Interval] = [(first, last)]
        frames -= min(self._outside.within(first, last), self._outside_counted)
        for boot in self._boots.values():
            if boot.low is None:
                continue
            frames -= boot.declared.within(first, last)
            pieces = boot.missing.cut(first, last)
            for piece in pieces:
                boot.declared.add(*piece)
            frames -= size(pieces)
            self._account.declared += size(pieces)
            self._settle(boot)
            self._share_out()
            unknown = [gap for piece in unknown for gap in _outside_of(boot, piece)]
        self._declare_outside(unknown, frames)

    def _leave_open(self, first: int, last: int) -> None:
        """Take note that a node cannot say what became of numbers `first` to `last`."""
        outside: list[Interval] = [(first, last)]
        for boot in self._boots.values():
            if boot.low is None:
                continue
            pieces = boot.missing.cut(first, last)
            for piece in pieces:
                boot.unknown.add(*piece)
            self._account.unknown += size(pieces)
            self._bound(boot)
            self._settle(boot)
            outside = [gap for piece in outside for gap in _outside_of(boot, piece)]
        self._share_out()
        for piece in outside:
            known = sorted(self._outside.among(*piece) + self._open.among(*piece))
            for fresh in gaps(*piece, known):
                self._open.add(*fresh)
                self._account.announced += size([fresh])
                self._account.unknown += size([fresh])
        while len(self._open) > INTERVALS_MAX:
            self._open.pop_first()

    def _boot(self, boot_id: int) -> _Boot:
        """Return the numbers of a boot; the lowest boot makes room for a new one."""
        boot = self._boots.get(boot_id)
        if boot is None:
            boot = self._boots[boot_id] = _Boot(-1)
            if len(self._boots) > BOOTS_MAX:
                oldest = self._boots.pop(min(self._boots))
                oldest.data_high, oldest.is_closed = oldest.high, True
                self._settle(oldest)
                self._share_out()
        return boot

    def _grow(self, boot: _Boot, sequence: int) -> None:
        """Announce the numbers from what was seen of the boot to `sequence`, which has arrived."""
        if boot.low is None:
            first = last = boot.low = boot.high = sequence
        elif sequence > boot.high:
            first, last = boot.high + 1, sequence
            boot.high = sequence
        else:
            first, last = sequence, boot.low - 1
            boot.low = sequence
        account = self._account
        account.announced += last - first + 1
        if first == last and not len(self._outside) and not len(self._open):
            return
        pieces = self._outside.cut(first, last)
        counted = min(size(pieces), self._outside_counted)
        self._outside_counted -= counted
        account.announced -= counted
        account.declared += size(pieces) - counted
        for piece in pieces:
            boot.declared.add(*piece)
        left_open = self._open.cut(first, last)
        account.announced -= size(left_open)
        for piece in left_open:
            boot.unknown.add(*piece)
        for gap in gaps(first, last, sorted(pieces + left_open)):
            boot.missing.add(*gap)
        if not boot.missing.cut(sequence, sequence):
            self._recover(boot, sequence)
        self._bound(boot)

    def _fill(self, boot: _Boot, sequence: int) -> None:
        """Take a number out of what is missing or declared."""
        account = self._account
        if boot.missing.cut(sequence, sequence):
            account.recovered += sequence <= self._passed(boot)
        else:
            self._recover(boot, sequence)

    def _recover(self, boot: _Boot, sequence: int) -> None:
        """Take a number that has come after all from those that were given up."""
        self._account.recovered += 1
        if boot.unknown.cut(sequence, sequence):
            self._account.unknown -= 1
        elif not boot.declared.cut(sequence, sequence) and boot.forgotten:
            boot.forgotten -= 1
        else:
            # Also one that was forgotten among the declared ones.
            self._account.declared -= 1

    def _pass_over(self, boot_id: int, sequence: int) -> None:
        """Await nothing more of what the data lane has left behind by coming to this number."""
        if self._is_storing:
            self._horizon = max(self._horizon, sequence - WINDOW)
            for boot in self._boots.values():
                self._settle(boot)
            return
        for earlier_id, earlier in self._boots.items():
            if earlier_id < boot_id and earlier.awaited:
                earlier.data_high = earlier.high
                self._settle(earlier)

    def _passed(self, boot: _Boot) -> int:
        """Return up to which number of a boot nothing is awaited."""
        return self._horizon if self._is_storing and not boot.is_closed else boot.data_high

    def _settle(self, boot: _Boot) -> None:
        """Bring the sums of missing numbers up to date with a boot."""
        if not (len(boot.missing) or boot.gone or boot.awaited):
            return
        awaited = boot.missing.above(self._passed(boot))
        gone = boot.forgotten + boot.missing.above(-1) - awaited
        self._account.awaited += awaited - boot.awaited
        self._gone += gone - boot.gone
        boot.awaited, boot.gone = awaited, gone

    def _share_out(self) -> None:
        """Divide what will not come any more into answers and data."""
        unanswered = min(self._gone, self._questions) if self._is_storing else 0
        self._account.unanswered = unanswered
        self._account.lost = self._gone - unanswered

    def _bound(self, boot: _Boot) -> None:
        """Forget the lowest intervals when there are too many."""
        while len(boot.missing) > INTERVALS_MAX:
            boot.forgotten += size([boot.missing.pop_first()])
        while len(boot.unknown) > INTERVALS_MAX:
            given_up = size([boot.unknown.pop_first()])
            boot.forgotten += given_up
            self._account.unknown -= given_up
        while len(boot.declared) > INTERVALS_MAX:
            boot.declared.pop_first()

    def _declare_outside(self, unknown: list[Interval], frames: int) -> None:
        """Announce and declare `frames` of numbers that were seen in no boot."""
        pieces = [gap for piece in unknown for gap in gaps(*piece, self._open.among(*piece))]
        for first, last in pieces:
            fresh = gaps(first, last, self._outside.cut(first, last))
            self._outside.add(first, last)
            counted = max(0, min(frames, size(fresh)))
            frames -= counted
            self._outside_counted += counted
            self._account.announced += counted
            self._account.declared += counted
        while len(self._outside) > INTERVALS_MAX:
            forgotten = size([self._outside.pop_first()])
            self._outside_counted = max(0, self._outside_counted - forgotten)


def _outside_of(boot: _Boot, piece: Interval) -> list[Interval]:
    """Return what of `piece` was not announced in the boot."""
    first, last = piece
    assert boot.low is not None  # noqa: S101 - the caller knows it
    inside = (max(first, boot.low), min(last, boot.high))
    return gaps(first, last, [inside] if inside[0] <= inside[1] else [])
