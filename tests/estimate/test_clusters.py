"""Few analysis clusters: CRV2 and CRV3, their degrees of freedom, effective clusters, clusters of two ways."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

import karat as kt
from karat.designs import Labelling
from karat.errors import ArgumentError, KaratError, SmallSampleWarning
from karat.estimate.augment import AugmentedSample, Units
from karat.estimate.clusters import add_ways, connected, curvatures_from, ways
from karat.estimate.leverage import Leverage
from karat.estimate.rows import Memory, Rows

from .. import corpora

CLOSE = {"rtol": 1e-8, "atol": 1e-12}
OPTIONS = {"surrogates": {"y": "y_llm"}, "design": 1.0, "compare": False}

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")


@pytest.fixture(scope="module")
def frame():
    """Ten authors of unequal size."""
    out = corpora.corpus(180, seed=53)
    share = np.arange(1, 11) / 55
    out["author"] = np.random.default_rng(5).choice(10, 180, p=share)
    out["y"] += np.random.default_rng(6).standard_normal(10)[out["author"]]
    out["week"] = np.random.default_rng(7).integers(0, 12, 180)
    return out


def fit(frame, formula="y ~ stance + z", **options):
    return kt.ols(formula, frame.assign(stance=frame["stance"]), **OPTIONS | {"cluster": "author"} | options)


def plain(frame, power):
    """Bell and McCaffrey (2002) with matrices of all rows: adjusted design, covariance, and the vectors behind it."""
    x = np.column_stack([np.ones(len(frame)), frame["stance"], frame["z"]]).astype(float)
    y = frame["y"].to_numpy()
    bread = np.linalg.inv(x.T @ x)
    hat = x @ bread @ x.T
    residual = y - hat @ y
    maker = np.eye(len(y)) - hat
    vectors = []
    for c in np.unique(frame["author"]):
        at = np.flatnonzero(frame["author"] == c)
        values, u = np.linalg.eigh(np.eye(len(at)) - hat[np.ix_(at, at)])
        adjust = (u * values**-power) @ u.T
        vectors.append(maker[:, at] @ adjust @ x[at] @ bread)  # (N, p): its product with y is the cluster's influence
    g = len(vectors)
    scale = (g - 1) / g if power == 1 else 1.0
    covariance = scale * sum(np.outer(v.T @ residual, v.T @ residual) for v in vectors)
    return covariance, np.array(vectors), bread


def eta(vectors, rows):
    """Pustejovsky and Tipton's eta: total variance of the q x q matrix under independent, equally noisy errors."""
    w = np.einsum("cnp,qp->cnq", vectors, rows)
    mean = np.einsum("cnq,cnr->qr", w, w)
    values, u = np.linalg.eigh(mean)
    w = w @ (u / np.sqrt(values)) @ u.T
    q = len(rows)
    total = 0.0
    for one in w:
        for other in w:
            p = one.T @ other
            total += np.trace(p) ** 2 + np.trace(p @ p)
    return q * (q + 1) / total


@pytest.mark.parametrize(("kind", "power"), [("CRV2", 0.5), ("CRV3", 1.0)])
def test_against_a_plain_re_implementation(frame, kind, power):
    covariance, vectors, _ = plain(frame, power)
    found = fit(frame, vcov={kind: "author"}, cluster=None)
    np.testing.assert_allclose(found.covariance, covariance, **CLOSE)
    if kind == "CRV2":
        np.testing.assert_allclose(found.df, [eta(vectors, row[None]) for row in np.eye(3)], rtol=1e-8)
        rows = np.array([[0.0, 1, 0], [0, 0, 1]])
        e = eta(vectors, rows)
        gap = rows @ found.theta
        squared = gap @ np.linalg.solve(rows @ covariance @ rows.T, gap)
        test = found.wald(["stance", "z"])
        expected = e * np.minimum(found.df[1:] / [eta(vectors, row[None]) for row in np.eye(3)[1:]], 1).min()
        assert test.df_denominator == pytest.approx(expected - 1)
        assert test.statistic == pytest.approx(squared * (expected - 1) / (2 * expected))
        assert test.p_value == pytest.approx(stats.f.sf(test.statistic, 2, expected - 1))


