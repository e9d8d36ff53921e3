"""Causes are asked for when they are needed, of the right rows; what comes again is noticed."""

from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from gateway.models.explanation import Explanation, Hypothesis, experience
from gateway.models.fit import Settings, fit
from gateway.models.hypotheses_law import WINDOW_ROWS
from gateway.models.regimes import Regimes
from gateway.models.scaling import scaled
from gateway.models.trust import Fused
from gateway.stages import diagnosis
from gateway.stages.diagnosis import AGAIN_ROWS, EXPERIENCE_ROWS, Diagnosis
from gateway.stages.judge import Persistence
from tests.gateway.models import healthy
from tests.gateway.stages.frames import SECOND_NS

SIGNALS = tuple(f"n:s{place}" for place in range(healthy.SIGNALS))
RULE = Persistence(rows_on=3, rows_off=10)
NONE = np.zeros(healthy.SIGNALS)


@pytest.fixture(scope="module")
def model():
    return fit(
        healthy.rows(300),
        SIGNALS,
        ("V",) * healthy.SIGNALS,
        period_ns=SECOND_NS,
        asset="pump",
        settings=Settings(order=(2, 0)),
    )


@pytest.fixture
def asked(monkeypatch):
    """What the hypotheses are asked, answered by a bias of the first signal."""
    questions = []

    def answer(_model, rows, **rest):
        questions.append((rows, rest))
        found = Hypothesis("bias", SIGNALS[0], 0.9, 5.0, 0.3, 40.0, 12, "it is off")
        other = found._replace(cause="none", signal=None, probability=0.095)
        least = found._replace(cause="spoof", probability=0.005)
        doubt = np.eye(healthy.SIGNALS)[0] * 0.9
        return Explanation((found, other, least), "", Fused(NONE, NONE, doubt, NONE, NONE))

    monkeypatch.setattr(diagnosis, "explain", answer)
    return questions


def rows_of(model, count, seed=1):
    return scaled(model.scaling, healthy.rows(count, seed))


def feed(stage, rows, probability=0.0):
    """Let rows through; return the opinion after each."""
    opinions = []
    for row in rows:
        stage.look(row)
        opinions.append(stage.judge(probability))
    return opinions


# --- when ----------------------------------------------------------------------------------------


def test_nothing_is_asked_while_all_is_well(model, asked):
    opinions = feed(Diagnosis(model, RULE, 1.0), rows_of(model, 200), 0.49)
    assert not asked
    assert {opinion.causes for opinion in opinions} == {()}
    assert not any(opinion.doubt.any() for opinion in opinions)


def test_it_is_asked_where_the_judge_decides_and_ever_more_seldom(model, asked):
    stage = Diagnosis(model, RULE, 1.0)
    when = []
    for row, values in enumerate(rows_of(model, 200)):
        stage.look(values)
        before = len(asked)
        stage.judge(0.9)
        when += [row] if len(asked) > before else []
    first = RULE.rows_on - 1
    expected = [0, *AGAIN_ROWS, WINDOW_ROWS, 2 * WINDOW_ROWS, 3 * WINDOW_ROWS]
    assert when == [first + later for later in expected]


def test_two_suspect_rows_are_no_reason_to_ask(model, asked):
    stage = Diagnosis(model, RULE, 1.0)
    for row, values in enumerate(rows_of(model, 60)):
        stage.look(values)
        stage.judge(0.0 if row % 3 == 2 else 0.9)
    assert not asked


def test_an_opinion_is_held_until_rows_have_been_calm_for_as_long_as_the_judge_waits(model, asked):
    stage = Diagnosis(model, RULE, 1.0)
    rows = rows_of(model, 40)
    loud = feed(stage, rows[:3], 0.9)
    calm = feed(stage, rows[3:20], 0.0)
    assert [cause.cause for cause in loud[-1].causes] == ["bias", "none"]
    assert loud[-1].causes[0].text == "bias of n:s0 90%: it is off"
    assert loud[-1].doubt[0] == 0.9
    assert [bool(opinion.causes) for opinion in calm] == [True] * 9 + [False] * 8
    assert len(asked) == 1


# --- of what -------------------------------------------------------------------------------------


def test_the_question_is_the_last_window_less_the_healthy_level_before_it(model, asked):
    stage = Diagnosis(model, RULE, 1.0)
    calm, loud = rows_of(model, 150) + 1.0, rows_of(model, 30, seed=2) + 3.0
    feed(stage, calm)
    feed(stage, loud[: RULE.rows_on], 0.9)
    (rows, rest) = asked[0]
    assert rows.shape == (WINDOW_ROWS, healthy.SIGNALS)
    window = np.vstack([calm, loud[: RULE.rows_on]])[-WINDOW_ROWS:]
    assert rows + rest["level"] == pytest.approx(window)
    left = 150 + RULE.rows_on - WINDOW_ROWS
    assert rest["level"][-1] == pytest.approx(
        calm[left - 60 - RULE.rows_on + 1 : left].mean(0), abs=0.3
    )
    assert (rest["variance"] > 0.0).all()


