"""Several emulated boards and the gateway as one conservative discrete-event simulation.

Promises: the order of everything depends on virtual time alone, never on how fast a host or a board
computes, so a run is byte-identical every time.

The rule of order.  A board computes between two requests.  Local requests are answered at once
(`hil/bus.py`); a sleep or a UART read parks the board until its due time.  Only when every board is
parked is the earliest thing done, and of things at one instant: first what the caller scheduled
(timers, bytes to a board), in its order; then bytes from the boards, then the boards themselves,
both in the order of the scenario.  Boards that are due at the same instant are released together
and compute side by side.

Leaves to the caller what the gateway does with an event; the caller answers with `send` and
`set_timer`, never into the past.
"""

import heapq
import select
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hil.bus import OP_EXIT, STATUS_STOP, BoardPort
from hil.errors import RigError

ANSWER_TIMEOUT_S: Final = 60.0
"""Longest real time a board may compute between two requests."""
_CALLER: Final = 0
"""Rank of the caller's events among those at one instant; board k of the scenario has 1 + k."""


@dataclass(frozen=True, slots=True)
class UplinkBytes:
    """Bytes from a node have arrived at the gateway's end of its line."""

    time_ns: int
    node: str
    data: bytes


@dataclass(frozen=True, slots=True)
class TimerDue:
    """A timer that the caller set is due."""

    time_ns: int
    tag: str


@dataclass(frozen=True, slots=True)
class _Delivery:
    time_ns: int
    node: str
    data: bytes


class Lockstep:
    """The simulation; not thread-safe, blocks while boards compute."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._ports: list[BoardPort] = []
        self._by_fd: dict[int, BoardPort] = {}
        self._poll = select.poll()
        self._events: list[tuple[int, int, int, UplinkBytes | TimerDue | _Delivery]] = []
        self._scheduled = 0
        self._running: set[int] = set()

    @property
    def ports(self) -> Sequence[BoardPort]:
        """The boards, in the order of the scenario."""
        return self._ports

    def add(self, port: BoardPort) -> None:
        """Add a board before the run starts; it counts as computing."""
        self._ports.append(port)
        self._register(port)

    def _register(self, port: BoardPort) -> None:
        self._by_fd[port.emulated.request_fd] = port
        self._by_fd[port.emulated.pid_fd] = port
        self._poll.register(port.emulated.request_fd, select.POLLIN)
        self._poll.register(port.emulated.pid_fd, select.POLLIN)
        self._running.add(port.emulated.request_fd)

    def remove(self, port: BoardPort) -> None:
        """Leave a board out, whose process is to be ended, until another one is put in its place.

        To be called between two events, when every live board is parked.
        """
        if port.is_live:
            self._forget(port)

    def put_back(self, port: BoardPort) -> None:
        """Put a board that has just been started in the place of the one of the same node.

        What is on the line to the node stays there, as it does on a wire.
        """
        self._ports[self._ports.index(self._port(port.node))] = port
        self._register(port)

    def uplink(self, port: BoardPort, at_ns: int, data: bytes) -> None:
        """Called by a port when its board has put bytes on the line."""
        # Boards compute side by side, so the order of these calls is chance; the rank is not, and
        # within one board the line keeps the order.
        self._schedule(UplinkBytes(at_ns, port.node, data), 1 + self._ports.index(port))

    def send(self, node: str, data: bytes) -> None:
        """Put bytes on the line to a node now; they arrive after their time on the line."""
        for port in self._ports:
            if port.node == node:
                arrival_ns = self.now_ns + port.line_time_ns(len(data))
                self._schedule(_Delivery(arrival_ns, node, data), _CALLER)
                return
        known = ", ".join(port.node for port in self._ports)
        raise RigError(f"no board for node {node!r}; the scenario has {known}")

    def set_timer(self, time_ns: int, tag: str) -> None:
        """Ask for a TimerDue at `time_ns`."""
        if time_ns < self.now_ns:
            raise RigError(f"timer {tag!r} at {time_ns} ns lies before now, {self.now_ns} ns")
        self._schedule(TimerDue(time_ns, tag), _CALLER)

    def next_event(self) -> UplinkBytes | TimerDue | None:
        """Run until something concerns the gateway; None when every board has ended."""
        while True:
            self._settle()
            parked = [port for port in self._ports if port.waiting is not None]
            board_ns = min((port.due_ns for port in parked), default=None)
            if self._events and (board_ns is None or self._events[0][0] <= board_ns):
                event = heapq.heappop(self._events)[-1]
                self.now_ns = event.time_ns
                if not isinstance(event, _Delivery):
                    return event
                self._port(event.node).deliver(event.data, event.time_ns)
            elif board_ns is None:
                return None
            else:
                self.now_ns = max(self.now_ns, board_ns)
                for port in parked:
                    if port.due_ns == board_ns:
                        self._release(port)

    def stop(self) -> None:
        """End the run: every parked board is told to stop and says that it has ended."""
        self._settle()
        for port in self._ports:
            if port.waiting is not None:
                port.waiting = None
                port.has_been_stopped = True
                port.answer(status=STATUS_STOP)
                self._running.add(port.emulated.request_fd)
        self._settle()
        for port in self._ports:
            if port.waiting is not None and port.waiting.operation == OP_EXIT:
                port.release()

    def _port(self, node: str) -> BoardPort:
        return next(port for port in self._ports if port.node == node)

    def _schedule(self, event: UplinkBytes | TimerDue | _Delivery, rank: int) -> None:
        heapq.heappush(self._events, (event.time_ns, rank, self._scheduled, event))
        self._scheduled += 1

    def _release(self, port: BoardPort) -> None:
        port.release()
        if port.is_live:
            self._running.add(port.emulated.request_fd)
        else:
            self._forget(port)

    def _forget(self, port: BoardPort) -> None:
        port.waiting = None
        for descriptor in (port.emulated.request_fd, port.emulated.pid_fd):
            self._poll.unregister(descriptor)
            del self._by_fd[descriptor]

    def _settle(self) -> None:
        """Serve local requests until every live board is parked."""
        running = self._running
        while running:
            ready = self._poll.poll(ANSWER_TIMEOUT_S * 1000)
            if not ready:
                nodes = ", ".join(self._by_fd[fd].node for fd in running)
                raise RigError(
                    f"node {nodes}: no request within {ANSWER_TIMEOUT_S:g} s;"
                    " its application hangs or waits for something the rig does not offer"
                )
            for descriptor, _ in ready:
                port = self._by_fd[descriptor]
                if descriptor == port.emulated.pid_fd:
                    raise RigError(f"node {port.node}: {port.emulated.obituary()}")
                if not port.serve(port.take()):
                    running.discard(descriptor)
