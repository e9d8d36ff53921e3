"""`site.toml`: what the plant looks like, parsed once into frozen models.

Promises: unknown keys are refused, nothing is coerced (a port in quotes is an error), every default
is the safe one, and `load_site` reports all problems of a file together, each with its path in the
file (`nodes[0].channels[2].unit`) and a remedy. Left to others: whether the hosts answer; key files
are opened by `load_keys`, which reports all of them together as well.
Order: read -> TOML -> fields one by one -> rules between fields.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails

from gateway.errors import ConfigError, KeyFileError
from gateway.keyfile import load_key
from gateway.site_rules import hint, rule_problems
from wire import units

_SITE_BYTES_MAX: Final = 1_000_000
_SHOWN_MAX: Final = 60
"""Characters of a wrong value shown in a message."""


def _one_of(kind: str, known: Sequence[str]) -> AfterValidator:
    """Return a validator that accepts the known names and suggests the nearest one."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"{value!r} is not a known {kind}; {hint(value, known)}")
        return value

    return AfterValidator(check)


def _under_site_file(value: object, info: ValidationInfo) -> object:
    """Read a path as relative to the folder of the site file."""
    if not isinstance(value, str) or not value:
        return value
    return Path(info.context) / value if isinstance(info.context, Path) else Path(value)


def _not_empty(value: object) -> object:
    """Refuse an empty list before its rows are looked at, so that only this is said."""
    if value == []:
        raise ValueError("is empty; add at least one")
    return value


