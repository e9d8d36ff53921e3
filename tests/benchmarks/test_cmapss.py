"""The protocol of the benchmark on engines made by hand; its data is not needed."""

import numpy as np
import pytest

from benchmarks import cmapss


def engines(lives):
    """Return engines of these lives whose only signal is the cycles they have left."""
    return [np.arange(life, dtype=np.float64)[::-1, None] for life in lives]


def test_the_score_is_that_of_the_formula():
    assert cmapss.nasa_score(np.array([0.0])) == 0.0
    assert cmapss.nasa_score(np.array([-13.0, 10.0])) == pytest.approx(100.0 * (np.e - 1.0))
    assert cmapss.nasa_score(np.array([5.0])) > cmapss.nasa_score(np.array([-5.0]))


@pytest.mark.parametrize("life", [128, 362])
def test_a_cut_leaves_what_it_says_and_enough_rows(life):
    engine = engines([life])[0]
    cuts = cmapss.cuts_like_published(engine, 200, np.random.default_rng(0))
    assert all(cut.rows[-1, 0] == cut.left for cut in cuts)
    left = [cut.left for cut in cuts]
    assert min(left) >= 7
    assert max(left) <= min(145, life - 31)
    assert min(len(cut.rows) for cut in cuts) >= 31


def test_any_moment_reaches_from_failure_to_the_31st_cycle():
    cuts = cmapss.cuts_any_moment(engines([60])[0], 300, np.random.default_rng(0))
    assert {cut.left for cut in cuts} == set(range(30))


def test_the_same_seed_cuts_the_same():
    engine = engines([200])[0]
    one, two = (
        [cut.left for cut in cmapss.cuts_like_published(engine, 9, np.random.default_rng(4))]
        for _ in range(2)
    )
    assert one == two


def test_baselines_use_what_they_say():
    rng = np.random.default_rng(1)
    train, test = (
        [cut for engine in engines(lives) for cut in cmapss.cuts_like_published(engine, 5, rng)]
        for lives in ([150, 200, 250], [180, 220])
    )
    told = cmapss.baselines(train, test)
    truth = np.array([cut.left for cut in test])
    assert np.ptp(told["mean of the training cuts"].mean) == 0.0
    assert np.abs(told["ridge, 30-cycle statistics"].mean - truth).max() < 10.0
    assert np.isnan(told["line in age"].low).all()


def test_engines_are_read_without_their_numbers(tmp_path):
    path = tmp_path / "train_FD001.txt"
    path.write_text("1 1 0.5 7\n1 2 0.6 8\n2 1 0.7 9\n")
    first, second = cmapss.read(path)
    np.testing.assert_allclose(first, [[0.5, 7.0], [0.6, 8.0]])
    assert second.shape == (1, 2)


def test_absent_data_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["cmapss", "--data", str(tmp_path)])
    assert cmapss.main() == 1
    assert "no train_FD001 there, nothing measured" in capsys.readouterr().out
