"""Restricted mean regression: against mets, lifelines, least squares, Aalen-Johansen; guards; bad input."""

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.censoring import Cox, Kernel, Strata
from karat.errors import ArgumentError, DataError, PositivityWarning, SolverWarning
from tests.censoring import plain
from tests.censoring.test_weights import GOLDEN as LEADERS
from tests.statistical.rmst import draw

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rmst_mets.json").read_text())
METS = pd.read_csv(Path(__file__).parents[1] / "golden" / "rmst_mets.csv")
COMMON = {"event": "event", "tau": 4.0}


@pytest.fixture(scope="module")
def corpus():
    return draw("stratum", 1200, 400, np.random.default_rng(3))[0]


def full(scenario="stratum", n=500, seed=1):
    return draw(scenario, n, n, np.random.default_rng(seed))[0]


def dsl(data, **options):
    options = {"learner": "linear", "repeats": 1, "seed": 1, "surrogates": {"time": "time_llm"}, **COMMON, **options}
    if options.get("estimator", "dsl") != "dsl":
        options = {k: v for k, v in options.items() if k not in ("learner", "repeats")}
    return kt.rmst(options.pop("formula", "time ~ x1 + x2"), data, **options)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['censoring']}-{c['link']}")
@pytest.mark.parametrize("known", [False, True])
def test_mets(case, known):
    fit = kt.rmst("time ~ x1 + x2", METS, event="status", tau=4.0, censoring=case["censoring"], form="ipcw",
                  link=case["link"], vcov="HC0", known_censoring=known, compare=False)  # fmt: skip
    se = np.array(case["se_known_censoring" if known else "se"])
    if case["link"] == "identity":
        np.testing.assert_allclose(fit.theta, case["coefficients"], rtol=1e-9)
        np.testing.assert_allclose(fit.se(), se, rtol=1e-9)
    else:  # mets stops a thousandth of a standard error before the root; at its own coefficients: test_pseudo
        assert (np.abs(fit.theta - case["coefficients"]) < 1e-3 * se).all()
        np.testing.assert_allclose(fit.se(), se, rtol=2e-5)
        assert fit.moment_norm < 1e-8


@pytest.mark.parametrize("case", LEADERS["cases"], ids=lambda c: f"{c['rows']}-{c['tau']}")
def test_kaplan_meier_means_of_leaders(case):
    c = pd.DataFrame(LEADERS["counts"])
    rows = c.loc[c.index.repeat(c["rows"])].reset_index(drop=True)
    rows = rows if case["rows"] == "all" else rows[rows["democracy"] == case["rows"]].reset_index(drop=True)
    for form in ("ipcw", "pseudo"):
        fit = kt.rmst("duration ~ 1", rows, event="observed", tau=case["tau"], form=form)
        assert fit.theta[0] == pytest.approx(case["restricted_mean"], rel=1e-12 if form == "ipcw" else 1e-10)
        alive = kt.rmst("duration ~ 1", rows, event="observed", tau=case["tau"], form=form, outcome="survival")
        assert alive.theta[0] == pytest.approx(case["survival"], rel=1e-10)


def test_greenwood_on_tied_durations():
    c = pd.DataFrame(LEADERS["counts"])
    rows = c.loc[c.index.repeat(c["rows"])].reset_index(drop=True)
    fit = kt.rmst("duration ~ 1", rows, event="observed", tau=10.0, outcome="survival", form="ipcw", vcov="HC0")
    time, event = rows["duration"].to_numpy(), rows["observed"].to_numpy()
    total = sum(
        d / (y * (y - d))
        for t in np.unique(time[time <= 10])
        for d, y in [(((time == t) & (event == 1)).sum(), (time >= t).sum())]
    )
    assert fit.se().iloc[0] == pytest.approx(fit.theta[0] * np.sqrt(total), rel=2e-3)


def test_pseudo_observations_are_jackknife_values():
    data = full(n=60)
    time, event = data["time"].to_numpy(), data["event"].to_numpy()
    whole = plain.restricted_mean(time, event, np.ones(60), 3.0)
    left = [plain.restricted_mean(time, event, np.arange(60) != i, 3.0) for i in range(60)]
    values = 60 * whole - 59 * np.array(left)
    x = np.column_stack((np.ones(60), data["x1"]))
    want = np.linalg.lstsq(x, values, rcond=None)[0]
    fit = kt.rmst("time ~ x1", data, event="event", tau=3.0, form="pseudo")
    np.testing.assert_allclose(fit.theta, want, atol=0.03)


