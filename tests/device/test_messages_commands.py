"""Commands and their answers on any interpreter."""

from wire.cbor import decode, encode
from wire.commands import (
    ACTUATE,
    ARGUMENT_BYTES_MAX,
    ARGUMENTS,
    DONE,
    OPTIONAL,
    OUT_OF_ORDER,
    RESTART,
    RESULTS,
    ROTATE_KEY,
    SET_FILTER,
    SET_RATE,
    UPDATE_BEGIN,
    UPDATE_DATA,
    VERBS,
    check_arguments,
    decode_command,
    decode_command_answer,
    encode_command,
    encode_command_answer,
)
from wire.errors import CborError

OF_KIND = {int: 7, float: 0.5, str: "x", bytes: bytes(32)}


def _refuses(function, *arguments) -> bool:
    try:
        function(*arguments)
    except CborError:
        return True
    return False


def _arguments(verb) -> dict:
    return {key: OF_KIND[kind] for key, (_, kind) in enumerate(ARGUMENTS[verb])}


def test_a_command_in_bytes():
    command = encode_command(3, SET_RATE, {0: 100000, 1: 10})
    assert command.hex() == "a30003010102a2001a000186a0010a"
    assert decode_command(command) == (3, SET_RATE, {0: 100000, 1: 10})
    assert decode_command(encode_command(1, RESTART, {})) == (1, RESTART, {})


def test_every_verb_travels():
    assert sorted(VERBS) == sorted(ARGUMENTS) == list(range(1, 11))
    for verb in VERBS:
        arguments = _arguments(verb)
        assert decode_command(encode_command(0xFFFFFFFF, verb, arguments)) == (
            0xFFFFFFFF,
            verb,
            arguments,
        )


def test_an_argument_that_is_missing_or_of_another_kind_is_named():
    for verb in VERBS:
        for key, (name, kind) in enumerate(ARGUMENTS[verb]):
            for wrong in (None, -1, "x", b"x", 1.5):
                if wrong is not None and isinstance(wrong, kind) and wrong != -1:
                    continue
                if kind is float and wrong == -1:
                    continue
                arguments = _arguments(verb)
                arguments[key] = wrong
                if wrong is None:
                    del arguments[key]
                assert _refuses(encode_command, 1, verb, arguments), (verb, name, wrong)
                assert _refuses(check_arguments, verb, arguments), (verb, name, wrong)


def test_optional_arguments_are_checked_when_there():
    for verb, optional in OPTIONAL.items():
        key = len(ARGUMENTS[verb])
        for name, kind in optional:
            arguments = _arguments(verb)
            arguments[key] = OF_KIND[kind]
            check_arguments(verb, arguments)
            arguments[key] = "x" if kind is int else 1
            assert _refuses(check_arguments, verb, arguments), name
            key += 1


def test_a_whole_number_may_be_sent_as_an_integer():
    check_arguments(ACTUATE, {0: "fan", 1: 1, 2: 500})
    check_arguments(ACTUATE, {0: "fan", 1: -0.5, 2: 500, 23: "of a newer gateway"})
    assert decode_command(encode_command(1, ACTUATE, {0: "fan", 1: 1.0, 2: 0})).arguments[1] == 1


def test_a_verb_of_a_newer_gateway_is_read():
    command = encode({0: 9, 1: 4711, 2: {0: "x", 5: b"y"}, 7: None})
    assert decode_command(command) == (9, 4711, {0: "x", 5: b"y"})
    assert _refuses(encode_command, 9, 4711, {})


def test_bounds_of_a_command():
    longest = bytes(ARGUMENT_BYTES_MAX)
    assert decode_command(encode_command(1, UPDATE_DATA, {0: 1, 1: 2, 2: longest})).arguments
    for fields in (
        [],
        {},
        {0: 1, 1: SET_RATE},
        {0: 1 << 32, 1: 10, 2: {}},
        {0: -1, 1: 10, 2: {}},
        {0: True, 1: 10, 2: {}},
        {0: 1, 1: 1 << 16, 2: {}},
        {0: 1, 1: "restart", 2: {}},
        {0: 1, 1: 10, 2: []},
        {0: 1, 1: 10, 2: {24: 0}},
        {0: 1, 1: 10, 2: {-1: 0}},
        {0: 1, 1: 10, 2: {"0": 0}},
        {0: 1, 1: 10, 2: {0: None}},
        {0: 1, 1: 10, 2: {0: True}},
        {0: 1, 1: 10, 2: {0: [1]}},
        {0: 1, 1: 10, 2: {0: float("inf")}},
        {0: 1, 1: 10, 2: {0: float("nan")}},
        {0: 1, 1: 10, 2: {0: longest + b"x"}},
        {0: 1, 1: 10, 2: dict.fromkeys(range(17), 0)},
    ):
        assert _refuses(decode_command, encode(fields)), fields
    assert _refuses(decode_command, b"\xa3\x00\x18\x01\x01\x0a\x02\xa0"), "not the shortest form"
    assert _refuses(encode_command, 1, ROTATE_KEY, {0: 1, 1: bytes(31)})
    assert _refuses(encode_command, 1, SET_FILTER, {0: "a", 1: "x" * (ARGUMENT_BYTES_MAX + 1)})
    assert _refuses(encode_command, 1, UPDATE_BEGIN, {0: b"", 24: 0})


def test_an_answer_in_bytes():
    assert encode_command_answer(3, DONE).hex() == "a200030100"
    assert decode_command_answer(encode_command_answer(3, DONE)) == (3, DONE, "", None)
    late = encode_command_answer(3, OUT_OF_ORDER, "late", 5)
    assert late.hex() == "a40003010502646c6174650305"
    assert decode_command_answer(late) == (3, OUT_OF_ORDER, "late", 5)
    for result in RESULTS:
        assert decode_command_answer(encode_command_answer(0, result, "")).result == result


def test_a_long_detail_is_cut():
    detail = decode_command_answer(encode_command_answer(1, DONE, "x" * 97)).detail
    assert detail == "x" * 93 + "..."
    assert decode_command_answer(encode_command_answer(1, DONE, "x" * 96)).detail == "x" * 96


def test_broken_answers_are_refused():
    assert decode_command_answer(encode({0: 1, 1: 200, 9: []})).result == 200, "a newer node"
    for fields in (
        {0: 1},
        {1: 0},
        {0: 1, 1: 256},
        {0: 1, 1: -1},
        {0: 1, 1: 0, 2: "x" * 97},
        {0: 1, 1: 0, 2: b"x"},
        {0: 1, 1: 0, 3: "5"},
        {0: 1, 1: 0, 3: 1 << 32},
    ):
        assert _refuses(decode_command_answer, encode(fields)), fields
    assert _refuses(encode_command_answer, 1, 7)
    assert _refuses(encode_command_answer, -1, DONE)
    assert decode(encode_command_answer(1, DONE, "", 0)) == {0: 1, 1: 0, 3: 0}
