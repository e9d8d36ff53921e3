"""Frames as a node would seal them, for the tests of the stages."""

from gateway.records import Received
from wire import content, cose, keys, messages, senml
from wire.mac import HmacSha256

ROOT_KEY = bytes(range(32))
OTHER_ROOT_KEY = bytes(range(1, 33))
NODE = "pump-a"
SECOND_NS = 1_000_000_000

READINGS = [
    ("vibration-1", "m/s2", 0.25, -0.5),
    ("vibration-2", "m/s2", 0.5, -0.5),
    ("temperature", "Cel", 79.25, -0.5),
    ("thermocouple", "Cel", 26.0, -0.5),
]


class NodeSim:
    """Seals frames for one node; every field of the seal can be chosen."""

    def __init__(self, name: str = NODE, root_key: bytes = ROOT_KEY, boot_id: int = 3) -> None:
        self.name = name
        self.boot_id = boot_id
        self._sealer = cose.Sealer(
            name.encode(), HmacSha256(keys.uplink_key(root_key, name.encode()))
        )

    def seal(self, sequence, payload, content_type=content.SENML_CBOR, tick_us=5_000_000):
        """Return the sealed bytes."""
        return self._sealer.seal(content_type, sequence, self.boot_id, tick_us, payload)

    def frame(self, sequence, readings=READINGS, base=None, tick_us=5_000_000):
        """Return a sealed SenML frame."""
        base = f"{self.name}:" if base is None else base
        return self.seal(sequence, senml.pack(base, readings), tick_us=tick_us)

    def answer(self, sequence, probe_id, received_tick_us, tick_us):
        """Return a sealed time answer."""
        payload = messages.encode_answer(probe_id, received_tick_us)
        return self.seal(sequence, payload, content.TIME_ANSWER, tick_us)


def received(data, source=NODE, received_ns=10 * SECOND_NS):
    """Return the record a link makes of sealed bytes."""
    return Received(source=source, link="test", data=data, received_ns=received_ns)
