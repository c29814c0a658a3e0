"""kt.plan: against the fit's own covariance, an independent computation, invariances, and its refusals."""

import functools
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import t

import karat as kt
from karat.errors import ArgumentError, DataError, DesignError, KaratError
from karat.planning.forecast import Learning, variance
from karat.planning.pilot import Profile
from karat.planning.resolve import simple_random
from karat.planning.schemes import IndependentScheme

from .. import corpora

SURROGATES = {"vote": ["vote_prob"]}
FORMULA = "vote ~ z + size"
SAME = Learning(0.0, 1)
QUICK = {"learner": "linear", "repeats": 1}


@pytest.fixture(scope="module")
def frame():
    return corpora.corpus(800, seed=21)


def fit_of(frame, sample, formula=FORMULA, gold="vote", surrogates=None, **options):
    masked = corpora.masked(frame, sample.labelled, gold)
    options = {"seed": 2, "compare": False, "scores": True} | options
    return kt.ols(formula, masked, surrogates=surrogates or SURROGATES, design=sample.design, **options), masked


@pytest.fixture(scope="module")
def pilot(frame):
    return fit_of(frame, kt.SimpleRandom(150).draw(frame, seed=3))


@pytest.fixture(scope="module")
def refitted(pilot):
    return kt.plan(pilot[0], pilot[1], goal={"z": {"half_width": 0.037}}, n=[150, 300, 800], seed=1)


# ---- the variance at the pilot's own size is that of the fit ------------------------------------------------


@pytest.mark.parametrize("vcov", ["HC0", "HC2", "HC3"])
@pytest.mark.parametrize("target", ["superpopulation", "finite"])
@pytest.mark.parametrize("weights", [None, "weight"])
@pytest.mark.filterwarnings("ignore:nearly all gold labels:karat.errors.SmallSampleWarning")
def test_at_the_size_of_a_bernoulli_pilot(frame, vcov, target, weights):
    fit, _ = fit_of(frame, kt.Bernoulli("pi").draw(frame, seed=4), vcov=vcov, target=target, weights=weights)
    profile = Profile.of(fit)
    scheme = IndependentScheme(profile.labelling.probability, "")
    found = variance(profile, scheme, profile.labelling.probability.sum(), 1.0, SAME)
    np.testing.assert_allclose(found.labelling, np.diag(fit.labelling_covariance), rtol=1e-9)
    np.testing.assert_allclose(found.total, np.diag(fit.covariance), rtol=1e-9 if vcov == "HC0" else 0.03)


@pytest.mark.parametrize("design", [kt.SimpleRandom(150), kt.Stratified("region", 150), kt.Clustered("author", 8)])
@pytest.mark.parametrize("cluster", [None, "author"])
@pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")
def test_at_the_size_of_a_fixed_size_pilot(frame, design, cluster):
    vcov = {"CRV1": cluster} if cluster else None
    fit, _ = fit_of(frame, design.draw(frame, seed=5), vcov=vcov, learner=None, tuning=None)
    found = kt.plan(fit).basis
    total = variance(found.profile, found.scheme, fit.n_gold, 1.0, SAME)
    np.testing.assert_allclose(total.labelling, np.diag(fit.labelling_covariance), rtol=0.06)
    if cluster is None or isinstance(design, kt.Clustered):  # pairs within clusters lean on what is usual
        np.testing.assert_allclose(total.total, np.diag(fit.covariance), rtol=0.06)
        np.testing.assert_allclose(total.df, fit.df, rtol=0.5)


