"""What the gateway finds out about time: frozen, slotted, keyword-only records like all others.

    ClockEstimate   how a source's clock stands, and how surely
    SyncCheck       something about a source's time is wrong, or is right again
    TimedEvent      a state of a machine came when it should, or it did not
    Revision        a value that was published has been corrected by data that came late
    LinkKpi         how a link has served, in the terms of 3GPP TS 22.104

Promises: times are integer nanoseconds UTC by the gateway's clock; a number that cannot be known is
None, never zero. An uncertainty is expanded with the coverage factor k = 2 (GUM, 6.2).
`gateway.records` has them all in its union `Record`.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockEstimate:
    """How the clock of a source stands to the gateway's.

    gateway time = source time + offset. A source that is heard one way only shows its rate and how
    its offset changes; the offset itself lies hidden in the unknown shortest delay.
    """

    source: str
    time_ns: int
    boot_id: int | None
    """Boot the estimate is about; None for a source without boots."""
    is_two_way: bool
    """Whether the source answers probes, so that its offset can be known at all."""
    offset_ns: int | None
    """None while it is not known; of a one-way source, change since it was first heard."""
    bound_ns: int | None
    """Hard: the true offset lies in `offset_ns +- bound_ns`; None where nothing is guaranteed."""
    uncertainty_ns: int | None
    """Expanded, k = 2; never above the bound."""
    skew_ppm: float | None
    """How much faster the gateway's clock runs than the source's."""
    skew_uncertainty_ppm: float | None
    """Expanded, k = 2."""
    delay_ns: int | None
    """Round trip of the last probe without the time spent at the source."""
    probes: int
    """Exchanges that were used."""
    text: str
    """All of it in one line for a person."""


class SyncCause(StrEnum):
    """What can be wrong with the time of a source; each is a verdict, never an exception."""

    STEP = "step"
    """The source's clock jumped within one boot. Size: seconds."""
    SKEW_CHANGE = "skew_change"
    """Its rate changed. Size: ppm."""
    DRIFT_BEYOND_CLASS = "drift_beyond_class"
    """Its rate is beyond what its crystal may do. Size: ppm."""
    BACKWARDS = "backwards"
    """Its time ran backwards while its numbering went on. Size: seconds."""
    UNANNOUNCED_RESTART = "unannounced_restart"
    """Its clock started anew under the same boot id. Size: seconds lost."""
    ASYMMETRIC_DELAY = "asymmetric_delay"
    """One direction of the path became slower than the other. Size: seconds."""
    STALE = "stale"
    """What comes is genuine and far older than its link explains. Size: seconds."""
    REPLAYED = "replayed"
    """It was sent before; the replay window refused it. Size: frames."""
    BATCH_DELAY = "batch_delay"
    """Several frames were held back and came together. Size: seconds."""
    DUPLICATED = "duplicated"
    """The same data came more than once. Size: frames."""
    REORDERED = "reordered"
    """Data came out of order. Size: frames."""
    CLOCK_UNSET = "clock_unset"
    """The source is at the epoch of a clock nobody set (1970, 1980, 2000, ...). Size: seconds."""
    ABSURD_STAMP = "absurd_stamp"
    """A stamp that no clock of this source can show. Size: seconds."""
    TICKS_JUMPED = "ticks_jumped"
    """Its counter leapt ahead by more than has passed. Size: seconds."""
    TICKS_WRAPPED = "ticks_wrapped"
    """Its counter began again at its modulus. Size: seconds."""
    NEGATIVE_DELAY = "negative_delay"
    """An answer that ended before it began, or came before it was sent. Size: seconds."""
    ANSWER_REPEATED = "answer_repeated"
    """A probe was answered twice, or nobody had asked. Size: answers."""
    GATEWAY_CLOCK = "gateway_clock"
    """The gateway's own clock is wrong, or says that it is not synchronised. Size: seconds."""
    LAG = "lag"
    """The physics of coupled signals contradicts what the clock claims. Size: seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCheck:
    """A finding about the time of a source, when it begins and when it ends."""

    source: str
    """The source, or the gateway's site for a finding about its own clock."""
    cause: SyncCause
    is_active: bool
    """True when it is found, False when it is over; what lasts no time ends with its finding."""
    time_ns: int
    """When it was found, or found to be over."""
    since_ns: int
    """From when on it must have been so; never after `time_ns`."""
    size: float
    """In the unit that the cause states; signed where a direction exists."""
    size_uncertainty: float | None
    """Expanded, k = 2."""
    unit: str
    """SenML unit "s", or "ppm", or "count"."""
    text: str
    """What happened, how large, what it means for values, what to do: for a person."""
    signal: str | None = None
    """The signal it is about, when it is not about the whole source."""
    sequence: int = 0
    """Counts the findings of the source from 0."""


class Timing(StrEnum):
    """How an event stands to its window."""

    IN_TIME = "in_time"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    WRONG_ORDER = "wrong_order"
    MISSING = "missing"
    """Its window is over, and it has not come."""
    UNDECIDED = "undecided"
    """The edge of the window lies inside the uncertainty of the event's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedEvent:
    """A change of state of a machine, held against the expected order and timing."""

    machine: str
    """Name of the state machine in the site file."""
    time_ns: int
    """When the state was entered; for a missing one when its window ended."""
    bound_ns: int
    """Hard bound of that time."""
    before: str
    """State that was left."""
    after: str
    """State that was entered, or should have been."""
    timing: Timing
    elapsed_s: float
    """Time in the state before."""
    elapsed_bound_s: float
    """Hard bound of that duration."""
    text: str
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A fused value that was published, as it is after data that came late."""

    asset: str
    signal: str
    time_ns: int
    """Time of the row that is revised."""
    before: float
    """Fused value as published last."""
    after: float
    deviation: float
    """Standard deviation of `after`."""
    number: int
    """1 for the first revision of this value."""
    late_ns: int
    """How long after the end of its row the value came that led to this."""
    status: int
    """OPC UA StatusCode of `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiFigure:
    """One figure of a link, with the limits between which it lies where it is an estimate."""

    name: str
    """As in 3GPP TS 22.104 in snake case and the unit last, e.g. `end_to_end_latency_p99_s`."""
    value: float | None
    """None where there is nothing to tell it from yet."""
    unit: str
    low: float | None = None
    """Lower 95 % confidence limit."""
    high: float | None = None
    budget: float | None = None
    """What the site asks for."""
    is_met: bool | None = None
    """Whether the budget is met; None without a budget, or while that is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKpi:
    """How one source has served over one link."""

    source: str
    link: str
    time_ns: int
    observed_s: float
    """Time the figures are from; the gateway's own pauses are no part of it."""
    is_up: bool
    """Whether the communication service is available now (TS 22.104, annex C)."""
    figures: tuple[KpiFigure, ...]

    def figure(self, name: str) -> KpiFigure | None:
        """Return a figure by its name."""
        return next((figure for figure in self.figures if figure.name == name), None)
