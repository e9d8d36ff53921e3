"""Sources with a time of their own in site.toml: a device's clock, OPC UA servers, plain MQTT."""

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from tests.gateway.plant import SITE, make_site

CLOCK = """
[[modbus.tags]]
name = "time"
address = 8
type = "uint64"
unit = "s"
role = "clock"
scale = 0.001
"""
SERVER = """
[[opcua_servers]]
name = "press"
endpoint = "opc.tcp://press.plant:4840/server"

[[opcua_servers.nodes]]
name = "pressure"
node = "nsu=urn:maker:press;s=Press.Pressure"
unit = "Pa"
"""
SCALE = """
[[mqtt_sources]]
name = "scale-7"
period_ms = 500

[[mqtt_sources.values]]
name = "weight"
topic = "hall/scale7/state"
value = "/net/kg"
unit = "kg"
stamp = "/at"
stamp_format = "ms"
"""
BROKER = "\n[mqtt]\nport = 1883\n"
FUSE = '\n[fuse]\nsignals = ["a:flow", "press:pressure"]\n'


def with_clock(text: str = CLOCK) -> str:
    """Return the site with one more tag of its device."""
    return SITE.replace("\n[opcua]", f"{text}\n[opcua]")


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        make_site(folder, text)
    return list(caught.value.problems)


def test_a_clock_is_no_signal(tmp_path: Path) -> None:
    site = make_site(tmp_path, with_clock())
    assert [tag.name for tag in site.modbus[0].tags] == ["setpoint", "time"]
    assert [tag.name for tag in site.modbus[0].values] == ["setpoint"]
    assert "plc:time" not in site.units()
    assert "plc:time" not in site.periods_ns()
    (line,) = problems(tmp_path, with_clock() + '\n[fuse]\nsignals = ["plc:time"]\n')
    assert line.startswith("fuse.signals[0]: 'plc:time' is no signal")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"uint64"', '"float32"', 'modbus[0].tags[1].type: a clock counts in "uint32" or "uint64"'),
        ('"uint64"', '"bool"\ntable = "coil"', "modbus[0].tags[1].type: a clock counts in"),
        ('unit = "s"', 'unit = "Pa"', "modbus[0].tags[1].unit: a clock is read in seconds"),
        ("0.001", "0.01", "modbus[0].tags[1].scale: a clock counts whole seconds"),
        ("0.001", "0.001\noffset = 0.5", "modbus[0].tags[1].offset: a clock begins at a whole"),
        ('"clock"', '"watch"', "modbus[0].tags[1].role: 'watch' is not possible"),
    ],
)
def test_a_clock_that_cannot_be_one_is_refused(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    (line,) = problems(tmp_path, with_clock(CLOCK.replace(before, after)))
    assert line.startswith(said)


def test_a_device_has_one_clock(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, with_clock(CLOCK + CLOCK.replace('"time"', '"time-2"')))
    assert line == "modbus[0].tags[2].role: tags[1] is the clock already; remove one"


def test_a_server_is_a_source_of_signals_encrypted_unless_told_otherwise(tmp_path: Path) -> None:
    site = make_site(tmp_path, SITE + SERVER + FUSE)
    server = site.opcua_servers[0]
    assert (server.policy, server.allow_unencrypted, server.mode) == (
        "Basic256Sha256", False, "poll",
    )  # fmt: skip
    assert site.units()["press:pressure"] == "Pa"
    assert site.periods_ns()["press:pressure"] == 1_000_000_000
    assert site.fused_signals() == ("a:flow", "press:pressure")


def test_a_server_alone_is_a_site(tmp_path: Path) -> None:
    site = make_site(tmp_path, '[site]\nname = "x"\nasset = "y"\n' + SERVER)
    assert list(site.units()) == ["press:pressure"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("opc.tcp://", "http://", "opcua_servers[0].endpoint: must match pattern"),
        (":4840", "", "opcua_servers[0].endpoint: must match pattern"),
        ("nsu=urn:maker:press;s=", "Objects/", "opcua_servers[0].nodes[0].node: must match"),
        ('name = "press"', 'name = "PLC"', "opcua_servers[0].name: 'PLC' is already the name of"),
        ('name = "press"', 'name = "opcua"', "opcua_servers[0].name: 'opcua' is a name of the"),
        ('unit = "Pa"', 'unit = "pa"', "opcua_servers[0].nodes[0].unit: 'pa' is not a known"),
        (
            'name = "press"',
            'name = "press"\nallow_unencrypted = true',
            "opcua_servers[0].allow_unencrypted: press.plant is not loopback",
        ),
        ('name = "press"', 'name = "press"\nmode = "push"', "opcua_servers[0].mode: 'push' is not"),
        ('name = "press"', 'name = "press"\nclock_step_ms = 0.0', "opcua_servers[0].clock_step_ms"),
    ],
)
def test_a_server_that_cannot_be_is_refused(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    (line,) = problems(tmp_path, SITE + SERVER.replace(before, after, 1))
    assert line.startswith(said)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_server_on_this_machine_may_do_without_encryption(tmp_path: Path, host: str) -> None:
    text = SERVER.replace("press.plant", host).replace(
        'name = "press"', 'name = "press"\nallow_unencrypted = true'
    )
    assert make_site(tmp_path, SITE + text).opcua_servers[0].allow_unencrypted


def test_a_node_is_named_once(tmp_path: Path) -> None:
    again = SERVER[SERVER.index("[[opcua_servers.nodes]]") :]
    (line,) = problems(tmp_path, SITE + SERVER + again)
    assert line.startswith("opcua_servers[0].nodes[1].name: 'pressure' is already the name of")


# --- plain MQTT ----------------------------------------------------------------------------------


def test_a_plain_source_is_heard_through_the_broker_of_the_site(tmp_path: Path) -> None:
    site = make_site(tmp_path, SITE + SCALE + BROKER)
    assert site.units()["scale-7:weight"] == "kg"
    assert site.periods_ns()["scale-7:weight"] == 500_000_000
    assert site.mqtt_sources[0].delay_max_ms == 2000
    (line,) = problems(tmp_path, SITE + SCALE)
    assert line.startswith("mqtt_sources: are heard through a broker; add [mqtt]")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("hall/scale7/state", "hall/+/state", "mqtt_sources[0].values[0].topic: must match"),
        ("hall/scale7/state", "$SYS/uptime", "mqtt_sources[0].values[0].topic: must match"),
        ("/net/kg", "net.kg", "mqtt_sources[0].values[0].value: must match"),
        ("/at", "/a~2", "mqtt_sources[0].values[0].stamp: must match"),
        ('"ms"', '"minutes"', "mqtt_sources[0].values[0].stamp_format: 'minutes' is not"),
        ("scale-7", "store", "mqtt_sources[0].name: 'store' is a name of the gateway itself"),
        ("scale-7", "a", "mqtt_sources[0].name: 'a' is already the name of nodes[0]"),
    ],
)
def test_a_plain_source_that_cannot_be_is_refused(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    (line,) = problems(tmp_path, SITE + SCALE.replace(before, after, 1) + BROKER)
    assert line.startswith(said)