@pytest.mark.parametrize("q", [1, 2])
def test_cr3_pays_for_its_own_size(frame, q):
    """Under the working model the critical value of CRV2's or CRV3's T squared holds its level alike."""
    _, vectors, bread = plain(frame, 1.0)
    rows = np.eye(3)[3 - q :]
    w = np.einsum("cnp,qp->cnq", vectors, rows)
    mean = 0.9 * np.einsum("cnq,cnr->qr", w, w)
    ratio = np.trace(np.linalg.solve(rows @ bread @ rows.T, mean)) / q
    e = eta(vectors, rows)

    def critical(df):
        return q * df / (df - q + 1) * stats.f.isf(0.05, q, df - q + 1)

    curvature = fit(frame).parts.cluster_curvature.ways[0]
    found = Leverage(curvature, "CRV3").freedom(rows)
    assert ratio > 1
    assert e < found <= 9
    if found < 9:
        assert critical(found) == pytest.approx(critical(e) / ratio)


def test_fixed_effects_of_the_clusters_themselves(frame):
    """A cluster left out takes its own indicator along; other coefficients have the jackknife's variance."""
    found = fit(frame, "y ~ stance + z + C(author)", vcov={"CRV3": "author"}, cluster=None)
    whole = smf.ols("y ~ stance + z + C(author)", frame).fit().params
    gaps = [
        smf.ols("y ~ stance + z + C(author)", frame[frame["author"] != a]).fit().params[["stance", "z"]]
        - whole[["stance", "z"]]
        for a in range(10)
    ]
    at = [found.position(n) for n in ("stance", "z")]
    np.testing.assert_allclose(found.covariance[np.ix_(at, at)], 0.9 * sum(np.outer(g, g) for g in gaps), rtol=1e-7)
    unknown = [n for n in found.names if n not in ("stance", "z")]
    assert found.se()[unknown].isna().all()
    assert "no standard error" in str(found.summary())
    assert np.isfinite(found.wald(["stance", "z"]).p_value)
    assert np.isfinite(found.contrast("stance - z")["Std. Error"]).all()
    assert found.contrast("Intercept")["Std. Error"].isna().all()
    assert np.isfinite(found.simultaneous(draws=200, seed=1)).all(axis=None)
    with pytest.raises(KaratError, match=r"Intercept.*single cluster"):
        found.wald(["Intercept", "z"])
    with pytest.raises(ArgumentError, match="standard error"):
        found.simultaneous(terms=["Intercept"], draws=200)
    again = kt.Result.from_json(found.to_json())
    np.testing.assert_array_equal(again.effective_clusters, found.effective_clusters)
    assert again.se()[unknown].isna().all()


def test_predictions_know_where_no_standard_error_is_known(frame):
    found = fit(frame.assign(only=(frame["author"] == 3) * 1.0), "y ~ z + only")
    new = pd.DataFrame({"z": [0.0, 1.0], "only": [0.0, 1.0]})
    assert found.predict(new)["se"].isna().tolist() == [False, True]


@pytest.mark.parametrize("kind", ["CRV1", "CRV2", "CRV3"])
def test_coefficients_that_few_clusters_carry_are_named(frame, kind):
    """Two treated clusters of ten: 1/2 + 1/2 against eight count as three."""
    even = frame.assign(author=np.arange(180) % 10)
    treated = even.assign(treated=(even["author"] < 2) * 1.0)
    with pytest.warns(SmallSampleWarning, match=r"few clusters carry 'treated' \(3\.1\)"):
        found = fit(treated, "y ~ treated", vcov={kind: "author"}, cluster=None)
    part = np.r_[np.full(2, 1 / 4), np.full(8, 1 / 64)]
    assert found.effective_clusters[1] == pytest.approx(part.sum() ** 2 / (part**2).sum())
    assert "effectively 3.1 to" in str(found.summary())
    single = even.assign(treated=(even["author"] == 2) * 1.0)
    if kind != "CRV1":
        with pytest.warns(SmallSampleWarning, match=r"a single cluster identifies 'treated'"):
            fit(single, "y ~ treated", vcov={kind: "author"}, cluster=None)


def test_equal_clusters_count_in_full():
    equal = Leverage(np.ones((12, 1, 1)), "CRV3")
    assert equal.effective()[0] == pytest.approx(12)
    assert equal.freedom(np.eye(1)) == pytest.approx(11)


