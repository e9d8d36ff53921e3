"""What MicroPython runs keeps to the subset of the language that MicroPython 1.25 has."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import Source

MODULES_MISSING = {
    *("__future__", "abc", "concurrent", "contextlib", "ctypes", "dataclasses", "decimal", "enum"),
    *("functools", "hmac", "inspect", "itertools", "logging", "operator", "pathlib", "pytest"),
    *("subprocess", "threading", "types", "typing"),
}


def cpython_only(source: Source) -> set[ast.AST]:
    """The nodes below the `else` of an `if IS_MICROPYTHON`."""
    return {
        below
        for node in source.nodes
        if isinstance(node, ast.If) and ast.unparse(node.test) == "IS_MICROPYTHON"
        for statement in node.orelse
        for below in ast.walk(statement)
    }


def offences(source: Source) -> Iterator[str]:
    """What in `source` MicroPython would refuse or does not have."""
    exempt = cpython_only(source)
    for node in source.nodes:
        if node in exempt:
            continue
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
        else:
            names = set()
        yield from (f"{source.at(node)} imports {name}" for name in names & MODULES_MISSING)
        if isinstance(node, ast.Match):
            yield f"{source.at(node)} uses match"
        if isinstance(node, ast.TryStar):
            yield f"{source.at(node)} uses except*"
        if isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load):
            starred = [each for each in node.elts if isinstance(each, ast.Starred)]
            yield from (f"{source.at(each)} unpacks inside a display" for each in starred)
        if isinstance(node, ast.arguments) and node.posonlyargs:
            yield f"{source.at(node.posonlyargs[0])} uses positional-only arguments"


def test_device_code_keeps_to_the_subset(sources: list[Source]) -> None:
    device = [source for source in sources if source.is_for_device]
    assert len(device) > 10, "the device code was not found"
    assert [offence for source in device for offence in offences(source)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import typing",
        "from dataclasses import dataclass",
        "from enum import IntEnum",
        "match 1:\n    case _:\n        pass",
        "def f(a, /, b):\n    return a",
        "try:\n    pass\nexcept* ValueError:\n    pass",
        "a = (1, *b)",
        "a = [*b, 1]",
    ],
)
def test_each_offence_is_found(text: str) -> None:
    assert len(list(offences(Source("wire/example.py", text)))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "f(*a)\nb, *c = a\n",
        "from collections import namedtuple\ndef f(x: int) -> bytes:\n    return b''\n",
        "if IS_MICROPYTHON:\n    import micropython\nelse:\n    import hmac\n",
    ],
)
def test_what_micropython_can_run_passes(text: str) -> None:
    assert list(offences(Source("wire/example.py", text))) == []
