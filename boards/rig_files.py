"""Files of an emulated board through semihosting: they stand in the emulator's working folder.

Promises: the file functions of a HAL over `call(operation, block)`, one semihosting call (Arm IHI
0050; RISC-V uses the same numbers).  A write is in the host's file when the function returns, and
the end of the emulator, however sudden, does not undo it: that is this board's stable storage.
Errors are OSError with the host's errno, so that only a missing file looks like one.
Leaves to `hal.py` the instruction that makes the call.  Semihosting has neither a way to make a
folder nor to list one; a name with a folder in it works where somebody else has made the folder.
"""

import array

import micropython
import uctypes

_SYS_OPEN = micropython.const(0x01)
_SYS_CLOSE = micropython.const(0x02)
_SYS_WRITE = micropython.const(0x05)
_SYS_READ = micropython.const(0x06)
_SYS_SEEK = micropython.const(0x0A)
_SYS_FLEN = micropython.const(0x0C)
_SYS_REMOVE = micropython.const(0x0E)
_SYS_RENAME = micropython.const(0x0F)
_SYS_ERRNO = micropython.const(0x13)

MODE_RB = 1
MODE_WB = 5
MODE_AB = 9

_ENOENT = 2
_EIO = 5


class SemihostFiles:
    """The files of one board over `call(operation, block) -> int`.

    The file that was appended to last stays open for the next append, which is then one call.
    """

    def __init__(self, call) -> None:
        self._call = call
        self._block = array.array("I", [0, 0, 0, 0])
        self._log_name = ""
        self._log_handle = 0

    def open(self, name: str, mode: int) -> int:
        """A handle; OSError with the host's errno."""
        path = name.encode() + b"\0"
        handle = self._ask(_SYS_OPEN, uctypes.addressof(path), mode, len(path) - 1)
        if handle < 0:
            self._fail()
        return handle

    def read_file(self, name: str) -> bytes:
        """The content of a file; OSError(2) when there is none."""
        handle = self.open(name, MODE_RB)
        content = bytearray(max(self._ask(_SYS_FLEN, handle), 0))
        if self._move(_SYS_READ, handle, content):
            raise OSError(_EIO)
        return bytes(content)

    def read_file_at(self, name: str, offset: int, buffer) -> int:
        """Fill `buffer` from byte `offset` on: how many bytes there were, 0 at the end.

        OSError(2) when there is no such file.
        """
        handle = self.open(name, MODE_RB)
        self._ask(_SYS_SEEK, handle, offset)
        return len(buffer) - self._move(_SYS_READ, handle, buffer)

    def write_file(self, name: str, content) -> None:
        """Replace a file's content; a power cut in between leaves a part of it, or nothing."""
        self._end_append(name)
        if self._move(_SYS_WRITE, self.open(name, MODE_WB), content):
            raise OSError(_EIO)

    def append_file(self, name: str, content) -> None:
        """Add `content` at the end of a file, which is made when there is none."""
        if name != self._log_name:
            self._begin_append(name)
        if content and self._ask(
            _SYS_WRITE, self._log_handle, uctypes.addressof(content), len(content)
        ):
            raise OSError(_EIO)

    def file_size(self, name: str) -> int:
        """Bytes in a file; -1 when there is none."""
        try:
            handle = self.open(name, MODE_RB)
        except OSError as error:
            if error.args[0] == _ENOENT:
                return -1
            raise
        size = self._ask(_SYS_FLEN, handle)
        self._ask(_SYS_CLOSE, handle)
        return size

    def remove_file(self, name: str) -> None:
        """Remove a file; nothing when there is none."""
        self._end_append(name)
        path = name.encode() + b"\0"
        if self._ask(_SYS_REMOVE, uctypes.addressof(path), len(path) - 1):
            self._fail(_ENOENT)

    def rename_file(self, old: str, new: str) -> None:
        """Give a file another name at one stroke; a file that had this name is gone."""
        self._end_append(old)
        self._end_append(new)
        path = old.encode() + b"\0"
        new_path = new.encode() + b"\0"
        self._block[3] = len(new_path) - 1
        if self._ask(
            _SYS_RENAME, uctypes.addressof(path), len(path) - 1, uctypes.addressof(new_path)
        ):
            self._fail()

    def make_folder(self, name: str) -> None:
        """Nothing: semihosting cannot make one."""

    def _begin_append(self, name: str) -> None:
        self._end_append(self._log_name)
        handle = self.open(name, MODE_AB)
        # Some emulators open at the beginning all the same.
        self._ask(_SYS_SEEK, handle, max(self._ask(_SYS_FLEN, handle), 0))
        self._log_handle = handle
        self._log_name = name

    def _end_append(self, name: str) -> None:
        if name and name == self._log_name:
            self._log_name = ""
            self._ask(_SYS_CLOSE, self._log_handle)

    def _move(self, operation: int, handle: int, content) -> int:
        """SYS_READ into or SYS_WRITE from `content`, then close: the bytes that were left over."""
        left = 0
        if content:
            left = self._ask(operation, handle, uctypes.addressof(content), len(content))
        self._ask(_SYS_CLOSE, handle)
        return left

    def _ask(self, operation: int, first: int, second: int = 0, third: int = 0) -> int:
        block = self._block
        block[0] = first
        block[1] = second
        block[2] = third
        return self._call(operation, block)

    def _fail(self, unless: int = 0) -> None:
        number = self._ask(_SYS_ERRNO, 0)
        if number != unless:
            raise OSError(number)
