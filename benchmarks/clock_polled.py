"""Polled clocks that show whole steps: coverage of their offset and of the times of their stamps.

A server or controller shows its clock in steps and is asked every so often; where the poll falls in
the step is the same each time, drifts with the rates, or varies by `dither_ns`. One polled clock is
a node with T2 = T3. Ways of 2 ms and waiting of 1 ms (mean) each, rates up to half the class.
And, of a node on a slow link, how often a later sample gets an earlier time over an exchange.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng

from benchmarks.clock_links import START_NS
from gateway.models.node_clock import Crystal, NodeClock

STEPS_NS: Final = (1_000, 1_000_000, 16_000_000, 1_000_000_000)
PERIODS_S: Final = (0.5, 1.0, 1.1, 10.0)
DITHERS_NS: Final = (300_000, 20_000_000)
_CLASS_PPM: Final = 100.0
_WARM: Final = 30
_POLLS: Final = 600


class Polled(NamedTuple):
    """What became of polled clocks of one kind."""

    offsets: float
    """Share of offsets inside their expanded uncertainty."""
    stamps: float
    """Share of stamps of values inside theirs."""
    violations: int
    error_ns: float
    """Of the offset, median."""
    uncertainty_ns: float


def _play(rng: Generator, step_ns: int, period_ns: int, dither_ns: int) -> np.ndarray:
    """Return rows of error and U of the offset, error and U of a stamp, violations."""
    clock, rows = NodeClock(Crystal(_CLASS_PPM, tick_ns=step_ns)), []
    rate, phase_ns = rng.uniform(-0.5, 0.5) * _CLASS_PPM * 1e-6, int(rng.integers(10**12))

    def node_ns(at_ns: int) -> int:
        return at_ns - 10**15 - phase_ns + round((at_ns - START_NS) * rate)

    for index in range(_POLLS):
        asked = START_NS + index * period_ns + int(rng.integers(dither_ns))
        came = asked + 2_000_000 + int(rng.exponential(1e6))
        back = came + 2_000_000 + int(rng.exponential(1e6))
        shown_us = node_ns(came) // step_ns * step_ns // 1000
        clock.exchange(asked, shown_us, shown_us, back)
        value_ns = came - int(rng.integers(period_ns))
        belief = clock.at(back)
        placed = clock.time_of(node_ns(value_ns) // step_ns * step_ns // 1000)
        if index < _WARM or belief is None or placed is None:
            continue
        error = abs(belief.offset_ns - (came - node_ns(came)))
        late = abs(placed.time_ns - value_ns)
        broken = (error > belief.bound_ns) + (late > placed.bound_ns)
        rows.append((error, belief.uncertainty_ns, late, placed.uncertainty_ns, broken))
    return np.array(rows, dtype=float)


def polled(step_ns: int, period_s: float, dither_ns: int, clocks: int, seed: int) -> Polled:
    """Return what became of so many clocks of one kind, each with its own rate and phase."""
    rows = np.concatenate([
        _play(default_rng([seed, number]), step_ns, round(period_s * 1e9), dither_ns)
        for number in range(clocks)
    ])  # fmt: skip
    error, uncertainty, late, stamp_uncertainty, broken = rows.T
    return Polled(
        float((error <= uncertainty).mean()), float((late <= stamp_uncertainty).mean()),
        int(broken.sum()), float(np.median(error)), float(np.median(uncertainty)),
    )  # fmt: skip


def polled_table(clocks: int, seed: int) -> Iterator[str]:
    """Yield the lines of the table of all kinds."""
    yield (
        "| step | poll | dither ms | offsets covered | stamps covered | violations "
        "| error, median ms | U, median ms |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for step_ns, period_s, dither_ns in product(STEPS_NS, PERIODS_S, DITHERS_NS):
        told = polled(step_ns, period_s, dither_ns, clocks, seed)
        yield (
            f"| {step_ns / 1e6:g} ms | {period_s:g} s | {dither_ns / 1e6:g} "
            f"| {told.offsets:.1%} | {told.stamps:.1%} | {told.violations} "
            f"| {told.error_ns / 1e6:.3g} | {told.uncertainty_ns / 1e6:.3g} |"
        )


def backwards(rate_hz: int, clocks: int, seed: int) -> tuple[int, int, float]:
    """Return pairs of samples over an exchange, those placed backwards, and the worst, in ms.

    One probe a second, ways of 2 ms and waiting of 10 ms (mean): the first minute of each clock.
    """
    pairs, back, worst_ns = 0, 0, 0
    for number in range(clocks):
        rng, clock, now = default_rng([seed, number]), NodeClock(Crystal(_CLASS_PPM)), START_NS
        for _ in range(60):
            now += 1_000_000_000
            down, up = (int(2e6 + rng.exponential(1e7)) for _ in range(2))
            before = clock.time_of((now - 1_000_000_000 // rate_hz - 10**15) // 1000)
            ticks = (now - up - 10**15) // 1000
            clock.exchange(now - up - down, ticks, ticks, now)
            after = clock.time_of((now - 10**15) // 1000)
            if before is not None and after is not None:
                pairs += 1
                back += after.time_ns < before.time_ns
                worst_ns = max(worst_ns, before.time_ns - after.time_ns)
    return pairs, back, worst_ns / 1e6
