"""An MQTT broker for a demo or a test: Debian's mosquitto, or amqtt in this process without it.

Promises: it listens on a free loopback port only, keeps nothing, and ends with `stop`; `kind` says
which of the two it is, so that nobody takes one for the other.
"""

import asyncio
import logging
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Final

from boards.emulate import END_WITH_US
from gateway.clock import SystemClock
from hil.errors import RigError

HOST: Final = "127.0.0.1"
READY_TIMEOUT_S: Final = 10.0
_POLL_NS: Final = 20_000_000
_ATTEMPTS_MAX: Final = 5


class Broker:
    """A broker on loopback; `await start()`, then `port`, then `await stop()`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.kind = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._in_process: Any = None

    async def start(self) -> None:
        """Start mosquitto, or amqtt where it is not installed; RigError when neither comes up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        program = mosquitto_program()
        if program is None:
            await self._start_amqtt()
            return
        for _ in range(_ATTEMPTS_MAX):
            self.port = free_port()
            if await self._start_mosquitto(program):
                self.kind = "mosquitto"
                return
        raise RigError(f"mosquitto did not start; see {self.folder / 'mosquitto.log'}")

    async def stop(self) -> None:
        """End the broker; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=5)
        broker, self._in_process = self._in_process, None
        if broker is not None:
            await broker.shutdown()

    async def _start_mosquitto(self, program: str) -> bool:
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\npersistence false\n"
            f"log_dest file {self.folder / 'mosquitto.log'}\n"
        )
        # Starting is quick and done once; asyncio's own way would tie the process to this loop.
        self._process = subprocess.Popen(  # noqa: ASYNC220
            [*END_WITH_US, program, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        clock = SystemClock()
        async with asyncio.timeout(READY_TIMEOUT_S):
            while self._process.poll() is None:
                if await _answers(self.port):
                    return True
                await clock.sleep_until(clock.now_ns() + _POLL_NS)
        self._process = None
        return False

    async def _start_amqtt(self) -> None:
        try:
            # An optional dependency, wanted only without mosquitto.
            from amqtt.broker import Broker as AmqttBroker  # noqa: PLC0415
        except ImportError as error:
            raise RigError(
                "no MQTT broker: install Debian's mosquitto, or the extra twinrig[hil]"
            ) from error
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        self.port = free_port()
        self.kind = "amqtt, in this process: mosquitto is not installed"
        self._in_process = AmqttBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}},
            }
        )
        await self._in_process.start()


def mosquitto_program() -> str | None:
    """The path of mosquitto; Debian keeps it in /usr/sbin, off an ordinary user's PATH."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
