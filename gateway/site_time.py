"""The table [time] of `site.toml`: how clocks are followed, and when something about time is told.

Promises: every key has a default that is right for nodes on a line and a quartz in each. Left to
others: what is made of it (`assembly.py`).
"""

from typing import Annotated

from pydantic import Field

from gateway.site_fields import Positive, Table


class TimeSettings(Table):
    """[time] How the clocks of the nodes are followed."""

    probe_period_s: Positive = 10.0
    drift_ppm: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = 100.0
    """Largest rate error a node's oscillator may have; the bound of every time stamp uses it."""
    wander_ppm_per_s: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.01
    """Standard deviation of how fast that rate changes, as a crystal warms or cools."""
    bound_max_ms: Positive = 50.0
    """Time budget: a value whose time is less certain than this has an uncertain status."""
    unsynchronised_bound_ms: Positive = 1000.0
    """Bound stated while a node's clock is unknown."""
    silent_periods: Annotated[int, Field(ge=2, le=10_000)] = 5
    """A signal that has not come for so many of its periods is shown as uncertain."""
    hold_s: Annotated[float, Field(ge=0, lt=15, allow_inf_nan=False)] = 5.0
    """How long a stored frame may wait for the clock of its boot; a node sends again after 15 s."""
    false_alarms_per_day: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.01
    """Set-point of every check of a clock that decides by statistics, for each source."""
    asymmetry_min_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """A one-sided delay below this is what a line with other traffic does; it is not told."""
    stale_s: Positive = 30.0
    """Data that is older than this when it comes, and keeps coming so, is told as stale."""
    host_error_max_ms: Positive = 1000.0
    """Largest error the gateway's own clock may state (`maxerror`); RFC 5905 calls it MAXDIST."""
