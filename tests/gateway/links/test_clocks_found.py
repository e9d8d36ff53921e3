"""From a real source to a finding: clocks of a PLC and stamps of a device, through all stages."""

import json
import random
from collections.abc import Callable

import pytest

from gateway.clock import NS_PER_MS, NS_PER_S, ManualClock
from gateway.links.mqtt_json import read_message
from gateway.links.mqtt_values import LINK
from gateway.loss import LossLedger
from gateway.records import Aligned, Polled
from gateway.records_time import SyncCause, SyncCheck
from gateway.site_mqtt import MqttValue
from gateway.stages.sync import Sync
from gateway.stages.verify import Verify
from tests.gateway.links.test_modbus import Plc, polling, serving, tag
from tests.gateway.plant import START_NS, free_port

STEP_NS = 5 * NS_PER_S
EPOCH_2000_NS = 946_684_800 * NS_PER_S


class Stages:
    """Verify and sync behind a link; findings are kept."""

    def __init__(self) -> None:
        self._verify = Verify({}, LossLedger())
        self._sync = Sync([], probe_period_ns=NS_PER_S, drift_ppm=100.0, bound_max_ns=NS_PER_S)
        self.found: list[SyncCheck] = []

    def feed(self, polled: Polled) -> list[Aligned]:
        values: list[Aligned] = []
        for verified in self._verify.feed(polled, polled.received_ns):
            values += self._sync.feed(verified, polled.received_ns)
        self.found += [each for each in self._sync.findings() if isinstance(each, SyncCheck)]
        return values

    def causes(self) -> list[SyncCause]:
        return [check.cause for check in self.found if check.is_active]


# --- a PLC with a clock --------------------------------------------------------------------------


async def polls(shown: Callable[[int], int], count: int = 120) -> tuple[Stages, list[Aligned]]:
    """Poll a PLC every second; `shown` is what its clock shows, by the true time."""
    stages, rng, values = Stages(), random.Random(7), []
    tags = (tag("a", 0), tag("time", 1, "uint64", role="clock", scale=0.001))
    clock = ManualClock(START_NS)
    async with serving(Plc(free_port())) as plc, polling(*tags, port=plc.port) as link:
        for second in range(1, count):
            asked_ns = START_NS + second * NS_PER_S
            read_ns = asked_ns + rng.randrange(1, 4) * NS_PER_MS
            milliseconds = shown(read_ns) // NS_PER_MS
            plc.holding[1:5] = [milliseconds >> shift & 0xFFFF for shift in (48, 32, 16, 0)]
            clock.advance_to(read_ns + rng.randrange(1, 4) * NS_PER_MS)
            result = await link.poll(asked_ns, clock)
            (value,) = stages.feed(result.polled)
            assert value.time_ns - value.bound_ns <= read_ns <= value.time_ns + value.bound_ns
            values.append(value)
    return stages, values


async def test_a_right_clock_of_a_plc_is_no_finding() -> None:
    stages, values = await polls(lambda true_ns: true_ns + 3 * NS_PER_S)
    assert stages.causes() == []
    assert {value.signal for value in values} == {"plc:a"}


async def test_a_plc_at_the_year_2000_is_found_and_its_values_keep_their_time() -> None:
    stages, values = await polls(lambda true_ns: EPOCH_2000_NS + true_ns - START_NS, 20)
    assert stages.causes() == [SyncCause.CLOCK_UNSET]
    assert all(abs(value.time_ns - START_NS) < 20 * NS_PER_S for value in values)


async def test_a_plc_whose_clock_steps_is_found_with_the_size() -> None:
    middle_ns = START_NS + 60 * NS_PER_S
    stages, _ = await polls(lambda true_ns: true_ns + (STEP_NS if true_ns > middle_ns else 0))
    (step,) = [check for check in stages.found if check.cause is SyncCause.STEP and check.is_active]
    assert abs(step.size) == pytest.approx(5.0, abs=0.1)
    assert set(stages.causes()) == {SyncCause.STEP}


async def test_a_plc_whose_clock_runs_beyond_its_class_is_found() -> None:
    stages, _ = await polls(lambda true_ns: true_ns + (true_ns - START_NS) // 500, 240)
    assert SyncCause.DRIFT_BEYOND_CLASS in stages.causes()


# --- a device that stamps its messages -----------------------------------------------------------


def messages(stamped: Callable[[int], int], count: int = 200) -> tuple[Stages, list[Aligned]]:
    """Hear a device every second; `stamped` is what it writes, by the true time."""
    stages, rng, values = Stages(), random.Random(7), []
    wanted = (MqttValue(name="w", topic="t", value="/v", unit="kg", stamp="/t", stamp_format="ns"),)
    for second in range(count):
        true_ns = START_NS + second * NS_PER_S
        received_ns = true_ns + 2 * NS_PER_MS + int(rng.expovariate(1 / 3e6))
        text = json.dumps({"v": second, "t": stamped(true_ns)})
        readings, reasons = read_message("scale", wanted, text.encode())
        assert reasons == ()
        polled = Polled(
            source="scale",
            link=LINK,
            readings=readings,
            requested_ns=received_ns - 2 * NS_PER_S,
            received_ns=received_ns,
        )
        for value in stages.feed(polled):
            assert value.time_ns - value.bound_ns <= true_ns <= value.time_ns + value.bound_ns
            values.append(value)
    return stages, values


def test_a_device_with_a_clock_that_is_merely_wrong_is_no_finding() -> None:
    stages, values = messages(lambda true_ns: true_ns - 3 * 3600 * NS_PER_S)
    assert stages.causes() == [], "of one way the offset cannot be known"
    assert len(values) == 200


def test_a_device_at_the_year_2000_is_found() -> None:
    stages, _ = messages(lambda true_ns: EPOCH_2000_NS + true_ns - START_NS, 20)
    assert stages.causes() == [SyncCause.CLOCK_UNSET]


def test_a_device_whose_stamps_lie_far_in_the_future_is_found() -> None:
    stages, values = messages(lambda true_ns: true_ns + 40 * 365 * 86_400 * NS_PER_S, 20)
    assert stages.causes() == [SyncCause.ABSURD_STAMP]
    assert all(value.time_ns < START_NS + 60 * NS_PER_S for value in values)


def test_a_device_whose_clock_jumps_ahead_is_found() -> None:
    middle_ns = START_NS + 100 * NS_PER_S
    stages, _ = messages(lambda true_ns: true_ns + (STEP_NS if true_ns > middle_ns else 0))
    assert set(stages.causes()) == {SyncCause.STEP}