def test_without_healthy_rows_the_level_is_that_of_the_model_and_as_old(model, asked):
    stage = Diagnosis(model, RULE, 1.0)
    stage.skip(5000)
    feed(stage, rows_of(model, 3), 0.9)
    (_, rest) = asked[0]
    assert rest["level"] == pytest.approx(np.broadcast_to(model.level, rest["level"].shape))
    assert rest["variance"] == pytest.approx(model.level_variance + 5003 * model.drift)
    assert rest["learnt"] is None


def test_rows_that_were_suspect_teach_no_level(model, asked):
    stage = Diagnosis(model, RULE, 1.0)
    feed(stage, rows_of(model, 150))
    feed(stage, rows_of(model, 300, seed=2) + 50.0, 0.9)
    assert (np.abs(asked[-1][1]["level"]) < 2.0).all()


def test_the_offset_of_the_regime_each_row_was_in_is_taken_off(model, asked):
    offsets = np.array([np.zeros(healthy.SIGNALS), np.full(healthy.SIGNALS, 12.0)])
    sticky = np.array([[0.99, 0.01], [0.01, 0.99]])
    two = replace(model, regimes=Regimes(offsets, sticky, np.array([0.5, 0.5])))
    stage = Diagnosis(two, RULE, 1.0)
    within = rows_of(model, 200)
    for row, values in enumerate(within):
        regime = int(row >= 170)
        stage.look(values + offsets[regime])
        stage.judge(0.9 if row >= 197 else 0.0, regime)
    (rows, rest) = asked[0]
    level = within[80:140].mean(axis=0)
    assert rows == pytest.approx(within[-WINDOW_ROWS:] - level, abs=0.3)
    assert rest["level"][-1] - rest["level"][0] == pytest.approx(offsets[1])


def teach(stage, model):
    """Let the stage know healthy rows."""
    rows = rows_of(model, 300, seed=0)
    stage.know(rows, experience(model, rows))


@pytest.mark.slow
def test_a_bias_is_found_by_the_hypotheses_themselves(model):
    stage = Diagnosis(model, RULE, 1.0)
    teach(stage, model)
    rows = rows_of(model, 40)
    rows[20:, 3] += 6.0
    feed(stage, rows[:22])
    opinion = feed(stage, rows[22:], 0.9)[-1]
    assert opinion.causes[0].signal == SIGNALS[3]
    assert opinion.doubt.argmax() == 3
    assert opinion.doubt[3] > 0.5
    assert sum(cause.probability for cause in opinion.causes) <= 1.0 + 1e-9


# --- when the numbers run out --------------------------------------------------------------------


def run_out(*_args, **_options):
    raise np.linalg.LinAlgError("not positive definite")


def test_an_explanation_that_fails_cannot_tell_is_counted_and_said(model, monkeypatch, caplog):
    monkeypatch.setattr(diagnosis, "explain", run_out)
    stage = Diagnosis(model, RULE, 1.0)
    last = feed(stage, rows_of(model, 5), 0.9)[-1]
    assert last.causes == ()
    assert not last.doubt.any()
    assert last.problem == "cannot tell: not positive definite"
    assert stage.counts == {"unexplained": 1}
    assert "causes_unexplained asset=pump error=not positive definite" in caplog.text


@pytest.mark.usefixtures("asked")
def test_a_probability_that_is_no_number_is_no_opinion(model, monkeypatch):
    answer = diagnosis.explain

    def spoilt(*args, **options):
        told = answer(*args, **options)
        return told._replace(posterior=(told.posterior[0]._replace(probability=np.nan),))

    monkeypatch.setattr(diagnosis, "explain", spoilt)
    stage = Diagnosis(model, RULE, 1.0)
    assert feed(stage, rows_of(model, 3), 0.9)[-1].causes == ()
    assert stage.counts == {"unexplained": 1}
    monkeypatch.setattr(diagnosis, "explain", answer)
    last = feed(stage, rows_of(model, AGAIN_ROWS[0]), 0.9)[-1]
    assert (last.causes[0].cause, last.problem) == ("bias", "")


def test_experience_that_cannot_be_learnt_is_tried_again_of_other_rows(model, monkeypatch):
    monkeypatch.setattr(diagnosis, "experience", run_out)
    stage = Diagnosis(model, RULE, 1.0)
    rows = rows_of(model, EXPERIENCE_ROWS + WINDOW_ROWS)
    feed(stage, rows)
    assert stage.counts == {"unlearnt": 1}
    feed(stage, rows[: EXPERIENCE_ROWS - 1])
    assert stage.counts == {"unlearnt": 1}
    feed(stage, rows[:1])
    assert stage.counts == {"unlearnt": 2}


# --- beside the flow -----------------------------------------------------------------------------


class Beside:
    """Begins calculations, which are done when the test says so."""

    def __init__(self):
        self.begun = []

    def __call__(self, call):
        future = Future()
        self.begun.append((call, future))
        return future

    def finish(self):
        """Do the calculation begun last."""
        call, future = self.begun[-1]
        future.set_result(call())


