"""Keys on the way down: what the new one opens, and what the one before it still does."""

from firmware.downlink import Downlink
from firmware.keyfile import Identity
from wire import content
from wire.commands import RESTART, encode_command
from wire.cose import Sealer
from wire.keys import downlink_key
from wire.mac import HmacSha256
from wire.messages import encode_probe, encode_receipt

KID = b"pump-a"


class Parts:
    """Counters, commands and delivery of a node, and what came through to them."""

    def __init__(self):
        self.probes = []
        self.obeyed = 0
        self.receipts = []
        self.newest = -1

    def accept_command(self, _boot_id, sequence):
        is_newer = sequence > self.newest
        self.newest = max(self.newest, sequence)
        return is_newer

    def obey(self, _payload, _now_us):
        self.obeyed += 1
        return b"", None

    def on_receipt(self, highest, _seen, _now_us):
        self.receipts.append(highest)

    def answer(self, content_type, _payload):
        self.probes.append(content_type)


class Gateway:
    def __init__(self, root):
        self._sealer = Sealer(KID, HmacSha256(downlink_key(root, KID)))

    def receipt(self, highest):
        payload = encode_receipt(highest, 1)
        return bytes(self._sealer.seal(content.RECEIPT, highest, 1, 0, payload))

    def probe(self, number):
        return bytes(self._sealer.seal(content.TIME_PROBE, number, 1, 0, encode_probe(number)))

    def command(self, number):
        payload = encode_command(number, RESTART, {})
        return bytes(self._sealer.seal(content.COMMAND, number, 1, 0, payload))


def _identity(epoch):
    return Identity("pump-a", bytes([epoch]) * 32, bytes(32), epoch)


def _gateway(epoch):
    return Gateway(_identity(epoch).root)


def _downlink(parts, epoch, previous=None):
    return Downlink(_identity(epoch), parts, parts, parts, parts.answer, previous)


def _rotated(parts):
    downlink = _downlink(parts, 0)
    downlink.use(_identity(1))
    return downlink


def _restarted(parts):
    return _downlink(parts, 1, _identity(0))


def test_receipts_under_the_key_before_are_heard_after_a_rotation_and_a_restart():
    old = _gateway(0)
    for make in (_rotated, _restarted):
        parts = Parts()
        downlink = make(parts)
        for highest in (3, 4):
            downlink.hear(old.receipt(highest), 0)
        assert parts.receipts == [3, 4]
        assert downlink.rejected == {}


def test_nothing_else_is_heard_under_the_key_before():
    old = _gateway(0)
    for make in (_rotated, _restarted):
        parts = Parts()
        downlink = make(parts)
        downlink.hear(old.probe(1), 0)
        downlink.hear(old.command(2), 0)
        assert (parts.probes, parts.obeyed, parts.newest) == ([], 0, -1)
        assert sum(downlink.rejected.values()) == 2
        # And it has not ended the time of the key before.
        downlink.hear(old.receipt(5), 0)
        assert parts.receipts == [5]


def test_the_key_before_ends_with_the_first_message_under_the_new_one():
    old, new = _gateway(0), _gateway(1)
    for make in (_rotated, _restarted):
        for message in (new.receipt(7), new.probe(1), new.command(1)):
            parts = Parts()
            downlink = make(parts)
            downlink.hear(message, 0)
            assert downlink.rejected == {}
            downlink.hear(old.receipt(8), 0)
            assert 8 not in parts.receipts
            assert sum(downlink.rejected.values()) == 1


def test_without_a_key_before_only_the_own_one_opens():
    parts = Parts()
    downlink = _downlink(parts, 1)
    downlink.hear(_gateway(0).receipt(1), 0)
    downlink.hear(_gateway(2).receipt(2), 0)
    downlink.hear(_gateway(1).receipt(3), 0)
    assert parts.receipts == [3]
    assert sum(downlink.rejected.values()) == 2


def test_the_key_before_the_key_before_is_not_believed():
    parts = Parts()
    downlink = _rotated(parts)
    downlink.use(_identity(2))
    downlink.hear(_gateway(0).receipt(1), 0)
    assert parts.receipts == []
    downlink.hear(_gateway(1).receipt(2), 0)
    assert parts.receipts == [2]


def test_noise_is_refused_under_either_key():
    parts = Parts()
    downlink = _rotated(parts)
    forged = bytearray(_gateway(0).receipt(1))
    forged[-1] ^= 1
    for message in (b"", b"\x80", bytes(60), bytes(forged)):
        downlink.hear(message, 0)
    assert parts.receipts == []
    assert sum(downlink.rejected.values()) == 4
