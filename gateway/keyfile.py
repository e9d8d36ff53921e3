"""Secrets come from files that nobody else can read, or they do not come at all.

Rule: the file belongs to the very user the gateway runs as, and nobody else may touch it. Root is
no exception: it could read every file, but takes secrets from its own only, because whoever owns a
file can change it.
Promises: owner and permissions are checked on the opened file (no race with a rename), every
refusal says which file, what is wrong, for whom it is meant and which command mends it; the content
of a secret never appears in a message. Left to others: what a key is used for.
"""

import os
import shlex
import stat
from pathlib import Path
from typing import Final

from gateway.errors import KeyFileError
from gateway.state import replace_file

KEY_BYTES: Final = 32
_KEY_HEX_DIGITS: Final = 2 * KEY_BYTES
_FILE_BYTES_MAX: Final = 4096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def load_key(path: Path, owner: str) -> bytes:
    """Return the 32-byte key a file holds as 64 hexadecimal digits.

    `owner` names whom the key is for ("node pump-a") and goes into the messages.
    Raises `KeyFileError` when the file is missing, open to others or not such a key.
    """
    text = _read_secret(path, owner).strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(text) != _KEY_HEX_DIGITS:
        raise KeyFileError(
            str(path),
            f"key of {owner} is not {_KEY_HEX_DIGITS} hexadecimal digits (it has {len(text)} "
            "characters)",
            f"write one line of {_KEY_HEX_DIGITS} hexadecimal digits, the same as on the node",
        )
    return key


def load_password(path: Path, owner: str) -> str:
    """Return the one line of a password file without its line end.

    Raises `KeyFileError` when the file is missing, open to others, empty or has more lines.
    """
    lines = _read_secret(path, owner).splitlines()
    if len(lines) != 1 or not lines[0]:
        raise KeyFileError(
            str(path), f"password of {owner} must be exactly one line", "write the password alone"
        )
    return lines[0]


def _read_secret(path: Path, owner: str) -> str:
    """Return the text of a file that only its owner can reach."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileError(
            str(path),
            f"secret of {owner} cannot be opened ({error.strerror})",
            f"create it, then run: chmod 600 {shlex.quote(str(path))}",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        _check_private(path, owner, os.fstat(descriptor))
        content = file.read(_FILE_BYTES_MAX + 1)
    if len(content) > _FILE_BYTES_MAX:
        raise KeyFileError(
            str(path), f"secret of {owner} exceeds {_FILE_BYTES_MAX} bytes", "name the right file"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise KeyFileError(
            str(path), f"secret of {owner} is not text", "write it as one line of text"
        ) from error


def _check_private(path: Path, owner: str, found: os.stat_result) -> None:
    """Refuse a file that is no file, is somebody else's, or that others may touch."""
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(
            str(path), f"secret of {owner} is not a regular file", "name the file itself"
        )
    user = os.geteuid()
    if found.st_uid != user:
        raise KeyFileError(
            str(path),
            f"secret of {owner} belongs to user {found.st_uid}, the gateway runs as user {user}",
            f"run: chown {user} {shlex.quote(str(path))}",
        )
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise KeyFileError(
            str(path),
            f"secret of {owner} is open to other users (mode {mode:04o}, must be 0600)",
            f"run: chmod 600 {shlex.quote(str(path))}",
        )


def replace_key(path: Path, key: bytes, owner: str) -> None:
    """Put another key in the place of the one in a key file; whole or not at all, mode 0600.

    Raises `KeyFileError` when the file cannot be replaced: the old key is still in it then.
    """
    try:
        replace_file(path, key.hex() + "\n", is_synced=True, is_private=True)
    except OSError as error:
        raise KeyFileError(
            str(path),
            f"key of {owner} cannot be replaced ({error.strerror})",
            "make its folder writable for the gateway; until then both keys are kept",
        ) from error
