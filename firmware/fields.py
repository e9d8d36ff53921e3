"""Checks of single fields of a JSON table: the value, or a ConfigError with the field's path."""

from firmware.errors import ConfigError


def keys(table, expected, where: str) -> None:
    """Refuse anything but a table with exactly the `expected` keys."""
    if not isinstance(table, dict):
        raise ConfigError("%s: a table is needed" % where)
    for name in expected:
        if name not in table:
            raise ConfigError("%s: %s is missing" % (where, name))
    for name in table:
        if name not in expected:
            raise ConfigError("%s: unknown key %s" % (where, name))


def text(table, name: str, where: str) -> str:
    """A text of 1 to 32 characters."""
    value = table.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 32:
        raise ConfigError("%s.%s: a text of 1 to 32 characters is needed" % (where, name))
    return value


def integer(table, name: str, where: str, least: int, most: int) -> int:
    """An integer from `least` to `most`."""
    value = table.get(name)
    if type(value) is not int or not least <= value <= most:
        raise ConfigError("%s.%s: an integer from %d to %d is needed" % (where, name, least, most))
    return value


def number(table, name: str, where: str) -> float:
    """A finite number, as a float."""
    value = table.get(name)
    if type(value) not in (int, float) or value - value != 0:
        raise ConfigError("%s.%s: a finite number is needed" % (where, name))
    return float(value)


def address(table, where: str):
    """A 7-bit bus address or a Modbus unit (1 to 247), or null where a chip select addresses."""
    if table["address"] is None:
        return None
    return integer(table, "address", where, 1, 247)


def argument(table, where: str):
    """Null, an integer for the reading's call, or a text that picks a part of its answer."""
    value = table["argument"]
    if value is None or type(value) in (int, str):
        return value
    raise ConfigError("%s.argument: null, an integer or a text is needed" % where)
