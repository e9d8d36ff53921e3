"""A scenario file: which boards, which trace, what is wired to what, what must come out.

Promises: `load_scenario` returns a frozen `Scenario` or raises one ScenarioError that lists every
error of the file with its dotted path; paths in the file are relative to the file and absolute in
the model. `open_trace` finds the trace, or has the fallback model make one and says so.
Leaves to others: what the wires mean on a given site (wiring.py), running (run.py).

Order of the checks: file, TOML, each value, then what belongs together (names, duplicates).
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, final

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from boards.catalog import board_names, load_board
from gateway.clock import NS_PER_S
from hil.errors import ScenarioError, TraceError, did_you_mean
from hil.plants.pump import write_pump_trace
from hil.scenario_faults import Confined, Crystal, Fault, FaultExpect, Name
from hil.scenario_faults import Path as LinkPart
from hil.traces import Trace, read_trace
from hil.units import unit as unit_named

BYTES_MAX: Final = 1024 * 1024
"""Largest scenario file that is read."""


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder = info.context.parent if isinstance(info.context, Path) else Path()
    return (folder / path).resolve()


def _known_board(name: str) -> str:
    # Those that run in lockstep: a real board, or one with a clock of its own, hangs on no rig yet.
    known = [board for board in board_names() if "lockstep" in load_board(board).features]
    if name not in known:
        raise ValueError(f"{did_you_mean(name, known)}boards: {', '.join(known)}")
    return name


def _known_unit(name: str) -> str:
    return unit_named(name).name


def _not_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not items:
        raise ValueError("at least one is needed")
    return items


FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
UnitName = Annotated[str, AfterValidator(_known_unit)]


class About(Confined):
    """`[scenario]`: what the report calls this run, and the seed of everything random in it."""

    name: Name
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0


class GatewayPart(Confined):
    """`[gateway]`: the site file that the gateway runs with."""

    site: Annotated[FilePath, Field(strict=False)]


class TracePart(Confined):
    """`[trace]`: the recorded file and how to read it; see traces.py for the columns."""

    path: Annotated[FilePath, Field(strict=False)] | None = None
    delimiter: Literal[";", ",", "\t"] | None = None
    time_column: Name | None = None
    label_column: Name | None = None
    fallback: Literal["pump"] | None = None
    """The plant model that makes a trace where `path` does not exist."""

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.path is None and self.fallback is None:
            raise ValueError('give a path, or fallback = "pump", or both')
        return self


class Board(Confined):
    """`[[boards]]`: the node of the site file and the board it runs on."""

    node: Name
    board: Annotated[str, AfterValidator(_known_board)]


class Wire(Confined):
    """`[[wires]]`: one column of the trace drives one channel of one node."""

    column: Name
    unit: UnitName
    node: Name
    channel: Name
    waveform: Literal["hold", "rms_sine"] = "hold"


class Plc(Confined):
    """`[plc]`: the PLC simulator stands behind this `[[modbus]]` entry of the site file."""

    link: Name


class Duration(Confined):
    """`[duration]`: how much virtual time to run; without it, the whole trace."""

    virtual_s: Annotated[float, Field(gt=0, le=1e8, strict=False)] | None = None


class Expect(Confined):
    """`[expect]`: what must come out; a line that is absent is not judged."""

    rejected: Annotated[int, Field(ge=0)] | None = None
    lost: Annotated[int, Field(ge=0)] | None = None
    alarm_within_s: Annotated[float, Field(ge=0, strict=False)] | None = None
    """Longest delay of the first alarm after the first labelled row."""
    false_alarms_max: Annotated[int, Field(ge=0)] | None = None
    """Most alarms outside labelled rows."""
    blamed: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Signals of which the alarm must blame one most."""
    causes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Causes of which one must be the alarm's likeliest: "bias", "stuck", "process", ..."""
    sync_checks_max: Annotated[int, Field(ge=0)] | None = None
    """Most findings about time that no `[[faults]]` explains."""

    def failures(
        self,
        *,
        rejected: int,
        lost: int,
        alarm_delay_s: float | None,
        false_alarms: int,
        blamed: str | None = None,
        cause: str | None = None,
    ) -> list[str]:
        """Return one sentence per broken expectation, an empty list when all hold."""
        found = []
        if self.rejected is not None and rejected != self.rejected:
            found.append(f"rejected: expected {self.rejected}, got {rejected}")
        if self.lost is not None and lost != self.lost:
            found.append(f"lost: expected {self.lost}, got {lost}")
        if self.alarm_within_s is not None:
            if alarm_delay_s is None:
                found.append(f"alarm: expected within {self.alarm_within_s:g} s, none came")
            elif alarm_delay_s > self.alarm_within_s:
                found.append(
                    f"alarm: expected within {self.alarm_within_s:g} s, "
                    f"came after {alarm_delay_s:g} s"
                )
        if self.false_alarms_max is not None and false_alarms > self.false_alarms_max:
            found.append(f"false alarms: at most {self.false_alarms_max}, got {false_alarms}")
        for name, wanted, got in (("blamed", self.blamed, blamed), ("cause", self.causes, cause)):
            if wanted and got not in wanted:
                found.append(f"{name}: expected {' or '.join(wanted)}, got {got or 'none'}")
        return found