def test_against_a_plain_computation(pilot):
    """Outcome surrogate without learner, weight 1, HC0: everything by hand from the rows."""
    _, masked = pilot
    labelled = masked["vote"].notna().to_numpy()
    design = kt.SimpleRandom()
    fit = kt.ols(
        FORMULA, masked, surrogates={"vote": "vote_prob"}, learner=None, tuning=None, vcov="HC0", design=design,
        df="normal", scores=True,
    )  # fmt: skip
    x = np.column_stack([np.ones(len(masked)), masked["z"], masked["size"]])
    inverse = np.linalg.inv(x.T @ x)
    n, big_n, later = labelled.sum(), len(masked), 400
    predicted, gold = masked["vote_prob"].to_numpy(), masked["vote"].to_numpy()[labelled]
    w = big_n / n
    theta = inverse @ (x.T @ predicted + w * x[labelled].T @ (gold - predicted[labelled]))
    m = (x[labelled] @ inverse.T) * (gold - x[labelled] @ theta)[:, None]
    h = (x @ inverse.T) * (predicted - x @ theta)[:, None]
    e = m - h[labelled]
    population = w * (m**2).sum(axis=0)
    centred = (e - e.mean(axis=0)) ** 2  # y - g does not depend on the estimate: no leverage
    expected = population + big_n**2 * (1 / later - 1 / big_n) * centred.sum(axis=0) / (n - 1)
    basis = kt.plan(fit).basis
    found = variance(basis.profile, basis.scheme, later, 1.0, SAME)
    np.testing.assert_allclose(found.total, expected, rtol=1e-8)


# ---- invariances --------------------------------------------------------------------------------------------


def test_variance_falls_with_gold_and_ends_at_the_population_part(pilot):
    basis = kt.plan(pilot[0]).basis
    profile = basis.profile
    values = np.array([variance(profile, basis.scheme, n, 1.0, SAME).total for n in (20, 50, 150, 400, 800)])
    assert (np.diff(values, axis=0) < 0).all()
    np.testing.assert_allclose(values[-1], profile.population.value)


def test_finite_corpus_labelled_throughout_has_no_error(frame):
    fit, _ = fit_of(frame, kt.SimpleRandom(150).draw(frame, seed=3), target="finite")
    plan = kt.plan(fit, goal={"se": 1e-6})
    assert (plan.at(800)[["se", "se_high", "mde"]] == 0).all(axis=None)
    assert all(found.n is not None for found in plan.needed)


def test_larger_corpus(pilot):
    """``Psi_m / N + S_e (1 / n - 1 / N)`` from two sizes foretells a third corpus."""
    basis = kt.plan(pilot[0]).basis
    profile, big_n = basis.profile, 800

    def value(n, ratio):
        return variance(profile, simple_random(big_n), n, ratio, SAME).labelling

    slope = value(200, 1.0) / (1 / 200 - 1 / big_n)
    np.testing.assert_allclose(value(200, 3.0), slope * (1 / 200 - 1 / (3 * big_n)), rtol=2e-3)
    more = variance(profile, simple_random(big_n), 2400, 3.0, SAME).total
    np.testing.assert_allclose(more, profile.population.value / 3, rtol=2e-3)


def test_row_order_and_units_do_not_matter(frame):
    sample = kt.SimpleRandom(150).draw(frame, seed=6)
    plain, _ = fit_of(frame, sample, learner=None)
    order = np.random.default_rng(1).permutation(len(frame))
    turned = frame.iloc[order].reset_index(drop=True)
    turned["size"] = 1000 * turned["size"]
    masked = corpora.masked(turned, sample.labelled[order], "vote")
    other = kt.ols(FORMULA, masked, surrogates=SURROGATES, learner=None, seed=2, scores=True)
    scale = np.array([1.0, 1.0, 1000.0])
    a, b = kt.plan(plain, n=400).at(400), kt.plan(other, n=400).at(400)
    for column in ("se", "se_low", "se_high", "half_width", "mde"):
        np.testing.assert_allclose(a[column], scale * b[column], rtol=1e-7)


def test_contrast_is_a_coefficient_of_another_parametrisation(frame):
    sample = kt.SimpleRandom(200).draw(frame, seed=7)
    frame = frame.assign(total=frame["z"] + frame["size"])
    one, _ = fit_of(frame, sample, "vote ~ z + size", learner=None, tuning=None)
    two, _ = fit_of(frame, sample, "vote ~ total + size", learner=None, tuning=None)  # size's slope is size - z
    a = kt.plan(one, contrasts="size - z", n=300).at(300).loc["size - z"]
    b = kt.plan(two, n=300).at(300).loc["size"]
    np.testing.assert_allclose(a[["se", "half_width"]].astype(float), b[["se", "half_width"]].astype(float), rtol=0.02)


