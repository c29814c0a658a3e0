"""Formulas: transforms, categories, interactions and offsets, on observed and on labelled variables."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.errors import FormulaError
from karat.frames.formula import parse

from .. import corpora

FULL = corpora.corpus(200, seed=71)
GOLD = np.random.default_rng(0).random(200) < 0.5
FRAME = corpora.masked(FULL, GOLD, "stance", "y", "count", "topic")


def fit(formula, frame=FRAME, surrogates=None, **options):
    surrogates = {"y": "y_llm"} if surrogates is None else surrogates
    options = {"learner": None, "compare": False, "tuning": None} | options
    return kt.ols(formula, frame, surrogates=surrogates, **options)


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("y ~ np.log(size)", [np.log(FULL["size"])]),
        ("y ~ log(size) + I(z**2)", [np.log(FULL["size"]), FULL["z"] ** 2]),
        ("y ~ {z * 2 + 1}", [FULL["z"] * 2 + 1]),
        ("y ~ scale(z)", [(FULL["z"] - FULL["z"].mean()) / FULL["z"].std(ddof=1)]),
        ("y ~ center(z) + size", [FULL["z"] - FULL["z"].mean(), FULL["size"]]),
        ("y ~ z:size", [FULL["z"] * FULL["size"]]),
        ("y ~ z * size", [FULL["z"], FULL["size"], FULL["z"] * FULL["size"]]),
        ("y ~ (z + size)**2", [FULL["z"], FULL["size"], FULL["z"] * FULL["size"]]),
        ("y ~ C(region)", [FULL["region"] == "north", FULL["region"] == "west"]),
        ("y ~ C(region, contr.treatment('west'))", [FULL["region"] == "east", FULL["region"] == "north"]),
        ("y ~ region:z", [FULL["z"] * (FULL["region"] == r) for r in ("east", "north", "west")]),
        ("y ~ `z` + clip(size)", [FULL["z"], FULL["size"].clip(2, 4)]),
    ],
)
def test_transforms(formula, columns):
    """A transform in the formula is the column computed by hand."""
    context = {"clip": lambda v: v.clip(2, 4)}
    found = fit(formula, context=context)
    table = FRAME.assign(**{f"t{j}": np.asarray(c, dtype=float) for j, c in enumerate(columns)})
    expected = fit("y ~ " + " + ".join(f"t{j}" for j in range(len(columns))), table)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-8, atol=1e-12)


@pytest.mark.filterwarnings("ignore:the surrogates make standard errors larger")
@pytest.mark.parametrize("formula", ["y ~ poly(z, 2)", "y ~ bs(size, df=4)", "y ~ 0 + cs(size, df=4)"])
def test_bases_fit_and_predict(formula):
    """Bases learn their knots from the fit and keep them for new rows."""
    found = fit(formula)
    whole = found.predict(FULL)["fit"].to_numpy()
    np.testing.assert_allclose(found.predict(FULL.iloc[[3]])["fit"], whole[[3]], rtol=1e-9)


def test_no_intercept_and_names():
    assert fit("y ~ 0 + C(region) + z").names == ("C(region)[east]", "C(region)[north]", "C(region)[west]", "z")
    assert fit("y ~ z - 1").names == ("z",)
    assert fit("y ~ 1").names == ("Intercept",)


@pytest.mark.parametrize(
    ("formula", "by_hand"),
    [
        ("np.log(count + 1) ~ z", lambda f: np.log(f["count"] + 1)),
        ("I(count > 1) ~ z", lambda f: (f["count"] > 1).where(f["count"].notna())),
    ],
)
def test_transformed_outcome(formula, by_hand):
    """The transform is applied to gold and to surrogate alike."""
    found = fit(formula, surrogates={"count": "count_llm"})
    ready = FRAME.assign(
        out=by_hand(FRAME).astype(float), llm=by_hand(FRAME.assign(count=FRAME["count_llm"])).astype(float)
    )
    expected = fit("out ~ z", ready, surrogates={"out": "llm"})
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-10)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-9)


def test_labelled_variable_in_a_transform_and_an_interaction():
    frame = FRAME.assign(y=FULL["y"])
    found = fit("y ~ I(count**2) * z + np.sqrt(count)", frame, surrogates={"count": "count_llm"})
    ready = frame.assign(
        a=frame["count"] ** 2, b=frame["count"] ** 0.5, a_llm=frame["count_llm"] ** 2, b_llm=frame["count_llm"] ** 0.5
    )
    expected = fit("y ~ a * z + b", ready, surrogates={"a": "a_llm", "b": "b_llm"})
    assert found.names == ("Intercept", "I(count ** 2)", "z", "np.sqrt(count)", "I(count ** 2):z")
    order = [expected.names.index(n) for n in ("Intercept", "a", "z", "b", "a:z")]
    np.testing.assert_allclose(found.theta, expected.theta[order], rtol=1e-9)
    np.testing.assert_allclose(found.covariance, expected.covariance[np.ix_(order, order)], rtol=1e-8, atol=1e-12)


def test_categorical_label_is_the_sum_of_its_indicators():
    """topic against C(topic) against text codes: one regression."""
    frame = FRAME.assign(y=FULL["y"])
    plain = fit("y ~ topic * z", frame, surrogates={"topic": "topic_llm"})
    coded = fit("y ~ C(topic) * z", frame, surrogates={"topic": "topic_llm"})
    number = {"economy": 1.0, "law": 2.0, "war": 3.0}
    numbered = frame.assign(
        topic=frame["topic"].map(number).astype(float), topic_llm=frame["topic_llm"].map(number).astype(float)
    )
    codes = fit("y ~ C(topic) * z", numbered, surrogates={"topic": "topic_llm"})
    category = frame.assign(topic=pd.Categorical(frame["topic"]), topic_llm=pd.Categorical(frame["topic_llm"]))
    as_category = fit("y ~ topic * z", category, surrogates={"topic": "topic_llm"})
    for other in (coded, codes, as_category):
        np.testing.assert_allclose(other.theta, plain.theta, rtol=1e-9)
        np.testing.assert_allclose(other.covariance, plain.covariance, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("learner", [None, "linear"])
@pytest.mark.parametrize("model", ["ols", "logit"])
def test_bool_and_integer_labels(learner, model):
    """Booleans with holes come in many dtypes; all are the label 0/1, as covariate and as outcome."""
    frame = FRAME.assign(y=FULL["y"], size=FULL["size"])
    formula = "y ~ stance + z" if model == "ols" else "stance ~ z"
    options = {"surrogates": {"stance": "stance_llm"}, "learner": learner, "seed": 1, "repeats": 1, "compare": False}
    plain = kt.regress(formula, frame, model=model, **options)
    labels = {
        "boolean": (frame["stance"].astype("boolean"), frame["stance_llm"].astype(bool)),
        "Int64": (frame["stance"].astype("Int64"), frame["stance_llm"].astype(int)),
        "object": ([bool(s) if s == s else None for s in frame["stance"]], frame["stance_llm"].astype(bool)),
        "categorical numbers": (pd.Categorical(frame["stance"]), frame["stance_llm"]),
    }
    for name, (gold, llm) in labels.items():
        other = frame.assign(stance=gold, stance_llm=llm)
        for table in (other, pl.from_pandas(other.drop(columns=["topic", "topic_llm"]))):
            if name == "categorical numbers" and table is not other:
                continue
            found = kt.regress(formula, table, model=model, **options)
            assert found.names == plain.names, name
            np.testing.assert_allclose(found.theta, plain.theta, rtol=1e-12, err_msg=name)
            np.testing.assert_allclose(found.covariance, plain.covariance, rtol=1e-10, err_msg=name)


def test_surrogates_of_each_kind_for_one_binary_label():
    """Column, array, series, list of one, probability of each class: the same surrogate."""
    frame = FRAME.assign(y=FULL["y"], no=1 - FULL["stance_prob"])
    column = fit("y ~ stance * z", frame, surrogates={"stance": "stance_prob"})
    both = np.column_stack([frame["no"], frame["stance_prob"]])
    for given in (
        ["stance_prob"],
        frame["stance_prob"],
        frame["stance_prob"].to_numpy(),
        both,
        {0: "no", 1: "stance_prob"},
        {"0": "no", "1": "stance_prob"},
        {False: "no", True: "stance_prob"},
    ):
        found = fit("y ~ stance * z", frame, surrogates={"stance": given})
        np.testing.assert_allclose(found.theta, column.theta, rtol=1e-10)
    for imputation in ("moment", "value"):
        hard = fit("y ~ stance * z", frame, surrogates={"stance": "stance_llm"}, imputation=imputation)
        assert np.abs(hard.theta - column.theta).max() > 1e-3


def test_labelled_argument_takes_a_part_of_the_gold():
    """labelled= restricts the gold to the rows the sample drew; other gold is not read."""
    inside = GOLD & (np.arange(200) % 3 > 0)
    marked = fit("y ~ z", FRAME.assign(drawn=inside), labelled="drawn", design=kt.Bernoulli(0.33))
    masked = fit("y ~ z", corpora.masked(FRAME, inside, "y"), design=kt.Bernoulli(0.33))
    np.testing.assert_array_equal(marked.theta, masked.theta)
    np.testing.assert_array_equal(marked.covariance, masked.covariance)
    by_array = fit("y ~ z", FRAME, labelled=inside, design=kt.Bernoulli(0.33))
    np.testing.assert_array_equal(by_array.theta, masked.theta)


def test_roles_read_from_the_formula():
    parsed = parse("np.log(tone) ~ war * C(party) + offset(words)", ["tone", "war", "party", "words", "other"])
    assert parsed.outcome_variables == {"tone"}
    assert parsed.covariate_variables == {"war", "party", "words"}
    assert parsed.coded == {"party"}
    assert parsed.offsets == ("words",)


def test_a_column_that_is_named_like_the_outcome_is_not_taken_for_it():
    frame = FRAME.assign(**{"log(size)": FULL["z"], "other": FULL["z"]})
    surrogates = {"stance": "stance_llm"}
    found = fit("log(size) ~ stance + `log(size)`", frame, surrogates)
    wanted = fit("log(size) ~ stance + other", frame, surrogates)
    np.testing.assert_allclose(found.theta, wanted.theta, rtol=1e-12)


def test_names_with_spaces_are_told_to_stand_in_backticks():
    data = pd.DataFrame({"net income (k)": [1.0, 2.0, 3.0], "x": [0.0, 1.0, 0.0]})
    with pytest.raises(FormulaError, match="stands in backticks, as in `net income`"):
        kt.ols("net income (k) ~ x", data, surrogates={"x": "x"})
