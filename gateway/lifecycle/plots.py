"""The plots of a model's report, as SVG for a page; matplotlib is needed for these alone.

Promises: text stays text; colours are variables of the page (`--ink`, `--grid`, `--c0` ... ), so a
plot is readable on light and on dark; the same figures are the same bytes; every axis has a name
and a unit. Left to others: what is plotted, the page (`report.py`).
"""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateway.errors import OperatorError
from gateway.lifecycle.data import Flags, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK: Final = "#010101"
_MUTED: Final = "#020202"
_GRID: Final = "#030303"
_PAPER: Final = "#030404"
COLOURS: Final = ("#040400", "#040401", "#040402", "#040403", "#040404", "#040405")
_VARIABLES: Final = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _GRID: "var(--grid)",
    _PAPER: "var(--paper)",
    **{colour: f"var(--c{place})" for place, colour in enumerate(COLOURS)},
}
"""Colours that nobody would choose stand for variables while matplotlib draws."""
_STYLE: Final[dict[str, Any]] = {
    "axes.edgecolor": _GRID,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10.0,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "twinrig",
    "text.color": _INK,
    "xtick.color": _GRID,
    "xtick.labelcolor": _MUTED,
    "ytick.color": _GRID,
    "ytick.labelcolor": _MUTED,
}
_EDGE_MIN: Final = 0.1
"""Weaker partial correlations are left out of the graph."""
_POINTS_MAX: Final = 1500
"""Points of a line; more are drawn as the extremes of each stretch."""


def likelihood(table: Mapping[int, Sequence[tuple[int, float]]], chosen: tuple[int, int]) -> str:
    """Held-out log density by factors, one line for each number of lags; the choice is marked."""
    with _drawing() as draw:
        axes = draw.axes((6.4, 3.2))
        for place, (lags, points) in enumerate(sorted(table.items())):
            words = {0: "no lags", 1: "1 lag"}.get(lags, f"{lags} lags")
            axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[place % 6], label=words, ms=4)
        best = dict(table.get(chosen[1], ())).get(chosen[0])
        if best is not None:
            axes.plot(chosen[0], best, "o", ms=12, mfc="none", mec=_INK, label="chosen")
        axes.set_xlabel("factors (common causes)")
        axes.set_ylabel("held-out log density\n(nats per row)")
        axes.set_xticks(sorted({factors for points in table.values() for factors, _ in points}))
        axes.legend()
        return draw.svg("Held-out likelihood by number of factors and lags")


