"""Sums and differences of Results have the covariance of the stacked estimating equations."""

import numpy as np
import pytest

import karat as kt
from karat.errors import ArgumentError

from .. import corpora, oracle

pytestmark = pytest.mark.usefixtures("quiet")  # weight 1 for a labelled covariate costs precision here

OPTIONS = {
    "surrogates": {"y": "y_llm", "stance": "stance_llm"},
    "learner": None,
    "tuning": None,
    "vcov": "HC0",
    "scores": True,
}


@pytest.fixture(scope="module")
def drawn(corpus):
    sample = kt.Bernoulli("pi").draw(corpus, seed=12)
    return sample, corpora.masked(corpus, sample.labelled, "y", "stance")


def units(corpus, sample, columns):
    out = []
    for i, row in enumerate(corpus.to_dict("records")):
        x = np.array([1.0, row["stance"], *[row[c] for c in columns]])
        x_llm = np.array([1.0, row["stance_llm"], *[row[c] for c in columns]])
        gold = (x, row["y"]) if sample.labelled[i] else None
        out.append(oracle.Unit(gold, [(1.0, x_llm, row["y_llm"])], row["pi"], cluster=row["author"]))
    return out


def test_difference_of_a_fit_with_itself(drawn):
    sample, frame = drawn
    fit = kt.ols("y ~ stance + z", frame, design=sample.design, **OPTIONS)
    nothing = fit - fit
    assert not nothing.theta.any()
    np.testing.assert_allclose(nothing.covariance, 0.0, atol=1e-15 * np.abs(fit.covariance).max())
    double = fit + fit
    np.testing.assert_allclose(double.theta, 2 * fit.theta)
    np.testing.assert_allclose(double.covariance, 4 * fit.covariance, rtol=1e-9)
    np.testing.assert_allclose(double.tidy()["Std. Error"], 2 * fit.se())


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("clustered", [False, True])
def test_two_regressions_of_one_sample(corpus, drawn, sign, clustered):
    sample, frame = drawn
    options = OPTIONS | {"vcov": {"CRV0": "author"} if clustered else "HC0", "design": sample.design}
    long = kt.ols("y ~ stance + z + size", frame, **options)
    short = kt.ols("y ~ stance + z", frame, **options)
    found = long + short if sign == 1 else long - short
    a = oracle.solve("ols", units(corpus, sample, ["z", "size"]))
    b = oracle.solve("ols", units(corpus, sample, ["z"]))
    influence = a.influence[:, :3] + sign * b.influence
    expected = oracle.sandwich(units(corpus, sample, ["z"]), influence, clustered)
    assert found.names == ("Intercept", "stance", "z")
    np.testing.assert_allclose(found.theta, a.theta[:3] + sign * b.theta, rtol=1e-9)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-8, atol=1e-13)
    apart = np.sqrt(np.diag(long.covariance)[:3] + np.diag(short.covariance))
    if sign == -1:
        assert (found.tidy()["Std. Error"] < 0.5 * apart)[1:].all()


@pytest.mark.parametrize("vcov", ["HC1", {"CRV1": "author"}])
def test_small_sample_factors_count_the_coefficients_of_the_longer_fit(drawn, vcov):
    """Not the coefficients that both have: the sum with next to nothing would be more precise than the fit itself."""
    sample, frame = drawn

    def difference(vcov):
        options = OPTIONS | {"vcov": vcov, "design": sample.design, "target": "finite"}
        return kt.ols("y ~ stance + z + size", frame, **options) - kt.ols("y ~ stance", frame, **options)

    n, groups = sample.labelling.n_gold, frame.loc[sample.labelled, "author"].nunique()
    factor = n / (n - 4) if vcov == "HC1" else groups / (groups - 1) * (n - 1) / (n - 4)
    np.testing.assert_allclose(difference(vcov).covariance, factor * difference("HC0").covariance, rtol=1e-9)


