"""Filters of slow channels against values worked out by hand."""

from firmware.errors import ConfigError
from firmware.filter import FILTERS, make_filter, parse_filter


def _filtered(value, samples):
    chosen = make_filter(value)
    for sample in samples:
        chosen.add(sample)
    return chosen.take()


def _close(found, expected, tolerance=1e-6):
    assert abs(found - expected) <= tolerance * max(1.0, abs(expected)), (found, expected)


def test_each_reducer_of_a_small_block():
    samples = (3.0, -5.0, 1.0, 1.0)
    expected = {
        "mean": 0.0,
        "rms": 3.0,
        "median": 1.0,
        "peak": 5.0,
        "crest": 5.0 / 3.0,
        # Fourth moment (81 + 625 + 1 + 1) / 4 = 177, second 9.
        "kurtosis": 177.0 / 81.0,
        "min": -5.0,
        "max": 3.0,
        "last": 1.0,
    }
    assert sorted(expected) == sorted(FILTERS)
    for name, value in expected.items():
        _close(_filtered(name, samples), value)


def test_the_median_of_an_even_block_is_the_mean_of_the_two_in_the_middle():
    _close(_filtered("median", (4.0, 1.0, 2.0, 9.0)), 3.0)
    _close(_filtered("median", (4.0, 1.0, 9.0)), 4.0)


def test_take_starts_the_next_block():
    for name in FILTERS:
        chosen = make_filter(name)
        for _ in range(2):
            for sample in (7.0, -1.0, 2.0):
                chosen.add(sample)
            _close(chosen.take(), _filtered(name, (7.0, -1.0, 2.0)))


def test_a_shorter_block_has_nothing_of_a_longer_one():
    for name in FILTERS:
        chosen = make_filter(name)
        for sample in (9.0, -9.0, 8.0, 3.0):
            chosen.add(sample)
        chosen.take()
        for sample in (1.0, 2.0):
            chosen.add(sample)
        _close(chosen.take(), _filtered(name, (1.0, 2.0)))


def test_an_empty_block_has_no_value():
    for name in FILTERS:
        chosen = make_filter(name)
        assert chosen.take() is None
        chosen.add(1.0)
        chosen.take()
        assert chosen.take() is None


def test_a_ratio_of_zeros_is_no_value():
    assert _filtered("crest", (0.0, 0.0)) is None
    assert _filtered("kurtosis", (2.0, 2.0)) is None
    assert _filtered("kurtosis", (2.0,)) is None


def test_kurtosis_of_a_small_signal_on_a_large_offset():
    # 1000 +- 1: in single precision a difference of raw moments would have no digit left.
    samples = [1000.0 + (1.0 if index % 2 else -1.0) for index in range(64)]
    _close(_filtered("kurtosis", samples), 1.0, 1e-3)


def test_single_precision_holds_the_stated_bound():
    # 1024 samples of one sign: relative error below 1024 * 2 ** -24 = 6.1e-5.
    value = _filtered("mean", (0.1 for _ in range(1024)))
    assert abs(value - 0.1) < 0.1 * 1024 / 16777216


def test_decimation_takes_the_last_of_each_group_over_blocks():
    chosen = make_filter([{"decimate": 3}, "max"])
    taken = []
    for block in ((9.0, 9.0, 1.0, 9.0), (9.0, 2.0, 9.0), (9.0,)):
        for sample in block:
            chosen.add(sample)
        taken.append(chosen.take())
    assert taken == [1.0, 2.0, None]


def test_a_running_median_removes_a_spike():
    assert _filtered([{"median": 3}, "max"], (1.0, 2.0, 50.0, 3.0, 2.0)) == 3.0
    assert _filtered([{"median": 3}, "min"], (1.0, 2.0, -50.0, 3.0)) == 1.0


def test_sections_are_the_difference_equation():
    b0, b1, b2, a1, a2 = row = [0.25, 0.5, 0.25, -0.5, 0.25]
    chosen = make_filter([{"sos": [row, row]}, "last"])
    values = [0.0, 1.0, 0.0, -2.0, 3.0, 0.5, 0.0]
    found = []
    for sample in values:
        chosen.add(sample)
        found.append(chosen.take())
    for _ in range(2):
        x, y = [0.0, 0.0] + values, [0.0, 0.0]
        for n in range(2, len(x)):
            y.append(b0 * x[n] + b1 * x[n - 1] + b2 * x[n - 2] - a1 * y[n - 1] - a2 * y[n - 2])
        values = y[2:]
    for index, expected in enumerate(values):
        _close(found[index], expected)


def test_sections_begin_in_the_steady_state():
    lowpass = [{"sos": [[0.1, 0.0, 0.0, -0.9, 0.0], [0.05, 0.05, 0.0, -0.9, 0.0]]}, "min"]
    _close(_filtered(lowpass, (20.0, 20.0, 20.0)), 20.0, 1e-5)
    highpass = [{"sos": [[0.95, -0.95, 0.0, -0.9, 0.0]]}, "peak"]
    assert _filtered(highpass, (20.0, 20.0)) < 1e-4


def test_stages_work_in_their_order():
    samples = [float(index) for index in range(12)]
    assert _filtered([{"decimate": 2}, {"median": 3}, "last"], samples) == 9.0
    assert _filtered([{"median": 3}, {"decimate": 2}, "last"], samples) == 10.0


def test_a_filter_is_parsed_to_its_stages_and_its_reducer():
    assert parse_filter("rms") == ((), "rms")
    stages, reducer = parse_filter([{"sos": [[1, 0, 0, 0, 0]]}, {"decimate": 4}, "max"])
    assert reducer == "max"
    assert stages == (("sos", [(1.0, 0.0, 0.0, 0.0, 0.0)]), ("decimate", 4))


def test_what_is_no_filter_is_refused_with_its_place():
    for value, what in (
        ("avarage", "'avarage' is none of crest"),
        (None, "None is none of"),
        ([], "at most 8 stages"),
        ([{"decimate": 2}], "none of crest"),
        ([{"decimate": 2}] * 9 + ["max"], "at most 8 stages"),
        (["mean", "max"], "stage 0: a table of one key"),
        ([{"median": 3, "decimate": 2}, "max"], "stage 0: a table of one key"),
        ([{"median": 3}, {"lowpass": 2}, "max"], "stage 1: 'lowpass' is none of decimate"),
        ([{"decimate": 1}, "max"], "stage 0: decimate: an integer from 2"),
        ([{"decimate": True}, "max"], "stage 0: decimate"),
        ([{"median": 4}, "max"], "stage 0: median: an odd integer"),
        ([{"median": 65}, "max"], "stage 0: median"),
        ([{"sos": []}, "max"], "stage 0: sos: 1 to 16 rows"),
        ([{"sos": [[1, 0, 0, 1, 0, 0]]}, "max"], "a0 = 1 left out"),
        ([{"sos": [[1, 0, 0, 0, None]]}, "max"], "None is no finite number"),
        ([{"sos": [[1, 0, 0, -2.0, 1.0]]}, "max"], "not stable"),
        ([{"sos": [[1, 0, 0, 0, float("inf")]]}, "max"], "no finite number"),
    ):
        try:
            make_filter(value)
        except ConfigError as error:
            assert what in str(error), (value, str(error))
        else:
            raise AssertionError(value)
