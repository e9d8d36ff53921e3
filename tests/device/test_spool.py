"""The spool on a flash in RAM: order, receipts, restarts, a full ring, a flash that refuses."""

from firmware.spool import Spool

SEGMENTS = 4
SEGMENT_BYTES = 300


class Flash:
    """The file functions of a hal over a dictionary; `errno` makes the writing ones fail."""

    def __init__(self):
        self.files = {}
        self.errno = None
        self.read_errno = None
        self.room = 1 << 30
        self.writes = 0

    def _check(self):
        self.writes += 1
        if self.errno is not None:
            raise OSError(self.errno)

    def append_file(self, name, content):
        self._check()
        used = sum([len(held) for held in self.files.values()])
        if used + len(content) > self.room:
            raise OSError(28)
        self.files[name] = self.files.get(name, b"") + bytes(content)

    def read_file_at(self, name, offset, buffer):
        if self.read_errno is not None:
            raise OSError(self.read_errno)
        if name not in self.files:
            raise OSError(2)
        piece = self.files[name][offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def remove_file(self, name):
        if name in self.files:
            self._check()
            del self.files[name]

    def file_size(self, name):
        return len(self.files[name]) if name in self.files else -1


class Node:
    """Numbers for frames and loss records, as the counters and the sealing give them."""

    def __init__(self, flash, behind_bytes=0, segments=SEGMENTS):
        self.flash = flash
        self.behind_bytes = behind_bytes
        self.segments = segments
        self.next = 0
        self.losses = {}
        self.refuses_to_seal = False
        self.boot()

    def boot(self):
        self.boot_with(None)

    def boot_with(self, uncertain):
        self.spool = Spool(
            self.flash, self.segments, SEGMENT_BYTES, self.declare, self.behind_bytes
        )
        self.spool.start(self.next, uncertain)

    def declare(self, first, last, frames, reason):
        if self.refuses_to_seal:
            raise OSError(5)
        assert first <= last
        assert 0 <= frames <= last - first + 1
        self.next += 1
        self.losses[self.next - 1] = (first, last, frames, reason)
        return self.next - 1, b"loss %d" % (self.next - 1)

    def put(self, count=1):
        for _ in range(count):
            self.next += 1
            self.spool.put(self.next - 1, message(self.next - 1))

    def held(self, after=-1):
        """The numbers that the spool offers, each message checked."""
        numbers = []
        stored = self.spool.first_after(after)
        while stored is not None:
            sequence, content = stored
            assert content == (
                b"loss %d" % sequence if sequence in self.losses else message(sequence)
            )
            numbers.append(sequence)
            stored = self.spool.first_after(sequence)
        return numbers

    def check_all_accounted(self):
        """Every number is offered, receipted, or named by a record that is offered."""
        held = self.held()
        named = [self.losses[number] for number in held if number in self.losses]
        for sequence in range(self.receipted() + 1, self.next):
            is_named = [1 for first, last, _, _ in named if first <= sequence <= last]
            assert sequence in held or is_named, (sequence, held, named)

    def receipted(self):
        return self.spool._receipted


def message(sequence):
    return b"frame %d " % sequence + b"x" * (20 + sequence % 7)


def test_frames_come_oldest_first_and_again_until_receipted():
    node = Node(Flash())
    node.put(12)
    assert node.held() == list(range(12))
    assert node.held(4) == list(range(5, 12))
    assert node.spool.frames == 12
    node.spool.forget(4)
    assert node.held() == list(range(5, 12))
    assert node.spool.frames == 7
    assert node.spool.newest == 11
    node.spool.forget(99)
    assert node.held() == []
    assert node.spool.frames == 0
    assert node.spool.bytes > 0


def test_numbers_only_grow():
    node = Node(Flash())
    node.put()
    for sequence in (0, -1):
        try:
            node.spool.put(sequence, b"again")
        except ValueError:
            continue
        raise AssertionError("a number was stored twice")


def test_a_restart_finds_what_was_stored_and_what_was_receipted():
    node = Node(Flash())
    node.put(10)
    node.spool.forget(6)
    node.put()
    node.boot()
    assert node.losses == {}
    assert node.spool.newest == 10
    assert node.held() == [7, 8, 9, 10]
    assert node.spool.frames == 4


def test_receipted_segments_leave_the_flash_but_the_newest_number_stays():
    node = Node(Flash())
    node.put(9)
    assert len(node.flash.files) == 3
    node.spool.forget(8)
    assert node.spool.frames == 0
    node.put()
    assert len(node.flash.files) == 1
    node.spool.forget(9)
    node.boot()
    assert node.spool.newest == 9
    assert node.held() == [9]
    assert node.losses == {}


def test_a_full_ring_declares_its_oldest_segment_and_then_drops_it():
    node = Node(Flash())
    node.put(40)
    assert node.losses
    assert {reason for _, _, _, reason in node.losses.values()} == {1}
    held = node.held()
    assert len(node.flash.files) < SEGMENTS
    assert held == sorted(held)
    assert node.spool.dropped == held[0]
    node.check_all_accounted()
    node.boot()
    assert node.held() == held
    node.check_all_accounted()


def test_a_loss_that_is_lost_itself_is_declared_anew():
    node = Node(Flash())
    node.put(200)
    node.check_all_accounted()
    first, last, frames, _ = node.losses[max(node.losses)]
    assert first == 0
    assert frames <= last + 1
    node.spool.forget(node.next - 1)
    node.put(60)
    assert node.losses[max(node.losses)][0] > 200
    node.check_all_accounted()


def test_numbers_that_a_cut_took_are_declared_at_the_start():
    node = Node(Flash())
    node.put(3)
    node.next += 5
    node.boot()
    assert list(node.losses.values()) == [(3, 7, 0, 3)]
    node.check_all_accounted()
    node.boot()
    assert len(node.losses) == 1


def test_a_smaller_ring_declares_what_no_longer_fits():
    node = Node(Flash(), segments=8)
    node.put(30)
    node.segments = 3
    node.boot()
    assert len(node.flash.files) < 3
    node.check_all_accounted()


def test_what_waits_behind_is_written_at_once_or_never():
    node = Node(Flash(), behind_bytes=128)
    before = node.flash.writes
    for _ in range(30):
        node.put()
        node.spool.forget(node.next - 1)
    assert node.flash.writes == before
    node.put(8)
    assert 0 < node.flash.writes - before < 8
    node.spool.flush()
    node.boot()
    assert node.held() == list(range(30, 38))
    node.put(2)
    node.boot()
    node.check_all_accounted()
