"""The estimators against the loops of ``tests/oracle.py``."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

import karat as kt

from .. import corpora, oracle

TOPICS = list(corpora.TOPICS)
CLOSE = {"rtol": 1e-8, "atol": 1e-12}


def draw(frame, design, seed=3):
    """A gold sample, and for each row its stratum and the unit it is drawn with."""
    ones = [0] * len(frame)
    if design == "bernoulli":
        return kt.Bernoulli("pi").draw(frame, seed), ones, ones
    if design == "simple":
        return kt.SimpleRandom(len(frame) // 2).draw(frame, seed), ones, ones
    if design == "stratified":
        return kt.Stratified("region", {"east": 25, "north": 24, "west": 21}).draw(frame, seed), frame["region"], ones
    return kt.Clustered("author", 13).draw(frame, seed), ones, frame["author"]


def units_of(frame, sample, stratum, drawn_with, gold_row, predicted_rows, weights=False, offset=None):
    """Units for the oracle; ``gold_row`` and ``predicted_rows`` turn a row of the frame into rows of the regression."""
    out = []
    for i, row in enumerate(frame.to_dict("records")):
        gold = gold_row(row) if sample.labelled[i] else None
        out.append(
            oracle.Unit(
                None if gold is None else (np.array(gold[0], dtype=float), gold[1]),
                [(s, np.array(x, dtype=float), y) for s, x, y in predicted_rows(row)],
                float(sample.probability[i]),
                weight=row["weight"] if weights else 1.0,
                offset=0.0 if offset is None else row[offset],
                stratum=list(stratum)[i],
                drawn_with=list(drawn_with)[i],
                cluster=row["author"],
            )
        )
    return out


def kind_of(design):
    return {"bernoulli": "bernoulli", "clusters": "clusters"}.get(design, "fixed")


def three_classes(row):
    return [(row[f"p_{t}"], [1, t == "law", t == "war", row["z"]]) for t in TOPICS]


# ---- the equation, label by label --------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["ols", "logit", "probit", "poisson"])
@pytest.mark.parametrize("design", ["bernoulli", "stratified"])
def test_moment_is_averaged_over_three_classes(model, design, quiet):
    outcome = {"ols": "y", "logit": "vote", "probit": "vote", "poisson": "count"}[model]
    frame = corpora.corpus(160, seed=21)
    sample, stratum, drawn_with = draw(frame, design)
    units = units_of(
        frame, sample, stratum, drawn_with,
        lambda r: ([1, r["topic"] == "law", r["topic"] == "war", r["z"]], r[outcome]),
        lambda r: [(s, x, r[outcome]) for s, x in three_classes(r)],
    )  # fmt: skip
    expected = oracle.solve(model, units, design=kind_of(design))
    fit = kt.regress(
        f"{outcome} ~ topic + z", corpora.masked(frame, sample.labelled, "topic"), model=model,
        surrogates={"topic": {t: f"p_{t}" for t in TOPICS}},
        design=sample.design, learner=None, tuning=None, vcov="HC0", compare=False,
    )  # fmt: skip
    assert fit.names == ("Intercept", "topic[T.law]", "topic[T.war]", "z")
    np.testing.assert_allclose(fit.theta, expected.theta, **CLOSE)
    np.testing.assert_allclose(fit.covariance, expected.covariance, **CLOSE)
    np.testing.assert_allclose(fit.labelling_covariance, expected.labelling, **CLOSE)


def test_moment_is_averaged_over_pairs_of_classes_and_the_outcome_is_plugged_in(quiet):
    """Two labelled covariates in an interaction, a labelled binary outcome, weights and an offset."""
    frame = corpora.corpus(200, seed=22)
    frame["shift"] = 0.1 * frame["size"]
    sample, stratum, drawn_with = draw(frame, "bernoulli")

    def x(topic, stance, row):
        law, war = float(topic == "law"), float(topic == "war")
        return [1, law, war, stance, row["z"], law * stance, war * stance]

    def predicted(row):
        return [
            (row[f"p_{t}"] * (q if s else 1 - q), x(t, s, row), row["vote_prob"])
            for q in [row["stance_prob"]]
            for t in TOPICS
            for s in (0.0, 1.0)
        ]

    units = units_of(
        frame, sample, stratum, drawn_with, lambda r: (x(r["topic"], r["stance"], r), r["vote"]), predicted,
        weights=True, offset="shift",
    )  # fmt: skip
    expected = oracle.solve("logit", units)
    fit = kt.logit(
        "vote ~ topic * stance + z + offset(shift)", corpora.masked(frame, sample.labelled, "vote", "topic", "stance"),
        surrogates={"vote": "vote_prob", "stance": "stance_prob", "topic": {t: f"p_{t}" for t in TOPICS}},
        design=sample.design, learner=None, tuning=None, vcov="HC0", compare=False, weights="weight",
    )  # fmt: skip
    order = [
        fit.names.index(n)
        for n in (
            "Intercept",
            "topic[T.law]",
            "topic[T.war]",
            "stance",
            "z",
            "topic[T.law]:stance",
            "topic[T.war]:stance",
        )
    ]
    np.testing.assert_allclose(fit.theta[order], expected.theta, **CLOSE)
    np.testing.assert_allclose(fit.covariance[np.ix_(order, order)], expected.covariance, **CLOSE)


def test_plugging_the_expectation_in_is_another_estimator(quiet):
    frame = corpora.corpus(160, seed=21)
    sample, stratum, drawn_with = draw(frame, "bernoulli")
    options = {"design": sample.design, "learner": None, "tuning": None, "vcov": "HC0", "compare": False}
    table = corpora.masked(frame, sample.labelled, "stance")
    units = units_of(
        frame, sample, stratum, drawn_with, lambda r: ([1, r["stance"], r["stance"] * r["z"]], r["y"]),
        lambda r: [(1.0, [1, r["stance_prob"], r["stance_prob"] * r["z"]], r["y"])],
    )  # fmt: skip
    expected = oracle.solve("ols", units)
    plugged = kt.ols(
        "y ~ stance + stance:z", table, surrogates={"stance": "stance_prob"}, imputation="value", **options
    )
    averaged = kt.ols("y ~ stance + stance:z", table, surrogates={"stance": "stance_prob"}, **options)
    np.testing.assert_allclose(plugged.theta, expected.theta, **CLOSE)
    np.testing.assert_allclose(plugged.covariance, expected.covariance, **CLOSE)
    assert np.abs(averaged.theta - plugged.theta).max() > 1e-4


# ---- designs, targets, clusters, tuning --------------------------------------------------------------------


def both_labelled(model, design, *, weights, **options):
    """Outcome and binary covariate labelled: the oracle's units and the fit."""
    outcome, surrogate = {"ols": ("y", "y_llm"), "logit": ("vote", "vote_prob"), "poisson": ("count", "count_llm")}[
        model
    ]
    frame = corpora.corpus(150, seed=23)
    sample, stratum, drawn_with = draw(frame, design)
    units = units_of(
        frame, sample, stratum, drawn_with,
        lambda r: ([1, r["stance"], r["z"]], r[outcome]),
        lambda r: [(1.0, [1, r["stance_llm"], r["z"]], r[surrogate])],
        weights=weights,
    )  # fmt: skip
    fit = kt.regress(
        f"{outcome} ~ stance + z", corpora.masked(frame, sample.labelled, outcome, "stance"), model=model,
        surrogates={outcome: surrogate, "stance": "stance_llm"}, design=sample.design, learner=None, compare=False,
        weights="weight" if weights else None, **options,
    )  # fmt: skip
    return units, fit


