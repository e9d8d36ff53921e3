"""The samples of many signals become rows: carried to their place by laws learnt on the way.

A row is of a time; a signal's value in it is carried from its own samples in the row to its place:

    place of a signal   its usual phase, if it has one (regular, once a row), else the row's middle
    samples near        `BEFORE` samples before the row, all in it, the first one after it

A regular signal is thus left where it is sampled: a constant phase is part of what the model of the
asset learns, and what a signal does between two samples that are always a row apart nobody knows.

    z <- z + (exp(2 pi i phase) - z) / PHASE_ROWS        |z| >= REGULAR: a usual phase, arg z

Promises: bounded memory, a ring of samples for each signal. Until a law is learnt samples are
averaged, nothing is moved. The same samples give the same rows; a value that is no number or absurd
teaches and carries nothing.
Left to others: which row a sample belongs to, when it closes (stages/rows.py); how laws are learnt
and watched (alignment_lessons.py).

Source: Fisher, Statistical Analysis of Circular Data (1993), 2.3, for the mean of phases.
"""

import math
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models.alignment import Resampled, Samples, resample, time_variance
from gateway.models.alignment_law import Law
from gateway.models.alignment_lessons import Heard, Lessons, Recent

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]
Instants = NDArray[np.int64]

BEFORE: Final = 3
"""Samples before a row: a level, its slope, and one to doubt them with."""
OWN_MAX: Final = 16
"""Samples of one signal in one row; of more the newest count. Filters belong to the node."""
PHASE_ROWS: Final = 16
REGULAR: Final = 0.9
"""Length of the mean of unit vectors, 1 for a clockwork: phases within about a tenth of a row."""
ABSURD: Final = 1e100
_NS_PER_S: Final = 1e9
_SAME_NS: Final = 1.0
"""A sample so near its place, or nearer than its time is known, is there and is taken as it is."""


class Batch(NamedTuple):
    """Samples of several signals, m in number, in any order."""

    places: Places
    """(m,): which signal."""
    times_ns: Instants
    """(m,)."""
    values: Floats
    """(m,): finite and not absurd."""
    uncertainties_ns: Floats
    """(m,): standard uncertainty of the times."""


class Carried(NamedTuple):
    """What a row has of each of s signals."""

    values: Floats
    """(s,): NaN where the row has no sample."""
    extra: Floats
    """(s,): variance beyond that of one reading at the right time; 0 where there is no value."""
    has_law: Bools
    """(s,): whether a law says so; without one nothing is moved, and 0 is no knowledge."""


class Again(NamedTuple):
    """Samples of m signals about closed rows; their places are 0 to m - 1."""

    before: Batch
    """Of the row before."""
    own: Batch
    after: Batch
    """Of the row after."""


def batch(
    places: list[int], times_ns: list[int], values: list[float], uncertainties_ns: list[float]
) -> Batch:
    """Return samples as arrays; those that cannot be computed with are left out."""
    numbers = np.array(values, dtype=np.float64)
    sound = np.abs(numbers) < ABSURD
    return Batch(
        np.array(places, dtype=np.intp)[sound],
        np.array(times_ns, dtype=np.int64)[sound],
        numbers[sound],
        np.array(uncertainties_ns, dtype=np.float64)[sound],
    )


