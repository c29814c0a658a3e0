import numpy as np
import pytest
from scipy import stats

import karat as kt
from karat.errors import ArgumentError

from .. import corpora


def test_wald(fit):
    matrix = np.array([[0, 1, 0, 0], [0, 0, 1, -2.0]])
    right = np.array([0.5, 0.1])
    gap = matrix @ fit.theta - right
    df = fit.df[1:].min() - 1
    squared = gap @ np.linalg.solve(matrix @ fit.covariance @ matrix.T, gap)
    statistic = squared * df / (df + 1) / 2
    for hypothesis in (
        ["stance = 0.5", "z - 2*size = 0.1"],
        "stance = 0.5, z = 2 * size + 0.1",
        ["2*stance=1", "z-2*size - .1"],
    ):
        found = fit.wald(hypothesis)
        assert found.statistic == pytest.approx(statistic, rel=1e-10)
        assert (found.df_numerator, found.df_denominator) == (2, df)
        assert found.p_value == pytest.approx(stats.f.sf(statistic, 2, df))
    by_matrix = fit.wald(matrix)
    zero = matrix @ fit.theta
    squared = zero @ np.linalg.solve(matrix @ fit.covariance @ matrix.T, zero)
    assert by_matrix.statistic == pytest.approx(squared * df / (df + 1) / 2)
    assert "F(2," in str(found)


def test_one_hypothesis_is_the_square_of_t(fit):
    found = fit.wald("stance")
    assert found.statistic == pytest.approx(fit.tstat()["stance"] ** 2)
    assert found.p_value == pytest.approx(fit.pvalue()["stance"])


def test_repeated_hypotheses_count_once(fit):
    once, twice = fit.wald("stance = z"), fit.wald(["stance = z", "2*stance - 2*z = 0"])
    assert twice.df_numerator == 1
    assert twice.statistic == pytest.approx(once.statistic)


def test_normal_fits_use_chi_squared(labelled):
    fit = kt.ols("y ~ stance + z", labelled, surrogates={"stance": "stance_llm"}, learner=None, df="normal")
    found = fit.wald(["stance = 0", "z = 0"])
    assert found.p_value == pytest.approx(stats.chi2.sf(2 * found.statistic, 2))


def test_contrast(fit):
    row = np.array([0, 1, -1, 0.5])
    found = fit.contrast("stance - z + 0.5 * size = 1", alpha=0.1)
    se = np.sqrt(row @ fit.covariance @ row)
    half = stats.t.ppf(0.95, fit.df[1:].min()) * se
    assert found["Estimate"].iloc[0] == pytest.approx(row @ fit.theta - 1)
    assert found["Std. Error"].iloc[0] == pytest.approx(se)
    assert found["95%"].iloc[0] == pytest.approx(row @ fit.theta - 1 + half)
    assert len(fit.contrast(["stance", "z"])) == 2
    np.testing.assert_allclose(fit.contrast(np.eye(4))["Std. Error"], fit.se())


@pytest.mark.parametrize(
    "bad",
    [
        "tone = 0",
        "stance = z = size",
        "3 = 4",
        "stance +",
        "",
        "stance ** 2",
        "stance z",
        np.ones((1, 3)),
        np.zeros((1, 4)),
        7,
    ],
)
def test_hypotheses_that_cannot_be_read(fit, bad):
    with pytest.raises(ArgumentError, match=r"hypothesis.*(coefficient|'='|ends too early|columns)"):
        fit.wald(bad)


def test_names_with_signs_in_them(corpus):
    gold = np.arange(400) % 2 == 0
    fit = kt.ols(
        "y ~ topic * z + I(size - 3) + np.log(size)",
        corpora.masked(corpus, gold, "y"),
        surrogates={"y": "y_llm"},
        learner=None,
    )
    for j, name in enumerate(fit.names):
        assert fit.contrast(name)["Estimate"].iloc[0] == pytest.approx(fit.theta[j]), name
    pair = fit.contrast("topic[T.war] - topic[T.war]:z = 1")
    i, k = fit.names.index("topic[T.war]"), fit.names.index("topic[T.war]:z")
    assert pair["Estimate"].iloc[0] == pytest.approx(fit.theta[i] - fit.theta[k] - 1)


