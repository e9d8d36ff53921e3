"""The first rows of an asset become its model: kept, fitted, calibrated, then forgotten.

Promises: the fit happens once, between two rows, in the thread of the pipeline (its cost is stated
in docs/decisions/0028): what is learnt depends on the rows alone, so the same rows give the same
model, bit for bit. Missing rows, up to a block, stay in without values; a longer gap parts the rows
into segments, across which nothing is learnt. Rows that cannot carry a model are said so
(`problem`), the oldest quarter is forgotten, and a fit is tried again when there are enough.
Left to others: whether the rows were healthy (who starts the gateway vouches for that), what
becomes of the model (`gateway/live_model.py`), living with it (`models/tracker.py`).
"""

import hashlib
import math
from dataclasses import replace
from typing import Final, NamedTuple, final

import numpy as np

from gateway.errors import TrainingError
from gateway.model_file import Origin, digest_of
from gateway.models import fit, monitor
from gateway.models.calibration import Calibration, calibrate
from gateway.models.fit import Asset, Settings
from gateway.models.monitor import Healthy
from gateway.models.twin_model import Floats, TwinModel

WINDOW_ROWS: Final = Settings().window_rows
ID_DIGITS: Final = 16
_NAN: Final = math.nan


def training_rows_min(signals: int) -> int:
    """Return how many healthy rows a model of that many signals needs at least.

    The limits are found by trying on each half what the other half taught.
    """
    return max(2 * fit.BLOCKS_MIN * WINDOW_ROWS, 2 * signals + 1)


class Learnt(NamedTuple):
    """A model, and which rows it was learnt from."""

    model: TwinModel
    rows: int
    from_ns: int
    """Time of the first row."""
    to_ns: int
    """Time of the last row."""
    rows_sha256: str
    """Of the values as little-endian 64-bit floats, row by row."""
    is_sealed: bool
    """Whether every value was sealed by its node, so that nobody can have made it up."""
    baseline: Healthy
    """Sums of the rows, for the monitor of drift."""
    values: Floats
    """(n, S): the rows, with rows of NaN in gaps."""


class Known(NamedTuple):
    """A model to go on with instead of learning one."""

    model: TwinModel
    model_id: str
    """First digits of its digest."""
    learnt_to_ns: int
    """Time of its last training row: its calibration age counts from there."""


class LiveRow(NamedTuple):
    """One row as the model sees it, and what only the record of the training needs."""

    number: int
    time_ns: int
    values: list[float]
    """NaN where there is no usable value."""
    is_sealed: bool


@final
class Lesson:
    """Learns `asset` from its first `rows` rows; raises `TrainingError` if those cannot be enough.

    `false_alarms_per_hour` is the set-point of the alarm; `settings` are those of the fit.
    """

    def __init__(
        self,
        asset: Asset,
        rows: int,
        false_alarms_per_hour: float,
        settings: Settings | None = None,
    ) -> None:
        enough = training_rows_min(len(asset.signals))
        if not asset.signals or rows < enough:
            raise TrainingError(
                asset.name,
                f"{rows} training rows for {len(asset.signals)} signals are too few",
                f"name at least one signal and set training_rows to {enough} or more",
            )
        self.problem = ""
        self._asset = asset
        self._rows_needed = rows
        self._false_alarms_per_hour = false_alarms_per_hour
        self._settings = settings
        self._rows: list[LiveRow] = []

    def take(self, row: LiveRow) -> Learnt | None:
        """Keep a row; return what was learnt when there are enough."""
        if self._rows and row.number <= self._rows[-1].number:
            # The clock was set back: neighbours in time are no longer neighbours in this list.
            self._rows.clear()
        self._rows.append(row)
        if len(self._rows) < self._rows_needed:
            return None
        try:
            learnt = self._learn()
        except (fit.UnfitRowsError, np.linalg.LinAlgError) as error:
            self.problem = str(error)
            del self._rows[: self._rows_needed // 4]
            return None
        self.problem = ""
        self._rows.clear()
        return learnt

    def _learn(self) -> Learnt:
        """Fit and calibrate; raise `UnfitRowsError` or `LinAlgError`."""
        asset, rows = self._asset, self._rows
        parts = segments(rows)
        model = fit.fit(
            parts,
            asset.signals,
            asset.units,
            period_ns=asset.period_ns,
            asset=asset.name,
            settings=self._settings,
        )
        values = joined(parts)
        calibration = calibrate(model, values, self._false_alarms_per_hour)
        seen = np.array([row.values for row in rows], dtype="<f8")
        return Learnt(
            model=replace(model, calibration=calibration),
            rows=len(rows),
            from_ns=rows[0].time_ns,
            to_ns=rows[-1].time_ns,
            rows_sha256=hashlib.sha256(seen.tobytes()).hexdigest(),
            is_sealed=all(row.is_sealed for row in rows),
            baseline=monitor.summarise(model.scaling, parts),
            values=values,
        )


def segments(rows: list[LiveRow]) -> list[Floats]:
    """Return rows as arrays (n, S), parted where more than a block of rows is missing."""
    parts: list[list[list[float]]] = []
    before: LiveRow | None = None
    for row in rows:
        missing = 0 if before is None else row.number - before.number - 1
        if before is None or missing > WINDOW_ROWS:
            parts.append([])
        else:
            parts[-1] += [[_NAN] * len(row.values)] * missing
        parts[-1].append(row.values)
        before = row
    return [np.array(part) for part in parts]


def joined(parts: list[Floats]) -> Floats:
    """Return segments (n, S) as one array, parted by a block of rows without values."""
    gap = np.full((WINDOW_ROWS, parts[0].shape[1]), _NAN)
    pieces = [piece for part in parts for piece in (gap, part)]
    return np.vstack(pieces[1:])


def at_set_point(model: TwinModel, false_alarms_per_hour: float) -> TwinModel:
    """Return a model with its limits for another rate of false alarms.

    Evidence is in nats, each worth a factor e in the rate (models/calibration.py), so limits move
    by the logarithm of the ratio; none falls below "as probable as not".
    """
    found = model.calibration
    if not isinstance(found, Calibration):
        return model
    shift = math.log(found.false_alarms_per_hour / false_alarms_per_hour)
    moved = replace(
        found,
        false_alarms_per_hour=false_alarms_per_hour,
        step_limits=np.maximum(found.step_limits + shift, 0.0),
        joint_limits=np.maximum(found.joint_limits + shift, 0.0),
    )
    return replace(model, calibration=moved)


def origin_of(learnt: Learnt) -> Origin:
    """Return where a model learnt live comes from, for its file."""
    return Origin(
        source="live",
        source_sha256=learnt.rows_sha256,
        rows=learnt.rows,
        from_ns=learnt.from_ns,
        to_ns=learnt.to_ns,
        settings={},
        measured=None,
        baseline=learnt.baseline,
        notes=(),
    )


def model_id(learnt: Learnt) -> str:
    """Return the id of a model learnt live: the first digits of the digest of its file."""
    return digest_of(learnt.model, origin_of(learnt))[:ID_DIGITS]
