"""From the trace to foreign clients: what they read is what was recorded, within stated limits.

Row r of a 1 Hz trace holds for one second, in which a node takes one block of ten samples.  So the
value of that block has to be, for `mean` and `rms` alike, the row's value in SI units, give or take

- the chip's tolerance (RANGES of its emulator: half a count) times the channel's gain, and
- the node's 32-bit floats: 2**-21 of the value (sums of ten, gain, offset),

and its source time has to be the middle of the ten sample times, within the value's own bound.
A chip that converts slower than ten times a second still shows the row before at the start of a
block: for those the value may lie anywhere between the two rows (`SLOW`, with the chip's figures).
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.records import Aligned, Record
from gateway.sinks.sparkplug_payload import decode
from gateway.site import load_site
from gateway.status import GOOD
from hil.broker import HOST, Broker
from hil.run import Run
from hil.scenario import OpenedTrace, Scenario, load_scenario, open_trace
from hil.wiring import Drive, configured_ranges
from tests.hil.conftest import EXAMPLE, MakeScenario

ROWS = 25
SAMPLES_MIDDLE_NS = 450_000_000
FLOAT32 = 2.0**-21
SLOW = {"mcp9600"}
"""MCP9600 at 18 bits converts in 320 ms (datasheet DS20005426, 5.2.2)."""
READER = Path(__file__).parent / "opcua_reader.py"
WAIT_S = 60.0
CLIENT_TIME_NS = 1_000_000
"""Sparkplug tells time in milliseconds."""


@dataclass(frozen=True)
class Seen:
    """One value as a client was told it."""

    signal: str
    value: float
    time_ns: int


def source_of(drive: Drive) -> str:
    return f"{drive.wire.node}:{drive.wire.channel}"


class Listener:
    """A process whose output is read all the time, so that it never waits for us."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()

    async def heard(self, what: Callable[[list[str]], bool]) -> None:
        """Return when `what` holds for all lines so far."""
        await asyncio.to_thread(self._heard, what)

    def _heard(self, what: Callable[[list[str]], bool]) -> None:
        with self._news:
            found = self._news.wait_for(lambda: what(self.lines), WAIT_S)
        assert found, f"{self.process.args}: {len(self.lines)} lines, the last {self.lines[-3:]}"

    async def leave(self) -> None:
        """Let the process end by itself, which it does when its standard input ends."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        await asyncio.to_thread(self.process.wait, WAIT_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)
        self._reader.join(timeout=10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def opcua_values(lines: list[str]) -> list[Seen]:
    """Every good value that the OPC UA client was told."""
    told = [json.loads(line) for line in lines if line.startswith("[")]
    return [
        Seen(signal, value, time_us * 1000)
        for signal, value, status, time_us in told
        if value is not None and status == GOOD
    ]


def mqtt_values(lines: list[str]) -> Iterator[Seen]:
    """Every value of a sensor that mosquitto_sub was told."""
    for line in lines:
        topic, _, payload = line.partition(" ")
        if "/DDATA/" not in topic or not topic.startswith("spBv1.0"):
            continue
        for metric in decode(bytes.fromhex(payload)).metrics:
            if metric.name is not None and metric.name.startswith("pump-"):
                assert isinstance(metric.value, float)
                assert metric.timestamp_ms is not None
                name = metric.name.replace("/", ":")
                yield Seen(name, metric.value, metric.timestamp_ms * 1_000_000)


async def play(
    scenario: Scenario, opened: OpenedTrace, folder: Path
) -> tuple[tuple[Drive, ...], dict[tuple[str, int], Aligned], list[Seen], list[Seen]]:
    """Run; the drives, the gateway's own values by (signal, time), and what the clients saw."""
    aligned: dict[tuple[str, int], Aligned] = {}

    def observe(record: Record, now_ns: int) -> None:
        del now_ns
        if isinstance(record, Aligned) and record.signal.startswith("pump-"):
            aligned[record.signal, record.time_ns] = record

    broker = Broker(folder / "broker")
    await broker.start()
    listeners = []
    try:
        address = ["-h", HOST, "-p", str(broker.port)]
        wish = ["-t", "spBv1.0/#", "-F", "%t %x", "-d"]
        mqtt = Listener(["stdbuf", "-oL", "mosquitto_sub", *address, *wish])
        listeners.append(mqtt)
        await mqtt.heard(lambda lines: any("SUBACK" in line for line in lines))
        site = load_site(scenario.gateway.site).at_ports({"sparkplug": broker.port})
        async with Run(scenario, opened, site, folder / "run", observer=observe) as run:
            signals = [f"{n.name}:{c.name}" for n in site.nodes for c in n.channels]
            url = run.endpoints()["opcua"]
            opcua = Listener([sys.executable, str(READER), url, *signals])
            listeners.append(opcua)
            await opcua.heard(lambda lines: "ready" in lines)
            result = await run.play()
            assert result.lost == result.rejected == 0
            last_ns = {signal: changes(aligned, signal)[-1].time_ns for signal in signals}
            await opcua.heard(lambda lines: not unseen(opcua_values(lines), last_ns))
            await opcua.leave()
            drives = run.rig.drives
        # The gateway's last message, its death certificate, comes after everything else.
        await mqtt.heard(lambda lines: "/NDEATH/" in (lines or [""])[-1])
        return drives, aligned, opcua_values(opcua.lines), list(mqtt_values(mqtt.lines))
    finally:
        for listener in listeners:
            listener.close()
        await broker.stop()


