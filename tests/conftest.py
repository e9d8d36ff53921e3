"""What all tests share: the shared data, a watch for forgotten tasks, the count of device tests."""

import asyncio
import asyncio.runners
import inspect
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import cast

import pytest

# As in twinrig.py; numpy reads it when it is loaded, and subprocesses inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
INTERPRETERS = ("CPython", "MicroPython unix", "MicroPython Cortex-M3", "MicroPython RV32IMAC")
DEVICE_PROPERTY = "device tests"
DEVICE_COUNTER = pytest.StashKey["DeviceCounter"]()
FORGOTTEN_TASKS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin the counts."""
    config.stash[DEVICE_COUNTER] = DeviceCounter()
    config.pluginmanager.register(config.stash[DEVICE_COUNTER])
    config.stash[FORGOTTEN_TASKS] = []
    listen_for_forgotten_tasks(config.stash[FORGOTTEN_TASKS])


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Official vectors and recorded runs, which are not part of the project."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder.name}/ beside the project, so no vectors and no recordings")
    return folder


# --- no task is left behind ---------------------------------------------------------------------


def listen_for_forgotten_tasks(forgotten: list[str]) -> None:
    """Note the tasks that `asyncio.run` cancels in silence because nobody awaited them."""
    cancel_all_tasks = asyncio.runners._cancel_all_tasks

    def listen(loop: asyncio.AbstractEventLoop) -> None:
        forgotten.extend(task.get_name() for task in asyncio.all_tasks(loop))
        cancel_all_tasks(loop)

    asyncio.runners._cancel_all_tasks = listen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a test that passes but leaves tasks pending in its event loop."""
    forgotten = item.config.stash[FORGOTTEN_TASKS]
    forgotten.clear()
    yield
    if forgotten:
        pytest.fail(f"tasks still pending at the end of the event loop: {forgotten}", pytrace=False)


# --- device tests: how many on which interpreter ------------------------------------------------


@pytest.fixture
def passed_on(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Tell how many device tests have passed on an interpreter."""

    def note(interpreter: str, passed: int) -> None:
        request.node.user_properties.append((DEVICE_PROPERTY, (interpreter, passed)))

    return note


def is_device_test(item: pytest.Item) -> bool:
    """Whether MicroPython could run the test as well: it has no fixtures, hence no parameters."""
    return (
        isinstance(item, pytest.Function)
        and item.path.is_relative_to(ROOT / "tests" / "device")
        and not inspect.signature(item.function).parameters
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note a device test that passed here, so that whoever counts the reports counts it."""
    report = yield
    if report.when == "call" and report.passed and is_device_test(item):
        report.user_properties.append((DEVICE_PROPERTY, ("CPython", 1)))
    return report


class DeviceCounter:
    """Adds up the device tests of all reports, those of other worker processes too."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(INTERPRETERS, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what a report says."""
        for name, value in report.user_properties:
            if name == DEVICE_PROPERTY and report.when == "call":
                interpreter, passed = cast("tuple[str, int]", value)
                self.counts[interpreter] += passed


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say on how many interpreters the device code was really tested."""
    counts = config.stash[DEVICE_COUNTER].counts
    if any(counts.values()):
        text = ", ".join(f"{name} {count}" for name, count in counts.items())
        terminalreporter.write_line(f"device tests passed: {text}")
