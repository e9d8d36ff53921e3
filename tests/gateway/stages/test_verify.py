"""Only a true, new frame of the right node passes; every other is counted by its reason."""

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.loss import LossLedger
from gateway.records import Polled, Provenance, Reading, Rejected, Verified
from gateway.stages.payloads import TICK_US_MAX
from gateway.stages.verify import REASONS, Verify, mac_structure
from tests.gateway.stages.frames import (
    NODE,
    OTHER_ROOT_KEY,
    READINGS,
    ROOT_KEY,
    NodeSim,
    received,
)
from wire import (
    commands,
    content,
    cose,
    keys,
    measurement,
    messages,
    raw_block,
    senml,
    status,
)
from wire.cbor import encode
from wire.errors import CoseError
from wire.mac import HmacSha256


@pytest.fixture
def ledger():
    return LossLedger()


@pytest.fixture
def verify(ledger):
    return Verify({NODE: ROOT_KEY, "pump-b": OTHER_ROOT_KEY}, ledger)


@pytest.fixture
def node():
    return NodeSim()


def reason_of(verify, item):
    """Feed one item; return its reason, or None if it was verified."""
    (record,) = verify.feed(item, 0)
    return record.reason if isinstance(record, Rejected) else None


def test_a_true_frame_becomes_resolved_readings_with_node_times(verify, node, ledger):
    (record,) = verify.feed(received(node.frame(7)), 0)
    assert isinstance(record, Verified)
    assert (record.source, record.boot_id, record.sequence, record.tick_us) == (NODE, 3, 7, 5000000)
    assert record.provenance is Provenance.SEALED
    assert [reading.signal for reading in record.readings] == [f"{NODE}:{r[0]}" for r in READINGS]
    assert [reading.value for reading in record.readings] == [r[2] for r in READINGS]
    assert {reading.tick_us for reading in record.readings} == {4_500_000}
    assert ledger.balance(NODE).verified == ledger.balance(NODE).numbered == 1


def test_a_frame_for_a_node_without_key_is_unknown(verify):
    assert reason_of(verify, received(NodeSim("pump-x").frame(1), "pump-x")) == "unknown_kid"


def test_a_frame_under_a_foreign_key_has_a_bad_mac(verify):
    assert reason_of(verify, received(NodeSim(root_key=OTHER_ROOT_KEY).frame(1))) == "bad_mac"


def test_the_downlink_key_does_not_open_the_uplink(verify):
    sealer = cose.Sealer(NODE.encode(), HmacSha256(keys.downlink_key(ROOT_KEY, NODE.encode())))
    data = sealer.seal(content.SENML_CBOR, 1, 1, 5_000_000, senml.pack(f"{NODE}:", READINGS))
    assert reason_of(verify, received(data)) == "bad_mac"


def test_a_true_frame_on_the_link_of_another_node_is_foreign_and_stays_usable(verify):
    """Else an attacker on one link could burn the numbers of another node."""
    data = NodeSim("pump-b", OTHER_ROOT_KEY).frame(1)
    assert reason_of(verify, received(data, NODE)) == "foreign_source"
    assert reason_of(verify, received(data, "pump-b")) is None


@pytest.mark.parametrize("base", ["pump-b:", "pump-a", "pump-ax:", "", "PUMP-A:", "xpump-a:"])
def test_a_name_not_under_the_node_is_foreign(verify, node, base, ledger):
    assert reason_of(verify, received(node.frame(1, base=base))) == "foreign_source"
    assert ledger.balance(NODE).refused == 1
    assert ledger.adds_up()


def test_a_name_that_is_only_the_prefix_is_foreign(verify, node):
    data = node.frame(1, readings=[("", "V", 1.0, 0.0)])
    assert reason_of(verify, received(data)) == "foreign_source"


@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"\x80", b"\xff", b"\x81\xa1\x00", b"\x81\xa1\x02\xf9\x00\x00"]
)
def test_an_authentic_payload_that_is_no_pack_is_malformed_and_its_number_spent(
    verify, node, ledger, payload
):
    data = node.seal(1, payload)
    assert reason_of(verify, received(data)) == "malformed"
    assert reason_of(verify, received(data)) == "replayed"
    assert ledger.balance(NODE).refused == 1
    assert ledger.adds_up()


def test_a_time_in_the_future_or_before_boot_is_malformed(verify, node):
    absolute = b"\x81\xa3\x00\x68pump-a:x\x02\xf9\x3c\x00\x06\x01"
    assert reason_of(verify, received(node.seal(1, absolute))) == "malformed"
    early = node.frame(2, readings=[("x", "V", 1.0, -6.0)])
    assert reason_of(verify, received(early)) == "malformed"


def test_text_and_flags_are_legal_but_no_readings(verify, node):
    pack = b"\x82\xa2\x00\x68pump-a:s\x03\x62on\xa2\x00\x68pump-a:v\x02\x05"
    (record,) = verify.feed(received(node.seal(1, pack)), 0)
    assert [(r.signal, r.value) for r in record.readings] == [("pump-a:v", 5)]
    assert record.payload == pack