@final
class Resampler:
    """Carries the samples of `signals` signals to rows of `period_ns`."""

    def __init__(self, signals: int, period_ns: int) -> None:
        self._signals = signals
        self._period_ns = period_ns
        self._times_ns = np.zeros((signals, BEFORE + 1), dtype=np.int64)
        self._values = np.full((signals, BEFORE + 1), np.nan)
        self._phase = np.zeros(signals, dtype=np.complex128)
        self._lessons = Lessons(signals)
        self.is_suspect = False
        """Whether the rows that come now are; laws are not learnt from such."""

    @property
    def law(self) -> Law:
        """The laws of the signals, as far as they are known."""
        return self._lessons.law

    def forget(self) -> None:
        """Forget samples and phases, for a clock that was set; laws stay."""
        self._values[:] = np.nan
        self._phase[:] = 0.0
        self._lessons.forget()

    def close(self, own: Batch, after: Batch, middle_ns: int) -> Carried:
        """Return the row around `middle_ns`, of its own samples, and keep them for the next ones.

        `after` are samples of later rows that are already there.
        """
        grouped = _grouped(own, self._signals)
        targets_ns = self._targets(self._phase, np.int64(middle_ns))
        following = _first(after, self._signals)
        near = _Near(self._times_ns[:, 1:], self._values[:, 1:], grouped, following)
        carried = _carried(self.law, near, targets_ns)
        self._remember(grouped)
        heard = Heard(own.places, own.times_ns, own.values)
        self._lessons.take(heard, self._recent(grouped), middle_ns, is_suspect=self.is_suspect)
        return carried

    def again(self, signals: list[int], middle_ns: list[int], near: Again) -> Carried:
        """Return values and extra variances of m signals (m,), each in a row that is closed."""
        places = np.array(signals, dtype=np.intp)
        middles_ns = np.array(middle_ns, dtype=np.int64)
        before = _grouped(near.before, len(places), BEFORE)
        own, following = _grouped(near.own, len(places)), _first(near.after, len(places))
        targets_ns = self._targets(self._phase[places], middles_ns)
        beside = _Near(before.times_ns, before.values, own, following)
        return _carried(self.law.of(places), beside, targets_ns)

    def _targets(self, phase: NDArray[np.complex128], middle_ns: Instants | np.int64) -> Instants:
        """Return the times (m,), each in the row around its middle, that signals are carried to."""
        begin_ns = middle_ns - self._period_ns // 2
        turns = np.angle(phase) / (2.0 * math.pi) % 1.0
        phase_ns = np.rint(turns * self._period_ns).astype(np.int64)
        usual_ns = begin_ns + (phase_ns - begin_ns) % self._period_ns
        return np.where(np.abs(phase) >= REGULAR, usual_ns, middle_ns)

    def _recent(self, own: "_Grouped") -> Recent:
        """Return the newest samples of the signals that have spoken in this row."""
        times_s = (self._times_ns - self._times_ns[:, -1:]) / _NS_PER_S
        values = np.where((own.counts > 0)[:, None], self._values, np.nan)
        return Recent(times_s, values, own.uncertainty_ns / _NS_PER_S)

    def _remember(self, own: "_Grouped") -> None:
        """Keep the newest samples of each signal, and where in the row it speaks."""
        places = np.flatnonzero(own.counts > 0)
        times_ns = np.hstack([self._times_ns[places], own.times_ns[places]])
        values = np.hstack([self._values[places], own.values[places]])
        # Those without a value go first, then by time; the sort keeps the order of equals.
        key = np.where(np.isfinite(values), times_ns, np.iinfo(np.int64).min)
        order = np.argsort(key, axis=1, kind="stable")[:, -BEFORE - 1 :]
        self._times_ns[places] = np.take_along_axis(times_ns, order, axis=1)
        self._values[places] = np.take_along_axis(values, order, axis=1)
        single = np.flatnonzero(own.counts == 1)
        turns = own.times_ns[single, -1] % self._period_ns / self._period_ns
        pointed = np.exp(2j * math.pi * turns)
        fresh = self._phase[single] == 0.0
        rate = np.where(fresh, 1.0, 1.0 / PHASE_ROWS)
        self._phase[single] += rate * (pointed - self._phase[single])
        self._phase[own.counts > 1] *= 1.0 - 1.0 / PHASE_ROWS


@final
class Usual:
    """What extra variance each of `signals` signals usually has, from the first `rows` rows.

    Those are the rows a model is learnt from, and it has learnt their extra variance as noise; only
    what goes beyond it is to be added. With a model that is known already they are the first
    healthy ones it meets: it was learnt from such, or from values as they came, which are worse.
    """

    def __init__(self, signals: int, rows: int) -> None:
        self.extra = np.zeros(signals)
        """(s,): mean over the rows."""
        self._rows = rows
        self._counts = np.zeros(signals)

    def learn(self, carried: Carried) -> None:
        """Take a row like those the model is learnt from; where no law is known it says nothing."""
        seen = np.isfinite(carried.values) & carried.has_law & (self._counts < self._rows)
        self._counts += seen
        apart = np.where(seen, carried.extra - self.extra, 0.0)
        self.extra += apart / np.maximum(self._counts, 1.0)

    def beyond(self, extra: Floats) -> Floats:
        """Return what of extra variances (s,) is not usual."""
        result: Floats = np.maximum(extra - self.extra, 0.0)
        return result


class _Grouped(NamedTuple):
    """Samples by signal, (s, n), in order of time, the last ones at the end; NaN before them."""

    times_ns: Instants
    values: Floats
    counts: NDArray[np.intp]
    """(s,)."""
    means: Floats
    """(s,): NaN without a sample."""
    uncertainty_ns: Floats
    """(s,): the worst of a signal's samples."""


