"""Schedules that no node, line or chip can keep, found before they are provisioned.

Promises: works on the raw tables of the file, however wrong they are, so that its findings are
reported together with all others; every finding starts with the path of the field to change, names
the numbers and ends with what to do. Left to others: what a certain board can compute in time
(`make bench`, `docs/`), and what a certain chip can sample (its driver says so).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.site_rules import RawTable, tables

_BLOCK_MS_MAX: Final = 3_600_000
_WAVEFORM_S_MAX: Final = 3600
_VELOCITY_HIGH_HZ: Final = 1000
"""Upper edge of the band of a velocity RMS (ISO 20816-1)."""
_SEAL_BYTES: Final = 110
"""A frame without its payload: header, tag, CRC, stuffing (docs/wire-format.md, 6)."""
_READING_BYTES: Final = 40
"""One record of a pack with names of usual length."""
_LINE_SHARE: Final = 0.8
"""Part of a line's rate that readings may take: the rest is for answers and repeats."""
_BITS_PER_BYTE: Final = 10


def schedule_problems(data: RawTable) -> list[str]:
    """Return what is impossible in the schedules of the nodes."""
    problems: list[str] = []
    for index, node in tables(data.get("nodes")):
        where = f"nodes[{index}]"
        problems += _block(where, node)
        for row, waveform in tables(node.get("waveforms")):
            problems += _waveform(f"{where}.waveforms[{row}]", waveform)
    return problems


def _block(where: str, node: RawTable) -> Iterator[str]:
    """Check the length of a block against the link and its silence."""
    period_ms, block = node.get("sample_period_ms", 100), node.get("block", 10)
    if not isinstance(period_ms, int) or not isinstance(block, int) or period_ms * block <= 0:
        return
    block_ms = period_ms * block
    if block_ms > _BLOCK_MS_MAX:
        yield (
            f"{where}.block: {block} samples every {period_ms} ms are one frame in "
            f"{block_ms / 1000:g} s, at most {_BLOCK_MS_MAX // 1000} s are possible; take fewer"
        )
        return
    status_s, silence_s = node.get("status_s", 10), node.get("silence_s", 10.0)
    if isinstance(status_s, int) and isinstance(silence_s, int | float):
        pause_s = min(block_ms / 1000, status_s)
        if silence_s <= pause_s:
            yield (
                f"{where}.silence_s: a frame comes every {pause_s:g} s only, so a link that works "
                f"would count as dead after {silence_s:g} s; set it to {3 * pause_s:g} or more"
            )
    yield from _line(where, node, block_ms)


def _line(where: str, node: RawTable, block_ms: int) -> Iterator[str]:
    """Check that a serial line carries the readings in the time they are made in."""
    link = node.get("link")
    table: Mapping[str, object] = link if isinstance(link, dict) else {"kind": link}
    baud = table.get("baud", node.get("baud", 115200))
    if table.get("kind") != "serial" or not isinstance(baud, int) or baud <= 0:
        return
    frame_bytes = _SEAL_BYTES + _READING_BYTES * len(tables(node.get("channels")))
    needed = frame_bytes * _BITS_PER_BYTE * 1000 / block_ms
    if needed > _LINE_SHARE * baud:
        least = -(-frame_bytes * _BITS_PER_BYTE * 1000 // int(_LINE_SHARE * baud))
        yield (
            f"{where}.block: a frame of about {frame_bytes} bytes every {block_ms} ms needs "
            f"{needed:.0f} bit/s, the line has {baud}; make block x sample_period_ms at least "
            f"{least} ms, or raise baud"
        )


def _waveform(where: str, waveform: RawTable) -> Iterator[str]:
    """Check a waveform's block and the bands of its features against its rate."""
    rate_hz, samples = waveform.get("rate_hz"), waveform.get("block_samples")
    if not isinstance(rate_hz, int) or rate_hz <= 0:
        return
    if isinstance(samples, int) and samples > rate_hz * _WAVEFORM_S_MAX:
        yield (
            f"{where}.block_samples: {samples} at {rate_hz} Hz take {samples / rate_hz:g} s, at "
            f"most {_WAVEFORM_S_MAX} s are possible; take fewer"
        )
    for row, feature in tables(waveform.get("features")):
        yield from _feature(f"{where}.features[{row}]", feature, rate_hz)


def _feature(where: str, feature: RawTable, rate_hz: int) -> Iterator[str]:
    """Check one feature against the rate; only a band has edges."""
    kind, low, high = feature.get("feature"), feature.get("low_hz"), feature.get("high_hz")
    if kind == "velocity_rms" and rate_hz <= 2 * _VELOCITY_HIGH_HZ:
        yield (
            f"{where}.feature: velocity_rms reaches up to {_VELOCITY_HIGH_HZ} Hz, {rate_hz} samples"
            f" a second do not; raise rate_hz above {2 * _VELOCITY_HIGH_HZ}"
        )
    if kind != "band":
        if kind is not None and (low is not None or high is not None):
            yield f"{where}.low_hz: only a band has edges; remove low_hz and high_hz"
        return
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        yield f"{where}.low_hz: a band needs both edges; add low_hz and high_hz"
    elif not 0 < low < high <= rate_hz / 2:
        yield (
            f"{where}.high_hz: {low:g} to {high:g} Hz is no band below {rate_hz / 2:g} Hz, half of "
            "rate_hz; write low_hz < high_hz within it"
        )
