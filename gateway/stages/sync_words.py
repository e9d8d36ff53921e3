"""Findings about time in words: what happened, how large, what it means for values, what to do.

Promises: one sentence or two for a person in the plant, numbers with their uncertainty (k = 2) and
unit; what cannot be known is said. Sizes are of the source: positive is ahead, or faster.
"""

from gateway.models.clock_checks_calendars import Common
from gateway.models.clock_checks_exchange import ExchangeFinding, Found
from gateway.models.clock_checks_frames import Counter, CounterFinding, LateData, Lateness
from gateway.models.clock_checks_peers import Step
from gateway.models.clock_checks_stamps import Date
from gateway.records_time import SyncCause
from gateway.stages.sync_findings import Claim

_NS_PER_S = 1e9
_RESTARTED = "its clock is unknown until two exchanges agree, values till then are uncertain"


def seconds(size_ns: float, uncertainty_ns: float | None = None) -> str:
    """Return a duration in the unit in which it reads best, with its uncertainty."""
    scale, unit = 1e9, "s"
    for limit, smaller in ((1e9, (1e6, "ms")), (1e6, (1e3, "us"))):
        if abs(size_ns) < limit:
            scale, unit = smaller
    words = f"{size_ns / scale:.4g}"
    if uncertainty_ns is not None:
        words += f" +- {uncertainty_ns / scale:.2g}"
    return f"{words} {unit}"


def step(found: Step, whose: str) -> Claim:
    """Return that a source's clock jumped; `whose` says how that is known."""
    size_ns, uncertainty_ns = -found.size_ns, 2 * found.deviation_ns
    way = "ahead" if size_ns > 0 else "back"
    return Claim(
        cause=SyncCause.STEP,
        since_ns=found.since_ns,
        size=size_ns / _NS_PER_S,
        size_uncertainty=uncertainty_ns / _NS_PER_S,
        unit="s",
        text=f"the clock jumped {way} by {seconds(abs(size_ns), uncertainty_ns)} within one boot; "
        f"{whose}; values since then may be off by that much until it was found",
    )


def gateway_step(steps: tuple[Step, ...]) -> Claim:
    """Return that the gateway's own clock jumped, as its sources show."""
    best = min(steps, key=lambda each: each.deviation_ns)
    names = ", ".join(sorted(each.source for each in steps))
    uncertainty_ns = 2 * best.deviation_ns
    return Claim(
        cause=SyncCause.GATEWAY_CLOCK,
        since_ns=best.since_ns,
        size=best.size_ns / _NS_PER_S,
        size_uncertainty=uncertainty_ns / _NS_PER_S,
        unit="s",
        text=f"all clocks of {names} jumped against the gateway's by "
        f"{seconds(best.size_ns, uncertainty_ns)} at once: it is the gateway's clock that was set; "
        "times before and after do not belong to one scale; see to its time service",
    )


def gateway_set(size_ns: int, since_ns: int, error_ns: int, how: str) -> Claim:
    """Return that the gateway's own clock was set, as it shows itself."""
    return Claim(
        cause=SyncCause.GATEWAY_CLOCK,
        since_ns=since_ns,
        size=size_ns / _NS_PER_S,
        size_uncertainty=error_ns / _NS_PER_S,
        unit="s",
        text=f"the gateway's clock was set by {seconds(size_ns, error_ns)} ({how}); times before "
        "and after do not belong to one scale; all clocks are followed anew",
    )


def gateway_date(found: Common, now_ns: int) -> Claim:
    """Return that most calendars agree with each other and not with the gateway's."""
    way = "ahead of" if found.offset_ns > 0 else "behind"
    size = f"{abs(found.offset_ns) / _NS_PER_S:.9g} +- {found.error_ns / _NS_PER_S:.2g} s"
    return Claim(
        cause=SyncCause.GATEWAY_CLOCK,
        since_ns=now_ns,
        size=found.offset_ns / _NS_PER_S,
        size_uncertainty=found.error_ns / _NS_PER_S,
        unit="s",
        text=f"the gateway's date is {size} {way} the calendars of {', '.join(found.sources)}, "
        f"{len(found.sources)} of {found.calendars}, which agree with each other: it is the "
        "gateway's that is wrong, and so are all times; set it, and see to its time service",
    )


