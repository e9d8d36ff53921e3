"""Channels: which reading of which chip, through which filter.

Promises: `Sampler.start()` starts each chip once, however many channels it has; `sample()` reads
every channel once, in the order of the configuration.  Where bytes become numbers is the driver's
business (drivers/<part>/driver.py); this module looks a driver up by its part number.
"""

from firmware.errors import ConfigError
from firmware.filter import FILTERS


class Sampler:
    """All channels of a node."""

    def __init__(self, channels, hal) -> None:
        self._hal = hal
        self._channels = channels
        self._chips = {}
        self._lanes = []

    def start(self) -> None:
        """Find, identify and configure every chip; DriverError names the one that fails."""
        buses = {}
        for channel in self._channels:
            if channel.bus not in buses:
                buses[channel.bus] = self._hal.i2c(channel.bus)
            place = (channel.bus, channel.address)
            if place not in self._chips:
                chip = _driver(channel.part)(
                    buses[channel.bus],
                    channel.address,
                    sleep_us=self._hal.sleep_us,
                    **channel.options,
                )
                chip.start()
                self._chips[place] = chip
            self._lanes.append(_Lane(self._chips[place], channel))

    def sample(self) -> None:
        """Read every channel once."""
        for lane in self._lanes:
            lane.sample()

    def take(self) -> "list[float]":
        """The value of every channel for the block that ends here, in the order of channels."""
        return [lane.take() for lane in self._lanes]


class _Lane:
    """One channel: value = gain * reading + offset, filtered."""

    def __init__(self, chip, channel) -> None:
        if not hasattr(chip, channel.reading):
            raise ConfigError(
                "channel %s: part %s has no reading %s"
                % (channel.name, channel.part, channel.reading)
            )
        self._read = getattr(chip, channel.reading)
        picks = isinstance(channel.argument, str)
        self._part = channel.argument if picks else None
        self._argument = None if picks else channel.argument
        self._gain = channel.gain
        self._offset = channel.offset
        self._is_scaled = channel.gain != 1.0 or channel.offset != 0.0
        filtering = FILTERS[channel.filter]()
        self._add = filtering.add
        self.take = filtering.take

    def sample(self) -> None:
        value = self._read() if self._argument is None else self._read(self._argument)
        if self._part is not None:
            value = getattr(value, self._part)
        if self._is_scaled:
            value = self._gain * value + self._offset
        self._add(value)


def _driver(part: str):
    try:
        module = __import__("drivers.%s.driver" % part, None, None, ("DRIVER",))
    except ImportError:
        raise ConfigError("no driver for part %s in this image" % part) from None
    return module.DRIVER
