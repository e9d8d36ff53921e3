"""The features of a waveform: from the configuration to chip, axes, bands and channel names.

Promises: `channels_of` never raises, so a node with a wrong waveform can still be put together;
`build` refuses what cannot be run with a ConfigError that names it.  Needed for the start alone: a
board forgets this file afterwards, and nothing that stays refers to it.
"""

from array import array

from firmware import fields as check
from firmware.errors import ConfigError
from firmware.features_axis import Axis
from firmware.features_bands import Bands
from firmware.features_block import Block
from firmware.features_velocity import VELOCITY
from firmware.parts import find_bus, find_driver

AXES = ("x", "y", "z")
FEATURES = ("rms", "peak", "crest", "kurtosis", "velocity_rms", "band")
UNITS = {
    "rms": "m/s2",
    "peak": "m/s2",
    "crest": "/",
    "kurtosis": "/",
    "velocity_rms": "m/s",
    "band": "m/s2",
}
FEATURES_MAX = 40
_FIFO_BITS, _FIFO_TRIPLES = 20, 32
"""Of a driver that does not say: width of a count, depth of the FIFO."""


def build(table, hal) -> "tuple":
    """(chip, not started yet, the Block of its features, depth of its FIFO), or ConfigError."""
    driver = find_driver(table["part"])
    # Differences of two counts need a bit more than a count.
    narrow_bits = max(getattr(driver, "FIFO_BITS", _FIFO_BITS) - 15, 0)
    features = parse_features(table)
    bands = bands_of(features, table)
    axes = axes_of(features, table["rate_hz"], narrow_bits, bands)
    bus = find_bus(hal, driver, table["bus"])
    try:
        chip = driver(bus, table["address"], sleep_us=hal.sleep_us, **table["options"])
    except (TypeError, ValueError) as error:
        raise ConfigError("options of %s: %s" % (table["part"], error)) from None
    # Axis, feature and number of the band in its axis, as features_block.py takes them apart.
    codes = array("H")
    for axis, feature, band, _ in features:
        codes.append(axis + 4 * FEATURES.index(feature) + 64 * band)
    triples = getattr(driver, "FIFO_TRIPLES", _FIFO_TRIPLES)
    return chip, Block(axes, bands, codes, narrow_bits), triples


def channels_of(table) -> "list":
    """[(name, unit)] of the features, in their order; at least one."""
    listed = table.get("features")
    found = [
        (item["name"], UNITS.get(str(item.get("feature")), "/"))
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict) and isinstance(item.get("name"), str)
    ]
    return found or [(table["name"], "/")]


def parse_features(table) -> "list":
    """[(axis 0 to 2, feature, number of the band in its axis, (low_hz, high_hz))] of a waveform."""
    listed = table["features"]
    if not isinstance(listed, list) or not 0 < len(listed) <= FEATURES_MAX:
        raise ConfigError("features: a list of 1 to %d is needed" % FEATURES_MAX)
    found = []
    bands = [0, 0, 0]
    for index, item in enumerate(listed):
        axis, feature, band = _feature(item, "features[%d]" % index, table["rate_hz"])
        found.append((axis, feature, bands[axis], band))
        if feature == "band":
            bands[axis] += 1
    return found


def _feature(item, where: str, rate_hz: int) -> "tuple":
    if not isinstance(item, dict):
        raise ConfigError("%s: a table is needed" % where)
    for key in item:
        if key not in ("name", "axis", "feature", "low_hz", "high_hz"):
            raise ConfigError("%s: unknown key %s" % (where, key))
    check.text(item, "name", where)
    axis, feature = item.get("axis"), item.get("feature")
    if axis not in AXES:
        raise ConfigError("%s.axis: %r is none of x, y, z" % (where, axis))
    if feature not in UNITS:
        raise ConfigError("%s.feature: %r is none of %s" % (where, feature, ", ".join(UNITS)))
    if feature == "velocity_rms" and rate_hz not in VELOCITY:
        rates = ", ".join([str(rate) for rate in sorted(VELOCITY)])
        raise ConfigError("%s: velocity_rms needs a rate_hz of %s" % (where, rates))
    band = None
    if feature == "band":
        band = check.number(item, "low_hz", where), check.number(item, "high_hz", where)
        if not 0 < band[0] < band[1] < rate_hz / 2:
            raise ConfigError("%s: 0 < low_hz < high_hz < rate_hz / 2 is needed" % where)
    return AXES.index(axis), feature, band


def bands_of(features, table):
    """The Bands of all axes, or None when no feature is one."""
    axes = [[], [], []]
    for axis, feature, _, band in features:
        if feature == "band":
            axes[axis].append(band)
    if axes == [[], [], []]:
        return None
    return Bands(axes, table["rate_hz"], table["block_samples"])


def axes_of(features, rate_hz: int, narrow_bits: int, bands) -> "list":
    """The three Axis objects, None where an axis has no feature."""
    axes = []
    for index in range(3):
        wanted = {feature for axis, feature, _, _ in features if axis == index}
        velocity = VELOCITY[rate_hz] if "velocity_rms" in wanted else None
        keep = None if bands is None else bands.keeper(index)
        has_kurtosis = "kurtosis" in wanted
        axes.append(Axis(index, narrow_bits, keep, velocity, has_kurtosis) if wanted else None)
    return axes
