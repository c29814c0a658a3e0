"""Several regressions at once: each as by itself, and their covariance that of one stacked estimate."""

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, DesignWarning, FormulaError, KaratError, KaratWarning

from .. import corpora

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")

FRAME = corpora.corpus(700, seed=5).assign(half=lambda d: np.where(d["z"] + 0.4 * d["stance"] > 0.2, "high", "low"))
FRAME["venue"] = np.random.default_rng(6).integers(0, 40, 700)
FRAME["cluster_size"] = FRAME.groupby("author")["author"].transform("size")
DESIGNS = {
    "simple random": kt.SimpleRandom(250),
    "strata": kt.Stratified("region", n=250, allocation="equal"),
    "bernoulli": kt.Bernoulli("pi"),
    "clusters": kt.Clustered("author", n=14),
    "unequal": kt.Unequal("size", n=250),
}
RAW = {"learner": None, "compare": False}


def drawn(kind, seed=1, frame=FRAME):
    if kind == "waves":
        first = kt.Stratified("region", n=120).draw(frame, seed=seed)
        sample = first.next_wave(kt.SimpleRandom(130), frame, seed=seed)
    else:
        sample = DESIGNS[kind].draw(frame, seed=seed)
    return corpora.masked(frame, sample.labelled, "y", "vote", "count", "stance"), sample.design


@pytest.fixture(scope="module")
def simple():
    return drawn("simple random")


