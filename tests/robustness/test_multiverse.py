"""Many surrogates, one gold set: every number against a fit of its own, joint covariance against sums of Results."""

import pickle
import warnings

import numpy as np
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError
from karat.robustness.joint import equality, max_t_critical

from .. import corpora

FORMULA = "y ~ stance + z"
OPTIONS = {"learners": ["linear"], "seed": 3, "repeats": 2}


@pytest.fixture(scope="module")
def data(corpus):
    sample = kt.SimpleRandom(150).draw(corpus, seed=5)
    rng = np.random.default_rng(2)
    out = corpora.masked(corpus, sample.labelled, "stance")
    for k, share in enumerate((0.1, 0.25, 0.4)):
        flip = rng.random(len(out)) < share * (1 + (out["y"] > 1))
        out[f"prompt_{k}"] = np.where(flip, 1 - corpus["stance"], corpus["stance"])
    return out


PROMPTS = ["stance_llm", "prompt_0", "prompt_1", "prompt_2"]


@pytest.fixture(scope="module")
def many(data):
    return kt.multiverse(FORMULA, data, surrogates={"stance": PROMPTS}, **OPTIONS)


def single(data, surrogate, many, **options):
    """The same universe fitted on its own, with the folds of the multiverse."""
    seed = int(np.random.default_rng(OPTIONS["seed"]).integers(2**31))
    return kt.ols(FORMULA, data, surrogates={"stance": surrogate}, learner="linear", repeats=2, seed=seed, **options)


def test_every_universe_is_a_fit_of_its_own(many, data):
    assert many.universes == tuple(PROMPTS)
    assert many.terms == ("stance", "z")
    table = many.tidy().set_index(["Coefficient", "Universe", "Answer"])
    for name in PROMPTS:
        fit = single(data, name, many)
        row = table.loc["stance", name, "corrected"]
        own = fit.tidy().loc["stance"]
        np.testing.assert_allclose(row[["Estimate", "Std. Error", "Pr(>|t|)", "low", "high"]].astype(float),
                                   own.iloc[[0, 1, 3, 4, 5]])  # fmt: skip
        naive = fit.compare().table()["Surrogate only"].loc["stance"]
        np.testing.assert_allclose(table.loc["stance", name, "naive"][["Estimate", "low", "high"]].astype(float),
                                   naive.iloc[[0, 2, 3]])  # fmt: skip
        assert many.gold["stance"][0] == pytest.approx(fit.compare().table()["Gold only"].loc["stance", "Estimate"])
        np.testing.assert_array_equal(many.fit(name).theta, fit.theta)
        assert many.fit(name).parts is None
    assert many.together["z"][0] == pytest.approx(single(data, PROMPTS, many).theta[2])


@pytest.mark.parametrize("options", [{}, {"cluster": "author"}, {"target": "finite"}])
@pytest.mark.filterwarnings("ignore:nearly all gold labels:karat.errors.SmallSampleWarning")
def test_joint_covariance_is_that_of_differences(data, options):
    found = kt.multiverse(FORMULA, data, surrogates={"stance": PROMPTS[:3]}, together=False, **OPTIONS, **options)
    fits = [single(data, name, found, **options) for name in PROMPTS[:3]]
    covariance = found.covariance["z"]
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [f.se()["z"] for f in fits])
    difference = fits[0] - fits[1]
    ours = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert np.sqrt(ours) == pytest.approx(difference.tidy().loc["z", "Std. Error"], rel=0.05)
    assert np.linalg.eigvalsh(covariance).min() > -1e-10


def test_heterogeneity_by_hand(many):
    table = many.heterogeneity()
    naive = many.naive["stance"]
    row = table.loc["stance", "naive"]
    assert row["Range"] == pytest.approx(np.ptp(naive.theta))
    low, high = naive.bounds(0.05)
    assert row["Significant"] == np.mean((low > 0) | (high < 0))
    pairs = [(a, b) for a in range(4) for b in range(a)]
    assert row["Apart"] == pytest.approx(np.mean([low[a] > high[b] or low[b] > high[a] for a, b in pairs]))
    assert row["Sign flips"] == min(np.mean(naive.theta > 0), np.mean(naive.theta <= 0))
    assert row["Range"] > 3 * table.loc["stance", "corrected"]["Range"]
    assert table.loc["stance", "corrected"]["p (equal)"] > 0.01


