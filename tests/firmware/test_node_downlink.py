"""What the gateway says, and what the node makes of it: probes, receipts, commands, new keys."""

import itertools

import pytest

from firmware.app import bring_up
from firmware.counters import COMMAND_BLOCK
from tests.firmware.fake_hal import ResetError
from tests.firmware.node_run import (
    KID,
    PERIOD_US,
    ROOT_KEY,
    Gateway,
    Sent,
    configuration,
    make_hal,
    of_type,
    readings,
    run,
    sent_frames,
)
from wire import commands, content
from wire.cose import Sealer
from wire.framing import frame
from wire.keys import rotated_root, uplink_key
from wire.mac import HmacSha256
from wire.messages import decode_answer, encode_probe, encode_receipt
from wire.senml import unpack
from wire.status import decode_status

OUTPUTS = [{"name": "relay", "pin": 7, "safe": 0, "hold_ms_max": 2000}]


def command(command_id: int, verb: int, arguments: dict[int, object] | None = None) -> bytes:
    return commands.encode_command(command_id, verb, arguments or {})


def answers(frames: list[Sent]) -> list[commands.CommandAnswer]:
    found = of_type(frames, content.COMMAND_ANSWER)
    return [commands.decode_command_answer(sent.payload) for sent in found]


def test_a_sealed_probe_is_answered_with_its_time_of_arrival() -> None:
    hal = make_hal()
    Gateway().send(hal, 1_234_567, content.TIME_PROBE, encode_probe(77))
    (sent,) = of_type(run(hal, 4_000_000), content.TIME_ANSWER)
    assert decode_answer(sent.payload) == (77, 1_234_567)
    assert sent.header.tick_us == sent.at_us


@pytest.mark.parametrize("attack", ["repeated", "flipped", "foreign key", "uplink key", "noise"])
def test_what_is_not_a_fresh_sealed_command_has_no_effect(attack: str) -> None:
    hal = make_hal()
    genuine = Gateway().seal(content.TIME_PROBE, encode_probe(1))
    foreign = Sealer(KID, HmacSha256(bytes(32)))
    mirrored = Sealer(KID, HmacSha256(uplink_key(ROOT_KEY, KID)))
    message = {
        "repeated": genuine,
        "flipped": genuine[:-1] + bytes([genuine[-1] ^ 1]),
        "foreign key": bytes(foreign.seal(content.TIME_PROBE, 6, 1, 0, encode_probe(1))),
        "uplink key": bytes(mirrored.seal(content.TIME_PROBE, 6, 1, 0, encode_probe(1))),
        "noise": b"\x01\x02\x03",
    }[attack]
    hal.inbox.append((1_100_000, bytes(frame(genuine))))
    hal.inbox.append((1_200_000, bytes(frame(message))))
    assert len(of_type(run(hal, 3_000_000), content.TIME_ANSWER)) == 1


def test_a_command_of_an_earlier_gateway_start_is_refused() -> None:
    hal = make_hal()
    for at_us, boot_id, number in ((1_100_000, 2, 0), (1_200_000, 1, 9), (1_300_000, 2, 1)):
        gateway = Gateway(boot_id=boot_id)
        gateway.sequence = number
        gateway.send(hal, at_us, content.TIME_PROBE, encode_probe(number))
    found = of_type(run(hal, 3_000_000), content.TIME_ANSWER)
    assert [decode_answer(sent.payload)[0] for sent in found] == [0, 1]


def test_a_probe_heard_again_after_a_reboot_is_refused() -> None:
    files = configuration()
    answered = []
    for numbers in ((0,), (0, COMMAND_BLOCK - 1, COMMAND_BLOCK)):
        hal = make_hal(files=files)
        for number in numbers:
            gateway = Gateway()
            gateway.sequence = number
            gateway.send(hal, 1_100_000 + number, content.TIME_PROBE, encode_probe(number))
        found = of_type(run(hal, 3_000_000), content.TIME_ANSWER)
        answered.append([decode_answer(sent.payload)[0] for sent in found])
    assert answered == [[0], [COMMAND_BLOCK]]


