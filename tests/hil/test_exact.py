"""The same bytes every time: under load, from cold and warm caches, on either kind of board."""

import multiprocessing
import os
from pathlib import Path

import pytest

from boards.build import cache_dir
from hil.repeat import repeat_scenario
from hil.result import RunResult
from tests.hil.conftest import MakeScenario

VIRTUAL_S = 20


def hashes(result: RunResult) -> tuple[str, ...]:
    return (
        result.frames_sha256,
        result.verdicts_sha256,
        *(board.transactions_sha256 for board in result.boards),
    )


def burn(ready: "multiprocessing.synchronize.Event") -> None:
    """Keep one CPU busy until somebody ends this process."""
    ready.set()
    while True:
        sum(range(10_000))


@pytest.mark.parametrize("board", ["qemu_stm32f2", "host"])
def test_three_runs_are_identical_the_last_one_under_load(
    make_scenario: MakeScenario, tmp_path: Path, board: str
) -> None:
    scenario = make_scenario(virtual_s=VIRTUAL_S, board=board)
    quiet = repeat_scenario(scenario, times=2, folder=tmp_path / "quiet")
    context = multiprocessing.get_context("spawn")
    burners = []
    try:
        for _ in range((os.cpu_count() or 1) + 1):
            ready = context.Event()
            burners.append(context.Process(target=burn, args=(ready,), daemon=True))
            burners[-1].start()
            assert ready.wait(timeout=30)
        loaded = repeat_scenario(scenario, times=1, folder=tmp_path / "loaded")
    finally:
        for burner in burners:
            burner.kill()
            burner.join(timeout=10)
    assert {hashes(result) for result in quiet} == {hashes(loaded[0])}
    assert loaded[0].verified == loaded[0].sent > 2 * (VIRTUAL_S - 1)
    assert loaded[0].ledger_adds_up


def test_another_seed_gives_other_bytes(make_scenario: MakeScenario, tmp_path: Path) -> None:
    first = make_scenario(virtual_s=5, board="host")
    one = repeat_scenario(first, folder=tmp_path / "one")[0]
    second = make_scenario(virtual_s=5, board="host", replace={"seed = 1": "seed = 2"})
    other = repeat_scenario(second, folder=tmp_path / "other")[0]
    assert one.frames_sha256 != other.frames_sha256


@pytest.mark.timeout(300)
def test_a_cold_cache_gives_the_same_bytes_as_a_warm_one(
    make_scenario: MakeScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = make_scenario(virtual_s=VIRTUAL_S)
    warm = repeat_scenario(scenario, folder=tmp_path / "warm")[0]
    # The source is the same; everything made from it is made anew.
    if "MICROPYTHON_SRC" not in os.environ:
        source = (cache_dir() / "micropython" / "source.path").read_text()
        monkeypatch.setenv("MICROPYTHON_SRC", source)
    monkeypatch.setenv("TWINRIG_CACHE", str(tmp_path / "cache"))
    cold = repeat_scenario(scenario, folder=tmp_path / "cold")[0]
    assert list((tmp_path / "cache" / "images").glob("qemu_stm32f2-application-*"))
    assert hashes(cold) == hashes(warm)
