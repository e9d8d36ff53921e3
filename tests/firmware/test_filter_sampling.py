"""The sampler: one read a reading, isolation of chips, blocks that are not whole."""

import itertools
import sys
from collections import namedtuple
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from drivers.errors import DriverError
from firmware.config_items import Channel
from firmware.errors import ConfigError
from firmware.sampling import Sampler

Axes = namedtuple("Axes", "x y")


class Chip:
    """A chip of a fixed reading; `world` says which addresses are silent, and counts."""

    PART = "fakechip"
    world: SimpleNamespace

    def __init__(self, bus: Any, address: int, sleep_us: Any, gain: float = 1.0) -> None:
        self._bus = bus, sleep_us
        self._address = address
        self._gain = gain

    def _answer(self, what: str) -> None:
        self.world.calls.append((self._address, what))
        if self._address in self.world.silent:
            raise DriverError(self.PART, what, f"i2c 0, 0x{self._address:02X}", "no acknowledge")

    def start(self) -> None:
        self._answer("start")

    def pressure_pascal(self) -> float:
        self._answer("pressure")
        return self.world.value * self._gain

    def acceleration_m_s2(self) -> Axes:
        self._answer("acceleration")
        return Axes(self.world.value, -self.world.value)

    def input_volt(self, number: int) -> float:
        self._answer("input")
        if number > 3:
            raise ValueError(f"there is no input {number}")
        return float(number)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    found = SimpleNamespace(silent=set(), calls=[], value=2.0)
    module = ModuleType("drivers.fakechip.driver")
    module.DRIVER = type("FreshChip", (Chip,), {"world": found})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "drivers.fakechip", ModuleType("drivers.fakechip"))
    monkeypatch.setitem(sys.modules, "drivers.fakechip.driver", module)
    return found


class Hal:
    def i2c(self, number: int) -> int:
        if number:
            raise ValueError("no such bus")
        return number

    def sleep_us(self, duration_us: int) -> None:
        pass


def channel(name: str, **changes: Any) -> Channel:
    fields = {
        "name": name,
        "part": "fakechip",
        "bus": 0,
        "address": 0x48,
        "reading": "pressure_pascal",
        "argument": None,
        "unit": "Pa",
        "filter": "mean",
        "gain": 1.0,
        "offset": 0.0,
        "options": {},
    }
    fields.update(changes)
    return Channel(**fields)


def block(sampler: Sampler, samples: int = 3) -> list[Any]:
    for _ in range(samples):
        sampler.sample()
    return sampler.take()


def test_a_reading_is_read_once_a_sample(world: SimpleNamespace) -> None:
    shared = {"reading": "acceleration_m_s2"}
    sampler = Sampler(
        [
            channel("x", argument="x", **shared),
            channel("y", argument="y", gain=3.0, offset=1.0, **shared),
            channel("y-rms", argument="y", filter="rms", **shared),
            channel("input-1", reading="input_volt", argument=1),
            channel("input-2", reading="input_volt", argument=2),
        ],
        Hal(),
    )
    assert sampler.start() == []
    assert block(sampler, 1) == [2.0, -5.0, 2.0, 1.0, 2.0]
    assert [what for _, what in world.calls] == ["start", "acceleration", "input", "input"]


def test_a_chip_that_fails_takes_no_other_with_it(world: SimpleNamespace) -> None:
    world.silent = {0x49}
    sampler = Sampler([channel("a"), channel("b", address=0x49)], Hal())
    (problem,) = sampler.start()
    assert "fakechip" in problem
    assert "0x49" in problem
    assert block(sampler) == [2.0, None]
    world.silent = {0x48}
    world.calls.clear()
    assert block(sampler) == [None, None]
    assert len(sampler.problems()) == 2
    # Not asked again within the block: a timeout on a bus costs the others their slots.
    assert world.calls == [(0x48, "pressure")]


