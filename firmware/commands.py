"""Commands from the gateway: each obeyed at most once, in order, over restarts too.

The gateway numbers the commands of a node, one at a time, and repeats one until it is answered.
Here the number is on the flash before anything is done, so a command that a power cut interrupted
is never begun again; its outcome is then unknown, and that is what is answered.

    number above the last   written down as begun, done, result written down, answered
    the last number         not done again; the answer is repeated, or "outcome unknown"
    ... with other content  "out of order", with the last number: the gateway has lost its count
    a lower number          "out of order", with the last number

Content is verb and arguments, without the deadline of an act, which may be set anew; a digest of it
is kept beside the number.  What the verbs do is in `actions.py`.  A repeated answer has the result
without its detail.

    node.command.a, .b   number begun last | result + 1, 0 while it is open | digest of its content
"""

from hashlib import sha256

from firmware.slots import Slots
from wire import commands
from wire.cbor import encode
from wire.errors import WireError

_BEGUN = 0
_DIGEST_BYTES = 8
JOURNAL = ("node.command.a", "node.command.b")


class Commands:
    """The commands of one node; an action is `(arguments, now_us) -> (result, detail, then)`."""

    def __init__(self, hal) -> None:
        self._slots = Slots(hal, JOURNAL, 3)
        self.actions = {}
        """What each verb does; set before the first command is heard."""
        self._is_open = True
        self.last_id = 0
        """The command begun last, 0 before the first."""
        self._outcome = _BEGUN
        self._digest = 0

    def start(self) -> None:
        """Read which command was the last; StateError when that cannot be known."""
        numbers, _ = self._slots.read()
        if numbers is not None:
            self.last_id, self._outcome, self._digest = numbers

    def refuse_all(self) -> None:
        """Begin nothing any more: the journal is lost."""
        self._is_open = False

    def obey(self, payload, now_us: int) -> "tuple":
        """(answer's payload, what to do once it is on its way or None); WireError: no command."""
        command_id, verb, arguments = commands.decode_command(payload)
        if not self._is_open:
            return _answer(command_id, commands.FAILED, "the command journal is lost"), None
        digest = _digest(verb, arguments)
        is_other = command_id == self.last_id and digest != self._digest
        if command_id < self.last_id or command_id == 0 or is_other:
            return _answer(command_id, commands.OUT_OF_ORDER, "", self.last_id), None
        if command_id == self.last_id:
            if self._outcome == _BEGUN:
                return _answer(command_id, commands.OUTCOME_UNKNOWN, "interrupted"), None
            return _answer(command_id, self._outcome - 1, "repeated"), None
        self._note(command_id, _BEGUN, digest)
        result, detail, then = self._act(verb, arguments, now_us)
        try:
            self._note(command_id, result + 1, digest)
        except OSError:
            # It stays "begun" on the flash; this answer, and its repetitions, still know better.
            self._outcome = result + 1
        return _answer(command_id, result, detail), then

    def _act(self, verb: int, arguments, now_us: int) -> "tuple":
        action = self.actions.get(verb)
        if action is None:
            return commands.UNKNOWN_VERB, "verb %d" % verb, None
        try:
            commands.check_arguments(verb, arguments)
        except WireError as error:
            return commands.REFUSED, str(error), None
        return action(arguments, now_us)

    def _note(self, command_id: int, outcome: int, digest: int) -> None:
        self._slots.write((command_id, outcome, digest))
        self.last_id = command_id
        self._outcome = outcome
        self._digest = digest


def _digest(verb: int, arguments) -> int:
    """The start of the SHA-256 over what is to be done, in the order of the keys.

    Byte strings go in as their own SHA-256: a piece of an update is not copied.
    """
    whole = sha256(encode(verb))
    for key in sorted(arguments):
        if verb == commands.ACTUATE and key in commands.DEADLINE:
            continue
        value = arguments[key]
        if isinstance(value, bytes):
            value = sha256(value).digest()
        whole.update(encode([key, value]))
    return int.from_bytes(whole.digest()[:_DIGEST_BYTES], "big")


def _answer(command_id: int, result: int, detail: str, last_id=None) -> bytes:
    return commands.encode_command_answer(command_id, result, detail, last_id)
