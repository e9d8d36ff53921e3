"""Integer kernels of fast channels: exact where they say so, the same bits on every interpreter.

The checksums are those of CPython, where tests/firmware/test_filter_accuracy.py holds the same
numbers to double precision.
"""

from array import array

from firmware.features_transform import ENERGY_BITS, Transform, VelocityFilter
from firmware.features_velocity import VELOCITY
from firmware.kernels import (
    CHUNK,
    DIGITS,
    OFFSET,
    SIGN,
    SUMS,
    add_wide,
    clear,
    copy_kernel,
    gather_kernel,
    keep_kernel,
    moments_kernel,
    narrow_kernel,
    split_kernel,
    squares_kernel,
    wide,
    wide_float,
)
from firmware.sections import Cascade
from wire.crc import crc16


def _noise(count, bits, seed=1):
    """`count` numbers of `bits` bits and a sign, the same everywhere."""
    state = seed
    values = array("i", bytes(4 * count))
    for index in range(count):
        state = (state * 75 + 74) % 65537
        high = state
        state = (state * 75 + 74) % 65537
        values[index] = ((((high & 0x7FFF) << 15) | (state & 0x7FFF)) >> (30 - bits - 1)) - (
            1 << bits
        )
    return values


def _narrowed(count, bits):
    return array("i", [each + OFFSET for each in _noise(count, bits)])


def _sums():
    return array("i", bytes(4 * SUMS))


def test_split_takes_one_axis_and_its_statistics():
    samples = array("i", [10, -20, 30, 11, -21, 31, 12, -25, 29, 13, -23, 33])
    out = array("i", bytes(16))
    sums = _sums()
    split_kernel(out, 7, 0, 1, samples, -20, sums, SIGN)
    assert list(out) == [-5, -1, 0, 0]
    assert list(sums)[:3] == [-5, 0, -6]
    split_kernel(out, 11, 0, 5, samples, 30, sums, SIGN)
    assert list(out)[:3] == [3, -1, 1]
    assert list(sums)[:3] == [-1, 3, 3]


def test_narrowing_loses_nothing_in_the_sum():
    samples = _noise(200, 19)
    total = sum(samples)
    error = narrow_kernel(samples, 0, 100, 5, 31, 0, SIGN)
    rest = samples[100:]
    error = narrow_kernel(rest, 0, 100, 5, 31, error, SIGN)
    assert 32 * (sum(samples[:100]) + sum(rest) - 200 * OFFSET) + error == total


def test_a_sum_of_squares_is_exact():
    for bits in (3, 15, 20, 23):
        samples = _noise(CHUNK, bits)
        sums = _sums()
        squares_kernel(samples, 0, CHUNK, sums, SIGN)
        found = (sums[2] << 24) + (sums[1] << 13) + sums[0]
        assert found == sum([each * each for each in samples])


def test_the_largest_values_do_not_overflow():
    samples = array("i", [-(1 << 24)] * CHUNK)
    sums = _sums()
    squares_kernel(samples, 0, CHUNK, sums, SIGN)
    assert (sums[2] << 24) + (sums[1] << 13) + sums[0] == CHUNK << 48
    for value in (4095, -4095):
        samples = array("i", [value] * CHUNK)
        moments_kernel(samples, 0, CHUNK, 0, 0, sums, SIGN)
        assert (sums[3] << 12) + sums[2] == CHUNK * value**3
        assert (sums[6] << 24) + (sums[5] << 13) + sums[4] == CHUNK * value**4


def test_moments_are_exact_for_what_is_left_after_the_shift():
    samples = _noise(CHUNK, 18)
    sums = _sums()
    moments_kernel(samples, 0, CHUNK, 1234, 7, sums, SIGN)
    values = [(each - 1234) >> 7 for each in samples]
    assert sums[0] == sum(values)
    assert sums[1] == sum([each**2 for each in values])
    assert (sums[3] << 12) + sums[2] == sum([each**3 for each in values])
    assert (sums[6] << 24) + (sums[5] << 13) + sums[4] == sum([each**4 for each in values])


