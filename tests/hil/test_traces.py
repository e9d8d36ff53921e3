"""Reading traces: what is read, how it is held, and one clear message for each thing wrong."""

import hashlib
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.errors import TraceError
from hil.traces import read_trace

GOOD = """\
datetime;Pressure;Flow[l/min];anomaly
2020-03-09 10:14:33;0.05;32.0;0.0
2020-03-09 10:14:34;0.38;31.0;0.0
2020-03-09 10:14:36;-0.25;30.5;1.0
2020-03-09 10:14:37;0.71;30.0;1.0
2020-03-09 10:14:38;0.05;32.0;0.0
"""
COLUMNS = {"Pressure": "bar", "Flow": None}
S = 1_000_000_000


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "trace.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_good_file_becomes_channels_with_units_lines_and_integer_time(tmp_path):
    path = written(tmp_path, GOOD)
    trace = read_trace(path, COLUMNS, label_column="anomaly")
    pressure, flow = trace.channels
    assert (pressure.name, pressure.unit, flow.name, flow.unit) == (
        "Pressure",
        "bar",
        "Flow",
        "l/min",
    )
    assert pressure.times_ns.dtype == np.int64
    assert pressure.times_ns.tolist() == [0, S, 3 * S, 4 * S, 5 * S]
    assert pressure.values.tolist() == [0.05, 0.38, -0.25, 0.71, 0.05]
    assert flow.lines.tolist() == [2, 3, 4, 5, 6]
    assert trace.start_utc_ns == 1_583_748_873 * S
    assert trace.duration_ns == 6 * S
    assert trace.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert trace.channel("Flow") is flow
    with pytest.raises(KeyError):
        trace.channel("Torque")


def test_the_arrays_cannot_be_changed(tmp_path):
    channel = read_trace(written(tmp_path, GOOD), COLUMNS).channels[0]
    with pytest.raises(ValueError, match="read-only"):
        channel.values[0] = 1.0


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("is_stated", [True, False])
def test_each_delimiter_is_read_stated_or_found(tmp_path, delimiter, is_stated):
    path = written(tmp_path, GOOD.replace(";", delimiter))
    trace = read_trace(path, COLUMNS, delimiter=delimiter if is_stated else None)
    assert trace.channels[1].values[0] == 32.0


