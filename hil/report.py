"""What a person reads after a run: tables for the terminal, one summary line for scripts.

Promises: every figure comes from the RunResult; nothing is rounded to look better.  Leaves to
others: where it is printed.
"""

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from boards.catalog import load_board
from gateway.records import State
from hil.clock_report import time_report
from hil.result import RunResult

_SELDOM = ("unanswered", "awaited", "declared", "unknown")
"""Accounts of numbers without a frame, beside `lost`."""


def summary_line(result: RunResult) -> str:
    """One line: `frames=N verified=N rejected=N lost=N alarm_delay_s=X speed=Yx`."""
    delay = "none" if result.alarm_delay_s is None else f"{result.alarm_delay_s:.1f}"
    return (
        f"frames={result.sent} verified={result.verified} rejected={result.rejected}"
        f" lost={result.lost} alarm_delay_s={delay} speed={result.speed:.0f}x"
    )


def hash_lines(result: RunResult) -> str:
    """The hashes that have to be the same in every run."""
    names = ("frames  ", "verdicts", "checks  ")
    return "\n".join(
        f"{name} sha256 {digest}" for name, digest in zip(names, result.hashes, strict=True)
    )


def full_report(result: RunResult) -> RenderableType:
    """Boards, ledger, verdicts and the first alarm of one run."""
    return Group(
        Text("Boards", style="bold"),
        _boards(result),
        Text(),
        Text("Loss ledger", style="bold"),
        _ledger(result),
        _identities(result),
        Text(),
        Text("Verdicts", style="bold"),
        _verdicts(result),
        Text(),
        *time_report(result),
        _alarm(result),
    )


def _boards(result: RunResult) -> Table:
    grid = _grid()
    for board in result.boards:
        work = f"{board.sent_frames:,} frames, {board.transactions:,} bus transactions"
        emulator = load_board(board.board).emulator
        if board.computed_ns and emulator is not None:
            shift = emulator.icount_shift or 0
            per_second = board.computed_ns / (1 << shift) / result.virtual_s
            work += f", {per_second / 1e6:.2f} million instructions/s"
        grid.add_row("", board.node, f"{board.board}: {board.identity}\n{work}")
    return grid


def _identities(result: RunResult) -> Text:
    if not result.ledger_adds_up:
        return Text("  the ledger DOES NOT ADD UP", style="bold red")
    return Text(
        "  adds up: received = verified + rejected\n"
        "           announced = numbered + refused + lost + unanswered + awaited + declared"
        " + unknown"
    )


def _ledger(result: RunResult) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 1))
    table.add_column("source")
    # What is almost always zero has no column while it is.
    seldom = [name for name in _SELDOM if any(getattr(row, name) for row in result.ledger)]
    headings = ["sent", "received", "verified", "rejected", "line errors", "lost", *seldom]
    headings.append("delivered")
    for heading in headings:
        table.add_column(heading, justify="right")
    sent = {board.node: board.sent_frames for board in result.boards}
    for row in result.ledger:
        reasons = ", ".join(f"{reason} {count}" for reason, count in row.rejected.items())
        table.add_row(
            row.source,
            str(sent.get(row.source, "-")),
            str(row.received),
            str(row.verified),
            f"{row.rejected_total}" + (f" ({reasons})" if reasons else ""),
            str(sum(row.line_errors.values())),
            str(row.lost),
            *(str(getattr(row, name)) for name in seldom),
            str(row.delivered),
        )
    return table


def _verdicts(result: RunResult) -> Table:
    style = {State.ALARM: "bold red", State.NORMAL: "green", State.LEARNING: "dim"}
    grid = _grid()
    for item in result.verdicts:
        verdict = item.verdict
        when = datetime.fromtimestamp(verdict.time_ns / 1e9, UTC).strftime("%H:%M:%S")
        state = Text(verdict.state.value, style=style[verdict.state])
        grid.add_row("", when, state, verdict.evidence.replace("; ", "\n"))
    return grid


def _grid() -> Table:
    """Columns without lines; the last one wraps within itself."""
    return Table.grid(padding=(0, 2, 0, 0))


def _alarm(result: RunResult) -> Text:
    if result.alarm is None:
        text = "no alarm inside the labelled fault" if result.label_start_ns else "no alarm"
    else:
        blamed = ", ".join(
            f"{blame.signal} {blame.share:.0%}" for blame in result.alarm.verdict.blamed
        )
        when = (
            ""
            if result.alarm_delay_s is None
            else f" {result.alarm_delay_s:.1f} s after the labelled start"
        )
        text = f"first alarm{when}; blamed: {blamed}"
        if result.alarm.verdict.causes:
            first = result.alarm.verdict.causes[0]
            about = "" if first.signal is None else f" of {first.signal}"
            text += f"; likeliest cause: {first.cause}{about} {first.probability:.0%}"
    if result.false_alarms is None:
        text += "; the trace has no label, so no alarm can be called false"
    else:
        text += f"; alarms outside the label: {result.false_alarms}"
    return Text(text, style="bold")


def judgement_lines(result: RunResult) -> list[str]:
    """What was not as expected and what could not be judged, a line each."""
    return [
        *(f"not as expected: {sentence}" for sentence in result.failures),
        *(f"not judged: {sentence}" for sentence in result.unjudged),
    ]
