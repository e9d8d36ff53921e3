"""Why there is an alarm, in plain words with the numbers behind them.

A sentence names the cause, the signal, what was measured, what the rest of the asset says it should
be, how many deviations apart they are, since when, and what else it could be with which
probability. Nothing is said that is not a number of `causes.compare`.

Left to others: the probabilities (causes.py), the best values (trust.py).
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from gateway.models.calibration import residual
from gateway.models.causes import Finding, Weighed, compare, learn_handicap
from gateway.models.hypotheses_law import (
    Ways,
    healthy_windows,
    law_of,
    learn,
    level_variance,
    plain,
)
from gateway.models.hypotheses_replaced import Copy
from gateway.models.hypotheses_window import Floats, without_from
from gateway.models.trust import Fused, fuse
from gateway.models.twin_model import TwinModel

_NAMED_MAX: Final = 8
_ALTERNATIVES_MAX: Final = 3
_ALTERNATIVE_MIN: Final = 0.01
_MOVED_MAX: Final = 3
_NS_PER_S: Final = 1_000_000_000
_PHRASES: Final[Mapping[str, str]] = {
    "none": "nothing out of the ordinary",
    "process": "the process has changed",
    "bias": "a bias of {name}",
    "drift": "a drift of {name}",
    "stuck": "{name} is stuck",
    "noise": "{name} is noisier than it should be",
    "spike": "a spike of {name}",
    "loss": "values of {name} are missing",
    "clock": "{name} is at the wrong time",
    "spoof": "{name} does not follow the others, or is too clean to be real",
    "replay": "{name} repeats stored rows",
}


class Experience(NamedTuple):
    """What healthy rows teach beyond the model; learnt once, beside the fit."""

    ways: Ways
    handicap: Floats
    """(causes, u + 1), see causes.py."""


class Hypothesis(NamedTuple):
    """One cause in one place, with its probability and its words."""

    cause: str
    signal: str | None
    probability: float
    size: float
    """In healthy deviations of the signal (rows for a clock fault); NaN where there is none."""
    size_deviation: float
    log_likelihood: float
    since_rows: int
    words: str


class Explanation(NamedTuple):
    """The posterior, likeliest first, one sentence about it, and what to believe instead."""

    posterior: tuple[Hypothesis, ...]
    words: str
    fused: Fused


def experience(model: TwinModel, rows: Floats) -> Experience:
    """Learn from healthy rows (n, u), scaled, NaN where missing.

    Offsets of regimes are in the rows; they are taken off here. Costs seconds: at 50 signals and
    500 rows 11 s of one core.
    """
    ways = learn(model, rows)
    law = law_of(model, ways, level_variance=level_variance(model))
    return Experience(ways, learn_handicap(law, healthy_windows(residual(model, rows))))


def explain(
    model: TwinModel,
    rows: Floats,
    *,
    level: Floats | None = None,
    variance: Floats | None = None,
    learnt: Experience | None = None,
    history: Sequence[Copy] = (),
    priors: Mapping[str, float] | None = None,
) -> Explanation:
    """Explain the last rows (n, u): scaled, less `level` (default: the model's), oldest first.

    `level` is (u,), or (n, u) with the offset of the regime of each row. `variance` (u,) is how
    uncertain it is, calibration age included; `history` are copies of a `repeats.Memory`. Words are
    in the signals' own units. Costs about 0.1 s for 8 signals and 60 rows: for alarms, not for
    every row.
    """
    ways = plain(model) if learnt is None else learnt.ways
    law = law_of(model, ways, level_variance=variance)
    handicap = None if learnt is None else learnt.handicap
    weighed = compare(law, rows, copies=history, handicap=handicap, priors=priors)
    base = np.broadcast_to(model.level if level is None else level, rows.shape)
    words = _Words(model, base, weighed)
    posterior = tuple(
        words.hypothesis(finding, is_named=place < _NAMED_MAX)
        for place, finding in enumerate(weighed.findings)
    )
    fused = fuse(weighed)
    return Explanation(posterior, words.summary(posterior, fused), fused)


class _Words:
    """Names and units of one model, for sentences about one window."""

    def __init__(self, model: TwinModel, level: Floats, weighed: Weighed) -> None:
        self._model = model
        self._level = level
        self._weighed = weighed
        self._places = np.flatnonzero(model.scaling.used)

    def hypothesis(self, finding: Finding, *, is_named: bool) -> Hypothesis:
        """Return a finding with its name and, for the first few, its words."""
        name = None if finding.signal is None else self._name(finding.signal)
        return Hypothesis(
            finding.cause,
            name,
            finding.probability,
            finding.size,
            finding.size_deviation,
            finding.log_likelihood,
            finding.age_rows,
            self._sentence(finding) if is_named else "",
        )

    def summary(self, posterior: Sequence[Hypothesis], fused: Fused) -> str:
        """Return the first hypothesis, what else it could be, and what is left out."""
        first, others = posterior[0], posterior[1:]
        text = f"{first.probability:.0%}: {first.words}."
        said = [
            f"{_phrase(other.cause, other.signal)} {other.probability:.0%}"
            for other in others[:_ALTERNATIVES_MAX]
            if other.probability >= _ALTERNATIVE_MIN
        ]
        if said:
            text += f" Otherwise: {', '.join(said)}."
        if fused.left_out:
            names = ", ".join(self._name(place) for place in fused.left_out)
            text += f" The best values leave out {names}."
        return text

    def _sentence(self, finding: Finding) -> str:
        """Return what a finding says, without the full stop."""
        name = None if finding.signal is None else self._name(finding.signal)
        text = _phrase(finding.cause, name)
        if finding.cause == "none":
            return text
        text += f", {self._since(finding.age_rows)}"
        if finding.signal is not None:
            text += self._apart(finding.signal, finding.age_rows)
        if finding.cause == "process":
            text += self._moved()
        if finding.cause == "clock":
            text += (
                f"; about {abs(finding.size):.0f} rows {'late' if finding.size > 0 else 'early'}"
            )
        if finding.cause in ("bias", "drift", "spike"):
            text += f"; size {finding.size:+.1f} +- {finding.size_deviation:.1f} healthy deviations"
        return text

    def _since(self, rows: int) -> str:
        """Return since when."""
        seconds = rows * self._model.period_ns / _NS_PER_S
        at_least = "at least " if rows >= self._weighed.window.values.shape[1] else ""
        return f"since {at_least}{rows} rows ({seconds:g} s)"

    def _apart(self, signal: int, age_rows: int) -> str:
        """Return measured, expected and how far apart, at the newest value since the onset."""
        window = self._weighed.window
        rows = window.values.shape[1]
        first = max(0, rows - max(age_rows, 1))
        places = np.flatnonzero(window.seen[signal, first:])
        mean, deviation = without_from(window, signal, first)
        if not len(places):
            return f": nothing measured, expected {self._value(signal, rows - 1, mean[-1])}"
        last = int(places[-1])
        row = first + last
        measured = window.values[signal, row]
        sigmas = (measured - mean[last]) / max(float(deviation[last]), 1e-12)
        spread = deviation[last] * self._model.scaling.scale[self._places[signal]]
        return (
            f": measured {self._value(signal, row, measured)}, expected from the rest "
            f"{self._value(signal, row, mean[last])} +- {spread:.3g} ({sigmas:+.1f} sigma)"
        )

    def _moved(self) -> str:
        """Return which signals a process change moves most."""
        changed = self._weighed.changed
        pairs = zip(changed.signals, changed.sizes, strict=True)
        ranked = sorted(pairs, key=lambda pair: -abs(pair[1]))[:_MOVED_MAX]
        if not ranked:
            return ""
        said = ", ".join(f"{self._name(place)} {size:+.1f}" for place, size in ranked)
        return f"; moved most, in healthy deviations: {said}"

    def _name(self, signal: int) -> str:
        """Return the name of a used signal."""
        return str(self._model.signals[self._places[signal]])

    def _value(self, signal: int, row: int, away: float) -> str:
        """Return what is so far from the level of a row as a value in the signal's own unit."""
        place = self._places[signal]
        scaling = self._model.scaling
        level = self._level[row, signal] + away
        value = scaling.location[place] + scaling.scale[place] * level
        return f"{float(value):.5g} {self._model.units[place]}".rstrip()


def _phrase(cause: str, name: str | None) -> str:
    """Return the cause in words."""
    return _PHRASES[cause].replace("{name}", "every signal" if name is None else name)
