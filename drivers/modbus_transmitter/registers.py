"""What a Modbus transmitter's registers can hold, from Modbus Application Protocol V1.1b3.

There is no map: which register holds what is the maker's, and stands in the site file as options
and as the argument of a channel. Registers are counted from 0, as in a request: 40001 of a manual
is holding register 0. The protocol fixes the order of the bytes in a register and not the order of
the registers of a 32-bit number.
"""

from drivers.errors import RegisterError
from drivers.registers import RegisterMap

MAP = RegisterMap("modbus_transmitter", "Modbus Application Protocol V1.1b3", ())

# Sections 6.3 and 6.4: function codes by table.
FUNCTIONS = {"holding": 3, "input": 4}
# `struct` code of a number whose most significant register comes first.
NUMBERS = {"float32": ">f", "int32": ">i", "uint32": ">I", "int16": ">h", "uint16": ">H"}
WORD_ORDERS = ("big", "little")


def setting(name: str, value, choices):
    """Return `value` when it is one of `choices`; `RegisterError` lists them."""
    if value in choices:
        return value
    listed = ", ".join(sorted(choices))
    raise RegisterError(f"modbus_transmitter: no {name} {value!r}, use one of {listed}")


def registers_of(number: str) -> int:
    """Return how many registers a number takes."""
    return 1 if number.endswith("16") else 2


def swapped(data):
    """Return four bytes with their two registers exchanged."""
    return bytes((data[2], data[3], data[0], data[1]))