class _First(NamedTuple):
    """The first sample (s,) of each signal; NaN for none."""

    times_ns: Instants
    values: Floats


class _Near(NamedTuple):
    """What there is about the row of each signal."""

    times_ns: Instants
    """(s, b): of samples before the row."""
    values: Floats
    """(s, b): NaN for none."""
    own: _Grouped
    following: _First


def _carried(law: Law, near: _Near, targets_ns: Instants) -> Carried:
    """Carry every signal to its place; one sample that is there already is not computed."""
    own, first = near.own, near.values.shape[1]
    values, extra = own.means.copy(), np.zeros(len(own.means))
    reach_ns = np.maximum(own.uncertainty_ns, _SAME_NS)
    is_there = (own.counts == 1) & (np.abs(own.times_ns[:, -1] - targets_ns) <= reach_ns)
    is_sure = own.uncertainty_ns == 0.0
    places = np.flatnonzero((own.counts > 0) & law.is_known & ~(is_there & is_sure))
    if not len(places):
        return Carried(values, extra, law.is_known.copy())
    following_ns, following = near.following
    times_ns = np.hstack([near.times_ns, own.times_ns, following_ns[:, None]])[places]
    numbers = np.hstack([near.values, own.values, following[:, None]])[places]
    is_own = np.zeros(numbers.shape, dtype=np.bool_)
    is_own[:, first : first + own.values.shape[1]] = True
    samples = Samples((times_ns - targets_ns[places, None]) / _NS_PER_S, numbers, is_own)
    chosen_law = law.of(places)
    moved = np.flatnonzero(~is_there[places])
    extra[places] = time_variance(chosen_law, samples, own.uncertainty_ns[places] / _NS_PER_S)
    if len(moved):
        found = _resampled(chosen_law, samples, moved)
        fit = np.isfinite(found.carried) & np.isfinite(found.extra)
        chosen = places[moved][fit]
        values[chosen] = found.carried[fit]
        extra[chosen] += found.extra[fit]
    return Carried(values, extra, law.is_known.copy())


def _grouped(samples: Batch, signals: int, most: int = OWN_MAX) -> _Grouped:
    """Return samples by signal, the newest `most` of each."""
    order = np.lexsort((samples.times_ns, samples.places))
    places = samples.places[order]
    counts = np.bincount(places, minlength=signals)
    ends = np.cumsum(counts)
    from_end = ends[places] - np.arange(len(places))
    kept = from_end <= most
    order, places, from_end = order[kept], places[kept], from_end[kept]
    counts = np.minimum(counts, most)
    width = max(int(counts.max(initial=0)), 1)
    times_ns = np.zeros((signals, width), dtype=np.int64)
    values = np.full((signals, width), np.nan)
    times_ns[places, width - from_end] = samples.times_ns[order]
    values[places, width - from_end] = samples.values[order]
    uncertainty_ns = np.zeros(signals)
    np.maximum.at(uncertainty_ns, places, samples.uncertainties_ns[order])
    return _Grouped(times_ns, values, counts, _means(values, counts), uncertainty_ns)


def _means(values: Floats, counts: NDArray[np.intp]) -> Floats:
    """Return the mean (s,) of samples (s, n); a single one as it is."""
    last = values[:, -1]
    away = np.where(np.isfinite(values), values - last[:, None], 0.0)
    return np.where(counts > 1, last + away.sum(axis=1) / np.maximum(counts, 1), last)


def _first(samples: Batch, signals: int) -> _First:
    """Return the first sample of each signal."""
    order = np.lexsort((samples.times_ns, samples.places))[::-1]
    times_ns, values = np.zeros(signals, dtype=np.int64), np.full(signals, np.nan)
    # Of several to one place the last written stays, which is the earliest.
    times_ns[samples.places[order]] = samples.times_ns[order]
    values[samples.places[order]] = samples.values[order]
    return _First(times_ns, values)


def _resampled(law: Law, samples: Samples, moved: Places) -> Resampled:
    """Resample some of the signals; what cannot be solved is NaN."""
    part = Samples(samples.times_s[moved], samples.values[moved], samples.is_own[moved])
    with np.errstate(all="ignore"):
        try:
            return resample(law.of(moved), part)
        except np.linalg.LinAlgError:
            nothing = np.full(len(moved), np.nan)
            return Resampled(nothing, nothing, nothing, nothing)
