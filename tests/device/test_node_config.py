"""`node.json`: what is accepted, and that every refusal names its place."""

import json

from firmware.config import parse
from firmware.errors import ConfigError


def _fields():
    return {
        "node": "pump-a",
        "key": "00" * 32,
        "sample_period_us": 100000,
        "block_samples": 10,
        "channels": [
            {
                "name": "temperature",
                "part": "tmp117",
                "bus": 0,
                "address": 72,
                "reading": "temperature_celsius",
                "argument": None,
                "unit": "Cel",
                "filter": "mean",
                "gain": 1.0,
                "offset": 0,
                "options": {},
            }
        ],
    }


def _refusal(fields):
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    try:
        parse(text)
    except ConfigError as error:
        return str(error)
    raise AssertionError("accepted")


def test_a_whole_configuration():
    config = parse(json.dumps(_fields()).encode())
    assert config.node == "pump-a"
    assert config.root_key == bytes(32)
    assert config.sample_period_us == 100000
    assert config.channels[0].address == 72
    assert config.channels[0].offset == 0.0


def test_not_json():
    assert "not JSON" in _refusal(b"not json")


def test_a_missing_and_an_unknown_key():
    fields = _fields()
    del fields["block_samples"]
    assert "block_samples is missing" in _refusal(fields)
    fields = _fields()
    fields["colour"] = 1
    assert "unknown key colour" in _refusal(fields)


def test_a_wrong_value_is_named_by_its_path():
    for key, value in (
        ("address", 0x78),
        ("address", True),
        ("gain", "1"),
        ("filter", "median"),
        ("unit", ""),
        ("options", []),
        ("argument", 1.5),
    ):
        fields = _fields()
        fields["channels"][0][key] = value
        assert "channels[0].%s" % key in _refusal(fields), key


def test_keys_are_checked_and_never_repeated_in_the_message():
    for key in ("00" * 31, "zz" * 32, 5):
        fields = _fields()
        fields["key"] = key
        message = _refusal(fields)
        assert "64 hexadecimal digits" in message
        assert str(key) not in message


def test_the_number_of_channels_is_bounded():
    fields = _fields()
    fields["channels"] = []
    assert "1 to 16" in _refusal(fields)
    fields["channels"] = _fields()["channels"] * 2
    assert "same name" in _refusal(fields)
