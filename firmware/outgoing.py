"""What the node has to say, on its way to the seal, a step at a time.

Promises: what was packed first is sealed first, so that times and sequence numbers grow together,
whoever else wants something sealed in between.  A payload waits in the packer's own buffer: it is
sealed before the same packer packs again.
"""

from array import array

from wire import content
from wire.errors import WireError
from wire.kernel import IS_MICROPYTHON, micropython, ptr32
from wire.senml_packer import Packer


class Row:
    """Values that are packed together: `channels` (name, unit), from number `first` of the node's.

    The layout is made now and kept.  Another one takes a million instructions for 30 values, in one
    go, and a float that happens to be exact in 16 bits would need it; so with `is_steady` the last
    of the 24 bits of a float is set before it is packed: exact to 2**-23, and 1e-45 for zero.
    """

    def __init__(self, base_name: str, channels, first: int, is_steady: bool) -> None:
        self.channels = channels
        self.first = first
        self.packer = Packer(base_name, channels)
        self._base_name = base_name
        self.packer.pack([0.1] * len(channels), -0.1)
        self._floats = array("f", bytes(4 * len(channels) + 4)) if is_steady else None

    def pack(self, values, time_s: float):
        """The pack of all values, in the packer's buffer, or of those that are not None."""
        if None in values:
            return self.pack_some(values, time_s)
        if self._floats is not None:
            floats = self._floats
            for index, value in enumerate(values):
                floats[index] = value
            floats[-1] = time_s
            odd_kernel(words_of(floats), len(floats))
            values = list(floats)
            time_s = values.pop()
        return self.packer.pack(values, time_s)

    def pack_some(self, values, time_s: float):
        """The pack of those that are not None, in memory of its own; None when all are."""
        chosen = [index for index, value in enumerate(values) if value is not None]
        if not chosen:
            return None
        packer = Packer(self._base_name, [self.channels[index] for index in chosen])
        return packer.pack([values[index] for index in chosen], time_s)


def words_of(floats):
    """The memory of an array('f'), as 32-bit words."""
    return floats if IS_MICROPYTHON else memoryview(floats).cast("B").cast("I")


@micropython.viper
def odd_kernel(words: ptr32, count: int):
    """Set the last bit of every float."""
    while count:
        count -= 1
        words[count] = int(words[count]) | 1


class Outgoing:
    """Packs for `uplink` (firmware/uplink.py) and shows `link` the values themselves."""

    def __init__(self, uplink, link, ticks_us) -> None:
        self._uplink = uplink
        self._link = link
        self._ticks_us = ticks_us
        self._waiting = None
        """Content type, payload and tick of what is packed and not sealed."""

    def pack(self, row: Row, values, middle_us: int) -> None:
        """Pack the values of a block, None for what could not be had, taken around `middle_us`."""
        self.send()
        self._link.publish(row.first, values, middle_us)
        tick_us = self._ticks_us()
        time_s = (middle_us - tick_us) / 1000000
        try:
            payload = row.pack(values, time_s)
        except WireError as error:
            self._uplink.status.note("values", str(error))
            return
        if payload is not None:
            self._waiting = (content.SENML_CBOR, payload, tick_us)

    def work(self, _now_us: int) -> bool:
        """Store what is sealed, or seal what is packed; whether there was anything."""
        if self._uplink.store():
            return True
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return False
        self._uplink.seal(*waiting)
        return True

    def send(self) -> bool:
        """Seal and store what is packed; whether there was anything."""
        has_worked = self.work(0)
        while self.work(0):
            pass
        return has_worked

    def add(self, content_type: int, payload, tick_us=None) -> None:
        """Have `payload` sealed and stored next, behind what is packed already."""
        self.send()
        self._waiting = (content_type, payload, tick_us)

    def answer(self, content_type: int, payload) -> None:
        """Seal and send `payload` in the live lane, behind what is packed."""
        self.send()
        self._uplink.answer(content_type, payload)
