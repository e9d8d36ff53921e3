"""Errors of the boards folder; all of them are for the operator to mend.

BoardError
  UnknownBoardError     no folder of that name
  BoardFileError        a board.toml that does not parse
  MissingToolError      a compiler, an emulator, a flash tool or the MicroPython source is not there
  BuildError            the build ran and failed; the log's path is in the message
  EmulatorError         the emulated board did not start, or died
    QmpError            the emulator's control channel refused, or is silent
  PortError             a serial port is not there, is busy, or went away
  LockedError           somebody else works on this very board, or nobody could see who does
  ImageError            an image file that is not there, or is none
  FlashError            the board did not take the image, or holds another one afterwards
  DeployError           the interpreter on the board refused or lost a file
  ProvisionError        keys or settings of a node that cannot be written as they are
  IdentityError         the board is not what was asked for
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


class QmpError(EmulatorError):
    """The emulator's control channel refused a command, does not answer, or is gone."""


class PortError(BoardError):
    """A serial port cannot be used, or is gone."""


class LockedError(BoardError):
    """Another process holds this board."""


class ImageError(BoardError):
    """An image file is missing or is not what its name says."""


class FlashError(BoardError):
    """Writing the interpreter failed; the board may hold a part of it."""


class DeployError(BoardError):
    """Writing files through the board's prompt failed."""


class ProvisionError(BoardError):
    """A key or a setting of a node is missing, wrong or in the way."""


class IdentityError(BoardError):
    """The board says that it is another one, or holds other files."""
