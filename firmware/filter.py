"""Filters of slow channels: equally spaced samples, one at a time, become one value for a block.

    mean      sum(x) / N                  rms   sqrt(sum(x**2) / N), about zero, not about the mean
    median    the middle one, or the mean of the two       min, max, last
    peak      max(|x|)                    crest   peak / rms
    kurtosis  N sum((x - m)**4) / sum((x - m)**2)**2 about the mean m; 3 for a normal distribution

A filter is the name of such a reducer, or a list of stages (filter_stages.py) and one:

    [{"sos": [[b0, b1, b2, a1, a2], ...]}, {"decimate": 4}, {"median": 5}, "rms"]

Promises: `take` gives the value of what came since the last one, in the unit of the samples (crest
and kurtosis: 1), and None when there is none: nothing came, or a ratio of zeros.  It stands for the
middle of the block.  Stages remember over blocks.

Accuracy: floats have 24 bits on the boards, 53 on the gateway and the unix port.  With N <= 1024
the relative error of a sum of one sign stays below N * 2**-24 (Higham, Accuracy and Stability of
Numerical Algorithms, 4.2).  A float is an object on the boards: each `add` leaves some 16 bytes
behind for every operation, which the collector takes between samples.
"""

from math import sqrt

from firmware.errors import ConfigError
from firmware.filter_stages import STAGES, STAGES_MAX


class Mean:
    """The arithmetic mean of a block."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, sample: float) -> None:
        """Take one sample."""
        self._sum += sample
        self._count += 1

    def take(self):
        """The value of the samples since the last call, None without any; starts the next block."""
        count, total = self._count, self._sum
        self._count, self._sum = 0, 0.0
        return total / count if count else None


class Rms:
    """The root mean square of a block, about zero."""

    def __init__(self) -> None:
        self._mean = Mean()

    def add(self, sample: float) -> None:
        """Take one sample."""
        self._mean.add(sample * sample)

    def take(self):
        """As Mean.take."""
        mean = self._mean.take()
        return None if mean is None else sqrt(mean)


class Median:
    """The median of a block; keeps its samples, the memory of the longest block stays."""

    def __init__(self) -> None:
        self._samples = []
        self._count = 0

    def add(self, sample: float) -> None:
        """Take one sample."""
        if self._count < len(self._samples):
            self._samples[self._count] = sample
        else:
            self._samples.append(sample)
        self._count += 1

    def take(self):
        """As Mean.take."""
        count, self._count = self._count, 0
        if not count:
            return None
        ordered = sorted(self._samples[:count])
        return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


class Chosen:
    """One of the samples of a block: `choose(kept, sample)` is the one of two to keep."""

    def __init__(self, choose):
        self._choose = choose
        self._kept = None

    def add(self, sample: float) -> None:
        """Take one sample."""
        self._kept = sample if self._kept is None else self._choose(self._kept, sample)

    def take(self):
        """As Mean.take."""
        kept, self._kept = self._kept, None
        return kept


class Peak(Chosen):
    """The greatest magnitude of a block."""

    def __init__(self) -> None:
        Chosen.__init__(self, max)

    def add(self, sample: float) -> None:
        """Take one sample."""
        Chosen.add(self, abs(sample))


class Crest:
    """The greatest magnitude over the root mean square; None when all samples are zero."""

    def __init__(self) -> None:
        self._peak = Peak()
        self._rms = Rms()

    def add(self, sample: float) -> None:
        """Take one sample."""
        self._peak.add(sample)
        self._rms.add(sample)

    def take(self):
        """As Mean.take."""
        peak, rms = self._peak.take(), self._rms.take()
        return peak / rms if rms else None


class Kurtosis:
    """The fourth moment about the mean over the square of the second; None when nothing varies.

    The moments are updated sample by sample about the mean so far (Pebay, Formulas for robust,
    one-pass parallel computation of covariances and arbitrary-order statistical moments, SAND2008),
    so a large mean does not cancel what varies.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._second = self._third = self._fourth = 0.0

    def add(self, sample: float) -> None:
        """Take one sample."""
        before = self._count
        count = self._count = before + 1
        step = (sample - self._mean) / count
        square = step * step
        term = (sample - self._mean) * step * before
        self._mean += step
        self._fourth += (
            term * square * (count * count - 3 * count + 3)
            + 6 * square * self._second
            - 4 * step * self._third
        )
        self._third += term * step * (count - 2) - 3 * step * self._second
        self._second += term

    def take(self):
        """As Mean.take."""
        count, second, fourth = self._count, self._second, self._fourth
        self._count = 0
        self._mean = self._second = self._third = self._fourth = 0.0
        return count * fourth / (second * second) if second else None


FILTERS = {
    "mean": Mean,
    "rms": Rms,
    "median": Median,
    "peak": Peak,
    "crest": Crest,
    "kurtosis": Kurtosis,
    "min": lambda: Chosen(min),
    "max": lambda: Chosen(max),
    "last": lambda: Chosen(lambda _, sample: sample),
}


class Chain:
    """Stages one after the other, and a reducer of what is left of the samples."""

    def __init__(self, stages, reducer) -> None:
        self._stages = stages
        self._reducer = reducer
        self.take = reducer.take

    def add(self, sample: float) -> None:
        """Take one sample."""
        for stage in self._stages:
            passed = stage.push(sample)
            if passed is None:
                return
            sample = passed
        self._reducer.add(sample)


def parse_filter(value) -> "tuple":
    """(stages, reducer): ((kind, setting), ...) and a name; ConfigError says what is wrong."""
    listed = value if isinstance(value, list) else [value]
    if not 0 < len(listed) <= STAGES_MAX + 1:
        raise ConfigError("filter: at most %d stages and a reducer are possible" % STAGES_MAX)
    reducer = listed[-1]
    if not isinstance(reducer, str) or reducer not in FILTERS:
        raise ConfigError("filter: %r is none of %s" % (reducer, ", ".join(sorted(FILTERS))))
    stages = []
    for index, item in enumerate(listed[:-1]):
        if not isinstance(item, dict) or len(item) != 1:
            raise ConfigError("filter: stage %d: a table of one key is needed" % index)
        kind, setting = next(iter(item.items()))
        if kind not in STAGES:
            what = "filter: stage %d: %r is none of %s"
            raise ConfigError(what % (index, kind, ", ".join(sorted(STAGES))))
        try:
            stages.append((kind, STAGES[kind].parse(setting)))
        except ConfigError as error:
            raise ConfigError("filter: stage %d: %s" % (index, error)) from None
    return tuple(stages), reducer


def make_filter(value):
    """An object with `add(sample)` and `take()` for a filter as the configuration has it."""
    stages, name = parse_filter(value)
    reducer = FILTERS[name]()
    if not stages:
        return reducer
    return Chain([STAGES[kind](setting) for kind, setting in stages], reducer)
