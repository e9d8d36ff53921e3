"""The QMP client against a QEMU of its own making, and against the real one in test_qemu_mps2."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from boards.errors import QmpError
from boards.qmp import Qmp

GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\r\n'
READY = b'{"return": {}}\r\n'


@contextmanager
def server(folder: Path, *answers: bytes) -> Iterator[tuple[Path, list[bytes]]]:
    """A socket that greets with the first of `answers` and gives one more for each line it reads.

    An empty answer ends the connection.
    """
    path = folder / "qmp.sock"
    asked: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(answers[0])
            for answer in answers[1:]:
                line = lines.readline()
                if not line:
                    return
                asked.append(line)
                if not answer:
                    return
                connection.sendall(answer)
            lines.read()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield path, asked
    finally:
        thread.join(timeout=10)
        listener.close()


def test_a_command_is_one_line_and_its_answer_is_returned(tmp_path: Path) -> None:
    answer = b'{"event": "RESUME"}\r\n{"return": 36500}\r\n'
    with server(tmp_path, GREETING, READY, answer) as (path, asked), Qmp.connect(path) as qmp:
        assert qmp.get_property("/machine/peripheral/t0", "temperature") == 36500
        assert [event["event"] for event in qmp.events] == ["RESUME"]
    assert asked == [
        b'{"execute": "qmp_capabilities"}\n',
        (
            b'{"execute": "qom-get", "arguments":'
            b' {"path": "/machine/peripheral/t0", "property": "temperature"}}\n'
        ),
    ]


def test_an_answer_that_is_never_finished_has_a_deadline(tmp_path: Path) -> None:
    with (
        server(tmp_path, GREETING, b'{"ret') as (path, _),
        pytest.raises(QmpError, match=r"no answer within 0\.2 s"),
    ):
        Qmp.connect(path, timeout_s=0.2)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((b'{"hello": 1}\n',), "not how QMP greets"),
        ((b"SSH-2.0\n",), "not JSON"),
        ((b"[1]\n",), "not a message"),
        ((GREETING, b""), "the emulator has ended"),
        ((GREETING, b'{"error": {"class": "C", "desc": "no such thing"}}\n'), "C: no such thing"),
        ((b"x" * (1 << 20) + b"xx",), "more than 1048576 bytes"),
    ],
)
def test_what_is_not_an_answer_is_said(
    answers: tuple[bytes, ...], message: str, tmp_path: Path
) -> None:
    with server(tmp_path, *answers) as (path, _), pytest.raises(QmpError, match=message):
        Qmp.connect(path, timeout_s=5)


def test_silence_has_a_deadline(tmp_path: Path) -> None:
    with (
        server(tmp_path, GREETING, READY) as (path, _),
        Qmp.connect(path, timeout_s=0.2) as qmp,
        pytest.raises(QmpError, match=r"no answer within 0\.2 s"),
    ):
        qmp.command("query-status")


def test_a_socket_that_never_appears_is_said(tmp_path: Path) -> None:
    with pytest.raises(QmpError, match=r"qmp\.sock: no QMP socket within 0\.1 s"):
        Qmp.connect(tmp_path / "qmp.sock", timeout_s=0.1)


def test_after_the_end_nothing_can_be_sent(tmp_path: Path) -> None:
    with server(tmp_path, GREETING, READY) as (path, _):
        qmp = Qmp.connect(path)
        qmp.close()
        qmp.close()
        with pytest.raises(QmpError, match="quit: cannot be sent"):
            qmp.quit()
