"""The first rows of an asset become its model: kept, fitted, calibrated, then forgotten.

Promises: what is learnt depends on the rows alone, so the same rows give the same model, bit for
bit. Learning takes seconds (docs/decisions/0028); where it is done is said by `work.Begin`, and the
rows that come meanwhile are kept for the model to catch up with. Missing rows, up to a block, stay
in without values; a longer gap parts the rows into segments, across which nothing is learnt. Rows
that cannot carry a model are said so (`problem`), the oldest quarter is forgotten, and a fit is
tried again when there are enough.
Left to others: whether the rows were healthy (who starts the gateway vouches for that), what
becomes of the model (`gateway/lifecycle/live.py`), living with it (`models/tracker.py`).
"""

import hashlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, final

import numpy as np

from gateway.errors import TrainingError
from gateway.lifecycle.codec import CodecError
from gateway.lifecycle.file import Origin, digest_of
from gateway.lifecycle.shapes import check
from gateway.models import fit, monitor
from gateway.models.calibration import Calibration, at_set_point, calibrated
from gateway.models.explanation import Experience, experience
from gateway.models.fit import Asset, Settings
from gateway.models.monitor import Healthy
from gateway.models.scaling import scaled
from gateway.models.twin_model import Floats, TwinModel
from gateway.stages.work import Begin, at_once

WINDOW_ROWS: Final = Settings().window_rows
ID_DIGITS: Final = 16
LATER_ROWS_MAX: Final = 600
"""Rows kept while a model is learnt from those before; of more the oldest count as missing."""
_NAN: Final = float("nan")


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
    last_number: int
    """Of its row."""
    rows_sha256: str
    """Of the values as little-endian 64-bit floats, row by row."""
    is_sealed: bool
    """Whether every value was sealed by its node, so that nobody can have made it up."""
    baseline: Healthy
    """Sums of the rows, for the monitor of drift."""
    values: Floats
    """(n, S): the rows, with rows of NaN in gaps."""
    experience: Experience
    """What healthy rows teach about hypotheses (models/explanation.py)."""


class Known(NamedTuple):
    """A model to go on with instead of learning one."""

    model: TwinModel
    model_id: str
    """First digits of its digest."""
    learnt_to_ns: int | None
    """Time of its last training row: its calibration age counts from there; None is unknown."""


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
        begin: Begin = at_once,
    ) -> None:
        enough = training_rows_min(len(asset.signals))
        if not asset.signals or rows < enough:
            raise TrainingError(
                asset.name,
                f"{rows} training rows for {len(asset.signals)} signals are too few",
                f"name at least one signal and set training_rows to {enough} or more",
            )
        self.problem = ""
        self._rows_needed = rows
        self._learn = partial(_learn, asset, false_alarms_per_hour, settings)
        self._begin = begin
        self._rows: list[LiveRow] = []
        self._under_way: Future[Learnt] | None = None
        self._later: deque[LiveRow] = deque(maxlen=LATER_ROWS_MAX)

    def take(self, row: LiveRow) -> Learnt | None:
        """Keep a row; return what was learnt as soon as there are enough and it is done."""
        kept = self._rows if self._under_way is None else self._later
        if kept and row.number <= kept[-1].number:
            # The clock was set back: neighbours in time are no longer neighbours in this list.
            kept.clear()
        kept.append(row)
        if self._under_way is None and len(self._rows) < self._rows_needed:
            return None
        try:
            if self._under_way is None:
                self._under_way = self._begin(partial(self._learn, tuple(self._rows)))
            if not self._under_way.done():
                return None
            learnt = self._under_way.result()
        except (ArithmeticError, ValueError) as error:
            # Unfit rows are a ValueError, and so is a matrix that cannot be solved.
            self._under_way = None
            self.problem = str(error)
            del self._rows[: self._rows_needed // 4]
            self._rows += self.later()
            return None
        self._under_way = None
        self.problem = ""
        self._rows.clear()
        return learnt

    def later(self) -> list[LiveRow]:
        """Return and forget the rows that came while the model was learnt, the newest last."""
        rows = list(self._later)
        self._later.clear()
        return rows


def _learn(
    asset: Asset,
    false_alarms_per_hour: float,
    settings: Settings | None,
    rows: tuple[LiveRow, ...],
) -> Learnt:
    """Fit and calibrate; raise `UnfitRowsError`, or ValueError if the numbers run out."""
    parts = segments(rows)
    model = fit.fit(
        parts,
        asset.signals,
        asset.units,
        period_ns=asset.period_ns,
        asset=asset.name,
        settings=settings,
    )
    values = joined(parts)
    model = calibrated(model, values, false_alarms_per_hour)
    try:
        check(model)
    except CodecError as error:
        raise fit.UnfitRowsError(f"what these rows teach cannot be used: {error}") from error
    seen = np.array([row.values for row in rows], dtype="<f8")
    return Learnt(
        model=model,
        rows=len(rows),
        from_ns=rows[0].time_ns,
        to_ns=rows[-1].time_ns,
        last_number=rows[-1].number,
        rows_sha256=hashlib.sha256(seen.tobytes()).hexdigest(),
        is_sealed=all(row.is_sealed for row in rows),
        baseline=monitor.summarise(model, parts),
        values=values,
        experience=experience(model, scaled(model.scaling, values)),
    )


def segments(rows: Iterable[LiveRow]) -> list[Floats]:
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


def with_set_point(model: TwinModel, false_alarms_per_hour: float) -> TwinModel:
    """Return a model with its limits for another rate of false alarms, if it has limits."""
    found = model.calibration
    if not isinstance(found, Calibration):
        return model
    return replace(model, calibration=at_set_point(found, false_alarms_per_hour))


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
        ways=learnt.experience.ways,
        handicap=learnt.experience.handicap,
    )


def model_id(learnt: Learnt) -> str:
    """Return the id of a model learnt live: the first digits of the digest of its file."""
    return digest_of(learnt.model, origin_of(learnt))[:ID_DIGITS]
