"""Whose tags there are, and that docs/time.md tells every one of them."""

import math
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import status
from gateway.records_time import SyncCause, Timing
from gateway.sinks import time_tags
from gateway.sinks.opcua_space import VALUE
from gateway.sinks.time_tags import Kind
from tests.gateway.plant import estimate, make_site
from tests.gateway.sinks.test_store import opened
from tests.gateway.sinks.time_records import (
    clock_estimate,
    link_kpi,
    one_way,
    revision,
    sync_check,
    timed_event,
)


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    """Return the text of docs/time.md."""
    return (root / "docs/time.md").read_text(encoding="utf-8")


def test_sources_are_all_of_the_site_and_clocks_the_gateway_too(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    assert time_tags.sources(site) == ("a", "plc")
    assert time_tags.clocks(site) == ("a", "plc", "skid")
    namesake = site.model_copy(update={"site": site.site.model_copy(update={"name": "a"})})
    assert time_tags.clocks(namesake) == ("a", "plc"), "one folder for both"


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        (time_tags.clock_facts(clock_estimate()), time_tags.CLOCK),
        (time_tags.clock_facts(one_way()), time_tags.CLOCK),
        (time_tags.check_facts(sync_check()), time_tags.CHECK),
        (time_tags.event_facts(timed_event()), time_tags.EVENT),
        (time_tags.link_facts(link_kpi()), time_tags.LINK),
        (time_tags.active_facts(("step: it stepped",)), time_tags.ACTIVE),
    ],
)
def test_every_tag_has_a_fact_of_its_kind(facts: dict[str, object], kinds: dict[str, Kind]) -> None:
    types = {Kind.FLAG: bool, Kind.COUNT: int, Kind.NUMBER: float, Kind.TEXT: str,
             Kind.TEXTS: list, Kind.TIME: int}  # fmt: skip
    assert facts.keys() == kinds.keys()
    wrong = [
        name
        for name, fact in facts.items()
        if fact is not None and type(fact) is not types[kinds[name]]
    ]
    assert wrong == []


def test_a_bound_is_never_called_an_uncertainty(page: str) -> None:
    names = [*VALUE, *time_tags.CLOCK, *time_tags.CHECK, *time_tags.EVENT]
    unclear = [name for name in names if "Uncertainty" in name and "K2" not in name]
    assert unclear == []
    assert "TimeUncertaintyNs" not in page


def test_the_page_tells_every_tag_cause_and_figure(page: str) -> None:
    told = set(re.findall(r"`([A-Za-z0-9_/.<>]+)`", page))
    tags = {*VALUE, *time_tags.CLOCK, *time_tags.ACTIVE, *time_tags.CHECK, *time_tags.EVENT,
            *time_tags.LINK, *time_tags.figure_tags()} - {"Provenance"}  # fmt: skip
    assert sorted(tags - told) == []
    assert sorted({cause.value for cause in SyncCause} - told) == []
    assert [timing.value for timing in Timing if timing.value not in page] == []


async def test_the_query_of_the_page_finds_the_best_value_of_every_row(
    page: str, tmp_path: Path
) -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    async with opened(tmp_path) as base:
        for record in (
            estimate(1), estimate(2), estimate(3), revision(2), revision(3, after=0.0017),
            revision(3, number=2, after=math.nan, status=status.BAD_NO_DATA),
            revision(3, number=3, after=0.0016), replace(revision(1), signal="a:temperature"),
        ):  # fmt: skip
            base.sink.put(record)
        await base.sink.drain()
        with closing(sqlite3.connect(base.path)) as database:
            rows = database.execute(query.replace("pump-a:flow", "a:flow")).fetchall()
    assert [(published, best) for _, published, best in rows] == [
        (0.0019, 0.0019), (0.0019, 0.00185), (0.0019, 0.0016),
    ]  # fmt: skip
