"""SenML packs going out: the readable way to pack, and the way a node does it ten times a second.

`pack` says in a few lines what a pack of ours is. `Packer` gives the same bytes for fixed channels
without an allocation: all but values and times is laid out once in a buffer, and a kernel writes
the bits of each float over those of the pack before. The layout is made anew, by `pack`'s own
pieces, when a float changes its size (16 or 32 bits) or a value comes or goes.
"""

from array import array

from wire.cbor import LIST, MAP, head, text
from wire.cbor_float import encode_finite, half
from wire.errors import CborError, SenmlError
from wire.kernel import IS_MICROPYTHON, Buffer, micropython, ptr8, ptr16, ptr32


def pack(base_name: str, records: "list[tuple[str, str, float, float]]") -> bytes:
    """Return the pack of `records`, (name, unit, value, time_s) each.

    Times are 0 or negative, in seconds relative to the tick in the seal. Raises SenmlError for a
    time in the future, a number that is not finite in 32 bits, or no record at all.
    """
    parts, _ = _laid_out(base_name, list(records))
    return b"".join(parts)


class Packer:
    """Packs readings of fixed `channels`, (name, unit) each, with `base_name` before every name."""

    def __init__(self, base_name: str, channels: "list[tuple[str, str]]") -> None:
        if not channels:
            raise SenmlError("a pack has at least one record")
        self._base_name = base_name
        self._channels = list(channels)
        count = len(self._channels)
        self._count = count
        # An array of no records, into which no float fits; where the floats stand; the values, then
        # the time, whose bits are read as words.
        content = memoryview(bytearray(b"\x80"))
        slots = array("H", [0] * (2 * count))
        floats = array("f", [0.0] * (count + 1))
        words = floats if IS_MICROPYTHON else memoryview(floats).cast("B").cast("I")
        # One tuple, because each attribute that is looked up costs its time.
        self._layout = (content, slots, count, words, floats)
        self._indexes: "list[int]" = []
        self._some: "Packer | None" = None

    @micropython.native
    def pack(self, values: "list[float | None]", times_s: "float | list[float]") -> "Buffer | None":
        """Return the pack of one value for each channel, in their order; see `pack` above.

        A value None leaves its record out, and without any value the pack is None. `times_s` is one
        time for all, or a list with one for each. The pack is a view of the packer's buffer, valid
        until the next call.
        """
        content, slots, count, words, floats = self._layout
        try:
            if pack_kernel(content, 0, values, times_s, slots, count, words, floats):
                return content
        except (TypeError, IndexError):
            # A value that is None, a list of times, more values than channels.
            return self._pack_unusual(values, times_s)
        return self._pack_anew(values, times_s)

    def _pack_unusual(
        self, values: "list[float | None]", times_s: "float | list[float]"
    ) -> "Buffer | None":
        """Pack what is not one number for each channel and one time for all."""
        times = self._checked(values, times_s)
        indexes = [index for index, value in enumerate(values) if value is not None]
        if len(indexes) < len(values):
            return self._pack_some(indexes, values, times)
        if same_kernel(times, times[0]) and times is times_s:
            return self.pack(values, times[0])
        return self._pack_anew(values, times)

    def _pack_some(
        self, indexes: "list[int]", values: "list[float | None]", times: "list[float]"
    ) -> "Buffer | None":
        """Pack the values with these `indexes`, by a packer that is kept as long as they are it."""
        if not indexes:
            return None
        if self._some is None or indexes != self._indexes:
            self._some = Packer(self._base_name, [self._channels[index] for index in indexes])
            self._indexes = indexes
        return self._some.pack([values[i] for i in indexes], [times[i] for i in indexes])

    def _pack_anew(
        self, values: "list[float | None]", times_s: "float | list[float]"
    ) -> "Buffer | None":
        """Lay the pack out again, for the sizes that its floats have now."""
        times = self._checked(values, times_s)
        records = [
            (name, unit, values[index], times[index])
            for index, (name, unit) in enumerate(self._channels)
        ]
        parts, slots = _laid_out(self._base_name, records)  # type: ignore[arg-type]
        content = memoryview(bytearray(b"".join(parts)))
        self._layout = (content, array("H", slots)) + self._layout[2:]
        return content

    def _checked(
        self, values: "list[float | None]", times_s: "float | list[float]"
    ) -> "list[float]":
        """Return a time for each channel; SenmlError unless there is a value for each as well."""
        count = self._count
        times = times_s if isinstance(times_s, list) else [times_s] * count
        if len(values) != count or len(times) != count:
            raise SenmlError(
                "the pack has %d channels, not %d values and %d times"
                % (count, len(values), len(times))
            )
        return times


