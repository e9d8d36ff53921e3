"""What an RV32 needs that an Arm does not: aligned machine code, a call that crosses no page."""

import subprocess
from pathlib import Path

import pytest

from boards.build import APPLICATION, DEVICE_TESTS, Contents, build
from boards.catalog import load_board
from boards.emulate import execute

PAGE_BYTES = 4096

CLOCKS = """
import hal, machine
MTIME = 0x0200BFF8
def both():
    return hal.cycles_ns(), machine.mem32[MTIME]
first = both()
for _ in range(20000):
    pass
second = both()
print(second[0] - first[0], (second[1] - first[1]) * 100)
"""


@pytest.mark.parametrize("contents", [APPLICATION, DEVICE_TESTS], ids=lambda item: item.name)
def test_all_frozen_code_is_aligned(contents: Contents) -> None:
    image = build(load_board("qemu_rv32"), contents)
    symbols = subprocess.run(
        ["riscv64-unknown-elf-nm", str(image)], capture_output=True, text=True, check=True
    )
    addresses = {
        name: int(address, 16)
        for address, _, name in map(str.split, symbols.stdout.splitlines())
        if name.startswith("fun_data_")
    }
    assert len(addresses) > 100
    assert [name for name, address in addresses.items() if address % 2] == []


def test_the_semihosting_call_crosses_no_page(tmp_path: Path) -> None:
    board = load_board("qemu_rv32")
    code = "import hal, uctypes; print(uctypes.addressof(hal._gate), len(hal._gate) * 4)"
    address, size = map(int, execute(board, build(board), tmp_path, code, timeout_s=60).split())
    assert address % PAGE_BYTES + size <= PAGE_BYTES
    # Not by chance: the heap aligns it to its size.
    assert address % size == 0


def test_the_cycle_counter_counts_virtual_nanoseconds(tmp_path: Path) -> None:
    board = load_board("qemu_rv32")
    output = execute(board, build(board), tmp_path, CLOCKS, timeout_s=60)
    cycles_ns, mtime_ns = map(int, output.split())
    assert cycles_ns > 1_000_000
    # The CLINT's timer has ticks of 100 ns, and is read a little later each time.
    assert abs(cycles_ns - mtime_ns) < 20_000
    assert cycles_ns % 8 == 0
