"""The table [time]: defaults that fit, and limits that say where they are."""

import pytest
from pydantic import ValidationError

from gateway.site_time import TimeSettings


def test_the_defaults_fit_each_other():
    time = TimeSettings()
    assert time.hold_s < 15, "a node sends again after 15 s without a receipt"
    assert time.asymmetry_min_ms < time.bound_max_ms
    assert time.false_alarms_per_day <= 0.01


@pytest.mark.parametrize(
    "wrong",
    [
        {"hold_s": 15.0},
        {"false_alarms_per_day": 0.0},
        {"wander_ppm_per_s": -1.0},
        {"drift_ppm": float("inf")},
        {"stale_s": 0.0},
        {"host_error_max_ms": float("nan")},
        {"asymetry_min_ms": 5.0},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        TimeSettings(**wrong)
