"""Degrees of freedom, and covariances that must not go wrong at the edge."""

import numpy as np
import pytest

import karat as kt
from karat.errors import DataError
from karat.estimate.basis import nearest_psd
from karat.estimate.df import kurtosis_df, satterthwaite_df
from karat.estimate.root import newton

from .. import corpora

OPTIONS = {"surrogates": {"y": "y_llm"}, "learner": None, "compare": False, "scores": True}


pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")


@pytest.fixture(scope="module")
def frame():
    return corpora.corpus(300, seed=91)


def variances(fit):
    return np.diag(fit.covariance), np.diag(fit.labelling_covariance)


@pytest.mark.parametrize("tuning", [None, "scalar", "full"])
@pytest.mark.parametrize("design", ["bernoulli", "stratified", "clusters"])
def test_satterthwaite(frame, design, tuning):
    """(V_l + V_p)^2 / (V_l^2 / (n - p - q) + V_p^2 / (N - p)); strata and weights cost, clusters count as clusters."""
    how = {
        "bernoulli": kt.Bernoulli("pi"),
        "stratified": kt.Stratified("region", 120),
        "clusters": kt.Clustered("author", 12),
    }
    sample = how[design].draw(frame, seed=2)
    table = corpora.masked(frame, sample.labelled, "y")
    options = OPTIONS | {"design": sample.design, "tuning": tuning, "df": "satterthwaite"}
    p, q = 2, {None: 0, "scalar": 1, "full": 2}[tuning]
    for vcov in ("HC0", {"CRV0": "author"}):
        fit = kt.ols("y ~ z", table, vcov=vcov, **options)
        total, labelling = variances(fit)
        n = 12 if design == "clusters" else int(sample.labelled.sum())
        gold_clusters = frame.loc[sample.labelled, "author"].nunique()
        strata = {"stratified": 3}.get(design, 1)
        if vcov == "HC0":
            # of a fixed size, the population part too is estimated from the gold rows
            seen = 300 if design == "bernoulli" else int(sample.labelled.sum())
            gold_df, population_df = n - p - q - (strata - 1), seen - p
        else:
            gold_df, population_df = min(n, gold_clusters) - 1 - q - (strata - 1), 25 - 1
        part = np.minimum(labelling, total)
        expected = total**2 / (part**2 / gold_df + (total - part) ** 2 / population_df)
        np.testing.assert_allclose(fit.df, expected, rtol=1e-8)


def test_kurtosis_and_the_default(frame):
    sample = kt.Bernoulli("pi").draw(frame, seed=2)
    table = corpora.masked(frame, sample.labelled, "y")
    fits = {
        df: kt.ols("y ~ z", table, design=sample.design, vcov="HC0", df=df, **OPTIONS)
        for df in ("kurtosis", "satterthwaite", "auto", "normal", 7)
    }
    psi = fits["auto"].parts.scores.influence()
    expected = 3 * (psi**2).sum(0) ** 2 / (psi**4).sum(0) - 1
    np.testing.assert_allclose(fits["kurtosis"].df, expected, rtol=1e-9)
    np.testing.assert_allclose(fits["auto"].df, np.minimum(expected, fits["satterthwaite"].df))
    assert np.isinf(fits["normal"].df).all()
    assert (fits[7].df == 7).all()
    for fit in fits.values():
        np.testing.assert_array_equal(fit.covariance, fits["auto"].covariance)


def test_kurtosis_reacts_to_sparse_weights(frame):
    """The same gold with one row of a hundredfold weight: fewer degrees of freedom."""
    gold = np.arange(300) % 3 == 0
    pi = np.full(300, 1 / 3)
    even = kt.mean("y", corpora.masked(frame, gold, "y"), design=kt.Bernoulli(pi), df="kurtosis", **OPTIONS)
    pi[0] = 0.01
    sparse = kt.mean("y", corpora.masked(frame, gold, "y"), design=kt.Bernoulli(pi), df="kurtosis", **OPTIONS)
    assert sparse.df[0] < 10 < 60 < even.df[0]


def test_numbers_of_freedom():
    psi = np.random.default_rng(0).standard_normal((100_000, 1))
    normal = kurtosis_df((psi**2).sum(0), (psi**4).sum(0))
    assert normal[0] == pytest.approx(100_000, rel=0.05)
    assert kurtosis_df(np.array([0.0]), np.array([0.0]))[0] == np.inf
    np.testing.assert_allclose(satterthwaite_df(np.array([2.0]), np.array([2.0]), np.array([9.0]), 99.0), 9.0)
    np.testing.assert_allclose(satterthwaite_df(np.array([2.0]), np.array([0.0]), np.array([9.0]), 99.0), 99.0)
    assert 9 < satterthwaite_df(np.array([2.0]), np.array([1.0]), np.array([9.0]), 99.0)[0] < 108


