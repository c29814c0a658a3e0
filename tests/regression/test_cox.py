"""Cox regression: against statsmodels, against a plain re-implementation, invariances, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import karat as kt

from .plain_cox import Plain

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")


def corpus(n=400, seed=3, digits=None, limit=1.0):
    """Complete durations with an observed and a labelled covariate, a surrogate, strata and late entries."""
    rng = np.random.default_rng(seed)
    x, z = rng.binomial(1, 0.4, n).astype(float), rng.normal(size=n)
    t = rng.exponential(np.exp(-0.7 * x - 0.4 * z))
    c = np.minimum(rng.exponential(2.0, n), limit)
    time = np.minimum(t, c) + 0.02
    if digits is not None:
        time = np.ceil(time * 10**digits) / 10**digits
    data = pd.DataFrame({"time": time, "event": (t <= c).astype(float), "x": x, "z": z})
    data["start"] = np.where(rng.random(n) < 0.3, rng.uniform(0, 0.9, n) * time, 0.0)
    data["party"] = rng.choice(["left", "right", "centre"], n)
    data["team"] = rng.integers(0, 40, n)
    data["llm"] = np.where(rng.random(n) < 0.85, x, 1 - x)
    data["p"] = np.clip(0.2 + 0.6 * data["llm"] + 0.1 * rng.normal(size=n), 0.02, 0.98)
    return data


def fit(data, formula="time ~ x + z", **options):
    options = {"event": "event", "surrogates": {"x": "llm"}, "compare": False, **options}
    return kt.cox(formula, data, **options)


def given(data):
    """Class probabilities from elsewhere."""
    return {"x": np.column_stack([1 - data["p"], data["p"]])}


# ---------------------------------------------------------------- all rows gold


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("more", [{}, {"strata": "party"}, {"entry": "start"}, {"strata": "party", "entry": "start"}])
def test_with_all_rows_gold_it_is_the_regression_of_statsmodels(ties, digits, more):
    from statsmodels.duration.hazard_regression import PHReg

    data = corpus(n=160, digits=digits)
    found = fit(data, ties=ties, vcov="HC0", **more)
    names = {"strata": "strata", "entry": "entry"}
    peer = PHReg(
        data["time"], data[["x", "z"]], status=data["event"], ties=ties,
        **{names[k]: data[v].to_numpy() for k, v in more.items()},
    ).fit()  # fmt: skip
    np.testing.assert_allclose(found.theta, peer.params, atol=1e-8)
    np.testing.assert_allclose(np.linalg.inv(found.parts.curvature), peer.cov_params(), rtol=1e-6)
    if not more and (ties == "breslow" or digits is None):
        residuals = np.nan_to_num(peer.score_residuals)  # missing where a unit is at risk at no event
        robust = peer.cov_params() @ (residuals.T @ residuals) @ peer.cov_params()
        np.testing.assert_allclose(found.covariance, robust, rtol=1e-6)
    plain = Plain(data, np.ones(len(data), dtype=bool), np.ones(len(data)), ties, **more)
    theta = plain.solve("gold")
    np.testing.assert_allclose(found.theta, theta, atol=1e-8)
    m, _, inverse = plain.scores(theta, "gold")
    np.testing.assert_allclose(found.covariance, inverse @ (m.T @ m) @ inverse, rtol=1e-8)


def test_classes_and_interactions_of_labelled_covariates():
    from statsmodels.duration.hazard_regression import PHReg

    data = corpus()
    data["kind"] = np.random.default_rng(0).choice(list("abc"), len(data))
    found = fit(data.assign(told=data["kind"]), "time ~ kind * z", surrogates={"kind": "told"})
    assert found.names == ("kind[T.b]", "kind[T.c]", "z", "kind[T.b]:z", "kind[T.c]:z")
    b, c = (data["kind"] == "b").astype(float), (data["kind"] == "c").astype(float)
    x = np.column_stack([b, c, data["z"], b * data["z"], c * data["z"]])
    np.testing.assert_allclose(found.theta, PHReg(data["time"], x, status=data["event"], ties="efron").fit().params)


def test_offsets_and_covariates_far_from_zero():
    data = corpus()
    plain = fit(data)
    shifted = fit(data.assign(z=1e6 + data["z"]))
    np.testing.assert_allclose(shifted.theta, plain.theta, rtol=1e-6)
    held = fit(data, "time ~ x + offset(0.4 * z)")
    again = fit(data, "time ~ x + z + offset(0.4 * z)")
    np.testing.assert_allclose(again.theta + [0, 0.4], plain.theta, rtol=1e-7)
    assert abs(held.theta[0] - plain.theta[0]) < 0.2


def test_the_jackknife_is_near():
    """HC3 leaves each unit out in one step, its own rows in the risk sets of others included."""
    from statsmodels.duration.hazard_regression import PHReg

    data = corpus(n=60)
    whole = fit(data, vcov="HC3")
    peer = [PHReg(d["time"], d[["x", "z"]], status=d["event"], ties="efron").fit() for d in map(data.drop, data.index)]
    left = np.array([one.params for one in peer])
    jackknife = np.sqrt(((left - whole.theta) ** 2).sum(axis=0))
    np.testing.assert_allclose(whole.se(), jackknife, rtol=0.05)


# ---------------------------------------------------------------- gold in a sample


def labelled(data, seed=1, share=0.5):
    """The same with gold in a sample drawn with known probabilities."""
    probability = np.where(data["event"] == 1, share, 0.6 * share)
    gold = np.random.default_rng(seed).random(len(data)) < probability
    return data.assign(x=data["x"].where(gold), probability=probability), gold


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("more", [{}, {"strata": "party", "entry": "start"}])
@pytest.mark.parametrize("limit", [0.7, 20.0])
def test_predictions_from_elsewhere_give_the_root_and_sandwich_of_a_plain_computation(ties, more, limit):
    data = corpus(n=200, digits=1 if limit < 1 else 2, limit=limit)
    data["weight"] = np.random.default_rng(9).uniform(0.5, 2.0, len(data))
    hidden, gold = labelled(data, share=0.5 if limit < 1 else 0.25)
    found = fit(
        hidden, design="probability", predictions=given(data), tuning=None, vcov="HC0", weights="weight", ties=ties,
        **more,
    )  # fmt: skip
    plain = Plain(data, gold, hidden["probability"].to_numpy(), ties, weights=data["weight"].to_numpy(), **more)
    if limit == 20.0:
        assert plain.mark(plain.solve("gold")).any(), "some risk sets are too small for the augmented sample"
    theta = plain.solve("augmented")
    np.testing.assert_allclose(found.theta, theta, atol=1e-8)
    m, h, inverse = plain.scores(theta, "augmented")
    w = np.where(gold, 1 / hidden["probability"], 0.0)[:, None]
    psi = w * m - (w - 1) * h
    np.testing.assert_allclose(psi.sum(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(found.covariance, inverse @ (psi.T @ psi) @ inverse, rtol=1e-7)
    np.testing.assert_allclose(found.parts.scores.influence(), psi @ inverse, atol=1e-9)


def test_gold_only_is_the_weighted_partial_likelihood():
    data = corpus(n=300)
    hidden, gold = labelled(data)
    found = fit(hidden, design="probability", estimator="gold", vcov="HC0")
    plain = Plain(data, gold, hidden["probability"].to_numpy(), "efron")
    theta = plain.solve("gold")
    m, _, inverse = plain.scores(theta, "gold")
    psi = m[gold] / hidden["probability"].to_numpy()[gold, None]
    np.testing.assert_allclose(found.theta, theta, atol=1e-8)
    np.testing.assert_allclose(found.covariance, inverse @ (psi.T @ psi) @ inverse, rtol=1e-8)


def test_a_useless_surrogate_leaves_gold_alone():
    data = corpus(n=600)
    data["llm"] = np.random.default_rng(5).integers(0, 2, len(data))
    hidden, _ = labelled(data)
    found = fit(hidden, "time ~ x", design="probability", seed=1, learner=None, compare=True)
    gold = fit(hidden, "time ~ x", design="probability", estimator="gold")
    assert found.choice == ("gold",)
    np.testing.assert_array_equal(found.theta, gold.theta)
    np.testing.assert_allclose(found.covariance, gold.covariance)


def test_clusters():
    data = corpus(n=400)
    found = fit(data, vcov={"CRV0": "team"})
    plain = Plain(data, np.ones(len(data), dtype=bool), np.ones(len(data)), "efron")
    m, _, inverse = plain.scores(found.theta, "gold")
    totals = pd.DataFrame(m).groupby(data["team"]).sum().to_numpy()
    np.testing.assert_allclose(found.covariance, inverse @ (totals.T @ totals) @ inverse, rtol=1e-7)
    hidden, _ = labelled(data)
    crv3 = fit(hidden, cluster="team", design="probability", predictions=given(data))
    assert crv3.vcov_kind == "CRV3"
    assert (crv3.df < 40).all()
    assert (crv3.effective_clusters > 5).all()


# ---------------------------------------------------------------- invariances


def test_only_the_order_of_times_counts():
    data = corpus(n=400, digits=2)
    hidden, _ = labelled(data)
    one = fit(hidden, design="probability", seed=1, entry="start")
    stretched = hidden.assign(time=np.exp(3 * hidden["time"]), start=np.exp(3 * hidden["start"]))
    other = fit(stretched, design="probability", seed=1, entry="start")
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(one.covariance, other.covariance)


def test_the_order_of_rows_does_not_count():
    data = corpus(n=400, digits=2)
    hidden, _ = labelled(data)
    order = np.random.default_rng(2).permutation(len(data))
    one, other = (
        fit(table, design="probability", strata="party")
        for table in (hidden, hidden.iloc[order].reset_index(drop=True))
    )
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-9)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-7)


def test_a_weight_of_two_is_two_rows_and_one_of_zero_is_none():
    data = corpus(n=300)
    hidden, _ = labelled(data)
    hidden = hidden.assign(w=np.random.default_rng(1).integers(0, 3, len(data)).astype(float), p=data["p"])
    twice = hidden.loc[hidden.index.repeat(hidden["w"].astype(int))].reset_index(drop=True)
    options = {"design": "probability", "ties": "breslow", "tuning": None}
    one = fit(hidden, weights="w", predictions=given(hidden), **options)
    other = fit(twice, predictions=given(twice), **options)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-8)
    rest = fit(hidden, subset=(hidden["w"] > 0).to_numpy(), weights="w", predictions=given(hidden), **options)
    np.testing.assert_allclose(one.theta, rest.theta, rtol=1e-8)


def test_coefficients_follow_their_covariates():
    data = corpus(n=400)
    hidden, _ = labelled(data)
    options = {"design": "probability", "predictions": given(data)}
    one, other = fit(hidden, **options), fit(hidden, "time ~ x + I(-3 * z)", **options)
    np.testing.assert_allclose(other.theta, one.theta * [1, -1 / 3], rtol=1e-7)
    np.testing.assert_allclose(other.se().to_numpy(), one.se().to_numpy() * [1, 1 / 3], rtol=1e-6)


# ---------------------------------------------------------------- results and refusals


def test_what_a_result_offers():
    data = corpus(n=600)
    hidden, _ = labelled(data)
    found = fit(hidden, design="probability", compare=True, seed=1)
    assert [column.title for column in found.compare().columns] == ["Surrogate only", "Gold only", "DSL"]
    assert found.ratios().title.startswith("Hazard ratio")
    np.testing.assert_allclose(found.ratios().theta, np.exp(found.theta))
    assert "units have an event" in str(found.summary())
    assert 0 <= found.wald("x = z").p_value <= 1
    assert "Design" in str(kt.diagnose(found))
    assert found.with_vcov("HC1").vcov_kind == "HC1"
    from_text = kt.Result.from_json(found.to_json())
    assert from_text.ratios().theta.tolist() == found.ratios().theta.tolist()
    with pytest.raises(kt.KaratError, match="predicts no durations"):
        found.predict(data)
    for after in (kt.slopes, kt.predictions):
        with pytest.raises(kt.KaratError, match="duration"):
            after(found, hidden)
    with pytest.raises(kt.errors.ArgumentError, match="model"):
        kt.regress("time ~ x + z", hidden, model="cox", surrogates={"x": "llm"})
    naive = fit(hidden, design="probability", estimator="surrogate")
    np.testing.assert_allclose(naive.theta, found.compare().columns[0].theta, rtol=1e-8)
    ppi = fit(hidden, design="probability", estimator="ppi")
    assert ppi.estimator == "ppi"


def test_predictors_see_event_and_hazard_not_the_scale_of_time():
    data = corpus(n=600)
    hidden, _ = labelled(data)
    found = fit(hidden, design="probability", strata="party", seed=1)
    names = {row.name for row in found.checks.balance.rows}
    assert {"time", "event", "party left", "z", "llm"} <= names


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"surrogates": {"time": "llm", "x": "llm"}}, "needs durations and events of all units"),
        ({"surrogates": {"event": "llm"}}, "event indicator"),
        ({"formula": "time ~ x + event"}, "explains nothing about itself"),
        ({"formula": "np.log(time) ~ x"}, "untransformed"),
        ({"formula": "time ~ 1"}, "surrogates names"),
        ({"formula": "time ~ x + one"}, "constant"),
        ({"entry": "time"}, "before the end"),
        ({"ties": "exact"}, "ties"),
        ({"combine": "median"}, "median"),
        ({"strata": "gaps"}, "missing"),
        ({"formula": "time ~ x", "event": "z"}, "event codes"),
        ({"event": "nothing"}, "no gold unit has an event"),
        ({"event": "code"}, r"1 where the event was seen .* \(2\)"),
        ({"formula": "words ~ x"}, "duration 'words' holds text"),
        ({"formula": "days ~ x"}, "duration 'days' holds values of type Timedelta"),
        ({"formula": "time ~ x + within", "strata": "party"}, "within"),
        ({"formula": "time ~ x + early"}, "separated"),
    ],
)
def test_what_is_refused(options, words):
    data = corpus(n=300)
    data["one"], data["gaps"], data["nothing"] = 1.0, data["party"].where(data["z"] > -1), 0.0
    data["code"], data["words"], data["days"] = 2.0, "long", pd.to_timedelta(data["time"], unit="D")
    data["within"] = (data["party"] == "left").astype(float)
    data["early"] = data["event"] * (data["time"] < 0.3)
    options = dict(options)
    formula = options.pop("formula", "time ~ x + z")
    with pytest.raises(kt.KaratError, match=words):
        fit(data, formula, **options)


def test_missing_events_are_named():
    data = corpus(n=300)
    data.loc[7, "event"] = np.nan
    with pytest.raises(kt.errors.DataError, match="missing in 1 row"):
        fit(data)
    data.loc[7, "time"] = np.nan
    assert fit(data).sampling.n_dropped == 1


def test_few_events_are_told():
    data = corpus(n=400, limit=0.05)
    hidden, _ = labelled(data)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit(hidden, "time ~ x", design="probability")
    assert any("gold units have an event" in str(one.message) for one in told)