def unseen(values: list[Seen], times_ns: dict[str, int]) -> set[str]:
    """The signals of which nothing was seen at their time."""
    return set(times_ns) - {
        seen.signal
        for seen in values
        if abs(seen.time_ns - times_ns[seen.signal]) <= CLIENT_TIME_NS
    }


def changes(aligned: dict[tuple[str, int], Aligned], signal: str) -> list[Aligned]:
    """The values of a signal that differ from the one before in value or status.

    That is what an OPC UA subscription reports (DataChangeTrigger StatusValue, Part 4, 7.22.2).
    """
    own = sorted((each for (name, _), each in aligned.items() if name == signal), key=time_of)
    return own[:1] + [
        after
        for before, after in pairwise(own)
        if (before.value, before.status) != (after.value, after.status)
    ]


def time_of(item: Aligned) -> int:
    return item.time_ns


def expected(drive: Drive, row: int) -> tuple[float, float]:
    """The least and the greatest value that the block of `row` may have, tolerances left out."""
    rows = [row]
    if drive.part in SLOW and row > 0:
        rows.append(row - 1)
    values = [drive.signal(float(drive.column.values[each])) for each in rows]
    return min(values), max(values)


@pytest.mark.parametrize("trace", ["simulated", "recorded"])
def test_foreign_clients_read_the_trace(
    trace: str,
    make_scenario: MakeScenario,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    override = None
    if trace == "recorded":
        shared: Path = request.getfixturevalue("shared_dir")
        override = shared / "data" / "skab" / "valve1" / "0.csv"
    scenario = load_scenario(make_scenario(virtual_s=ROWS + 2))
    opened = open_trace(scenario, tmp_path / "trace", override)
    drives, aligned, opcua, mqtt = asyncio.run(play(scenario, opened, tmp_path))
    site = load_site(EXAMPLE / "site.toml")
    lines = []
    for drive in drives:
        signal = source_of(drive)
        node = next(node for node in site.nodes if node.name == drive.wire.node)
        channel = next(each for each in node.channels if each.name == drive.wire.channel)
        chip_tolerance = configured_ranges(node, channel)[drive.quantity][2]
        by_client = {
            "opcua": [seen for seen in opcua if seen.signal == signal],
            "mqtt": [seen for seen in mqtt if seen.signal == signal],
        }
        own_by_time = {time_ns: each for (name, time_ns), each in aligned.items() if name == signal}
        due = {
            "opcua": {each.time_ns for each in changes(aligned, signal)},
            "mqtt": set(own_by_time),
        }
        worst = 0.0
        for client, seen_values in by_client.items():
            told = set()
            for seen in seen_values:
                own_ns = min(own_by_time, key=lambda at_ns, at=seen.time_ns: abs(at_ns - at))
                own = own_by_time[own_ns]
                # The client got exactly the gateway's value, and its time to its own resolution.
                assert seen.value == own.value, (client, signal)
                assert abs(seen.time_ns - own_ns) <= CLIENT_TIME_NS
                told.add(own_ns)
                row_time_ns = own_ns - opened.trace.start_utc_ns - SAMPLES_MIDDLE_NS
                # A block has its own second; the middle of its samples is known to the bound.
                second_ns = round(row_time_ns / 1e9) * 1_000_000_000
                assert abs(row_time_ns - second_ns) <= own.bound_ns
                if not 0 <= second_ns < ROWS * 1_000_000_000:
                    continue
                # In a gap of the recording the row before it holds.
                row = int(drive.column.times_ns.searchsorted(second_ns, side="right")) - 1
                low, high = expected(drive, row)
                tolerance = chip_tolerance * abs(channel.gain) + FLOAT32 * abs(own.value)
                excess = max(low - own.value, own.value - high, 0.0)
                worst = max(worst, excess / tolerance)
                assert excess <= tolerance, (client, signal, row, own.value, low, high)
            missed = {at_ns for at_ns in due[client] if own_by_time[at_ns].status == GOOD} - told
            assert not missed, (client, signal, missed)
        lines.append(f"{signal:<22} {channel.part:<9} worst error {worst:4.2f} of the tolerance")
    with capsys.disabled():
        print(f"\n{trace} trace, {ROWS} rows, OPC UA and MQTT:\n" + "\n".join(lines))
