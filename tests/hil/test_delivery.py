"""The contract of delivery end to end: whatever the line and the power do, data is not lost unsaid.

The truth is taken from the node's end of the line, before anything is dropped.
"""

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.loss import SourceBalance
from gateway.records import Aligned, Record, Rejected, Report, ReportKind, Verified
from gateway.site import load_site
from gateway.stages.silence import is_repeat
from hil.repeat import south_only
from hil.result import RunResult
from hil.run import Line, Run
from hil.scenario import load_scenario, open_trace
from tests.hil.conftest import MakeScenario
from wire import content, cose
from wire.framing import Deframer

S = 1_000_000_000
NODE = "pump-a"


@dataclass
class Witness:
    """What a node put on its line, and what the gateway made of it."""

    sent: set[int] = field(default_factory=set)
    """Numbers of the data lane that the node sent at least once."""
    live_sent: set[int] = field(default_factory=set)
    repeated: int = 0
    taken: Counter[int] = field(default_factory=Counter)
    """How often each number of the data lane came out of the gateway's checks."""
    live_taken: set[int] = field(default_factory=set)
    values: list[Aligned] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    declared: list[tuple[int, int]] = field(default_factory=list)
    boots: set[int] = field(default_factory=set)
    _deframer: Deframer = field(default_factory=Deframer)

    def hear(self, data: bytes) -> None:
        for message, reason in self._deframer.feed(data):
            assert reason is None
            header = cose.peek(message)[0]
            numbers = self.live_sent if content.is_live(header.content_type) else self.sent
            self.repeated += header.sequence in numbers
            numbers.add(header.sequence)

    def see(self, record: Record, _now_ns: int) -> None:
        if record.source != NODE if hasattr(record, "source") else True:
            return
        if isinstance(record, Verified):
            self.boots.add(record.boot_id or 0)
            if content.is_live(record.content_type):
                self.live_taken.add(record.sequence)
            else:
                self.taken[record.sequence] += 1
        elif isinstance(record, Aligned) and not is_repeat(record):
            self.values.append(record)
        elif isinstance(record, Rejected):
            self.rejected[record.reason] += 1
        elif isinstance(record, Report) and record.kind is ReportKind.LOSS:
            facts = dict(record.facts)
            self.declared.append((int(facts["first"]), int(facts["last"])))

    @property
    def unsaid(self) -> list[int]:
        """Numbers of data that the node sent, the gateway does not have, and nobody declares."""
        return sorted(
            number
            for number in self.sent - self.taken.keys()
            if not any(first <= number <= last for first, last in self.declared)
        )


def play(
    scenario: Path, folder: Path, line: Line, *, cuts_s: tuple[float, ...] = ()
) -> tuple[RunResult, Witness]:
    """Run a scenario with a line and cuts of the first node's power; what came of it."""
    loaded = load_scenario(scenario)
    opened = open_trace(loaded, folder, None)
    witness = Witness()

    def watched(node: str, time_ns: int, data: bytes, is_up: bool) -> bytes:
        if is_up and node == NODE:
            witness.hear(data)
        return line(node, time_ns, data, is_up)

    async def once() -> RunResult:
        site = south_only(load_site(loaded.gateway.site))
        run = Run(loaded, opened, site, folder, observer=witness.see, line=watched)
        async with run:
            for cut_s in cuts_s:
                run.at(int(cut_s * S), lambda: run.rig.restart(NODE))
            return await run.play()

    return asyncio.run(once()), witness


def balance(result: RunResult) -> SourceBalance:
    return next(row for row in result.ledger if row.source == NODE)


def between(first_s: float, last_s: float, chance: float = 1.0, seed: int = 1) -> Line:
    """A line that loses bytes written between two times, all or by chance, both ways."""
    draw = random.Random(seed)

    def line(_node: str, time_ns: int, data: bytes, _is_up: bool) -> bytes:
        is_bad = first_s * S <= time_ns < last_s * S and draw.random() < chance
        return b"" if is_bad else data

    return line


@pytest.mark.slow
def test_a_line_that_was_cut_for_a_minute_costs_no_data(
    make_scenario: MakeScenario, tmp_path: Path
) -> None:
    scenario = make_scenario(virtual_s=240, board="host")
    result, seen = play(scenario, tmp_path / "run", between(60, 120))
    row = balance(result)
    assert result.ledger_adds_up
    assert seen.unsaid == []
    assert set(seen.taken.values()) == {1}, "every frame once"
    assert len(seen.taken) > 240
    assert seen.repeated > 0, "what the line took was sent again"
    assert (row.lost, row.declared, row.awaited) == (0, 0, 0)
    assert row.unanswered == len(seen.live_sent - seen.live_taken)
    times = sorted(value.time_ns for value in seen.values if value.signal == f"{NODE}:temperature")
    assert len(times) > 235
    assert {round((b - a) / S) for a, b in itertools.pairwise(times)} == {1}
    assert result.lost == 0


@pytest.mark.slow
@pytest.mark.parametrize("cut_s", [90.037, 150.5])
def test_a_power_cut_costs_nothing_that_was_stored(
    make_scenario: MakeScenario, tmp_path: Path, cut_s: float
) -> None:
    """While the line is down, and after it is up again."""
    scenario = make_scenario(virtual_s=240, board="host")
    result, seen = play(scenario, tmp_path / "run", between(60, 120), cuts_s=(cut_s,))
    row = balance(result)
    assert result.ledger_adds_up
    assert len(seen.boots) == 2
    assert seen.unsaid == []
    assert set(seen.taken.values()) == {1}, "nothing twice"
    assert (row.lost, row.awaited) == (0, 0)
    # A value has the time of its own boot: all lie on the grid of the trace, and none twice.
    # The first frames of a boot whose clock the gateway has not heard of yet keep the time of their
    # arrival, and a bound that says so; no more of them than go out before the first answer.
    values = [value for value in seen.values if value.signal == f"{NODE}:temperature"]
    certain = sorted(value.time_ns for value in values if value.bound_ns < 0.2 * S)
    assert min(b - a for a, b in itertools.pairwise(certain)) > 0.5 * S
    assert len([value for value in values if value.bound_ns > 60 * S]) <= 32
    assert len(values) > 230
    assert len(certain) > 170


@pytest.mark.slow
def test_a_line_that_drops_every_fifth_frame_costs_answers_and_no_data(
    make_scenario: MakeScenario, tmp_path: Path
) -> None:
    scenario = make_scenario(virtual_s=360, board="host")
    result, seen = play(scenario, tmp_path / "run", between(5, 240, chance=0.2))
    row = balance(result)
    assert result.ledger_adds_up
    assert seen.unsaid == []
    assert set(seen.taken.values()) == {1}
    assert (row.lost, row.declared, row.awaited) == (0, 0, 0)
    assert row.unanswered == len(seen.live_sent - seen.live_taken) > 0
    assert seen.repeated > 20
    assert result.lost == 0


@pytest.mark.slow
def test_the_truth_finds_a_loss_that_nobody_declares(
    make_scenario: MakeScenario, tmp_path: Path
) -> None:
    """A node that is told its frame has arrived when it has not: the tests above can fail."""
    scenario = make_scenario(virtual_s=30, board="host")
    site = scenario.parent / "site.toml"
    site.write_text(site.read_text().replace("receipts = true", "receipts = false"))
    result, seen = play(scenario, tmp_path / "run", between(10, 15))
    assert len(seen.unsaid) >= 5
    assert balance(result).lost >= 5
    assert result.lost == balance(result).lost + sum(
        row.lost for row in result.ledger if row.source == "pump-b"
    )
