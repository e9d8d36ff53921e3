"""Causes are asked for when they are needed, of the right rows; what comes again is noticed."""

import numpy as np
import pytest

from gateway.models.explanation import Explanation, Hypothesis, experience
from gateway.models.fit import Settings, fit
from gateway.models.hypotheses_law import WINDOW_ROWS
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
    assert rest["level"] == pytest.approx(
        calm[left - 60 - RULE.rows_on + 1 : left].mean(0), abs=0.3
    )
    assert (rest["variance"] > 0.0).all()


def test_without_healthy_rows_the_level_is_that_of_the_model_and_as_old(model, asked):
    stage = Diagnosis(model, RULE, 1.0)
    stage.skip(5000)
    feed(stage, rows_of(model, 3), 0.9)
    (_, rest) = asked[0]
    assert rest["level"] == pytest.approx(model.level)
    assert rest["variance"] == pytest.approx(model.level_variance + 5003 * model.drift)
    assert rest["learnt"] is None


def test_rows_that_were_suspect_teach_no_level(model, asked):
    stage = Diagnosis(model, RULE, 1.0)
    feed(stage, rows_of(model, 150))
    feed(stage, rows_of(model, 300, seed=2) + 50.0, 0.9)
    assert (np.abs(asked[-1][1]["level"]) < 2.0).all()


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
