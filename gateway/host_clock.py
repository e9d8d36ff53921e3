"""What the machine says of its own clock: adjtimex(2), read only.

Promises: `read()` changes nothing, needs no privilege, and returns a state on any machine: where
there is no adjtimex, or it fails, the clock counts as not synchronised and its error as unknown.
The layout of `struct timex` is that of Linux on 64 bits; other machines are not asked.
Left to others: what follows from it (models/clock_checks_host.py). In virtual time
there is no machine, so nobody reads this.

Sources: Linux adjtimex(2); RFC 1589 for maxerror, esterror and the status bits.
"""

import ctypes
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple, Protocol, cast, final

from gateway.clock import SystemClock
from gateway.models.clock_checks_host import HostState

_SYSTEM: Final = SystemClock()
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5
"""Return value of adjtimex: the clock is not synchronised."""
_NS_PER_US: Final = 1_000
_POINTER_BYTES: Final = 8


class _Timex(ctypes.Structure):
    """`struct timex` of Linux; `modes` = 0 asks and sets nothing."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("max_error_us", ctypes.c_long),
        ("estimated_error_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision_us", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_s", ctypes.c_long),
        ("time_us", ctypes.c_long),
        ("tick_us", ctypes.c_long),
        ("pps_frequency", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stability", ctypes.c_long),
        ("counts", ctypes.c_long * 4),
        ("tai_s", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


class Kernel(NamedTuple):
    """What adjtimex answers."""

    state: int
    """Its return value: TIME_OK (0) to TIME_ERROR (5); negative: it failed."""
    status: int
    max_error_us: int
    estimated_error_us: int
    tai_s: int


class HostClock(Protocol):
    """Whoever can tell how the gateway's own clock stands."""

    def read(self) -> HostState:
        """Return what the machine says now."""
        ...


def steady_ns() -> int:
    """Return a clock that is never stepped, and goes on while the machine sleeps.

    It is slewed along with UTC, so it shows steps and no slewing; for that see `raw_ns`.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock)


def raw_ns() -> int | None:
    """Return an oscillator that is neither stepped nor slewed; None on a machine without one."""
    clock = getattr(time, "CLOCK_MONOTONIC_RAW", None)
    return None if clock is None else time.clock_gettime_ns(clock)


@cache
def _adjtimex() -> Callable[..., int] | None:
    """Return the function of the C library this program is linked with; None without one."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) != _POINTER_BYTES:
        return None
    try:
        function = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.POINTER(_Timex),)
    function.restype = ctypes.c_int
    return cast("Callable[..., int]", function)


def ask_kernel() -> Kernel | None:
    """Return what the kernel says of its clock; None on a machine that cannot be asked."""
    adjtimex = _adjtimex()
    if adjtimex is None:
        return None
    timex = _Timex()
    state = adjtimex(ctypes.byref(timex))
    return Kernel(state, timex.status, timex.max_error_us, timex.estimated_error_us, timex.tai_s)


@final
class MachineClock:
    """The clock of this machine; `ask` and the three clocks are where it is read."""

    def __init__(
        self,
        ask: Callable[[], Kernel | None] = ask_kernel,
        utc_ns: Callable[[], int] = _SYSTEM.now_ns,
        monotonic_ns: Callable[[], int] = steady_ns,
        raw_ns: Callable[[], int | None] = raw_ns,
    ) -> None:
        self._ask = ask
        self._utc_ns = utc_ns
        self._monotonic_ns = monotonic_ns
        self._raw_ns = raw_ns

    def read(self) -> HostState:
        """Return what the machine says now."""
        kernel = self._ask()
        before_ns = self._monotonic_ns()
        utc_ns = self._utc_ns()
        monotonic_ns = (before_ns + self._monotonic_ns()) // 2
        raw_ns = self._raw_ns()
        if kernel is None or kernel.state < 0:
            return HostState(utc_ns, monotonic_ns, False, None, None, None, raw_ns)
        is_synchronised = kernel.state < _TIME_ERROR and not kernel.status & _STA_UNSYNC
        return HostState(
            utc_ns=utc_ns,
            monotonic_ns=monotonic_ns,
            is_synchronised=is_synchronised,
            max_error_ns=kernel.max_error_us * _NS_PER_US,
            estimated_error_ns=kernel.estimated_error_us * _NS_PER_US,
            tai_offset_s=kernel.tai_s or None,
            raw_ns=raw_ns,
        )
