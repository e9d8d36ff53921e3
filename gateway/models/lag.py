"""At which lag do the others explain a signal best? The likelihood over all lags at once.

The rows of a window, centred, tapered by w and scaled so that E[Y Y*] = S(f), have at frequency f
the values Y(f) (u,). Under the twin model they are complex normal with the spectral density

    S(f) = C T(f) C' + M(f) + diag(own(f)),     T(f) = (I - A e^-if)^-1 Q (I - A e^-if)^-*
    own_i(f) = noise_i (1 - p_i^2) / |1 - p_i e^-if|^2 + drift_i / |1 - e^-if|^2

with M(f) the spectrum of the regimes' offsets and p_i the persistence that gives a signal's own
noise its long-run variance. A group G of signals whose values stand late by lag rows has Y_G(f)
turned by e^-if lag; everything else in the density is the same, so with P = S^-1 and O the others

    L(lag) = 2 sum over f of Re[c(f) e^(if lag)],    c(f) = -(P_GO Y_O)* Y_G

is the log likelihood of every lag, up to a constant, from one inverse transform: the maximum
likelihood processor of Knapp and Carter, with the model's prediction in place of the second
receiver. In the mean of healthy windows c(f) = tr(P_GG S_GG) - |G|, for one signal the coherence
ratio g^2 / (1 - g^2) with all others. What a window has to say about a shift s is therefore
L(0) - L(s), in nats, and needs no trial. `said` tells which frequency says how much of it.

A move from one row to the next beyond `MOVE_MAX` of its deviations is taken out: the step of a
level, or of several at once, is one event and no evidence for a lag.

As a check of the weights, `Profile.plain` is the cross-correlation of the signal with what the
others make expected of it, in which no frequency counts more than another.

Promises: a missing value is filled in on the line between its neighbours, which shifts nothing; a
signal with too many of them says nothing and is not used. Deterministic; O(u^2 n) for a window.
Left to others: what is normal for an asset, and limits (lag_reference.py), signals that are lost
(lag_marginals.py), words (stages/lag.py).

Sources: Knapp and Carter (1976), The generalized correlation method for estimation of time delay,
section III; Whittle (1953) for the likelihood by frequencies; Brillinger, Time Series (1981), 8.2
and 8.3, for the prediction of one series from others and for tapers.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal.windows import tukey

from gateway.models.lag_marginals import Marginals
from gateway.models.state_space import StateSpace
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.intp]

WINDOW_ROWS: Final = 256
"""Enough frequencies to see a coupling, and few enough rows to find a lag within minutes."""
REACH_ROWS: Final = 16
"""Lags whose size is told, to both sides: a sixteenth of the window, so that its edges count
little."""
SCAN_ROWS: Final = 64
"""Lags that are looked at, to both sides: a larger one must not look like some lag within reach.
A quarter of the window; of what lies beyond even the sign may be told wrongly."""
STEPS_PER_ROW: Final = 4
"""A lag need not be a whole number of rows."""
MISSING_MAX: Final = 0.5
"""Share of values that may be missing: a signal of half the rate is still one."""
MOVE_MAX: Final = 4.0
"""Deviations of a move from row to row; of Gaussian ones one in 16,000 gets there."""
JUMPS_MAX: Final = 0.02
"""Share of such moves, five in a window, beyond which a signal is not itself and says nothing about
time: one that has become loud is not late."""
_TAPER: Final = 0.5
"""Part of the window that rises and falls; keeps slow movements out of the fast frequencies."""
_PERSISTENCE_MAX: Final = 0.97
_RIDGE: Final = 1e-9
"""Added to the diagonal of the spectral density, relative to the own noise."""


class LagLaw(NamedTuple):
    """What a model says about a window, frequency by frequency; f frequencies, u used signals."""

    rows: int
    taper: Floats
    """(rows,): its squares sum to 1."""
    precision: Complexes
    """(f, u, u): P."""
    marginals: Marginals
    """Of P, for windows in which signals are lost."""
    weight: Floats
    """(f,): 1, and one half at the highest frequency, which has no twin below zero."""
    move: Floats
    """(u,): deviation of the difference of neighbouring rows."""
    overlap: float
    """Nats that count for each nat that is summed: tapered frequencies share what they know."""

    def __deepcopy__(self, memo: dict[int, object]) -> "LagLaw":
        """Return the law itself, which says the same for ever and is large."""
        return self


class Profile(NamedTuple):
    """What a window says about the lag of one group of signals."""

    log_likelihood: Floats
    """(lags,): at `lags()`, 0 in the mean over all frequencies; in nats."""
    cross: Complexes
    """(f,): c(f), weighted; `log_likelihood` is what becomes of it."""
    plain: Floats
    """(lags,): correlation with what is expected, -1 to 1."""
    distance: float
    """Squared distance of the values from what is expected, less `log_likelihood` at each lag."""
    freedom: float
    """What that distance is in the mean where the model is right."""

    def __add__(self, other: tuple[object, ...]) -> "Profile":
        """Return what two windows say together."""
        if not isinstance(other, Profile):
            return NotImplemented
        total = self.freedom + other.freedom
        return Profile(
            self.log_likelihood + other.log_likelihood,
            self.cross + other.cross,
            (self.freedom * self.plain + other.freedom * other.plain) / total,
            self.distance + other.distance,
            total,
        )

    def looseness(self, place: int) -> float:
        """Return how much looser than the model says the values fit at a lag; 1 at least.

        Evidence is divided by it: where even the best lag explains little, no lag is told.
        """
        return max(1.0, (self.distance - float(self.log_likelihood[place])) / self.freedom)


def lags() -> Floats:
    """Return the lags (2 `SCAN_ROWS` `STEPS_PER_ROW` + 1,) that are looked at, in rows.

    Above zero: the values stand late.
    """
    scan = SCAN_ROWS * STEPS_PER_ROW
    return np.arange(-scan, scan + 1) / STEPS_PER_ROW


def said(cross: Complexes, places: Ints, other: int) -> Floats:
    """Return the nats (places, f) that each frequency says for lags against another one.

    `places` and `other` are among `lags()`, `cross` is that of a profile.
    """
    angles = np.pi * np.arange(1, len(cross) + 1) / len(cross)
    turned = np.exp(1j * np.outer(lags()[places], angles)) - np.exp(1j * lags()[other] * angles)
    result: Floats = 2.0 * (turned * cross).real
    return result


def law_of(model: TwinModel, places: Ints | None = None) -> LagLaw:
    """Return what a model says about windows of the signals at `places`, or of all."""
    rows = WINDOW_ROWS
    frequencies = 2.0 * np.pi * np.arange(1, rows // 2 + 1) / rows
    density = spectral_density(model, frequencies, places)
    window = np.asarray(tukey(rows, _TAPER), dtype=np.float64)
    taper = window / math.sqrt(float((window**2).sum()))
    weight = np.ones(len(frequencies))
    weight[-1] = 0.5
    overlap = 1.0 / (rows * float((taper**4).sum()))
    precision = np.asarray(np.linalg.inv(density), dtype=np.complex128)
    turn = np.abs(1.0 - np.exp(-1j * frequencies)) ** 2 * weight
    spectra = np.einsum("fuu->fu", density).real
    move = np.sqrt(2.0 / rows * (turn @ spectra))
    return LagLaw(rows, taper, precision, Marginals(precision), weight, move, overlap)


def spectral_density(
    model: TwinModel, frequencies: Floats, places: Ints | None = None
) -> Complexes:
    """Return S(f) (f, u, u) of scaled rows at angular frequencies (f,), in radians per row.

    Of the signals at `places`, or of all.
    """
    turn = np.exp(-1j * frequencies)
    chosen = np.arange(len(model.drift)) if places is None else places
    common = _factors(model.state_space, turn, chosen)
    if len(model.regimes.weights) > 1:
        common = common + _regimes(model, turn, chosen)
    own = _own(model, turn)[:, chosen]
    diagonal = np.arange(len(chosen))
    common[:, diagonal, diagonal] += own * (1.0 + _RIDGE)
    return common


def weigh(law: LagLaw, rows: Floats, groups: Sequence[Ints]) -> list[Profile | None]:
    """Return the profiles of groups of signals in scaled rows (n, u), NaN where missing.

    None for a group without a usable signal, or without another one to compare it with.
    """
    prepared, usable = _prepared(law, rows)
    precision = law.marginals.among(usable)
    values = np.fft.rfft(prepared * law.taper[:, None], axis=0)[1:]
    found: list[Profile | None] = []
    for group in groups:
        members = group[usable[group]]
        others = np.setdiff1d(np.flatnonzero(usable), group)
        if len(members) and len(others):
            found.append(_profile(law, precision, values, members, others))
        else:
            found.append(None)
    return found


def _factors(space: StateSpace, turn: Complexes, places: Ints) -> Complexes:
    """Return C T(f) C' (f, u, u)."""
    states = np.eye(len(space.transition))
    pushed = np.linalg.solve(
        states - turn[:, None, None] * space.transition,
        np.broadcast_to(_root(space.state_noise).astype(np.complex128), (len(turn), *states.shape)),
    )
    seen = space.loadings[places] @ pushed
    result: Complexes = seen @ np.conj(np.swapaxes(seen, 1, 2))
    return result


