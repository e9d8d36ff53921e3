"""What travels between links, stages and sinks: frozen, slotted, keyword-only records.

    Received, Polled -> Verified | Rejected -> Aligned -> Estimate -> Verdict
                                            -> Report  -> ClockEstimate, SyncCheck, ...

What is said about time itself is in `records_time.py`.

Promises: no dict crosses a seam, times are integer nanoseconds UTC (`_ns`) or integer microseconds
of a node's own boot (`_us`), signal names are resolved (`node:channel`), and a `Verified` exists
only if `stages/verify.py` made it. Left to others: how a record is written down (`canonical.py`).
"""

from dataclasses import InitVar, dataclass
from enum import StrEnum
from typing import Final

from gateway.errors import InternalError
from gateway.records_time import ClockEstimate, LinkKpi, Revision, SyncCheck, TimedEvent


class Provenance(StrEnum):
    """How far a value can be trusted to come from the source it names."""

    SEALED = "sealed"
    """MAC of the node's own key over the very bytes that carried the value."""
    AUTHENTICATED = "authenticated"
    """The transport authenticated the peer (TLS, OPC UA), not the value."""
    UNAUTHENTICATED = "unauthenticated"
    """Nothing vouches for it (Modbus)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One numeric value as its source stated it."""

    signal: str
    """Resolved name, `<source>:<channel>`."""
    unit: str
    """SenML unit symbol."""
    value: float
    tick_us: int | None
    """Node time of the value since boot; None when the source keeps no clock."""
    stamp_ns: int | None = None
    """UTC of the value by the source's own clock; None when it states none."""
    status: int = 0
    """OPC UA StatusCode the source itself gave; Good where its protocol has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The bytes of one sealed frame (framing and line check already removed)."""

    source: str
    """The node this link or topic belongs to; verify compares it with the key id."""
    link: str
    data: bytes
    received_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """The values of one request/response of a protocol without seals (Modbus and its like)."""

    source: str
    link: str
    readings: tuple[Reading, ...]
    requested_ns: int
    received_ns: int
    clock_ns: int | None = None
    """UTC that the source's own clock showed when it answered; None when it was not asked."""
    clock_resolution_ns: int = 0
    """One step of that clock: it showed `clock_ns` up to so much later."""

    def __post_init__(self) -> None:
        if self.received_ns < self.requested_ns:
            raise InternalError(f"{self.source} over {self.link}: answered before it was asked")


