"""An update goes piece by piece, in order, and ends at the first thing the node refuses."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from gateway.clock import NS_PER_S
from gateway.commands import Ended, RequestState
from gateway.errors import LinkError, OperatorError
from gateway.updates import (
    PIECE_BYTES,
    make_manifest,
    read_files,
    send_update,
    sequence_at,
)
from wire import commands
from wire.cbor import decode

FILES = [
    ("firmware/main.mpy", bytes(range(256)) * 10),
    ("hal.mpy", b"small"),
    ("wire/empty.mpy", b""),
]


class Node:
    """Takes commands at once, as firmware/update.py would; `refuses` is the step it refuses."""

    def __init__(self, refuses=None, is_silent: bool = False):
        self.verbs: list[int] = []
        self.manifest = b""
        self.files: dict[int, bytes] = {}
        self.refuses = refuses
        self.is_silent = is_silent

    async def perform(self, node, verb, arguments, *, expires_s=120.0):
        assert node == "a"
        payload = commands.encode_command(len(self.verbs) + 1, verb, dict(arguments))
        assert len(payload) < 1200, "it has to fit into the node's line buffer"
        assert expires_s >= 60
        self.verbs.append(verb)
        if self.is_silent:
            return Ended(verb=verb, outcome=RequestState.EXPIRED.value, detail="")
        if self.refuses == len(self.verbs):
            return Ended(verb=verb, outcome="refused", detail="class 'x', this node is 'y'")
        self._take(commands.decode_command(payload))
        return Ended(verb=verb, outcome="done", detail="")

    def _take(self, command):
        arguments = command.arguments
        if command.verb == commands.UPDATE_BEGIN:
            assert arguments.get(1, 0) == len(self.manifest)
            self.manifest += arguments[0]
        elif command.verb == commands.UPDATE_DATA:
            held = self.files.get(arguments[0], b"")
            assert arguments[1] == len(held)
            self.files[arguments[0]] = held + arguments[2]


def send(node, files=FILES, **changes):
    asyncio.run(send_update(node, "a", files, **({"class_id": "x", "sequence": 7} | changes)))


def test_everything_arrives_in_order_and_is_told():
    node, told = Node(), []
    send(node, progress=lambda sent, total: told.append((sent, total)))
    assert decode(node.manifest, 4, 400) == {
        0: 1,
        1: 7,
        2: "twinrig",
        3: "x",
        4: [[path, len(data), hashlib.sha256(data).digest()] for path, data in FILES],
    }
    assert node.files == {0: FILES[0][1], 1: b"small"}
    assert node.verbs[0] == commands.UPDATE_BEGIN
    assert node.verbs[-1] == commands.UPDATE_FINISH
    assert told[-1][0] == told[-1][1] == len(node.manifest) + 2560 + 5
    assert told == sorted(told)


def test_a_long_manifest_goes_in_pieces():
    files = [(f"drivers/part{number:02}/driver.mpy", b"x") for number in range(60)]
    node = Node()
    send(node, files)
    pieces = node.verbs.count(commands.UPDATE_BEGIN)
    assert pieces == -(-len(node.manifest) // PIECE_BYTES) > 1
    assert node.manifest == make_manifest(files, 7, "x")


def test_the_loader_stays_on_the_node():
    node = Node()
    send(node, [("main.py", b"loader"), *FILES])
    assert len(decode(node.manifest, 4, 400)[4]) == len(FILES)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_what_the_node_refuses_ends_the_update_in_its_own_words(step):
    node = Node(refuses=step)
    with pytest.raises(LinkError, match=r"a over update: update_.*refused .class 'x', this node"):
        send(node)
    assert node.verbs[step:] == [commands.UPDATE_ABORT]


def test_a_refused_finish_needs_no_abort():
    node = Node(refuses=6)
    with pytest.raises(LinkError, match="update_finish: refused"):
        send(node)
    assert node.verbs[-1] == commands.UPDATE_FINISH


def test_a_silent_node_is_said():
    node = Node(is_silent=True)
    with pytest.raises(
        LinkError, match=r"update_begin: no answer in time.*is the node on its link"
    ):
        send(node)
    assert node.verbs == [commands.UPDATE_BEGIN], "nobody waits for a second answer"


@pytest.mark.parametrize(
    "files", [[], [("a.py", b"")] * 161, [("a.py", bytes(524_289))], [("main.py", b"x")]]
)
def test_what_is_no_update_is_not_begun(files):
    node = Node()
    with pytest.raises(OperatorError, match="are no update"):
        send(node, files)
    assert node.verbs == []


def test_a_folder_is_read_as_a_set(tmp_path: Path):
    for path, data in [*FILES, ("main.py", b"loader"), ("notes.txt", b"no")]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    assert read_files(tmp_path) == FILES
    with pytest.raises(OperatorError, match=r"holds no \.mpy or \.py file"):
        read_files(tmp_path / "absent")


def test_a_later_update_has_a_higher_number():
    assert sequence_at(1_700_000_000 * NS_PER_S) == 1_700_000_000
    assert sequence_at((1 << 32) * NS_PER_S - 1) < 1 << 32
