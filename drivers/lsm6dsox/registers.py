"""The LSM6DSOX's accelerometer registers, from DS12814, section 9.

Output data rates and full scales agree with ST's own driver header (lsm6dsox_reg.h): code 8 is
1.66 kHz, code 1 of the full scale is 16 g. The 1.6 Hz of code 11 is left out: it exists in
low-power mode only, which this part of the map cannot select.
"""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap

WHO_AM_I = Register("who_am_i", 0x0F, "B", reset=0x6C)

CTRL1_XL = Register(
    "ctrl1_xl",
    0x10,
    "B",
    access=READ_WRITE,
    fields=(
        # Hertz; 0 is power-down.
        Field(
            "odr_xl",
            4,
            4,
            settings={
                0: 0, 12.5: 1, 26: 2, 52: 3, 104: 4, 208: 5, 416: 6, 833: 7, 1660: 8, 3330: 9,
                6660: 10,
            },
        ),
        # Full scale in g; these codes hold while XL_FS_MODE of CTRL8_XL is 0, as after reset.
        Field("fs_xl", 2, 2, settings={2: 0, 16: 1, 4: 2, 8: 3}),
        Field("lpf2_xl_en", 1),
    ),
)  # fmt: skip

CTRL3_C = Register(
    "ctrl3_c",
    0x12,
    "B",
    access=READ_WRITE,
    reset=0x04,
    fields=(
        Field("boot", 7),
        Field("bdu", 6),
        Field("h_lactive", 5),
        Field("pp_od", 4),
        Field("sim", 3),
        Field("if_inc", 2),
        Field("sw_reset", 0),
    ),
)

STATUS_REG = Register(
    "status_reg",
    0x1E,
    "B",
    fields=(
        Field("tda", 2, access=READ_ONLY),
        Field("gda", 1, access=READ_ONLY),
        Field("xlda", 0, access=READ_ONLY),
    ),
)

# Each is a pair of registers, OUTX_L_A and OUTX_H_A and so on, low byte first.
OUTX_A = Register("outx_a", 0x28, "<h")
OUTY_A = Register("outy_a", 0x2A, "<h")
OUTZ_A = Register("outz_a", 0x2C, "<h")

MAP = RegisterMap(
    "lsm6dsox",
    "DS12814",
    (WHO_AM_I, CTRL1_XL, CTRL3_C, STATUS_REG, OUTX_A, OUTY_A, OUTZ_A),
    is_byte_addressed=True,
)

# Section 4.1, Mechanical characteristics, LA_So: milli-g a count, by full scale in g.
SENSITIVITY_MILLI_G = {2: 0.061, 4: 0.122, 8: 0.244, 16: 0.488}
STANDARD_GRAVITY_M_S2 = 9.80665
