"""Two ways to seal that give the same bytes: by joining parts, and in place in one buffer.

`JoiningSealer` reads like the format and is faster on CPython. `BufferSealer` is the node's: what
the tag is computed over and what is sent hardly differ, so both are one buffer at two moments, and
nothing but the hashes is allocated.

    pad (64) | 84 64 'M' 'A' 'C' '0' | protected | 40 | payload |            is hashed
                            D1  84   | protected | A0 | payload | 58 20 tag  is sent

Neither repeats or checks a sequence number: that each is used once is the caller's promise.
"""

from wire.cbor import BYTES, head
from wire.cose_profile import (
    MAC_STRUCTURE,
    MESSAGE,
    MESSAGE_BYTES_MAX,
    NO_EXTERNAL_AAD,
    NO_UNPROTECTED,
    TAG,
    TICK_US_MAX,
    boot_id_and_tick_label,
    check_length,
    checked_kid,
    encoded_uint,
    opening,
    partial_iv,
)
from wire.kernel import ALL, Buffer, const, micropython, ptr8
from wire.mac import BLOCK_BYTES, HmacSha256

_STRUCTURE_END = const(70)
_MESSAGE_AT = const(68)
_HEADER_AT = const(72)
_TAIL_BYTES = const(34)
# From here on CBOR gives a tick 4 bytes or 8; it is reached 66 ms after the boot.
_TICK_US_KEPT_MIN = const(0x10000)


class JoiningSealer:
    """Seals for the node or gateway named `kid`, with the key in `mac`."""

    def __init__(self, kid: Buffer, mac: HmacSha256) -> None:
        self._kid = checked_kid(bytes(kid))
        self._mac = mac
        self._openings: "dict[int, bytes]" = {}
        self._boot_id = -1
        self._boot_id_and_tick = b""

    def seal(
        self, content_type: int, sequence: int, boot_id: int, tick_us: int, payload: Buffer
    ) -> Buffer:
        """Return `payload` sealed; `tick_us` is the time of sending in microseconds since boot.

        Raises CoseError for a number out of range (SEQUENCE_MAX reached means: new key) or too long
        a payload.
        """
        if boot_id != self._boot_id:
            self._boot_id_and_tick = boot_id_and_tick_label(boot_id)
            self._boot_id = boot_id
        protected = b"".join(
            (
                self._openings.get(content_type) or self._open(content_type),
                partial_iv(sequence),
                self._boot_id_and_tick,
                encoded_uint(tick_us, TICK_US_MAX),
            )
        )
        # The tag goes over exactly these parts of the message, with two constants around them.
        sealed_protected = head(BYTES, len(protected)) + protected
        payload_head = head(BYTES, len(payload))
        tag = self._mac.digest(
            MAC_STRUCTURE, sealed_protected, NO_EXTERNAL_AAD, payload_head, payload
        )
        message = b"".join(
            (MESSAGE, sealed_protected, NO_UNPROTECTED, payload_head, bytes(payload), TAG, tag)
        )
        check_length(len(message))
        return message

    def _open(self, content_type: int) -> bytes:
        self._openings[content_type] = opening(content_type, self._kid)
        return self._openings[content_type]


