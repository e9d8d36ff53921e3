"""What `firmware/filter_ulab.py` uses of ulab, with the signatures of ulab's public manual.

No real ulab was at hand, so this shows that the calls are those of the manual and that the results
are right for an implementation of it; it does not show how a real ulab rounds.  Floats are 32 bits,
as on the boards; `fft.fft` returns a pair, as ulab does and numpy does not.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = Any


def _array(values: Iterable[float], *, dtype: type = np.float32) -> Array:
    return np.array(list(values) if not isinstance(values, list) else values, dtype=dtype)


def _frombuffer(buffer: Any, dtype: type = np.float32, count: int = -1, offset: int = 0) -> Array:
    return np.frombuffer(buffer, dtype=dtype, count=count, offset=offset)


def _concatenate(arrays: tuple[Array, ...], *, axis: int = 0) -> Array:
    return np.concatenate(arrays, axis=axis)


def _zeros(shape: int | tuple[int, ...], *, dtype: type = np.float32) -> Array:
    return np.zeros(shape, dtype=dtype)


def _sum(values: Array, *, axis: int | None = None) -> float:
    return np.sum(values, axis=axis, dtype=np.float32)


def _cos(values: Array) -> Array:
    return np.cos(values).astype(np.float32)


def _flip(values: Array, *, axis: int | None = None) -> Array:
    return np.flip(values, axis=axis)


def _fft(real: Array, imaginary: Array | None = None) -> tuple[Array, Array]:
    spectrum = np.fft.fft(real if imaginary is None else real + 1j * imaginary)
    return spectrum.real.astype(np.float32), spectrum.imag.astype(np.float32)


def _sosfilt(sos: Any, x: Array, *, zi: Array | None = None) -> Any:
    state = np.zeros((len(sos), 2), np.float32) if zi is None else zi.astype(np.float32)
    output = np.array(x, np.float32)
    for section, (b0, b1, b2, _, a1, a2) in enumerate(np.array(sos, np.float32)):
        z1, z2 = state[section]
        for n, sample in enumerate(output):
            output[n] = b0 * sample + z1
            z1 = b1 * sample - a1 * output[n] + z2
            z2 = b2 * sample - a2 * output[n]
        state[section] = z1, z2
    return output if zi is None else (output, state)


numpy = SimpleNamespace(
    array=_array,
    concatenate=_concatenate,
    cos=_cos,
    flip=_flip,
    fft=SimpleNamespace(fft=_fft),
    frombuffer=_frombuffer,
    int16=np.int16,
    sum=_sum,
    zeros=_zeros,
)
scipy = SimpleNamespace(signal=SimpleNamespace(sosfilt=_sosfilt))
