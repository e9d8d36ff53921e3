"""The clock of a real board: microseconds that never wrap, and sleeps that input can end.

MicroPython's `ticks_us` wraps at 2**30 us (18 minutes) and two readings can be told apart over half
of that; `Clock` adds up the differences.  It therefore has to be read every 8 minutes, which its
own sleeps do, however long they are.

Copied to real boards beside their hal; runs on any MicroPython that has `time` and `select`.
"""

import select
import time

_SLICE_US = 200000000
_POLL_US = 2000
"""`poll` knows milliseconds only; what is left below this is slept to the microsecond."""


class Clock:
    """Microseconds since `start()`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._total_us = 0
        self._last = time.ticks_us()

    def start(self) -> None:
        """Begin at zero."""
        self._total_us = 0
        self._last = time.ticks_us()

    def ticks_us(self) -> int:
        """Microseconds since `start()`; never wraps."""
        now = time.ticks_us()
        self._total_us += time.ticks_diff(now, self._last)
        self._last = now
        return self._total_us

    def watch(self, stream) -> None:
        """Let input on `stream` end a `sleep_until_us`."""
        self._poll.register(stream, select.POLLIN)

    def sleep_until_us(self, wake_us: int) -> bool:
        """Sleep until `ticks_us()` reaches `wake_us`; True when watched input ended it early."""
        while True:
            left_us = wake_us - self.ticks_us()
            if left_us <= 0:
                return False
            if left_us < _POLL_US:
                if self._poll.poll(0):
                    return True
                time.sleep_us(left_us)
            elif self._poll.poll((min(left_us, _SLICE_US) - 1000) // 1000):
                return True

    def sleep_us(self, duration_us: int) -> None:
        """Sleep for a short, fixed time, such as a conversion; input does not end it."""
        wake_us = self.ticks_us() + duration_us
        while duration_us > 0:
            time.sleep_us(min(duration_us, _SLICE_US))
            duration_us = wake_us - self.ticks_us()
