"""Bytes that prove where they come from become `Verified`; everything else is counted and stops.

A sealed frame is checked in this order, and the first failure decides its reason:
1. shape: the one encoding of our COSE profile, within bounds          malformed
2. key: the kid names a node we hold a key for                         unknown_kid
3. MAC under an uplink key of that node; nothing was believed before   bad_mac
4. the node is the one this link belongs to                            foreign_source
5. boot id and sequence number are new to the frame's lane; only now
   are window, numbers and keys moved                                  stale_boot, too_old, replayed
6. the payload is what its content type says                           malformed
7. every reading is named after the node                               foreign_source
8. every reading is of a configured channel, in its unit               unknown_channel, wrong_unit

A frame that fails in 6 to 8 is authentic, so its number stays used. A poll of a protocol without
seals passes 7 and 8 as `UNAUTHENTICATED`, unless it claims the name of a node that must seal.
This module alone can make a `Verified`. What it leaves to others: whether the values make sense.
"""

from collections.abc import Iterable, Mapping
from typing import Final, final

from gateway.loss import Account, LossLedger
from gateway.records import (
    _VERIFY_TOKEN,
    Input,
    Polled,
    Provenance,
    Reading,
    Received,
    Rejected,
    Verified,
)
from gateway.stages.keyring import Keyring, NodeKeys, root_id
from gateway.stages.numbering import Numbering
from gateway.stages.payloads import raw_blocks_of, readings_of
from gateway.stages.replay_window import Lane, ReplayMark, ReplayWindow, marks_under
from wire import content, cose, messages
from wire.errors import CoseError, WireError

REASONS: Final = (
    "malformed",
    "unknown_kid",
    "bad_mac",
    "foreign_source",
    "stale_boot",
    "too_old",
    "replayed",
    "unknown_channel",
    "wrong_unit",
)
"""Every reason a `Rejected` may carry."""