@pytest.mark.parametrize("target", ["superpopulation", "finite"])
@pytest.mark.parametrize("design", ["bernoulli", "simple", "stratified", "clusters"])
@pytest.mark.parametrize("clustered", [False, True])
def test_covariance_follows_the_design(design, target, clustered, quiet):
    vcov = {"CRV0": "author"} if clustered else "HC0"
    units, fit = both_labelled("ols", design, weights=True, tuning=None, target=target, vcov=vcov)
    expected = oracle.solve("ols", units, design=kind_of(design), target=target, clustered=clustered)
    np.testing.assert_allclose(fit.theta, expected.theta, **CLOSE)
    np.testing.assert_allclose(fit.labelling_covariance, expected.labelling, **CLOSE)
    np.testing.assert_allclose(fit.covariance, expected.covariance, **CLOSE)


@pytest.mark.parametrize("tuning", ["scalar", "coefficient", "full"])
@pytest.mark.parametrize("design", ["bernoulli", "simple", "stratified", "clusters"])
def test_tuning_follows_the_formulas(design, tuning, quiet):
    units, fit = both_labelled("ols", design, weights=False, tuning=tuning, vcov="HC0")
    expected = oracle.solve("ols", units, design=kind_of(design), tuning=tuning)
    np.testing.assert_allclose(fit.lambda_matrix, expected.mixing, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fit.theta, expected.theta, **CLOSE)
    np.testing.assert_allclose(fit.covariance, expected.covariance, **CLOSE)


