"""The messages with which node and gateway keep in step: probe, answer, boot, receipt, loss.

Each is a CBOR map with small integer keys, read by the rules of fields.py. Commands are in
commands.py, the status record in status.py, what a node runs in measurement.py. All of them travel
inside a seal.
"""

from collections import namedtuple

from wire.cbor import encode
from wire.errors import CborError
from wire.fields import SEQUENCE_MAX, UINT64_MAX, checked_unsigned, read_map, unsigned
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
    "boot_reason",
    "files_sha256",
    "public_key",
    "key_epoch",
    "config_sha256",
)
TEXT_LENGTH_MAX = const(64)
_PROBE_ID = const(0)
_RECEIVED_TICK_US = const(1)

RECEIPT_BITS = const(64)
_HIGHEST, _SEEN = const(0), const(1)

SPOOL_FULL, DAMAGED, POWER_CUT, FLASH_FAILED = const(1), const(2), const(3), const(4)
LOSS_REASONS = {
    SPOOL_FULL: "spool_full",
    DAMAGED: "damaged",
    POWER_CUT: "power_cut",
    FLASH_FAILED: "flash_failed",
}
_REASON_MAX = const(255)
_FIRST, _LAST, _FRAMES, _REASON = const(0), const(1), const(2), const(3)

Receipt = namedtuple("Receipt", ("highest", "seen"))
Loss = namedtuple("Loss", ("first", "last", "frames", "reason"))


def encode_probe(probe_id: int) -> bytes:
    """Return the gateway's question "when do you get this?", number `probe_id` (below 2^64)."""
    return encode({_PROBE_ID: probe_id})


def decode_probe(data: Buffer) -> int:
    """Return the probe id."""
    return unsigned(read_map(data), _PROBE_ID, "probe id")


def encode_answer(probe_id: int, received_tick_us: int) -> bytes:
    """Return the node's answer: `received_tick_us` since its boot the probe `probe_id` came in.

    When the answer leaves is the tick in its seal.
    """
    return encode({_PROBE_ID: probe_id, _RECEIVED_TICK_US: received_tick_us})


def decode_answer(data: Buffer) -> "tuple[int, int]":
    """Return (probe id, received tick in microseconds since boot)."""
    fields = read_map(data)
    probe_id = unsigned(fields, _PROBE_ID, "probe id")
    return probe_id, unsigned(fields, _RECEIVED_TICK_US, "received tick")


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
    fields = read_map(data)
    return {
        name: _bounded(name, fields[number])
        for number, name in enumerate(BOOT_FIELDS)
        if number in fields
    }


def encode_receipt(highest: int, seen: int) -> bytes:
    """Return the gateway's word on what it has stored of the data lane.

    `highest` is the highest sequence number stored; bit i of `seen` (64 bits) says that number
    `highest` - i is. A gateway that has stored nothing says (0, 0).
    """
    checked_unsigned(highest, "the highest number of a receipt", SEQUENCE_MAX)
    checked_unsigned(seen, "the bits of a receipt", UINT64_MAX)
    return encode({_HIGHEST: highest, _SEEN: seen})


def decode_receipt(data: Buffer) -> Receipt:
    """Return (highest, seen) as encode_receipt takes them."""
    fields = read_map(data)
    highest = unsigned(fields, _HIGHEST, "highest number", SEQUENCE_MAX)
    return Receipt(highest, unsigned(fields, _SEEN, "seen bits", UINT64_MAX))


def encode_loss(first: int, last: int, frames: int, reason: int) -> bytes:
    """Return the node's admission that it will not deliver numbers `first` to `last`.

    `frames` of these numbers were frames; the others were never used. `reason` is one of
    LOSS_REASONS.
    """
    if reason not in LOSS_REASONS:
        raise CborError("no reason %r to lose frames; there are %r" % (reason, LOSS_REASONS))
    _check_loss(Loss(first, last, frames, reason))
    return encode({_FIRST: first, _LAST: last, _FRAMES: frames, _REASON: reason})


def decode_loss(data: Buffer) -> Loss:
    """Return the loss; a reason beyond LOSS_REASONS comes from a newer node and stays a number."""
    fields = read_map(data)
    loss = Loss(fields.get(_FIRST), fields.get(_LAST), fields.get(_FRAMES), fields.get(_REASON))
    _check_loss(loss)
    return loss


def _check_loss(loss: Loss) -> None:
    checked_unsigned(loss.first, "the first number lost", SEQUENCE_MAX)
    checked_unsigned(loss.last, "the last number lost", SEQUENCE_MAX)
    if loss.last < loss.first:
        raise CborError("numbers %d to %d are no range" % (loss.first, loss.last))
    checked_unsigned(loss.frames, "the number of frames lost", loss.last - loss.first + 1)
    if checked_unsigned(loss.reason, "the reason of a loss", _REASON_MAX) == 0:
        raise CborError("reason 0 of a loss is none")


def _bounded(name: str, value: object) -> object:
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, (str, bytes)) and len(value) <= TEXT_LENGTH_MAX:
        return value
    raise CborError("boot field %s is no unsigned integer, nor text or bytes up to 64 long" % name)
