"""End to end over the stages: order of records, a ledger that adds up, the same bytes."""

import functools
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import status
from gateway.canonical import canonical
from gateway.loss import LossLedger
from gateway.models.calibration import calibrate
from gateway.models.fit import Asset, Settings, fit
from gateway.records import Aligned, Estimate, Polled, Reading, Rejected, State, Verdict, Verified
from gateway.stages.fuse import Fuse
from gateway.stages.judge import Judge
from gateway.stages.learning import Known
from gateway.stages.pipeline import Pipeline, Watches
from gateway.stages.silence import REPEATED, Silence
from gateway.stages.sync import UNPLACED_BOUND_NS, Sync
from gateway.stages.sync_options import SyncOptions
from gateway.stages.verify import Verify
from tests.gateway.models import healthy
from tests.gateway.stages.frames import NODE, ROOT_KEY, SECOND_NS, NodeSim, received

TRAINING = 200
SIGNALS = tuple(f"{NODE}:s{place}" for place in range(healthy.SIGNALS))


@functools.cache
def known(asset):
    """Return a model to go on with; learning live takes seconds, and is tested elsewhere."""
    rows = healthy.rows(TRAINING)
    names, settings = (asset.signals, asset.units), Settings(order=(2, 0))
    model = fit(rows, *names, period_ns=SECOND_NS, asset=asset.name, settings=settings)
    return Known(replace(model, calibration=calibrate(model, rows)), "0123", 999 * SECOND_NS)


def pipeline(silence=None):
    """Return a pipeline with one node and one asset."""
    ledger = LossLedger()
    sync = Sync([NODE], probe_period_ns=SECOND_NS, drift_ppm=50, bound_max_ns=SECOND_NS)
    asset = Asset("pump", SIGNALS, ("V",) * healthy.SIGNALS, SECOND_NS)
    fuse = Fuse(asset, TRAINING, known=known(asset))
    watches = None if silence is None else Watches(silence=silence)
    return Pipeline(
        Verify({NODE: ROOT_KEY}, ledger), sync, [(fuse, Judge("pump"))], ledger, watches
    )


def frames(rows):
    """Return one sealed frame per row, a second apart."""
    node = NodeSim()
    return [
        node.frame(
            second,
            [(f"s{place}", "V", float(value), 0.0) for place, value in enumerate(row)],
            tick_us=second * 1_000_000,
        )
        for second, row in enumerate(rows)
    ]


def run(line, sealed):
    """Feed frames a second apart; return all records."""
    made = []
    for second, data in enumerate(sealed):
        now_ns = (1000 + second) * SECOND_NS
        made += line.feed(received(data, received_ns=now_ns), now_ns)
    return made


@pytest.fixture(scope="module")
def faulty():
    """Sealed frames: healthy, then one signal far off."""
    rows = healthy.rows(300)
    rows[250:, 1] += 6 * healthy.SCALE[1]
    return frames(rows)


def test_a_record_comes_before_those_made_from_it(faulty):
    made = pipeline().feed(received(faulty[0]), 0)
    assert [type(record) for record in made] == [Verified] + [Aligned] * healthy.SIGNALS


def test_a_fault_in_the_frames_becomes_a_verdict_that_blames_it(faulty):
    verdicts = [record for record in run(pipeline(), faulty) if isinstance(record, Verdict)]
    assert [verdict.state for verdict in verdicts] == [State.NORMAL, State.ALARM]
    assert verdicts[1].blamed[0].signal == SIGNALS[1]
    assert (1250 - 2) * SECOND_NS <= verdicts[1].since_ns <= 1260 * SECOND_NS


def test_cutting_the_faulty_sensor_off_does_not_end_its_alarm():
    rows = healthy.rows(360)
    rows[250:, 1] += 6 * healthy.SCALE[1]
    sealed = frames(rows[:290])
    node = NodeSim()
    for second, row in enumerate(rows[290:], 290):
        readings = [(f"s{place}", "V", float(row[place]), 0.0) for place in (0, 2, 3, 4)]
        sealed.append(node.frame(second, readings, tick_us=second * 1_000_000))
    made = run(pipeline(), sealed)
    verdicts = [record for record in made if isinstance(record, Verdict)]
    last = [record for record in made if isinstance(record, Estimate)][-1]
    assert [verdict.state for verdict in verdicts] == [State.NORMAL, State.ALARM]
    assert last.anomaly_probability < 0.2


def test_the_same_frames_give_the_same_bytes(faulty):
    def digest():
        made = run(pipeline(), faulty)
        return hashlib.sha256(b"\n".join(canonical(record) for record in made)).hexdigest()

    assert digest() == digest()


def test_a_rejected_frame_goes_no_further_and_the_next_one_does(faulty):
    line = pipeline()
    assert [type(record) for record in line.feed(received(faulty[0][:-1]), 0)] == [Rejected]
    assert isinstance(line.feed(received(faulty[0]), 0)[0], Verified)
    balance = line.ledger.balance(NODE)
    assert (balance.received, balance.verified, balance.delivered) == (2, 1, 1)


