"""The HTML of a report: its look, and the few pieces it is made of.

Promises: nothing is loaded and nothing runs; colours follow the reader's light or dark setting and
are dark on white on paper. Arguments are text and are escaped here, except the SVG of a figure and
the body of a section, which are made by us. Left to others: what is said (`report.py`).
"""

from collections.abc import Sequence
from html import escape
from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{
  --paper: #ffffff; --raised: #f5f6f8; --ink: #17202a; --muted: #566270; --grid: #d5dae0;
  --c0: #1f6fb5; --c1: #c2571a; --c2: #2d8a5f; --c3: #a6346f; --c4: #8a6d00; --c5: #5b52b5;
}}
@media (prefers-color-scheme: dark) {{ :root {{
  --paper: #12161b; --raised: #1b2128; --ink: #e8ecf0; --muted: #9aa6b2; --grid: #39434e;
  --c0: #6cb2ee; --c1: #f0945c; --c2: #62c99a; --c3: #ea83b8; --c4: #d9bd4a; --c5: #aaa2f2;
}} }}
@media print {{ :root {{
  --paper: #ffffff; --raised: #ffffff; --ink: #000000; --muted: #444444; --grid: #bbbbbb;
  --c0: #1f6fb5; --c1: #c2571a; --c2: #2d8a5f; --c3: #a6346f; --c4: #8a6d00; --c5: #5b52b5;
}} section {{ break-inside: avoid; }} }}
body {{ background: var(--paper); color: var(--ink); margin: 0 auto; padding: 2rem 1.25rem 4rem;
  max-width: 62rem; font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }}
h1 {{ font-size: 2rem; margin: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.3rem; margin: 2.6rem 0 .6rem; }}
h3 {{ font-size: 1.02rem; margin: 1.4rem 0 .2rem; overflow-wrap: anywhere; }}
.lead, figcaption {{ color: var(--muted); }}
.lead {{ margin: .2rem 0 1.2rem; overflow-wrap: anywhere; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .7rem; }}
.card {{ background: var(--raised); border: 1px solid var(--grid); border-radius: .5rem;
  padding: .7rem .9rem; }}
.card b {{ display: block; font-size: 1.3rem; line-height: 1.25; }}
.card span {{ color: var(--muted); font-size: .82rem; }}
figure {{ margin: .4rem 0 0; }}
figure svg {{ width: 100%; height: auto; display: block; color: var(--ink); }}
figcaption {{ font-size: .92rem; max-width: 46rem; margin-top: .3rem; }}
.scroll {{ overflow-x: auto; margin-top: .8rem; }}
table {{ border-collapse: collapse; font-size: .9rem; width: 100%; }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--grid);
  vertical-align: top; }}
th {{ color: var(--muted); font-weight: 600; }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.text {{ overflow-wrap: anywhere; }}
.blind {{ background: var(--raised); border-left: 4px solid var(--c1); border-radius: .3rem;
  padding: .1rem 1.2rem .6rem; margin-top: 2.6rem; }}
.blind h2 {{ margin-top: 1rem; }}
li {{ margin: .35rem 0; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def section(title: str, body: str, kind: str = "") -> str:
    """Return a section; `body` is HTML."""
    mark = f' class="{kind}"' if kind else ""
    return f"<section{mark}><h2>{escape(title)}</h2>{body}</section>"


def figure(svg: str, words: str) -> str:
    """Return a plot with the words below it; `svg` is HTML."""
    caption = f"<figcaption>{escape(words)}</figcaption>" if words else ""
    return f"<figure>{svg}{caption}</figure>"


def cards(facts: Sequence[tuple[str, str, str]]) -> str:
    """Return small boxes: name, value, words."""
    boxes = "".join(
        f'<div class="card"><span>{escape(name)}</span><b>{escape(value)}</b>'
        f"<span>{escape(words)}</span></div>"
        for name, value, words in facts
    )
    return f'<div class="cards">{boxes}</div>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int | None = None
) -> str:
    """Return a table; columns from `numbers_from` on are numbers."""
    first = len(head) if numbers_from is None else numbers_from
    kinds = ["number" if place >= first else "text" for place in range(len(head))]
    top = "".join(
        f'<th class="{kind}">{escape(name)}</th>' for kind, name in zip(kinds, head, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{kind}">{escape(cell)}</td>' for kind, cell in zip(kinds, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    head_row = f"<thead><tr>{top}</tr></thead>"
    return f'<div class="scroll"><table>{head_row}<tbody>{body}</tbody></table></div>'
