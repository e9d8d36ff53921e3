"""What the node's work costs on the emulated Cortex-M3, counted in instructions by QEMU.

    python -m benchmarks.node

The count is exact: with `-icount shift=3` the virtual clock advances 8 ns an instruction, and TIM2
shows that clock.  It depends on the image alone, so the figures are the same on every machine;
between images they differ by some hundreds, because the numbers of names decide which of them share
a place in the interpreter's cache.
Nothing is collected while it counts; what a frame leaves for the collector is counted too, and what
one collection costs.
"""

import json
from pathlib import Path
from typing import Final

from boards.build import APPLICATION, build, cache_dir
from boards.catalog import load_board
from boards.emulate import execute

BOARD: Final = "qemu_stm32f2"
TIMEOUT_S: Final = 120.0

SCRIPT: Final = """
import gc, hal, json
from wire.cobs import stuff_kernel
from wire.cose_sealer import BufferSealer
from wire.framer import Framer, check_kernel
from wire.mac import HmacSha256
from wire.senml import Packer

TIMES = 20

def cost(work):
    gc.collect()
    # The collector leaves holes of a few bytes, and each search for more room passes all of them
    # until a sampler's floats have filled them; so many that yet more of them change nothing.
    for index in range(1500):
        float(index)
    work(0)
    before = hal.cycles_ns()
    for index in range(TIMES):
        work(index)
    total = (hal.cycles_ns() - before) & 0xFFFFFFFF
    before = hal.cycles_ns()
    for index in range(TIMES):
        nothing(index)
    return (total - ((hal.cycles_ns() - before) & 0xFFFFFFFF)) // (8 * TIMES)

def nothing(index):
    pass

def left_over(work):
    work(0)
    gc.collect()
    before = gc.mem_alloc()
    for index in range(TIMES):
        work(index)
    return (gc.mem_alloc() - before) // TIMES

hal.start_counter()
mac, framer = HmacSha256(bytes(32)), Framer()
sealer = BufferSealer(b"pump-a", mac)
packer = Packer("pump-a:", [("vibration-%02d" % index, "m/s2") for index in range(6)])
# Every frame has values, a time, a number and a tick of its own.
rows = [[0.1 * index + 0.37 + step / 7 for index in range(6)] for step in range(TIMES)]
times_s = [-0.45137 - step / 977 for step in range(TIMES)]
ticks_us = [123456789012 + 1000003 * step for step in range(TIMES)]

def pack(index):
    return packer.pack(rows[index], times_s[index])

def seal(index):
    return sealer.seal(112, 70000 + index, 1, ticks_us[index], payload)

def put_in_frame(index):
    return framer.frame(sealed)

def whole(index):
    payload = packer.pack(rows[index], times_s[index])
    sealed = sealer.seal(112, 70000 + index, 1, ticks_us[index], payload)
    framer.frame(sealed)

payload = pack(0)
seal(0)
sealed = seal(0)
framed = put_in_frame(0)
padded = memoryview(mac.inner_pad + bytes(len(sealed) - 32))
line = bytearray(44) + framed + bytes(4)
scratch = memoryview(bytearray(framed))
count = len(sealed)

def authenticate(index):
    return mac.digest_padded(padded)

def check(index):
    return check_kernel(line, line, count)

def stuff(index):
    return stuff_kernel(scratch, count + 2, count + 3)

print(json.dumps([
    ("a sealed frame: pack, seal, frame", cost(whole)),
    ("  pack, 6 records", cost(pack)),
    ("  seal, MAC included", cost(seal)),
    ("    of it HMAC-SHA256", cost(authenticate)),
    ("  frame: copy, CRC, COBS", cost(put_in_frame)),
    ("    of it the CRC", cost(check)),
    ("    of it COBS", cost(stuff)),
    ("left for the collector by a frame, bytes", left_over(whole)),
    ("  of it by hashlib", left_over(authenticate)),
    ("one collection, with little in use", cost(lambda index: gc.collect())),
]))
print(len(payload), len(sealed), len(framed))
"""


def instructions(folder: Path | None = None) -> tuple[list[tuple[str, int]], int]:
    """([(what, instructions)], bytes of the sealed frame), measured on the emulated board."""
    costs, (_, _, frame_bytes) = measured(folder)
    return costs, frame_bytes


def measured(folder: Path | None = None) -> tuple[list[tuple[str, int]], tuple[int, int, int]]:
    """([(what, instructions)], (bytes of the pack, of the seal, of the frame))."""
    board = load_board(BOARD)
    place = folder if folder is not None else cache_dir() / "bench"
    output = execute(board, build(board, APPLICATION), place, SCRIPT, timeout_s=TIMEOUT_S)
    costs, sizes = output.strip().splitlines()[-2:]
    pack_bytes, seal_bytes, frame_bytes = (int(size) for size in sizes.split())
    named = [(what, count) for what, count in json.loads(costs)]
    return named, (pack_bytes, seal_bytes, frame_bytes)


def main() -> None:
    """Print the figures."""
    costs, (pack_bytes, seal_bytes, frame_bytes) = measured()
    for what, count in costs:
        print(f"{what:44} {count:8,}")
    print(f"the pack has {pack_bytes} bytes, the seal {seal_bytes}, the frame {frame_bytes}")


if __name__ == "__main__":
    main()
