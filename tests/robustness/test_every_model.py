"""Each model with each check: a finite answer, or a refusal that says which model or function it is about."""

import warnings

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import KaratError

N, N_GOLD = 500, 200
OUTCOMES = {
    "ols": "tone", "logit": "yes", "probit": "yes", "poisson": "count", "negative_binomial": "count",
    "multinomial": "topic", "ordered": "stars", "ordered_probit": "stars", "gamma": "cost", "fractional": "share",
    "beta": "share", "quantile": "tone", "expectile": "tone", "huber": "tone",
}  # fmt: skip
FORMULAS = {name: (name, f"{outcome} ~ x + hostile") for name, outcome in OUTCOMES.items()} | {
    "ols with effects": ("ols", "tone ~ x + hostile | state"),
    "logit with effects": ("logit", "yes ~ x + z | state"),
    "poisson with effects": ("poisson", "count ~ x + z | state"),
    "instruments": ("iv", "tone ~ x + [z ~ pull]"),
}
OTHERS = ("mean", "ate", "did", "imputation", "event study", "cox", "rmst", "several")
MODELS = (*FORMULAS, *OTHERS)


def corpus():
    rng = np.random.default_rng(4)
    x, pull, u = rng.normal(size=(3, N))
    hostile, treated = rng.integers(0, 2, N).astype(float), rng.integers(0, 2, N).astype(float)
    eta, z = 0.2 + 0.5 * x - 0.4 * hostile, 0.8 * pull + 0.5 * u
    data = pd.DataFrame({"x": x, "z": z, "pull": pull, "hostile": hostile, "treated": treated})
    data["tone"] = eta + 0.3 * z + 0.3 * u + rng.normal(size=N)
    data["yes"] = (rng.random(N) < 1 / (1 + np.exp(-eta))).astype(float)
    data["count"] = rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, N)).astype(float)
    data["stars"] = np.digitize(eta + rng.logistic(size=N), [-1.0, 0.2, 1.5])
    data["topic"] = np.array(["law", "tax", "war"])[np.digitize(eta + rng.logistic(size=N), [-0.5, 0.8])]
    data["cost"] = np.exp(eta) * rng.gamma(2.0, 0.5, N)
    data["share"] = np.clip(rng.beta(4 / (1 + np.exp(-eta)), 4 / (1 + np.exp(eta))), 0.001, 0.999)
    data["state"] = rng.integers(0, 8, N)
    data["days"] = np.ceil(30 * rng.exponential(np.exp(-0.4 * hostile)))
    data["ended"] = (rng.random(N) < 0.7).astype(float)
    data["unit"], data["time"] = np.arange(N) // 5, np.arange(N) % 5
    data["cohort"] = np.array([2.0, 3.0, np.nan])[data["unit"] % 3]
    for name in ("tone", "count", "cost"):
        data[f"{name}_llm"] = data[name] * np.exp(0.2 * rng.normal(size=N))
    data["count_llm"] = np.rint(data["count_llm"])
    data["share_llm"] = np.clip(data["share"] + 0.05 * rng.normal(size=N), 0.01, 0.99)
    for name in ("hostile", "yes"):
        data[f"{name}_llm"] = np.where(rng.random(N) < 0.15, 1 - data[name], data[name])
    for name in ("stars", "topic"):
        data[f"{name}_llm"] = np.where(rng.random(N) < 0.15, rng.choice(data[name], N), data[name])
    return data


FULL = corpus()
SAMPLE = kt.SimpleRandom(n=N_GOLD).draw(FULL, seed=2)
PANEL = {"unit": "unit", "time": "time", "cohort": "cohort"}
COMMON = {"design": SAMPLE.design, "learner": None, "seed": 1}


def labels(name):
    if name in FORMULAS:
        return [FORMULAS[name][1].split()[0]]
    return ["hostile"] if name in ("cox", "rmst") else ["tone"]


def masked(name, full=FULL):
    return kt.datasets.mask_gold(full, SAMPLE, labels(name))


def surrogates(name):
    return {label: f"{label}_llm" for label in labels(name)}


