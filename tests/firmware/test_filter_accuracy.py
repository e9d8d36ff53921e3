"""The accuracy that the integer kernels state, against double precision; and the ulab engine."""

import importlib
import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from boards.design_sections import (
    Row,
    butterworth_highpass,
    butterworth_lowpass,
    fixed_words,
    loudness,
    velocity_filter,
)
from firmware import features_transform
from firmware.features_bands import Bands
from firmware.features_velocity import VELOCITY
from firmware.kernels import CHUNK, DIGITS, OFFSET, wide
from firmware.sections import FINE_BITS, FULL_SCALE, Cascade
from tests.firmware import ulab_stand_in

RATE_HZ = 4000


def reference(rows: Sequence[Row], signal: "np.ndarray") -> "np.ndarray":
    """The sections as difference equations in double precision."""
    values = signal.tolist()
    for b0, b1, b2, a1, a2 in rows:
        z1 = z2 = 0.0
        for n, x in enumerate(values):
            y = b0 * x + z1
            z1, z2 = b1 * x - a1 * y + z2, b2 * x - a2 * y
            values[n] = y
    return np.array(values)


def fixed(rows: Sequence[Row], signal: "np.ndarray") -> "np.ndarray":
    samples = array("i", (signal.astype(int) + OFFSET).tolist())
    cascade = Cascade([fixed_words(row) for row in rows])
    for start in range(0, len(samples), CHUNK):
        chunk = samples[start : start + CHUNK][::-1]
        cascade.run(chunk, len(chunk))
        samples[start : start + CHUNK] = chunk[::-1]
    return np.array(samples) / (1 << FINE_BITS)


CASCADES = {
    "velocity": (velocity_filter(RATE_HZ).rows, (10, 20, 159, 500), 0.03),
    "high-pass 10 Hz": (butterworth_highpass(10, 4, RATE_HZ), (10, 100, 1500), 1.5),
    "high-pass 4 Hz": (butterworth_highpass(4, 2, RATE_HZ), (4, 40), 1.5),
    "low-pass 1 kHz": (butterworth_lowpass(1000, 4, RATE_HZ), (10, 900), 1.5),
    "low-pass 50 Hz": (butterworth_lowpass(50, 3, RATE_HZ), (5, 50), 1.5),
}


@pytest.mark.parametrize("name", CASCADES)
@pytest.mark.parametrize("amplitude", [0.9 * FULL_SCALE, 500, 20])
def test_sections_keep_to_the_accuracy_they_state(name: str, amplitude: float) -> None:
    rows, frequencies, noise_max = CASCADES[name]
    # The rounding of coefficients shows as a part of the signal, that of samples does not.
    for frequency_hz in frequencies:
        angle = 2 * math.pi * frequency_hz / RATE_HZ * np.arange(6000)
        signal = np.round(amplitude * np.sin(angle))
        expected = reference(rows, signal)[2000:]
        found = fixed(rows, signal)[2000:]
        quadratures = np.stack((np.sin(angle[2000:]), np.cos(angle[2000:])))
        gain = np.hypot(*(quadratures @ found)) / np.hypot(*(quadratures @ expected))
        if expected.std() > 1000 * noise_max:
            assert gain == pytest.approx(1, abs=5e-4)
        error = found - expected
        assert abs(error.mean()) < 0.1
        tone = 2 / len(error) * quadratures.T @ (quadratures @ error)
        assert (error - tone).std() < noise_max


def test_the_loudest_input_does_not_overflow() -> None:
    rows = velocity_filter(RATE_HZ).rows
    for last in range(1, len(rows) + 1):
        cascade = rows[:last]
        impulse = np.zeros(4096)
        impulse[0] = 1
        worst = FULL_SCALE * np.sign(reference(cascade, impulse)[::-1])
        peak = fixed(cascade, worst)[-1]
        assert peak == pytest.approx(FULL_SCALE * loudness(cascade)[-1], rel=2e-3)