def test_finite_target_is_smaller_and_superpopulation_adds_the_rest(frame):
    sample = kt.SimpleRandom(200).draw(frame, seed=2)
    table = corpora.masked(frame, sample.labelled, "y")
    finite, whole = (
        kt.ols("y ~ z", table, design=sample.design, target=t, vcov="HC0", **OPTIONS)
        for t in ("finite", "superpopulation")
    )
    np.testing.assert_array_equal(finite.theta, whole.theta)
    np.testing.assert_array_equal(finite.covariance, whole.labelling_covariance)
    assert (whole.se() > 1.5 * finite.se()).all()
    assert "this corpus" in str(finite.summary())


def test_covariances_are_positive_semidefinite(frame):
    """Few units, fixed-size design, clusters, a surrogate of no use: the difference of parts could go negative."""
    for seed in range(25):
        sample = kt.Stratified("region", 14).draw(frame, seed=seed)
        table = corpora.masked(frame.assign(junk=frame["count_llm"] * 3), sample.labelled, "y")
        fit = kt.ols(
            "y ~ z + size", table, surrogates={"y": "junk"}, learner=None, compare=False, design=sample.design,
            tuning=None, vcov={"CRV0": "author"},
        )  # fmt: skip
        assert np.linalg.eigvalsh(fit.covariance)[0] >= -1e-12 * np.trace(fit.covariance)
        assert (np.diag(fit.covariance) > 0).all()
    broken = np.array([[1.0, 2.0], [2.0, 1.0]])
    mended = nearest_psd(broken, np.eye(2))
    np.testing.assert_allclose(mended, [[1.5, 1.5], [1.5, 1.5]])
    fine = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_array_equal(nearest_psd(fine, fine), fine)
    rounding = np.diag([-1e-34, 1.0])
    np.testing.assert_array_equal(nearest_psd(rounding, rounding), rounding)


def test_rank_is_checked_on_gold_and_named(frame):
    table = corpora.masked(frame.assign(dup=frame["z"] * 3 + 1), np.arange(300) < 100, "y")
    with pytest.raises(DataError, match=r"(dup|z).*combination of the other columns"):
        kt.ols("y ~ z + dup", table, **OPTIONS)
    # nearly, but not quite collinear is the user's business
    near = table.assign(dup=table["z"] + 1e-4 * table["size"])
    assert np.isfinite(kt.ols("y ~ z + dup", near, **OPTIONS).theta).all()


def test_badly_scaled_covariates(frame):
    """Columns twelve orders of magnitude apart are no collinearity."""
    table = corpora.masked(frame, np.arange(300) < 100, "vote")
    options = {"surrogates": {"vote": "vote_llm"}, "learner": None, "compare": False}
    plain = kt.logit("vote ~ z + size", table, **options)
    wild = kt.logit("vote ~ z + size", table.assign(z=table["z"] * 1e6, size=table["size"] * 1e-6), **options)
    np.testing.assert_allclose(wild.theta * [1, 1e6, 1e-6], plain.theta, rtol=1e-5)
    np.testing.assert_allclose(wild.se() * [1, 1e6, 1e-6], plain.se(), rtol=1e-4)


def test_newton():
    root = newton(lambda b: (np.exp(-b) - 0.01, np.diag(np.exp(-b))), np.zeros(1), np.eye(1))
    assert root.converged
    assert root.theta[0] == pytest.approx(np.log(100), rel=1e-10)
    none = newton(lambda b: (np.exp(-b) + 1.0, np.diag(np.exp(-b))), np.zeros(1), np.eye(1))
    assert not none.converged


@pytest.mark.parametrize("cluster", [None, "author"])
def test_a_finite_corpus_has_the_degrees_of_freedom_of_its_labelling_errors(frame, cluster):
    """What outcome and surrogates have in common leaves errors, and so the interval, as they are."""
    options = OPTIONS | {"target": "finite", "tuning": None, "cluster": cluster, "design": kt.SimpleRandom(60)}
    gold = np.random.default_rng(8).choice(len(frame), 60, replace=False)
    seen = corpora.masked(frame, np.isin(np.arange(len(frame)), gold), "y")
    more = 30 * np.random.default_rng(9).standard_normal(len(frame))
    fits = [
        kt.ols("y ~ z", table, **options)
        for table in (seen, seen.assign(y=seen["y"] + more, y_llm=seen["y_llm"] + more))
    ]
    np.testing.assert_allclose(fits[1].df, fits[0].df, rtol=1e-8)
    np.testing.assert_allclose(fits[1].se(), fits[0].se(), rtol=1e-8)
