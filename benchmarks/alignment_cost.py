"""What a thousand signals cost on their way into rows: the third part of alignment.py.

Promises: times of the process, not of the clock on the wall, so that another one on the machine
counts as little as may be. Left to others: what is done with the figures (alignment.py).
"""

import time
from typing import Final

import numpy as np

from benchmarks.alignment_streams import NS_PER_S, START_NS
from gateway import status
from gateway.records import Aligned, Provenance
from gateway.stages.rows import RowCollector

SIGNALS: Final = 1_000
SEED: Final = 7


def cost(period_ns: int, *, signals: int = SIGNALS, seconds: int) -> tuple[float, float]:
    """Return the share of a core for signals at 10 Hz, jittered, and the longest tenth, in s.

    The share is of the second half.
    """
    rng = np.random.default_rng(SEED)
    names = tuple(f"n:s{place}" for place in range(signals))
    collector = RowCollector(names, period_ns, period_ns)
    levels = np.zeros(signals)
    taken_s = []
    for tick in range(10 * seconds):
        levels += rng.normal(size=signals)
        base_ns = START_NS + tick * NS_PER_S // 10
        times_ns = base_ns + rng.integers(-5_000_000, 5_000_000, signals)
        values = [
            _cheap(name, value, time_ns, tick)
            for name, value, time_ns in zip(names, levels.tolist(), times_ns.tolist(), strict=True)
        ]
        started_s = time.process_time()
        for value in values:
            collector.put(value, base_ns + 20_000_000)
        taken_s.append(time.process_time() - started_s)
    later_s = taken_s[len(taken_s) // 2 :]
    return sum(later_s) / (0.1 * len(later_s)), max(taken_s)


def _cheap(name: str, value: float, time_ns: int, sequence: int) -> Aligned:
    return Aligned(
        signal=name,
        unit="",
        value=value,
        time_ns=time_ns,
        bound_ns=2_000_000,
        uncertainty_ns=2_000_000,
        status=status.GOOD,
        provenance=Provenance.SEALED,
        source="n",
        sequence=sequence,
    )
