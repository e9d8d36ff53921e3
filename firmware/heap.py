"""When the heap is swept: in a gap, before it is full, never amid something else.

Promises: `work` is one step, a collection at the most.  Whatever is made fills the heap from below,
so where a new object lands tells how full it is: beyond `_limit` it is swept at the next chance.
What is left above is for what comes before that chance: RESERVE bytes of the largest free piece,
which lies at the end.  A heap with plenty in one piece, which may also have several areas, is swept
when somebody asks for it, at the end of each block.  On CPython there is nothing to do.
"""

import gc

from wire.kernel import IS_MICROPYTHON

if IS_MICROPYTHON:
    from uctypes import addressof  # type: ignore[import-not-found]
else:

    def addressof(_buffer):
        """Nowhere: nothing is ever swept on CPython."""
        return 0


RESERVE = 10240
_PROBE_BYTES = 64
_PLENTY_BYTES = 65536
_SURVEY_EVERY = 32
_NEVER = 1 << 62
_LOOKS_MIN = 4


class Heap:
    """The heap of the board; `start` when everything that stays is there."""

    def __init__(self) -> None:
        self.free_bytes = None
        """After a collection; None where nobody has looked."""
        self.is_dirty = False
        """Whether to sweep as soon as there is time."""
        self._limit = _NEVER
        self._looks = 0
        self._sweeps = _SURVEY_EVERY

    def start(self) -> None:
        """Find the largest free piece: it ends where the heap does."""
        if not IS_MICROPYTHON:
            return
        gc.collect()
        low, high = 0, gc.mem_free()
        address = 0
        while high - low > 256:
            size = (low + high) // 2
            try:
                address = addressof(bytearray(size))
                low = size
            except MemoryError:
                high = size
        if low < _PLENTY_BYTES:
            self._limit = address + low - min(low, RESERVE)

    @property
    def has_plenty(self) -> bool:
        """Whether it is swept at the end of a block only."""
        return self._limit == _NEVER

    def look(self) -> None:
        """See how full the heap is, after a poll or a step."""
        self._looks += 1
        if self._looks > _LOOKS_MIN and addressof(bytearray(_PROBE_BYTES)) > self._limit:
            self.is_dirty = True

    def work(self, _now_us: int) -> bool:
        """Sweep, or see what that has left; whether there was a reason to."""
        if self.is_dirty:
            self.is_dirty = False
            self._looks = 0
            self._sweeps += 1
            if IS_MICROPYTHON:
                gc.collect()
            return True
        if IS_MICROPYTHON and self._sweeps > _SURVEY_EVERY and self._looks <= _LOOKS_MIN:
            # This takes half as long as a sweep, so it is a step of its own.
            self._sweeps = 0
            self.free_bytes = gc.mem_free()
            return True
        return False
