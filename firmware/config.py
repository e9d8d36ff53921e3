"""The provisioned configuration: `node.json` into named tuples, every field checked once.

Promises: what `parse` returns can be used without further checks, and each part that is wrong is
left out and named by its path in `problems`: the node runs what it can and says what it does not.
A wrong schedule leaves no channel.  The keys are elsewhere (`keyfile.py`).

    {"node": "pump-a", "sample_period_us": 100000, "block_samples": 10,
     "channels": [{"name": "temperature", "part": "tmp117", "bus": 0, "address": 72,
                   "reading": "temperature_celsius", "argument": null, "unit": "Cel",
                   "filter": "mean", "gain": 1.0, "offset": 0.0, "options": {}}],
     "waveforms": [...], "outputs": [{"name": "relay", "pin": 3, "safe": 0, "hold_ms_max": 5000}],
     "link": {"kind": "serial"},
     "spool": {"segments": 16, "segment_bytes": 16384, "behind_bytes": 2048},
     "checkpoint": {"every_frames": 256, "every_s": 60}, "status_s": 10, "watchdog_ms": 8000,
     "receipts": true}

`argument` is null, an integer for the reading's call, or a text that picks a part of its answer;
`address` is null for a chip that a chip select addresses.  From `waveforms` on all is optional.
"""

import json
from collections import namedtuple

from firmware import config_items as items
from firmware import fields as check
from firmware.errors import ConfigError

Config = namedtuple(
    "Config",
    (
        "node",
        "sample_period_us",
        "block_samples",
        "channels",
        "waveforms",
        "outputs",
        "link",
        "spool",
        "checkpoint",
        "status_us",
        "watchdog_ms",
        "receipts",
    ),
)

CHANNELS_MAX = 16
WAVEFORMS_MAX = 2
OUTPUTS_MAX = 8
BLOCK_SAMPLES_MAX = 1024
PERIOD_US_MIN = 1000
PERIOD_US_MAX = 3600000000
_NEEDED = ("node", "sample_period_us", "block_samples", "channels")
_OPTIONAL = {
    "waveforms": [],
    "outputs": [],
    "link": {"kind": "serial"},
    "spool": items.SPOOL,
    "checkpoint": {"every_frames": 256, "every_s": 60},
    "status_s": 10,
    "watchdog_ms": 8000,
    "receipts": True,
}
_WATCHDOG_MS = (1000, 8300)
"""The longest that a node sees no sample, and what the watchdogs of all our chips can count."""


def parse(text) -> "tuple":
    """(Config, problems): what can run, and a text for each part of `text` that cannot."""
    try:
        table = json.loads(text)
    except ValueError:
        return _nothing("node.json is not JSON: provision the node again")
    if not isinstance(table, dict):
        return _nothing("node.json: a table is needed: provision the node again")
    problems = []
    problems += [
        "node.json: unknown key %s is ignored" % name
        for name in table
        if name not in _NEEDED and name not in _OPTIONAL
    ]
    filled = {name: table.get(name, default) for name, default in _OPTIONAL.items()}
    period_us, block_samples = _schedule(table, problems)
    channels = waveforms = []
    if period_us:
        channels = _items(table, "channels", CHANNELS_MAX, items.channel, problems)
        waveforms = _items(filled, "waveforms", WAVEFORMS_MAX, items.waveform, problems)
    return Config(
        _checked(items.name, table, "", problems),
        period_us or 1000000,
        block_samples or 1,
        channels,
        waveforms,
        _items(filled, "outputs", OUTPUTS_MAX, items.output, problems),
        _checked(items.link, filled["link"], _OPTIONAL["link"], problems),
        _checked(items.spool, filled["spool"], _OPTIONAL["spool"], problems),
        _checked(items.checkpoint, filled["checkpoint"], _OPTIONAL["checkpoint"], problems),
        _bounded(filled, "status_s", 1, 3600, problems) * 1000000,
        _bounded(filled, "watchdog_ms", *_WATCHDOG_MS, problems),
        filled["receipts"] is not False,
    ), problems


def nothing_configured(problem: str) -> "tuple":
    """What `parse` returns when there is nothing to parse."""
    return _nothing(problem)


def _nothing(problem: str) -> "tuple":
    config, _ = parse(
        b'{"node": "", "sample_period_us": 1000000, "block_samples": 1, "channels": []}'
    )
    return config, [problem]


def _schedule(table, problems) -> "tuple":
    """(period in us, samples of a block), or (0, 0) with the reason in `problems`."""
    try:
        return (
            check.integer(table, "sample_period_us", "node.json", PERIOD_US_MIN, PERIOD_US_MAX),
            check.integer(table, "block_samples", "node.json", 1, BLOCK_SAMPLES_MAX),
        )
    except ConfigError as error:
        problems.append(str(error))
        return 0, 0


def _items(table, key: str, most: int, parse_one, problems) -> "list":
    """The items of a list that are right, each name once."""
    listed = table.get(key)
    if not isinstance(listed, list) or len(listed) > most:
        problems.append("node.json: %s: a list of at most %d is needed" % (key, most))
        return []
    found = []
    names = set()
    for index, item in enumerate(listed):
        try:
            parsed = parse_one(item, "node.json: %s[%d]" % (key, index))
        except ConfigError as error:
            problems.append(str(error))
            continue
        name = parsed["name"] if isinstance(parsed, dict) else parsed.name
        if name in names:
            problems.append("node.json: %s[%d].name: %s is taken" % (key, index, name))
        else:
            names.add(name)
            found.append(parsed)
    return found


def _checked(parse_one, value, default, problems):
    try:
        return parse_one(value)
    except ConfigError as error:
        problems.append(str(error))
        return default


def _bounded(table, key: str, least: int, most: int, problems) -> int:
    try:
        return check.integer(table, key, "node.json", least, most)
    except ConfigError as error:
        problems.append(str(error))
        return int(_OPTIONAL[key])  # type: ignore[call-overload]
