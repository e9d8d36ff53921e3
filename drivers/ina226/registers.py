"""The INA226's registers, from SBOS547B (September 2024), section 7.1, Register Maps, table 7-1."""

from drivers.registers import READ_ONLY, READ_WRITE, Field, Register, RegisterMap

_CONVERSION_TIMES_US = {
    140: 0, 204: 1, 332: 2, 588: 3, 1100: 4, 2116: 5, 4156: 6, 8244: 7,
}  # fmt: skip

CONFIGURATION = Register(
    "configuration",
    0x00,
    ">H",
    access=READ_WRITE,
    reset=0x4127,
    fields=(
        Field("rst", 15),
        Field("avg", 9, 3, settings={1: 0, 4: 1, 16: 2, 64: 3, 128: 4, 256: 5, 512: 6, 1024: 7}),
        Field("vbusct", 6, 3, settings=_CONVERSION_TIMES_US),
        Field("vshct", 3, 3, settings=_CONVERSION_TIMES_US),
        Field("mode", 0, 3, settings={"power_down": 0, "shunt_and_bus_continuous": 7}),
    ),
)

# Sections 7.1.2 and 7.1.3: 2.5 uV and 1.25 mV a count; bit 15 of the bus voltage is always 0.
SHUNT_VOLTAGE = Register("shunt_voltage", 0x01, ">h", lsb=2.5e-6)
BUS_VOLTAGE = Register("bus_voltage", 0x02, ">H", lsb=1.25e-3)
POWER = Register("power", 0x03, ">H")
CURRENT = Register("current", 0x04, ">h")
CALIBRATION = Register("calibration", 0x05, ">H", access=READ_WRITE, fields=(Field("fs", 0, 15),))

MASK_ENABLE = Register(
    "mask_enable",
    0x06,
    ">H",
    access=READ_WRITE,
    fields=(
        Field("sol", 15),
        Field("sul", 14),
        Field("bol", 13),
        Field("bul", 12),
        Field("pol", 11),
        Field("cnvr", 10),
        Field("aff", 4, access=READ_ONLY),
        Field("cvrf", 3, access=READ_ONLY),
        Field("ovf", 2, access=READ_ONLY),
        Field("apol", 1),
        Field("len", 0),
    ),
)

ALERT_LIMIT = Register("alert_limit", 0x07, ">H", access=READ_WRITE)
MANUFACTURER_ID = Register("manufacturer_id", 0xFE, ">H", reset=0x5449)
DIE_ID = Register(
    "die_id",
    0xFF,
    ">H",
    reset=0x2260,
    fields=(Field("did", 4, 12, READ_ONLY), Field("rid", 0, 4, READ_ONLY)),
)

MAP = RegisterMap(
    "ina226",
    "SBOS547B",
    (
        CONFIGURATION,
        SHUNT_VOLTAGE,
        BUS_VOLTAGE,
        POWER,
        CURRENT,
        CALIBRATION,
        MASK_ENABLE,
        ALERT_LIMIT,
        MANUFACTURER_ID,
        DIE_ID,
    ),
)
