"""The whole node on the emulated board: no sample lost, no slot missed, within its share."""

import pytest

from benchmarks import node_whole
from wire import content

SECONDS = 8


@pytest.fixture(scope="module")
def run() -> node_whole.Run:
    """A few seconds of the node with the fast chip."""
    return node_whole.whole_node(SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fast_chip_loses_nothing_while_blocks_are_sealed_and_signed(run: node_whole.Run) -> None:
    assert run.problems == []
    assert run.statuses[-1]["overruns"] == 0
    assert run.types[content.SENML_CBOR] >= SECONDS
    assert run.longest_gap_us < node_whole.FIFO_US


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_node_leaves_the_processor_its_share(run: node_whole.Run) -> None:
    working = run.instructions - run.sleeps * node_whole.heap()["asleep"]
    share = working * node_whole.CYCLES_PER_INSTRUCTION / node_whole.CLOCK_HZ
    assert share <= node_whole.SHARE_MAX


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_pump_node_fits_the_memory_with_nobody_to_hear_it() -> None:
    sizes = node_whole.heap()
    run = node_whole.pump_node(25)
    in_use = sizes["all"] - run.free_bytes - sizes["hal"] - sizes["interpreter"]
    assert run.free_bytes
    assert in_use <= node_whole.HEAP_BYTES_MAX
