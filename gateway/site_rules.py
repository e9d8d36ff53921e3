"""The rules of `site.toml` that one field alone cannot tell.

Promises: works on the raw tables of the file, however wrong they are, so that its findings are
reported together with those of the field checks in `site.py`; every finding starts with the path
of the field to change and ends with what to do. Left to others: everything about a single field.
"""

import difflib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.stages.learning import training_rows_min
from gateway.stages.rows import ROWS_MAX
from wire import units

RawTable = Mapping[str, object]
_ACCOUNTS: Final[tuple[str, ...]] = ("gateway", "mqtt", "opcua", "sparkplug", "store")
"""Names the ledger, and the folders and ports of the gateway itself, already use."""
_FOLDERS: Final[tuple[str, ...]] = ("ledger", "nodes", "server")
"""Folders beside the asset's in the OPC UA address space."""
_SOURCES: Final = {
    "nodes": "channels", "modbus": "tags", "opcua_servers": "nodes", "mqtt_sources": "values",
}  # fmt: skip
"""Tables of sources, and the table of signals inside each."""
_CLOCK_SCALES: Final = (1, 0.001, 0.000001)
"""Seconds in a step of a device's clock: these are whole nanoseconds."""
_SYMBOLS: Final = frozenset(unit.senml for unit in units.UNITS)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hint(word: str, choices: Sequence[str]) -> str:
    """Return the remedy for a mistyped word: the nearest choice, or all of them."""
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{folded[near[0]]}"?'
    return "use one of " + ", ".join(sorted(choices))


def rule_problems(data: RawTable) -> list[str]:
    """Check what one field alone cannot tell; works on raw tables, however wrong they are."""
    nodes, devices = tables(data.get("nodes")), tables(data.get("modbus"))
    sources = [
        (f"{table}[{i}]", inner, row)
        for table, inner in _SOURCES.items()
        for i, row in tables(data.get(table))
    ]
    named = [(where, row) for where, _, row in sources]
    problems = list(_repeated(named))
    problems += _reserved(data, named)
    for where, inner, owner in sources:
        rows = [(f"{where}.{inner}[{j}]", row) for j, row in tables(owner.get(inner))]
        problems += _repeated([*rows, *_features(where, owner)])
        problems += [problem for place, row in rows for problem in _row_problems(place, row)]
    problems += [problem for i, node in nodes for problem in _node_problems(f"nodes[{i}]", node)]
    for i, device in devices:
        problems += _clock_problems(f"modbus[{i}]", device)
    problems += _no_broker(data, nodes)
    problems += _unknown_signals(data, [(row, inner) for _, inner, row in sources])
    problems += _open_endpoints(data)
    problems += _no_hysteresis(data)
    problems += _too_few_training_rows(data, nodes)
    problems += _too_many_rows(data)
    if not named:
        problems.append(f"nodes: no source of data; add [[{']], [['.join(_SOURCES)}]]")
    return problems


def tables(value: object) -> list[tuple[int, RawTable]]:
    """Return the tables of an array of tables with their index; anything else is left out."""
    rows = value if isinstance(value, list) else []
    return [(index, row) for index, row in enumerate(rows) if isinstance(row, dict)]


def _features(where: str, owner: RawTable) -> list[tuple[str, RawTable]]:
    """Return the features of a node's waveforms with their places; a device has none."""
    return [
        (f"{where}.waveforms[{i}].features[{j}]", feature)
        for i, waveform in tables(owner.get("waveforms"))
        for j, feature in tables(waveform.get("features"))
    ]


def _repeated(rows: Sequence[tuple[str, RawTable]]) -> Iterator[str]:
    """Find names used twice; upper and lower case count as the same (Sparkplug B 3.0)."""
    first: dict[str, str] = {}
    for where, row in rows:
        name = row.get("name")
        if not isinstance(name, str):
            continue
        earlier = first.setdefault(name.casefold(), where)
        if earlier != where:
            yield f"{where}.name: {name!r} is already the name of {earlier}; choose another"


