"""A short soak of a node; `make soak` is the long one."""

import pytest

from benchmarks.soak import soak

FRAMES = 2000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_memory_of_a_node_stays_the_same_and_no_frame_is_missing() -> None:
    run = soak(FRAMES)
    early, late = run.early_and_late
    assert early == late
    assert len(run.free) > 10
    assert (run.missing, run.overruns) == (0, 0)
    assert run.frames >= FRAMES