def same(one, other):
    for part in ("theta", "covariance", "labelling_covariance", "df", "tuning_weight"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert one.names == other.names
    assert one.seed == other.seed
    assert one.formula == other.formula


@pytest.mark.parametrize(
    ("formula", "split", "more"),
    [
        ("sw(y, size) ~ stance + z", "split", {"seed": 3, "weights": "weight"}),
        ("y ~ stance + sw0(z)", "fsplit", {"seed": None, "cluster": "author"}),
    ],
)
def test_each_is_the_fit_made_by_itself(simple, formula, split, more):
    data, design = simple
    both = {"y": "y_llm", "stance": "stance_llm"}
    given = {"design": design, "learner": "linear", "repeats": 1, "compare": False, **more}
    fits = kt.several(formula, data, surrogates=both, **{split: "half"}, **given)
    assert len(fits) == (4 if split == "split" else 6)
    assert not fits.failed
    for result, outcome, sample in zip(fits.values(), fits.outcomes, fits.samples):
        subset = None if sample == "all" else (FRAME["half"] == sample.removeprefix("half=")).to_numpy()
        labels = both if outcome == "y" else {"stance": "stance_llm"}
        same(result, kt.ols(result.formula, data, surrogates=labels, subset=subset, **given))


@pytest.mark.parametrize("kind", ["simple random", "clusters", "unequal", "waves"])
@pytest.mark.parametrize("vcov", ["HC0", "HC3", {"CRV2": "author"}, {"CRV3": "author"}, {"CRV1": ["author", "venue"]}])
def test_models_of_the_same_rows_as_their_difference(kind, vcov):
    """What the difference of two Results gives: exactly, except where a covariance is made positive semidefinite."""
    data, design = drawn(kind)
    fits = kt.several(
        "y ~ stance + sw0(z)", data, surrogates={"y": "y_llm", "stance": "stance_llm"}, design=design, vcov=vcov, **RAW
    )
    short, long = fits.results
    found, expected = fits.differences("stance"), (short - long).se()["stance"]
    exact = "HC" in vcov or ("CRV1" not in vcov and kind != "unequal")
    assert found.se().iloc[0] == pytest.approx(expected, rel=1e-6 if exact else 0.3)
    assert found.theta[0] == pytest.approx(short.theta[1] - long.theta[1], rel=1e-12)
    np.testing.assert_array_equal(fits.covariance[:2, :2], short.covariance)
    np.testing.assert_array_equal(fits.covariance[2:, 2:], long.covariance)
    assert np.linalg.eigvalsh(fits.covariance)[0] > -1e-9 * fits.covariance.max()


@pytest.mark.parametrize("kind", [*DESIGNS, "waves"])
@pytest.mark.parametrize("target", ["superpopulation", "finite"])
def test_samples_as_one_model_with_interactions(kind, target):
    """With fixed predictions the saturated model has the same coefficients, and HC0 the same covariance."""
    data, design = drawn(kind)
    given = {"surrogates": {"y": "y_llm"}, "design": design, "vcov": "HC0", "tuning": None, "target": target, **RAW}
    fits = kt.several("y ~ z", data, split="half", **given)
    whole = kt.ols("y ~ 0 + C(half) + C(half):z", data, **given)
    order = [0, 2, 1, 3]
    np.testing.assert_allclose(fits.coef().to_numpy(), whole.theta[order], rtol=1e-8)
    np.testing.assert_allclose(fits.covariance, whole.covariance[np.ix_(order, order)], rtol=1e-7, atol=1e-12)
    if kind != "bernoulli":
        assert np.abs(fits.covariance[:2, 2:]).max() > 0


def test_clusters_that_reach_across_samples():
    """Authors wrote texts of both halves, so that halves are not independent; leverage is that of each half."""
    data, design = drawn("bernoulli")
    given = {"surrogates": {"y": "y_llm"}, "design": design, "tuning": None, "estimator": "gold", "compare": False}
    for vcov in ("CRV0", "CRV3"):
        fits = kt.several("y ~ z", data, split="half", vcov={vcov: "author"}, **given)
        whole = kt.ols("y ~ 0 + C(half) + C(half):z", data, vcov={vcov: "author"}, **given)
        order = [0, 2, 1, 3]
        np.testing.assert_allclose(fits.covariance, whole.covariance[np.ix_(order, order)], rtol=1e-6)
        assert np.abs(fits.covariance[:2, 2:]).max() > 0.02 * fits.covariance[:2, :2].max()


def test_covariance_between_samples_over_all_draws():
    """Every simple random sample of a small frame: on average the covariance reported is the true one, between too."""
    y, llm = np.array([1.1, -0.5, 3.0, 2.2, 0.1, 4.0]), np.array([0.7, 0.0, 2.0, 3.5, 0.5, 2.5])
    frame = pd.DataFrame({"y": y, "llm": llm, "part": list("aabbab")})
    thetas, covariances = [], []
    for chosen in itertools.combinations(range(6), 4):
        data = frame.assign(y=frame["y"].where(frame.index.isin(chosen)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KaratWarning)
            fits = kt.several(
                "y ~ 1", data, surrogates={"y": "llm"}, design=kt.SimpleRandom(4), split="part", vcov="HC0",
                target="finite", tuning=None, **RAW,
            )  # fmt: skip
        thetas.append(fits.coef().to_numpy())
        covariances.append(fits.covariance)
    true = np.cov(np.array(thetas).T, ddof=0)
    np.testing.assert_allclose(np.mean(thetas, axis=0), frame.groupby("part")["y"].mean(), rtol=1e-12)
    np.testing.assert_allclose(np.mean(covariances, axis=0), true, rtol=1e-10)
    assert abs(true[0, 1]) > 0.02 * true[0, 0]


def test_rows_that_miss_different_values(simple):
    data, _ = simple
    holes = data.copy()
    holes.loc[::9, "z"] = np.nan
    holes.loc[4::11, "size"] = np.nan
    given = {"surrogates": {"y": "y_llm"}, "design": kt.SimpleRandom(), **RAW}
    fits = kt.several("y ~ sw(z, size, z + size)", holes, **given)
    for name, result in fits.items():
        same(result, kt.ols(name, holes, **given))
    assert len({result.n_units for result in fits.values()}) == 3
    assert np.linalg.eigvalsh(fits.covariance)[0] > -1e-12
    full = kt.several("y ~ sw(z, size, z + size)", data, **given)
    told = [f.contrast("y ~ z: z - y ~ z + size: z")["Std. Error"].iloc[0] for f in (fits, full)]
    assert told[1] < told[0] < 0.7 * fits["y ~ z"].se()["z"]


def test_several_quantiles(simple):
    data, design = simple
    given = {"surrogates": {"y": "y_llm"}, "design": design, **RAW}
    fits = kt.several("y ~ z", data, model="quantile", parameters={"q": [0.25, 0.5, 0.75], "bandwidth": None}, **given)
    assert list(fits) == ["q=0.25", "q=0.5", "q=0.75"]
    for name, q in zip(fits, (0.25, 0.5, 0.75)):
        same(fits[name], kt.quantile("y ~ z", data, q=q, **given))
    expected = (fits[2] - fits[0]).tidy().loc["z", "Std. Error"]
    assert fits.contrast("q=0.75: z - q=0.25: z")["Std. Error"].iloc[0] == pytest.approx(expected, rel=1e-9)
    band, alone = fits.simultaneous(terms=["z"]), fits.confint()
    assert list(band.index) == ["q=0.25: z", "q=0.5: z", "q=0.75: z"]
    assert (band["critical value"] > 1.96).all()
    assert (band["97.5%"] > alone.loc[band.index, "97.5%"]).all()
    assert (band["critical value"] < 2.6).all(), "quantiles of one outcome hang together: less than Bonferroni's"
    with pytest.raises(ArgumentError, match=r"karat\.several"):
        kt.quantile("y ~ z", data, q=[0.25, 0.75], **given)


def test_the_same_coefficient_in_all_fits(simple):
    data, design = simple
    given = {"surrogates": {"vote": "vote_llm"}, "design": design, **RAW}
    fits = kt.several("vote ~ z", data, model="logit", split="region", **given)
    gaps = fits.differences("z", against="region=east")
    assert gaps.names == ("region=north - region=east", "region=west - region=east")
    test = gaps.wald(list(gaps.names))
    direct = fits.wald(["region=north: z = region=east: z", "region=west: z = region=east: z"])
    assert test.df_numerator == 2
    assert test.p_value == pytest.approx(direct.p_value, rel=1e-9)
    assert len(fits.differences("z").names) == 3


def test_different_gold_has_no_joint_covariance(simple):
    data, _ = simple
    other = kt.SimpleRandom(200).draw(FRAME, seed=9)
    data = data.assign(count=FRAME["count"].where(other.labelled))
    fits = kt.several("sw(y, count) ~ z", data, surrogates={"y": "y_llm", "count": "count_llm"}, **RAW)
    with pytest.raises(KaratError, match="y and count rest on different gold rows"):
        fits.joint()
    with pytest.raises(KaratError, match="different gold"):
        fits.differences("z")
    assert fits.se().notna().all()
    assert fits.wald("y: z = 0").df_numerator == 1


def test_scores_that_were_not_kept(simple):
    data, design = simple
    fits = kt.several("y ~ sw(z, size)", data, surrogates={"y": "y_llm"}, design=design, scores=False, **RAW)
    with pytest.raises(KaratError, match="scores=True"):
        fits.joint()
    with pytest.raises(KaratError, match="scores=True"):
        fits.simultaneous()


def test_what_cannot_be_fitted_is_listed(simple):
    data, design = simple
    rare = np.where(data["y"].isna() & (FRAME["z"] > 1.0), "bare", "here")
    given = {"surrogates": {"y": "y_llm"}, "design": design, **RAW}
    with pytest.warns(KaratWarning, match=r"1 of 2 regressions could not be fitted: group=bare: no gold row"):
        fits = kt.several("y ~ z", data.assign(group=rare), split="group", **given)
    assert list(fits) == ["group=here"]
    assert "no gold row" in fits.failed["group=bare"]
    with pytest.raises(ArgumentError, match="could not be fitted: no gold row"):
        fits["group=bare"]
    assert "not fitted, group=bare" in str(fits)
    with pytest.raises(DataError, match="group=bare: no gold row"):
        kt.several("y ~ z", data.assign(group=rare), split="group", subset=rare == "bare", **given)
    with pytest.warns(KaratWarning, match="uses none of"):
        fits = kt.several("size ~ z + sw0(stance)", data, surrogates={"stance": "stance_llm"}, design=design, **RAW)
    assert list(fits) == ["size ~ z + stance"]


def test_rows_without_a_sample_are_told(simple):
    data, design = simple
    given = {"surrogates": {"y": "y_llm"}, "design": design, **RAW}
    given["design"] = kt.SimpleRandom()
    half = FRAME["half"].where(np.arange(700) >= 12)
    with pytest.warns(DesignWarning, match="12 row.s. with 'half' missing"):
        fits = kt.several("y ~ z", data.assign(half=half), split="half", **given)
    assert sum(result.n_units for result in fits.values()) == 688
    ordered = pd.Categorical(FRAME["half"], categories=["low", "none", "high"])
    assert list(kt.several("y ~ z", data.assign(half=ordered), split="half", **given)) == ["half=low", "half=high"]
    number = kt.several(
        "y ~ z", data.assign(half=(FRAME["z"] > 0) + 1.0), split="half", subset=FRAME["size"] > 2, **given
    )
    assert list(number) == ["half=1", "half=2"]
    same(number[1], kt.ols("y ~ z", data, subset=(FRAME["z"] > 0) & (FRAME["size"] > 2), **given))


def test_neither_order_nor_library_matters(simple):
    data, _ = simple
    given = {"surrogates": {"y": "y_llm"}, "design": kt.SimpleRandom(), "learner": "linear", "repeats": 1, "seed": 2}
    fits = kt.several("y ~ sw0(z)", data, split="half", **given)
    order = np.random.default_rng(1).permutation(len(data))
    for other in (data.iloc[order], pl.from_pandas(data, nan_to_null=True)):
        again = kt.several("y ~ sw0(z)", other, split="half", **given)
        assert list(again) == list(fits)
        np.testing.assert_allclose(again.coef(), fits.coef(), rtol=1e-8)
        np.testing.assert_allclose(again.covariance, fits.covariance, rtol=1e-6, atol=1e-12)


def test_a_generator_is_one_seed_for_all(simple):
    data, design = simple
    given = {"surrogates": {"y": "y_llm"}, "design": design, "learner": "linear", "repeats": 1}
    one, other = (
        kt.several(f, data, seed=np.random.default_rng(4), **given) for f in ("y ~ sw(z, size)", "y ~ sw(size, z)")
    )
    np.testing.assert_array_equal(one["y ~ z"].theta, other["y ~ z"].theta)


def test_predictions_and_shown_pass_through(simple):
    data, _ = simple
    shown = data["y"].isna() & (np.arange(700) % 50 == 0)
    given = {"predictions": {"y": "y_llm", "stance": "stance_prob"}, "shown": shown.to_numpy(), "compare": False}
    given |= {"design": kt.SimpleRandom()}
    both = {"y": "y_llm", "stance": "stance_llm"}
    fits = kt.several("sw(y, size) ~ stance", data, surrogates=both, split="half", **given)
    assert len(fits) == 4
    assert not fits.unknown
    assert np.isfinite(fits.covariance).all()


def test_how_it_looks(simple):
    data, design = simple
    given = {"surrogates": {"y": "y_llm"}, "design": design, **RAW}
    fits = kt.several("y ~ z + sw0(size)", data, fsplit="half", **given)
    text = str(fits.summary())
    assert "(1) y ~ z; all" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("Sample", "Units", "Gold"))] == [
        "Sample", "Units", "Gold",
    ]  # fmt: skip
    assert f"({fits[0].se()['z']:.3f})" in text
    assert "<table" in fits._repr_html_()
    assert r"\begin{tabular}" in fits.to_latex()
    assert fits.to_markdown().count("\n") == 10
    assert fits.table(2).frame().shape == (9, 6)
    tidy = fits.tidy()
    assert list(tidy.columns[:5]) == ["Model", "Formula", "Outcome", "Sample", "Coefficient"]
    assert len(tidy) == 15
    assert {"model", "outcome", "sample", "term", "estimate"} <= set(fits.tidy("broom").columns)
    pytest.importorskip("matplotlib").use("Agg")
    axes = fits.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["z", "size"]
    assert len(axes.get_legend().get_texts()) == 6
    again = pickle.loads(pickle.dumps(fits))
    np.testing.assert_array_equal(again.covariance, fits.covariance)
    assert fits["y ~ z; all"] is fits[0]
    assert "y ~ z; all" in fits
    assert "y" not in fits


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "half", "fsplit": "half"}, "both given"),
        ({"split": ["half"]}, "must be the name of a column"),
        ({"split": "hlf"}, "'hlf'"),
        ({"split": "y"}, "known for gold rows only"),
        ({"split": "z"}, "has 700 values"),
        ({"learner": "linaer"}, "linaer"),
        ({"surrogates": {"y": "y_llm", "vote": "vote_llm"}}, "'vote', which no regression"),
        ({"formula": "y ~ csw(z"}, "bracket open"),
        ({"formula": 3}, "formula is a int"),
        ({"formula": "y + vote ~ z"}, "exactly one outcome"),
        ({"parameters": {"q": [0.1]}}, "has none"),
        ({"parameters": {"q": []}}, "0 regressions"),
        ({"vcov": "HC9"}, "HC9"),
    ],
)
def test_bad_input(simple, change, words):
    data, design = simple
    given = {"formula": "y ~ z", "surrogates": {"y": "y_llm"}, "design": design, **change}
    with pytest.raises((ArgumentError, DataError, FormulaError), match=words):
        kt.several(given.pop("formula"), data, **given)


