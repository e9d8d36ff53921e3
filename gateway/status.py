"""The OPC UA status codes this gateway gives to values (OPC 10000-4, StatusCode.csv 1.05).

Only codes of the standard; the mapping from situation to code is one table in docs/standards.md.
The two top bits are the severity: 00 good, 01 uncertain, 10 bad.
"""

from typing import Final

GOOD: Final = 0x0000_0000
GOOD_NO_DATA: Final = 0x00A5_0000
"""Here: a slower signal in a row of the asset in which it was not due."""
GOOD_SUB_NORMAL: Final = 0x00EB_0000
"""Fused from fewer sensors than designed, but enough of them."""

UNCERTAIN: Final = 0x4000_0000
UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE: Final = 0x408F_0000
UNCERTAIN_LAST_USABLE_VALUE: Final = 0x4090_0000
UNCERTAIN_SUBSTITUTE_VALUE: Final = 0x4091_0000
UNCERTAIN_INITIAL_VALUE: Final = 0x4092_0000
UNCERTAIN_SENSOR_NOT_ACCURATE: Final = 0x4093_0000
"""Here: the time of the value is not known within the budget."""
UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: Final = 0x4094_0000
UNCERTAIN_SUB_NORMAL: Final = 0x4095_0000
"""Fused from fewer sensors than the quorum."""
UNCERTAIN_SIMULATED_VALUE: Final = 0x4209_0000

BAD: Final = 0x8000_0000
BAD_COMMUNICATION_ERROR: Final = 0x8005_0000
BAD_TIMEOUT: Final = 0x800A_0000
BAD_SECURITY_CHECKS_FAILED: Final = 0x8013_0000
BAD_NO_COMMUNICATION: Final = 0x8031_0000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x8032_0000
BAD_CONFIGURATION_ERROR: Final = 0x8089_0000
BAD_NOT_CONNECTED: Final = 0x808A_0000
BAD_SENSOR_FAILURE: Final = 0x808C_0000
BAD_OUT_OF_SERVICE: Final = 0x808D_0000
"""Here: a signal the model cannot use, for example one that was constant while it was trained."""
BAD_NO_DATA: Final = 0x809B_0000

_SEVERITY: Final = 0xC000_0000


def is_bad(status: int) -> bool:
    """Tell whether a value with this status must not be used (severity bits 10)."""
    return status & _SEVERITY == BAD


def is_good(status: int) -> bool:
    """Tell whether a value with this status may be used without reserve (severity bits 00)."""
    return status & _SEVERITY == 0


def worst(first: int, second: int) -> int:
    """Return the status of higher severity; the first one when they are equal."""
    return second if (second & _SEVERITY) > (first & _SEVERITY) else first
