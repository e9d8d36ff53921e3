"""[[nodes]]: what a node may be told mirrors node.json, and what it cannot do is refused."""

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.site import Site
from gateway.site_filter import check_filter
from gateway.site_nodes import FEATURE_UNITS, MqttLink, SerialLink
from tests.gateway.plant import SITE, make_site
from wire.units import unit

WAVEFORM = """
[[nodes.waveforms]]
name = "vibration"
part = "adxl355"
bus = 1
rate_hz = 4000
block_samples = 4000

[[nodes.waveforms.features]]
name = "x-rms"
axis = "x"
feature = "rms"

[[nodes.waveforms.features]]
name = "x-velocity"
axis = "x"
feature = "velocity_rms"

[[nodes.waveforms.features]]
name = "x-band-1"
axis = "x"
feature = "band"
low_hz = 90
high_hz = 110.0

[[nodes.outputs]]
name = "relay"
pin = 3
hold_ms_max = 5000

[[modbus]]
"""
FULL = SITE.replace("[[modbus]]\n", WAVEFORM, 1).replace(
    'key_file = "a.key"',
    'key_file = "a.key"\npublic_key = "' + "ab" * 32 + '"\nstatus_s = 5\nwatchdog_ms = 4000\n'
    "receipts = false\nspool = { segments = 4, segment_bytes = 4096 }\n"
    "checkpoint = { every_frames = 64, every_s = 30 }",
)
MQTT = FULL.replace(
    'link = "rig"',
    'link = { kind = "mqtt", host = "broker.plant", tls_ca = "ca.pem", user = "a", '
    'password_file = "a.password", wifi = { ssid = "plant", password_file = "wifi" } }',
).replace("[opcua]", '[mqtt]\nhost = "10.0.0.2"\nca_file = "ca.pem"\n[opcua]')


def problems(folder: Path, text: str) -> list[str]:
    """Return what is said about a file."""
    with pytest.raises(ConfigError) as caught:
        make_site(folder, text)
    return list(caught.value.problems)


def test_everything_a_node_can_be_told_loads(tmp_path: Path) -> None:
    (node,) = make_site(tmp_path, FULL).nodes
    assert (node.spool.segments, node.spool.segment_bytes) == (4, 4096)
    assert (node.checkpoint.every_frames, node.checkpoint.every_s) == (64, 30)
    assert (node.status_s, node.watchdog_ms, node.receipts) == (5, 4000, False)
    assert node.public_key == "ab" * 32
    (waveform,) = node.waveforms
    assert (waveform.address, waveform.rate_hz, waveform.features[2].low_hz) == (None, 4000, 90.0)
    assert [(output.name, output.safe) for output in node.outputs] == [("relay", 0)]


def test_features_of_a_waveform_are_signals_of_the_site(tmp_path: Path) -> None:
    site = make_site(tmp_path, FULL)
    units = site.units()
    assert units["a:x-rms"] == "m/s2"
    assert units["a:x-velocity"] == "m/s"
    assert list(units)[-1] == "plc:setpoint"
    assert site.fused_signals() == (
        "a:flow", "a:temperature", "a:x-rms", "a:x-velocity", "a:x-band-1",
    )  # fmt: skip


def test_every_feature_has_a_unit_of_the_wire() -> None:
    for feature, symbol in FEATURE_UNITS.items():
        assert unit(symbol).senml == symbol, feature


def test_what_node_json_may_leave_out_has_its_defaults(tmp_path: Path) -> None:
    (node,) = make_site(tmp_path).nodes
    assert (node.spool.segments, node.spool.segment_bytes) == (16, 16384)
    assert node.spool.behind_bytes == 2048
    assert (node.checkpoint.every_frames, node.checkpoint.every_s) == (256, 60)
    assert (node.status_s, node.watchdog_ms, node.receipts) == (10, 8000, True)
    assert (node.waveforms, node.outputs, node.public_key) == ((), (), None)


@pytest.mark.parametrize(
    ("link", "port", "baud"),
    [
        ('"serial"\nport = "/dev/ttyUSB0"', "/dev/ttyUSB0", 115200),
        ('"serial"\nport = "/dev/ttyUSB0"\nbaud = 9600', "/dev/ttyUSB0", 9600),
        ('{ kind = "serial", port = "/dev/ttyACM1", baud = 921600 }', "/dev/ttyACM1", 921600),
        ('{ kind = "serial" }\nport = "/dev/ttyACM1"', "/dev/ttyACM1", 115200),
    ],
)
def test_a_serial_link_has_a_short_form(tmp_path: Path, link: str, port: str, baud: int) -> None:
    (node,) = make_site(tmp_path, SITE.replace('"rig"', link)).nodes
    assert isinstance(node.link, SerialLink)
    assert (node.serial_port, node.serial_baud) == (port, baud)


