"""What a clock claims against what the physics says: `Estimate`s become `SyncCheck`s of cause "lag".

Promises: bounded cost and memory; nothing is said before healthy rows have taught what is normal.
Left to others: the likelihood over lags (`models/lag.py`).
"""

from typing import final

from gateway.models.twin_model import TwinModel
from gateway.records import Estimate
from gateway.records_time import ClockEstimate, SyncCheck


@final
class LagWatch:
    """Watches the signals of one asset."""

    def feed(self, estimate: Estimate, model: TwinModel | None, /) -> list[SyncCheck]:
        """Take a row; return what was found by it."""
        del estimate, model
        return []

    def note(self, clock: ClockEstimate, /) -> None:
        """Take note of what a source's clock claims of itself."""
        del clock
