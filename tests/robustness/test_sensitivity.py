"""Worst cases against enumeration, tilts against arithmetic, flips where they should be."""

import itertools

import numpy as np
import pytest

import karat as kt
from karat.errors import ArgumentError
from karat.robustness.bounds import imbens_manski

from .. import corpora

FIXED = {"learner": None, "tuning": None}


def make(corpus, label, lost, n=120, seed=5):
    """A draw of which the last few rows lost their label."""
    sample = kt.SimpleRandom(n).draw(corpus, seed=seed)
    answered = sample.labelled.copy()
    answered[sample.positions[-lost:]] = False
    return sample, corpora.masked(corpus, answered, label)


def enumerate_fits(model, formula, data, sample, label, values, surrogates):
    """Coefficients for every completion of the missing labels."""
    silent = np.flatnonzero(sample.labelled & data[label].isna().to_numpy())
    out = []
    for labels in itertools.product(values, repeat=len(silent)):
        whole = data.copy()
        whole.loc[silent, label] = labels
        options = {"surrogates": surrogates, "design": sample.design, "compare": False, **FIXED}
        out.append(kt.regress(formula, whole, model=model, **options).theta)
    return np.array(out)


CASES = [
    ("ols", "y ~ z + size", "y", "y_llm", (-3.0, 5.0), True),
    ("logit", "vote ~ z + size", "vote", "vote_llm", (0.0, 1.0), False),
    ("ols", "y ~ stance + z", "stance", "stance_llm", (0.0, 1.0), False),
    ("poisson", "count ~ stance * z", "stance", "stance_llm", (0.0, 1.0), False),
]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("model", "formula", "label", "surrogate", "values", "sharp"), CASES)
def test_worst_cases_are_those_of_all_completions(corpus, model, formula, label, surrogate, values, sharp):
    sample, data = make(corpus, label, lost=4)
    limits = {label: values} if label == "y" else None
    found = kt.sensitivity(formula, data, model=model, surrogates={label: surrogate}, design=sample.design,
                           limits=limits, gamma=[0.0], seed=1, **FIXED)  # fmt: skip
    every = enumerate_fits(model, formula, data, sample, label, values, {label: surrogate})
    table = found.tidy()
    np.testing.assert_allclose(table["Lowest"], every.min(axis=0), rtol=1e-6)
    np.testing.assert_allclose(table["Highest"], every.max(axis=0), rtol=1e-6)
    assert found.sharp is sharp


@pytest.mark.usefixtures("quiet")
def test_numeric_covariate_and_transforms(corpus):
    sample, data = make(corpus, "y_llm", lost=8)
    found = kt.sensitivity("y ~ I(y_llm ** 2) + z", data, surrogates={"y_llm": "y"}, design=sample.design,
                           gamma=[0.0], seed=1, **FIXED)  # fmt: skip
    rng = np.random.default_rng(0)
    low, high = found.limits["y_llm"]
    silent = np.flatnonzero(sample.labelled & data["y_llm"].isna())
    table = found.tidy()
    for _ in range(15):
        whole = data.copy()
        whole.loc[silent, "y_llm"] = rng.choice([low, high, 0.0], len(silent))
        theta = kt.ols("y ~ I(y_llm ** 2) + z", whole, surrogates={"y_llm": "y"}, design=sample.design, **FIXED).theta
        assert (theta >= table["Lowest"] - 1e-9).all()
        assert (theta <= table["Highest"] + 1e-9).all()


def test_interval_around_bounds():
    low, high = imbens_manski(-1.0, 2.0, 0.5, 0.3, np.inf, 0.05)
    assert -1 - 1.96 * 0.5 < low < -1 - 1.6 * 0.5
    assert 2 + 1.6 * 0.3 < high < 2 + 1.96 * 0.3


@pytest.fixture(scope="module")
def found(corpus):
    sample, data = make(corpus, "stance", lost=40, n=200)
    return kt.sensitivity("y ~ stance + z", data, surrogates={"stance": "stance_llm"}, design=sample.design,
                          learner="linear", gamma=4.0, seed=1)  # fmt: skip


def test_gamma_zero_is_the_fit(found):
    middle = int(np.flatnonzero(found.curve.gamma == 0)[0])
    np.testing.assert_allclose(found.curve.theta[middle], found.fit.theta, rtol=1e-8)
    np.testing.assert_allclose(found.curve.se[middle], found.fit.se(), rtol=0.02)
    assert (found.tidy()["Lowest"] <= found.fit.theta).all()
    assert (found.tidy()["Highest"] >= found.fit.theta).all()
    assert found.curve.silent_mean[middle] == pytest.approx(found.curve.answered_mean)
    assert (np.diff(found.curve.silent_mean) > 0).all()


