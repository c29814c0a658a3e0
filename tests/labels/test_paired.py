"""Scores from comparisons: against a logit of other software, an independent optimiser, and what must not matter."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import karat as kt
from karat.errors import ArgumentError, DataError, SeparationError


def games(n=12, m=400, ties=0.0, delta=0.0, seed=1):
    rng = np.random.default_rng(seed)
    strength = rng.normal(0, 0.8, n)
    a = rng.integers(0, n, m)
    b = (a + rng.integers(1, n, m)) % n
    eta = strength[a] - strength[b] + delta
    weights = np.column_stack([np.exp(eta / 2), np.exp(-eta / 2), np.full(m, ties)])
    p = weights / weights.sum(axis=1, keepdims=True)
    draw = (rng.random(m)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    won = np.array(["first", "second", "tie"])[draw]
    table = pd.DataFrame({"a": [f"t{i:02d}" for i in a], "b": [f"t{i:02d}" for i in b], "won": won})
    for k, side in enumerate(("first", "second", "tie")):
        table[side] = p[:, k]
    return table, strength - strength.mean(), a, b


def fit(table, **settings):
    return kt.labels.bradley_terry(table, first="a", second="b", **({"winner": "won"} | settings))


@pytest.mark.parametrize("order", [True, False])
@pytest.mark.parametrize(("vcov", "theirs"), [("model", "nonrobust"), ("robust", "HC0")])
def test_without_ties_it_is_the_logit_of_statsmodels(order, vcov, theirs):
    table, _, a, b = games(delta=0.4)
    x = np.zeros((len(a), 12))
    x[np.arange(len(a)), a] += 1
    x[np.arange(len(a)), b] -= 1
    x = np.column_stack([x[:, 1:], np.ones(len(a))]) if order else x[:, 1:]
    ref = sm.Logit((table["won"] == "first").astype(float), x).fit(disp=False, cov_type=theirs, tol=1e-12)
    to = np.vstack([np.zeros(11), np.eye(11)])
    to = to - to.mean(axis=0)
    got = fit(table, order=order, vcov=vcov)
    assert got.score == pytest.approx(to @ np.asarray(ref.params)[:11], abs=1e-8)
    v = np.asarray(ref.cov_params()) * (1 if vcov == "model" else len(a) / (len(a) - x.shape[1]))
    assert got.se == pytest.approx(np.sqrt(np.diag(to @ v[:11, :11] @ to.T)), rel=1e-6)
    if order:
        assert got.order_effect == pytest.approx(np.asarray(ref.params)[11], abs=1e-8)
        assert got.order_se == pytest.approx(np.sqrt(v[11, 11]), rel=1e-6)
    else:
        assert got.order_effect is None
    assert got.tie_weight == 0


def test_with_ties_it_is_the_maximum_of_the_likelihood_written_out():
    from scipy.optimize import approx_fprime, minimize

    table, _, a, b = games(n=5, m=200, ties=0.8, delta=0.3)
    y = np.column_stack([table["won"] == side for side in ("first", "second", "tie")])

    def minus(theta):
        s = np.concatenate([[0.0], theta[:4]])
        i, j, nu, gamma = np.exp(s[a]), np.exp(s[b]), np.exp(theta[5]), np.exp(theta[4])
        total = gamma * i + j + nu * np.sqrt(gamma * i * j)  # Davidson and Beaver, as they write it
        p = np.column_stack([gamma * i, j, nu * np.sqrt(gamma * i * j)]) / total[:, None]
        return -np.log(p[y]).sum()

    ref = minimize(minus, np.zeros(6), method="BFGS", options={"gtol": 1e-7})
    got = fit(table)
    score = np.concatenate([[0.0], ref.x[:4]])
    assert got.score == pytest.approx(score - score.mean(), abs=1e-4)
    assert got.order_effect == pytest.approx(ref.x[4], abs=1e-4)
    assert got.tie_weight == pytest.approx(np.exp(ref.x[5]), rel=1e-4)
    hessian = np.array([approx_fprime(ref.x, lambda t, k=k: approx_fprime(t, minus, 1e-5)[k], 1e-5) for k in range(6)])
    v = np.linalg.inv((hessian + hessian.T) / 2)
    to = np.vstack([np.zeros(4), np.eye(4)]) - 1 / 5
    assert got.se == pytest.approx(np.sqrt(np.diag(to @ v[:4, :4] @ to.T)), rel=1e-2)


def test_probabilities_that_follow_the_model_give_the_true_scores():
    table, truth, _, _ = games(ties=0.5, delta=-0.2)
    soft = fit(table, winner=None, probabilities={side: side for side in ("first", "second", "tie")})
    assert soft.score == pytest.approx(truth, abs=1e-7)
    assert soft.order_effect == pytest.approx(-0.2, abs=1e-7)
    assert soft.tie_weight == pytest.approx(0.5, abs=1e-7)
    assert soft.se.max() < 1e-6, "nothing is left to chance"


def test_what_must_not_matter():
    table, _, _, _ = games(ties=0.5, delta=0.2)
    got = fit(table)
    shuffled = fit(table.sample(frac=1, random_state=1))
    assert shuffled.score == pytest.approx(got.score, abs=1e-8)
    swap = {"first": "second", "second": "first", "tie": "tie"}
    turned = fit(table.rename(columns={"a": "b", "b": "a"}).assign(won=table["won"].map(swap)))
    assert turned.score == pytest.approx(got.score, abs=1e-8)
    assert turned.order_effect == pytest.approx(-got.order_effect, abs=1e-8)
    twice = fit(pd.concat([table, table]))
    assert twice.score == pytest.approx(got.score, abs=1e-8)
    assert twice.se == pytest.approx(got.se / np.sqrt(2), rel=1e-8)
    assert fit(pd.concat([table, table.head(9).assign(won=None)])).n_pairs == 400


def test_intervals_hold():
    """Coverage of scores over 30 draws of 12 texts: Monte Carlo error about 2 points with texts of one draw alike."""
    hits = []
    for seed in range(30):
        table, truth, _, _ = games(m=300, ties=0.3, delta=0.3, seed=seed)
        got = fit(table)
        hits.append((np.abs(got.score - truth) < 1.96 * got.se).mean())
    assert abs(np.mean(hits) - 0.95) < 0.04


def test_parts_that_never_meet_are_named():
    table = pd.DataFrame({"a": ["x", "y", "u", "v"], "b": ["y", "x", "v", "u"], "won": ["first"] * 4})
    with pytest.raises(DataError, match=r"fall into 2 parts that never meet \(u, v; x, y\)"):
        fit(table, order=False)


def test_texts_that_always_win_are_named():
    table = pd.DataFrame({"a": ["x", "y", "x"], "b": ["y", "x", "z"], "won": ["first", "first", "second"]})
    with pytest.raises(SeparationError, match=r"in 2 layers \(x, y; z\)"):
        fit(table, order=False)


def test_an_order_that_says_nothing_is_refused():
    table = pd.DataFrame({"a": ["x"] * 4, "b": ["y"] * 4, "won": ["first", "second"] * 2})
    with pytest.raises(DataError, match="effect of the order"):
        fit(table)
    assert fit(table, order=False).score.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "settings", "error", "message"),
    [
        ({"won": "A"}, {}, DataError, r"holds \['A'\]; it must be"),
        ({"b": "t00", "a": "t00"}, {}, DataError, "compared with itself"),
        ({"won": None}, {}, DataError, "no comparison has an outcome"),
        ({}, {"winner": None}, ArgumentError, "give winner= or"),
        ({}, {"winner": None, "probabilities": {"A": "first"}}, ArgumentError, "it must name"),
        (
            {"first": 2.0},
            {"winner": None, "probabilities": {"first": "first", "second": "second"}},
            DataError,
            "add up",
        ),
        ({"a": None}, {}, DataError, "missing in some rows"),
        ({}, {"vcov": "HC3"}, ArgumentError, "vcov"),
    ],
)
def test_what_is_refused(change, settings, error, message):
    table, *_ = games()
    with pytest.raises(error, match=message):
        fit(table.assign(**change), **settings)


def test_scores_join_the_data_as_surrogates():
    table, truth, _, _ = games(m=600)
    got = fit(table)
    corpus = pd.DataFrame({"text": [f"t{i:02d}" for i in range(13)]}).iloc[::-1]
    joined = got.join(corpus, "text")
    assert joined["score"].isna().sum() == 1
    assert joined["score"].iloc[-1] == got.score[0]
    assert 0.5 < got.reliability < 1
    assert np.corrcoef(got.score, truth)[0, 1] > 0.8
    with pytest.raises(DataError, match="another name"):
        got.join(joined, "text")


def test_hundreds_of_texts_stay_sparse():
    rng = np.random.default_rng(1)
    corpus = {"text": [str(i) for i in range(400)]}
    asked = kt.annotate.pairs(corpus, text="text", per_text=6, seed=1)
    s = rng.normal(0, 1, 400)
    p = 1 / (1 + np.exp(-(s[asked["first"]] - s[asked["second"]])))
    asked["p"], asked["q"] = p, 1 - p
    got = kt.labels.bradley_terry(asked, first="first", second="second", probabilities={"first": "p", "second": "q"})
    assert got.score == pytest.approx(s - s.mean(), abs=1e-6)


@pytest.mark.parametrize(("n", "per_text"), [(5, 4), (7, 6), (8, 6), (30, 10)])
def test_pairs_are_balanced_connected_and_not_repeated(n, per_text):
    asked = kt.annotate.pairs({"text": [f"w{i}" for i in range(n)]}, text="text", per_text=per_text, seed=3)
    assert len(asked) == n * per_text // 2
    for side in ("first", "second"):
        assert (asked[side].value_counts() == per_text // 2).all()
    repeated = len(asked) - len({frozenset(pair) for pair in zip(asked["first"], asked["second"])})
    assert repeated == 0 or n <= 8
    asked["won"] = ["tie", "first", "second"] * (len(asked) // 3) + ["tie"] * (len(asked) % 3)
    assert kt.labels.bradley_terry(asked, first="first", second="second", winner="won").n_pairs == len(asked)


def test_pairs_that_cannot_be_drawn():
    corpus = {"text": ["a", "b", "c", "d"], "id": [1, 1, 2, 3]}
    with pytest.raises(ArgumentError, match="odd"):
        kt.annotate.pairs(corpus, text="text", per_text=3)
    with pytest.raises(ArgumentError, match="per_text=6"):
        kt.annotate.pairs(corpus, text="text", per_text=6)
    with pytest.raises(ArgumentError, match="alike"):
        kt.annotate.pairs(corpus, text="text", id="id", per_text=2)
