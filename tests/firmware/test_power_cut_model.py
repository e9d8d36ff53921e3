"""The spool over files that tear, decay and refuse, in any order that hypothesis thinks of.

Coarser than littlefs, and worse: an append may leave any part of itself, a file may be cut, flipped
or gone, an operation may fail after it was done.  What is asked stays: what is offered is in order
and as it was sealed, nothing that was receipted comes again within a boot, and every number is
delivered, offered, or named by a record that is.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from firmware.spool import QUEUE_BYTES_MAX, Spool

SEGMENTS = 4
SEGMENT_BYTES = 400


class PowerCutError(BaseException):
    """The power has gone: no handler of the node sees it."""


class Files:
    """The file functions of a hal; `cut_after` operations the power goes, `part` is done of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut_after: int | None = None
        self.part = 0.0
        self.errno: int | None = None
        self.is_read_failing = False

    def _change(self, name: str, content: bytes | None, new_bytes: int = 0) -> None:
        """Give a file its new content; a cut or an error leaves `part` of the new bytes."""
        is_cut = self.cut_after == 0
        if self.cut_after is not None:
            self.cut_after -= 1
        if is_cut or self.errno is not None:
            if content is not None:
                content = content[: len(content) - round(new_bytes * (1 - self.part))]
            elif self.part < 0.5:
                content = self.files.get(name)
        if content is None:
            self.files.pop(name, None)
        elif content or name in self.files:
            self.files[name] = content
        if is_cut:
            raise PowerCutError
        if self.errno is not None:
            raise OSError(self.errno)

    def append_file(self, name: str, content: bytes) -> None:
        self._change(name, self.files.get(name, b"") + bytes(content), len(content))

    def remove_file(self, name: str) -> None:
        if name in self.files:
            self._change(name, None)

    def read_file_at(self, name: str, offset: int, buffer: Any) -> int:
        if self.is_read_failing:
            raise OSError(5)
        if name not in self.files:
            raise OSError(2)
        piece = self.files[name][offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def file_size(self, name: str) -> int:
        return len(self.files[name]) if name in self.files else -1


class SpoolLife(RuleBasedStateMachine):
    """A node, its gateway, and everything that can happen to the flash between them."""

    @initialize(behind_bytes=st.sampled_from([0, 0, 150]))
    def begin(self, behind_bytes: int) -> None:
        self.flash = Files()
        self.behind_bytes = behind_bytes
        self.next = 0
        self.sealed: dict[int, bytes] = {}
        self.losses: dict[int, tuple[int, int]] = {}
        self.delivered: set[int] = set()
        self.forgotten = -1
        self.boot()

    def boot(self) -> None:
        """Start until the power lasts long enough for it."""
        while True:
            self.forgotten = -1
            self.spool = Spool(self.flash, SEGMENTS, SEGMENT_BYTES, self.declare, self.behind_bytes)
            try:
                self.spool.start(self.next)
            except PowerCutError:
                self.flash.cut_after = None
                self.next += 3
                continue
            return

    def declare(self, first: int, last: int, frames: int, reason: int) -> tuple[int, bytes]:
        assert 0 <= first <= last < self.next
        assert 0 <= frames <= last - first + 1
        assert reason in (1, 2, 3, 4)
        number = self.next
        self.next += 1
        self.losses[number] = (first, last)
        self.sealed[number] = b"loss %d" % number
        return number, self.sealed[number]

    @rule(size=st.integers(1, 150), skipped=st.integers(0, 2), count=st.integers(1, 5))
    def put(self, size: int, skipped: int, count: int) -> None:
        for _ in range(count):
            # A live frame takes a number too, and is not stored.
            live = range(self.next, self.next + skipped)
            self.delivered.update(live)
            number = self.next = self.next + skipped
            self.next += 1
            self.sealed[number] = b"frame %d " % number + bytes(size)
            try:
                self.spool.put(number, self.sealed[number])
            except PowerCutError:
                self.restart(3)
                return

    @rule(part=st.floats(0, 1))
    def deliver(self, part: float) -> None:
        offered = self.offered()
        taken = offered[: round(len(offered) * part)]
        if taken:
            self.delivered.update(taken)
            self.forgotten = taken[-1]
            self.spool.forget(taken[-1])

    @rule(skipped=st.integers(0, 9))
    def restart(self, skipped: int) -> None:
        self.flash.cut_after = None
        self.next += skipped
        self.boot()

    @rule(after=st.integers(0, 6), part=st.sampled_from([0.0, 0.3, 0.5, 0.97, 1.0]))
    def cut_power_soon(self, after: int, part: float) -> None:
        self.flash.cut_after, self.flash.part = after, part

    @rule(errno=st.sampled_from([5, 28]), part=st.sampled_from([0.0, 0.4, 1.0]))
    def let_writing_fail(self, errno: int, part: float) -> None:
        self.flash.errno, self.flash.part = errno, part

    @rule()
    def let_writing_work(self) -> None:
        self.flash.errno = None

    @precondition(lambda self: self.flash.files)
    @rule(data=st.data(), how=st.sampled_from(["flip", "cut", "remove", "garbage"]))
    def damage(self, data: st.DataObject, how: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.flash.files)))
        content = bytearray(self.flash.files[name])
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        if how == "remove":
            del self.flash.files[name]
        elif how == "flip" and content:
            content[at] ^= 0x10
            self.flash.files[name] = bytes(content)
        else:
            self.flash.files[name] = bytes(content[:at]) + b"\xa5" * (40 * (how == "garbage"))
        self.offered()
        self.restart(1)

    def offered(self) -> list[int]:
        """What the spool offers; reading may find damage and declare it, and be cut there."""
        while True:
            try:
                return self.read_all()
            except PowerCutError:
                self.restart(0)

    def read_all(self) -> list[int]:
        numbers = []
        stored = self.spool.first_after(-1)
        while stored is not None:
            number, message = stored
            assert message == self.sealed[number]
            numbers.append(number)
            stored = self.spool.first_after(number)
        assert numbers == sorted(set(numbers))
        assert not numbers or numbers[0] > self.forgotten
        return numbers

    @invariant()
    def nothing_is_lost_in_silence(self) -> None:
        offered = set(self.offered())
        known = offered | self.delivered
        named = [self.losses[number] for number in known if number in self.losses]
        for number in range(self.next):
            assert number in known or any(first <= number <= last for first, last in named), (
                f"{number} is lost and not named: {sorted(known)}, {named}"
            )

    @invariant()
    def memory_and_flash_stay_bounded(self) -> None:
        assert self.spool.bytes < SEGMENTS * (SEGMENT_BYTES + 300) + QUEUE_BYTES_MAX


SpoolLife.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestSpoolLife = SpoolLife.TestCase