def test_delta(fit):
    found = fit.delta(lambda b: [b[1] / b[2], np.exp(b[1]), b[0] + b[3]])
    b, v = fit.theta, fit.covariance
    jacobian = np.array([[0, 1 / b[2], -b[1] / b[2] ** 2, 0], [0, np.exp(b[1]), 0, 0], [1, 0, 0, 1]])
    np.testing.assert_allclose(found["Std. Error"], np.sqrt(np.diag(jacobian @ v @ jacobian.T)), rtol=1e-6)
    np.testing.assert_allclose(found["Estimate"], [b[1] / b[2], np.exp(b[1]), b[0] + b[3]])
    linear = fit.delta(lambda b: b[1] - b[2])
    np.testing.assert_allclose(linear.iloc[0], fit.contrast("stance - z").iloc[0], rtol=1e-6)
    with pytest.raises(ArgumentError, match="not finite"):
        fit.delta(lambda b: b[1] * np.nan)


def test_simultaneous_intervals(fit):
    found = fit.simultaneous(seed=1)
    again = fit.simultaneous(seed=np.random.default_rng(1))
    np.testing.assert_array_equal(found, again)
    assert found.index.tolist() == ["stance", "z", "size"]
    single, bonferroni = stats.t.ppf(0.975, fit.df[1:]), stats.t.ppf(1 - 0.025 / 3, fit.df[1:])
    assert (found["critical value"] > single).all()
    assert (found["critical value"] < bonferroni * 1.01).all()
    np.testing.assert_allclose(found["97.5%"], fit.theta[1:] + found["critical value"] * fit.se()[1:])
    one = fit.simultaneous(terms=["z"], draws=20_000, seed=1)
    assert one["critical value"].iloc[0] == pytest.approx(single[1], rel=0.03)
    with pytest.raises(ArgumentError, match="draws=10"):
        fit.simultaneous(draws=10)
    with pytest.raises(ArgumentError, match="'tone'"):
        fit.simultaneous(terms=["tone"])


def test_simultaneous_intervals_widen_with_few_degrees_of_freedom(labelled):
    fit = kt.ols("y ~ stance + z", labelled, surrogates={"stance": "stance_llm"}, learner=None, df=5, vcov="HC0")
    one = fit.simultaneous(terms=["z"], draws=20_000, seed=1)["critical value"].iloc[0]
    assert one == pytest.approx(stats.t.ppf(0.975, 5), rel=0.05)
    assert (fit.simultaneous(seed=1)["critical value"] > one).all()


def test_simultaneous_intervals_use_the_dependence(corpus):
    """Two coefficients that are all but one need hardly more than one interval; independent ones need Sidak's."""
    gold = np.arange(400) % 2 == 0
    rng = np.random.default_rng(0)
    frame = corpora.masked(
        corpus.assign(copy=corpus["z"] + 0.01 * rng.standard_normal(400), other=rng.standard_normal(400)), gold, "y"
    )
    options = {"surrogates": {"y": "y_llm"}, "learner": None, "df": "normal", "vcov": "HC0"}
    twins = kt.ols("y ~ z + copy", frame, **options).simultaneous(seed=2, draws=20_000)["critical value"].iloc[0]
    strangers = kt.ols("y ~ z + other", frame, **options).simultaneous(seed=2, draws=20_000)["critical value"].iloc[0]
    assert twins == pytest.approx(stats.norm.ppf(0.975), abs=0.06)
    assert strangers == pytest.approx(stats.norm.ppf((1 + np.sqrt(0.95)) / 2), abs=0.06)


@pytest.mark.parametrize("target", ["superpopulation", "finite"])
@pytest.mark.filterwarnings("ignore:nearly all gold labels:karat.errors.SmallSampleWarning")
def test_simultaneous_with_clusters_targets_and_without_scores(labelled, target):
    options = {"surrogates": {"stance": "stance_llm"}, "learner": None, "target": target, "seed": 1}
    kept = kt.ols("y ~ stance + z", labelled, cluster="author", **options)
    lost = kt.ols("y ~ stance + z", labelled, cluster="author", scores=False, **options)
    a, b = (f.simultaneous(seed=3, draws=20_000)["critical value"].to_numpy() for f in (kept, lost))
    np.testing.assert_allclose(a, b, rtol=0.03)


def test_simultaneous_intervals_of_standard_errors_that_are_0(fit):
    """As where no gold label is wrong and nothing else is estimated: the interval is the estimate."""
    for nothing in (fit.replace(covariance=np.zeros((4, 4))), fit.replace(covariance=np.zeros((4, 4)), parts=None)):
        found = nothing.simultaneous(seed=1)
        np.testing.assert_array_equal(found["2.5%"], found["Estimate"])
        np.testing.assert_array_equal(found["97.5%"], found["Estimate"])
    some = np.diag([1.0, 0.0, 1.0, 1.0])
    found = fit.replace(covariance=some @ fit.covariance @ some).simultaneous(seed=1)
    assert np.isfinite(found.to_numpy()).all()
    assert found.loc["stance", "2.5%"] == found.loc["stance", "97.5%"]
