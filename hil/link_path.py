"""The way between a board and the gateway, frame by frame, with what may happen to frames on it.

Promises: `up` and `down` take what was put on the line and say which bytes arrive when; nothing
arrives before it was sent; without a disturbance every byte arrives at once, in order. A slow path
keeps the order of frames, as a line does; only `reorder` and `replay` break it. Whatever is random
comes from one generator that is handed in, so a run repeats exactly.
Leaves to others: time on the wire itself (`bus.py`), who delivers (`run.py`).

Bytes up are cut into frames at the delimiter of COBS; what has no end yet waits for it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, final

PathFault = Literal["delay_up", "delay_down", "hold_back", "duplicate", "reorder", "replay", "loss"]
_DELIMITER: Final = b"\x00"
_FRAME_BYTES_MAX: Final = 65_536


class Arrival(NamedTuple):
    """Bytes that come to the other end at a moment."""

    at_ns: int
    data: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What happens to frames that are sent from `from_ns` to before `until_ns`."""

    kind: PathFault
    from_ns: int
    until_ns: int
    size_ns: int = 0
    """Extra delay; of `replay` the age of what is sent again."""
    share: float = 1.0
    """Probability that a frame is concerned."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ambient:
    """How the path is while nothing is wrong: fixed delay, exponential jitter on top, loss."""

    delay_up_ns: int = 0
    delay_down_ns: int = 0
    jitter_up_ns: int = 0
    """Mean of the jitter."""
    jitter_down_ns: int = 0
    loss: float = 0.0


@final
class LinkPath:
    """The path of one node, both ways."""

    def __init__(
        self, ambient: Ambient, disturbances: Sequence[Disturbance], draw: random.Random
    ) -> None:
        self._ambient = ambient
        self._disturbances = tuple(disturbances)
        self._draw = draw
        self._begun = b""
        self._last_up_ns = 0
        self._last_down_ns = 0

    def up(self, now_ns: int, data: bytes) -> list[Arrival]:
        """Return what arrives at the gateway of bytes that have left a board's line now."""
        arrivals: list[Arrival] = []
        *frames, self._begun = (self._begun + data).split(_DELIMITER)
        if len(self._begun) > _FRAME_BYTES_MAX:
            self._begun = b""
        for frame in frames:
            arrivals += self._frame_up(now_ns, frame + _DELIMITER)
        return arrivals

    def down(self, now_ns: int, data: bytes) -> list[Arrival]:
        """Return what goes on the line to the board, and when, of one framed message."""
        if self._is_lost(now_ns):
            return []
        ambient = self._ambient
        at_ns = now_ns + ambient.delay_down_ns + self._jitter_ns(ambient.jitter_down_ns)
        at_ns += sum(each.size_ns for each in self._now("delay_down", now_ns))
        self._last_down_ns = max(self._last_down_ns, at_ns)
        return [Arrival(self._last_down_ns, data)]

    def _frame_up(self, now_ns: int, frame: bytes) -> list[Arrival]:
        # Whoever replays has heard the frame, whatever became of it on the line.
        again = [Arrival(now_ns + each.size_ns, frame) for each in self._heard(now_ns)]
        if self._is_lost(now_ns):
            return again
        ambient = self._ambient
        at_ns = now_ns + ambient.delay_up_ns + self._jitter_ns(ambient.jitter_up_ns)
        at_ns += sum(each.size_ns for each in self._now("delay_up", now_ns))
        for held in self._now("hold_back", now_ns):
            at_ns = max(at_ns, held.until_ns)
        overtaken = sum(each.size_ns for each in self._now("reorder", now_ns))
        if overtaken:
            return [Arrival(at_ns + overtaken, frame), *again]
        self._last_up_ns = max(self._last_up_ns, at_ns)
        copies = 1 + len(self._now("duplicate", now_ns))
        return [Arrival(self._last_up_ns, frame)] * copies + again

    def _now(self, kind: PathFault, now_ns: int) -> list[Disturbance]:
        """Return the disturbances of a kind that concern a frame sent now."""
        return [
            each
            for each in self._disturbances
            if each.kind == kind
            and each.from_ns <= now_ns < each.until_ns
            and (each.share >= 1.0 or self._draw.random() < each.share)
        ]

    def _heard(self, now_ns: int) -> list[Disturbance]:
        """Return the replays in which a frame sent now will come again."""
        return [
            each
            for each in self._disturbances
            if each.kind == "replay" and each.from_ns <= now_ns + each.size_ns < each.until_ns
        ]

    def _is_lost(self, now_ns: int) -> bool:
        ambient = self._ambient.loss > 0 and self._draw.random() < self._ambient.loss
        return bool(self._now("loss", now_ns)) or ambient

    def _jitter_ns(self, mean_ns: int) -> int:
        return round(self._draw.expovariate(1 / mean_ns)) if mean_ns else 0
