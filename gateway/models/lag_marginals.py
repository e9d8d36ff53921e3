"""What the law of a window says of the signals that are there, when others of it are lost.

P is the precision (u, u) of all signals at a frequency, k are those that are there and l the lost
ones. The density of k alone is a block of P^-1, and its inverse is a Schur complement:

    (P^-1)_kk^-1 = P_kk - P_kl P_ll^-1 P_lk

so nothing but the few lost signals is inverted: O(f (l^3 + u^2 l)), not O(f u^3). What is lost as a
rule stays lost for many looks, so the last pattern is remembered.

Promises: memory of one array like P, time bounded by `SIGNALS_MAX`. Left to others: what is lost
(lag.py), who watches (lag_monitor.py).

Sources: Zhang (ed.), The Schur Complement and Its Applications (2005), theorem 1.2.
"""

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import state_space
from gateway.models.twin_model import TwinModel

Complexes = NDArray[np.complex128]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

SIGNALS_MAX: Final = 64
"""Signals of an asset whose lags are watched: their law takes 8 MB, and a look some tens of
milliseconds, in which the gateway does nothing else."""


@final
class Marginals:
    """The precision (f, u, u) of a law, for any of its signals alone."""

    def __init__(self, precision: Complexes) -> None:
        self._precision = precision
        self._usable: Bools | None = None
        self._last = precision

    def among(self, usable: Bools) -> Complexes:
        """Return the precision (f, u, u) of the usable signals (u,) alone, zeros elsewhere."""
        if usable.all():
            return self._precision
        if self._usable is None or not np.array_equal(usable, self._usable):
            self._usable, self._last = usable.copy(), _without(self._precision, usable)
        return self._last

    def __deepcopy__(self, memo: dict[int, object]) -> "Marginals":
        """Return another one of the same precision, which never changes and is large."""
        return Marginals(self._precision)


def most_coupled(model: TwinModel) -> Ints:
    """Return the places of the signals that are watched, in order: all, or `SIGNALS_MAX`.

    Of more those that have most in common with others, for only these can show a lag.
    """
    space = model.state_space
    common = np.diag(state_space.covariance(space)) - space.noise
    order = np.argsort(-common / space.noise, kind="stable")
    return np.sort(order[:SIGNALS_MAX])


def _without(precision: Complexes, usable: Bools) -> Complexes:
    """Return the Schur complement of the lost signals."""
    lost = np.flatnonzero(~usable)
    crossed = precision[:, lost]
    inner = np.linalg.solve(crossed[:, :, lost], crossed)
    result: Complexes = precision - np.conj(np.swapaxes(crossed, 1, 2)) @ inner
    # The complement is zero there but for rounding.
    result[:, lost] = 0.0
    result[:, :, lost] = 0.0
    return result
