"""Rows from CSV, Parquet and a store: what is read exactly, and what is refused with its place."""

import gzip
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway import status
from gateway.cells import instant_ns
from gateway.errors import TraceError
from gateway.lifecycle.data import GAP_ROWS_MAX, Selection, dated, read_rows
from gateway.sinks.store_schema import prepare

S = 1_000_000_000
START_NS = 1_583_748_873 * S
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str | bytes, name: str = "pump.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_file


def refused(path: Path, selection: Selection | None = None) -> TraceError:
    with pytest.raises(TraceError) as caught:
        read_rows(path, selection)
    return caught.value


# --- CSV ------------------------------------------------------------------------------------------


def test_dates_units_labels_and_missing_cells(write: Write) -> None:
    path = write(
        "datetime;flow[m3/s];temperature;anomaly\n"
        "2020-03-09 10:14:33;1.5;20;0\n"
        "2020-03-09 10:14:34;;NaN;0\n"
        "2020-03-09 10:14:35;-2e3;21;1.0\n"
    )
    rows = read_rows(path)
    assert rows.signals == ("flow", "temperature")
    assert rows.units == ("m3/s", "")
    assert rows.times_ns.tolist() == [START_NS, START_NS + S, START_NS + 2 * S]
    np.testing.assert_array_equal(rows.values, [[1.5, 20], [np.nan, np.nan], [-2000, 21]])
    assert rows.suspect is not None
    assert rows.suspect.tolist() == [False, False, True]
    assert rows.lines.tolist() == [2, 3, 4]
    assert rows.period_ns == S
    assert not rows.verified.any()
    assert "anomaly" in rows.notes[0]


def test_a_label_can_be_asked_for_as_a_signal(write: Write) -> None:
    path = write("time,fault,b\n0,1,2\n1,1,3\n2,1,4\n")
    rows = read_rows(path, Selection(signals=("fault", "b")))
    assert rows.signals == ("fault", "b")
    assert rows.suspect is None


def test_rows_signals_and_span_choose(write: Write) -> None:
    path = write("time,a,b\n" + "".join(f"{i},{i},{10 * i}\n" for i in range(20)))
    rows = read_rows(path, Selection(rows=(5, 15), signals=("b",), span_ns=(7 * S, 12 * S)))
    assert rows.values[:, 0].tolist() == [70, 80, 90, 100, 110]
    assert rows.lines.tolist() == [9, 10, 11, 12, 13]


def test_a_packed_file_is_unpacked(write: Write) -> None:
    path = write(gzip.compress(b"time,a\n0,1\n1,2\n2,3\n"), "a.csv.gz")
    assert read_rows(path).values[:, 0].tolist() == [1, 2, 3]


def test_even_rows_without_a_time_need_a_period(write: Write) -> None:
    path = write("a,b\n1,2\n3,4\n5,6\n")
    assert "--period" in str(refused(path))
    rows = read_rows(path, Selection(period_ns=2 * S))
    assert rows.times_ns.tolist() == [0, 2 * S, 4 * S]
    assert any("the rows have no time" in note for note in rows.notes)
    assert dated(int(rows.times_ns[-1])) is None
    dates = read_rows(write("time,a\n2026-01-01 00:00:00,1\n2026-01-01 00:00:01,2\n"))
    assert dated(int(dates.times_ns[0])) == dates.times_ns[0]
    assert dates.notes == ()


def test_missing_rows_stay_missing_and_long_silences_part_segments(write: Write) -> None:
    times = [*range(10), *range(13, 20), *range(200 + GAP_ROWS_MAX, 210 + GAP_ROWS_MAX)]
    path = write("time,a\n" + "".join(f"{t},{t}\n" for t in times))
    rows = read_rows(path)
    assert np.diff(rows.numbers).max() > GAP_ROWS_MAX
    first, second = rows.segments()
    assert np.flatnonzero(np.isnan(first[:, 0])).tolist() == [10, 11, 12]
    assert second[:, 0].tolist() == times[-10:]


def test_two_rows_of_one_period_become_one(write: Write) -> None:
    path = write("time,a,b\n0,1,1\n1,2,\n1.2,,5\n2,3,3\n3,4,4\n4,5,5\n5,6,6\n6,7,7\n")
    rows = read_rows(path)
    assert rows.values[1].tolist() == [2, 5]
    assert any("merged" in note for note in rows.notes)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", None, "empty"),
        ("time,a\n", None, "nothing else"),
        ("time,a\n0,1\n1,2,3\n", 3, "3 cells where the header has 2"),
        ("time,a\n0,1\n1,RUN\n", 3, "column 'a': 'RUN' is not a number"),
        ("time;a\n0;1\n1;2,5\n", 3, "decimal point"),
        ("time,a\n0,1\n1,inf\n", 3, "not finite"),
        ("time,a\n0,1\n1,1_0\n", 3, "'1_0' is not a number"),
        ("time,a\n0,1\nnoon,2\n", 3, "column 'time': 'noon' is not a time"),
        ("time,a\n0,1\n2,1\n1,2\n", 4, "sort the rows"),
        ("time,a\n5,1\n5,1\n5,2\n", None, "same time"),
        ("time,a,a\n0,1,1\n1,1,2\n", None, "called 'a'"),
        ("time,\n0,1\n1,2\n", 1, "no name"),
        ("1,2\n3,4\n5,6\n", 1, "column names"),
        ("time,anomaly\n0,1\n1,1\n", None, "no column for a model"),
        ("time,a\n0,1\n1700000000000000000,2\n", 3, "seconds, not ms"),
        ("time,a\n0,1\n1,1\n3,1\n3.4,2\n9,3\n9.6,1\n", None, "--period"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    write: Write, text: str, line: int | None, says: str
) -> None:
    error = refused(write(text))
    assert error.line == line
    assert says in error.what
    assert "pump.csv" in str(error)


