"""What the node's work costs on the emulated Cortex-M3, counted in instructions by QEMU.

The count is exact: with `-icount shift=3` the virtual clock advances 8 ns an instruction, and TIM2
shows that clock.  It depends on the code alone, so the figures are the same on every machine.
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
from firmware.filter import Mean, Rms
from wire.cose import Sealer
from wire.framing import frame
from wire.mac import HmacSha256
from wire.senml import Packer
from wire.crc import crc16
from wire.cobs import encode

def cost(work, times):
    gc.collect()
    work(0)
    before = hal.cycles_ns()
    for index in range(times):
        work(index)
    total = (hal.cycles_ns() - before) & 0xFFFFFFFF
    before = hal.cycles_ns()
    for index in range(times):
        nothing(index)
    return (total - ((hal.cycles_ns() - before) & 0xFFFFFFFF)) // (8 * times)

def nothing(index):
    pass

hal.start_counter()
mean, rms = Mean(), Rms()
mac = HmacSha256(bytes(32))
sealer = Sealer(b"pump-a", mac)
packer = Packer("pump-a:", [
    ("vibration-1", "m/s2"),
    ("vibration-2", "m/s2"),
    ("temperature", "Cel"),
    ("thermocouple", "Cel"),
])
values = [0.2607, 0.3932, 79.34, 26.0]
times_s = [-0.45137] * 4
payload = packer.pack(values, times_s)
sealed = sealer.seal(112, 70000, 1, 123456789, payload)
framed = frame(sealed)

def seal(index):
    return sealer.seal(112, 70000 + index, 1, 123456789, payload)

def whole(index):
    frame(sealer.seal(112, 70000 + index, 1, 123456789 + index, packer.pack(values, times_s)))

print(json.dumps([
    ("mean filter, a sample", cost(lambda index: mean.add(0.25), 100)),
    ("rms filter, a sample", cost(lambda index: rms.add(0.25), 100)),
    ("pack, 4 records", cost(lambda index: packer.pack(values, times_s), 20)),
    ("seal, MAC included", cost(seal, 20)),
    ("  of it HMAC-SHA256", cost(lambda index: mac.digest(sealed), 20)),
    ("CRC-16 over the frame", cost(lambda index: crc16(sealed), 20)),
    ("COBS over the frame", cost(lambda index: encode(sealed), 20)),
    ("a sealed frame: pack, seal, CRC, COBS", cost(whole, 20)),
]))
print(len(framed))
"""


def instructions(folder: Path | None = None) -> tuple[list[tuple[str, int]], int]:
    """([(what, instructions)], bytes of the sealed frame), measured on the emulated board."""
    board = load_board(BOARD)
    place = folder if folder is not None else cache_dir() / "bench"
    output = execute(board, build(board, APPLICATION), place, SCRIPT, timeout_s=TIMEOUT_S)
    costs, frame_bytes = output.strip().splitlines()[-2:]
    return [(what, count) for what, count in json.loads(costs)], int(frame_bytes)
