"""Averages after the fit: against statsmodels, against a plain second implementation, invariances, errors."""

from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.errors import ArgumentError, DataError, FormulaError, KaratError

from .. import corpora
from ..profiles import examples

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")
matplotlib.use("Agg")

OUTCOMES = {"ols": ("y", "y_llm"), "logit": ("vote", "vote_prob"), "probit": ("vote", "vote_prob"),
            "poisson": ("count", "count_llm"), "multinomial": ("topic", "topic_llm"),
            "gamma": ("size", "size"), "fractional": ("vote_prob", "vote_prob"),
            "quantile": ("y", "y_llm"), "expectile": ("y", "y_llm"), "huber": ("y", "y_llm")}  # fmt: skip
STATSMODELS = {"ols": smf.ols, "logit": smf.logit, "probit": smf.probit, "poisson": smf.poisson}
WITHOUT_LEARNER = {"learner": None, "compare": False, "seed": 1}


def all_gold(model, formula, frame, **options):
    outcome, surrogate = OUTCOMES[model]
    options = {"design": 1.0, **WITHOUT_LEARNER, **options}
    return kt.regress(f"{outcome} ~ {formula}", frame, model=model, surrogates={outcome: surrogate}, **options)


def some_gold(model="logit", formula="stance + z + size", n=150, seed=5, frame=None, both=False, **options):
    frame = corpora.corpus(400, seed=11) if frame is None else frame
    outcome, surrogate = OUTCOMES[model]
    names = ["stance", outcome] if both else ["stance"]
    masked = corpora.masked(frame, kt.SimpleRandom(n).draw(frame, seed=seed).labelled, *names)
    surrogates = {"stance": "stance_llm"} | ({outcome: surrogate} if both else {})
    if options.get("learner", "auto") and options.get("estimator", "dsl") == "dsl":
        options = {"repeats": 2, **options}
    fit = kt.regress(f"{outcome} ~ {formula}", masked, model=model, surrogates=surrogates, **{"seed": 1, **options})
    return fit, masked


# ------------------------------------------------------------------ all rows gold


@pytest.mark.parametrize("kind", ["HC0", "HC1"])
@pytest.mark.parametrize("model", ["logit", "probit", "poisson"])
def test_slopes_equal_those_of_statsmodels(corpus, model, kind):
    outcome = OUTCOMES[model][0]
    theirs = STATSMODELS[model](f"{outcome} ~ stance + z + size", corpus).fit(disp=0, tol=1e-12, cov_type=kind)
    margins = theirs.get_margeff(dummy=True)
    fit = all_gold(model, "stance + z + size", corpus, vcov=kind)
    ours = kt.slopes(fit, corpus, ["stance", "z", "size"], covariates="fixed")
    assert ours.theta == pytest.approx(margins.margeff, rel=1e-6)
    # statsmodels has no factor n / (n - p) for these models, whatever is asked for
    factor = np.sqrt(len(corpus) / (len(corpus) - 4)) if kind == "HC1" else 1.0
    assert ours.se().to_numpy() == pytest.approx(margins.margeff_se * factor, rel=1e-6)
    # drawn anew, covariates would differ: what that adds is the variance of their own effects
    drawn = kt.slopes(fit, corpus, ["stance", "z", "size"])
    assert drawn.theta == pytest.approx(ours.theta, rel=1e-12)
    finite = kt.slopes(all_gold(model, "stance + z + size", corpus, vcov=kind, target="finite"), corpus)
    assert finite.se().to_numpy() == pytest.approx(0.0, abs=1e-12)


def test_slopes_of_classes_equal_those_of_statsmodels(corpus):
    codes = corpus.assign(topic=corpus["topic"].map({"economy": 0, "law": 1, "war": 2}))
    margins = smf.mnlogit("topic ~ stance + z", codes).fit(disp=0, tol=1e-12, cov_type="HC0").get_margeff(dummy=True)
    ours = kt.slopes(all_gold("multinomial", "stance + z", corpus, vcov="HC0"), corpus, ["stance", "z"],
                     covariates="fixed")  # fmt: skip
    assert ours.names == tuple(f"{topic}: {name}" for name in ("stance", "z") for topic in ("economy", "law", "war"))
    assert ours.theta == pytest.approx(np.ravel(margins.margeff), rel=1e-6)
    assert ours.se().to_numpy() == pytest.approx(np.ravel(margins.margeff_se), rel=1e-6)
    assert ours.theta.reshape(2, 3).sum(axis=1) == pytest.approx(0.0, abs=1e-12)


