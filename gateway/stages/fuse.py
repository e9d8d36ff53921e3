"""Rows of an asset's signals become `Estimate`s: what was measured against what the model expects.

The first rows are learnt from (`learning.py`), unless there is a model to go on with; from then on
models/tracker.py weighs every row, and `diagnosis.py` says what it is while rows are suspect. A
signal that is probably false is left out of its own fused value as far as it is doubted:

    fused = (1 - doubt) tracked + doubt expected from the others,   deviation of that mixture

The model is fed values alone, carried to the row's time, and what variance their times add to them
beyond what was usual in its training rows: it never sees a time, a row number or a name. A value
that comes late, within the horizon, revises what was fused without it (`revisions.py`); the model
is not run again, and verdicts stand. Gaps are exact: a
missing or bad value, and a slower signal between two of its values, are integrated out; a missing
row ages the model, and so does the time since a known model was learnt.

If the training rows cannot carry a model, nothing is estimated: the status says
BadConfigurationError, `problem` says why in words, and a fit of newer rows is tried later.
A signal the model cannot use takes no part; its status says BadOutOfService. A way of running the
model never saw is said in the log, channel by channel, and in `strangers`.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np

from gateway import status
from gateway.models.alignment_rows import Usual
from gateway.models.belonging import Watch, check
from gateway.models.calibration import FALSE_ALARMS_PER_HOUR
from gateway.models.fit import Asset, Settings
from gateway.models.scaling import scaled
from gateway.models.tracker import Habits, Step, Tracker
from gateway.models.twin_model import Floats, TwinModel, interval
from gateway.records import Aligned, Estimate, Provenance, SignalEstimate
from gateway.records_time import Revision
from gateway.stages.diagnosis import Diagnosis, louder
from gateway.stages.judge import Persistence
from gateway.stages.learning import Known, Learnt, Lesson, LiveRow, model_id
from gateway.stages.revisions import Revisions
from gateway.stages.row_samples import is_usable
from gateway.stages.row_status import fused_status, row_status, value_status
from gateway.stages.rows import Row, RowCollector
from gateway.stages.work import Begin, at_once

INTERVAL_SHARE: Final = 0.9
_SUSPECT: Final = 0.5
"""Probability of an anomaly from which on a row teaches nothing of how signals move."""
_NAN: Final = math.nan
_LOG: Final = logging.getLogger("twinrig.gateway.stages.fuse")


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseOptions:
    """What a site may say about the rows and the model of an asset."""

    wait_ns: int | None = None
    """How long after its period a row waits for missing values; None: one period."""
    horizon_ns: int = 0
    """How long after its end a row that was published is revised; 0: never."""
    periods_ns: Mapping[str, int] = field(default_factory=dict)
    """How often a signal comes, where that is known."""
    false_alarms_per_hour: float = FALSE_ALARMS_PER_HOUR
    """Set-point of the alarm."""
    settings: Settings | None = None
    """How a model is learnt."""
    habits: Habits | None = None
    """How the tracker lives."""
    persistence: Persistence = field(default_factory=Persistence)
    """When the judge decides; causes are asked for there."""
    begin: Begin = at_once
    """Where a model is learnt, and alarms are explained."""


@final
class Fuse:
    """Estimates one asset, one row of its signals (resolved names) per period.

    Args:
        asset: name, signals, their units, period of the rows.
        training_rows: rows to learn from when there is no model.
        options: what else a site may say.
        known: a model to go on with; it is one of this asset.
        keep: told of a model that was learnt, returns its id; called between two rows.

    Raises `WrongModelError` if the known model is of something else, `TrainingError` if
    `training_rows` cannot be enough for that many signals.
    """

    def __init__(
        self,
        asset: Asset,
        training_rows: int,
        options: FuseOptions | None = None,
        *,
        known: Known | None = None,
        keep: Callable[[Learnt], str] = model_id,
    ) -> None:
        chosen = FuseOptions() if options is None else options
        self.asset = asset.name
        self.signals = asset.signals
        self._period_ns = asset.period_ns
        self._options = chosen
        self._keep = keep
        self._lesson = Lesson(
            asset,
            training_rows,
            chosen.false_alarms_per_hour,
            settings=chosen.settings,
            begin=chosen.begin,
        )
        wait_ns = asset.period_ns if chosen.wait_ns is None else chosen.wait_ns
        self._rows = RowCollector(
            asset.signals, asset.period_ns, wait_ns, chosen.periods_ns, chosen.horizon_ns
        )
        self._revisions = Revisions(asset.name, chosen.horizon_ns // asset.period_ns + 2)
        self._usual = Usual(len(asset.signals), training_rows)
        self._is_followed = known is not None
        """Whether the model was learnt before."""
        self._frame = "", 0
        """Source and sequence of the frame the last value came in."""
        self._model: TwinModel | None = None
        self._model_id = ""
        self._tracker: Tracker | None = None
        self._diagnosis: Diagnosis | None = None
        self._watch: Watch | None = None
        self.strangers: tuple[str, ...] = ()
        """What left every way of running the model knows in the last block of rows, in words."""
        self._learnt_to_ns: int | None = None
        """Time of the last training row of a known model, until the first row has come."""
        self._last_number: int | None = None
        if known is not None:
            check(
                known.model,
                asset=asset.name,
                signals=asset.signals,
                units=asset.units,
                period_ns=asset.period_ns,
            )
            self._go_on_with(known.model, known.model_id)
            self._learnt_to_ns = known.learnt_to_ns

    @property
    def counts(self) -> dict[str, int]:
        """Return how many values found no place in a row, by reason.

        Late, ahead, ancient; a second one for its time (double), one too many (crowded).
        How often a late value revised what was fused, or could not (revised, unrevised), and how
        often there was an alarm that could not be explained, for its numbers ran out
        (unexplained), or experience could not be learnt (unlearnt).
        """
        asked = {} if self._diagnosis is None else self._diagnosis.counts
        return {**self._rows.counts, **self._revisions.counts, **asked}

    @property
    def problem(self) -> str:
        """Return why the training rows so far could not carry a model; empty if all is well."""
        return self._lesson.problem

    @property
    def model(self) -> TwinModel | None:
        """Return the model, None while learning."""
        return self._model

    def feed(self, item: Aligned, now_ns: int, /) -> list[Estimate]:
        """Take one value; return an estimate for every row that is finished now."""
        frame = item.source, item.sequence
        if frame != self._frame:
            # Late values of one frame are worked out together.
            self._frame = frame
            self._revise()
        return [self._estimate(row) for row in self._rows.put(item, now_ns)]

    def tick(self, now_ns: int, /) -> list[Estimate]:
        """Return the estimates of rows whose waiting time is over though nothing arrived."""
        self._revise()
        return [self._estimate(row) for row in self._rows.due(now_ns)]

    def take_revisions(self) -> list[Revision]:
        """Return and forget what late values have corrected since the last call.

        Those of a frame are worked out with the next frame or tick.
        """
        return self._revisions.take()

    def _revise(self) -> None:
        """Correct published values by what came late for their rows."""
        for late in self._rows.take_late():
            if self._model is not None:
                noise = float(_noise(self._model)[late.place])
                extra = max(late.extra - float(self._usual.extra[late.place]), 0.0)
                self._revisions.revise(late, noise + extra)

    def _estimate(self, row: Row) -> Estimate:
        """Learn from a row or weigh it."""
        values = _values(row)
        if self._tracker is None or self._model is None or self._diagnosis is None:
            return self._learn(row, values)
        self._age(self._tracker, self._diagnosis, row)
        measured = np.array(values)
        echo = self._diagnosis.look(scaled(self._model.scaling, measured))
        extra = self._usual.beyond(row.carried.extra)
        step = louder(self._tracker.step(measured, extra), echo)
        is_suspect = step.probability >= _SUSPECT
        self._rows.doubt(is_suspect=is_suspect)
        if self._is_followed and not is_suspect:
            # A model to go on with does not say what was usual in its training rows.
            self._usual.learn(row.carried)
        self._look_around(measured)
        opinion = self._diagnosis.judge(step.probability, step.regime)
        due = np.array(row.is_due) & self._model.scaling.used
        estimates = self._signals(self._model, row, values, _doubted(step, opinion.doubt))
        variances = (_noise(self._model) + extra).tolist()
        self._revisions.remember(row.number, row.time_ns, estimates, variances)
        return Estimate(
            asset=self.asset,
            time_ns=row.time_ns,
            values=estimates,
            log_density=step.log_density,
            score=step.score,
            anomaly_probability=step.probability,
            is_trained=True,
            status=row_status(int(np.isfinite(measured[due]).sum()), int(due.sum())),
            kind=step.kind,
            scale_rows=step.scale_rows,
            regime=step.regime,
            model_id=self._model_id,
            causes=opinion.causes,
            coherence_ns=row.coherence_ns,
            bound_ns=row.bound_ns,
        )

    def _learn(self, row: Row, values: list[float]) -> Estimate:
        """Keep a training row; go on with the model if there is one now."""
        is_sealed = all(kept is None or kept.provenance is Provenance.SEALED for kept in row.values)
        learnt = self._lesson.take(LiveRow(row.number, row.time_ns, values, is_sealed))
        self._usual.learn(row.carried)
        self._last_number = row.number
        if learnt is not None:
            self._catch_up(learnt)
        code = status.BAD_WAITING_FOR_INITIAL_DATA
        return Estimate(
            asset=self.asset,
            time_ns=row.time_ns,
            values=(),
            log_density=0.0,
            score=0.0,
            anomaly_probability=0.0,
            is_trained=False,
            status=status.BAD_CONFIGURATION_ERROR if self.problem else code,
            coherence_ns=row.coherence_ns,
            bound_ns=row.bound_ns,
        )

    def _catch_up(self, learnt: Learnt) -> None:
        """Go on with what was learnt, after the rows that came meanwhile."""
        scaling = learnt.model.scaling
        tracker, diagnosis = self._go_on_with(learnt.model, self._keep(learnt))
        diagnosis.know(scaled(scaling, learnt.values), learnt.experience)
        last = learnt.last_number
        for row in self._lesson.later():
            missing = row.number - last - 1
            if missing > 0:
                tracker.skip(missing)
                diagnosis.skip(missing)
            measured = np.array(row.values)
            diagnosis.look(scaled(scaling, measured))
            step = tracker.step(measured)
            self._look_around(measured)
            diagnosis.judge(step.probability, step.regime)
            last = row.number

    def _go_on_with(self, model: TwinModel, name: str) -> tuple[Tracker, Diagnosis]:
        """Live with a model from the next row on."""
        options = self._options
        self._model, self._model_id = model, name
        tracker = Tracker(model, options.habits or Habits())
        diagnosis = Diagnosis(
            model, options.persistence, options.false_alarms_per_hour, options.begin
        )
        self._tracker, self._diagnosis, self._watch = tracker, diagnosis, Watch(model)
        return tracker, diagnosis

    def _age(self, tracker: Tracker, diagnosis: Diagnosis, row: Row) -> None:
        """Let the rows pass that are missing before this one, or since the model was learnt."""
        missing = 0
        if self._last_number is not None:
            missing = row.number - self._last_number - 1
        elif self._learnt_to_ns is not None:
            missing = (row.time_ns - self._learnt_to_ns) // self._period_ns - 1
        self._last_number = row.number
        if missing > 0:
            tracker.skip(missing)
            diagnosis.skip(missing)
            if self._watch is not None:
                self._watch.skip(missing)

    def _look_around(self, measured: Floats) -> None:
        """Say in the log when rows (S,) leave every way of running in the model, or are back."""
        found = None if self._watch is None else self._watch.step(measured)
        if found is None:
            return
        before, self.strangers = self.strangers, tuple(str(problem) for problem in found)
        if self.strangers and not before:
            _LOG.warning("regime_unknown asset=%s %s", self.asset, " | ".join(self.strangers))
        elif before and not self.strangers:
            _LOG.info("regime_known_again asset=%s", self.asset)

    def _signals(
        self, model: TwinModel, row: Row, values: list[float], doubted: tuple[Step, Floats]
    ) -> tuple[SignalEstimate, ...]:
        """Return what the model says about each configured signal."""
        step, doubt = doubted
        low, high = interval(model, step.fused, step.fused_deviation, INTERVAL_SHARE)
        estimates = []
        place = 0
        for at, (name, is_used) in enumerate(zip(self.signals, model.scaling.used, strict=True)):
            code = value_status(row, at)
            if not is_used:
                estimates.append(_out_of_service(name, values[at]))
                continue
            estimates.append(
                SignalEstimate(
                    signal=name,
                    value=values[at],
                    expected=float(step.expected[place]),
                    standard_deviation=float(step.deviation[place]),
                    fused=float(step.fused[place]),
                    fused_deviation=float(step.fused_deviation[place]),
                    interval=(float(low[place]), float(high[place])),
                    contribution=float(step.contributions[place]),
                    trust=1.0 - float(doubt[place]),
                    status=code,
                    fused_status=fused_status(code, 1.0 - float(doubt[place])),
                )
            )
            place += 1
        return tuple(estimates)


def _doubted(step: Step, doubt: Floats) -> tuple[Step, Floats]:
    """Return the step with its fused values as far from their signals as these are doubted."""
    if not doubt.any():
        return step, doubt
    apart = step.fused - step.expected
    variance = (1.0 - doubt) * step.fused_deviation**2 + doubt * step.deviation**2
    spread = np.sqrt(variance + doubt * (1.0 - doubt) * apart**2)
    return step._replace(fused=step.fused - doubt * apart, fused_deviation=spread), doubt


def _out_of_service(name: str, value: float) -> SignalEstimate:
    """Return the estimate of a signal the model cannot use."""
    return SignalEstimate(
        signal=name,
        value=value,
        expected=_NAN,
        standard_deviation=_NAN,
        fused=_NAN,
        fused_deviation=_NAN,
        interval=(_NAN, _NAN),
        contribution=0.0,
        trust=1.0,
        status=status.BAD_OUT_OF_SERVICE,
        fused_status=status.BAD_OUT_OF_SERVICE,
    )


def _values(row: Row) -> list[float]:
    """Return what each signal has in a row: carried to its time, else as it came, NaN for none."""
    return [
        carried if math.isfinite(carried) else _as_it_came(kept)
        for carried, kept in zip(row.carried.values.tolist(), row.values, strict=True)
    ]


def _as_it_came(kept: Aligned | None) -> float:
    return kept.value if kept is not None and is_usable(kept) else _NAN


def _noise(model: TwinModel) -> Floats:
    """Return the variance (S,) of one reading about the true value; 0 for a signal not used."""
    used = model.scaling.used
    noise = np.zeros(len(used))
    noise[used] = model.state_space.noise * model.scaling.scale[used] ** 2
    return noise