def _laid_out(
    base_name: str, records: "list[tuple[str, str, float, float]]"
) -> "tuple[list[bytes], list[int]]":
    """Return the parts of a pack, and where in it each value begins, then where each time."""
    if not records:
        raise SenmlError("a pack has at least one record")
    opening = head(LIST, len(records))
    closing = b"\x21" + text(base_name) if base_name else b""
    parts: "list[bytes]" = []
    values_at = []
    times_at = []
    at = 0
    for name, unit, value, time_s in records:
        # Labels stand in the bytewise order of their encodings: n, u, v, t, bn (-2 is 21).
        fields = b"\x01" + text(unit) + b"\x02" if unit else b"\x02"
        size = 3 + bool(unit) + bool(closing)
        opening += head(MAP, size) + b"\x00" + text(name) + fields
        try:
            encoded = (opening, encode_finite(value), b"\x06", _past(time_s), closing)
        except (CborError, OverflowError) as error:
            raise SenmlError("record %s cannot be packed: %s" % (name, error)) from None
        parts += encoded
        values_at.append(at + len(opening))
        times_at.append(values_at[-1] + len(encoded[1]) + 1)
        at = times_at[-1] + len(encoded[3]) + len(closing)
        opening = closing = b""
    return parts, values_at + times_at


def _past(time_s: float) -> bytes:
    """Return the CBOR float of a relative time that is not in the future."""
    if time_s > 0:
        raise CborError("%r s is ahead of the seal" % time_s)
    return encode_finite(time_s)


@micropython.viper
def same_kernel(items: object, first: object) -> int:
    """Return 1 if all `items` are the one object `first`, else 0."""
    for item in items:  # type: ignore[attr-defined]
        if item is not first:
            return 0
    return 1


@micropython.viper
def pack_kernel(
    pack: ptr8,
    at: int,
    values: object,
    time_s: object,
    slots: ptr16,
    count: int,
    words: ptr32,
    floats: object,
) -> int:
    """Write `count` values and the time of all over those in `pack`; 0 if they do not fit there.

    A float is put into `floats` to have its bits in `words`, which is the same memory; what is no
    number raises TypeError there. Slot i is where value i begins, slot `count` + i where its time
    does. They fit if they are so many, finite, of the sizes that stand there, and the time is not
    ahead. `at` is 0 at first, an argument because the first two of those lie in registers.
    """
    for value in values:  # type: ignore[attr-defined]
        floats[at] = value  # type: ignore[index]
        at += 1
    floats[at] = time_s  # type: ignore[index]
    if at != count or (words[at] and words[at] >> 31 & 1 == 0):
        return 0
    index = 0
    while index < 2 * count:
        if index <= count:
            word = int(words[index])
            short = -1
            if word & 0x1FFF == 0:
                short = int(half(word >> 16 & 0x8000, word >> 23 & 0xFF, word >> 13 & 0x3FF))
            if word >> 23 & 0xFF == 0xFF:
                return 0
        at = int(slots[index])
        index += 1
        if short < 0:
            if pack[at] != 0xFA:
                return 0
            pack[at + 1] = word >> 24 & 0xFF
            pack[at + 2] = word >> 16 & 0xFF
            pack[at + 3] = word >> 8 & 0xFF
            pack[at + 4] = word & 0xFF
        elif pack[at] == 0xF9:
            pack[at + 1] = short >> 8
            pack[at + 2] = short & 0xFF
        else:
            return 0
    return 1