def test_a_block_with_one_missing_sample_has_no_value(world: SimpleNamespace) -> None:
    sampler = Sampler([channel("a"), channel("last", filter="last")], Hal())
    sampler.start()
    sampler.sample()
    world.silent = {0x48}
    sampler.sample()
    world.silent = set()
    for _ in range(4):
        sampler.sample()
    assert sampler.retry() is True
    sampler.sample()
    assert sampler.take() == [None, None]
    assert block(sampler) == [2.0, 2.0]
    assert sampler.problems() == []


def test_restarts_wait_longer_and_longer(world: SimpleNamespace) -> None:
    sampler = Sampler([channel("a")], Hal())
    sampler.start()
    world.silent = {0x48}
    tries = []
    for sample in range(4000):
        sampler.sample()
        if sampler.retry():
            tries.append(sample)
            assert sampler.retry() is False
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert gaps == [8, 16, 32, 64, 128, 256, 512, 1024, 1024]
    world.silent = set()
    for _ in range(1024):
        sampler.sample()
    assert sampler.retry() is True
    sampler.take()
    assert block(sampler) == [2.0]


def test_a_filter_does_not_remember_what_was_before_a_gap(world: SimpleNamespace) -> None:
    lowpass = [{"sos": [[0.1, 0.0, 0.0, -0.9, 0.0]]}, "last"]
    sampler = Sampler([channel("a", filter=lowpass)], Hal())
    sampler.start()
    assert block(sampler) == [pytest.approx(2.0)]
    world.silent = {0x48}
    block(sampler, 10)
    world.silent, world.value = set(), 7.0
    sampler.retry()
    assert block(sampler) == [pytest.approx(7.0)]


def test_a_number_that_is_none_is_no_value(world: SimpleNamespace) -> None:
    sampler = Sampler([channel("a")], Hal())
    sampler.start()
    for value in (float("nan"), float("inf")):
        world.value = value
        assert block(sampler) == [None]
    world.value = 1.0
    assert block(sampler) == [1.0]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"part": "bmp999"}, "no driver for part bmp999"),
        ({"reading": "humidity_percent"}, "no reading humidity_percent"),
        ({"reading": "_answer"}, "no reading _answer"),
        ({"bus": 4}, "i2c 4 is not on this board"),
        ({"options": {"colour": 1}}, "options of fakechip"),
        ({"filter": "avarage"}, "'avarage' is none of"),
    ],
)
def test_what_is_configured_wrong_disables_its_channel_only(
    changes: dict[str, Any], what: str
) -> None:
    sampler = Sampler([channel("wrong", **changes), channel("right")], Hal())
    (problem,) = sampler.start()
    assert problem.startswith("channel wrong: ")
    assert what in problem
    assert block(sampler) == [None, 2.0]
    assert sampler.problems() == [problem]


def test_an_argument_that_is_none_disables_its_channel_only(world: SimpleNamespace) -> None:
    channels = [
        channel("input", reading="input_volt", argument=9),
        channel("part", reading="acceleration_m_s2", argument="w"),
        channel("x", reading="acceleration_m_s2", argument="x"),
        channel("right"),
    ]
    sampler = Sampler(channels, Hal())
    assert sampler.start() == []
    assert block(sampler) == [None, None, 2.0, 2.0]
    assert sampler.problems() == [
        "channel input: input_volt: there is no input 9",
        "channel part: the reading has no part w",
    ]
    assert world.calls.count((0x48, "input")) == 1


@pytest.mark.usefixtures("world")
def test_a_filter_can_be_exchanged() -> None:
    sampler = Sampler([channel("a")], Hal())
    sampler.start()
    sampler.sample()
    sampler.set_filter("a", [{"median": 3}, "max"])
    sampler.sample()
    assert sampler.take() == [None]
    assert block(sampler) == [2.0]
    with pytest.raises(ConfigError, match="no channel b"):
        sampler.set_filter("b", "mean")
    with pytest.raises(ConfigError, match="stage 0: median"):
        sampler.set_filter("a", [{"median": 4}, "max"])
    assert block(sampler) == [2.0], "the old filter is still there"
