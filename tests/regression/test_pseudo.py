"""A corrected outcome in other software: the estimates, and for independent draws the standard errors, of our own."""

import itertools
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.errors import ArgumentError, KaratWarning

from .. import corpora

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")

FRAME = corpora.corpus(900, seed=7)
FRAME["wave"] = np.arange(900) % 4
DESIGNS = {
    "simple random": kt.SimpleRandom(300),
    "bernoulli": kt.Bernoulli("pi"),
    "clusters": kt.Clustered("author", n=12),
}
OWN = {"tuning": None, "vcov": "HC0", "compare": False}


def drawn(kind, *columns):
    sample = DESIGNS[kind].draw(FRAME, seed=3)
    return corpora.masked(FRAME, sample.labelled, *columns), sample.design


@pytest.mark.parametrize("how", [{"learner": None}, {"learner": "linear", "repeats": 1, "seed": 5}])
@pytest.mark.parametrize("label", ["y", "vote"])
def test_ols_of_statsmodels(how, label):
    import statsmodels.formula.api as smf

    data, design = drawn("bernoulli", label)
    given = {"surrogates": {label: f"{label}_llm"}, "design": design, **how}
    ours = kt.ols(f"{label} ~ z + size", data, **given, **OWN)
    star = kt.pseudo_outcome(f"{label} ~ z + size", data, **given)
    theirs = smf.ols("star ~ z + size", data.assign(star=star)).fit(cov_type="HC0")
    np.testing.assert_allclose(theirs.params, ours.theta, rtol=1e-10)
    np.testing.assert_allclose(theirs.bse, ours.se(), rtol=1e-10)
    assert star.attrs["se_ratio"] == pytest.approx(1.0, abs=1e-12)
    clustered = kt.ols(f"{label} ~ z + size", data, **given, **OWN | {"vcov": {"CRV0": "author"}})
    if how["learner"] is None:  # a learner keeps clusters whole in its folds
        found = smf.ols("star ~ z + size", data.assign(star=star)).fit(
            cov_type="cluster", cov_kwds={"groups": data["author"], "use_correction": False}
        )
        np.testing.assert_allclose(found.bse, clustered.se(), rtol=1e-9)


def test_fixed_sizes_are_told():
    """A surrogate that is off by a constant: the mean error is known to the design, and not to other software."""
    import statsmodels.api as sm

    data, design = drawn("simple random", "y")
    data["off"] = data["y_llm"] + 2.0
    given = {"surrogates": {"y": "off"}, "design": design, "learner": None}
    star = kt.pseudo_outcome("y", data, **given)
    ours = kt.ols("y ~ 1", data, **given, **OWN)
    theirs = sm.OLS(star, np.ones(900)).fit(cov_type="HC0")
    assert theirs.params.iloc[0] == pytest.approx(ours.theta[0], rel=1e-10)
    assert theirs.bse.iloc[0] / ours.se().iloc[0] == pytest.approx(star.attrs["se_ratio"], rel=0.1)
    error = (data["y"] - data["off"]).dropna()
    squares, held = ((star - star.mean()) ** 2).sum(), 3.0 * 2.0 * (error**2).sum()
    real = 900**2 * (1 / 300 - 1 / 900) * error.var()
    assert star.attrs["se_ratio"] == pytest.approx(np.sqrt(squares / (squares - held + real)), rel=1e-9)
    assert star.attrs["se_ratio"] > 1.5
    assert "fixed sizes" in star.attrs["note"]


def test_clusters_drawn_whole():
    data, design = drawn("clusters", "y")
    star = kt.pseudo_outcome("y", data, surrogates={"y": "y_llm"}, design=design, learner=None)
    assert "clustered by what was drawn as a whole" in star.attrs["note"]
    assert star.attrs["se_ratio"] == pytest.approx(1.0, abs=0.1)


