"""What the tests of the `model` commands share: how a command ends, and the columns of the rows."""

from collections.abc import Callable

Cli = Callable[..., tuple[int, str, str]]
HEADER = ("flow[m3/s]", "pressure[bar]", "current[A]", "speed")
COUNT = 600


def refused(result: tuple[int, str, str]) -> str:
    """Return the message of a command that was refused in one message and without a traceback."""
    status, _, err = result
    assert status == 1
    assert err.startswith("error: ")
    assert "Traceback" not in err
    return err
