"""Linear recurrences in lanes, and blocks that end where the covariances settle."""

import numpy as np
import pytest

from gateway.models import recurrence, state_space
from tests.gateway.models.dynamics import gapped, known


@pytest.mark.parametrize("rows", [0, 1, 2, 33, 1000, 1500, 1501, 2000])
@pytest.mark.parametrize("states", [0, 1, 3])
def test_a_scan_equals_one_step_after_another(rows, states):
    rng = np.random.default_rng(0)
    matrix = 0.5 * rng.normal(size=(states, states))
    pushes = rng.normal(size=(rows, states))
    first = rng.normal(size=states)
    found = recurrence.scan(matrix, pushes, first)
    state = first
    np.testing.assert_array_equal(found[0], first)
    for row, push in enumerate(pushes):
        state = matrix @ state + push
        np.testing.assert_allclose(found[row + 1], state, rtol=1e-9, atol=1e-9)
    assert found.shape == (rows + 1, states)


def passes(rows):
    """Return blocks and stretches of a known model over rows (n, 6)."""
    blocks = state_space.causal(known(2, 1, 6), rows).matrices.blocks
    return blocks, list(recurrence.backward_covariances(blocks))


def test_blocks_and_stretches_cover_every_row_once():
    rows = gapped(np.zeros((300, 6)), 0.001)
    blocks, stretches = passes(rows)
    pieces = [(stretch.rows.start, stretch.rows.stop) for stretch in stretches[::-1]]
    for edges in (blocks.edges, [0, *(stop for _, stop in pieces)]):
        assert (edges[0], edges[-1]) == (0, 300)
        assert min(np.diff(edges)) > 0
    assert [first for first, _ in pieces] == [0, *(stop for _, stop in pieces[:-1])]


def test_complete_rows_settle_within_a_few_blocks():
    blocks, stretches = passes(np.zeros((10_000, 6)))
    assert len(blocks.lengths) < 40
    assert len(stretches) < 80


def test_a_gap_makes_new_blocks_and_is_forgotten_again():
    rows = np.zeros((2000, 6))
    rows[1000, 0] = np.nan
    blocks, _ = passes(rows)
    assert 3 < len(blocks.lengths) < 80
    np.testing.assert_allclose(
        blocks.covariances[-1],
        blocks.covariances[blocks.edges.index(1000) - 1],
        atol=1e-8,
    )


def test_without_any_rows_there_is_nothing():
    blocks = recurrence.forward(np.eye(2), np.eye(2), np.eye(2), [])
    assert recurrence.backward_covariances(blocks) == []
