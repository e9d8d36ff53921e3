"""The LSM6DSOX's accelerometer registers, from DS12814, section 9.

Output data rates and full scales agree with ST's own driver header (lsm6dsox_reg.h): code 8 is
1.66 kHz, code 1 of the full scale is 16 g. The 1.6 Hz of code 11 is left out: it exists in
low-power mode only, which this part of the map cannot select. A register that the datasheet shows
as two bytes, low byte first, is one here.
"""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap

# FIFO_CTRL1 and the FIFO_CTRL2 behind it; the watermark reaches over both.
FIFO_CTRL1 = Register(
    "fifo_ctrl1",
    0x07,
    "<H",
    access=READ_WRITE,
    fields=(
        Field("stop_on_wtm", 15),
        Field("fifo_compr_rt_en", 14),
        Field("odrchg_en", 12),
        Field("uncoptr_rate", 9, 2),
        Field("wtm", 0, 9),
    ),
)

FIFO_CTRL3 = Register(
    "fifo_ctrl3",
    0x09,
    "B",
    access=READ_WRITE,
    fields=(
        Field("bdr_gy", 4, 4),
        # Hertz, as 12.5 doubled again and again: within 0.1 % of the names in ST's header.
        Field(
            "bdr_xl",
            0,
            4,
            settings={
                0: 0, 12.5: 1, 26: 2, 52: 3, 104: 4, 208: 5, 416: 6, 833: 7, 1666: 8, 3332: 9,
                6664: 10,
            },
        ),
    ),
)  # fmt: skip

FIFO_CTRL4 = Register(
    "fifo_ctrl4",
    0x0A,
    "B",
    access=READ_WRITE,
    fields=(
        Field("odr_ts_batch", 6, 2),
        Field("odr_t_batch", 4, 2),
        Field("fifo_mode", 0, 3, settings={"bypass": 0, "fifo": 1, "continuous": 6}),
    ),
)

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

CTRL5_C = Register(
    "ctrl5_c",
    0x14,
    "B",
    access=READ_WRITE,
    fields=(
        Field("xl_ulp_en", 7),
        Field("rounding", 5, 2),
        Field("rounding_status", 4),
        Field("st_g", 2, 2),
        Field("st_xl", 0, 2, settings={"off": 0, "positive": 1, "negative": 2}),
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

# FIFO_STATUS1 and the FIFO_STATUS2 behind it.
FIFO_STATUS1 = Register(
    "fifo_status1",
    0x3A,
    "<H",
    fields=(
        Field("fifo_wtm_ia", 15, access=READ_ONLY),
        Field("fifo_ovr_ia", 14, access=READ_ONLY),
        Field("fifo_full_ia", 13, access=READ_ONLY),
        Field("counter_bdr_ia", 12, access=READ_ONLY),
        Field("over_run_latched", 11, access=READ_ONLY),
        Field("diff_fifo", 0, 10, access=READ_ONLY),
    ),
)

FIFO_DATA_OUT_TAG = Register(
    "fifo_data_out_tag",
    0x78,
    "B",
    fields=(
        Field("tag_sensor", 3, 5, access=READ_ONLY, settings={"gyro_nc": 1, "xl_nc": 2}),
        Field("tag_cnt", 1, 2, access=READ_ONLY),
        Field("tag_parity", 0, access=READ_ONLY),
    ),
)
FIFO_DATA_OUT_X = Register("fifo_data_out_x", 0x79, "<h")
FIFO_DATA_OUT_Y = Register("fifo_data_out_y", 0x7B, "<h")
FIFO_DATA_OUT_Z = Register("fifo_data_out_z", 0x7D, "<h")

MAP = RegisterMap(
    "lsm6dsox",
    "DS12814",
    (
        FIFO_CTRL1, FIFO_CTRL3, FIFO_CTRL4, WHO_AM_I, CTRL1_XL, CTRL3_C, CTRL5_C, STATUS_REG,
        OUTX_A, OUTY_A, OUTZ_A, FIFO_STATUS1, FIFO_DATA_OUT_TAG, FIFO_DATA_OUT_X, FIFO_DATA_OUT_Y,
        FIFO_DATA_OUT_Z,
    ),
    is_byte_addressed=True,
)  # fmt: skip

# Section 6, FIFO: 3 kB without compression, a tag and six bytes for each result.
FIFO_WORDS = 512
FIFO_WORD_BYTES = 7
# Section 4.1, LA_ST: the change that the self-test makes, in milli-g, at least and at most.
SELF_TEST_MILLI_G = (50, 1700)

# Section 4.1, Mechanical characteristics, LA_So: milli-g a count, by full scale in g.
SENSITIVITY_MILLI_G = {2: 0.061, 4: 0.122, 8: 0.244, 16: 0.488}
STANDARD_GRAVITY_M_S2 = 9.80665
