"""Outputs a command may drive: one pin each, a safe level, and a longest time away from it.

Promises: every output stands at its safe level from the start, and returns to it by itself when the
time a command asked for is over, whatever became of the link.  A level or a time beyond the limits
of the configuration is refused and changes nothing.
"""


class Outputs:
    """The outputs of the configuration."""

    def __init__(self, hal, settings) -> None:
        self._hal = hal
        self._settings = settings
        self._release_us = [None] * len(settings)

    def start(self) -> None:
        """Bring every output to its safe level."""
        for output in self._settings:
            self._hal.pin(output.pin, output.safe)

    def index(self, name: str) -> int:
        """The index of the output of that name, -1 when there is none."""
        for index, output in enumerate(self._settings):
            if output.name == name:
                return index
        return -1

    def refusal(self, index: int, value, hold_ms: int):
        """Why this act is not within the limits, as a text; None when it is."""
        if not 0 <= index < len(self._settings):
            return "no output of that name; there are %d" % len(self._settings)
        output = self._settings[index]
        if value not in {0, 1}:
            return "output %s takes 0 or 1" % output.name
        if not 0 < hold_ms <= output.hold_ms_max and value != output.safe:
            return "output %s: hold_ms is 1 to %d" % (output.name, output.hold_ms_max)
        return None

    def act(self, index: int, value: int, hold_ms: int, now_us: int) -> None:
        """Drive an output for `hold_ms`; its safe level needs no time."""
        output = self._settings[index]
        level = int(value)
        self._hal.pin(output.pin, level)
        self._release_us[index] = None if level == output.safe else now_us + hold_ms * 1000

    def due_us(self):
        """When `release` has something to do, None when it has not."""
        waiting = [at_us for at_us in self._release_us if at_us is not None]
        return min(waiting) if waiting else None

    def release(self, now_us: int) -> None:
        """Return to the safe level what has been away from it for its time."""
        for index, at_us in enumerate(self._release_us):
            if at_us is not None and now_us >= at_us:
                output = self._settings[index]
                self._hal.pin(output.pin, output.safe)
                self._release_us[index] = None
