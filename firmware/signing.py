"""Checkpoints between samples: when one is due it is signed, a slice in each gap."""

from wire import content

_SWEEP_STEPS = 24


class Signing:
    """Signs with `checkpoints` (firmware/checkpoint.py) what `uplink` has sealed."""

    def __init__(self, checkpoints, uplink, outgoing, heap) -> None:
        self._checkpoints = checkpoints
        self._uplink = uplink
        self._outgoing = outgoing
        self._heap = heap
        self._steps = 0

    def work(self, now_us: int) -> bool:
        """Begin a checkpoint that is due, or go on with it; whether there was anything to do."""
        checkpoints = self._checkpoints
        if not checkpoints.is_busy:
            if not checkpoints.is_due(now_us):
                return False
            self._outgoing.send()
            self._uplink.begin_checkpoint(checkpoints)
            self._steps = 0
        else:
            signed = checkpoints.step()
            if signed is not None:
                self._outgoing.add(content.CHECKPOINT, signed)
        if self._steps % _SWEEP_STEPS == 0:
            # Numbers of 255 bits leave more behind than a probe of the heap can see.
            self._heap.is_dirty = True
        self._steps += 1
        return True