def test_wide_sums_take_any_sign_and_shift():
    digits = array("i", bytes(4 * 3 * DIGITS))
    plan = array("i", [0, 0, 0, 0, 1, DIGITS, 24, 2, 2, 2 * DIGITS, 3, 1])
    expected = [0, 0, 0]
    for turn, first, second, third in (
        (0, 5, -7, (1 << 30) - 1),
        (1, -9, 7, -(1 << 30)),
        (13, 1 << 20, -1, 77),
        (14, -(1 << 20), 1, -77),
        (25, -1, (1 << 30) - 1, -1),
        (27, 0, -(1 << 29), 0),
    ):
        sums = array("i", [first, second, third])
        gather_kernel(digits, 0, 0, sums, plan, len(plan), turn, SIGN)
        expected[0] += first
        expected[1] += second << (24 + 2 * turn)
        expected[2] += third << (3 + turn)
        for index in range(3):
            assert wide(digits, index * DIGITS) == expected[index], (turn, index)
    add_wide(digits, DIGITS, -(1 << 90))
    assert wide(digits, DIGITS) == expected[1] - (1 << 90)
    assert wide(digits, 0) == expected[0]
    clear(digits)
    assert wide(digits, DIGITS) == 0
    for value in (0, 1, 16383, 16384, 123456789012, 3 << 90):
        clear(digits)
        add_wide(digits, DIGITS, value)
        assert abs(wide_float(digits, DIGITS) - float(value)) <= value / 4000000


def test_a_ring_keeps_the_low_sixteen_bits():
    ring = array("H", bytes(16))
    keep_kernel(ring, 6, 4, array("i", [1, -1, -32768, 65537]), 7)
    assert list(ring) == [65535, 1, 0, 0, 0, 0, 1, 32768]


def test_words_are_copied():
    target = array("i", bytes(16))
    copy_kernel(target, 1, 2, array("i", [5, -6, 7]), 1)
    assert list(target) == [0, -6, 7, 0]


def test_sections_give_the_same_bits_everywhere():
    for rate_hz, checksum in ((3332, 56165), (4000, 1649)):
        samples = _narrowed(3 * CHUNK, 13)
        cascade = Cascade(VELOCITY[rate_hz][2])
        chunk = array("i", bytes(4 * CHUNK))
        crc = 0xFFFF
        for start in range(0, len(samples), CHUNK):
            copy_kernel(chunk, 0, CHUNK, samples, start)
            cascade.run(chunk, CHUNK)
            crc = crc16(bytes(chunk), crc)
        assert crc == checksum, (rate_hz, crc)
        before = bytes(chunk)
        cascade.reset()
        copy_kernel(chunk, 0, CHUNK, samples, 0)
        cascade.run(chunk, CHUNK)
        assert bytes(chunk) != before


def test_a_velocity_filter_adds_the_squares_of_what_its_sections_leave():
    samples = _narrowed(CHUNK, 14)
    reference = array("i", samples)
    Cascade(VELOCITY[4000][2]).run(reference, CHUNK)
    digits = array("i", bytes(4 * 2 * DIGITS))
    VelocityFilter(VELOCITY[4000], DIGITS).add_squares(samples, CHUNK, digits)
    assert wide(digits, DIGITS) == sum([each * each for each in reference])
    assert wide(digits, 0) == 0


def test_a_transform_gives_the_same_energy_everywhere():
    points = 128
    ring = array("H", [each & 0xFFFF for each in _noise(points, 15)])
    digits = array("i", bytes(4 * DIGITS * 2))
    transform = Transform(points)
    transform.begin(ring, 9)
    calls = 2
    while not transform.advance():
        calls += 1
    assert calls == transform.slices()
    transform.add_energy(2, 40, digits, 0)
    transform.add_energy(40, points // 2, digits, DIGITS)
    # 32-bit floats may round an entry of the sine table the other way.
    for at, expected in ((0, 658092731136), (DIGITS, 388213978432)):
        found = wide(digits, at) >> ENERGY_BITS
        assert abs(found - expected) <= expected // 5000, (at, found)


def test_a_transform_of_a_tone_has_its_energy_in_its_bins():
    # A cosine of four samples a period, 8192 high: Hann gives A**2 / 4 * points * sum(w**2) in all.
    points = 64
    ring = array("H", [8192, 0, 65536 - 8192, 0] * (points // 4))
    digits = array("i", bytes(4 * DIGITS * 2))
    transform = Transform(points)
    transform.begin(ring, 0)
    while not transform.advance():
        pass
    transform.add_energy(14, 19, digits, 0)
    transform.add_energy(2, 12, digits, DIGITS)
    expected = 8192 * 8192 * points * points * 3 // 32
    found = wide(digits, 0) >> ENERGY_BITS
    assert abs(found - expected) < expected // 5000
    assert wide(digits, DIGITS) >> ENERGY_BITS < expected // 1000000