class BufferSealer:
    """Seals as JoiningSealer does; a seal is a view that the next seal changes.

    The layout of a seal is kept: as long as its numbers keep their sizes and its payload its
    length, only their bytes are replaced.
    """

    def __init__(self, kid: Buffer, mac: HmacSha256) -> None:
        self._joining = JoiningSealer(kid, mac)
        # Bound once: a method costs more to find than an attribute.
        self._digest = mac.digest_padded
        self._buffer = bytearray(BLOCK_BYTES + MESSAGE_BYTES_MAX)
        self._buffer[:_STRUCTURE_END] = mac.inner_pad + MAC_STRUCTURE
        # No layout yet: that of a content type which does not exist.
        self._bounds = (-1, 0, 0, 0, 0, 0)
        whole = memoryview(self._buffer)
        self._places = (self._buffer, 0, 0, 0, whole, whole, whole, whole)

    @micropython.native
    def seal(
        self, content_type: int, sequence: int, boot_id: int, tick_us: int, payload: Buffer
    ) -> Buffer:
        """Return `payload` sealed; the same promises and errors as JoiningSealer.seal."""
        of_type, of_boot, sequence_min, sequence_end, tick_min, tick_end = self._bounds
        if (
            content_type != of_type
            or boot_id != of_boot
            or not sequence_min <= sequence < sequence_end
            or not tick_min <= tick_us < tick_end
        ):
            return self._seal_anew(content_type, sequence, boot_id, tick_us, payload)
        buffer, at, size, header_end, place, hashed, tag, message = self._places
        try:
            place[ALL] = payload
        except ValueError:
            # It has another length than the one before.
            return self._seal_anew(content_type, sequence, boot_id, tick_us, payload)
        hashed_kernel(buffer, at, sequence, size, header_end, tick_us)
        tag[ALL] = self._digest(hashed)
        sent_kernel(buffer, header_end)
        return message

    def _seal_anew(
        self, content_type: int, sequence: int, boot_id: int, tick_us: int, payload: Buffer
    ) -> Buffer:
        """Seal by joining, and lay the buffer out as this seal is."""
        message = self._joining.seal(content_type, sequence, boot_id, tick_us, payload)
        if message[2] != 0x58 or tick_us < _TICK_US_KEPT_MIN:
            # Not worth a layout: the head of the header has one byte, or the tick fewer than 4.
            return message
        count = len(payload)
        buffer = self._buffer
        buffer[_MESSAGE_AT : _MESSAGE_AT + len(message)] = message
        header_end = _HEADER_AT + message[3]
        sequence_size = len(partial_iv(sequence)) - 1
        before_tick = header_end - len(encoded_uint(tick_us, TICK_US_MAX))
        end = _MESSAGE_AT + len(message) - _TAIL_BYTES
        whole = memoryview(buffer)
        bits = 8 * sequence_size
        sequences = _alike(sequence, 1 << (bits - 8) if bits > 8 else 0, 1 << bits)
        ticks = _alike(tick_us, _TICK_US_KEPT_MIN, 1 << 32)
        self._bounds = (content_type, boot_id) + sequences + ticks
        self._places = (
            buffer,
            before_tick - len(boot_id_and_tick_label(boot_id)),
            min(sequence_size, 4),
            header_end,
            whole[end - count : end],
            whole[:end],
            whole[end + len(TAG) : end + _TAIL_BYTES],
            whole[_MESSAGE_AT : end + _TAIL_BYTES],
        )
        return message


def _alike(number: int, first: int, end: int) -> "tuple[int, int]":
    """Return the bounds between which a number differs from `number` in its last 4 bytes only.

    They are `first` and `end` unless `number` has more than these 4 bytes.
    """
    high = number >> 32
    return (high << 32, (high + 1) << 32) if high else (first, end)


@micropython.viper
def hashed_kernel(
    buffer: ptr8, at: int, number: int, size: int, header_end: int, tick_us: int
) -> int:
    """Make of what was sent what is hashed: "C0" of "MAC0", no external data, and new numbers.

    The last `size` bytes of `number` end before `at`, the 4 of `tick_us` before `header_end`.
    """
    while size:
        at -= 1
        buffer[at] = number & 0xFF
        number >>= 8
        size -= 1
    at = header_end
    number = tick_us
    buffer[at - 1] = number & 0xFF
    buffer[at - 2] = number >> 8 & 0xFF
    buffer[at - 3] = number >> 16 & 0xFF
    buffer[at - 4] = number >> 24 & 0xFF
    buffer[68] = 0x43
    buffer[69] = 0x30
    buffer[at] = 0x40
    return at


@micropython.viper
def sent_kernel(buffer: ptr8, header_end: int) -> int:
    """Make of what was hashed what is sent: D1 84, and no unprotected header."""
    buffer[68] = 0xD1
    buffer[69] = 0x84
    buffer[header_end] = 0xA0
    return header_end
