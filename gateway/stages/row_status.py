"""The OPC UA status codes of a row: of what was measured, of what was fused, of the row itself."""

from gateway import status
from gateway.stages.rows import Row


def value_status(row: Row, at: int) -> int:
    """Return the status of a signal's value in a row, or of its absence."""
    kept = row.values[at]
    if kept is not None:
        return kept.status
    return status.BAD_NO_DATA if row.is_due[at] else status.GOOD_NO_DATA


def fused_status(code: int, trust: float) -> int:
    """Return the status of a fused value, from that of its signal and how far it is trusted."""
    if status.is_bad(code) or trust < 0.5:
        return status.UNCERTAIN_SUBSTITUTE_VALUE
    return status.GOOD if status.is_good(code) else code


def row_status(seen: int, due: int) -> int:
    """Return Good for a full row, sub-normal for a thinner one, uncertain below half."""
    if seen >= due:
        return status.GOOD
    return status.GOOD_SUB_NORMAL if 2 * seen >= due else status.UNCERTAIN_SUB_NORMAL
