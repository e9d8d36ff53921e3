"""`make bench`: the figures, and nothing that is not measured here and now.

Instructions are exact and the same everywhere; speeds belong to the machine they were measured on.
"""

import sys
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.node import instructions
from benchmarks.rig import boards_alone, whole_run
from benchmarks.stages import frames_per_second

RIG_VIRTUAL_S: Final = 300


def main() -> int:
    """Measure and print; 0 unless something could not be measured."""
    console = Console()
    console.print("measuring the node (emulated Cortex-M3, instructions counted by QEMU) ...")
    table = Table("node", "instructions", title="What a node's work costs", title_justify="left")
    table.columns[1].justify = "right"
    costs, frame_bytes = instructions()
    for name, count in costs:
        table.add_row(name, f"{count:,}")
    console.print(table)
    console.print(f"the frame has {frame_bytes} bytes on the line")
    console.print(f"measuring the rig (2 boards x 4 channels at 10 Hz, {RIG_VIRTUAL_S} s) ...")
    table = Table("rig", "x real time", title="Lockstep speed", title_justify="left")
    table.columns[1].justify = "right"
    table.add_row("boards and chips", f"{boards_alone(RIG_VIRTUAL_S):.0f}")
    table.add_row("with the gateway", f"{whole_run(RIG_VIRTUAL_S):.0f}")
    console.print(table)
    console.print("measuring the gateway (one core, frames of 4 records) ...")
    table = Table("gateway", "frames/s", title="Stages", title_justify="left")
    table.columns[1].justify = "right"
    for name, rate in frames_per_second().items():
        table.add_row(name, f"{rate:,.0f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
