"""A new root key over the cable, on the board and in the gateway's key file.

Promises: two phases, and a cable pulled anywhere leaves a state that the same command completes.

    1. the new key waits in the gateway's file `.next`
    2. if frames wait on the board, `retire` hands the old key to the gateway for their numbers
    3. the board writes the new one into the key file that does not hold the newest one
       (firmware/keyfile.py), under another name until it reads back as it was written
    4. the board says that it has it: `.next` becomes the gateway's key

Before 4 the gateway has the old key and the new one at hand; the board has one of the two.
A key is compared by its id, 8 bytes of a hash; the board's Ed25519 seed never leaves it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from boards.deploy_prompt import PARTIAL_FILE, Prompt
from boards.errors import ProvisionError
from boards.provision import KeyStore
from boards.stored_frames import Waiting, drop, waiting

Retire = Callable[[bytes, Waiting], None]
"""Lets the gateway believe the old root key for what waits; ProvisionError when it cannot be had.

It comes before the new key is the gateway's, and again when an interrupted rotation is completed.
"""
_HELPERS: Final = """
import hashlib, json, os
def _tw_hex(data):
    return "".join(["%02x" % byte for byte in data])
def _tw_check(t):
    text = "%s|%s|%s|%d" % (t["node"], t["root"], t["seed"], t["epoch"])
    return _tw_hex(hashlib.sha256(text.encode()).digest()[:8])
def _tw_keys():
    newest = (-1, None, None)
    for name in ("node.key", "node.key.b"):
        try:
            with open(name) as file:
                table = json.loads(file.read())
            if table["check"] == _tw_check(table) and table["epoch"] > newest[0]:
                newest = (table["epoch"], name, table)
        except (OSError, ValueError, KeyError):
            pass
    return newest
def _tw_root():
    epoch, name, table = _tw_keys()
    if table is None:
        return None
    key_id = hashlib.sha256(b"twinrig root id|" + bytes.fromhex(table["root"])).digest()[:8]
    return [table["node"], epoch, _tw_hex(key_id)]
def _tw_rotate(root):
    epoch, name, table = _tw_keys()
    table["root"] = root
    table["epoch"] = epoch + 1
    table["check"] = _tw_check(table)
    text = json.dumps(table)
    with open({partial!r}, "w") as file:
        file.write(text)
    with open({partial!r}) as file:
        if file.read() != text:
            raise OSError(5)
    os.rename({partial!r}, "node.key.b" if name == "node.key" else "node.key")
""".replace("{partial!r}", repr(PARTIAL_FILE))


@dataclass(frozen=True, slots=True)
class BoardKey:
    """Which root key a board has: its node, how often it was rotated, and its id."""

    node: str
    epoch: int
    root_id: str


@dataclass(frozen=True, slots=True)
class Rotation:
    """The key that the board has now, and what became of the frames that waited."""

    key: BoardKey
    waiting: int
    given_up: int


def root_id(root: bytes) -> str:
    """What may be shown of a root key: 8 bytes of its hash, in hex."""
    return hashlib.sha256(b"twinrig root id|" + root).digest()[:8].hex()


def board_key(prompt: Prompt) -> BoardKey | None:
    """The key on the board; None when it has no whole one."""
    prompt.run(_HELPERS)
    answer = prompt.ask("_tw_root()")
    return None if answer is None else BoardKey(*answer)


def rotate(
    prompt: Prompt, node: str, store: KeyStore, retire: Retire, *, drops_stored: bool = False
) -> Rotation:
    """Complete a rotation, or begin one and complete it; the application must be stopped.

    Frames that wait are handed to `retire`, or given up when `drops_stored` says so.
    Raises ProvisionError when the board belongs to another node, or has neither key.
    """
    before = board_key(prompt)
    if before is None or before.node != node:
        raise ProvisionError(
            f"{prompt.port}: the board is {'no node' if before is None else repr(before.node)},"
            f" not {node!r}: provision it first, or take the right cable"
        )
    old, pending = store.read(), store.prepare()
    current = root_id(old)
    if before.root_id not in (current, root_id(pending)):
        raise ProvisionError(
            f"{prompt.port}: the board's root key {before.root_id} is neither {current} of"
            f" {store.path} nor the next one: provision the node with a new key"
        )
    given_up = drop(prompt) if drops_stored else 0
    found = waiting(prompt)
    if found.frames:
        retire(old, found)
    if before.root_id == current:
        prompt.run(f"_tw_rotate({pending.hex()!r})")
    after = board_key(prompt)
    if after is None or after.root_id != root_id(pending):
        raise ProvisionError(f"{prompt.port}: the board did not take the new key: run this again")
    store.commit(replaces=True)
    return Rotation(after, found.frames, given_up)
