"""Stages of a filter for slow channels: a sample goes in, one or none comes out.

    sos        second-order sections in series, transposed direct form II, like scipy's sosfilt
    decimate   every n-th sample; has no low-pass of its own, put a `sos` before it
    median     the median of the newest n samples, n odd; of fewer at the start

Promises: `parse` gives what the constructor takes, or a ConfigError.  The first sample finds `sos`
in the steady state for its value, so a filter does not swing in from zero.
Accuracy: the floats of the interpreter, see filter.py.  With 24 bits a corner below a thousandth of
the sampling rate loses digits: decimate first.
"""

from firmware.errors import ConfigError

STAGES_MAX = 8
SECTIONS_MAX = 16
DECIMATE_MAX = 1000
MEDIAN_MAX = 63


class Sos:
    """Sections [b0, b1, b2, a1, a2], a0 = 1."""

    def __init__(self, rows):
        self._rows = rows
        self._state = None

    @staticmethod
    def parse(setting) -> "list":
        """The rows, checked; every section has to be stable."""
        if not isinstance(setting, list) or not 0 < len(setting) <= SECTIONS_MAX:
            raise ConfigError("sos: 1 to %d rows are needed" % SECTIONS_MAX)
        return [_row(row) for row in setting]

    def push(self, sample: float) -> float:
        """Filter one sample."""
        if self._state is None:
            self._state = _steady(self._rows, sample)
        state = self._state
        index = 0
        for b0, b1, b2, a1, a2 in self._rows:
            output = b0 * sample + state[index]
            state[index] = b1 * sample - a1 * output + state[index + 1]
            state[index + 1] = b2 * sample - a2 * output
            sample = output
            index += 2
        return sample


class Decimate:
    """Every `factor`-th sample, the last of each `factor`."""

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._count = 0

    @staticmethod
    def parse(setting) -> int:
        """The factor, checked."""
        if type(setting) is not int or not 2 <= setting <= DECIMATE_MAX:
            raise ConfigError("decimate: an integer from 2 to %d is needed" % DECIMATE_MAX)
        return setting

    def push(self, sample: float):
        """The sample, or None."""
        self._count += 1
        if self._count < self._factor:
            return None
        self._count = 0
        return sample


class RunningMedian:
    """The median of the newest `width` samples."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._newest = []
        self._at = 0

    @staticmethod
    def parse(setting) -> int:
        """The width, checked."""
        if type(setting) is not int or not 3 <= setting <= MEDIAN_MAX or setting % 2 == 0:
            raise ConfigError("median: an odd integer from 3 to %d is needed" % MEDIAN_MAX)
        return setting

    def push(self, sample: float) -> float:
        """Replace the oldest sample; the median of all."""
        if len(self._newest) < self._width:
            self._newest.append(sample)
        else:
            self._newest[self._at] = sample
            self._at = (self._at + 1) % self._width
        ordered = sorted(self._newest)
        return ordered[len(ordered) // 2]


STAGES = {"sos": Sos, "decimate": Decimate, "median": RunningMedian}


def _row(row) -> "tuple":
    if not isinstance(row, list) or len(row) != 5:
        raise ConfigError("sos: a row is [b0, b1, b2, a1, a2], with a0 = 1 left out")
    for number in row:
        if type(number) not in (int, float) or number - number != 0:
            raise ConfigError("sos: %r is no finite number" % (number,))
    a1, a2 = row[3], row[4]
    if not (abs(a2) < 1 and abs(a1) < 1 + a2):
        raise ConfigError("sos: a1 = %r, a2 = %r is not stable" % (a1, a2))
    return tuple([float(number) for number in row])


def _steady(rows, sample: float) -> "list":
    """The state of all sections after the same sample for ever."""
    state = []
    for b0, b1, b2, a1, a2 in rows:
        output = sample * (b0 + b1 + b2) / (1 + a1 + a2)
        state += [output - b0 * sample, b2 * sample - a2 * output]
        sample = output
    return state