def test_a_poll_goes_through_beside_the_frames():
    reading = Reading(signal="plc:valve", unit="/", value=0.5, tick_us=None)
    poll = Polled(source="plc", link="modbus", readings=(reading,), requested_ns=1, received_ns=2)
    line = pipeline()
    assert [type(record) for record in line.feed(poll, 2)] == [Verified, Aligned]
    assert line.ledger.adds_up()


def storing_pipeline(hold_s):
    """Return a pipeline whose node keeps frames for a receipt, and whose clock nobody knows yet."""
    ledger = LossLedger()
    options = SyncOptions(hold_ns=hold_s * SECOND_NS)
    sync = Sync(
        [NODE],
        probe_period_ns=SECOND_NS,
        drift_ppm=50,
        bound_max_ns=SECOND_NS,
        storing=[NODE],
        options=options,
    )
    return Pipeline(Verify({NODE: ROOT_KEY}, ledger, storing=[NODE]), sync, [], ledger)


def test_a_stored_frame_is_published_when_the_clock_of_its_boot_is_known():
    line, node, now_ns = storing_pipeline(5), NodeSim(), 1000 * SECOND_NS
    stored = node.frame(0, [("x", "V", 1.0, 0.0)], tick_us=5_000_000)
    assert line.feed(received(stored, received_ns=now_ns), now_ns) == []
    assert line.ledger.balance(NODE).delivered == 0, "no receipt follows from it"
    (probe,) = line.sync.due_probes(now_ns)
    line.sync.probe_sent(NODE, probe.probe_id, now_ns)
    later_ns = now_ns + SECOND_NS // 100
    answer = node.answer(1, probe.probe_id, 100_000_000, 100_002_000)
    made = line.feed(received(answer, received_ns=later_ns), later_ns)
    frame, value = [record for record in made if isinstance(record, Verified | Aligned)][1:]
    assert (frame.sequence, value.signal) == (0, f"{NODE}:x")
    truth_ns = now_ns - 95 * SECOND_NS
    assert abs(value.time_ns - truth_ns) <= value.bound_ns < SECOND_NS // 10
    assert line.ledger.balance(NODE).delivered == 2


def test_a_stored_frame_waits_no_longer_than_it_may():
    line, node, now_ns = storing_pipeline(5), NodeSim(), 1000 * SECOND_NS
    stored = node.frame(0, [("x", "V", 1.0, 0.0)], tick_us=5_000_000)
    assert line.feed(received(stored, received_ns=now_ns), now_ns) == []
    assert line.tick(now_ns + 4 * SECOND_NS) == []
    frame, value = line.tick(now_ns + 5 * SECOND_NS)
    assert isinstance(frame, Verified)
    assert value.bound_ns >= UNPLACED_BOUND_NS
    assert not status.is_good(value.status)


def test_tick_closes_thin_rows(faulty):
    line = pipeline()
    run(line, faulty[:220])
    node = NodeSim()
    thin = node.frame(220, [("s0", "V", 10.0, 0.0)], tick_us=220_000_000)
    line.feed(received(thin, received_ns=1220 * SECOND_NS), 1220 * SECOND_NS)
    made = line.tick(1225 * SECOND_NS)
    assert [type(record) for record in made] == [Estimate]


def test_what_falls_silent_is_repeated_for_the_sinks_and_judged_no_more(faulty):
    periods_ns = dict.fromkeys((*SIGNALS, "pump"), SECOND_NS)
    line = pipeline(Silence(periods_ns, 5))
    made = run(line, faulty)
    repeats = line.tick(2000 * SECOND_NS)
    assert [type(record) for record in repeats] == [Aligned] * healthy.SIGNALS + [Estimate]
    assert {record.status for record in repeats} == {REPEATED}
    (last,) = [record for record in made if isinstance(record, Estimate)][-1:]
    assert repeats[-1].time_ns == last.time_ns
    assert line.tick(3000 * SECOND_NS) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(("send", "lose", "twice", "later", "spoil")), st.integers(0, 90)),
        max_size=60,
    )
)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_the_ledger_adds_up_under_loss_duplication_reorder_and_damage(fates):
    """Compare every counter with what was really done to the frames."""
    line = pipeline()
    node = NodeSim()
    queue = []
    damaged = 0
    for sequence, (fate, delay) in enumerate(fates):
        data = node.frame(sequence)
        due = sequence + (delay if fate == "later" else 0)
        if fate == "spoil":
            data = data[:-1] + bytes((data[-1] ^ 1,))
            damaged += 1
        queue += [(due, sequence, data)] * {"lose": 0, "twice": 2}.get(fate, 1)
    queue.sort(key=lambda entry: entry[0])
    seen = set()
    for due, sequence, data in queue:
        made = line.feed(received(data), due)
        if isinstance(made[0], Verified):
            seen.add(sequence)
    balance = line.ledger.balance(NODE)
    assert line.ledger.adds_up()
    assert balance.received == len(queue)
    assert balance.rejected.get("bad_mac", 0) == damaged
    assert balance.verified == balance.delivered == balance.numbered == len(seen)
    assert balance.announced == len(seen) + balance.lost
    if seen:
        first = min(sequence for _, sequence, _ in queue if sequence in seen)
        assert balance.lost <= max(seen) - first + 1 - len(seen)