def test_measures_hang_together(refitted):
    row = refitted.at(300).loc["z"]
    quantile = t.ppf(0.975, row["df"])
    np.testing.assert_allclose(row["half_width"], quantile * row["se"])
    np.testing.assert_allclose(row["mde"], (quantile + t.ppf(0.8, row["df"])) * row["se"])
    assert row["se_low"] < row["se"] < row["se_high"]


# ---- goals --------------------------------------------------------------------------------------------------


def test_smallest_n_for_a_target(refitted):
    found = refitted.needed[0]
    assert found.low <= found.n <= found.high
    at, before = (refitted.at(n).loc["z"] for n in (found.n, found.n - 1))
    assert at["half_width"] <= 0.037 < before["half_width"]
    high = refitted.at(found.high).loc["z"]
    assert high["half_width_high"] <= 0.037
    assert refitted.design() == kt.SimpleRandom(found.n)
    assert f"{found.n - 150:,} more than the pilot" in str(refitted)


def test_out_of_reach_is_said_plainly(pilot):
    plan = kt.plan(pilot[0], goal={"z": {"half_width": 1e-4, "se": 0.02}})
    first, second = plan.needed
    assert first.n is None
    assert not first.reachable
    assert second.n is not None
    assert "not reachable even with all 800 rows labelled" in str(plan)
    np.testing.assert_allclose(first.best, plan.at(800).loc["z", "half_width"])
    table = plan.goals()
    assert table["n"].isna().tolist() == [True, False]
    with pytest.raises(ArgumentError, match="give n"):
        plan.design()


def test_goals_for_all(pilot):
    plan = kt.plan(pilot[0], goal={"mde": 0.3})
    assert [n.term for n in plan.needed] == ["z", "size"]


# ---- the interval -------------------------------------------------------------------------------------------


def test_refitting_widens_and_labels_with_certainty_close_the_interval(pilot, refitted):
    plain = kt.plan(pilot[0], n=[150, 300, 800])
    wide = np.log(refitted.at(300)["se_high"] / refitted.at(300)["se_low"])
    narrow = np.log(plain.at(300)["se_high"] / plain.at(300)["se_low"])
    assert (narrow > 0.05).all()
    assert (wide < 4 * narrow).all()
    single = kt.plan(pilot[0], n=300, band="reported").at(300)
    assert (np.log(single["se_high"] / single["se_low"]) > narrow).all()


def test_more_confident_intervals_are_wider(pilot):
    a, b = (kt.plan(pilot[0], n=300, band_alpha=1 - level).at(300) for level in (0.8, 0.95))
    assert (a["se_low"] > b["se_low"]).all()
    assert (a["se_high"] < b["se_high"]).all()


def test_units_that_hardly_reach_a_figure_do_not_decide_its_interval(pilot):
    """A gold unit near the mean of a covariate: the fit without others sees its error through another curvature."""
    fit = kt.logit(FORMULA, pilot[1], surrogates=SURROGATES, seed=2, compare=False)
    figures = kt.plan(fit, pilot[1], n=300, jackknife=10, seed=1).at(300)
    assert (figures["se_high"] / figures["se_low"] < 2).all()  # above 8 for size otherwise


