"""The spool on a real littlefs that loses power at every flash operation.  Runs on MicroPython.

A life of frames, receipts, a full ring and restarts is recorded once; then, for each flash
operation in it and each way in which a cut can end it, the flash is put back to that moment and the
node is started again.  The oracle knows what had happened by then.  It asks that

  1  what is offered is in order and has the message that its number was sealed with
  2  nothing is offered that was receipted before the last frame that was stored
  3  every number ever used was delivered before its receipt, or is offered, or is named by a loss
     record that was delivered or is offered
  4  numbers a cut took, and those of a full ring, are named as such: a cut damages nothing
  5  the node goes on: it stores, is receipted, restarts, and offers what is then new, and only that

so a receiver that keeps what it has receipted gets no frame twice in one history of receipts, which
ends only when the node forgets a receipt that came after its last frame.
"""

import os

import node_files

from firmware.spool import DAMAGED, FLASH_FAILED, POWER_CUT, QUEUE_BYTES_MAX, SPOOL_FULL, Spool
from tests.firmware.block_device import GEOMETRY, BlockDevice, cut_images, mount

BLOCKS = 64
BLOCK_BYTES = 512
SEGMENTS = 4
SEGMENT_BYTES = 1024
LOSS_REASONS = (SPOOL_FULL, DAMAGED, POWER_CUT, FLASH_FAILED)
SKIPPED = 7
"""Numbers that the counters leave out at a start."""


class Node:
    """A node and what is known of it from outside: `events` only grows."""

    def __init__(self, content, behind_bytes, events, uncertain=None):
        self.device = BlockDevice(BLOCKS, BLOCK_BYTES, content)
        self.device.moment = lambda: len(self.events)
        self.behind_bytes = behind_bytes
        self.uncertain = uncertain
        self.events = events
        self.history = History(events)
        self.reasons = (SPOOL_FULL, POWER_CUT)

    def boot(self):
        mount(self.device)
        self.next = self.history.next() + SKIPPED
        self.note("boot", self.next, None)
        self.spool = Spool(node_files, SEGMENTS, SEGMENT_BYTES, self.declare, self.behind_bytes)
        self.spool.start(self.next, self.uncertain)

    def note(self, what, number, extra):
        self.events.append((what, number, extra))
        self.history.add(what, number, extra)

    def declare(self, first, last, frames, reason):
        assert frames <= last - first + 1
        number = self.next
        self.next += 1
        self.note("lost", number, (first, last, reason))
        return number, b"loss %d" % number

    def put(self, count):
        for _ in range(count):
            number = self.next
            self.next += 1
            self.note("sealed", number, None)
            self.spool.put(number, message(number))
            if not self.spool._queue:
                self.note("stored", number, None)

    def forget(self, sequence):
        delivered = [number for number, _ in self.offered() if number <= sequence]
        self.note("receipted", sequence, delivered)
        self.spool.forget(sequence)

    def offered(self):
        found = []
        stored = self.spool.first_after(-1)
        while stored is not None:
            found.append(stored)
            stored = self.spool.first_after(stored[0])
        return found


class History:
    """What the events so far mean."""

    def __init__(self, events):
        self.used = []
        self.losses = {}
        self.delivered = set()
        """What the gateway has stored, whether or not the node still knows."""
        self.heard = -1
        """What the node was told in this boot."""
        self.receipted_for_good = -1
        """What was in flash with the last frame that was stored."""
        for event in events:
            self.add(*event)

    def add(self, what, number, extra):
        if what == "boot":
            self.used += range(self.next(), number)
            self.heard = self.receipted_for_good
        elif what == "receipted":
            self.heard = number
            self.delivered.update(extra)
        elif what == "stored":
            self.receipted_for_good = self.heard
        else:
            self.used.append(number)
            if what == "lost":
                self.losses[number] = extra

    def next(self):
        return self.used[-1] + 1 if self.used else 0


def message(number):
    return b"frame %d " % number + b"x" * (40 + 37 * (number % 5))


