"""The TMP117's registers, from SNOSD82D (September 2022), section 7.6, Register Map.

The EEPROM registers are left out: nothing here unlocks or writes them.
"""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap

# Counts are 7.8125 m°C each: section 7.3.3, table 7-1.
TEMP_RESULT = Register("temp_result", 0x00, ">h", reset=0x8000, lsb=0.0078125)

CONFIGURATION = Register(
    "configuration",
    0x01,
    ">H",
    access=READ_WRITE,
    reset=0x0220,
    fields=(
        Field("high_alert", 15, access=READ_ONLY),
        Field("low_alert", 14, access=READ_ONLY),
        Field("data_ready", 13, access=READ_ONLY),
        Field("eeprom_busy", 12, access=READ_ONLY),
        Field("mod", 10, 2, settings={"continuous": 0, "shutdown": 1, "one_shot": 3}),
        Field("conv", 7, 3),
        Field("avg", 5, 2, settings={1: 0, 8: 1, 32: 2, 64: 3}),
        Field("t_na", 4),
        Field("pol", 3),
        Field("dr_alert", 2),
        Field("soft_reset", 1),
    ),
)

THIGH_LIMIT = Register("thigh_limit", 0x02, ">h", access=READ_WRITE, reset=0x6000, lsb=0.0078125)
TLOW_LIMIT = Register("tlow_limit", 0x03, ">h", access=READ_WRITE, reset=0x8000, lsb=0.0078125)

DEVICE_ID = Register(
    "device_id",
    0x0F,
    ">H",
    reset=0x0117,
    fields=(Field("rev", 12, 4, READ_ONLY), Field("did", 0, 12, READ_ONLY)),
)

MAP = RegisterMap(
    "tmp117", "SNOSD82D", (TEMP_RESULT, CONFIGURATION, THIGH_LIMIT, TLOW_LIMIT, DEVICE_ID)
)

# Section 7.6, Conversion Cycle Time in CC Mode: the longer of what CONV and what AVG ask for.
CYCLE_US_BY_CONV = (15500, 125000, 250000, 500000, 1000000, 4000000, 8000000, 16000000)
CYCLE_US_BY_AVG = (15500, 125000, 500000, 1000000)
CONVERSION_US = 15500