def test_known_messages_pass_and_an_unknown_content_type_does_not(verify, node):
    boot = node.seal(1, messages.encode_boot({}), content.BOOT_RECORD)
    assert reason_of(verify, received(boot)) is None
    assert reason_of(verify, received(node.answer(2, 1, 10, 20))) is None
    assert reason_of(verify, received(node.seal(3, b"\x05", content.TIME_ANSWER))) == "malformed"
    for sequence, content_type in enumerate(content.DOWN, 40):
        downward = node.seal(sequence, b"\xa0", content_type)
        assert reason_of(verify, received(downward)) == "malformed", content_type
    assert reason_of(verify, received(node.seal(5, b"\xa0", 9))) == "malformed"


BLOCK = raw_block.RawBlock(7, 0, 4, 250_000, 0.001, 1, raw_block.INT16, bytes(8))
MESSAGES = [
    (content.STATUS_RECORD, status.encode_status({"problems": ["tmp117 is silent"]})),
    (content.LOSS_RECORD, messages.encode_loss(1, 2, 2, 1)),
    (content.COMMAND_ANSWER, commands.encode_command_answer(1, commands.DONE)),
    (content.MEASUREMENT, measurement.encode_measurement(0, 1, [("a.py", bytes(32))])),
    (content.RAW_BLOCK, raw_block.encode_raw_block(f"{NODE}:", "vibration", "m/s2", -0.5, BLOCK)),
    (content.CHECKPOINT, b"\xd2\x84" + bytes(100)),
]


@pytest.mark.parametrize(("content_type", "payload"), MESSAGES)
def test_what_a_node_says_about_itself_passes_and_holds_no_value(
    verify, node, ledger, content_type, payload
):
    (record,) = verify.feed(received(node.seal(1, payload, content_type)), 0)
    assert isinstance(record, Verified)
    assert record.readings == ()
    assert (record.content_type, record.payload) == (content_type, payload)
    assert ledger.adds_up()


@pytest.mark.parametrize("content_type", [content_type for content_type, _ in MESSAGES])
@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x80", b"\xa1\x00\x20", bytes(1900)])
def test_what_is_no_message_of_its_type_is_malformed(verify, node, ledger, content_type, payload):
    assert reason_of(verify, received(node.seal(1, payload, content_type))) == "malformed"
    assert ledger.balance(NODE).refused == 1
    assert ledger.adds_up()


def test_raw_samples_under_a_foreign_name_are_foreign(verify, node):
    payload = raw_block.encode_raw_block("pump-b:", "vibration", "m/s2", -0.5, BLOCK)
    data = node.seal(1, payload, content.RAW_BLOCK)
    assert reason_of(verify, received(data)) == "foreign_source"


def test_a_forged_frame_moves_no_window(verify, node):
    """A forgery with a huge number or boot id must not make true frames look old."""
    forged = bytearray(NodeSim(boot_id=900).frame(1 << 39))
    forged[-1] ^= 1
    assert reason_of(verify, received(bytes(forged))) == "bad_mac"
    assert reason_of(verify, received(node.frame(1))) is None


def test_replay_is_recognised_over_a_restart_with_marks(verify, node):
    data = [node.frame(sequence) for sequence in range(5)]
    for frame in data[:4]:
        verify.feed(received(frame), 0)
    ledger = LossLedger()
    later = Verify({NODE: ROOT_KEY}, ledger, verify.marks())
    assert [reason_of(later, received(frame)) for frame in data] == ["replayed"] * 4 + [None]
    assert ledger.adds_up()


def polled(source="plc", signal="plc:flow"):
    """Return one poll."""
    reading = Reading(signal=signal, unit="m3/s", value=1.0, tick_us=None)
    return Polled(source=source, link="modbus", readings=(reading,), requested_ns=1, received_ns=3)


def test_a_poll_passes_as_unauthenticated(verify, ledger):
    (record,) = verify.feed(polled(), 0)
    assert record.provenance is Provenance.UNAUTHENTICATED
    assert (record.boot_id, record.tick_us, record.requested_ns) == (None, None, 1)
    assert ledger.balance("plc").verified == 1
    assert ledger.adds_up()


def test_a_poll_cannot_speak_for_a_node_that_seals(verify):
    assert reason_of(verify, polled(NODE, f"{NODE}:vibration-1")) == "foreign_source"
    assert reason_of(verify, polled("plc", f"{NODE}:vibration-1")) == "foreign_source"


@given(st.binary(max_size=2100))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_garbage_is_rejected_and_never_raises(data):
    ledger = LossLedger()
    assert reason_of(Verify({NODE: ROOT_KEY}, ledger), received(data)) in REASONS
    assert ledger.adds_up()


