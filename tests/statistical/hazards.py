"""Coverage of survival curves, and size of the test of proportional hazards: ``python -m tests.statistical.hazards``.

Units whose duration depends on a labelled variable x and a number z by proportional hazards, censored by exponential
times and at 1.5. Surrogates of x are wrong more often where the duration was short. Every repetition draws a corpus and
a simple random gold sample and fits with default settings. Figures: coverage of 95 % intervals of survival of three
kinds of units at three times with its Monte Carlo error, the lowest of the nine, mean standard error over the standard
deviation of the estimates, and the share of repetitions in which the test of all coefficients rejects at 5 %, at
proportional hazards, and where the effect of x is ``--change`` stronger once half of the units are gone.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd

import karat as kt

SEED = 8_100_000
NEW = pd.DataFrame({"x": [0.0, 1.0, 1.0], "z": [0.0, 0.0, 1.0]})
TIMES = [0.2, 0.6, 1.2]
EFFECT = {"x": 0.7, "z": -0.3}


def corpus(n: int, rng: np.random.Generator, change: float = 0.0) -> pd.DataFrame:
    """Durations; the log hazard ratio of x is larger by ``change`` from .5 on."""
    x, z = (rng.random(n) < 0.4).astype(float), rng.normal(size=n)
    hazard = np.exp(EFFECT["x"] * x + EFFECT["z"] * z)
    t = rng.exponential(1.0, n) / hazard
    late = 0.5 + (t - 0.5) * np.exp(-change * x)
    t = np.where(t > 0.5, late, t)
    c = np.minimum(rng.exponential(2.0, n), 1.5)
    data = pd.DataFrame({"time": np.minimum(t, c), "event": (t <= c) * 1.0, "x": x, "z": z})
    data["llm"] = np.where(rng.random(n) < 0.1 + 0.1 * (t < 0.3), 1 - x, x)
    return data


def once(n_gold: int, seed: int, change: float, n: int = 2000) -> tuple[np.ndarray, float]:
    """For each unit and time: error, standard error, whether covered; the p-value of the test."""
    data = corpus(n, np.random.default_rng(seed), change)
    masked = kt.datasets.mask_gold(data, kt.SimpleRandom(n=n_gold).draw(data, seed=seed), "x")
    fit = kt.cox("time ~ x + z", masked, event="event", surrogates={"x": "llm"}, seed=seed, compare=False)
    curve = kt.survival(fit, NEW, times=TIMES)
    ratio = np.exp(NEW[["x", "z"]].to_numpy() @ np.array(list(EFFECT.values())))
    true = np.exp(-np.outer(ratio, TIMES)).ravel()
    covered = (curve["2.5%"] <= true) & (true <= curve["97.5%"])
    test = kt.proportional_hazards(fit).wald(["x", "z"])
    return np.column_stack([curve["fit"] - true, curve["se"], covered]), test.p_value


def study(n_gold: int, repetitions: int, change: float = 0.0, seed: int = SEED) -> dict[str, float]:
    """Figures over repetitions; those of curves are for proportional hazards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        found = [once(n_gold, seed + r, change) for r in range(repetitions)]
    a, p = np.array([one for one, _ in found]), np.array([value for _, value in found])
    out = {"rejected": float((p < 0.05).mean())}
    if change == 0.0:
        covered = a[:, :, 2].mean(axis=1)
        out |= {
            "coverage": float(covered.mean()), "mc_error": float(covered.std(ddof=1) / np.sqrt(len(covered))),
            "lowest": float(a[:, :, 2].mean(axis=0).min()),
            "se_over_sd": float((a[:, :, 1].mean(axis=0) / a[:, :, 0].std(axis=0, ddof=1)).mean()),
        }  # fmt: skip
    return out


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--gold", type=int, nargs="+", default=[150, 500])
    parser.add_argument("--change", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    for n_gold in chosen.gold:
        for change in (0.0, chosen.change):
            found = study(n_gold, chosen.repetitions, change, chosen.seed)
            print(n_gold, change, ", ".join(f"{name} {value:.3f}" for name, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
