"""Unit means of labelled documents, and regressions corrected for their noise."""

from __future__ import annotations

import itertools
import pickle
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import karat as kt
from karat.designs import Labelling
from karat.grouped.corrected import MeasuredRows, scores
from karat.grouped.noise import GoldErrors
from karat.moments import get

matplotlib.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")


def posts_of(n_units=40, n_documents=12, seed=0):
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(n_units), n_documents)
    age = rng.standard_normal(n_units)
    latent = np.clip(rng.beta(1.0, 1.2, n_units), 0.02, 0.98)
    populist = (rng.random(len(unit)) < latent[unit]).astype(float)
    tone = populist + rng.standard_normal(len(unit)) + latent[unit]
    topic = np.where(populist == 1, rng.choice(["law", "tax"], len(unit)), rng.choice(["tax", "war"], len(unit)))
    wrong = rng.random(len(unit)) < 0.15
    posts = pd.DataFrame({
        "candidate": [f"c{u:03d}" for u in unit], "day": rng.integers(0, 60, len(unit)), "populist": populist,
        "tone": tone, "topic": topic, "populist_llm": np.where(wrong, 1 - populist, populist),
        "tone_llm": tone + rng.standard_normal(len(unit)), "topic_llm": np.where(wrong, "tax", topic),
    })  # fmt: skip
    true = posts.groupby("candidate", as_index=False)[["populist", "tone"]].mean()
    y = true["populist"] + 0.4 * age + 0.3 * rng.standard_normal(n_units)
    people = pd.DataFrame({
        "candidate": true["candidate"], "age": age, "y": y, "win": (y > y.median()).astype(float),
        "count": rng.poisson(np.exp(y)).astype(float), "party": rng.choice(["a", "b", "c"], n_units),
        "true": true["populist"], "true_tone": true["tone"], "size": n_documents,
    })  # fmt: skip
    return posts, people


def aggregated(posts, people, labels="populist", n=160, design=None, seed=3, **options):
    names = [labels] if isinstance(labels, str) else labels
    draw = (kt.SimpleRandom(n=n) if design is None else design).draw(posts, seed=seed)
    masked = kt.datasets.mask_gold(posts, draw, labels)
    surrogates = {name: f"{name}_llm" for name in names}
    options = {"learner": None, "seed": 1, "design": draw.design} | options
    units = kt.aggregate(labels, masked, by="candidate", surrogates=surrogates, **options)
    return (units if people is None else units.join(people, on="candidate")), masked


# ------------------------------------------------------------------ against a plain computation


def plain_fit(masked, people, n, predicted="populist_llm"):
    """Errors in variables for ``y ~ populist + age`` from scratch, with leave-one-unit-out standard errors."""
    big_n, rows = len(masked), []
    sums = {}
    for u, (name, own) in enumerate(masked.groupby("candidate")):
        g, gold = own[predicted].to_numpy(), own["populist"].notna().to_numpy()
        d = (own["populist"].to_numpy() - g)[gold] / len(own)
        z = g.mean() + big_n / n * d.sum()
        centred = np.zeros(n)
        centred[: len(d)] = d
        v = big_n**2 * (1 / n - 1 / big_n) * centred.var(ddof=1)
        x = np.array([1.0, z, people.loc[people["candidate"] == name, "age"].iloc[0]])
        a = np.outer(x, x)
        a[1, 1] -= v
        sums[u] = (a, x * people.loc[people["candidate"] == name, "y"].iloc[0])
        rows.append((name, z, v))
    a, b = (sum(part[k] for part in sums.values()) for k in (0, 1))
    theta = np.linalg.solve(a, b)
    left = np.array([np.linalg.solve(a - own_a, b - own_b) - theta for own_a, own_b in sums.values()])
    return theta, left.T @ left, pd.DataFrame(rows, columns=["candidate", "z", "v"])


