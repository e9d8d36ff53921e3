"""The `model` commands as their user meets them: what they print, write and refuse."""

import csv
import io
import json
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import twinrig
import twinrig_model
from tests.gateway.models_on_disk import LOCATION, SCALE, SIGNALS, csv_of, rows

Cli = Callable[..., tuple[int, str, str]]
HEADER = ("flow[m3/s]", "pressure[bar]", "current[A]", "speed")
COUNT = 600


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `twinrig model ARGUMENTS` in this process; exit status, standard output and error."""
    monkeypatch.setattr(twinrig_model.console, "_width", 200)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["twinrig", "model", *map(str, arguments)])
        status = 0
        try:
            twinrig.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Healthy rows, rows with an offset of the pressure from row 300 on, and a model."""
    made = tmp_path_factory.mktemp("pump")
    (made / "healthy.csv").write_text(csv_of(rows(COUNT), HEADER))
    faulty = rows(COUNT, 1)
    faulty[300:, 1] += 8.0 * SCALE[1]
    (made / "faulty.csv").write_text(csv_of(faulty, HEADER, COUNT))
    (made / "more.csv").write_text(csv_of(rows(COUNT, 2), HEADER, COUNT))
    with pytest.MonkeyPatch.context() as patched:
        words = ["fit", made / "healthy.csv", "--out", made / "model", "--asset", "pump"]
        patched.setattr(sys, "argv", ["twinrig", "model", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            twinrig.main()
        assert not ended.value.code
    return made


def refused(result: tuple[int, str, str]) -> str:
    """Return the message of a command that was refused in one message and without a traceback."""
    status, _, err = result
    assert status == 1
    assert err.startswith("error: ")
    assert "Traceback" not in err
    return err


# --- fit ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fit_says_what_it_learnt_and_how_far_it_holds(cli: Cli, folder: Path) -> None:
    status, out, _ = cli("fit", folder / "healthy.csv", "--out", folder / "second")
    assert status == 0
    assert "healthy" in out  # the asset is named after the file
    assert "4 of 4" in out
    assert "rows kept back" in out
    assert "version 000001-" in out


@pytest.mark.slow
def test_rows_and_signals_choose(cli: Cli, folder: Path, tmp_path: Path) -> None:
    words = ("--rows", "100:500", "--signals", "flow,current", "--no-check")
    status, out, _ = cli("fit", folder / "healthy.csv", "--out", tmp_path / "m", *words)
    assert status == 0
    assert "400 of 1 s" in out
    assert "2 of 2" in out


@pytest.mark.slow
def test_a_new_version_passes_the_gate_or_does_not(cli: Cli, folder: Path, tmp_path: Path) -> None:
    again = ("--out", tmp_path / "m", "--no-check")
    assert cli("fit", folder / "healthy.csv", *again)[0] == 0
    first = sorted(path.name for path in (tmp_path / "m").iterdir() if path.is_dir())
    err = refused(cli("fit", folder / "more.csv", *again))
    assert "nothing vouches for 100.0 % of the rows" in err
    assert "--vouch NAME" in err
    err = refused(cli("fit", folder / "faulty.csv", *again, "--vouch", "A. Turner"))
    assert "pressure: level" in err
    assert sorted(path.name for path in (tmp_path / "m").iterdir() if path.is_dir()) == first
    assert cli("fit", folder / "more.csv", *again, "--vouch", "A. Turner")[0] == 0
    lines = (tmp_path / "m" / "changes.jsonl").read_text().splitlines()
    record = [json.loads(line) for line in lines]
    assert [line["action"] for line in record] == ["first", "refused", "refused", "update"]
    assert record[-1]["by"] == "A. Turner"


def spoilt(tmp_path: Path, change: Callable[[np.ndarray], object], count: int = COUNT) -> Path:
    values = rows(count)
    change(values)
    path = tmp_path / "spoilt.csv"
    path.write_text(csv_of(values, HEADER))
    return path


def constant(values: np.ndarray) -> None:
    values[:, 1] = 5.0


def copied(values: np.ndarray) -> None:
    values[:, 2] = 3.0 * values[:, 1] + 1.0


def missing(values: np.ndarray) -> None:
    values[:, 1] = np.nan


def absurd(values: np.ndarray) -> None:
    values[:, 1] = 1e200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "named"),
    [(constant, "pressure"), (copied, "pressure"), (missing, "pressure"), (absurd, "pressure")],
)
def test_a_channel_that_cannot_take_part_is_named(
    cli: Cli, tmp_path: Path, change: Callable[[np.ndarray], None], named: str
) -> None:
    data = spoilt(tmp_path, change)
    status, out, err = cli("fit", data, "--out", tmp_path / "m", "--no-check")
    assert status == 0, err
    assert "3 of 4" in out
    notes = [line for line in out.splitlines() if line.startswith("note:")]
    assert any(named in note for note in notes)
    status, out, _ = cli("score", tmp_path / "m", data)
    assert status == 0


