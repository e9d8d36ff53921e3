"""What the gateway says to its nodes, and what their answers mean to it.

    down   time probes, receipts, commands            due(now_ns)
    up     answers, frames to be receipted, new keys  heard(records, now_ns)

Promises: at one moment a node is sent its probe first, then the receipt, then the command. Keys
that a frame has changed go to the disk at once; when the disk does not take them, the keys before
stay there with what leads to the new ones, and it is tried again. While a node may have either of
two keys it gets receipts under both, so its frames keep coming, and the first one under the new key
ends the doubt; after its word that it has rotated it hears everything under the new one. `due` and
`heard` raise nothing when a disk is full. An old node that knows neither
receipts nor commands is asked the time and nothing else (`receipts = false` in the site).
Left to others: connections and framing (`app.py`), when a frame is stored (`sinks/store.py`).
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, final

from gateway.clock import NS_PER_S, NS_PER_US
from gateway.commands import EXPIRES_S, JOURNAL, Arguments, CommandJournal, Request
from gateway.downlink import Downlink
from gateway.errors import OperatorError
from gateway.receipts import Receipts
from gateway.records import Provenance, Record, Rejected, Report, ReportKind, Verified
from gateway.rotation import KeyKeeper
from gateway.site import Node
from gateway.stages.keyring import NodeKeys
from gateway.stages.replay_window import ReplayMark
from gateway.stages.sync import Sync
from gateway.stages.verify import Verify
from wire import commands, content
from wire.messages import encode_probe, encode_receipt

_LOG: Final = logging.getLogger("twinrig.gateway.nodes")
_ROTATE_S: Final = 600.0
_KEEP_AGAIN_NS: Final = 10 * NS_PER_S
_SEEN: Final = ("replayed", "too_old")
_STALE: Final = "stale_boot"


@final
class Dialogue:
    """The conversation with the nodes of a site, between `start` and `stop` of the gateway."""

    def __init__(
        self,
        nodes: Sequence[Node],
        keeper: KeyKeeper,
        downlink: Downlink,
        stages: tuple[Verify, Sync],
        state_dir: Path,
    ) -> None:
        self._nodes = [node.name for node in nodes]
        self._keeper = keeper
        self._downlink = downlink
        self._verify, self._sync = stages
        self._journal = CommandJournal(state_dir / JOURNAL, self._nodes)
        self._receipts = Receipts(
            [node.name for node in nodes if node.receipts], self._verify.data_marks
        )
        self._epochs: dict[str, int] = {}
        self._unkept: dict[str, NodeKeys] = {}
        self._boots: dict[str, int] = {}
        """The newest boot heard of each node."""
        self._failed: dict[str, int] = {}
        """The boot in which a rotation failed: the next one shows which key the node has."""
        self._keep_again_ns = 0

    def start(self) -> None:
        """Read the commands that an earlier run left; raise `OperatorError` if they are damaged."""
        self._journal.load()
        for node in self._nodes:
            self._downlink.use_roots(node, self._verify.keys(node).in_use)

    def heard(self, records: Iterable[Record]) -> None:
        """Take what one frame has led to; call it before the records are published."""
        changed = self._verify.take_changed_keys()
        for node, keys in changed.items():
            self._use_keys(node, keys)
        for record in records:
            match record:
                case Verified(provenance=Provenance.SEALED):
                    self._verified(record)
                case Rejected(sequence=int(), content_type=int() as content_type):
                    # A receipt has nothing to say of a boot that nothing is known of.
                    if not content.is_live(content_type) and record.reason != _STALE:
                        self._receipts.refused(record.source, was_seen=record.reason in _SEEN)
                case Report():
                    self._reported(record)
                case _:
                    pass
        if changed:
            self._keep_keys()

    def settled(self, record: Verified) -> None:
        """Take note that all records of a frame are where they belong."""
        self._receipts.settled(record.source, record.sequence)

    def due(self, now_ns: int) -> list[tuple[str, bytes]]:
        """Return (node, sealed bytes) of everything to send now, in this order."""
        if self._unkept and now_ns >= self._keep_again_ns:
            self._keep_again_ns = now_ns + _KEEP_AGAIN_NS
            self._keep_keys()
        found = []
        for request in self._sync.due_probes(now_ns):
            payload = encode_probe(request.probe_id)
            sealed = self._downlink.seal(request.source, content.TIME_PROBE, payload, now_ns)
            found.append((request.source, sealed))
            self._sync.probe_sent(request.source, request.probe_id, now_ns)
            self._verify.asked(request.source)
        for receipt in self._receipts.due(now_ns, self._sync.is_known):
            node, payload = receipt.node, encode_receipt(receipt.highest, receipt.seen)
            sealed_each = self._downlink.seal_each(node, content.RECEIPT, payload, now_ns)
            found += [(node, sealed) for sealed in sealed_each]
        for command in self._journal.due(now_ns):
            sealed = self._downlink.seal(command.node, content.COMMAND, command.payload, now_ns)
            found.append((command.node, sealed))
            self._verify.asked(command.node)
        return found

    def next_probe_ns(self) -> int | None:
        """Return when `due` has the next time probe, 0: now; None without a node."""
        return self._sync.next_probe_ns()

    def request(
        self, node: str, verb: int, arguments: Arguments, now_ns: int, expires_s: float = EXPIRES_S
    ) -> Request:
        """Queue a command; see `CommandJournal.request`. Keys rotate by `rotate` only.

        What drives an output expires on the node when it does here, if the node's clock is known.
        """
        if verb == commands.ROTATE_KEY:
            raise OperatorError(f"node {node}: ask for a new key by rotating it, not by a command")
        if verb == commands.ACTUATE:
            arguments = {**self._deadline(node, now_ns, expires_s), **arguments}
        return self._journal.request(node, verb, arguments, now_ns, expires_s)

    def rotate(self, node: str, now_ns: int) -> Request:
        """Ask a node for a new root key; both are believed until its first frame under it."""
        epoch, salt, keys = self._keeper.begin(node, self._epochs.get(node, 0))
        self._verify.use_keys(node, keys)
        self._downlink.use_roots(node, keys.in_use)
        self._failed.pop(node, None)
        return self._journal.request(
            node, commands.ROTATE_KEY, {0: epoch, 1: salt}, now_ns, _ROTATE_S
        )

    def facts(self, node: str) -> dict[str, object]:
        """Return epoch of a node's key and its newest boot; raise `OperatorError` for no node."""
        return {
            "key_epoch": self._keeper.epoch(node),
            "heard_boot_id": self._sync.newest_boot(node),
        }

    def settled_marks(self, marks: Sequence[ReplayMark]) -> list[ReplayMark]:
        """Return the replay windows that may outlive this run."""
        return self._receipts.settled_marks(marks)

    def _deadline(self, node: str, now_ns: int, expires_s: float) -> dict[int, int]:
        """Return until when, on its own clock, a node may obey; nothing if that is not known.

        Somebody on the line could hold a command back, and the node would obey it hours later.
        """
        for clock in self._sync.clocks(now_ns):
            if clock.source == node and clock.is_known and clock.boot_id is not None:
                end_ns = now_ns + int(expires_s * NS_PER_S) - clock.offset_ns - clock.bound_ns
                boot_key, tick_key = commands.DEADLINE
                return {boot_key: clock.boot_id, tick_key: max(end_ns, 0) // NS_PER_US}
        return {}

    def _keep_keys(self) -> None:
        """Put changed keys on the disk; what fails is tried again later."""
        for node, keys in list(self._unkept.items()):
            try:
                self._keeper.keep(node, keys)
            except OperatorError as error:
                _LOG.error("node_key_not_kept node=%s error=%s", node, error)
                continue
            del self._unkept[node]
            _LOG.info("node_key_kept node=%s epoch=%d", node, self._keeper.epoch(node))

    def _use_keys(self, node: str, keys: NodeKeys) -> None:
        """Talk under these keys from now on, and have them kept."""
        self._verify.use_keys(node, keys)
        self._downlink.use_roots(node, keys.in_use)
        self._failed.pop(node, None)
        self._unkept[node] = keys

    def _verified(self, record: Verified) -> None:
        boot_id = record.boot_id or 0
        if boot_id > self._boots.get(record.source, -1):
            self._boots[record.source] = boot_id
            self._downlink.leap(record.source)
        if boot_id > self._failed.get(record.source, boot_id):
            # It started anew and seals under the old key: the new one is not on its flash.
            self._give_up(record.source)
        if record.content_type == content.COMMAND_ANSWER:
            answer = commands.decode_command_answer(record.payload)
            request = self._journal.answered(record.source, answer)
            if request is not None:
                self._answered(request)
        elif not content.is_live(record.content_type):
            is_boot = record.content_type == content.BOOT_RECORD
            self._receipts.taken(record.source, record.sequence, is_boot=is_boot)

    def _answered(self, request: Request) -> None:
        """Say what became of a command, and which keys follow from the answer to a rotation."""
        verb = commands.VERBS.get(request.verb, str(request.verb))
        _LOG.info(
            "command_ended node=%s id=%d verb=%s outcome=%s",
            request.node, request.command_id, verb, request.outcome,
        )  # fmt: skip
        if request.verb != commands.ROTATE_KEY or request.answer is None:
            return
        node, result = request.node, request.answer.result
        keys = self._verify.keys(node)
        if keys.following is None or result == commands.OUTCOME_UNKNOWN:
            return
        if result == commands.DONE:
            self._downlink.use_roots(node, (keys.following, keys.root))
        elif result == commands.FAILED:
            # What a flash refuses may be on it all the same.
            self._failed[node] = self._boots[node]
        else:
            self._give_up(node)

    def _give_up(self, node: str) -> None:
        """End a rotation that the node did not make."""
        self._use_keys(node, self._keeper.give_up(node))
        self._keep_keys()

    def _reported(self, report: Report) -> None:
        """Learn from a node's own words where its counters stand."""
        if report.kind in (ReportKind.BOOT, ReportKind.STATUS):
            epoch, command_id = report.fact("key_epoch"), report.fact("command_id")
            if isinstance(epoch, int):
                self._epochs[report.source] = epoch
            if isinstance(command_id, int):
                self._journal.obeyed_last(report.source, command_id)
