"""What filters and fast channels cost on the emulated Cortex-M3, counted in instructions by QEMU.

The count is exact: with `-icount shift=3` the virtual clock advances 8 ns an instruction, and TIM2
shows that clock.  It depends on the code alone, so the figures are the same on every machine.

Instructions become a part of an STM32F446 at 180 MHz by an assumption: 2 cycles an instruction.  A
Cortex-M4 takes 1 for arithmetic and multiplication, 2 for a load that no other precedes, 1 for a
store and 2 to 4 for a branch that is taken (Arm 100166, 3.3.1); the kernels are 40 % loads and
stores and 10 % branches, which makes 1.6, and machine code that MicroPython has loaded into RAM is
fetched over the system bus beside the data, which costs the rest.

    python -m benchmarks.node_filter
"""

import json
from pathlib import Path
from typing import Final

from boards.build import APPLICATION, build, cache_dir
from boards.catalog import load_board
from boards.emulate import execute

BOARD: Final = "qemu_stm32f2"
TIMEOUT_S: Final = 120.0
RATE_HZ: Final = 4000
CLOCK_HZ: Final = 180_000_000
CYCLES_PER_INSTRUCTION: Final = 2.0
SECTION_INSTRUCTIONS_MAX: Final = 120
SHARE_MAX: Final = 0.40
"""Of the processor, for filters and the unpacking of the FIFO; the whole node may take 0.60."""

UNPACK: Final = "FIFO of an ADXL355, a sample of 3 axes"

_SETUP: Final = """
import gc, hal, json
from array import array
from firmware.kernels import *
from firmware.kernels_fft import *
from firmware.sections import section_kernel, fine_kernel
from firmware.features_velocity import VELOCITY
from firmware.filter import make_filter
from firmware.waveform import Waveform
from drivers.adxl355.driver import unpack_triples

def cost(function, *arguments):
    function(*arguments)
    before = hal.cycles_ns()
    function(*arguments)
    after = hal.cycles_ns()
    return ((after - before) & 0xFFFFFFFF) // 8

def slope(function, count_at, times, *arguments):
    counts = []
    for count in (16, 64):
        given = list(arguments)
        given[count_at] = count * times
        counts.append(cost(function, *given))
    return (counts[1] - counts[0]) / 48

hal.start_counter()
"""

_KERNELS: Final = (
    _SETUP
    + """
x, out, sums = array("i", range(196)), array("i", bytes(260)), array("i", bytes(28))
section = array("i", VELOCITY[4000][2][2] + (0, 0, 0))
points = 1024
table, work, ring = sine_table(points), array("i", bytes(4096)), array("H", bytes(2048))
quarter = points // 4
rows = [[0.9, -1.8, 0.9, -1.97, 0.98]]
frame = bytearray(1 + 9 * 64)
for index in range(64):
    frame[3 + 9 * index] = 1
chain, rms = make_filter([{"sos": rows}, "mean"]), make_filter("rms")
for index in range(points):
    ring[index] = (index * 7919) & 0xFFFF
print(json.dumps([
    ("second-order section, a sample", slope(section_kernel, 3, 1, section, 0, 0, 0, x, SIGN)),
    ("  the last one of a cascade", slope(fine_kernel, 3, 1, section, 0, 0, 0, x, SIGN)),
    ("axis, least, greatest, sum", slope(split_kernel, 1, 3, out, 0, 0, 3, x, 5, sums, SIGN)),
    ("sum of squares", slope(squares_kernel, 2, 1, x, 0, 0, sums, SIGN)),
    ("first four moments", slope(moments_kernel, 2, 1, x, 0, 0, 3, 2, sums, SIGN)),
    ("20 bits to 16", slope(narrow_kernel, 2, 1, x, 0, 0, 5, 31, 0, SIGN)),
    ("into the ring", slope(keep_kernel, 2, 1, ring, 0, 0, x, 1023)),
    ("FFT of 1024: window, order", cost(load_kernel, work, 0, 0, ring, 0, table, quarter)),
    ("  one of 9 stages", cost(stage_kernel, work, 0, 0, 16, table, quarter, 1, SIGN)),
    ("  32 bins", cost(bins_kernel, work, 10, 42, out, table, quarter, 1, SIGN)),
    (UNPACK, slope(unpack_triples, 2, 1, frame, x, 0)),
    ("float section and mean, a sample", cost(chain.add, 0.25)),
    ("float rms, a sample", cost(rms.add, 0.25)),
]))
"""
)

