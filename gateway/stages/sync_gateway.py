"""The gateway's own clock: what it shows itself, what the machine says, what the sources say.

    it goes back between two calls         it was set back, beyond doubt
    it leaps against the machine's timer   it was set, by as much
    UTC runs off its raw oscillator        a time service pulls it, as long as it does
    the machine distrusts it               as long as it does
    most calendars agree, and not with it  it has the wrong date, as long as they do
    the sources step together              it was set, if there is no machine that says otherwise;
                                           else it is the time server of those sources
    their rates change together            it is pulled, if no raw oscillator says otherwise

Promises: one finding for each; with a machine to ask, steps of sources wait for its next answer, so
that one cause is not told twice. What happened is told beside what lasts: the machine's distrust is
told again when that is over. Left to others: following the clocks anew (sync.py).
"""

from typing import Final, final

from gateway.models.clock_checks_calendars import Calendars, Shown
from gateway.models.clock_checks_exchange import ExchangeFinding, Found
from gateway.models.clock_checks_host import HostState, HostWatch, distrust, error_ns
from gateway.models.clock_checks_peers import Decision, Step, StepPeers
from gateway.records_time import SyncCause
from gateway.stages import sync_words as words
from gateway.stages.sync_findings import Claim, Findings

_BACK_NS: Final = 1_000_000_000
"""Stamps of arrival and of handling may change places by less than this."""
_SLEWED_NS: Final = 300_000_000_000
"""So long after a machine has pulled its clock its sources may find that their rate changed."""
_KINDS: Final = ("date", "slewed", "distrusted")
"""What may be wrong with it and lasts, the worst first; one is told at a time."""
_RATE_CAUSES: Final = (SyncCause.SKEW_CHANGE, SyncCause.DRIFT_BEYOND_CLASS)


