"""What a board forgets when it is given new keys.

Promises: the old keys go first, and what was numbered or sealed under them afterwards, so that no
moment in between leaves a board that could use a number twice; one without keys seals nothing.
Leaves to the gateway that numbers under a new root key are new (`gateway/stages/verify.py`).
"""

from typing import Final

from boards.deploy_prompt import Prompt
from boards.provision import KEY_FILE, ROTATED_KEY_FILE
from boards.stored_frames import drop

_FORGOTTEN: Final = (
    *("node.state.a", "node.state.b"),
    *("node.command.a", "node.command.b"),
)
"""Counters and accepted commands (firmware/counters.py, firmware/commands.py)."""


def forget(prompt: Prompt) -> int:
    """Remove keys, stored frames, counters and accepted commands; how many frames are given up."""
    for name in (KEY_FILE, ROTATED_KEY_FILE):
        prompt.remove(name)
    frames = drop(prompt)
    for name in _FORGOTTEN:
        prompt.remove(name)
    return frames
