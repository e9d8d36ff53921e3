"""Second-order sections designed on the PC: Butterworth filters and the vibration velocity band.

Promises: rows [b0, b1, b2, a1, a2] with a0 = 1, by the bilinear transform with the corner put where
it was asked for (prewarped), in plain Python and the same on every machine.  `loudness` says how
much a cascade can amplify any input, which the node's fixed point must survive.
`fixed_words` are the integers that `firmware/sections.py` runs on.  Gateway and provisioning use
this file; a node never designs a filter.

    python -m boards.design_sections lowpass 50 4 1000          rows for site.toml
    python -m boards.design_sections highpass 0.5 2 10
    python -m boards.design_sections velocity 3332 4000 6664    firmware/features_velocity.py
"""

import argparse
import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Row = tuple[float, float, float, float, float]

VELOCITY_LOW_HZ: Final = 10.0
VELOCITY_HIGH_HZ: Final = 1000.0
"""The band of ISO 20816-1 for r.m.s. velocity; the gain is down by 3 dB at both ends."""
ORDER_MAX: Final = 16
LOUDNESS_MAX: Final = 4.0
"""What firmware/sections.py has room for above full scale."""
_RESPONSE_SAMPLES: Final = 1 << 16
_FRACTION_BITS: Final = 12
_COEFFICIENT_MAX: Final = 16383
_SHIFT_MAX: Final = 30
_W2_MAX: Final = 4096


def butterworth_lowpass(corner_hz: float, order: int, rate_hz: float) -> list[Row]:
    """Rows of a Butterworth low-pass: -3 dB at `corner_hz`, gain 1 at 0 Hz.

    `order` is 1 to 16, `corner_hz` between 0 and half of `rate_hz`; ValueError otherwise.
    """
    return [_lowpass_row(k, q) for k, q in _prototype(corner_hz, order, rate_hz)]


def butterworth_highpass(corner_hz: float, order: int, rate_hz: float) -> list[Row]:
    """Rows of a Butterworth high-pass: -3 dB at `corner_hz`, gain 1 at half of `rate_hz`."""
    return [_highpass_row(k, q) for k, q in _prototype(corner_hz, order, rate_hz)]