def live(node):
    """The scripted life: every thing that the spool can be asked to do, more than once."""
    node.boot()
    node.put(9)
    node.forget(node.next - 4)
    node.put(2)
    node.boot()
    node.put(22)
    node.forget(max(node.history.losses) - 1)
    node.put(26)
    node.boot()
    node.put(3)
    node.forget(node.next - 6)
    node.put(1)
    node.forget(node.next - 1)
    node.boot()
    node.put(18)


def check(node):
    """The oracle's rules 1 to 4, right after a start."""
    history = node.history
    offered = node.offered()
    numbers = [number for number, _ in offered]
    assert numbers == sorted(set(numbers)), f"out of order: {numbers}"
    for number, content in offered:
        is_loss = number in history.losses
        assert content == (b"loss %d" % number if is_loss else message(number)), number
        assert number in history.used, number
    if numbers:
        assert numbers[0] > history.receipted_for_good, f"{numbers[0]} was receipted"
    known = history.delivered.union(numbers)
    named = [history.losses[number] for number in known if number in history.losses]
    for number in history.used:
        if number not in known:
            ranges = [1 for first, last, _ in named if first <= number <= last]
            assert ranges, f"{number} is lost and not named: {numbers}, {named}"
    for _, _, reason in history.losses.values():
        assert reason in node.reasons, history.losses


def go_on(node):
    """Rule 5."""
    node.forget(node.next - 1)
    assert node.offered() == []
    node.put(4)
    node.spool.flush()
    node.note("stored", node.next - 1, None)
    stored = node.offered()
    assert [number for number, _ in stored][-4:] == list(range(node.next - 4, node.next))
    node.boot()
    check(node)


def main(behind_bytes, second_every, uncertain):
    """Cut at every operation, and at every operation of each `second_every`-th recovery."""
    node = Node(None, behind_bytes, [], uncertain)
    os.VfsLfs2.mkfs(node.device, **GEOMETRY)
    before = bytes(node.device.content)
    node.device.journal = []
    live(node)
    journal = node.device.journal
    cuts = seconds = 0
    for index, _, image in cut_images(before, BLOCK_BYTES, journal):
        again = Node(image, behind_bytes, node.events[: journal[index][3]], uncertain)
        start = bytes(image)
        if cuts % second_every == 0:
            again.device.journal = []
        again.boot()
        check(again)
        go_on(again)
        cuts += 1
        if again.device.journal is not None:
            seconds += _cut_again(start, again)
    print("cuts", cuts, "second cuts", seconds, "operations", len(journal))


def _cut_again(start, recorded):
    """The recovery that was recorded loses power at each of its operations as well."""
    cuts = 0
    journal = recorded.device.journal
    for index, _, image in cut_images(start, BLOCK_BYTES, journal):
        events = recorded.events[: journal[index][3]]
        node = Node(image, recorded.behind_bytes, events, recorded.uncertain)
        node.boot()
        check(node)
        go_on(node)
        cuts += 1
    return cuts


def refuse(errno):
    """A flash that fails at any operation from some moment on, and works again later.

    littlefs gives its own errors, such as "no space" when no block takes what is written.
    """
    lives = 0
    for failing_after in range(90):
        node = Node(None, 0, [])
        node.reasons = LOSS_REASONS
        os.VfsLfs2.mkfs(node.device, **GEOMETRY)
        node.boot()
        node.put(4)
        node.device.errno = errno
        node.device.failing_after = failing_after
        node.put(70)
        assert node.spool.bytes < SEGMENTS * SEGMENT_BYTES + QUEUE_BYTES_MAX
        node.device.errno = None
        assert node.spool.flash_errors
        check(node)
        node.put(3)
        check(node)
        node.boot()
        check(node)
        go_on(node)
        lives += 1
    print("lives", lives)


def fill_up():
    """A flash that other files fill until nothing more fits."""
    node = Node(None, 0, [])
    node.reasons = LOSS_REASONS
    os.VfsLfs2.mkfs(node.device, **GEOMETRY)
    node.boot()
    node.put(8)
    free = os.statvfs("/cut")[3]
    node_files.write_file("other", bytes((free - 4) * BLOCK_BYTES))
    node.put(120)
    check(node)
    assert node.spool.dropped
    assert node.spool.flash_errors
    newest = node.offered()[-1][0]
    assert newest == node.next - 1
    node.boot()
    check(node)
    node_files.remove_file("other")
    go_on(node)
