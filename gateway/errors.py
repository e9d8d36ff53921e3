"""Every error the gateway raises, split by who must act.

    TwinrigError
    |-- OperatorError             a person must change something; the message says what
    |   |-- ConfigError           site.toml (or a scenario) is wrong: all its problems at once
    |   |-- KeyFileError          a key file is missing, unreadable, malformed or open to others
    |   |-- PortInUseError        a server port is taken
    |   |-- TraceError            a data file is missing, empty or not what it should be
    |   `-- TrainingError         the training rows cannot carry a model
    |-- PeerError                 the other side misbehaves; retry, isolate, count
    |   |-- LinkError             a south-bound link or one request on it failed
    |   `-- SinkError             a north-bound destination failed
    `-- InternalError             our own bug: an invariant does not hold

Frames that fail a check are not errors: they are `Rejected` records, counted by reason.
Classes keep the arguments they were made from as attributes, so callers never parse a message.
"""

from collections.abc import Sequence


class TwinrigError(Exception):
    """Root of the tree; never raised itself."""


class OperatorError(TwinrigError):
    """A person must change something (file, permission, port, installation)."""


class ConfigError(OperatorError):
    """A configuration file is wrong; `problems` lists every one of them with its path."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        self.path = path
        self.problems = tuple(problems)
        listing = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{path}: {len(self.problems)} problem(s){listing}")


class KeyFileError(OperatorError):
    """A key file cannot be used; `remedy` is the command or edit that mends it."""

    def __init__(self, path: str, what: str, remedy: str) -> None:
        self.path = path
        self.what = what
        self.remedy = remedy
        super().__init__(f"{path}: {what}; {remedy}")


class PortInUseError(OperatorError):
    """A server could not bind because `host:port` is taken."""

    def __init__(self, host: str, port: int, user: str) -> None:
        self.host = host
        self.port = port
        self.user = user
        super().__init__(
            f"{user}: {host}:{port} is in use; stop the other program or set another port (0 = any)"
        )


class TraceError(OperatorError):
    """A data file is missing, empty or malformed; `line` counts from 1 when it is known."""

    def __init__(self, path: str, what: str, line: int | None = None) -> None:
        self.path = path
        self.what = what
        self.line = line
        where = path if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {what}")


class TrainingError(OperatorError):
    """The training rows cannot carry a model (too few, too many gaps, nothing that varies)."""

    def __init__(self, asset: str, what: str, remedy: str) -> None:
        self.asset = asset
        self.what = what
        self.remedy = remedy
        super().__init__(f"asset {asset}: {what}; {remedy}")


class PeerError(TwinrigError):
    """The other side misbehaves; the gateway retries, isolates it and counts."""


class LinkError(PeerError):
    """A south-bound link, or one request on it, failed."""

    def __init__(self, source: str, link: str, what: str) -> None:
        self.source = source
        self.link = link
        self.what = what
        super().__init__(f"{source} over {link}: {what}")


class SinkError(PeerError):
    """A north-bound destination failed."""

    def __init__(self, sink: str, what: str) -> None:
        self.sink = sink
        self.what = what
        super().__init__(f"{sink}: {what}")


class InternalError(TwinrigError):
    """An invariant of ours does not hold: report it as a bug."""
