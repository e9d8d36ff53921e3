"""From the faults of a scenario to what the rig does: clocks of boards, paths, acts, and the truth.

Promises: `plan_faults` returns everything a run needs, in virtual time, or raises one ScenarioError
with every fault that does not fit its node; equal scenarios give equal plans. Nodes that are not
mentioned keep a nominal clock and a path on which nothing happens.
Leaves to others: doing it (`run.py`), judging (`findings.py`).

Who can have which fault: a node all but `unset`; the PLC, which keeps a calendar and has no path of
its own, `step`, `skew`, `restart` (its clock is lost: 1970) and `unset` (2000); the gateway `step`
ahead and `skew`, since virtual time never goes back.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from gateway.clock import NS_PER_MS, NS_PER_S
from hil.board_clock import NOMINAL, BoardClock, Jump, Rate, added, warming
from hil.errors import ScenarioError, did_you_mean
from hil.findings import FaultTruth
from hil.link_path import Ambient, Disturbance, LinkPath
from hil.scenario import Scenario
from hil.scenario_faults import GATEWAY, Crystal, Fault, Path

UNSET_NS: Final = 946_684_800 * NS_PER_S
"""2000-01-01, where a PLC's calendar stands that nobody has set."""
_PATH_FAULTS: Final = (
    "delay_up", "delay_down", "hold_back", "duplicate", "reorder", "replay", "loss",
)  # fmt: skip
_OF_PLC: Final = ("step", "skew", "restart", "unset")
_OF_GATEWAY: Final = ("step", "skew")
_OF_RATE: Final = ("skew", "temperature")
_OF_READING: Final = ("step", "wrap", "restart", "unset")
_UNITS: Final = {"skew": "ppm", "temperature": "ppm", "replay": "count", "duplicate": "count"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """What goes wrong in a run; times are virtual, from the boards' start."""

    clocks: Mapping[str, BoardClock]
    """By node, and under `GATEWAY` the gateway's own error."""
    paths: Mapping[str, LinkPath]
    """By node; only of those on whose path anything can happen."""
    plc: BoardClock
    """Its reading is the UTC that the PLC shows."""
    reboots: tuple[tuple[int, str], ...]
    """When which node's power is cut."""
    truths: tuple[FaultTruth, ...]

    def clock(self, node: str) -> BoardClock:
        """Return the clock of a node."""
        return self.clocks.get(node, NOMINAL)

    def is_in_fault(self, node: str, time_ns: int) -> bool:
        """Tell whether a fault may show at a moment that breaks the hard bounds of a node."""
        return any(
            truth.breaks_bounds and node in truth.sources and truth.may_show(time_ns)
            for truth in self.truths
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where a run stands in time, and what its site calls itself and allows."""

    origin_ns: int
    """Virtual time of trace time 0."""
    epoch_ns: int
    """UTC of virtual time 0."""
    end_ns: int
    site_name: str
    drift_ppm: float
    """The class of the crystals: within it no hard bound may break."""


def plan_faults(scenario: Scenario, frame: Frame) -> FaultPlan:
    """Plan all faults of a scenario; raises ScenarioError."""
    nodes = [board.node for board in scenario.boards]
    plc = scenario.plc.link if scenario.plc is not None else None
    problems = list(_problems(scenario, nodes, plc))
    if problems:
        raise ScenarioError(str(scenario.path), problems)
    crystals = {crystal.node: crystal for crystal in scenario.clocks}
    by_node = {
        node: [_Timed(fault, frame.origin_ns) for fault in scenario.faults if fault.node == node]
        for node in [*nodes, GATEWAY, *([] if plc is None else [plc])]
    }
    clocks = {
        node: _clock(by_node[node], crystals.get(node, Crystal(node=node)))
        for node in [*nodes, GATEWAY]
    }
    calendar = NOMINAL if plc is None else _calendar(by_node[plc], frame.epoch_ns)
    ambient = {path.node: _ambient(path) for path in scenario.links}
    paths = {}
    for index, node in enumerate(nodes):
        disturbances = [each.disturbance() for each in by_node[node] if each.is_of_path]
        if disturbances or node in ambient:
            draw = random.Random(scenario.scenario.seed * 1009 + index)  # noqa: S311 - no secret
            paths[node] = LinkPath(ambient.get(node, Ambient()), disturbances, draw)
    everyone = (*nodes, *([] if plc is None else [plc]), frame.site_name, GATEWAY)
    return FaultPlan(
        clocks={node: clock for node, clock in clocks.items() if clock is not NOMINAL},
        paths=paths,
        plc=calendar,
        reboots=tuple(
            (each.begin_ns, node)
            for node in nodes
            for each in by_node[node]
            if each.fault.kind == "reboot"
        ),
        truths=tuple(
            each.truth(everyone if node == GATEWAY else (node,), frame, clocks.get(node, calendar))
            for node, timed in by_node.items()
            for each in timed
        ),
    )


@final
@dataclass(frozen=True, slots=True)
class _Timed:
    """A fault with its place in virtual time."""

    fault: Fault
    origin_ns: int

    @property
    def begin_ns(self) -> int:
        return self.origin_ns + round(self.fault.at_s * NS_PER_S)

    @property
    def until_ns(self) -> int | None:
        """When it is taken back; None if it is not."""
        if self.fault.for_s is None:
            return None
        return self.begin_ns + round(self.fault.for_s * NS_PER_S)

    @property
    def size_ns(self) -> int:
        return round((self.fault.size_s or 0.0) * NS_PER_S)

    @property
    def is_of_path(self) -> bool:
        return self.fault.kind in _PATH_FAULTS

    def rates(self) -> list[Rate]:
        """Return the law of the rate that this fault adds; empty for most."""
        fault = self.fault
        if fault.kind == "skew":
            law = [Rate(self.begin_ns, fault.size_ppm or 0.0)]
            return law if self.until_ns is None else [*law, Rate(self.until_ns, 0.0)]
        if fault.kind == "temperature":
            ramp_ns = round((fault.ramp_s or 0.0) * NS_PER_S)
            return warming(self.begin_ns, ramp_ns, fault.celsius or 0.0, self.until_ns)
        return []

    def jumps(self, epoch_ns: int = 0) -> list[Jump]:
        """Return the jumps of the reading; epoch_ns: UTC of virtual time 0, for a calendar."""
        if self.fault.kind == "step":
            return [Jump(self.begin_ns, self.size_ns)]
        if self.fault.kind == "restart":
            return [Jump(self.begin_ns, None)]
        if self.fault.kind == "unset":
            return [Jump(self.begin_ns, UNSET_NS - epoch_ns - self.begin_ns)]
        return []

    def disturbance(self) -> Disturbance:
        """Return what happens to frames on the path."""
        fault = self.fault
        kind = next(kind for kind in _PATH_FAULTS if kind == fault.kind)
        return Disturbance(
            kind=kind,  # type: ignore[arg-type]
            from_ns=self.begin_ns,
            until_ns=self.begin_ns if self.until_ns is None else self.until_ns,
            size_ns=self.size_ns,
            share=1.0 if fault.share is None else fault.share,
        )

    def truth(self, sources: tuple[str, ...], frame: Frame, clock: BoardClock) -> FaultTruth:
        """Return what is true of the fault; a rate may stay wrong, a leap is over at once."""
        fault = self.fault
        within_ns = round((fault.expect.within_s or 0.0) * NS_PER_S)
        over_ns = self.until_ns
        if over_ns is None:
            over_ns = frame.end_ns if fault.kind in _OF_RATE else self.begin_ns + within_ns
        elif fault.kind == "temperature":
            over_ns += round((fault.ramp_s or 0.0) * NS_PER_S)
        return FaultTruth(
            kind=fault.kind,
            node=fault.node,
            sources=sources,
            begin_ns=self.begin_ns,
            end_ns=min(over_ns, frame.end_ns),
            breaks_bounds=self._breaks_bounds(clock, frame.drift_ppm),
            size=self._size(clock),
            unit=_UNITS.get(fault.kind, "s"),
            expect=fault.expect,
        )

    def _breaks_bounds(self, clock: BoardClock, drift_ppm: float) -> bool:
        """Tell whether the clock does what a clock of its class does not."""
        if self.fault.node == GATEWAY:
            return True
        if self.fault.kind in _OF_RATE:
            moments_ns = [rate.from_ns for rate in self.rates()]
            return max(abs(clock.ppm_at(moment_ns)) for moment_ns in moments_ns) > drift_ppm
        return self.fault.kind in _OF_READING

    def _size(self, clock: BoardClock) -> float | None:
        """Return the true size in the unit of the cause that the kind leads to, if it has one."""
        fault = self.fault
        if fault.kind == "restart":
            return clock.reading_ns(self.begin_ns - 1) / NS_PER_S
        if fault.kind == "temperature":
            hot_ns = self.begin_ns + round((fault.ramp_s or 0.0) * NS_PER_S)
            return clock.ppm_at(hot_ns) - clock.ppm_at(self.begin_ns - 1)
        if fault.kind == "delay_down" and fault.size_s is not None:
            # The sign of an asymmetry tells the way: positive from the source to the gateway.
            return -fault.size_s
        sizes = {"skew": fault.size_ppm, "hold_back": fault.for_s}
        sizes |= dict.fromkeys(("step", "wrap", "delay_up"), fault.size_s)
        return sizes.get(fault.kind)


def _clock(timed: list[_Timed], crystal: Crystal) -> BoardClock:
    """Return the clock that these faults and its crystal give."""
    laws = [law for each in timed if (law := each.rates())]
    if crystal.skew_ppm:
        laws.append([Rate(0, crystal.skew_ppm)])
    jumps = [jump for each in timed for jump in each.jumps()]
    preset_ns = round(crystal.starts_at_s * NS_PER_S)
    modulus_ns = 0
    for each in timed:
        if each.fault.kind == "wrap":
            modulus_ns = each.size_ns
            # What the counter must show at the start to be full when the fault is due.
            preset_ns = (modulus_ns - each.begin_ns) % modulus_ns
    if not (laws or jumps or preset_ns or modulus_ns):
        return NOMINAL
    return BoardClock(added(laws), jumps, preset_ns=preset_ns, modulus_ns=modulus_ns)


def _calendar(timed: list[_Timed], epoch_ns: int) -> BoardClock:
    """Return a clock whose reading is UTC, as a PLC keeps it."""
    jumps = [jump for each in timed for jump in each.jumps(epoch_ns)]
    return BoardClock(
        added(law for each in timed if (law := each.rates())), jumps, preset_ns=epoch_ns
    )


def _ambient(path: Path) -> Ambient:
    return Ambient(
        delay_up_ns=round(path.delay_up_ms * NS_PER_MS),
        delay_down_ns=round(path.delay_down_ms * NS_PER_MS),
        jitter_up_ns=round(path.jitter_up_ms * NS_PER_MS),
        jitter_down_ns=round(path.jitter_down_ms * NS_PER_MS),
        loss=path.loss,
    )


def _problems(scenario: Scenario, nodes: list[str], plc: str | None) -> Iterator[str]:
    """Yield what does not fit, with its place in the file."""
    parts = [(f"clocks[{k}].node", part.node) for k, part in enumerate(scenario.clocks)]
    parts += [(f"links[{k}].node", part.node) for k, part in enumerate(scenario.links)]
    for where, node in parts:
        if node not in nodes:
            hint = f"{did_you_mean(node, nodes)}boards: {', '.join(nodes)}"
            yield f"{where}: no board for node {node!r}; {hint}"
    known = [*nodes, GATEWAY, *([] if plc is None else [plc])]
    for index, fault in enumerate(scenario.faults):
        where = f"faults[{index}]"
        if fault.node not in known:
            hint = f"{did_you_mean(fault.node, known)}there are {', '.join(known)}"
            yield f"{where}.node: nothing is called {fault.node!r}; {hint}"
        elif fault.node == GATEWAY and (fault.kind not in _OF_GATEWAY or _goes_back(fault)):
            yield f"{where}.kind: the gateway's clock can leap ahead (step) or drift (skew) only"
        elif fault.node == plc and fault.kind not in _OF_PLC:
            yield f"{where}.kind: a PLC can have {', '.join(_OF_PLC)}, not {fault.kind}"
        elif fault.node in nodes and fault.kind == "unset":
            yield f"{where}.kind: a node counts from its start and has no calendar to be unset"


def _goes_back(fault: Fault) -> bool:
    return (fault.size_s or 0.0) < 0
