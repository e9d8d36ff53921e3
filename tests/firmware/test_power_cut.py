"""Power cuts under the spool and the update, on MicroPython's own littlefs over a simulated flash.

The scripts run on the board `host`, MicroPython's unix port, with the functions that real boards
have for their files (boards/node_files.py); what they ask is in their docstrings.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from boards.build import PROJECT_DIR, build
from boards.catalog import load_board
from boards.emulate import execute

HEAP_BYTES = 32 << 20
TIMEOUT_S = 300.0
CYCLES = 100_000
YEAR_S = 31_557_600
BLOCKS = 256
BLOCK_BYTES = 4096
FRAME_BYTES = 300
pytestmark = pytest.mark.timeout(900)
RECORD_BYTES = FRAME_BYTES + 40
Run = Callable[[str, str], list[int]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a call of one of the scripts; the numbers that it prints."""
    board = load_board("host")
    emulator = board.emulator
    assert emulator is not None
    roomy = board.model_copy(
        update={"emulator": emulator.model_copy(update={"heap_bytes": HEAP_BYTES})}
    )
    image = build(board)

    def run_script(script: str, call: str) -> list[int]:
        folder = tmp_path_factory.mktemp(script)
        code = (
            f"import sys\nsys.path.append({str(PROJECT_DIR)!r})\n"
            f"from tests.firmware import {script} as script\nscript.{call}\n"
        )
        output = execute(roomy, image, Path(folder), code, timeout_s=TIMEOUT_S)
        return [int(number) for number in re.findall(r"\d+", output)]

    return run_script


@pytest.mark.parametrize(
    ("behind_bytes", "uncertain", "operations_min"), [(0, None, 800), (512, 40, 300)]
)
def test_the_spool_survives_a_cut_at_every_flash_operation(
    run: Run, behind_bytes: int, uncertain: int | None, operations_min: int
) -> None:
    cuts, second_cuts, operations = run(
        "power_cut_spool", f"main({behind_bytes}, 331, {uncertain})"
    )
    assert operations >= operations_min
    assert cuts == 3 * operations
    assert second_cuts > 200


def test_an_update_survives_a_cut_at_every_flash_operation(run: Run) -> None:
    cuts, second_cuts, operations = run("power_cut_update", "main(20)")
    assert operations > 300
    assert cuts == 3 * operations
    assert second_cuts > 100


def test_a_flash_that_fails_for_a_while_loses_nothing_in_silence(run: Run) -> None:
    assert run("power_cut_spool", "refuse(5)") == [90]


def test_a_flash_that_others_fill_loses_nothing_in_silence(run: Run) -> None:
    run("power_cut_spool", "fill_up()")


@pytest.mark.parametrize(
    ("behind_bytes", "at_once", "years_stated"), [(0, 1, 0.7), (4096, 13, 3.9)]
)
def test_a_frame_costs_no_more_erases_than_stated(
    run: Run, behind_bytes: int, at_once: int, years_stated: float
) -> None:
    frames = 3000
    erases, most, programmed_bytes, dropped = run(
        "power_cut_wear",
        f"measure({frames}, {FRAME_BYTES}, {behind_bytes}, {BLOCKS}, {BLOCK_BYTES})",
    )
    assert dropped > 1000
    bound = 1 / at_once + RECORD_BYTES / BLOCK_BYTES + 0.05
    measured = erases / frames
    years = CYCLES * BLOCKS / measured / YEAR_S
    print(
        f"behind_bytes {behind_bytes}: {measured:.3f} erases and {programmed_bytes // frames}"
        f" programmed bytes a frame, bound {bound:.3f}, {years:.2f} years at a frame a second"
    )
    assert 0.8 * bound < measured <= bound
    assert years >= years_stated
    # littlefs moves what it erases often after 100 erases: no block runs further ahead.
    assert most <= erases / BLOCKS + 110
