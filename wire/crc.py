"""CRC-16/CCITT-FALSE, the check against line noise in every serial frame.

Polynomial 0x1021, start 0xFFFF, not reflected, nothing added at the end; check value of "123456789"
is 0x29B1. It finds line errors, never an attacker: the seal does that.
"""

from wire.kernel import IS_MICROPYTHON, Buffer, const, micropython, ptr8

SEED = const(0xFFFF)


@micropython.viper
def crc16_kernel(data: object, count: int, crc: int) -> int:
    """Return the CRC of `count` bytes of `data`, continued from `crc`; no table."""
    source = ptr8(data)
    for index in range(count):
        mixed = (crc >> 8) ^ source[index]
        mixed ^= mixed >> 4
        crc = ((crc << 8) ^ (mixed << 12) ^ (mixed << 5) ^ mixed) & 0xFFFF
    return crc


if IS_MICROPYTHON:

    def crc16(data: Buffer, seed: int = SEED) -> int:
        """Return the CRC-16/CCITT-FALSE of `data`; `seed` is the CRC of what came before."""
        return crc16_kernel(data, len(data), seed)

else:
    from binascii import crc_hqx

    def crc16(data: Buffer, seed: int = SEED) -> int:
        """Return the CRC-16/CCITT-FALSE of `data`; `seed` is the CRC of what came before."""
        return crc_hqx(data, seed)
