"""kt.budget: against numerical optimisation, against kt.plan, break-even costs, refusals."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import karat as kt
from karat.errors import ArgumentError

from .. import corpora


def optimum(r2, spend, gold_cost, cost, most=np.inf):
    """Best number of surrogate labels by search, gold from what is left."""

    def variance(log_n):
        bought = np.exp(log_n)
        gold = (spend - cost * bought) / gold_cost
        if gold <= 0 or gold > bought or bought > most * (1 + 1e-12):
            return 1e6
        return (1 - r2) / gold + r2 / bought

    low, high = np.log(spend / (gold_cost + cost)), np.log(min(spend / cost, most))
    grid = np.linspace(low + 1e-12, high, 4001)
    start = grid[np.argmin([variance(x) for x in grid])]
    step = grid[1] - grid[0]
    found = minimize_scalar(variance, bounds=(start - step, min(start + step, high)), method="bounded",
                            options={"xatol": 1e-10})  # fmt: skip
    return min(found.fun, variance(grid[-1]))


@pytest.mark.parametrize("r2", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("cost", [0.001, 0.02, 0.2])
@pytest.mark.parametrize("most", [np.inf, 3000])
def test_free_number_of_documents_is_what_a_search_finds(r2, cost, most):
    options = {} if np.isinf(most) else {"population": most}
    table = kt.budget({"llm": r2}, 500.0, gold_cost=1.5, surrogate_cost=cost, corpus="free", **options).table()
    row = table.set_index("option").loc["llm"]
    found = (1 - r2) / row["gold"] + r2 / row["surrogate"]
    np.testing.assert_allclose(found, optimum(r2, 500.0, 1.5, cost, most), rtol=1e-4)
    np.testing.assert_allclose(row["gold"] * 1.5 + row["surrogate"] * cost, 500.0, rtol=1e-9)
    alone = 1.5 / 500
    np.testing.assert_allclose(row["relative"], np.sqrt(found / alone), rtol=1e-9)
    if np.isinf(most) and row["relative"] < 1:
        closed = (np.sqrt(1.5 * (1 - r2)) + np.sqrt(cost * r2)) ** 2 / 500
        np.testing.assert_allclose(found, closed, rtol=1e-9)


@pytest.mark.parametrize("corpus", ["fixed", "free"])
@pytest.mark.parametrize("population", [None, 4000])
@pytest.mark.parametrize("target", ["superpopulation", "finite"])
def test_break_even_cost(corpus, population, target):
    if (corpus == "fixed" and population is None) or (corpus == "free" and target == "finite"):
        return
    options = {"corpus": corpus, "population": population, "target": target}
    first = kt.budget({"llm": 0.5}, 800.0, gold_cost=1.0, surrogate_cost=0.01, **options).table()
    limit = first.set_index("option").loc["llm", "break_even"]
    at = kt.budget({"llm": 0.5}, 800.0, gold_cost=1.0, surrogate_cost=limit, **options).table().set_index("option")
    assert at.loc["llm", "relative"] == pytest.approx(1.0, abs=2e-3)
    dear = kt.budget({"llm": 0.5}, 800.0, gold_cost=1.0, surrogate_cost=1.1 * limit, **options)
    assert dear.best() == "gold only"
    assert "no surrogate pays" in str(dear)


def test_the_better_surrogate_for_its_price():
    assert kt.budget({"a": 0.6, "b": 0.7}, 1000, gold_cost=1, surrogate_cost=0.01, population=5000).best() == "b"
    dear = kt.budget({"a": 0.6, "b": 0.7}, 1000, gold_cost=1, surrogate_cost={"a": 0.01, "b": 0.1}, population=5000)
    assert dear.best() == "a"
    assert dear.best("coefficient") == "a"
    by_term = kt.budget({"a": {"x": 0.8, "z": 0.0}}, 1000, gold_cost=1, surrogate_cost=0.02, population=5000)
    assert by_term.best("x") == "a"
    assert by_term.best("z") == "gold only"


def test_useless_surrogates_never_pay():
    for r2 in (0.0, -0.3):
        found = kt.budget({"noise": r2}, 1000, gold_cost=1, surrogate_cost=0.0, population=5000)
        assert found.table()["break_even"].iloc[1] == 0
    assert kt.budget({"noise": -0.3}, 1000, gold_cost=1, surrogate_cost=0.0, population=5000).best() == "gold only"


def test_standard_errors_are_those_of_the_plan():
    frame = corpora.corpus(900, seed=5)
    sample = kt.SimpleRandom(200).draw(frame, seed=1)
    masked = corpora.masked(frame, sample.labelled, "vote")
    fits = {
        name: kt.ols("vote ~ z + size", masked, surrogates={"vote": column}, design=sample.design, vcov="HC2", seed=1)
        for name, column in {"scores": "vote_prob", "labels": "vote_llm"}.items()
    }
    found = kt.budget(fits, 300.0, gold_cost=1.0, surrogate_cost=0.1, terms="z")
    table = found.table().set_index("option")
    assert table.loc["scores", "gold"] == pytest.approx(210)
    for name, fit in fits.items():
        planned = kt.plan(fit, n=210).at(210).loc["z", "se"]
        assert table.loc[name, "se"] == pytest.approx(planned, rel=0.03)
    assert "std. error" in str(found)
    assert "<table" in found._repr_html_()
    assert found.absolute


REFUSED = {
    "nothing": ({"surrogates": {}}, "must map names"),
    "reserved": ({"surrogates": {"gold only": 0.3}}, "other than"),
    "above one": ({"surrogates": {"a": 1.2}}, "below 1"),
    "no money": ({"budget": 0}, "budget=0 .* above 0"),
    "costs": ({"surrogate_cost": {"b": 1}}, "name each once"),
    "negative": ({"surrogate_cost": -1}, "surrogate_cost.*=-1 .* at least 0"),
    "no population": ({"population": None}, "needs population"),
    "population": ({"population": 1}, "number of documents"),
    "finite and free": ({"corpus": "free", "target": "finite"}, "use corpus='fixed'"),
    "terms": ({"surrogates": {"a": {"x": 0.1}}, "terms": "z"}, "says nothing about"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals(change, message):
    arguments = {"surrogates": {"a": 0.5}, "budget": 100, "gold_cost": 1, "surrogate_cost": 0.1, "population": 500}
    arguments |= change
    with pytest.raises(ArgumentError, match=message):
        kt.budget(arguments.pop("surrogates"), arguments.pop("budget"), **arguments)
