"""Errors of the boards folder; all of them are for the operator to mend.

BoardError
  UnknownBoardError     no folder of that name
  BoardFileError        a board.toml that does not parse
  MissingToolError      a compiler, an emulator or the MicroPython source is not there
  BuildError            the build ran and failed; the log's path is in the message
  EmulatorError         the emulated board did not start, or died
"""


class BoardError(Exception):
    """A board cannot be used; the message says what, where and how to mend it."""


class UnknownBoardError(BoardError):
    """No board of that name stands in boards/."""


class BoardFileError(BoardError):
    """A board.toml is missing a field or holds a wrong one."""


class MissingToolError(BoardError):
    """A program or source that a board needs is not installed."""


class BuildError(BoardError):
    """The firmware build failed."""


class EmulatorError(BoardError):
    """An emulated board did not come up, or ended before it should."""
