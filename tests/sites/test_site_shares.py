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


OPTIONS = [
    {}, {"vcov": "HC2"}, {"vcov": "HC1"}, {"tuning": "coefficient", "weights": "size"}, {"vcov": {"CRV1": "author"}},
    {"vcov": "HC0", "tuning": None}, {"tuning": "scalar"}, {"target": "finite"}, {"df": "kurtosis"},
    {"estimator": "gold", "learner": "auto"}, {"estimator": "ppi", "vcov": "HC2", "tuning": None},
]  # fmt: skip


@pytest.mark.parametrize(
    ("design", "more"),
    [(design, more) for design in DESIGNS for more in (OPTIONS if design == "simple" else OPTIONS[:5])],
    ids=str,
)
def test_designs_and_options(design, more):
    for label in ("classes", "codes") if design == "simple" else ("soft",):
        name, surrogates = LABELS[label]
        data = masked(corpus(7), design, list(surrogates))
        same(*both(data, name, surrogates, design, {"by": "party", **more}))


@given(
    seed=st.integers(0, 10**6), cut=st.integers(1, 4), label=st.sampled_from(list(LABELS)),
    cells=st.sampled_from(CELLS),
    more=st.sampled_from([{}, {"vcov": "HC2"}, {"vcov": "HC1"}, {"tuning": None}, {"weights": "size"}]),
)  # fmt: skip
@examples(8)
def test_however_rows_are_split(seed, cut, label, cells, more):
    """Units drawn independently: then sites are no strata. Rows with missing groups, classes that one site lacks."""
    name, surrogates = LABELS[label]
    rng, data = np.random.default_rng(seed), corpus(seed % 7)
    data["piece"] = [f"site {k}" for k in rng.integers(0, cut, N)]
    first = data["piece"] == "site 0"
    data["party"] = data["party"].where(rng.random(N) > 0.02)
    if cut > 1:
        data.loc[first & (data["topic"] == "war"), ["topic", "model"]] = "law"
        data.loc[first & (data["party"] == "mid"), "party"] = "left"
    data = masked(data, "independent", list(surrogates), seed + 1_000)  # not the seed that topics came from
    same(*both(data, name, surrogates, "independent", {**cells, **more}, by_site="piece"))


def test_cells_without_gold_at_any_site_are_left_out_and_named():
    data = masked(corpus(), "strata", ["topic"])
    data.loc[(data["party"] == "mid") & (data["year"] == 2019), "topic"] = None  # none anywhere
    data.loc[(data["party"] == "left") & (data["year"] == 2018) & (data["site"] == "Ghent"), "topic"] = None  # at one
    data.loc[(data["party"] == "mid") & (data["year"] == 2018) & (data["site"] == "Lund"), "topic"] = None
    options = {"surrogates": {"topic": "model"}, "learner": None, "by": "party", "over": "year"}
    pooled, found = both(data, "topic", {"topic": "model"}, "simple", {"by": "party", "over": "year"})
    same(pooled, found)
    assert any("party=mid:year=2019" in note for note in found.notes)
    parts = dict(tuple(data.groupby("site")))
    first = [
        kt.site_shares("topic", own, site=site, least=1, missing="raise", **options) for site, own in parts.items()
    ]
    with pytest.raises(kt.errors.DataError, match="party=mid:year=2019"):
        kt.combine_sums(first)


@pytest.mark.parametrize("vcov", ["HC3", "HC1"])
def test_a_site_that_labelled_all_of_its_rows(vcov):
    data = corpus()
    gold = (data["site"] == "Ghent") | (np.random.default_rng(1).random(N) < 0.4)
    data = data.assign(pi=np.where(data["site"] == "Ghent", 1.0, 0.4), topic=data["topic"].where(gold))
    for label in ("classes", "soft"):
        more = {"by": "party", "vcov": vcov}
        same(*both(data, *LABELS[label], "independent", more))


def test_order_of_sites_rounds_and_files(tmp_path):
    data = masked(corpus(sites=("Ghent", "Lund", "Turin")), "simple", ["topic"])
    options = {"surrogates": {"topic": "model"}, "learner": None, "by": "party", "least": 1}
    one, other = (across("topic", data, order=order, rounds=6, **options) for order in (1, -1))
    assert np.array_equal(one.covariance, other.covariance)
    across("topic", data, rounds=5, vcov="HC1", **options)
    across("topic", data, rounds=4, tuning=None, **options)
    across("topic", data, rounds=3, tuning=None, vcov="HC1", **options)
    assert "from sums of 3 sites in 6 rounds" in one.notes
    paths, ask, found = [], None, None
    for number in range(6):
        for site, own in data.groupby("site"):
            told = kt.site_shares("topic", own, site=site, ask=ask, **options)
            paths.append(tmp_path / f"{site} {number}.json")
            told.save(paths[-1])
        found = kt.combine_sums(paths)
        if isinstance(found, kt.Ask):
            ask = tmp_path / "ask.json"
            found.save(ask)
    assert np.array_equal(found.theta, one.theta)


def test_what_comes_after_works_or_says_why_not():
    data = masked(corpus(), "simple", ["topic"])
    options = {"surrogates": {"topic": "model"}, "learner": None, "by": "party", "over": "year"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        pooled = kt.shares("topic", data, design=kt.Stratified("site"), **options)
    found = across("topic", data, least=1, **options)
    for one, other in (
        (found.trend(), pooled.trend()), (found.differences(), pooled.differences()), (found.mean(), pooled.mean()),
    ):  # fmt: skip
        np.testing.assert_allclose(one.theta, other.theta, atol=1e-10)
        np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-12)
    assert found.plan(half_width=0.1).n == pooled.plan(half_width=0.1).n
    assert "law" in str(found.summary())
    assert found.band(seed=1).shape == pooled.band(seed=1).shape
    assert across("topic", data, least=1, compare=False, **options).comparison is None
    with pytest.raises(kt.errors.ArgumentError, match="sums of sites hold no influences"):
        _ = found - found


