"""Files of a real board's flash, by flat paths such as `node.json` or `b/wire/cose.mpy`.

Promises: what `write_file` and `append_file` were given is in flash when they return, because
closing a file writes it through (littlefs: the commit of a close; FatFs: f_sync of f_close).  A
power cut during `write_file` may leave a part of the file, or nothing; whoever cannot bear that
keeps two, as `firmware/slots.py` does.  Names are relative to the folder the board boots in, which
is `/` on an ESP32 and `/flash` on an STM32.

Copied to real boards beside their hal; runs on CPython too, which is how it is tested.
"""

import os

_ENOENT = 2
_EEXIST = 17


def read_file(name: str) -> bytes:
    """The whole content; OSError(2) when there is no such file."""
    with open(name, "rb") as file:
        return file.read()


def read_file_at(name: str, offset: int, buffer) -> int:
    """Fill `buffer` from `offset` on; return the bytes read, 0 at the end.  OSError(2): no file."""
    with open(name, "rb") as file:
        file.seek(offset)
        return file.readinto(buffer)


def write_file(name: str, content: bytes) -> None:
    """Replace a file's content."""
    with open(name, "wb") as file:
        file.write(content)


def append_file(name: str, content: bytes) -> None:
    """Add to the end of a file, which is made when it is not there."""
    with open(name, "ab") as file:
        file.write(content)


def file_size(name: str) -> int:
    """Bytes in the file, or -1 when it is not there."""
    try:
        return os.stat(name)[6]
    except OSError as error:
        if error.args[0] != _ENOENT:
            raise
        return -1


def remove_file(name: str) -> None:
    """Remove a file; one that is not there is no mistake."""
    try:
        os.remove(name)
    except OSError as error:
        if error.args[0] != _ENOENT:
            raise


def rename_file(old: str, new: str) -> None:
    """Give `old` the name `new`, which it replaces.

    littlefs does so in one step; FatFs removes `new` first, and a power cut may fall in between.
    """
    os.rename(old, new)


def make_folder(name: str) -> None:
    """Make a folder, whose parent is there; one that is there already is no mistake."""
    try:
        os.mkdir(name)
    except OSError as error:
        if error.args[0] != _EEXIST:
            raise