def test_other_doors_say_where_samples_are_split(simple):
    data, _ = simple
    with pytest.raises(ArgumentError, match=r"karat.several\(formula, data, model=..., split=...\)"):
        kt.ols("y ~ z", data, surrogates={"y": "y_llm"}, split="half")
    with pytest.raises(FormulaError, match=r"karat\.several"):
        kt.ols("y ~ csw(z, size)", data, surrogates={"y": "y_llm"})


def test_the_regressions_of_pyfixest():
    """Every row gold: the same formulas, samples, estimates and standard errors as its multiple estimation."""
    pyfixest = pytest.importorskip("pyfixest")
    text = "sw(y, count) ~ size + csw0(z, weight)"
    labels = {"y": "y_llm", "count": "count_llm"}
    fits = kt.several(text, FRAME, surrogates=labels, design=kt.SimpleRandom(), fsplit="region", vcov="HC1", **RAW)
    theirs = pyfixest.feols(text, FRAME, fsplit="region", vcov="hetero").to_list()
    found = sorted(np.round(np.append(fit.coef(), fit.se()), 8).tolist() for fit in theirs)
    own = sorted(np.round(np.append(fit.theta, fit.se()), 8).tolist() for fit in fits.values())
    assert len(own) == 24
    for one, other in zip(own, found):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_samples_of_true_and_false_are_named_so(simple):
    data, design = simple
    fits = kt.several("y ~ z", data.assign(up=data["z"] > 0), surrogates={"y": "y_llm"}, design=design, split="up")
    assert list(fits) == ["up=False", "up=True"]
