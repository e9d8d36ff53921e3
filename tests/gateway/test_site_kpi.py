"""[[kpi]] and [web] of a site file: defaults from what it says anyway, errors with remedies."""

from pathlib import Path

import pytest

from gateway.assembly import make_kpis
from gateway.errors import ConfigError
from gateway.loss import LossLedger
from gateway.site import Site
from gateway.site_kpi import KpiBudget, link_budgets
from tests.gateway.plant import SITE, make_site

MS = 1_000_000
PERIODS = {"a:fast": 100 * MS, "a:fast-2": 100 * MS, "a:slow": 1000 * MS, "b:x": 60_000 * MS}


def budgets(*asked: KpiBudget):
    return link_budgets(
        asked, PERIODS, silent_periods=5, bound_max_ms=50.0, polled=frozenset({"b"})
    )


def test_without_a_table_the_periods_of_the_site_are_the_budget() -> None:
    found = budgets()
    assert list(found) == ["a", "b"]
    fast, slow = found["a"], found["b"]
    assert fast.signals == {"a:fast", "a:fast-2"}
    assert (fast.transfer_interval_ns, fast.survival_ns) == (100 * MS, 1000 * MS)
    assert (fast.latency_ns, fast.synchronicity_ns) == (1100 * MS, 50 * MS)
    assert (slow.survival_ns, slow.grace_ns) == (240_000 * MS, 300_000 * MS)
    assert (fast.is_polled, slow.is_polled) == (False, True)
    assert (fast.availability, fast.mtbf_s, fast.loss_ratio) == (None, None, None)


def test_a_table_for_one_source_beats_that_for_all() -> None:
    rest = KpiBudget(latency_ms=100.0, availability=0.9999)
    own = KpiBudget(source="a", survival_ms=0.0, synchronicity_us=900.0, mtbf_h=168.0, loss=0.01)
    found = budgets(rest, own)
    assert (found["a"].survival_ns, found["a"].synchronicity_ns) == (0, 900_000)
    assert (found["a"].latency_ns, found["a"].mtbf_s) == (100 * MS, 604_800.0)
    assert (found["a"].availability, found["a"].loss_ratio) == (None, 0.01)
    assert (found["b"].latency_ns, found["b"].availability) == (100 * MS, 0.9999)


def load(folder: Path, text: str) -> Site:
    return make_site(folder, SITE + text)


def test_the_tables_are_read(tmp_path: Path) -> None:
    site = load(tmp_path, '[web]\nport = 0\n[[kpi]]\nsource = "plc"\nlatency_ms = 100.0\n[[kpi]]\n')
    assert [budget.source for budget in site.kpi] == ["plc", None]
    assert site.web is not None
    assert (site.web.host, site.web.port) == ("127.0.0.1", 0)
    assert make_site(tmp_path).web is None


FOREIGN = """
[mqtt]
host = "localhost"
[[mqtt_sources]]
name = "scale"
[[mqtt_sources.values]]
name = "weight"
topic = "hall/scale"
unit = "kg"
[[opcua_servers]]
name = "press"
endpoint = "opc.tcp://localhost:4840"
allow_unencrypted = true
[[opcua_servers.nodes]]
name = "p"
node = "i=1"
unit = "Pa"
"""


def test_loss_is_known_where_every_poll_is_counted_and_nowhere_else(tmp_path: Path) -> None:
    ledger = LossLedger()
    kpis = make_kpis(load(tmp_path, FOREIGN), ledger)
    for source in ("plc", "press", "scale"):
        ledger.account(source).verified = 9
        ledger.line_error(source, "poll_failed")
    found = {link.source: link.figure("message_loss_ratio").value for link in kpis.latest(0)}
    assert found == {"a": None, "plc": 0.1, "press": None, "scale": None}


def test_every_kind_of_source_may_have_a_budget(tmp_path: Path) -> None:
    names = ["a", "plc", "scale", "press"]
    site = load(tmp_path, FOREIGN + "".join(f'[[kpi]]\nsource = "{name}"\n' for name in names))
    assert [budget.source for budget in site.kpi] == names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[[kpi]]\nsource = "plx"\n',
            "kpi[0].source: 'plx' is no source of this site; did you mean \"plc\"?",
        ),
        (
            '[[kpi]]\nsource = "a"\n[[kpi]]\nsource = "a"\n',
            "kpi[1].source: kpi[0] is about 'a' already; join the two",
        ),
        ("[[kpi]]\n[[kpi]]\n", "kpi[1].source: kpi[0] is about all sources already"),
        ("[[kpi]]\navailability = 1.0\n", "kpi[0].availability: must be less than 1"),
        ("[[kpi]]\nlatency_ms = -1.0\n", "kpi[0].latency_ms: must be greater than 0"),
        ("[[kpi]]\nlatency = 5.0\n", "kpi[0].latency: unknown key"),
        ('[web]\nhost = "0.0.0.0"\n', "web: 0.0.0.0 is not loopback"),
        ("[web]\nport = 70000\n", "web.port: must be less than or equal to 65535"),
    ],
)
def test_what_cannot_be_is_named_with_a_remedy(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    (found,) = refused.value.problems
    assert found.startswith(problem)


def test_a_page_for_others_has_to_be_asked_for(tmp_path: Path) -> None:
    site = load(tmp_path, '[web]\nhost = "0.0.0.0"\nallow_unencrypted = true\n')
    assert site.web is not None
