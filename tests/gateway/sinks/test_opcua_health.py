"""What a node says about itself is shown beside the plant, never as a value of it."""

from pathlib import Path

from gateway import status
from gateway.records import ReportKind
from gateway.sinks.opcua_space import HEALTH, utc
from tests.gateway.plant import SECOND_NS, START_NS, report
from tests.gateway.sinks.opcua_server import read, serving, value
from wire.status import STATUS_FIELDS

BOOT = report(
    ReportKind.BOOT,
    second=1,
    text="started: boot_reason watchdog",
    facts=(
        ("boot_reason", "watchdog"), ("firmware", "0.2"), ("files_sha256", "ab" * 32),
        ("key_epoch", 1), ("unique_id", "00"),
    ),
)  # fmt: skip


def test_every_counter_of_a_status_record_has_a_variable() -> None:
    shown = {name.lower() for name in HEALTH}
    assert {field.replace("_", "") for field in STATUS_FIELDS} <= shown


async def test_health_starts_unknown_and_follows_the_reports(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        unknown = await read(client, "Nodes/a/Status")
        assert unknown.StatusCode.value == status.BAD_WAITING_FOR_INITIAL_DATA
        served.sink.put(BOOT)
        served.sink.put(report(second=4))
        await served.sink.drain()
        names = ("Status", "BootReason", "Firmware", "FilesSha256", "BootId", "Overruns")
        found = {name: await value(client, f"Nodes/a/{name}") for name in names}
        assert found == {
            "Status": "ok",
            "BootReason": "watchdog",
            "Firmware": "0.2",
            "FilesSha256": "ab" * 32,
            "BootId": 3,
            "Overruns": 2,
        }
        assert await value(client, "Nodes/a/BootTime") == utc(START_NS + SECOND_NS)
        assert await value(client, "Nodes/a/StatusTime") == utc(START_NS + 4 * SECOND_NS)
        assert await value(client, "Nodes/a/LastReport") == "status: ok"
        assert await value(client, "Nodes/a/Problems") in ([], None)
        balance = served.ledger.sink_balance("opcua")
        assert (balance.offered, balance.delivered) == (2, 2)


async def test_problems_are_uncertain_and_said(tmp_path: Path) -> None:
    bad = report(problems=("tmp117 is silent", "flash is full"), text="2 problems: ...")
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(bad)
        await served.sink.drain()
        shown = await read(client, "Nodes/a/Status")
        assert (shown.Value.Value, shown.StatusCode.value) == ("2 problems: ...", status.UNCERTAIN)
        listed = await read(client, "Nodes/a/Problems")
        assert listed.Value.Value == ["tmp117 is silent", "flash is full"]
        served.sink.put(report(second=1))
        await served.sink.drain()
        assert (await read(client, "Nodes/a/Status")).StatusCode.value == status.GOOD


async def test_an_older_status_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(report(second=9, text="new"))
        served.sink.put(report(second=3, text="old"))
        await served.sink.drain()
        assert await value(client, "Nodes/a/Status") == "new"
        assert served.ledger.sink_balance("opcua").dropped == {"late": 1}


async def test_a_node_that_states_nonsense_breaks_nothing(tmp_path: Path) -> None:
    """A boot record may hold a number where a text is meant, and numbers of 64 bits."""
    odd = report(
        ReportKind.BOOT,
        facts=(("firmware", 7), ("boot_reason", "x"), ("key_epoch", 1 << 63), ("status", "ok")),
    )
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(odd)
        await served.sink.drain()
        assert await value(client, "Nodes/a/BootReason") == "x"
        for name in ("Firmware", "KeyEpoch"):
            shown = await read(client, f"Nodes/a/{name}")
            assert shown.StatusCode.value == status.BAD_WAITING_FOR_INITIAL_DATA