def _reserved(data: RawTable, named: Sequence[tuple[str, RawTable]]) -> Iterator[str]:
    """Refuse names that something of the gateway itself has, in upper or lower case."""
    rows = [(f"{where}.name", row.get("name"), _ACCOUNTS) for where, row in named]
    match data.get("site"):
        case {"asset": asset}:
            rows.append(("site.asset", asset, _FOLDERS))
    for where, name, taken in rows:
        if isinstance(name, str) and name.casefold() in taken:
            yield (
                f"{where}: {name!r} is a name of the gateway itself; choose another, "
                f'for example "{name}-1"'
            )


def _row_problems(where: str, row: RawTable) -> Iterator[str]:
    """Check one channel or tag."""
    quantity, unit = row.get("quantity"), row.get("unit")
    expected = units.QUANTITIES.get(quantity) if isinstance(quantity, str) else None
    if expected is not None and isinstance(unit, str) and unit in _SYMBOLS and unit != expected:
        yield f'{where}.unit: {quantity} is stated in "{expected}", not "{unit}"; use "{expected}"'
    match row.get("valid"):
        case [int() | float() as low, int() | float() as high] if not low < high:
            yield f"{where}.valid: {low} is not below {high}; write [low, high]"
    is_bit = row.get("table") in ("coil", "discrete")
    if "table" in row and is_bit != (row.get("type") == "bool"):
        yield f'{where}.type: coils and discrete inputs are "bool", registers are not; change one'


def _node_problems(where: str, node: RawTable) -> Iterator[str]:
    """Check one node."""
    link = node.get("link")
    is_table = isinstance(link, dict)
    kind = link.get("kind") if isinstance(link, dict) else link
    port = (link.get("port") if isinstance(link, dict) else None) or node.get("port")
    if kind == "serial" and not port:
        path = "link.port" if is_table else "port"
        yield (
            f'{where}.{path}: a serial link needs its device; add port = "/dev/ttyUSB0" or the like'
        )
    if kind == "mqtt" and not is_table:
        yield (
            f"{where}.link: a node on MQTT needs its broker; "
            'write link = { kind = "mqtt", host = "broker.plant" }'
        )
    outputs = [(f"{where}.outputs[{i}]", row) for i, row in tables(node.get("outputs"))]
    waveforms = [(f"{where}.waveforms[{i}]", row) for i, row in tables(node.get("waveforms"))]
    yield from _repeated(outputs)
    yield from _repeated(waveforms)
    pins: dict[object, str] = {}
    for place, row in outputs:
        earlier = pins.setdefault(row.get("pin"), place)
        if earlier != place and row.get("pin") is not None:
            yield f"{place}.pin: {row.get('pin')} is already the pin of {earlier}; choose another"


def _no_broker(data: RawTable, nodes: Sequence[tuple[int, RawTable]]) -> Iterator[str]:
    """Ask for the broker as the gateway reaches it when somebody is behind one."""
    if data.get("mqtt_sources") and "mqtt" not in data:
        yield "mqtt_sources: are heard through a broker; add [mqtt], host and ca_file"
    for i, node in nodes:
        match node.get("link"):
            case {"kind": "mqtt"} if "mqtt" not in data:
                yield f"nodes[{i}].link: is heard through a broker; add [mqtt], host and ca_file"
                return


def _clock_problems(where: str, device: RawTable) -> Iterator[str]:
    """Check the tag that is a device's clock."""
    clocks = [(i, tag) for i, tag in tables(device.get("tags")) if tag.get("role") == "clock"]
    for i, tag in clocks:
        place = f"{where}.tags[{i}]"
        if tag.get("type") not in ("uint32", "uint64"):
            yield f'{place}.type: a clock counts in "uint32" or "uint64"; change it'
        if tag.get("unit") != "s":
            yield f'{place}.unit: a clock is read in seconds; write unit = "s" and choose scale'
        if tag.get("scale", 1) not in _CLOCK_SCALES:
            yield (
                f"{place}.scale: a clock counts whole seconds, milliseconds or microseconds; "
                "write 1.0, 0.001 or 0.000001"
            )
        offset = tag.get("offset", 0)
        if isinstance(offset, float) and not offset.is_integer():
            yield f"{place}.offset: a clock begins at a whole second since 1970; round it"
    for i, _ in clocks[1:]:
        yield f"{where}.tags[{i}].role: tags[{clocks[0][0]}] is the clock already; remove one"


