"""The figures of the links outlive the gateway: one file in the state folder.

    <state>/kpis.json    what `stages/kpi.py` has seen of every source, mode 0600

Promises: a kill finds the file old or new, never half-written; a damaged one is moved aside to
`kpis.json.damaged`, its damage named, and the figures begin afresh: no figure is worth a plant's
gateway that does not start. The file is not forced to the disk, so a cut of power may take back the
last minutes of it.
Left to others: when it is written (`app.py`, every minute and at the end).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.errors import OperatorError
from gateway.models.log_histogram import HistogramState, LogHistogram
from gateway.stages.kpi_link import DISTRIBUTIONS, LinkState
from gateway.stages.kpi_service import NS_MAX, ServiceState
from gateway.state import replace_file

FILE: Final = "kpis.json"
_FORMAT: Final = 1
_BYTES_MAX: Final = 64_000_000
"""Five full histograms of a thousand sources."""
_LINK_MAX: Final = 300
_DAMAGE: Final = (
    OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What reading a file of any content can raise."""


def save_kpis(state_dir: Path, states: Mapping[str, LinkState]) -> None:
    """Replace the file; raise `OperatorError` when that is impossible."""
    path = state_dir / FILE
    links = {source: _as_json(state) for source, state in states.items()}
    text = json.dumps({"format": _FORMAT, "links": links}, allow_nan=False)
    try:
        replace_file(path, text + "\n", is_synced=False, is_private=True)
    except OSError as error:
        raise OperatorError(
            f"{path}: the figures of the links cannot be kept ({error}); make the folder writable "
            "and free some space"
        ) from error


def load_kpis(state_dir: Path) -> tuple[dict[str, LinkState], str]:
    """Return what was kept by source, and what was wrong with it in words; "" for nothing."""
    path = state_dir / FILE
    try:
        if not path.exists():
            return {}, ""
        if path.stat().st_size > _BYTES_MAX:
            raise ValueError(f"exceeds {_BYTES_MAX} bytes")
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']!r} is not {_FORMAT}")
        return {str(source): _link(row) for source, row in content["links"].items()}, ""
    except _DAMAGE as error:
        what = f"{path}: is damaged ({type(error).__name__}: {error}); the figures begin afresh"
        return {}, what + _moved_aside(path)


def _moved_aside(path: Path) -> str:
    """Move a damaged file out of the way; return what became of it."""
    aside = path.with_name(path.name + ".damaged")
    try:
        path.replace(aside)
    except OSError as error:
        return f", and it cannot be moved aside ({error})"
    return f", and it is kept as {aside.name}"


def _as_json(state: LinkState) -> dict[str, object]:
    return {
        "stated_ns": state.stated_ns,
        "link": state.link,
        "service": state.service._asdict(),
        "messages": state.messages,
        "untimely": state.untimely,
        "sent": state.sent,
        "lost": state.lost,
        "lost_squares": state.lost_squares,
        "untimely_squares": state.untimely_squares,
        "lost_in_a_row": state.lost_in_a_row,
        "untimely_in_a_row": state.untimely_in_a_row,
        "jitter_s": state.jitter_s,
        "histograms": {
            name: {
                "counts": {str(place): count for place, count in kept.counts.items()},
                "total_s": kept.total_s,
                "least_s": kept.least_s,
                "greatest_s": kept.greatest_s,
            }
            for name, kept in state.histograms.items()
            if kept.counts
        },
    }


def _link(row: Mapping[str, object]) -> LinkState:
    """Return one link of a file, or raise one of `_DAMAGE`."""
    match row:
        case {
            "stated_ns": [int() as interval_ns, int() as survival_ns, int() as latency_ns],
            "link": str() as link,
            "service": dict() as service,
            "histograms": dict() as histograms,
            "jitter_s": int() | float() as jitter_s,
        } if len(link) <= _LINK_MAX and 0 <= jitter_s < float("inf"):
            known = LinkState(
                stated_ns=(interval_ns, survival_ns, latency_ns),
                link=link,
                service=_service(service),
                jitter_s=float(jitter_s),
                histograms={
                    name: _histogram(histograms[name])
                    for name in DISTRIBUTIONS
                    if name in histograms
                },
                messages=_count(row, "messages"),
                untimely=_count(row, "untimely"),
                sent=_count(row, "sent"),
                lost=_count(row, "lost"),
                lost_squares=_count(row, "lost_squares"),
                untimely_squares=_count(row, "untimely_squares"),
                lost_in_a_row=_count(row, "lost_in_a_row"),
                untimely_in_a_row=_count(row, "untimely_in_a_row"),
            )
        case _:
            raise ValueError("a link lacks a part, or has one of a wrong type")
    if known.untimely > known.messages or known.lost > known.sent:
        raise ValueError("more messages are late or lost than there were")
    if known.untimely_in_a_row > known.untimely or known.lost_in_a_row > known.lost:
        raise ValueError("more messages are late or lost in a row than in all")
    return known


def _service(row: Mapping[str, object]) -> ServiceState:
    is_up, has_begun = row["is_up"], row["has_begun"]
    if not isinstance(is_up, bool) or not isinstance(has_begun, bool) or is_up > has_begun:
        raise ValueError("a service is up or down, and not before it has begun")
    return ServiceState(
        up_ns=_count(row, "up_ns"),
        down_ns=_count(row, "down_ns"),
        failures=_count(row, "failures"),
        longest_gap_ns=_count(row, "longest_gap_ns"),
        is_up=is_up,
        has_begun=has_begun,
    )


def _histogram(row: Mapping[str, Mapping[str, object]]) -> HistogramState:
    state = HistogramState(
        {int(place): _count(row["counts"], place) for place in row["counts"]},
        *(_number(row[name]) for name in ("total_s", "least_s", "greatest_s")),
    )
    # It checks what cannot be; the figures are made of it later.
    LogHistogram(state)
    return state


def _count(row: Mapping[str, object], name: str) -> int:
    value = row[name]
    if type(value) is not int or not 0 <= value < NS_MAX:
        raise ValueError(f"{name} = {value!r} is no count")
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is no number")
    return float(value)  # type: ignore[arg-type]
