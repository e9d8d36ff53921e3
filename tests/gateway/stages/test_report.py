"""What a node says about itself is told in words and facts, and never becomes a value."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical import canonical
from gateway.loss import LossLedger
from gateway.models.fit import Asset
from gateway.records import Aligned, Rejected, Report, ReportKind, Verified
from gateway.records_time import SyncCheck
from gateway.stages.fuse import Fuse
from gateway.stages.judge import Judge
from gateway.stages.payloads import CHECKPOINT_BYTES_MAX
from gateway.stages.pipeline import Pipeline
from gateway.stages.sync import Sync
from gateway.stages.verify import Verify
from tests.gateway.stages.frames import NODE, ROOT_KEY, SECOND_NS, NodeSim, received
from wire import commands, content, measurement, messages, raw_block, status

SHA = bytes(range(32))
BLOCK = raw_block.RawBlock(7, 100, 500, 250_000, 0.001, 3, raw_block.INT16, bytes(60))


def pipeline(storing=()):
    """Return the stages for one node."""
    ledger = LossLedger()
    sync = Sync(
        [NODE],
        probe_period_ns=SECOND_NS,
        drift_ppm=50,
        bound_max_ns=SECOND_NS,
        storing=storing,
    )
    fuse = Fuse(Asset("pump", (f"{NODE}:x",), ("V",), SECOND_NS), 200)
    return Pipeline(Verify({NODE: ROOT_KEY}, ledger), sync, [(fuse, Judge("pump"))], ledger)


def told(content_type, payload):
    """Feed one frame; return the report it leads to, which is all it leads to."""
    data = NodeSim().seal(4, payload, content_type)
    checked, report = pipeline().feed(received(data), 10 * SECOND_NS)
    assert isinstance(checked, Verified)
    assert isinstance(report, Report)
    assert (report.source, report.boot_id, report.sequence) == (NODE, 3, 4)
    assert (report.time_ns, report.is_time_known) == (10 * SECOND_NS, False)
    return report


def test_a_boot_record():
    fields = {"firmware": "0.2", "boot_reason": "watchdog", "files_sha256": SHA, "key_epoch": 2}
    report = told(content.BOOT_RECORD, messages.encode_boot(fields))
    assert report.kind is ReportKind.BOOT
    assert report.text == "started: boot_reason watchdog, firmware 0.2"
    assert report.fact("files_sha256") == SHA.hex()
    assert report.fact("key_epoch") == 2
    assert report.fact("nothing") is None
    assert report.problems == ()
    assert told(content.BOOT_RECORD, messages.encode_boot({})).text == "started: no details"


def test_a_status_record_without_and_with_problems():
    good = told(content.STATUS_RECORD, status.encode_status({"overruns": 3, "spool_frames": 9}))
    assert (good.kind, good.text, good.problems) == (ReportKind.STATUS, "ok", ())
    assert (good.fact("overruns"), good.fact("spool_frames")) == (3, 9)
    fields = {"problems": ["tmp117 is silent", "flash is full"], "update_state": "trial"}
    bad = told(content.STATUS_RECORD, status.encode_status(fields))
    assert bad.text == "2 problems: tmp117 is silent; flash is full"
    assert bad.problems == ("tmp117 is silent", "flash is full")
    assert bad.facts == (("update_state", "trial"),)
    one = told(content.STATUS_RECORD, status.encode_status({"problems": ["x"]}))
    assert one.text == "1 problem: x"


def test_a_loss_record_of_frames_is_a_problem_one_of_unused_numbers_is_not():
    loss = told(content.LOSS_RECORD, messages.encode_loss(10, 90, 70, messages.SPOOL_FULL))
    assert loss.text == "70 frames lost of numbers 10 to 90: spool_full"
    assert loss.problems == (loss.text,)
    assert dict(loss.facts) == {"first": 10, "last": 90, "frames": 70, "reason": "spool_full"}
    unused = told(content.LOSS_RECORD, messages.encode_loss(10, 90, 0, messages.POWER_CUT))
    assert unused.problems == ()


def test_a_measurement_names_its_files():
    payload = measurement.encode_measurement(1, 3, [("wire/cose.mpy", SHA)])
    report = told(content.MEASUREMENT, payload)
    assert report.text == "part 2 of 3: 1 files"
    assert report.fact("wire/cose.mpy") == SHA.hex()


def test_a_checkpoint_is_noted():
    report = told(content.CHECKPOINT, b"\xd2\x84" + bytes(98))
    assert (report.kind, report.facts) == (ReportKind.CHECKPOINT, (("bytes", 100),))


def test_a_command_answer():
    payload = commands.encode_command_answer(9, commands.OUT_OF_ORDER, "late", 12)
    report = told(content.COMMAND_ANSWER, payload)
    assert report.text == "command 9 out_of_order: late"
    assert dict(report.facts) == {
        "command_id": 9, "result": "out_of_order", "detail": "late", "last_id": 12,
    }  # fmt: skip


def test_a_raw_block():
    payload = raw_block.encode_raw_block(f"{NODE}:", "vibration", "m/s2", -0.5, BLOCK)
    report = told(content.RAW_BLOCK, payload)
    assert report.text == f"{NODE}:vibration samples 100 to 109 of 500"
    assert report.fact("period_ns") == 250_000


def test_readings_and_answers_are_no_reports():
    line, node = pipeline(), NodeSim()
    records = line.feed(received(node.frame(1, [("x", "V", 1.0, 0.0)])), 0)
    assert [type(record) for record in records] == [Verified, Aligned]
    records = line.feed(received(node.answer(2, 1, 10, 20)), 0)
    assert [type(record) for record in records] == [Verified, SyncCheck], "nobody had asked"


def test_a_value_that_nobody_can_place_meets_no_model():
    """It may be of last year; beside the values of now it would look as one of them."""
    for storing, rows in (((), 1), ([NODE], 0)):
        line, node = pipeline(storing), NodeSim()
        for second in range(6):
            data = node.frame(second, [("x", "V", 1.0, 0.0)], tick_us=second * 1_000_000)
            now_ns = (100 + second) * SECOND_NS
            values = line.feed(received(data, received_ns=now_ns), now_ns)
            assert any(isinstance(record, Aligned) for record in values)
        ((fuse, _),) = line.assets
        assert bool(fuse._rows._now_ns) is bool(rows)


TYPES = st.sampled_from(
    [
        content.BOOT_RECORD, content.STATUS_RECORD, content.LOSS_RECORD, content.MEASUREMENT,
        content.CHECKPOINT, content.COMMAND_ANSWER, content.RAW_BLOCK,
    ]
)  # fmt: skip


@given(TYPES, st.binary(max_size=120) | st.binary(min_size=CHECKPOINT_BYTES_MAX, max_size=1900))
@settings(derandomize=True, deadline=None, max_examples=400)
def test_authentic_garbage_is_refused_or_told_and_never_raises(content_type, payload):
    data = NodeSim().seal(4, payload, content_type)
    checked, *reports = pipeline().feed(received(data), 10 * SECOND_NS)
    assert isinstance(checked, Rejected) == (not reports)
    for report in reports:
        assert canonical(report)


@pytest.mark.parametrize("problem", ["a\nb", "x" * 96, "\N{DEGREE SIGN}", ""])
def test_words_of_a_node_stay_what_they_are(problem):
    report = told(content.STATUS_RECORD, status.encode_status({"problems": [problem]}))
    assert report.problems == (problem,)
