"""The ADXL355's registers, from the ADXL354/ADXL355 data sheet, Register Map.

A result is a 20-bit number in the upper bits of three bytes, most significant first; the four bits
below are 0, so one count of the whole word is a sixteenth of the datasheet's LSB. In the FIFO the
two lowest of them are markers (section FIFO Data). The first byte of an SPI transfer is the
address shifted left by one, with bit 0 set for a read.
"""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap
from drivers.spi_port import SpiDialect

DIALECT = SpiDialect(shift=1, read=0x01, write=0x00)

DEVID_AD = Register("devid_ad", 0x00, "B", reset=0xAD)
DEVID_MST = Register("devid_mst", 0x01, "B", reset=0x1D)
PARTID = Register("partid", 0x02, "B", reset=0xED)
REVID = Register("revid", 0x03, "B", reset=0x01)

STATUS = Register(
    "status",
    0x04,
    "B",
    fields=(
        Field("nvm_busy", 4, access=READ_ONLY),
        Field("activity", 3, access=READ_ONLY),
        Field("fifo_ovr", 2, access=READ_ONLY),
        Field("fifo_full", 1, access=READ_ONLY),
        Field("data_rdy", 0, access=READ_ONLY),
    ),
)

# How many results of one axis there are, 96 at most: 32 of all three.
FIFO_ENTRIES = Register(
    "fifo_entries", 0x05, "B", fields=(Field("entries", 0, 7, access=READ_ONLY),)
)
TEMP = Register("temp", 0x06, ">H", fields=(Field("temperature", 0, 12, access=READ_ONLY),))
XDATA = Register("xdata", 0x08, ">t")
YDATA = Register("ydata", 0x0B, ">t")
ZDATA = Register("zdata", 0x0E, ">t")
FIFO_DATA = Register("fifo_data", 0x11, "B")

FILTER = Register(
    "filter",
    0x28,
    "B",
    access=READ_WRITE,
    fields=(
        Field("hpf_corner", 4, 3),
        # Hertz of the output data rate; the low-pass filter is at a quarter of it.
        Field(
            "odr_lpf",
            0,
            4,
            settings={
                4000: 0, 2000: 1, 1000: 2, 500: 3, 250: 4, 125: 5, 62.5: 6, 31.25: 7, 15.625: 8,
                7.813: 9, 3.906: 10,
            },
        ),
    ),
)  # fmt: skip

FIFO_SAMPLES = Register(
    "fifo_samples", 0x29, "B", access=READ_WRITE, reset=0x60, fields=(Field("samples", 0, 7),)
)

RANGE = Register(
    "range",
    0x2C,
    "B",
    access=READ_WRITE,
    reset=0x81,
    fields=(
        Field("i2c_hs", 7),
        Field("int_pol", 6),
        # Full scale in g.
        Field("range", 0, 2, settings={2: 1, 4: 2, 8: 3}),
    ),
)

POWER_CTL = Register(
    "power_ctl",
    0x2D,
    "B",
    access=READ_WRITE,
    reset=0x01,
    fields=(Field("drdy_off", 2), Field("temp_off", 1), Field("standby", 0)),
)

SELF_TEST = Register(
    "self_test", 0x2E, "B", access=READ_WRITE, fields=(Field("st2", 1), Field("st1", 0))
)
RESET = Register("reset", 0x2F, "B", access=READ_WRITE)

MAP = RegisterMap(
    "adxl355",
    "ADXL354/ADXL355",
    (
        DEVID_AD, DEVID_MST, PARTID, REVID, STATUS, FIFO_ENTRIES, TEMP, XDATA, YDATA, ZDATA,
        FIFO_DATA, FILTER, FIFO_SAMPLES, RANGE, POWER_CTL, SELF_TEST, RESET,
    ),
    is_byte_addressed=True,
)  # fmt: skip

RESET_CODE = 0x52
FIFO_TRIPLES = 32
X_MARKER = 0x01
EMPTY_MARKER = 0x02

# Specifications, Sensitivity: counts of 20 bits a g, by full scale in g.
COUNTS_PER_G = {2: 256000, 4: 128000, 8: 64000}
STANDARD_GRAVITY_M_S2 = 9.80665

# Specifications, Temperature Sensor: output at 25 °C, and counts a degree.
TEMPERATURE_COUNTS_25_CELSIUS = 1885
TEMPERATURE_COUNTS_PER_CELSIUS = -9.05

# Specifications, Self Test, Output Change: typical, in g along x, y, z.
SELF_TEST_G = (0.3, 0.3, 1.5)