_VERIFY_TOKEN: Final = object()
"""The right to make a `Verified`; a test holds that only stages/verify.py mentions it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A frame or poll that passed every check. Only `stages/verify.py` can make one."""

    source: str
    link: str
    boot_id: int | None
    """Boot counter of the node; None for a polled source."""
    sequence: int
    """Number of the frame as sealed by the node; for a polled source the count of its polls."""
    tick_us: int | None
    """Node time at which the frame was sealed."""
    content_type: int
    """`wire.content` number; 0 for a polled source."""
    frame: bytes
    """The sealed bytes as they came, for whoever wants proof; empty for a polled source."""
    payload: bytes
    readings: tuple[Reading, ...]
    requested_ns: int | None
    """When a polled source was asked; None for a frame that came by itself."""
    received_ns: int
    provenance: Provenance
    root_id: str = ""
    """Which root key sealed it (`stages.keyring.root_id`); empty for a polled source."""
    clock_ns: int | None = None
    """UTC that a polled source's own clock showed; None when it was not asked."""
    clock_resolution_ns: int = 0
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        if token is not _VERIFY_TOKEN:
            raise InternalError("Verified records are made by gateway.stages.verify only")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A frame or poll that failed a check. Its content goes no further."""

    source: str
    link: str
    reason: str
    """Stable word, one of `stages.verify.REASONS`."""
    detail: str
    received_ns: int
    sequence: int | None
    """Number of the frame if the node itself sealed it; None when nothing vouches for it."""
    content_type: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """One value on the common timeline."""

    signal: str
    unit: str
    value: float
    time_ns: int
    """UTC of the value at its source."""
    bound_ns: int
    """Hard bound: true time lies in `time_ns +- bound_ns`, if the stated drift limit holds."""
    uncertainty_ns: int
    """Expanded uncertainty of `time_ns`, coverage factor k = 2; never above `bound_ns`."""
    status: int
    """OPC UA StatusCode (`gateway.status`)."""
    provenance: Provenance
    source: str
    sequence: int


class ReportKind(StrEnum):
    """What a node reports about itself."""

    BOOT = "boot"
    STATUS = "status"
    LOSS = "loss"
    MEASUREMENT = "measurement"
    CHECKPOINT = "checkpoint"
    COMMAND_ANSWER = "command_answer"
    RAW_BLOCK = "raw_block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a node said about itself, never a value of the plant."""

    source: str
    kind: ReportKind
    time_ns: int
    """UTC at which the node sealed it."""
    bound_ns: int
    is_time_known: bool
    boot_id: int
    sequence: int
    text: str
    """All of it in one line for a person."""
    problems: tuple[str, ...]
    """In the node's own words; empty if all is well."""
    facts: tuple[tuple[str, int | float | str], ...]
    """Name and value as in `wire`, bytes as hexadecimal digits."""

    def fact(self, name: str) -> int | float | str | None:
        """Return a fact by its name, None if the node did not state it."""
        return next((value for known, value in self.facts if known == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalEstimate:
    """What the model says about one signal in one row; numbers in the signal's own unit."""

    signal: str
    value: float
    """As measured; NaN when the row has none (`status` says why)."""
    expected: float
    """Mean of the signal given all the other signals of the row and the past."""
    standard_deviation: float
    """Of that conditional prediction."""
    fused: float
    """Best estimate of the true value, from all that is not judged false; NaN without a model."""
    fused_deviation: float
    """Standard deviation of `fused`."""
    interval: tuple[float, float]
    """The true value lies in it with a probability of 90 %, if the model holds."""
    contribution: float
    """Share of `Estimate.score` due to this signal; all contributions sum to the score."""
    trust: float
    """1 - probability that what this signal says is false, 0..1."""
    status: int
    """Of `value`."""
    fused_status: int
    """Of `fused` and its likes: Good; Uncertain if the signal's own value is missing or left out
    because it is judged false; Bad if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One hypothesis about what is wrong, and how probable it is given the rows."""

    cause: str
    """One of the words of `models.causes`: "bias", "stuck", "process", ..."""
    signal: str | None
    """The signal it is about; None for a cause that concerns the whole asset."""
    probability: float
    """Posterior, 0..1; of all hypotheses, named here or not, they sum to 1."""
    words: str
    """What it would mean, with the numbers behind it, for a person."""

    @property
    def text(self) -> str:
        """Return all of it in one line for a person."""
        about = "" if self.signal is None else f" of {self.signal}"
        return f"{self.cause.replace('_', ' ')}{about} {self.probability:.0%}: {self.words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the model says about one row of an asset."""

    asset: str
    time_ns: int
    """Middle of the row's period."""
    values: tuple[SignalEstimate, ...]
    """One per configured signal, in the configured order; empty while the model is learning."""
    log_density: float
    """Natural logarithm of the density of the row under the model, robust-scaled signals."""
    score: float
    """Evidence against normal operation over the loudest scale; 0 while the model is learning."""
    anomaly_probability: float
    is_trained: bool
    status: int
    kind: str = ""
    """What kind of evidence is loudest: "level", "shift", "variance", "repeat", ..."""
    scale_rows: int = 0
    """Rows of the loudest scale."""
    regime: int = 0
    """Number of the most probable regime of operation."""
    model_id: str = ""
    """Hash of the model that said so; empty while it is learning."""
    causes: tuple[Cause, ...] = ()
    """Most probable first; empty while the row speaks for normal operation."""
    coherence_ns: int = 0
    """Largest expanded uncertainty (k = 2) of the times of the row's values: how far apart in truth
    what is shown as one moment may lie."""
    bound_ns: int = 0
    """Largest hard bound of those times."""


CAUSES_MAX: Final = 5
"""Causes that a record names; what they leave of 1 belongs to less probable ones."""


class State(StrEnum):
    """What the judge says about an asset."""

    LEARNING = "learning"
    NORMAL = "normal"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """A signal's share of an alarm."""

    signal: str
    share: float
    """Part of the positive evidence, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A change of state of an asset, with the evidence a person can check."""

    asset: str
    time_ns: int
    """Time of the row that decided."""
    state: State
    probability: float
    """Anomaly probability in that row."""
    since_ns: int
    """Time of the first row of the run that led here; never after `time_ns`."""
    blamed: tuple[Blame, ...]
    """Largest share first; empty unless the state is ALARM."""
    evidence: str
    """Why, in words and numbers that a person can check; the causes are told in it as well."""
    sequence: int
    """Counts the verdicts of the asset from 0."""
    causes: tuple[Cause, ...] = ()
    """Most probable first, at most `CAUSES_MAX`; empty unless the state is ALARM."""


TimeRecord = ClockEstimate | SyncCheck | TimedEvent | Revision | LinkKpi
Record = (
    Received | Polled | Verified | Rejected | Aligned | Report | Estimate | Verdict | TimeRecord
)
Input = Received | Polled
