"""Commands from gateway to node, and the answers: one number, one verb, one result.

    command   {0: command id, 1: verb, 2: {argument: value, ...}}
    answer    {0: command id, 1: result, 2: detail, 3: last executed id}     2 and 3 may be missing

Command ids of a node only grow; what keeps a command from being obeyed twice is the node's business
and survives its restarts. `decode_command` takes any verb, so that a node can answer a newer
gateway that it does not know it; `check_arguments` says whether those of a known verb are all there
and of the right kind. What they may be (limits of an output, rates of a chip) is the node's word.
"""

from collections import namedtuple

from wire.cbor import encode
from wire.errors import CborError
from wire.fields import (
    UINT32_MAX,
    UINT64_MAX,
    checked_bytes,
    checked_text,
    checked_unsigned,
    cut,
    read_map,
    unsigned,
)
from wire.kernel import Buffer, const

SET_RATE, SET_FILTER, CAPTURE, ACTUATE = const(1), const(2), const(3), const(4)
ROTATE_KEY, UPDATE_BEGIN, UPDATE_DATA = const(5), const(6), const(7)
UPDATE_FINISH, UPDATE_ABORT, RESTART = const(8), const(9), const(10)

VERBS = {
    SET_RATE: "set_rate",
    SET_FILTER: "set_filter",
    CAPTURE: "capture",
    ACTUATE: "actuate",
    ROTATE_KEY: "rotate_key",
    UPDATE_BEGIN: "update_begin",
    UPDATE_DATA: "update_data",
    UPDATE_FINISH: "update_finish",
    UPDATE_ABORT: "update_abort",
    RESTART: "restart",
}

# Of each verb: (name, kind) of its arguments; the place in the row is the key. `int` is unsigned,
# and `float` may travel as an integer. Those of OPTIONAL follow them and may be missing.
ARGUMENTS = {
    SET_RATE: (("sample_period_us", int), ("block_samples", int)),
    SET_FILTER: (("channel", str), ("filter", str)),
    CAPTURE: (("source", str), ("samples", int)),
    ACTUATE: (("output", str), ("value", float), ("hold_ms", int)),
    ROTATE_KEY: (("epoch", int), ("salt", bytes)),
    UPDATE_BEGIN: (("manifest", bytes),),
    UPDATE_DATA: (("index", int), ("offset", int), ("data", bytes)),
    UPDATE_FINISH: (),
    UPDATE_ABORT: (),
    RESTART: (),
}
# A manifest that is longer than one command comes in pieces: `manifest` is the one at `offset`.
# An output is not driven in another start than `boot_id`, nor after the node's tick `not_after_us`.
OPTIONAL = {
    ACTUATE: (("boot_id", int), ("not_after_us", int)),
    UPDATE_BEGIN: (("offset", int), ("manifest_bytes", int)),
}
DEADLINE = (3, 4)
"""Keys of ACTUATE that may change when the command is repeated."""
_KINDS = {
    int: "an unsigned integer",
    float: "a finite number",
    str: "a text",
    bytes: "a byte string",
}

DONE, REFUSED, FAILED, UNKNOWN_VERB = const(0), const(1), const(2), const(3)
OUT_OF_LIMITS, OUT_OF_ORDER, OUTCOME_UNKNOWN = const(4), const(5), const(6)
RESULTS = {
    DONE: "done",
    REFUSED: "refused",
    FAILED: "failed",
    UNKNOWN_VERB: "unknown_verb",
    OUT_OF_LIMITS: "out_of_limits",
    OUT_OF_ORDER: "out_of_order",
    OUTCOME_UNKNOWN: "outcome_unknown",
}

COMMAND_ID_MAX = UINT32_MAX
ARGUMENTS_MAX = const(16)
ARGUMENT_BYTES_MAX = const(1600)
SALT_BYTES = const(32)
DETAIL_LENGTH_MAX = const(96)
_VERB_MAX = const(0xFFFF)
_ARGUMENT_KEY_MAX = const(23)
_RESULT_MAX = const(255)
_ID, _VERB, _ARGUMENTS = const(0), const(1), const(2)
_RESULT, _DETAIL, _LAST_ID = const(1), const(2), const(3)

Command = namedtuple("Command", ("command_id", "verb", "arguments"))
CommandAnswer = namedtuple("CommandAnswer", ("command_id", "result", "detail", "last_id"))


