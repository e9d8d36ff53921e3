"""Checkpoints: the node's signature over every frame it has sealed in this boot, for third parties.

Promises: each frame enters the tree of wire/checkpoint.py once, in the order of its number; a
checkpoint says what the tree was when it was begun, however many frames come while it is signed.
Rule of order: `append` for every sealed message; when `is_due`, `begin`, then `step` until it gives
the message, which goes out as the payload of a frame of content type CHECKPOINT and is appended
like any other.

A step takes at most 100,000 instructions of a Cortex-M3, a checkpoint 9 million. An `append` of
300 bytes takes 23,000, and 16,000 more for each subtree that it completes: one on average, and
seven for the 128th frame. `benchmarks/node_signature.py` counts.
Memory: 5 KiB, and 3 KiB more where the table of ed25519_comb.py does not lie in flash.
"""

from wire.checkpoint import Checkpoint, encode_checkpoint, frame_leaf
from wire.content import CHECKPOINT
from wire.ed25519 import Signer
from wire.errors import WireError
from wire.merkle import Tree, node_hash
from wire.sign1 import protected_header, sign1_message, to_be_signed


class Checkpoints:
    """The checkpoints of one boot of the node `kid`, signed with the 32-byte `seed`.

    One is due after `every_frames` frames, or `every_us` microseconds when there is any new frame.
    With `public_key`, that of the seed, making this is quick; without it that key is
    computed, which takes as long as a signature.
    """

    def __init__(self, kid, seed, every_frames: int, every_us: int, public_key=b"") -> None:
        self._protected = protected_header(kid, CHECKPOINT)
        self._signer = Signer(seed, public_key)
        self._every_frames = every_frames
        self._every_us = every_us
        self._tree = Tree()
        self._signed_size = 0
        self._last_us = 0
        self._work = None
        self.public_key = self._signer.public_key

    @property
    def is_busy(self) -> bool:
        """Whether a checkpoint is begun and not given yet."""
        return self._work is not None

    def append(self, message) -> None:
        """Enter the sealed message with the next sequence number of this boot."""
        self._tree.append(frame_leaf(message))

    def is_due(self, now_us: int) -> bool:
        """Return whether a checkpoint should be begun; `now_us` is the node's time."""
        new_frames = self._tree.size - self._signed_size
        if self._work is not None or not new_frames:
            return False
        return new_frames >= self._every_frames or now_us - self._last_us >= self._every_us

    def begin(self, sequence_start: int, boot_id: int, tick_us: int) -> None:
        """Begin a checkpoint of all frames so far, the first of which has `sequence_start`.

        Raises WireError while another one is not finished.
        """
        if self._work is not None:
            raise WireError("a checkpoint is being signed: call step() until it is given")
        self._signed_size = self._tree.size
        self._last_us = tick_us
        hashes = tuple(self._tree.hashes)
        self._work = self._make(boot_id, sequence_start, self._tree.size, hashes, tick_us)

    def step(self):
        """Do the next slice; return the COSE_Sign1 if it was the last, else None."""
        if self._work is None:
            return None
        try:
            next(self._work)
        except StopIteration as stop:
            self._work = None
            return stop.value
        return None

    def _make(self, boot_id: int, sequence_start: int, size: int, hashes, tick_us: int):
        """Yield between slices; return the signed message."""
        root = hashes[-1] if hashes else Tree().root()
        for index in range(len(hashes) - 2, -1, -1):
            root = node_hash(hashes[index], root)
            yield
        checkpoint = Checkpoint(boot_id, sequence_start, size, root, hashes, tick_us)
        payload = encode_checkpoint(checkpoint)
        yield
        self._signer.begin(to_be_signed(self._protected, payload))
        signature = self._signer.step()
        while signature is None:
            yield
            signature = self._signer.step()
        yield
        return sign1_message(self._protected, payload, signature)
