"""What has not spoken for too long: its last value is repeated once, as an uncertain one.

    silent  <=>  now - arrival of the last record > max(periods x period, 1 s)

Promises: a client that reads a value hours after its source fell silent sees that it is old, by the
status UncertainNoCommunicationLastUsableValue with the value's own time; a bad value stays bad; the
next value ends it. An estimate of an asset without new rows is repeated alike. Repeats are for
those who look at the present: they are no measurements, so no model is fed and nothing is stored.
Left to others: links that are dead altogether (`links/supervisor.py`), rows without a value
(`rows.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, final

from gateway import status
from gateway.records import Aligned, Estimate

REPEATED: Final = status.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE
_SILENCE_MIN_NS: Final = 1_000_000_000
"""Lines and brokers may hold a value back for so long, however fast its source is."""
_Heard = Aligned | Estimate


def is_repeat(record: _Heard) -> bool:
    """Tell whether a record only says that nothing newer has come."""
    return record.status == REPEATED


@final
class Silence:
    """Watches signals and assets; `periods_ns` by the name of the signal or asset.

    What has no period there is not watched.
    """

    def __init__(self, periods_ns: Mapping[str, int], periods: int) -> None:
        self._limits_ns = {
            name: max(periods * period_ns, _SILENCE_MIN_NS)
            for name, period_ns in periods_ns.items()
        }
        self._last: dict[str, tuple[int, _Heard]] = {}

    def heard(self, record: _Heard, now_ns: int) -> None:
        """Take a record as it comes; one that is older than the last says only that it lives."""
        name = record.signal if isinstance(record, Aligned) else record.asset
        if name not in self._limits_ns:
            return
        before = self._last.get(name)
        if before is not None and before[1].time_ns > record.time_ns and before[0] <= now_ns:
            record = before[1]
        self._last[name] = now_ns, record

    def tick(self, now_ns: int) -> list[_Heard]:
        """Return the repeats of what has fallen silent since the last call.

        If the clock was set back, what was heard before counts as heard now: its silence is not
        waited for until the clock has caught up.
        """
        for name, (heard_ns, record) in self._last.items():
            self._last[name] = min(heard_ns, now_ns), record
        silent = [
            name
            for name, (heard_ns, _) in self._last.items()
            if now_ns - heard_ns > self._limits_ns[name]
        ]
        lasts = [self._last.pop(name)[1] for name in silent]
        return [_repeated(last) for last in lasts if not status.is_bad(last.status)]


def _repeated(record: _Heard) -> _Heard:
    """Return a record as the last usable one of a silent source."""
    if isinstance(record, Aligned):
        return replace(record, status=REPEATED)
    values = tuple(
        replace(value, status=_worse(value.status), fused_status=_worse(value.fused_status))
        for value in record.values
    )
    return replace(record, status=REPEATED, values=values)


def _worse(code: int) -> int:
    return code if status.is_bad(code) else REPEATED
