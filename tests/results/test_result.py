"""What a fit hands out: tables, texts, pictures, copies."""

import json
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import karat as kt
from karat.errors import ArgumentError
from karat.estimate.df import lacking

from .. import corpora


@pytest.fixture(scope="module")
def clustered(labelled):
    return kt.ols("y ~ stance + z", labelled, surrogates={"stance": "stance_llm"}, cluster="author", seed=3)


# ---- tables ------------------------------------------------------------------------------------------------


def test_estimates_hang_together(fit):
    table = fit.tidy()
    assert table.columns.tolist() == ["Estimate", "Std. Error", "t value", "Pr(>|t|)", "2.5%", "97.5%"]
    assert table.index.tolist() == ["Intercept", "stance", "z", "size"]
    se = np.sqrt(np.diag(fit.covariance))
    np.testing.assert_allclose(fit.se(), se)
    np.testing.assert_allclose(fit.tstat(), fit.theta / se)
    np.testing.assert_allclose(fit.pvalue(), 2 * stats.t.sf(np.abs(fit.theta / se), fit.df))
    for alpha in (0.05, 0.2):
        half = stats.t.ppf(1 - alpha / 2, fit.df) * se
        np.testing.assert_allclose(fit.confint(alpha), np.column_stack([fit.theta - half, fit.theta + half]))
    assert fit.confint(0.1).columns.tolist() == ["5%", "95%"]
    assert fit.tidy(alpha=0.01).columns.tolist()[-2:] == ["0.5%", "99.5%"]
    broom = fit.tidy("broom")
    assert broom.columns.tolist() == [
        "term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df",
    ]  # fmt: skip
    np.testing.assert_array_equal(broom["estimate"], table["Estimate"])
    with pytest.raises(ArgumentError, match="style='stata'"):
        fit.tidy("stata")


def test_alpha_of_the_fit_is_the_default(labelled):
    fit = kt.ols("y ~ stance", labelled, surrogates={"stance": "stance_llm"}, alpha=0.2, learner=None)
    pd.testing.assert_frame_equal(fit.confint(), fit.confint(0.2))
    assert fit.tidy().columns.tolist()[-2:] == ["10%", "90%"]
    assert "10%" in str(fit.summary())
    assert r"80\% interval" in fit.to_latex()


def test_glance(clustered):
    row = clustered.glance().iloc[0]
    assert len(clustered.glance()) == 1
    assert (row["n_units"], row["n_gold"], row["n_dropped"]) == (400, 150, 0)
    assert (row["model"], row["estimator"], row["vcov"], row["target"]) == ("ols", "dsl", "CRV3", "superpopulation")
    assert row["smallest_probability"] == pytest.approx(150 / 400)
    assert row["kish"] == pytest.approx(150)
    assert row["sum_of_weights"] == pytest.approx(400)
    assert 0 < row["r_squared[stance]"] < 1
    assert 0 <= row["split_share"] < 0.2
    assert row["moment_norm"] < 1e-6


def test_weights_of_gold(corpus):
    sample = kt.Bernoulli("pi").draw(corpus, seed=4)
    fit = kt.ols(
        "y ~ stance", corpora.masked(corpus, sample.labelled, "stance"), surrogates={"stance": "stance_llm"},
        design="pi", learner=None,
    )  # fmt: skip
    w = 1 / corpus["pi"][sample.labelled]
    assert fit.sampling.kish == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert fit.sampling.largest_weight == pytest.approx(w.max())
    assert fit.sampling.sum_of_weights == pytest.approx(w.sum())


def test_effective_gold(fit):
    share = fit.n_gold / fit.n_units
    np.testing.assert_allclose(fit.effective_gold, fit.n_gold / (1 - fit.r_squared * (1 - share)))
    assert (fit.effective_gold > 0.9 * fit.n_gold).all()


