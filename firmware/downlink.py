"""What the node believes: only what is sealed for it, fresh, and understood has an effect.

In:  link -> seal checked under the downlink key -> newer than any accepted -> probe or command.
A receipt needs no freshness: what it names stays stored for ever, and nothing else follows from it;
so it costs the flash nothing.  After a rotation receipts count under the key before too, until
something opens under the new one: the gateway changes over when it sees a frame under the new key,
and that may have to wait behind frames that need their receipts first.

What fails a check is counted by its reason, and nothing is answered: a stranger on the line learns
nothing.
"""

from wire import content
from wire.cose import open_sealed
from wire.errors import CoseError, WireError
from wire.keys import downlink_key
from wire.mac import HmacSha256
from wire.messages import decode_probe, decode_receipt, encode_answer


class Downlink:
    """Opens and hands on; `answer(content_type, payload)` seals and sends in the live lane.

    `previous` is the identity before the last rotation, None when nobody knows of one.
    """

    def __init__(self, identity, counters, commands, delivery, answer, previous=None) -> None:
        self._counters = counters
        self._commands = commands
        self._delivery = delivery
        self._answer = answer
        self.rejected = {}
        """Messages without effect, by reason."""
        self._kid = identity.node.encode()
        self._mac = self._made_mac(identity)
        self._mac_before = None if previous is None else self._made_mac(previous)

    def use(self, identity) -> None:
        """Believe the keys of `identity` from now on, and receipts under those before."""
        self._mac_before = self._mac
        self._mac = self._made_mac(identity)

    def _made_mac(self, identity):
        return HmacSha256(downlink_key(identity.root, self._kid))

    def hear(self, message, received_us: int) -> None:
        """Act on one message that arrived at `received_us`."""
        try:
            reason = self._obey(message, received_us)
        except CoseError as error:
            reason = error.reason
        except WireError:
            reason = "malformed"
        if reason is not None:
            self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def _obey(self, message, received_us: int):
        header, payload = self._opened(message)
        if header.content_type == content.RECEIPT:
            highest, seen = decode_receipt(payload)
            self._delivery.on_receipt(highest, seen, received_us)
            return None
        try:
            is_newer = self._counters.accept_command(header.boot_id, header.sequence)
        except OSError:
            return "flash_failed"
        if not is_newer:
            return "replayed"
        if header.content_type == content.TIME_PROBE:
            probe_id = decode_probe(payload)
            self._answer(content.TIME_ANSWER, encode_answer(probe_id, received_us))
            return None
        if header.content_type != content.COMMAND:
            return "unknown_command"
        return self._command(payload, received_us)

    def _opened(self, message) -> "tuple":
        """(header, payload) of what a key opens that may; CoseError of anything else."""
        try:
            opened = open_sealed(message, self._mac, self._kid)
        except CoseError:
            if self._mac_before is None:
                raise
            opened = open_sealed(message, self._mac_before, self._kid)
            if opened[0].content_type != content.RECEIPT:
                raise
            return opened
        self._mac_before = None
        return opened

    def _command(self, payload, received_us: int):
        try:
            answer, then = self._commands.obey(payload, received_us)
        except OSError:
            # Not begun: the gateway repeats it.
            return "flash_failed"
        self._answer(content.COMMAND_ANSWER, answer)
        if then is not None:
            then()
        return None
