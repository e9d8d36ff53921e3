"""What a model cannot see, in words with numbers: said before anybody has to find out.

Promises: every sentence follows from the model at hand; what holds for any model of this kind comes
last. Left to others: the figures (`measures.py`).
"""

from typing import Any, Final

import numpy as np

from gateway.clock import NS_PER_S
from gateway.lifecycle.measures import SHIFT_ROWS, Measures
from gateway.models.twin_model import TwinModel

_LITTLE_EXPLAINED: Final = 0.2
_NAMES_MAX: Final = 6
_WIDER: Final = 3.0


def blind_spots(model: TwinModel, measures: Measures | None) -> tuple[str, ...]:
    """Return what the model cannot see, the most particular first."""
    return (*_left_out(model), *_unwatched(model, measures), *_of_this_kind(model))


def _left_out(model: TwinModel) -> list[str]:
    """Return the signals that take no part, with what the fit said about channels."""
    problems: Any = model.facts.get("problems", [])
    said = [str(problem) for problem in problems] if isinstance(problems, list) else []
    unused = np.flatnonzero(~model.scaling.used)
    silent = [
        f"{model.signals[place]} takes no part: nothing that happens to it is seen."
        for place in unused
        if not any(text.startswith(f"{model.signals[place]}:") for text in said)
    ]
    return [f"{text[0].upper()}{text[1:]}." if text else text for text in said] + silent


def _unwatched(model: TwinModel, measures: Measures | None) -> list[str]:
    """Return which signals have no witness, and which wander too much."""
    found = []
    slow = [name for name, is_slow in zip(model.names, model.is_slow, strict=True) if is_slow]
    if slow:
        found.append(
            f"{_listed(slow)}: the level wanders more than the rows around it scatter. An offset "
            "there looks like ordinary wandering, so it counts as background and not as evidence."
        )
    if measures is None:
        found.append("Nothing was measured on rows kept from the fit: give this report some DATA.")
        return found
    alone = [
        sight.signal
        for sight in measures.sights
        if not sight.is_slow and sight.explained < _LITTLE_EXPLAINED
    ]
    if alone:
        found.append(
            f"{_listed(alone)}: the other signals explain less than "
            f"{100 * _LITTLE_EXPLAINED:.0f} % of the movement. A sensor that lies plausibly there "
            "cannot be told from a plant that moves, and no virtual sensor can stand in."
        )
    wide = [
        sight.signal
        for sight in measures.sights
        if not sight.is_slow and sight.shifts[-1] > _WIDER * sight.shifts[0]
    ]
    if wide:
        found.append(
            f"{_listed(wide)}: after eight hours without learning only offsets more than "
            f"{_WIDER:g} times as large are seen. Live, the model learns on from rows that stay "
            "unsuspicious; after an alarm it does not."
        )
    return found


def _of_this_kind(model: TwinModel) -> list[str]:
    """Return what no model of this kind sees."""
    period_s = model.period_ns / NS_PER_S
    between = f"Anything between two rows ({period_s:g} s): fast vibration has to come as a "
    small = f"Offsets below those of the table, within {SHIFT_ROWS} rows; and a fault that grows "
    replay = "A replay of all signals at once looks healthy in every row. Sealed sequence numbers "
    return [
        between + "feature of the node (RMS, crest, band energy).",
        small + "more slowly than the signal wanders by itself.",
        "A fault that was there while the model was learnt: the model takes it for healthy.",
        replay + "stop it before it gets here; stored history shows it if it is in there.",
        "Causes: it says what is inconsistent and which explanation fits best, not what broke.",
    ]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_MAX])
    rest = len(names) - _NAMES_MAX
    return f"{shown} and {rest} more" if rest > 0 else shown