def gateway_slewed(rate_ppm: float, moved_ns: int, since_ns: int) -> Claim:
    """Return that the machine's UTC is pulled against its raw oscillator."""
    return Claim(
        cause=SyncCause.GATEWAY_CLOCK,
        since_ns=since_ns,
        size=moved_ns / _NS_PER_S,
        unit="s",
        text=f"a time service pulls the gateway's clock by {rate_ppm:.3g} ppm, {seconds(moved_ns)} "
        "when it was found: all sources seem to change their rate by as much, and bounds hold only "
        "within [time] drift_ppm; have it disciplined more gently, or start the gateway after it",
    )


def gateway_rate(rates: tuple[Step, ...]) -> Claim:
    """Return that the rates of several sources changed together; sizes are in ppm."""
    best = min(rates, key=lambda each: each.deviation_ns)
    names = ", ".join(sorted(each.source for each in rates))
    span_s = (best.found_ns - best.since_ns) / _NS_PER_S
    return Claim(
        cause=SyncCause.GATEWAY_CLOCK,
        since_ns=best.since_ns,
        size=best.size_ns * 1e-6 * span_s,
        size_uncertainty=2 * best.deviation_ns * 1e-6 * span_s,
        unit="s",
        text=f"the rates of {names} against the gateway's clock are alike off at once, by "
        f"{best.size_ns:.3g} +- {2 * best.deviation_ns:.2g} ppm: it is the gateway's clock that is "
        "pulled by its time service, or its own crystal; bounds hold only within [time] drift_ppm",
    )


def gateway_distrusted(reason: str, error_ns: int | None, now_ns: int) -> Claim:
    """Return that the machine itself does not trust its clock."""
    known_ns = 0 if error_ns is None else error_ns
    return Claim(
        cause=SyncCause.GATEWAY_CLOCK,
        since_ns=now_ns,
        size=known_ns / _NS_PER_S,
        unit="s",
        text=f"{reason}; times agree among sources, and are as far from UTC as the gateway is; "
        "start a time service (chrony, ntpd, ptp4l) on it",
    )


def exchange(found: Found) -> Claim:
    """Return what an exchange brought to light, steps excepted."""
    make = {
        ExchangeFinding.SKEW_CHANGE: _skew_change,
        ExchangeFinding.FALSE_STAMP: _false_stamp,
        ExchangeFinding.ASYMMETRY: _asymmetry,
        ExchangeFinding.BEYOND_CLASS: _beyond_class,
    }[found.finding]
    return make(found)


def _skew_change(found: Found) -> Claim:
    return Claim(
        cause=SyncCause.SKEW_CHANGE,
        since_ns=found.since_ns,
        size=found.size,
        size_uncertainty=2 * found.deviation,
        unit="ppm",
        text=f"the clock's rate changed by {found.size:.3g} +- {2 * found.deviation:.2g} ppm, more "
        "than its crystal wanders; bounds hold while it stays within its class; look at supply "
        "voltage and temperature",
    )


def _false_stamp(found: Found) -> Claim:
    uncertainty_ns = 2 * found.deviation
    return Claim(
        cause=SyncCause.ABSURD_STAMP,
        since_ns=found.since_ns,
        size=found.size / _NS_PER_S,
        size_uncertainty=uncertainty_ns / _NS_PER_S,
        unit="s",
        text=f"one answer was off by {seconds(found.size, uncertainty_ns)} and those before and "
        "after it were not: its stamps were not true; the clock is followed anew without it; "
        "values since then have an uncertain status, or are off by that much at most",
    )