def test_steps_equal_those_of_statsmodels(corpus):
    counts = corpus.assign(size=np.round(corpus["size"]))
    margins = smf.poisson("count ~ z + size", counts).fit(disp=0, tol=1e-12, cov_type="HC0").get_margeff(count=True)
    fit = all_gold("poisson", "z + size", counts, vcov="HC0")
    up, down = (kt.comparisons(fit, counts, {"size": step}, covariates="fixed") for step in (1, -1))
    assert up.names + down.names == ("size[+1]", "size[-1]")
    # statsmodels goes one up and one down and takes half of it
    assert (up.theta[0] - down.theta[0]) / 2 == pytest.approx(margins.margeff[1], rel=1e-6)
    assert up.theta[0] == pytest.approx(margins.margeff[1], rel=0.01)


def test_slopes_go_through_the_formula(corpus):
    fit = all_gold("ols", "z * stance + I(z**2) + np.log(size) + C(region)", corpus)
    b = fit.coef()
    found = kt.slopes(fit, corpus).coef()
    at_units = b["z"] + b["z:stance"] * corpus["stance"] + 2 * b["I(z ** 2)"] * corpus["z"]
    assert found["z"] == pytest.approx(at_units.mean(), rel=1e-9)
    assert found["stance"] == pytest.approx(b["stance"] + b["z:stance"] * corpus["z"].mean(), rel=1e-9)
    assert found["size"] == pytest.approx(b["np.log(size)"] * (1 / corpus["size"]).mean(), rel=1e-7)
    assert found["region[north - east]"] == pytest.approx(b["C(region)[T.north]"], rel=1e-9)
    assert kt.slopes(fit, corpus, "z", at={"z": 2.0, "stance": 1}).theta[0] == pytest.approx(
        b["z"] + b["z:stance"] + 4 * b["I(z ** 2)"], rel=1e-9
    )


def test_a_linear_regression_gives_back_its_coefficients(corpus):
    fit = all_gold("ols", "stance + z", corpus, cluster="author")
    found = kt.slopes(fit, corpus)
    for name in ("stance", "z"):
        assert found.coef()[name] == pytest.approx(fit.coef()[name], rel=1e-9)
        assert found.se()[name] == pytest.approx(fit.se()[name], rel=1e-9)
        assert found.df[found.position(name)] == pytest.approx(fit.df[fit.position(name)], rel=1e-9)


@pytest.mark.parametrize("model", ["ols", "logit", "poisson"])
def test_with_a_constant_predictions_average_to_the_outcome(corpus, model):
    outcome = OUTCOMES[model][0]
    fit = all_gold(model, "z + size", corpus, vcov="HC0")
    found = kt.predictions(fit, corpus)
    assert found.theta[0] == pytest.approx(corpus[outcome].mean(), rel=1e-8)
    assert found.se().iloc[0] == pytest.approx(corpus[outcome].std(ddof=0) / np.sqrt(len(corpus)), rel=1e-6)


@pytest.mark.parametrize("kind", ["CRV0", "CRV1", "CRV2", "CRV3"])
def test_clusters_of_one_unit_are_units(corpus, kind):
    frame = corpus.assign(own=np.arange(len(corpus)))
    same = {"CRV0": "HC0", "CRV1": "HC1", "CRV2": "HC2", "CRV3": "HC3"}[kind]
    one = kt.slopes(all_gold("logit", "stance + z", frame, vcov={kind: "own"}), frame)
    other = kt.slopes(all_gold("logit", "stance + z", frame, vcov=same), frame)
    n = len(frame)
    factor = {"CRV1": n / (n - 1) * (n - 1) / n, "CRV3": (n - 1) / n}.get(kind, 1.0)
    assert one.covariance == pytest.approx(other.covariance * factor, rel=1e-6)


