"""The BME280's registers, from BST-BME280-DS001, section 5.3 and table 16.

The trimming words differ from chip to chip. Their reset values here are those of one specimen,
published with its raw results (datasheet.csv names it); an emulated chip has them.
"""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap

_OVERSAMPLING = {0: 0, 1: 1, 2: 2, 4: 3, 8: 4, 16: 5}

ID = Register("id", 0xD0, "B", reset=0x60)
RESET = Register("reset", 0xE0, "B", access=READ_WRITE)
CTRL_HUM = Register(
    "ctrl_hum",
    0xF2,
    "B",
    access=READ_WRITE,
    fields=(Field("osrs_h", 0, 3, settings=_OVERSAMPLING),),
)
STATUS = Register(
    "status",
    0xF3,
    "B",
    fields=(Field("measuring", 3, access=READ_ONLY), Field("im_update", 0, access=READ_ONLY)),
)
CTRL_MEAS = Register(
    "ctrl_meas",
    0xF4,
    "B",
    access=READ_WRITE,
    fields=(
        Field("osrs_t", 5, 3, settings=_OVERSAMPLING),
        Field("osrs_p", 2, 3, settings=_OVERSAMPLING),
        Field("mode", 0, 2, settings={"sleep": 0, "forced": 1, "normal": 3}),
    ),
)
CONFIG = Register(
    "config",
    0xF5,
    "B",
    access=READ_WRITE,
    fields=(
        # Milliseconds between measurements.
        Field(
            "t_sb",
            5,
            3,
            settings={0.5: 0, 62.5: 1, 125: 2, 250: 3, 500: 4, 1000: 5, 10: 6, 20: 7},
        ),
        Field("filter", 2, 3, settings={0: 0, 2: 1, 4: 2, 8: 3, 16: 4}),
        Field("spi3w_en", 0),
    ),
)

# Each is a 20-bit number in the upper bits of three bytes, and the humidity 16 bits.
PRESS = Register("press", 0xF7, ">T", reset=0x800000)
TEMP = Register("temp", 0xFA, ">T", reset=0x800000)
HUM = Register("hum", 0xFD, ">H", reset=0x8000)

DIG_T1 = Register("dig_t1", 0x88, "<H", reset=28009)
DIG_T2 = Register("dig_t2", 0x8A, "<h", reset=25654)
DIG_T3 = Register("dig_t3", 0x8C, "<h", reset=50)
DIG_P1 = Register("dig_p1", 0x8E, "<H", reset=39145)
DIG_P2 = Register("dig_p2", 0x90, "<h", reset=-10750 & 0xFFFF)
DIG_P3 = Register("dig_p3", 0x92, "<h", reset=3024)
DIG_P4 = Register("dig_p4", 0x94, "<h", reset=5667)
DIG_P5 = Register("dig_p5", 0x96, "<h", reset=-120 & 0xFFFF)
DIG_P6 = Register("dig_p6", 0x98, "<h", reset=-7 & 0xFFFF)
DIG_P7 = Register("dig_p7", 0x9A, "<h", reset=15500)
DIG_P8 = Register("dig_p8", 0x9C, "<h", reset=-14600 & 0xFFFF)
DIG_P9 = Register("dig_p9", 0x9E, "<h", reset=6000)
DIG_H1 = Register("dig_h1", 0xA1, "B", reset=75)
DIG_H2 = Register("dig_h2", 0xE1, "<h", reset=376)
DIG_H3 = Register("dig_h3", 0xE3, "B", reset=0)
# Two signed 12-bit words in three bytes: the upper eight bits of each, and a byte of both rests.
DIG_H4 = Register("dig_h4", 0xE4, "b", reset=286 >> 4)
DIG_H4_H5 = Register(
    "dig_h4_h5",
    0xE5,
    "B",
    reset=(286 & 15) | ((50 & 15) << 4),
    fields=(Field("h5", 4, 4, access=READ_ONLY), Field("h4", 0, 4, access=READ_ONLY)),
)
DIG_H5 = Register("dig_h5", 0xE6, "b", reset=50 >> 4)
DIG_H6 = Register("dig_h6", 0xE7, "b", reset=30)

PRESSURE_WORDS = (DIG_P1, DIG_P2, DIG_P3, DIG_P4, DIG_P5, DIG_P6, DIG_P7, DIG_P8, DIG_P9)

MAP = RegisterMap(
    "bme280",
    "BST-BME280-DS001",
    (ID, RESET, CTRL_HUM, STATUS, CTRL_MEAS, CONFIG, PRESS, TEMP, HUM, DIG_T1, DIG_T2, DIG_T3)
    + PRESSURE_WORDS
    + (DIG_H1, DIG_H2, DIG_H3, DIG_H4, DIG_H4_H5, DIG_H5, DIG_H6),
    is_byte_addressed=True,
)

RESET_CODE = 0xB6


def measurement_us(osrs_t: int, osrs_p: int, osrs_h: int, is_slowest: bool) -> int:
    """Return how long one measurement takes, section 9.1, typical or at most."""
    base, each, extra = (1250, 2300, 575) if is_slowest else (1000, 2000, 500)
    duration_us = base + each * osrs_t
    for oversampling in (osrs_p, osrs_h):
        if oversampling:
            duration_us += each * oversampling + extra
    return duration_us
