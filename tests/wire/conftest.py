"""What the tests of the wire share: official vectors, which are not part of the project."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def vectors(shared_dir: Path) -> Callable[[str], Any]:
    """Return a function that reads a vector file, such as "cbor/rfc7049-appendix-a.json"."""

    def load(path: str) -> Any:
        file = shared_dir / "vectors" / path
        if not file.is_file():
            pytest.skip(f"the official vectors vectors/{path} are not beside the project")
        return json.loads(file.read_text(encoding="utf-8"))

    return load
