"""Nodes whose clocks a test sets, with verify and sync in virtual time."""

import random

from gateway.loss import LossLedger
from gateway.records import Rejected
from gateway.records_time import SyncCheck
from gateway.stages.sync import Sync, SyncOptions
from gateway.stages.verify import Verify
from tests.gateway.stages.frames import ROOT_KEY, NodeSim, received

S = 1_000_000_000
MS = 1_000_000
EPOCH = 1_600_000_000 * S


class Node:
    """A node whose clock the test sets; `offset_ns` is gateway minus node."""

    def __init__(self, name):
        self.name = name
        self.sim = NodeSim(name=name)
        self.sequence = 0
        self.offset_ns = EPOCH - 5 * S
        self.up_ns = self.down_ns = 2 * MS

    def tick_us(self, now_ns):
        return (now_ns - self.offset_ns) // 1000


class Plant:
    """Nodes, verify and sync in virtual time: a frame a second each, probes when sync asks."""

    def __init__(self, *names, **changed):
        self.nodes = {name: Node(name) for name in names}
        keys = dict.fromkeys(names, ROOT_KEY)
        self.verify = Verify(keys, LossLedger())
        options = {"options": SyncOptions(**changed.pop("options", {}))}
        settings = {"probe_period_ns": 10 * S, "drift_ppm": 50, "bound_max_ns": 20 * MS}
        self.sync = Sync(names, **{**settings, **options, **changed})
        self.now_ns = EPOCH
        self.rng = random.Random(1)
        self.records = []
        self.sent = {}

    def push(self, node, data, at_ns):
        """Give bytes to the gateway."""
        (checked,) = self.verify.feed(received(data, node.name, at_ns), at_ns)
        if isinstance(checked, Rejected):
            self.sync.refused(checked, at_ns)
            values = []
        else:
            values = self.sync.feed(checked, at_ns)
        self.records += self.sync.findings()
        return values

    def frame(self, node, tick_us=None, at_ns=None):
        """Let a node send a value; return it aligned."""
        at_ns = self.now_ns if at_ns is None else at_ns
        tick_us = node.tick_us(at_ns - node.up_ns) if tick_us is None else tick_us
        data = node.sim.frame(node.sequence, [("x", "V", 1.0, 0.0)], tick_us=tick_us)
        self.sent[node.name, node.sequence] = data
        node.sequence += 1
        return self.push(node, data, at_ns)

    def second(self, host=None):
        """Let a second pass."""
        self.now_ns += S
        for probe in self.sync.due_probes(self.now_ns):
            node = self.nodes[probe.source]
            self.sync.probe_sent(node.name, probe.probe_id, self.now_ns)
            there_ns = self.now_ns + node.down_ns + round(self.rng.expovariate(1 / MS))
            home_ns = there_ns + node.up_ns + round(self.rng.expovariate(1 / MS))
            tick_us = node.tick_us(there_ns)
            self.push(
                node, node.sim.answer(node.sequence, probe.probe_id, tick_us, tick_us), home_ns
            )
            node.sequence += 1
        self.now_ns += S // 2
        for node in self.nodes.values():
            self.frame(node)
        self.now_ns -= S // 2
        self.sync.tick(self.now_ns + S // 2, host)
        self.records += self.sync.findings()

    def run(self, seconds):
        """Let time pass; return the findings that began."""
        before = len(self.records)
        for _ in range(seconds):
            self.second()
        return self.begun(before)

    def begun(self, first=0):
        return [
            (each.source, each.cause, each.size)
            for each in self.records[first:]
            if isinstance(each, SyncCheck) and each.is_active
        ]