@pytest.mark.parametrize("kind", ["HC3", {"CRV3": "author"}])
def test_leave_one_out_forms_are_jackknives(kind):
    """Everything fitted again without each unit, or cluster: the forms are its first step, and hardly smaller."""
    frame = corpora.corpus(128, seed=2, authors=16)
    groups = np.arange(len(frame)) if kind == "HC3" else frame["author"].to_numpy()

    def averages(rows):
        x = np.column_stack([np.ones(len(rows)), rows["stance"], rows["z"]])
        theta = sm.Logit(rows["vote"].to_numpy(), x).fit(disp=0).params
        one, zero = (corpora.logistic(x @ theta + theta[1] * (k - x[:, 1])).mean() for k in (1.0, 0.0))
        p = corpora.logistic(x @ theta)
        return np.array([one - zero, one, p.mean(), theta[2] * (p * (1 - p)).mean()])

    names = np.unique(groups)
    jackknife = np.array([averages(frame[groups != name]) for name in names]) - averages(frame)
    factor = 1.0 if kind == "HC3" else (len(names) - 1) / len(names)
    expected = np.sqrt(factor * (jackknife**2).sum(axis=0))
    fit = all_gold("logit", "stance + z", frame, vcov=kind)
    found = [kt.comparisons(fit, frame, "stance"), kt.predictions(fit, frame, at={"stance": 1}),
             kt.predictions(fit, frame), kt.slopes(fit, frame, "z")]  # fmt: skip
    assert np.concatenate([one.se() for one in found]) == pytest.approx(expected, rel=0.04)


# ------------------------------------------------------------------ a second implementation


def plain(frame, masked, fit, f, derivative):
    """Average of ``f(x, theta)`` over the augmented sample and its variance, labels 0/1 with hard surrogates."""
    drawn = masked["stance"].notna().to_numpy()
    n, big_n = drawn.sum(), len(frame)
    w = drawn * big_n / n

    def design(stance):
        return np.column_stack([np.ones(big_n), stance, frame["z"], frame["size"]])

    theta = fit.coef().to_numpy()
    gold, guess = design(np.where(drawn, frame["stance"], 0)), design(frame["stance_llm"])
    f_gold, f_guess = f(gold, theta), f(guess, theta)
    tau = (f_guess + w * (f_gold - f_guess)).mean()
    slope = (derivative(guess, theta) + w[:, None] * (derivative(gold, theta) - derivative(guess, theta))).mean(axis=0)

    def score(x):
        return x * (frame["vote"].to_numpy() - 1 / (1 + np.exp(-x @ theta)))[:, None]

    def curvature(x):
        p = 1 / (1 + np.exp(-x @ theta))
        return np.einsum("i,ij,ik->ijk", p * (1 - p), x, x)

    a = (curvature(guess) + w[:, None, None] * (curvature(gold) - curvature(guess))).sum(axis=0)
    bring = np.linalg.solve(a, slope)
    moment = (f_gold - tau) / big_n + score(gold) @ bring
    error = moment - (f_guess - tau) / big_n - score(guess) @ bring
    population = big_n / n * (moment[drawn] ** 2).sum()
    labelling = big_n**2 * (1 / n - 1 / big_n) * error[drawn].var(ddof=1)
    return tau, population, labelling


def mean_and_slope(x, theta):
    p = 1 / (1 + np.exp(-x @ theta))
    return p, x * (p * (1 - p))[:, None]


def of_size(x, theta):
    p = 1 / (1 + np.exp(-x @ theta))
    return theta[3] * p * (1 - p)


