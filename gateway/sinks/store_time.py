"""What the store keeps of what is known about time: five tables, and what goes into them.

    sync_checks      what was found wrong with a source's time, and when it was over
    clock_estimates  how the clock of a source stood, a row for each answer to a probe
    timed_events     states of machines, against their expected order and timing
    revisions        fused values as they were corrected; the row in signal_estimates stays as it is
    link_kpis        figures of a link, a row for each figure: every ten minutes, and whenever the
                     link goes up or down or a budget is met or missed from now on

Promises: nothing that was published is overwritten, since a verdict rests on it: the best value of
a row today is its last revision, or the published one if there is none. What cannot be known is
null, never zero. Left to others: transactions and bounds (`store_schema.py`).
"""

from typing import Final, final

from gateway.clock import NS_PER_S
from gateway.records import TimeRecord
from gateway.records_time import ClockEstimate, LinkKpi, Revision, SyncCheck, TimedEvent

Row = tuple[object, ...]
TableRow = tuple[str, Row]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sync_checks (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, cause TEXT NOT NULL, signal TEXT,
    is_active INTEGER NOT NULL, time_ns INTEGER NOT NULL, since_ns INTEGER NOT NULL, size REAL,
    size_uncertainty REAL, unit TEXT NOT NULL, sequence INTEGER NOT NULL,
    text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS clock_estimates (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, time_ns INTEGER NOT NULL, boot_id INTEGER,
    is_two_way INTEGER NOT NULL, offset_ns INTEGER, bound_ns INTEGER, uncertainty_ns INTEGER,
    skew_ppm REAL, skew_uncertainty_ppm REAL, delay_ns INTEGER, probes INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS timed_events (
    id INTEGER PRIMARY KEY, machine TEXT NOT NULL, time_ns INTEGER NOT NULL,
    bound_ns INTEGER NOT NULL, state_before TEXT NOT NULL, state_after TEXT NOT NULL,
    timing TEXT NOT NULL, elapsed_s REAL, elapsed_bound_s REAL, sequence INTEGER NOT NULL,
    text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS revisions (
    id INTEGER PRIMARY KEY, asset TEXT NOT NULL, signal TEXT NOT NULL, time_ns INTEGER NOT NULL,
    fused_before REAL, fused REAL, fused_deviation REAL, number INTEGER NOT NULL,
    late_ns INTEGER NOT NULL, fused_status INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS link_kpis (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, link TEXT NOT NULL, time_ns INTEGER NOT NULL,
    observed_s REAL, is_up INTEGER NOT NULL, name TEXT NOT NULL, value REAL, low REAL, high REAL,
    unit TEXT NOT NULL, budget REAL, is_met INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS sync_checks_by_source ON sync_checks (source, time_ns);
CREATE INDEX IF NOT EXISTS clock_estimates_by_source ON clock_estimates (source, time_ns);
CREATE INDEX IF NOT EXISTS timed_events_by_machine ON timed_events (machine, time_ns);
CREATE INDEX IF NOT EXISTS revisions_by_signal ON revisions (signal, time_ns, number);
CREATE INDEX IF NOT EXISTS link_kpis_by_name ON link_kpis (source, name, time_ns);
"""
INSERTS: Final = {
    "sync_checks": "INSERT INTO sync_checks (source, cause, signal, is_active, time_ns, since_ns, "
    "size, size_uncertainty, unit, sequence, text) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
    "clock_estimates": "INSERT INTO clock_estimates (source, time_ns, boot_id, is_two_way, "
    "offset_ns, bound_ns, uncertainty_ns, skew_ppm, skew_uncertainty_ppm, delay_ns, probes) "
    "VALUES (?,?,?,?,?,?,?,?,?,?,?)",
    "timed_events": "INSERT INTO timed_events (machine, time_ns, bound_ns, state_before, "
    "state_after, timing, elapsed_s, elapsed_bound_s, sequence, text) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)",
    "revisions": "INSERT INTO revisions (asset, signal, time_ns, fused_before, fused, "
    "fused_deviation, number, late_ns, fused_status) VALUES (?,?,?,?,?,?,?,?,?)",
    "link_kpis": "INSERT INTO link_kpis (source, link, time_ns, observed_s, is_up, name, value, "
    "low, high, unit, budget, is_met) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
}
TABLES: Final = tuple(INSERTS)
KPI_PERIOD_NS: Final = 600 * NS_PER_S
"""Figures are over all time observed, so those of the minutes between say nothing more."""
_SOURCES_MAX: Final = 1_000


@final
class KpiPace:
    """Says which figures are worth a row: eighteen for each link every ten seconds are not."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, object]] = {}
        """By source: time and state of the figures kept last."""

    def is_due(self, kpi: LinkKpi) -> bool:
        """Tell whether to keep these figures; if so, they are the last ones kept."""
        state = (kpi.link, kpi.is_up, tuple(figure.is_met for figure in kpi.figures))
        kept_ns, kept_state = self._kept.get(kpi.source, (kpi.time_ns, None))
        if state == kept_state and 0 <= kpi.time_ns - kept_ns < KPI_PERIOD_NS:
            return False
        self._kept.pop(kpi.source, None)
        while len(self._kept) >= _SOURCES_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[kpi.source] = kpi.time_ns, state
        return True


def time_rows(record: TimeRecord) -> list[TableRow]:
    """Return the rows of a record about time: one for each figure of a link, else one."""
    match record:
        case SyncCheck():
            return [("sync_checks", (
                record.source, record.cause.value, record.signal, record.is_active,
                record.time_ns, record.since_ns, record.size, record.size_uncertainty,
                record.unit, record.sequence, record.text,
            ))]  # fmt: skip
        case ClockEstimate():
            return [("clock_estimates", (
                record.source, record.time_ns, record.boot_id, record.is_two_way,
                record.offset_ns, record.bound_ns, record.uncertainty_ns, record.skew_ppm,
                record.skew_uncertainty_ppm, record.delay_ns, record.probes,
            ))]  # fmt: skip
        case TimedEvent():
            return [("timed_events", (
                record.machine, record.time_ns, record.bound_ns, record.before, record.after,
                record.timing.value, record.elapsed_s, record.elapsed_bound_s, record.sequence,
                record.text,
            ))]  # fmt: skip
        case Revision():
            return [("revisions", (
                record.asset, record.signal, record.time_ns, record.before, record.after,
                record.deviation, record.number, record.late_ns, record.status,
            ))]  # fmt: skip
        case LinkKpi():
            return _kpi_rows(record)


def _kpi_rows(kpi: LinkKpi) -> list[TableRow]:
    """Return a row for each figure of a link."""
    link = (kpi.source, kpi.link, kpi.time_ns, kpi.observed_s, kpi.is_up)
    return [
        ("link_kpis", (
            *link, each.name, each.value, each.low, each.high, each.unit, each.budget, each.is_met,
        ))
        for each in kpi.figures
    ]  # fmt: skip
