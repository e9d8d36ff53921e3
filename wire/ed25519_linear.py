"""What is done with numbers modulo p besides products: sums, conversions and choices.

The numbers are those of ed25519_field.py, and so are `m` and the addresses in it. No branch and no
address depends on a number or on a mask, so the time does not.
"""

from wire.kernel import micropython, ptr32, uint


@micropython.viper
def combine_kernel(m: ptr32, r: int, a: int, b: int, factor: int) -> int:
    """Set the number at `r` to a + factor * b, limb by limb; it may be one of them."""
    result = ptr32(uint(m) + uint(r))
    left = ptr32(uint(m) + uint(a))
    right = ptr32(uint(m) + uint(b))
    count = 4
    while count:
        result[0] = right[0] * factor + left[0]
        result[1] = right[1] * factor + left[1]
        result[2] = right[2] * factor + left[2]
        result[3] = right[3] * factor + left[3]
        result[4] = right[4] * factor + left[4]
        result = ptr32(uint(result) + 20)
        left = ptr32(uint(left) + 20)
        right = ptr32(uint(right) + 20)
        count -= 1
    return 0


@micropython.viper
def set_kernel(m: ptr32, r: int, value: int) -> int:
    """Set the number at `r` to `value`, 0 to 4095."""
    result = ptr32(uint(m) + uint(r))
    count = 20
    while count:
        result[0] = value
        result = ptr32(uint(result) + 4)
        value = 0
        count -= 1
    return 0


@micropython.viper
def unpack_kernel(m: ptr32, r: int, data: ptr32, at: int, mask: int) -> int:
    """Set the number at `r` to the 8 words of `data` from `at` bytes, negated if `mask` is -1.

    The words are a number below 2^256, lowest first, and `mask` is 0 or -1.
    """
    result = ptr32(uint(m) + uint(r))
    data = ptr32(uint(data) + uint(at))
    result[0] = ((data[0] & 8191) ^ mask) - mask
    result[1] = (((data[0] >> 13) & 8191) ^ mask) - mask
    result[2] = (((int(uint(data[0]) >> 26) | (data[1] << 6)) & 8191) ^ mask) - mask
    result[3] = (((data[1] >> 7) & 8191) ^ mask) - mask
    result[4] = (((int(uint(data[1]) >> 20) | (data[2] << 12)) & 8191) ^ mask) - mask
    result[5] = (((data[2] >> 1) & 8191) ^ mask) - mask
    result[6] = (((data[2] >> 14) & 8191) ^ mask) - mask
    result[7] = (((int(uint(data[2]) >> 27) | (data[3] << 5)) & 8191) ^ mask) - mask
    result[8] = (((data[3] >> 8) & 8191) ^ mask) - mask
    result[9] = (((int(uint(data[3]) >> 21) | (data[4] << 11)) & 8191) ^ mask) - mask
    result[10] = (((data[4] >> 2) & 8191) ^ mask) - mask
    result[11] = (((data[4] >> 15) & 8191) ^ mask) - mask
    result[12] = (((int(uint(data[4]) >> 28) | (data[5] << 4)) & 8191) ^ mask) - mask
    result[13] = (((data[5] >> 9) & 8191) ^ mask) - mask
    result[14] = (((int(uint(data[5]) >> 22) | (data[6] << 10)) & 8191) ^ mask) - mask
    result[15] = (((data[6] >> 3) & 8191) ^ mask) - mask
    result[16] = (((data[6] >> 16) & 8191) ^ mask) - mask
    result[17] = (((int(uint(data[6]) >> 29) | (data[7] << 3)) & 8191) ^ mask) - mask
    result[18] = (((data[7] >> 10) & 8191) ^ mask) - mask
    result[19] = ((int(uint(data[7]) >> 23)) ^ mask) - mask
    return 0


@micropython.viper
def choose_kernel(out: ptr32, table: ptr32, at: int, index: int) -> int:
    """Set 24 words of `out` to entry `index` of the 16 in `table` from `at` bytes.

    Every word of every entry is read; a mask decides which ones stay.
    """
    table = ptr32(uint(table) + uint(at))
    count = 24
    while count:
        count -= 1
        out[count] = 0
    count = 0
    while count < 16:
        mask = ((index ^ count) - 1) >> 31
        out[0] = (table[0] & mask) | out[0]
        out[1] = (table[1] & mask) | out[1]
        out[2] = (table[2] & mask) | out[2]
        out[3] = (table[3] & mask) | out[3]
        out[4] = (table[4] & mask) | out[4]
        out[5] = (table[5] & mask) | out[5]
        out[6] = (table[6] & mask) | out[6]
        out[7] = (table[7] & mask) | out[7]
        out[8] = (table[8] & mask) | out[8]
        out[9] = (table[9] & mask) | out[9]
        out[10] = (table[10] & mask) | out[10]
        out[11] = (table[11] & mask) | out[11]
        out[12] = (table[12] & mask) | out[12]
        out[13] = (table[13] & mask) | out[13]
        out[14] = (table[14] & mask) | out[14]
        out[15] = (table[15] & mask) | out[15]
        out[16] = (table[16] & mask) | out[16]
        out[17] = (table[17] & mask) | out[17]
        out[18] = (table[18] & mask) | out[18]
        out[19] = (table[19] & mask) | out[19]
        out[20] = (table[20] & mask) | out[20]
        out[21] = (table[21] & mask) | out[21]
        out[22] = (table[22] & mask) | out[22]
        out[23] = (table[23] & mask) | out[23]
        table = ptr32(uint(table) + 96)
        count += 1
    return 0


@micropython.viper
def swap_kernel(words: ptr32, mask: int) -> int:
    """Swap the first 8 words with the next 8 if `mask` is -1, and not if it is 0."""
    count = 8
    while count:
        difference = (words[0] ^ words[8]) & mask
        words[0] = words[0] ^ difference
        words[8] = words[8] ^ difference
        words = ptr32(uint(words) + 4)
        count -= 1
    return 0
