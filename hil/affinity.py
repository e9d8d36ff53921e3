"""One CPU for the rig and its boards.

The rig and a board take turns: while one computes, the other waits.  On two CPUs every turn wakes
a sleeping CPU, which costs more than the work itself, most of all in a virtual machine; on one CPU
a turn is a context switch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_cpu() -> Iterator[None]:
    """Keep the calling thread, and what it starts meanwhile, on the CPU it runs on now.

    Without effect where the system offers no such thing.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_current_cpu()} & allowed or allowed)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _current_cpu() -> int:
    """Field 39 of /proc/thread-self/stat, proc(5): the CPU the thread was last executed on."""
    try:
        status = Path("/proc/thread-self/stat").read_text(encoding="ascii")
    except OSError:
        return -1
    # The second field, the name, may hold blanks; it ends with the last parenthesis.
    return int(status.rpartition(")")[2].split()[36])