def test_a_node_behind_a_broker(tmp_path: Path) -> None:
    site = make_site(tmp_path, MQTT)
    link = site.nodes[0].link
    assert isinstance(link, MqttLink)
    assert (link.host, link.port, link.user) == ("broker.plant", 8883, "a")
    assert link.tls_ca == tmp_path / "ca.pem"
    assert link.wifi is not None
    assert link.wifi.password_file == tmp_path / "wifi"
    assert site.mqtt is not None
    assert (site.mqtt.host, site.mqtt.port) == ("10.0.0.2", 8883)
    assert site.at_ports({"mqtt": 1884}).mqtt.port == 1884
    assert site.nodes[0].serial_port is None


def test_a_chip_with_a_chip_select_has_no_address(tmp_path: Path) -> None:
    site = make_site(tmp_path, SITE.replace("address = 0x48\n", "", 1))
    assert [channel.address for channel in site.nodes[0].channels] == [None, 0x48]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'axis = "x"\nfeature = "rms"',
            'axis = "w"\nfeature = "rms"',
            "nodes[0].waveforms[0].feat",
        ),
        ("high_hz = 110.0", "high_hz = 2500.0", "nodes[0].waveforms[0].features[2].high_hz: 90 to"),
        ("high_hz = 110.0", "", "nodes[0].waveforms[0].features[2].low_hz: a band needs both"),
        ('feature = "band"', 'feature = "peak"', "nodes[0].waveforms[0].features[2].low_hz: only"),
        ("rate_hz = 4000", "rate_hz = 1600", "nodes[0].waveforms[0].features[1].feature: velocity"),
        ("rate_hz = 4000", "rate_hz = 10", "nodes[0].waveforms[0].features[2].high_hz: 90 to 110"),
        (
            "rate_hz = 4000\nb",
            "rate_hz = 1\nb",
            "nodes[0].waveforms[0].block_samples: 4000 at 1 Hz",
        ),
        (
            'name = "x-rms"',
            'name = "flow"',
            "nodes[0].waveforms[0].features[0].name: 'flow' is alr",
        ),
        ('name = "x-rms"', 'name = "x:rms"', "nodes[0].waveforms[0].features[0].name: must match"),
        (
            "hold_ms_max = 5000",
            "hold_ms_max = 0",
            "nodes[0].outputs[0].hold_ms_max: must be greater",
        ),
        ("pin = 3", "pin = 3\nsafe = 2", "nodes[0].outputs[0].safe: must be 0 or 1, not 2"),
        ("segments = 4", "segments = 1", "nodes[0].spool.segments: must be greater than or equal"),
        (
            "every_s = 30",
            "every = 30",
            'nodes[0].checkpoint.every: unknown key; did you mean "ever',
        ),
        ("watchdog_ms = 4000", "watchdog_ms = 60000", "nodes[0].watchdog_ms: must be less than or"),
        ('"' + "ab" * 32 + '"', '"ABCD"', "nodes[0].public_key: must match pattern"),
        ('link = "rig"', 'link = "can"', "nodes[0].link: 'can' is no kind of link; use one of"),
        ('link = "rig"', 'link = "seriel"', "nodes[0].link: 'seriel' is no kind of link; did you"),
        ('link = "rig"', "link = {}", "nodes[0].link: '' is no kind of link"),
        ('link = "rig"', "link = 3", "nodes[0].link: "),
        ('link = "rig"', 'link = "mqtt"', "nodes[0].link: a node on MQTT needs its broker"),
        ('link = "rig"', 'link = { kind = "serial" }', "nodes[0].link.port: a serial link needs"),
        (
            'link = "rig"',
            'link = { kind = "serial", prot = "/dev/ttyS0", port = "/dev/ttyS0" }',
            'nodes[0].link.prot: unknown key; did you mean "port"?',
        ),
        (
            'link = "rig"',
            'link = { kind = "modbus_rtu", unit_id = 248 }',
            "nodes[0].link.unit_id: must be less than or equal to 247, not 248",
        ),
    ],
)
def test_a_wrong_node_names_path_and_remedy(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert FULL.count(old) >= 1, "the case no longer changes anything"
    found = problems(tmp_path, FULL.replace(old, new, 1))
    assert any(line.startswith(problem) for line in found), found


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('[mqtt]\nhost = "10.0.0.2"\nca_file = "ca.pem"\n', "", "nodes[0].link: is heard through"),
        ('ca_file = "ca.pem"\n', "", "mqtt.ca_file: 10.0.0.2 is not loopback; name its CA file"),
        ("port = 0", "prot = 0", 'opcua.prot: unknown key; did you mean "port"?'),
        ('host = "broker.plant"', 'host = "a..b"', "nodes[0].link.host: 'a..b' has an empty part"),
        ('ssid = "plant"', 'ssid = ""', "nodes[0].link.wifi.ssid: must have at least 1 character"),
        ('name = "a"', 'name = "mqtt"', "nodes[0].name: 'mqtt' is a name of the gateway itself"),
    ],
)
def test_a_wrong_broker_names_path_and_remedy(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert MQTT.count(old) >= 1, "the case no longer changes anything"
    found = problems(tmp_path, MQTT.replace(old, new, 1))
    assert any(line.startswith(problem) for line in found), found


def test_outputs_share_no_pin_and_no_name(tmp_path: Path) -> None:
    twice = FULL.replace(
        "hold_ms_max = 5000", 'hold_ms_max = 5000\n[[nodes.outputs]]\nname = "relay"\npin = 3\n'
        "hold_ms_max = 1"
    )  # fmt: skip
    name, pin = problems(tmp_path, twice)
    assert name.startswith("nodes[0].outputs[1].name: 'relay' is already the name of nodes[0].outp")
    assert pin.startswith("nodes[0].outputs[1].pin: 3 is already the pin of nodes[0].outputs[0];")


# --- schedules that cannot be kept ---------------------------------------------------------------


def scheduled(folder: Path, link: str = '"rig"', **settings: object) -> Site:
    """Return the small site with other settings of its node."""
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    text = SITE.replace('"rig"', link).replace('key_file = "a.key"', f'key_file = "a.key"\n{lines}')
    return make_site(folder, text)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"sample_period_ms": 3_600_000, "block": 2},
            "nodes[0].block: 2 samples every 3600000 ms are one frame in 7200 s, at most 3600 s",
        ),
        (
            {"sample_period_ms": 60_000, "block": 1},
            "nodes[0].silence_s: a frame comes every 10 s only, so a link that works would count",
        ),
        (
            {"sample_period_ms": 500, "block": 10, "silence_s": 5.0},
            "nodes[0].silence_s: a frame comes every 5 s only",
        ),
        (
            {
                "link": '"serial"\nport = "/dev/ttyS0"\nbaud = 9600',
                "sample_period_ms": 1,
                "block": 10,
            },
            "nodes[0].block: a frame of about 190 bytes every 10 ms needs 190000 bit/s, the line",
        ),
        (
            {"link": '{ kind = "serial", port = "x", baud = 9600 }', "sample_period_ms": 20},
            "nodes[0].block: a frame of about 190 bytes every 200 ms needs 9500 bit/s",
        ),
    ],
)
def test_an_impossible_schedule_is_refused(
    tmp_path: Path, settings: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        scheduled(tmp_path, **settings)
    (found,) = caught.value.problems
    assert found.startswith(problem), found


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_period_ms": 3_600_000, "block": 1, "silence_s": 30.0},
        {"sample_period_ms": 25, "link": '"serial"\nport = "x"\nbaud = 9600'},
        {"sample_period_ms": 500, "block": 10, "silence_s": 5.5},
    ],
)
def test_a_schedule_at_its_limit_is_taken(tmp_path: Path, settings: dict[str, object]) -> None:
    scheduled(tmp_path, **settings)