def _unknown_signals(data: RawTable, sources: Sequence[tuple[RawTable, str]]) -> Iterator[str]:
    """Check that [fuse] names signals that exist; a clock is none."""
    fuse = data.get("fuse")
    wanted = fuse.get("signals") if isinstance(fuse, dict) else None
    rows = [
        (owner, row)
        for owner, inner in sources
        for _, row in [*tables(owner.get(inner)), *_features("", owner)]
        if row.get("role") != "clock"
    ]
    known = tuple(f"{source.get('name')}:{row.get('name')}" for source, row in rows)
    for index, signal in enumerate(wanted if isinstance(wanted, list) else []):
        if isinstance(signal, str) and signal not in known:
            problem = f"fuse.signals[{index}]: {signal!r} is no signal of this site"
            yield f"{problem}; {hint(signal, known)}"


def _open_endpoints(data: RawTable) -> Iterator[str]:
    """Refuse traffic that anybody on the way could read or change, unless it is asked for."""
    match data.get("opcua"):
        case {"allow_unencrypted_loopback": True, "host": str() as host} if not is_loopback(host):
            yield (
                f"opcua.allow_unencrypted_loopback: {host} is not loopback; "
                'set host = "127.0.0.1" or remove the flag'
            )
    for i, server in tables(data.get("opcua_servers")):
        match server:
            case {"allow_unencrypted": True, "endpoint": str() as endpoint} if not is_loopback(
                _host_of(endpoint)
            ):
                yield (
                    f"opcua_servers[{i}].allow_unencrypted: {_host_of(endpoint)} is not loopback; "
                    "remove the flag"
                )
    for table in ("sparkplug", "mqtt"):
        match data.get(table):
            case {"ca_file": str()} | {"allow_unencrypted": True}:
                pass
            case {"host": str() as host} if not is_loopback(host):
                yield f"{table}.ca_file: {host} is not loopback; name its CA file to turn TLS on"


def _host_of(endpoint: str) -> str:
    """Return the host of a URL; "" if there is none."""
    try:
        return urlsplit(endpoint).hostname or ""
    except ValueError:
        return ""


def _no_hysteresis(data: RawTable) -> Iterator[str]:
    """Refuse thresholds between which a verdict would never come to rest."""
    match data.get("judge"):
        case {"alarm_on": float() as on, "alarm_off": float() as off} if off > on:
            yield f"judge.alarm_off: {off} is above alarm_on = {on}; set it to {on} or less"


def _too_few_training_rows(data: RawTable, nodes: Sequence[tuple[int, RawTable]]) -> Iterator[str]:
    """Refuse a number of training rows that `fuse` could not make a model of."""
    match data.get("fuse"):
        case {"training_rows": int() as rows, **others}:
            named = others.get("signals")
            channels = sum(
                len(tables(node.get("channels"))) + len(_features("", node)) for _, node in nodes
            )
            signals = len(named) if isinstance(named, list) and named else channels
            enough = training_rows_min(signals)
            if rows < enough:
                yield (
                    f"fuse.training_rows: {rows} are too few for {signals} signals; "
                    f"set it to {enough} or more"
                )


def _too_many_rows(data: RawTable) -> Iterator[str]:
    """Refuse to wait, or to revise, for longer than rows are kept."""
    fuse = data.get("fuse")
    settings = fuse if isinstance(fuse, dict) else {}
    period_ms = settings.get("period_ms", 1000)
    if not isinstance(period_ms, int) or period_ms < 1:
        return
    most_ms = ROWS_MAX * period_ms
    for key in ("wait_ms", "horizon_ms"):
        asked_ms = settings.get(key)
        if isinstance(asked_ms, int) and asked_ms > most_ms:
            yield (
                f"fuse.{key}: {asked_ms} is more than {ROWS_MAX} rows of {period_ms} ms; set it to "
                f"{most_ms} or less, or period_ms to {-(-asked_ms // ROWS_MAX)} or more"
            )
