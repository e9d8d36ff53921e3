"""Which key a frame may be sealed under: the present one, and the other one while keys are rotated.

A node answers a rotation under its old key and seals everything from then on under the new one. So

- `next`: the key it may have rotated to. Believed as well as the present one until the first frame
  under it; that frame makes it the present one.
- `retired`: the key it has rotated from. Believed for numbers below the first one of the present
  key only, because frames wait in the node's spool as they were sealed; forgotten when the data
  lane has left them behind.

Promises: decides by MAC alone, in constant time for each key, and shows none; `confirm` is called
only for a frame whose number was new, so a replay moves nothing. Left to others: keys on disk
(`gateway/rotation.py`), asking the node to rotate (`gateway/commands.py`).
"""

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from typing import Final, final

from gateway.stages.replay_window import WINDOW
from wire.keys import uplink_key

_ID_LABEL: Final = b"twinrig v1 root id|"
_ID_BYTES: Final = 8


def root_id(root: bytes) -> str:
    """Return what a root key is called where it must not be shown: 16 hexadecimal digits."""
    return hashlib.sha256(_ID_LABEL + root).digest()[:_ID_BYTES].hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A root key that a node has rotated from; good for numbers below `before`."""

    root: bytes = field(repr=False)
    before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKeys:
    """The root keys of a node as the gateway keeps them."""

    root: bytes = field(repr=False)
    following: bytes | None = field(default=None, repr=False)
    """The root key the node was asked to rotate to, until it has."""
    retired: Retired | None = None

    @property
    def in_use(self) -> tuple[bytes, ...]:
        """The root keys that the node may have now: what it should hear goes under each."""
        return (self.root,) if self.following is None else (self.root, self.following)

    @property
    def root_ids(self) -> tuple[str, ...]:
        """The names of all root keys that a frame may be sealed under, the present one first."""
        retired = () if self.retired is None else (self.retired.root,)
        return tuple(root_id(root) for root in (*self.in_use, *retired))


@final
class Keyring:
    """The uplink keys of one node named `kid`."""

    def __init__(self, kid: bytes, keys: NodeKeys) -> None:
        self._kid = kid
        self.keys = keys
        self._present = uplink_key(keys.root, kid)
        self._next: bytes | None = None
        self._retired: bytes | None = None
        self.use(keys)

    def use(self, keys: NodeKeys) -> None:
        """Believe these keys from now on."""
        self.keys = keys
        self._present = uplink_key(keys.root, self._kid)
        following, retired = keys.following, keys.retired
        self._next = None if following is None else uplink_key(following, self._kid)
        self._retired = None if retired is None else uplink_key(retired.root, self._kid)
        candidates = (self._present, self._next, self._retired)
        found = [key for key in candidates if key is not None]
        self._root_ids = dict(zip(found, keys.root_ids, strict=True))

    def root_id_of(self, key: bytes) -> str:
        """Return of which root key an uplink key is that `opens` has returned."""
        return self._root_ids[key]

    def opens(self, structure: bytes, tag: bytes, sequence: int) -> bytes | None:
        """Return the uplink key under which `tag` is right over the MAC structure, or None."""
        retired = self.keys.retired
        for key in (self._present, self._next, self._retired):
            if key is None or (key is self._retired and retired and sequence >= retired.before):
                continue
            if hmac.compare_digest(hmac.digest(key, structure, "sha256"), tag):
                return key
        return None

    def confirm(self, key: bytes, sequence: int, *, is_live: bool) -> bool:
        """Take note that a new number came under `key`; tell whether the keys changed."""
        keys = self.keys
        retired = keys.retired
        if key is self._next and keys.following is not None:
            self.use(
                NodeKeys(root=keys.following, retired=Retired(root=keys.root, before=sequence))
            )
            return True
        if retired is None or key is not self._present:
            return False
        if sequence < retired.before:
            self.use(replace(keys, retired=Retired(root=retired.root, before=sequence)))
            return True
        if not is_live and sequence >= retired.before + WINDOW:
            self.use(replace(keys, retired=None))
            return True
        return False
