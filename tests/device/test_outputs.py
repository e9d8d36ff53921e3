"""Outputs: safe from the start, safe again in time, and never beyond their limits."""

from firmware.config_items import Output
from firmware.outputs import Outputs

RELAY = Output("relay", 3, 0, 5000)
VALVE = Output("valve", 4, 1, 100)


class Pins:
    def __init__(self):
        self.levels = {}

    def pin(self, number, level=None):
        self.levels[number] = level


def _started():
    pins = Pins()
    outputs = Outputs(pins, [RELAY, VALVE])
    outputs.start()
    return pins, outputs


def test_every_output_starts_safe():
    pins, outputs = _started()
    assert pins.levels == {3: 0, 4: 1}
    assert outputs.due_us() is None


def test_an_output_returns_to_its_safe_level_by_itself():
    pins, outputs = _started()
    outputs.act(0, 1, 20, 1000)
    outputs.act(1, 0, 5, 2000)
    assert pins.levels == {3: 1, 4: 0}
    assert outputs.due_us() == 7000
    outputs.release(6999)
    assert pins.levels == {3: 1, 4: 0}
    outputs.release(7000)
    assert pins.levels == {3: 1, 4: 1}
    assert outputs.due_us() == 21000
    outputs.release(50000)
    assert pins.levels == {3: 0, 4: 1}
    assert outputs.due_us() is None


def test_a_second_command_takes_the_place_of_the_first():
    pins, outputs = _started()
    outputs.act(0, 1, 20, 0)
    outputs.act(0, 1, 500, 10000)
    outputs.release(20000)
    assert pins.levels[3] == 1
    outputs.act(0, 0, 0, 30000)
    assert pins.levels[3] == 0
    assert outputs.due_us() is None


def test_what_is_beyond_the_limits_is_refused():
    _, outputs = _started()
    relay = outputs.index("relay")
    assert outputs.refusal(relay, 1, 5000) is None
    assert outputs.refusal(relay, 0, 0) is None
    assert "1 to 5000" in outputs.refusal(relay, 1, 5001)
    assert "1 to 5000" in outputs.refusal(relay, 1, 0)
    assert "takes 0 or 1" in outputs.refusal(relay, 0.5, 10)
    assert "no output" in outputs.refusal(outputs.index("pump"), 1, 10)