def test_tilted_mean_by_hand(corpus):
    sample, data = make(corpus, "y", lost=30)
    found = kt.sensitivity("y ~ 1", data, surrogates={"y": "y_llm"}, design=sample.design, gamma=[-1.0, 0.5],
                           estimator="gold", bounds=False, seed=1)  # fmt: skip
    y = data["y"].dropna().to_numpy()
    for gamma, theta in zip(found.curve.gamma, found.curve.theta[:, 0]):
        tilt = np.exp(gamma * (y - y.mean()) / y.std())
        weight = 90 + 30 * tilt / tilt.mean()
        assert theta == pytest.approx(weight @ y / weight.sum())
    assert found.bounds == ()


def test_flips_are_where_the_conclusion_changes(corpus):
    sample, data = make(corpus, "y", lost=40, n=160)
    options = {"surrogates": {"y": "y_llm"}, "design": sample.design, "learner": "linear", "bounds": False, "seed": 1}
    wide = kt.sensitivity("y ~ size", data, gamma=4.0, **options)
    flips = [f for f in wide.flips if not np.isnan(f.gamma)]
    assert flips
    for flip in flips:
        at = kt.sensitivity("y ~ size", data, gamma=[flip.gamma], **options).tilted()
        row = at[(at["Coefficient"] == flip.name) & np.isclose(at["gamma"], flip.gamma)].iloc[0]
        if flip.what == "sign":
            assert abs(row["Estimate"]) < 1e-3
        else:
            assert min(abs(row["2.5%"]), abs(row["97.5%"])) < 2e-3
        assert row["mean among unanswered"] == pytest.approx(flip.silent_mean)


def test_the_right_tilt_repairs():
    """Silent odds multiplied by e per unit of the label: gamma = 1 is the truth, gamma = 0 is not."""
    rng = np.random.default_rng(3)
    corpus, _ = kt.datasets.simulate(20_000, seed=3)
    sample = kt.SimpleRandom(6000).draw(corpus, seed=3)
    chance = 1 / (1 + np.exp(-1.0 + 1.0 * corpus["hostile"].to_numpy()))
    gold = kt.datasets.mask_gold(corpus, sample.labelled & (rng.random(20_000) < chance), "hostile")
    found = kt.sensitivity("hostile ~ 1", gold, surrogates={"hostile": "hostile_llm"}, design=sample.design,
                           gamma=[1.0], learner="linear", seed=1)  # fmt: skip
    truth = corpus["hostile"].mean()
    at_zero, at_one = found.curve.theta[:, 0]
    se = found.curve.se[1, 0]
    assert abs(at_one - truth) < 3 * se
    assert abs(at_zero - truth) > 5 * se
    bound = found.bounds[0]
    assert bound.low < truth < bound.high


def test_convenience_gold(corpus):
    rows = np.random.default_rng(4).random(len(corpus)) < corpora.logistic(-0.5 + corpus["z"].to_numpy())
    data = corpora.masked(corpus, rows, "stance")
    with pytest.warns(kt.errors.NotValidWarning) as caught:
        found = kt.sensitivity("y ~ stance + z", data, surrogates={"stance": "stance_llm"},
                               design=kt.Propensity("z"), learner="linear", gamma=2.0, seed=1)  # fmt: skip
    assert len([w for w in caught if w.category is kt.errors.NotValidWarning]) == 1
    assert found.convenience
    assert (found.n_drawn, found.n_answered) == (400, int(rows.sum()))
    assert "Nobody drew" in str(found)
    middle = int(np.flatnonzero(found.curve.gamma == 0)[0])
    np.testing.assert_allclose(found.curve.theta[middle], found.fit.theta, rtol=1e-7)


def test_rows_left_out(corpus):
    gaps = corpus.assign(z=corpus["z"].where(corpus.index % 9 > 0))
    sample, data = make(gaps, "stance", lost=30, n=160)
    found = kt.sensitivity("y ~ stance + z", data, surrogates={"stance": "stance_llm"}, design=sample.design,
                           learner="linear", gamma=[-1.0, 1.0], cluster="author", weights="weight", seed=1)  # fmt: skip
    middle = int(np.flatnonzero(found.curve.gamma == 0)[0])
    np.testing.assert_allclose(found.curve.theta[middle], found.fit.theta, rtol=1e-7)
    assert found.n_drawn < 160


def test_shows_itself(found):
    assert "worst cases" in str([t.get_text() for t in found.plot("stance").get_legend().get_texts()])
    assert "<table" in found._repr_html_()
    assert "none up to 4" in str(found)
    assert set(found.tilted()["Coefficient"]) == {"Intercept", "stance", "z"}


