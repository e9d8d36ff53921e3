"""Boot id, sequence numbers and accepted commands: never used twice, over power cuts too.

Promises: every number from `next_sequence` is larger than any ever handed out by this node, and
`accept_command` says yes to a command at most once, over reboots too.  How: what is stored is not
the present number but a bound that no number has reached; the bound is moved, and the write has
succeeded, before a number beyond it is used (RFC 8613, B.1.1 describes the same practice).

A reboot skips what was left of the block of sequence numbers, at most RESERVED_BLOCK - 1.  It also
refuses the rest of the block of the gateway start it last obeyed, at most COMMAND_BLOCK commands:
at a probe every 10 s the clock is known again after 160 s at the latest, at once when the gateway
has started anew.  Price: a write per 256 frames and one per 16 commands, each of 52 bytes, in turn
on two slots; at a frame a second and a probe per 10 s some 330,000 writes a year, which a flash
file system has to spread.

A slot that is not whole may be the newer one, so a start stands beyond what that one can have held
(`_beyond`); both slots are whole before the first number is used.  What stays open: a newer slot
that decays by itself, not by a cut, forgets a gateway start, or a jump of more than a block within
one, that only it held; those commands could be accepted again.

    numbers of a slot    boot id | first sequence number not reserved |
                         gateway start last obeyed | first of its commands not reserved
"""

from firmware.slots import Slots

RESERVED_BLOCK = 256
COMMAND_BLOCK = 16


class Counters:
    """The counters of one boot; `hal` gives `read_file` and `write_file`."""

    def __init__(self, hal) -> None:
        self._slots = Slots(hal)
        self.boot_id = 0
        self.sequence_start = 0
        self._next = 0
        self._reserved = 0
        self._gateway_start = 0
        self._command_bound = 0
        self._newest_command = (0, -1)

    def start(self) -> None:
        """Count this boot; raises StateError when what was stored is lost or cannot be read."""
        numbers, is_whole = self._slots.read()
        if numbers is None:
            numbers = (0, 0, 0, 0)
        elif not is_whole:
            numbers = _beyond(*numbers)
        boot, sequence, gateway_start, command_bound = numbers
        self.boot_id = boot + 1
        self.sequence_start = self._next = sequence
        self._newest_command = (gateway_start, command_bound - 1)
        for _ in range(1 if is_whole else 2):
            self._store(sequence + RESERVED_BLOCK, gateway_start, command_bound)

    def next_sequence(self) -> int:
        """A number that was never used before; may write to the flash (OSError: not handed out)."""
        if self._next == self._reserved:
            self._store(self._next + RESERVED_BLOCK, self._gateway_start, self._command_bound)
        sequence = self._next
        self._next += 1
        return sequence

    def accept_command(self, gateway_start: int, sequence: int) -> bool:
        """Whether this command, whose seal is checked, is newer than all accepted before.

        The gateway counts its own starts, and its commands within one.  May write to the flash; on
        OSError the command is not accepted.
        """
        command = (gateway_start, sequence)
        if command <= self._newest_command:
            return False
        if gateway_start != self._gateway_start or sequence >= self._command_bound:
            self._store(self._reserved, gateway_start, sequence + COMMAND_BLOCK)
        self._newest_command = command
        return True

    def _store(self, reserved: int, gateway_start: int, command_bound: int) -> None:
        self._slots.write((self.boot_id, reserved, gateway_start, command_bound))
        self._reserved = reserved
        self._gateway_start = gateway_start
        self._command_bound = command_bound


def _beyond(boot: int, sequence: int, gateway_start: int, command_bound: int) -> tuple:
    """No smaller than the successor of these numbers: what one write adds to each at most."""
    return boot + 1, sequence + RESERVED_BLOCK, gateway_start, command_bound + COMMAND_BLOCK