@pytest.mark.parametrize("estimator", ["dsl", "ppi", "gold", "surrogate"])
@pytest.mark.parametrize("form", ["augmented", "ipcw", "product"])
@pytest.mark.filterwarnings("ignore::karat.errors.NotValidWarning")
def test_without_censoring_it_is_least_squares(corpus, estimator, form):
    data = corpus.assign(event=np.where(corpus["time"].isna(), np.nan, 1.0))
    options = {"estimator": estimator, "seed": 4, "repeats": 2}
    fit = dsl(data, form=form, surrogate_blind_to_censoring=True, learner="auto", **options)
    plain_data = data.assign(time=data["time"].clip(upper=4.0), time_llm=data["time_llm"].clip(upper=4.0))
    want = kt.ols("time ~ x1 + x2", plain_data, surrogates={"time": "time_llm"}, **options)
    np.testing.assert_array_equal(fit.theta, want.theta)
    np.testing.assert_array_equal(fit.covariance, want.covariance)
    np.testing.assert_array_equal(fit.df, want.df)
    assert [c.title for c in fit.comparison.columns] == [c.title for c in want.comparison.columns]


def test_forms_agree_and_naive_answers_do_not(corpus):
    fits = {
        form: dsl(corpus, form=form, censoring="strata(x2)", surrogate_blind_to_censoring=True)
        for form in ("augmented", "product", "ipcw")
    }
    for fit in fits.values():
        assert np.abs((fit.theta - fits["augmented"].theta) / fit.se()).max() < 2.5
    titles = [c.title for c in fits["augmented"].comparison.columns]
    assert titles == ["Surrogate only", "Censored as complete", "Censored dropped", "Gold only", "DSL"]
    naive = dict(zip(titles, fits["augmented"].comparison.columns))
    assert naive["Censored as complete"].theta[0] < fits["augmented"].confint().iloc[0, 0]
    text = str(fits["augmented"].summary())
    assert "Restricted mean duration up to tau = 4" in text
    assert "Kaplan-Meier in 2 strata" in text
    assert "censored before it" in text
    assert "keeps short durations more often" in text
    assert fits["augmented"].se()["x1"] < dsl(corpus, censoring="strata(x2)", estimator="gold").se()["x1"]


def test_naive_columns_are_what_they_say(corpus):
    fit = dsl(corpus, censoring="strata(x2)", vcov="HC0")
    gold = corpus.dropna(subset="time")
    columns = {c.title: c.theta for c in fit.comparison.columns}
    x = np.column_stack((np.ones(len(gold)), gold["x1"], gold["x2"]))
    y = gold["time"].clip(upper=4.0).to_numpy()
    np.testing.assert_allclose(columns["Censored as complete"], np.linalg.lstsq(x, y, rcond=None)[0])
    keep = ((gold["event"] == 1) | (gold["time"] >= 4)).to_numpy()
    np.testing.assert_allclose(columns["Censored dropped"], np.linalg.lstsq(x[keep], y[keep], rcond=None)[0])
    alone = dsl(corpus, censoring="strata(x2)", vcov="HC0", estimator="gold")
    np.testing.assert_allclose(columns["Gold only"], alone.theta)
    found = next(c for c in fit.comparison.columns if c.title == "Gold only")
    np.testing.assert_allclose(found.se, alone.se())


def test_gold_alone_with_product_weights_is_weighted_least_squares():
    data = full()
    w = kt.censoring.weights(data["time"], data["event"], tau=4.0)
    x = np.column_stack((np.ones(len(data)), data["x1"], data["x2"]))
    want = np.linalg.solve((x.T * w.values) @ x, x.T @ (w.values * w.restricted))
    fit = kt.rmst("time ~ x1 + x2", data, form="product", **COMMON)
    np.testing.assert_allclose(fit.theta, want, rtol=1e-10)


