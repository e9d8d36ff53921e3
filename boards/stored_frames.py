"""Frames that wait in a board's flash for their receipt, seen from its prompt.

Promises: `waiting` changes nothing and never counts too few: a receipt that the board has heard of
and not yet noted leaves a frame counted.  `drop` removes them all.
Leaves the format to `firmware/spool_files.py`, of which it reads the heads of the records only, and
what becomes of a frame to `rotation.py` and `new_life.py`: a frame stays sealed under the key that
the node had when it was stored.
"""

from dataclasses import dataclass
from typing import Final

from boards.deploy_prompt import Prompt

# The walk ends where the firmware's ends: at the first record of a file that is not whole.
_HELPERS: Final = """
import os, struct
def _tw_spool():
    return [name for name in os.listdir() if name.startswith("spool.")]
def _tw_walk(take):
    for name in _tw_spool():
        size = os.stat(name)[6]
        at = 0
        with open(name, "rb") as file:
            while at + 40 <= size:
                file.seek(at)
                magic, length, number, _, receipted = struct.unpack(">2sHQQQ", file.read(28))
                at += 40 + length
                if magic not in (b"TF", b"TL") or at > size:
                    break
                take(number, receipted - 1)
def _tw_waiting():
    found = [0, -1, -1]
    def receipt(number, receipted):
        found[2] = max(found[2], receipted)
    def count(number, receipted):
        if number > found[2]:
            found[0] += 1
            found[1] = max(found[1], number)
    _tw_walk(receipt)
    _tw_walk(count)
    return found[:2]
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many frames wait, and the highest number among them; -1 when there is none."""

    frames: int
    highest: int


def waiting(prompt: Prompt) -> Waiting:
    """What waits on the board, whose application is stopped."""
    prompt.run(_HELPERS)
    frames, highest = prompt.ask("_tw_waiting()", 60.0)
    return Waiting(frames, highest)


def drop(prompt: Prompt) -> int:
    """Remove every stored frame; how many of them no receipt had covered."""
    found = waiting(prompt)
    for name in prompt.ask("_tw_spool()"):
        prompt.remove(name)
    return found.frames
