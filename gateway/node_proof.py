"""Proves to a third party what a node sealed, from an export of its frames and its public key.

No secret of the node is needed, and none of the gateway is trusted: where a frame comes from
follows from the node's signature over the tree in which the frame is a leaf (wire/checkpoint.py).
The MACs are not looked at. Two passes, in bounded memory whatever the length of the export:

1. Each line: a sealed frame of profile v1, of one node; no two frames with one number; a checkpoint
   has the key's signature, is the node's, and was sent in the boot it speaks of. What is needed of
   a frame, some 100 bytes, goes to a database in a temporary file, by number (`proof_index.py`).
2. Each boot, checkpoint after checkpoint: every subtree that a checkpoint signs and that has not
   been signed before is computed from the frames. A number without a frame is taken for an answer
   of the live lane, which is not kept and whose leaf is known.

So each number of the range that is asked for is one of these:

    proven         its frame is here and in the signed tree
    live           no frame is here, and the tree shows that it was an answer of the live lane
    missing        no frame is here; `declared` if a proven loss record of the node names it
    unproven       its frame is here, but shares its subtree with a number that is missing, or came
                   after the last checkpoint of its boot
    signed         its frame is here, is the last checkpoint of its boot and so in no tree: what it
                   says is proven by its own signature, not that it had this number

The verdict is *forged* with the first violation in words as soon as something contradicts a
signature, *incomplete* if a number is unproven, or missing and not declared, *declared* if one is
signed or declared, and *complete* if all are proven or live. So a range over a restart is at best
declared: where the tail of a boot was cut only the node says, in its next boot, and who keeps the
export may have put the last checkpoint on the number of a frame that was sealed shortly before it.
Frames after the last checkpoint of all are outside the range unless they are asked for. What this
cannot see: that the end of an export is cut off, unless `last` is given; what an answer of the live
lane said; when the frames were received, which only the gateway says.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import OperatorError
from gateway.proof_index import ForgeryError, Head, ProofIndex
from wire.checkpoint import EMPTY_LEAF
from wire.merkle import Tree

_GUESSES_MAX: Final = 65_536
"""So many numbers without a frame are taken for live answers in one subtree; more are missing."""
_RANGES_SHOWN: Final = 5
_KEY_DIGITS: Final = 64


class Verdict(StrEnum):
    """What the export proves about the range."""

    COMPLETE = "complete"
    DECLARED = "declared"
    """Complete but for what the node itself declares, and the ends of boots."""
    INCOMPLETE = "incomplete"
    FORGED = "forged"


class Range(NamedTuple):
    """Sequence numbers `first` to `last`, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What an export proves; ranges are in ascending order and lie between `first` and `last`."""

    node: str
    verdict: Verdict
    reason: str
    """The first violation, or what is missing, or what is proven, in words."""
    first: int
    last: int
    """The range that was judged; -1 and -1 if there is nothing to judge."""
    boots: tuple[int, ...]
    """Boot ids that have a checkpoint."""
    frames: int
    """Frames in the export, each number once."""
    checkpoints: int
    """Checkpoints in the export whose signature is right."""
    proven: tuple[Range, ...] = ()
    live: tuple[Range, ...] = ()
    missing: tuple[Range, ...] = ()
    declared: tuple[Range, ...] = ()
    """The part of `missing` that the node itself declares lost or unused, in a proven frame."""
    unproven: tuple[Range, ...] = ()
    signed: tuple[Range, ...] = ()


def prove(
    export_path: Path, public_key: bytes, first: int | None = None, last: int | None = None
) -> Proof:
    """Return what an export proves about a node's numbers `first` to `last`.

    Without bounds the range goes from the lowest number of a frame or signed tree to the last one
    that is signed. `public_key` is the node's Ed25519 key, 32 bytes. Raises `OperatorError` for a
    key of another length, `TraceError` for a file that is no export, with the line.
    """
    with closing(ProofIndex(public_key)) as index:
        try:
            index.read(export_path)
            survey = _Survey(index)
            survey.compare()
        except ForgeryError as violation:
            return _forged(index, str(violation))
        return survey.judge(first, last)


class _Survey:
    """The second pass: what each number of the signed trees is."""

    def __init__(self, index: ProofIndex) -> None:
        self._index = index
        self._proven = _Ranges()
        self._live = _Ranges()
        self._missing = _Ranges()
        self._unproven = _Ranges()
        self._signed = _Ranges()
        self._tails = _Ranges()
        """Numbers behind the last tree of a boot and before the first one of the next."""
        self._checkpoint = -1
        """Number of the frame that carries the newest checkpoint."""
        self._boots: list[int] = []
        self._end = -1
        """One above the last number that is signed."""
        self._lowest = index.lowest()

    def compare(self) -> None:
        """Hold every checkpoint to the frames; raise `ForgeryError` at the first misfit."""
        before: Head | None = None
        for head in self._index.heads():
            if before is None or head.boot != before.boot:
                before = self._begin_boot(head)
            elif head.start != before.start:
                raise ForgeryError(
                    f"line {head.line}: boot {head.boot} begins with number {head.start}, in line "
                    f"{before.line} with {before.start}"
                )
            self._compare_head(head, before)
            before = head
            self._end = head.start + head.size
            self._checkpoint = head.number

    def judge(self, first: int | None, last: int | None) -> Proof:
        """Return the proof for a range."""
        low = self._lowest if first is None else first
        high = self._end - 1 if last is None else last
        self._classify_tail(max(self._end, low), high)
        if self._boots:
            self._missing.put_before(low, min(self._lowest - 1, high))
        missing = self._missing.within(low, high)
        return Proof(
            node=self._index.node,
            verdict=self._verdict(low, high),
            reason=self._reason(low, high),
            first=low,
            last=high,
            boots=tuple(self._boots),
            frames=self._index.frames,
            checkpoints=self._index.checkpoints,
            proven=self._proven.within(low, high),
            live=self._live.within(low, high),
            missing=missing,
            declared=self._declared(missing),
            unproven=self._unproven.within(low, high),
            signed=self._signed.within(low, high),
        )

    def _begin_boot(self, head: Head) -> Head:
        """Note a boot; what lies between its numbers and those before belongs to no tree."""
        if head.boot in self._boots or head.start < self._end:
            raise ForgeryError(
                f"line {head.line}: boot {head.boot} begins with number {head.start}, among those "
                "of another boot"
            )
        self._boots.append(head.boot)
        begin = self._end
        if begin < 0:
            begin = self._lowest
            self._lowest = min(begin, head.start)
        self._classify_tail(begin, head.start - 1)
        return Head(head.boot, 0, head.start, head.line, (), -1)

    def _compare_head(self, head: Head, before: Head) -> None:
        """Hold one checkpoint to the one before it in its boot and to the frames between them."""
        known = list(_subtrees(before))
        for begin, end, value in _subtrees(head):
            if end > before.size:
                inner = tuple(found for at, _, found in known if at >= begin)
                tree = Tree(max(before.size - begin, 0), inner)
                self._compare_subtree(head, begin + tree.size, end, value, tree)
            elif (begin, end, value) not in known:
                raise ForgeryError(
                    f"line {head.line}: the checkpoint contradicts the one in line {before.line}"
                )

    def _compare_subtree(self, head: Head, begin: int, end: int, value: bytes, tree: Tree) -> None:
        """Hold the leaves `begin` to `end` (not included) to the signed hash of their subtree.

        `tree` is what an earlier checkpoint has signed of it.
        """
        first, last = head.start + begin, head.start + end - 1
        guesses = end - begin - self._index.count(first, last)
        if guesses <= _GUESSES_MAX and self._grow(tree, head, first, last) == value:
            self._classify(first, last, self._proven, self._live)
        elif guesses:
            self._classify(first, last, self._unproven, self._missing)
        else:
            raise ForgeryError(
                f"line {head.line}: the node has signed other frames than those with numbers "
                f"{first} to {last}: at least one was changed, added or put in another place"
            )

    def _grow(self, tree: Tree, head: Head, first: int, last: int) -> bytes:
        """Return the root of `tree` with the leaves of these numbers; none is a live answer."""
        number = first
        for leaf in self._index.leaves(first, last):
            if leaf.boot != head.boot:
                raise ForgeryError(
                    f"line {leaf.line}: number {leaf.sequence} in a frame of boot {leaf.boot}; "
                    f"line {head.line} signs that boot {head.boot} has it"
                )
            for _ in range(leaf.sequence - number):
                tree.append(EMPTY_LEAF)
            tree.append(leaf.hash)
            number = leaf.sequence + 1
        for _ in range(last + 1 - number):
            tree.append(EMPTY_LEAF)
        return tree.root()

    def _classify(self, first: int, last: int, present: "_Ranges", absent: "_Ranges") -> None:
        """Enter numbers `first` to `last` into one or the other."""
        number = first
        for leaf in self._index.leaves(first, last):
            absent.add(number, leaf.sequence - 1)
            present.add(leaf.sequence, leaf.sequence)
            number = leaf.sequence + 1
        absent.add(number, last)

    def _classify_tail(self, first: int, last: int) -> None:
        """Enter numbers behind the last tree of a boot."""
        own = self._checkpoint
        self._tails.add(first, last)
        if first <= own <= last:
            self._classify(first, own - 1, self._unproven, self._missing)
            self._signed.add(own, own)
            first = own + 1
        self._classify(first, last, self._unproven, self._missing)

    def _declared(self, missing: tuple[Range, ...]) -> tuple[Range, ...]:
        """Return the part of `missing` that proven loss records name."""
        losses = _Ranges()
        for number, first, last in self._index.losses():
            if self._proven.within(number, number):
                losses.add(max(first, losses.end), last)
        found = _Ranges()
        for gap in missing:
            for part in losses.within(*gap):
                found.add(*part)
        return found.within(0, found.end)

    def _verdict(self, low: int, high: int) -> Verdict:
        missing = self._missing.within(low, high)
        undeclared = count_of(missing) - count_of(self._declared(missing))
        if not self._boots or undeclared or self._unproven.within(low, high):
            return Verdict.INCOMPLETE
        if missing or self._signed.within(low, high):
            return Verdict.DECLARED
        return Verdict.COMPLETE

    def _reason(self, low: int, high: int) -> str:
        """Return in words what the range lacks, or that it lacks nothing."""
        if not self._boots:
            return "no checkpoint is among the frames, so nothing is proven"
        words = [f"numbers {low} to {high}, {self._index.checkpoints} checkpoints"]
        missing = self._missing.within(low, high)
        if missing:
            words.append(
                f"{count_of(missing)} missing ({words_of(missing)}), of which the node declares "
                f"{count_of(self._declared(missing))}"
            )
        unproven = self._unproven.within(low, high)
        if unproven:
            tails = self._tails.within(low, high)
            late = sum(count_of(self._unproven.within(*tail)) for tail in tails)
            words.append(
                f"{count_of(unproven)} here but not proven ({words_of(unproven)}), {late} of them "
                "after the last checkpoint of their boot"
            )
        signed = self._signed.within(low, high)
        if signed:
            words.append(
                f"{count_of(signed)} proven by a signature of its own except for its number "
                f"({words_of(signed)})"
            )
        return "; ".join(words)


class _Ranges:
    """Numbers as ranges; they are added in ascending order."""

    def __init__(self) -> None:
        self._ranges: list[Range] = []

    @property
    def end(self) -> int:
        """One above the highest number; 0 if there is none."""
        return self._ranges[-1].last + 1 if self._ranges else 0

    def add(self, first: int, last: int) -> None:
        """Add numbers `first` to `last`, which are none if `last` is below `first`."""
        if last < first:
            return
        if self._ranges and self._ranges[-1].last + 1 == first:
            first = self._ranges.pop().first
        self._ranges.append(Range(first, last))

    def put_before(self, first: int, last: int) -> None:
        """Add numbers that are all below those that are there."""
        later, self._ranges = self._ranges, []
        for numbers in (Range(first, last), *later):
            self.add(*numbers)

    def within(self, low: int, high: int) -> tuple[Range, ...]:
        """Return the ranges between `low` and `high`, cut off there."""
        begin = bisect_left(self._ranges, low, key=lambda numbers: numbers.last)
        end = bisect_right(self._ranges, high, key=lambda numbers: numbers.first)
        return tuple(
            Range(max(first, low), min(last, high)) for first, last in self._ranges[begin:end]
        )


def _subtrees(head: Head) -> Iterator[tuple[int, int, bytes]]:
    """Yield first leaf, the leaf after the last one, and hash of what a checkpoint's range has."""
    begin = 0
    hashes = iter(head.hashes)
    for bit in range(head.size.bit_length() - 1, -1, -1):
        if head.size >> bit & 1:
            end = begin + (1 << bit)
            yield begin, end, next(hashes)
            begin = end


