"""Asynchronous, late and badly timed samples on one timeline: error, coverage, fusion, cost.

    python -m benchmarks.alignment [--data DIR] [--only resampling carried fusion cost]

Streams are those of alignment_streams.py: random rates, delays, gaps and clock errors that are
stated. Every figure is against a truth that no method has seen.

resampling   At random times while all is well: the last value before (hold), the straight line
             between neighbours, the conditional mean of samples before only, and of one after as
             well. Errors in deviations of the signal; coverage is how often the truth lies within
             two stated deviations. The truth of SKAB is a recorded reading, at times at which the
             signal was not sampled: the noise of the sensor is in it.
carried      What rows hold: readings carried to the time of the row by `RowCollector`, against the
             truth there. Two stated deviations are those of one reading, by the law that held, and
             of the extra variance. The pump once more after it has rested: its laws are
             then those of rest, and are learnt again.
fusion       Rows from `RowCollector`, a model learnt from the first of them, then the tracker:
             with the last value of each row and no word of its time, and with carried values and
             their extra variances. Error of the fused value and of the virtual sensor (what the
             others make expected) against the truth at the row's time; how often 90 % intervals
             hold, of the fused value, or of the virtual sensor where the truth is a reading; share
             of suspect rows while all is well; rows to the alarm of a closing valve.
cost         1,000 signals at 10 Hz through `RowCollector`, as a share of one core.

Exit status 1: no data.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import engine
from benchmarks.alignment_cost import cost
from benchmarks.alignment_streams import (
    NS_PER_S,
    SOURCES,
    START_NS,
    Plant,
    Stream,
    arrivals,
    pump_plant,
    skab_plant,
    streams,
)
from benchmarks.recordings import MissingDataError
from gateway.models import alignment_law
from gateway.models.alignment import Samples, resample, time_variance
from gateway.models.alignment_law import Law
from gateway.models.alignment_rows import BEFORE, Usual
from gateway.models.fit import Settings
from gateway.models.tracker import Habits, Tracker
from gateway.models.twin_model import interval
from gateway.stages.rows import Row, RowCollector

Floats = NDArray[np.float64]

SEED: Final = 7
WANTED: Final = 1_000
TRAINING_ROWS: Final = 400
GOOD_S: Final = 0.005
"""Standard uncertainty of the time of a good clock."""
CLOCKS: Final = {"good": (0.0, 0.0), "one poor": (0.0, 0.25), "one lost later": (0.6, 1.0)}
"""From when on, as a share of the time without fault, the last source's clock is known to how much,
as a share of a row; 0 is good."""
REST_SHARE: Final = 0.35
"""Of the time without fault: as long as the first laws take, and is not counted."""
COST_GOAL: Final = 0.10
_FILE_COLUMNS: Final = 140


class Error(NamedTuple):
    """How far off, and how often within two stated deviations; NaN if none is stated."""

    rms: float
    coverage: float


class Fusion(NamedTuple):
    """What the tracker made of rows."""

    fused: float
    """Root mean square error over the deviation of the signal, of all signals."""
    virtual: float
    coverage: float
    """Of 90 % intervals of the fused value; of the virtual sensor, if the truth is a reading."""
    suspect: float
    """Share of rows while all is well."""
    delay_rows: float
    """To the first lasting alarm in the fault; NaN for none."""


# --- resampling -----------------------------------------------------------------------------------


def resampling(plant: Plant, made: list[Stream], seed: int) -> dict[str, Error]:
    """Return the errors of four methods over all signals of a plant at random times."""
    rng = np.random.default_rng(seed)
    away: dict[str, list[Floats]] = {}
    inside: dict[str, list[Floats]] = {}
    for place, stream in enumerate(made):
        law = _law(stream)
        after_s = float(np.sort(stream.stated_s)[alignment_law.SAMPLES])
        last_s = min(float(stream.true_s[-2]), plant.healthy_s)
        wanted_s = np.sort(rng.uniform(after_s, last_s, WANTED))
        if not plant.noise.any():
            # A recorded reading that a method has seen is no test of it.
            wanted_s = np.setdiff1d(np.rint(wanted_s), stream.true_s)
        truth = plant.at(wanted_s, place)
        for name, (mean, variance) in _methods(stream, law, wanted_s, plant).items():
            off = (mean - truth) / plant.scale[place]
            away.setdefault(name, []).append(off)
            spread = np.sqrt(variance) / plant.scale[place]
            inside.setdefault(name, []).append(np.where(spread > 0, np.abs(off) <= 2 * spread, 0.0))
    return {
        name: Error(
            float(np.sqrt(np.mean(np.concatenate(parts) ** 2))),
            float(np.mean(np.concatenate(inside[name]))),
        )
        for name, parts in away.items()
    }


def _law(stream: Stream) -> Law:
    """Learn the law of a stream from its first samples."""
    order = np.argsort(stream.stated_s[: alignment_law.SAMPLES], kind="stable")
    return alignment_law.learn(stream.stated_s[order][None], stream.values[order][None])


def _methods(
    stream: Stream, law: Law, wanted_s: Floats, plant: Plant
) -> dict[str, tuple[Floats, Floats]]:
    """Return means and variances (m,) of each method at wanted times (m,)."""
    order = np.argsort(stream.stated_s, kind="stable")
    times_s, values = stream.stated_s[order], stream.values[order]
    nothing = np.zeros(len(wanted_s))
    last = np.searchsorted(times_s, wanted_s, side="right") - 1
    ours = {
        "conditional mean, before": _conditional(stream, law, wanted_s, last, 0, plant),
        "conditional mean, before and after": _conditional(stream, law, wanted_s, last, 1, plant),
    }
    return {
        "hold": (values[last], nothing),
        "linear": (np.interp(wanted_s, times_s, values), nothing),
        **ours,
    }


def _conditional(
    stream: Stream, law: Law, wanted_s: Floats, last: NDArray[np.intp], after: int, plant: Plant
) -> tuple[Floats, Floats]:
    """Return conditional mean and variance (m,), of one more reading where that is the truth."""
    order = np.argsort(stream.stated_s, kind="stable")
    places = last[:, None] + np.arange(-BEFORE + 1, after + 1)
    places = np.clip(places, 0, len(order) - 1)
    times_s = stream.stated_s[order][places] - wanted_s[:, None]
    values = stream.values[order][places]
    laws = law.of(np.zeros(len(wanted_s), dtype=np.intp))
    samples = Samples(times_s, values, np.zeros(values.shape, dtype=np.bool_))
    found = resample(laws, samples)
    unsure = time_variance(laws, samples, stream.deviation_s[order][np.maximum(last, 0)])
    reading = 0.0 if plant.noise.any() else law.noise[0]
    return found.mean, found.variance + unsure + reading


# --- carried values -------------------------------------------------------------------------------


def carried(plant: Plant, made: list[Stream], from_s: float) -> Error:
    """Return how far carried values are off from `from_s` on while all is well."""
    period_ns = round(plant.row_s * NS_PER_S)
    collector = RowCollector(plant.signals, period_ns, period_ns)
    off, inside = [], []
    for arrival_ns, value in arrivals(plant, made):
        for row in collector.put(value, arrival_ns):
            at_s = (row.time_ns - START_NS) / NS_PER_S
            seen = np.isfinite(row.carried.values) & row.carried.has_law
            if not from_s <= at_s < plant.healthy_s - plant.row_s:
                continue
            truth = np.array([plant.at(np.array([at_s]), at)[0] for at in range(len(seen))])
            readings = 1.0 if plant.noise.any() else 2.0
            spread = np.sqrt(row.carried.extra + readings * collector.law.noise)
            apart = row.carried.values - truth
            off.append((apart / plant.scale)[seen])
            inside.append((np.abs(apart) <= 2.0 * spread)[seen])
    return Error(
        float(np.sqrt(np.mean(np.concatenate(off) ** 2))), float(np.mean(np.concatenate(inside)))
    )


def first_at_rest(plant: Plant, until_s: float) -> Plant:
    """Return a plant that stands still until a time, and then runs."""
    truth = plant.truth.copy()
    until = int(until_s / plant.step_s)
    truth[:until] = truth[until]
    return plant._replace(name=f"{plant.name}, first at rest", truth=truth)


# --- fusion ---------------------------------------------------------------------------------------


def rows_of(plant: Plant, made: list[Stream]) -> list[Row]:
    """Pass the streams through a collector as they arrive."""
    period_ns = round(plant.row_s * NS_PER_S)
    collector = RowCollector(plant.signals, period_ns, period_ns)
    rows: list[Row] = []
    for arrival_ns, value in arrivals(plant, made):
        rows += collector.put(value, arrival_ns)
    return rows


def fusion(plant: Plant, rows: list[Row], *, is_carried: bool) -> Fusion:
    """Learn from the first rows, live with the others, compare with the truth."""
    taken = np.array([_taken(row, is_carried=is_carried) for row in rows])
    extra = np.array([np.nan_to_num(row.carried.extra) for row in rows])
    usual = Usual(len(plant.signals), TRAINING_ROWS)
    for row in rows[:TRAINING_ROWS]:
        usual.learn(row.carried)
    model = engine.learn(taken[:TRAINING_ROWS], plant.signals, Settings())
    tracker = Tracker(model, Habits())
    off, virtual, inside, probability, times_s = [], [], [], [], []
    for row, values, more in zip(
        rows[TRAINING_ROWS:], taken[TRAINING_ROWS:], extra[TRAINING_ROWS:], strict=True
    ):
        step = tracker.step(values, usual.beyond(more) if is_carried else None)
        at_s = (row.time_ns - START_NS) / NS_PER_S
        truth = np.array([plant.at(np.array([at_s]), at)[0] for at in range(len(values))])
        if plant.noise.any():
            low, high = interval(model, step.fused, step.fused_deviation, 0.9)
        else:
            low, high = interval(model, step.expected, step.deviation, 0.9)
        off.append((step.fused - truth) / plant.scale)
        virtual.append((step.expected - truth) / plant.scale)
        inside.append((low <= truth) & (truth <= high))
        probability.append(step.probability)
        times_s.append(at_s)
    well = np.array(times_s) < plant.fault_s
    alarmed = engine.lasting(np.array(probability))
    return Fusion(
        float(np.sqrt(np.mean(np.array(off)[well] ** 2))),
        float(np.sqrt(np.mean(np.array(virtual)[well] ** 2))),
        float(np.mean(np.array(inside)[well])),
        float(np.mean(np.array(probability)[well] >= 0.5)),
        _delay(alarmed[~well]),
    )


def _taken(row: Row, *, is_carried: bool) -> Floats:
    """Return the values of a row: carried, or of each signal the last one as it came."""
    if is_carried:
        return row.carried.values
    return np.array([np.nan if kept is None else kept.value for kept in row.values])


def _delay(alarmed: NDArray[np.bool_]) -> float:
    found = np.flatnonzero(alarmed)
    return float(found[0]) if len(found) else float("nan")


# --- tables ---------------------------------------------------------------------------------------


def taken_apart(plant: Plant, name: str, seed: int) -> list[Stream]:
    """Return the streams of a plant whose clocks are as `CLOCKS` names them."""
    since, share = CLOCKS[name]
    lost_s = (since * plant.healthy_s, share * plant.row_s) if share else None
    return streams(plant, (GOOD_S,) * SOURCES, seed, lost_s)


def _report_resampling(plants: list[Plant], console: Console) -> None:
    for plant in plants:
        for name in CLOCKS:
            title = f"{plant.name}, clocks: {name}"
            table = Table("method", "error", "within 2 deviations", title=title)
            made = taken_apart(plant, name, SEED)
            for method, error in resampling(plant, made, SEED).items():
                stated = f"{100 * error.coverage:.1f} %" if method.startswith("cond") else "-"
                table.add_row(method, f"{error.rms:.3f}", stated)
            console.print(table)


def _report_carried(plants: list[Plant], console: Console) -> None:
    table = Table("plant", "clocks", "error", "within 2 deviations", title="Carried values of rows")
    for plant in plants:
        rest_s = REST_SHARE * plant.healthy_s
        # The recording has the noise of its sensors in it, and with it would rest from that too.
        made = [plant, first_at_rest(plant, rest_s)] if plant.noise.any() else [plant]
        for each in made:
            for name in CLOCKS:
                found = carried(each, taken_apart(each, name, SEED), rest_s)
                coverage = f"{100 * found.coverage:.1f} %"
                table.add_row(each.name, name, f"{found.rms:.3f}", coverage)
    console.print(table)


def _report_fusion(plants: list[Plant], console: Console) -> None:
    for plant in plants:
        columns = ("rows of", "fused", "virtual sensor", "90 % hold", "suspect", "delay, rows")
        table = Table("clocks", *columns, title=f"Fusion, {plant.name}, rows of {plant.row_s:g} s")
        for name in CLOCKS:
            rows = rows_of(plant, taken_apart(plant, name, SEED))
            for is_carried in (False, True):
                got = fusion(plant, rows, is_carried=is_carried)
                table.add_row(
                    name,
                    "carried values" if is_carried else "last values",
                    f"{got.fused:.3f}",
                    f"{got.virtual:.3f}",
                    f"{100 * got.coverage:.1f} %",
                    f"{100 * got.suspect:.2f} %",
                    "-" if np.isnan(got.delay_rows) else f"{got.delay_rows:.0f}",
                )
        console.print(table)


def _report_cost(_plants: list[Plant], console: Console) -> None:
    table = Table("rows of", "laws", "share of a core", "worst tenth of a second", "goal")
    for period_ns, laws, seconds in (
        (NS_PER_S // 10, "learnt", 320),
        (NS_PER_S // 10, "being learnt", 24),
        (NS_PER_S, "being learnt", 24),
    ):
        share, worst_s = cost(period_ns, seconds=seconds)
        said = "reached" if share <= COST_GOAL else "NOT reached"
        table.add_row(
            f"{period_ns / NS_PER_S:g} s",
            laws,
            f"{100 * share:.1f} %",
            f"{1e3 * worst_s:.0f} ms",
            f"{100 * COST_GOAL:.0f} %, {said}",
        )
    console.print(table)


PARTS: Final[dict[str, Callable[[list[Plant], Console], None]]] = {
    "resampling": _report_resampling,
    "carried": _report_carried,
    "fusion": _report_fusion,
    "cost": _report_cost,
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=sorted(PARTS), default=list(PARTS))
    given = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_COLUMNS)
    makers = (pump_plant, partial(skab_plant, given.data))
    plants, problems = [], 0
    for make in makers:
        try:
            plants.append(make())
        except MissingDataError as error:
            console.print(str(error), soft_wrap=True)
            problems = 1
    for name in given.only:
        PARTS[name](plants, console)
    return problems


if __name__ == "__main__":
    sys.exit(main())
