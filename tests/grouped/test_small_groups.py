"""Small groups: numbers against plain re-implementations, invariances, edges, and a tiny coverage study."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog
from scipy.stats import chi2, norm

import karat as kt
from karat.grouped.composite import Areas, composite
from karat.grouped.direct import direct_estimates
from karat.grouped.robust import critical_values
from karat.grouped.small_groups_plan import _Needs
from tests.statistical.small_groups import Cell, corpus, study


def areas_of(rng, d=14, k=1, none=3, off=0.1):
    """Groups as :func:`direct_estimates` hands them out; shares of k classes add up to one."""
    truth = rng.dirichlet(np.full(max(k, 2), 4.0), d)[:, -k:]
    count = rng.integers(1, 9, d).astype(float)
    count[:none] = 0
    residual = rng.uniform(0.08, 0.16, (d, k))
    with np.errstate(divide="ignore"):
        variance = residual * (1 / count - 1 / 150)[:, None]
    noise = rng.normal(size=(d, k)) * off
    noise -= noise.mean(axis=1, keepdims=True) * (k > 1)
    predicted = 0.3 / k + 0.7 * truth
    direct = np.where(count[:, None] > 0, truth + noise, 0.0)
    return Areas(direct, predicted, variance, variance, residual, np.full(d, 150.0), count, float(max(k - 1, 1)))


def plainly(areas: Areas, grid: np.ndarray, slope: float):
    """The composite by full matrices: estimates A y, with their error at the limit of s and at its mean."""
    has = areas.count > 0
    d, k = areas.direct.shape
    z = (areas.predicted - areas.predicted[has].mean(axis=0))[:, -max(k - 1, 1) :]
    x = np.column_stack([np.ones(d), z])
    chance = slope * areas.residual / areas.size[:, None]
    c = areas.residual.mean(axis=0)
    variance = np.where(has[:, None], areas.variance, 1e8)
    freedom = (has.sum() - x.shape[1]) * areas.dimension

    def squares(s):
        noise = (s * c + chance + variance)[has].sum(axis=1)
        fitted = x[has] @ np.linalg.solve((x[has].T / noise) @ x[has], (x[has].T / noise) @ areas.direct[has])
        return areas.dimension * (((areas.direct[has] - fitted) ** 2).sum(axis=1) / noise).sum()

    def limit(sure):
        wanted = chi2.ppf(1 - sure, freedom)
        return 0.0 if squares(0.0) < wanted else brentq(lambda s: squares(s) - wanted, 0.0, 1e3)

    def weights(s):
        total = (s * c + chance + variance).sum(axis=1)
        inverse_v = np.diag(np.where(has, 1 / total, 0.0))
        project = np.linalg.solve(x.T @ inverse_v @ x, x.T @ inverse_v)
        g = np.diag(np.where(has, (s * c + chance).sum(axis=1) / total, 0.0))
        rest = (areas.direct - x @ project @ areas.direct)[has]
        log = -0.5 * areas.dimension * (
            np.log(total[has]).sum() + np.linalg.slogdet(x.T @ inverse_v @ x)[1]
            + ((rest**2).sum(axis=1) / total[has]).sum()) + 0.5 * np.log(s)  # fmt: skip
        return log, g + (np.eye(d) - g) @ x @ project

    log = np.array([weights(s)[0] for s in grid])
    p = np.exp(log - log.max())
    known = (c.sum() / (chance + variance)[has].sum(axis=1)) ** 2
    s = max(limit(0.5), 2.5 * np.sqrt(2 / areas.dimension / known.sum()))
    a = weights(s)[1]

    def error(s):
        t = s * c + chance
        return np.array([(a - np.eye(d)) @ np.diag(t[:, j]) @ (a - np.eye(d)).T
                         + a[:, has] @ np.diag(variance[has, j]) @ a[:, has].T for j in range(k)])  # fmt: skip

    cautious = np.diagonal(error(p @ grid / p.sum()), axis1=1, axis2=2).T
    return a @ areas.direct, error(limit(0.6)), cautious, limit(0.6), limit(0.5) < s


@pytest.mark.parametrize("off", [0.02, 0.6])
@pytest.mark.parametrize("k", [1, 3])
def test_composite_is_what_full_matrices_give(k, off, monkeypatch):
    from karat.grouped import composite as module

    seen = {}
    original = module._made

    def spy(areas, line, chance):
        seen["slope"] = float((chance * areas.size[:, None] / areas.residual).mean())
        return original(areas, line, chance)

    grid = 0.4 * ((np.arange(30) + 0.5) / 30) ** 2
    monkeypatch.setattr(module, "_made", spy)
    monkeypatch.setattr(module, "_grid", lambda *_: grid)
    areas = areas_of(np.random.default_rng(3), k=k, off=off)
    found = composite(areas, np.empty((len(areas.count), 0)), free=True)
    mean, error, cautious, limit, least = plainly(areas, grid, seen["slope"])
    assert (limit > 0) == (off > 0.1)  # groups that differ less than their noise, and more
    assert least == (off < 0.1)
    np.testing.assert_allclose(found.theta, mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.covariance, error, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.cautious, cautious, rtol=1e-5, atol=1e-8)
    assert ((found.bias > 0) & (found.bias < found.cautious)).all()
    if k > 1:
        np.testing.assert_allclose(found.theta.sum(axis=1), areas.direct[-1].sum(), atol=1e-8)
    assert (found.weight[:3] < 1e-6).all()


def test_direct_estimates_of_a_plain_sample():
    """A constant prediction: the pooled variance within groups, ``s^2 (1/n - 1/N)``, and the plain mean of the gold."""
    rng = np.random.default_rng(1)
    group = rng.integers(0, 6, 600)
    gold = np.sort(rng.choice(600, 90, replace=False))
    y = rng.normal(size=90) + group[gold]
    found = direct_estimates(y[:, None], np.zeros((600, 1)), group, gold, np.full(90, 600 / 90), np.ones(600), 6)
    mean = pd.Series(y).groupby(group[gold]).mean().to_numpy()
    n, big = np.bincount(group[gold]), np.bincount(group)
    pooled = ((y - mean[group[gold]]) ** 2).sum() / (90 - 6)
    np.testing.assert_allclose(found.direct[:, 0], mean)
    np.testing.assert_allclose(found.variance[:, 0], pooled * (1 / n - 1 / big))
    np.testing.assert_allclose(found.residual[:, 0], pooled)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 2.0, 25.0])
def test_critical_values_against_linear_programming(ratio):
    """The worst distribution of the bias with this mean square misses with probability alpha, not more."""
    c = float(critical_values(np.array([ratio]), 0.05)[0])
    b = np.linspace(0, 60, 6001)
    missed = norm.sf(c - b) + norm.cdf(-c - b)
    worst = linprog(-missed, A_eq=np.vstack([np.ones_like(b), b**2]), b_eq=[1.0, ratio], bounds=(0, None))
    assert -worst.fun == pytest.approx(0.05, abs=2e-4)


def small(seed=1, cell=None, **options):
    """A fit, its masked table and the true values."""
    cell = Cell(gold=240, groups=40, documents=4000) if cell is None else cell
    data = corpus(cell, np.random.default_rng(seed))
    sample = kt.SimpleRandom(n=cell.gold).draw(data, seed=seed)
    masked = kt.datasets.mask_gold(data, sample, "b")
    more = {"learner": "linear", "repeats": 1, "seed": 1, "design": sample.design} | options
    return fitted(masked, **more), masked, data


def fitted(masked, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kt.small_groups("b", masked, **({"by": "g", "surrogates": {"b": "s"}} | options))


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000))
def test_order_of_rows_does_not_matter(seed):
    _, masked, _ = small(design=None)
    plain = fitted(masked, learner=None)
    turned = fitted(masked.sample(frac=1, random_state=seed), learner=None)
    np.testing.assert_allclose(turned.theta, plain.theta, rtol=1e-9)
    np.testing.assert_allclose(turned.covariance, plain.covariance, rtol=1e-9, atol=1e-15)


@settings(max_examples=3, deadline=None)
@given(st.floats(-5, 5), st.floats(0.2, 5))
def test_shift_and_scale_of_a_number(shift, scale):
    cell = Cell(gold=240, groups=40, documents=4000, kind="number", uneven=0.06)
    plain, masked, _ = small(cell=cell, learner=None)
    turned = masked.assign(b=shift + scale * masked["b"], s=shift + scale * masked["s"])
    other = fitted(turned, learner=None, design=kt.SimpleRandom(n=240))
    np.testing.assert_allclose(other.theta, shift + scale * plain.theta, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(other.se(), scale * plain.se(), rtol=1e-6)


def test_two_classes_are_one_share():
    _, masked, _ = small()
    words = masked.assign(b=masked["b"].map({0.0: "no", 1.0: "yes"}), s=masked["s"].map({0.0: "no", 1.0: "yes"}))
    share, both = fitted(masked, learner=None), fitted(words, learner=None)
    np.testing.assert_allclose(both.theta[40:], share.theta, atol=1e-9)
    np.testing.assert_allclose(both.theta[:40] + both.theta[40:], 1.0, atol=1e-9)
    np.testing.assert_allclose(both.se().to_numpy()[40:], share.se(), rtol=1e-7)
    assert both.n_classes == 2
    assert both.group_names == share.group_names


def test_classes_add_up_and_stay_within_bounds():
    fit, _, _ = small(cell=Cell(gold=300, groups=40, documents=4000, classes=3))
    shares = fit.theta.reshape(3, -1)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert fit.grid["class"].unique().tolist() == ["a", "b", "c"]
    with pytest.raises(kt.KaratError, match="not known"):
        fit.wald("a: g=1 = b: g=1")
    assert fit.wald("a: g=1 = a: g=2").df_numerator == 1
    assert np.isfinite(fit.simultaneous(draws=200).to_numpy()).all()


def test_cells_covariates_and_missing_groups():
    _, masked, _ = small()
    half = np.where(np.arange(len(masked)) % 2, "x", "y")
    cells = fitted(masked.assign(half=half, g=masked["g"] % 10), by=["g", "half"], learner=None)
    assert cells.names[:2] == ("g=0:half=x", "g=0:half=y")
    with_level = fitted(masked.assign(level=masked["g"] / 40.0), covariates="level", learner="linear", repeats=1)
    assert np.isfinite(with_level.se()).all()
    gaps = masked.assign(g=masked["g"].where(np.arange(len(masked)) % 50 > 0))
    fit = fitted(gaps, learner=None)
    assert fit.documents.sum() == len(masked) - 80
    assert any("without a group" in note for note in fit.notes)
    with pytest.raises(kt.KaratError, match="no group"):
        fitted(gaps, learner=None, missing="raise")


def test_groups_without_gold_are_marked():
    _, masked, _ = small()
    masked.loc[masked["g"].isin([3, 4]), "b"] = np.nan
    fit = fitted(masked, learner="linear", repeats=1)
    table = fit.tidy()
    assert table.index[table["model only"]].tolist() == ["g=3", "g=4"]
    assert table.loc["g=3", ["direct", "direct_se"]].isna().all()
    assert table.loc["g=3", "weight"] < 1e-6
    assert np.isnan(fit.confint(kind="direct").loc["g=3"]).all()
    assert not fit.discoveries(method="direct").loc["g=3", "named"]
    assert "model only" in str(fit.summary())
    assert "model only" in fit._repr_html_()


def test_much_gold_leaves_the_direct_estimate():
    fit, _, data = small(cell=Cell(gold=3600, groups=10, documents=4000))
    truth = data.groupby("g")["b"].mean().to_numpy()
    assert (fit.weight > 0.6).all()
    assert np.abs(fit.theta - truth).max() < 0.03
    assert np.abs(fit.direct - fit.theta).max() < 0.02


@pytest.mark.parametrize("cell", [
    Cell(gold=240, groups=40, documents=4000, accuracy=1.0, learner=None),
    Cell(gold=240, groups=40, documents=4000, accuracy=0.5),
    Cell(gold=240, groups=40, documents=4000, level=-3.9),
])  # fmt: skip
def test_standard_errors_are_never_zero(cell):
    fit, _, _ = small(cell=cell, learner=cell.learner)
    assert (fit.se() > 1e-4).all()
    assert np.isfinite(fit.confint(kind="robust")).all(axis=None)


def test_kinds_of_intervals_and_targets():
    fit, masked, _ = small()
    kinds = ("average", "robust", "direct")
    average, robust, direct = (np.diff(fit.confint(kind=kind).to_numpy(), axis=1)[:, 0] for kind in kinds)
    assert (robust >= average - 1e-12).all()
    assert np.nanmean(direct) > average.mean()
    wide = fitted(masked, learner="linear", repeats=1, seed=1, target="superpopulation")
    assert (wide.se() > fit.se()).all()
    np.testing.assert_allclose(wide.theta, fit.theta)
    with pytest.raises(kt.KaratError, match="kind="):
        fit.confint(kind="exact")


def test_discoveries_ranks_and_all_at_once():
    fit, _, _ = small()
    found = fit.discoveries(null=0.4)
    assert (found.loc[found["named"], "q value"] <= 0.05).all()
    assert set(found["side"]) <= {"above", "below"}
    strict = fit.discoveries(null=0.4, method="direct")
    assert strict["named"].sum() <= found["named"].sum()
    ranks = fit.ranks(draws=500)
    assert sorted(ranks["rank"]) == list(range(1, 41))
    assert (ranks["2.5%"] <= ranks["97.5%"]).all()
    together = fit.simultaneous(draws=500)
    assert (together.iloc[:, 3].to_numpy() <= fit.confint().iloc[:, 0].to_numpy() + 1e-9).all()


def test_plan_gives_the_width_it_promises():
    """At the gold there is, the width there is; at the gold planned, about the width asked for."""
    cell = Cell(groups=60, documents=12_000, gold=400)
    fit, _, _ = small(cell=cell)
    now = float(np.diff(fit.confint().to_numpy()).mean() / 2)
    wanted = fit.plan(0.8 * now)
    worst = fit.plan(1.2 * now, of="worst")
    n = round(wanted["gold"].sum())
    assert n > 400
    assert worst["half width"].max() <= 1.2 * now + 1e-9
    later, _, _ = small(cell=Cell(groups=60, documents=12_000, gold=n))
    assert float(np.diff(later.confint().to_numpy()).mean() / 2) == pytest.approx(0.8 * now, rel=0.2)
    with pytest.raises(kt.KaratError, match="half_width"):
        fit.plan(-1)


def test_more_gold_brings_the_limit_of_what_differs_down_to_the_estimate():
    fit, _, _ = small(cell=Cell(gold=600, groups=40, documents=8000, uneven=0.08))
    need = _Needs(fit, 0.05)
    np.testing.assert_allclose(need.between_with(need.now, need.now), [need.between, need.weighed])
    later = need.between_with(4 * need.now, need.now)
    left = (np.array(later) - need.likely) / (np.array([need.between, need.weighed]) - need.likely)
    assert ((left > 0.2) & (left < 0.9)).all()  # a quarter where groups do not differ at all
    plan = fit.plan(0.05, of="worst")
    assert (plan["gold"] >= 2).all()  # a stratum of its own
    assert plan["half width"].max() <= 0.05


def test_summary_and_plot():
    import matplotlib as mpl

    mpl.use("Agg")
    fit, _, _ = small()
    assert "40 groups" in str(fit)
    assert "<table" in fit._repr_html_()
    ax = fit.plot()
    assert len(ax.get_yticks()) == 40
    assert fit.plot(kind="direct", ax=ax) is ax
    three, _, _ = small(cell=Cell(gold=300, groups=40, documents=4000, classes=3))
    with pytest.raises(kt.KaratError, match="not a class"):
        three.plot()
    assert len(three.plot(of="b").get_yticks()) == 40
    assert fit.tidy("broom").shape[0] == 40


def test_refusals_say_what_to_do():
    _, masked, data = small()
    few = masked.assign(g=masked["g"] % 5)
    for change, message in (
        ({"by": []}, "by="), ({"by": "b"}, "by names 'b'"), ({"covariates": "b"}, "labelled"),
        ({"cluster": "g"}, "cluster"), ({"tuning": None}, "tuning"),
    ):  # fmt: skip
        with pytest.raises(kt.KaratError, match=message):
            fitted(masked, **change)
    with pytest.raises(kt.KaratError, match=r"5 group\(s\) hold gold.*kt\.mean"):
        fitted(few)
    with pytest.raises(kt.KaratError, match="every row"):
        fitted(data)
    whole = kt.Clustered("g", n=12).draw(data, seed=1)
    with pytest.raises(kt.KaratError, match="one by one"):
        fitted(kt.datasets.mask_gold(data, whole, "b"), design=whole.design)


def test_mean_points_here():
    _, masked, _ = small()
    masked.loc[masked["g"] == 3, "b"] = np.nan
    with pytest.warns(kt.errors.SmallSampleWarning, match=r"kt\.small_groups"):
        kt.mean("b", masked, surrogates={"b": "s"}, by="g", learner=None, estimator="ppi", compare=False)


def test_coverage_on_a_small_scale():
    """Two cells of the study; coverages of 2 repetitions have a Monte Carlo error of .01 and .03."""
    even, uneven = (study(Cell(uneven=sd), 2, 31_000) for sd in (0.0, 0.06))
    assert even.coverage > 0.93
    assert even.rmse < 0.065
    assert uneven.coverage > 0.88
    assert uneven.rmse < 0.09
    assert even.zero == uneven.zero == even.refused == 0
