"""Updates on a flash in RAM: what is refused, what is written, what the state says."""

import hashlib
import sys

from firmware.manifest import (
    MALFORMED,
    NOT_NEWER,
    OUT_OF_ORDER,
    STATE_LOST,
    WRONG_CLASS,
    WRONG_CONTENT,
    WRONG_VENDOR,
    UpdateError,
    twin,
)
from firmware.slots import Slots
from firmware.update import FOLDERS, READY, STATE_FILES, TRIAL, Update
from wire.cbor import encode

VENDOR = "twinrig"
CLASS = "esp32_devkit/xtensawin"
FILES = {"firmware/main.mpy": b"main" * 90, "wire/cbor.mpy": b"cbor", "hal.py": b""}


class Flash:
    """The file functions of a hal over a dictionary; writing file number `fails_at` fails."""

    def __init__(self):
        self.files = {}
        self.folders = []
        self.writes = 0
        self.fails_at = None

    def _check(self):
        self.writes += 1
        if self.writes == self.fails_at:
            raise OSError(28)

    def read_file(self, name):
        if name not in self.files:
            raise OSError(2)
        return self.files[name]

    def write_file(self, name, content):
        self._check()
        folder = name.rpartition("/")[0]
        assert not folder or folder in self.folders, name
        self.files[name] = bytes(content)

    def append_file(self, name, content):
        self._check()
        self.files[name] = self.files[name] + bytes(content)

    def read_file_at(self, name, offset, buffer):
        piece = self.read_file(name)[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def remove_file(self, name):
        self.files.pop(name, None)

    def make_folder(self, name):
        parent = name.rpartition("/")[0]
        assert not parent or parent in self.folders, name
        self.folders.append(name)

    def stands_in(self, folder):
        return {
            name[2:]: content for name, content in self.files.items() if name[:2] == folder + "/"
        }


def manifest(sequence=1, files=None, vendor=VENDOR, class_id=CLASS):
    files = FILES if files is None else files
    entries = [
        [path, len(content), hashlib.sha256(content).digest()]
        for path, content in sorted(files.items())
    ]
    return encode({0: 1, 1: sequence, 2: vendor, 3: class_id, 4: entries})


def send(update, sequence=1, files=None):
    files = FILES if files is None else files
    update.begin(manifest(sequence, files))
    for index, path in enumerate(sorted(files)):
        for offset in range(0, len(files[path]), 100):
            update.write(index, offset, files[path][offset : offset + 100])


def restart(flash, is_trial=False):
    """A new boot, after what the loader writes for a trial, from the folder that it chooses."""
    slots = Slots(flash, STATE_FILES)
    trusted, phase, sequence, candidate = slots.read()[0] or (0, 0, 0, 0)
    if is_trial:
        assert phase == READY
        slots.write((trusted, TRIAL, sequence, candidate))
    return started(flash, FOLDERS[trusted ^ is_trial])


def started(flash, folder):
    """An update that knows itself started from `folder`, or from none."""
    path = list(sys.path)
    if folder is not None:
        sys.path.insert(0, folder)
    try:
        update = Update(flash, VENDOR, CLASS)
        assert update.state()
    finally:
        sys.path[:] = path
    return update


def refused(code, step, *arguments):
    try:
        step(*arguments)
    except UpdateError as error:
        assert error.code == code, error
        assert str(error)
        return
    raise AssertionError("not refused")


def test_an_update_is_received_tried_and_confirmed():
    flash = Flash()
    update = restart(flash)
    assert (update.state(), update.running) == ("idle", "a")
    send(update)
    assert update.state() == "receiving"
    assert "b.partial" in flash.files
    update.finish()
    assert update.state() == "ready"
    assert flash.stands_in("b") == FILES
    assert flash.files["b.manifest"] == manifest()
    assert "b.partial" not in flash.files
    update = restart(flash, True)
    assert (update.state(), update.running) == ("trial", "b")
    update.confirm()
    assert (update.state(), update.running) == ("idle", "b")
    assert restart(flash).running == "b"


def test_the_next_update_replaces_the_older_set_and_leaves_nothing_of_it():
    flash = Flash()
    send(restart(flash), 1)
    restart(flash).begin(manifest(2, {"firmware/main.py": b"1", "old/gone.py": b"2"}))
    send(restart(flash), 3)
    update = restart(flash)
    update.begin(manifest(3))
    assert sorted(flash.stands_in("b")) == sorted(FILES)
    assert twin("firmware/main.mpy") not in flash.stands_in("b")


def test_what_is_not_for_this_node_is_refused_before_anything_is_written():
    flash = Flash()
    update = restart(flash)
    for code, data in (
        (WRONG_VENDOR, manifest(vendor="other")),
        (WRONG_CLASS, manifest(class_id="pybv11/armv7emsp")),
        (MALFORMED, manifest(files={"firmware/app.mpy": b""})),
        (MALFORMED, b"\xa0"),
        (MALFORMED, b""),
    ):
        refused(code, update.begin, data)
        assert flash.writes == 0
        assert update.state() == "idle"


def test_an_older_or_equal_set_is_refused():
    flash = Flash()
    update = restart(flash)
    send(update, 7)
    update.finish()
    update = restart(flash, True)
    refused(OUT_OF_ORDER, update.begin, manifest(8))
    update.confirm()
    for sequence in (1, 6, 7):
        refused(NOT_NEWER, update.begin, manifest(sequence))
    for name in STATE_FILES:
        del flash.files[name]
    flash.files["a.manifest"] = manifest(9)
    refused(NOT_NEWER, restart(flash).begin, manifest(9))
    restart(flash).begin(manifest(10))


def test_pieces_come_in_order_and_within_their_file():
    update = restart(Flash())
    refused(OUT_OF_ORDER, update.write, 0, 0, b"x")
    refused(OUT_OF_ORDER, update.finish)
    update.begin(manifest())
    for index, offset in ((-1, 0), (3, 0), (0, 1)):
        refused(OUT_OF_ORDER, update.write, index, offset, b"x")
    refused(WRONG_CONTENT, update.write, 0, 0, bytes(361))
    update.write(0, 0, b"main")
    refused(OUT_OF_ORDER, update.write, 0, 0, b"main")


def test_a_set_that_is_not_what_the_manifest_says_is_never_tried():
    for damage in ("short", "changed", "longer", "gone"):
        flash = Flash()
        update = restart(flash)
        send(update)
        name = "b/firmware/main.mpy"
        content = flash.files[name]
        if damage == "gone":
            flash.files[name] = b""
        else:
            changed = {"short": content[:-1], "changed": b"M" + content[1:]}
            flash.files[name] = changed.get(damage, content + b"!")
        refused(WRONG_CONTENT, update.finish)
        assert restart(flash).state() == "idle"


def test_a_flash_that_fails_leaves_the_running_set_alone():
    count = Flash()
    send(restart(count))
    for fails_at in range(1, count.writes + 1):
        flash = Flash()
        flash.fails_at = fails_at
        update = restart(flash)
        try:
            send(update)
        except OSError:
            assert update.state() == "idle"
            assert flash.stands_in("a") == {}
            assert restart(flash).running == "a"
            send(update)
            update.finish()
            continue
        raise AssertionError("write %d did not fail" % fails_at)


def test_a_lost_state_refuses_updates_and_stops_nothing():
    flash = Flash()
    for name in STATE_FILES:
        flash.files[name] = b"damaged"
    update = started(flash, "a")
    assert update.state() == "state lost"
    refused(STATE_LOST, update.begin, manifest())
