"""The rules of `site.toml` that one field alone cannot tell.

Promises: works on the raw tables of the file, however wrong they are, so that its findings are
reported together with those of the field checks in `site.py`; every finding starts with the path
of the field to change and ends with what to do. Left to others: everything about a single field.
"""

import difflib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.stages.fuse import training_rows_min
from wire import units

RawTable = Mapping[str, object]
_ACCOUNTS: Final[tuple[str, ...]] = ("gateway", "opcua", "sparkplug", "store")
"""Names the ledger, and the folders and ports of the gateway itself, already use."""
_FOLDERS: Final[tuple[str, ...]] = ("ledger", "server")
"""Folders beside the asset's in the OPC UA address space."""
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
    nodes, devices = _tables(data.get("nodes")), _tables(data.get("modbus"))
    named = [(f"nodes[{i}]", t) for i, t in nodes] + [(f"modbus[{i}]", t) for i, t in devices]
    problems = list(_repeated(named))
    problems += _reserved(data, named)
    for prefix, inner, tables in (("nodes", "channels", nodes), ("modbus", "tags", devices)):
        for i, table in tables:
            rows = [(f"{prefix}[{i}].{inner}[{j}]", row) for j, row in _tables(table.get(inner))]
            problems += _repeated(rows)
            problems += [problem for where, row in rows for problem in _row_problems(where, row)]
    problems += [problem for i, node in nodes for problem in _node_problems(f"nodes[{i}]", node)]
    problems += _unknown_signals(data, nodes, devices)
    problems += _open_endpoints(data)
    problems += _no_hysteresis(data)
    problems += _too_few_training_rows(data, nodes)
    if not named:
        problems.append("nodes: no source of data; add [[nodes]] or [[modbus]]")
    return problems


def _tables(value: object) -> list[tuple[int, RawTable]]:
    """Return the tables of an array of tables with their index; anything else is left out."""
    rows = value if isinstance(value, list) else []
    return [(index, row) for index, row in enumerate(rows) if isinstance(row, dict)]


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
    if node.get("link") == "serial" and not node.get("port"):
        yield f'{where}.port: a serial link needs its device; add port = "/dev/ttyUSB0" or the like'


def _unknown_signals(
    data: RawTable,
    nodes: Sequence[tuple[int, RawTable]],
    devices: Sequence[tuple[int, RawTable]],
) -> Iterator[str]:
    """Check that [fuse] names signals that exist."""
    fuse = data.get("fuse")
    wanted = fuse.get("signals") if isinstance(fuse, dict) else None
    rows = [(n, row) for _, n in nodes for _, row in _tables(n.get("channels"))]
    rows += [(d, row) for _, d in devices for _, row in _tables(d.get("tags"))]
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
    match data.get("sparkplug"):
        case {"ca_file": str()} | {"allow_unencrypted": True}:
            return
        case {"host": str() as host} if not is_loopback(host):
            yield f"sparkplug.ca_file: {host} is not loopback; name its CA file to turn TLS on"


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
            channels = sum(len(_tables(node.get("channels"))) for _, node in nodes)
            signals = len(named) if isinstance(named, list) and named else channels
            enough = training_rows_min(signals)
            if rows < enough:
                yield (
                    f"fuse.training_rows: {rows} are too few for {signals} signals; "
                    f"set it to {enough} or more"
                )
