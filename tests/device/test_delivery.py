"""Frames on their way: in order, within the window, again when unseen, never gone unreceipted."""

from firmware.delivery import RECEIPT_TIMEOUT_US, WINDOW_FRAMES, WINDOW_NUMBERS, Delivery


class Spool:
    """What firmware/spool.py offers, in memory."""

    def __init__(self, stored=()):
        self.stored = [(sequence, b"%d" % sequence) for sequence in stored]
        self.newest = stored[-1] if stored else -1

    @property
    def frames(self):
        return len(self.stored)

    def put(self, sequence, message):
        self.stored.append((sequence, message))
        self.newest = sequence

    def first_after(self, sequence):
        for item in self.stored:
            if item[0] > sequence:
                return item
        return None

    def forget(self, sequence):
        self.stored = [item for item in self.stored if item[0] > sequence]


class Link:
    def __init__(self):
        self.sent = []
        self.is_up = True

    def has_room(self):
        return self.is_up

    def send(self, message):
        if self.is_up:
            self.sent.append(int(message))
        return self.is_up


class Gateway:
    """The receiver's window of 64 numbers, as a receipt tells it."""

    def __init__(self):
        self.highest = 0
        self.seen = set()

    def take(self, sequence):
        if sequence in self.seen or sequence <= self.highest - 64:
            return
        self.seen.add(sequence)
        self.highest = max(self.highest, sequence)

    def receipt(self):
        bits = 0
        for behind in range(64):
            if self.highest - behind in self.seen:
                bits |= 1 << behind
        return self.highest, bits


def _started(stored=(), wants_receipts=True):
    spool, link = Spool(list(stored)), Link()
    delivery = Delivery(spool, link, wants_receipts)
    delivery.start(3)
    return spool, link, delivery


def _put(delivery, numbers, now_us=0):
    for number in numbers:
        delivery.put(number, b"%d" % number)
        delivery.pump(now_us)


def test_frames_go_out_in_order_and_stay_until_they_are_receipted():
    spool, link, delivery = _started()
    _put(delivery, (1, 2, 3))
    assert link.sent == [1, 2, 3]
    assert spool.frames == 3
    delivery.on_receipt(3, 0b111, 0)
    assert spool.frames == 0
    assert not delivery.pump(0)


def test_no_more_than_a_window_is_in_flight():
    spool, link, delivery = _started()
    _put(delivery, range(1, 100))
    while delivery.pump(0):
        pass
    assert link.sent == list(range(1, WINDOW_FRAMES + 1))
    delivery.on_receipt(10, 0x3FF, 0)
    while delivery.pump(0):
        pass
    assert link.sent == list(range(1, WINDOW_FRAMES + 11))
    assert spool.frames == 89


def test_numbers_in_flight_lie_within_the_gateways_window():
    _, link, delivery = _started()
    _put(delivery, range(1, 400, 7))
    while delivery.pump(0):
        pass
    assert link.sent[-1] - link.sent[0] < WINDOW_NUMBERS


def test_what_the_gateway_did_not_see_is_sent_again_alone():
    spool, link, delivery = _started()
    _put(delivery, (1, 2, 3, 4))
    delivery.on_receipt(4, 0b1011, 0)
    assert spool.first_after(-1)[0] == 2
    assert delivery.pump(0)
    assert not delivery.pump(0)
    assert link.sent == [1, 2, 3, 4, 2]
    delivery.on_receipt(4, 0b1111, 0)
    assert spool.frames == 0


def test_a_silent_gateway_gets_the_oldest_frame_ever_more_rarely():
    _, link, delivery = _started()
    _put(delivery, range(1, 50))
    del link.sent[:]
    now_us = RECEIPT_TIMEOUT_US
    asked = []
    for second in range(600):
        while delivery.pump(now_us + second * 1000000):
            asked.append(second)
    assert link.sent == [1] * len(asked)
    assert asked == [0, 30, 90, 210, 450]


def test_a_frame_that_waits_for_the_line_goes_before_younger_ones():
    spool, link, delivery = _started()
    link.is_up = False
    _put(delivery, (1, 2))
    assert not delivery.pump(0)
    link.is_up = True
    delivery.put(3, b"3")
    assert link.sent == []
    while delivery.pump(0):
        pass
    assert link.sent == [1, 2, 3]
    assert spool.frames == 3


def test_after_a_start_the_first_receipt_says_what_is_left_to_send():
    spool, link, delivery = _started(range(5, 25))
    while delivery.pump(0):
        pass
    assert link.sent == [5]
    # The gateway had all up to 20 but for 12.
    bits = 0xFFFF & ~(1 << 8)
    delivery.on_receipt(20, bits, 0)
    assert spool.first_after(-1)[0] == 12
    del link.sent[:]
    while delivery.pump(0):
        pass
    assert link.sent == [12, 21, 22, 23, 24]


def test_without_receipts_a_frame_is_gone_once_the_link_has_it():
    spool, link, delivery = _started(wants_receipts=False)
    _put(delivery, (1, 2))
    assert link.sent == [1, 2]
    assert spool.frames == 0
    link.is_up = False
    _put(delivery, (3,))
    assert spool.frames == 1
    link.is_up = True
    assert delivery.pump(0)
    assert spool.frames == 0


def test_a_line_that_loses_frames_loses_none_for_good():
    for pattern in (2, 3, 5, 7):
        spool, link, delivery = _started()
        gateway = Gateway()
        now_us = 0
        sent_before = 0
        for number in range(1, 200):
            now_us += 1000000
            delivery.put(number, b"%d" % number)
            while delivery.pump(now_us):
                pass
            for sequence in link.sent[sent_before:]:
                sent_before += 1
                if sent_before % pattern:
                    gateway.take(sequence)
            if number % 5 == 0:
                delivery.on_receipt(*gateway.receipt(), now_us)
        for _ in range(60):
            now_us += 5000000
            while delivery.pump(now_us):
                pass
            for sequence in link.sent[sent_before:]:
                sent_before += 1
                gateway.take(sequence)
            delivery.on_receipt(*gateway.receipt(), now_us)
        assert sorted(gateway.seen) == list(range(1, 200)), pattern
        assert spool.frames == 0


def test_a_stale_receipt_takes_no_frame_that_went_out_since():
    for receipt in ((4, 0b11111), (0, 0)):
        spool, link, delivery = _started(range(5, 8))
        assert delivery.pump(0)
        assert link.sent == [5]
        delivery.on_receipt(receipt[0], receipt[1], 0)
        assert spool.first_after(-1)[0] == 5
        while delivery.pump(0):
            pass
        assert link.sent == [5, 6, 7]
        delivery.on_receipt(7, 0b111, 0)
        assert spool.frames == 0


def test_a_receipt_of_an_earlier_start_proves_nothing():
    _, _, delivery = _started(range(5, 8))
    delivery.on_receipt(2, 0b111, 0)
    assert not delivery.is_proven
    delivery.on_receipt(3, 0b1111, 0)
    assert delivery.is_proven


def test_a_line_without_room_costs_no_read_of_the_flash():
    spool, link, delivery = _started()
    link.is_up = False
    _put(delivery, (1, 2))
    spool.first_after = None
    assert not delivery.pump(0)
