"""The node's secrets: `node.key`, and `node.key.b` once the root key was rotated.

Promises: `load` returns the newest key that is whole; a power cut while a rotated key is written
leaves the one before; `store` has succeeded exactly when `load` finds what it stored, whatever the
flash said.  Nothing here prints a secret.  Whoever provisions a node writes `node.key`
and removes `node.key.b`.

    {"node": "pump-a", "root": 64 hex digits, "seed": 64 hex digits, "epoch": 0, "check": 16 digits}

`root` is the HMAC root key, `seed` the Ed25519 private key (RFC 8032, 5.1.5), `epoch` counts the
rotations of the root key, and `check` is the start of the SHA-256 of "node|root|seed|epoch".
"""

import hashlib
import json
from collections import namedtuple

from firmware.errors import KeyFileError

Identity = namedtuple("Identity", ("node", "root", "seed", "epoch"))

KEY_FILES = ("node.key", "node.key.b")
EPOCH_MAX = 0xFFFFFFFF
_ENOENT, _EIO = 2, 5
_FIELDS = ("check", "epoch", "node", "root", "seed")


def load(hal) -> Identity:
    """The node's name and keys; KeyFileError when no file is whole."""
    found = [_parse(_content(hal, name)) for name in KEY_FILES]
    whole = [identity for identity in found if identity is not None]
    if not whole:
        raise KeyFileError(
            "%s is missing or damaged: provision the node; until then nothing is sealed or sent"
            % KEY_FILES[0]
        )
    newest = whole[0]
    for identity in whole[1:]:
        if identity.epoch > newest.epoch:
            newest = identity
    return newest


def previous(hal, identity: Identity):
    """What the key before `identity` was, if a file still holds it, else None."""
    for name in KEY_FILES:
        try:
            found = _parse(_content(hal, name))
        except KeyFileError:
            continue
        if found is not None and found.node == identity.node and found.epoch == identity.epoch - 1:
            return found
    return None


def store(hal, identity: Identity) -> None:
    """Keep `identity` in the file that does not hold the newest whole key; OSError: not kept.

    KeyFileError: a file cannot be read, so whether it is kept cannot be known.
    """
    found = [_parse(_content(hal, name)) for name in KEY_FILES]
    newest = 0
    if found[1] is not None and (found[0] is None or found[1].epoch > found[0].epoch):
        newest = 1
    failure = None
    try:
        hal.write_file(KEY_FILES[1 - newest], encode(identity))
    except OSError as error:
        failure = error
    if load(hal) != identity:
        raise failure or OSError(_EIO)


def encode(identity: Identity) -> bytes:
    """The content of a key file."""
    root, seed = identity.root.hex(), identity.seed.hex()
    return json.dumps(
        {
            "node": identity.node,
            "root": root,
            "seed": seed,
            "epoch": identity.epoch,
            "check": _check(identity.node, root, seed, identity.epoch),
        }
    ).encode()


def _check(node: str, root: str, seed: str, epoch: int) -> str:
    text = "%s|%s|%s|%d" % (node, root, seed, epoch)
    return hashlib.sha256(text.encode()).digest()[:8].hex()


def _content(hal, name: str):
    try:
        return hal.read_file(name)
    except OSError as error:
        if error.args and error.args[0] == _ENOENT:
            return None
        raise KeyFileError(
            "%s is there and cannot be read: restart the node, and provision it again if that"
            " does not help" % name
        ) from None


def _parse(content):
    """The identity in a whole key file, None of anything else."""
    if content is None or len(content) > 1024:
        return None
    try:
        fields = json.loads(content)
        if not isinstance(fields, dict) or tuple(sorted(fields)) != _FIELDS:
            return None
        node, root, seed, epoch = (fields[name] for name in ("node", "root", "seed", "epoch"))
        if fields["check"] != _check(node, root, seed, epoch):
            return None
        identity = Identity(node, bytes.fromhex(root), bytes.fromhex(seed), epoch)
    except (ValueError, TypeError):
        return None
    is_named = isinstance(node, str) and 0 < len(node) <= 32
    is_sized = len(identity.root) == 32 and len(identity.seed) == 32
    is_counted = type(epoch) is int and 0 <= epoch <= EPOCH_MAX
    return identity if is_named and is_sized and is_counted else None
