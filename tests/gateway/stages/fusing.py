"""An asset of a few simulated signals, and rows of it fed to a fuse."""

import math

from gateway import status
from gateway.models.fit import Asset, Settings
from gateway.records import Aligned, Provenance
from gateway.stages.fuse import Fuse, FuseOptions
from tests.gateway.models import healthy
from tests.gateway.stages.frames import SECOND_NS

TRAINING = 200
SIGNALS = tuple(f"n:s{place}" for place in range(healthy.SIGNALS))
ASSET = Asset("pump", SIGNALS, ("V",) * healthy.SIGNALS, SECOND_NS)
QUICK = Settings(order=(2, 0))
"""The choice of an order takes a second, and is tested elsewhere."""


def learning(**options):
    """Return a fuse that has seen nothing."""
    return Fuse(ASSET, TRAINING, FuseOptions(settings=QUICK, **options))


def feed(stage, rows, start=0, codes=None, late_s=0, provenance=Provenance.SEALED):
    """Feed rows one per second from `start`; NaN sends a bad value, None sends nothing."""
    out = []
    for second, row in enumerate(rows, start):
        for signal, number in zip(SIGNALS, row, strict=True):
            if number is None:
                continue
            code = status.GOOD if math.isfinite(number) else status.BAD_SENSOR_FAILURE
            value = Aligned(
                signal=signal,
                unit="V",
                value=number,
                time_ns=second * SECOND_NS,
                bound_ns=0,
                uncertainty_ns=0,
                status=code if codes is None else codes,
                provenance=provenance,
                source="n",
                sequence=second,
            )
            out += stage.feed(value, (second + late_s) * SECOND_NS)
    return out