@final
class GatewayClock:
    """What is known of the gateway's clock; findings are told of `site`.

    A source not heard for `alive_ns` is not waited for.
    """

    def __init__(self, site: str, error_max_ns: int, alive_ns: int) -> None:
        self.peers = StepPeers()
        self._rates = {cause: StepPeers(is_rate=True) for cause in _RATE_CAUSES}
        self._site = site
        self._error_max_ns = error_max_ns
        self._alive_ns = alive_ns
        self._watch = HostWatch()
        self._has_machine = self._has_raw = False
        self.calendars = Calendars()
        self._claims: dict[str, Claim] = {}
        """What is wrong with it and lasts, by kind."""
        self._lasting = ""
        """Which of them is told; empty: none."""
        self._slewed: tuple[float, int] | None = None
        """Last rate at which a time service pulled it, and when it did."""
        self._was_back = False
        """Whether the clock was found to go back since the machine was asked last."""
        self._latest_ns: int | None = None

    def is_back(self, now_ns: int, findings: Findings) -> bool:
        """Take what time it is; tell whether the clock was set back since the last call."""
        latest_ns, self._latest_ns = self._latest_ns, now_ns
        if latest_ns is None or now_ns >= latest_ns - _BACK_NS:
            self._latest_ns = now_ns if latest_ns is None else max(now_ns, latest_ns)
            return False
        self.peers.drop()
        self.calendars.drop()
        self._was_back = True
        claim = words.gateway_set(now_ns - latest_ns, now_ns, _BACK_NS, "it went back")
        self._happened(claim, now_ns, findings)
        return True

    def machine(self, host: HostState, now_ns: int, findings: Findings) -> bool:
        """Take what the machine says; tell whether its clock was set since the last time."""
        self._has_machine = True
        self._has_raw = host.raw_ns is not None
        was_back, self._was_back = self._was_back, False
        step = self._watch.step(host)
        if step is not None:
            self.peers.drop()
            self.calendars.drop()
            if step.size_ns > 0 or not was_back:
                how = "against the machine's timer"
                claim = words.gateway_set(step.size_ns, step.since_ns, step.error_ns, how)
                self._happened(claim, now_ns, findings)
        self._listen(host, now_ns)
        self._lasts(now_ns, findings)
        return step is not None

    def heard(self, source: str, at_ns: int, *, is_sure: bool) -> None:
        """Take note of an exchange with a source; `is_sure`: it is clear whether it stepped."""
        for peers in (self.peers, *self._rates.values()):
            peers.heard(source, at_ns, is_sure=is_sure)

    def rated(self, source: str, found: Found, now_ns: int, findings: Findings) -> None:
        """Take note of a rate that changed, or is beyond its class; it is told when decided."""
        claim = words.exchange(found)
        findings.defer(source, claim, lasts=found.finding is ExchangeFinding.BEYOND_CLASS)
        rate = Step(source, found.since_ns, now_ns, -found.size, found.deviation)
        self._rates[claim.cause].stepped(rate)

    def dated(self, source: str, shown: Shown | None, now_ns: int, findings: Findings) -> None:
        """Take note of a calendar; an absurd one is told when the others have been looked at."""
        if shown is not None:
            self.calendars.show(source, shown, now_ns)
        if self.calendars.count < 2:
            findings.settle(source, SyncCause.ABSURD_STAMP, now_ns, is_told=True)

    def decide(self, now_ns: int, findings: Findings, *, is_tick: bool) -> None:
        """Tell whose clock stepped or changed its rate, of those that have waited long enough."""
        self._decide_rates(now_ns, findings)
        if is_tick:
            self._look_at_calendars(now_ns, findings)
        if not self.peers.is_waiting or (self._has_machine and not is_tick):
            return
        for decision in self.peers.decide(now_ns, self._alive_ns):
            if decision.is_common and not self._is_seen_otherwise(decision.steps):
                self._happened(words.gateway_step(decision.steps), now_ns, findings)
                continue
            for step in decision.steps:
                claim = words.step(step, self._whose(decision))
                findings.happened(step.source, claim, now_ns)

    def _is_seen_otherwise(self, steps: tuple[Step, ...]) -> bool:
        """Tell whether the machine's timer would have shown steps that it did not show."""
        return self._has_machine and all(
            abs(step.size_ns) > error_ns(step.found_ns - step.since_ns) for step in steps
        )

    def _whose(self, decision: Decision) -> str:
        """Return how it is known that it was the source's clock, or that it is not known."""
        if decision.is_common:
            return (
                f"{len(decision.steps) - 1} other clocks jumped with it and the gateway's did not, "
                "so it is the time server they share"
            )
        if decision.asked:
            return f"{decision.asked} other clocks did not, so it is this source's"
        if self._has_machine:
            return "the gateway's clock did not, so it is this source's"
        return "with no other clock to compare, it may as well be the gateway's"

    def _happened(self, claim: Claim, now_ns: int, findings: Findings) -> None:
        """Tell that the clock was set; whether it is trusted is told again when that is over."""
        findings.happened(self._site, claim, now_ns)
        self._lasting = ""

    def _listen(self, host: HostState, now_ns: int) -> None:
        """Note whether the machine pulls its clock, or distrusts it."""
        slew, reason = self._watch.slew, distrust(host, self._error_max_ns)
        if slew is not None:
            self._slewed = slew.rate_ppm, now_ns
        claim = None if slew is None else words.gateway_slewed(*slew)
        self._note("slewed", claim)
        claim = None
        if reason is not None:
            claim = words.gateway_distrusted(reason, host.max_error_ns, now_ns)
        self._note("distrusted", claim)

    def _note(self, kind: str, claim: Claim | None) -> None:
        if claim is None:
            self._claims.pop(kind, None)
        else:
            self._claims[kind] = claim

    def _lasts(self, now_ns: int, findings: Findings) -> None:
        """Tell the worst of what lasts, and when it is over."""
        kind = next((each for each in _KINDS if each in self._claims), "")
        if self._lasting not in {"", kind}:
            findings.over(self._site, SyncCause.GATEWAY_CLOCK, now_ns)
            self._lasting = ""
        if kind and not findings.is_active(self._site, SyncCause.GATEWAY_CLOCK):
            findings.lasting(self._site, self._claims[kind], now_ns)
            self._lasting = kind

    def _look_at_calendars(self, now_ns: int, findings: Findings) -> None:
        """Hold the gateway's date against those of the sources; then tell whose is wrong."""
        common = self.calendars.common(now_ns, self._alive_ns)
        self._note("date", None if common is None else words.gateway_date(common, now_ns))
        for source in () if common is None else common.sources:
            findings.over(source, SyncCause.ABSURD_STAMP, now_ns)
        findings.settle_all(SyncCause.ABSURD_STAMP, now_ns)
        self._lasts(now_ns, findings)

    def _decide_rates(self, now_ns: int, findings: Findings) -> None:
        """Tell whose rate changed, of the changes that have waited long enough."""
        for cause, rates in self._rates.items():
            for decision in rates.decide(now_ns, self._alive_ns) if rates.is_waiting else []:
                is_ours = self._is_pulled(decision.steps[0].size_ns, now_ns)
                is_told = decision.is_common and not is_ours and not self._has_raw
                if is_told and not findings.is_active(self._site, SyncCause.GATEWAY_CLOCK):
                    self._happened(words.gateway_rate(decision.steps), now_ns, findings)
                for step in decision.steps:
                    is_own = not is_ours and not is_told
                    findings.settle(step.source, cause, now_ns, is_told=is_own)

    def _is_pulled(self, rate_ppm: float, now_ns: int) -> bool:
        """Tell whether the machine pulls its clock so, or did until shortly before."""
        if self._slewed is None or abs(now_ns - self._slewed[1]) > _SLEWED_NS:
            return False
        return abs(self._slewed[0]) / 2 <= abs(rate_ppm) <= abs(self._slewed[0]) * 2