@pytest.mark.parametrize("count", [30, 99])
def test_too_few_rows_are_refused_with_the_number_needed(
    cli: Cli, tmp_path: Path, count: int
) -> None:
    data = spoilt(tmp_path, lambda values: None, count)
    err = refused(cli("fit", data, "--out", tmp_path / "m"))
    assert f"{count} training rows" in err
    assert "flow" in err
    assert not (tmp_path / "m").exists()


def test_nothing_that_varies_is_refused(cli: Cli, tmp_path: Path) -> None:
    data = spoilt(tmp_path, lambda values: values.fill(1.0))
    err = refused(cli("fit", data, "--out", tmp_path / "m"))
    assert all(signal in err for signal in SIGNALS)


def test_rows_that_are_all_marked_are_refused(cli: Cli, tmp_path: Path) -> None:
    values = np.column_stack([rows(200)[:, :2], np.ones(200)])
    path = tmp_path / "marked.csv"
    path.write_text(csv_of(values, ("flow", "pressure", "anomaly")))
    assert "all 200 rows" in refused(cli("fit", path, "--out", tmp_path / "m"))


@pytest.mark.parametrize("words", [("--rows", "5"), ("--rows", "a:b"), ("--rows", "-5:")])
def test_a_range_that_is_none(cli: Cli, folder: Path, tmp_path: Path, words: list[str]) -> None:
    err = refused(cli("fit", folder / "healthy.csv", "--out", tmp_path / "m", *words))
    assert "write 0:400" in err


