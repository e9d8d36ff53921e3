"""The `model` commands: learn what an asset does when it is well, and ask about other rows."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from twinrig_terminal import bar, console

if TYPE_CHECKING:
    from gateway.lifecycle.data import Rows, Selection
    from gateway.lifecycle.file import ModelFile
    from gateway.lifecycle.report import Looked
    from gateway.lifecycle.run import Scores

model_app = typer.Typer(help="The model of an asset.", no_args_is_help=True)

PERIOD_S_MIN: Final = 1e-6
PERIOD_S_MAX: Final = 31_536_000.0
"""A year."""

DataFile = Annotated[Path, typer.Argument(help="CSV (.gz), Parquet, or a gateway's store.sqlite3.")]
ModelFolder = Annotated[Path, typer.Argument(help="Folder of a model, or of one version of it.")]
RowRange = Annotated[
    str, typer.Option("--rows", help="Rows a:b as in Python, 0 the first row of data.")
]
Signals = Annotated[
    str, typer.Option(help="Columns, separated by commas; without it all but time and labels.")
]
TimeColumn = Annotated[
    str | None, typer.Option("--time", help="Column with dates or seconds, if it is not found.")
]
PeriodS = Annotated[float | None, typer.Option("--period", help="Seconds from row to row.")]
From = Annotated[str | None, typer.Option("--from", help="First time, 2020-03-09 10:14:33.")]
To = Annotated[str | None, typer.Option("--to", help="Time after the last row.")]
AssetName = Annotated[str | None, typer.Option("--asset", help="Refuse the model of another one.")]
UnitsAsTheyAre = Annotated[
    bool, typer.Option("--units-as-they-are", help="Take numbers that look converted as measured.")
]


@model_app.command("fit")
def model_fit(  # noqa: PLR0913 - one option each
    data: DataFile,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the model; a new version if it has one.")],
    rows: RowRange = ":",
    asset: Annotated[
        str | None, typer.Option(help="Name of the asset; without it, that of the file.")
    ] = None,
    signals: Signals = "",
    time: TimeColumn = None,
    period: PeriodS = None,
    since: From = None,
    until: To = None,
    false_alarms_per_hour: Annotated[
        float, typer.Option(min=1e-4, max=60, help="Set-point: how often it may cry wolf.")
    ] = 0.1,
    check: Annotated[
        bool, typer.Option(help="Keep the last 30 % back first, for honest figures.")
    ] = True,
    vouch: Annotated[
        str, typer.Option(help="Your name, if you know that rows without seals are healthy.")
    ] = "",
) -> None:
    """Learn a model of healthy rows; a folder with one gets a new version, if the gate opens."""
    from gateway.clock import SystemClock
    from gateway.lifecycle.data import read_rows
    from gateway.lifecycle.gate import first_gate, gate
    from gateway.lifecycle.learn import Order, healthy, learn
    from gateway.lifecycle.match import check_asset, match
    from gateway.lifecycle.run import run
    from gateway.lifecycle.store import ModelStore
    from gateway.lifecycle.tables import fit_summary

    store = ModelStore(out)
    current = store.load() if store.exists else None
    named = asset or (current.model.asset if current else data.name.split(".")[0])
    with bar() as shown:
        shown.working(f"reading {data.name}", 0, 1)
        found = read_rows(data, _selection(rows, signals, time, period, since, until, asset))
        chosen, left_out = healthy(found)
        asked = first_gate(chosen, left_out)
        if current is not None:
            check_asset(out, current.model, named)
            chosen = match(current.model, chosen).rows
            scores = run(
                current.model,
                chosen,
                learnt=current.origin.experience,
                told=lambda done, total: shown.working("asking the model in use", done, total),
            )
            asked = gate(current, store.load(store.first()), chosen, scores, left_out)
        learnt = learn(chosen, Order(named, false_alarms_per_hour, check), shown.working)
    now_ns = SystemClock().now_ns()
    version = store.put(learnt.model, learnt.origin, asked, now_ns=now_ns, by=vouch)
    console.print(fit_summary(learnt, left_out))
    console.print(f"{out}: version {version}", soft_wrap=True, markup=False, highlight=False)


@model_app.command("score")
def model_score(  # noqa: PLR0913 - one option each
    model: ModelFolder,
    data: DataFile,
    *,
    json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A line for each row.")] = False,
    rows: RowRange = ":",
    time: TimeColumn = None,
    period: PeriodS = None,
    since: From = None,
    until: To = None,
    asset: AssetName = None,
    units_as_they_are: UnitsAsTheyAre = False,
) -> None:
    """Say for each row how probable "not normal" is, and which signals say so.

    Causally, with the gateway's tracker, memory of repeats and judge. The memory is empty at first:
    repeats of rows are told from the 400th calm row on. What a gateway that ran on since training
    has learnt of levels is not known here: since training the model ages by the dates of the rows.
    """
    from gateway.lifecycle.run import alarms
    from gateway.lifecycle.tables import score_csv, score_json, score_report

    _refuse_both(json, csv)
    file = _opened(model, asset)
    selection = _selection(rows, "", time, period, since, until, None)
    matched, notes, scores = _scored(file, data, selection, as_they_are=units_as_they_are)
    if csv:
        sys.stdout.writelines(score_csv(file.model, scores))
    elif json:
        print(score_json(file, matched, scores, alarms(scores), notes))
    else:
        console.print(score_report(file.model, matched, scores, alarms(scores), notes))


@model_app.command("explain")
def model_explain(
    model: ModelFolder,
    data: DataFile,
    *,
    at: Annotated[
        str | None, typer.Option(help="Time to look at; without it, each alarm begins one.")
    ] = None,
    rows: RowRange = ":",
    time: TimeColumn = None,
    period: PeriodS = None,
    asset: AssetName = None,
    units_as_they_are: UnitsAsTheyAre = False,
) -> None:
    """Say what probably happened, to which signal, how large, and why: a posterior over causes."""
    from gateway.lifecycle.explain import Asked, explain_alarms, explain_at
    from gateway.lifecycle.tables import explanation_report

    at_ns = None if at is None else _instant("--at", at)
    file = _opened(model, asset)
    selection = _selection(rows, "", time, period, None, None, None)
    matched, notes, scores = _scored(file, data, selection, as_they_are=units_as_they_are)
    asked = Asked(file.model, matched, scores, file.origin.experience)
    if at_ns is None:
        with bar() as shown:
            found = explain_alarms(asked, lambda done, all_: shown.working("alarms", done, all_))
    else:
        found = [explain_at(asked, at_ns)]
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False, highlight=False)
    if not found:
        console.print("no alarm in these rows; look at any time with --at TIME")
    for each in found:
        console.print(explanation_report(each))


@model_app.command("sample")
def model_sample(
    model: ModelFolder,
    rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many rows.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same rows.")] = 0,
    asset: AssetName = None,
) -> None:
    """Draw rows that the asset could have made: a synthetic trace with the right correlations.

    At most ten million values at once, rows times signals.
    """
    from gateway.lifecycle.sample import write_sample

    file = _opened(model, asset)
    with bar() as shown:
        write_sample(
            file.model,
            rows,
            seed,
            out,
            told=lambda done, total: shown.working("drawing rows", done, total),
        )
    console.print(f"{out}: {rows:,} rows, seed {seed}", soft_wrap=True, highlight=False)


@model_app.command("report")
def model_report(
    model: ModelFolder,
    data: Annotated[Path | None, typer.Argument(help="Rows to ask it about as well.")] = None,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    rows: RowRange = ":",
    time: TimeColumn = None,
    period: PeriodS = None,
    asset: AssetName = None,
    units_as_they_are: UnitsAsTheyAre = False,
) -> None:
    """Write one page: what the model knows, how far to believe it, what it cannot see."""
    from gateway.lifecycle.report import page, write
    from gateway.lifecycle.store import changes_of

    file = _opened(model, asset)
    looked = None
    if data is not None:
        selection = _selection(rows, "", time, period, None, None, None)
        looked = _looked(file, data, selection, as_they_are=units_as_they_are)
    write(out, page(file, changes_of(model), looked))
    console.print(f"{out}: open it in a browser", soft_wrap=True, highlight=False)


# --- what the commands share ----------------------------------------------------------------------


def _opened(path: Path, asset: str | None) -> "ModelFile":
    """Return a model; raise OperatorError if it is damaged or that of another asset."""
    from gateway.lifecycle.match import check_asset
    from gateway.lifecycle.store import open_model

    file = open_model(path)
    check_asset(path, file.model, asset)
    return file


def _scored(
    file: "ModelFile", data: Path, selection: "Selection", *, as_they_are: bool
) -> tuple["Rows", tuple[str, ...], "Scores"]:
    """Return the rows as the model takes them, notes about them, and what it says."""
    from gateway.lifecycle.data import read_rows
    from gateway.lifecycle.match import match
    from gateway.lifecycle.run import age_rows_of, run

    with bar() as shown:
        shown.working(f"reading {data.name}", 0, 1)
        found = read_rows(data, selection)
        age_rows = age_rows_of(file.origin.to_ns, found)
        matched = match(file.model, found, units_as_they_are=as_they_are, age_rows=age_rows)
        scores = run(
            file.model,
            matched.rows,
            learnt=file.origin.experience,
            age_rows=age_rows,
            told=lambda done, total: shown.working("rows", done, total),
        )
    return matched.rows, matched.notes, scores


def _looked(
    file: "ModelFile", data: Path, selection: "Selection", *, as_they_are: bool
) -> "Looked":
    """Return what the model says about rows, for a report."""
    from gateway.lifecycle.explain import Asked, explain_alarms, headline
    from gateway.lifecycle.measures import measure
    from gateway.lifecycle.report import Looked
    from gateway.lifecycle.run import alarms

    rows, _, scores = _scored(file, data, selection, as_they_are=as_they_are)
    with bar() as shown:
        shown.working("intervals", 0, 1)
        normal = rows if rows.suspect is None else rows.where(~rows.suspect)
        measures = measure(file.model, normal.values, scores, held_out=False)
        asked = Asked(file.model, rows, scores, file.origin.experience)
        found = explain_alarms(asked, lambda done, all_: shown.working("causes", done, all_))
        words = tuple(headline(each) for each in found)
    return Looked(rows, scores, alarms(scores), measures, words)


def _selection(
    rows: str,
    signals: str,
    time: str | None,
    period: float | None,
    since: str | None,
    until: str | None,
    asset: str | None,
) -> "Selection":
    """Return which part of a source is wanted; raise OperatorError for a wrong option."""
    from gateway.lifecycle.data import Selection

    return Selection(
        rows=_row_range(rows),
        signals=tuple(name.strip() for name in signals.split(",") if name.strip()),
        time_column=time,
        period_ns=None if period is None else _period_ns(period),
        span_ns=(
            None if since is None else _instant("--from", since),
            None if until is None else _instant("--to", until),
        ),
        asset=asset,
    )


def _period_ns(period_s: float) -> int:
    """Return a period in nanoseconds; raise OperatorError if it is none, infinite or NaN."""
    from gateway.clock import NS_PER_S
    from gateway.errors import OperatorError

    # A comparison with NaN is false, so that NaN is refused too.
    if not PERIOD_S_MIN <= period_s <= PERIOD_S_MAX:
        raise OperatorError(
            f"--period {period_s:g} is no period; write seconds from {PERIOD_S_MIN:g} to "
            f"{PERIOD_S_MAX:,.0f}"
        )
    return round(period_s * NS_PER_S)


def _row_range(text: str) -> tuple[int | None, int | None]:
    """Return the bounds of a:b; raise OperatorError for anything else."""
    from gateway.errors import OperatorError

    first, colon, end = text.partition(":")
    try:
        bounds = [int(part) if part.strip() else None for part in (first, end)]
    except ValueError:
        bounds = []
    if not colon or not bounds or any(bound is not None and bound < 0 for bound in bounds):
        raise OperatorError(f"--rows {text!r} is no range; write 0:400, 400: or :400")
    return bounds[0], bounds[1]


def _instant(option: str, text: str) -> int:
    """Return a time in Unix nanoseconds; raise OperatorError if it is none."""
    from gateway.cells import instant_ns
    from gateway.errors import OperatorError

    try:
        return instant_ns(text)
    except ValueError as error:
        raise OperatorError(f"{option}: {error}") from error


def _refuse_both(json: bool, csv: bool) -> None:
    """Refuse two formats at once."""
    from gateway.errors import OperatorError

    if json and csv:
        raise OperatorError("--json and --csv exclude each other: choose one")