_NODE: Final = (
    _SETUP
    + """
class Chip:
    PART, BUS, FIFO_BITS, FIFO_TRIPLES = "bench", "spi", 20, 32
    fifo_lsb_m_s2, fifo_overruns = 3.83e-5, 0

    def __init__(self, *_, **__):
        self.counts = array("i", [((i * 7919) & 0x3FFFF) - 0x20000 for i in range(48)])

    def start(self):
        pass

    def fifo_start(self, _):
        pass

    def fifo_read_into(self, samples):
        copy_kernel(samples, 0, 48, self.counts, 0)
        return 16

class Module:
    DRIVER = Chip

class Clock:
    def ticks_us(self):
        return 0

    sleep_us = None

    def spi(self, _):
        return None

import sys
Module.driver = Module
sys.modules["drivers.bench"] = sys.modules["drivers.bench.driver"] = Module
features = []
for axis in "xyz":
    for what in FEATURES:
        features.append({"name": axis + what, "axis": axis, "feature": what})
    for band in range(BANDS):
        low = 60 + 200 * band
        features.append(
            {"name": axis + str(band), "axis": axis, "feature": "band", "low_hz": low,
             "high_hz": low + 40}
        )
gc.collect()
free = gc.mem_free()
waveform = Waveform(
    {"name": "v", "part": "bench", "bus": 0, "address": None, "rate_hz": 4000,
     "block_samples": 4000, "options": {}, "features": features}, Clock())
print(waveform.start())
gc.collect()
held = free - gc.mem_free()

def block():
    longest = 0
    while not waveform.is_complete:
        before = hal.cycles_ns()
        waveform.poll()
        longest = max(longest, (hal.cycles_ns() - before) & 0xFFFFFFFF)
        has_worked = True
        while has_worked:
            before = hal.cycles_ns()
            has_worked = waveform.work()
            longest = max(longest, (hal.cycles_ns() - before) & 0xFFFFFFFF)
    return longest

block()
waveform.take()
gc.collect()
allocated = gc.mem_alloc()
for _ in range(100):
    waveform.poll()
    while waveform.work():
        pass
allocated = gc.mem_alloc() - allocated
waveform.start()
block()
waveform.take()
gc.collect()
total = hal.cycles_ns()
longest = block()
total = (hal.cycles_ns() - total) & 0xFFFFFFFF
before = hal.cycles_ns()
waveform.take()
taking = (hal.cycles_ns() - before) & 0xFFFFFFFF
print(json.dumps([(total + taking) // 8, longest // 8, taking // 8, held, allocated]))
"""
)


def kernels(folder: Path | None = None) -> list[tuple[str, float]]:
    """(what, instructions) of single kernels, measured on the emulated board."""
    script = _KERNELS.replace("UNPACK", repr(UNPACK))
    return [(what, count) for what, count in json.loads(_run(script, folder))]


def node(features: tuple[str, ...], bands: int, folder: Path | None = None) -> list[int]:
    """[instructions of a second, of the longest poll, of `take`; bytes held, bytes made by polls].

    3 axes at 4 kHz, each with `features` and so many `bands`; without the unpacking of the FIFO.
    """
    script = _NODE.replace("FEATURES:", f"{features!r}:").replace("range(BANDS)", f"range({bands})")
    counts: list[int] = json.loads(_run(script, folder))
    return counts


def _run(script: str, folder: Path | None) -> str:
    board = load_board(BOARD)
    place = folder if folder is not None else cache_dir() / "bench"
    output = execute(board, build(board, APPLICATION), place, script, timeout_s=TIMEOUT_S)
    return output.strip().splitlines()[-1]


def main() -> None:
    """Print the figures and what they mean for an STM32F446."""
    counts = kernels()
    for what, count in counts:
        print(f"{what:40} {count:12,.1f}")
    unpacking = int(dict(counts)[UNPACK] * RATE_HZ)
    for features, bands in (
        (("rms",), 0),
        (("rms", "velocity_rms"), 0),
        (("rms", "velocity_rms"), 8),
        (("rms", "peak", "crest", "kurtosis", "velocity_rms"), 8),
    ):
        second, longest, taking, held, made = node(features, bands)
        second += unpacking
        share = second * CYCLES_PER_INSTRUCTION / CLOCK_HZ
        print(f"3 axes at 4 kHz: {', '.join(features)}, {bands} bands")
        print(f"  instructions a second {second:,}, {share:.1%} of {CLOCK_HZ / 1e6:g} MHz")
        print(f"  longest poll {longest:,}, end of a block {taking:,} instructions")
        print(f"  bytes held {held:,}, made by 100 polls {made:,}")


if __name__ == "__main__":
    main()