def test_double_robustness_with_a_wrong_censoring_model():
    data = full("covariate", 6000, 5)
    right = kt.rmst("time ~ x1 + x2", data, censoring=Kernel("x1"), **COMMON)
    wrong = kt.rmst("time ~ x1 + x2", data, censoring="marginal", **COMMON)
    poor = kt.rmst("time ~ x1 + x2", data, censoring="marginal", form="ipcw", **COMMON)
    assert abs(wrong.theta[1] - right.theta[1]) < 2 * right.se().iloc[1]
    assert abs(poor.theta[1] - right.theta[1]) > 5 * right.se().iloc[1]


@pytest.mark.parametrize("form", ["augmented", "ipcw", "product"])
def test_duplicates_scale_and_order(corpus, form):
    options = {"form": form, "censoring": "strata(x2)", "estimator": "gold", "vcov": "HC0", "design": 400 / 1200}
    base = dsl(corpus, **options)
    order = np.random.default_rng(0).permutation(len(corpus))
    moved = dsl(corpus.iloc[order].reset_index(drop=True), **options)
    np.testing.assert_allclose(moved.theta, base.theta, rtol=1e-9)
    np.testing.assert_allclose(moved.covariance, base.covariance, rtol=1e-8)
    longer = corpus.assign(time=12 * corpus["time"])
    months = dsl(longer, **{**options, "tau": 48.0})
    np.testing.assert_allclose(months.theta, 12 * base.theta, rtol=1e-9)
    np.testing.assert_allclose(months.se(), 12 * base.se(), rtol=1e-9)
    twice = pd.concat([corpus, corpus], ignore_index=True)
    cluster = np.tile(np.arange(len(corpus)), 2)
    double = dsl(twice, **{**options, "vcov": {"CRV0": cluster}})
    # the grid of expected outcomes is made of quantiles, and y stands for y - dN where nothing is tied
    np.testing.assert_allclose(double.theta, base.theta, rtol=1e-9 if form != "augmented" else 2e-3)
    np.testing.assert_allclose(double.se(), base.se(), rtol=3e-2)
    heavy = dsl(corpus, weights=np.full(len(corpus), 3.0), **options)
    np.testing.assert_allclose(heavy.theta, base.theta, rtol=1e-9)
    np.testing.assert_allclose(heavy.covariance, base.covariance, rtol=1e-8)


def test_analysis_weights_and_unequal_probabilities_count_in_the_censoring_model(corpus):
    v = np.where(corpus["x2"] == 1, 2.0, 1.0)
    fit = dsl(corpus, estimator="gold", form="ipcw", weights=v)
    gold = corpus["time"].notna().to_numpy()
    w = kt.censoring.weights(corpus["time"][gold], corpus["event"][gold], tau=4.0, weights=v[gold])
    x = np.column_stack((np.ones(gold.sum()), corpus["x1"][gold], corpus["x2"][gold]))
    want = np.linalg.solve((x.T * v[gold]) @ x, x.T @ (v[gold] * w.values * w.restricted))
    np.testing.assert_allclose(fit.theta, want, rtol=1e-10)
    pi = np.where(corpus["x2"] == 1, 0.5, 0.25)
    rng = np.random.default_rng(0)
    drawn = full(n=1200)
    drawn.loc[rng.uniform(size=1200) > pi, ["time", "event"]] = np.nan
    assert dsl(drawn, design=pi, censoring="strata(x2)").sampling.largest_weight == pytest.approx(4.0)


