"""How many blocks the spool erases for a frame, on littlefs as boards have it: on MicroPython.

littlefs has the parameters that MicroPython mounts it with by default.  The gateway is never there,
so the ring fills, and drops segments all the time.
"""

import os

import node_files

from firmware.spool import Spool
from tests.firmware.block_device import BlockDevice, mount

SEGMENTS = 16
SEGMENT_BYTES = 16384
BOARD_GEOMETRY = {"readsize": 32, "progsize": 32, "lookahead": 32}


def measure(frames, frame_bytes, behind_bytes, blocks, block_bytes):
    """Print what `frames` frames cost a flash of `blocks` blocks."""
    device = BlockDevice(blocks, block_bytes)
    os.VfsLfs2.mkfs(device, **BOARD_GEOMETRY)
    mount(device, BOARD_GEOMETRY)
    last = [-1]

    def declare(*_):
        last[0] += 1
        return last[0], bytes(100)

    spool = Spool(node_files, SEGMENTS, SEGMENT_BYTES, declare, behind_bytes)
    spool.start()
    device.erases = [0] * blocks
    device.programmed_bytes = 0
    for _ in range(frames):
        last[0] += 1
        spool.put(last[0], bytes(frame_bytes))
    spool.flush()
    print("erases", sum(device.erases), "of one block", max(device.erases))
    print("programmed", device.programmed_bytes, "dropped", spool.dropped)