def _asymmetry(found: Found) -> Claim:
    way = "from the source to the gateway" if found.size > 0 else "from the gateway to the source"
    size_ns, uncertainty_ns = abs(found.size), 2 * found.deviation
    return Claim(
        cause=SyncCause.ASYMMETRIC_DELAY,
        since_ns=found.since_ns,
        size=found.size / _NS_PER_S,
        size_uncertainty=uncertainty_ns / _NS_PER_S,
        unit="s",
        text=f"the way {way} became slower by {seconds(size_ns, uncertainty_ns)} and the other did "
        "not: a queue, another route, or somebody who delays frames; offsets would look shifted by "
        "half of it, the hard bound covers that; a difference that was always there cannot be seen",
    )


def _beyond_class(found: Found) -> Claim:
    return Claim(
        cause=SyncCause.DRIFT_BEYOND_CLASS,
        since_ns=found.since_ns,
        size=found.size,
        size_uncertainty=2 * found.deviation,
        unit="ppm",
        text=f"the clock runs {found.size:.4g} +- {2 * found.deviation:.2g} ppm from the gateway's,"
        " more than [time] drift_ppm: bounds are too narrow; raise drift_ppm to what the crystal "
        "is, or replace it",
    )


def counter(found: CounterFinding, received_ns: int) -> Claim:
    """Return what a frame said of its node's counter."""
    size_s = found.size_us / 1e6
    lost = seconds(found.size_us * 1e3)
    match found.counter:
        case Counter.WRAPPED:
            cause, size = SyncCause.TICKS_WRAPPED, size_s
            text = f"the counter began again at its modulus {found.modulus}; {_RESTARTED}"
        case Counter.RESTARTED:
            cause, size = SyncCause.UNANNOUNCED_RESTART, size_s
            text = (
                f"the counter began anew and is {lost} behind, under the same boot id: the node "
                f"restarted and did not say so, or keeps no boot counter; {_RESTARTED}"
            )
        case Counter.BACKWARDS:
            cause, size = SyncCause.BACKWARDS, -size_s
            text = f"the counter ran backwards by {lost} while numbers went on; {_RESTARTED}"
        case Counter.ABSURD:
            cause, size = SyncCause.ABSURD_STAMP, size_s
            text = (
                f"a frame was stamped {found.size_us} us after the node's start, which no counter "
                "shows; the stamp is not used"
            )
        case Counter.REORDERED:
            cause, size = SyncCause.REORDERED, 1.0
            text = "frames come in another order than they were sent; each keeps its own time"
    unit = "count" if found.counter is Counter.REORDERED else "s"
    since_ns = min(found.since_ns, received_ns)
    return Claim(cause=cause, since_ns=since_ns, size=size, unit=unit, text=text)


def leap(size_ns: int, since_ns: int) -> Claim:
    """Return that a counter leapt far ahead."""
    return Claim(
        cause=SyncCause.TICKS_JUMPED,
        since_ns=since_ns,
        size=size_ns / _NS_PER_S,
        unit="s",
        text=f"the counter leapt ahead by at least {seconds(size_ns)} more than has passed, which "
        f"is no setting of a clock; {_RESTARTED}",
    )


def late(found: LateData) -> Claim:
    """Return that data comes late."""
    age = seconds(found.age_ns)
    is_batch = found.lateness is Lateness.BATCH
    text = (
        f"{found.frames} frames or more were held back and came together, the oldest {age} old; "
        "values keep the time at which they were measured"
        if is_batch
        else f"what comes is genuine, and {age} old: something on the way keeps it; values are "
        "shown with their own time, and are no news of the plant"
    )
    return Claim(
        cause=SyncCause.BATCH_DELAY if is_batch else SyncCause.STALE,
        since_ns=found.since_ns,
        size=found.age_ns / _NS_PER_S,
        unit="s",
        text=text,
    )


def repeated(sequence: int, now_ns: int, age_ns: int | None) -> Claim:
    """Return that a frame came again; `age_ns` after the first time, None: long ago."""
    if age_ns is not None:
        return Claim(
            cause=SyncCause.DUPLICATED, since_ns=now_ns, size=1.0, unit="count",
            text=f"frame {sequence} came twice within {seconds(age_ns)}; the second one is not "
            "used; look for two paths or a repeater",
        )  # fmt: skip
    return Claim(
        cause=SyncCause.REPLAYED, since_ns=now_ns, size=1.0, unit="count",
        text=f"frame {sequence} was sent before and came again; it is not used; if nobody plays "
        "old bytes on purpose, look for whoever else is on the line",
    )  # fmt: skip


