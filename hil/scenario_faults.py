"""What a scenario says of clocks and links: how they are, what goes wrong, what must be found.

Promises: frozen models; a fault has exactly what its kind needs, and an expectation of its own.
Leaves to others: whether the node exists (`scenario.py`), what a fault does (`fault_plan.py`), who
was right (`findings.py`).

Times are seconds of the trace: 0 is its first row.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.records_time import SyncCause
from hil.board_clock import RATE_PPM_MAX
from hil.errors import did_you_mean

Name = Annotated[str, Field(min_length=1, max_length=200)]
Kind = Literal[
    "step", "skew", "temperature", "wrap", "restart", "reboot", "unset",
    "delay_up", "delay_down", "hold_back", "duplicate", "reorder", "replay", "loss",
]  # fmt: skip
QUIET: Final = "none"
"""The cause of an expectation that nothing is found."""
GATEWAY: Final = "gateway"
"""The `node` of a fault of the gateway's own clock."""

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "step": ("size_s",),
    "skew": ("size_ppm",),
    "temperature": ("celsius", "ramp_s"),
    "wrap": ("size_s",),
    "restart": (),
    "reboot": (),
    "unset": (),
    "delay_up": ("size_s", "for_s"),
    "delay_down": ("size_s", "for_s"),
    "hold_back": ("for_s",),
    "duplicate": ("for_s",),
    "reorder": ("size_s", "for_s"),
    "replay": ("size_s", "for_s"),
    "loss": ("for_s",),
}
"""Kind -> what must be given beside node, at_s and expect."""
_MAY: Final[dict[str, tuple[str, ...]]] = {
    "skew": ("for_s",),
    "temperature": ("for_s",),
    "duplicate": ("share",),
    "reorder": ("share",),
    "loss": ("share",),
}
_SIZES: Final = ("for_s", "size_s", "size_ppm", "celsius", "ramp_s", "share")
_POSITIVE_S: Final = ("wrap", "delay_up", "delay_down", "reorder", "replay")


class Confined(BaseModel):
    """Frozen; an unknown key is an error, a value of another type is not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Seconds = Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False, strict=False)]
Milliseconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False, strict=False)]
Ppm = Annotated[float, Field(ge=-RATE_PPM_MAX, le=RATE_PPM_MAX, allow_inf_nan=False, strict=False)]
Share = Annotated[float, Field(gt=0, le=1, strict=False)]


class Crystal(Confined):
    """`[[clocks]]`: how a board's clock is from the start, without being a fault."""

    node: Name
    skew_ppm: Ppm = 0.0
    starts_at_s: Seconds = 0.0
    """What its counter shows when the board starts."""


class Path(Confined):
    """`[[links]]`: how the path of a node is while nothing is wrong."""

    node: Name
    delay_up_ms: Milliseconds = 0.0
    delay_down_ms: Milliseconds = 0.0
    jitter_up_ms: Milliseconds = 0.0
    """Mean of an exponential delay on top, drawn for each frame."""
    jitter_down_ms: Milliseconds = 0.0
    loss: Annotated[float, Field(ge=0, lt=1, strict=False)] = 0.0


class FaultExpect(Confined):
    """`expect` of a fault: which cause must be named, how soon, and how large."""

    cause: Annotated[tuple[Name, ...], Field(min_length=1, max_length=4, strict=False)]
    """One of `SyncCause`, or several of which one is enough where chance decides which is seen, or
    "none": this must not be called a fault of time."""
    within_s: Seconds | None = None
    """Longest delay after the begin of the fault."""
    size: Annotated[float, Field(allow_inf_nan=False, strict=False)] | None = None
    """What size must be told; default: that of the fault, where it has one."""
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)] | None = None
    """Largest error of the size, in its unit; without it the error is shown, not judged."""
    also: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Causes that are true of this fault as well and may be named beside."""

    @field_validator("cause", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("cause", "also")
    @classmethod
    def _is_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = [*(cause.value for cause in SyncCause), QUIET]
        for name in value:
            if name not in known:
                raise ValueError(f"{did_you_mean(name, known)}causes: {', '.join(known)}")
        return value

    @property
    def is_quiet(self) -> bool:
        """Whether nothing must be found."""
        return self.cause == (QUIET,)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if QUIET in self.cause:
            if not self.is_quiet or (self.within_s, self.size, self.tolerance) != (None,) * 3:
                raise ValueError('cause "none" has neither within_s nor size nor tolerance')
        elif self.within_s is None:
            raise ValueError("give within_s, the longest delay until it is found")
        return self


class Fault(Confined):
    """`[[faults]]`: what goes wrong with a clock or a link, when, and what must come of it."""

    kind: Kind
    node: Name
    """A node, the PLC's link, or "gateway" for the gateway's own clock."""
    at_s: Seconds
    for_s: Seconds | None = None
    """How long; without it a skew or a temperature stays until the end."""
    size_s: Annotated[float, Field(ge=-1e10, le=1e10, strict=False)] | None = None
    """Of a step: positive if the clock leaps ahead; of `wrap` the modulus; of `replay` the age."""
    size_ppm: Ppm | None = None
    """Positive if the clock runs too fast from then on."""
    celsius: Annotated[float, Field(ge=-60, le=150, strict=False)] | None = None
    ramp_s: Annotated[float, Field(gt=0, le=1e7, strict=False)] | None = None
    share: Share | None = None
    """Probability that a frame is concerned; default 1."""
    expect: FaultExpect

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needs, may = _NEEDS[self.kind], _MAY.get(self.kind, ())
        missing = [name for name in needs if getattr(self, name) is None]
        if missing:
            raise ValueError(f"kind {self.kind!r} needs {', '.join(missing)}")
        extra = [name for name in _SIZES if name not in (*needs, *may)]
        extra = [name for name in extra if getattr(self, name) is not None]
        if extra:
            raise ValueError(f"kind {self.kind!r} has no {', '.join(extra)}; leave it out")
        if self.kind in _POSITIVE_S and not (self.size_s or 0) > 0:
            raise ValueError(f"kind {self.kind!r} needs size_s above 0")
        return self