def test_statsmodels_names(fit):
    pd.testing.assert_series_equal(fit.params, fit.coef())
    pd.testing.assert_series_equal(fit.bse, fit.se())
    pd.testing.assert_series_equal(fit.tvalues, fit.tstat())
    pd.testing.assert_series_equal(fit.pvalues, fit.pvalue())
    assert fit.conf_int().columns.tolist() == [0, 1]
    np.testing.assert_array_equal(fit.conf_int(0.1), fit.confint(0.1))
    np.testing.assert_array_equal(fit.cov_params(), fit.covariance)
    assert fit.cov_params().columns.tolist() == fit.vcov_matrix.index.tolist() == list(fit.names)
    assert fit.nobs == 400


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("slopes", r"karat\.slopes\(fit, data\)"),
        ("comparisons", r"karat\.comparisons\(fit, data"),
        ("predictions", r"karat\.predictions\(fit, data\)"),
        ("vcov", "with_vcov"),
        ("resid", "fit.predict"),
        ("nonsense", "'Result' object has no attribute 'nonsense'$"),
    ],
)
def test_what_other_packages_call_otherwise(fit, name, words):
    assert not hasattr(fit, name)
    with pytest.raises(AttributeError, match=words):
        getattr(fit, name)


# ---- texts -------------------------------------------------------------------------------------------------


def test_summary_says_what_a_reader_needs(clustered):
    text = str(clustered.summary())
    assert text == str(clustered) == repr(clustered.summary())
    for words in (
        "Linear regression: y ~ stance + z", "400 (150 gold)", "simple random sample, 150 of 400", "assumed",
        "superpopulation", "CRV3", "author", "25", "smallest probability 0.375", "largest weight 2.67", "150 (Kish)",
        "sum 400", "out-of-fold R2", "accuracy", "splits", "effective gold", "Surrogate only", "Gold only", "DSL",
        "F(3, ",
        "not valid",
    ):  # fmt: skip
        assert words in text, words
    for name, value in clustered.coef().items():
        assert re.search(rf"^{name}\s+{value:.4f}\s", text, flags=re.MULTILINE)
    assert max(map(len, text.splitlines())) < 160


def test_html_says_the_same_and_escapes(labelled):
    frame = labelled.rename(columns={"z": "z"}).assign(**{"a<b": labelled["z"]})
    fit = kt.ols("y ~ stance + `a<b`", frame, surrogates={"stance": "stance_llm"}, learner=None)
    html = fit._repr_html_()
    assert html.startswith("<div>")
    assert "a<b" not in html
    assert "a&lt;b" in html
    assert f"{fit.theta[1]:.4g}" in html
    assert "Surrogate only" in html
    assert "assumed" in html
    assert "<table" in fit.compare()._repr_html_()


def test_design_is_not_assumed_when_it_was_given(labelled):
    fit = kt.ols("y ~ stance", labelled, surrogates={"stance": "stance_llm"}, learner=None, design=kt.SimpleRandom())
    assert "assumed" not in str(fit.summary())


def test_latex(labelled):
    frame = labelled.assign(a_b=labelled["z"])
    fit = kt.ols("y ~ stance + a_b", frame, surrogates={"stance": "stance_llm"}, cluster="author", learner=None)
    tex = fit.to_latex(caption="50% & more", label="tab:one", digits=2)
    assert tex.count(r"\begin{") == tex.count(r"\end{") == 2
    assert r"\caption{50\% \& more}" in tex
    assert r"\label{tab:one}" in tex
    assert r"a\_b & " + f"{fit.theta[2]:.2f} & {fit.se().iloc[2]:.2f} & " in tex
    assert "CRV3 by author" in tex
    assert tex.count(r"\\") == 1 + 3 + 1
    assert "caption" not in fit.to_latex()
    with pytest.raises(ArgumentError, match="digits=-1"):
        fit.to_latex(digits=-1)


# ---- comparison --------------------------------------------------------------------------------------------