def test_designs_clusters_and_targets(corpus):
    data = full(n=1200).assign(village=np.arange(1200) // 6)
    drawn = kt.Clustered("village", n=60).draw(data, seed=1)
    fit = dsl(kt.datasets.mask_gold(data, drawn, ["time", "event"]), design=drawn.design, censoring="strata(x2)")
    assert np.isfinite(fit.se()).all()
    drawn = kt.Stratified("x2", n=400).draw(data, seed=1)
    masked = kt.datasets.mask_gold(data, drawn, ["time", "event"])
    by = dsl(masked, design=drawn.design, censoring="strata(x2)", vcov="HC0")
    plain_draw = dsl(masked, censoring="strata(x2)", vcov="HC0")
    np.testing.assert_allclose(by.theta, plain_draw.theta, atol=3 * by.se().max())
    assert not np.allclose(by.se(), plain_draw.se(), rtol=1e-6)
    grouped = dsl(masked, cluster="village", censoring="strata(x2)")
    assert grouped.vcov_kind == "CRV3"
    np.testing.assert_allclose(grouped.theta, plain_draw.theta, atol=by.se().max())
    np.testing.assert_allclose(grouped.se(), plain_draw.se(), rtol=0.2)


def test_unequal_sizes_nonresponse_and_prompts(corpus):
    data = full(n=900)
    data["size"] = np.exp(0.5 * data["x1"])
    drawn = kt.Unequal("size", n=300).draw(data, seed=3)
    masked = kt.datasets.mask_gold(data, drawn, ["time", "event"])
    with pytest.warns(PositivityWarning, match="censored throughout"):
        fit = dsl(masked, design=drawn.design, censoring="strata(x2)")
    whole = kt.rmst("time ~ x1 + x2", data, censoring="strata(x2)", **COMMON)
    assert np.abs((fit.theta - whole.theta) / fit.se()).max() < 3
    drawn = kt.SimpleRandom(n=300).draw(data, seed=2)
    silent = kt.datasets.mask_gold(data, drawn, ["time", "event"])
    silent.loc[np.flatnonzero(drawn.labelled)[::10], ["time", "event"]] = np.nan
    part = dsl(silent, design=drawn.design, nonresponse="ignorable", sampled=drawn.labelled, censoring="strata(x2)")
    assert part.n_gold == 270
    shown = corpus.index < 40
    fit = dsl(corpus, shown=shown, censoring="strata(x2)")
    want = dsl(corpus[~shown].reset_index(drop=True), censoring="strata(x2)")
    assert fit.n_units == want.n_units
    np.testing.assert_allclose(fit.theta, want.theta, atol=0.5 * want.se().max())


def test_with_vcov_is_a_refit(corpus):
    one = dsl(corpus, censoring="strata(x2)", vcov="HC0")
    np.testing.assert_allclose(one.with_vcov("HC3").se(), dsl(corpus, censoring="strata(x2)").se(), rtol=1e-8)


def test_results_behave_as_results(corpus):
    fit = dsl(corpus, link="log", censoring="strata(x2)")
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.theta, fit.theta)
    new = fit.predict(pd.DataFrame({"x1": [0.0, 1.0], "x2": [0, 1]}))
    np.testing.assert_allclose(new["fit"], np.exp([fit.theta[0], fit.theta.sum()]))
    assert fit.wald("x1 = 0").p_value < 0.001
    assert fit.tidy().shape == (3, 6)
    both = dsl(corpus, censoring="strata(x2)") - dsl(corpus, censoring="marginal")
    assert np.isfinite(both.covariance).all()
    assert "log" not in fit.title


def test_survival_beyond_tau(corpus):
    fit = dsl(corpus, outcome="survival", link="logit", censoring="strata(x2)", tau=2.0)
    assert fit.title == "Survival beyond tau = 2"
    flat = dsl(corpus, outcome="survival", censoring="strata(x2)", tau=2.0, formula="time ~ 1")
    assert 0 < flat.theta[0] < 1
    gone = dsl(corpus, outcome="lost", censoring="strata(x2)", formula="time ~ x1", estimator="gold")
    mean = dsl(corpus, outcome="time", censoring="strata(x2)", formula="time ~ x1", estimator="gold")
    np.testing.assert_allclose(gone.theta + mean.theta, [4.0, 0.0], atol=1e-8)
    np.testing.assert_allclose(gone.se(), mean.se(), rtol=1e-6)


def aalen_johansen(time, cause, which, tau):
    """Restricted time lost to a cause: area under its cumulative incidence."""
    lost, survival = 0.0, 1.0
    for t in np.unique(time[cause > 0]):
        if t >= tau:
            break
        risk = (time >= t).sum()
        lost += survival * ((time == t) & (cause == which)).sum() / risk * (tau - t)
        survival *= 1 - ((time == t) & (cause > 0)).sum() / risk
    return lost


