"""Work between samples: one step at a time, and only where its longest run so far still fits.

Promises: a task whose usual time does not fit before the next sample waits for a longer gap; one
that never fits runs all the same after PATIENCE refusals, and what it costs the samples is counted
by the schedule.  So nothing starves, and nothing is late without being seen.
"""

PATIENCE = 64
_SURPRISE_US = 1000


class Task:
    """`action(now_us) -> bool`, whether it did something; at most once every `every_us`.

    It is held to take `cost_us` until it has been seen.
    """

    def __init__(self, action, every_us: int = 0, cost_us: int = 0) -> None:
        self._action = action
        self._every_us = every_us
        self.due_us = 0
        """When it may run next; None for a task that waits to be asked."""
        self._cost_us = cost_us
        self._refused = 0

    def run(self, hal, now_us: int, until_us: int):
        """Run if due and if there is time until `until_us`; whether it did something, or None.

        None: it was due, and there was no time.
        """
        if now_us < self.due_us:
            return False
        # An eighth more than it took: the next run may be the longest.
        end_us = now_us + self._cost_us + (self._cost_us >> 3)
        if end_us > until_us and self._refused < PATIENCE:
            self._refused += 1
            return None
        self._refused = 0
        if self._every_us:
            self.due_us = now_us + self._every_us
        if not self._action(now_us):
            return False
        took_us = hal.ticks_us() - now_us
        # The longest run so far, which is forgotten slowly; one that is far longer than all before
        # counts in part until it comes again, since a line may have been busy only once.
        cost_us = self._cost_us
        self._cost_us = max(min(took_us, 4 * cost_us + _SURPRISE_US), cost_us - (cost_us >> 6))
        return True
