"""The page for people: how the clocks stand, what is wrong with time, how the links serve.

Promises: one document that loads nothing and runs nothing, readable on a telephone, in light and
dark; every word that comes from outside is escaped; at most `SHOWN_MAX` entries of a kind, and it
says how many more there are. It renews itself every `REFRESH_S`.
Left to others: what is known (`time_board.py`), how numbers read (`time_words.py`).
"""

from collections.abc import Sequence
from html import escape
from typing import Final

from gateway.records_time import ClockEstimate, KpiFigure, LinkKpi, SyncCheck, TimedEvent, Timing
from gateway.time_board import TimeBoard
from gateway.time_words import (
    NONE,
    amount,
    budget,
    clock_kind,
    duration,
    heard,
    label,
    limits,
    met,
    moment,
    nanoseconds,
    offset,
    ppm,
    service,
)

SHOWN_MAX: Final = 100
REFRESH_S: Final = 10
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{refresh}">
<title>{title}</title>
<style>
:root {{
  --paper: #ffffff; --raised: #f5f6f8; --ink: #17202a; --muted: #566270; --grid: #d5dae0;
  --good: #1e7a4c; --bad: #b3261e; --open: #8a5a00;
}}
@media (prefers-color-scheme: dark) {{ :root {{
  --paper: #12161b; --raised: #1b2128; --ink: #e8ecf0; --muted: #9aa6b2; --grid: #39434e;
  --good: #62c99a; --bad: #ff8a80; --open: #e3b341;
}} }}
* {{ box-sizing: border-box; }}
body {{ background: var(--paper); color: var(--ink); margin: 0 auto; padding: 1.5rem 1rem 4rem;
  max-width: 76rem; font: 16px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }}
h1 {{ font-size: 1.7rem; margin: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.15rem; margin: 2.2rem 0 .7rem; }}
h3 {{ font-size: 1rem; margin: 0; overflow-wrap: anywhere; display: flex; flex-wrap: wrap;
  gap: .2rem .6rem; align-items: baseline; }}
h3 small, .lead, .none, .card p {{ color: var(--muted); font-weight: normal; }}
.lead {{ margin: .2rem 0 0; }}
.cards {{ display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }}
.card {{ background: var(--raised); border: 1px solid var(--grid); border-radius: .5rem;
  padding: .8rem 1rem; min-width: 0; }}
.card p {{ margin: .5rem 0 0; font-size: .88rem; overflow-wrap: anywhere; }}
.finding {{ border-left: .3rem solid var(--bad); }}
.finding.over {{ border-left-color: var(--grid); }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; margin-top: .5rem; }}
th, td {{ text-align: left; padding: .22rem 0; border-top: 1px solid var(--grid);
  vertical-align: top; }}
th {{ font-weight: normal; color: var(--muted); padding-right: .8rem; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; }}
td small {{ display: block; color: var(--muted); }}
.tag {{ font-size: .8rem; font-weight: 600; padding: .05rem .5rem; border-radius: 1rem;
  border: 1px solid currentColor; white-space: nowrap; }}
.good {{ color: var(--good); }} .bad {{ color: var(--bad); }} .open {{ color: var(--open); }}
@media (min-width: 60rem) {{ .links {{ grid-template-columns: repeat(2, 1fr); }} }}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="lead">{lead}</p>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def page(board: TimeBoard) -> str:
    """Return the page as of now."""
    clocks, links, active = board.clocks(), board.links(), board.active()
    up = sum(link.is_up for link in links)
    lead = (
        f"{moment(board.now_ns())} UTC · {up} of {len(links)} links up · "
        f"{heard(len(clocks), 'clock')} followed · {heard(len(active), 'finding')} about time"
    )
    sections = [
        _section("Findings that last", [_finding(check) for check in active],
                 "Nothing is wrong with the time of any source."),
        _section("Clocks", [_clock(clock) for clock in clocks], "No clock has been heard of yet."),
        _section("Links", [_link(link) for link in links], "No link has been measured yet.",
                 "cards links"),
    ]  # fmt: skip
    if events := board.events():
        sections.append(_section("Machines", [_event(event) for event in events], ""))
    recent = [_finding(check) for check in board.recent()]
    sections.append(_section("Last findings", recent, "None since the gateway started."))
    title = escape(f"{board.site}: time and links")
    return _PAGE.format(title=title, lead=escape(lead), refresh=REFRESH_S, body="\n".join(sections))


