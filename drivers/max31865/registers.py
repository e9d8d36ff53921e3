"""The MAX31865's registers, from 19-6478 Rev 3, Internal Registers, tables 1 to 7.

SPI modes 1 and 3; a write has bit 7 of the address set (Serial Interface).
"""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap
from drivers.spi_port import SpiDialect

DIALECT = SpiDialect(shift=0, read=0x00, write=0x80)

CONFIGURATION = Register(
    "configuration",
    0x00,
    "B",
    access=READ_WRITE,
    fields=(
        Field("vbias", 7),
        Field("conversion_mode", 6, settings={"normally_off": 0, "auto": 1}),
        Field("one_shot", 5),
        Field("three_wire", 4),
        Field("fault_detection", 2, 2, settings={"none": 0, "automatic": 1}),
        Field("fault_status_clear", 1),
        # Hertz of the mains that the filter removes.
        Field("filter", 0, settings={60: 0, 50: 1}),
    ),
)

# Bit 0 says that a fault has been latched; above it stands the ratio of RTD to reference in 2^-15.
RTD = Register(
    "rtd",
    0x01,
    ">H",
    fields=(Field("ratio", 1, 15, access=READ_ONLY), Field("fault", 0, access=READ_ONLY)),
)

HIGH_FAULT_THRESHOLD = Register("high_fault_threshold", 0x03, ">H", access=READ_WRITE, reset=0xFFFF)
LOW_FAULT_THRESHOLD = Register("low_fault_threshold", 0x05, ">H", access=READ_WRITE)

FAULT_STATUS = Register(
    "fault_status",
    0x07,
    "B",
    fields=(
        Field("rtd_high_threshold", 7, access=READ_ONLY),
        Field("rtd_low_threshold", 6, access=READ_ONLY),
        Field("refin_high", 5, access=READ_ONLY),
        Field("refin_low_force_open", 4, access=READ_ONLY),
        Field("rtdin_low_force_open", 3, access=READ_ONLY),
        Field("voltage", 2, access=READ_ONLY),
    ),
)

MAP = RegisterMap(
    "max31865",
    "19-6478 Rev 3",
    (CONFIGURATION, RTD, HIGH_FAULT_THRESHOLD, LOW_FAULT_THRESHOLD, FAULT_STATUS),
    is_byte_addressed=True,
)

RATIO_COUNTS = 32768

# Electrical Characteristics, tCONV: microseconds by the filter's hertz; a first or single
# conversion, then one of the following in automatic mode; typical, and the maximum.
SINGLE_US = {50: 62500, 60: 52000}
SINGLE_MAX_US = {50: 66000, 60: 55000}
FOLLOWING_US = {50: 20000, 60: 16700}

# IEC 60751: R(t) = R0 (1 + A t + B t^2 + C (t - 100) t^3), the last term below 0 °C only.
CVD_A = 3.9083e-3
CVD_B = -5.775e-7
CVD_C = -4.183e-12
CELSIUS_MIN = -200
CELSIUS_MAX = 850
