"""Where a moment of a source lies on the common timeline, and how surely."""

from dataclasses import dataclass, replace

from gateway.records import Verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A moment on the common timeline."""

    time_ns: int
    bound_ns: int
    """Hard: the truth lies in `time_ns +- bound_ns`."""
    is_known: bool
    """False if the clock it was read off is not known: the time is that of arrival."""
    uncertainty_ns: int
    """Expanded, k = 2; never above the bound."""

    def less_sure(self, error_ns: int) -> "Placed":
        """Return the same moment, known worse by up to `error_ns`."""
        return replace(
            self,
            bound_ns=self.bound_ns + error_ns,
            uncertainty_ns=self.uncertainty_ns + error_ns,
        )


def between(item: Verified) -> Placed:
    """Return the time of a value that was taken somewhere between request and response."""
    requested_ns = item.received_ns if item.requested_ns is None else item.requested_ns
    time_ns = (requested_ns + item.received_ns) // 2
    bound_ns = item.received_ns - time_ns
    return Placed(time_ns=time_ns, bound_ns=bound_ns, is_known=True, uncertainty_ns=bound_ns)


def arrived(item: Verified, bound_ns: int) -> Placed:
    """Return the time of a value of which nothing is known but that it came."""
    return Placed(
        time_ns=item.received_ns, bound_ns=bound_ns, is_known=False, uncertainty_ns=bound_ns
    )
