"""When samples are due: slots on a fixed grid, without drift, in blocks that start on it too.

Promises: slot k is due at k * period_us after the board's clock started, whatever took how long.
A sample is taken in its slot, before the next one is due, or its whole block is dropped, since the
block's time would be wrong.  Every slot that is in no block is counted in `overruns`, so blocks and
overruns add up to the slots gone by.  How late the samples were is measured, not assumed.

    due_us  ->  arrive(now_us): in its slot?  -> sample -> advance(): was that the block's last?
"""

from firmware.errors import ConfigError


class NoChannels:
    """What stands for a Sampler (firmware/sampling.py) on a node that has fast chips alone."""

    def __init__(self, _channels, _hal) -> None:
        pass

    def start(self) -> "list":
        """No problem."""
        return []

    problems = take = start

    def sample(self) -> None:
        """A slot without anything to read."""

    retry = sample

    def set_filter(self, name: str, _value) -> None:
        """Refuse: there is no such channel."""
        raise ConfigError("there is no channel %s" % name)


class Schedule:
    """Slots `period_us` apart, `block_samples` to a block; microseconds of the board's clock."""

    def __init__(self, period_us: int, block_samples: int) -> None:
        self.period_us = period_us
        self.block_samples = block_samples
        self.due_us = 0
        """When the next sample is due."""
        self.taken = 0
        """Samples taken of the present block."""
        self.samples = 0
        """Samples taken since the start, those of dropped blocks included."""
        self.overruns = 0
        """Slots gone by that are in no block."""
        self._block_start_us = 0
        self._late_max_us = 0

    def start(self, now_us: int) -> None:
        """Begin at the next multiple of a block's length."""
        block_us = self.period_us * self.block_samples
        self._block_start_us = self.due_us = (now_us // block_us + 1) * block_us
        self.taken = 0

    def change(self, period_us: int, block_samples: int, now_us: int) -> None:
        """Go on with another grid; the samples of the present block count as overruns."""
        self.overruns += self.taken
        self.period_us = period_us
        self.block_samples = block_samples
        self.start(now_us)

    def arrive(self, now_us: int) -> bool:
        """Whether a sample begun now is in its slot; if not, its block is dropped.

        Then `taken` is 0 and `due_us` is the start of the next block that can still be had.
        """
        late_us = now_us - self.due_us
        if late_us < self.period_us:
            self._late_max_us = max(self._late_max_us, late_us)
            return True
        block_us = self.period_us * self.block_samples
        self._skip(1, block_us)
        late_us = now_us - self.due_us
        if late_us >= self.period_us:
            self._skip(late_us // block_us + 1, block_us)
        return False

    def advance(self) -> bool:
        """Count a sample as taken; True when it was the last one of its block."""
        self.samples += 1
        self.taken += 1
        if self.taken < self.block_samples:
            self.due_us += self.period_us
            return False
        self.taken = 0
        self._block_start_us += self.period_us * self.block_samples
        self.due_us = self._block_start_us
        return True

    def middle_us(self) -> int:
        """The mean of the due times of the block that `advance` has just ended."""
        last_us = self._block_start_us - self.period_us
        return last_us - (self.block_samples - 1) * self.period_us // 2

    def take_jitter_us(self) -> int:
        """How late the latest sample since the last call was, in microseconds."""
        late_us, self._late_max_us = self._late_max_us, 0
        return late_us

    def _skip(self, blocks: int, block_us: int) -> None:
        self.overruns += blocks * self.block_samples
        self._block_start_us += blocks * block_us
        self.due_us = self._block_start_us
        self.taken = 0
