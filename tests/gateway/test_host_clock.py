"""What the machine says of its clock is read without changing anything, on any machine."""

import pytest

from gateway.host_clock import Kernel, MachineClock, ask_kernel

GOOD = Kernel(state=0, status=0x2001, max_error_us=1500, estimated_error_us=20, tai_s=37)


def machine(kernel):
    """A machine whose clocks stand still."""
    return MachineClock(
        ask=lambda: kernel, utc_ns=lambda: 7, monotonic_ns=lambda: 5, raw_ns=lambda: 3
    ).read()


def test_a_synchronised_machine_states_its_error_in_nanoseconds():
    state = machine(GOOD)
    assert state.is_synchronised
    assert (state.utc_ns, state.monotonic_ns, state.raw_ns) == (7, 5, 3)
    assert (state.max_error_ns, state.estimated_error_ns) == (1_500_000, 20_000)
    assert state.tai_offset_s == 37


@pytest.mark.parametrize(
    "kernel", [GOOD._replace(state=5), GOOD._replace(status=0x40), GOOD._replace(state=-1), None]
)
def test_a_machine_that_says_so_or_cannot_say_is_not_synchronised(kernel):
    assert not machine(kernel).is_synchronised


def test_what_is_not_known_is_none():
    assert machine(None).max_error_ns is None
    assert machine(GOOD._replace(tai_s=0)).tai_offset_s is None


def test_this_machine_can_be_read():
    kernel = ask_kernel()
    assert kernel is None or kernel.max_error_us >= 0
    first, second = MachineClock().read(), MachineClock().read()
    assert second.monotonic_ns >= first.monotonic_ns
    assert second.utc_ns > 1_600_000_000 * 10**9
    assert first.raw_ns is None or second.raw_ns >= first.raw_ns