@pytest.mark.parametrize("tuning", ["scalar", "coefficient", "full"])
@pytest.mark.parametrize("model", ["logit", "poisson"])
def test_tuning_of_curved_models(model, tuning, quiet):
    units, fit = both_labelled(model, "bernoulli", weights=True, tuning=tuning, vcov="HC0")
    expected = oracle.solve(model, units, tuning=tuning)
    np.testing.assert_allclose(fit.lambda_matrix, expected.mixing, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fit.theta, expected.theta, **CLOSE)
    np.testing.assert_allclose(fit.covariance, expected.covariance, **CLOSE)


def test_tuned_weights_minimise_the_labelling_variance(quiet):
    """Whatever the algebra: per-coefficient weights beat weight 1, and the full matrix beats them."""
    variance = {}
    for tuning in (None, "scalar", "coefficient", "full"):
        units, fit = both_labelled("ols", "bernoulli", weights=False, tuning=tuning, vcov="HC0")
        start, curvature = oracle.root("ols", units, np.eye(3))
        mixing = np.eye(3) if fit.lambda_matrix is None else fit.lambda_matrix
        gold = [u for u in units if u.gold is not None]
        e = np.array(
            [
                oracle.gold_moment("ols", start, u)[0] - mixing @ oracle.predicted_moment("ols", start, u)[0]
                for u in gold
            ]
        )
        e = e @ np.linalg.inv(curvature).T
        variance[tuning] = np.diag(oracle.labelling_cross(units, e, e, "bernoulli"))
    assert variance["scalar"].sum() < variance[None].sum()
    assert variance["coefficient"].sum() < variance["scalar"].sum()
    assert (variance["coefficient"] < variance[None]).all()
    assert (variance["full"] < variance["coefficient"]).all()


def test_auto_tuning_drops_a_useless_surrogate_and_keeps_a_good_one(quiet):
    frame = corpora.corpus(400, seed=25)
    frame["noise"] = np.random.default_rng(1).standard_normal(400) * 5
    sample, *_ = draw(frame, "simple")
    table = corpora.masked(frame, sample.labelled, "y")
    options = {"design": sample.design, "learner": None, "compare": False}
    useless = kt.ols("y ~ z", table, surrogates={"y": "noise"}, **options)
    assert "one" not in useless.choice
    useful = kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, **options)
    assert "gold" not in useful.choice
    assert (useful.r_squared > 0.5).all()
    gold = kt.ols("y ~ z", table, surrogates={"y": "noise"}, estimator="gold", **options)
    assert (useless.se() / gold.se() < 1.05).all()
    assert (useful.se() < gold.se()).all()


def test_anti_aligned_surrogate_gets_a_negative_weight(quiet):
    frame = corpora.corpus(400, seed=25)
    frame["reverse"] = -frame["y_llm"]
    sample, *_ = draw(frame, "simple")
    table = corpora.masked(frame, sample.labelled, "y")
    fit = kt.ols(
        "y ~ 1", table, surrogates={"y": "reverse"}, design=sample.design, learner=None, tuning="scalar", compare=False
    )
    gold = kt.ols("y ~ 1", table, surrogates={"y": "reverse"}, design=sample.design, estimator="gold", compare=False)
    assert fit.tuning_weight[0] < -0.5
    assert fit.se().iloc[0] < gold.se().iloc[0]


@pytest.mark.parametrize("seed", [203, 204])
def test_predictions_learnt_from_the_gold_never_get_a_negative_weight(seed, quiet):
    """A learner without signal repels each unit from its own label; the formula then asks for a weight far below 0."""
    frame = corpora.corpus(300, seed=seed)
    frame["noise"] = np.random.default_rng(seed - 200).standard_normal(300)
    sample = kt.SimpleRandom(100).draw(frame, seed - 200)
    table = corpora.masked(frame, sample.labelled, "y")
    options = {
        "surrogates": {"y": "noise"},
        "design": sample,
        "learner": "linear",
        "seed": seed - 200,
        "compare": False,
    }
    asked = kt.ols("y ~ 1", table, tuning="coefficient", **options)
    assert asked.tuning_weight[0] < -5
    found = kt.ols("y ~ 1", table, **options)
    assert 0 <= found.tuning_weight[0] <= 1
    assert found.se().iloc[0] < 1.02 * asked.se().iloc[0]  # each error with a weight chosen without it: no false gain