def test_too_few_clusters_for_a_joint_test(frame):
    """Four clusters say next to nothing about four coefficients at once, however large the statistic."""
    four = frame.assign(author=np.arange(180) % 4)
    found = fit(four, "y ~ stance + z + size + vote").wald(["stance", "z", "size", "vote"])
    assert found.df_denominator == pytest.approx(1.0, abs=0.5)
    assert found.p_value > 0.01
    labelled = corpora.masked(four, np.arange(180) % 2 == 0, "y")
    options = {"surrogates": {"y": "y_llm"}, "learner": None, "cluster": "author"}
    difference = kt.ols("y ~ stance + z + size + vote", labelled, **options).compare()
    assert difference.difference.df < 2
    assert f"F({difference.difference.rank}, " in str(difference)


def test_units_of_covariates_and_order_of_rows_do_not_matter(frame):
    gold = np.random.default_rng(2).random(180) < 0.5
    labelled = corpora.masked(frame, gold, "stance")
    options = {"surrogates": {"stance": "stance_llm"}, "learner": None, "cluster": "author", "compare": False}
    base = kt.ols("y ~ stance + z", labelled, **options)
    order = np.random.default_rng(1).permutation(180)
    other = kt.ols("y ~ stance + z", labelled.assign(z=labelled["z"] * 1e4).iloc[order], **options)
    np.testing.assert_allclose(other.df, base.df, rtol=1e-7)
    np.testing.assert_allclose(other.effective_clusters, base.effective_clusters, rtol=1e-7)
    np.testing.assert_allclose(other.se() * [1, 1, 1e4], base.se(), rtol=1e-7)
    joint = base.wald(["stance = 0.2", "z = 0"]), other.wald(["stance = 0.2", "z = 0"])
    assert joint[0].p_value == pytest.approx(joint[1].p_value, rel=1e-6)


def test_sums_and_differences_have_the_covariance_of_the_fits(frame):
    found = fit(frame, scores=True)
    np.testing.assert_allclose((found + found).covariance, 4 * found.covariance, rtol=1e-9)
    assert (found - found).tidy()["Estimate"].abs().max() == 0


# ---- two ways of clustering ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["ols", "logit", "poisson"])
@pytest.mark.parametrize("kind", ["CRV0", "CRV1"])
def test_two_ways_as_in_statsmodels(frame, model, kind):
    outcome = {"ols": "y", "logit": "vote", "poisson": "count"}[model]
    groups = frame[["author", "week"]].to_numpy()
    options = {"cov_type": "cluster", "cov_kwds": {"groups": groups, "use_correction": kind == "CRV1"}}
    x = sm.add_constant(frame[["stance", "z"]])
    if model == "ols":
        expected = sm.OLS(frame[outcome], x).fit(**options)
    else:
        kinds = {"logit": sm.Logit, "poisson": sm.Poisson}
        expected = kinds[model](frame[outcome], x).fit(disp=0, method="newton", maxiter=100, **options)
    found = kt.regress(
        f"{outcome} ~ stance + z", frame, model=model, surrogates={outcome: f"{outcome}_llm"}, design=1.0,
        compare=False, vcov={kind: ["author", "week"]},
    )  # fmt: skip
    np.testing.assert_allclose(found.covariance, expected.cov_params(), **CLOSE)
    assert found.cluster == "author and week"


@pytest.mark.parametrize("estimator", ["dsl", "ppi", "gold"])
def test_two_ways_with_labels(frame, estimator):
    """Way by way, as one-way fits have it; the smaller number of clusters counts."""
    labelled = corpora.masked(frame, np.random.default_rng(3).random(180) < 0.6, "y")
    options = {"surrogates": {"y": "y_llm"}, "estimator": estimator, "seed": 1, "folds": np.arange(180) % 2}
    options |= {"learner": "linear"} if estimator == "dsl" else {}
    if estimator != "dsl":
        options.pop("folds")
    pair = labelled["author"].astype(str) + " " + labelled["week"].astype(str)
    base = kt.ols("y ~ z", labelled, vcov="HC0", **options)
    found = {
        name: base.with_vcov({"CRV0": cluster}).covariance
        for name, cluster in {"a": labelled["author"], "b": labelled["week"], "ab": pair}.items()
    }
    both = base.with_vcov({"CRV0": labelled[["author", "week"]]})
    np.testing.assert_allclose(both.covariance, found["a"] + found["b"] - found["ab"], rtol=1e-8)
    assert both.cluster == "author and week"
    assert (both.sampling.clusters, both.vcov_kind) == (10, "CRV0")
    assert (both.df <= base.with_vcov({"CRV0": labelled["author"]}).df * 3).all()


