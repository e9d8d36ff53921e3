"""The items of node.json: one table each, checked whole, or a ConfigError with the field's path."""

from collections import namedtuple

from firmware import fields as check
from firmware.errors import ConfigError
from firmware.filter import parse_filter

Channel = namedtuple(
    "Channel",
    (
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
    ),
)
Output = namedtuple("Output", ("name", "pin", "safe", "hold_ms_max"))
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
_OUTPUT_KEYS = ("name", "pin", "safe", "hold_ms_max")
_WAVEFORM_KEYS = (
    "name",
    "part",
    "bus",
    "address",
    "rate_hz",
    "block_samples",
    "options",
    "features",
)
SPOOL = {"segments": 16, "segment_bytes": 16384, "behind_bytes": 2048}
"""What the spool has unless told otherwise."""


def name(table) -> str:
    """The name of the node."""
    return check.text(table, "node", "node.json")


def link(table):
    """The table of the link, with the kind that it has to name."""
    if not isinstance(table, dict) or not isinstance(table.get("kind"), str):
        raise ConfigError("node.json: link: a table with a kind is needed")
    return table


def spool(table):
    """The table of the spool, filled with what it does not say."""
    filled = dict(SPOOL)
    if isinstance(table, dict):
        filled.update(table)
    check.keys(filled, SPOOL, "node.json: spool")
    check.integer(filled, "segments", "node.json: spool", 2, 64)
    check.integer(filled, "segment_bytes", "node.json: spool", 2304, 1048576)
    check.integer(filled, "behind_bytes", "node.json: spool", 0, 8192)
    return filled


def checkpoint(table):
    """The table of the checkpoints."""
    check.keys(table, ("every_frames", "every_s"), "node.json: checkpoint")
    check.integer(table, "every_frames", "node.json: checkpoint", 0, 65536)
    check.integer(table, "every_s", "node.json: checkpoint", 1, 86400)
    return table


def output(item, where: str) -> Output:
    """One output."""
    check.keys(item, _OUTPUT_KEYS, where)
    return Output(
        check.text(item, "name", where),
        check.integer(item, "pin", where, 0, 255),
        check.integer(item, "safe", where, 0, 1),
        check.integer(item, "hold_ms_max", where, 1, 3600000),
    )


def waveform(item, where: str):
    """The table of one fast chip; its features are checked by whoever computes them."""
    check.keys(item, _WAVEFORM_KEYS, where)
    check.text(item, "name", where)
    check.text(item, "part", where)
    check.integer(item, "rate_hz", where, 1, 100000)
    check.integer(item, "block_samples", where, 16, 65536)
    check.address(item, where)
    return item


def channel(item, where: str) -> Channel:
    """One channel."""
    check.keys(item, _CHANNEL_KEYS, where)
    try:
        parse_filter(item["filter"])
    except ConfigError as error:
        raise ConfigError("%s.%s" % (where, error)) from None
    if not isinstance(item["options"], dict):
        raise ConfigError("%s.options: a table is needed" % where)
    return Channel(
        check.text(item, "name", where),
        check.text(item, "part", where),
        check.integer(item, "bus", where, 0, 15),
        check.address(item, where),
        check.text(item, "reading", where),
        check.argument(item, where),
        check.text(item, "unit", where),
        item["filter"],
        check.number(item, "gain", where),
        check.number(item, "offset", where),
        item["options"],
    )