# ---- small-sample forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["HC1", "HC2", "HC3"])
def test_small_sample_forms_of_a_rectified_fit(kind, quiet):
    """HC3 leaves units out one by one, HC2 is half of the way; HC1 counts gold and all units."""
    units, fit = both_labelled("ols", "bernoulli", weights=True, tuning=None, vcov=kind)
    plain = oracle.solve("ols", units)
    gold = [i for i, u in enumerate(units) if u.gold is not None]
    if kind == "HC1":
        n, big_n, p = len(gold), len(units), 3
        population = plain.covariance - plain.labelling
        expected = population * big_n / (big_n - p) + plain.labelling * n / (n - p)
    else:
        moment, error = left_out(units, plain, gold)
        if kind == "HC2":
            before = np.array([plain.influence[i] - (units[i].w - 1) * e for i, e in zip(gold, plain.error)])
            moment, error = before * growth(before, moment), plain.error * growth(plain.error, error)
        labelling = oracle.labelling_cross([units[i] for i in gold], error, error, "bernoulli")
        expected = sum(units[i].w * np.outer(m, m) for i, m in zip(gold, moment)) + labelling
    np.testing.assert_allclose(fit.covariance, expected, **CLOSE)


def left_out(units, plain, gold):
    """Moments and errors at the root without the unit, calibrated to the squares expected of all units."""
    inverse, eye = np.linalg.inv(plain.curvature), np.eye(3)
    moment, error = [], []
    for i in gold:
        theta, _ = oracle.root("ols", units[:i] + units[i + 1 :], eye)
        m = oracle.gold_moment("ols", theta, units[i])[0] * units[i].weight
        h = oracle.predicted_moment("ols", theta, units[i])[0] * units[i].weight
        moment.append(inverse @ m)
        error.append(inverse @ (m - h))
    # one predicted row a unit: of an error nothing is expected but x x', of a moment h h' and a multiple of x x'
    h = [u.weight * inverse @ oracle.predicted_moment("ols", plain.theta, u)[0] for u in units]
    x = [u.weight**2 * inverse @ np.outer(u.predicted[0][1], u.predicted[0][1]) @ inverse for u in units]
    m = [inverse @ oracle.gold_moment("ols", plain.theta, units[i])[0] * units[i].weight for i in gold]
    seen = sum(units[i].w * a @ plain.curvature @ a for i, a in zip(gold, m))
    told = sum(units[i].w * h[i] @ plain.curvature @ h[i] for i in gold)
    rest = max(seen - told, 0.1 * seen) / sum(units[i].w * np.trace(plain.curvature @ x[i]) for i in gold)
    out = []
    for part, squares, weight in (
        (moment, [np.outer(a, a) + rest * b for a, b in zip(h, x)], lambda u: 1.0),
        (error, x, lambda u: 1 / u.probability - 1),
    ):
        everyone = sum(weight(u) * s for u, s in zip(units, squares))
        drawn = sum(units[i].w * weight(units[i]) * squares[i] for i in gold)
        out.append(np.array(part) @ np.real(sqrtm(everyone @ np.linalg.inv(drawn))).T)
    return out


def growth(before, after):
    """Root of how much longer each vector has become, in the metric of all of them."""
    metric = np.linalg.inv(before.T @ before)
    size = [np.einsum("ij,jk,ik->i", part, metric, part) for part in (before, after)]
    return (size[1] / size[0])[:, None] ** 0.25


def test_cr1_factors_count_gold_clusters_for_the_labelling_part(quiet):
    units, fit = both_labelled("ols", "bernoulli", weights=False, tuning=None, vcov={"CRV1": "author"})
    plain = oracle.solve("ols", units, clustered=True)
    gold = [u for u in units if u.gold is not None]
    g_all, g_gold = len({u.cluster for u in units}), len({u.cluster for u in gold})
    n, big_n, p = len(gold), len(units), 3
    population = (plain.covariance - plain.labelling) * g_all / (g_all - 1) * (big_n - 1) / (big_n - p)
    labelling = plain.labelling * g_gold / (g_gold - 1) * (n - 1) / (n - p)
    np.testing.assert_allclose(fit.covariance, population + labelling, **CLOSE)