@pytest.mark.parametrize("points", [64, 256, 1024])
@pytest.mark.parametrize("kind", ["noise", "quiet", "tones", "constant", "silence"])
def test_the_transform_agrees_with_numpy(points: int, kind: str) -> None:
    samples = signal_of(kind, points)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(points) / points)
    expected = abs(np.fft.rfft(samples * window)) ** 2
    ring = array("H", (np.roll(samples, 11) & 0xFFFF).tolist())
    digits = array("i", bytes(4 * DIGITS * 3))
    transform = features_transform.Transform(points)
    transform.begin(ring, 11)
    calls = 2
    while not transform.advance():
        calls += 1
    assert calls == transform.slices()
    edges = ((2, points // 8), (points // 8, points // 2), (points // 4, points // 4 + 3))
    for band, (low, high) in enumerate(edges):
        transform.add_energy(low, high, digits, DIGITS * band)
        energy = wide(digits, DIGITS * band) / (1 << features_transform.ENERGY_BITS)
        # A bin is wrong by 2**-13 of the largest, root mean square.
        floor = (high - low) * expected.max() * 2.0**-26
        assert abs(math.sqrt(energy) - math.sqrt(expected[low:high].sum())) <= 2 * math.sqrt(floor)


def signal_of(kind: str, points: int) -> "np.ndarray":
    random = np.random.default_rng(7)
    if kind == "noise":
        return random.integers(-32768, 32768, points)
    if kind == "quiet":
        return random.integers(-20, 21, points)
    if kind == "tones":
        angle = 2 * np.pi * np.arange(points) / points
        return np.round(20_000 * np.sin(13.3 * angle) + 30 * np.sin(20.3 * angle)).astype(int)
    return np.full(points, 32767 if kind == "constant" else 0)


@pytest.fixture
def ulab_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """firmware/filter_ulab.py over a stand-in with the signatures of ulab's manual."""
    monkeypatch.setitem(sys.modules, "ulab", ulab_stand_in)  # type: ignore[misc]
    monkeypatch.delitem(sys.modules, "firmware.filter_ulab", raising=False)
    engine = importlib.import_module("firmware.filter_ulab")
    yield engine
    monkeypatch.delitem(sys.modules, "firmware.filter_ulab")


def test_without_ulab_the_kernels_are_used() -> None:
    bands = Bands([[(90, 200)], [], []], RATE_HZ, 4000)
    assert isinstance(bands._transform, features_transform.Transform)


@pytest.mark.parametrize("kind", ["noise", "tones"])
def test_the_ulab_transform_agrees_with_the_kernels(ulab_engine: Any, kind: str) -> None:
    ring = array("H", (signal_of(kind, 256) & 0xFFFF).tolist())
    energies = []
    for engine in (features_transform, ulab_engine):
        digits = array("i", bytes(4 * DIGITS))
        transform = engine.Transform(256)
        transform.begin(ring, 77)
        while not transform.advance():
            pass
        transform.add_energy(10, 60, digits, 0)
        energies.append(wide(digits, 0) / (1 << engine.ENERGY_BITS))
    assert energies[1] == pytest.approx(energies[0], rel=2e-3)


def test_the_ulab_velocity_agrees_with_the_kernels(ulab_engine: Any) -> None:
    angle = 2 * math.pi * 60 / RATE_HZ * np.arange(4096)
    samples = np.round(9000 * np.sin(angle)).astype(int)
    totals = []
    for engine in (features_transform, ulab_engine):
        digits = array("i", bytes(4 * DIGITS))
        velocity = engine.VelocityFilter(VELOCITY[RATE_HZ], 0)
        for start in range(0, 4096, CHUNK):
            chunk = array("i", (samples[start : start + CHUNK] + OFFSET).tolist()[::-1])
            velocity.add_squares(chunk, len(chunk), digits)
        totals.append(wide(digits, 0) / (1 << (2 * engine.VELOCITY_BITS)))
    assert totals[1] == pytest.approx(totals[0], rel=2e-3)
