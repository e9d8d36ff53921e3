"""The `filter` of a channel: how a block of samples becomes one value.

    filter = "rms"
    filter = [{ sos = [[0.1, 0.2, 0.1, -0.9, 0.3]] }, { decimate = 4 }, { median = 5 }, "rms"]

A list ends in a reducer; before it stand stages, in the order in which the samples meet them.
`sos` rows are [b0, b1, b2, a1, a2] of second-order sections with a0 = 1.
Promises: what `check_filter` returns has this shape; every refusal names the stage, from 0.
Left to others: numbers that only the node can judge (`firmware/filter.py`).
"""

import math
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import PlainValidator

from gateway.site_rules import hint

REDUCERS: Final = ("mean", "rms", "median", "peak", "crest", "kurtosis", "min", "max", "last")
STAGES: Final = ("sos", "decimate", "median")
_STAGES_MAX: Final = 8
_SECTIONS_MAX: Final = 16
_SECTION_NUMBERS: Final = 5
_DECIMATE: Final = range(2, 1001)
_MEDIAN: Final = range(3, 64, 2)

Stage = Mapping[str, object]


def check_filter(value: object) -> str | tuple[Stage | str, ...]:
    """Return the filter, lists as tuples; raise ValueError for anything that is none."""
    if isinstance(value, str):
        return _reducer(value)
    if not isinstance(value, list) or not 0 < len(value) <= _STAGES_MAX + 1:
        raise ValueError(
            f'must be a reducer such as "mean", or a list of up to {_STAGES_MAX} stages and one'
        )
    *stages, reducer = value
    return (*(_stage(index, stage) for index, stage in enumerate(stages)), _reducer(reducer))


Filter = Annotated[str | tuple[Stage | str, ...], PlainValidator(check_filter)]


def _reducer(value: object) -> str:
    """Return the name of a reducer, or raise ValueError."""
    if isinstance(value, str) and value in REDUCERS:
        return value
    raise ValueError(f"{value!r} is no reducer; {hint(str(value), REDUCERS)}")


def _stage(index: int, stage: object) -> Stage:
    """Return one stage, or raise ValueError."""
    if not isinstance(stage, dict) or len(stage) != 1:
        raise ValueError(
            f"stage {index} must be a table of one key; use one of {', '.join(STAGES)}"
        )
    ((name, value),) = stage.items()
    if name not in STAGES:
        raise ValueError(f"stage {index}: {name!r} is unknown; {hint(str(name), STAGES)}")
    if name == "sos":
        return {name: _sections(index, value)}
    allowed = _DECIMATE if name == "decimate" else _MEDIAN
    if type(value) is not int or value not in allowed:
        odd = "an odd" if name == "median" else "an"
        raise ValueError(
            f"stage {index}: {name} must be {odd} integer from {allowed[0]} to {allowed[-1]}"
        )
    return {name: value}


def _sections(index: int, value: object) -> tuple[tuple[float, ...], ...]:
    """Return second-order sections, or raise ValueError."""
    rows = value if isinstance(value, list) else []
    if not 0 < len(rows) <= _SECTIONS_MAX or not all(_is_section(row) for row in rows):
        raise ValueError(
            f"stage {index}: sos must be 1 to {_SECTIONS_MAX} rows of {_SECTION_NUMBERS} finite "
            "numbers [b0, b1, b2, a1, a2]; scipy.signal's rows have a0 = 1 in the middle, leave it "
            "out"
        )
    return tuple(tuple(float(number) for number in row) for row in rows)


def _is_section(row: object) -> bool:
    return (
        isinstance(row, list)
        and len(row) == _SECTION_NUMBERS
        and all(type(number) in (int, float) and math.isfinite(number) for number in row)
    )
