"""Both directions of the node's line: what is sealed going out, what is believed coming in.

Out: content -> seal (sequence number, boot id, tick of sending) -> frame -> UART.
In:  UART -> frame -> seal checked under the downlink key -> newer than any accepted -> command.
     The order "never twice" holds over reboots: `counters.py` keeps it, and states what it costs.
A command that fails any check is counted by its reason and has no effect; nothing is answered to
it, so a stranger on the line learns nothing.
"""

from wire import content
from wire.cose import Sealer, open_sealed
from wire.errors import CoseError, WireError
from wire.framing import Deframer, frame
from wire.keys import downlink_key, uplink_key
from wire.mac import HmacSha256
from wire.messages import decode_probe, encode_answer, encode_boot
from wire.senml import Packer


class Uplink:
    """Seals what the node has to say and puts it on the line."""

    def __init__(self, node: str, root_key: bytes, channels, counters, uart, ticks_us) -> None:
        kid = node.encode()
        self._packer = Packer(node + ":", [(channel.name, channel.unit) for channel in channels])
        self._sealer = Sealer(kid, HmacSha256(uplink_key(root_key, kid)))
        self._counters = counters
        self._uart = uart
        self._ticks_us = ticks_us

    def send_readings(self, values: "list[float]", time_us: int) -> None:
        """One frame with a value for each channel, in their order; all stand for `time_us`."""
        tick_us = self._ticks_us()
        time_s = (time_us - tick_us) / 1000000
        self._send(content.SENML_CBOR, tick_us, self._packer.pack(values, [time_s] * len(values)))

    def send_answer(self, probe_id: int, received_tick_us: int) -> None:
        """The answer to a time probe; the tick in its seal is the time of sending."""
        payload = encode_answer(probe_id, received_tick_us)
        self._send(content.TIME_ANSWER, self._ticks_us(), payload)

    def send_boot(self, fields: "dict") -> None:
        """Who has started, with what configuration."""
        self._send(content.BOOT_RECORD, self._ticks_us(), encode_boot(fields))

    def _send(self, content_type: int, tick_us: int, payload: bytes) -> None:
        counters = self._counters
        sealed = self._sealer.seal(
            content_type, counters.next_sequence(), counters.boot_id, tick_us, payload
        )
        self._uart.write(frame(sealed))


class Downlink:
    """Hears what the gateway says; only a sealed, fresh command has an effect."""

    def __init__(
        self, node: str, root_key: bytes, counters, uart, uplink: Uplink, ticks_us
    ) -> None:
        self._kid = node.encode()
        self._mac = HmacSha256(downlink_key(root_key, self._kid))
        self._counters = counters
        self._uart = uart
        self._uplink = uplink
        self._ticks_us = ticks_us
        self._deframer = Deframer(512)
        self.rejected = {}

    def serve(self) -> None:
        """Take what has arrived and act on it."""
        received_us = self._ticks_us()
        for message, line_error in self._deframer.feed(self._uart.read()):
            reason = line_error or self._obey(message, received_us)
            if reason is not None:
                self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def _obey(self, message: bytes, received_us: int):
        try:
            header, payload = open_sealed(message, self._mac, self._kid)
        except CoseError as error:
            return error.reason
        if not self._counters.accept_command(header.boot_id, header.sequence):
            return "replayed"
        if header.content_type != content.TIME_PROBE:
            return "unknown_command"
        try:
            probe_id = decode_probe(payload)
        except WireError:
            return "malformed"
        self._uplink.send_answer(probe_id, received_us)
        return None
