"""A command as a person types it: `set-rate 100000 10`, or `actuate valve value=1 hold_ms=5000`.

Promises: what is returned has the names, order and kinds of `wire.commands.ARGUMENTS`; every
refusal says what the verb takes. Left to others: limits, which only the node knows.
"""

import json
import math
from collections.abc import Sequence
from typing import Final

from gateway.commands import Arguments
from gateway.errors import OperatorError
from gateway.site_filter import check_filter
from wire import commands

TYPED: Final = (
    commands.SET_RATE,
    commands.SET_FILTER,
    commands.CAPTURE,
    commands.ACTUATE,
    commands.RESTART,
)
"""Verbs for people; keys rotate and updates go by commands of their own."""
_KINDS: Final = {int: "integer", float: "number", str: "text"}


def read_command(verb: str, words: Sequence[str]) -> tuple[int, Arguments]:
    """Return (verb, arguments) of `wire.commands`; raise `OperatorError` for anything else."""
    number = next((known for known in TYPED if _spelled(known) == verb.replace("_", "-")), None)
    if number is None:
        known = ", ".join(map(_spelled, TYPED))
        raise OperatorError(f"no verb {verb!r}; there are {known}")
    names = [name for name, _ in commands.ARGUMENTS[number]]
    given: dict[str, str] = {}
    for place, word in enumerate(words):
        name, equals, text = word.partition("=")
        if equals and name in names:
            given[name] = text
        elif place < len(names) and names[place] not in given:
            given[names[place]] = word
        else:
            raise OperatorError(f"{word!r} is one too many: {_usage(number)}")
    missing = [name for name in names if name not in given]
    if missing:
        raise OperatorError(f"{missing[0]} is missing: {_usage(number)}")
    kinds = enumerate(commands.ARGUMENTS[number])
    return number, {key: _value(number, name, kind, given[name]) for key, (name, kind) in kinds}


def _value(verb: int, name: str, kind: type, text: str) -> int | float | str:
    """Return an argument of the right kind, or raise `OperatorError`."""
    try:
        if kind is str:
            return _filter(text) if name == "filter" else text
        value: int | float = int(text) if kind is int else float(text)
    except ValueError as error:
        what = str(error) if kind is str else f"{text!r} is no {_KINDS[kind]}"
        raise OperatorError(f"{name}: {what}; {_usage(verb)}") from error
    if not math.isfinite(value) or (kind is int and value < 0):
        raise OperatorError(f"{name}: {text!r} cannot be; {_usage(verb)}")
    return value


def _filter(text: str) -> str:
    """Return a filter as JSON; a reducer may be typed without quotes. Raises ValueError."""
    value = json.loads(text) if text[:1] in '["{' else text
    check_filter(value)
    return json.dumps(value)


def _usage(verb: int) -> str:
    """Return what a verb takes, in words."""
    taken = " ".join(f"{name.upper()}" for name, _ in commands.ARGUMENTS[verb])
    kinds = ", ".join(f"{name} {_KINDS[kind]}" for name, kind in commands.ARGUMENTS[verb])
    spelled = _spelled(verb)
    return f"{spelled} {taken} ({kinds})" if taken else f"{spelled} takes nothing"


def _spelled(verb: int) -> str:
    return commands.VERBS[verb].replace("_", "-")