# --- filters -------------------------------------------------------------------------------------

SECTION = [0.2, 0.4, 0.2, -0.3, 0.1]


def test_a_filter_is_a_reducer_or_stages_and_one() -> None:
    assert check_filter("kurtosis") == "kurtosis"
    assert check_filter(["rms"]) == ("rms",)
    staged = check_filter(
        [{"sos": [SECTION, [1, 0, 0, 0, 0]]}, {"decimate": 4}, {"median": 5}, "rms"]
    )
    assert staged == (
        {"sos": (tuple(SECTION), (1.0, 0.0, 0.0, 0.0, 0.0))}, {"decimate": 4}, {"median": 5}, "rms",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("medain", 'did you mean "median"'),
        (3, "must be a reducer"),
        ([], "must be a reducer"),
        ([{"decimate": 2}] * 9 + ["rms"], "must be a reducer"),
        ([{"decimate": 2}], "is no reducer"),
        (["mean", "rms"], "stage 0 must be a table of one key"),
        ([{"decimate": 2, "median": 3}, "rms"], "stage 0 must be a table of one key"),
        ([{"decimale": 2}, "rms"], 'did you mean "decimate"'),
        ([{"decimate": 2}, {"median": 4}, "rms"], "stage 1: median must be an odd integer from 3"),
        ([{"decimate": True}, "rms"], "stage 0: decimate must be an integer from 2"),
        ([{"decimate": 1}, "rms"], "stage 0: decimate must be an integer from 2"),
        ([{"sos": []}, "rms"], "stage 0: sos must be 1 to 16 rows of 5"),
        ([{"sos": [[1, 2, 3, 1, 4, 5]]}, "rms"], "a0 = 1 in the middle"),
        ([{"sos": [[1, 2, 3, 4, float("nan")]]}, "rms"], "finite numbers"),
        ([{"sos": [[1, 2, 3, 4, "5"]]}, "rms"], "finite numbers"),
    ],
)
def test_anything_else_is_no_filter(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("(", r"\(")):
        check_filter(value)


def test_a_wrong_filter_is_found_in_the_file(tmp_path: Path) -> None:
    wrong = SITE.replace("argument = 1", "argument = 1\nfilter = [{ median = 2 }, 'rms']")
    (found,) = problems(tmp_path, wrong)
    assert found.startswith("nodes[0].channels[0].filter: stage 0: median must be an odd integer")
