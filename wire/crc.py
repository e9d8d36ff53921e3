"""CRC-16/CCITT-FALSE, the check against line noise in every serial frame.

Polynomial 0x1021, start 0xFFFF, not reflected, nothing added at the end; check value of "123456789"
is 0x29B1. It finds line errors, never an attacker: the seal does that.
"""

from wire.kernel import IS_MICROPYTHON, Buffer, const, micropython, ptr8

SEED = const(0xFFFF)


@micropython.viper
def crc16_kernel(source: ptr8, index: int, crc: int, count: int) -> int:
    """Return `crc` continued over the bytes of `source` from `index` to `count`; no table."""
    while index < count:
        mixed = (crc >> 8) ^ source[index]
        mixed ^= mixed >> 4
        crc = ((crc << 8) ^ (mixed << 12) ^ (mixed << 5) ^ mixed) & 0xFFFF
        index += 1
    return crc


if IS_MICROPYTHON:

    def crc16(data: Buffer, seed: int = SEED) -> int:
        """Return the CRC-16/CCITT-FALSE of `data`; `seed` is the CRC of what came before."""
        return crc16_kernel(data, 0, seed, len(data))

else:
    from binascii import crc_hqx

    def crc16(data: Buffer, seed: int = SEED) -> int:
        """Return the CRC-16/CCITT-FALSE of `data`; `seed` is the CRC of what came before."""
        return crc_hqx(data, seed)
