"""The MCP9600's registers, from DS20005426 (revision C of 2017), section 5, registers 5-2 to 5-12.

The raw ADC and the alert registers are left out. T_H, T_delta and T_C are the datasheet's symbols.
"""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap

# Registers 5-2 to 5-4: the least significant bit is 0.0625 °C.
T_H = Register("t_h", 0x00, ">h", lsb=0.0625)
T_DELTA = Register("t_delta", 0x01, ">h", lsb=0.0625)
T_C = Register("t_c", 0x02, ">h", lsb=0.0625)

STATUS = Register(
    "status",
    0x04,
    "B",
    access=READ_WRITE,
    fields=(
        Field("burst_complete", 7),
        Field("th_update", 6),
        Field("input_range", 4, access=READ_ONLY),
        Field("alert_4_status", 3, access=READ_ONLY),
        Field("alert_3_status", 2, access=READ_ONLY),
        Field("alert_2_status", 1, access=READ_ONLY),
        Field("alert_1_status", 0, access=READ_ONLY),
    ),
)

SENSOR_CONFIGURATION = Register(
    "sensor_configuration",
    0x05,
    "B",
    access=READ_WRITE,
    fields=(
        Field(
            "thermocouple_type",
            4,
            3,
            settings={"K": 0, "J": 1, "T": 2, "N": 3, "S": 4, "E": 5, "B": 6, "R": 7},
        ),
        Field("filter_coefficient", 0, 3),
    ),
)

DEVICE_CONFIGURATION = Register(
    "device_configuration",
    0x06,
    "B",
    access=READ_WRITE,
    fields=(
        # Degrees Celsius a count.
        Field("cold_junction_resolution", 7, settings={0.0625: 0, 0.25: 1}),
        # Bits of the converter.
        Field("adc_resolution", 5, 2, settings={18: 0, 16: 1, 14: 2, 12: 3}),
        Field("burst_samples", 2, 3),
        Field("mode", 0, 2, settings={"normal": 0, "shutdown": 1, "burst": 2}),
    ),
)

DEVICE_ID = Register(
    "device_id",
    0x20,
    ">H",
    reset=0x4010,
    fields=(
        Field("id", 8, 8, READ_ONLY),
        Field("major", 4, 4, READ_ONLY),
        Field("minor", 0, 4, READ_ONLY),
    ),
)

MAP = RegisterMap(
    "mcp9600",
    "DS20005426",
    (T_H, T_DELTA, T_C, STATUS, SENSOR_CONFIGURATION, DEVICE_CONFIGURATION, DEVICE_ID),
)

# Typical times by bits of the converter (section 5.2.3), by cold-junction resolution (table 5-2).
CONVERSION_US = {18: 320000, 16: 80000, 14: 20000, 12: 5000}
COLD_JUNCTION_US = {0.0625: 250000, 0.25: 63000}
