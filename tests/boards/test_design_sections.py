"""Designed sections against textbook values, and against the response that was asked for."""

import cmath
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from boards import design_sections as design
from boards.design_sections import Row
from firmware.features_velocity import VELOCITY


def magnitude(rows: Sequence[Row], frequency_hz: float, rate_hz: float) -> float:
    return abs(design.response(rows, frequency_hz, rate_hz))


def test_second_order_low_pass_at_a_quarter_of_the_rate_is_the_textbook_one() -> None:
    # tan(pi / 4) = 1 in (1 + z)^2 / ((1 + sqrt 2 + 1) z^2 + (1 - sqrt 2 + 1)).
    ((b0, b1, b2, a1, a2),) = design.butterworth_lowpass(250, 2, 1000)
    assert b0 == pytest.approx(1 / (2 + math.sqrt(2)))
    assert (b1, b2) == (pytest.approx(2 * b0), pytest.approx(b0))
    assert a1 == pytest.approx(0, abs=1e-12)
    assert a2 == pytest.approx((2 - math.sqrt(2)) / (2 + math.sqrt(2)))


@pytest.mark.parametrize("order", range(1, 17))
@pytest.mark.parametrize("corner_hz", [1.0, 50.0, 400.0])
def test_magnitude_is_that_of_a_butterworth_filter(order: int, corner_hz: float) -> None:
    rate_hz = 1000.0
    lowpass = design.butterworth_lowpass(corner_hz, order, rate_hz)
    highpass = design.butterworth_highpass(corner_hz, order, rate_hz)
    assert len(lowpass) == len(highpass) == (order + 1) // 2
    for frequency_hz in (0.3 * corner_hz, corner_hz, 1.2 * corner_hz):
        ratio = math.tan(math.pi * frequency_hz / rate_hz) / math.tan(math.pi * corner_hz / rate_hz)
        low = 1 / math.sqrt(1 + ratio ** (2 * order))
        high = 1 / math.sqrt(1 + ratio ** (-2 * order))
        assert magnitude(lowpass, frequency_hz, rate_hz) == pytest.approx(low, rel=1e-6)
        assert magnitude(highpass, frequency_hz, rate_hz) == pytest.approx(high, rel=1e-6)


@pytest.mark.parametrize(
    ("corner_hz", "order", "rate_hz", "what"),
    [(50, 0, 1000, "order 0"), (50, 17, 1000, "order 17"), (500, 2, 1000, "above 1000 Hz")],
)
def test_what_cannot_be_designed_is_refused(
    corner_hz: float, order: int, rate_hz: float, what: str
) -> None:
    for kind in (design.butterworth_lowpass, design.butterworth_highpass):
        with pytest.raises(ValueError, match=what):
            kind(corner_hz, order, rate_hz)


@pytest.mark.parametrize(("rate_hz", "error"), [(3332, 6e-3), (4000, 3e-3), (6664, 3e-3)])
def test_the_velocity_filter_integrates_between_its_corners(rate_hz: int, error: float) -> None:
    designed = design.velocity_filter(rate_hz)
    for frequency_hz in (10, 14, 20, 40, 80, 160, 315, 500, 630, 800, 1000):
        warped = [
            math.tan(math.pi * frequency_hz / rate_hz) / math.tan(math.pi * corner_hz / rate_hz)
            for corner_hz in (10, 1000)
        ]
        band = 1 / math.sqrt((1 + warped[0] ** -8) * (1 + warped[1] ** 8))
        gain = magnitude(designed.rows, frequency_hz, rate_hz) * designed.unit_s
        assert gain * 2 * math.pi * frequency_hz == pytest.approx(band, rel=error)
    assert magnitude(designed.rows, 1e-6, rate_hz) < 1e-6, "nothing may drift"