def answer_repeated(probe_id: int, now_ns: int, *, was_answered: bool) -> Claim:
    """Return that an answer came that nobody waits for."""
    why = "was answered before" if was_answered else "is not one that waits for an answer"
    return Claim(
        cause=SyncCause.ANSWER_REPEATED, since_ns=now_ns, size=1.0, unit="count",
        text=f"an answer came to probe {probe_id}, which {why}; it changes nothing",
    )  # fmt: skip


def negative_delay(delay_ns: int, now_ns: int) -> Claim:
    """Return that an answer was impossible in itself."""
    return Claim(
        cause=SyncCause.NEGATIVE_DELAY, since_ns=now_ns, size=delay_ns / _NS_PER_S, unit="s",
        text=f"an answer took {seconds(delay_ns)} on its way by its stamps, so one of them is not "
        "true; it is not used",
    )  # fmt: skip


def absurd_stamp(what: str, now_ns: int) -> Claim:
    """Return that a stamp is beyond what can be counted in 64 bits."""
    return Claim(
        cause=SyncCause.ABSURD_STAMP, since_ns=now_ns, size=0.0, unit="s",
        text=f"{what} is stamped with a time that no clock shows; it is not used",
    )  # fmt: skip


def date(found: Date, now_ns: int) -> Claim:
    """Return that a source's date cannot be right."""
    away = f"{found.away_ns / _NS_PER_S / 86_400:.1f} days from the gateway's"
    if found.is_unset:
        text = (
            f"the clock shows a date just after {found.epoch}, {away}: nobody has set it; values "
            "get the gateway's time; set the clock, and look at its battery"
        )
        cause = SyncCause.CLOCK_UNSET
    else:
        text = (
            f"the clock shows a date that no clock at work shows, {away}; values get the gateway's "
            "time; look at the format and the epoch of the stamp"
        )
        cause = SyncCause.ABSURD_STAMP
    return Claim(cause=cause, since_ns=now_ns, size=found.away_ns / _NS_PER_S, unit="s", text=text)


def ahead(size_ns: float, deviation_ns: float, now_ns: int) -> Claim:
    """Return that a source heard one way only is suddenly further ahead than can be."""
    return Claim(
        cause=SyncCause.STEP,
        since_ns=now_ns,
        size=size_ns / _NS_PER_S,
        size_uncertainty=2 * deviation_ns / _NS_PER_S,
        unit="s",
        text=f"stamps come {seconds(size_ns, 2 * deviation_ns)} sooner after they were made than "
        "any before: the clock jumped ahead, or the path became shorter by that much. Heard one way"
        " only, a jump back looks like a delay, and the offset itself cannot be known",
    )


def set_back(size_ns: int, error_ns: int, now_ns: int, *, is_backwards: bool) -> Claim:
    """Return that the stamps of a source heard one way only lead out of the longest delay."""
    return Claim(
        cause=SyncCause.BACKWARDS if is_backwards else SyncCause.STEP,
        since_ns=now_ns,
        size=-size_ns / _NS_PER_S,
        size_uncertainty=error_ns / _NS_PER_S,
        unit="s",
        text=f"stamps are {seconds(size_ns, error_ns)} behind those before, more than the longest "
        "delay that the site states: the clock was set back (summer time?), an earlier stamp was "
        "false, or messages are kept on the way; values since then have the time of their arrival "
        "less half of that delay; have the device stamp in UTC",
    )


def stands_still(age_ns: int, since_ns: int) -> Claim:
    """Return that messages keep coming and no stamp is newer."""
    return Claim(
        cause=SyncCause.STALE,
        since_ns=since_ns,
        size=age_ns / _NS_PER_S,
        unit="s",
        text=f"messages come, and no stamp has been new for {seconds(age_ns)}: the device repeats "
        "what it sent before, or its clock stands still; values have the time of their arrival "
        "less half of the longest delay that the site states",
    )