def of_size_derived(x, theta):
    p = 1 / (1 + np.exp(-x @ theta))
    out = (theta[3] * p * (1 - p) * (1 - 2 * p))[:, None] * x
    out[:, 3] += p * (1 - p)
    return out


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_augmented_averages_against_a_plain_implementation(seed):
    frame = corpora.corpus(500, seed=seed)
    fit, masked = some_gold(frame=frame, vcov="HC0", tuning=None, learner=None, compare=False)
    tau, population, labelling = plain(frame, masked, fit, of_size, of_size_derived)
    found = kt.slopes(fit, masked, "size")
    assert found.theta[0] == pytest.approx(tau, rel=1e-8)
    assert found.labelling_covariance[0, 0] == pytest.approx(labelling, rel=1e-6)
    assert found.covariance[0, 0] == pytest.approx(population + labelling, rel=1e-6)
    finite, _ = some_gold(frame=frame, vcov="HC0", tuning=None, learner=None, compare=False, target="finite")
    scores = replace(finite.parts.scores, unseen=None)  # no least variance for wrong labels that gold may have missed
    finite = finite.replace(parts=replace(finite.parts, scores=scores))
    assert kt.slopes(finite, masked, "size").covariance[0, 0] == pytest.approx(labelling, rel=1e-6)
    # with a constant the average prediction is the average outcome, which is known for all: labelling adds nothing
    tau, _, labelling = plain(frame, masked, fit, *(lambda x, t, k=k: mean_and_slope(x, t)[k] for k in (0, 1)))
    found = kt.predictions(fit, masked)
    assert found.theta[0] == pytest.approx(tau, rel=1e-8)
    assert tau == pytest.approx(frame["vote"].mean(), rel=1e-8)
    assert labelling == pytest.approx(0.0, abs=1e-12)
    assert found.covariance[0, 0] == pytest.approx(frame["vote"].var(ddof=0) / len(frame), rel=1e-6)


def test_groups_by_a_label_against_a_plain_implementation():
    frame = corpora.corpus(500, seed=4)
    fit, masked = some_gold(frame=frame, vcov="HC0", tuning=None, learner=None, compare=False)
    drawn, theta = masked["stance"].notna().to_numpy(), fit.coef().to_numpy()
    w = drawn * len(frame) / drawn.sum()
    found = kt.predictions(fit, masked, by="stance")
    for k in (0, 1):

        def half(stance, k=k):
            x = np.column_stack([np.ones(len(frame)), stance, frame["z"], frame["size"]])
            return np.column_stack([stance == k, (stance == k) * mean_and_slope(x, theta)[0]])

        rows = half(frame["stance_llm"]) + w[:, None] * (half(frame["stance"]) - half(frame["stance_llm"]))
        total = rows.sum(axis=0)
        assert found.theta[k] == pytest.approx(total[1] / total[0], rel=1e-10)
    assert found.names == ("stance=0", "stance=1")


def test_averages_are_those_of_a_regression_on_a_constant(corpus):
    """The average of a label itself: ``kt.mean`` gives the same number and the same standard error."""
    masked = corpora.masked(corpus, kt.SimpleRandom(150).draw(corpus, seed=5).labelled, "stance")
    options = {"surrogates": {"stance": "stance_llm"}, "vcov": "HC0", **WITHOUT_LEARNER, "tuning": None}
    # an outcome that is the label up to a constant slope: the average prediction is the average of the label
    fit = kt.ols("y ~ stance", masked, **options)
    share = kt.mean("stance", masked, **options)
    found = kt.predictions(fit, masked)
    b = fit.coef()
    assert (found.theta[0] - b["Intercept"]) / b["stance"] == pytest.approx(share.theta[0], rel=1e-9)


# ------------------------------------------------------------------ what must not matter


@pytest.mark.parametrize("learner", [None, "linear"])
def test_order_of_rows(learner):
    options = {"learner": learner, "compare": False, "seed": 1} | ({"repeats": 2} if learner else {})
    fit, masked = some_gold(formula="stance * z + size", **options)
    mixed = masked.sample(frac=1.0, random_state=3).reset_index(drop=True)
    other = kt.logit("vote ~ stance * z + size", mixed, surrogates={"stance": "stance_llm"}, **options)
    for door in (kt.slopes, kt.predictions):
        one, two = door(fit, masked, by="region"), door(other, mixed, by="region")
        assert one.theta == pytest.approx(two.theta, rel=1e-6)
        assert one.covariance == pytest.approx(two.covariance, rel=1e-5, abs=1e-12)


@examples(5)
@given(st.integers(0, 1000))
def test_a_useless_surrogate_moves_nothing_beyond_noise(seed):
    """The error of an average with a surrogate of noise, in its standard errors, is that of any other."""
    frame = corpora.corpus(400, seed=seed)
    frame["stance_llm"] = np.random.default_rng(seed).integers(0, 2, len(frame)).astype(float)
    fit, masked = some_gold(frame=frame, n=200, learner=None, compare=False)
    alone, _ = some_gold(frame=frame, n=200, estimator="gold", compare=False)
    one, two = kt.predictions(fit, masked), kt.predictions(alone, masked)
    gap = np.abs(one.theta - two.theta) / np.hypot(one.se().to_numpy(), two.se().to_numpy())
    assert gap.max() < 4