@pytest.mark.parametrize("rate_hz", sorted(VELOCITY))
def test_the_table_of_the_firmware_is_what_the_designer_prints(rate_hz: int) -> None:
    designed = design.velocity_filter(rate_hz)
    words = tuple(design.fixed_words(row) for row in designed.rows)
    unit_s, rows, table_words = VELOCITY[rate_hz]
    assert (unit_s, table_words) == (pytest.approx(designed.unit_s, rel=1e-12), words)
    assert np.allclose(rows, designed.rows, rtol=1e-9, atol=1e-12)
    assert f"    {rate_hz}: (" in design.velocity_table(sorted(VELOCITY))


def test_velocity_needs_twice_the_band() -> None:
    with pytest.raises(ValueError, match="above 2 kHz"):
        design.velocity_filter(2000)


def test_no_input_is_louder_than_stated() -> None:
    rows = design.butterworth_highpass(10, 4, 4000)
    loudest = design.loudness(rows)
    # The worst input is the sign of the impulse response, backwards; no random one reaches it.
    impulse = np.zeros(4096)
    impulse[0] = 1
    response = filtered(rows, impulse)
    worst = filtered(rows, np.sign(response[::-1]))
    assert worst[-1] == pytest.approx(loudest[-1], rel=1e-3)
    noise = np.array([random.Random(5).choice((-1.0, 1.0)) for _ in range(4096)])
    assert abs(filtered(rows, noise)).max() < loudest[-1]
    for designed in (design.velocity_filter(rate_hz) for rate_hz in VELOCITY):
        assert max(design.loudness(designed.rows)) < design.LOUDNESS_MAX


def filtered(rows: Sequence[Row], signal: "np.ndarray") -> "np.ndarray":
    """The difference equation, by itself."""
    for b0, b1, b2, a1, a2 in rows:
        padded = np.concatenate(([0.0, 0.0], signal))
        output = np.zeros(len(padded))
        for n in range(2, len(padded)):
            output[n] = (
                b0 * padded[n] + b1 * padded[n - 1] + b2 * padded[n - 2]
                - a1 * output[n - 1] - a2 * output[n - 2]
            )  # fmt: skip
        signal = output[2:]
    return signal


def test_words_are_the_coefficients_in_the_delta_operator() -> None:
    row = design.butterworth_highpass(10, 2, 4000)[0]
    b0, b1, a1, b2, a2, *shifts = design.fixed_words(row)
    fraction = 2.0**-12
    delta = (
        b0 * fraction * 2.0 ** -shifts[0],
        b1 * fraction * 2.0 ** -shifts[1],
        a1 * fraction * 2.0 ** -shifts[1],
        b2 * fraction * 2.0 ** -(shifts[1] + shifts[2]),
        a2 * fraction * 2.0 ** -(shifts[1] + shifts[2]),
    )
    for frequency_hz in (3, 10, 100, 1900):
        d = cmath.exp(2j * math.pi * frequency_hz / 4000) - 1
        gain = (delta[0] * d * d + delta[1] * d + delta[3]) / (d * d + delta[2] * d + delta[4])
        expected = magnitude([row], frequency_hz, 4000)
        assert abs(gain) == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ((1.0, 0.0, 0.0, -2.0, 1.0), "not stable"),
        ((1.0, 0.0, 0.0, 0.0, -1.0), "not stable"),
        ((5.0, 0.0, 0.0, 0.0, 0.0), "too large"),
        ((1.0, -2.5, 1.0, 0.0, 0.0), "outside the unit circle"),
        ((-1.0, 0.0, 0.0, 0.0, 0.0), "below 0"),
    ],
)
def test_words_of_what_cannot_run_are_refused(row: Row, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        design.fixed_words(row)


def test_the_command_prints_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["design", "lowpass", "50", "4", "1000"])
    design.main()
    printed = capsys.readouterr().out
    rows = [
        tuple(float(number) for number in line.strip(" [],").split(","))
        for line in printed.splitlines()
        if line.startswith("    [")
    ]
    assert rows == design.butterworth_lowpass(50, 4, 1000)
