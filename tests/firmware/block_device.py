"""A NOR flash in RAM as MicroPython's block device, which can lose power at any operation.

Promises: what is programmed was erased before, or an AssertionError says that the file system is
wrong; erasing sets a block to 0xFF.  With a `journal` every erase and every program is noted, so
`cut_images` can give the flash as it stands when the power goes during each of them: not begun,
torn in the middle, or with bits on their way.  With `errno` operations fail instead, after
`failing_after` more of them.

Runs on MicroPython under its own littlefs, and keeps to what both interpreters have.  Extended
block protocol: ioctl 4 count of blocks, 5 bytes of a block, 6 erase a block.
"""

import os

GEOMETRY = {"readsize": 16, "progsize": 16}
"""Of littlefs on a small flash: its smallest writes, so that a cut finds the most places."""

LOST, TORN, SCRAMBLED = "lost", "torn", "scrambled"
WAYS = (LOST, TORN, SCRAMBLED)
"""What a cut leaves of the operation that it ends."""

_BLOCK_COUNT = 4
_BLOCK_BYTES = 5
_ERASE = 6


class BlockDevice:
    """`blocks` blocks of `block_bytes` bytes; `content` is what stands in them."""

    def __init__(self, blocks: int, block_bytes: int, content=None) -> None:
        self.block_bytes = block_bytes
        self.content = bytearray(b"\xff" * (blocks * block_bytes)) if content is None else content
        self.erases = [0] * blocks
        self.programmed_bytes = 0
        self.journal = None
        """(block, offset, bytes or None to erase, value of `moment()`) of each operation."""
        self.moment = None
        self.errno = None
        self.failing_after = 0

    def readblocks(self, block, buffer, offset=0):
        """Read into `buffer`; a failing flash still reads."""
        at = block * self.block_bytes + offset
        buffer[:] = memoryview(self.content)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        """Program `buffer` into erased bytes."""
        if not self._is_done(block, offset, bytes(buffer)):
            return -self.errno
        at = block * self.block_bytes + offset
        erased = b"\xff" * len(buffer)
        assert self.content[at : at + len(buffer)] == erased, "programmed what was not erased"
        self.content[at : at + len(buffer)] = buffer
        self.programmed_bytes += len(buffer)
        return 0

    def ioctl(self, operation, argument):
        """Sizes, and erasing a block."""
        if operation == _BLOCK_COUNT:
            return len(self.erases)
        if operation == _BLOCK_BYTES:
            return self.block_bytes
        if operation == _ERASE:
            if not self._is_done(argument, 0, None):
                return -self.errno
            _apply(self.content, self.block_bytes, (argument, 0, None, 0))
            self.erases[argument] += 1
        return 0

    def _is_done(self, block, offset, data):
        """Note an operation; whether the flash does it."""
        if self.errno is not None:
            if not self.failing_after:
                return False
            self.failing_after -= 1
        if self.journal is not None:
            self.journal.append((block, offset, data, self.moment()))
        return True


def mount(device, geometry=None):
    """Restart with `device` as the file system, and work in its root."""
    if "cut" in [entry[0] for entry in os.ilistdir("/")]:
        os.umount("/cut")
    os.mount(os.VfsLfs2(device, **(geometry or GEOMETRY)), "/cut")
    os.chdir("/cut")


def cut_images(before, block_bytes, journal):
    """(index, way, content of the flash) for a cut in every way during every noted operation.

    `before` is the content when the journal was begun.
    """
    image = bytearray(before)
    for index, operation in enumerate(journal):
        for way in WAYS:
            cut = bytearray(image)
            _tear(cut, block_bytes, operation, way)
            yield index, way, cut
        _apply(image, block_bytes, operation)


def _apply(content, block_bytes, operation):
    block, offset, data, _ = operation
    at = block * block_bytes + offset
    if data is None:
        content[at : at + block_bytes] = b"\xff" * block_bytes
    else:
        content[at : at + len(data)] = data


def _tear(content, block_bytes, operation, way):
    block, offset, data, _ = operation
    at = block * block_bytes + offset
    if way == LOST:
        return
    if data is None:
        # Half of the block is erased; in the other half bits are on their way to 1.
        half = block_bytes // 2
        content[at : at + half] = b"\xff" * half
        if way == SCRAMBLED:
            for index in range(at + half, at + block_bytes, 3):
                content[index] |= 0xA5
        return
    done = len(data) // 2 if way == TORN else len(data) - 1
    content[at : at + done] = data[:done]
    if way == SCRAMBLED:
        content[at + done] = data[done] | 0x0F
