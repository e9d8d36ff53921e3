"""[[nodes]] of `site.toml`: what a sensor node measures, sends, keeps and drives.

Promises: the tables mirror `node.json` of the node one to one, so that site and node cannot
disagree; the limits are those of `firmware/config.py`. Left to others: making `node.json` of it
(`boards/provision.py`), rules between fields (`site_rules.py`, `site_schedules.py`).
"""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from gateway.clock import NS_PER_MS, NS_PER_S
from gateway.site_fields import (
    FilePath,
    Finite,
    Host,
    Name,
    NotEmpty,
    Port,
    Positive,
    Quantity,
    Table,
    Unit,
)
from gateway.site_filter import Filter

Baud = Literal[9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600]
Options = dict[str, int | float | str | bool]
FEATURE_UNITS: Final = {
    "rms": "m/s2",
    "peak": "m/s2",
    "crest": "/",
    "kurtosis": "/",
    "velocity_rms": "m/s",
    "band": "m/s2",
}
"""SenML unit by feature of a waveform."""


class Channel(Table):
    """[[nodes.channels]] One measured signal: value = reading x gain + offset, then the filter."""

    name: Name
    quantity: Quantity
    unit: Unit
    part: Name
    bus: Annotated[int, Field(ge=0, le=15)] = 0
    address: Annotated[int, Field(ge=1, le=247)] | None = None
    """7-bit address on I2C, unit on RS-485; left out where a chip select addresses (SPI)."""
    reading: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
    """Method of the driver."""
    argument: int | str | None = None
    """An integer goes into the call (ADC input); a string picks a part of the answer (axis "x")."""
    filter: Filter = "mean"
    gain: Finite = 1.0
    offset: Finite = 0.0
    options: Options = Field(default_factory=dict)
    """Keyword arguments of the driver."""
    valid: Annotated[tuple[Finite, Finite], Field(strict=False)] | None = None
    """Range the signal can have at all, in `unit`."""


class Feature(Table):
    """[[nodes.waveforms.features]] One number of each block of a waveform; a signal of the site."""

    name: Name
    axis: Literal["x", "y", "z"]
    feature: Literal["rms", "peak", "crest", "kurtosis", "velocity_rms", "band"]
    low_hz: Positive | None = None
    """Edges of a band."""
    high_hz: Positive | None = None

    @property
    def unit(self) -> str:
        """Return the SenML unit of the number."""
        return FEATURE_UNITS[self.feature]


class Waveform(Table):
    """[[nodes.waveforms]] A fast chip whose FIFO the node turns into features, block by block."""

    name: Name
    part: Name
    bus: Annotated[int, Field(ge=0, le=15)] = 0
    address: Annotated[int, Field(ge=0x08, le=0x77)] | None = None
    rate_hz: Annotated[int, Field(ge=1, le=100_000)]
    block_samples: Annotated[int, Field(ge=16, le=65_536)]
    options: Options = Field(default_factory=dict)
    features: Annotated[tuple[Feature, ...], Field(strict=False), NotEmpty]


class Output(Table):
    """[[nodes.outputs]] A pin that a command may drive, for a while, away from its safe level."""

    name: Name
    pin: Annotated[int, Field(ge=0, le=255)]
    safe: Literal[0, 1] = 0
    hold_ms_max: Annotated[int, Field(ge=1, le=3_600_000)]


class RigLink(Table):
    """An emulated board of the rig."""

    kind: Literal["rig"]


class SerialLink(Table):
    """A serial line between node and gateway."""

    kind: Literal["serial"]
    port: str | None = None
    """Device at the gateway, for example /dev/ttyUSB0."""
    baud: Baud | None = None


class Wifi(Table):
    """[nodes.link.wifi] The network a node joins."""

    ssid: Annotated[str, Field(min_length=1, max_length=32)]
    password_file: FilePath | None = None


class MqttLink(Table):
    """A broker, as the node reaches it. How the gateway does stands under [mqtt]."""

    kind: Literal["mqtt"]
    host: Host
    port: Port = 8883
    tls_ca: FilePath | None = None
    """Certificate that may vouch for the broker; it is copied to the node."""
    user: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    password_file: FilePath | None = None
    wifi: Wifi | None = None