def test_frames_stay_until_they_are_receipted_and_come_again_until_then() -> None:
    hal = make_hal(files=configuration(receipts=True))
    hal.deadline_us = 40_000_000
    node = bring_up(hal)
    with pytest.raises(SystemExit):
        node.run()
    frames = sent_frames(hal)
    repeated = [sent for sent in frames if sent.header.sequence == 0]
    assert len(repeated) == 2
    assert repeated[1].at_us - repeated[0].at_us == pytest.approx(15_000_000, abs=PERIOD_US)


def test_a_receipt_ends_a_frames_stay() -> None:
    hal = make_hal(files=configuration(receipts=True))
    Gateway().send(hal, 8_050_000, content.RECEIPT, encode_receipt(5, 0b110111))
    hal.deadline_us = 9_000_000
    node = bring_up(hal)
    with pytest.raises(SystemExit):
        node.run()
    numbers = [sent.header.sequence for sent in sent_frames(hal)]
    # Number 2 is sent again, as the receipt has not seen it; 6 to 9 wait for theirs.
    assert numbers == [0, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9]


def test_an_output_acts_within_its_limits_and_lets_go_by_itself() -> None:
    hal = make_hal(files=configuration(outputs=OUTPUTS))
    gateway = Gateway()
    for at_us, arguments in (
        (2_000_000, {0: "relay", 1: 1.0, 2: 500}),
        (4_000_000, {0: "relay", 1: 1.0, 2: 2001}),
        (4_100_000, {0: "pump", 1: 1.0, 2: 5}),
    ):
        number = gateway.sequence + 1
        gateway.send(hal, at_us, content.COMMAND, command(number, commands.ACTUATE, arguments))
    frames = run(hal, 6_000_000)
    assert [answer.result for answer in answers(frames)] == [
        commands.DONE,
        commands.OUT_OF_LIMITS,
        commands.OUT_OF_LIMITS,
    ]
    assert [(pin, level) for _, pin, level in hal.pin_changes] == [(7, 0), (7, 1), (7, 0)]
    assert hal.pin_changes[2][0] - hal.pin_changes[1][0] == pytest.approx(500_000, abs=1000)


def test_a_new_rate_holds_from_the_answer_on() -> None:
    hal = make_hal()
    rate = command(1, commands.SET_RATE, {0: 50_000, 1: 5})
    Gateway().send(hal, 3_050_000, content.COMMAND, rate)
    frames = run(hal, 6_000_000)
    assert [answer.result for answer in answers(frames)] == [commands.DONE]
    early = [sent for sent in readings(frames) if sent.at_us < 3_050_000]
    late = [sent for sent in readings(frames) if sent.at_us > 3_050_000]
    assert len(early) == 2
    gaps = {after.at_us - before.at_us for before, after in itertools.pairwise(late)}
    assert len(late) > 9
    assert all(gap == pytest.approx(250_000, abs=1000) for gap in gaps)


def test_no_sample_is_dated_by_a_rate_that_came_after_it() -> None:
    hal = make_hal(lambda now_us: now_us / 1e6)
    rate = command(1, commands.SET_RATE, {0: 1_000_000, 1: 10})
    Gateway().send(hal, 3_050_000, content.COMMAND, rate)
    frames = readings(run(hal, 45_000_000))
    late = [sent for sent in frames if sent.at_us > 4_000_000]
    assert len(late) == 3
    for sent in late:
        (record,) = unpack(sent.payload)
        claimed_s = sent.header.tick_us / 1e6 + record.time_s
        # The chip's newest conversion may be 16 ms old, and a step is 8 mK.
        assert (record.value - 1.0) / 2.0 == pytest.approx(claimed_s, abs=0.024)


