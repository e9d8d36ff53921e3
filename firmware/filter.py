"""Block filters: N equally spaced samples become one value, in the unit of the samples.

    mean   y = sum(x[i]) / N
    rms    y = sqrt(sum(x[i] ** 2) / N)          about zero, not about the mean

The value stands for the middle of the block: its time is the mean of the N sample times.  Sums are
kept in the interpreter's float: 24 bits of mantissa on the boards, 53 on the gateway and the unix
port; with N <= 1024 the relative error of a sum of one sign stays below N * 2**-24 (Higham,
Accuracy and Stability of Numerical Algorithms, 4.2).
"""

from math import sqrt


class Mean:
    """The arithmetic mean of a block."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, sample: float) -> None:
        """Take one sample."""
        self._sum += sample
        self._count += 1

    def take(self) -> float:
        """The block's value; starts the next block.  ZeroDivisionError on an empty block."""
        value = self._sum / self._count
        self._sum = 0.0
        self._count = 0
        return value


class Rms:
    """The root mean square of a block, about zero."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, sample: float) -> None:
        """Take one sample."""
        self._sum += sample * sample
        self._count += 1

    def take(self) -> float:
        """The block's value; starts the next block.  ZeroDivisionError on an empty block."""
        value = sqrt(self._sum / self._count)
        self._sum = 0.0
        self._count = 0
        return value


FILTERS = {"mean": Mean, "rms": Rms}
