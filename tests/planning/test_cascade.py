"""Mixes of cheap, strong and gold labels: against a search, and what estimates then show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError

PRICES = {"gold_cost": 2.0, "strong_cost": 0.05, "cheap_cost": 0.001}


def parts(r_squared: dict[str, float], option: str) -> tuple[float, float, float]:
    """What falls with the number of cheap, strong and gold labels."""
    cheap, strong = r_squared["cheap"], r_squared["strong"]
    return {
        "gold only": (0, 0, 1), "cheap and gold": (cheap, 0, 1 - cheap), "strong and gold": (0, strong, 1 - strong),
        "cascade": (cheap, strong - cheap, 1 - strong),
    }[option]  # fmt: skip


@pytest.mark.parametrize("budget", [300.0, 4000.0])
@pytest.mark.parametrize(("cheap", "strong"), [(0.3, 0.8), (0.5, 0.55), (0.0, 0.9), (0.4, 0.4)])
def test_no_other_mix_is_better(budget, cheap, strong):
    r_squared, size = {"cheap": cheap, "strong": strong}, 20_000
    plan = kt.plan_cascade(r_squared, population=size, budget=budget, **PRICES)
    for mix in plan.mixes:
        a = parts(r_squared, mix.option)
        assert mix.cost <= budget * (1 + 1e-12)
        assert mix.gold <= (mix.strong or size) + 1e-9
        strong_labels = np.linspace(1, size, 4000) if a[1] > 1e-12 else np.array([size])
        left = budget - (size * PRICES["cheap_cost"] if "c" in mix.option.split()[0][0] else 0.0)
        gold = (left - (strong_labels * PRICES["strong_cost"] if a[1] > 1e-12 else 0.0)) / PRICES["gold_cost"]
        allowed = (gold > 0) & (gold <= strong_labels)
        found = a[0] / size + (a[1] / strong_labels if a[1] else 0.0) + a[2] / np.where(allowed, gold, 1e-9)
        assert mix.variance <= found[allowed].min() * (1 + 1e-9)
        assert mix.variance > found[allowed].min() * 0.99
    back = kt.plan_cascade(r_squared, population=size, se=float(np.sqrt(plan.mixes[-1].variance)), **PRICES)
    np.testing.assert_allclose([back.mixes[-1].cost, back.mixes[-1].gold], [budget, plan.mixes[-1].gold], rtol=1e-6)


def test_out_of_reach_and_finite_corpus():
    plan = kt.plan_cascade({"cheap": 0.3, "strong": 0.8}, population=50, se=0.01, **PRICES)
    assert "not even" in plan.sentences()[0]
    assert plan.table()["gold"].isna().all()
    assert "-" in str(plan)
    finite = kt.plan_cascade({"cheap": 0.3, "strong": 0.8}, population=50, se=0.01, target="finite", **PRICES)
    assert np.isfinite(finite.table()["cost"]).all()
    assert "<table" in finite._repr_html_()
    dear = kt.plan_cascade({"cheap": 0.3, "strong": 0.8}, population=500, budget=1000, gold_cost=2, strong_cost=1.9)
    assert dear.best() != "strong and gold"
    for wrong in ({"budget": 1.0, "se": 1.0}, {}, {"budget": 1.0, "target": "corpus"}):
        with pytest.raises(ArgumentError):
            kt.plan_cascade({"cheap": 0.3, "strong": 0.8}, population=50, **(PRICES | wrong))
    with pytest.raises(ArgumentError, match="r_squared"):
        kt.plan_cascade({"cheap": 0.3}, population=50, budget=1, **PRICES)
    with pytest.raises(ArgumentError, match="no coefficient 'z'"):
        finite.best("z")


def numbers(n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """A number of which a cheap label tells .4, and both labels .8."""
    cheap, more, rest = rng.standard_normal((3, n_units)) * np.sqrt([[0.4], [0.4], [0.2]])
    return pd.DataFrame({"y": cheap + more + rest, "cheap": cheap, "strong": cheap + more})


def test_standard_errors_come_out_as_planned_and_cheaper_than_two_phases():
    plan = kt.plan_cascade({"cheap": 0.4, "strong": 0.8}, population=3000, budget=400.0, gold_cost=2, strong_cost=0.1)
    assert plan.best() == "cascade"
    mix = next(m for m in plan.mixes if m.option == "cascade")
    rng, found, se = np.random.default_rng(31), [], []
    for _ in range(25):
        data = numbers(3000, rng)
        asked = kt.SimpleRandom(round(mix.strong)).draw(data, seed=rng)
        data["strong"] = data["strong"].where(asked.labelled)
        gold = asked.positions[kt.SimpleRandom(round(mix.gold)).draw(data[asked.labelled], seed=rng).labelled]
        data["y"] = data["y"].where(np.isin(np.arange(3000), gold))
        fit = kt.mean("y", data, surrogates={"y": kt.Cascade("cheap", "strong")}, learner=None, compare=False, seed=1)
        found.append(fit.theta[0])
        se.append(np.sqrt(fit.covariance[0, 0]))
    planned = np.sqrt(mix.variance)
    assert abs(np.mean(se) / planned - 1) < 0.03
    assert abs(np.std(found) / planned - 1) < 3.5 / np.sqrt(2 * 25)
    alone = next(m for m in plan.mixes if m.option == "cheap and gold")
    assert planned < 0.85 * np.sqrt(alone.variance)


def test_pilot_fits_say_how_much_labels_remove():
    data = numbers(1000, np.random.default_rng(32))
    data["y"] = data["y"].where(kt.SimpleRandom(400).draw(data, seed=1).labelled)
    fits = {
        name: kt.ols("y ~ 1", data, surrogates={"y": given}, learner="linear", repeats=1, seed=1)
        for name, given in (("cheap", "cheap"), ("strong", ["cheap", "strong"]))
    }
    plan = kt.plan_cascade(fits, population=10_000, budget=400.0, gold_cost=2, strong_cost=0.1, terms="Intercept")
    known = kt.plan_cascade(
        {"cheap": 0.4, "strong": 0.8}, population=10_000, budget=400.0, gold_cost=2, strong_cost=0.1
    )
    assert abs(plan.mixes[-1].gold / known.mixes[-1].gold - 1) < 0.2
    assert abs(plan.mixes[-1].variance / known.mixes[-1].variance - 1) < 0.3