def _forged(index: ProofIndex, reason: str) -> Proof:
    return Proof(
        node=index.node,
        verdict=Verdict.FORGED,
        reason=reason,
        first=-1,
        last=-1,
        boots=(),
        frames=index.frames,
        checkpoints=index.checkpoints,
    )


def read_public_key(text: str) -> bytes:
    """Return the 32 bytes of 64 hexadecimal digits, or of a file that holds them.

    Raises `OperatorError` for anything else.
    """
    digits = text
    try:
        if len(text) != _KEY_DIGITS:
            with Path(text).open(encoding="ascii") as file:
                digits = file.read(2 * _KEY_DIGITS).strip()
        key = bytes.fromhex(digits)
    except (OSError, ValueError):
        key = b""
    if len(key) * 2 != _KEY_DIGITS or len(digits) != _KEY_DIGITS:
        raise OperatorError(
            f"--key {text}: is neither {_KEY_DIGITS} hexadecimal digits nor a file of them; the "
            "node's boot record has its public key, and `twinrig board provision` prints it"
        )
    return key


def count_of(ranges: Iterable[Range]) -> int:
    """Return how many numbers the ranges have."""
    return sum(last - first + 1 for first, last in ranges)


def words_of(ranges: Sequence[Range]) -> str:
    """Return the first few ranges in words."""
    shown = [
        str(first) if first == last else f"{first} to {last}"
        for first, last in ranges[:_RANGES_SHOWN]
    ]
    more = len(ranges) - len(shown)
    return ", ".join(shown) + (f" and {more} more ranges" if more else "")
