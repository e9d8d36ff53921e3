"""Updates: a second set of files beside the running one, tried once, confirmed or rolled back.

Two folders, "a" and "b", hold a set each; `update.state` names the one that is trusted.  An update
writes the other folder, reads every byte back against its SHA-256, and asks for a trial; the next
start is the trial (loader.py), and whoever has seen the node do its work confirms it.  Whatever
ends a trial before that, a crash, the watchdog, a power cut, brings the trusted set back.

    idle -> receiving -> ready -> (restart) trial -> idle, or (restart) rolled back

Promises: the trusted set is not touched before another one is; a folder is written only while both
slots of the state point away from it; a set whose manifest is not newer than the newest confirmed
is refused, unless the flash has lost both slots and the manifest of the running set; a start finds
one complete set, never a mixture.  Files that only an older set in that folder had are removed.
Which set runs is what the loader has put on `sys.path`, not what the state says: the loader may
have been unable to write down how a trial ended.  Only the set that runs is confirmed, and only if
nobody gave it up; the folder it stands in is not written.
OSError of the flash goes through: what was received is forgotten, and the update begins anew.

    update.state.a, .b   trusted folder (0 a, 1 b) | phase | newest sequence | sequence on trial
    a.manifest           the manifest of what stands in folder a
    a.partial            folder a is being written: nothing may start from it
"""

import hashlib
import sys

from firmware.errors import StateError
from firmware.manifest import (
    NOT_NEWER,
    OUT_OF_ORDER,
    STATE_LOST,
    WRONG_CLASS,
    WRONG_CONTENT,
    WRONG_VENDOR,
    Manifest,
    UpdateError,
    folders,
    parse,
    twin,
)
from firmware.slots import Slots

__all__ = ("STATE_FILES", "Update", "UpdateError")

FOLDERS = ("a", "b")
STATE_FILES = ("update.state.a", "update.state.b")
NUMBERS = 4
STABLE, READY, TRIAL, ROLLED_BACK = 0, 1, 2, 3
"""Phases; loader.py has them too, for it may not import from a folder before it has chosen one."""

_STATES = ("idle", "ready", "trial", "rolled back")
_CHUNK_BYTES = 256
_NOTHING = Manifest(0, "", "", [])