def _prototype(corner_hz: float, order: int, rate_hz: float) -> list[tuple[float, float]]:
    """(tan of half the corner's angle, damping term 2 cos, 0 for a real pole) of each section."""
    if not 1 <= order <= ORDER_MAX:
        raise ValueError(f"order {order} is not possible: 1 to {ORDER_MAX}")
    if not 0 < corner_hz < rate_hz / 2:
        raise ValueError(
            f"a corner of {corner_hz:g} Hz needs a rate above {2 * corner_hz:g} Hz, not {rate_hz:g}"
        )
    k = math.tan(math.pi * corner_hz / rate_hz)
    # The well damped pair first: it amplifies least.
    pairs = [
        (k, 2 * math.cos(math.pi * (2 * index + 1 + order % 2) / (2 * order)))
        for index in range(order // 2)
    ]
    return [(k, 0.0)] * (order % 2) + pairs


def _lowpass_row(k: float, damping: float) -> Row:
    if not damping:
        return (k / (1 + k), k / (1 + k), 0.0, (k - 1) / (k + 1), 0.0)
    norm = 1 / (1 + damping * k + k * k)
    b0 = k * k * norm
    return (b0, 2 * b0, b0, 2 * (k * k - 1) * norm, (1 - damping * k + k * k) * norm)


def _highpass_row(k: float, damping: float) -> Row:
    if not damping:
        return (1 / (1 + k), -1 / (1 + k), 0.0, (k - 1) / (k + 1), 0.0)
    norm = 1 / (1 + damping * k + k * k)
    return (norm, -2 * norm, norm, 2 * (k * k - 1) * norm, (1 - damping * k + k * k) * norm)


def response(rows: Sequence[Row], frequency_hz: float, rate_hz: float) -> complex:
    """The gain of a cascade at one frequency."""
    z1 = cmath.exp(-2j * math.pi * frequency_hz / rate_hz)
    gain = 1 + 0j
    for b0, b1, b2, a1, a2 in rows:
        gain *= (b0 + z1 * (b1 + z1 * b2)) / (1 + z1 * (a1 + z1 * a2))
    return gain


def loudness(rows: Sequence[Row]) -> tuple[float, ...]:
    """The largest |output| behind each section for inputs of at most 1: sums of |h[n]|.

    The sums stop at 65,536 samples, far beyond the memory of any section that the node can hold.
    """
    signal = [1.0] + [0.0] * (_RESPONSE_SAMPLES - 1)
    found = []
    for row in rows:
        signal = _filtered(row, signal)
        found.append(sum(map(abs, signal)))
    return tuple(found)


def _filtered(row: Row, signal: Sequence[float]) -> list[float]:
    b0, b1, b2, a1, a2 = row
    z1 = z2 = 0.0
    output = []
    for x in signal:
        y = b0 * x + z1
        z1 = b1 * x - a1 * y + z2
        z2 = b2 * x - a2 * y
        output.append(y)
    return output


@dataclass(frozen=True, slots=True, kw_only=True)
class VelocityFilter:
    """Acceleration in, velocity out: velocity in m/s = output * `unit_s` for m/s2 at the input."""

    rows: tuple[Row, ...]
    unit_s: float


def velocity_filter(rate_hz: float) -> VelocityFilter:
    """Low-pass at 1 kHz, high-pass at 10 Hz, integration: fourth order both, in four sections.

    The integrator's pole at 0 Hz cancels one zero of the high-pass, so nothing drifts.  It is
    T / (1 - 1/z) * (c + 1/z) / (c + 1), with c chosen for the least error against 1 / (2 pi f)
    between the corners.  It comes last, for it also integrates the rounding of those before.
    `unit_s` makes the most of 16 bits: no input of full scale leaves more than LOUDNESS_MAX / 2.
    """
    if rate_hz <= 2 * VELOCITY_HIGH_HZ:
        raise ValueError(f"velocity up to 1 kHz needs a rate above 2 kHz, not {rate_hz:g} Hz")
    lowpass = butterworth_lowpass(VELOCITY_HIGH_HZ, 4, rate_hz)
    first, second = butterworth_highpass(VELOCITY_LOW_HZ, 4, rate_hz)
    c = _blend(rate_hz)
    scale = second[0] / (c + 1) / rate_hz
    # (1 - 1/z)^2 of the high-pass over (1 - 1/z), times (c + 1/z).
    b0, b1, b2 = scale * c, scale * (1 - c), -scale
    unscaled = (*lowpass, first, (b0, b1, b2, second[3], second[4]))
    unit_s = loudness(unscaled)[-1] / (LOUDNESS_MAX / 2)
    last = (b0 / unit_s, b1 / unit_s, b2 / unit_s, second[3], second[4])
    return VelocityFilter(rows=(*lowpass, first, last), unit_s=unit_s)


def integrator_error(c: float, rate_hz: float) -> float:
    """The largest relative error of the integrator's gain between the corners, at most 1 kHz."""
    worst = 0.0
    for index in range(1, 101):
        angle = 2 * math.pi * (VELOCITY_HIGH_HZ * index / 100) / rate_hz
        z1 = cmath.exp(-1j * angle)
        gain = abs((c + z1) / ((c + 1) * (1 - z1)))
        worst = max(worst, abs(gain * angle - 1))
    return worst


def _blend(rate_hz: float) -> float:
    """The `c` of the least `integrator_error`: a golden-section search between 1 and 20."""
    low, high = 1.0, 20.0
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 1e-6:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if integrator_error(left, rate_hz) < integrator_error(right, rate_hz):
            high = right
        else:
            low = left
    return (low + high) / 2


def fixed_words(row: Row) -> tuple[int, ...]:
    """The first eight words of a section of `firmware/sections.py`; its docstring names them.

    Raises ValueError for a section that is not stable, has a zero outside the unit circle or a
    negative b0 (both make a word negative), or a coefficient that does not fit.
    """
    b0, b1, b2, a1, a2 = row
    if not (abs(a2) < 1 and abs(a1) < 1 + a2):
        raise ValueError(f"the section with a1 = {a1!r}, a2 = {a2!r} is not stable")
    b_1, b_2, a_1, a_2 = 2 * b0 + b1, b0 + b1 + b2, 2 + a1, 1 + a1 + a2
    direct, shift_0 = _scaled((b0,), _FRACTION_BITS, _COEFFICIENT_MAX)
    # w2 is about as large as the output times the natural frequency, the root of a_2: it shares
    # the scale of the second sum, and must leave room there for 16-bit outputs.
    largest = min(_COEFFICIENT_MAX / 2, _W2_MAX * max(b_1, a_1) / math.sqrt(a_2))
    first, shift_1 = _scaled((b_1, a_1), _FRACTION_BITS, largest)
    second, shift_2 = _scaled((b_2, a_2), _FRACTION_BITS + shift_1, _COEFFICIENT_MAX)
    return (*direct, *first, *second, shift_0, shift_1, shift_2)


def _scaled(numbers: Sequence[float], fraction_bits: int, limit: float) -> tuple[list[int], int]:
    """([integers up to `limit`], shift): number = integer * 2**(-fraction_bits - shift)."""
    largest = max(numbers)
    if min(numbers) < -1e-9:
        raise ValueError("a zero outside the unit circle, or a gain below 0, is not possible")
    shift = _SHIFT_MAX - fraction_bits
    while shift and largest * 2.0 ** (fraction_bits + shift) > limit:
        shift -= 1
    scale = 2.0 ** (fraction_bits + shift)
    if round(largest * scale) > _COEFFICIENT_MAX + 1:
        raise ValueError(f"a coefficient of {largest!r} is too large for 16-bit samples")
    return [max(round(number * scale), 0) for number in numbers], shift


def velocity_table(rates_hz: Sequence[int]) -> str:
    """The table VELOCITY of `firmware/features_velocity.py`, as source text."""
    lines = ["VELOCITY = {"]
    for rate_hz in rates_hz:
        designed = velocity_filter(rate_hz)
        lines += [f"    {rate_hz}: (", f"        {designed.unit_s!r},", "        ("]
        lines += [f"            {row!r}," for row in designed.rows]
        lines += ["        ),", "        ("]
        lines += [f"            {fixed_words(row)!r}," for row in designed.rows]
        lines += ["        ),", "    ),"]
    return "\n".join([*lines, "}"])


def main() -> None:
    """Print rows for a configuration file, or the table of the firmware."""
    parser = argparse.ArgumentParser(description="Design second-order sections for a node.")
    parser.add_argument("kind", choices=("lowpass", "highpass", "velocity"))
    parser.add_argument("numbers", nargs="+", type=float, help="corner_hz order rate_hz, or rates")
    arguments = parser.parse_args()
    if arguments.kind == "velocity":
        print(velocity_table([int(rate_hz) for rate_hz in arguments.numbers]))
        return
    corner_hz, order, rate_hz = arguments.numbers
    design = butterworth_lowpass if arguments.kind == "lowpass" else butterworth_highpass
    rows = design(corner_hz, int(order), rate_hz)
    print("sos = [")
    for row in rows:
        print("    [" + ", ".join(repr(number) for number in row) + "],")
    print("]")
    print(f"# loudness {max(loudness(rows)):.3f}, at most {LOUDNESS_MAX:g} on a fast channel")


if __name__ == "__main__":
    main()