@pytest.fixture
def beside():
    return Beside()


@pytest.fixture
def stage(model, beside):
    return Diagnosis(model, RULE, 1.0, beside)


def test_the_first_suspect_row_asks_so_that_the_deciding_one_has_an_answer(
    model, asked, stage, beside
):
    rows = rows_of(model, 10)
    feed(stage, rows[:5])
    assert not beside.begun
    feed(stage, rows[5:6], 0.9)
    beside.finish()
    early, decides = feed(stage, rows[6:8], 0.9)
    assert early.causes == (), "kept back: the judge may never decide"
    assert decides.causes[0].cause == "bias"
    assert np.array_equal(asked[0][0][-1] + asked[0][1]["level"][-1], rows[5])


def test_one_question_is_under_way_and_one_that_falls_due_is_put_when_it_is_done(
    model, asked, stage, beside
):
    rows = rows_of(model, 30)
    assert [bool(each.causes) for each in feed(stage, rows[:8], 0.9)] == [False] * 8
    assert len(beside.begun) == 1
    beside.finish()
    assert feed(stage, rows[8:9], 0.9)[0].causes[0].cause == "bias"
    assert len(beside.begun) == 2
    beside.finish()
    feed(stage, rows[9:12], 0.9)
    assert len(beside.begun) == 2, "nothing is due before the tenth row after the decision"
    assert len(asked[1][0]) == 9


@pytest.mark.usefixtures("asked")
def test_an_answer_about_what_is_over_is_no_opinion(model, stage, beside):
    rows = rows_of(model, 30)
    feed(stage, rows[:1], 0.9)
    feed(stage, rows[1:2], 0.0)
    feed(stage, rows[2:4], 0.9)
    beside.finish()
    assert feed(stage, rows[4:5], 0.9)[0].causes == ()
    assert len(beside.begun) == 2
    beside.finish()
    assert feed(stage, rows[5:6], 0.9)[0].causes[0].cause == "bias"


@pytest.mark.usefixtures("asked")
def test_an_answer_that_comes_when_all_is_calm_again_is_dropped(model, stage, beside):
    rows = rows_of(model, 40)
    feed(stage, rows[:4], 0.9)
    feed(stage, rows[4:14], 0.0)
    beside.finish()
    assert {each.causes for each in feed(stage, rows[14:20], 0.0)} == {()}
    assert len(beside.begun) == 1


def test_an_error_beside_the_flow_is_an_opinion_that_cannot_tell(model, stage, beside):
    rows = rows_of(model, 10)
    feed(stage, rows[:3], 0.9)
    beside.begun[0][1].set_exception(np.linalg.LinAlgError("singular"))
    last = feed(stage, rows[3:4], 0.9)[0]
    assert (last.causes, last.problem) == ((), "cannot tell: singular")
    assert len(beside.begun) == 2, "the question that fell due is put all the same"


# --- repeats -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rows_that_come_again_are_evidence_and_new_ones_are_none(model):
    stage = Diagnosis(model, RULE, 1.0)
    teach(stage, model)
    fresh = rows_of(model, 200)
    echoes = [stage.look(row) for row in fresh]
    assert all(echo is None or echo.excess < 0.0 for echo in echoes)
    again = [stage.look(row) for row in fresh[20:60]]
    assert again[-1].excess > 0.0
    assert again[-1].signals == tuple(range(healthy.SIGNALS))
    assert again[-1].evidence > again[-1].excess


@pytest.mark.slow
def test_one_signal_that_comes_again_proves_nothing(model):
    stage = Diagnosis(model, RULE, 1.0)
    teach(stage, model)
    fresh = rows_of(model, 300)
    again = fresh[200:260].copy()
    again[:, 2] = fresh[20:80, 2]
    echoes = [stage.look(row) for row in np.vstack([fresh[:200], again])]
    assert set(echoes) == {None}


def test_nothing_is_a_repeat_before_healthy_rows_have_taught_what_one_is(model):
    stage = Diagnosis(model, RULE, 1.0)
    row = rows_of(model, 1)[0]
    assert {stage.look(row) for _ in range(200)} == {None}


@pytest.mark.slow
def test_a_model_from_elsewhere_gets_its_experience_from_the_first_healthy_rows(
    model, asked, monkeypatch
):
    taught = []

    def teach_rows(of, rows):
        taught.append(rows)
        return experience(of, rows)

    monkeypatch.setattr(diagnosis, "experience", teach_rows)
    stage = Diagnosis(model, RULE, 1.0)
    rows = rows_of(model, EXPERIENCE_ROWS + WINDOW_ROWS)
    feed(stage, rows)
    feed(stage, rows_of(model, 3, seed=3), 0.9)
    assert np.array_equal(taught, [rows[:EXPERIENCE_ROWS]])
    assert asked[0][1]["learnt"].ways.resolution.shape == (healthy.SIGNALS,)
