"""Where the driver of a part and its bus are found; needed for the start alone."""

from firmware.errors import ConfigError


def find_driver(part: str):
    """The driver class of a part number; ConfigError when it is not in this image."""
    try:
        module = __import__("drivers.%s.driver" % part, None, None, ("DRIVER",))
    except ImportError:
        raise ConfigError("no driver for part %s in this image" % part) from None
    return module.DRIVER


def kind_of_bus(driver) -> str:
    """What a driver hangs on: "i2c", "spi" or "rs485"."""
    return getattr(driver, "BUS", "i2c")


def find_bus(hal, driver, number: int):
    """The bus `number` of the kind that `driver` says; ConfigError when the board has none."""
    kind = kind_of_bus(driver)
    try:
        return getattr(hal, kind)(number)
    except (AttributeError, IndexError, KeyError, OSError, ValueError) as error:
        raise ConfigError("%s %d is not on this board (%s)" % (kind, number, error)) from None
