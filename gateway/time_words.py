"""Numbers about time as a person reads them: on the page, in the terminal.

Promises: three digits of a duration, every nine of an availability; what is not known reads "-".
Left to others: which numbers stand where (`web/page.py`, `twinrig_gateway_time.py`).
"""

import math
from datetime import UTC, datetime
from typing import Final

from gateway.clock import NS_PER_S
from gateway.records_time import ClockEstimate, KpiFigure, LinkKpi

NONE: Final = "-"
_LONG_NS: Final = 86_400 * NS_PER_S
"""No clock that shows UTC is off by a day without being unset."""
_UNITS: Final = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
_SMALL: Final = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
LABELS: Final = {
    "transfer_interval_stated_s": "transfer interval, stated",
    "transfer_interval_s": "transfer interval, measured",
    "update_time_median_s": "update time, median",
    "update_time_p99_s": "update time, 99 %",
    "end_to_end_latency_median_s": "end-to-end latency, median",
    "end_to_end_latency_p99_s": "end-to-end latency, 99 %",
    "jitter_s": "jitter",
    "messages_count": "messages",
    "message_loss_ratio": "message loss",
    "untimely_message_ratio": "untimely messages",
    "survival_time_s": "survival time, stated",
    "longest_gap_s": "longest gap",
    "communication_service_availability_ratio": "service availability",
    "communication_service_reliability_mtbf_s": "service reliability, MTBF",
    "communication_service_failures_count": "service failures",
    "communication_service_downtime_s": "downtime",
    "clock_synchronicity_bound_p99_s": "clock synchronicity, bound, 99 %",
    "clock_synchronicity_uncertainty_p99_s": "clock synchronicity, k = 2, 99 %",
}
"""What a figure is called in a line for a person."""
_AT_LEAST: Final = frozenset(
    ("communication_service_availability_ratio", "communication_service_reliability_mtbf_s")
)


def duration(value_s: float | None) -> str:
    """Return seconds in the unit that suits them: "-1.25 ms", "3 d 4 h"."""
    if value_s is None or not math.isfinite(value_s):
        return NONE
    size = abs(value_s)
    sign = "-" if value_s < 0 else ""
    if size == 0:
        return "0 s"
    if size < 60:
        unit, scale = next(
            ((unit, scale) for unit, scale in _SMALL if size >= 0.9995 * scale), _SMALL[-1]
        )
        return f"{sign}{_digits(size / scale)} {unit}"
    place = next(i for i, (_, scale) in enumerate(_UNITS) if size >= scale)
    (unit, scale), (smaller, part) = _UNITS[place], _UNITS[min(place + 1, len(_UNITS) - 1)]
    rounded_s = round(size / part) * part
    if place and rounded_s >= _UNITS[place - 1][1]:
        return duration(math.copysign(rounded_s, value_s))
    whole, rest = divmod(round(size / part), round(scale / part))
    return f"{sign}{whole:,} {unit}" + (f" {rest} {smaller}" if rest else "")


def ratio(value: float | None) -> str:
    """Return a share in per cent with as many nines as it has."""
    if value is None or not math.isfinite(value):
        return NONE
    rest = min(value, 1.0 - value)
    if rest <= 0:
        return f"{100 * value:g} %"
    decimals = min(max(1, math.ceil(-math.log10(rest))), 12)
    return f"{float(f'{100 * value:.{decimals}f}'):.15g} %"


def nanoseconds(value_ns: int | None) -> str:
    """Return nanoseconds as `duration` does."""
    return NONE if value_ns is None else duration(value_ns / NS_PER_S)


def ppm(value: float | None, uncertainty: float | None) -> str:
    """Return a rate with its uncertainty, whose digits it shares."""
    if value is None:
        return NONE
    if uncertainty is None or not 0 < uncertainty < math.inf:
        return f"{value:+.2f} ppm"
    decimals = min(max(1 - math.floor(math.log10(uncertainty)), 0), 6)
    return f"{value:+.{decimals}f} ± {uncertainty:.{decimals}f} ppm"


def moment(time_ns: int) -> str:
    """Return UTC to the second; out of the calendar it is a number."""
    try:
        return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{time_ns} ns"


def amount(value: float | None, unit: str) -> str:
    """Return a value of a figure in its unit."""
    if unit == "s":
        return duration(value)
    if unit == "/":
        return ratio(value)
    return NONE if value is None or not math.isfinite(value) else f"{value:,.0f}"


def limits(figure: KpiFigure) -> str:
    """Return between which limits a figure lies; "" if none are known."""
    low, high = amount(figure.low, figure.unit), amount(figure.high, figure.unit)
    if figure.low is not None and figure.high is not None:
        return low if low == high else f"{low} to {high}"
    if figure.low is not None:
        return f"at least {low}"
    return "" if figure.high is None else f"at most {high}"


def budget(figure: KpiFigure) -> str:
    """Return what the site asks of a figure; "" if nothing."""
    if figure.budget is None:
        return ""
    way = "at least" if figure.name in _AT_LEAST else "at most"
    return f"{way} {amount(figure.budget, figure.unit)}"


def met(figure: KpiFigure) -> str:
    """Return whether a figure meets its budget, in a word; "" without one."""
    if figure.budget is None:
        return ""
    return "open" if figure.is_met is None else "met" if figure.is_met else "NOT MET"


def label(name: str) -> str:
    """Return what a figure is called."""
    return LABELS.get(name, name.replace("_", " "))


def service(link: LinkKpi) -> str:
    """Return in a word how a link is."""
    if link.is_up:
        return "up"
    return "down" if link.observed_s > 0 else "waiting"


def offset(clock: ClockEstimate) -> str:
    """Return the offset of a clock; that of one that counts from its start is a date."""
    if clock.offset_ns is None or abs(clock.offset_ns) < _LONG_NS:
        return nanoseconds(clock.offset_ns)
    return f"0 at {moment(clock.offset_ns)} UTC"


def heard(count: int, what: str) -> str:
    """Return a number of things: "1 finding", "2 findings"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def clock_kind(clock: ClockEstimate) -> str:
    """Return how a clock is heard."""
    return "two-way" if clock.is_two_way else "one-way: offset cannot be known"


def _digits(value: float) -> str:
    """Return three digits of a number from 1 to 1000."""
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"