def _is_host(value: str) -> str:
    """Refuse a name that no resolver takes: the codec is the one every socket uses."""
    try:
        value.encode("idna")
    except UnicodeError:
        raise ValueError(
            f"{value!r} has an empty part or one of more than 63 characters between its dots; "
            "write a name such as plc.local, or an address"
        ) from None
    return value


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=32)]
"""SenML name characters without ":" and "/", which separate source, channel and topic level."""
TopicLevel = Annotated[str, Field(pattern=r"^[^+#/\x00-\x1f]+$", max_length=64)]
Host = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9.:_-]+$", max_length=253), AfterValidator(_is_host)
]
Port = Annotated[int, Field(ge=1, le=65535)]
ListenPort = Annotated[int, Field(ge=0, le=65535)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Unit = Annotated[str, _one_of("SenML unit", [unit.senml for unit in units.UNITS])]
Quantity = Annotated[str, _one_of("quantity", list(units.QUANTITIES))]
FilePath = Annotated[Path, BeforeValidator(_under_site_file)]


class _Table(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Identity(_Table):
    """[site] What this file is about."""

    name: Name
    asset: Name


class TimeSettings(_Table):
    """[time] How the clocks of the nodes are followed."""

    probe_period_s: Positive = 10.0
    drift_ppm: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = 100.0
    """Largest rate error a node's oscillator may have; the bound of every time stamp uses it."""
    bound_max_ms: Positive = 50.0
    """Time budget: a value whose time is less certain than this has an uncertain status."""
    unsynchronised_bound_ms: Positive = 1000.0
    """Bound stated while a node's clock is unknown."""


class Channel(_Table):
    """[[nodes.channels]] One measured signal: value = reading x gain + offset, then the filter."""

    name: Name
    quantity: Quantity
    unit: Unit
    part: Name
    bus: Annotated[int, Field(ge=0, le=7)] = 0
    address: Annotated[int, Field(ge=0x08, le=0x77)]
    reading: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Method of the driver."""
    argument: int | str | None = None
    """An integer goes into the call (ADC input); a string picks a part of the answer (axis "x")."""
    filter: Literal["mean", "rms"] = "mean"
    gain: Finite = 1.0
    offset: Finite = 0.0
    options: dict[str, int | float | str | bool] = {}
    """Keyword arguments of the driver."""
    valid: Annotated[tuple[Finite, Finite], Field(strict=False)] | None = None
    """Range the signal can have at all, in `unit`."""


class Node(_Table):
    """[[nodes]] A sensor node that seals its frames."""

    name: Name
    link: Literal["serial", "rig"]
    port: str | None = None
    """Device of a serial link, for example /dev/ttyUSB0."""
    baud: Literal[9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600] = 115200
    key_file: FilePath
    silence_s: Positive = 10.0
    """No frame for this long means the link is dead although the port is open."""
    sample_period_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 100
    block: Annotated[int, Field(ge=1, le=1000)] = 10
    """Samples per frame."""
    channels: Annotated[tuple[Channel, ...], Field(strict=False), BeforeValidator(_not_empty)]


class Tag(_Table):
    """[[modbus.tags]] One value of a Modbus device: value = raw x scale + offset."""

    name: Name
    table: Literal["holding", "input", "coil", "discrete"] = "holding"
    address: Annotated[int, Field(ge=0, le=65535)]
    """Zero-based, as in the request: 40001 of a manual is 0 here."""
    type: Literal["int16", "uint16", "int32", "uint32", "float32", "bool"]
    unit: Unit
    scale: Finite = 1.0
    offset: Finite = 0.0
    word_order: Literal["big", "little"] = "big"
    byte_order: Literal["big", "little"] = "big"


class ModbusDevice(_Table):
    """[[modbus]] A device polled over Modbus TCP. Nothing vouches for its values."""

    name: Name
    host: Host
    port: Port = 502
    unit_id: Annotated[int, Field(ge=0, le=255)] = 1
    period_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1000
    timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 1000
    gap_registers_max: Annotated[int, Field(ge=0, le=124)] = 8
    """Registers nobody asked for that one request may read along to save another request."""
    tags: Annotated[tuple[Tag, ...], Field(strict=False), BeforeValidator(_not_empty)]


class FuseSettings(_Table):
    """[fuse] The model of the asset."""

    training_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 400
    period_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1000
    signals: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Resolved names (`node:channel`); empty = every channel of every node."""
    wait_ms: Annotated[int, Field(ge=0, le=3_600_000)] | None = None
    """How long a row waits for missing values after its period; default: one period."""


class JudgeSettings(_Table):
    """[judge] When a verdict changes; between the two probabilities it stays."""

    alarm_on: Probability = 0.5
    rows_on: Annotated[int, Field(ge=1, le=10_000)] = 3
    alarm_off: Probability = 0.2
    rows_off: Annotated[int, Field(ge=1, le=10_000)] = 10


class OpcUaSettings(_Table):
    """[opcua] The OPC UA server."""

    host: Host = "127.0.0.1"
    port: ListenPort = 4840
    """0 = any free port."""
    allow_unencrypted_loopback: bool = False
    """Also offer an anonymous, read-only endpoint without encryption; loopback hosts only."""


class SparkplugSettings(_Table):
    """[sparkplug] The MQTT Sparkplug B edge node."""

    host: Host = "127.0.0.1"
    port: Port = 1883
    group_id: TopicLevel
    edge_node_id: TopicLevel
    username: str | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    """Certificates that may vouch for the broker; setting it turns TLS on."""
    allow_unencrypted: bool = False
    """Speak to a broker beyond loopback without TLS."""


class StoreSettings(_Table):
    """[store] The embedded store."""

    path: FilePath | None = None
    """Default: store.sqlite3 in the state folder."""
    survives: Literal["kill", "power_cut"] = "kill"
    """What a committed batch survives; "power_cut" waits for the disk at every batch."""
    rows_max: Annotated[int, Field(ge=1000)] = 10_000_000
    """Per table; the oldest rows go first and are counted."""


class Site(_Table):
    """A whole site file."""

    site: Identity
    time: TimeSettings = TimeSettings()
    nodes: Annotated[tuple[Node, ...], Field(strict=False)] = ()
    modbus: Annotated[tuple[ModbusDevice, ...], Field(strict=False)] = ()
    fuse: FuseSettings = FuseSettings()
    judge: JudgeSettings = JudgeSettings()
    opcua: OpcUaSettings | None = None
    sparkplug: SparkplugSettings | None = None
    store: StoreSettings | None = None

    @property
    def name(self) -> str:
        """Return the name of the site."""
        return self.site.name

    @property
    def asset(self) -> str:
        """Return the name of the asset the site watches."""
        return self.site.asset

    def units(self) -> dict[str, str]:
        """Return the SenML unit of every signal by its resolved name, in file order."""
        channels = {f"{n.name}:{c.name}": c.unit for n in self.nodes for c in n.channels}
        return channels | {f"{d.name}:{t.name}": t.unit for d in self.modbus for t in d.tags}

    def fused_signals(self) -> tuple[str, ...]:
        """Return the resolved names the model covers, in a stable order."""
        channels = tuple(f"{n.name}:{c.name}" for n in self.nodes for c in n.channels)
        return self.fuse.signals or channels

    def at_ports(self, ports: Mapping[str, int]) -> "Site":
        """Return the same site with other network ports, by Modbus device name or "sparkplug".

        For a rig whose PLC and broker listen where there was room.
        """
        devices = tuple(
            device.model_copy(update={"port": ports.get(device.name, device.port)})
            for device in self.modbus
        )
        update: dict[str, object] = {"modbus": devices}
        if self.sparkplug is not None:
            port = ports.get("sparkplug", self.sparkplug.port)
            update["sparkplug"] = self.sparkplug.model_copy(update={"port": port})
        return self.model_copy(update=update)


def load_site(path: Path) -> Site:
    """Read, check and freeze a site file; relative paths in it start at its own folder.

    Raises `ConfigError` with every problem found.
    """
    data = _parse(path)
    try:
        site = Site.model_validate(data, context=path.parent.absolute())
        problems: list[str] = []
    except ValidationError as error:
        site = None
        problems = [_field_problem(detail) for detail in error.errors(include_url=False)]
    problems += rule_problems(data)
    if problems or site is None:
        raise ConfigError(str(path), problems)
    return site


def load_keys(site: Site) -> dict[str, bytes]:
    """Return the root key of every node by node name.

    Raises `KeyFileError`; when several files are unusable, its message names every one of them.
    """
    keys: dict[str, bytes] = {}
    refused: list[KeyFileError] = []
    for node in site.nodes:
        try:
            keys[node.name] = load_key(node.key_file, f"node {node.name}")
        except KeyFileError as error:
            refused.append(error)
    if not refused:
        return keys
    if len(refused) == 1:
        raise refused[0]
    first, *others = refused
    also = "".join(f"\n{error}" for error in others)
    raise KeyFileError(first.path, first.what, first.remedy + also)


def _parse(path: Path) -> dict[str, object]:
    """Return the tables of a TOML file as they stand there."""
    try:
        with path.open("rb") as file:
            content = file.read(_SITE_BYTES_MAX + 1)
        if len(content) > _SITE_BYTES_MAX:
            raise ConfigError(str(path), [f"exceeds {_SITE_BYTES_MAX} bytes; is it a site file?"])
        return tomllib.loads(content.decode())
    except OSError as error:
        remedy = "name an existing site file, for example examples/pump/site.toml"
        raise ConfigError(str(path), [f"cannot be read ({error.strerror}); {remedy}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            str(path), [f"byte {error.start} is not UTF-8; save it as UTF-8"]
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [_syntax_problem(str(error))]) from error
    except RecursionError:
        raise ConfigError(
            str(path), ["arrays or tables lie too deep; is it a site file?"]
        ) from None


def _syntax_problem(message: str) -> str:
    """Put the place first: "line 3, column 7: ..."."""
    found = re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", message, re.DOTALL)
    what, place = found.groups() if found else (message, "somewhere")
    return f"{place}: TOML syntax: {what[:1].lower()}{what[1:]}; mend that line"


def _dotted(location: Sequence[int | str]) -> str:
    """Return a path as a person writes it: nodes[0].channels[2].unit."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _field_problem(detail: ErrorDetails) -> str:
    """Say one finding of the model check with its path and remedy."""
    location, kind, given = detail["loc"], detail["type"], detail["input"]
    where = _dotted(location)
    if kind == "missing":
        return f"{where}: is required; add it"
    if kind == "extra_forbidden":
        return f"{where}: unknown key; {hint(str(location[-1]), _keys_at(location[:-1]))}"
    if kind == "literal_error" and isinstance(given, str):
        choices = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
        return f"{where}: {given!r} is not possible; {hint(given, choices)}"
    message = detail["msg"].removeprefix("Value error, ")
    message = re.sub(r"^(Input|String|Value|Tuple) should", "must", message)
    shown = "" if kind == "value_error" else f", not {repr(given)[:_SHOWN_MAX]}"
    quoted = isinstance(given, str) and kind in ("int_type", "float_type", "bool_type")
    return f"{where}: {message}{shown}{'; write it without quotes' if quoted else ''}"


def _keys_at(location: Sequence[int | str]) -> tuple[str, ...]:
    """Return the keys that are allowed in the table at this place."""
    table: type[BaseModel] = Site
    for part in location:
        if isinstance(part, str) and part in table.model_fields:
            table = _table_in(table.model_fields[part].annotation) or table
    return tuple(table.model_fields)


def _table_in(annotation: object) -> type[BaseModel] | None:
    """Return the table type inside an annotation such as `tuple[Node, ...]` or `Store | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inside = (_table_in(argument) for argument in get_args(annotation))
    return next((found for found in inside if found is not None), None)