def test_intervals_for_all_universes_are_wider_but_not_by_bonferroni(many):
    from scipy.stats import t

    df = many.corrected["stance"].df
    assert (t.isf(0.025, df) < many.critical["stance"]).all()
    assert (many.critical["stance"] < t.isf(0.025 / 4, df)).all()
    table = many.tidy()
    assert (table["high (all)"] - table["high"]).dropna().gt(-1e-12).all()


def test_equality_test_and_critical_value():
    rng = np.random.default_rng(0)
    same = np.full((3, 3), 1.0)
    assert np.isnan(equality(np.zeros(3), same, np.inf, rng)[1])
    assert max_t_critical(same, np.full(3, np.inf), 0.05, rng) == pytest.approx(1.96, abs=0.03)
    covariance = 0.9 + 0.1 * np.eye(5)
    assert equality(np.array([0, 0, 0, 0, 3.0]), covariance, np.inf, rng)[1] < 0.001
    draws = rng.multivariate_normal(np.zeros(5), covariance, 400)
    p_values = [equality(d, covariance, np.inf, rng)[1] for d in draws]
    assert abs(np.mean(np.array(p_values) < 0.1) - 0.1) < 0.05
    statistic, p_value = equality(np.array([0.0, 1.0]), np.eye(2), np.inf, rng)
    assert statistic == pytest.approx(1 / np.sqrt(2))
    assert p_value == pytest.approx(0.48, abs=0.02)


def test_order_of_universes_does_not_matter(many, data):
    turned = kt.multiverse(FORMULA, data, surrogates={"stance": PROMPTS[::-1]}, **OPTIONS)
    np.testing.assert_allclose(turned.corrected["z"].theta[::-1], many.corrected["z"].theta)
    np.testing.assert_allclose(turned.critical["z"][::-1], many.critical["z"], rtol=0.02)
    assert turned.equality["z"][0] == pytest.approx(many.equality["z"][0])


def test_named_matched_and_crossed(data, corpus):
    gold = data.assign(vote=corpus["vote"].where(data["stance"].notna()))
    named = {"stance": {"a": "prompt_0", "b": ["prompt_1", "prompt_2"]}, "vote": {"b": "vote_llm", "a": "vote_prob"}}
    matched = kt.multiverse("vote ~ stance + z", gold, surrogates=named, pair="matched", **OPTIONS)
    assert matched.universes == ("a", "b")
    assert [s.name for s in matched.fit("a").skill] == ["stance", "vote"]
    crossed = kt.multiverse("vote ~ stance + z", gold, surrogates=named, terms=["z"], together=False, **OPTIONS)
    assert crossed.universes == ("a + b", "a + a", "b + b", "b + a")
    assert crossed.terms == ("z",)
    by_place = {"stance": ["prompt_0", "prompt_1"], "vote": ["vote_llm", "vote_prob"]}
    placed = kt.multiverse("vote ~ stance + z", gold, surrogates=by_place, pair="matched", together=False, **OPTIONS)
    assert placed.universes == ("prompt_0 + vote_llm", "prompt_1 + vote_prob")


def test_learners_and_processes(data):
    options = {"surrogates": {"stance": PROMPTS[:2]}, "learners": ["linear", None], "seed": 3, "terms": ["z"]}
    one = kt.multiverse(FORMULA, data, **options)
    assert one.universes == ("stance_llm | linear", "stance_llm | raw", "prompt_0 | linear", "prompt_0 | raw")
    two = kt.multiverse(FORMULA, data, n_jobs=2, **options)
    np.testing.assert_array_equal(one.corrected["z"].theta, two.corrected["z"].theta)
    np.testing.assert_array_equal(one.critical["z"], two.critical["z"])


