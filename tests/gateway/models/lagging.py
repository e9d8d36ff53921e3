"""Rows of the asset of `assets.py` in which one stream stands at other times."""

from functools import cache

import numpy as np

from gateway.models import state_space
from gateway.models.scaling import scaled
from tests.gateway.models import assets


@cache
def model():
    """Return the twin model of healthy rows; learnt once."""
    return assets.model(assets.rows(1_000, seed=1))


def values(count, seed):
    """Return scaled healthy rows (count, 6)."""
    return scaled(model().scaling, assets.rows(count, seed=seed))


def late(rows, signals, shift, first):
    """Return rows (n, u) in which `signals` stand `shift` rows late from row `first` on."""
    places = np.atleast_1d(signals)
    moved = rows.copy()
    moved[first:, places] = np.roll(rows, shift, axis=0)[first:, places]
    return moved


def exact(rows, signal, shifts):
    """Return the log likelihood (len(shifts),) of lags of one signal, in the time domain.

    The joint density of rows put right again, less that of the signal's own values.
    """
    space = model().state_space
    reach = max(abs(shift) for shift in shifts)
    found = []
    for shift in shifts:
        put_right = rows.copy()
        put_right[:, signal] = np.roll(rows[:, signal], -shift)
        inner = put_right[reach : len(rows) - reach]
        alone = np.full_like(inner, np.nan)
        alone[:, signal] = inner[:, signal]
        joint = state_space.filter_rows(space, inner).log_densities.sum()
        found.append(joint - state_space.filter_rows(space, alone).log_densities.sum())
    return np.array(found)
