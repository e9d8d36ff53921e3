"""What fast kernels are written with, on either interpreter.

MicroPython compiles a function marked `@micropython.viper` to machine code on 32-bit integers;
`ptr8(x)` there is the address of a buffer. On CPython the decorators and casts do nothing and the
same source runs as plain Python. A viper integer wraps at 32 bits and a Python one does not, so a
kernel masks wherever that could show.

`ALL` is the slice of a whole buffer: `view[ALL] = data` makes no new one, as `view[:]` does.

`Buffer` (bytes, bytearray or memoryview) and `Function` are for annotations only: kernel.pyi has
the types.
"""

import sys

IS_MICROPYTHON = sys.implementation.name == "micropython"
Buffer = object
Function = object

if IS_MICROPYTHON:
    import micropython
else:

    class _Identity:
        """The decorators of MicroPython's module of this name, as identities."""

        @staticmethod
        def viper(function):
            """Return `function` as it is."""
            return function

        @staticmethod
        def native(function):
            """Return `function` as it is."""
            return function

    micropython = _Identity


class _Key:
    """What an object is asked for in brackets, itself; MicroPython does not name its slices."""

    def __getitem__(self, key):
        return key


ALL = _Key()[:]


def const(value):
    """Return `value`; MicroPython's compiler puts it in place of the name."""
    return value


def ptr8(buffer):
    """Return `buffer`; in a viper kernel, the address of its first byte."""
    return buffer


def ptr16(buffer):
    """Return `buffer`; in a viper kernel, an address that steps in 16-bit units."""
    return buffer


def ptr32(buffer):
    """Return `buffer`; in a viper kernel, an address that steps in 32-bit units."""
    return buffer


def uint(value):
    """Return `value`; in a viper kernel, an unsigned 32-bit integer."""
    return value
