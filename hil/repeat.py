"""A scenario several times over: the same hashes every time, or the rig is not exact."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

from boards.build import cache_dir
from gateway.site import Site, load_site
from hil.result import RunResult
from hil.run import Run
from hil.scenario import load_scenario, open_trace


def repeat_scenario(
    path: Path,
    *,
    times: int = 1,
    trace: Path | None = None,
    board: str | None = None,
    folder: Path | None = None,
    building: Callable[[str, int], None] = lambda step, count: None,
    playing: Callable[[float, float], None] = lambda now_s, end_s: None,
    each: Callable[[RunResult], None] = lambda result: None,
) -> list[RunResult]:
    """Run a scenario file `times` times, each time from fresh boards and a fresh gateway.

    folder: where boards and gateway keep their files; below the build cache when not given.
    """
    scenario = load_scenario(path)
    if board is not None:
        scenario = scenario.on_board(board)
    place = folder if folder is not None else _place_of(path)
    opened = open_trace(scenario, place, trace)
    site = south_only(load_site(scenario.gateway.site))
    results = []
    images: dict[str, Path] = {}
    for _ in range(times):
        # All runs with the images of the first one, whatever is edited meanwhile.
        run = Run(scenario, opened, site, place, images=images)
        results.append(asyncio.run(_once(run, building, playing)))
        each(results[-1])
    return results


def _place_of(path: Path) -> Path:
    """A folder of the scenario's own: two files of one name do not share it."""
    resolved = path.resolve()
    digest = hashlib.sha256(str(resolved).encode()).hexdigest()[:12]
    return cache_dir() / "hil" / f"{resolved.parent.name}-{digest}"


def south_only(site: Site) -> Site:
    """The site without its sinks: what a node says is judged the same with nobody listening."""
    return site.model_copy(update={"opcua": None, "sparkplug": None, "store": None})


async def _once(
    run: Run,
    building: Callable[[str, int], None],
    playing: Callable[[float, float], None],
) -> RunResult:
    async with run:
        return await run.play(building=building, playing=playing)