def encode_command(command_id: int, verb: int, arguments: "dict[int, object]") -> bytes:
    """Return command number `command_id`; `arguments` have the keys and kinds of ARGUMENTS.

    Raises CborError for a verb that does not exist and for arguments that are missing, of the wrong
    kind or too many.
    """
    checked_unsigned(command_id, "a command id", COMMAND_ID_MAX)
    if verb not in VERBS:
        raise CborError("no verb %r; there are %r" % (verb, VERBS))
    _checked_arguments(arguments)
    check_arguments(verb, arguments)
    return encode({_ID: command_id, _VERB: verb, _ARGUMENTS: arguments})


def decode_command(data: Buffer) -> Command:
    """Return (command id, verb, arguments); the verb may be unknown, its arguments unchecked."""
    fields = read_map(data)
    command_id = unsigned(fields, _ID, "command id", COMMAND_ID_MAX)
    verb = unsigned(fields, _VERB, "verb", _VERB_MAX)
    return Command(command_id, verb, _checked_arguments(fields.get(_ARGUMENTS)))


def check_arguments(verb: int, arguments: "dict[int, object]") -> None:
    """Raise CborError unless what `verb`, one of VERBS, needs is in `arguments`; more is ignored.

    This is the check a node makes before it acts, and answers REFUSED to.
    """
    required = ARGUMENTS[verb]
    for key, (name, kind) in enumerate(required + OPTIONAL.get(verb, ())):
        if key >= len(required) and key not in arguments:
            continue
        if not _is_of_kind(arguments.get(key), kind):
            raise CborError("%s needs %s (key %d), %s" % (VERBS[verb], name, key, _KINDS[kind]))
    if verb == ROTATE_KEY:
        checked_bytes(arguments[1], "the salt of a key rotation", SALT_BYTES)


def encode_command_answer(
    command_id: int, result: int, detail: str = "", last_id: "int | None" = None
) -> bytes:
    """Return what became of command `command_id`: one of RESULTS, and `detail` for people.

    A longer detail than DETAIL_LENGTH_MAX is cut. `last_id` is the command executed last, and goes
    with OUT_OF_ORDER.
    """
    if result not in RESULTS:
        raise CborError("no result %r; there are %r" % (result, RESULTS))
    fields: "dict[object, object]" = {
        _ID: checked_unsigned(command_id, "a command id", COMMAND_ID_MAX),
        _RESULT: result,
    }
    if detail:
        fields[_DETAIL] = cut(detail, DETAIL_LENGTH_MAX)
    if last_id is not None:
        fields[_LAST_ID] = checked_unsigned(last_id, "the last command id", COMMAND_ID_MAX)
    return encode(fields)


def decode_command_answer(data: Buffer) -> CommandAnswer:
    """Return the answer; without detail it is "", without last executed id None.

    A result beyond RESULTS comes from a newer node and stays a number.
    """
    fields = read_map(data)
    last_id = fields.get(_LAST_ID)
    if last_id is not None:
        checked_unsigned(last_id, "last command id (key 3)", COMMAND_ID_MAX)
    return CommandAnswer(
        unsigned(fields, _ID, "command id", COMMAND_ID_MAX),
        unsigned(fields, _RESULT, "result", _RESULT_MAX),
        checked_text(fields.get(_DETAIL, ""), "detail (key 2)", DETAIL_LENGTH_MAX),
        last_id,
    )


def _checked_arguments(arguments: object) -> "dict[int, object]":
    """Return `arguments` if they are a map of what arguments may be, whatever the verb."""
    if not isinstance(arguments, dict) or len(arguments) > ARGUMENTS_MAX:
        raise CborError("the arguments are not a map of up to %d" % ARGUMENTS_MAX)
    for key, value in arguments.items():
        checked_unsigned(key, "the key of an argument", _ARGUMENT_KEY_MAX)
        if type(value) is int and -UINT64_MAX <= value <= UINT64_MAX:
            continue
        if isinstance(value, (str, bytes)) and len(value) <= ARGUMENT_BYTES_MAX:
            continue
        if type(value) is float and value - value == 0:
            continue
        raise CborError("argument %d is no number, text or bytes within bounds" % key)
    return arguments


def _is_of_kind(value: object, kind: type) -> bool:
    if kind is int:
        return type(value) is int and value >= 0
    if kind is float:
        return type(value) is int or type(value) is float
    return isinstance(value, kind)
