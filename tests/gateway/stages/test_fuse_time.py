"""Time in fused values: late ones revise, badly known ones weigh less, rows say how badly."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.stages.fuse import Fuse, FuseOptions
from gateway.stages.learning import Known, model_id
from tests.gateway.models import healthy
from tests.gateway.stages.frames import SECOND_NS
from tests.gateway.stages.fusing import ASSET, QUICK, SIGNALS, TRAINING, feed
from tests.gateway.stages.test_rows import value


@pytest.fixture(scope="module")
def rows():
    return healthy.rows(400).tolist()


@pytest.fixture(scope="module")
def learnt(rows):
    """What a fuse learns from the first rows; their times are 0 s to 199 s."""
    kept = []
    options = FuseOptions(settings=QUICK)
    feed(Fuse(ASSET, TRAINING, options, keep=lambda m: kept.append(m) or model_id(m)),
         rows[:TRAINING])  # fmt: skip
    return kept[0]


def following(learnt, horizon_s=0):
    """Return a fuse that goes on with what was learnt."""
    known = Known(learnt.model, "0123", learnt.to_ns)
    return Fuse(ASSET, TRAINING, FuseOptions(horizon_ns=horizon_s * SECOND_NS), known=known)


def thin(rows, at, place):
    """Return rows without one value."""
    made = [list(row) for row in rows]
    made[at][place] = None
    return made


def test_a_late_value_revises_what_was_fused_without_it(learnt, rows):
    stage = following(learnt, horizon_s=30)
    out = feed(stage, thin(rows[200:300], 90, 4), start=200)
    published = next(e for e in out if e.time_ns == 290 * SECOND_NS).values[4]
    late = value(SIGNALS[4], 290 * SECOND_NS, rows[290][4])
    assert stage.feed(late, 301 * SECOND_NS) == []
    stage.tick(301 * SECOND_NS)
    (made,) = stage.take_revisions()
    assert (made.asset, made.signal, made.time_ns) == ("pump", SIGNALS[4], 290 * SECOND_NS)
    assert made.before == published.fused
    assert made.deviation < published.fused_deviation
    assert abs(made.after - rows[290][4]) < abs(made.before - rows[290][4])
    assert stage.counts["revised"] == 1
    assert stage.take_revisions() == []


def test_verdicts_stand_and_the_model_is_not_run_again(learnt, rows):
    said = []
    for is_late in (False, True):
        stage = following(learnt, horizon_s=30)
        feed(stage, thin(rows[200:300], 90, 4), start=200)
        if is_late:
            stage.feed(value(SIGNALS[4], 290 * SECOND_NS, rows[290][4] + 3.0), 299 * SECOND_NS)
        said.append(feed(stage, rows[300:320], start=300))
    assert said[0] == said[1]


def test_without_a_horizon_nothing_is_revised(learnt, rows):
    stage = following(learnt)
    feed(stage, thin(rows[200:300], 90, 4), start=200)
    stage.feed(value(SIGNALS[4], 290 * SECOND_NS, rows[290][4]), 300 * SECOND_NS)
    assert stage.take_revisions() == []
    assert stage.counts == {"late": 1}


def test_a_late_value_beyond_belief_is_counted_and_revises_nothing(learnt, rows):
    stage = following(learnt, horizon_s=30)
    feed(stage, thin(rows[200:300], 90, 4), start=200)
    stage.feed(value(SIGNALS[4], 290 * SECOND_NS, 1e6), 300 * SECOND_NS)
    stage.tick(300 * SECOND_NS)
    assert stage.take_revisions() == []
    assert stage.counts["unrevised"] == 1


def test_estimates_say_how_badly_the_times_of_their_row_are_known(learnt, rows):
    stage = following(learnt)
    feed(stage, rows[200:210], start=200)
    out = []
    for place, number in enumerate(rows[210]):
        exact = value(SIGNALS[place], 210 * SECOND_NS, number)
        unsure = replace(exact, uncertainty_ns=1_000 * place, bound_ns=3_000 * place)
        out += stage.feed(unsure, 210 * SECOND_NS)
    (row,) = out
    assert (row.coherence_ns, row.bound_ns) == (4_000, 12_000)


def wandering(count):
    """Return rows whose signals move together and steadily, so that time matters."""
    rng = np.random.default_rng(3)
    common = np.zeros(count)
    for at in range(1, count):
        common[at] = 0.97 * common[at - 1] + rng.normal()
    noise = 0.05 * rng.normal(size=(count, healthy.SIGNALS))
    return healthy.LOCATION + healthy.SCALE * (common[:, None] + noise)


def irregular(stage, rows, start):
    """Feed rows whose values are anywhere in their second and known to some milliseconds."""
    rng = np.random.default_rng(5)
    out = []
    for second, row in enumerate(rows, start):
        for place, number in enumerate(row):
            time_ns = second * SECOND_NS + int(rng.integers(SECOND_NS))
            late = replace(value(SIGNALS[place], time_ns, number), uncertainty_ns=5_000_000)
            out += stage.feed(replace(late, sequence=second), (second + 1) * SECOND_NS)
    return out


def test_what_is_usual_is_learnt_anew_with_a_model_that_is_known_already(learnt, rows):
    """A gateway that starts anew does not take what was always so for doubtful times."""
    stage = following(learnt)
    irregular(stage, rows[200:399], 200)
    irregular(stage, rows[200:399], 400)
    assert (stage._usual.extra > 0.0).any()
    stage._rows._resampler.law.is_known[:] = False
    kept = stage._usual.extra.tolist()
    irregular(stage, rows[200:210], 600)
    assert stage._usual.extra.tolist() == kept, "rows without a law say nothing"


def test_while_rows_are_suspect_nobody_learns_how_signals_move(learnt, rows):
    stage = following(learnt)
    feed(stage, rows[200:260], start=200)
    assert not stage._rows._resampler.is_suspect
    odd = [[number + (50.0 if place == 1 else 0.0) for place, number in enumerate(row)]
           for row in rows[260:300]]  # fmt: skip
    feed(stage, odd, start=260)
    assert stage._rows._resampler.is_suspect


@pytest.mark.slow
def test_a_value_whose_time_became_doubtful_weighs_less():
    """The same stream, its last signal shifted by two rows: believed, and not believed so much."""
    told = wandering(500)
    lagging = told.copy()
    lagging[2:, 4] = told[:-2, 4]
    suspects = []
    for unsure_ns in (0, 4 * SECOND_NS):
        stage = Fuse(ASSET, TRAINING, FuseOptions(settings=QUICK))
        feed(stage, told[:400].tolist())
        out = []
        for second in range(400, 460):
            for place, number in enumerate(lagging[second].tolist()):
                exact = value(SIGNALS[place], second * SECOND_NS, number)
                own_ns = unsure_ns if place == 4 else 0
                out += stage.feed(replace(exact, uncertainty_ns=own_ns), second * SECOND_NS)
        suspects.append(np.mean([e.anomaly_probability >= 0.5 for e in out]))
    assert suspects[0] > 0.5
    assert suspects[1] < 0.5 * suspects[0]