def test_comparison(fit, labelled, corpus):
    table = fit.compare().table()
    assert table.columns.get_level_values(0).unique().tolist() == ["Surrogate only", "Gold only", "DSL"]
    import statsmodels.formula.api as smf

    naive = smf.ols("y ~ stance_llm + z + size", labelled).fit(cov_type="HC3")
    np.testing.assert_allclose(table["Surrogate only"]["Estimate"], naive.params, rtol=1e-9)
    np.testing.assert_allclose(table["Surrogate only"]["Std. Error"], naive.bse, rtol=1e-8)
    gold = kt.ols("y ~ stance + z + size", labelled, surrogates={"stance": "stance_llm"}, estimator="gold")
    np.testing.assert_allclose(table["Gold only"]["Estimate"], gold.theta)
    np.testing.assert_allclose(table["Gold only"]["Std. Error"], gold.se())
    np.testing.assert_allclose(table["Gold only"][["2.5%", "97.5%"]], gold.confint())
    np.testing.assert_allclose(table["DSL"][["2.5%", "97.5%"]], fit.confint())
    assert np.asarray(fit.compare()).shape == (4, 3)
    assert fit.compare().table(0.1)["DSL"].columns.tolist()[-1] == "95%"


def test_difference_test_is_that_of_the_stacked_influences(corpus):
    """Bernoulli labelling: the covariance of the gap is the sandwich of the gap of the influences."""
    sample = kt.Bernoulli("pi").draw(corpus, seed=8)
    table = corpora.masked(corpus, sample.labelled, "stance")
    options = {
        "surrogates": {"stance": "stance_llm"}, "design": sample.design, "learner": None, "vcov": "HC0", "scores": True,
    }  # fmt: skip
    fit = kt.ols("y ~ stance + z", table, tuning=None, **options)
    with pytest.warns(kt.errors.NotValidWarning):
        naive = kt.ols("y ~ stance + z", table, estimator="surrogate", **options)
    gap = fit.theta - naive.theta
    psi = fit.parts.scores.influence() - naive.parts.scores.influence()
    covariance = psi.T @ psi
    unseen = fit.parts.scores.unseen
    covariance = covariance + lacking(covariance, unseen.T @ unseen)  # wrong labels that gold may have missed
    difference = fit.compare().difference
    np.testing.assert_allclose(difference.gap, gap)
    np.testing.assert_allclose(difference.se, np.sqrt(np.diag(covariance)), rtol=1e-8)
    df = fit.df.min() - 2
    statistic = gap @ np.linalg.solve(covariance, gap) * df / (df + 2) / 3
    assert difference.statistic == pytest.approx(statistic, rel=1e-7)
    assert (difference.rank, difference.df) == (3, pytest.approx(df))
    assert difference.p_value == pytest.approx(stats.f.sf(statistic, 3, df))
    np.testing.assert_allclose(
        fit.compare().difference_table()["Pr(>|t|)"], 2 * stats.t.sf(np.abs(gap / difference.se), fit.df)
    )


def test_difference_test_follows_the_design(corpus):
    """Fixed size: squares of what gold units say of the gap, and the variance of the draw."""
    sample = kt.SimpleRandom(160).draw(corpus, seed=8)
    table = corpora.masked(corpus, sample.labelled, "stance")
    options = {"surrogates": {"stance": "stance_llm"}, "design": sample.design, "learner": None, "vcov": "HC0"}
    fit = kt.ols("y ~ stance + z", table, tuning=None, **options)
    gold, n, big_n = sample.labelled, 160, 400
    x_llm, y = (
        corpus[["stance_llm", "z"]].assign(one=1.0)[["one", "stance_llm", "z"]].to_numpy(),
        corpus["y"].to_numpy(),
    )
    x = x_llm.copy()
    x[:, 1] = corpus["stance"]
    w = gold * big_n / n
    curvature = (x.T * w) @ x + (x_llm.T * (1 - w)) @ x_llm
    theta = np.linalg.solve(curvature, (x.T * w) @ y + (x_llm.T * (1 - w)) @ y)
    alone = np.linalg.lstsq(x_llm, y, rcond=None)[0]
    m, h, naive = (
        np.linalg.solve(a, (d * (y - d @ b)[:, None]).T).T
        for a, d, b in ((curvature, x, theta), (curvature, x_llm, theta), (x_llm.T @ x_llm, x_llm, alone))
    )
    gap = (m - naive)[gold]
    covariance = big_n / n * gap.T @ gap + big_n**2 * (1 / n - 1 / big_n) * np.cov((m - h)[gold].T)
    np.testing.assert_allclose(fit.compare().difference.se, np.sqrt(np.diag(covariance)), rtol=1e-8)


