"""A small model that is quick to make, for tests of what is done with models."""

from functools import cache

import numpy as np

from gateway.lifecycle.file import Origin
from gateway.models import monitor
from gateway.models.fit import Settings, fit
from gateway.models.twin_model import TwinModel

S = 1_000_000_000
SIGNALS = ("flow", "pressure", "current", "speed")
UNITS = ("m3/s", "bar", "A", "")
LOCATION = np.array([2.0, 5.0, 10.0, 1500.0])
SCALE = np.array([0.1, 0.2, 0.5, 10.0])
LOADINGS = np.array([1.0, 0.8, 0.9, 0.0])
TRAINING_ROWS = 600


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Return healthy rows (count, 4): three signals move together, one by itself."""
    rng = np.random.default_rng(seed)
    common = np.zeros(count)
    for row in range(1, count):
        common[row] = 0.7 * common[row - 1] + rng.normal() * 0.7
    scaled = common[:, None] * LOADINGS + rng.normal(size=(count, 4)) * 0.5
    return LOCATION + SCALE * scaled


@cache
def model(seed: int = 0) -> TwinModel:
    """Return a model fitted to `rows(TRAINING_ROWS, seed)`."""
    return fit(
        rows(TRAINING_ROWS, seed),
        SIGNALS,
        UNITS,
        period_ns=S,
        asset="pump",
        settings=Settings(order=(1, 1)),
    )


def origin(seed: int = 0) -> Origin:
    """Return where `model(seed)` comes from."""
    return Origin(
        source="healthy.csv",
        source_sha256="ab" * 32,
        rows=TRAINING_ROWS,
        from_ns=0,
        to_ns=TRAINING_ROWS * S,
        settings={"false_alarms_per_hour": 0.1},
        measured=None,
        baseline=monitor.summarise(model(seed), rows(TRAINING_ROWS, seed)),
        notes=("made by a test",),
    )


def csv_of(values: np.ndarray, names: tuple[str, ...] = SIGNALS, start_s: int = 0) -> str:
    """Return rows as the text of a CSV file, one row a second."""
    lines = [";".join(["time", *names])]
    for place, row in enumerate(values):
        cells = ("" if np.isnan(value) else repr(float(value)) for value in row)
        lines.append(";".join([str(start_s + place), *cells]))
    return "\n".join(lines) + "\n"
