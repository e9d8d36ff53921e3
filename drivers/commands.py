"""Chips that obey commands instead of having registers: a byte out, a wait, checked words back.

A `Command` is declared once for driver and emulator, as a `Register` is. Every word of a reply
carries a CRC-8 over its two bytes (polynomial 0x31, initial value 0xFF, nothing reflected), and no
word is used before its CRC has been checked.

The bus is the subset of `machine.I2C` that `drivers.bus.EmulatedI2C` names.
"""

from drivers.port import RegisterPort
from wire.kernel import micropython, ptr8

WORD_BYTES = 3
_NO_ACKNOWLEDGE = 19


@micropython.viper
def crc8(data: ptr8, start: int, count: int) -> int:
    """Return the CRC-8 of `count` bytes of `data` from `start` on."""
    crc = 0xFF
    for index in range(start, start + count):
        crc ^= data[index]
        for _ in range(8):
            crc = ((crc << 1) ^ (0x31 if crc & 0x80 else 0)) & 0xFF
    return crc


class Command:
    """What the byte `address` makes a chip do: for at most `duration_us`, answering `words` words.

    `fields` and `label()` are what ports and messages want of a `Register`.
    """

    fields = ()

    def __init__(self, name: str, address: int, words: int, duration_us: int):
        self.name = name
        self.address = address
        self.words = words
        self.duration_us = duration_us

    def label(self) -> str:
        """Return name and byte as messages show them."""
        return f"{self.name} (0x{self.address:02X})"


class CommandMap:
    """All declared commands of a part, with the document they were read in."""

    registers = ()

    def __init__(self, part: str, document: str, commands):
        self.part = part
        self.document = document
        self.commands = commands

    def at(self, address: int):
        """Return the command with this byte, or None where none is declared."""
        for command in self.commands:
            if command.address == address:
                return command
        return None

    def faults(self) -> "list":
        """Return one sentence for each thing that cannot be true of this map."""
        found = []
        for name, values in (
            ("name", [command.name for command in self.commands]),
            ("byte", [command.address for command in self.commands]),
        ):
            found += [
                f"{self.part}: command {name} {value} is used twice"
                for value in sorted(set(values))
                if values.count(value) > 1
            ]
        for command in self.commands:
            if not 0 <= command.address <= 0xFF or command.words < 0 or command.duration_us < 0:
                found.append(f"{self.part}: {command.name} has a byte or a number that cannot be")
        return found


class CommandPort(RegisterPort):
    """The commands of the `part` that answers at `address` of `i2c`."""

    def send(self, command: Command) -> None:
        """Send the byte of `command`."""
        try:
            self._bus.writeto(self._address, bytes((command.address,)))
        except OSError as error:
            self._fail_of_bus(command, error)

    def receive(self, command: Command, buffer, sleep_us, pause_us: int, polls_max: int) -> None:
        """Fill `buffer` with the reply to `command` and check every CRC.

        A chip that is not ready does not acknowledge, so this asks at most `polls_max` times,
        `pause_us` apart.
        """
        for _ in range(polls_max):
            try:
                self._bus.readfrom_into(self._address, buffer)
            except OSError as error:
                if error.args and error.args[0] == _NO_ACKNOWLEDGE:
                    sleep_us(pause_us)
                    continue
                self._fail_of_bus(command, error)
            self._check(command, buffer)
            return
        self.fail(
            command,
            f"not ready after {polls_max} polls, {pause_us} us apart: check supply and wiring",
        )

    def _check(self, command: Command, buffer) -> None:
        for start in range(0, len(buffer), WORD_BYTES):
            expected = crc8(buffer, start, 2)
            if buffer[start + 2] != expected:
                self.fail(
                    command,
                    f"CRC of word {start // WORD_BYTES}: expected 0x{expected:02X}, "
                    f"got 0x{buffer[start + 2]:02X}; check pull-ups and cable",
                )
