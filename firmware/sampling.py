"""Channels: which reading of which chip, through which filter.

Promises: `start`, `sample` and `retry` never raise for a chip: one that fails is named in
`problems`, left alone for 4 samples, then 8, 16 .. 1024, and tried again by `retry`; all others go
on.  A reading that several channels use (same chip, reading and argument) is read once a sample.
`take` gives None for a channel of whose block a sample is missing: a value is never made up of
less, nor of a number that is none.  What the configuration has wrong disables its channels alone.

Leaves bytes to the driver (drivers/<part>/driver.py), which parts.py finds by the part number.
Rule of order: `start`; then `sample` once a slot and `take` once a block, with `retry` between.
"""

from drivers.errors import DriverError
from firmware.errors import ConfigError
from wire.kernel import const

_WAIT_SAMPLES = const(4)
_WAIT_SAMPLES_MAX = const(1024)


class Sampler:
    """All channels of a node."""

    def __init__(self, channels, hal) -> None:
        self._hal = hal
        self._channels = channels
        self._chips = []
        self._readings = []
        self._lanes = []
        self._standing = []

    def start(self) -> "list":
        """Find, identify and configure every chip; the problems, as `problems` has them."""
        if not self._channels:
            return []
        from firmware.filter import make_filter

        chips = {}
        readings = {}
        for channel in self._channels:
            lane = _Lane(channel)
            self._lanes.append(lane)
            try:
                lane.filter = make_filter(channel.filter)
                self._reading(channel, chips, readings).lanes.append(lane)
            except ConfigError as error:
                self._standing.append("channel %s: %s" % (channel.name, error))
        self._channels = ()
        for chip in self._chips:
            chip.start()
        return self.problems()

    def sample(self) -> None:
        """Read every channel once."""
        for chip in self._chips:
            if not chip.is_running:
                chip.wait_samples -= 1
        for reading in self._readings:
            reading.sample()

    def take(self) -> "list":
        """The value of every channel for the block that ends here, or None, in their order."""
        return [lane.take() for lane in self._lanes]

    def retry(self) -> bool:
        """Try to start one chip that failed, if it has waited long enough; whether one was tried.

        Takes as long as the driver's start, so this is for the time between samples.
        """
        for chip in self._chips:
            if not chip.is_running and chip.wait_samples <= 0:
                chip.start()
                return True
        return False

    def problems(self) -> "list":
        """What is wrong now, in words."""
        found = list(self._standing)
        found += [chip.problem for chip in self._chips if chip.problem is not None]
        for each in self._readings + self._lanes:
            if each.problem is not None:
                found.append(each.problem)
        return found

    def set_filter(self, name: str, value) -> None:
        """Filter the channel `name` in another way from now on; the present block has no value.

        Raises ConfigError for a filter or a channel that there is not.
        """
        for lane in self._lanes:
            if lane.name == name:
                lane.use(value)
                return
        raise ConfigError("there is no channel %s" % name)

    def _reading(self, channel, chips, readings):
        """The reading of a channel, shared with other channels where it is the same."""
        from firmware.parts import find_bus, find_driver, kind_of_bus

        driver = find_driver(channel.part)
        place = (channel.part, kind_of_bus(driver), channel.bus, channel.address)
        chip = chips.get(place)
        if chip is None:
            bus = find_bus(self._hal, driver, channel.bus)
            chip = _Chip(driver, bus, channel, self._hal.sleep_us)
            chips[place] = chip
            self._chips.append(chip)
        argument = None if isinstance(channel.argument, str) else channel.argument
        key = (place, channel.reading, argument)
        if key not in readings:
            readings[key] = _Reading(chip, channel.reading, argument)
            self._readings.append(readings[key])
        return readings[key]


class _Chip:
    """One chip, running or waiting to be tried again."""

    def __init__(self, driver, bus, channel, sleep_us):
        try:
            self.driver = driver(bus, channel.address, sleep_us=sleep_us, **channel.options)
        except (TypeError, ValueError) as error:
            raise ConfigError("options of %s: %s" % (channel.part, error)) from None
        self.is_running = False
        self.problem = None
        self.wait_samples = 0
        self._next_wait = _WAIT_SAMPLES

    def start(self) -> None:
        try:
            self.driver.start()
        except (DriverError, ValueError) as error:
            self.fail(error)
            return
        self.is_running = True
        self.problem = None

    def fail(self, error) -> None:
        """Wait, twice as long as the last time unless a sample was good in between."""
        self.is_running = False
        self.problem = str(error)
        self.wait_samples = self._next_wait
        self._next_wait = min(2 * self._next_wait, _WAIT_SAMPLES_MAX)

    def succeed(self) -> None:
        self._next_wait = _WAIT_SAMPLES


class _Reading:
    """One method of one chip with one argument, and the channels that use its answer."""

    def __init__(self, chip, reading, argument):
        if reading.startswith("_") or not hasattr(chip.driver, reading):
            raise ConfigError("part %s has no reading %s" % (chip.driver.PART, reading))
        self.lanes = []
        self.problem = None
        self._chip = chip
        self._name = reading
        self._read = getattr(chip.driver, reading)
        self._argument = argument

    def sample(self) -> None:
        value = None
        if self._chip.is_running and self.problem is None:
            value = self._answer()
        for lane in self.lanes:
            if value is None:
                lane.miss()
            else:
                lane.add(value)

    def _answer(self):
        try:
            value = self._read() if self._argument is None else self._read(self._argument)
        except DriverError as error:
            self._chip.fail(error)
            return None
        except (TypeError, ValueError) as error:
            # The argument is none of this reading: this will not mend itself.
            names = ", ".join([lane.name for lane in self.lanes])
            self.problem = "channel %s: %s: %s" % (names, self._name, error)
            return None
        self._chip.succeed()
        return value


class _Lane:
    """One channel: value = gain * reading + offset, filtered."""

    def __init__(self, channel):
        self.name = channel.name
        self.filter = None
        self.problem = None
        self._value = channel.filter
        self._part = channel.argument if isinstance(channel.argument, str) else None
        self._gain = channel.gain
        self._offset = channel.offset
        self._is_scaled = channel.gain != 1.0 or channel.offset != 0.0
        self._is_whole = True

    def add(self, value) -> None:
        if self._part is not None:
            value = getattr(value, self._part, None)
            if value is None:
                self.problem = "channel %s: the reading has no part %s" % (self.name, self._part)
                self.miss()
                return
        if self._is_scaled:
            value = self._gain * value + self._offset
        if value - value != 0:
            self.miss()
        elif self._is_whole:
            self.filter.add(value)

    def miss(self) -> None:
        """The block is not whole, and what the filter remembers is no longer the last sample."""
        if self._is_whole and self.filter is not None:
            self.use(self._value)

    def take(self):
        """The value of the block, or None."""
        if self.filter is None:
            return None
        is_whole, self._is_whole = self._is_whole, True
        value = self.filter.take()
        return value if is_whole else None

    def use(self, value) -> None:
        """Filter anew, as `value` says; what there is of the present block is not whole."""
        from firmware.filter import make_filter

        self.filter = make_filter(value)
        self._value = value
        self._is_whole = False
