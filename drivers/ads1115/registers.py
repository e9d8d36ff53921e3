"""The ADS1115's registers, from SBAS444D (January 2018), section 9.6, Register Map."""

from drivers.registers import READ_WRITE, Field, Register, RegisterMap

CONVERSION = Register("conversion", 0x00, ">h")

CONFIG = Register(
    "config",
    0x01,
    ">H",
    access=READ_WRITE,
    reset=0x8583,
    fields=(
        Field("os", 15),
        # Inputs against ground; codes 0 .. 3 are pairs of inputs.
        Field("mux", 12, 3, settings={0: 4, 1: 5, 2: 6, 3: 7}),
        # Full scale in volts; codes 6 and 7 repeat 0.256 V.
        Field("pga", 9, 3, settings={6.144: 0, 4.096: 1, 2.048: 2, 1.024: 3, 0.512: 4, 0.256: 5}),
        Field("mode", 8, settings={"continuous": 0, "single_shot": 1}),
        # Samples a second.
        Field("dr", 5, 3, settings={8: 0, 16: 1, 32: 2, 64: 3, 128: 4, 250: 5, 475: 6, 860: 7}),
        Field("comp_mode", 4),
        Field("comp_pol", 3),
        Field("comp_lat", 2),
        Field("comp_que", 0, 2, settings={"disabled": 3}),
    ),
)

LO_THRESH = Register("lo_thresh", 0x02, ">h", access=READ_WRITE, reset=0x8000)
HI_THRESH = Register("hi_thresh", 0x03, ">h", access=READ_WRITE, reset=0x7FFF)

MAP = RegisterMap("ads1115", "SBAS444D", (CONVERSION, CONFIG, LO_THRESH, HI_THRESH))

# Section 9.3.3, Full-Scale Range and Corresponding LSB Size: full scale over 2 to the 15th.
COUNTS = 32768
INPUTS = 4