def _root(covariance: Floats) -> Floats:
    """Return R with R R' = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    result: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return result


def _own(model: TwinModel, turn: Complexes) -> Floats:
    """Return own(f) (f, u): a signal's own noise, and the wandering of its level."""
    longer = np.maximum(model.long_run, 1.0)
    persistence = np.minimum((longer - 1.0) / (longer + 1.0), _PERSISTENCE_MAX)
    noise = model.state_space.noise * (1.0 - persistence**2)
    spectrum = noise / np.abs(1.0 - persistence * turn[:, None]) ** 2
    result: Floats = spectrum + model.drift / np.abs(1.0 - turn[:, None]) ** 2
    return result


def _regimes(model: TwinModel, turn: Complexes, places: Ints) -> Complexes:
    """Return M(f) (f, u, u): second moments of the offsets (r, u) of the regimes.

    With D = diag(weights) - weights weights' and P the transition less its stationary part,
    M(f) = O' (K D + D K* - D) O, where K = (I - P' e^-if)^-1 sums the later rows.
    """
    offsets, weights = model.regimes.offsets[:, places], model.regimes.weights
    stay = model.regimes.transition - weights[None, :]
    moved = np.linalg.inv(np.eye(len(weights)) - turn[:, None, None] * stay.T)
    spread = np.diag(weights) - np.outer(weights, weights)
    both = moved @ spread + spread @ np.conj(np.swapaxes(moved, 1, 2)) - spread
    result: Complexes = offsets.T @ both @ offsets
    return result