def test_differences_of_predictions_are_comparisons():
    fit, masked = some_gold(compare=False, cluster="author")
    for by in (None, "region", "stance"):
        pair = kt.predictions(fit, masked, at={"stance": [0, 1]}, by=by)
        change = kt.comparisons(fit, masked, "stance", by=by)
        k = len(change.theta)
        assert pair.theta[k:] - pair.theta[:k] == pytest.approx(change.theta, rel=1e-9)
        matrix = np.hstack([-np.eye(k), np.eye(k)])
        assert matrix @ pair.covariance @ matrix.T == pytest.approx(change.covariance, rel=1e-6)
        ratio = kt.comparisons(fit, masked, "stance", by=by, contrast="ratio")
        assert ratio.theta == pytest.approx(pair.theta[k:] / pair.theta[:k], rel=1e-9)


def test_groups_average_to_the_whole():
    fit, masked = some_gold(compare=False, weights="weight")
    whole = kt.slopes(fit, masked, "z")
    groups = kt.slopes(fit, masked, "z", by="region")
    share = masked.groupby("region")["weight"].sum() / masked["weight"].sum()
    assert groups.theta @ share.to_numpy() == pytest.approx(whole.theta[0], rel=1e-9)


def test_values_set_need_the_delta_method_alone():
    """With every labelled covariate set, only observed ones are averaged: nothing is added by labelling."""
    fit, masked = some_gold("ols", "stance * z", compare=False)
    found = kt.predictions(fit, masked, at={"stance": 1}, covariates="fixed")
    row = np.array([1.0, 1.0, masked["z"].mean(), masked["z"].mean()])
    assert found.theta[0] == pytest.approx(row @ fit.theta, rel=1e-10)
    assert found.se().iloc[0] == pytest.approx(np.sqrt(row @ fit.covariance @ row), rel=1e-9)
    one = fit.predict(pd.DataFrame({"stance": [1.0], "z": [masked["z"].mean()]}))
    assert found.se().iloc[0] == pytest.approx(one["se"].iloc[0], rel=1e-9)


@pytest.mark.parametrize("kind", ["HC0", "HC2", "HC3", {"CRV1": "author"}, {"CRV3": "author"}])
@pytest.mark.parametrize("estimator", ["dsl", "gold"])
def test_linear_slopes_are_coefficients_whatever_the_form(kind, estimator):
    fit, masked = some_gold("ols", "stance + z", compare=False, vcov=kind, estimator=estimator)
    found = kt.slopes(fit, masked)
    # where gold alone makes up the fit, averages are still over all units, which the factor of CRV1 counts
    more = 399 / 397 / (149 / 147) if estimator == "gold" and kind == {"CRV1": "author"} else 1.0
    population = fit.covariance - fit.labelling_covariance
    expected = np.sqrt(np.diag(population * more + fit.labelling_covariance))
    for name in ("stance", "z"):
        assert found.coef()[name] == pytest.approx(fit.coef()[name], rel=1e-9)
        assert found.se()[name] == pytest.approx(expected[fit.position(name)], rel=1e-7)


def test_another_covariance_is_taken_over():
    fit, masked = some_gold("ols", "stance + z", compare=False)
    other = fit.with_vcov({"CRV1": masked["author"]})
    assert kt.slopes(other, masked, "z").se().iloc[0] == pytest.approx(other.se()["z"], rel=1e-7)