def test_two_ways_as_pyfixest_writes_them(frame):
    options = {"surrogates": {"y": "y_llm"}, "design": 1.0, "compare": False}
    expected = kt.ols("y ~ z", frame, vcov={"CRV1": ["author", "week"]}, **options)
    found = kt.ols("y ~ z", frame, vcov={"CRV1": "author+week"}, **options)
    np.testing.assert_array_equal(found.covariance, expected.covariance)
    odd = kt.ols("y ~ z", frame.rename(columns={"author": "a+b"}), vcov={"CRV1": ["a+b"]}, **options)
    assert odd.cluster == "a+b"


def test_two_ways_by_default(frame):
    labelled = corpora.masked(frame, np.random.default_rng(3).random(180) < 0.6, "y")
    options = {"surrogates": {"y": "y_llm"}, "learner": "linear", "repeats": 1, "seed": 1, "scores": True}
    found = kt.ols("y ~ z", labelled, cluster=["author", "week"], **options)
    author, week = (kt.ols("y ~ z", labelled, cluster=c, estimator="gold", **OPTIONS | {"design": None})
                    for c in ("author", "week"))  # fmt: skip
    gold = kt.ols("y ~ z", labelled, cluster=["author", "week"], estimator="gold", **OPTIONS | {"design": None})
    assert (gold.se() >= np.maximum(author.se(), week.se()) * (1 - 1e-9)).all()
    assert (gold.df <= np.minimum(author.df, week.df) + 1e-9).all()
    for result in (found, gold):
        assert result.vcov_kind == "CRV3"
        assert (result.df < 10).all()
        assert (result.se() > 0).all()
    np.testing.assert_allclose(found.with_vcov({"CRV3": ["author", "week"]}).covariance, found.covariance)
    assert np.isfinite(found.simultaneous(draws=200, seed=1)).all(axis=None)
    assert "author and week" in str(found.summary())
    assert np.isfinite(found.compare().difference.p_value)
    np.testing.assert_allclose((found + found).covariance, 4 * found.covariance, rtol=1e-9)
    arrays = kt.ols("y ~ z", labelled, cluster=labelled[["author", "week"]].to_numpy(), **options)
    np.testing.assert_array_equal(arrays.covariance, found.covariance)


def test_two_ways_that_are_one(frame):
    twice = frame.assign(same=frame["author"])
    one, two = fit(twice), fit(twice, cluster=["author", "same"])
    np.testing.assert_allclose(two.covariance, one.covariance, rtol=1e-9)
    np.testing.assert_allclose(two.df, one.df, rtol=1e-9)


def test_sums_of_ways_are_made_positive_semidefinite():
    first, second, pairs = np.diag([2.0, 1.0]), np.diag([1.0, 1.0]), np.diag([1.5, 2.5])
    signed = [(1.0, first), (1.0, second), (-1.0, pairs)]
    np.testing.assert_allclose(add_ways(signed), np.diag([1.5, 0.0]), atol=1e-12)
    np.testing.assert_allclose(add_ways(signed, largest=True), np.diag([2.0, 1.0]), atol=1e-12)
    codes = np.array([[0, 0], [0, 1], [1, 1]])
    assert [int(c.max()) + 1 for _, c in ways(codes)] == [2, 2, 3]


def test_folds_keep_together_what_hangs_together():
    np.testing.assert_array_equal(connected(np.array([[0, 0], [0, 1], [1, 1], [2, 2]])), [0, 0, 0, 1])
    assert connected(None, None) is None
    frame = corpora.corpus(200, seed=3)
    frame["block"] = np.arange(200) // 4
    frame["pair"] = np.arange(200) // 8
    sample = kt.Clustered("block", 25).draw(frame, seed=1)
    labelled = corpora.masked(frame, sample.labelled, "y")
    options = {"surrogates": {"y": "y_llm"}, "design": sample.design, "learner": "linear", "compare": False}
    split = np.arange(200) % 2
    for cluster in (["pair", "block"], "pair"):
        with pytest.raises(ArgumentError, match="splits a cluster"):
            kt.ols("y ~ z", labelled, cluster=cluster, folds=split, **options)
    # rows of a labelling unit share their draw: an analysis cluster within it must not let a fold split it
    with pytest.raises(ArgumentError, match="splits a cluster"):
        kt.ols("y ~ z", labelled, cluster="author", folds=frame["author"].astype("category").cat.codes % 2, **options)


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (["author", "week", "region"], ["two"]),
        (["author", "author"], ["different"]),
        (["author", "absent"], ["absent"]),
        (np.zeros((180, 3)), ["shape", "two ways"]),
        (["author", "one"], ["single cluster"]),
        ("author + week", ["['author', 'week']"]),
    ],
)
def test_clusters_that_cannot_be_read(frame, cluster, words):
    with pytest.raises(KaratError) as caught:
        fit(frame.assign(one=1), cluster=cluster)
    assert all(word in str(caught.value) for word in words)