class Update:
    """The updates of one node, which takes manifests of `vendor_id` and `class_id` only."""

    def __init__(self, hal, vendor_id: str, class_id: str) -> None:
        self._hal = hal
        self._vendor_id = vendor_id
        self._class_id = class_id
        self._slots = Slots(hal, STATE_FILES, NUMBERS)
        self._is_loaded = False
        self._is_lost = False
        self._trusted = 0
        self._started = None
        self._phase = STABLE
        self._sequence = 0
        self._candidate = 0
        self._manifest = _NOTHING
        self._received = []

    @property
    def running(self) -> str:
        """The folder that this start took its files from, "a" or "b".

        A frozen application runs from none, and has nothing on trial: it gives the trusted one.
        """
        self._load()
        return FOLDERS[self._trusted if self._started is None else self._started]

    def state(self) -> str:
        """One of "idle", "receiving", "ready", "trial", "rolled back", "state lost"."""
        self._load()
        if self._is_lost:
            return "state lost"
        return "receiving" if self._manifest is not _NOTHING else _STATES[self._phase]

    def begin(self, manifest_bytes) -> None:
        """Check the manifest and make the other folder ready for what it names."""
        self._load()
        self._manifest = _NOTHING
        if self._is_lost:
            raise UpdateError(STATE_LOST, "update.state is lost: restart the node, then try again")
        if self.running != FOLDERS[self._trusted]:
            what = "the set that runs is not trusted: confirm its trial, or restart the node"
            raise UpdateError(OUT_OF_ORDER, what)
        manifest = parse(manifest_bytes)
        self._check_target(manifest)
        self._store(self._trusted, STABLE, self._sequence, 0)
        target = FOLDERS[1 - self._trusted]
        self._hal.write_file(target + ".partial", b"1")
        for path, _, _ in self._stored_entries(target):
            self._hal.remove_file(target + "/" + path)
        self._hal.write_file(target + ".manifest", manifest_bytes)
        self._hal.make_folder(target)
        for folder in folders(manifest.entries):
            self._hal.make_folder(target + "/" + folder)
        for path, _, _ in manifest.entries:
            self._hal.remove_file(target + "/" + twin(path))
            self._hal.write_file(target + "/" + path, b"")
        self._manifest = manifest
        self._received = [0] * len(manifest.entries)

    def write(self, index: int, offset: int, data) -> None:
        """Add `data` to file number `index` of the manifest; `offset` is what it has already."""
        if self._manifest is _NOTHING:
            raise UpdateError(OUT_OF_ORDER, "no update was begun")
        if not 0 <= index < len(self._received):
            raise UpdateError(OUT_OF_ORDER, "there is no file %d" % index)
        path, size, _ = self._manifest.entries[index]
        if offset != self._received[index]:
            what = "%s: offset %d, %d bytes are there" % (path, offset, self._received[index])
            raise UpdateError(OUT_OF_ORDER, what)
        if offset + len(data) > size:
            raise UpdateError(WRONG_CONTENT, "%s: more than its %d bytes" % (path, size))
        try:
            self._hal.append_file(FOLDERS[1 - self._trusted] + "/" + path, data)
        except OSError:
            self._manifest = _NOTHING
            raise
        self._received[index] += len(data)

    def finish(self) -> None:
        """Read everything back; if it is what the manifest says, the next start is its trial."""
        if self._manifest is _NOTHING:
            raise UpdateError(OUT_OF_ORDER, "no update was begun")
        target = FOLDERS[1 - self._trusted]
        for path, size, digest in self._manifest.entries:
            if self._digest(target + "/" + path, size) != digest:
                raise UpdateError(WRONG_CONTENT, "%s is not what the manifest says" % path)
        self._hal.remove_file(target + ".partial")
        self._store(self._trusted, READY, self._sequence, self._manifest.sequence)
        self._manifest = _NOTHING

    def confirm(self) -> None:
        """Trust the set on trial from now on; UpdateError when none is, or it was given up."""
        self._load()
        if self._phase != TRIAL:
            raise UpdateError(OUT_OF_ORDER, "nothing is on trial")
        self._store(1 - self._trusted, STABLE, self._candidate, 0)

    def abort(self) -> None:
        """Give up an update; in a trial, the next start brings the trusted set back."""
        self._load()
        self._manifest = _NOTHING
        if self._phase == READY:
            self._store(self._trusted, STABLE, self._sequence, 0)
        elif self._phase == TRIAL:
            # First, for it holds whether or not the flash takes it: the loader ends every trial.
            self._phase = ROLLED_BACK
            self._write(self._trusted, ROLLED_BACK, self._sequence, 0)

    # --- checks ---------------------------------------------------------------------------------

    def _check_target(self, manifest) -> None:
        if manifest.vendor_id != self._vendor_id:
            what = "vendor %r, this node is %r" % (manifest.vendor_id, self._vendor_id)
            raise UpdateError(WRONG_VENDOR, what)
        if manifest.class_id != self._class_id:
            what = "class %r, this node is %r" % (manifest.class_id, self._class_id)
            raise UpdateError(WRONG_CLASS, what)
        newest = max(self._sequence, self._stored_sequence(self.running))
        if manifest.sequence <= newest:
            raise UpdateError(NOT_NEWER, "number %d, it has %d" % (manifest.sequence, newest))

    def _digest(self, name: str, size: int) -> bytes:
        """SHA-256 of what stands in flash; b"" when it is not `size` bytes."""
        digest = hashlib.sha256()
        buffer = bytearray(_CHUNK_BYTES)
        view = memoryview(buffer)
        offset = 0
        while offset <= size:
            count = self._hal.read_file_at(name, offset, buffer)
            if count <= 0:
                break
            digest.update(view[:count])
            offset += count
        return digest.digest() if offset == size else b""

    # --- what is stored -------------------------------------------------------------------------

    def _load(self) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True
        self._started = _started()
        try:
            numbers, _ = self._slots.read()
        except StateError:
            self._is_lost = True
            return
        if numbers is None:
            return
        if numbers[0] >= len(FOLDERS) or numbers[1] >= len(_STATES):
            self._is_lost = True
            return
        self._trusted, self._phase, self._sequence, self._candidate = numbers
        if self._phase == TRIAL and self._started != 1 - self._trusted:
            # The trial is over, and the loader could not write it down.
            self._phase = ROLLED_BACK

    def _store(self, trusted: int, phase: int, sequence: int, candidate: int) -> None:
        self._write(trusted, phase, sequence, candidate)
        self._trusted, self._phase = trusted, phase
        self._sequence, self._candidate = sequence, candidate

    def _write(self, *numbers) -> None:
        """Both slots, so that one that decays takes back no decision."""
        self._slots.write(numbers)
        self._slots.write(numbers)

    def _stored_entries(self, folder: str) -> "list":
        try:
            return parse(self._hal.read_file(folder + ".manifest")).entries
        except (OSError, UpdateError):
            return []

    def _stored_sequence(self, folder: str) -> int:
        try:
            return parse(self._hal.read_file(folder + ".manifest")).sequence
        except (OSError, UpdateError):
            return 0


def _started():
    """Index of the folder that the loader has put on the path; None for a frozen application."""
    for path in sys.path:
        if path in FOLDERS:
            return FOLDERS.index(path)
    return None