class ModbusRtuLink(Table):
    """The node answers a PLC as a Modbus slave; this gateway does not hear it."""

    kind: Literal["modbus_rtu"]
    unit_id: Annotated[int, Field(ge=1, le=247)]
    baud: Baud = 19200


def _link_table(value: object) -> object:
    """Read the short form `link = "serial"` as the table it stands for."""
    return {"kind": value} if isinstance(value, str) else value


Link = Annotated[
    Annotated[RigLink | SerialLink | MqttLink | ModbusRtuLink, Field(discriminator="kind")],
    BeforeValidator(_link_table),
]
LINKS: Final[dict[str, type[Table]]] = {
    "rig": RigLink,
    "serial": SerialLink,
    "mqtt": MqttLink,
    "modbus_rtu": ModbusRtuLink,
}


class Spool(Table):
    """[nodes.spool] Where frames wait in the node's flash until the gateway has them."""

    segments: Annotated[int, Field(ge=2, le=64)] = 16
    segment_bytes: Annotated[int, Field(ge=2304, le=1_048_576)] = 16_384
    behind_bytes: Annotated[int, Field(ge=0, le=8192)] = 2048
    """How much may wait in RAM for a receipt before it is written: 0 keeps everything through a
    power cut and wears the flash out, see firmware/spool.py."""


class Checkpoint(Table):
    """[nodes.checkpoint] How often a node signs what it has sealed so far."""

    every_frames: Annotated[int, Field(ge=0, le=65_536)] = 256
    every_s: Annotated[int, Field(ge=1, le=86_400)] = 60


class Node(Table):
    """[[nodes]] A sensor node that seals its frames."""

    name: Name
    link: Link
    port: str | None = None
    """Device of a serial link in its short form, for example /dev/ttyUSB0."""
    baud: Baud = 115200
    key_file: FilePath
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Ed25519 key of the node's checkpoints, 64 hexadecimal digits."""
    silence_s: Positive = 10.0
    """No frame for this long means the link is dead although the port is open."""
    sample_period_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 100
    block: Annotated[int, Field(ge=1, le=1000)] = 10
    """Samples per frame."""
    channels: Annotated[tuple[Channel, ...], Field(strict=False, max_length=16), NotEmpty]
    waveforms: Annotated[tuple[Waveform, ...], Field(strict=False, max_length=2)] = ()
    outputs: Annotated[tuple[Output, ...], Field(strict=False, max_length=8)] = ()
    spool: Spool = Spool()
    checkpoint: Checkpoint = Checkpoint()
    status_s: Annotated[int, Field(ge=1, le=3600)] = 10
    """A status record at least this often."""
    watchdog_ms: Annotated[int, Field(ge=1000, le=8300)] = 8000
    receipts: bool = True
    """The gateway says what it has stored, and the node keeps the rest. False for old firmware."""

    @property
    def serial_port(self) -> str | None:
        """Return the device of a serial link, whichever form names it."""
        link = self.link
        return link.port or self.port if isinstance(link, SerialLink) else None

    @property
    def serial_baud(self) -> int:
        """Return the line rate of a serial link."""
        link = self.link
        return (link.baud or self.baud) if isinstance(link, SerialLink) else self.baud

    def periods_ns(self) -> dict[str, int]:
        """Return how often every signal of the node comes, by its resolved name."""
        block_ns = self.sample_period_ms * self.block * NS_PER_MS
        found = {f"{self.name}:{channel.name}": block_ns for channel in self.channels}
        for waveform in self.waveforms:
            block_ns = waveform.block_samples * NS_PER_S // waveform.rate_hz
            found |= {f"{self.name}:{feature.name}": block_ns for feature in waveform.features}
        return found

    def units(self) -> dict[str, str]:
        """Return the SenML unit of every signal of the node by its resolved name."""
        found = {f"{self.name}:{channel.name}": channel.unit for channel in self.channels}
        features = (feature for waveform in self.waveforms for feature in waveform.features)
        return found | {f"{self.name}:{feature.name}": feature.unit for feature in features}
