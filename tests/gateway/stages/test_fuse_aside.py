"""Where learning and explaining take their time, rows go on and nobody waits."""

from concurrent.futures import Future

import pytest

from gateway.models.scaling import UnfitRowsError
from gateway.records import State
from gateway.stages.fuse import Fuse, FuseOptions
from gateway.stages.judge import Judge
from gateway.stages.learning import Known
from tests.gateway.models import healthy
from tests.gateway.stages.fusing import ASSET, QUICK, SIGNALS, TRAINING, feed, learning


@pytest.fixture(scope="module")
def rows():
    return healthy.rows(400).tolist()


@pytest.mark.slow
def test_rows_that_come_while_it_learns_are_caught_up_with(rows):
    begun = []

    def begin(call):
        future = Future()
        begun.append((call, future))
        return future

    stage = learning(begin=begin)
    gone = [None] * len(SIGNALS)
    meanwhile = [*rows[TRAINING:230], gone, gone, *rows[232:260]]
    out = feed(stage, rows[:TRAINING]) + feed(stage, meanwhile, start=TRAINING)
    assert len(begun) == 1
    assert not any(estimate.is_trained for estimate in out)
    call, future = begun[0]
    future.set_result(call())
    out = feed(stage, rows[260:280], start=260)
    assert [estimate.is_trained for estimate in out] == [False] + [True] * 19
    at_once = feed(learning(), rows[:TRAINING] + meanwhile + rows[260:280])
    assert out[1:] == at_once[-19:]


@pytest.mark.slow
def test_rows_that_come_while_it_fails_to_learn_are_tried_next(rows):
    futures = []

    def begin(_call):
        futures.append(Future())
        return futures[-1]

    stage = learning(begin=begin)
    feed(stage, rows[: TRAINING + 30])
    futures[0].set_exception(UnfitRowsError("n:s0 is odd"))
    feed(stage, rows[230:250], start=230)
    assert stage.problem == "n:s0 is odd"
    assert len(futures) == 2


@pytest.mark.slow
def test_beside_the_flow_a_verdict_waits_for_no_cause_and_the_estimates_bring_them(rows):
    kept, begun = [], []
    options = FuseOptions(settings=QUICK)
    stage = Fuse(ASSET, TRAINING, options, keep=lambda made: kept.append(made) or "0123")
    feed(stage, rows[:TRAINING])

    def begin(call):
        begun.append((call, Future()))
        return begun[-1][1]

    (learnt,) = kept
    known = Known(learnt.model, "0123", learnt.to_ns)
    shifted = [[*row[:4], row[4] + 8 * healthy.SCALE[4]] for row in rows[300:330]]
    stage = Fuse(ASSET, TRAINING, FuseOptions(begin=begin), known=known)
    feed(stage, rows[200:300], start=200)
    judge = Judge("pump")
    out = feed(stage, shifted[:20], start=300)
    verdicts = [verdict for estimate in out for verdict in judge.feed(estimate, 0)]
    assert verdicts[-1].state is State.ALARM
    assert verdicts[-1].causes == ()
    assert len(begun) == 1, "one question at a time"
    call, future = begun[0]
    future.set_result(call())
    later = feed(stage, shifted[20:], start=320)
    assert later[-1].causes[0].signal == "n:s4"
    assert later[-1].values[4].trust < 1.0
