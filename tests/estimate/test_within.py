"""Fixed effects taken out give what explicit dummies give."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import karat as kt
from karat.errors import DataError
from karat.estimate import absorb, rectify, tune
from karat.estimate.absorb import FixedEffects, Projection

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")

LABELS = {"y": {"y": "y_llm"}, "x": {"x": "x_llm"}, "both": {"y": "y_llm", "x": "x_llm"}}
FORMULAS = {"state": "C(state)", "state + year": "C(state) + C(year)"}


def panel(labels=("y",), n=700, states=10, years=6, accuracy=0.93, seed=1):
    """An unbalanced panel; labels are known of two rows in five."""
    rng = np.random.default_rng(seed)
    state, year = (rng.random(n) ** 1.5 * states).astype(int), rng.integers(0, years, n)
    a, b = rng.normal(size=states), rng.normal(size=years)
    x = (rng.normal(size=n) + 0.5 * a[state] + 0.3 * b[year] > 0).astype(float)
    z = rng.normal(size=n) + 0.3 * a[state]
    y = 0.8 * x - 0.4 * z + a[state] + b[year] + rng.normal(size=n)
    data = pd.DataFrame({"state": state, "year": 2000 + year, "x": x, "z": z, "y": y, "v": rng.uniform(0.5, 2, n)})
    data["x_llm"] = np.where(rng.random(n) < accuracy, x, 1 - x)
    data["p_llm"] = np.clip(0.8 * data["x_llm"] + 0.1, 0, 1)
    data["y_llm"] = y + rng.normal(size=n) * 0.7
    gold = rng.random(n) < 0.4
    return data.assign(**{name: data[name].where(gold) for name in labels})


def both(labels, effects, **options):
    """A fit with effects taken out, and one with dummies, in the order of the first."""
    surrogates = options.pop("surrogates", LABELS[labels])
    data = panel(tuple(LABELS[labels]))
    options = {"design": kt.Bernoulli(0.4), "learner": None} | options
    one = kt.ols(f"y ~ x + z | {effects}", data, surrogates=surrogates, **options)
    other = kt.ols(f"y ~ x + z + {FORMULAS[effects]}", data, surrogates=surrogates, **options)
    return one, other, [other.names.index(name) for name in one.names]


def assert_same(one, other, at, tolerance=1e-8):
    for mine, theirs in zip(one.comparison.columns, other.comparison.columns):
        np.testing.assert_allclose(mine.theta, theirs.theta[at], rtol=tolerance)
        np.testing.assert_allclose(mine.se, theirs.se[at], rtol=tolerance)
    np.testing.assert_allclose(one.covariance, other.covariance[np.ix_(at, at)], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(one.labelling_covariance, other.labelling_covariance[np.ix_(at, at)], atol=1e-9)


@pytest.mark.parametrize("effects", FORMULAS)
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("vcov", ["HC0", {"CRV0": "state"}, {"CRV3": "state"}, {"CRV2": "year"}], ids=str)
def test_weight_one_is_the_regression_with_dummies(labels, effects, vcov):
    assert_same(*both(labels, effects, tuning=None, vcov=vcov, weights="v"))


@pytest.mark.parametrize("effects", FORMULAS)
def test_class_probabilities_are_averaged_over_in_the_moment(effects):
    assert_same(*both("x", effects, surrogates={"x": "p_llm"}, tuning=None, vcov="HC0"))


@pytest.mark.parametrize("vcov", ["HC3", "HC2", {"CRV3": "state"}], ids=str)
@pytest.mark.parametrize("effects", FORMULAS)
def test_gold_alone_is_the_regression_with_dummies(effects, vcov):
    assert_same(*both("both", effects, estimator="gold", vcov=vcov))


@pytest.mark.parametrize("vcov", ["HC3", {"CRV3": "year"}], ids=str)
@pytest.mark.parametrize("effects", FORMULAS)
def test_surrogates_alone_are_the_regression_with_dummies(effects, vcov):
    assert_same(*both("both", effects, estimator="surrogate", vcov=vcov))


@pytest.mark.parametrize("labels", ["y", "x"])
def test_weights_of_the_surrogates_are_chosen_alike(labels):
    one, other, at = both(labels, "state", learner="auto", seed=4, vcov="HC0")
    np.testing.assert_allclose(one.theta, other.theta[at], rtol=1e-8)
    assert one.choice == tuple(other.choice[k] for k in at)


def test_a_coefficient_weight_moves_slopes_as_with_dummies():
    one, other, at = both("y", "state + year", tuning="coefficient", vcov="HC0")
    np.testing.assert_allclose(one.theta, other.theta[at], rtol=1e-8)
    np.testing.assert_allclose(one.tuning_weight, other.tuning_weight[at], rtol=1e-8)


def test_leaving_a_unit_out_moves_its_effects_too():
    """With all labels known HC3 is what fitting without each row gives, in its own coefficients."""
    data = panel(()).assign(same=lambda d: d["y"]).iloc[:90]
    fit = kt.ols("y ~ x + z | state + year", data, surrogates={"y": "same"}, estimator="gold", vcov="HC3")
    kept = data.iloc[: fit.n_units] if fit.n_units == len(data) else data
    shifts = []
    for row in range(len(kept)):
        less = kept.drop(index=kept.index[row])
        dummies = pd.get_dummies(less[["state", "year"]].astype(str), dtype=float)
        design = np.column_stack([less[["x", "z"]], dummies])
        shifts.append(np.linalg.lstsq(design, less["y"], rcond=None)[0][:2] - fit.theta)
    np.testing.assert_allclose(fit.covariance, np.transpose(shifts) @ shifts, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([1, 2, 3]))
def test_projection_is_that_on_all_dummies(seed, weighted, ways):
    rng = np.random.default_rng(seed)
    codes = np.column_stack([np.unique(rng.integers(0, k, 60), return_inverse=True)[1] for k in (20, 7, 5)[:ways]])
    effects = FixedEffects(tuple("abc"[:ways]), codes)
    weight = rng.uniform(0.2, 3, 60) if weighted else None
    dummies = np.hstack([np.eye(size)[codes[:, k]] for k, size in enumerate(effects.sizes)])
    v = np.ones(60) if weight is None else weight
    inverse = np.linalg.pinv(dummies.T @ (dummies * v[:, None]), rcond=1e-10, hermitian=True)
    values = rng.normal(size=(60, 2)) + 5
    wanted = dummies @ (inverse @ (dummies.T @ (values * v[:, None])))
    found = Projection(effects, weight)
    np.testing.assert_allclose(found.fitted(values), wanted, atol=1e-9)
    gram = dummies @ inverse @ dummies.T
    np.testing.assert_allclose(found.lengths(codes) ** 2, np.diag(gram), atol=1e-9)
    np.testing.assert_allclose(found.roots(codes) @ found.roots(codes).T, gram, atol=1e-8)


def test_many_levels_are_solved_for_by_conjugate_gradients(monkeypatch):
    rng = np.random.default_rng(3)
    codes = np.column_stack([rng.integers(0, 40, 500), rng.integers(0, 30, 500)])
    values, effects = rng.normal(size=(500, 3)), FixedEffects(("a", "b"), codes)
    wanted = Projection(effects, None).fitted(values)
    monkeypatch.setattr(absorb, "MOST_FACTORED", 10)
    np.testing.assert_allclose(Projection(effects, None).fitted(values), wanted, atol=1e-9)
    data = panel(("y",))
    arguments = {"surrogates": LABELS["y"], "learner": None, "compare": False}
    monkeypatch.setattr(absorb, "MOST_FACTORED", 5)
    kt.ols("y ~ x | state + year", data, vcov="HC1", **arguments)
    with pytest.raises(kt.errors.ArgumentError, match="vcov='HC1'"):
        kt.ols("y ~ x | state + year", data, vcov="HC3", **arguments)
    with pytest.raises(kt.errors.ArgumentError, match="label the outcome alone"):
        kt.ols("y ~ x | state + year", panel(("x",)), surrogates=LABELS["x"], learner=None, vcov="HC1")


def test_order_of_rows_and_names_of_groups_do_not_matter():
    data = panel(("x",))
    arguments = {"surrogates": LABELS["x"], "learner": None, "design": kt.Bernoulli(0.4)}
    one = kt.ols("y ~ x + z | state^year", data, **arguments)
    other = data.sample(frac=1, random_state=2).assign(state=lambda d: "s" + d["state"].astype(str))
    two = kt.ols("y ~ x + z | state^year", other, **arguments)
    np.testing.assert_allclose(one.theta, two.theta, rtol=1e-9)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-8)


@pytest.mark.parametrize("labels", LABELS)
def test_a_constant_of_a_group_moves_nothing(labels):
    data = panel(tuple(LABELS[labels]))
    arguments = {"surrogates": LABELS[labels], "learner": None, "design": kt.Bernoulli(0.4), "vcov": "HC1"}
    moved = data.assign(**{name: data[name] + 7.0 * data["state"] for name in ("y", "y_llm", "z")})
    one, two = (kt.ols("y ~ x + z | state", table, **arguments) for table in (data, moved))
    np.testing.assert_allclose(one.theta, two.theta, rtol=1e-8)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-7)


def test_rows_alone_and_missing_groups_leave():
    data = panel(("y",))
    data["state"] = data["state"].astype(object)
    data.loc[0, "state"], data.loc[1, "state"] = None, "alone"
    fit = kt.ols("y ~ x + z | state", data, surrogates=LABELS["y"], learner=None, design=kt.Bernoulli(0.4))
    assert fit.n_units == len(data) - 2
    assert fit.sampling.dropped == {"state": 1, "alone in state": 1}
    assert "only row" in str(fit.summary())
    assert "state (10 groups)" in str(fit.summary())


def test_groups_without_gold_do_no_harm_and_gold_alone_says_why_not():
    data = panel(("y",), n=400, states=150, seed=8)
    fit = kt.ols("y ~ x + z | state", data, surrogates=LABELS["y"], learner=None, design=kt.Bernoulli(0.4))
    assert np.isfinite(fit.se()).all()
    thin = data.assign(y=data["y"].where(data.groupby("state")["y"].cumcount() == 0))
    sure = kt.ols("y ~ x + z | state", thin, surrogates=LABELS["y"], learner=None)
    assert [c.title for c in sure.comparison.columns] == ["Surrogate only", "DSL"]
    assert any("gold alone is not shown" in note for note in sure.notes)
    assert np.isnan(sure.r_squared).all()
    assert np.isnan(sure.effective_gold).all()
    with pytest.raises(DataError, match="degrees of freedom"):
        kt.ols("y ~ x + z | state", thin, surrogates=LABELS["y"], estimator="gold")


def test_small_groups_are_put_right_and_said():
    data = panel(("x",), n=1200, states=150, years=3, accuracy=0.8)
    arguments = {"surrogates": LABELS["x"], "learner": None, "design": kt.Bernoulli(0.4), "compare": False}
    right = kt.ols("y ~ x + z | state", data, **arguments)
    with pytest.warns(kt.errors.SolverWarning, match="tuning='auto' puts it right"):
        dummies = kt.ols("y ~ x + z | state", data, tuning=None, **arguments)
    assert any("it is put right" in note for note in right.notes)
    assert abs(right.theta[0] - 0.8) < abs(dummies.theta[0] - 0.8)


def noise_by_enumeration(labels_design, seed):
    """Mean of ``(sum w z)' M^- (sum w z)`` less that at the labels themselves, over drawn samples; and its estimate."""
    from karat.estimate.augment import AugmentedSample, Units
    from karat.estimate.labelling_noise import noise_of_labels
    from karat.estimate.rows import Memory, Rows
    from karat.estimate.within import within

    rng = np.random.default_rng(seed)
    n = 60
    effects = FixedEffects(("g", "t"), np.column_stack([np.arange(n) // 4, rng.integers(0, 3, n)]))
    d = rng.normal(size=(n, 2)) + 0.4
    frame = pd.DataFrame({"id": np.arange(n), "half": np.arange(n) % 2})
    projection = Projection(effects, None)
    x = rng.normal(size=(n, 1))
    truth, found, draws = [], [], 400
    whole = (projection.fitted(d) * d).sum(axis=0)
    for k in range(draws):
        labelling = labels_design.draw(frame, seed=k).design.labelling
        rows = labelling.gold
        total = np.zeros((n, 2))
        total[rows] = d[rows] * labelling.weight[:, None]
        truth.append((projection.fitted(total) * total).sum(axis=0) - whole)
        gold = Rows(x[rows] + d[rows, :1], d[rows, 1])
        raw = AugmentedSample(gold, Memory((Rows(x, np.zeros(n)),)), Units(labelling, effects=effects))
        sample = within(raw, "all")
        at = sample.predicted.at(rows)[0]
        found.append(np.diag(noise_of_labels(sample, raw, at).total))
    spread = np.std(np.array(truth) - found, axis=0) / np.sqrt(draws)
    return np.mean(truth, axis=0), np.mean(found, axis=0), spread


@pytest.mark.parametrize("name", ["bernoulli", "fixed", "strata"])
def test_noise_is_the_variance_the_design_gives_it(name):
    design = {
        "bernoulli": kt.Bernoulli(0.4),
        "fixed": kt.SimpleRandom(24),
        "strata": kt.Stratified("half", {0: 10, 1: 20}),
    }[name]
    truth, found, error = noise_by_enumeration(design, 2)
    assert (np.abs(truth - found) < 4 * error).all()


def test_what_needs_the_level_of_effects_is_refused_and_the_rest_works(tmp_path):
    data = panel(("x",))
    arguments = {"surrogates": LABELS["x"], "learner": None, "design": kt.Bernoulli(0.4)}
    fit = kt.ols("y ~ x + z | state", data, **arguments)
    with pytest.raises(kt.errors.KaratError, match="fixed effects"):
        fit.predict(data.assign(x=1.0))
    with pytest.raises(kt.errors.ArgumentError, match=r"kt\.comparisons"):
        kt.predictions(fit, data)
    slope = kt.slopes(fit, data, variables="z")
    np.testing.assert_allclose(slope.theta, fit.theta[1:], rtol=1e-6)
    np.testing.assert_allclose(slope.se(), fit.se()[1:], rtol=1e-6)
    change = kt.comparisons(fit, data, variables="x")
    np.testing.assert_allclose(change.theta, fit.theta[:1], rtol=1e-8)
    for call in (kt.probit, kt.gamma, kt.multinomial):
        with pytest.raises(kt.errors.ArgumentError, match=r"C\(state\)"):
            call("x ~ z | state", data, **arguments)
    data.to_parquet(tmp_path / "panel.parquet")
    batches = kt.Batches(tmp_path / "panel.parquet")
    np.testing.assert_allclose(kt.ols("y ~ x + z | state", batches, **arguments).theta, fit.theta, rtol=1e-10)
    one, other = (kt.poisson("x ~ z | state", source, **arguments) for source in (data, batches))
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-10)


def test_effects_are_factored_and_covariates_projected_once_where_the_outcome_is_labelled(monkeypatch):
    """Estimate, splits and the comparison share what labels do not change."""
    made, projected = [], []
    begin, fitted = Projection.__init__, Projection.fitted

    def counted(self, effects, weight, rows=None):
        made.append(rows is None)
        begin(self, effects, weight, rows)

    def noted(self, values, every=False):
        projected.append(len(values) == 700 and values.shape[1] == 2)
        return fitted(self, values, every)

    monkeypatch.setattr(Projection, "__init__", counted)
    monkeypatch.setattr(Projection, "fitted", noted)
    kt.ols("y ~ x + z | state", panel(), surrogates=LABELS["y"], learner="linear", seed=1)
    assert sum(made) == 1
    assert sum(projected) == 1


def test_effects_of_a_unit_stay_where_steps_to_other_weights_are_made_of_them(monkeypatch):
    """The labelling part of HC3 against a plain one: weight 1 is free of the unit's own effects, the rest is not."""
    monkeypatch.setattr(rectify, "calibrations", lambda *_: (None, None))
    monkeypatch.setattr(tune, "pulls", lambda *_: {})
    data = panel(states=40, seed=6)
    arguments = {"surrogates": LABELS["y"], "design": kt.Bernoulli(0.4), "learner": None, "vcov": "HC3"}
    fit = kt.ols("y ~ x + z | state", data, tuning="scalar", compare=False, **arguments)
    gold, weight, predicted = data["y"].notna().to_numpy(), fit.tuning_weight[0], data["y_llm"].to_numpy()
    dummies, x = pd.get_dummies(data["state"]).to_numpy(float), data[["x", "z"]].to_numpy(float)

    def rest(values):
        return values - dummies @ np.linalg.lstsq(dummies, values, rcond=None)[0]

    d = np.where(gold, data["y"] - predicted, 0.0)
    left, effects = rest(x), predicted + d / 0.4 - rest(predicted + d / 0.4)
    inverse = np.linalg.inv(left.T @ left)
    at_predicted = predicted - effects - left @ fit.theta
    slopes = np.einsum("ij,jk,ik->i", left, inverse, left)
    whole = slopes + 1.0 / (dummies @ dummies.sum(axis=0))
    at_predicted = at_predicted + slopes / (1.0 - whole) * (at_predicted + d / 0.4)
    error = (left * (d + (1.0 - weight) * at_predicted)[:, None])[gold] @ inverse
    np.testing.assert_allclose(fit.labelling_covariance, 0.6 / 0.16 * error.T @ error, rtol=1e-8)
    assert 0.1 < weight < 0.9