def test_tiny_pilot_with_a_rare_covariate():
    """One rare gold unit: what every unit carries stays sharp, and the plan says what it cannot tell."""
    rng = np.random.default_rng(5)
    rare = (rng.random(2000) < 0.04) * 1.0
    frame = pd.DataFrame({"rare": rare, "z": rng.standard_normal(2000), "score": rng.random(2000)})
    frame["tone"] = (rng.random(2000) < 0.2 + 0.6 * frame["score"]) * 1.0
    for seed in (0, 1):
        sample = kt.SimpleRandom(30).draw(frame, seed=seed)
        masked = corpora.masked(frame, sample.labelled, "tone")
        fit = kt.ols(
            "tone ~ rare + z", masked, surrogates={"tone": "score"}, design=sample.design, seed=seed, **QUICK
        )  # fmt: skip
        assert frame["rare"][sample.labelled].sum() == 1
        plan = kt.plan(fit, masked, n=600, seed=1, **QUICK)
        width = plan.at(600)["se_high"] / plan.at(600)["se_low"]
        assert width["Intercept"] < 12  # above 40 when a single contradiction between two fits decided
        assert (width < 32).all()
        assert plan.at(600).loc["Intercept", "se"] == pytest.approx(0.0202, rel=0.25)  # what fits on 600 report
        assert any("too small to plan" in remark and "rare" in remark for remark in plan.remarks)


# ---- from assumptions ---------------------------------------------------------------------------------------


def test_assumptions_that_hold_foretell_the_fit(frame):
    rng = np.random.default_rng(8)
    frame = frame.assign(vote=np.where(rng.random(800) < 0.8, frame["vote_llm"], 1 - frame["vote_llm"]))
    surrogates = {"vote": ["vote_llm"]}
    plan = kt.plan(FORMULA, frame.drop(columns="vote"), surrogates=surrogates, accuracy=0.8, n=200, seed=1, **QUICK)
    errors = [
        fit_of(frame, kt.SimpleRandom(200).draw(frame, seed=k), surrogates=surrogates, vcov="HC3")[0].se()
        for k in range(8)
    ]
    np.testing.assert_allclose(plan.at(200)["se"], np.mean(errors, axis=0), rtol=0.08)
    assert plan.basis.assumed
    assert "agrees with gold in 80 %" in str(plan)


def test_worse_surrogates_need_more_gold(frame):
    bare = frame.drop(columns="vote")
    se = [
        kt.plan(FORMULA, bare, surrogates={"vote": "vote_llm"}, accuracy=a, n=200, seed=1, **QUICK)
        .at(200)
        .loc["z", "se"]
        for a in (0.95, 0.75)
    ]
    assert se[0] < 0.85 * se[1]
    both = kt.plan(FORMULA, bare, surrogates={"vote": "vote_llm"}, accuracy=(0.75, 0.95), n=200, seed=1, **QUICK).at(
        200
    )
    assert both.loc["z", "se_low"] <= se[0] * 1.03
    assert both.loc["z", "se_high"] >= se[1] * 0.97


@pytest.mark.parametrize("model", ["poisson", "gamma", "fractional", "logit", "negative_binomial"])
def test_outcomes_that_normal_noise_cannot_make_are_refused_in_words(frame, model):
    bare = frame.drop(columns="y").assign(y_llm=np.arange(len(frame)) % 3)
    with pytest.raises(ArgumentError, match=r"'y' of model='\w+' cannot be simulated from r_squared=.*pilot"):
        kt.plan("y ~ z", bare, model=model, surrogates={"y": "y_llm"}, r_squared=0.5, n=200, seed=1, **QUICK)


def test_confusion_matrix_and_r_squared(frame):
    bare = frame.drop(columns=["vote", "y"])
    matrix = [[0.9, 0.1], [0.3, 0.7]]
    text = str(
        kt.plan(FORMULA, bare, surrogates={"vote": "vote_llm"}, confusion={"vote": matrix}, n=200, seed=1, **QUICK)
    )
    assert "confusion matrix" in text
    low, high = (
        kt.plan("y ~ z", bare, surrogates={"y": "y_llm"}, r_squared=r, n=200, seed=1, **QUICK).at(200).loc["z", "se"]
        for r in (0.9, 0.2)
    )
    assert low < 0.8 * high


