"""A small site, records and a way to run things meanwhile, for the gateway's tests."""

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from gateway import records, status
from gateway.records import (
    Aligned,
    Blame,
    Cause,
    Estimate,
    Provenance,
    Report,
    ReportKind,
    SignalEstimate,
    State,
    Verdict,
    Verified,
)
from gateway.site import Site, load_site
from wire import content

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000

SITE = """
[site]
name = "skid"
asset = "pump"

[time]
hold_s = 0    # most nodes of these tests answer no probe

[[nodes]]
name = "a"
link = "rig"
key_file = "a.key"

[[nodes.channels]]
name = "flow"
quantity = "flow_m3_s"
unit = "m3/s"
part = "ads1115"
address = 0x48
reading = "voltage_volt"
argument = 1
valid = [0.0, 0.0025]

[[nodes.channels]]
name = "temperature"
quantity = "temperature_celsius"
unit = "Cel"
part = "tmp117"
address = 0x48
reading = "temperature_celsius"

[[modbus]]
name = "plc"
host = "127.0.0.1"

[[modbus.tags]]
name = "setpoint"
address = 0
type = "float32"
unit = "m3/s"

[opcua]
port = 0
allow_unencrypted_loopback = true

[sparkplug]
group_id = "g"
edge_node_id = "e"

[store]
"""


CAUSES = (
    Cause(cause="bias", signal="a:flow", probability=0.875, words="10 sigma below the others"),
    Cause(cause="process_change", signal=None, probability=0.125, words="all have moved"),
)


def free_port() -> int:
    """Return a loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def background(*coroutines: Coroutine) -> AsyncIterator[None]:
    """Run coroutines meanwhile and cancel them at the end; an error of one fails the test."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        yield
        for task in tasks:
            task.cancel()


def make_site(folder: Path, text: str = SITE) -> Site:
    """Write a site file into `folder` and load it."""
    path = folder / "site.toml"
    path.write_text(text)
    return load_site(path)


def aligned(signal: str = "a:flow", value: float = 0.001, second: int = 0, **changes) -> Aligned:
    """Return a good sealed value `second` seconds after the start."""
    facts = {
        "signal": signal,
        "unit": "m3/s",
        "value": value,
        "time_ns": START_NS + second * SECOND_NS,
        "bound_ns": 1_500_000,
        "uncertainty_ns": 900_000,
        "status": status.GOOD,
        "provenance": Provenance.SEALED,
        "source": signal.partition(":")[0],
        "sequence": second,
    }
    return Aligned(**(facts | changes))


def verdict(state: State = State.ALARM, second: int = 0) -> Verdict:
    """Return a verdict that blames the flow."""
    return Verdict(
        asset="pump",
        time_ns=START_NS + second * SECOND_NS,
        state=state,
        probability=0.99,
        since_ns=START_NS,
        blamed=(Blame(signal="a:flow", share=0.75), Blame(signal="a:temperature", share=0.25)),
        evidence="flow 0.0010 m3/s, expected 0.0020 +- 0.0001",
        sequence=1,
        causes=CAUSES if state is State.ALARM else (),
    )


def estimate(second: int = 0) -> Estimate:
    """Return a trained estimate of one signal."""
    value = SignalEstimate(
        signal="a:flow",
        value=0.001,
        expected=0.002,
        standard_deviation=0.0001,
        fused=0.0019,
        fused_deviation=0.00005,
        interval=(0.0018, 0.002),
        contribution=12.5,
        trust=0.125,
        status=status.GOOD,
        fused_status=status.UNCERTAIN_SUBSTITUTE_VALUE,
    )
    return Estimate(
        asset="pump",
        time_ns=START_NS + second * SECOND_NS,
        values=(value,),
        log_density=-50.0,
        score=12.5,
        anomaly_probability=0.97,
        is_trained=True,
        status=status.GOOD,
        kind="level",
        scale_rows=20,
        regime=0,
        model_id="00c0ffee",
        causes=CAUSES,
    )


def verified(number: int = 0, **changes) -> Verified:
    """Return a sealed frame of the data lane with recognisable bytes."""
    facts = {
        "source": "a",
        "link": "test",
        "boot_id": 1,
        "sequence": number,
        "tick_us": number,
        "content_type": content.SENML_CBOR,
        "frame": number.to_bytes(4, "big"),
        "payload": b"",
        "readings": (),
        "requested_ns": None,
        "received_ns": START_NS + number,
        "provenance": Provenance.SEALED,
    }
    return Verified(**(facts | changes), token=records._VERIFY_TOKEN)


def report(kind: ReportKind = ReportKind.STATUS, second: int = 0, **changes) -> Report:
    """Return what a node says about itself: all is well, unless told otherwise."""
    facts = {
        "source": "a",
        "kind": kind,
        "time_ns": START_NS + second * SECOND_NS,
        "bound_ns": 1_000_000,
        "is_time_known": True,
        "boot_id": 3,
        "sequence": second,
        "text": "ok",
        "problems": (),
        "facts": (("overruns", 2), ("spool_frames", 7)),
    }
    return Report(**(facts | changes))