def test_instruments_over_all_draws():
    """2SLS on the corrected outcome is, on average over every simple random sample, 2SLS on the outcome."""
    frame, rng = pd.DataFrame({"y": [1.1, -0.5, 3.0, 2.2, 0.1, 4.0]}), np.random.default_rng(1)
    frame["llm"] = frame["y"] * 0.7 + np.array([0.1, 0.6, -0.4, 0.2, 0.9, -1.0])
    z, x = np.column_stack([np.ones(6), rng.standard_normal(6)]), np.column_stack([np.ones(6), rng.standard_normal(6)])
    found = []
    for chosen in itertools.combinations(range(6), 3):
        data = frame.assign(y=frame["y"].where(frame.index.isin(chosen)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KaratWarning)
            star = kt.pseudo_outcome("y", data, surrogates={"y": "llm"}, design=kt.SimpleRandom(3), learner=None)
        found.append(np.linalg.solve(z.T @ x, z.T @ star.to_numpy()))
    np.testing.assert_allclose(np.mean(found, axis=0), np.linalg.solve(z.T @ x, z.T @ frame["y"]), rtol=1e-12)


def test_fixed_effects_of_pyfixest():
    pyfixest = pytest.importorskip("pyfixest")
    data, design = drawn("bernoulli", "y")
    given = {"surrogates": {"y": "y_llm"}, "design": design, "learner": None}
    star = kt.pseudo_outcome("y", data, **given)
    theirs = pyfixest.feols("star ~ z | author + wave", data.assign(star=star), vcov="hetero")
    ours = kt.ols("y ~ z + C(author) + C(wave)", data, **given, **OWN)
    assert theirs.coef()["z"] == pytest.approx(ours.coef()["z"], rel=1e-8)
    assert theirs.se()["z"] == pytest.approx(ours.se()["z"], rel=0.03), "apart from its n / (n - k)"


def test_panel_of_linearmodels():
    linearmodels = pytest.importorskip("linearmodels")
    data, design = drawn("bernoulli", "y")
    given = {"surrogates": {"y": "y_llm"}, "design": design, "learner": None}
    star = kt.pseudo_outcome("y", data, **given)
    theirs = linearmodels.IV2SLS(star, data[["z"]].assign(one=1.0), None, None).fit(cov_type="robust", debiased=False)
    ours = kt.ols("y ~ z", data, **given, **OWN)
    np.testing.assert_allclose(theirs.params[["one", "z"]], ours.theta, rtol=1e-9)
    np.testing.assert_allclose(theirs.std_errors[["one", "z"]], ours.se(), rtol=1e-9)


def test_rows_and_libraries():
    data, _ = drawn("simple random", "vote")
    holes = data.assign(z=data["z"].where(np.arange(900) % 30 > 0)).set_index(np.arange(900)[::-1])
    given = {
        "surrogates": {"vote": "vote_llm"},
        "design": kt.SimpleRandom(),
        "learner": "linear",
        "seed": 1,
        "repeats": 1,
    }
    star = kt.pseudo_outcome("vote ~ z", holes, **given)
    assert star.index.equals(holes.index)
    assert (star.isna() == holes["z"].isna()).all()
    other = kt.pseudo_outcome("vote ~ z", pl.from_pandas(holes, nan_to_null=True), **given)
    np.testing.assert_allclose(other, star, rtol=1e-9)
    named = kt.pseudo_outcome("I(vote == 1)", data, **given)
    np.testing.assert_allclose(named, kt.pseudo_outcome("vote", data, **given), rtol=1e-6, atol=1e-6)


def test_refused():
    data, design = drawn("simple random", "y", "stance")
    both = {"y": "y_llm", "stance": "stance_llm"}
    with pytest.raises(ArgumentError, match=r"covariate 'stance' .* is labelled"):
        kt.pseudo_outcome("y ~ stance", data, surrogates=both, design=design)
    with pytest.raises(ArgumentError, match=r"vcov= cannot be set here; it belongs to the regression"):
        kt.pseudo_outcome("y", data, surrogates={"y": "y_llm"}, vcov="HC1")
    with pytest.raises(ArgumentError, match=r"estimator= cannot be set here; learner=None"):
        kt.pseudo_outcome("y", data, surrogates={"y": "y_llm"}, estimator="ppi")
