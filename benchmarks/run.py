"""`make bench`: the figures, and nothing that is not measured here and now.

Instructions are exact and the same everywhere; speeds belong to the machine they were measured on.
"""

import sys
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import node, node_filter, node_signature, node_whole
from benchmarks.frozen import frozen_bytes
from benchmarks.rig import boards_alone, whole_run
from benchmarks.stages import frames_per_second

RIG_VIRTUAL_S: Final = 300
BUDGETS: Final = {
    "a sealed frame: pack, seal, frame": 45_000,
    "section, per sample": 120,
    "signature": 12_000_000,
}
"""What a node may cost at most, by the start of the line that says what it does."""


def main() -> int:
    """Measure and print; 0 unless something could not be measured."""
    console = Console()
    console.print("measuring the node (emulated Cortex-M3, instructions counted by QEMU) ...")
    costs, sizes = node.measured()
    _print_costs(console, "A frame", costs)
    pack_bytes, seal_bytes, frame_bytes = sizes
    console.print(f"bytes: pack {pack_bytes}, seal {seal_bytes}, frame on the line {frame_bytes}")
    _print_costs(console, "Signatures", node_signature.instructions())
    _print_costs(console, "Kernels of fast channels", node_filter.kernels())
    console.print("measuring a whole node (ADXL355, 3 axes at 4 kHz) ...")
    table = _table("whole node", "figure")
    for name, shown in node_whole.rows():
        table.add_row(name, shown)
    console.print(table)
    console.print(f"the application frozen into that image takes {frozen_bytes():,} bytes of flash")
    console.print(f"measuring the rig (2 boards x 4 channels at 10 Hz, {RIG_VIRTUAL_S} s) ...")
    table = _table("lockstep", "x real time")
    table.add_row("boards and chips", f"{boards_alone(RIG_VIRTUAL_S):.0f}")
    table.add_row("with the gateway", f"{whole_run(RIG_VIRTUAL_S):.0f}")
    console.print(table)
    console.print("measuring the gateway (one core, frames of 4 records) ...")
    table = _table("stages of the gateway", "frames/s")
    for name, rate in frames_per_second().items():
        table.add_row(name, f"{rate:,.0f}")
    console.print(table)
    return 0


def _print_costs(console: Console, title: str, costs: Iterable[tuple[str, float]]) -> None:
    table = _table(title, "instructions", "budget")
    for name, count in costs:
        budget = next((most for start, most in BUDGETS.items() if name.startswith(start)), None)
        table.add_row(name, f"{count:,.0f}", "" if budget is None else f"{budget:,}")
    console.print(table)


def _table(first: str, *others: str) -> Table:
    table = Table(first, *others)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


if __name__ == "__main__":
    sys.exit(main())