@final
class Scenario(Confined):
    """A whole scenario file."""

    scenario: About
    gateway: GatewayPart
    trace: TracePart
    boards: Annotated[tuple[Board, ...], Field(strict=False), AfterValidator(_not_empty)]
    wires: Annotated[tuple[Wire, ...], Field(strict=False), AfterValidator(_not_empty)]
    plc: Plc | None = None
    clocks: Annotated[tuple[Crystal, ...], Field(strict=False)] = ()
    links: Annotated[tuple[LinkPart, ...], Field(strict=False)] = ()
    faults: Annotated[tuple[Fault, ...], Field(strict=False)] = ()
    duration: Duration = Duration()
    expect: Expect = Expect()

    _path: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any) -> None:
        """Keep the path of the file, which the loader passes as validation context."""
        if isinstance(context, Path):
            self._path = context

    @property
    def path(self) -> Path:
        """Absolute path of the file this was read from."""
        return self._path

    @property
    def columns(self) -> dict[str, str]:
        """Column -> unit of all wires, in the order of the file."""
        return {wire.column: wire.unit for wire in self.wires}

    def on_board(self, board: str) -> Self:
        """Return the same scenario with every node on one board, such as `host` without QEMU.

        Errors: ScenarioError when there is no such board for a rig.
        """
        try:
            _known_board(board)
        except ValueError as error:
            raise ScenarioError(str(self._path), [f"no board {board!r}; {error}"]) from None
        boards = tuple(each.model_copy(update={"board": board}) for each in self.boards)
        return self.model_copy(update={"boards": boards})

    def duration_ns(self, trace: Trace) -> int:
        """Return how long to run: the trace, or less where `[duration]` says so."""
        if self.duration.virtual_s is None:
            return trace.duration_ns
        return min(trace.duration_ns, round(self.duration.virtual_s * NS_PER_S))


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file; ScenarioError lists all its errors, one per line."""
    path = path.resolve()
    data = _parsed(path)
    try:
        scenario = Scenario.model_validate(data, context=path)
    except ValidationError as error:
        raise ScenarioError(str(path), [_line(each) for each in error.errors()]) from None
    wrong = _disagreements(scenario)
    if wrong:
        raise ScenarioError(str(path), wrong)
    return scenario


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenedTrace:
    """A trace and where it comes from."""

    trace: Trace
    is_simulated: bool
    origin: str
    """One sentence for the report."""


def open_trace(scenario: Scenario, folder: Path, override: Path | None = None) -> OpenedTrace:
    """Read the scenario's trace.

    override: the user's own file; it must exist, no model replaces it; it may lack the label.
    folder: where the fallback model writes its file; made when absent.
    Errors: TraceError.
    """
    asked = override if override is not None else scenario.trace.path
    fallback = scenario.trace.fallback if override is None else None
    if asked is not None and (fallback is None or asked.exists()):
        return OpenedTrace(
            trace=_read(scenario, asked, label_is_optional=override is not None),
            is_simulated=False,
            origin=f"recorded: {asked}",
        )
    made = folder / f"{fallback}-{scenario.scenario.seed}.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_pump_trace(made, seed=scenario.scenario.seed)
    except OSError as error:
        what = f"cannot be written ({error}); check path and rights"
        raise TraceError(str(made), what) from error
    missing = f"; {asked} does not exist" if asked is not None else ""
    return OpenedTrace(
        trace=_read(scenario, made),
        is_simulated=True,
        origin=f"simulated by the {fallback} model, seed {scenario.scenario.seed}{missing}",
    )


def _read(scenario: Scenario, path: Path, *, label_is_optional: bool = False) -> Trace:
    return read_trace(
        path,
        scenario.columns,
        delimiter=scenario.trace.delimiter,
        time_column=scenario.trace.time_column,
        label_column=scenario.trace.label_column,
        label_is_optional=label_is_optional,
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise ScenarioError(str(path), [f"larger than {BYTES_MAX} bytes; is it a scenario?"])
        return tomllib.loads(data.decode())
    except FileNotFoundError:
        problem = "no such file; check the path of the scenario"
    except OSError as error:
        problem = f"cannot be read ({error}); check its rights"
    except UnicodeDecodeError:
        problem = "not UTF-8 text; save the file as UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = f"not TOML: {error}; mend that line"
    raise ScenarioError(str(path), [problem])


def _line(error: ErrorDetails) -> str:
    """Return `wires[2].unit: message` for one of pydantic's errors."""
    dotted = ""
    for part in error["loc"]:
        dotted += f"[{part}]" if isinstance(part, int) else f".{part}" if dotted else str(part)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = f"unknown key; {did_you_mean(str(error['loc'][-1]), _keys_at(error['loc']))}"
        message += f"known keys: {', '.join(_keys_at(error['loc']))}"
    elif error["type"] == "missing":
        message = "missing; add this key"
    elif error["type"] != "value_error":
        message += f" (got {error['input']!r:.60})"
    return f"{dotted}: {message}"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are allowed where an unknown one was found."""
    parts: dict[str, type[BaseModel]] = {
        "scenario": About, "gateway": GatewayPart, "trace": TracePart, "boards": Board,
        "wires": Wire, "plc": Plc, "duration": Duration, "expect": Expect,
        "clocks": Crystal, "links": LinkPart, "faults": Fault,
    }  # fmt: skip
    model = parts[str(location[0])] if len(location) > 1 else Scenario
    if "expect" in location[1:]:
        model = FaultExpect
    return list(model.model_fields)


def _disagreements(scenario: Scenario) -> list[str]:
    """Return what is wrong between values that are each right by themselves."""
    found = []
    nodes: list[str] = []
    for index, board in enumerate(scenario.boards):
        if board.node in nodes:
            found.append(f"boards[{index}].node: {board.node!r} has a board already; remove one")
        nodes.append(board.node)
    driven: dict[tuple[str, str], int] = {}
    units: dict[str, str] = {}
    for index, wire in enumerate(scenario.wires):
        where = f"wires[{index}]"
        if wire.node not in nodes:
            found.append(
                f"{where}.node: no board for node {wire.node!r}; "
                f"{did_you_mean(wire.node, nodes)}boards: {', '.join(nodes)}"
            )
        other = driven.setdefault((wire.node, wire.channel), index)
        if other != index:
            found.append(f"{where}.channel: wires[{other}] drives {wire.channel!r} already")
        unit = units.setdefault(wire.column, wire.unit)
        if unit != wire.unit:
            found.append(f"{where}.unit: column {wire.column!r} is {unit!r} in an earlier wire")
    return found
