"""`node.json`: what is accepted, and that each refusal names its place and takes nothing else."""

import json

from firmware.config import nothing_configured, parse


def _fields():
    return {
        "node": "pump-a",
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


def _second(**changes):
    channel = dict(_fields()["channels"][0])
    channel["name"] = "second"
    channel.update(changes)
    return channel


def _parsed(fields):
    return parse(fields if isinstance(fields, bytes) else json.dumps(fields).encode())


def test_a_whole_configuration():
    config, problems = _parsed(_fields())
    assert problems == []
    assert config.node == "pump-a"
    assert config.sample_period_us == 100000
    assert config.channels[0].address == 72
    assert config.channels[0].offset == 0.0
    assert config.link == {"kind": "serial"}
    assert config.status_us == 10000000
    assert config.receipts is True


def test_what_is_not_json_leaves_a_node_that_can_say_so():
    for text in (b"not json", b"[]", b"", b'{"node": "a"'):
        # MicroPython's parser lets a missing bracket pass; then it is the fields that are missing.
        config, problems = _parsed(text)
        assert config.channels == []
        assert problems
    assert nothing_configured("gone")[1] == ["gone"]


def test_a_wrong_channel_is_left_out_and_named_and_the_others_run():
    for key, value in (
        ("address", 0),
        ("address", True),
        ("gain", "1"),
        ("gain", 987654),
        ("filter", "medium"),
        ("unit", ""),
        ("options", []),
        ("argument", 1.5),
        ("colour", 1),
    ):
        fields = _fields()
        fields["channels"].append(_second(**{key: value}))
        text = json.dumps(fields).replace("987654", "1e999").encode()
        config, problems = parse(text)
        assert [channel.name for channel in config.channels] == ["temperature"], key
        assert len(problems) == 1
        assert "channels[1]" in problems[0]
        assert key in problems[0]


def test_a_name_counts_once():
    fields = _fields()
    fields["channels"].append(_second(name="temperature", part="tmp105"))
    config, problems = _parsed(fields)
    assert [channel.part for channel in config.channels] == ["tmp117"]
    assert "temperature is taken" in problems[0]


def test_an_impossible_schedule_samples_nothing():
    for key, value in (
        ("sample_period_us", 999),
        ("sample_period_us", "fast"),
        ("block_samples", 0),
        ("block_samples", 1025),
    ):
        fields = _fields()
        fields[key] = value
        config, problems = _parsed(fields)
        assert config.channels == [] and config.waveforms == []
        assert key in problems[0]


def test_unknown_keys_are_named_and_ignored():
    fields = _fields()
    fields["colour"] = 1
    config, problems = _parsed(fields)
    assert len(config.channels) == 1
    assert problems == ["node.json: unknown key colour is ignored"]


def test_optional_tables_fall_back_to_what_they_are_without():
    fields = _fields()
    fields["spool"] = {"segments": 1, "segment_bytes": 4096}
    fields["checkpoint"] = {"every_frames": -1, "every_s": 60}
    fields["status_s"] = 0
    fields["watchdog_ms"] = 100
    fields["link"] = "serial"
    fields["outputs"] = [{"name": "relay", "pin": 3, "safe": 2, "hold_ms_max": 5}]
    config, problems = _parsed(fields)
    assert config.spool == {"segments": 16, "segment_bytes": 16384, "behind_bytes": 2048}
    assert config.checkpoint == {"every_frames": 256, "every_s": 60}
    assert (config.status_us, config.watchdog_ms) == (10000000, 8000)
    assert config.link == {"kind": "serial"}
    assert config.outputs == []
    assert len(problems) == 6
    for name in ("spool", "checkpoint", "status_s", "watchdog_ms", "link", "outputs[0].safe"):
        assert [text for text in problems if name in text], name


def test_the_number_of_channels_is_bounded():
    fields = _fields()
    fields["channels"] = [_second(name="c%d" % index) for index in range(17)]
    config, problems = _parsed(fields)
    assert config.channels == []
    assert "at most 16" in problems[0]
    fields["channels"] = []
    assert _parsed(fields) == (_parsed(fields)[0], [])
