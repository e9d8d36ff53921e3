"""Short runs of the pump example, cut out of its own files, so that they cannot drift from it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from boards.build import PROJECT_DIR

EXAMPLE = PROJECT_DIR / "examples" / "pump"
MakeScenario = Callable[..., Path]


@pytest.fixture
def make_scenario(tmp_path: Path) -> MakeScenario:
    """Write the pump scenario with other seconds, boards or texts; return its path."""

    def make(
        *, virtual_s: float, board: str = "qemu_stm32f2", replace: dict[str, str] | None = None
    ) -> Path:
        folder = tmp_path / "example"
        folder.mkdir(exist_ok=True)
        text = (EXAMPLE / "scenario.toml").read_text(encoding="utf-8")
        # The fallback model makes the trace: the test does not depend on recorded data.
        text = text.replace('path = "../../../shared/data/skab/valve1/0.csv"\n', "")
        text = text.replace('"qemu_stm32f2"', f'"{board}"')
        for old, new in (replace or {}).items():
            assert old in text
            text = text.replace(old, new)
        scenario = folder / "scenario.toml"
        scenario.write_text(f"{text}\n[duration]\nvirtual_s = {virtual_s}\n", encoding="utf-8")
        (folder / "site.toml").write_text((EXAMPLE / "site.toml").read_text(encoding="utf-8"))
        return scenario

    return make