def test_time_lost_to_competing_causes():
    rng = np.random.default_rng(4)
    time = np.ceil(10 * rng.exponential(size=(3, 400))).T / 4
    data = pd.DataFrame({"time": time.min(axis=1), "event": time.argmin(axis=1), "x": rng.normal(size=400)})
    for cause in (1, 2):
        fit = kt.rmst("time ~ 1", data, event="event", tau=2.0, outcome="lost", cause=cause, form="ipcw")
        want = aalen_johansen(data["time"].to_numpy(), data["event"].to_numpy(), cause, 2.0)
        assert fit.theta[0] == pytest.approx(want, rel=1e-12)
        smart = kt.rmst("time ~ x", data, event="event", tau=2.0, outcome="lost", cause=cause)
        assert f"lost to cause {cause}" in smart.title
        assert abs(smart.theta[0] - want) < 2 * smart.se().iloc[0]
    hidden = data.assign(guess=data["time"] + 0.1)
    hidden.loc[200:, ["time", "event"]] = np.nan
    fit = kt.rmst("time ~ x", hidden, event="event", tau=2.0, outcome="lost", cause=1, surrogates={"time": "guess"},
                  learner="linear", seed=1)  # fmt: skip
    assert "does not say which cause" in fit.comparison.remark
    for estimator in ("ppi", "surrogate"):
        with pytest.raises(ArgumentError, match="which cause"):
            kt.rmst("time ~ x", hidden, event="event", tau=2.0, outcome="lost", cause=1, surrogates={"time": "guess"},
                    estimator=estimator)  # fmt: skip


def test_labelled_covariates_with_durations_known_for_all():
    data = full(n=900, seed=8)
    rng = np.random.default_rng(2)
    data["x2_llm"] = np.where(rng.uniform(size=900) < 0.85, data["x2"], 1 - data["x2"])
    truth = kt.rmst("time ~ x1 + x2", data, censoring="cox(x1)", **COMMON)
    data["x2"] = data["x2"].astype(float)
    data.loc[rng.permutation(900)[300:], "x2"] = np.nan
    options = {"surrogates": {"x2": "x2_llm"}, "learner": "linear", "repeats": 1, "seed": 1, **COMMON}
    fit = kt.rmst("time ~ x1 + x2", data, censoring="marginal", **options)
    assert fit.n_gold == 300
    assert np.abs((fit.theta - truth.theta) / fit.se()).max() < 3
    gold = kt.rmst(
        "time ~ x1 + x2", data, censoring="marginal", estimator="gold", surrogates=options["surrogates"], **COMMON
    )
    assert fit.se()["x1"] < gold.se()["x1"]
    # with the censoring distribution known, nothing but the outcome is new
    w = kt.censoring.weights(data["time"], data["event"], tau=4.0)
    flat = data.assign(time=w.values * w.restricted, extra=data["time"])
    want = kt.ols("time ~ x1 + x2", flat, surrogates={"x2": "x2_llm"}, estimator="ppi", tuning=None)
    have = kt.rmst("time ~ x1 + x2", data, estimator="ppi", tuning=None, form="ipcw", known_censoring=True,
                   surrogates={"x2": "x2_llm"}, **COMMON)  # fmt: skip
    np.testing.assert_allclose(have.theta, want.theta, rtol=1e-9)
    np.testing.assert_allclose(have.se(), want.se(), rtol=1e-9)
    with pytest.raises(ArgumentError, match="surrogates of the durations"):
        kt.rmst("time ~ x1 + x2", data, form="product", **options)


@pytest.mark.parametrize("form", ["augmented", "ipcw"])
def test_covariates_labelled_everywhere_are_covariates(form):
    data = full(n=400).assign(x2_llm=lambda d: d["x2"])
    options = {"form": form, "censoring": "marginal", "vcov": "HC0", **COMMON}
    fit = kt.rmst("time ~ x1 + x2", data, surrogates={"x2": "x2_llm"}, **options)
    want = kt.rmst("time ~ x1 + x2", data, **options)
    np.testing.assert_allclose(fit.se(), want.se(), rtol=1e-9 if form == "ipcw" else 0.05)
    np.testing.assert_allclose(fit.theta, want.theta, rtol=1e-9 if form == "ipcw" else 0.1)