def test_classes(corpus):
    sample, data = make(corpus, "topic", lost=30, n=200)
    options = {"surrogates": {"topic": "topic_llm"}, "design": sample.design, "gamma": [1.0], "learner": "linear"}
    found = kt.sensitivity("y ~ C(topic) + z", data, tilt={"topic": "war"}, seed=1, **options)
    assert "topic = war" in str(found)
    default = kt.sensitivity("y ~ C(topic) + z", data, seed=1, terms=["z"], **options)
    np.testing.assert_array_equal(default.curve.theta, found.curve.theta)
    assert default.terms == ("z",)
    with pytest.raises(ArgumentError, match="say which"):
        kt.sensitivity("y ~ C(topic) + z", data, tilt="topic", **options)
    with pytest.raises(ArgumentError, match="'mars' is not a class"):
        kt.sensitivity("y ~ C(topic) + z", data, tilt={"topic": "mars"}, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": -1.0}, "must be positive"),
        ({"gamma": "big"}, "gamma='big'"),
        ({"tilt": "size"}, "not a labelled variable"),
        ({"tilt": np.ones(3)}, "tilt has 3 rows"),
        ({"limits": {"z": (0, 1)}}, "not a numeric label"),
        ({"limits": {"y": (0, 0.1)}}, "widen the limits"),
        ({"limits": {"y": 3}}, r"smallest, largest"),
        ({"terms": ["war"]}, "no coefficient 'war'"),
        ({"terms": []}, "terms is empty"),
        ({"colour": 1}, "no argument 'colour'"),
        ({"combine": "median"}, "combine='median'"),
        ({"estimator": "surrogate"}, "uses no gold"),
    ],
)
def test_bad_arguments(corpus, changes, message):
    sample, data = make(corpus, "y", lost=10)
    options = {"surrogates": {"y": "y_llm"}, "design": sample.design, "gamma": [1.0], "learner": "linear"} | changes
    if changes.get("estimator"):
        options.pop("learner")
    with pytest.raises(ArgumentError, match=message):
        kt.sensitivity("y ~ z", data, **options)


def test_nothing_missing(corpus):
    sample = kt.SimpleRandom(120).draw(corpus, seed=5)
    data = corpora.masked(corpus, sample.labelled, "y")
    with pytest.raises(ArgumentError, match="every row drawn has its label"):
        kt.sensitivity("y ~ z", data, surrogates={"y": "y_llm"}, design=sample.design)
    with pytest.raises(ArgumentError, match="missing a required argument: 'surrogates'"):
        kt.sensitivity("y ~ z", data, design=sample.design)


def test_every_argument_of_regress_is_taken_into_account():
    """Sensitivity opens a fit as regress does, so that every argument of regress is one of its own, but a subset."""
    import inspect

    theirs, ours = inspect.signature(kt.regress).parameters, inspect.signature(kt.sensitivity).parameters
    assert set(theirs) - set(ours) == {"subset"}
    assert all(
        ours[name].default == theirs[name].default for name in set(theirs) & set(ours) - {"nonresponse", "surrogates"}
    )
    assert ours["nonresponse"].default == "ignorable"


def test_the_nearest_flip_is_reported():
    """A coefficient that is 0 at gamma = 1 and at gamma = -2, and never away from significance."""
    from karat.robustness.tilting import Curve, Tilting

    class Fake(Tilting):
        def __init__(self):
            pass

        def at(self, gamma):
            return np.array([(gamma - 1.0) * (gamma + 2.0)]), np.array([1e-9]), np.array([np.inf]), gamma

    gamma = np.linspace(-3, 3, 25)
    curve = Curve("f", gamma, *(np.zeros((25, 1)) for _ in range(3)), gamma, 0.0)
    sign, _ = Fake().flips(curve, ("a",), 0.05)
    assert (sign.name, sign.what) == ("a", "sign")
    assert sign.gamma == pytest.approx(1.0, abs=1e-4)
    assert sign.silent_mean == pytest.approx(1.0, abs=1e-4)


def test_other_data_frames_and_row_order(corpus):
    """polars gives the same numbers, and so does another order of the rows."""
    import polars as pl

    sample, data = make(corpus, "stance", lost=30, n=160)
    drawn = data.assign(drawn=sample.labelled)
    options = {"surrogates": {"stance": "stance_llm"}, "design": kt.SimpleRandom(160), "sampled": "drawn", "seed": 1}
    options |= {"gamma": [-1.0, 1.0], **FIXED}
    one = kt.sensitivity("y ~ stance + z", drawn, **options)
    same = kt.sensitivity("y ~ stance + z", pl.from_pandas(drawn), **options)
    turned = kt.sensitivity("y ~ stance + z", drawn.iloc[::-1], **options)
    for other in (same, turned):
        np.testing.assert_allclose(other.tidy().to_numpy(float), one.tidy().to_numpy(float), rtol=1e-6)
        np.testing.assert_allclose(other.curve.theta, one.curve.theta, rtol=1e-8)


def test_outcome_that_turns_within_the_limits(corpus):
    """The smallest absolute value lies between the limits, not at them."""
    sample, data = make(corpus, "y", lost=4)
    found = kt.sensitivity("np.abs(y) ~ 1", data, surrogates={"y": "y_llm"}, design=sample.design,
                           limits={"y": (-3.0, 5.0)}, gamma=[0.0], seed=1, **FIXED)  # fmt: skip
    assert not found.sharp
    every = enumerate_fits("ols", "np.abs(y) ~ 1", data, sample, "y", (0.0, 5.0), {"y": "y_llm"})
    np.testing.assert_allclose(found.tidy()["Lowest"], every.min(axis=0), atol=0.003)
    np.testing.assert_allclose(found.tidy()["Highest"], every.max(axis=0), rtol=1e-6)
    assert "not proven sharp" in str(found)
