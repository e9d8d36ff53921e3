"""The versions of an asset's model: none is ever changed, one is current, each change is on record.

    <folder>/000001-3f9c2a17/   a version: number, first digits of its digest (`file.py`)
    <folder>/changes.jsonl      a line per change or refusal, each with the hash of the one before;
                                the last line names the version in use

Rule: a model changes in one way only, through `ModelStore.put` with a `Gate` whose refusals are
empty, or in which a person vouches by name for what the gate could not know. Only unverified rows
can be vouched for; rows that do not look healthy cannot.
Promises: a kill leaves the store as it was before or after, never between; two programs take turns;
old versions stay; a line that was changed, or a version exchanged, is found when the store is read.
Lines cut off the end are found by whoever keeps `head` elsewhere, as a ledger does.
Left to others: whether the rows are healthy (`models/monitor.py`, `gate.py`).
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from gateway.errors import OperatorError
from gateway.lifecycle.codec import CodecError
from gateway.lifecycle.file import ModelFile, ModelFileError, Origin, digest_of, load, save
from gateway.lifecycle.shapes import check
from gateway.models.twin_model import TwinModel
from gateway.state import replace_file

_CHANGES: Final = "changes.jsonl"
_LOCK: Final = ".lock"
_NAME: Final = re.compile(r"(?P<number>\d{6})-(?P<digest>[0-9a-f]{8})")
_CHANGES_BYTES_MAX: Final = 64 * 1024 * 1024
_FIRST_HASH: Final = "0" * 64
_NOT_TO_BE_USED: Final = (
    "the model is not to be used: look at the signal's rows, or leave it out, and fit again"
)
_KEYS: Final = frozenset({"number", "at_ns", "action", "version", "digest", "gate", "by", "before"})


class UpdateRefusedError(OperatorError):
    """A new version did not pass the gate; the refusal is on record, the old version stays."""

    def __init__(self, folder: Path, refusals: Sequence[str], remedy: str) -> None:
        self.folder = folder
        self.refusals = tuple(refusals)
        self.remedy = remedy
        listing = "".join(f"\n  {refusal}" for refusal in self.refusals)
        super().__init__(f"{folder}: the model stays as it is:{listing}\n{remedy}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What was asked before a change, and what was found."""

    facts: Mapping[str, object]
    """JSON-able: what was measured."""
    refusals: tuple[str, ...] = ()
    """What forbids the change."""
    unverified: str = ""
    """Why nothing vouches for the rows; empty if seals do. A person can."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the record."""

    number: int
    at_ns: int
    action: str
    """first, update, refused or back."""
    version: str
    """The version that is current after it; empty if there is none."""
    digest: str
    """Of that version; of what was refused, if it was."""
    gate: Mapping[str, object]
    by: str
    """Who vouched; empty if nobody had to."""
    before: str
    """SHA-256 of the line before this one, zeros for the first."""


