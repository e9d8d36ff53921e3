"""Commands as people type them."""

import pytest

from gateway.command_words import TYPED, read_command
from gateway.errors import OperatorError
from wire import commands


@pytest.mark.parametrize(
    ("words", "verb", "arguments"),
    [
        ("set-rate 100000 10", commands.SET_RATE, {0: 100_000, 1: 10}),
        ("set_rate block_samples=10 100000", None, "'100000' is one too many"),
        ("set-rate block_samples=10 sample_period_us=5000", commands.SET_RATE, {0: 5000, 1: 10}),
        ("set-filter t rms", commands.SET_FILTER, {0: "t", 1: '"rms"'}),
        ('set-filter t [{"median":5},"rms"]', commands.SET_FILTER,
         {0: "t", 1: '[{"median": 5}, "rms"]'}),
        ("capture vibration 4096", commands.CAPTURE, {0: "vibration", 1: 4096}),
        ("actuate valve 0.5 1000", commands.ACTUATE, {0: "valve", 1: 0.5, 2: 1000}),
        ("actuate valve -1 hold_ms=1000", commands.ACTUATE, {0: "valve", 1: -1.0, 2: 1000}),
        ("restart", commands.RESTART, {}),
        ("restart now", None, "'now' is one too many: restart takes nothing"),
        ("rotate-key 1 ff", None, "no verb 'rotate-key'; there are set-rate,"),
        ("capture vibration", None, "samples is missing: capture SOURCE SAMPLES"),
        ("capture vibration -1", None, "samples: '-1' cannot be"),
        ("capture vibration 1.5", None, "samples: '1.5' is no integer"),
        ("actuate valve nan 10", None, "value: 'nan' cannot be"),
        ("actuate valve on 10", None, "value: 'on' is no number"),
        ("set-filter t [1", None, "filter: "),
        ("set-filter t [{\"median\":4},\"rms\"]", None, "median must be an odd integer"),
    ],
)  # fmt: skip
def test_words_become_arguments_or_an_error_that_says_what_is_taken(
    words: str, verb: int | None, arguments: object
) -> None:
    first, *rest = words.split(" ")
    if verb is not None:
        assert read_command(first, rest) == (verb, arguments)
        return
    with pytest.raises(OperatorError) as caught:
        read_command(first, rest)
    assert str(arguments) in str(caught.value)


def test_what_is_read_can_be_sent() -> None:
    samples = {int: "7", float: "0.5", str: "mean"}
    for verb in TYPED:
        words = [samples[kind] for _, kind in commands.ARGUMENTS[verb]]
        number, arguments = read_command(commands.VERBS[verb], words)
        payload = commands.encode_command(1, number, dict(arguments))
        assert commands.decode_command(payload).arguments == arguments
