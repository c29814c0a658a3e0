"""Allocations: against numerical optimisation, invariances, what they show before sampling, refusals."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import karat as kt
from karat.designs.fixed_size import proportional, scaling
from karat.errors import ArgumentError, DataError, DesignError
from karat.planning.pilot import Profile
from karat.planning.resolve import aim_weights, neyman_shares
from karat.planning.schemes import IndependentScheme, stratum_spread
from karat.planning.strata import merged

from .. import corpora

SURROGATES = {"vote": ["vote_prob"]}
FORMULA = "vote ~ z + size"


@pytest.fixture(scope="module")
def frame():
    return corpora.corpus(1000, seed=31).assign(price=lambda f: np.where(f["region"] == "east", 4.0, 1.0))


@pytest.fixture(scope="module")
def pilot(frame):
    sample = kt.SimpleRandom(200).draw(frame, seed=3)
    masked = corpora.masked(frame, sample.labelled, "vote")
    return kt.ols(FORMULA, masked, surrogates=SURROGATES, design=sample.design, seed=2, compare=False)


@pytest.fixture(scope="module")
def found(pilot, frame):
    return kt.allocate(pilot, frame, 250, by="region", terms=["z"])


# ---- sizes --------------------------------------------------------------------------------------------------


def test_neyman_shares_are_what_an_optimiser_finds(frame, pilot):
    """Least ``sum N_s^2 S_s^2 / n_s`` under ``sum c_s n_s`` fixed, found without the formula."""
    profile = Profile.of(pilot)
    code = np.unique(frame["region"], return_inverse=True)[1]
    count, cost = np.bincount(code), np.array([4.0, 1.0, 2.0])
    variance = stratum_spread(profile, code, 3)[:, 1] ** 2
    share = neyman_shares(profile, code, 3, ["z"], cost=cost)
    scale = (count**2 * variance).sum()
    best = minimize(
        lambda logs: np.log((count**2 * variance / scale / np.exp(logs)).sum()) + np.log((cost * np.exp(logs)).sum()),
        np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-13, "maxiter": 4000},
    )  # fmt: skip
    wanted = np.exp(best.x)
    np.testing.assert_allclose(share / share.sum(), wanted / wanted.sum(), rtol=1e-3)


def test_optimal_probabilities_cannot_be_improved():
    """Moving probability between any two units raises ``sum u^2 / pi`` (or is not allowed)."""
    rng = np.random.default_rng(1)
    size = rng.gamma(0.5, 1.0, 60) + 0.01
    pi = IndependentScheme(size, "").probability(25)
    assert pi.sum() == pytest.approx(25)
    assert (pi == 1).sum() > 3
    value = (size**2 / pi).sum()
    for _ in range(300):
        i, j = rng.choice(60, 2, replace=False)
        step = 1e-3 * min(pi[i], 1.0)
        moved = pi.copy()
        moved[i] -= step
        moved[j] += step
        if moved[j] <= 1:
            assert (size**2 / moved).sum() >= value - 1e-12


def test_floor_mixes():
    size = np.array([1.0, 1.0, 10.0, 100.0])
    pi = IndependentScheme(size, "", floor=0.4).probability(2)
    assert pi.sum() == pytest.approx(2)
    assert pi.min() >= 0.4 * 2 / 4
    np.testing.assert_allclose(IndependentScheme(size, "", floor=1.0).probability(2), 0.5)


def test_filling_and_scaling():
    size = proportional(np.array([1.0, 1.0, 98.0]), 20.0, np.array([2.0, 2.0, 2.0]), np.array([50.0, 50.0, 12.0]))
    np.testing.assert_allclose(size, [4.0, 4.0, 12.0])
    with pytest.raises(DesignError, match="does not fit"):
        proportional(np.ones(3), 5.0, np.full(3, 2.0), np.full(3, 9.0))
    assert scaling(np.array([1.0, 3.0]), 2.0) >= 1.0
    with pytest.raises(DesignError, match="does not fit"):
        scaling(np.ones(3), 4.0)


def test_whole_sizes_add_up(found):
    sizes = found["neyman"].sizes
    assert sum(sizes.values()) == 250
    assert min(sizes.values()) >= 2
    assert found["neyman"].design.draw({"region": found_region(found)}, seed=1).labelling.n_gold == 250


def found_region(found):
    return np.array(found["neyman"].scheme.names)[found["neyman"].scheme.code]


def test_costs_move_gold_to_where_it_is_cheap(pilot, frame):
    same = kt.allocate(pilot, frame, by="region", cost=2.0, budget=500)
    dear = kt.allocate(pilot, frame, by="region", cost={"east": 8.0, "north": 1.0, "west": 1.0}, budget=500)
    assert same["neyman"].n == 250
    share = [a["neyman"].sizes["east"] / a["neyman"].n for a in (same, dear)]
    assert share[1] < 0.6 * share[0]
    for allocations in (same, dear):
        for item in allocations.values():
            assert 490 <= item.cost <= 500.01
    by_row = kt.allocate(pilot, frame, cost="price", budget=500)["optimal"].probability
    free = kt.allocate(pilot, frame, 250)["optimal"].probability
    east = (frame["region"] == "east").to_numpy()
    assert by_row[east].mean() / by_row[~east].mean() < 0.8 * free[east].mean() / free[~east].mean()


# ---- the table ----------------------------------------------------------------------------------------------


def test_table_before_sampling(found, pilot):
    table = found.table()
    assert list(table.columns) == ["simple random", "proportional", "neyman", "optimal"]
    assert list(table.index) == list(pilot.names)
    assert table.loc["z", "neyman"] <= table.loc["z", "proportional"] * 1.001
    assert table.loc["z", "optimal"] < table.loc["z", "simple random"]
    np.testing.assert_allclose(found.table(relative=True)["simple random"], 1.0)
    text = str(found)
    assert "optimal, against simple random: z -" in text
    assert "it costs" in text
    assert "(smallest probability)" in found._repr_html_()


def test_path_from_optimal_to_equal(found):
    path = found.path([0.0, 0.2, 1.0])
    assert path.loc[0.2, "z"] < path.loc[1.0, "z"]
    assert path["smallest probability"].is_monotonic_increasing
    np.testing.assert_allclose(path.loc[1.0, "z"], found.table().loc["z", "simple random"], rtol=0.02)


def test_plan_for_an_allocation(found, pilot, frame):
    plan = kt.plan(pilot, frame, design=found["optimal"], n=250, jackknife=0)
    np.testing.assert_allclose(plan.at(250)["se"], found["optimal"].se, rtol=1e-9)
    assert plan.design(250).probability.sum() == pytest.approx(250)


def test_a_given_probability_steers_with_leverage(pilot, frame):
    pi = kt.allocate(pilot, frame, 250, probability="vote_prob", terms="z", equal_share=0.0)["optimal"].probability
    x = np.column_stack([np.ones(1000), frame["z"], frame["size"]])
    influence = np.abs(x @ np.linalg.inv(pilot.parts.curvature).T)[:, 1]
    p = np.clip(frame["vote_prob"], 0.005, 0.995)
    wanted = influence * np.sqrt(p * (1 - p))
    middle = (wanted > np.median(wanted) / 30) & (pi < 1)
    np.testing.assert_allclose((pi / wanted)[middle] / (pi / wanted)[middle].mean(), 1.0, rtol=1e-6)


def test_labelled_covariate_and_contrast(frame):
    sample = kt.SimpleRandom(200).draw(frame, seed=3)
    masked = corpora.masked(frame, sample.labelled, "stance")
    fit = kt.ols("y ~ stance + z", masked, surrogates={"stance": ["stance_prob"]}, design=sample.design, seed=2)
    found = kt.allocate(fit, frame, 250, terms="stance - z", contrasts="stance - z")
    assert found.aims == ("stance - z",)
    assert found["optimal"].probability.sum() == pytest.approx(250)
    assert "stance - z" in found.table().index


def test_without_a_pilot(frame):
    found = kt.allocate(FORMULA, frame.drop(columns="vote"), 200, surrogates={"vote": "vote_llm"}, accuracy=0.8, seed=1)
    assert "no gold yet" in str(found).lower()
    assert list(found) == ["simple random", "optimal"]


def test_repeatable(found, pilot, frame):
    again = kt.allocate(pilot, frame, 250, by="region", terms=["z"])
    np.testing.assert_array_equal(again["optimal"].probability, found["optimal"].probability)


# ---- strata -------------------------------------------------------------------------------------------------


def test_strata_cross_and_merge(frame):
    names = kt.strata(frame, {"vote_llm": None, "vote_prob": 2, "z": 3}, smallest=30)
    held = {name: (names == name).sum() for name in set(names)}
    assert min(held.values()) >= 30
    assert all(name.startswith(("vote_llm=0", "vote_llm=1")) for name in held), "the first column is kept apart longest"
    frame = frame.assign(stratum=names)
    assert kt.Stratified("stratum", 100).draw(frame, seed=1).labelling.n_strata == len(held)
    one = kt.strata(frame, "region")
    assert sorted(set(one)) == ["region=east", "region=north", "region=west"]
    assert set(kt.strata({"x": np.ones(50)}, "x")) == {"x=1"}


def test_merging_goes_to_the_nearest():
    cells = np.array([[0, 0], [0, 2], [1, 0], [1, 1], [1, 2]])
    assert merged(cells, np.array([50, 50, 50, 5, 50]), 20) == [[0], [1], [2, 3], [4]]
    assert merged(cells, np.array([5, 5, 5, 5, 5]), 100) == [[0, 1, 2, 3, 4]]


# ---- refusals -----------------------------------------------------------------------------------------------

REFUSED = {
    "no size": ({}, "either n"),
    "both": ({"n": 10, "budget": 3}, "either n"),
    "budget without cost": ({"budget": 100}, "needs cost"),
    "small budget": ({"budget": 1, "cost": 3}, "raise it"),
    "too many": ({"n": 1001}, "n=1001 .* at most 1000"),
    "negative cost": ({"n": 100, "cost": -1}, "cost=-1 .* above 0"),
    "cost by stratum": ({"n": 100, "cost": {"east": 1}}, "no strata"),
    "cost of strata": ({"n": 100, "by": "region", "cost": {"east": 1}}, "every stratum"),
    "term": ({"n": 100, "terms": "war"}, "name one or more"),
    "equal_share": ({"n": 100, "equal_share": 2}, "equal_share=2 .* below 1"),
    "accuracy": ({"n": 100, "accuracy": 0.8}, "without a pilot"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals(pilot, frame, options, message):
    with pytest.raises(ArgumentError, match=message):
        kt.allocate(pilot, frame, **options)


def test_more_refusals(pilot, frame, found):
    with pytest.raises(DataError, match="1000"):
        kt.allocate(pilot, frame.iloc[:500], 100)
    with pytest.raises(ArgumentError, match="no allocation 'best'"):
        found["best"]
    with pytest.raises(ArgumentError, match="equal_shares"):
        found.path([2.0])
    with pytest.raises(ArgumentError, match="cells"):
        kt.strata(frame, "z", cells=1)
    with pytest.raises(ArgumentError, match="smallest"):
        kt.strata(frame, "z", smallest=0)
    with pytest.raises(DataError, match="missing"):
        kt.strata(frame.assign(z=np.nan), "z")
    with pytest.raises(DataError, match="between 0 and 1"):
        kt.allocate(pilot, frame, 100, probability="z")


def test_aims_count_relative_to_their_variance(pilot):
    weight = aim_weights(Profile.of(pilot), ["z", "size"])
    assert weight[0] == 0
    variance = (Profile.of(pilot).weight[:, None] * Profile.of(pilot).error ** 2).sum(axis=0)
    np.testing.assert_allclose(weight[1:] * variance[1:], 1.0)


# ---- what allocations do, by the exact variance of the design -----------------------------------------------


def exact_variance(item, error):
    """Variance over draws of the total of known errors of all units."""
    scheme, n = item.scheme, item.n
    if isinstance(scheme, IndependentScheme):
        return ((1 / scheme.probability(n) - 1)[:, None] * error**2).sum(axis=0)
    out = np.zeros(error.shape[1])
    for s, size in enumerate(scheme.sizes(n)):
        inside = error[scheme.code == s]
        out += len(inside) ** 2 * (1 / size - 1 / len(inside)) * inside.var(axis=0, ddof=1)
    return out


def test_allocations_beat_simple_random_sampling_on_their_aim():
    rng = np.random.default_rng(12)
    n = 3000
    rare = (rng.random(n) < 0.05).astype(float)
    frame = pd.DataFrame({"rare": rare, "z": rng.standard_normal(n), "sure": rng.random(n)})
    spread = 0.2 + 1.5 * (frame["sure"] < 0.3)
    frame["score"] = 0.5 * frame["z"] + rng.standard_normal(n)
    frame["tone"] = frame["score"] + 0.4 * rare + spread * rng.standard_normal(n)
    frame["stratum"] = kt.strata(frame, {"rare": None, "sure": 3})
    x = np.column_stack([np.ones(n), frame["rare"], frame["z"]])
    error = (x @ np.linalg.inv(x.T @ x)) * (frame["tone"] - frame["score"]).to_numpy()[:, None]
    ratios = {"neyman": [], "optimal": [], "proportional": []}
    foretold = {name: [] for name in ratios}
    for k in range(20, 26):
        sample = kt.SimpleRandom(400).draw(frame, seed=k)
        fit = kt.ols(
            "tone ~ rare + z", corpora.masked(frame, sample.labelled, "tone"), surrogates={"tone": "score"},
            design=sample.design, learner=None, tuning=None, target="finite", seed=k,
        )  # fmt: skip
        found = kt.allocate(fit, frame, 400, by="stratum", terms="rare", error_features=["sure", "rare"])
        base = exact_variance(found["simple random"], error)
        for name, values in ratios.items():
            values.append(np.sqrt(exact_variance(found[name], error) / base))
            foretold[name].append(found.table(relative=True)[name].to_numpy())
    mean = {name: np.mean(values, axis=0) for name, values in ratios.items()}
    for name, values in foretold.items():
        np.testing.assert_allclose(np.mean(values, axis=0), mean[name], rtol=0.3)
    assert mean["neyman"][1] < 0.3
    assert mean["optimal"][1] < 0.4
    assert mean["neyman"][1] < mean["proportional"][1]
    plain = kt.allocate(fit, frame, 400, by="stratum", terms="rare", error_features=["z"])["optimal"]
    costs = np.sqrt(exact_variance(plain, error) / base)
    assert (costs[[0, 2]] > 1.05).all(), "steering by leverage alone, what serves one coefficient costs the others"


def test_strata_in_which_errors_are_small_are_foretold_as_such():
    """Strata that no feature stands for: what the pilot shows within them decides, not its average error."""
    rng = np.random.default_rng(12)
    n = 3000
    frame = pd.DataFrame({"rare": (rng.random(n) < 0.05) * 1.0, "z": rng.standard_normal(n), "sure": rng.random(n)})
    frame["score"] = 0.5 * frame["z"] + rng.standard_normal(n)
    frame["tone"] = frame["score"] + (0.2 + 1.5 * (frame["sure"] < 0.3)) * rng.standard_normal(n)
    frame["stratum"] = kt.strata(frame, {"rare": None, "sure": 3})
    x = np.column_stack([np.ones(n), frame["rare"], frame["z"]])
    error = (x @ np.linalg.inv(x.T @ x)) * (frame["tone"] - frame["score"]).to_numpy()[:, None]
    ratios = {"simple random": [], "neyman": [], "optimal": []}
    planned = []
    for k in range(10):
        sample = kt.SimpleRandom(250).draw(frame, seed=k)
        masked = corpora.masked(frame, sample.labelled, "tone")
        fit = kt.ols(
            "tone ~ rare + z", masked, surrogates={"tone": "score"}, design=sample.design, learner=None, tuning=None,
            target="finite", seed=k,
        )  # fmt: skip
        found = kt.allocate(fit, frame, 400, by="stratum", terms="rare")
        for name, values in ratios.items():
            values.append(found[name].se / np.sqrt(exact_variance(found[name], error)))
        design = kt.Stratified("stratum", found["neyman"].sizes)
        plan = kt.plan(fit, masked, design=design, n=400, jackknife=0)
        planned.append(plan.at(400)["se"] / np.sqrt(exact_variance(found["neyman"], error)))
    for name, values in ratios.items():
        np.testing.assert_allclose(np.mean(values, axis=0), 1.0, atol=0.15, err_msg=name)
    np.testing.assert_allclose(np.mean(planned, axis=0), 1.0, atol=0.15)


def test_sizes_leave_out_what_the_pilot_has_used():
    """A rare stratum that Neyman takes whole can still be drawn in a second wave."""
    corpus = kt.datasets.load("editorials")
    sample = kt.SimpleRandom(200).draw(corpus, seed=1)
    pilot = kt.datasets.mask_gold(corpus, sample, "tone")
    fit = kt.ols("tone ~ war", pilot, surrogates={"tone": "tone_vader"}, design=sample.design, seed=1, repeats=1)
    found = kt.allocate(fit, pilot, 450, by=["war", "vader_tercile"], terms="war")
    cells = corpus["war"].astype(str) + " x " + corpus["vader_tercile"].astype(str)
    left = cells[~sample.labelled].value_counts()
    assert all(size <= left[name] for name, size in found["neyman"].sizes.items())
    assert any(size == left[name] for name, size in found["neyman"].sizes.items())
    main = sample.next_wave(found["neyman"].design, corpus, seed=2)
    assert main.labelled.sum() == 650
    table = found.table()
    assert table.loc["Intercept"].max() < 3 * table.loc["Intercept", "simple random"], "war = 1 says nothing about it"
