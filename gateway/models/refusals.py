"""What cannot be learnt from: each refusal, and each value left out, names the channel.

Promised: a message says what was found, in which channel, and how to mend it.
Left to others: channels that take no part though the rest can be modelled (scaling.py).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.models.scaling import Problem, Survey, UnfitRowsError
from gateway.models.training_part import Products

Floats = NDArray[np.float64]

BLOCKS_MIN: Final = 5
_FREEDOM_MIN: Final = 20.0
"""Deviations from block means that must be free for a spread within blocks to be known."""


def check_shapes(
    segments: Sequence[Floats], signals: tuple[str, ...], units: tuple[str, ...]
) -> None:
    """Refuse rows that are not (n, S), and units that are not one for each signal."""
    if len(units) != len(signals) or len(set(signals)) != len(signals):
        raise UnfitRowsError(f"{len(signals)} signals have {len(units)} units, or a name is double")
    if not segments:
        raise UnfitRowsError("there are no rows to learn from")
    for rows in segments:
        if rows.ndim != 2 or rows.shape[1] != len(signals):
            raise UnfitRowsError(
                f"rows of shape {rows.shape} do not have one column for each of the signals "
                f"{', '.join(signals)}"
            )


def check_size(total: Survey, asset: str, signals: tuple[str, ...], window_rows: int) -> None:
    """Refuse fewer rows than blocks and channels need."""
    least = max(BLOCKS_MIN * window_rows, len(signals) + 1)
    if total.rows < least:
        raise UnfitRowsError(
            f"{total.rows} training rows of the {len(signals)} signals of {asset} "
            f"({', '.join(signals)}) are too few; at least {least} are needed"
        )


def check_neighbours(products: Products, names: tuple[str, ...]) -> None:
    """Refuse channels whose values stand alone: spread cannot be told from wander."""
    lonely = [
        name for name, free in zip(names, products.freedom, strict=True) if free < _FREEDOM_MIN
    ]
    if lonely:
        raise UnfitRowsError(
            f"{', '.join(lonely)}: too few values have a neighbour in their block of rows; give "
            "longer segments, or a longer row period if a channel is slow"
        )


def outliers(products: Products, names: tuple[str, ...], rows: int) -> tuple[Problem, ...]:
    """Return which channels have values that were left out for being far from their neighbours."""
    return tuple(
        Problem(
            name,
            f"{int(count)} of {rows} training values are far from their neighbours",
            "they are taken as missing; look at them if they are many",
        )
        for name, count in zip(names, products.outliers, strict=True)
        if count
    )