def test_fixed_size_designs_enter_the_combination(corpus):
    sample = kt.Stratified("region", 120).draw(corpus, seed=2)
    frame = corpora.masked(corpus, sample.labelled, "y", "stance")
    fits = [kt.ols(f, frame, design=sample.design, **OPTIONS) for f in ("y ~ stance + z", "y ~ stance")]
    double = fits[0] + fits[0]
    np.testing.assert_allclose(double.covariance, 4 * fits[0].covariance, rtol=1e-9)
    finite = [kt.ols("y ~ stance + z", frame, design=sample.design, target="finite", **OPTIONS)] * 2
    np.testing.assert_allclose((finite[0] + finite[1]).covariance, 4 * finite[0].covariance, rtol=1e-9)
    with pytest.raises(ArgumentError, match="target"):
        fits[0] - finite[0]


def test_gold_only_and_rectified_can_be_compared(drawn):
    sample, frame = drawn
    fit = kt.ols("y ~ stance + z", frame, design=sample.design, **OPTIONS)
    gold = kt.ols("y ~ stance + z", frame, design=sample.design, estimator="gold", **OPTIONS)
    gap = fit - gold
    np.testing.assert_allclose(gap.theta, fit.theta - gold.theta)
    assert (np.diag(gap.covariance) > 0).all()
    assert (np.abs(gap.theta) < 4 * np.sqrt(np.diag(gap.covariance))).all()


def test_refusals(drawn, corpus):
    sample, frame = drawn
    fit = kt.ols("y ~ stance + z", frame, design=sample.design, **OPTIONS)
    with pytest.raises(ArgumentError, match="int"):
        fit - 3
    with pytest.raises(ArgumentError, match="no coefficient"):
        fit - kt.ols("y ~ 0 + size", frame, design=sample.design, **OPTIONS | {"surrogates": {"y": "y_llm"}})
    clustered = kt.ols("y ~ stance + z", frame, design=sample.design, **OPTIONS | {"vcov": {"CRV0": "author"}})
    with pytest.raises(ArgumentError, match="clusters"):
        fit - clustered
    other = corpora.masked(corpus, ~sample.labelled, "y", "stance")
    with pytest.raises(ArgumentError, match="gold samples or designs"):
        fit - kt.ols("y ~ stance + z", other, design=kt.SimpleRandom(), **OPTIONS)


def test_coefficients_on_different_scales(drawn):
    frame = drawn[1]
    frame = frame.assign(y=(frame["y"] > 0).astype(float).where(frame["y"].notna()), y_llm=(frame["y_llm"] > 0) * 1.0)
    options = OPTIONS | {"design": "pi"}
    fits = {name: getattr(kt, name)("y ~ stance + z", frame, **options) for name in ("ols", "logit", "fractional")}
    for left, right in (("ols", "logit"), ("logit", "ols")):
        with pytest.raises(ArgumentError, match=r"Linear regression: units of the outcome.*fit.slopes\(\)|log odds"):
            fits[left] + fits[right]
    np.testing.assert_allclose((fits["logit"] - fits["fractional"]).theta, 0.0, atol=1e-8)
    huber = kt.huber("y ~ stance + z", frame, scale=1.0, **options)
    assert (huber - fits["ols"]).names == huber.names


def test_other_rows(drawn):
    """Each fit lost one unlabelled row, but not the same one."""
    sample, frame = drawn
    first, second = np.flatnonzero(~sample.labelled[:-1] & ~sample.labelled[1:])[0] + np.arange(2)
    holed = frame.assign(a=frame["z"].mask(np.arange(400) == first), b=frame["z"].mask(np.arange(400) == second))
    one = kt.ols("y ~ stance + a", holed, design="pi", **OPTIONS)
    other = kt.ols("y ~ stance + b", holed, design="pi", **OPTIONS)
    with pytest.raises(ArgumentError, match="different rows"):
        one - other