def test_comparison_with_clusters(labelled):
    import statsmodels.formula.api as smf

    options = {"surrogates": {"stance": "stance_llm"}, "learner": None}
    clustered = kt.ols("y ~ stance + z", labelled, vcov={"CRV1": "author"}, **options)

    naive = smf.ols("y ~ stance_llm + z", labelled).fit(cov_type="cluster", cov_kwds={"groups": labelled["author"]})
    found = clustered.compare().table()["Surrogate only"]
    np.testing.assert_allclose(found["Std. Error"], naive.bse, rtol=1e-8)


def test_difference_test_sees_a_biased_surrogate_and_spares_a_perfect_one(corpus):
    gold = np.random.default_rng(3).random(400) < 0.5
    bad = corpus["y"] * 0.5 + corpus["z"]
    frame = corpora.masked(corpus.assign(bad=bad), gold, "y")
    biased = kt.ols("y ~ z", frame, surrogates={"y": "bad"}, seed=1).compare().difference
    assert biased.p_value < 1e-6
    perfect = (
        kt.ols("y ~ z", frame, surrogates={"y": corpus["y"].to_numpy()}, seed=1, learner=None).compare().difference
    )
    assert perfect.p_value == 1.0
    np.testing.assert_allclose(perfect.gap, 0, atol=1e-12)


def test_comparison_may_be_left_out(labelled):
    fit = kt.ols("y ~ stance", labelled, surrogates={"stance": "stance_llm"}, learner=None, compare=False)
    with pytest.raises(kt.KaratError, match="compare=False"):
        fit.compare()
    assert "Side by side" not in str(fit.summary())


def test_estimators_other_than_dsl(labelled):
    options = {"surrogates": {"stance": "stance_llm"}}
    gold = kt.ols("y ~ stance", labelled, estimator="gold", **options)
    assert [c.title for c in gold.compare().columns] == ["Surrogate only", "Gold only"]
    assert set(gold.choice) == {"gold"}
    ppi = kt.ols("y ~ stance", labelled, estimator="ppi", **options)
    raw = kt.ols("y ~ stance", labelled, learner=None, **options)
    np.testing.assert_allclose(ppi.theta, raw.theta)
    assert ppi.compare().columns[-1].title == "PPI"


# ---- pictures ----------------------------------------------------------------------------------------------


def test_coefplot(fit):
    import matplotlib.pyplot as plt

    axes = fit.coefplot(truth={"z": -0.4}, title="here")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["stance", "z", "size"]
    legend = axes.get_legend() or axes.figure.legends[0]
    texts = [t.get_text() for t in legend.get_texts()]
    assert "DSL" in texts
    assert "Gold only" in texts
    assert "Surrogate only (not valid)" in texts
    assert "truth" in texts
    drawn = next(c for c in axes.containers if c.get_label() == "DSL")
    np.testing.assert_allclose(drawn[0].get_xdata(), fit.theta[1:])
    segments = np.array([segment[:, 0] for segment in drawn[2][0].get_segments()])
    np.testing.assert_allclose(segments, fit.confint().to_numpy()[1:])
    assert axes.get_title(loc="left") == "here"
    alone = fit.coefplot(terms=["z"], compare=False)
    assert [t.get_text() for t in alone.get_yticklabels()] == ["z"]
    assert alone.get_legend() is None
    assert not alone.figure.legends
    _, given = plt.subplots()
    assert fit.coefplot(ax=given) is given
    with pytest.raises(ArgumentError, match="'warr'"):
        fit.coefplot(terms=["warr"])
    plt.close("all")


