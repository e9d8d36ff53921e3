"""What has happened? A posterior over cause and signal for a window of rows.

    p(cause, signal | rows) ~ p(cause) p(signal | cause) sum over variants of p(rows | variant)

Every variant (onset, size, kind of replacement) is a generative hypothesis whose density of the
whole window is known exactly, with the size integrated out; so the probabilities can be compared
and should hold, in words of calibration, as far as the priors and the healthy law do.

The priors are stated here, for the moment at which somebody asks (an alarm), and may be given
anew. "none" is one of the causes: an alarm may be false.

Left to others: the densities (hypotheses_*.py), stored history (repeats.py), words
(explanation.py), what to believe instead (trust.py).

Sources: Willsky and Jones (1976) for hypotheses on windows; Jeffreys, Theory of Probability (1961),
V, for posteriors over hypotheses with the parameters integrated out.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from gateway.models.hypotheses_additive import Candidates, additive
from gateway.models.hypotheses_clock import clock
from gateway.models.hypotheses_process import Changed, process
from gateway.models.hypotheses_replaced import Copy, replaced
from gateway.models.hypotheses_window import Floats, Law, Window, weigh

CAUSES: Final = (
    "none",
    "process",
    "bias",
    "drift",
    "stuck",
    "noise",
    "spike",
    "loss",
    "clock",
    "spoof",
    "replay",
)
PRIORS: Final[Mapping[str, float]] = {
    "none": 0.10,
    "process": 0.20,
    "bias": 0.12,
    "drift": 0.12,
    "stuck": 0.10,
    "noise": 0.09,
    "spike": 0.07,
    "loss": 0.05,
    "clock": 0.05,
    "spoof": 0.05,
    "replay": 0.05,
}
"""Probability of each cause when an alarm is looked into, before the window is."""
WINDOW_ROWS: Final = 60
"""Rows that are looked at; an older onset is said to be older."""
_SHARED_CAUSES: Final = ("loss", "replay")
"""Causes that befall one signal or all; half of the prior each."""


class Finding(NamedTuple):
    """One cause in one place, everything else averaged out."""

    cause: str
    signal: int | None
    """Place among the used signals; None for the plant, all signals, or nothing."""
    probability: float
    log_likelihood: float
    """Log density of the window over that under "all is well"."""
    size: float
    """In healthy deviations of the signal; rows for a clock fault; NaN where it has none."""
    size_deviation: float
    age_rows: int
    """Rows since the onset (posterior median); the window's length means: or older."""


class Weighed(NamedTuple):
    """A window, and what may have happened in it."""

    window: Window
    findings: tuple[Finding, ...]
    """Likeliest first; the probabilities sum to one."""
    changed: Changed
    """What a process change, if it is one, moves."""

    def cause_probabilities(self) -> dict[str, float]:
        """Return the probability of every cause, in any place."""
        total = dict.fromkeys(CAUSES, 0.0)
        for finding in self.findings:
            total[finding.cause] += finding.probability
        return total

    def signal_probabilities(self) -> Floats:
        """Return the probability (u,) that a signal is the one at fault."""
        total = np.zeros(len(self.window.values))
        for finding in self.findings:
            if finding.signal is not None:
                total[finding.signal] += finding.probability
        return total


def compare(
    law: Law,
    rows: Floats,
    *,
    copies: Sequence[Copy] = (),
    handicap: Floats | None = None,
    priors: Mapping[str, float] | None = None,
) -> Weighed:
    """Compare all hypotheses on residual rows (n, u), NaN where missing, oldest first.

    `copies` are stored rows that look like these (repeats.py), `handicap` is `learn_handicap`'s.
    Raises ValueError if the rows do not have one column for each signal of the law.
    """
    signals = len(law.resolution)
    if rows.ndim != 2 or rows.shape[1] != signals:
        raise ValueError(f"rows of shape {rows.shape} for {signals} signals; give (n, {signals})")
    window = weigh(law, rows)
    changes, changed = process(window)
    candidates = [
        *additive(window),
        *replaced(window, copies),
        *clock(window),
        changes,
    ]
    chosen = PRIORS if priors is None else priors
    return Weighed(window, _posterior(candidates, signals, chosen, handicap), changed)


