"""The status record: how a node is, in numbers that only the node can know.

A CBOR map from the place of a name in STATUS_FIELDS to its value; any field may be missing, those
of a newer node are ignored. Counters count since boot unless their name says otherwise; they are
the node's own word, and a gateway compares them with what it counted itself.
"""

from wire.cbor import encode
from wire.errors import CborError
from wire.fields import checked_list, checked_text, checked_unsigned, cut, read_map
from wire.kernel import Buffer, const

STATUS_FIELDS = (
    "uptime_us",
    "samples",
    "overruns",
    "jitter_max_us",
    "free_bytes",
    "spool_frames",
    "spool_dropped",
    "spool_bytes",
    "rejected",
    "link_restarts",
    "command_id",
    "update_state",
    "key_epoch",
    "watchdog_resets",
    "problems",
)
PROBLEMS_MAX = const(16)
PROBLEM_LENGTH_MAX = const(96)
STATE_LENGTH_MAX = const(32)
_ITEMS_MAX = const(96)


def encode_status(fields: "dict[str, object]") -> bytes:
    """Return a status record with any of STATUS_FIELDS.

    "problems" is a list of texts, "update_state" a text, the others are unsigned integers. Of more
    problems than PROBLEMS_MAX the first are sent, and a longer text is cut: a node in trouble still
    gets its word out.
    """
    numbered = {}
    for name, value in fields.items():
        if name not in STATUS_FIELDS:
            raise CborError(
                "a status record has no field %s; it has %s" % (name, ", ".join(STATUS_FIELDS))
            )
        whole = _shortened(value) if name == "problems" else value
        numbered[STATUS_FIELDS.index(name)] = _checked(name, whole)
    return encode(numbered)


def decode_status(data: Buffer) -> "dict[str, object]":
    """Return the known fields of a status record by their names."""
    fields = read_map(data, 2, _ITEMS_MAX)
    return {
        name: _checked(name, fields[number])
        for number, name in enumerate(STATUS_FIELDS)
        if number in fields
    }


def _shortened(problems: object) -> "list[str]":
    if not isinstance(problems, (list, tuple)):
        raise CborError("problems are a list of texts")
    return [cut(text, PROBLEM_LENGTH_MAX) for text in problems[:PROBLEMS_MAX]]


def _checked(name: str, value: object) -> object:
    what = "status field %s" % name
    if name == "update_state":
        return checked_text(value, what, STATE_LENGTH_MAX)
    if name == "problems":
        texts = checked_list(value, what, PROBLEMS_MAX)
        return [checked_text(text, "a problem", PROBLEM_LENGTH_MAX) for text in texts]
    return checked_unsigned(value, what)
