"""What a person reads after a run: tables for the terminal, one summary line for scripts.

Promises: every figure comes from the RunResult; nothing is rounded to look better.  Leaves to
others: where it is printed.
"""

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.records import State
from hil.run import RunResult, TimedVerdict


def summary_line(result: RunResult) -> str:
    """One line: `frames=N verified=N rejected=N lost=N alarm_delay_s=X speed=Yx`."""
    delay = "none" if result.alarm_delay_s is None else f"{result.alarm_delay_s:.1f}"
    return (
        f"frames={result.sent} verified={result.verified} rejected={result.rejected}"
        f" lost={result.lost} alarm_delay_s={delay} speed={result.speed:.0f}x"
    )


def hash_lines(result: RunResult) -> str:
    """The two hashes that have to be the same in every run."""
    return f"frames   sha256 {result.frames_sha256}\nverdicts sha256 {result.verdicts_sha256}"


def full_report(result: RunResult) -> RenderableType:
    """Boards, ledger, verdicts and the first alarm of one run."""
    return Group(
        _boards(result),
        Text(),
        _ledger(result),
        Text(
            "ledger adds up: received = verified + rejected, announced = numbered + refused + lost"
            if result.ledger_adds_up
            else "ledger DOES NOT ADD UP"
        ),
        Text(),
        *(_verdict(item) for item in result.verdicts),
        Text(),
        _alarm(result),
    )


def _boards(result: RunResult) -> Table:
    table = Table(title="Boards", title_justify="left", box=None, pad_edge=False)
    for heading in ("node", "board", "says it is"):
        table.add_column(heading)
    for heading in ("frames", "transactions", "Minstr/s"):
        table.add_column(heading, justify="right")
    for board in result.boards:
        mega_instructions = board.computed_ns / 8e6 / result.virtual_s
        table.add_row(
            board.node,
            board.board,
            board.identity,
            str(board.sent_frames),
            str(board.transactions),
            f"{mega_instructions:.2f}" if board.computed_ns else "-",
        )
    return table


def _ledger(result: RunResult) -> Table:
    table = Table(title="Loss ledger", title_justify="left", box=None, pad_edge=False)
    table.add_column("source")
    headings = ("sent", "received", "verified", "rejected", "line errors", "lost", "delivered")
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
            str(row.delivered),
        )
    return table


def _verdict(item: TimedVerdict) -> Text:
    style = {State.ALARM: "bold red", State.NORMAL: "green", State.LEARNING: "dim"}
    when = datetime.fromtimestamp(item.verdict.time_ns / 1e9, UTC).strftime("%H:%M:%S")
    line = Text(f"{when} ")
    line.append(f"{item.verdict.state.value:<9}", style=style[item.verdict.state])
    line.append(item.verdict.evidence)
    return line


def _alarm(result: RunResult) -> Text:
    if result.alarm is None:
        return Text("no alarm inside the labelled fault" if result.label_start_ns else "no alarm")
    blamed = ", ".join(f"{blame.signal} {blame.share:.0%}" for blame in result.alarm.verdict.blamed)
    if result.alarm_delay_s is None:
        text = f"first alarm (the trace has no label); blamed: {blamed}"
    else:
        text = (
            f"first alarm {result.alarm_delay_s:.1f} s after the labelled start;"
            f" blamed: {blamed}; alarms outside the label: {result.false_alarms}"
        )
    return Text(text, style="bold")