def test_numeric_gold_on_another_scale_than_its_surrogate(frame):
    """Gold in the data tells the scale; a few values outside the surrogate's are refused; else it is said plainly."""
    options = {"surrogates": {"y": "y_llm"}, "r_squared": 0.6, "n": 200, "seed": 1} | QUICK
    hundredfold = frame.assign(y=50 + 100 * frame["y"])
    known = corpora.masked(hundredfold, np.arange(800) % 4 == 0, "y")
    plan, bare = (kt.plan("y ~ z", data, **options) for data in (known, frame.drop(columns="y")))
    factor = 100 * frame["y"][::4].std() / frame["y_llm"].std(ddof=0)
    np.testing.assert_allclose(plan.at(200)["se"], factor * bare.at(200)["se"], rtol=0.1)
    assert "the gold values there are" in str(plan)
    assert "measured on another scale" in str(bare)
    few = corpora.masked(hundredfold, np.arange(800) < 4, "y")
    with pytest.raises(ArgumentError, match="another scale, and 10 values are needed"):
        kt.plan("y ~ z", few, **options)


# ---- what it gives ------------------------------------------------------------------------------------------


def test_tables_text_html_and_picture(refitted):
    table = refitted.tidy()
    assert len(table) == 3 * 3
    assert table.columns.tolist()[:5] == ["term", "n", "se", "se_low", "se_high"]
    text, html = str(refitted.summary()), refitted.summary()._repr_html_()
    for part in ("Plan of the gold sample", "pilot of 150 gold labels", "z: half-width 0.037 takes", "n = 300"):
        assert part in text
        assert part in html
    axes = refitted.plot("se", terms=["z", "size"], title="curve")
    assert axes.get_title(loc="left") == "curve"
    assert [line.get_text() for line in axes.get_legend().get_texts()] == ["z", "size"]
    assert "150 to 800 gold" in repr(refitted)


def test_pickle(refitted):
    again = pickle.loads(pickle.dumps(refitted))
    np.testing.assert_array_equal(again.at(300)["se"], refitted.at(300)["se"])


def test_polars_and_repeatable(pilot):
    fit, masked = pilot
    a = kt.plan(fit, masked, n=300, jackknife=10, seed=4).at(300)
    b = kt.plan(fit, pl.from_pandas(masked, nan_to_null=True), n=300, jackknife=10, seed=4).at(300)
    np.testing.assert_allclose(a["se_high"], b["se_high"])


def test_rows_left_out_for_missing_values(frame):
    frame = frame.assign(z=frame["z"].where(np.arange(800) % 40 > 0))
    sample = kt.SimpleRandom(150).draw(frame, seed=3)
    masked = corpora.masked(frame, sample.labelled, "vote")
    fit = kt.ols(FORMULA, masked, surrogates=SURROGATES, design=sample.design, seed=2)
    plan = kt.plan(fit, masked, n=300, jackknife=10, seed=1)
    assert plan.basis.most == fit.n_units == 780


def test_means_plan_on_the_scale_of_their_intervals(frame):
    masked = corpora.masked(frame, kt.SimpleRandom(150).draw(frame, seed=3).labelled, "vote")
    fit = kt.mean("vote", masked, surrogates=SURROGATES, seed=1)
    row = kt.plan(fit, n=150).at(150).iloc[0]
    low, high = fit.confint().iloc[0]
    np.testing.assert_allclose(row["half_width"], (high - low) / 2, rtol=0.03)


# ---- clusters -----------------------------------------------------------------------------------------------


@functools.cache
def clustered_draws(seed, n, count):
    """Tables of a corpus, each with the gold of another draw of clusters, and their design."""
    frame = clustered_corpus(seed)
    samples = [kt.Clustered("g", n).draw(frame, seed=100 * n + k) for k in range(count)]
    return [(corpora.masked(frame, sample.labelled, "y"), sample.design) for sample in samples]


def clustered_corpus(seed):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(100), 20)
    z = rng.standard_normal(2000) + 0.5 * rng.standard_normal(100)[g]
    y = 0.3 * z + 0.3 * rng.standard_normal(100)[g] + 0.95 * rng.standard_normal(2000)
    score = y + 0.3 * rng.standard_normal(100)[g] + 0.6 * rng.standard_normal(2000)
    return pd.DataFrame({"y": y, "z": z, "score": score, "g": g})