def coverage(points: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Share of values inside the intervals, a row for each question, (nominal, held) for each."""
    with _drawing() as draw:
        axes = draw.axes((6.4, 0.9 + 0.55 * len(points)))
        nominals = sorted({nominal for pairs in points.values() for nominal, _ in pairs})
        for place, nominal in enumerate(nominals):
            axes.axvline(100 * nominal, color=COLOURS[place], linewidth=1.2, linestyle=":")
        for row, pairs in enumerate(points.values()):
            for nominal, held in pairs:
                colour = COLOURS[nominals.index(nominal)]
                axes.plot([100 * nominal, 100 * held], [row, row], color=colour, linewidth=2)
                words = f"{100 * nominal:g} % interval" if row == 0 else None
                axes.plot(100 * held, row, "o", color=colour, ms=7, label=words)
        axes.set_yticks(range(len(points)), list(points))
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.set_xlim(0, 102)
        axes.set_xlabel("values inside the interval (%); dotted: where the dot should be")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        return draw.svg("Coverage of the intervals")


def alarm_curve(
    thresholds: Sequence[float], curves: Mapping[str, Sequence[float]], least_per_hour: float
) -> str:
    """Alarms per hour of normal rows by the probability at which they are raised."""
    with _drawing() as draw:
        axes = draw.axes((6.4, 3.0))
        for place, (words, per_hour) in enumerate(curves.items()):
            axes.plot(thresholds, per_hour, "o-", color=COLOURS[place], ms=4, label=words)
        axes.axvline(0.5, color=COLOURS[3], linewidth=1.2, linestyle="--", label="alarm")
        axes.set_yscale("symlog", linthresh=max(least_per_hour, 1e-3))
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel("probability from which a row counts as alarmed")
        axes.set_ylabel("alarms per hour\nin normal rows")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return draw.svg("False alarms per hour by threshold")


def graph(names: Sequence[str], partial: Floats, slow: Flags) -> str:
    """Signals on a circle; a line is what two have in common beyond all others, (u, u)."""
    with _drawing() as draw:
        axes = draw.axes((6.4, 5.2))
        axes.set_axis_off()
        axes.set_aspect("equal")
        angle = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
        x, y = np.cos(angle), np.sin(angle)
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
            if abs(partial[i, j]) >= _EDGE_MIN:
                style = "-" if partial[i, j] > 0 else (0, (4, 2))
                colour = COLOURS[0] if partial[i, j] > 0 else COLOURS[1]
                width = 6.0 * abs(partial[i, j])
                axes.plot(x[[i, j]], y[[i, j]], color=colour, linewidth=width, linestyle=style)
                at = 0.42 if (i + j) % 2 else 0.58
                where = (x[i] + at * (x[j] - x[i]), y[i] + at * (y[j] - y[i]))
                box = {"facecolor": _PAPER, "edgecolor": "none", "pad": 1.0}
                words = f"{partial[i, j]:+.2f}"
                axes.annotate(words, where, ha="center", va="center", fontsize=8, bbox=box)
        for place, name in enumerate(names):
            face = COLOURS[3] if slow[place] else _MUTED
            axes.plot(x[place], y[place], "o", ms=11, color=face)
            side = "left" if x[place] > 0.1 else "right" if x[place] < -0.1 else "center"
            where = (1.12 * x[place], 1.12 * y[place])
            axes.annotate(name, where, ha=side, va="center", annotation_clip=False)
        axes.set_xlim(-1.9, 1.9)
        axes.set_ylim(-1.25, 1.25)
        return draw.svg("Which signals have something in common beyond all others")


def shifts(names: Sequence[str], ages: Sequence[str], values: Floats) -> str:
    """Smallest lasting offset that is seen, (ages, u), in deviations of a single value."""
    with _drawing() as draw:
        axes = draw.axes((6.4, 0.9 + 0.34 * len(names)))
        rows = np.arange(len(names))
        axes.hlines(rows, values.min(axis=0), values.max(axis=0), color=_GRID, linewidth=3)
        for place, age in enumerate(ages):
            axes.plot(values[place], rows, "o", color=COLOURS[place], ms=6, label=age)
        axes.set_yticks(rows, list(names))
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_plain)
        axes.set_xlabel("smallest lasting offset that stands out (deviations of a single value)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(ages))
        return draw.svg("Smallest offset of each signal that the model sees")


def timeline(hours: Floats, probability: Floats, marked: Flags | None) -> str:
    """Probability of "not normal" over time (n,), and what somebody marked as faulty."""
    with _drawing() as draw:
        axes = draw.axes((9.6, 2.4))
        _shade(axes, hours, marked, COLOURS[1], "marked in the data")
        axes.plot(*_thinned(hours, probability), color=COLOURS[0], linewidth=1.0)
        axes.axhline(0.5, color=COLOURS[3], linewidth=1.0, linestyle="--", label="alarm")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("hours since the first row")
        axes.set_ylabel("probability\n“not normal”")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return draw.svg("Probability of not normal over time")


def channel(hours: Floats, measured: Floats, mean: Floats, reach: Floats, unit: str) -> str:
    """One signal over time, and the band in which 90 % of its values are expected, all (n,)."""
    with _drawing() as draw:
        axes = draw.axes((9.6, 2.2))
        every = slice(None, None, math.ceil(len(hours) / _POINTS_MAX))
        low, high = (mean - reach)[every], (mean + reach)[every]
        words = "90 % expected here"
        axes.fill_between(hours[every], low, high, color=COLOURS[2], alpha=0.35, label=words)
        axes.plot(*_thinned(hours, measured), color=COLOURS[0], linewidth=0.9, label="measured")
        axes.set_xlabel("hours since the first row")
        axes.set_ylabel(f"({unit})" if unit else "(no unit given)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return draw.svg("Measured and expected values over time")


# --- drawing ------------------------------------------------------------------------------------


class _Drawing:
    """One figure, drawn without the state that pyplot keeps."""

    def __init__(self) -> None:
        self._figure: Figure | None = None

    def axes(self, size: tuple[float, float]) -> "Axes":
        """Return the axes of a figure of this size in inches."""
        from matplotlib.figure import Figure  # noqa: PLC0415 - only a report needs it

        self._figure = Figure(figsize=size, layout="constrained")
        return self._figure.add_subplot()

    def svg(self, label: str) -> str:
        """Return the figure as an element of a page."""
        assert self._figure is not None  # noqa: S101 - `axes` comes first
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        self._figure.savefig(text, format="svg", transparent=True, metadata=nothing)
        return _as_element(text.getvalue(), label)


@contextmanager
def _drawing() -> Iterator[_Drawing]:
    """Keep the style of all plots in force while one is drawn."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - only a report needs it
    except ImportError as error:
        what = f"matplotlib is needed for a report ({error}); install twinrig[model]"
        raise OperatorError(what) from error
    style: Any = _STYLE
    with mpl.rc_context(style):
        yield _Drawing()


def _as_element(text: str, label: str) -> str:
    """Return an SVG file as an element that fits its page: no prologue, variables as colours."""
    body = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    body = re.sub(r"font-family: [^;\"]*", "font-family: inherit", body)
    # Several figures share a page, so the names inside one must not be those of another.
    mark = re.sub(r"\W+", "-", label).lower()
    body = re.sub(r'(id="|url\(#|href="#)', rf"\1{mark}-{len(body)}-", body)
    head, rest = body.split(">", 1)
    head = re.sub(r' (width|height)="([\d.]+)pt"', "", head)
    width = re.search(r'viewBox="0 0 ([\d.]+)', head)
    style = f'style="max-width:{float(width[1]) * 1.25:.0f}px"' if width else ""
    return f'{head} role="img" aria-label="{label}" {style}>{rest}'


def _plain(value: float, _: float) -> str:
    return f"{value:g}"


def _shade(axes: "Axes", hours: Floats, marked: Flags | None, colour: str, words: str) -> None:
    """Shade the stretches that are marked."""
    if marked is None or not marked.any():
        return
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    for number, (first, end) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        last = hours[min(int(end), len(hours) - 1)]
        label = words if number == 0 else None
        axes.axvspan(hours[first], last, color=colour, alpha=0.25, linewidth=0, label=label)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return at most about `_POINTS_MAX` points of (n,): lowest and highest of each stretch."""
    if len(x) <= _POINTS_MAX:
        return x, y
    width = math.ceil(2 * len(x) / _POINTS_MAX)
    count = len(x) // width
    blocks = np.where(np.isnan(y), 0.0, y)[: count * width].reshape(count, width)
    places = np.stack([blocks.argmin(axis=1), blocks.argmax(axis=1)], axis=1)
    chosen = (np.sort(places, axis=1) + width * np.arange(count)[:, None]).ravel()
    return x[chosen], y[chosen]