def test_equals_a_plain_computation():
    posts, people = posts_of()
    units, masked = aggregated(posts, people)
    fit = kt.ols("y ~ populist + age", units)
    theta, covariance, table = plain_fit(masked, people, 160)
    np.testing.assert_allclose(units.means[:, 0], table["z"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(units.own[:, 0, 0], table["v"], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-8)
    assert units.pooled[:, 0, 0].sum() == pytest.approx(units.own[:, 0, 0].sum())
    assert (units.se() > 0).all(), "units without gold have a standard error too"
    uncorrected = fit.compare().table()["Uncorrected"]["Estimate"]
    x = sm.add_constant(pd.DataFrame({"z": table["z"], "age": people["age"]}))
    np.testing.assert_allclose(uncorrected, sm.OLS(people["y"], x).fit().params, rtol=1e-9)
    naive = fit.compare().table()["Surrogate only"]
    x["z"] = posts.groupby("candidate")["populist_llm"].mean().to_numpy()
    reference = sm.OLS(people["y"], x).fit(cov_type="HC3")
    np.testing.assert_allclose(naive["Estimate"], reference.params, rtol=1e-9)
    np.testing.assert_allclose(naive["Std. Error"], reference.bse, rtol=1e-9)


@pytest.mark.parametrize("model", ["logit", "poisson", "probit", "gamma"])
def test_scores_are_taylor_sums_with_unbiased_squares(model):
    """Derivatives of the score along the mean, taken numerically, with gap and unbiased square put in."""
    rng = np.random.default_rng(1)
    c, theta = 7, np.array([0.2, 0.9, -0.4, 0.5])
    centre, a = rng.random(c), rng.standard_normal(c)
    gap, noise = 0.3 * rng.standard_normal((c, 1)), 0.05 * rng.random((c, 1, 1))
    y = rng.integers(0, 2, c) + (0.5 if model == "gamma" else 0.0)

    def row(t):
        return np.column_stack([np.ones(c), t, a, t * a])

    def score(t, b=theta):
        return row(t) * get(model).evaluate(row(t) @ b, y.astype(float))[0][:, None]

    def corrected(b=theta):
        h = 1e-3
        first = (score(centre + h, b) - score(centre - h, b)) / (2 * h)
        second = (score(centre + h, b) - 2 * score(centre, b) + score(centre - h, b)) / h**2
        return score(centre, b) + first * gap + second * (gap**2 - noise[:, 0]) / 2

    slope = np.zeros((c, 4, 1))
    slope[:, 1, 0], slope[:, 3, 0] = 1.0, a
    rows = MeasuredRows(row(centre), slope, gap, noise, y.astype(float), np.zeros((c, 1)), np.ones(c))
    found, curvature = scores(get(model), rows, theta)
    np.testing.assert_allclose(found, corrected(), rtol=1e-4, atol=1e-6)
    for k in range(4):
        step = np.zeros(4)
        step[k] = 1e-4
        up, down = (scores(get(model), rows, theta + s * step)[0] for s in (1, -1))
        np.testing.assert_allclose(curvature[:, :, k], -(up - down) / 2e-4, rtol=1e-5, atol=1e-7)


def test_squares_and_products_are_unbiased_over_all_samples():
    """Every simple random sample of 3 of 7 documents of three units, two labels."""
    rng = np.random.default_rng(0)
    unit = np.array([0, 0, 0, 1, 1, 1, 2])
    size = np.bincount(unit)[unit]
    g, y = rng.random((7, 2)), rng.random((7, 2)).round()
    true = np.array([y[unit == u].mean(axis=0) for u in range(3)])
    predicted = np.array([g[unit == u].mean(axis=0) for u in range(3)])
    means, squares = [], []
    for chosen in itertools.combinations(range(7), 3):
        gold = np.array(chosen)
        draw = Labelling(np.full(7, 3 / 7), np.isin(np.arange(7), gold), fixed_size=True)
        errors = GoldErrors(draw, unit[gold], (y - g)[gold] / size[gold, None])
        z = predicted + errors.totals(3)
        means.append(z)
        squares.append(z[:, :, None] * z[:, None, :] - errors.covariances(3))
        blocks = errors.between(3).reshape(3, 2, 3, 2)[np.arange(3), :, np.arange(3), :]
        np.testing.assert_allclose(blocks, errors.covariances(3), atol=1e-14)
    np.testing.assert_allclose(np.mean(means, axis=0), true, atol=1e-12)
    np.testing.assert_allclose(np.mean(squares, axis=0), true[:, :, None] * true[:, None, :], atol=1e-12)


@pytest.mark.parametrize(
    ("model", "outcome"), [("ols", "y"), ("logit", "win"), ("poisson", "count"), ("probit", "win")]
)
def test_all_gold_is_the_regression_on_true_means(model, outcome):
    posts, people = posts_of()
    units = kt.aggregate("populist", posts, by="candidate", surrogates={"populist": "populist_llm"}).join(people)
    fit = kt.regress(f"{outcome} ~ populist*age", units, model=model, vcov="HC0")
    x = sm.add_constant(pd.DataFrame({"t": people["true"], "age": people["age"], "ta": people["true"] * people["age"]}))
    family = {"ols": None, "logit": sm.families.Binomial(), "poisson": sm.families.Poisson(),
              "probit": sm.families.Binomial(sm.families.links.Probit())}[model]  # fmt: skip
    made = sm.OLS(people[outcome], x) if family is None else sm.GLM(people[outcome], x, family=family)
    reference = made.fit(cov_type="HC0", **({} if family is None else {"tol": 1e-12}))
    np.testing.assert_allclose(fit.theta, reference.params, rtol=1e-6)
    if model != "probit":  # statsmodels takes the expected information there
        np.testing.assert_allclose(fit.se(), reference.bse, rtol=1e-6)
    if model == "ols":
        hc3 = sm.OLS(people[outcome], x).fit(cov_type="HC3")
        np.testing.assert_allclose(kt.ols("y ~ populist*age", units).se(), hc3.bse, rtol=1e-9)
        cluster = sm.OLS(people[outcome], x).fit(cov_type="cluster", cov_kwds={"groups": people["party"].to_numpy()})
        own = kt.ols("y ~ populist*age", units, vcov={"CRV1": "party"})
        np.testing.assert_allclose(own.se(), cluster.bse, rtol=1e-8)
    assert np.abs(fit.labelling_covariance).max() < 1e-12
    assert units.reliability().iloc[0] == pytest.approx(1.0)


# ------------------------------------------------------------------ invariances


def test_order_names_and_scales_change_nothing():
    posts, people = posts_of()
    units, masked = aggregated(posts, people, labels="tone")
    fit = kt.ols("y ~ tone + age", units, weights="size")
    shuffled = masked.sample(frac=1.0, random_state=1)
    other = kt.aggregate(
        "tone", shuffled, by="candidate", surrogates={"tone": "tone_llm"}, learner=None, design=kt.SimpleRandom(n=160)
    ).join(people.sample(frac=1.0, random_state=2))
    again = kt.ols("y ~ tone + age", other)
    np.testing.assert_allclose(again.theta, fit.theta, rtol=1e-9)
    np.testing.assert_allclose(again.covariance, fit.covariance, rtol=1e-8)
    scaled = shuffled.assign(tone=100 * shuffled["tone"] + 7, tone_llm=100 * shuffled["tone_llm"] + 7)
    other = kt.aggregate(
        "tone", scaled, by="candidate", surrogates={"tone": "tone_llm"}, learner=None, design=kt.SimpleRandom(n=160)
    ).join(people.assign(age=people["age"] + 2000))
    far = kt.ols("y ~ tone + age", other)
    np.testing.assert_allclose(far.theta[1:], fit.theta[1:] / [100, 1], rtol=1e-6)
    np.testing.assert_allclose(far.se()[1:], fit.se()[1:] / [100, 1], rtol=1e-6)
    multiple = kt.ols("y ~ I(tone / 10) + age", units)
    np.testing.assert_allclose(multiple.theta[1], 10 * fit.theta[1], rtol=1e-9)


def test_several_means_classes_and_interactions():
    posts, people = posts_of(80, 20)
    units, _ = aggregated(posts, people, labels=["populist", "tone"], n=800)
    assert units.labels == ("populist", "tone")
    assert units.names[:2] == ("c000: populist", "c000: tone")
    fit = kt.ols("y ~ populist*age + tone + party", units)
    assert fit.names[-1] == "populist:age"
    assert np.isfinite(fit.se()).all()
    assert "Reliability of 'tone'" in str(fit.summary())
    shares, _ = aggregated(posts, people, labels="topic", n=800)
    assert shares.labels == ("topic_law", "topic_tax", "topic_war")
    np.testing.assert_allclose(shares.means.sum(axis=1), 1.0)
    one = kt.ols("y ~ topic_law + topic_war", shares)
    two = kt.ols("y ~ topic_law + topic_tax", shares)
    np.testing.assert_allclose(one.theta[1] - one.theta[2], two.theta[1], rtol=1e-8)
    np.testing.assert_allclose(one.contrast("topic_law - topic_war").iloc[0, 1], two.se()["topic_law"], rtol=1e-8)


def test_outcome_alone_and_with_a_covariate_of_the_same_documents():
    posts, people = posts_of(80, 20)
    units, _ = aggregated(posts, people, labels=["populist", "tone"], n=800)
    alone = kt.ols("tone ~ age", units)
    x = sm.add_constant(people["age"])
    np.testing.assert_allclose(alone.se(), sm.OLS(units.means[:, 1], x).fit(cov_type="HC3").bse, rtol=1e-8)
    assert [c.title for c in alone.compare().columns] == ["Surrogate only", "Corrected"]
    both = kt.ols("tone ~ populist", units)
    z, v = units.means, units.own
    a = np.array([[80.0, z[:, 0].sum()], [z[:, 0].sum(), (z[:, 0] ** 2 - v[:, 0, 0]).sum()]])
    b = np.array([z[:, 1].sum(), (z[:, 0] * z[:, 1] - v[:, 0, 1]).sum()])
    np.testing.assert_allclose(both.theta, np.linalg.solve(a, b), rtol=1e-8)


# ------------------------------------------------------------------ designs


@pytest.mark.parametrize("design", [
    kt.Bernoulli(0.4), kt.Stratified(by="populist_llm", n=120), kt.Clustered("candidate", n=20),
    kt.Clustered("day", n=25),
])  # fmt: skip
def test_designs(design):
    posts, people = posts_of(60, 12)
    units, _masked = aggregated(posts, people, design=design)
    fit = kt.ols("y ~ populist + age", units)
    assert (np.diag(fit.covariance) >= np.diag(kt.ols("y ~ populist + age", units, vcov="HC0").covariance) * 0.8).all()
    assert np.linalg.eigvalsh(fit.labelling_covariance)[0] > -1e-12
    crossing = isinstance(design, kt.Clustered) and "day" in str(fit.sampling.design)
    assert (fit.parts is None) == crossing
    if isinstance(design, kt.Clustered) and not crossing:
        whole = units.frame()["gold"] == 12
        assert (units.own[~whole, 0, 0] == 0).all()
        assert (units.own[whole, 0, 0] >= 0).any()


def test_documents_drawn_together_across_units_are_told_from_single_ones():
    """Gold of whole days, each of which holds the same error in two units: what the two share is added."""
    posts, people = posts_of(40, 10, seed=5)
    posts["day"] = np.arange(len(posts)) % 10 + 10 * (np.arange(len(posts)) // 20)
    posts["populist_llm"] = np.where(posts["day"] % 3 == 0, 1 - posts["populist"], posts["populist"])
    units, _ = aggregated(posts, people, design=kt.Clustered("day", n=80))
    fit = kt.ols("y ~ populist + age", units)
    apart = kt.ols("y ~ populist + age", units.__class__(**{
        **vars(units), "errors": GoldErrors(
            Labelling(units.errors.labelling.probability, units.errors.labelling.labelled, fixed_size=False),
            units.errors.unit, units.errors.share,
        ),
    }))  # fmt: skip
    assert fit.covariance[0, 0] > apart.covariance[0, 0]


# ------------------------------------------------------------------ what comes back


def test_the_result_does_what_results_do():
    posts, people = posts_of(60, 12)
    units, _ = aggregated(posts, people)
    fit = kt.ols("y ~ populist + age", units)
    assert "made of 720 documents (160 gold)" in str(fit.summary())
    assert "effective gold" not in str(fit.summary())
    assert fit.wald("populist = 0").df_numerator == 1
    assert kt.Result.from_json(fit.to_json()).theta == pytest.approx(fit.theta)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(fit)).theta, fit.theta)
    assert len(fit.predict({"populist": [0.1, 0.5], "age": [0.0, 1.0]})) == 2
    clustered = fit.with_vcov("CRV1", people["party"].to_numpy())
    direct = kt.ols("y ~ populist + age", units, vcov={"CRV1": "party"})
    np.testing.assert_allclose(clustered.se(), direct.se(), rtol=1e-10)
    assert kt.ols("y ~ populist + age", units, cluster="candidate").vcov_kind == "CRV3"
    fit.plot()
    units.plot()
    assert "reliability" in str(units.summary())
    assert "reliability" in units.summary()._repr_html_()
    assert len(units.tidy()) == 60
    assert units.contrast("c000 - c001").shape[0] == 1
    with pytest.raises(kt.KaratError, match="unit means"):
        kt.diagnose(fit)


def test_plan_scales_the_noise():
    posts, people = posts_of(80, 20)
    units, _ = aggregated(posts, people, n=400)
    plan = units.plan("y ~ populist + age", gold=[400, 800, 1600])
    table = plan.tidy()
    fit = kt.ols("y ~ populist + age", units)
    np.testing.assert_allclose(table.loc[400, "se of populist"], fit.se()["populist"], rtol=1e-10)
    assert table["se of populist"].is_monotonic_decreasing
    assert table.loc[1600, "reliability of populist"] == pytest.approx(1.0)
    with pytest.raises(kt.KaratError, match="gold"):
        units.plan("y ~ populist + age", gold=[3000])


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(("formula", "message"), [
    ("y ~ I(populist**2)", "not linear"), ("y ~ np.log(populist)", "not linear|learns"),
    ("y ~ populist:tone", "not linear"), ("y ~ C(populist)", "not linear"), ("y ~ scale(populist)", "learns|linear"),
    ("y ~ I(populist - populist.mean())", "learns|linear"), ("y ~ age", "uses none"),
    ("y ~ age + offset(populist)", "offset"), ("I(2*populist) ~ age", "outcome"), ("y ~ populist + aeg", "aeg"),
])  # fmt: skip
def test_formulas_that_cannot_be_corrected(formula, message):
    posts, people = posts_of()
    units, _ = aggregated(posts, people, labels=["populist", "tone"])
    with pytest.raises(kt.KaratError, match=message):
        kt.ols(formula, units)


def test_refusals():
    posts, people = posts_of()
    units, masked = aggregated(posts, people)
    alone, _ = aggregated(posts, None)
    given = {"surrogates": {"populist": "populist_llm"}, "by": "candidate", "learner": None}
    for call, message in [
        (lambda: kt.ols("y ~ populist", units, surrogates={"populist": "x"}), "surrogates= is about documents"),
        (lambda: kt.ols("y ~ populist", units, learner="linear"), "learner= is about documents"),
        (lambda: kt.regress("y ~ populist", units, model="quantile"), "not one for unit means"),
        (lambda: kt.logit("populist ~ age", units), "use karat.ols"),
        (lambda: kt.ols("y ~ populist", masked), "surrogates"),
        (lambda: alone.join(people.rename(columns={"candidate": "name"})), "candidate"),
        (lambda: alone.join(people, on="age"), "on="),
        (lambda: alone.join(pd.concat([people, people])), "several rows"),
        (lambda: alone.join(people.rename(columns={"age": "populist"})), "have already"),
        (lambda: alone.join(people.assign(candidate="x" + people["candidate"])), "in both tables"),
        (lambda: kt.aggregate("populist", masked, **{**given, "by": "populist"}), "names the label"),
        (lambda: kt.aggregate("populist", masked.assign(candidate="c"), **given), "fewer than two"),
        (lambda: kt.aggregate(["populist", "tone"], masked, **given), "each label"),
        (lambda: kt.aggregate("populist", masked, **given, vcov="HC1"), "second|regression on the units"),
        (lambda: kt.aggregate([], masked, **given), "labels="),
        (lambda: units.plan("y ~ populist", model="huber"), "not one for unit means"),
        (lambda: units.plot("tone"), "none of the means"),
    ]:
        with pytest.raises(kt.KaratError, match=message):
            call()


def test_nothing_beyond_noise_is_refused_with_the_reliability():
    """Units all alike: what differs between their means is labelling noise."""
    rng = np.random.default_rng(2)
    posts = pd.DataFrame({"candidate": np.arange(3000) % 100, "populist": (rng.random(3000) < 0.4).astype(float)})
    posts["populist_llm"] = (rng.random(3000) < 0.2 + 0.5 * posts["populist"]).astype(float)
    people = pd.DataFrame({"candidate": np.arange(100), "y": rng.standard_normal(100)})
    seen = set()
    for seed in range(6):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            units, _ = aggregated(posts, people, n=100, seed=seed)
            try:
                kt.ols("y ~ populist", units)
                seen.add("warned" if any("hardly known" in str(w.message) for w in told) else "silent")
            except kt.errors.ConvergenceError as error:
                seen.add("refused" if "reliability 'populist'" in str(error) else "silent")
    assert "silent" not in seen
    assert "refused" in seen


def test_units_and_rows_that_leave_are_counted():
    posts, people = posts_of()
    units, masked = aggregated(posts, people.iloc[5:].assign(age=people["age"].where(people.index != 9)))
    fit = kt.ols("y ~ populist + age", units)
    assert fit.n_units == 34
    assert fit.sampling.dropped == {"age": 1}
    assert any("5 units have no row" in note for note in fit.notes)
    lost = masked.assign(candidate=masked["candidate"].where(masked["candidate"] != "c000"))
    other = kt.aggregate("populist", lost, by="candidate", surrogates={"populist": "populist_llm"}, learner=None)
    assert other.n_units == 39
    assert other.sampling.dropped == {"by=": 12}


@pytest.mark.parametrize("label", ["populist", "tone", "topic"])
def test_labels_that_are_nearly_always_as_predicted_are_said(label):
    posts = posts_of()[0]
    posts["right"] = posts[label]
    posts.loc[posts.index % 4 > 0, label] = np.nan
    given = {"by": "candidate", "learner": None, "design": None}
    with pytest.warns(kt.errors.SmallSampleWarning, match="nearly all gold labels are as predicted, 120 of 120"):
        people = kt.aggregate(label, posts, surrogates={label: "right"}, **given)
    assert any("nearly all" in note for note in people.notes)
    assert not kt.aggregate(label, posts, surrogates={label: f"{label}_llm"}, **given).notes