@pytest.mark.parametrize(("estimator", "vcov"), [("gold", "CRV3"), ("gold", "CRV2"), ("dsl", "CRV3")])
@pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")
def test_planned_and_realised_errors_with_clusters(estimator, vcov):
    """Ten clusters drawn whole foretell forty: what few clusters cost the pilot is not carried over."""
    options = {"vcov": {vcov: "g"}, "estimator": estimator, "scores": True, "compare": False, "seed": 1}
    options |= {"learner": None, "tuning": None} if estimator == "dsl" else {}
    ratios, freedom = [], []
    for seed in (1, 2, 3):
        fits = {}
        for n, count in ((10, 20), (40, 8)):
            fits[n] = [
                kt.ols("y ~ z", masked, surrogates={"y": "score"}, design=design, **options)
                for masked, design in clustered_draws(seed, n, count)
            ]
        planned = [kt.plan(fit, n=800).at(800) for fit in fits[10]]
        reported = np.mean([fit.se() for fit in fits[40]], axis=0)
        ratios.append(np.mean([p["se"] for p in planned], axis=0) / reported)
        freedom.append(np.mean([p["df"] for p in planned], axis=0) / np.mean([fit.df for fit in fits[40]], axis=0))
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1.0, atol=0.12)
    np.testing.assert_allclose(np.mean(freedom, axis=0), 1.0, atol=0.1 if estimator == "gold" else 0.4)


@pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")
def test_few_clusters_by_their_number(frame):
    """A mean over G equal clusters: CRV3 makes G / (G - 1) of its variance, with about G - 1 degrees of freedom."""
    sample = kt.Clustered("author", 8).draw(frame, seed=5)
    fit, _ = fit_of(frame, sample, "vote ~ 1", estimator="gold", vcov={"CRV3": "author"})
    reporting = Profile.of(fit).reporting
    for clusters in (8, 20, 32):
        inflation, most_df = reporting.few_clusters(clusters)
        np.testing.assert_allclose(inflation, 1 + (reporting.inflation - 1) * 7 / (clusters - 1), rtol=0.02)
        np.testing.assert_allclose(most_df, clusters - 1, rtol=0.05)


# ---- other designs ------------------------------------------------------------------------------------------


def test_useless_strata_change_nothing(frame, pilot):
    table = frame.assign(coin=np.random.default_rng(5).integers(2, size=800))
    a = kt.plan(pilot[0], n=300).at(300)
    b = kt.plan(pilot[0], table.assign(vote=pilot[1]["vote"]), design=kt.Stratified("coin"), n=300, jackknife=0).at(300)
    np.testing.assert_allclose(a["se"], b["se"], rtol=0.06)


def test_clusters_drawn_whole_cost_precision(frame, pilot):
    plan = kt.plan(pilot[0], pilot[1], design=kt.Clustered("author"), n=320, jackknife=0)
    assert (plan.at(320)["se"] >= 0.95 * kt.plan(pilot[0], pilot[1], n=320, jackknife=0).at(320)["se"]).all()
    assert plan.design(320) == kt.Clustered("author", 10)


def test_sizes_of_designs(frame, pilot):
    fit, masked = pilot
    given = kt.plan(
        fit, masked, design=kt.Stratified("region"), allocation={"east": 1, "north": 2, "west": 1}, jackknife=0
    )
    assert given.design(200) == kt.Stratified("region", {"east": 50, "north": 100, "west": 50})
    neyman = kt.plan(fit, masked, design=kt.Stratified("region"), allocation="neyman", jackknife=0).design(200)
    assert sum(neyman.n.values()) == 200
    pi = kt.plan(fit, masked, design=kt.Bernoulli("pi"), jackknife=0).design(200).probability
    np.testing.assert_allclose(pi / pi[0], frame["pi"] / frame["pi"][0])
    assert kt.plan(fit, design=kt.Bernoulli(0.5)).design(200).probability == pytest.approx(0.25)


# ---- how a fit is remembered --------------------------------------------------------------------------------


