"""What clocks claim against what the physics says: `Estimate`s become `SyncCheck`s, cause "lag".

Signals that are coupled tell the time of each other: if one of them stands late, what the others
make expected of it fits best that many rows earlier, whatever its clock says of itself. Tried are
every signal alone and all signals of a source together, against all others, at every
`lag_monitor.HOP_ROWS` rows.

    reported    the lag is beyond what healthy rows had, and beyond what the clock itself admits
    over        the lag is as it was again
    unseen      a lag that was there from the first healthy row on: it is taken for the plant

A lag of the physics is no proof of a wrong clock: a filter or a buffer that was switched on, or a
plant that answers later than it did, shows as the same. What is certain is that the values do not
belong together at the times they carry, and the text says what to look for.

Promises: nothing is said before healthy rows have taught what is normal; rows that the model
suspects teach nothing; bounded cost and memory, so that of many signals only some are watched, and
the log says which are not. A row out of order is left out, a gap ages the
window, another model starts everything anew.
Left to others: the likelihood over lags (`models/lag.py`), limits (`models/lag_reference.py`), the
flow of rows (`models/lag_monitor.py`).
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple, final

import numpy as np

from gateway import status
from gateway.models import lag
from gateway.models.lag_marginals import SIGNALS_MAX
from gateway.models.lag_monitor import FALSE_ALARMS_PER_DAY, Group, Lag, LagMonitor
from gateway.models.lag_reference import HORIZONS
from gateway.models.scaling import scaled
from gateway.models.twin_model import TwinModel
from gateway.records import Estimate, SignalEstimate
from gateway.records_time import ClockEstimate, SyncCause, SyncCheck

_SUSPECT: Final = 0.5
"""Probability of an anomaly from which a row teaches nothing: the set-point of alarms."""
_CLAIMS_MAX: Final = 1024
"""Sources whose clocks are remembered; what a site has, and a bound for what it has not."""
_COVERAGE: Final = 2.0
"""Coverage factor of an expanded uncertainty (GUM, 6.2)."""
_NAMED_MAX: Final = 3
_NS_PER_S: Final = 1_000_000_000
_LOG: Final = logging.getLogger("twinrig.gateway.stages.lag")


class Detectable(NamedTuple):
    """What shift of a signal or source would be found, as healthy rows have taught."""

    name: str
    shift_s: tuple[float | None, ...]
    """For each of `window_s`; None: none within reach, the coupling is too weak."""
    window_s: tuple[float, ...]
    """Time it takes at most, once all of it is behind the shift."""
    reference_s: float
    """Lag that was always there."""


@final
class LagWatch:
    """Watches the signals of one asset; `false_alarms_per_day` are accepted for all together."""

    def __init__(self, false_alarms_per_day: float = FALSE_ALARMS_PER_DAY) -> None:
        self._false_alarms_per_day = false_alarms_per_day
        self._model: TwinModel | None = None
        self._monitor: LagMonitor | None = None
        self._last_ns: int | None = None
        self._claims: dict[str, ClockEstimate] = {}
        self._admitted: Lag | None = None
        """A lag that its clock admits, so that nothing was said of it."""
        self._reported: set[str] = set()
        self._sequences: Counter[str] = Counter()
        self._is_told = False

    def feed(self, estimate: Estimate, model: TwinModel | None, /) -> list[SyncCheck]:
        """Take a row; return what begins and ends with it."""
        if model is None or not estimate.is_trained or len(estimate.values) != len(model.signals):
            return []
        monitor = self._monitor_of(model)
        missing = self._missing(estimate.time_ns, model)
        if missing is None:
            return []
        self._last_ns = estimate.time_ns
        row = scaled(model.scaling, np.array([_usable(each) for each in estimate.values]))
        is_healthy = estimate.anomaly_probability < _SUSPECT
        found = monitor.skip(missing) + monitor.step(row, is_healthy=is_healthy)
        self._tell(model)
        return self._checks(found, estimate.time_ns, model)

    def note(self, clock: ClockEstimate, /) -> None:
        """Take note of what a source's clock claims of itself."""
        if clock.source in self._claims or len(self._claims) < _CLAIMS_MAX:
            self._claims[clock.source] = clock

    def detectable(self) -> tuple[Detectable, ...]:
        """Return what shifts would be found; empty until healthy rows have taught it."""
        if self._model is None or self._monitor is None:
            return ()
        period_s = self._model.period_ns / _NS_PER_S
        return tuple(
            Detectable(
                name,
                tuple(None if rows is None else rows * period_s for rows in learnt.detectable_rows),
                tuple(horizon * lag.WINDOW_ROWS * period_s for horizon in HORIZONS),
                learnt.lag_rows * period_s,
            )
            for name, learnt in self._monitor.references.items()
        )

    def _monitor_of(self, model: TwinModel) -> LagMonitor:
        """Return what watches with this model; another one starts everything anew."""
        if self._monitor is None or model is not self._model:
            self._monitor = LagMonitor(model, groups_of(model), self._false_alarms_per_day)
            self._model = model
            self._last_ns = self._admitted = None
            self._is_told = False
            _tell_left_out(model, self._monitor.left_out)
        return self._monitor

    def _missing(self, time_ns: int, model: TwinModel) -> int | None:
        """Return how many rows are missing before this one; None if it is out of order.

        After a clock that was set back by more than a window all that was before says nothing.
        """
        if self._last_ns is None:
            return 0
        rows = (time_ns - self._last_ns + model.period_ns // 2) // model.period_ns
        if rows < -lag.WINDOW_ROWS:
            return lag.WINDOW_ROWS
        return rows - 1 if rows >= 1 else None

    def _checks(self, found: Sequence[Lag], time_ns: int, model: TwinModel) -> list[SyncCheck]:
        """Return what is to be reported of what was found."""
        checks = []
        if self._admitted is not None and not found:
            found = [self._admitted]
        for each in found:
            source, _, _ = each.group.partition(":")
            if not each.is_active:
                self._admitted = None
                if each.group not in self._reported:
                    continue
                self._reported.discard(each.group)
            elif self._is_admitted(source, each, model):
                self._admitted = each
                continue
            else:
                self._admitted = None
                self._reported.add(each.group)
            checks.append(self._check(source, each, time_ns, model))
        return checks

    def _is_admitted(self, source: str, found: Lag, model: TwinModel) -> bool:
        """Tell whether the clock itself says that it may be off by that much."""
        claim = self._claims.get(source)
        if claim is None or claim.bound_ns is None or not claim.is_two_way:
            return False
        size_rows, unsure_rows = _size(found)
        least_rows = abs(size_rows) - (0.0 if found.is_beyond else unsure_rows)
        return least_rows * model.period_ns <= claim.bound_ns

    def _check(self, source: str, found: Lag, time_ns: int, model: TwinModel) -> SyncCheck:
        """Say what was found."""
        period_s = model.period_ns / _NS_PER_S
        signal = found.group if ":" in found.group else None
        size_rows, unsure_rows = _size(found)
        check = SyncCheck(
            source=source,
            cause=SyncCause.LAG,
            is_active=found.is_active,
            time_ns=time_ns,
            since_ns=time_ns - found.window_rows // 2 * model.period_ns,
            size=size_rows * period_s,
            size_uncertainty=unsure_rows * period_s,
            unit="s",
            text=_text(found, period_s, self._claims.get(source)),
            signal=signal,
            sequence=self._sequences[source],
        )
        self._sequences[source] += 1
        return check

    def _tell(self, model: TwinModel) -> None:
        """Say once in the log what could be found, as soon as healthy rows have taught it."""
        if self._is_told or self._monitor is None:
            return
        learnt = self._monitor.references
        if not learnt or min(each.windows for each in learnt.values()) < HORIZONS[-1]:
            return
        self._is_told = True
        for each in self.detectable():
            shown = ", ".join(
                f"{'no shift' if shift is None else f'{shift:.3g} s'} within {window:.0f} s"
                for shift, window in zip(each.shift_s, each.window_s, strict=True)
            )
            _LOG.info("lag_detectable asset=%s of=%s %s", model.asset, each.name, shown)


def groups_of(model: TwinModel) -> tuple[Group, ...]:
    """Return every used signal alone, and those of a source together.

    A source of one signal is that signal; the only source is compared with nothing.
    """
    sources: dict[str, list[int]] = {}
    for place, name in enumerate(model.names):
        sources.setdefault(name.partition(":")[0], []).append(place)
    groups = [Group(name, np.array([place])) for place, name in enumerate(model.names)]
    if len(sources) > 1:
        groups += [
            Group(source, np.array(places)) for source, places in sources.items() if len(places) > 1
        ]
    return tuple(groups)


def _usable(value: SignalEstimate) -> float:
    """Return a value as it was measured; NaN if it is none."""
    is_usable = math.isfinite(value.value) and not status.is_bad(value.status)
    return value.value if is_usable else math.nan


def _tell_left_out(model: TwinModel, names: Sequence[str]) -> None:
    """Say once in the log that there are too many signals to watch them all."""
    if not names:
        return
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    _LOG.warning(
        "lag_not_watched asset=%s %d of %d signals: those that have most in common with others are "
        "watched for lags, %d at most; left out are %s%s",
        model.asset, len(names), len(model.names), SIGNALS_MAX, ", ".join(names[:_NAMED_MAX]), more,
    )  # fmt: skip


def _size(found: Lag) -> tuple[float, float]:
    """Return the lag in rows and its expanded uncertainty; of one beyond reach that reach."""
    if found.is_beyond:
        return math.copysign(lag.REACH_ROWS, found.lag_rows), _COVERAGE * lag.REACH_ROWS
    return found.lag_rows, _COVERAGE * found.deviation_rows


def _text(found: Lag, period_s: float, claim: ClockEstimate | None) -> str:
    """Say what the physics says, what the clock claims, and what to do."""
    what = found.group if ":" in found.group else f"all that comes from {found.group}"
    size_rows, unsure_rows = _size(found)
    size_s, unsure_s = abs(size_rows) * period_s, unsure_rows * period_s
    least = "at least " if found.is_beyond else ""
    side = "late" if found.lag_rows > 0.0 else "early"
    if not found.is_active:
        return f"{what} no longer stands {least}{size_s:.3g} s {side} against the other signals"
    size = f"{least}{size_s:.3g} s" if least else f"{size_s:.3g} s +- {unsure_s:.2g} s"
    text = (
        f"{what} stands {size} {side} against what the other signals make "
        f"expected (evidence {found.gain:.0f} nats over {found.window_rows} rows, limit "
        f"{found.limit:.0f}), {_claimed(claim)}; these values do not belong together at the times "
        "they carry: look for a buffer, a filter or a wrong stamp before the clock, or a plant "
        "that answers otherwise than when its model was learnt"
    )
    if not found.rivals:
        return text
    named = ", ".join(found.rivals[:_NAMED_MAX])
    return f"{text}; the rows hardly tell it from {named} standing off the other way"


def _claimed(claim: ClockEstimate | None) -> str:
    """Say what a clock claims of itself."""
    if claim is None:
        return "and its clock claims nothing"
    if claim.bound_ns is None or not claim.is_two_way:
        return "and of its clock only changes can be known"
    return f"while its clock claims to be right within {claim.bound_ns / _NS_PER_S:.3g} s"
