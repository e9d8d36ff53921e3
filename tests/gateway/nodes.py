"""A sensor node as the gateway meets it: seals readings, answers probes."""

from dataclasses import dataclass

from gateway.records import Received
from wire import content
from wire.cose import Sealer, open_sealed
from wire.framing import Deframer
from wire.keys import downlink_key, uplink_key
from wire.mac import HmacSha256
from wire.messages import decode_probe, encode_answer
from wire.senml import pack


@dataclass
class FakeNode:
    """A node with root key `key`; ticks are microseconds since its boot at `boot_ns` UTC."""

    name: str
    key: bytes
    boot_ns: int
    boot_id: int = 1
    sequence: int = 0

    def tick_us(self, now_ns: int) -> int:
        return (now_ns - self.boot_ns) // 1000

    def seal(self, content_type: int, payload: bytes, now_ns: int) -> bytes:
        """Return a sealed frame with the next sequence number."""
        kid = self.name.encode()
        sealer = Sealer(kid, HmacSha256(uplink_key(self.key, kid)))
        number, self.sequence = self.sequence, self.sequence + 1
        return sealer.seal(content_type, number, self.boot_id, self.tick_us(now_ns), payload)

    def readings(self, now_ns: int, *values: tuple[str, str, float]) -> Received:
        """Return a frame of (channel, unit, value) read half a second before it is sent."""
        records = [(name, unit, value, -0.5) for name, unit, value in values]
        data = self.seal(content.SENML_CBOR, pack(f"{self.name}:", records), now_ns)
        return Received(source=self.name, link="test", data=data, received_ns=now_ns)

    def open_command(self, frame: bytes):
        """Return (header, payload) of a command as it comes off the line."""
        ((message, reason),) = Deframer().feed(frame)
        assert reason is None
        kid = self.name.encode()
        return open_sealed(message, HmacSha256(downlink_key(self.key, kid)), kid)

    def commands_in(self, frames: list[tuple[str, bytes]], content_type: int) -> list[bytes]:
        """Return the frames for this node that carry messages of a type."""
        mine = [frame for node, frame in frames if node == self.name]
        return [f for f in mine if self.open_command(f)[0].content_type == content_type]

    def received(self, content_type: int, payload: bytes, now_ns: int) -> Received:
        """Return a frame with any message, as a link hands it over."""
        data = self.seal(content_type, payload, now_ns)
        return Received(source=self.name, link="test", data=data, received_ns=now_ns)

    def answer(self, frame: bytes, now_ns: int) -> Received:
        """Return the answer to a probe that came and went within the same microsecond."""
        header, payload = self.open_command(frame)
        assert header.content_type == content.TIME_PROBE
        body = encode_answer(decode_probe(payload), self.tick_us(now_ns))
        data = self.seal(content.TIME_ANSWER, body, now_ns)
        return Received(source=self.name, link="test", data=data, received_ns=now_ns)
