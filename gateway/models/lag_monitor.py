"""Rows in, lags that are not what they were out: the live side of lag.py and lag_reference.py.

    every HOP_ROWS rows    profiles of the last window, of every signal and of every source
    healthy windows        the first `LEARN_WINDOWS` of them, end to end, teach the references;
                           from `JUDGE_WINDOWS` on, later ones are judged
    found                  the gain is above the limit of its horizon, the plain correlation agrees,
                           the last window agrees, and of all groups this one explains most
    over                   over as many windows as found it, or clearly in the last one, the
                           reference explains more again than the lag found

A lag of one signal makes others look shifted the other way. All gains are log likelihood ratios
against the same hypothesis, so the largest names the culprit, one at a time. Where two groups are
coupled with each other alone, nothing can tell whether the one is late or the other early: of those
whose gain is near the largest one that is late is named, for values are held
back more often than they come from the future, and `Lag.rivals` has the others.

Of an asset with more than `SIGNALS_MAX` signals only those are watched that have most in common
with others (lag_marginals.py); `left_out` names the rest.

Promises: bounded memory, O(u^2) work for a row in the mean; a gap of a window or more starts the
window anew and keeps what was learnt; a model that is another starts everything anew.
Left to others: what is healthy, words and records (stages/lag.py).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, final

import numpy as np

from gateway.models import lag, lag_reference
from gateway.models.lag import Floats, Ints, Profile
from gateway.models.lag_marginals import most_coupled
from gateway.models.lag_reference import HORIZONS, Found, Reference
from gateway.models.twin_model import TwinModel

HOP_ROWS: Final = 32
"""An eighth of a window: a lag is found at most that much later than it could be."""
LEARN_WINDOWS: Final = 24
JUDGE_WINDOWS: Final = 4
RIVAL_SHARE: Final = 0.5
"""Of the largest gain: what explains that much is named too."""
_TIE_SHARE: Final = 0.8
"""Of the largest gain: what explains that much is as good."""
FALSE_ALARMS_PER_DAY: Final = 0.1
"""Set-point for all groups of an asset together: one in ten days."""
_HEALTHY_MIN: Final = 0.95
"""Share of the rows of a window that nobody suspects, for it to teach what is normal."""
_DAY_NS: Final = 86_400_000_000_000
_HOPS: Final = lag.WINDOW_ROWS // HOP_ROWS


class Group(NamedTuple):
    """Signals that are shifted together."""

    name: str
    places: Ints
    """Among the used signals."""


class Lag(NamedTuple):
    """A group whose lag is not what it was, or is again."""

    group: str
    is_active: bool
    lag_rows: float
    """Beyond the reference; above zero: late."""
    deviation_rows: float
    is_beyond: bool
    """Whether it is at least `lag.REACH_ROWS`, and no more is known of its size."""
    gain: float
    """Log likelihood ratio against the reference, in nats."""
    limit: float
    """Of that gain."""
    horizon: int
    """Windows that showed it."""
    rivals: tuple[str, ...]
    """Groups that explain the rows almost as well, as a rule shifted the other way."""

    @property
    def window_rows(self) -> int:
        """Return the rows that showed it."""
        return self.horizon * lag.WINDOW_ROWS


class _Candidate(NamedTuple):
    """What one horizon says of one group."""

    group: str
    found: Found
    limit: float
    horizon: int


@final
class LagMonitor:
    """Watches the groups of one asset.

    Args:
        model: what healthy rows obey.
        groups: signals that are tried together; each has others beside it.
        false_alarms_per_day: accepted for all groups together.
    """

    def __init__(
        self,
        model: TwinModel,
        groups: Sequence[Group],
        false_alarms_per_day: float = FALSE_ALARMS_PER_DAY,
    ) -> None:
        self._signals = len(model.names)
        self._watched = most_coupled(model)
        self._law = lag.law_of(model, self._watched)
        self._groups = tuple(_within(groups, self._watched))
        left_out = set(range(len(model.names))).difference(self._watched.tolist())
        self._left_out = tuple(model.names[place] for place in sorted(left_out))
        looks = _DAY_NS / (model.period_ns * HOP_ROWS) * len(self._groups) * len(HORIZONS)
        self._chance = min(0.1, false_alarms_per_day / max(looks, 1.0))
        self._rows: deque[Floats] = deque(maxlen=lag.WINDOW_ROWS)
        self._healthy: deque[bool] = deque(maxlen=lag.WINDOW_ROWS)
        self._since_look = 0
        self._since_lesson = 0
        self._profiles: deque[list[Profile | None]] = deque(maxlen=_HOPS * (HORIZONS[-1] - 1) + 1)
        self._lessons: dict[str, list[Profile]] = {each.name: [] for each in self._groups}
        self._references: dict[str, Reference] = {}
        self._active: Lag | None = None

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return the signals that are not watched, because there are too many."""
        return self._left_out

    @property
    def references(self) -> Mapping[str, Reference]:
        """Return what was learnt, by group."""
        return self._references

    @property
    def active(self) -> Lag | None:
        """Return the lag that was found and is not over."""
        return self._active

    def step(self, row: Floats, *, is_healthy: bool = True) -> list[Lag]:
        """Take a scaled row (u,), NaN where missing; return what begins and ends with it."""
        self._rows.append(row[self._watched])
        self._healthy.append(is_healthy)
        self._since_look += 1
        self._since_lesson += 1
        if len(self._rows) < lag.WINDOW_ROWS or self._since_look < HOP_ROWS:
            return []
        self._since_look = 0
        window = np.array(self._rows)
        profiles = lag.weigh(self._law, window, [each.places for each in self._groups])
        self._profiles.append(profiles)
        found = self._judge()
        if not found and self._active is None:
            self._teach(profiles)
        return found

    def skip(self, rows: int) -> list[Lag]:
        """Let rows pass of which nothing is known; return what ends with them."""
        if rows < lag.WINDOW_ROWS:
            unknown = np.full(self._signals, np.nan)
            return [found for _ in range(rows) for found in self.step(unknown, is_healthy=False)]
        self._rows.clear()
        self._healthy.clear()
        self._profiles.clear()
        self._since_look = self._since_lesson = 0
        return []

    def _teach(self, profiles: Sequence[Profile | None]) -> None:
        """Learn from a window that shares no row with the one learnt from before."""
        is_new = self._since_lesson >= lag.WINDOW_ROWS
        if not is_new or np.mean(self._healthy) < _HEALTHY_MIN:
            return
        self._since_lesson = 0
        for group, profile in zip(self._groups, profiles, strict=True):
            lessons = self._lessons[group.name]
            if profile is None or len(lessons) >= LEARN_WINDOWS:
                continue
            lessons.append(profile)
            self._references[group.name] = lag_reference.learn(lessons, self._chance)

    def _judge(self) -> list[Lag]:
        """Return what is found in the last windows, and what is over."""
        ended: list[Lag] = []
        if self._active is not None and self._is_over(self._active):
            ended = [self._active._replace(is_active=False)]
            self._active = None
            # What was late stays in the windows for long; it must not be found once more.
            self._profiles = deque([self._profiles[-1]], maxlen=self._profiles.maxlen)
        best = self._best(self._candidates())
        if best is None or (self._active is not None and _is_same(self._active, best)):
            return ended
        if self._active is not None and self._active.group != best.group:
            ended = [self._active._replace(is_active=False)]
        self._active = best
        return [*ended, best]

    def _best(self, candidates: Sequence[_Candidate]) -> Lag | None:
        """Return the group that explains most, if that is more than health does."""
        above = [each for each in candidates if each.found.gain > each.limit]
        if not above:
            return None
        most = max(above, key=lambda each: each.found.gain)
        near = [
            each
            for each in candidates
            if each.horizon == most.horizon and each.found.gain >= RIVAL_SHARE * most.found.gain
        ]
        late = [
            each
            for each in near
            if each in above
            and each.found.lag_rows > 0.0
            and each.found.gain >= _TIE_SHARE * most.found.gain
        ]
        best = most if most in late or not late else max(late, key=lambda each: each.found.gain)
        found = best.found
        return Lag(
            best.group,
            True,
            found.lag_rows,
            found.deviation_rows,
            found.is_beyond,
            found.gain,
            best.limit,
            best.horizon,
            tuple(dict.fromkeys(each.group for each in near if each.group != best.group)),
        )

    def _candidates(self) -> list[_Candidate]:
        """Return what every horizon says of every group that is judged."""
        candidates = []
        for place, group in enumerate(self._groups):
            reference = self._references.get(group.name)
            if reference is None or reference.windows < JUDGE_WINDOWS:
                continue
            for limit, horizon in zip(reference.limits, HORIZONS, strict=True):
                together = self._together(place, horizon)
                last = self._together(place, 1)
                if together is None or last is None:
                    continue
                found = lag_reference.held_against(reference, together, horizon)
                if found.is_agreed and _against(reference, last, found.lag_rows) < 0.0:
                    candidates.append(_Candidate(group.name, found, limit, horizon))
        return candidates

    def _together(self, place: int, horizon: int) -> Profile | None:
        """Return what the last windows say together of a group; None unless all say something."""
        if len(self._profiles) < _HOPS * (horizon - 1) + 1:
            return None
        lasts = [self._profiles[-1 - _HOPS * back][place] for back in range(horizon)]
        known = [each for each in lasts if each is not None]
        return lag_reference.together(known) if len(known) == horizon else None

    def _is_over(self, active: Lag) -> bool:
        """Tell whether the reference explains more again than the lag found."""
        place = [each.name for each in self._groups].index(active.group)
        reference = self._references[active.group]
        same, last = self._together(place, active.horizon), self._together(place, 1)
        if same is not None and _against(reference, same, active.lag_rows) >= 0.0:
            return True
        limit = reference.limits[0]
        return last is not None and _against(reference, last, active.lag_rows) >= limit


def _within(groups: Sequence[Group], watched: Ints) -> list[Group]:
    """Return the groups with places among the watched signals, as far as these are in them."""
    reduced = [Group(each.name, np.flatnonzero(np.isin(watched, each.places))) for each in groups]
    return [each for each in reduced if len(each.places)]


def _against(reference: Reference, profile: Profile, lag_rows: float) -> float:
    """Return the nats that speak for the reference against a lag beyond it."""
    place = reference.place + round(lag_rows * lag.STEPS_PER_ROW)
    place = min(max(place, 0), len(profile.log_likelihood) - 1)
    return lag_reference.gain_of(profile, reference.place, place)


def _is_same(before: Lag, now: Lag) -> bool:
    """Tell whether a finding says nothing new, be it of the other one of two that are coupled."""
    if now.group != before.group and now.group not in before.rivals:
        return False
    apart = abs(abs(before.lag_rows) - abs(now.lag_rows))
    unsure = 2.0 * (before.deviation_rows + now.deviation_rows)
    return apart <= max(1.0, unsure)
