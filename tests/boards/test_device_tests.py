"""The device tests again, on real MicroPython: the unix port and the emulated boards.

Every `tests/device/test_*.py` is frozen into an image with the code it tests; each board runs all
of them, one line per test, and they have to be the tests that stand in the source.
"""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from boards.build import DEVICE_TESTS, PROJECT_DIR, build
from boards.catalog import load_board
from boards.emulate import execute

# One board for each instruction set: `qemu_mps2` has the CPU of `qemu_stm32f2`.
INTERPRETER_OF = {
    "host": "MicroPython unix",
    "qemu_stm32f2": "MicroPython Cortex-M3",
    "qemu_rv32": "MicroPython RV32IMAC",
}
DEVICE_TESTS_DIR = PROJECT_DIR / "tests" / "device"
TIMEOUT_S = 240.0


def collected() -> list[str]:
    """`module.test` of every device test, read from the source."""
    return [
        f"{path.stem}.{node.name}"
        for path in sorted(DEVICE_TESTS_DIR.glob("test_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("board_name", sorted(INTERPRETER_OF))
def test_every_device_test_passes_on(
    board_name: str, tmp_path: Path, passed_on: Callable[[str, int], None]
) -> None:
    board = load_board(board_name)
    modules = sorted(path.stem for path in DEVICE_TESTS_DIR.glob("test_*.py"))
    code = f"import tests.device.runner\ntests.device.runner.run({modules!r})\n"
    output = execute(
        board, build(board, DEVICE_TESTS), tmp_path / board_name, code, timeout_s=TIMEOUT_S
    )
    lines = output.splitlines()
    passed = [line.removeprefix("ok ") for line in lines if line.startswith("ok ")]
    passed_on(INTERPRETER_OF[board_name], len(passed))
    failed = [line for line in lines if line.startswith("FAILED")]
    assert not failed, f"{failed}\n{output[-4000:]}"
    assert sorted(passed) == sorted(collected())
