"""Shares from sums within cells of several sites are those of all rows in one place."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt

from ..profiles import examples

N = 900
LABELS = {
    "classes": ("topic", {"topic": "model"}), "soft": ("topic", {"topic": {"economy": "p1", "law": "p2", "war": "p3"}}),
    "codes": (["a", "b"], {"a": "a_soft", "b": "b_hard"}), "stars": ("stars", {"stars": "stars_model"}),
}  # fmt: skip
CELLS = [
    {}, {"by": "party"}, {"by": "party", "over": "year"}, {"over": "date", "period": "month"},
    {"by": ["party", "half"], "over": "date", "period": "quarter"}, {"by": "home"}, {"over": "term"},
]  # fmt: skip
DESIGNS = {
    "simple": (None, kt.Stratified("site")), "strata": (kt.Stratified("half"), kt.Stratified(["site", "half"])),
    "independent": (kt.Bernoulli("pi"), kt.Bernoulli("pi")),
    "clusters": (kt.Clustered("author"), kt.Clustered("author", by="site")),
}  # fmt: skip


def corpus(seed=5, sites=("Ghent", "Lund")):
    rng = np.random.default_rng(seed)
    topic = rng.choice(["economy", "law", "war"], N, p=[0.5, 0.3, 0.2])
    site = np.repeat(sites, N // len(sites))
    data = pd.DataFrame({
        "site": site, "topic": topic, "party": rng.choice(["left", "right", "mid"], N),
        "year": rng.integers(2018, 2020, N), "half": rng.choice(["u", "w"], N),
        "date": pd.Timestamp("2020-01-05") + pd.to_timedelta(rng.integers(0, 85, N), "D"),
        "model": np.where(rng.random(N) < 0.8, topic, "economy"), "a": (rng.random(N) < 0.3).astype(float),
        "size": rng.uniform(0.5, 2.0, N), "pi": rng.uniform(0.3, 0.7, N),
        "author": site.astype(object) + pd.Series(rng.integers(0, 25, N).astype(str)),
        "stars": rng.integers(1, 4, N).astype(float),
    })  # fmt: skip
    data["home"] = data["site"] + data["half"].where(data["site"] == sites[0], "")  # groups that one site has
    data["term"] = pd.Categorical(data["half"].map({"u": "spring", "w": "autumn"}), ["spring", "autumn"], ordered=True)
    data["b"] = np.where(rng.random(N) < 0.5, data["a"], 1.0 - data["a"])
    data["a_soft"] = 0.8 * np.where(rng.random(N) < 0.85, data["a"], 1.0 - data["a"]) + 0.2 * rng.random(N)
    data["b_hard"] = np.where(rng.random(N) < 0.85, data["b"], 1.0 - data["b"])
    data["stars_model"] = np.where(rng.random(N) < 0.7, data["stars"], 2.0)
    soft = rng.dirichlet([1.0, 1.0, 1.0], N) + 1.5 * np.eye(3)[pd.Series(topic).map({"economy": 0, "law": 1, "war": 2})]
    data[["p1", "p2", "p3"]] = soft / soft.sum(axis=1, keepdims=True)
    return data


def masked(data, design, labels, seed=2, share=0.4):
    rng, gold = np.random.default_rng(seed), np.zeros(len(data), dtype=bool)
    if design == "independent":
        gold = rng.random(len(data)) < data["pi"].to_numpy()
    elif design == "clusters":
        for _, own in data.groupby("site"):
            gold |= data["author"].isin(rng.choice(own["author"].unique(), 12, replace=False)).to_numpy()
    else:
        for _, rows in data.groupby(["site", "half"] if design == "strata" else "site").indices.items():
            gold[rng.choice(rows, int(share * len(rows)), replace=False)] = True
    return data.assign(**{name: data[name].where(gold) for name in labels})


def across(label, data, *, by_site="site", order=1, rounds=None, **options):
    """Rounds until there is a result."""
    parts = {str(site): data[data[by_site] == site] for site in data[by_site].unique()[::order]}

    def send(ask=None):
        return [kt.site_shares(label, own, site=site, ask=ask, **options) for site, own in parts.items()]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        received = send()
        found = kt.combine_sums(received)
        while isinstance(found, kt.Ask):
            received += send(found)
            found = kt.combine_sums(received[::order])
    if rounds is not None:
        assert len(received) == rounds * len(parts)
    return found


def both(data, label, surrogates, design, more, by_site="site"):
    """The result of all rows, and of the sites; or what each says where it refuses."""
    at_site, at_once = DESIGNS[design]
    options = {"surrogates": surrogates, "learner": None, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        pooled = kt.shares(label, data, design=at_once, **options)
    own = {} if at_site is None else {"design": at_site}
    return pooled, across(label, data, by_site=by_site, least=1, **own, **options)


def same(pooled, found, tolerance=1e-10):
    assert found.names == pooled.names
    assert found.classes == pooled.classes
    assert found.grid.astype(str).equals(pooled.grid.astype(str))
    np.testing.assert_allclose(found.theta, pooled.theta, rtol=tolerance, atol=tolerance)
    scale = np.outer(*[np.sqrt(np.diag(pooled.covariance))] * 2)
    for name in ("covariance", "plain"):
        np.testing.assert_allclose(getattr(found, name) / scale, getattr(pooled, name) / scale, atol=tolerance)
    np.testing.assert_allclose(found.df, pooled.df, rtol=10 * tolerance)
    np.testing.assert_allclose(found.size, pooled.size, rtol=tolerance)
    np.testing.assert_allclose(found.confint().to_numpy(), pooled.confint().to_numpy(), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.tidy()["Std. Error"], pooled.tidy()["Std. Error"], rtol=1e-8)
    for one, other in zip(found.fits, pooled.fits, strict=True):
        assert one.choice == other.choice
        for name in ("theta", "labelling_covariance", "r_squared", "tuning_weight", "effective_gold"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-8, atol=1e-12, err_msg=name)
        for name in ("n_units", "n_gold", "dropped", "n_dropped", "clusters", "gold_clusters", "binary_outcome"):
            assert getattr(one.sampling, name) == getattr(other.sampling, name), name
    if pooled.comparison is not None:
        gold, own = (next(c for c in r.comparison.columns if c.title == "Gold only") for r in (pooled, found))
        for name in ("theta", "se", "df"):
            np.testing.assert_allclose(getattr(own, name), getattr(gold, name), rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("cells", CELLS, ids=lambda one: "-".join(map(str, one.values())) or "all")
@pytest.mark.parametrize("label", list(LABELS))
def test_sums_of_sites_give_the_shares_of_all_rows(label, cells):
    name, surrogates = LABELS[label]
    data = masked(corpus(), "strata", list(surrogates))
    same(*both(data, name, surrogates, "strata", cells))


@pytest.mark.parametrize("design", list(DESIGNS))
@pytest.mark.parametrize("more", [
    {}, {"vcov": "HC2"}, {"vcov": "HC1"}, {"vcov": "HC0", "tuning": None}, {"tuning": "scalar"},
    {"tuning": "coefficient", "weights": "size"}, {"target": "finite"}, {"vcov": {"CRV1": "author"}},
    {"estimator": "gold", "learner": "auto"}, {"estimator": "ppi", "vcov": "HC2", "tuning": None}, {"df": "kurtosis"},
], ids=str)  # fmt: skip
def test_designs_and_options(design, more):
    for label in ("classes", "codes") if design == "simple" else ("soft",):
        name, surrogates = LABELS[label]
        data = masked(corpus(7), design, list(surrogates))
        same(*both(data, name, surrogates, design, {"by": "party", **more}))
