"""What signing costs a node, counted in instructions on the emulated Cortex-M3.

Counted as in node.py: exact, and the same on every machine. Garbage is collected before each piece
of work and not within; `python -m benchmarks.node_signature` prints the figures alone. Decision
0012 rests on them.
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
from hashlib import sha256
from firmware.checkpoint import Checkpoints
from wire import ed25519_field as field
from wire.ed25519 import Signer
from wire.ed25519_verify import verify
from wire.merkle import leaf_hash, node_hash
from wire.sha512 import Sha512

FRAME = b"\\xd1\\x84\\x58\\x30\\xa6\\x01\\x05\\x03\\x18\\x70" + bytes(290)

def count(work):
    gc.collect()
    before = hal.cycles_ns()
    work()
    return ((hal.cycles_ns() - before) & 0xFFFFFFFF) // 8

def cost(work):
    work()
    return count(work) - count(nothing)

def nothing():
    pass

def until(step):
    # All steps until one gives something: in all, the largest, how many, and what it gave.
    total = largest = steps = 0
    result = None
    def work():
        nonlocal result
        result = step()
    while result is None:
        this = count(work)
        total += this
        largest = max(largest, this)
        steps += 1
    return total, largest, steps, result

hal.start_counter()
gc.collect()
free = gc.mem_free()
signer = Signer(bytes(32), bytes(32))
gc.collect()
signer_bytes = free - gc.mem_free()
hash = Sha512()
hash.begin(bytes(1000))
block = cost(hash.step)
m = field.memory(3)
product = cost(lambda: field.multiply(m, 320, 400, 480))
square = cost(lambda: field.square(m, 320, 400))
with_key = count(lambda: Signer(bytes(32)))
signer = Signer(bytes(32), Signer(bytes(32)).public_key)
signer.begin(FRAME)
signature, slice_max, slices, signed = until(signer.step)
check = count(lambda: verify(signer.public_key, FRAME, signed))
checkpoints = Checkpoints(b"pump-a", bytes(32), 256, 60000000, signer.public_key)
appends = [count(lambda: checkpoints.append(FRAME)) for _ in range(255)]
begin = count(lambda: checkpoints.begin(512, 1, 60000000))
whole, step_max, steps, message = until(checkpoints.step)

print(json.dumps([
    ("a signature over 300 bytes", signature),
    ("  its largest slice of %d" % slices, slice_max),
    ("  SHA-512, a block of 128 bytes", block),
    ("  a product modulo 2^255 - 19", product),
    ("  a square modulo 2^255 - 19", square),
    ("making a signer without its public key", with_key),
    ("checking a signature (reference)", check),
    ("leaf of a frame of 300 bytes", cost(lambda: leaf_hash(FRAME))),
    ("entering such a frame, mean of 255", sum(appends) // len(appends)),
    ("  at most", max(appends)),
    ("a checkpoint over 255 frames", begin + whole),
    ("  its largest step of %d" % steps, max(step_max, begin)),
    ("SHA-256 of 55 bytes, as LMS chains have", cost(lambda: sha256(FRAME[:55]).digest())),
    ("bytes of memory of a signer", signer_bytes),
    ("bytes of a checkpoint over 255 frames", len(message)),
]))
"""


def instructions(folder: Path | None = None) -> list[tuple[str, int]]:
    """Return [(what, instructions, or bytes where it says so)], measured on the emulated board."""
    board = load_board(BOARD)
    place = folder if folder is not None else cache_dir() / "bench"
    output = execute(board, build(board, APPLICATION), place, SCRIPT, timeout_s=TIMEOUT_S)
    return [(what, count) for what, count in json.loads(output.strip().splitlines()[-1])]


if __name__ == "__main__":
    for what, count in instructions():
        print(f"{what:45}{count:>12,}")