class _Refusal(Exception):  # noqa: N818 - a jump inside this module, never an error of anybody
    """A check failed; carries the stable reason and the detail for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.sequence: int | None = None
        """Number and content type of an authentic frame."""
        self.content_type: int | None = None


@final
class _Node:
    """What the gateway holds of one sealing node."""

    __slots__ = ("account", "keyring", "lanes", "name", "numbering", "prefix")

    def __init__(
        self,
        name: str,
        keys: NodeKeys,
        account: Account,
        marks: list[ReplayMark],
        *,
        is_storing: bool,
    ) -> None:
        self.name = name
        self.prefix = f"{name}:"
        self.keyring = Keyring(name.encode(), keys)
        self.account = account
        marks = marks_under(marks, keys.root_ids)
        self.lanes = {
            lane: ReplayWindow(lane, [mark for mark in marks if mark.lane is lane]) for lane in Lane
        }
        self.numbering = Numbering(account, marks, is_storing=is_storing)


@final
class Verify:
    """Checks frames and polls; `keys` maps each sealing node to its root keys.

    A root key of 32 bytes alone stands for a node that is not rotating.
    `marks` are the replay windows an earlier run left (see `marks()`); without them the first frame
    of a node is taken whatever its boot id, so a replay from before the start is not recognised.
    Those of root keys that the node does not have any more say nothing of its frames.
    `units` is the SenML unit of every configured signal by its resolved name (`Site.units()`), of
    nodes and polled devices alike; None leaves channels and units unchecked.
    `storing` are the nodes that keep frames until they have a receipt.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes | NodeKeys],
        ledger: LossLedger,
        marks: Iterable[ReplayMark] = (),
        *,
        units: Mapping[str, str] | None = None,
        storing: Iterable[str] = (),
    ) -> None:
        kept: dict[str, list[ReplayMark]] = {}
        for mark in marks:
            kept.setdefault(mark.source, []).append(mark)
        storing_nodes = frozenset(storing)
        self._units = None if units is None else dict(units)
        self._ledger = ledger
        self._nodes = {
            name.encode(): _Node(
                name,
                root if isinstance(root, NodeKeys) else NodeKeys(root=root),
                ledger.account(name),
                kept.get(name, []),
                is_storing=name in storing_nodes,
            )
            for name, root in keys.items()
        }
        self._changed: dict[str, NodeKeys] = {}

    def feed(self, item: Input, _now_ns: int, /) -> list[Verified | Rejected]:
        """Return the one record this frame or poll becomes. Raises nothing, whatever the bytes."""
        account = self._ledger.account(item.source)
        account.received += 1
        try:
            verified = (
                self._open(item) if isinstance(item, Received) else self._accept(item, account)
            )
        except _Refusal as refusal:
            account.rejected[refusal.reason] += 1
            return [
                Rejected(
                    source=item.source,
                    link=item.link,
                    reason=refusal.reason,
                    detail=refusal.detail,
                    received_ns=item.received_ns,
                    sequence=refusal.sequence,
                    content_type=refusal.content_type,
                )
            ]
        account.verified += 1
        return [verified]

    def marks(self) -> list[ReplayMark]:
        """Return the replay windows to be kept over a restart of the gateway."""
        return [
            mark
            for node in self._nodes.values()
            for window in node.lanes.values()
            for mark in window.marks(node.name, root_id(node.keyring.keys.root))
        ]

    def data_marks(self, source: str) -> list[ReplayMark]:
        """Return the windows of a node's data lane, oldest boot first."""
        return self._nodes[source.encode()].lanes[Lane.DATA].marks(source)

    def asked(self, source: str) -> None:
        """Take note that a node was sent something that it answers."""
        self._nodes[source.encode()].numbering.asked()

    def keys(self, source: str) -> NodeKeys:
        """Return the root keys of a node that are believed now."""
        return self._nodes[source.encode()].keyring.keys

    def use_keys(self, source: str, keys: NodeKeys) -> None:
        """Believe other root keys of a node from now on."""
        self._nodes[source.encode()].keyring.use(keys)

    def take_changed_keys(self) -> dict[str, NodeKeys]:
        """Return the root keys, by node, that frames have changed since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def _open(self, item: Received) -> Verified:
        """Check one sealed frame in the order of the module's docstring."""
        node, header, payload, key = self._authenticate(item)
        key_id = node.keyring.root_id_of(key)
        try:
            readings = self._admit(node, header, payload, key)
        except _Refusal as refusal:
            refusal.sequence, refusal.content_type = header.sequence, header.content_type
            raise
        node.account.numbered += 1
        return Verified(
            source=item.source,
            link=item.link,
            boot_id=header.boot_id,
            sequence=header.sequence,
            tick_us=header.tick_us,
            content_type=header.content_type,
            frame=item.data,
            payload=payload,
            readings=readings,
            requested_ns=None,
            received_ns=item.received_ns,
            provenance=Provenance.SEALED,
            root_id=key_id,
            token=_VERIFY_TOKEN,
        )

    def _admit(
        self, node: _Node, header: cose.Header, payload: bytes, key: bytes
    ) -> tuple[Reading, ...]:
        """Take an authentic frame's number and return its readings (steps 5 to 8)."""
        is_live = content.is_live(header.content_type)
        lane = node.lanes[Lane.LIVE if is_live else Lane.DATA]
        reason = lane.admit(header.boot_id, header.sequence)
        if reason is not None:
            raise _Refusal(reason, f"boot {header.boot_id}, sequence {header.sequence}")
        node.numbering.arrived(header.boot_id, header.sequence, is_live=is_live)
        if node.keyring.confirm(key, header.sequence, is_live=is_live):
            self._changed[node.name] = node.keyring.keys
        try:
            readings = readings_of(header.content_type, payload, header.tick_us)
            self._check_readings(readings, node.prefix)
            if header.content_type == content.RAW_BLOCK:
                _check_names((record.name for record, _ in raw_blocks_of(payload)), node.prefix)
        except (_Refusal, WireError) as error:
            node.account.refused += 1
            if isinstance(error, _Refusal):
                raise
            raise _Refusal("malformed", f"payload: {error}") from error
        if header.content_type == content.LOSS_RECORD:
            loss = messages.decode_loss(payload)
            node.numbering.declare(loss.first, loss.last, loss.frames)
        return readings

    def _accept(self, item: Polled, account: Account) -> Verified:
        """Pass a poll on as unauthenticated, if it names only what is its own."""
        if item.source.encode() in self._nodes:
            raise _Refusal("foreign_source", f"{item.source} must seal what it says")
        self._check_readings(item.readings, f"{item.source}:")
        return Verified(
            source=item.source,
            link=item.link,
            boot_id=None,
            sequence=account.verified,
            tick_us=None,
            content_type=0,
            frame=b"",
            payload=b"",
            readings=item.readings,
            requested_ns=item.requested_ns,
            received_ns=item.received_ns,
            provenance=Provenance.UNAUTHENTICATED,
            clock_ns=item.clock_ns,
            clock_resolution_ns=item.clock_resolution_ns,
            token=_VERIFY_TOKEN,
        )

    def _check_readings(self, readings: tuple[Reading, ...], prefix: str) -> None:
        """Refuse readings that are not the source's own, not configured, or in another unit."""
        _check_names((reading.signal for reading in readings), prefix)
        if self._units is None:
            return
        for reading in readings:
            unit = self._units.get(reading.signal)
            if unit is None:
                raise _Refusal("unknown_channel", f"{reading.signal!r} is not in the site file")
            if reading.unit != unit:
                raise _Refusal(
                    "wrong_unit", f"{reading.signal} in {reading.unit!r} instead of {unit!r}"
                )

    def _authenticate(self, item: Received) -> tuple[_Node, cose.Header, bytes, bytes]:
        """Return node, header, payload and key once the MAC says that they are the node's own."""
        try:
            header, protected, payload, tag = cose.peek(item.data)
        except CoseError as error:
            raise _Refusal("malformed", str(error)) from error
        node = self._nodes.get(header.kid)
        if node is None:
            raise _Refusal("unknown_kid", f"kid {header.kid.hex()} has no key here")
        key = node.keyring.opens(mac_structure(protected, payload), tag, header.sequence)
        if key is None:
            raise _Refusal("bad_mac", f"the tag does not fit the key of {node.name}")
        if node.name != item.source:
            raise _Refusal("foreign_source", f"{node.name} on the link of {item.source}")
        return node, header, payload, key


def mac_structure(protected: bytes, payload: bytes) -> bytes:
    """Return the MAC_structure (RFC 9052, 6.3) that a tag is computed over.

    OpenSSL's one-shot HMAC works on it; a property test holds both to `wire.cose.verify`.
    """
    parts = (
        b"\x84\x64MAC0",
        _byte_string_head(len(protected)),
        protected,
        b"\x40",
        _byte_string_head(len(payload)),
        payload,
    )
    return b"".join(parts)


def _byte_string_head(count: int) -> bytes:
    """Return the CBOR head of a byte string of `count` bytes (below 65536: a frame is bounded)."""
    if count < 24:
        return bytes((0x40 | count,))
    if count < 256:
        return bytes((0x58, count))
    return bytes((0x59, count >> 8, count & 0xFF))


def _check_names(names: Iterable[str], prefix: str) -> None:
    """Refuse a name that is not `<source>:<channel>`."""
    for name in names:
        if not name.startswith(prefix) or len(name) == len(prefix):
            raise _Refusal("foreign_source", f"{name!r} is not a name under {prefix!r}")