def test_the_learner_sees_complete_rows_that_stand_for_the_censored(corpus, monkeypatch):
    from karat.regression.durations import rmst as restricted_mean

    seen = {}

    def spy(targets, features, gold, folds, learner, loss, **options):
        seen.update(y=targets[0].values, gold=gold, loss=loss)
        return crossfit(targets, features, gold, folds, learner, loss, **options)

    crossfit = restricted_mean.crossfit
    monkeypatch.setattr(restricted_mean, "crossfit", spy)
    dsl(corpus, censoring="strata(x2)")
    rows = np.flatnonzero((corpus["event"] == 1) | (corpus["time"] >= 4))
    known = corpus.dropna()
    w = kt.censoring.weights(known["time"], known["event"], tau=4.0, censoring="strata", covariates=known["x2"])
    np.testing.assert_array_equal(seen["gold"], rows)
    np.testing.assert_array_equal(seen["y"], np.minimum(corpus["time"].iloc[rows], 4.0))
    np.testing.assert_allclose(seen["loss"], w.values[w.complete] / w.values[w.complete].mean())


def test_guard_on_surrogates_that_saw_the_censoring(corpus):
    with pytest.raises(ArgumentError, match="has then seen the censoring"):
        dsl(corpus, form="product")
    assert dsl(corpus, form="product", estimator="gold").estimator == "gold"
    with pytest.raises(ArgumentError, match="a surrogate of the duration"):
        dsl(corpus, censoring="cox(x1 + time_llm)")
    assert "Cox" in str(dsl(corpus, censoring="cox(x1 + time_llm)", surrogate_blind_to_censoring=True).summary())


def test_rows_without_durations_and_no_surrogates(corpus):
    fit = kt.rmst("time ~ x1 + x2", corpus, censoring="strata(x2)", **COMMON)
    assert fit.n_gold == 400
    assert fit.n_units == 1200
    assert fit.sampling.assumed
    alone = kt.rmst("time ~ x1 + x2", corpus.dropna().reset_index(drop=True), censoring="strata(x2)", **COMMON)
    np.testing.assert_allclose(fit.theta, alone.theta, rtol=1e-9)
    np.testing.assert_allclose(fit.se(), alone.se(), rtol=2e-3)  # n / (n - 1) of a drawn sample
    assert not alone.sampling.assumed


def test_events_as_booleans_with_holes(corpus):
    event = corpus["event"].map({1.0: True, 0.0: False}).astype(object)
    np.testing.assert_array_equal(dsl(corpus.assign(event=event)).theta, dsl(corpus).theta)
    np.testing.assert_array_equal(dsl(corpus, event=corpus["event"].to_numpy()).theta, dsl(corpus).theta)


@pytest.mark.parametrize("censoring", ["cox", "cox(x1 + x2)", Cox("x1"), "kernel(x1)",
                                       Kernel("x1", within="x2", bandwidth=1.0),
                                       Strata("x2"), "logit(x1)", lambda t, v: np.exp(-t / 9)])  # fmt: skip
def test_censoring_models(corpus, censoring):
    fit = dsl(corpus, censoring=censoring)
    assert np.isfinite(fit.se()).all()
    uncounted = "not counted" in str(fit.summary())
    assert uncounted == (not isinstance(censoring, (Kernel, Strata)) and censoring != "kernel(x1)")


def test_tables_of_other_libraries_and_text_strata(corpus):
    named = corpus.assign(x2=np.where(corpus["x2"] == 1, "rural", "town"))
    fit = dsl(named, censoring="strata(x2)")
    same = dsl(pl.from_pandas(named), censoring="strata(x2)")
    np.testing.assert_allclose(same.theta, fit.theta)
    np.testing.assert_allclose(fit.theta[1], dsl(corpus, censoring="strata(x2)").theta[1], rtol=0.2)


def test_horizon_chosen_is_told(corpus):
    assert "chosen" in str(dsl(corpus, tau="auto").summary())


