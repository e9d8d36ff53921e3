"""What commands do to the node: keys that are there or are not, outputs that act in time only."""

from firmware.actions import Actions
from firmware.keyfile import KEY_FILES, encode, load
from tests.device.test_keyfile import Files, _identity
from wire import commands
from wire.keys import rotated_root

SALT = bytes(range(32))
BOOT_ID = 7


class Outputs:
    """One output, and what was done to it."""

    def __init__(self):
        self.acts = []

    def index(self, name):
        return 0 if name == "relay" else -1

    def refusal(self, index, _value, hold_ms):
        return None if index == 0 and hold_ms < 1000 else "beyond"

    def act(self, _index, value, hold_ms, now_us):
        self.acts.append((value, hold_ms, now_us))


class Node:
    """What an action may see of a node."""

    def __init__(self):
        self.identity = _identity()
        self.outputs = Outputs()
        self.boot_id = BOOT_ID

    def use(self, identity):
        self.identity = identity


def _rotate(files):
    """(node, result) of a rotation to epoch 1, what follows the answer included."""
    node = Node()
    rotate = Actions(files, node, None).table()[commands.ROTATE_KEY]
    result, _, then = rotate({0: 1, 1: SALT}, 0)
    if then is not None:
        then()
    return node, result


def _actuate(node, arguments, now_us):
    actuate = Actions(Files(), node, None).table()[commands.ACTUATE]
    commands.check_arguments(commands.ACTUATE, arguments)
    return actuate(arguments, now_us)


def test_a_new_key_is_used_when_a_restart_would_find_it():
    for is_late in (False, True):
        files = Files({KEY_FILES[0]: encode(_identity())})
        files.is_late = is_late
        node, result = _rotate(files)
        assert result == commands.DONE
        assert node.identity.root == rotated_root(_identity().root, b"pump-a", 1, SALT)
        assert load(files) == node.identity


def test_the_old_key_stays_when_a_restart_would_find_that():
    for fault in ("is_full", "is_deaf", "is_unreadable"):
        files = Files({KEY_FILES[0]: encode(_identity())})
        setattr(files, fault, True)
        node, result = _rotate(files)
        assert result == commands.FAILED
        files.is_unreadable = False
        assert load(files) == node.identity == _identity()


def test_an_output_acts_until_its_deadline():
    node = Node()
    arguments = {0: "relay", 1: 1.0, 2: 5, 3: BOOT_ID, 4: 1 << 40}
    assert _actuate(node, arguments, 1 << 40) == (commands.DONE, "", None)
    assert _actuate(node, arguments, (1 << 40) + 1) == (commands.OUT_OF_LIMITS, "too late", None)
    assert _actuate(node, {0: "relay", 1: 0, 2: 5}, 1 << 50)[0] == commands.DONE
    assert node.outputs.acts == [(1.0, 5, 1 << 40), (0, 5, 1 << 50)]


def test_a_deadline_of_another_start_is_over():
    node = Node()
    for deadline in (
        {3: BOOT_ID - 1, 4: 9},
        {3: BOOT_ID + 1, 4: 9},
        {3: BOOT_ID},
        {4: 9},
    ):
        arguments = {0: "relay", 1: 1.0, 2: 5}
        arguments.update(deadline)
        assert _actuate(node, arguments, 0)[:2] == (commands.OUT_OF_LIMITS, "too late")
    del node.boot_id
    for deadline in ({3: BOOT_ID, 4: 9}, {4: 9}):
        arguments = {0: "relay", 1: 1.0, 2: 5}
        arguments.update(deadline)
        assert _actuate(node, arguments, 0)[1] == "too late"
    assert node.outputs.acts == []


def test_a_deadline_does_not_widen_the_limits():
    arguments = {0: "relay", 1: 1.0, 2: 1000, 3: BOOT_ID, 4: 9}
    assert _actuate(Node(), arguments, 0)[1] == "beyond"
