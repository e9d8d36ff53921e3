"""Measured boot: the SHA-256 of every file the node runs, taken at its start.

An image with the application frozen in carries the list its build made, `frozen_files.py`: the
build's word.  A node that runs files hashes the folder it runs from, and main.py: the node's own
word.  Either is sealed in the boot record and in the measurement records behind it.  A chip without
secure boot can be made to lie; what this finds is what went wrong by accident or without the key.
"""

import hashlib

_PIECE_BYTES = 256
_FOLDERS = ("a", "b")
"""What loader.py may have put first on the path."""
_IS_FOLDER = 0x4000
_FILES_MAX = 256


def measure(hal):
    """A row of (path, SHA-256), one for every file the node runs, by ascending path."""
    try:
        from frozen_files import FILES
    except ImportError:
        return _of_folder(hal)
    return FILES


def _of_folder(hal) -> "list":
    """What stands in the folder that the loader put first on the path, and the loader itself."""
    import os
    import sys

    top = next((path for path in sys.path if path in _FOLDERS), None)
    if top is None or not hasattr(os, "ilistdir"):
        return []
    names = ["main.py"]
    _walk(os, top, names)
    buffer = bytearray(_PIECE_BYTES)
    return [(name, _hash(hal, name, buffer)) for name in sorted(names)]


def _walk(os, folder: str, names: "list") -> None:
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        if entry[1] == _IS_FOLDER:
            _walk(os, path, names)
        elif len(names) < _FILES_MAX:
            names.append(path)


def _hash(hal, name: str, buffer: bytearray) -> bytes:
    digest = hashlib.sha256()
    offset = 0
    view = memoryview(buffer)
    while True:
        try:
            count = hal.read_file_at(name, offset, buffer)
        except OSError:
            # A file that is not there measures as no content, which no file of ours has.
            return digest.digest()
        if not count:
            return digest.digest()
        digest.update(view[:count])
        offset += count