def test_a_file_that_is_no_table_names_line_and_column(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("time,flow\n0,1\n1,RUN\n")
    err = refused(cli("fit", path, "--out", tmp_path / "m"))
    assert "bad.csv:3: column 'flow': 'RUN' is not a number" in err


# --- score ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_score_finds_the_fault_and_the_signal(cli: Cli, folder: Path) -> None:
    status, out, _ = cli("score", folder / "model", folder / "faulty.csv")
    assert status == 0
    line = next(line for line in out.splitlines() if "pressure" in line)
    assert "1970-01-01 00:15:0" in line  # row 300 stands at 900 s
    status, out, _ = cli("score", folder / "model", folder / "more.csv")
    assert "alarmed" in out
    assert "0 rows, 0.0 %" in out


@pytest.mark.slow
def test_score_for_programs(cli: Cli, folder: Path) -> None:
    _, out, _ = cli("score", folder / "model", folder / "faulty.csv", "--csv")
    table = list(csv.DictReader(io.StringIO(out), delimiter=";"))
    assert len(table) == COUNT
    for line in table[::50]:
        shares = sum(float(line[f"contribution {signal}"]) for signal in SIGNALS)
        assert shares == pytest.approx(float(line["score"]), abs=1e-6)
    _, out, _ = cli("score", folder / "model", folder / "faulty.csv", "--json")
    body = json.loads(out)
    assert body["asset"] == "pump"
    shares = body["alarms"][0]["shares"]
    assert max(shares, key=shares.get) == "pressure"
    assert body["rows"]["probability"][450] == float(table[450]["probability"])
    assert "exclude each other" in refused(
        cli("score", folder / "model", folder / "faulty.csv", "--json", "--csv")
    )


@pytest.mark.slow
def test_rows_in_front_change_nothing_but_the_age(cli: Cli, folder: Path, tmp_path: Path) -> None:
    """The model is blind to row numbers, file names and absolute time."""
    moved = tmp_path / "other name.csv"
    values = np.array([
        [float(cell) for cell in line.split(";")[1:]]
        for line in (folder / "faulty.csv").read_text().splitlines()[1:]
    ])  # fmt: skip
    moved.write_text(csv_of(values, HEADER, 5_000_000))
    first, second = (
        json.loads(cli("score", folder / "model", path, "--json")[1])["rows"]
        for path in (folder / "faulty.csv", moved)
    )
    assert first["probability"] == second["probability"]


# --- rows that do not belong to the model ---------------------------------------------------------


def test_units_that_changed_by_name_or_by_number(cli: Cli, folder: Path, tmp_path: Path) -> None:
    values = rows(200, 3)
    values[:, 1] *= 1000.0
    path = tmp_path / "a.csv"
    path.write_text(csv_of(values, ("flow", "pressure[mbar]", "current", "speed")))
    err = refused(cli("score", folder / "model", path))
    assert "pressure: the rows are in 'mbar', the model was fitted to 'bar'" in err
    path.write_text(csv_of(values, ("flow", "pressure", "current", "speed")))
    err = refused(cli("score", folder / "model", path))
    assert "pressure: its numbers look converted" in err
    assert cli("score", folder / "model", path, "--units-as-they-are")[0] == 0


def test_a_real_fault_is_not_taken_for_a_unit(cli: Cli, folder: Path, tmp_path: Path) -> None:
    values = rows(200, 3)
    values[:, 1] += 100.0 * SCALE[1]
    values[:, 3] = 0.0
    path = tmp_path / "a.csv"
    path.write_text(csv_of(values, HEADER))
    status, out, err = cli("score", folder / "model", path)
    assert status == 0, err
    assert "note: speed: 0 in every row" in out


def test_another_asset_period_or_set_of_signals(cli: Cli, folder: Path, tmp_path: Path) -> None:
    model, data = folder / "model", folder / "more.csv"
    err = refused(cli("score", model, data, "--asset", "fan"))
    assert "the model of asset 'pump', not of 'fan'" in err
    slow = tmp_path / "slow.csv"
    slow.write_text("time,flow,pressure,current,speed\n0,2,5,10,1500\n60,2,5,10,1500\n")
    assert "a row every 60 s, the model knows rows every 1 s" in refused(cli("score", model, slow))
    other = tmp_path / "other.csv"
    other.write_text("time,flow,presure,current,speed\n0,2,5,10,1500\n1,2,5,10,1500\n")
    err = refused(cli("score", model, other))
    assert "no column 'pressure'; did you mean 'presure'?" in err


def test_a_channel_without_a_value_is_said_and_survived(
    cli: Cli, folder: Path, tmp_path: Path
) -> None:
    values = rows(100, 3)
    values[:, 1] = np.nan
    path = tmp_path / "a.csv"
    path.write_text(csv_of(values, HEADER))
    status, out, _ = cli("score", folder / "model", path)
    assert status == 0
    assert "note: pressure: no value in any row" in out


# --- models that are not whole --------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model that may be spoilt; the folder of its one version."""
    for path in (folder / "model").rglob("*"):
        if path.is_file():
            target = tmp_path / "copy" / path.relative_to(folder / "model")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return next(path for path in (tmp_path / "copy").iterdir() if path.is_dir())


def change_json(version: Path, old: str, new: str) -> None:
    path = version / "model.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_tampered_model_is_refused(cli: Cli, folder: Path, copy: Path) -> None:
    change_json(copy, '"period_ns": 1000000000', '"period_ns": 2000000000')
    for model in (copy, copy.parent):
        err = refused(cli("score", model, folder / "more.csv"))
        assert "model.json: its content does not have the hash it states" in err


def test_a_damaged_model_is_refused(cli: Cli, copy: Path) -> None:
    arrays = copy / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    err = refused(cli("report", copy.parent, "--out", copy / "report.html"))
    assert "arrays.npz: is not the file that belongs to model.json" in err
    assert not (copy / "report.html").exists()


def test_a_model_of_another_version_is_refused(cli: Cli, folder: Path, copy: Path) -> None:
    change_json(copy, '"format_version": 1', '"format_version": 7')
    err = refused(cli("explain", copy.parent, folder / "more.csv"))
    assert "format version 7, this program reads 1" in err


def test_what_is_no_model_is_refused(cli: Cli, folder: Path) -> None:
    err = refused(cli("sample", folder, "--rows", 5, "--out", folder / "x.csv"))
    assert "name a folder made by `twinrig model fit`" in err
    assert not (folder / "x.csv").exists()


# --- explain, sample, report ----------------------------------------------------------------------


@pytest.mark.slow
def test_explain_names_the_sensor_and_the_size(cli: Cli, folder: Path) -> None:
    status, out, _ = cli("explain", folder / "model", folder / "faulty.csv")
    assert status == 0
    assert "pressure" in out
    assert "bias" in out
    words = ("--at", "1970-01-01 00:12:00")
    status, out, _ = cli("explain", folder / "model", folder / "faulty.csv", *words)
    assert status == 0
    assert "1970-01-01 00:12:00" in out
    err = refused(cli("explain", folder / "model", folder / "faulty.csv", "--at", "noon"))
    assert "--at: 'noon' is not a time" in err
    status, out, _ = cli("explain", folder / "model", folder / "more.csv")
    assert "no alarm in these rows" in out


def test_sample_writes_the_same_rows_for_the_same_seed(
    cli: Cli, folder: Path, tmp_path: Path
) -> None:
    texts = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        words = ("--rows", 400, "--seed", seed, "--out", tmp_path / name)
        assert cli("sample", folder / "model", *words)[0] == 0
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("time_s;flow[m3/s];pressure[bar];current[A];speed\n0;")
    values = np.array([
        [float(cell) for cell in line.split(";")[1:]] for line in texts[0].splitlines()[1:]
    ])  # fmt: skip
    assert values.shape == (400, 4)
    assert (np.abs(values.mean(axis=0) - LOCATION) < 2 * SCALE).all()
    correlation = np.corrcoef(values.T)
    assert correlation[0, 1] > 0.4
    assert abs(correlation[0, 3]) < 0.3
    status, _, err = cli("score", folder / "model", tmp_path / "a", "--time", "time_s")
    assert status == 0, err


def test_a_sample_that_cannot_be_written(cli: Cli, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "none" / "a.csv"
    err = refused(cli("sample", folder / "model", "--rows", 5, "--out", out))
    assert "name a file in a folder of yours" in err


class Page(HTMLParser):
    """What of a page would be fetched or run, what text it has, which marks are used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.marks: list[str] = []
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "img", "link", "iframe", "object"}:
            self.fetched.append(tag)
        for name, value in attributes:
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith("#"):
                self.fetched.append(f"{tag} {name}={value}")
            if name == "id":
                self.marks.append(value or "")
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.slow
@pytest.mark.parametrize("data", ["", "faulty.csv"])
def test_a_report_opens_by_itself_and_says_what_is_not_seen(
    cli: Cli, folder: Path, tmp_path: Path, data: str
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "report.html"
    asked = [folder / data] if data else []
    status, said, err = cli("report", folder / "model", *asked, "--out", out)
    assert status == 0, err
    assert "open it in a browser" in said
    text = out.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.fetched == []
    assert page.open == []
    assert len(set(page.marks)) == len(page.marks)
    for title in (
        "Do its intervals hold?",
        "How often does it cry wolf?",
        "Who vouches for whom",
        "How small a change it sees",
        "What it cannot see",
        "Where it comes from",
    ):
        assert title in page.text
    assert ("What it says about these rows" in page.text) == bool(data)
    # A literal colour would vanish on one of the two backgrounds.
    body = text.split("<body>")[1]
    assert "#" not in "".join(part for part in body.split("style=")[1:] if part[:1] == "#")
    assert not any(f"{kind}: #" in body for kind in ("fill", "stroke"))


@pytest.mark.slow
def test_names_from_outside_are_escaped_in_a_report(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    evil = '<img src=x onerror="alert(1)">'
    data = tmp_path / "a.csv"
    data.write_text(csv_of(rows(COUNT), (evil.replace('"', "'"), "b $x_", "c&lt", "d]]>")))
    out = ("--out", tmp_path / "m", "--no-check", "--asset", "</title><b>")
    assert cli("fit", data, *out)[0] == 0
    report = tmp_path / "r.html"
    status, _, err = cli("report", tmp_path / "m", data, "--out", report)
    assert status == 0, err
    page = Page()
    page.feed(report.read_text(encoding="utf-8"))
    assert page.fetched == []
    assert page.open == []
