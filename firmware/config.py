"""The provisioned configuration: `node.json` into named tuples, every field checked once.

Promises: what `parse` returns can be used without further checks; what it refuses it names by its
path.  The root key stays in the returned record and is never printed.

    {"node": "pump-a", "key": "64 hex digits", "sample_period_us": 100000, "block_samples": 10,
     "channels": [{"name": "temperature", "part": "tmp117", "bus": 0, "address": 72,
                   "reading": "temperature_celsius", "argument": null, "unit": "Cel",
                   "filter": "mean", "gain": 1.0, "offset": 0.0, "options": {}}]}

`argument` is null, an integer for the reading's call, or a text that picks a part of its answer.
"""

import json
from collections import namedtuple

from firmware.errors import ConfigError

Config = namedtuple("Config", ("node", "root_key", "sample_period_us", "block_samples", "channels"))
_CHANNEL_KEYS = (
    "name",
    "part",
    "bus",
    "address",
    "reading",
    "argument",
    "unit",
    "filter",
    "gain",
    "offset",
    "options",
)
Channel = namedtuple("Channel", _CHANNEL_KEYS)

CHANNELS_MAX = 16
BLOCK_SAMPLES_MAX = 1024
PERIOD_US_MIN = 1000
PERIOD_US_MAX = 3600000000
FILTERS = ("mean", "rms")


def parse(text: bytes) -> Config:
    """The configuration in `text`; raises ConfigError with the path of the first wrong field."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ConfigError("node.json is not JSON (%s): provision the node again" % error) from error
    _keys(fields, ("node", "key", "sample_period_us", "block_samples", "channels"), "node.json")
    listed = fields["channels"]
    if not isinstance(listed, list) or not 0 < len(listed) <= CHANNELS_MAX:
        raise ConfigError("node.json: channels: 1 to %d are possible" % CHANNELS_MAX)
    channels = []
    for index, item in enumerate(listed):
        channels.append(_channel(item, "node.json: channels[%d]" % index))
    names = [channel.name for channel in channels]
    if len(set(names)) != len(names):
        raise ConfigError("node.json: channels: two have the same name")
    return Config(
        _text(fields, "node", "node.json"),
        _key(fields["key"]),
        _integer(fields, "sample_period_us", "node.json", PERIOD_US_MIN, PERIOD_US_MAX),
        _integer(fields, "block_samples", "node.json", 1, BLOCK_SAMPLES_MAX),
        channels,
    )


def _channel(item, where: str) -> Channel:
    _keys(item, _CHANNEL_KEYS, where)
    chosen = item["filter"]
    if chosen not in FILTERS:
        raise ConfigError("%s.filter: %r is none of %s" % (where, chosen, ", ".join(FILTERS)))
    if not isinstance(item["options"], dict):
        raise ConfigError("%s.options: a table is needed" % where)
    return Channel(
        _text(item, "name", where),
        _text(item, "part", where),
        _integer(item, "bus", where, 0, 7),
        _integer(item, "address", where, 0x08, 0x77),
        _text(item, "reading", where),
        _argument(item["argument"], where),
        _text(item, "unit", where),
        chosen,
        _number(item, "gain", where),
        _number(item, "offset", where),
        item["options"],
    )


def _argument(value, where: str):
    if value is None or isinstance(value, (int, str)):
        return value
    raise ConfigError("%s.argument: null, an integer or a text is needed" % where)


def _keys(fields, expected, where: str) -> None:
    if not isinstance(fields, dict):
        raise ConfigError("%s: a table is needed" % where)
    for name in expected:
        if name not in fields:
            raise ConfigError("%s: %s is missing" % (where, name))
    for name in fields:
        if name not in expected:
            raise ConfigError("%s: unknown key %s" % (where, name))


def _key(text) -> bytes:
    try:
        root_key = bytes.fromhex(text)
    except (ValueError, TypeError):
        root_key = b""
    if len(root_key) != 32:
        raise ConfigError("node.json: key: 64 hexadecimal digits are needed")
    return root_key


def _text(fields, name: str, where: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not 0 < len(value) <= 32:
        raise ConfigError("%s.%s: a text of 1 to 32 characters is needed" % (where, name))
    return value


def _integer(fields, name: str, where: str, least: int, most: int) -> int:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError("%s.%s: an integer from %d to %d is needed" % (where, name, least, most))
    return value


def _number(fields, name: str, where: str) -> float:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError("%s.%s: a number is needed" % (where, name))
    return float(value)
