"""The TMP105's registers, from SLLS648D, sections Pointer Register to Limit Registers.

The temperature stands in the upper 12 bits of its two bytes; the four below are always 0, so one
count of the whole word is 1/256 °C whatever the resolution.
"""

from drivers.registers import READ_WRITE, Field, Register, RegisterMap

_LSB_CELSIUS = 1 / 256

TEMPERATURE = Register("temperature", 0x00, ">h", lsb=_LSB_CELSIUS)

CONFIGURATION = Register(
    "configuration",
    0x01,
    "B",
    access=READ_WRITE,
    fields=(
        Field("os", 7),
        # Bits of the converter.
        Field("r", 5, 2, settings={9: 0, 10: 1, 11: 2, 12: 3}),
        # Consecutive faults that make an alert.
        Field("f", 3, 2, settings={1: 0, 2: 1, 4: 2, 6: 3}),
        Field("pol", 2),
        Field("tm", 1),
        Field("sd", 0),
    ),
)

T_LOW = Register("t_low", 0x02, ">h", access=READ_WRITE, reset=0x4B00, lsb=_LSB_CELSIUS)
T_HIGH = Register("t_high", 0x03, ">h", access=READ_WRITE, reset=0x5000, lsb=_LSB_CELSIUS)

MAP = RegisterMap("tmp105", "SLLS648D", (TEMPERATURE, CONFIGURATION, T_LOW, T_HIGH))

# Electrical Characteristics, conversion time: typical by bits, and the maximum at 12 bits,
# which halves with each bit less.
CONVERSION_US = {9: 27500, 10: 55000, 11: 110000, 12: 220000}
CONVERSION_MAX_US = {9: 37500, 10: 75000, 11: 150000, 12: 300000}
