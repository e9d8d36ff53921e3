"""What can go wrong between a driver and its chip, split by who must act.

    Exception
    |- DriverError      the chip is silent, foreign, late or was not started: look at the board
    |- EmulatorError    the emulated chip was used as the real one must not be: mend the driver,
    |                   or the scenario whose value does not fit the chip
    `- ValueError
       `- RegisterError  a register map was used wrongly: mend the option or the declaration

`OSError` of a bus never leaves a driver: it arrives as a `DriverError`.
"""


class DriverError(Exception):
    """A chip did not do what its datasheet says.

    `part` is the chip's name, `register` the datasheet's name of the register concerned, `bus`
    says which bus and address, `what` says what was expected, what came, and what to look at.
    """

    def __init__(self, part: str, register: str, bus: str, what: str):
        super().__init__(f"{part}: register {register} on {bus}: {what}")
        self.part = part
        self.register = register
        self.bus = bus
        self.what = what


class EmulatorError(Exception):
    """An access or a value that the emulated chip forbids; the message starts with the part."""

    def __init__(self, part: str, what: str):
        super().__init__(f"{part} emulator: {what}")
        self.part = part
        self.what = what


class RegisterError(ValueError):
    """An unknown field, register or setting; the message lists what there is."""