@pytest.mark.parametrize(
    ("model", "formula", "options"),
    [
        ("logit", "stance + z", {"imputation": "value", "learner": "linear"}),
        ("poisson", "stance + z", {"both": True}),
        ("multinomial", "stance + z", {}),
        ("multinomial", "stance + z", {"both": True, "tuning": "full"}),
        ("probit", "stance + size + offset(z)", {"cluster": ["author", "region"], "vcov": None}),
        ("ols", "stance + z", {"estimator": "ppi", "weights": "weight"}),
        ("ols", "stance + z", {"scores": False}),
        ("gamma", "stance + z", {}),
        ("fractional", "stance + z", {}),
        ("quantile", "stance + z", {"parameters": {"q": 0.25}}),
        ("expectile", "stance + z", {"both": True}),
        ("huber", "stance + z", {}),
    ],
)
def test_every_kind_of_fit(model, formula, options):
    fit, masked = some_gold(model, formula, compare=False, **options)
    found = kt.slopes(fit, masked)
    assert np.isfinite(found.theta).all()
    assert (found.se() > 0).all()
    assert (found.df >= 1).all()
    total = kt.predictions(fit, masked)
    if model in ("ols", "quantile", "expectile", "huber"):
        assert found.theta == pytest.approx(fit.theta[1:], rel=1e-9)
        assert found.se().to_numpy() == pytest.approx(fit.se().to_numpy()[1:], rel=1e-7)
    if model == "multinomial":
        assert total.theta.sum() == pytest.approx(1.0, rel=1e-9)
        assert total.covariance.sum() == pytest.approx(0.0, abs=1e-12)


def test_labels_that_are_categories_and_numbers():
    frame = corpora.corpus(400, seed=11)
    drawn = kt.SimpleRandom(200).draw(frame, seed=2).labelled
    masked = corpora.masked(frame, drawn, "topic", "count")
    surrogates = {"topic": {"economy": "p_economy", "law": "p_law", "war": "p_war"}, "count": "count_llm"}
    fit = kt.logit("vote ~ C(topic) + count + z", masked, surrogates=surrogates, seed=1, compare=False)
    found = kt.slopes(fit, masked)
    assert found.names == ("topic[law - economy]", "topic[war - economy]", "count", "z")
    pairs = kt.comparisons(fit, masked, {"topic": "pairwise"})
    assert pairs.theta[2] == pytest.approx(pairs.theta[1] - pairs.theta[0], rel=1e-9)
    assert kt.comparisons(fit, masked, {"topic": "sequential", "count": (0, 2)}).names == (
        "topic[law - economy]", "topic[war - law]", "count[2 - 0]",
    )  # fmt: skip
    groups = kt.predictions(fit, masked, by=["region", "topic"])
    assert len(groups.theta) == 9
    assert set(groups.grid["topic"]) == {"economy", "law", "war"}


def test_rows_that_were_dropped_and_answers_that_are_missing():
    frame = corpora.corpus(400, seed=11)
    frame.loc[::17, "z"] = np.nan
    sample = kt.Stratified("region", 40).draw(frame, seed=1)
    masked = corpora.masked(frame, sample.labelled & (np.arange(400) % 9 > 0), "stance")
    fit = kt.logit("vote ~ stance + z", masked, surrogates={"stance": "stance_llm"}, design=sample.design, seed=1,
                   nonresponse="ignorable")  # fmt: skip
    found = kt.slopes(fit, masked, by="region")
    assert len(found.theta) == 6
    assert (found.se() > 0).all()


def test_some_rows_of_the_frame():
    fit, masked = some_gold(
        "ols", "stance + z", compare=False, subset=corpora.corpus(400, seed=11)["region"] == "north"
    )
    found = kt.slopes(fit, masked)
    for name in ("stance", "z"):
        assert found.coef()[name] == pytest.approx(fit.coef()[name], rel=1e-9)
        assert found.se()[name] == pytest.approx(fit.se()[name], rel=1e-7)
    assert kt.predictions(fit, masked, by="region").names == ("region=north",)


# ------------------------------------------------------------------ what comes back


def test_tables_plots_and_tests():
    fit, masked = some_gold(compare=False)
    found = kt.comparisons(fit, masked, at={"size": [2, 4]}, alpha=0.1)
    assert found.names[0] == "stance[1 - 0] | size=2"
    broom = found.tidy("broom")
    assert list(broom.columns[-3:]) == ["variable", "contrast", "size"]
    assert list(found.confint().columns) == ["5%", "95%"]
    assert "Average differences: vote ~ stance + z + size" in str(found)
    assert "stance" in found.to_latex()
    assert found.wald("stance[1 - 0] | size=2 = stance[1 - 0] | size=4").p_value < 1
    assert found.plot() is not None


