"""Time probes in a run keep no period: what a node does once a second is met at any phase."""

import asyncio
from pathlib import Path

import pytest

from gateway.site import load_site
from hil.repeat import south_only
from hil.run import Run
from hil.scenario import load_scenario, open_trace
from tests.hil.conftest import MakeScenario

S = 1_000_000_000
SPREAD_MIN_NS = 200_000_000


@pytest.mark.slow
def test_what_goes_down_to_a_node_has_no_phase(make_scenario: MakeScenario, tmp_path: Path) -> None:
    scenario = load_scenario(make_scenario(virtual_s=60, board="host"))
    sent_ns: list[int] = []

    def line(_node: str, time_ns: int, data: bytes, is_up: bool) -> bytes:
        if not is_up:
            sent_ns.append(time_ns)
        return data

    async def play() -> None:
        opened = open_trace(scenario, tmp_path, None)
        site = south_only(load_site(scenario.gateway.site))
        async with Run(scenario, opened, site, tmp_path, line=line) as run:
            await run.play()

    asyncio.run(play())
    phases = sorted({time_ns % S for time_ns in sent_ns})
    assert len(phases) > 4
    assert phases[-1] - phases[0] > SPREAD_MIN_NS