def learn_handicap(law: Law, windows: Sequence[Floats]) -> Floats:
    """Return what healthy windows (n, u) cost every cause and place, (causes, u + 1), in logs.

    A density ratio has the mean 1 under "all is well" if the law is right. As far as it is not (a
    tail, a lag that the model does not know), some hypothesis explains healthy rows better than
    the law; the log of its mean ratio over the windows is then taken off ever after. Each signal
    pays for its own misfit only. The last column is for causes without a signal.
    """
    signals = len(law.resolution)
    ratios = np.full((len(windows), len(CAUSES), signals + 1), -np.inf)
    for place, rows in enumerate(windows):
        for finding in compare(law, rows).findings:
            column = signals if finding.signal is None else finding.signal
            ratios[place, CAUSES.index(finding.cause), column] = finding.log_likelihood
    if not len(windows):
        return np.zeros(ratios.shape[1:])
    mean = np.logaddexp.reduce(ratios, axis=0) - np.log(len(windows))
    result: Floats = np.maximum(mean, 0.0)
    return result


def _posterior(
    candidates: Sequence[Candidates],
    signals: int,
    priors: Mapping[str, float],
    handicap: Floats | None,
) -> tuple[Finding, ...]:
    """Return the findings, likeliest first."""
    pooled = _pooled(candidates)
    findings = [Finding("none", None, priors["none"], 0.0, np.nan, np.nan, 0)]
    logs = [np.log(max(priors["none"], 1e-300))]
    for (cause, signal), part in pooled.items():
        top = part.log_likelihood.max(initial=-np.inf)
        if not np.isfinite(top):
            continue
        weights = np.exp(part.log_likelihood - top)
        likelihood = float(top + np.log(weights.sum()))
        if handicap is not None:
            likelihood -= float(
                handicap[CAUSES.index(cause), signals if signal is None else signal]
            )
        prior = priors[cause] * _share(cause, signal, signals)
        logs.append(np.log(max(prior, 1e-300)) + likelihood)
        findings.append(_finding(part, signal, likelihood, weights / weights.sum()))
    logarithms = np.array(logs)
    shares = np.exp(logarithms - logarithms.max())
    shares /= shares.sum()
    ranked = sorted(zip(shares, findings, strict=True), key=lambda pair: -pair[0])
    return tuple(finding._replace(probability=float(share)) for share, finding in ranked)


def _share(cause: str, signal: int | None, signals: int) -> float:
    """Return p(signal | cause)."""
    if cause not in _SHARED_CAUSES:
        return 1.0 if signal is None else 1.0 / signals
    return 0.5 if signal is None else 0.5 / signals


def _pooled(candidates: Sequence[Candidates]) -> dict[tuple[str, int | None], Candidates]:
    """Return the variants of every cause and place, (m,) each."""
    rows: dict[tuple[str, int | None], list[Candidates]] = {}
    for part in candidates:
        for place, signal in enumerate(part.signals):
            one = Candidates(
                part.cause,
                (signal,),
                part.log_likelihood[place],
                part.size[place],
                part.size_variance[place],
                part.age[place],
            )
            rows.setdefault((part.cause, signal), []).append(one)
    return {
        key: Candidates(
            key[0],
            (key[1],),
            *(np.concatenate([part[field] for part in parts]) for field in range(2, 6)),
        )
        for key, parts in rows.items()
    }


def _finding(part: Candidates, signal: int | None, likelihood: float, weights: Floats) -> Finding:
    """Return one finding; `weights` (m,) of its variants sum to one."""
    mean = float(weights @ part.size)
    variance = float(weights @ (part.size_variance + (part.size - mean) ** 2))
    order = np.argsort(part.age, kind="stable")
    middle = np.searchsorted(np.cumsum(weights[order]), 0.5)
    age = int(part.age[order[min(int(middle), len(order) - 1)]])
    return Finding(part.cause, signal, 0.0, likelihood, mean, float(np.sqrt(variance)), age)