def test_rows_left_out_for_missing_covariates(corpus):
    holes = corpus.assign(x1=corpus["x1"].where(np.arange(1200) % 10 > 0))
    fit = dsl(holes, censoring="strata(x2)")
    want = dsl(holes.dropna(subset="x1").reset_index(drop=True), censoring="strata(x2)")
    assert fit.n_units == want.n_units
    np.testing.assert_allclose(fit.theta, want.theta, rtol=0.1)


def test_contrast_of_groups():
    data = full(n=600).assign(kind=lambda d: np.where(d["x2"] == 1, "rural", "town"))
    out = kt.rmst_contrast("kind", data, time="time", form="ipcw", vcov="HC0", **COMMON)
    means = [
        plain.restricted_mean(g["time"].to_numpy(), g["event"].to_numpy(), np.ones(len(g)), 4.0)
        for _, g in data.groupby("kind")
    ]
    np.testing.assert_allclose(out.means["Estimate"], means, rtol=1e-10)
    assert out.differences.loc["town - rural", "Estimate"] == pytest.approx(means[1] - means[0])
    assert out.ratios.loc["town / rural", "Estimate"] == pytest.approx(means[1] / means[0])
    default = kt.rmst_contrast("kind", data, time="time", vcov="HC0", **COMMON)
    np.testing.assert_allclose(default.means["Estimate"], means, rtol=1e-3)
    np.testing.assert_allclose(default.means["Std. Error"], out.means["Std. Error"], rtol=0.05)
    turned = kt.rmst_contrast("kind", data, time="time", reference="town", **COMMON)
    assert turned.differences.index.tolist() == ["rural - town"]
    assert "Ratios" in str(turned)
    low = out.ratios.iloc[0, 4]
    assert low == pytest.approx(
        np.exp(np.log(means[1] / means[0]) - 1.96 * out.ratios.iloc[0, 1] / (means[1] / means[0])), rel=1e-2
    )
    for bad, error in (({"reference": "sea"}, ArgumentError), ({"link": "log"}, ArgumentError)):
        with pytest.raises(error):
            kt.rmst_contrast("kind", data, time="time", **bad, **COMMON)
    with pytest.raises(DataError, match="single value"):
        kt.rmst_contrast("kind", data.assign(kind="a"), time="time", **COMMON)


def test_dates_to_durations(corpus):
    start = ["2000-01-01", "2001", None, "2003-05", "soon", "2010-01-01", pd.NaT]
    end = ["2001-01-01", "2001-07-02", "2002", None, "2004", "2009-01-01", None]
    found = kt.duration_from_dates(start, end, unit="days")
    np.testing.assert_array_equal(np.isfinite(found.values), [True, True, False, False, False, False, False])
    np.testing.assert_allclose(found.values[:2], [366, 182])
    assert (found.missing, found.unreadable, found.negative) == (3, 1, 1)
    assert "1 ending before" in str(found)
    seen = kt.duration_from_dates(start, end, unit="days", until="2004-05-01")
    np.testing.assert_allclose(seen.values[3], 366)
    np.testing.assert_array_equal(seen.event[:4], [1, 1, np.nan, 0])
    years = kt.duration_from_dates("a", "b", data=pd.DataFrame({"a": [1990.0, np.nan], "b": [1995, 1999]}))
    np.testing.assert_allclose(years.values[0], 5, atol=0.01)
    with pytest.raises(DataError, match="precedes"):
        kt.duration_from_dates(start, end, negative="raise")
    with pytest.raises(ArgumentError, match="one of each"):
        kt.duration_from_dates(start, end[:3])
    for bad in ("soon", pd.NaT):
        with pytest.raises(DataError, match="until"):
            kt.duration_from_dates(start, end, until=bad)
    with pytest.raises(ArgumentError, match="data="):
        kt.duration_from_dates("a", "b")
    with pytest.raises(DataError, match="no row"):
        kt.duration_from_dates(["x"], ["y"])
    day = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.zeros(1200), unit="D")
    read = kt.duration_from_dates(day, day + pd.to_timedelta(365.2425 * corpus["time_llm"], unit="D"))
    folds = np.arange(len(corpus)) % 5  # those made from the data would differ with the last digits of the surrogate
    fit = dsl(corpus.assign(read=np.array(read)), surrogates={"time": "read"}, folds=folds)
    np.testing.assert_allclose(fit.theta, dsl(corpus, folds=folds).theta, atol=1e-4)


