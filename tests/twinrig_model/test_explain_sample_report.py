"""`twinrig model explain`, `sample` and `report`: words, rows and a page that hold together."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.gateway.lifecycle.models_on_disk import LOCATION, SCALE, csv_of, rows
from tests.twinrig_model.commands import Cli, refused

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


def test_more_rows_than_are_drawn_at_once(cli: Cli, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    err = refused(cli("sample", folder / "model", "--rows", 2_500_001, "--out", out))
    assert "with 4 signals" in err
    assert "draw at most 2500000" in err
    assert not out.exists()


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
    data.write_text(csv_of(rows(200), (evil.replace('"', "'"), "b $x_", "c&lt", "d]]>")))
    out = ("--out", tmp_path / "m", "--no-check", "--asset", "</title><b>")
    assert cli("fit", data, *out)[0] == 0
    report = tmp_path / "r.html"
    status, _, err = cli("report", tmp_path / "m", data, "--out", report)
    assert status == 0, err
    page = Page()
    page.feed(report.read_text(encoding="utf-8"))
    assert page.fetched == []
    assert page.open == []
