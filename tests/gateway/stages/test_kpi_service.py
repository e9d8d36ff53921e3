"""The service goes down when the survival time ends, and up with a message in time."""

import pytest

from gateway.stages.kpi_service import NEW, Service, ServiceState

S = 1_000_000_000
GRACE = 5 * S


def test_the_example_of_a_message_that_comes_late() -> None:
    """Messages at 1, 2, 3 s; then one at 10 s: the grace of 5 s ends at 8 s, down for 2 s."""
    service = Service(GRACE, 0)
    for second in (1, 2, 3, 10):
        service.message(second * S)
    service.look(12 * S)
    assert service.state == ServiceState(
        up_ns=9 * S, down_ns=2 * S, failures=1, longest_gap_ns=7 * S, is_up=True, has_begun=True
    )


def test_when_it_fails_does_not_depend_on_who_looks() -> None:
    once, often = Service(GRACE, 0), Service(GRACE, 0)
    for service in (once, often):
        service.message(S)
    for tenth in range(11, 200):
        often.look(tenth * S // 10)
    once.look(199 * S // 10)
    assert once.state == often.state
    assert (once.state.up_ns, once.state.failures) == (GRACE, 1)


@pytest.mark.parametrize(("at_s", "is_up"), [(6, True), (6.000000001, False)])
def test_the_grace_belongs_to_the_service(at_s: float, is_up: bool) -> None:
    service = Service(GRACE, 0)
    service.message(S)
    service.look(round(at_s * S))
    assert service.is_up is is_up


def test_waiting_for_the_first_message_is_no_time_observed() -> None:
    service = Service(GRACE, 0)
    service.look(4 * S)
    service.message(4 * S)
    service.look(5 * S)
    assert service.state == ServiceState(up_ns=S, longest_gap_ns=S, is_up=True, has_begun=True)


def test_what_never_was_up_is_down_and_has_not_failed() -> None:
    service = Service(GRACE, 0)
    service.look(60 * S)
    state = service.state
    assert (state.down_ns, state.failures, state.is_up) == (60 * S, 0, False)
    service.message(61 * S)
    service.look(62 * S)
    assert (service.state.up_ns, service.state.down_ns, service.state.failures) == (S, 61 * S, 0)


def test_a_restart_makes_no_failure() -> None:
    first = Service(GRACE, 0)
    first.message(S)
    first.look(3 * S)
    up_again = Service(GRACE, 0, first.state)
    up_again.message(2 * S)
    up_again.look(3 * S)
    # Two seconds before the restart and one since the message; the wait for it is not counted.
    assert (up_again.state.up_ns, up_again.state.failures) == (3 * S, 0)
    first.look(10 * S)
    still_down = Service(GRACE, 0, first.state)
    still_down.look(2 * S)
    still_down.message(2 * S)
    assert (still_down.state.failures, still_down.state.down_ns) == (1, 6 * S)
    assert Service(GRACE, 0).state == NEW


def test_what_was_up_and_does_not_come_back_fails_once() -> None:
    before = ServiceState(up_ns=9 * S, is_up=True, has_begun=True)
    service = Service(GRACE, 0, before)
    for second in range(20):
        service.look(second * S)
    state = service.state
    assert (state.failures, state.up_ns, state.down_ns) == (1, 9 * S, 14 * S)


def test_nobody_calls_a_service_up_that_has_not_spoken_since_a_restart() -> None:
    service = Service(GRACE, 0, ServiceState(up_ns=9 * S, is_up=True, has_begun=True))
    service.look(4 * S)
    assert (service.is_up, service.state.up_ns, service.state.longest_gap_ns) == (False, 9 * S, 0)
    service.message(4 * S)
    assert service.is_up


def test_restarts_within_the_grace_do_not_make_up_time_of_a_dead_service() -> None:
    state = ServiceState(up_ns=9 * S, is_up=True, has_begun=True)
    for _ in range(100):
        service = Service(GRACE, 0, state)
        for second in range(5):
            service.look(second * S)
        state = service.state
    assert state == ServiceState(up_ns=9 * S, is_up=True, has_begun=True)
    service = Service(GRACE, 0, state)
    service.look(8 * S)
    assert (service.state.failures, service.state.down_ns) == (1, 3 * S)
