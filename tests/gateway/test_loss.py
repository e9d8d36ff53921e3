"""The ledger's snapshots are frozen, sorted and true; a counter that does not fit is noticed."""

import pytest

from gateway.loss import LossLedger


@pytest.fixture
def ledger():
    ledger = LossLedger()
    account = ledger.account("pump-b")
    account.received, account.verified, account.numbered, account.announced = 5, 3, 3, 4
    account.lost, account.delivered = 1, 3
    account.rejected.update({"replayed": 1, "bad_mac": 1})
    ledger.account("pump-a")
    return ledger


def test_rows_are_sorted_and_add_up(ledger):
    assert [row.source for row in ledger.rows()] == ["pump-a", "pump-b"]
    assert list(ledger.balance("pump-b").rejected.items()) == [("bad_mac", 1), ("replayed", 1)]
    assert ledger.balance("pump-b").rejected_total == 2
    assert ledger.adds_up()


@pytest.mark.parametrize(
    ("counter", "value"),
    [
        ("received", 6),
        ("verified", 4),
        ("announced", 5),
        ("numbered", 4),
        ("refused", 1),
        ("lost", 2),
        ("lost", -1),
        ("recovered", -1),
        ("unknown", 1),
        ("delivered", 4),
    ],
)
def test_any_single_wrong_counter_is_noticed(ledger, counter, value):
    setattr(ledger.account("pump-b"), counter, value)
    assert not ledger.adds_up()


def test_a_rejection_without_a_frame_is_noticed(ledger):
    ledger.account("pump-b").rejected["malformed"] += 1
    assert not ledger.adds_up()


def test_line_errors_are_counted_outside_the_identities(ledger):
    ledger.line_error("pump-b", "crc")
    ledger.line_error("pump-b", "crc", 2)
    assert ledger.balance("pump-b").line_errors == {"crc": 3}
    assert ledger.adds_up()


def test_a_snapshot_does_not_move(ledger):
    before = ledger.balance("pump-b")
    ledger.account("pump-b").rejected["bad_mac"] += 1
    assert before.rejected["bad_mac"] == 1
    with pytest.raises(TypeError):
        before.rejected["bad_mac"] = 0


def test_asking_opens_no_account(ledger):
    assert ledger.balance("nobody").received == 0
    assert ledger.sink_balance("nowhere").queued == 0
    assert len(ledger.rows()) == 2
    assert ledger.sink_rows() == []


def test_a_sink_balances_offered_delivered_dropped_and_queued(ledger):
    ledger.offered("opcua", 10)
    ledger.delivered("opcua", 6)
    ledger.dropped("opcua", "queue_full", 3)
    assert ledger.sink_balance("opcua").queued == 1
    assert ledger.adds_up()
    ledger.delivered("opcua", 2)
    assert not ledger.adds_up()
    assert [row.sink for row in ledger.sink_rows()] == ["opcua"]


def test_a_sink_that_reports_its_queue_is_held_to_it(ledger):
    """Ten came, six are out, three are dropped: one must still be there."""
    ledger.offered("store", 10)
    ledger.delivered("store", 6)
    ledger.dropped("store", "queue_full", 3)
    ledger.queued("store", 1)
    assert (ledger.sink_balance("store").queued, ledger.adds_up()) == (1, True)
    ledger.queued("store", 0)
    assert (ledger.sink_balance("store").queued, ledger.adds_up()) == (0, False)
    ledger.delivered("store", 1)
    assert ledger.adds_up()
    ledger.queued("store", -1)
    assert not ledger.adds_up()
