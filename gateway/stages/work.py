"""Where long calculations are done: at once, or beside the flow.

`Begin` starts a calculation and returns its future. `at_once` is for virtual time, in which nothing
may depend on how fast the machine is: the future is done when it is returned. `aside` is for wall
time, in which the links must be served meanwhile: who began asks `done` when the next row comes and
never waits; a gateway that ends does not wait either.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

T = TypeVar("T")


class Begin(Protocol):
    """Starts calculations."""

    def __call__(self, call: Callable[[], T], /) -> Future[T]:
        """Start `call` and return the future of what it returns or raises."""


def at_once(call: Callable[[], T], /) -> Future[T]:
    """Do a calculation now; what it raises is raised here."""
    future: Future[T] = Future()
    future.set_result(call())
    return future


def aside(call: Callable[[], T], /) -> Future[T]:
    """Do a calculation in a thread of its own; what it raises is raised by `Future.result`."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=work, name="learning", daemon=True).start()
    return future
