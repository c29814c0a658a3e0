"""What diagnose tells, and what it costs."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.checks.duplicates import document_codes, duplicates
from karat.errors import ArgumentError, KaratError

from .. import corpora

SURROGATES = {"stance": "stance_llm"}
FORMULA = "y ~ stance + z + region"


@pytest.fixture(scope="module")
def drawn(corpus):
    sample = kt.Stratified("region", n=150).draw(corpus, seed=5)
    return sample, corpora.masked(corpus, sample.labelled, "stance")


@pytest.fixture(scope="module")
def fit(drawn):
    sample, data = drawn
    return kt.ols(FORMULA, data, surrogates=SURROGATES, design=sample.design, seed=3)


def verdicts(found):
    return found.tidy()["Verdict"].to_dict()


def test_nothing_amiss(fit):
    found = kt.diagnose(fit)
    assert found.ok
    assert set(verdicts(found).values()) == {"ok"}
    assert "balance p" in str(fit.summary())
    assert {"Sum of weights", "Balance", "Unequal weights", "Single gold rows", "Non-response", "Strata"} <= set(
        verdicts(found)
    )
    table = found.balance.tidy()
    assert {"stance_llm", "z", "y", "region=east"} <= set(table.index)
    assert table.loc["stance_llm", "Role"] == "surrogate"
    assert table.loc["y", "Role"] == "outcome"
    assert fit.skill[0].calibration == pytest.approx(1.0, abs=0.3)


def test_balance_is_the_weighted_mean(fit, drawn):
    sample, data = drawn
    rows = sample.labelled
    table = kt.diagnose(fit).balance.tidy()
    w = 1 / sample.probability[rows]
    assert table.loc["z", "Weighted gold"] == pytest.approx(np.average(data["z"][rows], weights=w))
    assert table.loc["z", "Frame"] == pytest.approx(data["z"].mean())
    assert table.loc["z", "Std. difference"] == pytest.approx(
        (np.average(data["z"][rows], weights=w) - data["z"].mean()) / data["z"].std(ddof=0)
    )


def test_hand_picked_gold_is_found_out(corpus):
    rows = np.zeros(len(corpus), dtype=bool)
    rows[np.argsort(-corpus["z"].to_numpy())[:120]] = True
    fit = kt.ols("y ~ stance + z", corpora.masked(corpus, rows, "stance"), surrogates=SURROGATES, seed=3)
    found = verdicts(kt.diagnose(fit))
    assert found["Balance"] == "problem"
    assert found["Design"] == "look"
    assert found["Non-response"] == "unknown"
    assert "PROBLEM: balance" in str(fit.summary())


def test_wrong_probabilities_are_found_out(corpus):
    rows = np.random.default_rng(0).random(len(corpus)) < corpus["pi"]
    data = corpora.masked(corpus, rows, "stance").assign(wrong=lambda d: np.clip(d["pi"] ** 1.4, 0, 1))
    fit = kt.ols("y ~ stance + z", data, surrogates=SURROGATES, design="wrong", seed=3)
    assert verdicts(kt.diagnose(fit))["Sum of weights"] == "problem"
    right = kt.ols("y ~ stance + z", data, surrogates=SURROGATES, design="pi", seed=3)
    assert verdicts(kt.diagnose(right))["Sum of weights"] == "ok"


def test_a_row_that_carries_the_estimate(corpus, quiet):
    sample = kt.SimpleRandom(100).draw(corpus, seed=5)
    data = corpora.masked(corpus, sample.labelled, "y")
    row = sample.positions[7]
    data.loc[row, "y"] = 60.0
    fit = kt.ols("y ~ z", data, surrogates={"y": "y_llm"}, design=sample.design, learner=None, tuning=None, seed=3)
    top = fit.checks.influential[0]
    assert top.position == row
    assert abs(top.shift) > 0.8


def test_shift_is_what_leaving_the_label_out_does(drawn):
    sample, data = drawn
    rows = sample.labelled
    options = {"surrogates": SURROGATES, "learner": None, "tuning": None, "compare": False}
    pi = np.full(len(data), rows.mean())
    whole = kt.ols("y ~ stance + z", data, design=kt.Bernoulli(pi), **options)
    top = whole.checks.influential[0]
    less = data.copy()
    less.loc[top.position, "stance"] = np.nan
    without = kt.ols("y ~ stance + z", less, design=kt.Bernoulli(pi), **options)
    change = (whole.coef() - without.coef())[top.coefficient] / whole.se()[top.coefficient]
    assert top.shift == pytest.approx(change, rel=0.1)


def test_copies_and_prompt_rows(fit, drawn):
    sample, data = drawn
    text = np.array([f"Text {i}" for i in range(len(data))], dtype=object)
    gold, other = sample.positions[:3], np.flatnonzero(~sample.labelled)[:2]
    text[other] = ["  text " + t[5:] for t in text[gold[:2]]]
    held = data.assign(text=text)
    found = kt.diagnose(fit, held, text="text", shown={"text": [text[gold[2]].upper()]})
    table = found.tidy()
    assert table.loc["Copies", "Verdict"] == "look"
    assert "2 documents" in table.loc["Copies", "Found"]
    assert table.loc["Prompt rows", "Verdict"] == "problem"
    assert "1 of them gold" in table.loc["Prompt rows", "Found"]


def test_prompt_rows_leave_the_frame(drawn):
    sample, data = drawn
    shown = np.zeros(len(data), dtype=bool)
    shown[[*sample.positions[:2], *np.flatnonzero(~sample.labelled)[:3]]] = True
    fit = kt.ols(FORMULA, data, surrogates=SURROGATES, design=sample.design, shown=shown, missing="raise", seed=3)
    assert (fit.n_units, fit.n_gold) == (395, 148)
    assert "for the prompt (5)" in str(fit.summary())
    found = kt.diagnose(fit, data, shown=shown).tidy()
    assert found.loc["Prompt rows", "Verdict"] == "ok"
    by_name = data.assign(shown=shown)
    again = kt.ols(FORMULA, by_name, surrogates=SURROGATES, design=sample.design, shown="shown", seed=3)
    np.testing.assert_array_equal(again.theta, fit.theta)


def test_counting_copies_by_hand():
    codes = document_codes(["a", "A ", "b", None, "c", "c", None])
    assert codes.tolist() == [0, 0, 1, -1, 2, 2, -1]
    found = duplicates(codes, np.array([True, False, True, True, True, True, False]))
    assert (found.documents, found.rows, found.gold_and_rest, found.within_gold) == (2, 2, 1, 2)


def test_result_stays_small_frozen_and_portable(fit):
    assert len(pickle.dumps(fit.checks)) < 5000
    back = kt.Result.from_json(fit.to_json())
    assert str(kt.diagnose(back)) == str(kt.diagnose(fit))
    assert pickle.loads(pickle.dumps(fit)).checks is not None
    with pytest.raises(AttributeError):
        fit.checks.n_drawn = 3


def test_shows_itself(fit):
    found = kt.diagnose(fit)
    assert "Love" not in found._repr_html_()
    assert "<table" in found._repr_html_()
    axes = found.plot()
    assert {label.get_text() for label in axes.get_yticklabels()} >= {"z", "stance_llm"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "y"}, "need data="),
        ({"data": 1}, "without text= or shown="),
    ],
)
def test_arguments_that_do_not_go_together(fit, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        kt.diagnose(fit, **arguments)


def test_bad_input(fit, drawn, corpus):
    _, data = drawn
    with pytest.raises(ArgumentError, match="Result"):
        kt.diagnose("fit")
    with pytest.raises(ArgumentError, match="pass the same table"):
        kt.diagnose(fit, data.iloc[:10], text="region")
    with pytest.raises(ArgumentError, match="none of the 1 documents"):
        kt.diagnose(fit, data, shown={"region": ["mars"]})
    with pytest.raises(ArgumentError, match="true/false"):
        kt.diagnose(fit, data, shown="size")
    with pytest.raises(KaratError, match="no checks"):
        kt.diagnose(fit.replace(checks=None))
    with pytest.raises(ArgumentError, match="pass labelled="):
        kt.diagnose(fit.replace(parts=None), data, text="region")


def test_positions_are_those_of_the_data(corpus, quiet):
    gaps = corpus.assign(z=corpus["z"].where(np.arange(len(corpus)) >= 40))
    sample = kt.SimpleRandom(100).draw(gaps, seed=5)
    data = corpora.masked(gaps, sample.labelled, "y")
    row = sample.positions[60]
    data.loc[row, "y"] = 60.0
    fit = kt.ols("y ~ z", data, surrogates={"y": "y_llm"}, design=sample.design, learner=None, tuning=None, seed=3)
    assert fit.checks.influential[0].position == row


@given(seed=st.integers(0, 2**16), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_balance_does_not_depend_on_units_or_order(fit, drawn, seed, scale, shift):
    _, data = drawn
    other = data.assign(z=data["z"] * scale + shift * scale)
    again = kt.ols(FORMULA, other, surrogates=SURROGATES, design=kt.Stratified("region"), learner=None, compare=False)
    ours, theirs = fit.checks.balance, again.checks.balance
    assert theirs.statistic == pytest.approx(ours.statistic, rel=1e-6)
    order = np.random.default_rng(seed).permutation(len(data))
    turned = kt.ols(
        FORMULA, other.iloc[order], surrogates=SURROGATES, design=kt.Stratified("region"), learner=None, compare=False
    )
    assert turned.checks.balance.p_value == pytest.approx(ours.p_value, rel=1e-6)


def test_other_data_frames(fit, drawn):
    import polars as pl

    sample, data = drawn
    same = kt.ols(FORMULA, pl.from_pandas(data), surrogates=SURROGATES, design=sample.design, seed=3)
    assert str(kt.diagnose(same)) == str(kt.diagnose(fit))
    found = kt.diagnose(same, pl.from_pandas(data), text="region", shown={"region": ["west"]}).tidy()
    assert found.loc["Prompt rows", "Verdict"] == "problem"


def test_means_go_by_their_own_names(drawn):
    sample, data = drawn
    found = kt.mean("stance", data, by="region", surrogates=SURROGATES, design=sample.design, seed=3)
    assert {i.coefficient for i in found.checks.influential} <= set(found.names)
    assert kt.diagnose(found).ok


def test_rows_left_out_that_are_not_known(drawn):
    sample, data = drawn
    shown = np.isin(np.arange(len(data)), sample.positions[:5])
    bare = kt.ols(FORMULA, data, surrogates=SURROGATES, design=sample.design, shown=shown, scores=False, seed=3)
    with pytest.raises(ArgumentError, match=r"left out 5 row\(s\).*scores=True"):
        kt.diagnose(bare, data, shown=shown, labelled=sample.labelled)
