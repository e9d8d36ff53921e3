"""Synthetic traces: rows drawn from a model, in a CSV that `data_csv.py` and the rig read.

Promises: the same model, seed and number of rows are the same bytes; the header names units; a
signal that takes no part in the model has no column, since nothing is known about it. The file is
there whole or not at all; what would not fit into memory is refused before it is drawn.
Left to others: the drawing (`models/twin_model.py`).
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError
from gateway.models import twin_model
from gateway.models.twin_model import TwinModel

VALUES_MAX: Final = 10_000_000
"""Values that are drawn in one piece; with what drawing needs besides, under one gigabyte."""
_TELL_EVERY: Final = 5000


def write_sample(
    model: TwinModel,
    rows: int,
    seed: int,
    out: Path,
    *,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write `rows` rows drawn with `seed` to a CSV.

    Raises `OperatorError` if they are more than `VALUES_MAX` values, or cannot be written.
    """
    used = int(model.scaling.used.sum())
    if rows * used > VALUES_MAX:
        raise OperatorError(
            f"--rows {rows}: with {used} signals these are more than the {VALUES_MAX:,} values "
            f"that are drawn at once; draw at most {VALUES_MAX // used}"
        )
    values = twin_model.sample(model, rows, np.random.default_rng(seed))
    values = values[:, model.scaling.used]
    units = np.array(model.units, dtype=object)[model.scaling.used]
    names = [
        f"{name}[{unit}]" if unit else str(name)
        for name, unit in zip(model.names, units, strict=True)
    ]
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        try:
            with partial.open("w", encoding="utf-8", newline="") as file:
                file.write(";".join(["time_s", *map(_quoted, names)]) + "\n")
                for place, row in enumerate(values):
                    time_s = place * model.period_ns / NS_PER_S
                    cells = (f"{value:.9g}" for value in row)
                    file.write(";".join([f"{time_s:.9f}".rstrip("0").rstrip("."), *cells]) + "\n")
                    if place % _TELL_EVERY == 0:
                        told(place, rows)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        what = f"{out}: cannot be written ({error.strerror}); name a file in a folder of yours"
        raise OperatorError(what) from error
    told(rows, rows)


def _quoted(name: str) -> str:
    """Return a name as a CSV cell."""
    return f'"{name.replace(chr(34), 2 * chr(34))}"' if set(name) & set(';"\n') else name