def test_ratios_of_coefficients():
    fit, _ = some_gold(compare=False)
    ratios = fit.ratios()
    assert ratios.theta == pytest.approx(np.exp(fit.theta))
    assert ratios.confint().to_numpy() == pytest.approx(np.exp(fit.confint().to_numpy()))
    assert ratios.pvalue().to_numpy() == pytest.approx(fit.pvalue().to_numpy())
    assert ratios.se().to_numpy() == pytest.approx(fit.delta(np.exp)["Std. Error"].to_numpy(), rel=1e-5)
    assert "Odds ratios" in str(ratios)
    assert ratios.logarithms().wald("stance = z").p_value == pytest.approx(fit.wald("stance = z").p_value, rel=1e-9)
    line = ratios.plot().lines[-1].get_xdata()
    assert set(line) == {1.0}
    with pytest.raises(KaratError, match="not ratios"):
        some_gold("ols", "stance + z", compare=False)[0].ratios()


# ------------------------------------------------------------------ what is refused


def test_refusals(corpus):
    fit, masked = some_gold(compare=False)
    other = masked.assign(z=masked["z"] * 2)
    cases = [
        ((fit, other), {}, DataError, "do not give the coefficients"),
        ((fit, masked.iloc[:300]), {}, DataError, "400"),
        ((fit, masked.iloc[::-1]), {}, KaratError, "gold"),
        (("vote ~ z", masked), {}, ArgumentError, "give the Result"),
        ((fit, masked), {"at": {"y": 1}}, ArgumentError, "not a covariate"),
        ((fit, masked), {"at": {"z": "high"}}, ArgumentError, "not a number"),
        ((fit, masked), {"at": {"z": []}}, ArgumentError, "no value"),
        ((fit, masked), {"at": 1}, ArgumentError, "at=1"),
        ((fit, masked), {"by": "nowhere"}, DataError, "nowhere"),
        ((fit, masked), {"by": 3}, ArgumentError, "by=3"),
        ((fit, masked), {"covariates": "random"}, ArgumentError, "covariates='random'"),
        ((fit, masked), {"given": {"learner": None}}, ArgumentError, "learner= is that of the fit"),
        ((fit, masked), {"alpha": 2}, ArgumentError, "alpha"),
    ]
    for arguments, options, kind, words in cases:
        with pytest.raises(kind, match=words):
            kt.predictions(*arguments, **options)
    for options, words in (
        ({"variables": {"z": "pairwise"}}, "a step"),
        ({"variables": {"stance": 2.0}}, "reference"),
        ({"variables": []}, "name covariates"),
        ({"contrast": "quotient"}, "contrast='quotient'"),
    ):
        with pytest.raises(ArgumentError, match=words):
            kt.comparisons(fit, masked, **options)
    linear, table = some_gold("ols", "stance + z", compare=False)
    with pytest.raises(ArgumentError, match="needs probabilities"):
        kt.comparisons(linear, table, contrast="odds_ratio")
    with pytest.raises(ArgumentError, match="which has no ratio"):
        kt.comparisons(linear, table, {"z": (9, 10)}, contrast="ratio")


def test_what_cannot_be_opened_again(corpus):
    fit, masked = some_gold(compare=False)
    with pytest.raises(ArgumentError, match="averages already"):
        kt.predictions(kt.mean("stance", masked, surrogates={"stance": "stance_llm"}, seed=1), masked)
    with pytest.raises(ArgumentError, match="does not know the call"):
        kt.predictions(kt.Result.from_json(fit.to_json()), masked)
    with pytest.raises(ArgumentError, match="median"):
        kt.predictions(some_gold(combine="median", compare=False)[0], masked)
    with pytest.raises(FormulaError, match="whole column"):
        kt.slopes(*some_gold(formula="stance + I(z - z.mean())", compare=False))
    arrays, _ = some_gold(compare=False, weights=corpus["weight"].to_numpy())
    with pytest.raises(ArgumentError, match=r"given=\{'weights'"):
        kt.predictions(arrays, masked)
    named, _ = some_gold(compare=False, weights="weight")
    again = kt.predictions(arrays, masked, given={"weights": corpus["weight"].to_numpy()})
    assert again.theta == pytest.approx(kt.predictions(named, masked).theta, rel=1e-10)
