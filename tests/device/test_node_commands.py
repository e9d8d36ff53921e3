"""Commands: each obeyed at most once and in order, whatever is repeated, cut off or restarted."""

from firmware.commands import JOURNAL, Commands
from wire import commands
from wire.commands import decode_command_answer, encode_command
from wire.errors import WireError


class Flash:
    def __init__(self):
        self.files = {}
        self.fails_after = None

    def read_file(self, name):
        if name not in self.files:
            raise OSError(2)
        return self.files[name]

    def write_file(self, name, content):
        if self.fails_after is not None:
            self.fails_after -= 1
            if self.fails_after < 0:
                raise OSError(5)
        self.files[name] = bytes(content)


class Pump:
    """Something that a command acts on."""

    def __init__(self):
        self.acts = []
        self.result = (commands.DONE, "", None)
        self.dies = False

    def act(self, arguments, _now_us):
        if self.dies:
            raise RuntimeError("power cut")
        self.acts.append(arguments[0])
        return self.result


def _started(flash, pump):
    obeying = Commands(flash)
    obeying.actions = {commands.ACTUATE: pump.act}
    obeying.start()
    return obeying


def _send(obeying, command_id, verb=commands.ACTUATE, arguments=None):
    if arguments is None:
        arguments = {0: "n%d" % command_id, 1: 1.0, 2: 5}
    payload, then = obeying.obey(encode_command(command_id, verb, arguments), 0)
    return decode_command_answer(payload), then


def test_a_command_is_done_and_answered():
    pump = Pump()
    answer, then = _send(_started(Flash(), pump), 1)
    assert (answer.command_id, answer.result, then) == (1, commands.DONE, None)
    assert pump.acts == ["n1"]


def test_a_repeated_command_is_answered_and_not_done_again():
    flash, pump = Flash(), Pump()
    pump.result = (commands.OUT_OF_LIMITS, "1 to 9", None)
    obeying = _started(flash, pump)
    first, _ = _send(obeying, 1)
    assert (first.result, first.detail) == (commands.OUT_OF_LIMITS, "1 to 9")
    again, then = _send(obeying, 1)
    assert (again.result, then) == (commands.OUT_OF_LIMITS, None)
    after_a_start, _ = _send(_started(flash, pump), 1)
    assert after_a_start.result == commands.OUT_OF_LIMITS
    assert pump.acts == ["n1"]


def test_an_older_command_is_out_of_order_and_a_gap_is_not():
    flash, pump = Flash(), Pump()
    obeying = _started(flash, pump)
    _send(obeying, 4)
    for command_id in (3, 1, 0):
        answer, _ = _send(obeying, command_id)
        assert (answer.result, answer.last_id) == (commands.OUT_OF_ORDER, 4)
    _send(_started(flash, pump), 9)
    assert pump.acts == ["n4", "n9"]


def test_the_same_number_with_other_content_is_another_command():
    flash, pump = Flash(), Pump()
    obeying = _started(flash, pump)
    whole = {0: "n1", 1: 0.5, 2: 5}
    _send(obeying, 1, arguments=whole)
    others = ({0: "n2"}, {1: 1.0}, {1: 1}, {2: 6}, {5: 0}, {5: b"x"}, {2: 5, 3: 7, 4: 9, 5: 1})
    for restarts in (False, True):
        obeying = _started(flash, pump) if restarts else obeying
        for other in others:
            arguments = dict(whole)
            arguments.update(other)
            answer, _ = _send(obeying, 1, arguments=arguments)
            assert (answer.result, answer.last_id) == (commands.OUT_OF_ORDER, 1), other
        answer, _ = _send(obeying, 1, commands.CAPTURE, {0: "n1", 1: 5})
        assert answer.result == commands.OUT_OF_ORDER
        assert _send(obeying, 1, arguments=whole)[0].result == commands.DONE
    assert pump.acts == ["n1"]


def test_bytes_of_the_same_length_are_told_apart():
    flash, pump = Flash(), Pump()
    obeying = _started(flash, pump)
    obeying.actions = {commands.UPDATE_DATA: pump.act}
    for data, result in (
        (b"old", commands.DONE),
        (b"new", commands.OUT_OF_ORDER),
        (b"old", commands.DONE),
    ):
        answer, _ = _send(obeying, 1, commands.UPDATE_DATA, {0: 0, 1: 0, 2: data})
        assert answer.result == result


def test_a_repeated_command_may_have_another_deadline():
    flash, pump = Flash(), Pump()
    obeying = _started(flash, pump)
    for deadline in ({}, {3: 7, 4: 1 << 40}, {3: 8, 4: 9}):
        arguments = {0: "n1", 1: 1.0, 2: 5}
        arguments.update(deadline)
        assert _send(obeying, 1, arguments=arguments)[0].result == commands.DONE
    assert pump.acts == ["n1"]


def test_a_command_cut_off_in_the_middle_is_not_begun_again():
    flash, pump = Flash(), Pump()
    pump.dies = True
    try:
        _send(_started(flash, pump), 1)
    except RuntimeError:
        pump.dies = False
        answer, _ = _send(_started(flash, pump), 1)
        assert answer.result == commands.OUTCOME_UNKNOWN
        assert pump.acts == []
        answer, _ = _send(_started(flash, pump), 2)
        assert answer.result == commands.DONE
        return
    raise AssertionError("no power cut")


def test_without_a_flash_nothing_is_begun():
    flash, pump = Flash(), Pump()
    obeying = _started(flash, pump)
    flash.fails_after = 0
    try:
        _send(obeying, 1)
    except OSError:
        assert pump.acts == []
        flash.fails_after = None
        assert _send(obeying, 1)[0].result == commands.DONE
        return
    raise AssertionError("no error")


def test_a_result_that_cannot_be_kept_is_still_answered():
    flash, pump = Flash(), Pump()
    obeying = _started(flash, pump)
    flash.fails_after = 1
    assert _send(obeying, 1)[0].result == commands.DONE
    assert _send(obeying, 1)[0].result == commands.DONE
    assert pump.acts == ["n1"]


def test_what_cannot_be_done_is_said():
    flash, pump = Flash(), Pump()
    obeying = _started(flash, pump)
    assert _send(obeying, 1, commands.RESTART, {})[0].result == commands.UNKNOWN_VERB
    payload = encode_command(2, commands.ACTUATE, {0: "n2", 1: 1.0, 2: 5})
    broken = payload.replace(b"\x02\x05", b"\x03\x05")
    answer = decode_command_answer(obeying.obey(broken, 0)[0])
    assert answer.result == commands.REFUSED
    assert "hold_ms" in answer.detail
    assert pump.acts == []


def test_what_is_no_command_raises_and_changes_nothing():
    obeying = _started(Flash(), Pump())
    try:
        obeying.obey(b"\x80", 0)
    except WireError:
        assert obeying.last_id == 0
        return
    raise AssertionError("accepted")


def test_a_lost_journal_refuses_everything():
    flash, pump = Flash(), Pump()
    _send(_started(flash, pump), 1)
    assert sorted(flash.files) == [JOURNAL[0]] or sorted(flash.files) == list(JOURNAL)
    obeying = _started(flash, pump)
    obeying.refuse_all()
    answer, _ = _send(obeying, 2)
    assert (answer.result, answer.detail) == (commands.FAILED, "the command journal is lost")
    assert pump.acts == ["n1"]
