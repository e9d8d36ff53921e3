"""The window takes each number once, in any order, and the account always adds up."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.loss import Account
from gateway.stages.replay_window import WINDOW, ReplayWindow


def admit_all(window, numbers, boot_id=1):
    """Return what the window says to each number."""
    return [window.admit(boot_id, number) for number in numbers]


def test_in_order_numbers_pass_without_loss():
    account = Account("n")
    assert admit_all(ReplayWindow(account), range(5)) == [None] * 5
    assert (account.announced, account.lost, account.recovered) == (5, 0, 0)


def test_a_gap_is_lost_until_it_is_filled_late():
    account = Account("n")
    window = ReplayWindow(account)
    admit_all(window, [10, 13])
    assert (account.announced, account.lost) == (4, 2)
    assert window.admit(1, 12) is None
    assert (account.announced, account.lost, account.recovered) == (4, 1, 1)
    assert window.admit(1, 12) == "replayed"


def test_numbers_before_the_first_are_announced_only_when_they_come():
    account = Account("n")
    window = ReplayWindow(account)
    assert admit_all(window, [10, 8, 8]) == [None, None, "replayed"]
    assert (account.announced, account.lost, account.recovered) == (2, 0, 0)


def test_the_edge_of_the_window():
    window = ReplayWindow(Account("n"))
    assert admit_all(window, [WINDOW, 1, 0]) == [None, None, "too_old"]


def test_a_jump_over_the_whole_number_space_is_cheap_and_empties_the_window():
    account = Account("n")
    window = ReplayWindow(account)
    highest = (1 << 40) - 1
    assert admit_all(window, [0, highest, 0]) == [None, None, "too_old"]
    assert account.lost == highest - 1


def test_a_new_boot_starts_a_new_window_and_the_old_boot_is_stale():
    account = Account("n")
    window = ReplayWindow(account)
    assert window.admit(1, 50) is None
    assert window.admit(2, 3) is None
    assert window.admit(1, 51) == "stale_boot"
    assert (account.announced, account.lost) == (2, 0)


def test_a_mark_restores_the_window_and_counts_what_was_lost_meanwhile():
    first = ReplayWindow(Account("n"))
    admit_all(first, [1, 2, 4])
    account = Account("n")
    window = ReplayWindow(account, first.mark("n"))
    assert admit_all(window, [4, 3, 2, 7]) == ["replayed", None, "replayed", None]
    assert (account.announced, account.lost) == (4, 2)


def test_a_window_that_saw_nothing_leaves_no_mark():
    assert ReplayWindow(Account("n")).mark("n") is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=120))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_each_number_is_taken_at_most_once_and_the_account_adds_up(offers):
    account = Account("n")
    window = ReplayWindow(account)
    taken = []
    highest_boot = -1
    for boot_id, number in offers:
        reason = window.admit(boot_id, number)
        if reason is None:
            taken.append((boot_id, number))
            assert boot_id >= highest_boot
            highest_boot = boot_id
        elif reason == "replayed":
            assert (boot_id, number) in taken
        elif reason == "too_old":
            assert number <= max(n for b, n in taken if b == boot_id) - WINDOW
        else:
            assert reason == "stale_boot"
            assert boot_id < highest_boot
    assert len(taken) == len(set(taken))
    assert account.announced == len(taken) + account.lost
    assert account.lost >= 0
