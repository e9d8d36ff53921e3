"""Simulated clocks and links: probes as a gateway sees them, with the truth beside them.

A node's clock shows gateway time less offset(t), in whole microseconds. d offset / dt is a constant
part and the parabola of a tuning fork, -0.03 ppm/C^2 about 25 C, at a temperature that swings; all
of it within the class of the crystal. Delays have a shortest part, split by the asymmetry
A = (up - down) / (up + down), and waiting of a law of its own per kind of link.

Promises: deterministic for a Generator; all integers in ns; offset(t) exact to 1 ns.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Floats = NDArray[np.float64]

START_NS: Final = 1_790_000_000_000_000_000
TURNOVER_C: Final = 25.0
PARABOLA_PPM: Final = 0.03
"""Tuning fork, data sheets: -0.030 +- 0.010 ppm/C^2."""
ASYMMETRY: Final = 0.25
"""The stated prior of the asymmetry, as `node_clock.ASYMMETRY_DEVIATION`."""


class Oscillator(NamedTuple):
    """The rate of one clock over time; the offset is its integral."""

    class_ppm: float
    """No rate is beyond it."""
    constant_ppm: float
    parabola_ppm: float
    """ppm/C^2."""
    mean_c: float
    swing_c: float
    period_s: float

    def offset_ns(self, seconds: Floats) -> Floats:
        """Return the offset gained since 0, in closed form."""
        w = 2 * math.pi / self.period_s
        a, b = self.mean_c - TURNOVER_C, self.swing_c
        integral = (
            (a * a + b * b / 2) * seconds
            + 2 * a * b * (1 - np.cos(w * seconds)) / w
            - b * b * np.sin(2 * w * seconds) / (4 * w)
        )
        return 1000 * (self.constant_ppm * seconds + self.parabola_ppm * integral)

    def skew_ppm(self, seconds: float) -> float:
        """Return the rate at a moment."""
        temperature = self.mean_c + self.swing_c * math.sin(2 * math.pi * seconds / self.period_s)
        return self.constant_ppm + self.parabola_ppm * (temperature - TURNOVER_C) ** 2


class Link(NamedTuple):
    """A kind of link: how long messages wait, and which probes are lost."""

    name: str
    waiting: Callable[[np.random.Generator, int, float], Floats]
    """(generator, messages, shortest one-way delay in ns) -> waiting in ns."""
    lost: float
    is_asymmetric: bool
    steps: bool = False


class Recording(NamedTuple):
    """Probes of one node: four stamps each, and a moment before the next to be placed."""

    name: str
    oscillator: Oscillator
    period_s: float
    t1_ns: list[int]
    t2_us: list[int]
    t3_us: list[int]
    t4_ns: list[int]
    look_ns: list[int]
    """True gateway time of a moment between this answer and the next probe ..."""
    look_us: list[int]
    """... and what the node's clock showed then."""


def exponential(rng: np.random.Generator, count: int, base_ns: float) -> Floats:
    """Waiting with a mean of a fifth of the shortest delay."""
    return rng.exponential(0.2 * base_ns, count)


def bursty(rng: np.random.Generator, count: int, base_ns: float) -> Floats:
    """Quiet most of the time; in bursts of 20 messages waiting is 30 times as long."""
    flips = rng.random(count)
    busy = np.empty(count, dtype=bool)
    state = False
    for index, flip in enumerate(flips):
        state = flip >= 0.05 if state else flip < 0.01
        busy[index] = state
    return rng.exponential(np.where(busy, 3.0, 0.1) * base_ns)


def normal(rng: np.random.Generator, count: int, base_ns: float) -> Floats:
    """No sharp edge: a normal law, 0.1 of the shortest delay, five deviations above it."""
    return np.maximum(rng.normal(0.5, 0.1, count) * base_ns, 0.0)


def uniform(rng: np.random.Generator, count: int, base_ns: float) -> Floats:
    """Anything up to half of the shortest delay, as where polling or a slot decides."""
    return rng.uniform(0.0, 0.5 * base_ns, count)