def test_a_learner_at_each_site_sees_groups_and_is_named():
    data = masked(corpus(), "simple", ["topic"])
    found = across("topic", data, least=1, surrogates={"topic": "model"}, by="party", over="date", period="month",
                   learner="linear", repeats=1, seed=1)  # fmt: skip
    assert np.allclose(found.table().sum(axis=1), 1.0)
    plain = across("topic", data, least=1, surrogates={"topic": "model"}, by="party", over="date", period="month",
                   learner=None)  # fmt: skip
    assert not np.allclose(found.theta, plain.theta)


@pytest.mark.parametrize(("changed", "said"), [
    ({"least": 200}, "fewer than least=200, and sums would tell of them"),
    ({"by": "author"}, "fewer than least=5"), ({"by": "pi"}, "fewer than least=5"),
    ({"vcov": {"CRV3": "author"}}, "leaves clusters out"), ({"tuning": "full"}, "mixes cells"),
    ({"weights": np.ones(450)}, "must name one column"), ({"over": "party", "by": "party"}, "different columns"),
    ({"surrogates": {"model": "topic"}}, "one entry for each label"), ({"site": ""}, "name of this site"),
    ({"estimator": "surrogate"}, "uses no gold"), ({"shown": "half"}, "cannot be set here"),
])  # fmt: skip
def test_what_sums_cannot_tell_is_refused_by_name(changed, said):
    data = masked(corpus(), "simple", ["topic"])
    options = {"site": "Ghent", "surrogates": {"topic": "model"}, "learner": None, "by": "party", "over": "year"}
    with pytest.raises(kt.KaratError, match=said):
        kt.site_shares("topic", data[data["site"] == "Ghent"], **{**options, **changed})


def test_classes_with_few_rows_in_a_cell_stay_at_the_site():
    data = masked(corpus(), "simple", ["topic"])
    own = data[data["site"] == "Ghent"]
    options = {"site": "Ghent", "surrogates": {"topic": "model"}, "learner": None, "by": "party"}
    ask = kt.combine_sums([kt.site_shares("topic", own, **options)])
    left = own.index[(own["party"] == "left") & (own["topic"] == "war")]
    few = own.assign(topic=own["topic"].mask(own.index.isin(left[3:]), "law"))
    with pytest.raises(kt.errors.DataError, match="3 of the gold rows of this site are in party=left with war"):
        kt.site_shares("topic", few, ask=ask, **options)
    told = kt.site_shares("topic", few, ask=ask, **{**options, "least": 3})
    assert told.sums["gold"]
    seen = own.assign(model=own["model"].mask((own["party"] == "mid") & (own["model"] != "law"), "economy"))
    seen.loc[seen.index[(seen["party"] == "mid") & (seen["model"] == "law")][4:], "model"] = "economy"
    with pytest.raises(kt.errors.DataError, match="4 of the rows of this site are in party=mid with another than"):
        kt.site_shares("topic", seen, ask=ask, **options)
    with pytest.raises(kt.errors.DataError, match="did not tell of in the first round"):
        kt.site_shares("topic", own.assign(party="other"), ask=ask, **options)


def test_sites_that_do_not_fit_together_are_refused():
    data = masked(corpus(), "simple", ["topic"])
    ghent, lund = (data[data["site"] == site] for site in ("Ghent", "Lund"))
    options = {"surrogates": {"topic": "model"}, "learner": None, "over": "date", "period": "month"}
    first = kt.site_shares("topic", ghent, site="Ghent", **options)
    weekly = kt.site_shares("topic", lund, site="Lund", **{**options, "period": "quarter"})
    with pytest.raises(kt.errors.DataError, match="fits something else than the first one: period"):
        kt.combine_sums([first, weekly])
    options = {"surrogates": {"topic": "model"}, "learner": None, "by": "year"}
    first = kt.site_shares("topic", ghent, site="Ghent", **options)
    text = kt.site_shares("topic", lund.assign(year=lund["year"].astype(str)), site="Lund", **options)
    with pytest.raises(kt.errors.DataError, match="'year' is text at Lund and a number at other sites"):
        kt.combine_sums([first, text])
    regression = kt.site_sums("a ~ 1", ghent, site="Ghent", model="mean", surrogates={"a": "a_soft"}, learner=None)
    with pytest.raises(kt.errors.DataError, match="fits something else"):
        kt.combine_sums([regression, kt.site_shares("topic", lund, site="Lund", **options)])


@pytest.mark.parametrize("vcov", ["HC3", "HC2", "HC1", {"CRV1": "author"}], ids=str)
@pytest.mark.parametrize("useless", [["b"], ["a", "b"]], ids="-".join)
def test_codes_for_which_gold_alone_is_chosen(useless, vcov):
    data = corpus(3)
    for name in useless:
        data[f"{name}_soft"] = (np.random.default_rng(1).random(N) < 0.5) * 1.0
    data = masked(data, "strata", ["a", "b"])
    surrogates = {"a": "a_soft", "b": "b_soft" if "b_soft" in data else "b_hard"}
    pooled, found = both(data, ["a", "b"], surrogates, "strata", {"by": "party", "vcov": vcov})
    same(pooled, found)
    for name, fit in zip("ab", found.fits):
        assert (set(fit.choice) == {"gold"}) == (name in useless)
