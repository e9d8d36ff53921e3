"""The source as the architecture tests see it: every file of the project, parsed once."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, Source

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def project_files() -> list[str]:
    """Paths of all files that belong to the project: what git tracks or would track."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        found = set(output.stdout.split("\0"))
    else:
        found = set(_walk())
    return sorted(path for path in found if path and (ROOT / path).is_file())


def _walk() -> Iterator[str]:
    for path in ROOT.rglob("*"):
        relative = path.relative_to(ROOT)
        hidden = {".venv", ".build", ".hypothesis", "__pycache__"}.intersection(relative.parts)
        if path.is_file() and not hidden:
            yield relative.as_posix()


@pytest.fixture(scope="session")
def sources(project_files: list[str]) -> list[Source]:
    """Every Python file of the project."""
    return [
        Source(path, (ROOT / path).read_text(encoding="utf-8"))
        for path in project_files
        if path.endswith(".py")
    ]


@pytest.fixture(scope="session")
def product(sources: list[Source]) -> list[Source]:
    """The Python files that are shipped: the packages and the command line."""
    return [
        source
        for source in sources
        if source.folder in PACKAGES or source.path.startswith("twinrig")
    ]
