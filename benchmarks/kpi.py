"""What the figures of the links cost, and how often their 95 % limits hold the truth.

    python -m benchmarks.kpi [--links 100] [--runs 1000]

Promises: laws of known truth, simulated from a stated seed; the limits are those that the gateway
states. The last lines break what the limits assume, to show what they are worth then: repair times
that are not exponential, latencies that stay high for long.
Leaves to others: what the figures are (`gateway/stages/kpi_figures.py`).
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from gateway.loss import LossLedger
from gateway.models.log_histogram import LogHistogram
from gateway.models.reliability import (
    Limits,
    availability_limits,
    mtbf_limits,
    ratio_limits,
)
from gateway.stages.kpi import Kpis
from gateway.stages.kpi_link import Link, LinkBudget, Message

SEED: Final = 5
MTBF_S: Final = 1000.0
MTTR_S: Final = 20.0
LOSS: Final = 0.02
MESSAGES: Final = 2000
BURST: Final = 10
S: Final = 1_000_000_000
_WARM: Final = 5000
"""Messages of a link before its figures are timed: their histograms are filled then."""
Generator = np.random.Generator


def holds(limits: Limits, truth: float) -> bool:
    """Tell whether the truth lies within limits; a limit that is not stated excludes nothing."""
    low, high = limits
    return (low is None or low <= truth) and (high is None or truth <= high)


def mtbf(expected: float) -> Callable[[Generator], bool]:
    """Watch a service for `expected` mean times between failures."""
    up_s = expected * MTBF_S
    return lambda rng: holds(mtbf_limits(up_s, int(rng.poisson(expected))), MTBF_S)


def availability(outages: int, *, sigma: float | None = None) -> Callable[[Generator], bool]:
    """Watch outages whose repairs are exponential, or lognormal with a `sigma`."""
    truth = MTBF_S / (MTBF_S + MTTR_S)

    def run(rng: Generator) -> bool:
        ups = rng.exponential(MTBF_S, outages)
        if sigma is None:
            downs = rng.exponential(MTTR_S, outages)
        else:
            downs = rng.lognormal(math.log(MTTR_S) - sigma**2 / 2, sigma, outages)
        return holds(availability_limits(float(ups.sum()), float(downs.sum()), outages), truth)

    return run


def loss(burst: int) -> Callable[[Generator], bool]:
    """Lose messages one by one, or `burst` in a row as often as gives the same share."""
    return lambda rng: holds(burst_limits(int(rng.binomial(MESSAGES // burst, LOSS)), burst), LOSS)


def burst_limits(bursts: int, burst: int) -> Limits:
    """Return the limits after so many bursts of one length."""
    return ratio_limits(bursts * burst, MESSAGES, bursts * burst**2)


def latency_p99(repeats: int) -> Callable[[Generator], bool]:
    """Measure the 99th percentile of exponential latencies, each of which lasts for a while."""

    def run(rng: Generator) -> bool:
        histogram = LogHistogram()
        for value in np.repeat(rng.exponential(0.1, MESSAGES // repeats), repeats).tolist():
            histogram.add(value)
        return holds(histogram.quantile_limits(0.99), 0.1 * math.log(100))

    return run


LAWS: Final[tuple[tuple[str, Callable[[Generator], bool]], ...]] = (
    ("MTBF, 0.5 failures expected", mtbf(0.5)),
    ("MTBF, 2 failures expected", mtbf(2.0)),
    ("MTBF, 10 failures expected", mtbf(10.0)),
    ("availability, 2 outages", availability(2)),
    ("availability, 8 outages", availability(8)),
    ("availability, 30 outages", availability(30)),
    (f"loss of {LOSS:.0%} in {MESSAGES:,} messages", loss(1)),
    (f"loss of {LOSS:.0%}, {BURST} in a row", loss(BURST)),
    (f"99 % latency of {MESSAGES:,} messages", latency_p99(1)),
    ("availability, 8 outages, lognormal repairs (sigma 1.5)", availability(8, sigma=1.5)),
    (f"99 % latency, each {BURST} times in a row", latency_p99(BURST)),
)


def covered(runs: int) -> Table:
    """Return how often each limit holds the truth."""
    rng = np.random.default_rng(SEED)
    table = Table("95 % limits of", "hold the truth in", title=f"{runs:,} runs, seed {SEED}")
    for name, law in LAWS:
        table.add_row(name, f"{sum(law(rng) for _ in range(runs)) / runs:.1%}")
    return table


def cost(count: int) -> Table:
    """Return what messages, ticks and figures of `count` links cost."""
    budget = LinkBudget(
        transfer_interval_ns=S, signals=frozenset(), survival_ns=4 * S,
        latency_ns=5 * S, synchronicity_ns=S,
    )  # fmt: skip
    rng = np.random.default_rng(SEED)
    link, delays_ns = Link(budget, 0), rng.exponential(S / 10, _WARM).astype(np.int64).tolist()
    began_s = time.perf_counter()
    for second, delay_ns in enumerate(delays_ns):
        at_ns = second * S
        link.message(Message("serial", at_ns - delay_ns, 1_000_000, 500_000), 0, at_ns, at_ns)
    message_s = (time.perf_counter() - began_s) / _WARM
    kpis = Kpis({f"s{number}": budget for number in range(count)}, LossLedger())
    kpis.restore({f"s{number}": link.state(_WARM, 0) for number in range(count)})
    began_s = time.perf_counter()
    kpis.latest(0)
    figures_s = time.perf_counter() - began_s
    kpis.tick(0)
    began_s = time.perf_counter()
    kpis.tick(1)
    tick_s = time.perf_counter() - began_s
    table = Table("cost", "", title=f"{count:,} links")
    table.add_row("a message", f"{message_s * 1e6:.1f} us")
    table.add_row("a tick of all links (4 a second)", f"{tick_s * 1e3:.2f} ms")
    table.add_row("the figures of all links (every 10 s)", f"{figures_s * 1e3:.1f} ms")
    share = 4 * tick_s + figures_s / 10 + count * message_s
    table.add_row("together, a message a second each", f"{share:.2%} of a core")
    return table


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Figures of the links: cost and coverage.")
    parser.add_argument("--links", type=int, default=100)
    parser.add_argument("--runs", type=int, default=1000)
    asked = parser.parse_args()
    console = Console()
    console.print(covered(asked.runs))
    console.print(cost(asked.links))


if __name__ == "__main__":
    main()
