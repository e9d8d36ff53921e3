"""The features of one block: three axes and their bands, fed together, finished one by one.

Promises: `feed` and `work` make no object but integers; `finish` makes the floats of one axis, so
that the end of a block comes in three steps.
Rule of order: after a start `feed` what the filters need and `settle`; then `begin`, `feed` and
`work` until the block is full, and `finish` until it says that `values` is whole.
"""

_FEATURES = ("rms", "peak", "crest", "kurtosis", "velocity_rms", "band")
"""As features_table.FEATURES, a file that is forgotten before the first block."""
_VELOCITY, _BAND = 4, 5


class Block:
    """What features_table.py has built: `axes` and `bands` may be None, `codes` name the values."""

    def __init__(self, axes, bands, codes, narrow_bits: int) -> None:
        self._axes = axes
        self._bands = bands
        self._codes = codes
        self._narrow_bits = narrow_bits
        self._finished = 0
        self.values = []
        """The features in their order, None for what cannot be told, once `finish` says so."""

    @property
    def has_filters(self) -> bool:
        """Whether `settle` has to wait: somebody asks for a velocity."""
        return any(code >> 2 & 15 == _VELOCITY for code in self._codes)

    def settle(self) -> None:
        """Take the filters as settled from now on."""
        for axis in self._axes:
            if axis is not None:
                axis.settle()

    def begin(self) -> None:
        """Forget the sums of the block before; the filters go on."""
        self._finished = 0
        self.values = []
        for axis in self._axes:
            if axis is not None:
                axis.clear()
        if self._bands is not None:
            self._bands.begin()

    def feed(self, samples, count: int, is_first: bool) -> None:
        """Take `count` triples of `samples`; the filters start anew where `is_first`."""
        for axis in self._axes:
            if axis is not None:
                if is_first:
                    axis.start(samples, 0, count)
                axis.feed(samples, 0, count)

    def credit(self, triples: int) -> None:
        """Note that so many more samples have come, for the pace of the transforms."""
        if self._bands is not None:
            self._bands.credit(triples)

    @property
    def has_work(self) -> bool:
        """Whether a slice of a transform is due."""
        return self._bands is not None and self._bands.is_due

    def work(self) -> bool:
        """Do one slice of a transform; whether one was due."""
        return self._bands is not None and self._bands.work()

    def finish(self, lsb: float) -> bool:
        """Make the values of the next axis, a count being `lsb` m/s2; True when that was the last.

        They go to the places that `codes` gives them.
        """
        axis = self._finished
        if not axis:
            self.values = [None] * len(self._codes)
        self._finished = axis + 1
        if self._axes[axis] is not None:
            self._fill(axis, self._axes[axis].finish(lsb), lsb * (1 << self._narrow_bits))
        return self._finished == len(self._axes)

    def _fill(self, axis: int, found, narrowed_lsb: float) -> None:
        for index, code in enumerate(self._codes):
            if code & 3 != axis:
                continue
            kind = code >> 2 & 15
            if kind == _BAND:
                self.values[index] = self._bands.value(axis, code >> 6, narrowed_lsb)
            else:
                self.values[index] = found[_FEATURES[kind]]