def test_a_fit_remembers_its_arguments_but_not_the_data(pilot):
    fit, masked = pilot
    assert fit.call.arguments["surrogates"] == SURROGATES
    assert fit.call.design == kt.SimpleRandom(150)
    assert fit.call.left_out == ()
    again = pickle.loads(pickle.dumps(fit))
    assert again.call.formula == FORMULA
    arrays = kt.ols(FORMULA, masked, surrogates=SURROGATES, cluster=masked["author"].to_numpy(), seed=1)
    assert arrays.call.left_out == ("cluster",)


# ---- refusals -----------------------------------------------------------------------------------------------

REFUSED = {
    "unknown term": ({"goal": {"war": {"se": 1}}}, "not a coefficient"),
    "unknown measure": ({"goal": {"z": {"width": 1}}}, "must name one or more"),
    "negative target": ({"goal": {"z": {"se": -1}}}, "=-1 .* above 0"),
    "target is a number": ({"goal": 3}, "cannot be read"),
    "too many": ({"n": 801}, "n=801 .* at most 800"),
    "band": ({"band": "wide"}, "choose one of"),
    "power": ({"power": 1.0}, "power=1.0 .* below 1"),
    "band_alpha": ({"band_alpha": 90}, "band_alpha=90 .* below 1"),
    "jackknife": ({"jackknife": 3}, "at least 10"),
    "accuracy": ({"accuracy": 0.8}, "without a pilot"),
    "options": ({"learner": None}, "needs data="),
    "allocation": ({"allocation": "neyman"}, "Stratified"),
    "column": ({"design": kt.Stratified("region")}, "give the pilot's table"),
    "design": ({"design": "simple"}, "give kt.SimpleRandom"),
    "population": ({"population": 20}, "population=20 .* at least"),
    "n is a word": ({"n": "x"}, "n='x' .* whole number"),
    "seed": ({"seed": -1}, "seed=-1"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals(pilot, options, message):
    with pytest.raises(KaratError, match=message):
        kt.plan(pilot[0], **options)


def test_refusals_of_sources_and_data(frame, pilot):
    fit, masked = pilot
    bare = kt.ols(FORMULA, masked, surrogates=SURROGATES, scores=False, seed=1)
    with pytest.raises(KaratError, match="scores=True"):
        kt.plan(bare)
    with pytest.raises(DataError, match="800"):
        kt.plan(fit, masked.iloc[:700])
    with pytest.raises(ArgumentError, match="give a fit, or a formula"):
        kt.plan(3)
    with pytest.raises(ArgumentError, match="nothing is known"):
        kt.plan(FORMULA, frame, surrogates=SURROGATES)
    with pytest.raises(ArgumentError, match="2 to 20"):
        kt.plan("y ~ z", frame, surrogates={"y": "y_llm"}, accuracy=0.8)
    with pytest.raises(ArgumentError, match=r"accuracy=1.2 .* at most 1"):
        kt.plan(FORMULA, frame, surrogates=SURROGATES, accuracy=1.2)
    arrays = kt.ols(FORMULA, masked, surrogates={"vote": masked["vote_prob"].to_numpy()}, seed=1)
    with pytest.raises(ArgumentError, match="surrogates"):
        kt.plan(arrays, masked)
    for other in ({"learner": "forest"}, {"labelled": masked["vote"].notna()}):
        with pytest.raises(ArgumentError, match=f"{next(iter(other))}= is that of the pilot's fit"):
            kt.plan(arrays, masked, surrogates={"vote": masked["vote_prob"].to_numpy()}, **other)
    again = kt.plan(arrays, masked, surrogates={"vote": masked["vote_prob"].to_numpy()}, n=300, jackknife=10, seed=1)
    assert again.basis.replicates
    clustered, _ = fit_of(frame, kt.Clustered("author", 8).draw(frame, seed=5))
    with pytest.raises(DesignError, match="whole clusters"):
        kt.plan(clustered, frame, design=kt.Clustered("region"), jackknife=0)
    with pytest.warns(kt.errors.NotValidWarning):
        alone = kt.ols(FORMULA, masked, surrogates=SURROGATES, estimator="surrogate", scores=True)
    with pytest.raises(ArgumentError, match="surrogates alone"):
        kt.plan(alone)
