"""Recordings and models taken apart into streams: random rates, phases, delays, gaps, clock errors.

A plant is a truth on a fine grid; between its points it is taken as straight. Each signal has a
period of its own, 0.4 to 2.5 rows, and gaps between samples of 0.5 + Exp(0.5) periods; one sample
in a hundred begins a gap of five periods. Samples travel Exp(0.2) rows, one in fifty another row or
two. Signals belong in turn to one of three sources, each with a clock error of its own that wanders
(Ornstein-Uhlenbeck, ten rows) with a standard deviation the source knows and states.

Promises: the same seed, the same streams. Left to others: what is made of them (alignment.py).
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import recordings
from gateway import status
from gateway.records import Aligned, Provenance
from hil.plants import pump

Floats = NDArray[np.float64]

START_NS: Final = 1_700_000_000_000_000_000
NS_PER_S: Final = 1_000_000_000
SOURCES: Final = 3
NOISE_SHARE: Final = 0.3
"""Noise of a simulated sensor over the deviation of its signal while all is well."""
PUMP_S: Final = 12_000
CLOCK_ROWS: Final = 10.0


class Plant(NamedTuple):
    """What there is to sample; n points of a grid, s signals."""

    name: str
    signals: tuple[str, ...]
    step_s: float
    truth: Floats
    """(n, s)."""
    noise: Floats
    """(s,): deviation that a sensor adds; 0 where the truth is a recording and has it in it."""
    row_s: float
    healthy_s: float
    """No fault before."""
    fault_s: float
    """Nothing is counted as healthy from here on; the end if there is no fault."""

    def at(self, times_s: Floats, place: int) -> Floats:
        """Return the truth of one signal at any times (m,)."""
        grid_s = self.step_s * np.arange(len(self.truth))
        return np.interp(times_s, grid_s, self.truth[:, place])

    @property
    def scale(self) -> Floats:
        """Deviation (s,) of each signal while all is well."""
        deviation: Floats = self.truth[: int(self.healthy_s / self.step_s)].std(axis=0)
        return deviation


class Stream(NamedTuple):
    """The samples of one signal, m in number, in order of their true time."""

    true_s: Floats
    stated_s: Floats
    """By the source's clock."""
    deviation_s: Floats
    """(m,): standard uncertainty of `stated_s`, as the source states it."""
    arrival_s: Floats
    values: Floats


def pump_plant(seed: int = 5) -> Plant:
    """Return the skid of our own model, whose valve closes in the middle third."""
    states = list(pump.simulate(seed, PUMP_S))
    truth = np.array(
        [
            (
                state.vibration_1_m_s2,
                state.vibration_2_m_s2,
                state.current_ampere,
                state.pressure_pascal,
                state.motor_celsius,
                state.water_celsius,
                state.mains_volt,
                state.flow_m3_s,
            )
            for state in states
        ]
    )
    first, _ = pump.fault_rows(PUMP_S)
    names = tuple(f"pump:{name}" for name, _ in pump.COLUMNS)
    noise = NOISE_SHARE * truth[:first].std(axis=0)
    return Plant("pump model", names, 1.0, truth, noise, 5.0, float(first), float(first))


def skab_plant(data: Path) -> Plant:
    """Return the SKAB recording without faults; raises `MissingDataError` without it."""
    found = recordings.read_skab_normal(data)
    names = tuple(f"skab:{name}" for name in found.signals)
    end_s = float(len(found.rows))
    return Plant("SKAB", names, 1.0, found.rows, np.zeros(len(names)), 5.0, end_s, end_s)


def streams(
    plant: Plant, clock_s: tuple[float, ...], seed: int, lost_s: tuple[float, float] | None = None
) -> list[Stream]:
    """Sample a plant; `clock_s` is how well each source knows its time, in standard deviations.

    `lost_s` is from when on the last source knows it only to so much, and says so.
    """
    rng = np.random.default_rng(seed)
    end_s = plant.step_s * (len(plant.truth) - 1)
    errors = [_clock(end_s, CLOCK_ROWS * plant.row_s, rng) for _ in range(SOURCES)]
    made = []
    for place in range(len(plant.signals)):
        period_s = plant.row_s * float(np.exp(rng.uniform(np.log(0.4), np.log(2.5))))
        true_s = _instants(period_s, end_s, rng)
        if not plant.noise.any():
            # A recording is only known at its own times.
            true_s = np.unique(np.rint(true_s / plant.step_s) * plant.step_s)
        grid_s, unit = errors[place % SOURCES]
        deviation_s = np.full(len(true_s), clock_s[place % SOURCES])
        if lost_s is not None and place % SOURCES == SOURCES - 1:
            deviation_s[true_s >= lost_s[0]] = lost_s[1]
        stated_s = true_s + deviation_s * np.interp(true_s, grid_s, unit)
        late_s = rng.exponential(0.2 * plant.row_s, len(true_s))
        late_s += (rng.random(len(true_s)) < 0.02) * plant.row_s * rng.uniform(1, 2, len(true_s))
        values = plant.at(true_s, place) + plant.noise[place] * rng.normal(size=len(true_s))
        # Nothing arrives before its own stated time.
        arrival_s = np.maximum(true_s + late_s, stated_s)
        made.append(Stream(true_s, stated_s, deviation_s, arrival_s, values))
    return made


def arrivals(plant: Plant, made: list[Stream]) -> list[tuple[int, Aligned]]:
    """Return all samples as records with their time of arrival, in its order."""
    found = []
    for place, stream in enumerate(made):
        rows = zip(
            stream.arrival_s.tolist(),
            stream.stated_s.tolist(),
            stream.deviation_s.tolist(),
            stream.values.tolist(),
            strict=True,
        )
        for sequence, (arrival_s, stated_s, deviation_s, value) in enumerate(rows):
            unsure_ns = round(2.0 * deviation_s * NS_PER_S)
            record = Aligned(
                signal=plant.signals[place],
                unit="",
                value=value,
                time_ns=START_NS + round(stated_s * NS_PER_S),
                bound_ns=2 * unsure_ns,
                uncertainty_ns=unsure_ns,
                status=status.GOOD,
                provenance=Provenance.SEALED,
                source=f"source-{place % SOURCES}",
                sequence=sequence,
            )
            found.append((START_NS + round(arrival_s * NS_PER_S), record))
    return sorted(found, key=lambda each: (each[0], each[1].signal))


def _instants(period_s: float, end_s: float, rng: np.random.Generator) -> Floats:
    """Return when a signal is sampled."""
    count = int(2.0 * end_s / period_s) + 8
    gaps_s = period_s * (0.5 + rng.exponential(0.5, count))
    gaps_s += 5.0 * period_s * (rng.random(count) < 0.01)
    true_s = np.cumsum(gaps_s)
    return true_s[true_s < end_s]


def _clock(end_s: float, memory_s: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return a grid of times and the error of a clock there, of deviation 1."""
    grid_s = np.arange(0.0, end_s + memory_s, memory_s / 10.0)
    kept = np.exp(-0.1)
    error = np.empty(len(grid_s))
    error[0] = rng.normal()
    for place, push in enumerate(rng.normal(size=len(grid_s) - 1), start=1):
        error[place] = kept * error[place - 1] + np.sqrt(1.0 - kept**2) * push
    return grid_s, error
