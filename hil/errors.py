"""What can be wrong with what the operator handed to the rig, and with the rig itself.

    gateway.errors.OperatorError        a person must act; the message holds the remedy
    |-- gateway.errors.ConfigError
    |   `-- ScenarioError               a scenario file, alone or against its site: all its problems
    `-- gateway.errors.TraceError
        `-- TraceError                  a trace: missing, malformed, or out of a chip's range
    gateway.errors.TwinrigError
    `-- RigError                        the rig itself: a board died, hangs, speaks another version
    ValueError
    `-- UnitError                       a unit's name or dimension; readers turn it into the above

The place comes first and in one spelling (`FILE:LINE: column 'NAME': ...`), so that an editor can
jump to it.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from gateway import errors


class ScenarioError(errors.ConfigError):
    """A scenario cannot be run; `problems` lists everything that was found, with dotted paths."""


class TraceError(errors.TraceError):
    """A trace cannot be read or replayed; `column` is None when the whole row or file is meant."""

    def __init__(
        self, path: str, what: str, line: int | None = None, column: str | None = None
    ) -> None:
        self.column = column
        super().__init__(path, what if column is None else f"column {column!r}: {what}", line)


class RigError(errors.TwinrigError):
    """The rig cannot go on; says nothing about what is under test, so a run may be repeated."""


class UnitError(ValueError):
    """A unit is unknown, or of another dimension than the one asked for."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'X'? ` for the nearest known name, or an empty string."""
    by_folded = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), by_folded, n=1)
    return f"did you mean {by_folded[near[0]]!r}? " if near else ""
