"""The demo: a recorded pump, two emulated STM32 nodes, the gateway, and endpoints to look at.

Promises: everything it says is what the run gave; a stand-in (simulated trace, host board, amqtt)
is named as one.  Whatever it started has ended when it returns.
"""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from boards.build import PROJECT_DIR, cache_dir
from gateway.clock import NS_PER_S, SystemClock
from gateway.site import Site, load_site
from hil.broker import Broker
from hil.report import full_report, hash_lines, judgement_lines, summary_line
from hil.result import RunResult
from hil.run import Run
from hil.scenario import Scenario, load_scenario, open_trace

SCENARIO = PROJECT_DIR / "examples" / "pump" / "scenario.toml"
FALLBACK_BOARD = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How the demo shows that it is alive; called with a text, then with virtual seconds."""

    building: Callable[[str, int], None]
    playing: Callable[[float, float], None]


async def demo(
    console: Console, watch: Watch, *, linger_s: float, trace: Path | None, board: str | None
) -> RunResult:
    """Run the example; then keep the endpoints open for `linger_s` seconds, 0 until cancelled."""
    folder = cache_dir() / "demo"
    scenario = _with_board(console, load_scenario(SCENARIO), board)
    opened = open_trace(scenario, folder, trace)
    console.print(f"trace: {opened.origin}")
    if opened.is_simulated:
        console.print("       this trace is SIMULATED; give a recorded one with --trace FILE")
    broker = Broker(folder / "broker")
    await broker.start()
    try:
        site = _site(scenario, broker)
        async with Run(scenario, opened, site, folder / "run") as run:
            endpoints = run.endpoints()
            console.print(f"broker: {broker.kind}")
            _say_endpoints(console, "to be read meanwhile, and at the end:", endpoints)
            result = await run.play(building=watch.building, playing=watch.playing)
            console.print(full_report(result))
            console.print(hash_lines(result), soft_wrap=True)
            await _linger(console, endpoints, linger_s)
    finally:
        await broker.stop()
    status = "ok" if not result.failures else "FAILED"
    for line in judgement_lines(result):
        console.print(line)
    console.print(f"demo {status}: {summary_line(result)}", soft_wrap=True, highlight=False)
    return result


def _site(scenario: Scenario, broker: Broker) -> Site:
    return load_site(scenario.gateway.site).at_ports({"sparkplug": broker.port})


def _with_board(console: Console, scenario: Scenario, board: str | None) -> Scenario:
    """The scenario on the board that was asked for, or on `host` when QEMU is missing."""
    needs_qemu = any(item.board != FALLBACK_BOARD for item in scenario.boards)
    if board is None and needs_qemu and shutil.which("qemu-system-arm") is None:
        console.print(
            "qemu-system-arm is not installed: using the host board (MicroPython unix port)"
            " instead of emulated STM32s; install qemu-system-arm for the real thing"
        )
        board = FALLBACK_BOARD
    if board is None:
        return scenario
    return scenario.on_board(board)


def _say_endpoints(console: Console, heading: str, endpoints: dict[str, str]) -> None:
    """Where a client finds what; for MQTT with the command that shows it."""
    console.print(heading)
    for name, address in endpoints.items():
        console.print(f"  {name:<16} {address}", soft_wrap=True, highlight=False)
    broker = urlsplit(endpoints.get("sparkplug", ""))
    if broker.port:
        command = f"mosquitto_sub -h {broker.hostname} -p {broker.port} -t 'spBv1.0/#' -F '%t %x'"
        console.print(f"  {'try':<16} {command}", soft_wrap=True, highlight=False)


async def _linger(console: Console, endpoints: dict[str, str], linger_s: float) -> None:
    console.print()
    _say_endpoints(console, "still open:", endpoints)
    if linger_s > 0:
        console.print(f"closing in {linger_s:g} s")
        clock = SystemClock()
        await clock.sleep_until(clock.now_ns() + round(linger_s * NS_PER_S))
        return
    console.print("Ctrl-C ends the demo")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        # The first Ctrl-C is the ordinary end of a demo without a time limit.
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