def test_cr3_is_the_jackknife_over_clusters_for_a_linear_model(quiet):
    """Leaving a cluster out of the rectified equation changes theta as CRV3 says."""
    units, fit = both_labelled("ols", "bernoulli", weights=False, tuning=None, vcov={"CRV3": "author"})
    whole, _ = oracle.root("ols", units, np.eye(3))
    clusters = sorted({u.cluster for u in units})
    gaps = [oracle.root("ols", [u for u in units if u.cluster != c], np.eye(3))[0] - whole for c in clusters]
    jackknife = (len(clusters) - 1) / len(clusters) * sum(np.outer(g, g) for g in gaps)
    np.testing.assert_allclose(fit.theta, whole, **CLOSE)
    # the factor (G - 1) / G is for the population part; the labelling part keeps its own, 1 for Bernoulli draws
    spared = fit.labelling_covariance / len(clusters)
    np.testing.assert_allclose(fit.covariance, jackknife + spared, rtol=1e-8, atol=1e-12)


# ---- clusters of two kinds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["superpopulation", "finite"])
@pytest.mark.parametrize("coarser", ["analysis", "labelling"])
def test_labelling_units_and_analysis_clusters_may_differ(coarser, target, quiet):
    """Threads are labelled whole and authors are the clusters of the analysis, or the other way round."""
    frame = corpora.corpus(180, seed=27)
    frame["thread"] = [f"{a} {i % 3}" for i, a in enumerate(frame["author"])]
    labelling, analysis = ("thread", "author") if coarser == "analysis" else ("author", "thread")
    n_units = frame[labelling].nunique()
    sample = kt.Clustered(labelling, n_units // 2).draw(frame, 3)
    units = units_of(
        frame, sample, [0] * 180, frame[labelling], lambda r: ([1, r["z"]], r["y"]),
        lambda r: [(1.0, [1, r["z"]], r["y_llm"])],
    )  # fmt: skip
    for unit, code in zip(units, frame[analysis]):
        unit.cluster = code
    expected = oracle.solve("ols", units, design="clusters", clustered=True, target=target)
    fit = kt.ols(
        "y ~ z", corpora.masked(frame, sample.labelled, "y"), surrogates={"y": "y_llm"}, design=sample.design,
        learner=None, tuning=None, vcov={"CRV0": analysis}, target=target, compare=False,
    )  # fmt: skip
    np.testing.assert_allclose(fit.theta, expected.theta, **CLOSE)
    np.testing.assert_allclose(fit.covariance, expected.covariance, **CLOSE)


# ---- the literature's own formulas -----------------------------------------------------------------------------


def test_scalar_tuning_of_a_mean_is_the_regression_estimator(quiet):
    """Simple random sample: slope of y on the surrogate among gold; PPI++ publishes it times N_u / (N_u + n)."""
    frame = corpora.corpus(200, seed=28)
    sample = kt.SimpleRandom(60).draw(frame, 1)
    fit = kt.mean(
        "y", corpora.masked(frame, sample.labelled, "y"), surrogates={"y": "y_llm"}, design=sample.design, learner=None,
        tuning="scalar", vcov="HC0", target="finite", compare=False,
    )  # fmt: skip
    y, h = frame["y"][sample.labelled], frame["y_llm"][sample.labelled]
    slope = np.cov(y, h)[0, 1] / h.var(ddof=1)
    assert fit.tuning_weight[0] == pytest.approx(slope, rel=1e-10)
    assert fit.theta[0] == pytest.approx(y.mean() - slope * (h.mean() - frame["y_llm"].mean()), rel=1e-10)
    e = y - slope * h
    variance = (1 - 60 / 200) * e.var(ddof=1) / 60
    assert variance <= fit.covariance[0, 0] < 1.1 * variance
    # PPI++ on the unlabelled rows: lambda' = lambda N_u / (N_u + n) gives the same estimate
    unlabelled = frame["y_llm"][~sample.labelled]
    published = slope * len(unlabelled) / len(frame)
    assert fit.theta[0] == pytest.approx(y.mean() - published * (h.mean() - unlabelled.mean()), rel=1e-10)
