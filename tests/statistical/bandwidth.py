"""How wide the kernel of ``kt.quantile`` should be: ``python -m tests.statistical.bandwidth --repetitions 400``.

Gold rows alone (the bandwidth comes from them alone), a number and a 0/1 covariate. Errors are normal, exponential, or
normal with a scale that grows with the number. For several multiples of the rate of He, Pan, Tan and Zhou (2023): bias
of the intercept in standard deviations of the estimate, mean squared error of slopes over that at multiple 1, and
coverage of 95 % intervals of the intercept and of the slopes (HC3, degrees of freedom as usual).
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import norm, t

from karat import moments as models
from karat.designs import Labelling
from karat.estimate.augment import AugmentedSample, Units
from karat.estimate.clusters import Curvatures
from karat.estimate.infer import Parts, infer
from karat.estimate.rectify import gold_estimate
from karat.estimate.rows import Memory, Rows
from karat.moments.quantile import _WIDTH, bandwidth_of

MULTIPLES = (0.5, 1.0, 1.5, 2.0, 3.0)
ERRORS = ("normal", "exponential", "wider")
SEED = 995_000


def drawn(kind: str, q: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariates, outcomes and true coefficients."""
    x = np.column_stack([np.ones(n), rng.normal(size=n), rng.random(n) < 0.4])
    truth = np.array([0.0, 0.5, -0.4])
    if kind == "exponential":
        errors, shift = rng.exponential(size=n), np.array([-np.log1p(-q), 0.0, 0.0])
    elif kind == "wider":
        x[:, 1] = np.abs(x[:, 1])
        errors, shift = rng.normal(size=n) * (0.5 + 0.5 * x[:, 1]), norm.ppf(q) * np.array([0.5, 0.5, 0.0])
    else:
        errors, shift = rng.normal(size=n), norm.ppf(q) * np.array([1.0, 0.0, 0.0])
    return x, x @ truth + errors, truth + shift


def once(kind: str, q: float, n: int, seed: int) -> np.ndarray:
    """For each multiple and coefficient: error, and whether it is covered."""
    x, y, truth = drawn(kind, q, n, np.random.default_rng(seed))
    rate = bandwidth_of(x, y, np.ones(n), q) / _WIDTH
    labelling, out = Labelling(np.ones(n), np.ones(n, dtype=bool), fixed_size=True), []
    for multiple in MULTIPLES:
        model = models.get("quantile", {"q": q, "bandwidth": multiple * rate})
        estimate = gold_estimate(model, AugmentedSample(Rows(x, y), Memory(), Units(labelling)))
        covariance, df = infer(Parts.of(estimate, Curvatures()), "HC3", "superpopulation", "auto")
        error = estimate.theta - truth
        out.append([error, np.abs(error) <= t.ppf(0.975, df) * np.sqrt(np.diag(covariance.total))])
    return np.array(out)


def study(kind: str, q: float, n: int, repetitions: int) -> np.ndarray:
    """Bias of the intercept, relative squared error of slopes, coverage of intercept and slopes by multiple."""
    found = np.array([once(kind, q, n, SEED + r) for r in range(repetitions)])
    error, covered = found[:, :, 0], found[:, :, 1].mean(axis=0)
    squared = (error[:, :, 1:] ** 2).mean(axis=(0, 2))
    return np.column_stack([
        error[:, :, 0].mean(axis=0) / error[:, :, 0].std(axis=0), squared / squared[MULTIPLES.index(1.0)],
        covered[:, 0], covered[:, 1:].mean(axis=1),
    ])  # fmt: skip


def main() -> None:
    """Run the study and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=400)
    repetitions = parser.parse_args().repetitions
    every = []
    print("errors q n: multiple, bias of the intercept, squared error of slopes, coverage of intercept and of slopes")
    for kind in ERRORS:
        for q in (0.1, 0.25, 0.5):
            for n in (150, 500):
                every.append(study(kind, q, n, repetitions))
                for multiple, figures in zip(MULTIPLES, every[-1]):
                    print(kind, q, n, multiple, *(f"{figure:.3f}" for figure in figures), flush=True)
    for multiple, figures, worst in zip(MULTIPLES, np.mean(every, axis=0), np.abs(every).max(axis=0)):
        print("all", multiple, f"largest bias {worst[0]:.3f}", *(f"{figure:.3f}" for figure in figures[1:]))


if __name__ == "__main__":
    main()
