"""The readers of the public records, and that simple detectors give the published figures."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks import recordings
from benchmarks.recordings import MissingDataError

SKAB = """datetime;Current;Pressure;anomaly;changepoint
2020-03-09 10:14:33;1.5;0.1;0.0;0.0
2020-03-09 10:14:34;1.25;-0.2;1.0;1.0
2020-03-09 10:14:36;2.0;0.3;1.0;0.0
"""
NORMAL = """datetime;Current
2020-03-09 10:14:33;1.5
2020-03-09 10:14:34;1.25
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with small records of the same shape."""
    for name, text in {
        "valve1/2": SKAB,
        "valve1/10": SKAB,
        "anomaly-free/anomaly-free": NORMAL,
    }.items():
        path = tmp_path / "skab" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "tep").mkdir()
    header = "fault,sample,A,B\n"
    for name, lines in {
        recordings.TEP_TRAINING: "0,0,1.0,2.0\n0,1,3.0,4.0\n5,0,9.0,9.0\n",
        "test_0.csv.gz": "0,0,1.5,2.5\n",
        "test_3.csv.gz": "3,0,7.0,8.0\n",
    }.items():
        with gzip.open(tmp_path / "tep" / name, "wt") as file:
            file.write(header + lines)
    return tmp_path


def test_a_file_is_read_as_it_is(data: Path) -> None:
    one, ten = recordings.read_skab(data)
    assert (one.name, ten.name) == ("2", "10")
    assert one.signals == ("Current", "Pressure")
    assert one.rows.tolist() == [[1.5, 0.1], [1.25, -0.2], [2.0, 0.3]]
    assert np.diff(one.times_s).tolist() == [1.0, 2.0]
    assert one.anomalies.tolist() == [False, True, True]
    assert one.change_points.tolist() == [False, True, False]


def test_groups_are_the_folders_with_labelled_files(data: Path) -> None:
    assert recordings.skab_groups(data) == ["valve1"]
    with pytest.raises(MissingDataError):
        recordings.skab_groups(data / "tep")


def test_without_labels_nothing_is_an_anomaly(data: Path) -> None:
    normal = recordings.read_skab_normal(data)
    assert normal.signals == ("Current",)
    assert not normal.anomalies.any()
    assert not normal.change_points.any()


def test_pieces_overlap_by_half(data: Path) -> None:
    normal = recordings.read_skab_normal(data)
    longer = normal._replace(
        rows=np.arange(10.0)[:, None],
        times_s=np.arange(10.0),
        anomalies=np.zeros(10, dtype=np.bool_),
        change_points=np.zeros(10, dtype=np.bool_),
    )
    cut = recordings.pieces(longer, 4)
    assert [piece.rows[0, 0] for piece in cut] == [0.0, 2.0, 4.0, 6.0]
    assert {len(piece.rows) for piece in cut} == {4}


def test_only_the_run_without_fault_is_for_training(data: Path) -> None:
    process = recordings.read_tep(data)
    assert process.signals == ("A", "B")
    assert process.training.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert {fault: rows.tolist() for fault, rows in process.tests.items()} == {
        0: [[1.5, 2.5]],
        3: [[7.0, 8.0]],
    }


def test_absent_records_are_named(tmp_path: Path) -> None:
    for read in (recordings.read_skab, recordings.read_skab_normal, recordings.read_tep):
        with pytest.raises(MissingDataError, match="--data DIR"):
            read(tmp_path)
