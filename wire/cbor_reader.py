"""One pass over untrusted CBOR: heads, bounds and order are checked before a value is made of them.

The order of every step is: bytes left, then count of items, then depth, then length against bytes
left, and only then allocation. cbor.decode is the door to this; the rules it promises are stated
there.
"""

from collections import namedtuple
from math import isnan

from wire.cbor_float import decode_float, encode_float
from wire.errors import CborError
from wire.kernel import const

Tagged = namedtuple("Tagged", ("tag", "value"))
Simple = namedtuple("Simple", ("number",))

_ARGUMENT_MIN = (24, 0x100, 0x10000, 0x100000000)
_BREAK = const(0xFF)
_INDEFINITE = const(31)
_BYTES = const(2)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_TAG = const(6)
_FIRST_KEY_NOT_SCALAR = const(0x80)
_FIRST_SIMPLE = const(0xE0)


class Reader:
    """Reads items of `data` one after the other; `at` is the index of the next byte."""

    def __init__(self, data: bytes, items_max: int, deterministic: bool) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)
        self.items_left = items_max
        self.deterministic = deterministic

    def item(self, depth_left: int) -> object:
        """Return the item at `at`, which may nest `depth_left` levels of lists, maps and tags."""
        if self.at >= self.end:
            raise CborError("CBOR ends at byte %d where an item is due" % self.at)
        initial = self.data[self.at]
        self.at += 1
        self.items_left -= 1
        if self.items_left < 0:
            raise CborError("CBOR has too many items at byte %d" % self.at)
        major = initial >> 5
        info = initial & 0x1F
        if major == 7:
            return self._simple_or_float(info)
        if info == _INDEFINITE:
            return self._indefinite(major, depth_left)
        argument = info if info < 24 else self._argument(info)
        if major <= 1:
            return -1 - argument if major else argument
        if major <= _TEXT:
            return self._string(major, argument)
        return self._nest(major, argument, depth_left)

    def _nest(self, major: int, argument: int, depth_left: int) -> object:
        """Return a list, map or tag of definite length, whose head has been read."""
        if depth_left <= 0:
            raise CborError("CBOR is nested too deeply at byte %d" % self.at)
        if major == _ARRAY:
            return self._array(argument, depth_left - 1)
        if major == _MAP:
            return self._map(argument, depth_left - 1)
        return Tagged(argument, self.item(depth_left - 1))

    def _argument(self, info: int) -> int:
        """Return the 1, 2, 4 or 8-byte argument of a head with additional information `info`."""
        if info > 27:
            raise CborError(
                "CBOR head with reserved information %d before byte %d" % (info, self.at)
            )
        size = 1 << (info - 24)
        argument = int.from_bytes(self._take(size), "big")
        if self.deterministic and argument < _ARGUMENT_MIN[info - 24]:
            raise CborError("CBOR head is longer than needed before byte %d" % self.at)
        return argument

    def _take(self, count: int) -> bytes:
        start = self.at
        if count > self.end - start:
            raise CborError(
                "CBOR needs %d bytes at byte %d, %d are left" % (count, start, self.end - start)
            )
        self.at = start + count
        return self.data[start : self.at]

    def _string(self, major: int, count: int) -> object:
        content = self._take(count)
        if major == _BYTES:
            return content
        try:
            return content.decode("utf-8")
        except UnicodeError:
            raise CborError("CBOR text before byte %d is not UTF-8" % self.at) from None

    def _room_for(self, count: int) -> None:
        """Refuse a container that declares more items than bytes or allowance remain."""
        if count > self.end - self.at or count > self.items_left:
            raise CborError("CBOR declares %d items at byte %d, too many" % (count, self.at))

    def _array(self, count: int, depth_left: int) -> "list[object]":
        self._room_for(count)
        return [self.item(depth_left) for _ in range(count)]

    def _map(self, count: int, depth_left: int) -> "dict[object, object]":
        self._room_for(2 * count)
        result: "dict[object, object]" = {}
        previous = b""
        for _ in range(count):
            start = self.at
            key = self._key(result)
            if self.deterministic:
                encoded = self.data[start : self.at]
                if encoded < previous:
                    raise CborError("CBOR map keys are out of order at byte %d" % start)
                previous = encoded
            result[key] = self.item(depth_left)
        return result

    def _key(self, before: "dict[object, object]") -> object:
        """Return the map key at `at`: a scalar that is not among the keys `before`."""
        start = self.at
        if start < self.end and _FIRST_KEY_NOT_SCALAR <= self.data[start] < _FIRST_SIMPLE:
            raise CborError("CBOR map key at byte %d is not a scalar" % start)
        key = self.item(0)
        if key in before or (isinstance(key, float) and isnan(key)):
            raise CborError("CBOR map key at byte %d is repeated or NaN" % start)
        return key

    def _indefinite(self, major: int, depth_left: int) -> object:
        """Return an item of indefinite length, whose head has been read."""
        if self.deterministic or not _BYTES <= major <= _MAP:
            raise CborError("CBOR indefinite length is not allowed before byte %d" % self.at)
        if major <= _TEXT:
            return self._chunks(major)
        if depth_left <= 0:
            raise CborError("CBOR is nested too deeply at byte %d" % self.at)
        if major == _ARRAY:
            items = []
            while not self._at_break():
                items.append(self.item(depth_left - 1))
            return items
        result: "dict[object, object]" = {}
        while not self._at_break():
            key = self._key(result)
            result[key] = self.item(depth_left - 1)
        return result

    def _chunks(self, major: int) -> object:
        """Return the joined chunks of a string: definite ones of its own type (RFC 8949, 3.2.3)."""
        strings = []
        texts = []
        while not self._at_break():
            initial = self.data[self.at]
            if initial >> 5 != major or initial & 0x1F == _INDEFINITE:
                raise CborError("CBOR string chunk of a wrong type at byte %d" % self.at)
            chunk = self.item(0)
            if isinstance(chunk, bytes):
                strings.append(chunk)
            elif isinstance(chunk, str):
                texts.append(chunk)
        return b"".join(strings) if major == _BYTES else "".join(texts)

    def _at_break(self) -> bool:
        """Return whether a break ends the item here, and step over it."""
        if self.at >= self.end:
            raise CborError("CBOR ends at byte %d inside an indefinite item" % self.at)
        if self.data[self.at] != _BREAK:
            return False
        self.at += 1
        return True

    def _simple_or_float(self, info: int) -> object:
        if info < 20:
            return Simple(info)
        if info < 23:
            return (False, True, None)[info - 20]
        if info == 23:
            return Simple(23)
        if info == 24:
            number = self._take(1)[0]
            if number < 32:
                raise CborError("CBOR simple value below 32 in two bytes before byte %d" % self.at)
            return Simple(number)
        if info > 27:
            raise CborError("CBOR break or reserved head before byte %d" % self.at)
        content = self._take(1 << (info - 24))
        value = decode_float(content)
        if self.deterministic and encode_float(value)[1:] != content:
            raise CborError("CBOR float is longer than needed before byte %d" % self.at)
        return value
