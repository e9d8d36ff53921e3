"""The gateway's own clock: what it shows itself, what the machine says, what the sources say.

    it goes back between two calls         it was set back, beyond doubt
    it leaps against the machine's timer   it was set, by as much
    the machine distrusts it               as long as it does
    the sources step together              it was set, though no machine said so (virtual time)

Promises: one finding for each; with a machine to ask, steps of sources wait for its next answer, so
that one cause is not told twice. Left to others: following the clocks anew (sync.py).
"""

from typing import Final, final

from gateway.models.clock_checks_host import HostState, HostWatch, distrust
from gateway.models.clock_checks_peers import StepPeers
from gateway.records_time import SyncCause
from gateway.stages import sync_words as words
from gateway.stages.sync_findings import Findings

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
        self._is_distrusted = False
        self._latest_ns: int | None = None

    def is_back(self, now_ns: int, findings: Findings) -> bool:
        """Take what time it is; tell whether the clock was set back since the last call."""
        latest_ns, self._latest_ns = self._latest_ns, now_ns
        if latest_ns is None or now_ns >= latest_ns - _BACK_NS:
            self._latest_ns = now_ns if latest_ns is None else max(now_ns, latest_ns)
            return False
        self.peers.drop()
        claim = words.gateway_set(now_ns - latest_ns, now_ns, _BACK_NS, "it went back")
        findings.happened(self._site, claim, now_ns)
        return True

    def machine(self, host: HostState, now_ns: int, findings: Findings) -> bool:
        """Take what the machine says; tell whether its clock was set since the last time."""
        self._has_machine = True
        self._trust(host, now_ns, findings)
        step = self._watch.step(host)
        if step is None:
            return False
        self.peers.drop()
        if step.size_ns > 0 or not findings.is_active(self._site, SyncCause.GATEWAY_CLOCK):
            how = "against the machine's timer"
            claim = words.gateway_set(step.size_ns, step.since_ns, step.error_ns, how)
            findings.happened(self._site, claim, now_ns)
        return True

    def decide(self, now_ns: int, findings: Findings, *, is_tick: bool) -> None:
        """Tell whose clock stepped, of the steps that have waited long enough."""
        if not self.peers.is_waiting or (self._has_machine and not is_tick):
            return
        for decision in self.peers.decide(now_ns, self._alive_ns):
            if decision.is_gateway:
                claim = words.gateway_step(decision.steps)
                findings.happened(self._site, claim, now_ns)
                continue
            (step,) = decision.steps
            findings.happened(step.source, words.step(step, self._whose(decision.asked)), now_ns)

    def _whose(self, asked: int) -> str:
        """Return how it is known that it was the source's clock, or that it is not known."""
        if asked:
            return f"{asked} other clocks did not, so it is this source's"
        if self._has_machine:
            return "the gateway's clock did not, so it is this source's"
        return "with no other clock to compare, it may as well be the gateway's"

    def _trust(self, host: HostState, now_ns: int, findings: Findings) -> None:
        """Tell that the machine distrusts its clock, and when it trusts it again."""
        reason = distrust(host, self._error_max_ns)
        if reason is not None and not self._is_distrusted:
            claim = words.gateway_distrusted(reason, host.max_error_ns, now_ns)
            findings.lasting(self._site, claim, now_ns)
        elif reason is None and self._is_distrusted:
            findings.over(self._site, SyncCause.GATEWAY_CLOCK, now_ns)
        self._is_distrusted = reason is not None
