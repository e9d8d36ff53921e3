"""What the gateway's tests share: coroutine tests, a real MQTT broker, records to publish.

A test that is a coroutine function runs in its own event loop with a deadline, and fails if it
leaves a task behind.
"""

import asyncio
import inspect
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gateway.plant import free_port

DEADLINE_S = 30.0
_SETTLE_S = 2.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests; leave all others to pytest."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(_guarded(pyfuncitem.obj(**arguments)))
    return True


async def _guarded(test) -> None:
    """Await a test within its deadline; then nothing may still be running."""
    async with asyncio.timeout(DEADLINE_S):
        await test
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        # A transport that was just closed needs a turn of the loop to end its tasks.
        _, others = await asyncio.wait(others, timeout=_SETTLE_S)
    assert not others, f"tasks left behind: {others}"


@dataclass
class Broker:
    """A mosquitto process on a loopback port."""

    port: int
    config: Path
    process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        self.process = subprocess.Popen(
            [broker_program(), "-c", str(self.config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # mosquitto says so itself on stderr; nothing here waits for a clock.
        for line in self.process.stderr:
            if " running" in line:
                return
        raise RuntimeError("mosquitto ended before it was running")

    def stop(self) -> None:
        """End the process at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.stderr.close()
            self.process.wait(10)
            self.process = None


def broker_program() -> str | None:
    """Return the broker's program; Debian puts it where only root looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Yield a running broker."""
    if broker_program() is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\n")
    server = Broker(port=port, config=config)
    server.start()
    yield server
    server.stop()