LINKS: Final = (
    Link("symmetric", exponential, 0.0, is_asymmetric=False),
    Link("asymmetric", exponential, 0.0, is_asymmetric=True),
    Link("uniform", uniform, 0.0, is_asymmetric=True),
    Link("normal", normal, 0.0, is_asymmetric=True),
    Link("bursty", bursty, 0.0, is_asymmetric=True),
    Link("lossy", exponential, 0.3, is_asymmetric=True),
    Link("steps", exponential, 0.0, is_asymmetric=True, steps=True),
)
"""Kinds of the benchmark; all but the first draw their asymmetry from the stated prior."""
CLASSES_PPM: Final = (1.0, 5.0, 20.0, 50.0, 100.0)
PERIODS_S: Final = (1.0, 10.0)


def oscillator(rng: np.random.Generator, class_ppm: float) -> Oscillator:
    """Return a crystal of a class: up to half of it constant, the rest left to temperature."""
    hottest_c = 20.0 + 10.0
    share = min(1.0, 0.5 * class_ppm / (PARABOLA_PPM * hottest_c**2))
    return Oscillator(
        class_ppm,
        rng.uniform(-0.5, 0.5) * class_ppm,
        PARABOLA_PPM * share,
        TURNOVER_C + rng.uniform(-20.0, 20.0),
        rng.uniform(0.0, 10.0),
        rng.uniform(1_800.0, 7_200.0),
    )


def record(rng: np.random.Generator, link: Link, class_ppm: float, probes: int) -> Recording:
    """Simulate the probes of one node over a link."""
    crystal = oscillator(rng, class_ppm)
    period_s = float(rng.choice(PERIODS_S))
    base_ns = 1e6 * 10 ** rng.uniform(-0.7, 1.7)
    split = float(np.clip(rng.normal(0.0, ASYMMETRY), -1, 1)) if link.is_asymmetric else 0.0
    # A message of a kind with bursts waits in the same queue both ways, hence two series.
    up = base_ns * (1 + split) + link.waiting(rng, probes, base_ns)
    down = base_ns * (1 - split) + link.waiting(rng, probes, base_ns)
    asked = np.arange(probes) * period_s * 1e9 + rng.uniform(0, 0.01e9, probes)
    came = asked + down
    answered = came + rng.uniform(0.05e6, 2e6, probes)
    back = answered + up
    look = back + rng.uniform(0.0, 1.0, probes) * np.maximum(period_s * 0.9e9 - (back - asked), 0)
    jumps = _jumps(rng, probes) if link.steps else np.zeros(probes)
    keep = rng.random(probes) >= link.lost
    shift_ns = int(rng.integers(-(10**12), 10**12)) - 10**13

    def shown_us(moment_ns: Floats) -> list[int]:
        offset = np.rint(crystal.offset_ns(moment_ns * 1e-9) + jumps).astype(np.int64)
        node_ns = START_NS + np.rint(moment_ns).astype(np.int64) - offset
        return [int(n) for n in ((node_ns - START_NS - shift_ns) // 1000)[keep]]

    def gateway_ns(moment_ns: Floats, rounding: Callable[[Floats], Floats]) -> list[int]:
        return [START_NS + int(n) for n in rounding(moment_ns)[keep]]

    return Recording(
        link.name, crystal, period_s,
        gateway_ns(asked, np.floor), shown_us(came), shown_us(answered), gateway_ns(back, np.ceil),
        gateway_ns(look, np.rint), shown_us(look),
    )  # fmt: skip


def _jumps(rng: np.random.Generator, probes: int) -> Floats:
    """Return the sum of the steps so far at each probe: one in 500 probes, 2 to 20 s either way."""
    steps = np.where(
        rng.random(probes) < 1 / 500,
        rng.uniform(2e9, 20e9, probes) * rng.choice([-1.0, 1.0], probes), 0.0,
    )  # fmt: skip
    return np.cumsum(steps)