def test_maketables(labelled, clustered):
    from maketables import ETable
    from maketables.extractors import PluginExtractor, get_extractor

    fit = kt.ols("y ~ stance + z + size", labelled, surrogates={"stance": "stance_llm"}, learner=None)
    plug = PluginExtractor()
    assert plug.can_handle(fit)
    table = plug.coef_table(clustered)
    np.testing.assert_allclose(table["b"], clustered.theta)
    np.testing.assert_allclose(table[["ci95l", "ci95u"]], clustered.confint(0.05))
    assert plug.depvar(fit) == "y"
    assert plug.stat(clustered, "N") == 400
    assert plug.stat(clustered, "se_type") == "CRV3 (author)"
    assert plug.stat(clustered, "adj_r2") is None
    assert plug.vcov_info(clustered) == {"vcov_type": "CRV3", "clustervar": "author"}
    regression_table = ETable([fit, clustered], coef_fmt="b:.3f \n (se:.3f)").df
    flat = regression_table.astype(str).to_numpy().ravel().tolist()
    for result in (fit, clustered):
        for value, se in zip(result.theta, result.se()):
            assert any(cell.startswith(f"{value:.3f}") and f"({se:.3f})" in cell for cell in flat)
    assert "400" in flat
    # our own figures are shown too: maketables must not take the Result for one of statsmodels
    assert get_extractor(fit).stat(fit, "n_gold") == 150
    assert "150" in flat


# ---- predictions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ["f(z)", "I(np.sort(z))", "I(z + np.roll(z, 1))"])
@pytest.mark.parametrize("rows", [1, 2, 9])
def test_predict_refuses_what_other_rows_change(corpus, term, rows):
    """A mean of new rows is not that of the rows of the fit: predictions were off by their difference."""
    options = {"surrogates": {"y": "y_llm"}, "design": 1.0, "learner": None, "compare": False}
    context = {"f": lambda v: v - v.mean()}
    found = kt.ols(f"y ~ {term}", corpus, context=context, **options)
    new = corpus.tail(rows)
    if term != "f(z)" and rows == 1:
        return  # one row says nothing of its order
    with pytest.raises(kt.KaratError, match="looks at a whole column"):
        found.predict(new, context=context)
    plain = kt.ols("y ~ np.exp(z) + scale(z) + I(z**2)", corpus, **options)
    whole = plain.predict(corpus)["fit"].to_numpy()
    np.testing.assert_allclose(plain.predict(new)["fit"], whole[-rows:], rtol=1e-12)


def test_predict_linear(fit):
    new = pd.DataFrame({"stance": [0.0, 1.0], "z": [0.5, -1.0], "size": [3.0, 4.0]})
    x = np.column_stack([np.ones(2), new])
    found = fit.predict(new)
    np.testing.assert_allclose(found["fit"], x @ fit.theta)
    np.testing.assert_allclose(found["se"], np.sqrt(np.diag(x @ fit.covariance @ x.T)))
    half = stats.t.ppf(0.975, fit.df.min()) * found["se"]
    np.testing.assert_allclose(found["97.5%"], found["fit"] + half)
    import polars as pl

    np.testing.assert_array_equal(fit.predict(pl.from_pandas(new)), found)
    assert fit.predict(new, alpha=0.1).columns.tolist() == ["fit", "se", "5%", "95%"]
    with pytest.raises(kt.KaratError, match=r"'size'.*missing in 1 row"):
        fit.predict(new.assign(size=[1.0, np.nan]))
    with pytest.raises(kt.KaratError, match="'size'"):
        fit.predict(new.drop(columns="size"))


