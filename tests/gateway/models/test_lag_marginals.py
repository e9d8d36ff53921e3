"""The law of the signals that are there, and which signals are watched at all."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.models import lag, lag_marginals
from gateway.models.lag_marginals import Marginals, most_coupled
from tests.gateway.models import lagging


@pytest.fixture(scope="module")
def law():
    return lag.law_of(lagging.model())


@pytest.mark.parametrize("lost", [[0], [2, 5], [0, 1, 3, 4], [0, 1, 2, 3, 4, 5]])
def test_it_is_the_inverse_of_the_density_of_what_is_there(law, lost) -> None:
    """Zhang (2005), theorem 1.2, against the inversion of the block itself."""
    usable = np.ones(6, dtype=bool)
    usable[lost] = False
    kept = np.flatnonzero(usable)
    found = Marginals(law.precision).among(usable)
    block = np.linalg.inv(law.precision)[:, kept[:, None], kept]
    assert found[:, kept[:, None], kept] == pytest.approx(np.linalg.inv(block), rel=1e-9)
    assert not found[:, lost].any()
    assert not found[:, :, lost].any()


def test_what_stays_lost_costs_nothing_more(law) -> None:
    marginals = Marginals(law.precision)
    usable = np.array([True, False, True, True, True, True])
    first = marginals.among(usable)
    assert marginals.among(usable.copy()) is first
    assert marginals.among(np.ones(6, dtype=bool)) is law.precision
    usable[3] = False
    assert not marginals.among(usable)[:, 3].any()


def test_one_lost_signal_of_many_is_not_an_inversion_of_all(monkeypatch) -> None:
    def refuse(matrix):
        raise AssertionError(f"{matrix.shape} inverted")

    precision = np.broadcast_to(np.eye(60, dtype=np.complex128), (128, 60, 60))
    usable = np.arange(60) != 7
    monkeypatch.setattr(np.linalg, "inv", refuse)
    found = Marginals(precision).among(usable)
    assert np.array_equal(found[0], np.diag(usable.astype(np.complex128)))


def test_of_many_signals_those_are_watched_that_are_coupled(monkeypatch) -> None:
    model = lagging.model()
    assert most_coupled(model).tolist() == list(range(6))
    space = model.state_space
    loose = space.loadings.copy()
    loose[[1, 4]] = 0.0
    monkeypatch.setattr(lag_marginals, "SIGNALS_MAX", 4)
    freed = replace(model, state_space=space._replace(loadings=loose))
    assert most_coupled(freed).tolist() == [0, 2, 3, 5]


def test_the_law_of_some_signals_is_that_of_the_whole_without_the_others(law) -> None:
    places = np.array([0, 2, 3])
    some = lag.law_of(lagging.model(), places)
    density = np.linalg.inv(law.precision)[:, places[:, None], places]
    assert np.linalg.inv(some.precision) == pytest.approx(density, rel=1e-6, abs=1e-9)
    assert some.move == pytest.approx(law.move[places])
