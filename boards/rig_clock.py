"""Time on an emulated board: its clock, its sleeps, its watchdog, and why it started.

Promises: `RigClock` counts microseconds of virtual time since `hal.start()`; a watchdog that is not
fed by its deadline restarts the board, at the deadline when it sleeps and at the next look at the
clock when it computes.  Code that neither sleeps nor looks at the clock is not caught here, but by
the rig.
Leaves to `hal.py` how much was computed since the rig last answered, and how the board restarts.

The machines forget everything at a restart, so what caused it stands in the file CAUSE_FILE until
the next start; without the file the board has been powered on.
"""

CAUSE_FILE = "reset.cause"
_ENOENT = 2


class RigClock:
    """The clock of one board.

    bus: its RigBus; computed_us(line): microseconds computed since the bus last answered;
    restart(cause): does not return.
    """

    def __init__(self, bus, computed_us, restart) -> None:
        self._bus = bus
        self._computed_us = computed_us
        self._restart = restart
        self._deadline_us = 0

    def ticks_us(self) -> int:
        """Microseconds since `start()`: time computed plus time granted by the rig; never wraps."""
        now_us = self._bus.now_us() + self._computed_us(self._bus.line)
        if self._deadline_us and now_us >= self._deadline_us:
            self._restart("watchdog")
        return now_us

    def sleep_until_us(self, wake_us: int) -> bool:
        """Sleep until `ticks_us()` reaches `wake_us`; True when UART input ended the sleep."""
        duration_us = wake_us - self.ticks_us()
        return duration_us > 0 and self._sleep(duration_us, True)

    def sleep_us(self, duration_us: int) -> None:
        """Sleep for a short, fixed time, such as a conversion; UART input does not end it."""
        self._sleep(duration_us, False)

    def watchdog(self, timeout_ms: int) -> "RigWatchdog":
        """Start the watchdog; it cannot be stopped."""
        if timeout_ms <= 0:
            raise ValueError("watchdog: %d ms, more than 0 needed" % timeout_ms)
        return RigWatchdog(self, timeout_ms * 1000)

    def feed_until(self, timeout_us: int) -> None:
        """Move the watchdog's deadline to `timeout_us` from now."""
        self._deadline_us = self.ticks_us() + timeout_us

    def _sleep(self, duration_us: int, wake_on_uart: bool) -> bool:
        if self._deadline_us:
            left_us = self._deadline_us - self.ticks_us()
            if duration_us >= left_us:
                woken = self._bus.sleep_for_us(left_us, wake_on_uart)
                self.ticks_us()
                return woken
        return self._bus.sleep_for_us(duration_us, wake_on_uart)


class RigWatchdog:
    """The subset of `machine.WDT` that a node uses."""

    def __init__(self, clock: RigClock, timeout_us: int) -> None:
        self._clock = clock
        self._timeout_us = timeout_us
        self.feed()

    def feed(self) -> None:
        """All is well until the timeout has passed again."""
        self._clock.feed_until(self._timeout_us)


def take_cause(read_file, remove_file) -> str:
    """What caused this start, as `restart` left it; asked once for each start."""
    try:
        cause = read_file(CAUSE_FILE).decode()
    except OSError as error:
        if error.args[0] != _ENOENT:
            raise
        return "power_on"
    remove_file(CAUSE_FILE)
    return cause
