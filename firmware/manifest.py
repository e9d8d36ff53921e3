"""What an update consists of: the manifest, bounded and checked before anything is done with it.

    {0: 1, 1: sequence number, 2: vendor id, 3: class id, 4: [[path, size, SHA-256], ...]}

in deterministic CBOR.  It comes inside a sealed command, so who wrote it is settled before it is
parsed; what is checked here is that it was meant for this node and cannot do harm beside it.  The
ideas are those of RFC 9019 and RFC 9124: a sequence number that only grows, vendor and class.

A path has at most DEPTH_MAX parts of letters, digits, "_", "-" and ".", none of which begins with a
dot, and ends in .mpy or .py: it cannot leave the folder it is written to.
"""

from collections import namedtuple

from firmware.errors import NodeError
from wire.cbor import decode
from wire.errors import WireError

Manifest = namedtuple("Manifest", ("sequence", "vendor_id", "class_id", "entries"))
"""`entries` is a list of [path, size in bytes, SHA-256]."""

MALFORMED = 1
WRONG_VENDOR = 2
WRONG_CLASS = 3
NOT_NEWER = 4
OUT_OF_ORDER = 5
WRONG_CONTENT = 6
STATE_LOST = 7
"""Codes of an UpdateError; they do not change."""

MANIFEST_BYTES_MAX = 12288
FILES_MAX = 160
FILE_BYTES_MAX = 65536
TOTAL_BYTES_MAX = 524288
SEQUENCE_MAX = 0xFFFFFFFF
PATH_LENGTH_MAX = 64
DEPTH_MAX = 4
ENTRY_POINT = "firmware/main"

_FORMAT = 1
_ID_LENGTH_MAX = 64
_SUFFIXES = (".mpy", ".py")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."


class UpdateError(NodeError):
    """An update is refused; `code` says why in a number, the text in words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def parse(data) -> Manifest:
    """The manifest in `data`; UpdateError MALFORMED names the first thing that is wrong."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise _malformed("%d bytes, at most %d are taken" % (len(data), MANIFEST_BYTES_MAX))
    try:
        fields = decode(data, 4, 16 + 4 * FILES_MAX, True)
    except WireError as error:
        raise _malformed(str(error)) from None
    if not isinstance(fields, dict) or sorted(fields) != [0, 1, 2, 3, 4]:
        raise _malformed("a map with the keys 0 to 4 is needed")
    if not _is_int(fields[0], _FORMAT, _FORMAT):
        raise _malformed("format %r is not known" % (fields[0],))
    if not _is_int(fields[1], 1, SEQUENCE_MAX):
        raise _malformed("sequence number %r" % (fields[1],))
    for key in (2, 3):
        if not isinstance(fields[key], str) or not 0 < len(fields[key]) <= _ID_LENGTH_MAX:
            raise _malformed("key %d is no text of 1 to %d characters" % (key, _ID_LENGTH_MAX))
    _check_entries(fields[4])
    return Manifest(fields[1], fields[2], fields[3], fields[4])


def twin(path: str) -> str:
    """The path that MicroPython would import under the same name: .py for .mpy, and back."""
    stem, _, suffix = path.rpartition(".")
    return stem + (".py" if suffix == "mpy" else ".mpy")


def folders(entries) -> "list[str]":
    """Every folder that the paths of `entries` need, parents first."""
    found = []
    for path, _, _ in entries:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in found:
                found.append(folder)
    return found


def _check_entries(entries) -> None:
    if not isinstance(entries, list) or not 0 < len(entries) <= FILES_MAX:
        raise _malformed("1 to %d files are possible" % FILES_MAX)
    modules = set()
    total_bytes = 0
    for entry in entries:
        if not isinstance(entry, list) or len(entry) != 3:
            raise _malformed("a file is [path, size, SHA-256]")
        path, size, digest = entry
        if not _is_path(path):
            raise _malformed("path %r" % (path,))
        if not _is_int(size, 0, FILE_BYTES_MAX):
            raise _malformed("%s: size %r, at most %d" % (path, size, FILE_BYTES_MAX))
        if not isinstance(digest, bytes) or len(digest) != 32:
            raise _malformed("%s: its SHA-256 is 32 bytes" % path)
        modules.add(_module(path))
        total_bytes += size
    if len(modules) != len(entries):
        raise _malformed("two files are one module")
    if ENTRY_POINT not in modules:
        raise _malformed("there is no %s: nothing would start" % ENTRY_POINT)
    if total_bytes > TOTAL_BYTES_MAX:
        raise _malformed("%d bytes in all, at most %d" % (total_bytes, TOTAL_BYTES_MAX))


def _module(path: str) -> str:
    return path[: path.rfind(".")]


def _is_path(path) -> bool:
    if not isinstance(path, str) or not 0 < len(path) <= PATH_LENGTH_MAX:
        return False
    parts = path.split("/")
    if len(parts) > DEPTH_MAX or not path.endswith(_SUFFIXES):
        return False
    for part in parts:
        if not part or part[0] == "." or any(letter not in _LETTERS for letter in part):
            return False
    return not _module(path).endswith("/")


def _is_int(value, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _malformed(what: str) -> UpdateError:
    return UpdateError(MALFORMED, "manifest: " + what)
