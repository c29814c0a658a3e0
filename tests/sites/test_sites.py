"""Sums of sites give the fit on the rows in one place; what they would tell of few rows is refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.regression.options import Arguments
from karat.sites.opened import open_site

from ..corpora import corpus, masked
from ..profiles import examples

SITES = {"Ghent": 350, "Lund": 150}
MODELS = {
    "outcome": ("ols", "y ~ z + size + region", {"y": "y_llm"}),
    "covariate": ("ols", "y ~ stance + z", {"stance": "stance_prob"}),
    "class": ("ols", "y ~ topic + z", {"topic": {"economy": "p_economy", "law": "p_law", "war": "p_war"}}),
    "both": ("ols", "y ~ stance * z", {"y": "y_llm", "stance": "stance_llm"}),
    "logit": ("logit", "vote ~ z + stance", {"vote": "vote_prob", "stance": "stance_llm"}),
    "poisson": ("poisson", "count ~ z + region", {"count": "count_llm"}),
    "multinomial": ("multinomial", "topic ~ z", {"topic": "topic_llm"}),
    "number": ("mean", "y ~ 0 + C(region)", {"y": "y_llm"}),
    "share": ("mean", "vote ~ 0 + C(region)", {"vote": "vote_llm"}),
    "class share": ("mean", "I(topic == 'war') ~ 1", {"topic": "topic_llm"}),
}


def everything(seed=3):
    """Rows of all sites, with sites that hold different things."""
    frame = corpus(sum(SITES.values()), seed)
    frame["site"] = np.repeat(list(SITES), list(SITES.values()))
    frame["half"] = np.where(np.arange(len(frame)) % 3 == 0, "a", "b")
    frame["place"] = frame["site"] + frame["half"]
    frame["author"] = frame["site"] + frame["author"].astype(str)
    frame["year"] = 2000 + (np.arange(len(frame)) * 7) % 9
    frame.loc[(frame["site"] == "Lund") & (frame["region"] == "east"), "region"] = "west"  # a level that Lund lacks
    return frame


def labelled(frame, names, seed=5, share=0.35):
    rng = np.random.default_rng(seed)
    gold = np.zeros(len(frame), dtype=bool)
    for site, half in frame.groupby(["site", "half"]).groups:
        rows = np.flatnonzero((frame["site"] == site) & (frame["half"] == half))
        gold[rng.choice(rows, int(share * len(rows)), replace=False)] = True
    return masked(frame, gold, *names)


def quiet(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        return call(*args, **options)


def across(formula, frame, *, by="site", order=1, **options):
    """Rounds until there is a Result."""
    parts = {str(site): frame[frame[by] == site] for site in frame[by].unique()[::order]}
    options = {"learner": None, "least": 1, **options}

    def send(ask=None):
        return [quiet(kt.site_sums, formula, part, site=site, ask=ask, **options) for site, part in parts.items()]

    received = send()
    found = quiet(kt.combine_sums, received)
    while isinstance(found, kt.Ask):
        received += send(found)
        found = quiet(kt.combine_sums, received[::order])
    return found


def in_one_place(formula, frame, model, **options):
    options = {"learner": None, "compare": True, **options}
    found = quiet(kt.regress, formula, frame, model=model, **options)
    return found.as_means() if model == "mean" else found


def same(one, other, tolerance=1e-10):
    assert one.names == other.names
    assert one.choice == other.choice
    scale = np.sqrt(np.diag(other.covariance))
    np.testing.assert_allclose(one.theta / scale, other.theta / scale, rtol=tolerance, atol=tolerance)
    for left, right in ((one.covariance, other.covariance), (one.labelling_covariance, other.labelling_covariance)):
        np.testing.assert_allclose(left / np.outer(scale, scale), right / np.outer(scale, scale), atol=tolerance)
    np.testing.assert_allclose(one.df, other.df, rtol=10 * tolerance)
    np.testing.assert_allclose(one.r_squared, other.r_squared, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(one.confint().to_numpy(), other.confint().to_numpy(), rtol=1e-8, atol=1e-10)
    assert (one.n_units, one.n_gold, one.title) == (other.n_units, other.n_gold, other.title)
    for name in ("rarest_class", "binary_outcome", "clusters", "gold_clusters", "n_dropped", "dropped"):
        assert getattr(one.sampling, name) == getattr(other.sampling, name), name
    np.testing.assert_allclose(
        [one.sampling.kish, one.sampling.sum_of_weights, one.sampling.largest_weight],
        [other.sampling.kish, other.sampling.sum_of_weights, other.sampling.largest_weight],
    )
    if other.comparison is not None and one.comparison is not None:
        gold, own = (next(c for c in r.comparison.columns if c.title == "Gold only") for r in (other, one))
        np.testing.assert_allclose(own.theta / scale, gold.theta / scale, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(own.se, gold.se, rtol=10 * tolerance)
        np.testing.assert_allclose(own.df, gold.df, rtol=10 * tolerance)


TUNED = [
    ("outcome", "auto"), ("covariate", "coefficient"), ("class", "full"), ("both", "scalar"), ("logit", "auto"),
    ("poisson", None), ("multinomial", "auto"), ("number", "auto"), ("share", "coefficient"), ("class share", None),
]  # fmt: skip


@pytest.mark.parametrize(("which", "tuning"), TUNED)
def test_sums_of_sites_give_the_fit_on_all_rows(which, tuning):
    model, formula, surrogates = MODELS[which]
    frame = labelled(everything(), list(surrogates))
    options = {"surrogates": surrogates, "tuning": tuning, "vcov": "HC1"}
    one = across(formula, frame, model=model, design=kt.Stratified("half"), **options)
    same(one, in_one_place(formula, frame, model, design=kt.Stratified(["site", "half"]), **options))


LEFT_OUT = [
    ("outcome", "HC3", "auto"), ("covariate", "HC2", "auto"), ("class", "HC3", "full"), ("both", "HC3", "scalar"),
    ("both", "HC2", None), ("logit", "HC3", "auto"), ("logit", "HC2", "coefficient"), ("poisson", "HC3", "full"),
    ("multinomial", "HC2", "auto"), ("multinomial", "HC3", "scalar"), ("number", "HC3", "auto"),
    ("share", "HC2", "coefficient"), ("class share", None, "auto"),
]  # fmt: skip


@pytest.mark.parametrize(("which", "vcov", "tuning"), LEFT_OUT)
def test_units_left_out(which, vcov, tuning):
    """HC2 and HC3 (the default) take a gold unit at the estimate without it, that of all sites."""
    model, formula, surrogates = MODELS[which]
    frame = labelled(everything(), list(surrogates))
    options = {"surrogates": surrogates, "tuning": tuning, "vcov": vcov}
    one = across(formula, frame, model=model, design=kt.Stratified("half"), **options)
    same(one, in_one_place(formula, frame, model, design=kt.Stratified(["site", "half"]), **options))
    assert one.vcov_kind == (vcov or "HC3")


@given(
    seed=st.integers(0, 10**6), cut=st.integers(1, 4), vcov=st.sampled_from(["HC2", "HC3"]),
    which=st.sampled_from(list(MODELS)), more=st.sampled_from([{}, {"target": "finite"}, {"estimator": "gold"},
    {"weights": "weight"}, {"df": "kurtosis"}]),
)  # fmt: skip
@examples(6)
def test_units_left_out_however_rows_are_split(seed, cut, vcov, which, more):
    model, formula, surrogates = MODELS[which]
    frame = everything(seed % 5)
    frame = masked(frame, np.random.default_rng(seed).random(len(frame)) < 0.5, *surrogates)
    frame["piece"] = np.random.default_rng(seed + 1).integers(0, cut, len(frame))
    options = {"surrogates": surrogates, "design": kt.Bernoulli(0.5), "vcov": vcov, **more}
    if more.get("estimator") == "gold":
        options["learner"] = "auto"
    same(across(formula, frame, by="piece", model=model, **options), in_one_place(formula, frame, model, **options))


@pytest.mark.parametrize(("which", "vcov"), [
    ("covariate", "HC0"), ("covariate", {"CRV1": "author"}), ("both", {"CRV1": "site"}), ("share", {"CRV0": "place"}),
])  # fmt: skip
def test_robust_to_clusters_within_sites_or_sites_themselves(which, vcov):
    model, formula, surrogates = MODELS[which]
    frame = labelled(everything(), list(surrogates))
    options = {"surrogates": surrogates, "vcov": vcov}
    one = across(formula, frame, model=model, design=kt.Stratified("half"), **options)
    same(one, in_one_place(formula, frame, model, design=kt.Stratified(["site", "half"]), **options))


@pytest.mark.parametrize(("estimator", "target"), [("dsl", "finite"), ("ppi", "finite"), ("gold", "superpopulation")])
def test_estimators_and_targets(estimator, target):
    model, formula, surrogates = MODELS["logit" if estimator == "gold" else "both"]
    frame = labelled(everything(), list(surrogates))
    options = {"surrogates": surrogates, "estimator": estimator, "target": target, "vcov": "HC1"}
    if estimator == "gold":
        options["learner"] = "auto"
    one = across(formula, frame, model=model, design=kt.Stratified("half"), **options)
    same(one, in_one_place(formula, frame, model, design=kt.Stratified(["site", "half"]), **options))


@pytest.mark.parametrize("which", ["both", "number"])
def test_independent_draws_and_weights(which):
    """A probability for each row: then sites are no strata, and how many there are does not matter."""
    model, formula, surrogates = MODELS[which]
    frame = everything()
    frame = masked(frame, np.random.default_rng(1).random(len(frame)) < frame["pi"], *surrogates)
    options = {"surrogates": surrogates, "vcov": "HC1", "design": kt.Bernoulli("pi"), "weights": "weight"}
    pooled = in_one_place(formula, frame, model, **options)
    same(across(formula, frame, model=model, **options), pooled)
    same(across(formula, frame, model=model, by="place", **options), pooled)


def test_clusters_drawn_whole():
    model, formula, surrogates = MODELS["covariate"]
    frame, rng = everything(), np.random.default_rng(2)
    names = np.concatenate(
        [rng.choice(frame.loc[frame["site"] == site, "author"].unique(), 12, replace=False) for site in SITES]
    )
    frame = masked(frame, frame["author"].isin(names), *surrogates)
    options = {"surrogates": surrogates, "vcov": {"CRV1": "author"}}
    one = across(formula, frame, model=model, design=kt.Clustered("author"), **options)
    same(one, in_one_place(formula, frame, model, design=kt.Clustered("author", by="site"), **options))


def test_sites_that_lack_levels_classes_and_halves_of_a_scale():
    frame = everything()
    frame = frame[~((frame["site"] == "Lund") & (frame["topic"] == "war"))].reset_index(drop=True)
    frame["topic_llm"] = frame["topic"].where(np.random.default_rng(0).random(len(frame)) < 0.8, "law")
    frame.loc[frame["site"] != "Lund", "stance_prob"] = frame["stance_llm"]
    for which in ("multinomial", "covariate"):
        model, formula, surrogates = MODELS[which]
        data = labelled(frame, list(surrogates))
        options = {"surrogates": surrogates, "vcov": "HC1"}
        one = across(formula, data, model=model, design=kt.Stratified("half"), **options)
        same(one, in_one_place(formula, data, model, design=kt.Stratified(["site", "half"]), **options))


def test_covariates_far_from_zero_missing_values_and_offsets():
    frame = labelled(everything(), ["count"])
    frame.loc[::17, "z"] = np.nan
    options = {"surrogates": {"count": "count_llm"}, "vcov": "HC1", "context": {"np": np}}
    formula = "count ~ z + C(year) + offset(np.log(size))"
    one = across(formula, frame, model="poisson", design=kt.Stratified("half"), **options)
    same(one, in_one_place(formula, frame, "poisson", design=kt.Stratified(["site", "half"]), **options))
    formula, options = "y ~ z + year", {**options, "surrogates": {"y": "y_llm"}}
    frame = labelled(everything(), ["y"]).assign(year=lambda d: d["year"] * 1.0 + d["z"])
    one = across(formula, frame, design=kt.Stratified("half"), **options)
    same(one, in_one_place(formula, frame, "ols", design=kt.Stratified(["site", "half"]), **options), 1e-8)


@pytest.mark.parametrize("more", [
    {"subset": "inside"}, {"subset": "inside", "vcov": "HC2", "weights": "weight"}, {"compare": False},
    {"predictions": {"y": "y_llm"}, "learner": "auto"},
], ids=str)  # fmt: skip
def test_options_that_each_site_takes_by_itself(more):
    frame = labelled(everything(), ["y"]).assign(inside=lambda d: d["z"] > -0.5)
    options = {"surrogates": {"y": "y_llm"}, **more}
    one = across("y ~ z + region", frame, design=kt.Stratified("half"), **options)
    same(one, in_one_place("y ~ z + region", frame, "ols", design=kt.Stratified(["site", "half"]), **options))
    assert (one.comparison is None) == (more.get("compare") is False)


def test_a_surrogate_that_is_worse_than_nothing():
    """Gold alone is chosen, for all coefficients or some."""
    frame = labelled(everything(), ["y"])
    frame["y_llm"] = 40.0 * np.random.default_rng(1).standard_normal(len(frame)) * (1 + frame["z"] ** 2)
    options = {"surrogates": {"y": "y_llm"}, "vcov": "HC1"}
    for size in (1.0, 0.02):
        data = frame.assign(y_llm=frame["y_llm"] * size + frame["z"])
        one = across("y ~ z + region", data, design=kt.Stratified("half"), **options)
        other = in_one_place("y ~ z + region", data, "ols", design=kt.Stratified(["site", "half"]), **options)
        same(one, other)
    assert "gold" in one.choice


def test_a_learner_at_each_site_is_that_of_its_own_gold():
    model, formula, surrogates = MODELS["covariate"]
    frame = labelled(everything(), list(surrogates)).reset_index(drop=True)
    options = {"surrogates": surrogates, "vcov": "HC1", "tuning": "coefficient", "learner": "linear", "repeats": 1}
    one = across(formula, frame, design=kt.Stratified("half"), **options)
    share = np.zeros(len(frame))
    for site in SITES:  # what each site predicts from its own gold
        rows = np.flatnonzero(frame["site"] == site)
        given = {k: v for k, v in options.items() if k != "surrogates"}
        arguments = Arguments.of(model, formula, surrogates, {**given, "design": kt.Stratified("half")})
        columns = {
            n: {"binary": n.startswith("stance") and n != "stance_prob", "whole": False}
            for n in ("y", "z", "stance", "stance_prob")
        }
        opened = open_site(arguments, frame.iloc[rows], columns, 1)
        share[rows] = opened.sample.predicted.rows[1].share
    given = {**options, "learner": "auto", "predictions": {"stance": share}}
    given.pop("repeats")
    same(one, in_one_place(formula, frame, model, design=kt.Stratified(["site", "half"]), **given))


@given(order=st.sampled_from([1, -1]), seed=st.integers(0, 10**6), cut=st.integers(2, 3))
@examples(2)
def test_order_and_number_of_sites_change_nothing(order, seed, cut):
    model, formula, surrogates = MODELS["both"]
    frame = everything(seed % 7)
    frame = masked(frame, np.random.default_rng(seed).random(len(frame)) < 0.4, *surrogates)
    frame["piece"] = np.random.default_rng(seed + 1).integers(0, cut, len(frame))
    options = {"surrogates": surrogates, "design": kt.Bernoulli(0.4), "vcov": "HC1", "model": model}
    one = across(formula, frame, **options)
    same(across(formula, frame, by="piece", **options), one)
    other = across(formula, frame, order=order, **options)
    assert np.array_equal(one.theta, other.theta)
    assert np.array_equal(one.covariance, other.covariance)


# ------------------------------------------------------------------ files and rounds


def first_round(frame, **options):
    options = {"surrogates": {"y": "y_llm"}, "learner": None, **options}
    return [kt.site_sums("y ~ z", frame[frame["site"] == site], site=site, **options) for site in SITES]


def test_files_say_what_leaves_and_come_back(tmp_path):
    frame = labelled(everything(), ["y"])
    received = first_round(frame)
    paths = [tmp_path / f"{one.site}.json" for one in received]
    for one, path in zip(received, paths):
        one.save(path)
    ask = kt.combine_sums(paths)
    ask.save(tmp_path / "ask.json")
    assert repr(ask) == "<karat Ask: round 1, start>"
    for site in SITES:
        one = kt.site_sums(
            "y ~ z",
            frame[frame["site"] == site],
            site=site,
            ask=tmp_path / "ask.json",
            surrogates={"y": "y_llm"},
            learner=None,
        )
        one.save(tmp_path / f"{site} 1.json")
        paths.append(tmp_path / f"{site} 1.json")
    told = json.loads(paths[-1].read_text("utf-8"))
    assert set(told["sums"]) >= {"n_units", "n_gold", "gram", "gold", "everywhere", "back"}
    longest = max(len(str(v)) for v in told["sums"].values())
    assert longest < 2_000, "a handful of numbers, whatever the number of rows"
    again = kt.SiteSums.read(paths[-1])
    assert (again.sums, again.facts) == (one.sums, one.facts)
    assert isinstance(kt.combine_sums(paths), kt.Ask)
    edited = paths[-1].read_text("utf-8").replace('"n_gold": ', '"n_gold": 1')
    paths[-1].write_text(edited, "utf-8")
    with pytest.raises(kt.errors.DataError, match="edited or damaged"):
        kt.combine_sums(paths)
    with pytest.raises(kt.errors.DataError, match="not a karat question"):
        kt.Ask.read(paths[0])


def test_what_does_not_go_together_is_refused():
    frame = labelled(everything(), ["y"])
    received = first_round(frame)
    ask = kt.combine_sums(received)
    ghent = frame[frame["site"] == "Ghent"]
    options = {"surrogates": {"y": "y_llm"}, "learner": None}
    with pytest.raises(kt.errors.ArgumentError, match="comes twice"):
        kt.combine_sums([*received, received[0]])
    one = kt.site_sums("y ~ z", ghent, site="Ghent", ask=ask, **options)
    with pytest.raises(kt.errors.ArgumentError, match="Lund did not send"):
        kt.combine_sums([*received, one])
    with pytest.raises(kt.errors.ArgumentError, match="another fit: alpha"):
        kt.site_sums("y ~ z", ghent, site="Ghent", ask=ask, alpha=0.1, **options)
    other = kt.site_sums("y ~ z", ghent, site="Ghent", tuning=None, **options)
    with pytest.raises(kt.errors.DataError, match="fits something else than the first one: tuning"):
        kt.combine_sums([other, *received[1:]])
    text = kt.site_sums("y ~ z", ghent.assign(z="a"), site="Ghent", **options)
    with pytest.raises(kt.errors.DataError, match="'z' is text at Ghent and a number"):
        kt.combine_sums([text, *received[1:]])
    with pytest.raises(kt.errors.ArgumentError, match="rounds"):
        kt.combine_sums([one])
    with pytest.raises(kt.errors.ArgumentError, match="sums must be a list"):
        kt.combine_sums(received[0])


@pytest.mark.parametrize(("options", "said"), [
    ({"vcov": {"CRV3": "author"}}, "leaves clusters out"), ({"vcov": {"CRV2": "author"}}, "'CRV1': column"),
    ({"model": "probit", "estimator": "surrogate"}, "not valid"), ({"model": "ordered"}, "not fitted across sites"),
    ({"weights": np.ones(350)}, "must name one column"), ({"subset": np.ones(350)}, "subset= must name one column"),
    ({"shown": "vote"}, "cannot be set here"), ({"cluster": ["author", "place"]}, "cluster= must name one column"),
    ({"surrogates": {"y": np.ones(350)}}, "share sums and no rows, so name columns"),
    ({"surrogates": {"y": kt.Cascade("y_llm", "z")}}, "is a Cascade"), ({"site": ""}, "name of this site"),
    ({"least": 0}, "least"),
])  # fmt: skip
def test_what_sums_cannot_tell_is_refused_by_name(options, said):
    frame = labelled(everything(), ["y"])
    options = {"site": "Ghent", "surrogates": {"y": "y_llm"}, "learner": None, **options}
    with pytest.raises(kt.KaratError, match=said):
        kt.site_sums("y ~ z", frame[frame["site"] == "Ghent"], **options)


def test_functions_of_a_whole_column_and_sites_without_gold():
    frame = labelled(everything(), ["y"])
    ghent = frame[frame["site"] == "Ghent"]
    options = {"site": "Ghent", "surrogates": {"y": "y_llm"}, "learner": None}
    with pytest.raises(kt.errors.FormulaError, match="whole column"):
        kt.site_sums("y ~ center(z)", ghent, **options)
    received = first_round(frame)
    with pytest.raises(kt.errors.DataError, match="no row has gold"):
        kt.site_sums("y ~ z", ghent.assign(y=np.nan), ask=kt.combine_sums(received), **options)


def test_small_cells_stay_at_the_site():
    frame = labelled(everything(), ["vote"]).query("site == 'Lund'").reset_index(drop=True)
    frame["rare"] = np.where(np.arange(len(frame)) < 3, "x", "y")
    options = {"site": "Lund", "surrogates": {"vote": "vote_llm"}, "learner": None}
    with pytest.raises(kt.errors.DataError, match="with the level 'x', fewer"):
        kt.site_sums("vote ~ rare", frame, **options)
    frame["flag"] = 1.0 * (np.arange(len(frame)) % 2)
    ask = kt.combine_sums([kt.site_sums("vote ~ flag", frame, **options)])
    with pytest.raises(kt.errors.DataError, match="fewer than least=5, and sums would tell of them"):
        kt.site_sums("vote ~ flag", frame.assign(flag=(np.arange(len(frame)) < 3) * 1.0), ask=ask, **options)
    told = kt.site_sums(
        "vote ~ flag", frame.assign(flag=(np.arange(len(frame)) < 3) * 1.0), ask=ask, **{**options, "least": 1}
    )
    assert told.round == 1


def test_groups_whose_counts_are_all_zero_are_named():
    rng = np.random.default_rng(1)
    frame = everything()
    frame["count"] = rng.poisson(1.0, len(frame)).astype(float)
    frame["kind"] = np.where(np.arange(len(frame)) % 7 == 0, "never", "a few")
    frame["count_llm"] = frame["count"]
    none = frame.assign(count=frame["count"].where(frame["kind"] != "never", 0.0))
    options = {"surrogates": {"count": "count_llm"}, "model": "poisson", "design": kt.Stratified("half")}
    with pytest.raises(kt.errors.SeparationError, match="never"):
        across("count ~ z + kind", labelled(none, ["count"]), **options)
    rare = frame.assign(count=frame["count"] * np.where(frame["kind"] == "never", 1e-7, 1.0))
    assert across("count ~ z + kind", labelled(rare, ["count"]), **options).theta[2] < -12  # far below, and not 0


def test_separated_and_collinear_columns_are_named():
    frame = labelled(everything(), ["vote"])
    options = {"surrogates": {"vote": "vote_llm"}, "model": "logit", "design": kt.Stratified("half")}
    vote = frame["vote"].fillna(frame["vote_llm"])
    apart = frame.assign(apart=vote * (frame["z"] > 0))
    with pytest.raises(kt.errors.SeparationError, match="'apart'"):
        across("vote ~ z + apart", apart, **options)
    with pytest.raises(kt.errors.DataError, match="is a combination"):
        across("vote ~ z + twice", frame.assign(twice=2 * frame["z"]), **options)


def test_next_to_no_wrong_label_at_any_site_is_said():
    rng = np.random.default_rng(2)
    hostile = (rng.random(2_000) < 0.4) * 1.0
    data = pd.DataFrame({"hostile": hostile, "llm": hostile, "y": hostile + rng.normal(size=2_000)})
    data["gold"] = data["hostile"].where(data.index % 10 == 0)
    data["site"] = np.where(data.index < 1_000, "Ghent", "Lund")
    parts = {"Ghent": data[:1_000], "Lund": data[1_000:]}

    def sums(site, ask=None):
        options = {"surrogates": {"gold": "llm"}, "learner": None, "target": "finite"}
        return kt.site_sums("y ~ gold", parts[site], site=site, ask=ask, **options)

    def pooled():
        received = [sums(site) for site in parts]
        found = kt.combine_sums(received)
        while isinstance(found, kt.Ask):
            received += [sums(site, found) for site in parts]
            found = kt.combine_sums(received)
        return found

    found = pooled()
    assert any("next to no gold label is wrong" in note for note in found.notes)
    whole = kt.ols(
        "y ~ gold", data, surrogates={"gold": "llm"}, learner=None, target="finite", design=kt.Stratified(["site"])
    )
    assert found.se().to_numpy() == pytest.approx(whole.se().to_numpy(), rel=1e-9)
    assert (found.se() > 0).all()