@pytest.mark.parametrize("model", ["logit", "probit", "poisson"])
def test_predict_curved(model, corpus):
    outcome = {"poisson": "count"}.get(model, "vote")
    gold = np.arange(400) % 2 == 0
    fit = kt.regress(
        f"{outcome} ~ topic * z + offset(np.log(size))", corpora.masked(corpus, gold, "topic"), model=model,
        surrogates={"topic": "topic_llm"}, learner=None, tuning=None, compare=False,
    )  # fmt: skip
    new = corpus.head(6)
    found = fit.predict(new)
    law, war, z = new["topic"] == "law", new["topic"] == "war", new["z"]
    x = np.column_stack([np.ones(6), law, war, z, law * z, war * z]).astype(float)
    assert fit.names == ("Intercept", "topic[T.law]", "topic[T.war]", "z", "topic[T.law]:z", "topic[T.war]:z")
    eta = x @ fit.theta + np.log(new["size"])
    inverse = {"logit": lambda e: 1 / (1 + np.exp(-e)), "probit": stats.norm.cdf, "poisson": np.exp}[model]
    np.testing.assert_allclose(found["fit"], inverse(eta), rtol=1e-10)
    step = 1e-6
    slope = (inverse(eta + step) - inverse(eta - step)) / (2 * step)
    np.testing.assert_allclose(found["se"], slope * np.sqrt(np.diag(x @ fit.covariance @ x.T)), rtol=1e-6)
    assert (found["2.5%"] < found["fit"]).all()
    assert (found["fit"] < found["97.5%"]).all()
    if model != "poisson":
        assert found[["2.5%", "97.5%"]].stack().between(0, 1).all()
    with pytest.raises(kt.KaratError, match="sport"):
        fit.predict(new.assign(topic="sport"))


# ---- copies ------------------------------------------------------------------------------------------------


