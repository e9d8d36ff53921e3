"""What goes out: sealed, then stored and delivered, or, if it answers somebody, sent at once.

Promises: nothing leaves the node unsealed.  A frame whose number the flash cannot keep is not made,
counted in `unsealed` and told in the status record: repeating a number would break the seal.
"""

from wire import content
from wire.errors import WireError
from wire.messages import encode_boot, encode_loss


class Uplink:
    """Seals with `sealing`; the data lane goes through `delivery`, the live lane to `link`."""

    def __init__(self, sealing, link, counters, ticks_us) -> None:
        self._sealing = sealing
        self.delivery = None
        """Where the data lane goes (firmware/delivery.py), whose spool seals its losses here."""
        self._link = link
        self._counters = counters
        self._ticks_us = ticks_us
        self.status = None
        """Told of what goes wrong, once there is one (firmware/status.py)."""
        self._sealed = None
        """Number and message of what is not stored yet."""
        self.unsealed = 0
        """Frames that could not be made."""

    def use(self, identity) -> None:
        """Seal under other keys from now on."""
        self.store()
        self._sealing.use(identity)

    def send(self, content_type: int, payload, tick_us=None) -> None:
        """Seal and store `payload`, which goes out when its turn comes."""
        self.seal(content_type, payload, tick_us)
        self.store()

    def seal(self, content_type: int, payload, tick_us=None) -> None:
        """The first half of `send`; `store` is the other."""
        self.store()
        self._sealed = self._seal(content_type, payload, tick_us)

    def store(self) -> bool:
        """Enter and store what was sealed; whether there was anything."""
        sealed, self._sealed = self._sealed, None
        if sealed is None:
            return False
        self._sealing.enter(sealed[1])
        self.delivery.put(*sealed)
        return True

    def answer(self, content_type: int, payload) -> None:
        """Seal and send `payload` now: it answers somebody who waits."""
        self.store()
        sealed = self._seal(content_type, payload, None)
        if sealed is not None:
            self._sealing.enter(sealed[1])
            self._link.send(sealed[1])

    def declare(self, first: int, last: int, frames: int, reason: int) -> "tuple":
        """(sequence, message) of a loss record, for the spool to store first."""
        payload = encode_loss(first, last, frames, reason)
        sealed = self._sealing.seal(content.LOSS_RECORD, payload)
        self._sealing.enter(sealed[1])
        return sealed

    def send_boot(self, fields, entries) -> None:
        """Who has started, and what it runs."""
        from wire.measurement import ENTRIES_MAX, encode_measurement

        self.send(content.BOOT_RECORD, encode_boot(fields))
        self.delivery.pump(self._ticks_us())
        parts = (len(entries) + ENTRIES_MAX - 1) // ENTRIES_MAX
        for part in range(parts):
            chosen = entries[part * ENTRIES_MAX : (part + 1) * ENTRIES_MAX]
            self.send(content.MEASUREMENT, encode_measurement(part, parts, chosen))
            self.delivery.pump(self._ticks_us())

    def begin_checkpoint(self, checkpoints) -> None:
        """Have everything sealed so far signed."""
        self.store()
        counters = self._counters
        checkpoints.begin(counters.sequence_start, counters.boot_id, self._ticks_us())

    def _seal(self, content_type: int, payload, tick_us):
        try:
            sealed = self._sealing.seal(content_type, payload, tick_us)
        except OSError as error:
            what = "no sequence number could be kept (errno %s)" % (error.args or ("?",))[0]
        except WireError as error:
            what = str(error)
        else:
            self._note(None)
            return sealed
        self.unsealed += 1
        self._note("%d frames not sealed: %s" % (self.unsealed, what))
        return None

    def _note(self, what) -> None:
        if self.status is not None:
            self.status.note("seal", what)
