"""A restart goes on with the model; one that is of something else is refused, with reasons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import ConfigError
from gateway.lifecycle.file import ModelFileError, load, save
from gateway.lifecycle.live import Keeper, disagreements, folder_of, starting_model
from gateway.lifecycle.store import ModelStore
from gateway.models.fit import Asset, Settings
from gateway.site import Site
from gateway.stages.learning import Learnt, Lesson, LiveRow, origin_of
from tests.gateway.models import healthy
from tests.gateway.plant import SECOND_NS, SITE, START_NS, make_site

ROWS = 200


def learn(asset: Asset, seed: int = 0, *, is_sealed: bool = True) -> Learnt:
    """Learn an asset of two signals."""
    lesson = Lesson(asset, ROWS, 0.1, Settings(order=(1, 0)))
    values = healthy.rows(ROWS, seed)[:, :2]
    rows = [
        LiveRow(number, START_NS + number * SECOND_NS, list(row), is_sealed)
        for number, row in enumerate(values)
    ]
    (learnt,) = [found for row in rows if (found := lesson.take(row)) is not None]
    return learnt


PUMP = Asset("pump", ("a:flow", "a:temperature"), ("m3/s", "Cel"), SECOND_NS)


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    return learn(PUMP)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def keeper(site: Site, folder: Path) -> Keeper:
    return Keeper(site, folder, lambda: START_NS)


def test_what_was_learnt_is_what_a_restart_goes_on_with(tmp_path, site, learnt, caplog) -> None:
    assert starting_model(site, tmp_path) is None
    with caplog.at_level("INFO"):
        model_id = keeper(site, tmp_path).keep(learnt)
        known = starting_model(site, tmp_path)
    assert known is not None
    assert (known.model_id, known.learnt_to_ns) == (model_id, learnt.to_ns)
    assert known.model.state_space.loadings.tobytes() == learnt.model.state_space.loadings.tobytes()
    assert "model_learnt asset=pump rows=200 kept_as=000001-" in caplog.text
    assert f"model_loaded asset=pump from=000001-{model_id[:8]}" in caplog.text


def test_unsealed_rows_are_on_record_as_vouched_for_by_the_site_file(tmp_path, site) -> None:
    keeper(site, tmp_path).keep(learn(PUMP, is_sealed=False))
    (change,) = ModelStore(folder_of(tmp_path, "pump")).changes()
    assert change.by == "site skid: the first 200 rows"
    assert "not every training value" in str(change.gate["unverified"])


def test_a_model_that_cannot_be_kept_is_logged_and_used(tmp_path, site, learnt, caplog) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    assert len(keeper(site, tmp_path).keep(learnt)) == 16
    assert "model_not_kept asset=pump" in caplog.text


def test_a_damaged_model_stops_the_start_with_a_remedy(tmp_path, site, learnt) -> None:
    keeper(site, tmp_path).keep(learnt)
    (version,) = ModelStore(folder_of(tmp_path, "pump")).versions()
    path = folder_of(tmp_path, "pump") / version / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(ModelFileError, match=r"arrays\.npz"):
        starting_model(site, tmp_path)


def test_a_learnt_model_that_no_longer_fits_the_site_is_left(
    tmp_path, site, learnt, caplog
) -> None:
    keeper(site, tmp_path).keep(learnt)
    changed = make_site(tmp_path, SITE + "[fuse]\nperiod_ms = 500\n")
    assert starting_model(changed, tmp_path) is None
    assert "model_left asset=pump reasons=fuse.period_ms" in caplog.text
    keeper(changed, tmp_path).keep(learn(PUMP._replace(period_ns=SECOND_NS // 2)))
    assert len(ModelStore(folder_of(tmp_path, "pump")).versions()) == 2
    known = starting_model(changed, tmp_path)
    assert known is not None
    assert known.model.period_ns == SECOND_NS // 2


def test_the_site_may_name_a_model(tmp_path, learnt) -> None:
    digest = save(tmp_path / "fitted", learnt.model, origin_of(learnt))
    site = make_site(tmp_path, SITE + '[fuse]\nmodel = "fitted"\n')
    known = starting_model(site, tmp_path / "state")
    assert known is not None
    assert known.model_id == digest[:16]
    assert load(tmp_path / "fitted").digest == digest


def test_a_named_model_of_something_else_is_refused_with_every_reason(tmp_path) -> None:
    other = Asset("fan", ("a:temperature", "a:speed"), ("K", "1/s"), 2 * SECOND_NS)
    learnt = learn(other)
    save(tmp_path / "fitted", learnt.model, origin_of(learnt))
    site = make_site(tmp_path, SITE + '[fuse]\nmodel = "fitted"\n')
    with pytest.raises(ConfigError) as caught:
        starting_model(site, tmp_path)
    assert str(tmp_path / "fitted") in str(caught.value)
    expected = (
        "fuse.model: is a model of asset 'fan', the site watches 'pump'; name the model of that",
        "fuse.signals: the model needs a:speed, which the site does not fuse; the model does not",
        "fuse.model: a:temperature was learnt in 'K', the site has 'Cel'; change the unit back",
        "fuse.period_ms: the model knows rows every 2 s, the site makes one every 1 s; set it to",
    )
    assert len(caught.value.problems) == len(expected)
    for problem, start in zip(caught.value.problems, expected, strict=True):
        assert problem.startswith(start)


def test_another_order_of_the_signals_is_no_agreement(site) -> None:
    turned = learn(PUMP._replace(signals=PUMP.signals[::-1], units=PUMP.units[::-1])).model
    (problem,) = disagreements(turned, site)
    assert "in the order a:temperature, a:flow" in problem


def test_a_model_without_a_date_does_not_age(tmp_path, learnt, caplog) -> None:
    """Rows that were counted from 0 end in 1970: that is no calibration age of half a century."""
    origin = replace(origin_of(learnt), from_ns=0, to_ns=ROWS * SECOND_NS)
    save(tmp_path / "fitted", learnt.model, origin)
    known = starting_model(make_site(tmp_path, SITE + '[fuse]\nmodel = "fitted"\n'), tmp_path)
    assert known is not None
    assert known.learnt_to_ns is None
    assert "model_not_dated asset=pump" in caplog.text


def test_what_could_not_be_read_again_is_neither_kept_nor_used(
    tmp_path, site, learnt, caplog, monkeypatch
) -> None:
    blind = replace(learnt.model, level=np.full(2, np.nan))
    keeper(site, tmp_path).keep(learnt._replace(model=blind))
    assert "model_not_kept asset=pump" in caplog.text
    assert "field level: is not finite everywhere" in caplog.text
    monkeypatch.setattr("gateway.stages.learning.fit.fit", lambda *_, **__: blind)
    lesson = Lesson(PUMP, ROWS, 0.1, Settings(order=(1, 0)))
    for number, values in enumerate(healthy.rows(ROWS, 0)[:, :2]):
        row = LiveRow(number, START_NS + number * SECOND_NS, list(values), True)
        assert lesson.take(row) is None
    assert "level: is not finite everywhere" in lesson.problem
