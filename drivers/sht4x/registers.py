"""The SHT4x's commands, from its data sheet, version 6 (February 2023).

Section 4.5, Command Overview, has the bytes; section 3.1, Timings, the durations (maxima;
that of the serial number is from Sensirion's own driver, SHT4X_CMD_DURATION_USEC); section
4.6, Conversion of Signal Output, the scales. The heater commands are not declared.
"""

from drivers.commands import Command, CommandMap

MEASURE_HIGH = Command("measure_high", 0xFD, 2, 8300)
MEASURE_MEDIUM = Command("measure_medium", 0xF6, 2, 4500)
MEASURE_LOW = Command("measure_low", 0xE0, 2, 1600)
READ_SERIAL = Command("read_serial", 0x89, 2, 1000)
SOFT_RESET = Command("soft_reset", 0x94, 0, 1000)

MAP = CommandMap(
    "sht4x",
    "Datasheet SHT4x, version 6",
    (MEASURE_HIGH, MEASURE_MEDIUM, MEASURE_LOW, READ_SERIAL, SOFT_RESET),
)

PRECISIONS = {"high": MEASURE_HIGH, "medium": MEASURE_MEDIUM, "low": MEASURE_LOW}

# Section 4.6: value = OFFSET + SPAN * word / 65535; the temperature is the first word.
COUNTS = 65535
TEMPERATURE_OFFSET_CELSIUS = -45
TEMPERATURE_SPAN_CELSIUS = 175
HUMIDITY_OFFSET_PERCENT_RH = -6
HUMIDITY_SPAN_PERCENT_RH = 125