def fit(name):
    data, given = masked(name), {"surrogates": surrogates(name), **COMMON}
    if name in FORMULAS:
        model, formula = FORMULAS[name]
        return kt.regress(formula, data, model=model, **given)
    if name == "mean":
        return kt.mean("tone", data, **given)
    if name == "ate":
        return kt.ate("tone ~ treated", data, covariates="x + hostile", **given)
    if name == "several":
        return kt.several("tone ~ sw(x, z)", data, **given)
    if name == "event study":
        return kt.event_study("tone", data, **PANEL, **given)
    if name in ("did", "imputation"):
        return kt.did("tone", data, **PANEL, method="sunab" if name == "did" else name, **given)
    if name == "cox":
        return kt.cox("days ~ x + hostile", data, event="ended", **given)
    return kt.rmst("days ~ hostile", data, event="ended", tau=30.0, **given)


def compared(name):
    columns = fit(name).compare().columns
    return np.concatenate([np.concatenate([c.theta, c.se]) for c in columns if c.title != "Surrogate only"])


def diagnosed(name):
    return [float(len(kt.diagnose(fit(name)).tidy()))]


def planned(name):
    return kt.plan(fit(name), n=[100, 400]).tidy().select_dtypes(float).to_numpy()[:, :2].ravel()


def by_formula(name, function, **options):
    """What is called with a formula and a model; of others, with the nearest that users would try."""
    model, formula = FORMULAS.get(name, (name, f"{labels(name)[0]} ~ x"))
    return function(formula, masked(name), model=model, **options)


def sensitive(name):
    data = masked(name)
    data.loc[data.index[SAMPLE.labelled][::7], labels(name)] = np.nan
    given = {"surrogates": surrogates(name), "bounds": name in ("ols", "quantile"), **COMMON}
    found = by_formula(name, lambda f, _, **o: kt.sensitivity(f, data, **o), **given)
    return found.curve.theta.ravel() if hasattr(found.curve, "theta") else found.tidy().iloc[:, 0].to_numpy(float)


def many(name):
    both = {label: [f"{label}_llm", "other"] for label in labels(name)}
    full = FULL.assign(other=np.where(np.arange(N) % 10, FULL[f"{labels(name)[0]}_llm"], FULL[labels(name)[0]]))
    given = {"learners": [None], "together": False, "design": SAMPLE.design, "seed": 1}
    found = by_formula(name, lambda f, _, **o: kt.multiverse(f, masked(name, full), **o), surrogates=both, **given)
    return found.tidy().select_dtypes(float).to_numpy()[:, :2].ravel()


CHECKS = {
    "compare": compared, "diagnose": diagnosed, "plan": planned, "sensitivity": sensitive, "multiverse": many,
}  # fmt: skip
REFUSED = {
    "compare": dict.fromkeys(("did", "imputation", "event study"), r"event study .*\.by_cohort\.compare")
    | {"several": r"2 fits; .*\.compare\(\)"},
    "diagnose": dict.fromkeys(("did", "imputation", "event study"), "EventStudy") | {"several": "Fits"},
    "plan": dict.fromkeys(("did", "imputation", "event study"), "EventStudy") | {"several": "Fits"},
    "sensitivity": {name: f"model='{name}' is not allowed" for name in OTHERS if name != "mean"},
    "multiverse": {name: f"model='{name}' is not allowed" for name in OTHERS if name != "mean"},
}
"""What is refused, and what the refusal says."""


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", MODELS)
def test_it_works_or_is_refused_by_name(name, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in REFUSED[check]:
            with pytest.raises(KaratError, match=REFUSED[check][name]):
                CHECKS[check](name)
        else:
            assert np.isfinite(CHECKS[check](name)).all()


@pytest.mark.parametrize("name", FORMULAS)
def test_the_bootstrap_takes_a_model_as_its_statistic(name):
    """All labels known and resampling numbers as analysis weights: near the estimate with weights of its own."""
    model, formula = FORMULAS[name]
    given = {"model": model, "estimator": "gold", "design": 1.0, "weights": "v", "compare": False, "seed": 1}

    def statistic(data, weights):
        return kt.regress(formula, data.assign(v=weights), surrogates=surrogates(name), **given).coef()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = kt.bootstrap(
            statistic, masked(name), surrogates=surrogates(name), design=SAMPLE.design, draws=50, seed=1
        )
        known = fit(name)
    assert found.names == known.names
    assert not found.failures
    assert (np.abs(found.theta - known.theta) < 2.0 * known.se().to_numpy()).all()
    assert (found.se().to_numpy() < 2.0 * known.se().to_numpy()).all()
