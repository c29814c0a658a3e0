"""Where the model is nearly always right: coverage and width with few wrong gold labels, or none.

Run with ``python -m tests.statistical.nearly_right`` for the figures of docs/methods.md, section 9. Labels are all that
is not known: the coefficients are those of the corpus (``target="finite"``), or the corpus is very large. Averages of a
logit are its slopes (differences of 0 and 1), and its predictions for the label, or for z where that is the outcome;
an average treatment effect is that of z, which is drawn, on the label.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

import karat as kt
from karat.errors import KaratWarning

GOLD, ROWS, LARGE = 300, 10_000, 200_000
KINDS = ("coefficients", "averages", "effects")

_NODES, _SHARES = np.polynomial.hermite_e.hermegauss(40)
EFFECT = float(np.diff([_SHARES @ (1 / (1 + np.exp(0.3 - 0.7 * _NODES - 0.4 * z))) for z in (0, 1)])[0])
EFFECT /= np.sqrt(2 * np.pi)
"""Average effect of z on the label."""


@dataclass(frozen=True)
class Scene:
    """A label that is right but for some share of texts, as outcome or as covariate."""

    right: float
    where: str = "outcome"
    errors: str = "of one class"
    model: str = "ols"
    design: str = "simple random"
    learner: str | None = None
    target: str = "finite"
    averages: bool = False

    def __str__(self) -> str:
        target = "corpus" if self.target == "finite" else f"population, {LARGE:,} rows"
        return " | ".join(
            (
                f"{self.right:.1%}", self.where, self.errors, self.model + ", averages" * self.averages, self.design,
                str(self.learner), target,
            )
        )  # fmt: skip


def corpus(scene: Scene, rng: np.random.Generator) -> pd.DataFrame:
    """Texts with label, surrogate, two covariates and an outcome."""
    n = ROWS if scene.target == "finite" else LARGE
    x, z = rng.normal(size=n), (rng.random(n) < 0.5) * 1.0
    label = (rng.random(n) < 1 / (1 + np.exp(0.3 - 0.7 * x - 0.4 * z))) * 1.0
    wrong = rng.random(n) < 1 - scene.right
    if scene.errors == "of one class":
        wrong = (label == 1) & (rng.random(n) < (1 - scene.right) / label.mean())
    y = 1 + 0.5 * label + 0.5 * x + 0.3 * z + rng.normal(size=n)
    if scene.model == "logit":
        y = (rng.random(n) < 1 / (1 + np.exp(0.5 - 0.8 * label - 0.5 * x))) * 1.0
    return pd.DataFrame({"label": label, "llm": np.where(wrong, 1 - label, label), "x": x, "z": z, "y": y})


def once(scene: Scene, seed: int, repetition: int) -> np.ndarray:
    """For each coefficient: error, lower and upper end, standard error, shape (4, p)."""
    rng = np.random.default_rng([seed, repetition])
    data = corpus(scene, rng)
    formula = "label ~ x + z" if scene.where == "outcome" else "y ~ label + x + z"
    if scene.target == "finite":
        truth = getattr(smf, scene.model)(formula, data).fit(disp=0).params.to_numpy()
    else:
        assert scene.where == "covariate" or scene.model == "ate"
        truth = np.array([1, 0.5, 0.5, 0.3] if scene.model == "ols" else [-0.5, 0.8, 0.5, 0.0])
    design = {
        "simple random": kt.SimpleRandom(GOLD),
        "strata": kt.Stratified("llm", n={0.0: GOLD // 2, 1.0: GOLD // 2}),
        "Bernoulli": kt.Bernoulli(GOLD / len(data) * np.exp(0.3 * data["x"].to_numpy() - 0.045)),
    }[scene.design]
    sample = design.draw(data, seed=int(rng.integers(2**31)))
    gold = kt.datasets.mask_gold(data, sample, "label")
    if scene.model == "ate":
        fit = kt.ate(
            "label ~ z", gold, covariates="x", surrogates={"label": "llm"}, design=sample.design,
            learner=scene.learner, propensity=0.5, compare=False,
        )  # fmt: skip
        return np.vstack([fit.theta - EFFECT, fit.confint().to_numpy().T - EFFECT, fit.se()])
    fit = kt.regress(
        formula, gold, model=scene.model, surrogates={"label": "llm"}, design=sample.design, learner=scene.learner,
        target=scene.target, compare=False,
    )  # fmt: skip
    if scene.averages:
        return averages(fit, data, gold, formula)
    ends = fit.confint().to_numpy().T
    return np.vstack([fit.theta - truth, ends - truth, fit.se()])


def averages(fit: kt.Result, data: pd.DataFrame, gold: pd.DataFrame, formula: str) -> np.ndarray:
    """The same for averages: those of the corpus are of its own fit, predictions by class its shares."""
    whole, by = smf.logit(formula, data).fit(disp=0), "label" if "y ~" in formula else "z"
    shares = data.groupby(by)[formula.split(" ~ ")[0]].mean()
    truth = np.append(whole.get_margeff(dummy=True).margeff, shares)
    found = [kt.slopes(fit, gold), kt.predictions(fit, gold, by=by)]
    value, ends, se = (
        np.concatenate([np.asarray(getattr(one, name)()) for one in found]) for name in ("coef", "confint", "se")
    )
    return np.vstack([value - truth, ends.T - truth, se])


def scenes() -> list[Scene]:
    """Shares of right labels for each place and kind of error; then designs, a learner, logit, large corpora."""
    out = [
        Scene(right, where, errors)
        for right in (0.97, 0.98, 0.985, 0.99, 0.995, 0.999)
        for where in ("outcome", "covariate")
        for errors in ("of one class", "of both")
    ]
    for right in (0.98, 0.99, 0.995):
        out += [
            Scene(right, design="strata"),
            Scene(right, design="Bernoulli"),
            Scene(right, "covariate", learner="auto"),
            Scene(right, model="logit"),
            Scene(right, "covariate", model="logit"),
            Scene(right, "covariate", target="superpopulation"),
        ]
    for right in (0.97, 0.98, 0.99, 0.995, 0.999):
        out += [
            Scene(right, model="logit", averages=True),
            Scene(right, "covariate", model="logit", averages=True),
            Scene(right, "covariate", "of both", model="logit", averages=True),
            Scene(right, errors="of both", model="ate", target="superpopulation"),
        ]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=8_100_000)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    print("| right | label is | errors | model | gold | learner | target | coverage | mean width | worst | se / sd |")
    print("|" + "---|" * 11)
    warnings.simplefilter("ignore", KaratWarning)
    for k, scene in enumerate(scenes()):
        if ("averages" if scene.averages else "effects" if scene.model == "ate" else KINDS[0]) not in options.only:
            continue
        found = np.array([once(scene, options.seed + k, r) for r in range(options.repetitions)])
        gap, low, high, se = found.transpose(1, 0, 2)
        cells = [
            ((low <= 0) & (high >= 0)).mean(axis=0).round(3),
            (high - low).mean(axis=0).round(4),
            (high - low).max(axis=0).round(4),
            (np.sqrt((se**2).mean(axis=0)) / gap.std(axis=0)).round(2),
        ]
        print(f"| {scene} | " + " | ".join(" ".join(f"{v:g}" for v in cell) for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
