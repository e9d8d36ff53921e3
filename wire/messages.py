"""Payloads that are not readings: time probe, time answer, boot record.

Each is a CBOR map with small integer keys. Keys a receiver does not know are ignored, so that
either side can be updated first; a known key with a wrong type or size is refused. All of them
travel inside a seal.
"""

from wire.cbor import decode, encode
from wire.errors import CborError
from wire.kernel import Buffer, const

BOOT_FIELDS = (
    "firmware",
    "board",
    "interpreter",
    "reset_cause",
    "unique_id",
    "sample_period_us",
    "block_samples",
    "sequence_start",
)
TEXT_LENGTH_MAX = const(64)
_ITEMS_MAX = const(48)
_PROBE_ID = const(0)
_RECEIVED_TICK_US = const(1)


def encode_probe(probe_id: int) -> bytes:
    """Return the gateway's question "when do you get this?", number `probe_id` (below 2^64)."""
    return encode({_PROBE_ID: probe_id})


def decode_probe(data: Buffer) -> int:
    """Return the probe id."""
    return _unsigned(_map(data), _PROBE_ID, "probe id")


def encode_answer(probe_id: int, received_tick_us: int) -> bytes:
    """Return the node's answer: `received_tick_us` since its boot the probe `probe_id` came in.

    When the answer leaves is the tick in its seal.
    """
    return encode({_PROBE_ID: probe_id, _RECEIVED_TICK_US: received_tick_us})


def decode_answer(data: Buffer) -> "tuple[int, int]":
    """Return (probe id, received tick in microseconds since boot)."""
    fields = _map(data)
    probe_id = _unsigned(fields, _PROBE_ID, "probe id")
    return probe_id, _unsigned(fields, _RECEIVED_TICK_US, "received tick")


def encode_boot(fields: "dict[str, object]") -> bytes:
    """Return a boot record: any of BOOT_FIELDS, each unsigned, or text or bytes up to 64 long."""
    numbered = {}
    for name, value in fields.items():
        if name not in BOOT_FIELDS:
            raise CborError(
                "a boot record has no field %s; it has %s" % (name, ", ".join(BOOT_FIELDS))
            )
        numbered[BOOT_FIELDS.index(name)] = _bounded(name, value)
    return encode(numbered)


def decode_boot(data: Buffer) -> "dict[str, object]":
    """Return the known fields of a boot record by their names."""
    fields = _map(data)
    return {
        name: _bounded(name, fields[number])
        for number, name in enumerate(BOOT_FIELDS)
        if number in fields
    }


def _map(data: Buffer) -> "dict[object, object]":
    fields = decode(data, 2, _ITEMS_MAX, True)
    if not isinstance(fields, dict):
        raise CborError("a message is a CBOR map, not a %s" % type(fields).__name__)
    return fields


def _unsigned(fields: "dict[object, object]", key: int, what: str) -> int:
    value = fields.get(key)
    if type(value) is not int or value < 0:
        raise CborError("%s (key %d) is not an unsigned integer" % (what, key))
    return value


def _bounded(name: str, value: object) -> object:
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, (str, bytes)) and len(value) <= TEXT_LENGTH_MAX:
        return value
    raise CborError("boot field %s is no unsigned integer, nor text or bytes up to 64 long" % name)
