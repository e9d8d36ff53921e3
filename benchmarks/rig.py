"""How much faster than real time the rig is: two boards, four channels each, sampled at 10 Hz.

Two figures: the boards and their chips alone, and the whole run with the gateway behind them.
Both come from one machine in one run; the ratio of virtual to real time is the result.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

from boards.build import PROJECT_DIR, cache_dir
from gateway.site import load_site
from hil.affinity import one_cpu
from hil.lockstep import TimerDue
from hil.repeat import south_only
from hil.rig import Rig
from hil.run import Run
from hil.scenario import Duration, Scenario, load_scenario, open_trace

SCENARIO: Final = PROJECT_DIR / "examples" / "pump" / "scenario.toml"


def boards_alone(virtual_s: int) -> float:
    """Virtual seconds per real second of the boards and their emulated chips."""
    scenario = load_scenario(SCENARIO)
    place = _place()
    opened = open_trace(scenario, place)
    rig = Rig(scenario, south_only(load_site(scenario.gateway.site)), opened.trace, place)
    rig.build()
    try:
        with one_cpu():
            rig.start()
            rig.lockstep.set_timer(virtual_s * 1_000_000_000, "end")
            started_s = time.perf_counter()
            while not isinstance(rig.lockstep.next_event(), TimerDue):
                continue
            return virtual_s / (time.perf_counter() - started_s)
    finally:
        rig.close()


def whole_run(virtual_s: int) -> float:
    """Virtual seconds per real second with verify, sync, fuse, judge and the Modbus PLC."""
    scenario = _shortened(load_scenario(SCENARIO), virtual_s)
    opened = open_trace(scenario, _place())
    run = Run(scenario, opened, south_only(load_site(scenario.gateway.site)), _place())

    async def play() -> float:
        async with run:
            return (await run.play()).speed

    return asyncio.run(play())


def _shortened(scenario: Scenario, virtual_s: int) -> Scenario:
    return scenario.model_copy(update={"duration": Duration(virtual_s=virtual_s)})


def _place() -> Path:
    return cache_dir() / "bench"
