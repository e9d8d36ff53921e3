"""The generated constants are what their definitions give, and what is known of them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from wire.ed25519_table_generated import TABLE
from wire.sha512_table_generated import INITIAL, ROUNDS


@pytest.fixture(scope="module")
def tool(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_ed25519_table", root / "tools" / "make_ed25519_table.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_files_are_those_the_tool_makes(tool: ModuleType, root: Path) -> None:
    for path, text in tool.contents().items():
        assert (root / path).read_text(encoding="utf-8") == text, f"run {tool.__file__}"


def test_the_base_point_is_that_of_rfc_8032(tool: ModuleType) -> None:
    x, y = tool.base_point()
    assert x % 2**64 == 0xC9562D608F25D51A
    assert y == int("66" * 31 + "58", 16)


def test_the_table_fits_the_memory_of_a_node() -> None:
    assert len(TABLE) == 3072
    assert (len(INITIAL), len(ROUNDS)) == (64, 640)


def test_first_and_last_constants_of_sha512() -> None:
    # FIPS 180-4, 4.2.3 and 5.3.5.
    assert INITIAL[:8].hex() == "67e6096a08c9bcf3"
    assert ROUNDS[:8].hex() == "982f8a4222ae28d7"
    assert ROUNDS[-8:].hex() == "8c19446c1758474a"


def test_multiples_of_the_base_point(tool: ModuleType) -> None:
    base = tool.base_point()
    assert tool.multiply(0, base) == (0, 1)
    assert tool.multiply(3, base) == tool.add(tool.add(base, base), base)
    assert tool.add(tool.multiply(-5, base), tool.multiply(5, base)) == (0, 1)