@pytest.mark.parametrize(
    ("first", "second", "start_utc_ns", "step_ns"),
    [
        ("2020-03-09T10:14:33Z", "2020-03-09T10:14:33.000000001Z", 1_583_748_873 * S, 1),
        ("2020-03-09 12:14:33+02:00", "2020-03-09 12:14:33,5+02:00", 1_583_748_873 * S, S // 2),
        ("1969-12-31 23:59:59.25", "1970-01-01 00:00:00", -3 * S // 4, 3 * S // 4),
        ("0", "0.1", 0, S // 10),
        ("1583748873.25", "1.583748874e9", 1_583_748_873 * S + S // 4, 3 * S // 4),
        ("-1", "1", -S, 2 * S),
    ],
)
def test_time_is_exact_in_nanoseconds(tmp_path, first, second, start_utc_ns, step_ns):
    trace = read_trace(written(tmp_path, f"t;x\n{first};1\n{second};2\n"), {"x": "V"})
    assert trace.start_utc_ns == start_utc_ns
    assert trace.channels[0].times_ns.tolist() == [0, step_ns]


def test_the_time_column_can_stand_anywhere(tmp_path):
    trace = read_trace(written(tmp_path, "x,t\n1,0\n2,5\n"), {"x": "V"}, time_column="t")
    assert trace.channels[0].times_ns.tolist() == [0, 5 * S]


def test_byte_order_mark_blank_lines_quotes_and_carriage_returns_are_read(tmp_path):
    text = '\ufeff"t";"x[V]"\r\n\r\n0;"1.5"\r\n1; 2.5 \r\n\r\n'
    channel = read_trace(written(tmp_path, text), {"x": None}).channels[0]
    assert channel.values.tolist() == [1.5, 2.5]
    assert channel.lines.tolist() == [3, 4]


def test_a_unit_in_the_header_may_be_part_of_the_asked_name(tmp_path):
    trace = read_trace(written(tmp_path, GOOD), {"Flow[l/min]": "l/min"})
    assert trace.channels[0].unit == "l/min"


# --- hold ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now_ns", "expected"),
    [
        (-5 * S, 0.05),  # before the start: the first value
        (0, 0.05),
        (S - 1, 0.05),
        (S, 0.38),
        (3 * S - 1, 0.38),  # across the gap: the last value
        (3 * S, -0.25),
        (5 * S, 0.05),
        (500 * S, 0.05),  # after the end: the last value
        (1 << 70, 0.05),
    ],
)
def test_the_last_row_holds(tmp_path, now_ns, expected):
    held = read_trace(written(tmp_path, GOOD), COLUMNS).channels[0].held()
    assert held.value_at(now_ns) == expected


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.lists(st.integers(-20, 150), min_size=1, max_size=40),
)
def test_a_cursor_gives_the_same_in_any_order(tmp_path_factory, gaps, instants):
    times = np.concatenate([[0], np.cumsum(gaps)]).tolist()
    text = "t;x\n" + "".join(f"{each};{row}\n" for row, each in enumerate(times))
    path = written(tmp_path_factory.mktemp("hold"), text)
    held = read_trace(path, {"x": "V"}).channels[0].held()
    for instant in instants:
        rows_so_far = [row for row, each in enumerate(times) if each <= instant]
        assert held.row_at(instant * S) == (rows_so_far[-1] if rows_so_far else 0)
        assert held.value_at(instant * S) == held.row_at(instant * S)


def test_labels_become_spans(tmp_path):
    labels = read_trace(written(tmp_path, GOOD), COLUMNS, label_column="anomaly").labels
    assert labels is not None
    assert labels.spans_ns() == ((3 * S, 5 * S),)
    assert labels.first_ns() == 3 * S


def test_a_fault_that_lasts_to_the_end_ends_with_the_last_row(tmp_path):
    path = written(tmp_path, "t;x\n0;1\n1;0\n2;1\n3;1\n")
    labels = read_trace(path, {}, label_column="x").labels
    assert labels is not None
    assert labels.spans_ns() == ((0, S), (2 * S, 3 * S))


def test_no_label_column_and_no_faulty_row_are_told_apart(tmp_path):
    path = written(tmp_path, "t;x\n0;0\n1;0\n")
    assert read_trace(path, {"x": "V"}).labels is None
    labels = read_trace(path, {"x": "V"}, label_column="x").labels
    assert labels is not None
    assert labels.first_ns() is None


# --- what is wrong with a file -------------------------------------------------------------------


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


WRONG = {
    "empty file": ("", "", "file is empty; expected a header"),
    "blank file": (" \n\n", "", "file is empty; expected a header"),
    "only a header": (GOOD.splitlines()[0], ":1", "only a header; at least two rows"),
    "only one row": ("\n".join(GOOD.splitlines()[:2]), ":1", "only one row"),
    "one column": ("t\n1\n2\n", "", "no ';', tab or ',' in the header"),
    "unknown column": (
        changed("Pressure", "Presure"),
        ":1",
        "no column 'Pressure'; did you mean 'Presure'? the file has 'datetime', 'Presure', 'Flow'",
    ),
    "column twice": (changed("anomaly", "Pressure"), ":1", "'Pressure': 2 columns have this name"),
    "no unit": (changed("Flow[l/min]", "Flow"), ":1", "column 'Flow': has no unit; write it in"),
    "unknown unit": (changed("l/min", "l/mim"), ":1", "column 'Flow': unknown unit 'l/mim'"),
    "two units": (changed("Pressure", "Pressure[Pa]"), ":1", "says 'Pa', the scenario says 'bar'"),
    "short row": (changed(";0.38", ""), ":3", "3 cells where the header has 4"),
    "long row": (changed("0.38;", "0.38;1;"), ":3", "5 cells where the header has 4"),
    "text": (changed("0.38", "open"), ":3", "column 'Pressure': 'open' is not a number; mend"),
    "empty cell": (changed("0.38", ""), ":3", "column 'Pressure': '' is not a number"),
    "decimal comma": (changed("0.38", "0,38"), ":3", "'0,38' is not a number; write a decimal p"),
    "underscore": (changed("0.38", "1_0"), ":3", "'1_0' is not a number"),
    "NaN": (changed("0.38", "NaN"), ":3", "column 'Pressure': 'NaN' is not finite; cut or mend"),
    "infinity": (changed("0.38", "-inf"), ":3", "'-inf' is not finite"),
    "overflow": (changed("0.38", "1e999"), ":3", "'1e999' is not finite as a 64-bit float"),
    "label": (changed("0.0\n", "no\n"), ":2", "column 'anomaly': 'no' is not a number"),
    "time repeats": (changed("10:14:34", "10:14:33"), ":3", "repeats the time of the row above"),
    "time goes back": (changed("10:14:34", "10:14:32"), ":3", "lies before the time of the row"),
    "no time": (changed("2020-03-09 10:14:34", "noon"), ":3", "'datetime': 'noon' is not a time"),
    "no such day": (changed("2020-03-09 10:14:34", "2020-02-30 10:14:34"), ":3", "is not a date"),
    "far date": (changed("2020-03-09 10:14:34", "9999-12-31 10:14:34"), ":3", "is too far away"),
    "milliseconds": ("t;Pressure;Flow[l/min];anomaly\n1583748873000;1;1;0\n2;1;1;0", ":2", "far"),
    "huge time": ("t;Pressure;Flow[l/min];anomaly\n1e9999;1;1;0\n2;1;1;0", ":2", "too far away"),
    "not UTF-8": (GOOD.encode().replace(b"0.38", b"0.3\xff"), ":3", "not UTF-8 text; save"),
    "huge cell": (changed("0.38", "9" * 200_000), ":3", "not CSV (field larger"),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_fault_of_a_file_is_one_message_with_its_place(tmp_path, case):
    content, place, message = WRONG[case]
    path = written(tmp_path, content)
    with pytest.raises(TraceError) as caught:
        read_trace(path, COLUMNS, label_column="anomaly")
    text = str(caught.value)
    assert text.startswith(f"{path}{place}: ")
    assert message in text
    assert "\n" not in text


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(TraceError, match=r"gone\.csv: no such file; give the trace with --trace"):
        read_trace(tmp_path / "gone.csv", COLUMNS)


def test_a_folder_is_no_trace(tmp_path):
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path, COLUMNS)


def test_a_file_over_the_limit_is_refused_unread(tmp_path):
    with pytest.raises(TraceError, match="larger than 100 bytes"):
        read_trace(written(tmp_path, GOOD), COLUMNS, bytes_max=100)


@pytest.mark.parametrize(("delimiter", "message"), [(";;", "is none of"), (",", "no ',' in the h")])
def test_a_wrong_delimiter_is_refused(tmp_path, delimiter, message):
    with pytest.raises(TraceError, match=message):
        read_trace(written(tmp_path, GOOD), COLUMNS, delimiter=delimiter)


def test_an_error_keeps_its_place_as_attributes(tmp_path):
    with pytest.raises(TraceError) as caught:
        read_trace(written(tmp_path, changed("0.38", "open")), COLUMNS)
    assert (caught.value.line, caught.value.column) == (3, "Pressure")


# --- any file ------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.from_regex(r"[-+0-9.eE:_TZ ]{0,20}", fullmatch=True),
    st.sampled_from(
        ["0", "1.5", "nan", "1e400", "2020-03-09 10:14:33", '"', "\r", "\x00", "\u0661"]
    ),
)
FILES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=5).map(
        lambda rows: "\n".join(["t;x[V];y", *(";".join(row) for row in rows)]).encode()
    ),
)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(FILES)
def test_any_file_is_a_trace_or_a_trace_error(tmp_path_factory, data):
    path = written(tmp_path_factory.getbasetemp(), data)
    try:
        channel = read_trace(path, {"x": None}, label_column="y").channels[0]
    except TraceError as error:
        place = str(error)[: len(str(path))]
    else:
        place = str(path)
        assert np.isfinite(channel.values).all()
        assert (np.diff(channel.times_ns) > 0).all()
    assert place == str(path)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    start_ns=st.integers(-(10**18), 10**18),
    gaps_ns=st.lists(st.integers(1, 10**13), min_size=1, max_size=8),
    data=st.data(),
)
def test_what_was_written_is_read_bit_by_bit(tmp_path_factory, start_ns, gaps_ns, data):
    times_ns = [0, *np.cumsum(gaps_ns).tolist()]
    count = len(times_ns)
    finite = st.floats(allow_nan=False, allow_infinity=False)
    values = data.draw(st.lists(finite, min_size=count, max_size=count))
    rows = [
        f"{Decimal(start_ns + time_ns) / S},{value!r}"
        for time_ns, value in zip(times_ns, values, strict=True)
    ]
    path = written(tmp_path_factory.getbasetemp(), "time,x\n" + "\n".join(rows) + "\n")
    trace = read_trace(path, {"x": "V"})
    assert trace.start_utc_ns == start_ns
    assert trace.channels[0].times_ns.tolist() == times_ns
    assert trace.channels[0].values.tolist() == values


def test_a_label_that_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("t,x\n0,1\n1,2\n")
    with pytest.raises(TraceError, match="no column 'fault'"):
        read_trace(path, {"x": "V"}, label_column="fault")
    assert read_trace(path, {"x": "V"}, label_column="fault", label_is_optional=True).labels is None
    path.write_text("t,x,fault\n0,1,0\n1,2,1\n")
    labels = read_trace(path, {"x": "V"}, label_column="fault", label_is_optional=True).labels
    assert labels is not None
    assert labels.first_ns() == 1_000_000_000
