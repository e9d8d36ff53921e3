"""The LSM303DLHC's magnetometer registers, from Doc ID 018771, section 7.2.

The outputs stand in the order X, Z, Y, most significant byte first. The field's outputs are 12-bit
numbers with their sign in all upper bits; the temperature stands in the upper 12 of its 16 bits.
"""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap

CRA_REG = Register(
    "cra_reg",
    0x00,
    "B",
    access=READ_WRITE,
    reset=0x10,
    fields=(
        Field("temp_en", 7),
        # Hertz.
        Field(
            "do",
            2,
            3,
            settings={0.75: 0, 1.5: 1, 3.0: 2, 7.5: 3, 15: 4, 30: 5, 75: 6, 220: 7},
        ),
    ),
)

CRB_REG = Register(
    "crb_reg",
    0x01,
    "B",
    access=READ_WRITE,
    reset=0x20,
    # Full scale in gauss.
    fields=(Field("gn", 5, 3, settings={1.3: 1, 1.9: 2, 2.5: 3, 4.0: 4, 4.7: 5, 5.6: 6, 8.1: 7}),),
)

MR_REG = Register(
    "mr_reg",
    0x02,
    "B",
    access=READ_WRITE,
    reset=0x03,
    fields=(Field("md", 0, 2, settings={"continuous": 0, "single": 1, "sleep": 3}),),
)

OUT_X = Register("out_x", 0x03, ">h")
OUT_Z = Register("out_z", 0x05, ">h")
OUT_Y = Register("out_y", 0x07, ">h")

SR_REG = Register(
    "sr_reg",
    0x09,
    "B",
    fields=(Field("lock", 1, access=READ_ONLY), Field("drdy", 0, access=READ_ONLY)),
)

IRA_REG = Register("ira_reg", 0x0A, "B", reset=0x48)
IRB_REG = Register("irb_reg", 0x0B, "B", reset=0x34)
IRC_REG = Register("irc_reg", 0x0C, "B", reset=0x33)

# 8 counts a degree in the upper 12 bits.
TEMP_OUT = Register("temp_out", 0x31, ">h", lsb=1 / 128)

MAP = RegisterMap(
    "lsm303dlhc",
    "Doc ID 018771",
    (
        CRA_REG, CRB_REG, MR_REG, OUT_X, OUT_Z, OUT_Y, SR_REG, IRA_REG, IRB_REG, IRC_REG, TEMP_OUT,
    ),
    is_byte_addressed=True,
)  # fmt: skip

# Table 75, Gain setting: counts a gauss along X and Y, and along Z, by full scale in gauss.
COUNTS_PER_GAUSS = {
    1.3: (1100, 980),
    1.9: (855, 760),
    2.5: (670, 600),
    4.0: (450, 400),
    4.7: (400, 355),
    5.6: (330, 295),
    8.1: (230, 205),
}
GAUSS_TESLA = 1e-4
# What an axis shows whose field is beyond the full scale.
OVERFLOW = -4096
