"""Our engine as the benchmarks see it: learn from training rows, say something about later rows.

Promises: only the public interface (gateway.models.fit, calibration, tracker) and the rule of the
judge; one configuration for every set, file and signal, the one a site gets that says nothing.
What goes in are the numbers of the rows and the names of the columns; no time, no file, no row
number.
Leaves to others: what is counted (measures.py, nab.py), and what the gateway does around it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from gateway.models.calibration import calibrate
from gateway.models.fit import Settings, fit
from gateway.models.tracker import Habits, Tracker
from gateway.models.twin_model import TwinModel
from gateway.stages.judge import Persistence

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Watch = Callable[[Floats], Bools]
Result = TypeVar("Result")

PROCESSES: Final = 2
PERIOD_NS: Final = 1_000_000_000
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Said(NamedTuple):
    """What the engine said about n rows."""

    score: Floats
    """(n,): evidence against normal, 0 is none."""
    probability: Floats
    """(n,): 0.5 is crossed at the set-point of false alarms."""
    alarmed: Bools
    """(n,): whether the judge is in ALARM after the row."""
    changed: Bools
    """(n,): whether a change point is said at the row."""


def learn(training: Floats, signals: Sequence[str], settings: Settings | None = None) -> TwinModel:
    """Fit and calibrate on rows (t, s) of normal operation."""
    names = tuple(signals)
    blank = ("",) * len(names)
    model = fit(training, names, blank, period_ns=PERIOD_NS, asset="plant", settings=settings)
    return replace(model, calibration=calibrate(model, training))


def say(model: TwinModel, rows: Floats) -> Said:
    """Pass rows (n, s) through a fresh tracker, one by one."""
    tracker = Tracker(model, Habits())
    steps = [tracker.step(row) for row in rows]
    probability = np.array([step.probability for step in steps])
    return Said(
        np.array([step.score for step in steps]),
        probability,
        lasting(probability),
        np.array([step.change > 0.0 for step in steps]),
    )


def learn_alarms(training: Floats, signals: Sequence[str]) -> Watch:
    """Learn once; return what tells the alarms of any rows that follow."""
    model = learn(training, signals)
    return lambda rows: say(model, rows).alarmed


def lasting(probability: Floats, rule: Persistence | None = None) -> Bools:
    """Return for each probability (n,) whether the judge is then in ALARM.

    ALARM begins with `rows_on` rows in a row at or above `alarm_on`, and ends with `rows_off` rows
    in a row at or below `alarm_off`.
    """
    chosen = Persistence() if rule is None else rule
    alarmed = np.zeros(len(probability), dtype=np.bool_)
    is_alarm, run = False, 0
    for row, value in enumerate(probability):
        speaks = value <= chosen.alarm_off if is_alarm else value >= chosen.alarm_on
        run = run + 1 if speaks else 0
        if run >= (chosen.rows_off if is_alarm else chosen.rows_on):
            is_alarm, run = not is_alarm, 0
        alarmed[row] = is_alarm
    return alarmed


def in_parallel(
    work: Callable[..., Result],
    items: Iterable[tuple[object, ...]],
    what: str,
    console: Console,
) -> list[Result]:
    """Do `work` on every item in two processes of one thread each; return results in their order.

    The processes are spawned, so `work` is a function of a module and sees no state of this one.
    """
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(work, *item) for item in items]
        shown = track(waiting, description=what, console=console, transient=True)
        return [future.result() for future in shown]
