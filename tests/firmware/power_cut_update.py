"""Updates on a real littlefs that loses power at every flash operation.  Runs on MicroPython.

A life of deploy, update, trial, confirmation, a trial that crashes, an update that is given up and
one begun anew is recorded once; then the power is cut during each flash operation, in each way, and
the loader runs.  The oracle asks that

  1  the folder that starts holds exactly the files of one set, byte for byte, and nothing else
  2  that set is the newest one confirmed, or the one on trial, and a trial starts once only
  3  from there a further update goes through, and is what starts at the end
"""

import hashlib
import os
import sys

import node_files

from firmware import loader
from firmware.update import Update
from tests.firmware.block_device import GEOMETRY, BlockDevice, cut_images, mount
from wire.cbor import encode

BLOCKS = 80
BLOCK_BYTES = 512
VENDOR, CLASS = "twinrig", "board"
PIECE_BYTES = 200


def files_of(version):
    """A set of files: some of every version, some of odd or even ones only."""
    files = {
        "firmware/main.mpy": b"main %d " % version * 60,
        "firmware/app.mpy": b"app %d " % version * 9,
        f"wire/only_{version % 2}.py": b"only %d" % version,
    }
    if version % 2:
        files["hal.py"] = b""
    return files


class Board:
    """A board over many starts: `events` is what happened to it, seen from outside."""

    def __init__(self, content, events):
        self.device = BlockDevice(BLOCKS, BLOCK_BYTES, content)
        self.device.moment = lambda: len(self.events)
        self.events = events

    def deploy(self, version):
        """What flashing a board does, before its first start."""
        os.VfsLfs2.mkfs(self.device, **GEOMETRY)
        mount(self.device)
        for folder in ("a", "a/firmware", "a/wire"):
            node_files.make_folder(folder)
        for path, content in files_of(version).items():
            node_files.write_file("a/" + path, content)
        node_files.write_file("a.manifest", manifest(version))
        self.events.append(("confirmed", version))

    def boot(self):
        """Start as main.py does; the version that runs."""
        mount(self.device)
        folder, is_trial = loader.choose()
        sys.path[:] = [path for path in sys.path if path not in loader.FOLDERS]
        sys.path.insert(0, folder)
        version = version_in(folder)
        self.events.append(("trial" if is_trial else "started", version))
        self.update = Update(node_files, VENDOR, CLASS)
        assert self.update.running == folder
        assert (self.update.state() == "trial") == is_trial
        return version

    def receive(self, version):
        self.events.append(("receiving", version))
        self.update.begin(manifest(version))
        files = files_of(version)
        for index, path in enumerate(sorted(files)):
            for at in range(0, len(files[path]), PIECE_BYTES):
                self.update.write(index, at, files[path][at : at + PIECE_BYTES])
        self.update.finish()

    def confirm(self, version):
        self.events.append(("confirming", version))
        self.update.confirm()
        self.events.append(("confirmed", version))


def manifest(version):
    files = files_of(version)
    entries = [
        [path, len(files[path]), hashlib.sha256(files[path]).digest()] for path in sorted(files)
    ]
    return encode({0: 1, 1: version, 2: VENDOR, 3: CLASS, 4: entries})


def version_in(folder):
    """The version whose set stands in `folder`, whole and alone."""
    found = {}
    _collect(folder, "", found)
    version = int(found["firmware/main.mpy"].split()[1])
    assert found == files_of(version), f"a mixture in {folder}: {sorted(found)}"
    return version


def _collect(folder, below, found):
    for entry in os.ilistdir(folder + "/" + below):
        path = below + "/" + entry[0] if below else entry[0]
        if entry[1] == 0x4000:
            _collect(folder, path, found)
        else:
            found[path] = node_files.read_file(folder + "/" + path)


def live(board):
    """The scripted life."""
    board.boot()
    board.receive(2)
    board.boot()
    board.confirm(2)
    board.boot()
    board.receive(3)
    board.boot()
    board.boot()
    board.receive(5)
    board.update.abort()
    board.boot()
    board.update.begin(manifest(6))
    board.update.write(0, 0, b"app 6")
    board.boot()
    board.receive(7)
    board.boot()
    board.confirm(7)
    board.boot()


def check(events, version):
    """Rule 2, for the start that followed `events` with `version`."""
    confirmed = [number for what, number in events if what == "confirmed"]
    allowed = {confirmed[-1]}
    if events[-1][0] == "confirming":
        allowed.add(events[-1][1])
    begun = [index for index, event in enumerate(events) if event[0] == "receiving"]
    if begun:
        since = events[begun[-1] :]
        candidate = since[0][1]
        if ("trial", candidate) not in since:
            allowed.add(candidate)
    assert version in allowed, f"{version} started, not of {allowed}"


def go_on(board, version):
    """Rule 3."""
    if board.update.state() == "trial":
        board.confirm(version)
        assert board.boot() == version
    for newer in (11, 12):
        board.receive(newer)
        assert board.boot() == newer
        board.confirm(newer)
    assert board.boot() == 12


def main(second_every):
    """Cut at every operation, and at every operation of each `second_every`-th recovery."""
    board = Board(None, [])
    board.deploy(1)
    before = bytes(board.device.content)
    board.device.journal = []
    live(board)
    journal = board.device.journal
    cuts = seconds = 0
    for index, _, image in cut_images(before, BLOCK_BYTES, journal):
        events = board.events[: journal[index][3]]
        again = Board(image, list(events))
        start = bytes(image)
        if cuts % second_every == 0:
            again.device.journal = []
        version = again.boot()
        check(events, version)
        recovery = again.device.journal
        again.device.journal = None
        if cuts % 9 == 0:
            go_on(again, version)
        cuts += 1
        if recovery:
            seconds += _cut_again(start, recovery, events)
    print("cuts", cuts, "second cuts", seconds, "operations", len(journal))


def _cut_again(start, journal, events):
    """The loader's own writes lose power as well; the trial may not have begun yet."""
    cuts = 0
    for _, _, image in cut_images(start, BLOCK_BYTES, journal):
        board = Board(image, list(events))
        version = board.boot()
        check(events, version)
        go_on(board, version)
        cuts += 1
    return cuts
