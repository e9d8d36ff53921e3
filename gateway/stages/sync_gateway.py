"""The gateway's own clock: what it shows itself, what the machine says, what the sources say.

    it goes back between two calls         it was set back, beyond doubt
    it leaps against the machine's timer   it was set, by as much
    the machine distrusts it               as long as it does
    the sources step together              it was set, if there is no machine that says otherwise;
                                           else it is the time server of those sources

Promises: one finding for each; with a machine to ask, steps of sources wait for its next answer, so
that one cause is not told twice. What happened is told beside what lasts: the machine's distrust is
told again when that is over. Left to others: following the clocks anew (sync.py).
"""

from typing import Final, final

from gateway.models.clock_checks_host import HostState, HostWatch, distrust, error_ns
from gateway.models.clock_checks_peers import Decision, Step, StepPeers
from gateway.records_time import SyncCause
from gateway.stages import sync_words as words
from gateway.stages.sync_findings import Claim, Findings

_BACK_NS: Final = 1_000_000_000
"""Stamps of arrival and of handling may change places by less than this."""


@final
class GatewayClock:
    """What is known of the gateway's clock; findings are told of `site`.

    A source not heard for `alive_ns` is not waited for.
    """

    def __init__(self, site: str, error_max_ns: int, alive_ns: int) -> None:
        self.peers = StepPeers()
        self._site = site
        self._error_max_ns = error_max_ns
        self._alive_ns = alive_ns
        self._watch = HostWatch()
        self._has_machine = False
        self._is_distrust_told = False
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
        self._was_back = True
        claim = words.gateway_set(now_ns - latest_ns, now_ns, _BACK_NS, "it went back")
        self._happened(claim, now_ns, findings)
        return True

    def machine(self, host: HostState, now_ns: int, findings: Findings) -> bool:
        """Take what the machine says; tell whether its clock was set since the last time."""
        self._has_machine = True
        was_back, self._was_back = self._was_back, False
        step = self._watch.step(host)
        if step is not None:
            self.peers.drop()
            if step.size_ns > 0 or not was_back:
                how = "against the machine's timer"
                claim = words.gateway_set(step.size_ns, step.since_ns, step.error_ns, how)
                self._happened(claim, now_ns, findings)
        self._trust(host, now_ns, findings)
        return step is not None

    def decide(self, now_ns: int, findings: Findings, *, is_tick: bool) -> None:
        """Tell whose clock stepped, of the steps that have waited long enough."""
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
        self._is_distrust_told = False

    def _trust(self, host: HostState, now_ns: int, findings: Findings) -> None:
        """Tell that the machine distrusts its clock, and when it trusts it again."""
        reason = distrust(host, self._error_max_ns)
        if reason is None:
            if self._is_distrust_told:
                findings.over(self._site, SyncCause.GATEWAY_CLOCK, now_ns)
            self._is_distrust_told = False
        elif not findings.is_active(self._site, SyncCause.GATEWAY_CLOCK):
            claim = words.gateway_distrusted(reason, host.max_error_ns, now_ns)
            findings.lasting(self._site, claim, now_ns)
            self._is_distrust_told = True
