"""What an authentic payload says: SenML readings with node times, or a message known to be sound.

Promises: returns only if the payload is what its content type claims, raises `WireError` otherwise.
Left to others: who may use which name (verify), what a time answer means (sync).
"""

import math
from typing import Final

from gateway.records import Reading
from wire import content, messages, senml
from wire.errors import WireError

TICK_US_MAX: Final = 1 << 53
"""Highest node time that is believed: 285 years after boot, so nanoseconds fit in 64 bits."""

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
    if content_type == content.TIME_ANSWER:
        messages.decode_answer(payload)
    elif content_type == content.BOOT_RECORD:
        messages.decode_boot(payload)
    else:
        raise WireError(f"content type {content_type} is not one a node sends")
    return ()


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