@given(st.binary(max_size=300), st.integers(0, 65535), st.integers(0, 2**40 - 1))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_authentic_garbage_never_raises(payload, content_type, sequence):
    """A node that was taken over has the key; its payloads are still only parsed."""
    ledger = LossLedger()
    verify = Verify({NODE: ROOT_KEY}, ledger)
    data = NodeSim().seal(sequence, payload, content_type)
    assert reason_of(verify, received(data)) in {None, "malformed", "foreign_source"}
    assert ledger.adds_up()


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.none() | st.binary(min_size=32, max_size=32),
)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_the_fast_mac_agrees_with_the_wire_reference(key, protected, payload, tag):
    if tag is None:
        structure = [HmacSha256(key), protected, payload]
        tag = _reference_tag(*structure)
    header = cose.Header(5, 112, b"k", 0, 0, 0)
    try:
        cose.verify((header, protected, payload, tag), HmacSha256(key))
        is_right = True
    except CoseError:
        is_right = False
    found = hmac.digest(key, mac_structure(protected, payload), "sha256")
    assert hmac.compare_digest(found, tag) is is_right


def _reference_tag(mac, protected, payload):
    """Return the tag over a MAC_structure written by the general CBOR encoder."""
    return mac.digest(encode(["MAC0", protected, b"", payload]))


@pytest.mark.parametrize("time_s", [-1e303, -1.8e13, -9.1e9])
@pytest.mark.parametrize("tick_us", [5_000_000, 1 << 53, (1 << 64) - 1])
def test_a_time_no_node_can_mean_is_malformed_and_never_raises(
    verify, node, ledger, time_s, tick_us
):
    """Scaled to microseconds, -1e303 s is infinite."""
    pack = encode([{0: f"{NODE}:temperature", 1: "Cel", 2: 20.0, 6: time_s}])
    assert reason_of(verify, received(node.seal(1, pack, tick_us=tick_us))) == "malformed"
    assert ledger.balance(NODE).refused == 1
    assert ledger.adds_up()


@pytest.mark.parametrize("content_type", [content.SENML_CBOR, content.BOOT_RECORD])
def test_a_tick_later_than_any_node_lives_is_malformed(verify, node, content_type):
    payload = messages.encode_boot({})
    if content_type == content.SENML_CBOR:
        payload = senml.pack(f"{NODE}:", READINGS)
    ticks = {1: None, 2: "malformed", 3: "malformed"}
    for sequence, tick_us in enumerate((TICK_US_MAX, TICK_US_MAX + 1, (1 << 64) - 1), 1):
        data = node.seal(sequence, payload, content_type, tick_us)
        assert reason_of(verify, received(data)) == ticks[sequence]


@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(1 << 64), (1 << 64) - 1),
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(1 << 64), (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_any_times_give_a_believable_node_time_or_a_refusal(base_s, time_s, tick_us):
    ledger = LossLedger()
    pack = encode([{-3: base_s, 0: f"{NODE}:x", 2: 1.0, 6: time_s}])
    (record,) = Verify({NODE: ROOT_KEY}, ledger).feed(
        received(NodeSim().seal(1, pack, tick_us=tick_us)), 0
    )
    assert ledger.adds_up()
    if isinstance(record, Verified):
        assert all(0 <= reading.tick_us <= tick_us <= TICK_US_MAX for reading in record.readings)
    else:
        assert record.reason == "malformed"


UNITS = {f"{NODE}:{name}": unit for name, unit, _, _ in READINGS} | {"plc:flow": "m3/s"}


@pytest.fixture
def strict(ledger):
    return Verify({NODE: ROOT_KEY}, ledger, units=UNITS)


def test_configured_channels_in_their_units_pass(strict, node, ledger):
    assert reason_of(strict, received(node.frame(1))) is None
    assert reason_of(strict, received(node.frame(2, READINGS[2:3]))) is None
    assert reason_of(strict, polled()) is None
    assert ledger.adds_up()


@pytest.mark.parametrize("unit", ["K", "", "cel", "Cel "])
def test_a_value_in_another_unit_than_the_sites_is_refused(strict, node, ledger, unit):
    frame = node.frame(1, [*READINGS[:2], ("temperature", unit, 293.15, -0.5)])
    assert reason_of(strict, received(frame)) == "wrong_unit"
    assert (ledger.balance(NODE).refused, ledger.balance(NODE).verified) == (1, 0)
    assert ledger.adds_up()


def test_a_channel_the_site_does_not_have_is_refused(strict, node, ledger):
    assert reason_of(strict, received(node.frame(1, [("x", "Cel", 1.0, 0.0)]))) == "unknown_channel"
    assert reason_of(strict, polled(signal="plc:level")) == "unknown_channel"
    assert ledger.adds_up()


def test_a_foreign_name_is_foreign_before_it_is_unknown(strict, node):
    assert reason_of(strict, received(node.frame(1, base="pump-b:"))) == "foreign_source"


def test_without_a_site_channels_and_units_are_not_checked(verify, node):
    assert reason_of(verify, received(node.frame(1, [("x", "K", 1.0, 0.0)]))) is None
