"""The `gateway` commands about time: how the clocks stand, and how the links serve."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from twinrig_terminal import console

if TYPE_CHECKING:
    from gateway.records_time import ClockEstimate, LinkKpi, SyncCheck, TimedEvent

State = Annotated[Path, typer.Option("--state", help="The gateway's state folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, as the gateway has it.")]
STATE: Final = Path("state")
_STYLES: Final = {
    "up": "green", "met": "green", "in time": "green", "down": "red", "NOT MET": "red",
    "lasts": "red", "waiting": "yellow", "open": "yellow", "undecided": "yellow",
}  # fmt: skip
T = TypeVar("T")


def gateway_kpi(state: State = STATE, *, as_json: AsJson = False) -> None:
    """Show how every link serves, in the terms of 3GPP TS 22.104, with 95 % limits and budgets."""
    from gateway.control_client import ControlClient
    from gateway.time_answers import read_links

    answer = asyncio.run(ControlClient(state).kpi())
    if as_json:
        _print_json(answer)
        return
    links = _read(state, read_links, answer).links
    if not links:
        console.print("no link has been measured yet; figures come every few seconds")
    for link in links:
        console.print(_link_table(link))


def gateway_clocks(state: State = STATE, *, as_json: AsJson = False) -> None:
    """Show how the clock of every source stands, and what is wrong with its time."""
    from gateway.control_client import ControlClient
    from gateway.time_answers import read_clocks

    answer = asyncio.run(ControlClient(state).clocks())
    if as_json:
        _print_json(answer)
        return
    said = _read(state, read_clocks, answer)
    if said.clocks:
        console.print(_clock_table(said.clocks))
    else:
        console.print("no clock has been heard of yet")
    if said.machines:
        console.print(_machine_table(said.machines))
    _print_findings("findings that last", said.active_checks)
    over = [check for check in said.recent_checks if not check.is_active]
    _print_findings("findings that are over", over)


def _print_json(answer: Mapping[str, object]) -> None:
    typer.echo(json.dumps(answer, indent=2, allow_nan=False))


def _read(
    state: Path, read: Callable[[Mapping[str, object]], T], answer: Mapping[str, object]
) -> T:
    """Return an answer as records; raise OperatorError for that of another version."""
    from gateway.errors import OperatorError

    try:
        return read(answer)
    except (TypeError, ValueError) as error:
        raise OperatorError(
            f"{state}: the gateway's answer cannot be read ({error}); run both ends in one version"
        ) from error


def _link_table(link: "LinkKpi") -> Table:
    """Return the figures of a link, one a row."""
    from gateway.time_words import amount, budget, duration, label, limits, met, service

    word = service(link)
    title = Text.assemble(
        (link.source, "bold"), f" over {link.link or 'no link yet'}: ", _styled(word),
        f", observed for {duration(link.observed_s)}",
    )  # fmt: skip
    table = _table(title, "figure", "value", "95 % limits", "budget", "")
    for figure in link.figures:
        table.add_row(
            label(figure.name),
            amount(figure.value, figure.unit),
            limits(figure),
            budget(figure),
            _styled(met(figure)),
        )
    return table


def _clock_table(clocks: "Iterable[ClockEstimate]") -> Table:
    from gateway.time_words import clock_kind, nanoseconds, offset, ppm

    table = _table(
        Text("clocks: gateway time = source time + offset"),
        "source", "heard", "boot", "offset", "bound", "k = 2", "skew", "round trip",
    )  # fmt: skip
    for clock in clocks:
        table.add_row(
            clock.source,
            clock_kind(clock),
            "" if clock.boot_id is None else str(clock.boot_id),
            offset(clock),
            nanoseconds(clock.bound_ns),
            nanoseconds(clock.uncertainty_ns),
            ppm(clock.skew_ppm, clock.skew_uncertainty_ppm),
            nanoseconds(clock.delay_ns),
        )
    return table


def _machine_table(machines: "Iterable[TimedEvent]") -> Table:
    from gateway.time_words import duration, moment

    table = _table(Text("machines: the last change of state"),
                   "machine", "UTC", "from", "to", "after", "timing")  # fmt: skip
    for event in machines:
        table.add_row(
            event.machine,
            moment(event.time_ns),
            event.before,
            event.after,
            f"{duration(event.elapsed_s)} ± {duration(event.elapsed_bound_s)}",
            _styled(event.timing.value.replace("_", " ")),
        )
    return table


def _print_findings(title: str, checks: "Iterable[SyncCheck]") -> None:
    """Print findings in full, since what to do stands in them."""
    from gateway.time_words import moment

    lines = [
        Text.assemble(
            f"  {moment(check.since_ns)}  ",
            (check.source if check.signal is None else f"{check.source} ({check.signal})", "bold"),
            f"  {check.cause.value.replace('_', ' ')}: {check.text}",
        )
        for check in checks
    ]
    console.print(Text(f"{title}: {len(lines) or 'none'}"))
    for line in lines:
        console.print(line)


def _table(title: Text, *columns: str) -> Table:
    """Return an empty table; names and words stand to the left, numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="", header_style="dim")
    words = {"figure", "source", "heard", "machine", "from", "to", "timing", "UTC", ""}
    for column in columns:
        table.add_column(
            column,
            justify="left" if column in words else "right",
            no_wrap=column in ("figure", "source"),
        )
    return table


def _styled(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, ""))