def test_files_that_are_none(write: Write, tmp_path: Path) -> None:
    assert "no such file" in str(refused(tmp_path / "none.csv"))
    assert "folder" in str(refused(tmp_path))
    assert "UTF-8" in str(refused(write(b"time,a\n0,\xff\n")))
    assert "copy" in str(refused(write(gzip.compress(b"time,a\n" * 99)[:20], "cut.csv.gz")))


def test_a_column_that_is_not_there_is_guessed_at(write: Write) -> None:
    path = write("time,Pressure\n0,1\n1,2\n")
    assert "did you mean 'Pressure'?" in str(refused(path, Selection(signals=("Presure",))))
    assert "no rows in 5:9" in str(refused(path, Selection(rows=(5, 9))))


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2020-03-09 10:14:33", START_NS),
        ("2020-03-09T10:14:33.000000001Z", START_NS + 1),
        ("2020-03-09T11:14:33+01:00", START_NS),
        ("1583748873", START_NS),
        ("1583748873.5", START_NS + S // 2),
    ],
)
def test_times_are_exact(text: str, expected_ns: int) -> None:
    assert instant_ns(text) == expected_ns


# --- Parquet --------------------------------------------------------------------------------------


def test_parquet_with_timestamps_nulls_and_units(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415

    path = tmp_path / "a.parquet"
    when = pa.array([START_NS, START_NS + S, START_NS + 2 * S], pa.timestamp("ns"))
    unit = pa.field("b", pa.float32(), metadata={"unit": "bar"})
    fields = [pa.field("when", when.type), pa.field("a[A]", pa.int64()), unit]
    columns = [when, pa.array([1, None, 3]), pa.array([0.5, 1.5, 2.5], pa.float32())]
    parquet.write_table(pa.table(columns, pa.schema(fields)), path)
    rows = read_rows(path)
    assert (rows.signals, rows.units) == (("a", "b"), ("A", "bar"))
    np.testing.assert_array_equal(rows.values, [[1, 0.5], [np.nan, 1.5], [3, 2.5]])
    assert rows.times_ns[0] == START_NS
    assert read_rows(path, Selection(rows=(1, None))).lines.tolist() == [1, 2]


def test_parquet_of_text_and_damaged_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415

    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"time": [0.0, 1.0], "mode": ["run", "stop"]}), path)
    assert "column 'mode' holds string" in str(refused(path))
    path.write_bytes(path.read_bytes()[:-20])
    assert "no readable Parquet" in str(refused(path))


# --- a store --------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two signals for a minute; one value is bad, one row is not vouched for, 30-40 s in alarm."""
    path = tmp_path / "store.sqlite3"
    database = sqlite3.connect(path)
    prepare(database, "process")
    for second in range(60):
        for signal, unit, value in (("a:flow", "m3/s", second), ("a:current", "A", 2 * second)):
            code = status.BAD_SENSOR_FAILURE if (second, unit) == (5, "A") else status.GOOD
            vouched = "unauthenticated" if second == 7 else "sealed"
            row = (signal, unit, value, START_NS + second * S, 0, code, vouched, "a", second)
            database.execute(
                "INSERT INTO aligned (signal, unit, value, time_ns, bound_ns, status, provenance,"
                " source, sequence) VALUES (?,?,?,?,?,?,?,?,?)",
                row,
            )
    for number, (second, state) in enumerate([(0, "normal"), (33, "alarm"), (40, "normal")]):
        since_ns = START_NS + (30 if state == "alarm" else second) * S
        database.execute(
            "INSERT INTO verdicts (asset, time_ns, state, probability, since_ns, sequence,"
            " canonical) VALUES ('pump', ?, ?, 0.9, ?, ?, x'')",
            (START_NS + second * S, state, since_ns, number),
        )
    database.commit()
    database.close()
    return path


def test_a_store_gives_values_units_alarms_and_who_vouches(store: Path) -> None:
    rows = read_rows(store)
    assert (rows.signals, rows.units) == (("a:current", "a:flow"), ("A", "m3/s"))
    assert rows.period_ns == S
    assert len(rows.values) == 60
    assert np.isnan(rows.values[5, 0])
    assert rows.values[6].tolist() == [12, 6]
    assert np.flatnonzero(~rows.verified).tolist() == [7]
    assert rows.suspect is not None
    assert np.flatnonzero(rows.suspect).tolist() == list(range(30, 40))


def test_a_store_by_span_signal_and_asset(store: Path) -> None:
    span = (START_NS + 10 * S, START_NS + 20 * S)
    rows = read_rows(store, Selection(span_ns=span, signals=("a:flow",), asset="fan"))
    assert rows.values[:, 0].tolist() == list(range(10, 20))
    assert rows.suspect is None


def test_a_store_with_a_changed_unit_or_without_tables_is_refused(
    store: Path, tmp_path: Path
) -> None:
    database = sqlite3.connect(store)
    database.execute("UPDATE aligned SET unit = 'K' WHERE signal = 'a:flow' AND sequence > 30")
    database.commit()
    database.close()
    assert "'a:flow' changed its unit from 'm3/s' to 'K'" in str(refused(store))
    empty = tmp_path / "empty.sqlite3"
    with sqlite3.connect(empty) as other:
        other.execute("CREATE TABLE x (a)")
    other.close()
    assert "store cannot be read" in str(refused(empty))


def test_recorded_runs_are_read(shared_dir: Path) -> None:
    rows = read_rows(shared_dir / "data" / "skab" / "valve1" / "0.csv", Selection(rows=(0, 400)))
    assert rows.values.shape == (400, 8)
    assert rows.suspect is not None
    assert not rows.suspect.any()
