"""Rows of an asset's signals become `Estimate`s: what was measured against what the model expects.

The first `training_rows` rows are taken as healthy and fitted (models/linear_gaussian.py); from
then on models/tracker.py weighs every row. The model is fed values alone: it never sees a time,
a row number or a name. Gaps are exact: a missing or bad value is integrated out, a missing row
ages the model.

If the training rows cannot carry a model, nothing is estimated: the status says
BadConfigurationError, `problem` says why in words, and a fit of newer rows is tried later.
A signal that did not vary in training takes no part; its status says BadOutOfService.
"""

import math
from typing import Final, final

import numpy as np

from gateway import status
from gateway.errors import TrainingError
from gateway.models import linear_gaussian
from gateway.models.tracker import Habits, Step, Tracker
from gateway.records import Aligned, Estimate, SignalEstimate
from gateway.stages.rows import Row, RowCollector

WINDOW_ROWS: Final = 20
"""Rows over which the evidence is averaged, and length of a training block."""
DRIFT_SAFETY: Final = 0.25
"""Posterior standard deviations by which the learnt drift is raised (docs/decisions/0005)."""
_NAN: Final = math.nan


def training_rows_min(signals: int) -> int:
    """Return how many healthy rows a model of that many signals needs at least."""
    return max(linear_gaussian.BLOCKS_MIN * WINDOW_ROWS, 2 * signals + 1)


@final
class Fuse:
    """Estimates one asset from `signals` (resolved names), one row per `period_ns`.

    `wait_ns` is how long after its period a row waits for missing values.
    Raises `TrainingError` if `training_rows` cannot be enough for that many signals.
    """

    def __init__(
        self,
        asset: str,
        signals: tuple[str, ...],
        training_rows: int,
        *,
        period_ns: int,
        wait_ns: int | None = None,
        habits: Habits | None = None,
    ) -> None:
        enough = training_rows_min(len(signals))
        if not signals or training_rows < enough:
            raise TrainingError(
                asset,
                f"{training_rows} training rows for {len(signals)} signals are too few",
                f"name at least one signal and set training_rows to {enough} or more",
            )
        self.asset = asset
        self.signals = signals
        self.problem = ""
        self._training_rows = training_rows
        self._habits = Habits() if habits is None else habits
        self._rows = RowCollector(signals, period_ns, period_ns if wait_ns is None else wait_ns)
        self._training: list[list[float]] = []
        self._model: linear_gaussian.LinearGaussian | None = None
        self._tracker: Tracker | None = None
        self._last_number: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Return how many values found no place in a row, by reason (late, ahead, double)."""
        return dict(self._rows.counts)

    @property
    def model(self) -> linear_gaussian.LinearGaussian | None:
        """Return the learnt model, None while learning."""
        return self._model

    def feed(self, item: Aligned, now_ns: int, /) -> list[Estimate]:
        """Take one value; return an estimate for every row that is finished now."""
        return [self._estimate(row) for row in self._rows.put(item, now_ns)]

    def tick(self, now_ns: int, /) -> list[Estimate]:
        """Return the estimates of rows whose waiting time is over though nothing arrived."""
        return [self._estimate(row) for row in self._rows.due(now_ns)]

    def _estimate(self, row: Row) -> Estimate:
        """Learn from a row or weigh it."""
        values = [_NAN if kept is None else _usable(kept) for kept in row.values]
        if self._tracker is None or self._model is None:
            self._train(values)
            code = (
                status.BAD_CONFIGURATION_ERROR
                if self.problem
                else status.BAD_WAITING_FOR_INITIAL_DATA
            )
            return self._empty(row, code)
        if self._last_number is not None and row.number - self._last_number > 1:
            self._tracker.skip(row.number - self._last_number - 1)
        self._last_number = row.number
        used = self._model.used
        measured = np.array(values)[used]
        step = self._tracker.step(measured)
        return Estimate(
            asset=self.asset,
            time_ns=row.time_ns,
            values=self._signals(row, values, step),
            log_density=step.log_density,
            score=step.score,
            anomaly_probability=step.probability,
            is_trained=True,
            status=_row_status(int(np.isfinite(measured).sum()), len(measured)),
        )

    def _train(self, values: list[float]) -> None:
        """Keep a training row; fit when there are enough."""
        self._training.append(values)
        if len(self._training) < self._training_rows:
            return
        try:
            model = linear_gaussian.fit(np.array(self._training), WINDOW_ROWS, DRIFT_SAFETY)
        except linear_gaussian.UnfitRowsError as error:
            self.problem = str(error)
            del self._training[: self._training_rows // 4]
            return
        self.problem = ""
        self._model, self._tracker = model, Tracker(model, self._habits)
        self._training.clear()

    def _signals(self, row: Row, values: list[float], step: Step) -> tuple[SignalEstimate, ...]:
        """Return what the model says about each configured signal."""
        assert self._model is not None  # noqa: S101 - the caller has a step of it
        estimates = []
        place = 0
        for name, kept, value, is_used in zip(
            self.signals, row.values, values, self._model.used, strict=True
        ):
            code = status.BAD_NO_DATA if kept is None else kept.status
            estimates.append(
                SignalEstimate(
                    signal=name,
                    value=value,
                    expected=float(step.expected[place]) if is_used else _NAN,
                    standard_deviation=float(step.deviation[place]) if is_used else _NAN,
                    fused=float(step.expected[place]) if is_used else _NAN,
                    fused_deviation=float(step.deviation[place]) if is_used else _NAN,
                    interval=(_NAN, _NAN),
                    contribution=float(step.contributions[place]) if is_used else 0.0,
                    trust=1.0,
                    status=code if is_used else status.BAD_OUT_OF_SERVICE,
                    fused_status=status.GOOD if is_used else status.BAD_OUT_OF_SERVICE,
                )
            )
            place += bool(is_used)
        return tuple(estimates)

    def _empty(self, row: Row, code: int) -> Estimate:
        """Return the estimate of a row without a model."""
        return Estimate(
            asset=self.asset,
            time_ns=row.time_ns,
            values=(),
            log_density=0.0,
            score=0.0,
            anomaly_probability=0.0,
            is_trained=False,
            status=code,
        )


def _usable(value: Aligned) -> float:
    """Return the number if it may be used, NaN otherwise."""
    is_usable = not status.is_bad(value.status) and math.isfinite(value.value)
    return value.value if is_usable else _NAN


def _row_status(seen: int, used: int) -> int:
    """Return Good for a full row, sub-normal for a thinner one, uncertain below half."""
    if seen == used:
        return status.GOOD
    return status.GOOD_SUB_NORMAL if 2 * seen >= used else status.UNCERTAIN_SUB_NORMAL
