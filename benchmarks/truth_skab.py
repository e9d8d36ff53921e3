"""SKAB for truth.py: ours, simple detectors, rules that read no sensor, and published figures.

Promises: one row for each method; all measured under the protocol stated in truth.py, on the files
that are there; the published ones on all 34 files of the set, as their column says.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import baselines, engine, nab, recordings
from benchmarks.baselines import Bools, Floats, Rule
from benchmarks.engine import Said
from benchmarks.measures import Aim, Counts, count, delay_rows, median_delay
from benchmarks.recordings import SKAB_TRAINING_ROWS, MissingDataError, Recording

THERMAL: Final = ("Temperature", "Thermocouple")


class Figures(NamedTuple):
    """What a method got; shares 0..1, NaN for what it does not have."""

    f1: float
    false_alarm_rate: float
    missed_rate: float
    nab: float
    normal_rate: float
    delay_rows: float
    files_missed: int


class Verdicts(NamedTuple):
    """What a method said on the labelled files and on the pieces without faults."""

    labelled: list[Bools]
    """Of each file (n - 400,)."""
    normal: list[Bools]
    changes: list[Floats] | None
    """Times of detected changes, in seconds; None: rows at which the verdict changes."""


PUBLISHED: Final = (
    ("Conv-AE", 0.784, 0.136, 0.280, math.nan),
    ("MSET", 0.780, 0.397, 0.141, math.nan),
    ("T2 + Q", 0.758, 0.266, 0.249, math.nan),
    ("MSCRED, change points", math.nan, math.nan, math.nan, 32.4),
)
"""Name, F1, FAR, MAR, NAB as published, over all 34 files."""


def report(data: Path, console: Console, with_ours: bool) -> list[Aim]:
    """Print a table for each group of files, with our engine or without; return the aims."""
    groups = {name: recordings.read_skab(data, name) for name in recordings.skab_groups(data)}
    pieces = _pieces(data, console)
    ours = our_verdicts(groups, pieces, console) if with_ours else {}
    aims: list[Aim] = []
    for name, files in groups.items():
        shown = _table(name, len(files), len(pieces))
        if with_ours:
            got = figures(files, ours[name])
            _add(shown, "[bold]twinrig, causal[/]", got)
            edges = figures(files, ours[name]._replace(changes=None))
            _add(shown, "change points only: where our verdict changes", _nab_alone(edges.nab))
            shown.add_section()
            aims += _aims(name, got)
        _add_simple(shown, files, pieces)
        shown.add_section()
        for method, f1, false_alarm_rate, missed_rate, score in PUBLISHED:
            published = Figures(f1, false_alarm_rate, missed_rate, score, math.nan, math.nan, 0)
            _add(shown, f"published, 34 files: {method}", published)
        console.print(shown)
    return aims


def _pieces(data: Path, console: Console) -> list[Recording]:
    """Return the pieces of the recording without faults; none, and said so, without it."""
    try:
        return recordings.pieces(recordings.read_skab_normal(data))
    except MissingDataError as error:
        console.print(str(error), soft_wrap=True)
        return []


def _add_simple(shown: Table, files: list[Recording], pieces: list[Recording]) -> None:
    for name, rule in rules(files[0].signals).items():
        _add(shown, name, figures(files, _applied(rule, files, pieces)))
    _add(shown, "change points only: GLR, two windows of 15 s", _changes_alone(files, _glr))
    _add(shown, "change points only: stopwatch", _changes_alone(files, _clock))


def rules(signals: tuple[str, ...]) -> dict[str, Rule]:
    """Return the simple detectors and the rules that read no sensor, by name."""
    kept = [place for place, name in enumerate(signals) if name not in THERMAL]

    def without_thermal(training: Floats, rows: Floats) -> Bools:
        return baselines.probabilistic_pca(training[:, kept], rows[:, kept])

    return {
        "T2 + Q, as published": baselines.t2_and_q,
        "T2 + Q, limit of its source": baselines.t2_and_q_as_meant,
        "probabilistic PCA, k = 3": baselines.probabilistic_pca,
        "the same without thermal channels, hindsight": without_thermal,
        "always alarm": baselines.always,
        "never alarm": baselines.never,
        "stopwatch, test rows 170-569": baselines.stopwatch,
    }


def our_verdicts(
    groups: dict[str, list[Recording]], pieces: list[Recording], console: Console
) -> dict[str, Verdicts]:
    """Run our engine over all files and pieces, two at a time; return verdicts by group."""
    everything = [*pieces, *(file for files in groups.values() for file in files)]
    work: list[tuple[object, ...]] = [(each,) for each in everything]
    said = engine.in_parallel(of_recording, work, "SKAB: files and pieces", console)
    normal, labelled = [each.alarmed for each in said[: len(pieces)]], iter(said[len(pieces) :])
    found: dict[str, Verdicts] = {}
    for name, files in groups.items():
        own = [next(labelled) for _ in files]
        times_s = [file.times_s[SKAB_TRAINING_ROWS:] for file in files]
        changed = [at_s[each.changed] for at_s, each in zip(times_s, own, strict=True)]
        found[name] = Verdicts([each.alarmed for each in own], normal, changed)
    return found


def of_recording(recording: Recording) -> Said:
    """Return what our engine says about the test rows of one recording."""
    training, rows = _split(recording)
    return engine.say(engine.learn(training, recording.signals), rows)


def figures(files: list[Recording], said: Verdicts) -> Figures:
    """Count what a method said."""
    counts, tallies, delays = Counts(0, 0, 0, 0), [], []
    for number, (file, alarmed) in enumerate(zip(files, said.labelled, strict=True)):
        tested = file.part(SKAB_TRAINING_ROWS, len(file.rows))
        counts += count(tested.anomalies, alarmed)
        changed = tested.times_s[nab.changes(alarmed)]
        detected = changed if said.changes is None else said.changes[number]
        tallies.append(nab.tally(detected, tested.times_s[tested.change_points]))
        delays.append(delay_rows(tested.anomalies, alarmed))
    delay, missed = median_delay(delays)
    return Figures(
        counts.f1,
        counts.false_alarm_rate,
        counts.missed_rate,
        nab.total(tallies).score,
        float(np.mean([alarmed.mean() for alarmed in said.normal])) if said.normal else math.nan,
        delay,
        missed,
    )


def _aims(group: str, ours: Figures) -> list[Aim]:
    return [
        Aim(f"SKAB {group}, F1", ours.f1, least=0.87),
        Aim(f"SKAB {group}, FAR %", 100 * ours.false_alarm_rate, most=13.0),
        Aim(f"SKAB {group}, MAR %", 100 * ours.missed_rate, most=14.0),
        Aim(f"SKAB {group}, NAB", ours.nab, least=50.0),
        Aim("SKAB without faults, FAR %", 100 * ours.normal_rate, most=10.0),
    ]


def _applied(rule: Rule, files: list[Recording], pieces: list[Recording]) -> Verdicts:
    return Verdicts(
        [rule(*_split(each)) for each in files], [rule(*_split(each)) for each in pieces], None
    )


def _changes_alone(files: list[Recording], detect: Callable[[Recording], Floats]) -> Figures:
    """Return the NAB score of a method that gives detections and no verdicts."""
    tallies = []
    for file in files:
        tested = file.part(SKAB_TRAINING_ROWS, len(file.rows))
        tallies.append(nab.tally(detect(file), tested.times_s[tested.change_points]))
    return _nab_alone(nab.total(tallies).score)


def _nab_alone(score: float) -> Figures:
    unknown = math.nan
    return Figures(unknown, unknown, unknown, score, unknown, unknown, 0)


def _glr(file: Recording) -> Floats:
    training, rows = _split(file)
    return file.times_s[SKAB_TRAINING_ROWS:][baselines.shift_detections(training, rows)]


def _clock(file: Recording) -> Floats:
    times_s = file.times_s[SKAB_TRAINING_ROWS:]
    return times_s[[row for row in baselines.STOPWATCH_CHANGES if row < len(times_s)]]


def _split(recording: Recording) -> tuple[Floats, Floats]:
    return recording.rows[:SKAB_TRAINING_ROWS], recording.rows[SKAB_TRAINING_ROWS:]


def _table(group: str, files: int, pieces: int) -> Table:
    shown = Table("method", title=f"SKAB {group}, {files} files; normal: {pieces} pieces")
    for name in ("F1", "FAR %", "MAR %", "NAB", "normal %", "delay rows", "files missed"):
        shown.add_column(name, justify="right")
    return shown


def _add(shown: Table, name: str, got: Figures) -> None:
    has_verdicts = not math.isnan(got.delay_rows) or got.files_missed > 0
    shown.add_row(
        name,
        _text(got.f1, ".3f"),
        _text(100 * got.false_alarm_rate, ".1f"),
        _text(100 * got.missed_rate, ".1f"),
        _text(got.nab, ".1f"),
        _text(100 * got.normal_rate, ".1f"),
        _text(got.delay_rows, ".0f"),
        str(got.files_missed) if has_verdicts else "-",
    )


def _text(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
