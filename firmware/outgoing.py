"""What the node has to say, on its way to the seal, a step at a time.

Promises: what was packed first is sealed first, so that times and sequence numbers grow together,
whoever else wants something sealed in between.  A payload waits in the packer's own buffer: it is
sealed before the same packer packs again.
"""

from wire import content
from wire.errors import WireError


class Outgoing:
    """Packs for `uplink` (firmware/uplink.py) and shows `link` the values themselves."""

    def __init__(self, uplink, link, ticks_us) -> None:
        self._uplink = uplink
        self._link = link
        self._ticks_us = ticks_us
        self._waiting = None
        """Content type, payload and tick of what is packed and not sealed."""

    def pack(self, packer, first: int, values, middle_us: int) -> None:
        """Pack the values of a block, None for what could not be had, taken around `middle_us`.

        The first is number `first` of the node's values.
        """
        self.send()
        self._link.publish(first, values, middle_us)
        tick_us = self._ticks_us()
        try:
            payload = packer.pack(values, (middle_us - tick_us) / 1000000)
        except WireError as error:
            self._uplink.status.note("values", str(error))
            return
        if payload is not None:
            self._waiting = (content.SENML_CBOR, payload, tick_us)

    def send(self, _now_us: int = 0) -> bool:
        """Seal and store what is packed; whether there was anything."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return False
        self._uplink.send(*waiting)
        return True

    def add(self, content_type: int, payload, tick_us=None) -> None:
        """Seal and store `payload`, behind what is packed."""
        self.send()
        self._uplink.send(content_type, payload, tick_us)

    def answer(self, content_type: int, payload) -> None:
        """Seal and send `payload` in the live lane, behind what is packed."""
        self.send()
        self._uplink.answer(content_type, payload)
