"""Bytes that prove where they come from become `Verified`; everything else is counted and stops.

A sealed frame is checked in this order, and the first failure decides its reason:
1. shape: the one encoding of our COSE profile, within bounds          malformed
2. key: the kid names a node we hold a key for                         unknown_kid
3. MAC under that node's uplink key; nothing was believed before       bad_mac
4. the node is the one this link belongs to                            foreign_source
5. boot id and sequence number are new; only now is the window moved   stale_boot, too_old, replayed
6. the payload is what its content type says                           malformed
7. every reading is named after the node                               foreign_source
8. every reading is of a configured channel, in its unit               unknown_channel, wrong_unit

A frame that fails in 6 to 8 is authentic, so its number stays used. A poll of a protocol without
seals passes 7 and 8 as `UNAUTHENTICATED`, unless it claims the name of a node that must seal.
This module alone can make a `Verified`. What it leaves to others: whether the values make sense.
"""

import hmac
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
from gateway.stages.payloads import readings_of
from gateway.stages.replay_window import ReplayMark, ReplayWindow
from wire import cose
from wire.errors import CoseError, WireError
from wire.keys import uplink_key

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


@final
class _Node:
    """What the gateway holds of one sealing node."""

    __slots__ = ("account", "key", "name", "prefix", "window")

    def __init__(
        self, name: str, root_key: bytes, account: Account, mark: ReplayMark | None
    ) -> None:
        self.name = name
        self.prefix = f"{name}:"
        self.key = uplink_key(root_key, name.encode())
        self.account = account
        self.window = ReplayWindow(account, mark)


@final
class Verify:
    """Checks frames and polls; `keys` maps each sealing node to its 32-byte root key.

    `marks` are the replay windows an earlier run left (see `marks()`); without them the first frame
    of a node is taken whatever its boot id, so a replay from before the start is not recognised.
    `units` is the SenML unit of every configured signal by its resolved name (`Site.units()`), of
    nodes and polled devices alike; None leaves channels and units unchecked.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        ledger: LossLedger,
        marks: Iterable[ReplayMark] = (),
        *,
        units: Mapping[str, str] | None = None,
    ) -> None:
        kept = {mark.source: mark for mark in marks}
        self._units = None if units is None else dict(units)
        self._ledger = ledger
        self._nodes = {
            name.encode(): _Node(name, root_key, ledger.account(name), kept.get(name))
            for name, root_key in keys.items()
        }

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
                )
            ]
        account.verified += 1
        return [verified]

    def marks(self) -> list[ReplayMark]:
        """Return the replay windows to be kept over a restart of the gateway."""
        found = (node.window.mark(node.name) for node in self._nodes.values())
        return [mark for mark in found if mark is not None]

    def _open(self, item: Received) -> Verified:
        """Check one sealed frame in the order of the module's docstring."""
        node, header, payload = self._authenticate(item)
        reason = node.window.admit(header.boot_id, header.sequence)
        if reason is not None:
            raise _Refusal(reason, f"boot {header.boot_id}, sequence {header.sequence}")
        try:
            readings = readings_of(header.content_type, payload, header.tick_us)
            self._check_readings(readings, node.prefix)
        except (_Refusal, WireError) as error:
            node.account.refused += 1
            if isinstance(error, _Refusal):
                raise
            raise _Refusal("malformed", f"payload: {error}") from error
        node.account.numbered += 1
        return Verified(
            source=item.source,
            link=item.link,
            boot_id=header.boot_id,
            sequence=header.sequence,
            tick_us=header.tick_us,
            content_type=header.content_type,
            payload=payload,
            readings=readings,
            requested_ns=None,
            received_ns=item.received_ns,
            provenance=Provenance.SEALED,
            token=_VERIFY_TOKEN,
        )

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
            payload=b"",
            readings=item.readings,
            requested_ns=item.requested_ns,
            received_ns=item.received_ns,
            provenance=Provenance.UNAUTHENTICATED,
            token=_VERIFY_TOKEN,
        )

    def _check_readings(self, readings: tuple[Reading, ...], prefix: str) -> None:
        """Refuse readings that are not the source's own, not configured, or in another unit."""
        _check_names(readings, prefix)
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

    def _authenticate(self, item: Received) -> tuple[_Node, cose.Header, bytes]:
        """Return node, header and payload once the MAC says that they are the node's own."""
        try:
            header, protected, payload, tag = cose.peek(item.data)
        except CoseError as error:
            raise _Refusal("malformed", str(error)) from error
        node = self._nodes.get(header.kid)
        if node is None:
            raise _Refusal("unknown_kid", f"kid {header.kid.hex()} has no key here")
        if not mac_is_right(node.key, protected, payload, tag):
            raise _Refusal("bad_mac", f"the tag does not fit the key of {node.name}")
        if node.name != item.source:
            raise _Refusal("foreign_source", f"{node.name} on the link of {item.source}")
        return node, header, payload


def mac_is_right(key: bytes, protected: bytes, payload: bytes, tag: bytes) -> bool:
    """Tell whether `tag` is HMAC 256/256 over the MAC_structure (RFC 9052, 6.3), in constant time.

    OpenSSL's one-shot HMAC; a property test holds it to `wire.cose.verify`.
    """
    parts = (
        b"\x84\x64MAC0",
        _byte_string_head(len(protected)),
        protected,
        b"\x40",
        _byte_string_head(len(payload)),
        payload,
    )
    structure = b"".join(parts)
    return hmac.compare_digest(hmac.digest(key, structure, "sha256"), tag)


def _byte_string_head(count: int) -> bytes:
    """Return the CBOR head of a byte string of `count` bytes (below 65536: a frame is bounded)."""
    if count < 24:
        return bytes((0x40 | count,))
    if count < 256:
        return bytes((0x58, count))
    return bytes((0x59, count >> 8, count & 0xFF))


def _check_names(readings: Iterable[Reading], prefix: str) -> None:
    """Refuse a reading that is not named `<source>:<channel>`."""
    for reading in readings:
        if not reading.signal.startswith(prefix) or len(reading.signal) == len(prefix):
            raise _Refusal("foreign_source", f"{reading.signal!r} is not a name under {prefix!r}")
