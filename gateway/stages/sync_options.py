"""What the checks of sync are set to; site_time.py says what each means to a site."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """Set-points of the checks, and how long frames may wait for a clock."""

    wander_ppm_per_s: float = 0.01
    hold_ns: int = 0
    """How long values of a node that stores may wait for the clock of a new boot; 0: not at all."""
    false_alarms_per_day: float = 0.01
    asymmetry_min_ns: int = 5_000_000
    stale_ns: int = 30_000_000_000
    host_error_max_ns: int = 1_000_000_000
    site: str = "gateway"
    """Source of findings about the gateway's own clock."""