def _section(title: str, cards: Sequence[str], none: str, kind: str = "cards") -> str:
    """Return a section of cards, which are HTML, or say in words that there are none."""
    if not cards:
        inner = f'<p class="none">{escape(none)}</p>'
    else:
        inner = f'<div class="{kind}">' + "\n".join(cards[:SHOWN_MAX]) + "</div>"
    if len(cards) > SHOWN_MAX:
        inner += f'<p class="none">and {len(cards) - SHOWN_MAX:,} more</p>'
    return f"<section><h2>{escape(title)}</h2>{inner}</section>"


def _clock(clock: ClockEstimate) -> str:
    boot = "" if clock.boot_id is None else f"boot {clock.boot_id}"
    tag = _tag("rate only", "open") if not clock.is_two_way else _tag("known", "good")
    if clock.offset_ns is None:
        tag = _tag("unknown", "open")
    rows = [
        ("offset" if clock.is_two_way else "change of offset", offset(clock), ""),
        ("bound", nanoseconds(clock.bound_ns), "hard"),
        ("uncertainty", nanoseconds(clock.uncertainty_ns), "k = 2"),
        ("skew", ppm(clock.skew_ppm, clock.skew_uncertainty_ppm), ""),
        ("round trip", nanoseconds(clock.delay_ns), ""),
        ("exchanges used", f"{clock.probes:,}", ""),
    ]
    head = _head(clock.source, f"{clock_kind(clock)} {boot}", tag)
    return _card(head + _table(rows) + _words(clock.text))


def _link(link: LinkKpi) -> str:
    state = service(link)
    rows = [_figure(figure) for figure in link.figures]
    observed = f"{link.link or 'no link yet'}, observed for {duration(link.observed_s)}"
    kind = {"up": "good", "down": "bad"}.get(state, "open")
    return _card(_head(link.source, observed, _tag(state, kind)) + _table(rows))


def _figure(figure: KpiFigure) -> tuple[str, str, str]:
    """Return a figure as label, value and what stands below it."""
    value, spread = amount(figure.value, figure.unit), limits(figure)
    below = [text for text in (spread, budget(figure)) if text and text != value]
    if verdict := met(figure):
        below[-1] += f": {verdict}"
    return label(figure.name), value, "; ".join(below)


def _finding(check: SyncCheck) -> str:
    what = check.cause.value.replace("_", " ")
    about = check.source if check.signal is None else f"{check.source} ({check.signal})"
    tag = _tag("lasts", "bad") if check.is_active else _tag("over", "good")
    size = f"{check.size:g} {check.unit}"
    if check.size_uncertainty is not None:
        size = f"{check.size:.3g} ± {check.size_uncertainty:.2g} {check.unit}"
    since = f"since {moment(check.since_ns)}, told {moment(check.time_ns)} UTC, size {size}"
    kind = "finding" if check.is_active else "finding over"
    return _card(_head(f"{about}: {what}", "", tag) + _words(check.text) + _words(since), kind)


def _event(event: TimedEvent) -> str:
    kind = {Timing.IN_TIME: "good", Timing.UNDECIDED: "open"}.get(event.timing, "bad")
    rows = [
        ("at", f"{moment(event.time_ns)}", f"± {nanoseconds(event.bound_ns)}"),
        ("in the state before", duration(event.elapsed_s), f"± {duration(event.elapsed_bound_s)}"),
    ]
    head = _head(event.machine, f"{event.before} → {event.after}",
                 _tag(event.timing.value.replace("_", " "), kind))  # fmt: skip
    return _card(head + _table(rows) + _words(event.text))


def _card(inner: str, kind: str = "") -> str:
    return f'<article class="card {kind}">{inner}</article>'


def _head(name: str, small: str, tag: str) -> str:
    """Return a heading; `tag` is HTML."""
    return f"<h3>{escape(name)} {tag} <small>{escape(small.strip())}</small></h3>"


def _tag(word: str, kind: str) -> str:
    return f'<span class="tag {kind}">{escape(word)}</span>'


def _words(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    """Return rows of label, value and small print; rows that say nothing are left out."""
    cells = [
        f"<tr><th>{escape(name)}</th><td{_kind(small)}>{escape(value)}"
        + (f"<small>{escape(small)}</small>" if small else "")
        + "</td></tr>"
        for name, value, small in rows
        if value != NONE or small
    ]
    return f"<table>{''.join(cells)}</table>"


def _kind(small: str) -> str:
    """Return the colour of a value whose budget is not met."""
    return ' class="bad"' if small.endswith("NOT MET") else ""
