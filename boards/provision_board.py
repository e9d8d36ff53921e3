"""A node's settings and keys onto a board that runs already, over its cable.

Promises: the gateway's key file is made only after the board has the key, and is never overwritten
unless that is asked for; interrupted anywhere, the same command completes it.  With a key on both
sides only the settings are written.  With new keys the board begins a new life (`new_life.py`), and
whoever asked is told how many stored frames that has cost.  Nothing runs on the board meanwhile.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from boards.deploy import check_room, send, stopped_application
from boards.deploy_prompt import Progress, Prompt, open_prompt
from boards.errors import ProvisionError
from boards.flash import check_keys
from boards.identity import Identity, ask_identity
from boards.new_life import forget
from boards.provision import (
    KEY_FILE,
    SECRET_BYTES,
    KeyStore,
    NodeSecrets,
    NodeTable,
    provisioned_files,
)
from boards.rotation import board_key, root_id


@dataclass(frozen=True, slots=True)
class Provisioning:
    """The files for a node, and what the gateway does when the board has them."""

    settings: Mapping[str, bytes]
    public_key: bytes | None
    """The node's Ed25519 key; None when its keys stay what they are."""
    commit: Callable[[], None]
    given_up: int = 0
    """Frames of the board's former life that no receipt had covered."""


def with_new_keys(node: NodeTable, store: KeyStore, *, replaces: bool) -> Provisioning:
    """Fresh keys; ProvisionError when the gateway has one for the node and it is to stay."""
    if store.exists() and not replaces:
        raise ProvisionError(
            f"{store.path} is there already, and the board does not have that key: if the board is"
            f" to take the place of {node.name}, say so with --new-key"
        )
    keys = NodeSecrets(store.prepare(), secrets.token_bytes(SECRET_BYTES))
    return Provisioning(
        provisioned_files(node, keys),
        keys.public_key,
        lambda: store.commit(replaces=replaces),
    )


def with_same_keys(node: NodeTable) -> Provisioning:
    """The settings alone."""
    placeholder = NodeSecrets(bytes(SECRET_BYTES), bytes(SECRET_BYTES))
    files = provisioned_files(node, placeholder)
    del files[KEY_FILE]
    return Provisioning(files, None, lambda: None)


def provision(
    port: str, node: NodeTable, store: KeyStore, progress: Progress, *, new_key: bool
) -> tuple[Provisioning, Identity]:
    """Write what `node` needs and restart the board; its answer, checked."""
    prompt = open_prompt(port)
    try:
        has_key = not new_key and _has_key(prompt, node, store)
        plan = with_same_keys(node) if has_key else with_new_keys(node, store, replaces=new_key)
        with stopped_application(prompt) as stopped:
            if not has_key:
                check_room(stopped, plan.settings.values())
                plan = replace(plan, given_up=forget(stopped))
            send(stopped, plan.settings, progress)
            identity = ask_identity(stopped)
            check_keys(identity, plan.settings)
            plan.commit()
    finally:
        prompt.close()
    return plan, identity


def _has_key(prompt: Prompt, node: NodeTable, store: KeyStore) -> bool:
    """Whether board and gateway share the key of this node."""
    if not store.exists():
        return False
    key = board_key(prompt)
    return key is not None and (key.node, key.root_id) == (node.name, root_id(store.read()))