def assert_same(one, other):
    for name in ("theta", "covariance", "labelling_covariance", "df", "tuning_weight", "r_squared"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    pd.testing.assert_frame_equal(one.tidy(), other.tidy())
    pd.testing.assert_frame_equal(one.glance(), other.glance())
    assert str(one.summary()) == str(other.summary())
    assert one.to_latex() == other.to_latex()


def test_json_round_trip(fit, clustered):
    for result in (fit, clustered):
        text = result.to_json()
        assert json.loads(text)["format"].startswith("karat")
        copy = kt.Result.from_json(text)
        assert_same(result, copy)
        pd.testing.assert_frame_equal(copy.compare().table(), result.compare().table())
        assert copy.to_json() == text
        assert copy.wald("stance = 0") == result.wald("stance = 0")
        with pytest.raises(kt.KaratError, match="pickle"):
            copy.predict({"stance": [1.0]})
        with pytest.raises(kt.KaratError, match="scores"):
            copy - copy
    for text in ("{}", "[1]", "nonsense", '{"format": "karat.result/1"}'):
        with pytest.raises(ArgumentError, match="to_json"):
            kt.Result.from_json(text)


def test_json_of_infinite_degrees_of_freedom(labelled):
    fit = kt.ols("y ~ stance", labelled, surrogates={"stance": "stance_llm"}, learner=None, df="normal")
    assert "Infinity" not in fit.to_json()
    assert "NaN" not in fit.to_json()
    assert_same(fit, kt.Result.from_json(fit.to_json()))


def test_pickle(fit, clustered):
    for result in (fit, clustered):
        copy = pickle.loads(pickle.dumps(result))
        assert_same(result, copy)
        new = pd.DataFrame({"stance": [0.0, 1.0], "z": [0.5, -1.0], "size": [3.0, 4.0]})
        pd.testing.assert_frame_equal(copy.predict(new), result.predict(new))
        np.testing.assert_array_equal(copy.with_vcov("HC1").covariance, result.with_vcov("HC1").covariance)


def test_a_result_holds_no_data(labelled):
    """Without scores, what is pickled does not grow with the corpus."""
    options = {"surrogates": {"stance": "stance_llm"}, "learner": None, "scores": False}
    small = kt.ols("y ~ stance", labelled, **options)
    large = kt.ols("y ~ stance", pd.concat([labelled] * 20, ignore_index=True), **options)
    assert small.parts is None
    assert len(pickle.dumps(large)) < 1.2 * len(pickle.dumps(small))


def test_frozen(fit):
    with pytest.raises(AttributeError):
        fit.theta = np.zeros(4)
    for name in ("theta", "covariance", "labelling_covariance", "df", "tuning_weight", "r_squared"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(fit, name)[0] = 1.0
    before = fit.theta.copy()
    for handed_out in (fit.coef(), fit.se(), fit.params):
        handed_out.iloc[0] = 99.0
    table = fit.tidy()
    table.iloc[0, 0] = 99.0
    np.testing.assert_array_equal(fit.theta, before)
    np.testing.assert_array_equal(fit.tidy()["Estimate"], before)


# ---- another covariance ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize("estimator", ["dsl", "gold", "surrogate"])
@pytest.mark.filterwarnings("ignore::karat.errors.NotValidWarning")
def test_with_vcov_is_the_fit_made_that_way(kind, estimator, labelled):
    options = {"surrogates": {"stance": "stance_llm"}, "seed": 3, "estimator": estimator, "weights": "weight"}
    first = kt.ols("y ~ stance + z", labelled, vcov="HC1", **options)
    direct = kt.ols("y ~ stance + z", labelled, vcov=kind, **options)
    revised = first.with_vcov(kind)
    np.testing.assert_array_equal(revised.theta, direct.theta)
    np.testing.assert_allclose(revised.covariance, direct.covariance, rtol=1e-9)
    np.testing.assert_allclose(revised.df, direct.df, rtol=1e-9)
    assert revised.vcov_kind == kind
    assert first.vcov_kind == "HC1"


@pytest.mark.parametrize("kind", ["CRV0", "CRV1"])
def test_with_vcov_by_cluster(kind, labelled):
    options = {"surrogates": {"stance": "stance_llm"}, "learner": None, "tuning": "full"}
    plain = kt.ols("y ~ stance + z", labelled, **options)
    direct = kt.ols("y ~ stance + z", labelled, vcov={kind: "author"}, **options)
    revised = plain.with_vcov({kind: labelled["author"]})
    np.testing.assert_allclose(revised.covariance, direct.covariance, rtol=1e-9)
    np.testing.assert_allclose(revised.df, direct.df, rtol=1e-9)
    assert revised.cluster == "author"
    back = direct.with_vcov("HC2")
    np.testing.assert_allclose(back.covariance, plain.with_vcov("HC2").covariance, rtol=1e-9)
    again = direct.with_vcov({"CRV0": "author"})
    assert again.vcov_kind == "CRV0"


def test_cr3_needs_the_clusters_of_the_fit(labelled):
    options = {"surrogates": {"stance": "stance_llm"}, "learner": None}
    jackknife = kt.ols("y ~ stance + z", labelled, vcov={"CRV3": "author"}, **options)
    again = jackknife.with_vcov({"CRV3": "author"})
    np.testing.assert_allclose(again.covariance, jackknife.covariance, rtol=1e-9)
    np.testing.assert_allclose(again.df, jackknife.df, rtol=1e-9)
    with pytest.raises(ArgumentError, match="fit again"):
        jackknife.with_vcov({"CRV3": labelled["region"]})


def test_scores_are_needed(labelled):
    fit = kt.ols("y ~ stance", labelled, surrogates={"stance": "stance_llm"}, learner=None, scores=False)
    with pytest.raises(kt.KaratError, match="scores=True"):
        fit.with_vcov("HC0")


# ---- means and proportions ---------------------------------------------------------------------------------


def test_means_by_group(corpus):
    gold = np.arange(400) % 2 == 0
    frame = corpora.masked(corpus, gold, "y")
    options = {"surrogates": {"y": "y_llm"}, "learner": None, "tuning": None, "vcov": "HC0", "compare": False}
    fit = kt.mean("y", frame, by="region", **options)
    assert fit.names == ("region=east", "region=north", "region=west")
    for j, region in enumerate(("east", "north", "west")):
        here = frame["region"] == region
        w = 2.0
        score = corpus["y_llm"][here] + w * (corpus["y"] - corpus["y_llm"])[here & gold].reindex(
            corpus.index[here]
        ).fillna(0)
        # weights of a unit add up to one, so that the mean divides by the size of the group
        assert fit.theta[j] == pytest.approx(score.mean(), rel=1e-10)
    two = kt.mean("y", frame, by=["region", "vote_llm"], **options)
    assert len(two.names) == 6
    assert two.names[0] == "region=east:vote_llm=0.0"
    whole = kt.mean("y", frame, **options)
    assert whole.names == ("Mean",)
    assert whole.title == "Means"


def test_proportions_stay_within_zero_and_one():
    rng = np.random.default_rng(4)
    n = 400
    frame = pd.DataFrame({"rare": (np.arange(n) % 24 == 7).astype(float), "group": rng.integers(0, 2, n)})
    frame["llm"] = np.where(rng.random(n) < 0.9, frame["rare"], 1 - frame["rare"])
    frame.loc[60:, "rare"] = np.nan
    for seed in range(5):
        mixed = frame.sample(frac=1.0, random_state=seed)
        with pytest.warns(kt.errors.SmallSampleWarning, match="rarest gold class"):
            fit = kt.mean("rare", mixed, surrogates={"rare": "llm"}, by="group", learner="linear", seed=seed)
        assert fit.interval == "beta"
        assert fit.title == "Proportions"
        bounds = fit.confint(0.001).to_numpy()
        assert (bounds >= 0).all()
        assert (bounds <= 1).all()
        assert (bounds[:, 0] <= np.clip(fit.theta, 0, 1)).all()
        assert (bounds[:, 1] >= np.clip(fit.theta, 0, 1)).all()
    assert "Clopper and Pearson" in str(fit.summary())


def test_share_of_a_class_and_groups_that_are_labelled_themselves(corpus):
    """A proportion of one class; a mean by a labelled group uses the probabilities of the class."""
    gold = np.arange(400) % 2 == 0
    frame = corpora.masked(corpus, gold, "topic")
    fit = kt.mean("I(topic == 'war')", frame, surrogates={"topic": "topic_llm"}, learner=None, tuning=None)
    llm, truth = corpus["topic_llm"] == "war", corpus["topic"] == "war"
    expected = (llm + 2.0 * gold * (truth.astype(float) - llm)).mean()
    assert fit.theta[0] == pytest.approx(expected)
    assert fit.interval == "beta"
    by = kt.mean(
        "y", frame, surrogates={"topic": {t: f"p_{t}" for t in corpora.TOPICS}}, by="topic", learner=None, tuning=None
    )
    weight = np.where(gold, 2.0, 0.0)
    for j, topic in enumerate(corpora.TOPICS):
        share = corpus[f"p_{topic}"] + weight * ((corpus["topic"] == topic) - corpus[f"p_{topic}"])
        assert by.theta[j] == pytest.approx((share * corpus["y"]).sum() / share.sum())


def test_coefficients_that_are_no_means_are_not_read_as_means(labelled):
    options = {"surrogates": {"stance": "stance_llm"}, "learner": None, "compare": False, "seed": 1}
    means = kt.mean("stance", labelled, by="author", **options)
    groups = kt.ols("stance ~ 0 + C(author)", labelled, **options).as_means()
    assert groups.names == means.names == means.as_means().names
    assert kt.Result.from_json(means.to_json()).as_means().names == means.names
    for right in ("C(author)", "z", "0 + C(author) + z", "0 + z"):
        with pytest.raises(kt.KaratError, match="are not the means of groups"):
            kt.ols(f"stance ~ {right}", labelled, **options).as_means()
    with pytest.raises(kt.KaratError, match=r"Logistic regression\) are not the means"):
        kt.logit("stance ~ 1", labelled, **options).as_means()
