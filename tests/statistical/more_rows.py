"""Corpora of the rows of the family that are more than a regression of independent rows; ``rows.py`` runs them.

One repetition of each: effects of states and years, two ways of clustering, event studies, differences in differences,
average effects on the treated and in experiments, instruments one label at a time, Cox regressions, and labels with
gold samples of their own. Defaults throughout. Corpora not written here are those of ``fixed_effects.py``,
``causal.py``, ``instruments.py``, ``cox.py`` and ``partly.py`` beside this file.

What has no row here: linear and logistic regressions and counts without effects (``docs/coverage.md``, 100
repetitions and four designs), means by group (the linear regression on indicators), shares, small groups and unit means
(studies of their own), restricted means (``rmst.py``), averages after the fit (``effects.py``), soft labels
(``soft_labels.py``, and probabilities of classes enter scores as labels do), cascades (``partly.py``), other numbers of
instruments with one label each (rows "three strong instruments" label all), and labelled covariates of event studies
with one coefficient for all cohorts (a regression with two effects, clustered). Dates of treatment, instruments of a
fit without labels and outcomes of Cox regressions are not labelled, and effects of Poisson and logit take labelled
outcomes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import karat as kt

from . import causal, cox, fixed_effects, instruments, partly

Once = Callable[[str, int, int], np.ndarray]
"""Position of labels, gold rows and seed to error, standard error, whether covered and width of every coefficient, then
whether gold alone covered and its width."""
LABELS = {"outcome": {"y": "y_llm"}, "covariate": {"x": "x_llm"}, "both": {"y": "y_llm", "x": "x_llm"}}


def held(fit: Any, truth: Mapping[str, float], other: pd.DataFrame | None = None) -> np.ndarray:
    """What a repetition says of coefficients, beside other intervals; by default those of gold alone, if it has any."""
    names, true = list(truth), np.array(list(truth.values()))
    low, high = fit.confint().loc[names].to_numpy().T
    if other is None:
        columns = [c for c in fit.compare().columns if c.title == "Gold only"]
        bounds = fit.compare().bounds(columns[0]) if columns else np.full((2, len(fit.names)), np.nan)
        other = pd.DataFrame(np.transpose(bounds), index=fit.names)
    least, most = other.loc[names].to_numpy().T
    error = fit.coef().loc[names].to_numpy() - true
    inside, inside_other = (low <= true) & (true <= high), (least <= true) & (true <= most)
    return np.column_stack([error, fit.se().loc[names], inside, high - low, inside_other, most - least])


def drawn(data: pd.DataFrame, labels: list[str], n_gold: int, seed: int) -> dict[str, Any]:
    """A simple random gold sample, as arguments of a fit."""
    sample = kt.SimpleRandom(n=n_gold).draw(data, seed=seed)
    return {"data": kt.datasets.mask_gold(data, sample, labels), "design": sample.design, "seed": seed}


def effects(door: Callable[..., Any], kind: str, labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """Effects of states (and years), or of small groups."""
    data = fixed_effects.panel(kind, 2500, np.random.default_rng(seed))
    outcome = {kt.poisson: "count", kt.logit: "vote"}.get(door, "y")
    surrogates = LABELS[labelled] if outcome == "y" else {outcome: f"{outcome}_llm"}
    formula = fixed_effects.FORMULAS[kind].replace("y ~", f"{outcome} ~")
    return held(
        door(formula, **drawn(data, list(surrogates), n_gold, seed), surrogates=surrogates), fixed_effects.TRUTH
    )


def two_ways(labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """3,000 rows in 40 places and 30 months, all three of y, x and z going with both; clusters are both."""
    rng = np.random.default_rng(seed)
    place, month = rng.integers(0, 40, 3000), rng.integers(0, 30, 3000)

    def common() -> np.ndarray:
        return rng.normal(size=40)[place] + rng.normal(size=30)[month]

    z = rng.normal(size=3000) + 0.4 * common()
    x = (rng.normal(size=3000) + 0.5 * z + 0.4 * common() > 0).astype(float)
    y = 0.5 * x - 0.3 * z + 0.4 * common() + rng.normal(size=3000)
    data = pd.DataFrame({"place": place, "month": month, "x": x, "z": z, "y": y})
    data["y_llm"] = 0.8 * y + 0.3 * x + 0.7 * rng.normal(size=3000)
    data["x_llm"] = np.where(rng.random(3000) < 0.1 + 0.1 * (y > 0.5), 1 - x, x)
    surrogates = LABELS[labelled]
    given = drawn(data, list(surrogates), n_gold, seed)
    fit = kt.ols("y ~ x + z", **given, surrogates=surrogates, cluster=["place", "month"])
    return held(fit, {"Intercept": 0.0, "x": 0.5, "z": -0.3})


GROWING = {
    "cohorts differ": {4: 0.3, 6: 0.0},
    "cohorts are alike": {4: 0.3, 6: 0.3},
    "effects are one": {4: 0.0, 6: 0.0},
}
"""By how much the effect of each cohort grows in a period; it begins at .5."""


def horizons(growing: Mapping[int, float], leads: range) -> dict[str, float]:
    """The effects of a panel of 7 periods by time since treatment, and over all treated rows."""
    by = {since: [0.5 + g * since for first, g in growing.items() if first + since <= 7] for since in range(4)}
    every = [value for values in by.values() for value in values]
    return {f"{lead}": 0.0 for lead in leads} | {f"{s}": np.mean(v) for s, v in by.items()} | {"ATT": np.mean(every)}


def event(method: str, effect: str, labelled: str, n_gold: int, seed: int, single: bool = False) -> np.ndarray:
    """Effects by time since treatment, or their average alone; gold is held against all rows labelled."""
    growing, rng = GROWING[effect], np.random.default_rng(seed)
    data = causal.panel(rng)
    since = data["time"] - data["cohort"]
    more = sum((g - 0.3 * (first == 4)) * since * (data["cohort"] == first) for first, g in growing.items())
    data[["y", "llm"]] = data[["y", "llm"]].add(np.where(since >= 0, more, 0.0), axis=0)
    if method == "imputation":  # units without a row before treatment tell nothing
        data = data[(~(since >= 0)).groupby(data["unit"]).transform("any")].reset_index(drop=True)
    wave = rng.normal(size=len(data)) + 0.3 * (data["time"] >= data["cohort"]).to_numpy()
    data["x"] = (wave > 0.2).astype(float)
    data[["y", "llm"]] = data[["y", "llm"]].add(0.4 * data["x"], axis=0)
    data["x_llm"] = np.where(rng.random(len(data)) < 0.15, 1 - data["x"], data["x"])
    surrogates = {"outcome": {"y": "llm"}, "covariate": {"x": "x_llm"}, "both": {"y": "llm", "x": "x_llm"}}[labelled]
    keys = {"unit": "unit", "time": "time", "cohort": "cohort", "method": method}
    door = kt.did if single else kt.event_study
    fit = door("y ~ x", **drawn(data, list(surrogates), n_gold, seed), **keys, surrogates=surrogates, compare=False)
    truth = horizons(growing, range(-3, -1))
    return held(fit, {"ATT": truth["ATT"]} if single else truth, door("y ~ x", data, **keys).confint())


def whole_units(labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """Imputation with gold drawn unit by unit."""
    return np.array([causal.panel_once("whole units", n_gold, seed)[:6]], dtype=np.float64)


def average(effect: str, labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """Average effects on the treated, whose share with the confounder is found in a large corpus."""
    data = causal.corpus(1500, np.random.default_rng(seed))
    label = {"outcome": "y", "treatment": "t", "confounder": "c"}[labelled]
    given = drawn(data, [label], n_gold, seed)
    fit = kt.ate("y ~ t", **given, covariates="x + c", surrogates={label: f"{label}_llm"}, effect=effect)
    return held(fit, {"ATT": 0.5 + 0.3 * TREATED})


TREATED = 0.5025
"""Share of the treated of ``causal.py`` with the confounder, by integration."""


def experiment(labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """Treatment by lot (two in five); a model predicts the outcome of each arm, or labels the treatment."""
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=1500), (rng.random(1500) < 0.4).astype(float)
    own, noise = rng.normal(size=(2, 1500))
    y = 1 + (0.5 + 0.3 * x) * t + 0.7 * x + own
    data = pd.DataFrame({"x": x, "t": t, "y": y, "t_llm": np.where(rng.random(1500) < 0.1 + 0.1 * (y > 1.5), 1 - t, t)})
    guess = 0.8 + 0.5 * x + 0.7 * own + 0.5 * noise
    data["if_treated"], data["if_not"] = guess + 0.9 + 0.2 * x, guess
    if labelled == "outcome":
        given = drawn(data, ["y"], n_gold, seed) | {"arms": ("if_treated", "if_not")}
    else:
        given = drawn(data, ["t"], n_gold, seed) | {"surrogates": {"t": "t_llm"}}
    return held(kt.ate("y ~ t", **given, covariates="x", propensity=0.4), {"ATE": 0.5})


def instrument(formula: str, labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """Two-stage least squares with one label, with effects of groups if the formula has them."""
    rng = np.random.default_rng(seed)
    name = {"outcome": "y", "endogenous": "x", "instrument": "z"}[labelled]
    data = instruments.corpus(0.8, 1500, 1500, rng)
    data["group"] = rng.integers(0, 30, 1500)
    data[["y", "y_llm"]] = data[["y", "y_llm"]].add(rng.normal(size=30)[data["group"]] * ("|" in formula), axis=0)
    given = drawn(data, [name], n_gold, seed)
    return held(kt.iv(formula, **given, surrogates={name: f"{name}_llm"}), {"x": instruments.BETA, "w": 0.2})


def weak(labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """Whether Anderson-Rubin sets of a weak instrument hold the truth; standard errors and widths are two-stage."""
    found = instruments.once("weak, one instrument", n_gold, seed)
    return np.array([[*found[:2], found[6], *found[3:6]]], dtype=np.float64)


def hazard(label: str, labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """Cox regressions with a covariate of two or three classes, read in documents that know how the unit ended."""
    data, design = cox.corpus(label, "informed", 3000, n_gold, 0.4, np.random.default_rng(seed))
    fit = kt.cox("time ~ x + z", data, event="event", surrogates={"x": "llm"}, design=design, seed=seed)
    return held(fit, dict(zip(cox.TERMS[label], cox.BETA[label])))


def own_gold(scenario: str, labelled: str, n_gold: int, seed: int) -> np.ndarray:
    """Two covariates with gold of their own, of this size each, against both with all labels."""
    rng = np.random.default_rng(seed)
    every = partly.corpus(False, 3000, rng)
    design, data = partly.partly(scenario, every.copy(), n_gold / 3000, rng)
    fit = kt.ols("y ~ a + b + x", data, surrogates={"a": "a_llm", "b": "b_llm"}, seed=seed, **design)
    names = {"y": np.zeros(3000)}
    known = kt.ols("y ~ a + b + x", every, surrogates=names, learner=None, estimator="gold", compare=False)
    return held(fit, {"Intercept": 0.2, "a": 1.0, "b": -0.7, "x": 0.4}, known.confint())


ROWS: dict[str, tuple[tuple[str, ...], Once]] = {
    "ols with states": (tuple(LABELS), partial(effects, kt.ols, "one way")),
    "ols with states and years": (tuple(LABELS), partial(effects, kt.ols, "two ways")),
    "ols with small groups": (tuple(LABELS), partial(effects, kt.ols, "small groups")),
    "poisson with states": (("outcome",), partial(effects, kt.poisson, "one way")),
    "poisson with states and years": (("outcome",), partial(effects, kt.poisson, "two ways")),
    "poisson with small groups": (("outcome",), partial(effects, kt.poisson, "small groups")),
    "logit with states": (("outcome",), partial(effects, kt.logit, "one way")),
    "logit with states and years": (("outcome",), partial(effects, kt.logit, "two ways")),
    "two ways of clustering": (tuple(LABELS), two_ways),
    "event study by cohort": (tuple(LABELS), partial(event, "sunab", "cohorts differ")),
    "event study by imputation": (("outcome",), partial(event, "imputation", "cohorts differ")),
    "event study for all cohorts": (("outcome",), partial(event, "twfe", "cohorts are alike")),
    "did for all cohorts": (("outcome",), partial(event, "twfe", "effects are one", single=True)),
    "did of whole units": (("outcome",), whole_units),
    "att": (("outcome", "treatment", "confounder"), partial(average, "att")),
    "experiment": (("outcome", "treatment"), experiment),
    "one instrument": (("outcome", "endogenous", "instrument"), partial(instrument, "y ~ w + [x ~ z]")),
    "instrument with groups": (
        ("outcome", "endogenous", "instrument"),
        partial(instrument, "y ~ w + [x ~ z] | group"),
    ),
    "weak instrument": (("all",), weak),
    "cox": (("covariate",), partial(hazard, "binary")),
    "cox of three classes": (("covariate",), partial(hazard, "classes")),
    "gold of their own": (("covariates",), partial(own_gold, "crossed")),
    "gold within gold": (("covariates",), partial(own_gold, "within")),
}
"""Positions of labels of a model, and one repetition of it."""
