"""What an authentic payload says: SenML readings with node times, or a message known to be sound.

Promises: returns only if the payload is what its content type claims, raises `WireError` otherwise.
Left to others: who may use which name (verify), what a time answer means (sync), what a node says
about itself (report).
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from gateway.records import Reading
from wire import commands, content, measurement, messages, raw_block, senml, status
from wire.errors import WireError

TICK_US_MAX: Final = 1 << 53
"""Highest node time that is believed: 285 years after boot, so nanoseconds fit in 64 bits."""
CHECKPOINT_BYTES_MAX: Final = 1800

_US_PER_S: Final = 1_000_000


def readings_of(content_type: int, payload: bytes, tick_us: int) -> tuple[Reading, ...]:
    """Return the numeric readings of a payload; other known content types have none.

    `tick_us` is the node time of the seal, to which the relative SenML times are added. Records
    that carry text, data or a flag instead of a number are legal and stay in the payload only.
    """
    if tick_us > TICK_US_MAX:
        raise WireError(f"tick {tick_us} us is later after boot than any node lives")
    if content_type == content.SENML_CBOR:
        return tuple(
            Reading(
                signal=record.name,
                unit=record.unit or "",
                value=record.value,
                tick_us=_tick_us(record.name, record.time_s, tick_us),
            )
            for record in senml.unpack(payload)
            if type(record.value) is float or type(record.value) is int
        )
    check = _CHECKS.get(content_type)
    if check is None:
        raise WireError(f"content type {content_type} is not one a node sends")
    check(payload)
    return ()


def raw_blocks_of(payload: bytes) -> list[tuple[senml.Record, raw_block.RawBlock]]:
    """Return the records of a raw block's pack, each with the samples it holds."""
    found = []
    for record in senml.unpack(payload):
        if not isinstance(record.value, bytes):
            raise WireError(f"{record.name} in a block of raw samples holds none")
        found.append((record, raw_block.decode_raw_block(record.value)))
    return found


def _check_checkpoint(payload: bytes) -> None:
    """Refuse what is no COSE_Sign1 by its outside; who checks the signature has the key."""
    if not 0 < len(payload) <= CHECKPOINT_BYTES_MAX or payload[:1] not in (b"\xd2", b"\x84"):
        raise WireError(f"a checkpoint of {len(payload)} bytes is no COSE_Sign1")


_CHECKS: Final[Mapping[int, Callable[[bytes], object]]] = {
    content.TIME_ANSWER: messages.decode_answer,
    content.BOOT_RECORD: messages.decode_boot,
    content.CHECKPOINT: _check_checkpoint,
    content.LOSS_RECORD: messages.decode_loss,
    content.STATUS_RECORD: status.decode_status,
    content.COMMAND_ANSWER: commands.decode_command_answer,
    content.RAW_BLOCK: raw_blocks_of,
    content.MEASUREMENT: measurement.decode_measurement,
}


def _tick_us(name: str, time_s: float, sent_tick_us: int) -> int:
    """Return the node time of a record; it lies between boot and the seal's own tick."""
    if not math.isfinite(time_s) or time_s > 0:
        raise WireError(f"{name}: time {time_s} s is not relative to the seal (0 or less)")
    # Bounded before it is scaled: a finite float times a million may be infinite.
    if time_s < -TICK_US_MAX / _US_PER_S:
        raise WireError(f"{name}: time {time_s} s is older than any node")
    tick_us = sent_tick_us + round(time_s * _US_PER_S)
    if tick_us < 0:
        raise WireError(f"{name}: time {time_s} s lies before the node's boot")
    return tick_us