@final
class ModelStore:
    """The store in one folder, which is made by the first `put`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def exists(self) -> bool:
        """Tell whether there is a record of changes."""
        return (self._folder / _CHANGES).is_file()

    def versions(self) -> tuple[str, ...]:
        """Return the names of all versions, oldest first."""
        if not self._folder.is_dir():
            return ()
        return tuple(sorted(e.name for e in self._folder.iterdir() if _NAME.fullmatch(e.name)))

    def current(self) -> str:
        """Return the name of the version in use; raise `ModelFileError` if there is none."""
        changes = self.changes()
        if not changes or not changes[-1].version:
            what, remedy = "there is no model yet", "make one with `twinrig model fit`"
            raise ModelFileError(self._folder, what, remedy)
        return changes[-1].version

    def first(self) -> str:
        """Return the oldest version on record that can be compared with the current one.

        That is one of the same signals, units and period: an asset that gained a sensor begins
        anew. Raises `ModelFileError` without a model, or if one that is looked at is damaged.
        """
        current = self.current()
        wanted = _kind(self.load(current))
        for change in self.changes():
            if change.version == current:
                break
            if _is_made(change) and _kind(self.load(change.version)) == wanted:
                return change.version
        return current

    def head(self) -> str:
        """Return the SHA-256 of the last line of the record, zeros without one."""
        return _hash_after([line for _, line in self._lines()])

    def load(self, version: str | None = None) -> ModelFile:
        """Return a version, the current one by default.

        Raises `ModelFileError` if it is damaged, is not the one on record, or the record is not
        whole.
        """
        name = self.current() if version is None else version
        if name not in self.versions():
            what = f"no version {name!r}"
            raise ModelFileError(self._folder, what, f"there are {', '.join(self.versions())}")
        recorded = {change.version: change.digest for change in self.changes() if _is_made(change)}
        loaded = load(self._folder / name)
        if recorded.get(name) != loaded.digest:
            what = "is not the model that was put on record: exchanged"
            raise ModelFileError(self._folder / name, what, _go_back(self.versions(), name))
        return loaded

    def changes(self) -> tuple[Change, ...]:
        """Return the record, oldest first; raise `ModelFileError` if a line was changed."""
        return tuple(change for change, _ in self._lines())

    def put(
        self, model: TwinModel, origin: Origin, gate: Gate, *, now_ns: int, by: str = ""
    ) -> str:
        """Make a new version the current one, and return its name.

        `by` is the person who vouches for rows that nothing else vouches for.
        Raises `UpdateRefusedError`, on record, unless the gate is open; `ModelFileError` for a
        model that could not be read again, before anything is written.
        """
        try:
            check(model)
        except CodecError as error:
            raise ModelFileError(self._folder, f"field {error}", _NOT_TO_BE_USED) from error
        with self._locked():
            refusals = list(gate.refusals)
            if gate.unverified and not by:
                refusals.append(gate.unverified)
            if refusals:
                digest = digest_of(model, origin)
                self._record("refused", self._current_or_none(), digest, gate, by, now_ns)
                raise UpdateRefusedError(self._folder, refusals, _remedy(gate, by))
            digest = digest_of(model, origin)
            number = 1 + max((int(name[:6]) for name in self.versions()), default=0)
            name = f"{number:06d}-{digest[:8]}"
            action = "update" if self._current_or_none() else "first"
            save(self._folder / name, model, origin)
            self._record(action, name, digest, gate, by, now_ns)
            return name

    def go_back(self, version: str, *, now_ns: int, by: str) -> None:
        """Make an older version the current one again; on record, and never without a name."""
        if not by:
            raise OperatorError("going back to an older model is a person's decision: say who")
        with self._locked():
            loaded = self.load(version)
            self._record("back", version, loaded.digest, Gate(facts={}), by, now_ns)

    # --- the record -------------------------------------------------------------------------------

    def _lines(self) -> Iterator[tuple[Change, str]]:
        """Yield each change with its line; raise `ModelFileError` where the chain breaks."""
        path = self._folder / _CHANGES
        try:
            with path.open("rb") as file:
                data = file.read(_CHANGES_BYTES_MAX + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ModelFileError(path, f"cannot be read ({error})", "check its rights") from error
        before = _FIRST_HASH
        for number, line in enumerate(data.decode(errors="replace").splitlines()):
            change = _change(path, number, line)
            if change.before != before or change.number != number:
                what = f"line {number + 1} does not follow the line before it: edited or cut"
                raise ModelFileError(path, what, "take the record from a copy")
            before = hashlib.sha256(line.encode()).hexdigest()
            yield change, line

    def _record(
        self, action: str, version: str, digest: str, gate: Gate, by: str, now_ns: int
    ) -> None:
        """Add a line; the file is replaced whole, so that a kill leaves no half line."""
        lines = [line for _, line in self._lines()]
        body: dict[str, object] = {
            "number": len(lines),
            "at_ns": now_ns,
            "action": action,
            "version": version,
            "digest": digest,
            "gate": {
                "facts": dict(gate.facts),
                "refusals": list(gate.refusals),
                "unverified": gate.unverified,
            },
            "by": by,
            "before": _hash_after(lines),
        }
        lines.append(json.dumps(body, sort_keys=True, allow_nan=False))
        path = self._folder / _CHANGES
        try:
            replace_file(path, "\n".join(lines) + "\n", is_synced=True)
        except OSError as error:
            what, remedy = f"cannot be written ({error.strerror})", "make the folder writable"
            raise ModelFileError(path, what, remedy) from error

    def _current_or_none(self) -> str:
        changes = self.changes()
        return changes[-1].version if changes else ""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store; another program waits for its turn."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            what, remedy = f"cannot be written ({error.strerror})", "name a folder of yours"
            raise ModelFileError(self._folder, what, remedy) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def open_model(path: Path) -> ModelFile:
    """Return the model of a store's folder, or of one version's; raise `ModelFileError`."""
    store = ModelStore(path)
    if store.exists:
        return store.load()
    if _NAME.fullmatch(path.name) and ModelStore(path.parent).exists:
        return ModelStore(path.parent).load(path.name)
    return load(path)


def _change(path: Path, number: int, line: str) -> Change:
    """Return a line of the record, or raise `ModelFileError`."""
    try:
        body: Any = json.loads(line)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or body.keys() != _KEYS:
        what = f"line {number + 1} is no change: edited or cut"
        raise ModelFileError(path, what, "take the record from a copy")
    return Change(**body)


def _hash_after(lines: Sequence[str]) -> str:
    return hashlib.sha256(lines[-1].encode()).hexdigest() if lines else _FIRST_HASH


def _kind(file: ModelFile) -> tuple[object, ...]:
    """Return what two versions must have in common to be compared."""
    return file.model.signals, file.model.units, file.model.period_ns


def _is_made(change: Change) -> bool:
    return change.action in ("first", "update")


def _remedy(gate: Gate, by: str) -> str:
    if gate.refusals:
        return "mend what is said above, or fit these rows into a new folder and compare"
    return "" if by else "if you know that these rows are healthy, say so with --vouch NAME"


def _go_back(versions: Sequence[str], without: str = "") -> str:
    others = [name for name in versions if name != without]
    return f"name one of {', '.join(others)}" if others else "fit the model again"


def changes_of(path: Path) -> tuple[Change, ...]:
    """Return the record of the store that a path belongs to; nothing if it belongs to none."""
    for folder in (path, path.parent):
        if ModelStore(folder).exists:
            return ModelStore(folder).changes()
    return ()