BAD = [
    ({"tau": 40.0}, ArgumentError, "beyond the last observed time"),
    ({"tau": -1}, ArgumentError, "tau=-1"),
    ({"form": "ipw"}, ArgumentError, "'augmented'"),
    ({"link": "probit"}, ArgumentError, "link="),
    ({"link": "logit"}, ArgumentError, "outcome='survival'"),
    ({"outcome": "mean"}, ArgumentError, "outcome="),
    ({"cause": 1}, ArgumentError, "outcome='lost'"),
    ({"cause": 5, "outcome": "lost"}, ArgumentError, "never occurs"),
    ({"event": "evnt"}, DataError, "evnt"),
    ({"censoring": "weibull"}, ArgumentError, "not known"),
    ({"censoring": "strata"}, ArgumentError, "strata"),
    ({"censoring": "strata(party)"}, ArgumentError, "party"),
    ({"censoring": "kernel"}, ArgumentError, "Kernel"),
    ({"censoring": "kernel(x1, x2)"}, ArgumentError, "one number"),
    ({"form": "pseudo", "censoring": "strata(x2)"}, ArgumentError, "pseudo-observations"),
    ({"formula": "np.log(time) ~ x1"}, ArgumentError, "untransformed"),
    ({"outcome_model": Cox("x1")}, ArgumentError, "without columns"),
    ({"outcome_model": "kernel"}, ArgumentError, "single covariate"),
    ({"surrogates": None, "estimator": "dsl"}, ArgumentError, "needs surrogates"),
]


@pytest.mark.parametrize(("change", "error", "match"), BAD, ids=[str(c[0])[:40] for c in BAD])
def test_bad_arguments(corpus, change, error, match):
    with pytest.raises(error, match=match):
        dsl(corpus, **change)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.assign(time=-d["time"]), "0 or more"),
        (lambda d: d.assign(event=2 * d["event"]), "event codes"),
        (lambda d: d.assign(event=0 * d["event"]), "all durations are censored"),
        (
            lambda d: d.assign(event=d["event"].where(d.index != d["event"].first_valid_index())),
            "event 'event' is missing",
        ),
        (lambda d: d.assign(time=np.nan), "no row has gold"),
    ],
)
def test_bad_data(corpus, change, match):
    with pytest.raises(DataError, match=match):
        dsl(change(corpus))


def test_positivity_is_told():
    time = np.linspace(0.1, 5, 300)
    data = pd.DataFrame({"time": time, "event": (np.arange(300) % 6 == 0).astype(int), "x": np.tile([0.0, 1, 2], 100)})
    with pytest.warns(PositivityWarning), pytest.warns(SolverWarning, match="Cox model"):
        kt.rmst("time ~ x", data, event="event", tau=4.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PositivityWarning)
        warnings.simplefilter("ignore", SolverWarning)
        kt.rmst("time ~ x", data, event="event", tau=2.0)


def test_naive_answers_that_do_not_exist_are_left_out_with_the_reason(corpus, monkeypatch):
    from karat.regression.durations import fitted as restricted_compare

    def picky(model, sample):
        if sample.gold.share is not None:
            raise kt.errors.SeparationError("separated")
        return honest(model, sample)

    honest = restricted_compare.gold_estimate
    monkeypatch.setattr(restricted_compare, "gold_estimate", picky)
    found = dsl(corpus, censoring="strata(x2)").compare()
    assert [c.title for c in found.columns] == ["Surrogate only", "Censored as complete", "Gold only", "DSL"]
    assert "Censored dropped is not shown: separated" in str(found)


def test_positivity_is_among_the_checks_and_plans_say_what_helps():
    r = np.random.default_rng(2)
    time, censored = r.exponential(3, 300), r.exponential(1.2, 300)
    data = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int), "x": r.normal(size=300)}
    )
    with pytest.warns(PositivityWarning):
        fit = kt.rmst("time ~ x", data, event="event", tau=float(data.time.max()) * 0.9)
    assert "look at: censoring" in str(fit.summary())
    with pytest.raises(ArgumentError, match="plan without data"):
        kt.plan(fit, data)