def test_memory_is_counted_before_it_is_taken(frame, monkeypatch):
    monkeypatch.setattr("karat.estimate.clusters.MOST_NUMBERS", 50)
    with pytest.raises(ArgumentError, match=r"CRV3.*numbers.*CRV1"):
        fit(frame)


def test_planning_takes_one_way_of_clustering(frame):
    labelled = corpora.masked(frame, np.arange(180) % 2 == 0, "y")
    found = kt.ols("y ~ z", labelled, surrogates={"y": "y_llm"}, learner=None, cluster=["author", "week"], scores=True)
    with pytest.raises(ArgumentError, match=r"author and week.*one of them"):
        kt.plan(found)


def test_curvatures_of_gold_in_their_place_have_all_clusters():
    """Where those of the augmented sample are of no use, clusters without gold are still clusters of the fit."""
    n, cluster = 12, np.repeat([0, 1, 2, 3], 3)
    gold = np.array([0, 1, 6])
    draw = Labelling(np.full(n, 0.25), np.isin(np.arange(n), gold), fixed_size=True)
    units = Units(draw, cluster=cluster)
    rows = Rows(np.ones((n, 1)), np.zeros(n))
    sample = AugmentedSample(rows.take(gold), Memory((rows,)), units)
    estimate = SimpleNamespace(theta=np.zeros(1), noise=None, scores=SimpleNamespace(gold_alone=False))

    def add(total, rows, theta, codes, weight):
        np.add.at(total[:, 0, 0], codes, 1.0 if len(rows.y) == len(gold) else -9.0)

    (found,) = curvatures_from(add, (sample, sample), estimate, "CRV3", "dsl").ways
    np.testing.assert_array_equal(found[:, 0, 0], [2.0, 0.0, 1.0, 0.0])
    totals = np.arange(1.0, 5.0)[:, None]
    adjusted = Leverage(found, "CRV3").adjusted(totals)
    np.testing.assert_allclose(adjusted[[1, 3]], totals[[1, 3]])
    np.testing.assert_allclose(adjusted[[0, 2], 0], [1.0 / (1.0 - 2.0 / 3.0), 3.0 / (1.0 - 1.0 / 3.0)])


@pytest.mark.parametrize(("kind", "alone"), [("CRV3", "HC3"), ("CRV2", "HC2")])
def test_labelling_errors_of_a_finite_corpus_are_left_out_one_by_one_whatever_the_clusters(frame, kind, alone):
    """Clusters have no part in that variance: with CRV3 errors had no correction, and 40 gold rows covered .935."""
    gold = np.random.default_rng(3).choice(len(frame), 40, replace=False)
    seen = frame.assign(y=frame["y"].where(frame.index.isin(gold)))
    options = {"target": "finite", "design": kt.SimpleRandom(40), "learner": None, "tuning": None}
    clustered = fit(seen, vcov={kind: "author"}, cluster=None, **options)
    np.testing.assert_allclose(clustered.se(), fit(seen, vcov=alone, cluster=None, **options).se(), rtol=1e-12)
    both = clustered - fit(seen, "y ~ stance", vcov={kind: "author"}, cluster=None, **options)
    plain_both = fit(seen, vcov=alone, cluster=None, **options) - fit(
        seen, "y ~ stance", vcov=alone, cluster=None, **options
    )
    np.testing.assert_allclose(both.se(), plain_both.se(), rtol=1e-12)


def test_clusters_that_alone_identify_what_they_add_leave_one_degree_of_freedom():
    """Nothing varies over such clusters; their variance is not known, and no figure is divided by it."""
    apart = Leverage(np.stack([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]), "CRV3")
    assert apart.alone.all()
    assert apart.satterthwaite(np.eye(2)) == pytest.approx((1.0, 1.0))
    assert apart.freedom(np.eye(2)[:1]) == pytest.approx(1.0)
