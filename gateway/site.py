"""`site.toml`: what the plant looks like, parsed once into frozen models.

Promises: unknown keys are refused, nothing is coerced (a port in quotes is an error), every default
is the safe one, and `load_site` reports all problems of a file together, each with its path in the
file (`nodes[0].channels[2].unit`) and a remedy. Left to others: whether the hosts answer; key files
are opened by `load_keys`, which reports all of them together as well.
Order: read -> TOML -> fields one by one -> rules between fields -> schedules that cannot be kept.
The tables of a node are in `site_nodes.py`.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from gateway.clock import NS_PER_MS
from gateway.errors import ConfigError, KeyFileError
from gateway.keyfile import load_key
from gateway.models.calibration import FALSE_ALARMS_PER_HOUR
from gateway.site_events import MachineSettings, machine_problems
from gateway.site_fields import (
    FilePath,
    Host,
    ListenPort,
    Name,
    Port,
    Probability,
    Table,
    TopicLevel,
)
from gateway.site_kpi import KpiBudget, kpi_problems
from gateway.site_modbus import ModbusDevice, Tag
from gateway.site_mqtt import MqttSource
from gateway.site_nodes import LINKS, Channel, Node, Waveform
from gateway.site_opcua import OpcUaServer
from gateway.site_rules import hint, rule_problems
from gateway.site_schedules import schedule_problems
from gateway.site_time import TimeSettings
from gateway.site_web import WebSettings

__all__ = (
    "Channel", "ConfigError", "FuseSettings", "Identity", "JudgeSettings", "ModbusDevice",
    "MqttSettings", "Node", "OpcUaSettings", "Site", "SparkplugSettings", "StoreSettings", "Tag",
    "TimeSettings", "Waveform", "load_keys", "load_site",
)  # fmt: skip

_SITE_BYTES_MAX: Final = 1_000_000
_SHOWN_MAX: Final = 60
"""Characters of a wrong value shown in a message."""


class Identity(Table):
    """[site] What this file is about."""

    name: Name
    asset: Name


class FuseSettings(Table):
    """[fuse] The model of the asset."""

    training_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 400
    period_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1000
    signals: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Resolved names (`node:channel`); empty = every channel of every node."""
    wait_ms: Annotated[int, Field(ge=0, le=3_600_000)] | None = None
    """How long a row waits for missing values after its period; default: one period."""
    horizon_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0
    """How long after its end a published row is revised by values that come late; 0: never."""
    false_alarms_per_hour: Annotated[float, Field(gt=0, le=60)] = FALSE_ALARMS_PER_HOUR
    """Set-point of the alarm: so many are accepted while all is well."""
    model: FilePath | None = None
    """A fitted model to start with (`twinrig model fit`): its folder, or that of its versions.
    Default: the one learnt live before and kept in the state folder, else a new one is learnt."""


class JudgeSettings(Table):
    """[judge] When a verdict changes; between the two probabilities it stays."""

    alarm_on: Probability = 0.5
    rows_on: Annotated[int, Field(ge=1, le=10_000)] = 3
    alarm_off: Probability = 0.2
    rows_off: Annotated[int, Field(ge=1, le=10_000)] = 10


class OpcUaSettings(Table):
    """[opcua] The OPC UA server."""

    host: Host = "127.0.0.1"
    port: ListenPort = 4840
    """0 = any free port."""
    allow_unencrypted_loopback: bool = False
    """Also offer an anonymous, read-only endpoint without encryption; loopback hosts only."""


class SparkplugSettings(Table):
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


class MqttSettings(Table):
    """[mqtt] The broker between the gateway and the nodes with `link = { kind = "mqtt", .. }`."""

    host: Host = "127.0.0.1"
    port: Port = 8883
    username: str | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    """Certificates that may vouch for the broker; setting it turns TLS on."""
    allow_unencrypted: bool = False
    """Speak to a broker beyond loopback without TLS."""