def _prepared(law: LagLaw, rows: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return rows (n, u) without gaps, jumps and their straight line, and which are usable (u,).

    Zeros where not.
    """
    usable = np.isnan(rows).mean(axis=0) <= MISSING_MAX
    place = np.arange(len(rows), dtype=np.float64)
    filled = np.zeros_like(rows)
    for signal in np.flatnonzero(usable):
        column = rows[:, signal]
        seen = ~np.isnan(column)
        filled[:, signal] = np.interp(place, place[seen], column[seen])
    moves = np.diff(filled, axis=0, prepend=filled[:1])
    is_jump = np.abs(moves) > MOVE_MAX * law.move
    usable &= is_jump.mean(axis=0) <= JUMPS_MAX
    walked = np.cumsum(np.where(is_jump | ~usable, 0.0, moves), axis=0)
    centred = place - place.mean()
    slope = centred @ walked / (centred @ centred)
    return walked - walked.mean(axis=0) - np.outer(centred, slope), usable


def _profile(
    law: LagLaw, precision: Complexes, values: Complexes, members: Ints, others: Ints
) -> Profile:
    """Return the profile of a group given the others."""
    pulled = -np.einsum("fgo,fo->fg", precision[:, members[:, None], others], values[:, others])
    mine = values[:, members]
    cross = (np.conj(pulled) * mine).sum(axis=1) * law.weight * law.overlap
    own = precision[:, members[:, None], members]
    expected = np.linalg.solve(own, pulled[:, :, None])[:, :, 0]
    plain = (np.conj(expected) * mine).sum(axis=1) * law.weight
    power = float(((np.abs(expected) ** 2).sum(axis=1) * law.weight).sum())
    own_power = float(((np.abs(mine) ** 2).sum(axis=1) * law.weight).sum())
    scale = math.sqrt(power * own_power)
    both = np.einsum("fg,fgh,fh->f", np.conj(mine), own, mine).real
    both += np.einsum("fg,fg->f", np.conj(expected), pulled).real
    return Profile(
        2.0 * _over_lags(cross, law.rows),
        cross,
        _over_lags(plain, law.rows) / scale if scale > 0.0 else np.zeros(len(lags())),
        float((both * law.weight).sum()) * law.overlap,
        len(members) * float(law.weight.sum()) * law.overlap,
    )


def _over_lags(cross: Complexes, rows: int) -> Floats:
    """Return sum over f of Re[cross e^(if lag)] at all lags."""
    longer = rows * STEPS_PER_ROW
    spectrum = np.zeros(longer // 2 + 1, dtype=np.complex128)
    spectrum[1 : len(cross) + 1] = cross
    course = np.fft.irfft(spectrum, longer) * longer / 2.0
    scan = SCAN_ROWS * STEPS_PER_ROW
    return np.concatenate([course[-scan:], course[: scan + 1]])