def test_a_rate_beyond_the_limits_changes_nothing() -> None:
    hal = make_hal()
    Gateway().send(hal, 3_050_000, content.COMMAND, command(1, commands.SET_RATE, {0: 10, 1: 5}))
    frames = run(hal, 6_000_000)
    (answer,) = answers(frames)
    assert answer.result == commands.OUT_OF_LIMITS
    assert "1000" in answer.detail
    assert len(readings(frames)) == 5


def test_a_new_filter_is_checked_before_it_is_used() -> None:
    hal = make_hal(lambda now_us: 20.0 + (now_us // 2_000_000))
    gateway = Gateway()
    for at_us, text in ((2_050_000, '"max"'), (2_060_000, '"medium"'), (2_070_000, "{")):
        number = gateway.sequence + 1
        arguments = {0: "temperature", 1: text}
        gateway.send(hal, at_us, content.COMMAND, command(number, commands.SET_FILTER, arguments))
    frames = run(hal, 6_000_000)
    results = [answer.result for answer in answers(frames)]
    assert results == [commands.DONE, commands.REFUSED, commands.REFUSED]
    assert readings(frames)


def test_a_rotated_key_seals_from_the_next_frame_on_and_over_a_restart() -> None:
    files = configuration()
    hal = make_hal(files=files)
    salt = bytes(range(100, 132))
    Gateway().send(
        hal, 2_050_000, content.COMMAND, command(1, commands.ROTATE_KEY, {0: 1, 1: salt})
    )
    hal.deadline_us = 5_000_000
    with pytest.raises(SystemExit):
        bring_up(hal).run()
    new_root = rotated_root(ROOT_KEY, KID, 1, salt)
    split = next(index for index, (at_us, _) in enumerate(hal.sent) if at_us >= 2_050_000)
    hal.sent, later = hal.sent[: split + 1], hal.sent[split + 1 :]
    # The answer itself is still under the old key.
    assert [answer.result for answer in answers(sent_frames(hal))] == [commands.DONE]
    hal.sent = later
    assert len(readings(sent_frames(hal, new_root))) >= 2
    again = make_hal(files=files)
    again.deadline_us = 2_000_000
    with pytest.raises(SystemExit):
        bring_up(again).run()
    assert sent_frames(again, new_root)


def test_a_wrong_epoch_rotates_nothing() -> None:
    hal = make_hal()
    rotate = command(1, commands.ROTATE_KEY, {0: 2, 1: bytes(32)})
    Gateway().send(hal, 2_050_000, content.COMMAND, rotate)
    (answer,) = answers(run(hal, 4_000_000))
    assert (answer.result, answer.detail) == (commands.REFUSED, "the next epoch is 1")


def test_a_restart_is_answered_first() -> None:
    hal = make_hal()
    Gateway().send(hal, 2_050_000, content.COMMAND, command(1, commands.RESTART))
    with pytest.raises(ResetError):
        bring_up(hal).run()
    assert [answer.result for answer in answers(sent_frames(hal))] == [commands.DONE]


def test_a_repeated_command_is_answered_and_not_obeyed_again() -> None:
    hal = make_hal(files=configuration(outputs=OUTPUTS))
    gateway = Gateway()
    payload = command(1, commands.ACTUATE, {0: "relay", 1: 1.0, 2: 100})
    gateway.send(hal, 2_000_000, content.COMMAND, payload)
    gateway.send(hal, 3_000_000, content.COMMAND, payload)
    frames = run(hal, 5_000_000)
    assert [answer.result for answer in answers(frames)] == [commands.DONE, commands.DONE]
    assert [level for _, _, level in hal.pin_changes] == [0, 1, 0]


def test_what_was_refused_is_counted_in_the_status_record() -> None:
    hal = make_hal(files=configuration(status_s=1))
    hal.inbox.append((1_500_000, bytes(frame(bytes(60)))))
    statuses = of_type(run(hal, 5_000_000), content.STATUS_RECORD)
    assert decode_status(statuses[0].payload)["rejected"] == 0
    assert decode_status(statuses[-1].payload)["rejected"] == 1
