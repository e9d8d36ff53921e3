"""What a running gateway says about time, read back into records by who asked for it.

Promises: records as the gateway had them, or a ValueError that says what is wrong with the answer.
Left to others: asking (`control_client.py`), the other direction (`time_board.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from gateway.records_time import ClockEstimate, LinkKpi, SyncCheck, TimedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksAnswer:
    """The links of a gateway at one moment."""

    site: str
    time_ns: int
    links: tuple[LinkKpi, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClocksAnswer:
    """Clocks and findings of a gateway at one moment."""

    site: str
    time_ns: int
    clocks: tuple[ClockEstimate, ...]
    active_checks: tuple[SyncCheck, ...]
    """Oldest first."""
    recent_checks: tuple[SyncCheck, ...]
    """Newest first."""
    machines: tuple[TimedEvent, ...]


_LINKS: Final = TypeAdapter(LinksAnswer)
_CLOCKS: Final = TypeAdapter(ClocksAnswer)


def read_links(answer: Mapping[str, object]) -> LinksAnswer:
    """Return an answer to "kpi" as records; raise ValueError for another one."""
    return _LINKS.validate_python(answer)


def read_clocks(answer: Mapping[str, object]) -> ClocksAnswer:
    """Return an answer to "clocks" as records; raise ValueError for another one."""
    return _CLOCKS.validate_python(answer)