def test_ppi(data):
    found = kt.multiverse(FORMULA, data, surrogates={"stance": PROMPTS[:2]}, estimator="ppi", seed=3)
    assert found.together is None
    fit = kt.ols(FORMULA, data, surrogates={"stance": "prompt_0"}, estimator="ppi", seed=3)
    np.testing.assert_allclose(found.fit("prompt_0").theta, fit.theta)


def test_score_that_cannot_stand_for_the_label_has_no_naive_answer(data):
    scores = {"stance": {"hard": "prompt_0", "score": "y_llm"}}
    found = kt.multiverse(FORMULA, data, surrogates=scores, **OPTIONS)
    assert np.isnan(found.naive["stance"].theta[1])
    assert any(r.startswith("score:") for r in found.remarks)
    assert found.heterogeneity().loc["stance", "naive"]["Range"].item() == 0
    found.plot()


def test_warnings_are_given_once(corpus):
    data = corpora.masked(corpus, kt.SimpleRandom(25).draw(corpus, seed=5).labelled, "y")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kt.multiverse("y ~ z", data, surrogates={"y": ["y_llm", "vote_prob"]}, **OPTIONS)
    assert len([w for w in caught if w.category is kt.errors.SmallSampleWarning]) == 1


def test_shows_itself(many):
    text = str(many)
    assert "selection" in text
    assert "all surrogates together" in text
    assert "<table" in many._repr_html_()
    axes = many.plot(["stance", "z"], simultaneous=True)
    assert [ax.get_title(loc="left") for ax in axes] == ["stance", "z"]
    assert [label.get_text() for label in axes[0].get_yticklabels()][-1] == "all together"
    back = pickle.loads(pickle.dumps(many))
    assert str(back) == text


def test_inputs_are_left_alone(data):
    before = data.copy()
    surrogates = {"stance": list(PROMPTS[:2])}
    kt.multiverse(FORMULA, data, surrogates=surrogates, together=False, **OPTIONS)
    assert data.equals(before)
    assert surrogates == {"stance": PROMPTS[:2]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surrogates": {"stance": ["prompt_0"]}}, "one universe only"),
        ({"surrogates": {"stance": ["prompt_0", "prompt_0"]}}, "twice"),
        ({"surrogates": {"stance": []}}, "list of candidates"),
        ({"surrogates": ["prompt_0"]}, "must map"),
        ({"learners": "linear"}, "must be a list"),
        ({"learners": ["linear", "linear"]}, "are called"),
        ({"learner": "linear"}, "give learners="),
        ({"scores": True}, "scores= cannot be set"),
        ({"estimator": "gold"}, "corrects nothing"),
        ({"combine": "median"}, "combine='median'"),
        ({"terms": ["war"]}, "no coefficient 'war'"),
        ({"terms": []}, "terms is empty"),
        ({"pair": "zip"}, "pair='zip'"),
        ({"alpha": 2.0}, "alpha=2.0"),
        ({"predictions": {"stance": "stance_prob"}}, "predictions= cannot be set"),
        ({"estimator": "ppi"}, "uses no learner"),
        ({"surrogates": {"stance": {0: "prompt_0", 1: "stance_prob"}}}, "put such a mapping into a list"),
    ],
)
def test_bad_arguments(data, changes, message):
    with pytest.raises(ArgumentError, match=message):
        kt.multiverse(FORMULA, data, **({"surrogates": {"stance": PROMPTS[:2]}} | OPTIONS | changes))


def test_unequal_numbers_of_candidates_cannot_be_matched(data):
    with pytest.raises(ArgumentError, match="as many candidates"):
        kt.multiverse("stance ~ z", data, surrogates={"stance": PROMPTS[:2], "vote": ["vote_llm"]}, pair="matched")


def test_errors_name_the_universe(data, many):
    with pytest.raises(DataError, match="universe 'prompt_9'"):
        kt.multiverse(FORMULA, data, surrogates={"stance": ["prompt_0", "prompt_9"]}, **OPTIONS)
    with pytest.raises(ArgumentError, match="no universe 'prompt_9'"):
        many.fit("prompt_9")
    with pytest.raises(ArgumentError, match="was not compared"):
        many.plot(["size"])
