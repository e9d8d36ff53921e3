"""Block filters against values worked out by hand."""

from firmware.filter import FILTERS, Mean, Rms


def _filtered(chosen, samples):
    for sample in samples:
        chosen.add(sample)
    return chosen.take()


def test_mean_of_a_block():
    assert _filtered(Mean(), (1.0, 2.0, 3.0, 6.0)) == 3.0


def test_rms_is_about_zero_not_about_the_mean():
    assert _filtered(Rms(), (3.0, -3.0, 3.0, -3.0)) == 3.0
    assert abs(_filtered(Rms(), (0.0, 2.0)) - 1.41421356) < 1e-6


def test_rms_of_a_sine_is_its_amplitude_over_root_two():
    # One period of a sine in eight samples; the sum of squares is exactly N / 2.
    half = 0.70710678
    samples = (0.0, half, 1.0, half, 0.0, -half, -1.0, -half)
    assert abs(_filtered(Rms(), samples) - half) < 1e-6


def test_take_starts_the_next_block():
    for chosen in (Mean(), Rms()):
        assert _filtered(chosen, (5.0, 5.0)) == 5.0
        assert _filtered(chosen, (1.0,)) == 1.0


def test_an_empty_block_is_an_error():
    for name in FILTERS:
        try:
            FILTERS[name]().take()
        except ZeroDivisionError:
            continue
        raise AssertionError(name)


def test_single_precision_holds_the_stated_bound():
    # 1024 samples of one sign: relative error below 1024 * 2 ** -24 = 6.1e-5.
    value = _filtered(Mean(), (0.1 for _ in range(1024)))
    assert abs(value - 0.1) < 0.1 * 1024 / 16777216
