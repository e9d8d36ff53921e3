"""What the node believes: only what is sealed for it, fresh, and understood has an effect.

In:  link -> seal checked under the downlink key -> newer than any accepted -> probe or command.
A receipt needs no freshness: what it names stays stored for ever, and nothing else follows from it;
so it costs the flash nothing.  What fails a check is counted by its reason, and nothing is
answered: a stranger on the line learns nothing.
"""

from wire import content
from wire.cose import open_sealed
from wire.errors import CoseError, WireError
from wire.keys import downlink_key
from wire.mac import HmacSha256
from wire.messages import decode_probe, decode_receipt, encode_answer


class Downlink:
    """Opens and hands on; `answer(content_type, payload)` seals and sends in the live lane."""

    def __init__(self, identity, counters, commands, delivery, answer) -> None:
        self._counters = counters
        self._commands = commands
        self._delivery = delivery
        self._answer = answer
        self.rejected = {}
        """Messages without effect, by reason."""
        self.use(identity)

    def use(self, identity) -> None:
        """Believe the keys of `identity` from now on."""
        self._kid = identity.node.encode()
        self._mac = HmacSha256(downlink_key(identity.root, self._kid))

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
        header, payload = open_sealed(message, self._mac, self._kid)
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