class StoreSettings(Table):
    """[store] The embedded store."""

    path: FilePath | None = None
    """Default: store.sqlite3 in the state folder."""
    survives: Literal["kill", "power_cut"] = "kill"
    """What a committed batch survives; "power_cut" waits for the disk at every batch."""
    rows_max: Annotated[int, Field(ge=1000)] = 10_000_000
    """Per table; the oldest rows go first and are counted."""
    frames: bool = False
    """Keep the sealed frames too: proof for third parties, `twinrig gateway export`."""
    frames_age_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Older frames go first and are counted."""
    frames_bytes_max: Annotated[int, Field(ge=1_000_000)] = 1_000_000_000


class Site(Table):
    """A whole site file."""

    site: Identity
    time: TimeSettings = TimeSettings()
    nodes: Annotated[tuple[Node, ...], Field(strict=False)] = ()
    modbus: Annotated[tuple[ModbusDevice, ...], Field(strict=False)] = ()
    opcua_servers: Annotated[tuple[OpcUaServer, ...], Field(strict=False)] = ()
    mqtt_sources: Annotated[tuple[MqttSource, ...], Field(strict=False)] = ()
    fuse: FuseSettings = FuseSettings()
    judge: JudgeSettings = JudgeSettings()
    opcua: OpcUaSettings | None = None
    sparkplug: SparkplugSettings | None = None
    store: StoreSettings | None = None
    mqtt: MqttSettings | None = None
    kpi: Annotated[tuple[KpiBudget, ...], Field(strict=False)] = ()
    web: WebSettings | None = None
    machines: Annotated[tuple[MachineSettings, ...], Field(strict=False)] = ()

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
        signals: dict[str, str] = {}
        for node in self.nodes:
            signals |= node.units()
        signals |= {f"{d.name}:{t.name}": t.unit for d in self.modbus for t in d.values}
        for source in self._clocked():
            signals |= source.units()
        return signals

    def periods_ns(self) -> dict[str, int]:
        """Return how often every signal comes, by its resolved name."""
        signals: dict[str, int] = {}
        for node in self.nodes:
            signals |= node.periods_ns()
        signals |= {
            f"{d.name}:{t.name}": d.period_ms * NS_PER_MS for d in self.modbus for t in d.values
        }
        for source in self._clocked():
            signals |= source.periods_ns()
        return signals

    def _clocked(self) -> tuple[OpcUaServer | MqttSource, ...]:
        """Return the sources whose values bring a time of their own."""
        return (*self.opcua_servers, *self.mqtt_sources)

    def fused_signals(self) -> tuple[str, ...]:
        """Return the resolved names the model covers, in a stable order."""
        return self.fuse.signals or tuple(name for node in self.nodes for name in node.units())

    def at_ports(self, ports: Mapping[str, int]) -> "Site":
        """Return the same site with other network ports, by Modbus device name, or table name.

        For a rig whose PLC and brokers ("sparkplug", "mqtt") listen where there was room.
        """
        devices = tuple(
            device.model_copy(update={"port": ports.get(device.name, device.port)})
            for device in self.modbus
        )
        update: dict[str, object] = {"modbus": devices}
        if self.sparkplug is not None:
            port = ports.get("sparkplug", self.sparkplug.port)
            update["sparkplug"] = self.sparkplug.model_copy(update={"port": port})
        if self.mqtt is not None:
            update["mqtt"] = self.mqtt.model_copy(
                update={"port": ports.get("mqtt", self.mqtt.port)}
            )
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
    problems += schedule_problems(data)
    problems += kpi_problems(data)
    problems += [] if site is None else machine_problems(data, tuple(site.units()))
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
    where = _dotted(_as_written(location))
    if kind == "missing":
        return f"{where}: is required; add it"
    if kind == "extra_forbidden":
        return f"{where}: unknown key; {hint(str(location[-1]), _keys_at(location[:-1]))}"
    if kind.startswith("union_tag"):
        named = given.get("kind", "") if isinstance(given, dict) else given
        return f"{where}: {named!r} is no kind of link; {hint(str(named), tuple(LINKS))}"
    if kind == "literal_error" and isinstance(given, str):
        choices = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
        return f"{where}: {given!r} is not possible; {hint(given, choices)}"
    message = detail["msg"].removeprefix("Value error, ")
    message = re.sub(r"^(Input|String|Value|Tuple) should", "must", message)
    shown = "" if kind == "value_error" else f", not {repr(given)[:_SHOWN_MAX]}"
    quoted = isinstance(given, str) and kind in ("int_type", "float_type", "bool_type")
    return f"{where}: {message}{shown}{'; write it without quotes' if quoted else ''}"


def _as_written(location: Sequence[int | str]) -> list[int | str]:
    """Return a place without the kinds of links that the check puts into it."""
    before: Sequence[int | str] = ("", *location)
    return [
        part
        for part, outer in zip(location, before, strict=False)
        if not (outer == "link" and part in LINKS)
    ]


def _keys_at(location: Sequence[int | str]) -> tuple[str, ...]:
    """Return the keys that are allowed in the table at this place."""
    table: type[BaseModel] = Site
    for part in location:
        if isinstance(part, str) and part in table.model_fields:
            table = _table_in(table.model_fields[part].annotation) or table
        elif isinstance(part, str):
            table = LINKS.get(part, table)
    return tuple(table.model_fields)


def _table_in(annotation: object) -> type[BaseModel] | None:
    """Return the table type inside an annotation such as `tuple[Node, ...]` or `Store | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inside = (_table_in(argument) for argument in get_args(annotation))
    return next((found for found in inside if found is not None), None)
