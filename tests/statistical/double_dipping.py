"""Prompts chosen on gold that then corrects them, and on gold set apart: a mean of labels, many prompts.

Run with ``python -m tests.statistical.double_dipping`` for the figures of docs/protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import karat as kt


@dataclass(frozen=True)
class Scene:
    """``prompts`` wordings, each right with probability ``right``; ``shared`` of their mistakes are the same rows."""

    n_rows: int = 2000
    gold: int = 300
    prompts: int = 40
    right: float = 0.8
    shared: float = 0.0
    choose: str = "right"

    def __str__(self) -> str:
        return f"{self.prompts} prompts, {self.shared:.0%} shared, by {self.choose}"


def labels(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Truth (N,) and the answers to all prompts (N, prompts)."""
    truth = (rng.random(scene.n_rows) < 0.4).astype(float)
    hard = rng.random(scene.n_rows) < scene.shared * (1 - scene.right)
    rest = (1 - scene.right) * (1 - scene.shared)
    wrong = (rng.random((scene.n_rows, scene.prompts)) < rest) | hard[:, None]
    return truth, np.abs(truth[:, None] - wrong)


def corrected(answers: np.ndarray, truth: np.ndarray, draw: kt.designs.Labelling) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the answers less their mean error, and its standard error for the corpus at hand, for every prompt."""
    error = truth[draw.gold, None] - answers[draw.gold]
    n = draw.n_rows
    estimate = answers.mean(axis=0) + draw.weight @ error / n
    return estimate, np.sqrt(np.diag(draw.cross(error, error))) / n


def chosen(scene: Scene, answers: np.ndarray, truth: np.ndarray, rows: np.ndarray, estimates: np.ndarray) -> int:
    """The prompt that does best in some rows: most answers right, or (a prompt is wanted) the largest estimate."""
    if scene.choose == "right":
        return int((answers[rows] == truth[rows, None]).mean(axis=0).argmax())
    return int(estimates.argmax())


def once(scene: Scene, seed: int) -> dict[str, tuple[float, float]]:
    """Error and standard error of each way to choose."""
    rng = np.random.default_rng(seed)
    truth, answers = labels(scene, rng)
    sample = kt.SimpleRandom(n=scene.gold).draw({"row": np.arange(scene.n_rows)}, seed=rng, id="row")
    development, inference = sample.split(1 / 3, seed=rng)
    out = {}
    ways = {
        "on inference gold": (sample, sample),
        "on development gold": (development, inference),
        "not chosen": (None, sample),
    }
    for name, (rows, use) in ways.items():
        estimate, se = corrected(answers, truth, use.labelling)
        k = 0
        if rows is not None:
            tried = estimate if rows is sample else corrected(answers, truth, development.labelling)[0]
            k = chosen(scene, answers, truth, rows.positions, tried)
        out[name] = (float(estimate[k] - truth.mean()), float(se[k]))
    return out


def study(scene: Scene, repetitions: int, first: int = 0) -> dict[str, dict[str, float]]:
    """Coverage of 95% intervals for the mean of the corpus, its Monte Carlo error, bias, spread, mean s.e."""
    from scipy import stats

    runs = [once(scene, seed) for seed in range(first, first + repetitions)]
    out = {}
    for name in runs[0]:
        error, se = np.array([run[name] for run in runs]).T
        hit = np.abs(error) <= stats.norm.ppf(0.975) * se
        out[name] = {
            "coverage": hit.mean(),
            "mc_error": np.sqrt(0.95 * 0.05 / len(hit)),
            "bias": error.mean(),
            "sd": error.std(),
            "se": se.mean(),
        }
    return out


SCENES = (
    Scene(),
    Scene(prompts=200),
    Scene(shared=0.7),
    Scene(prompts=10),
    Scene(n_rows=600),
    Scene(choose="estimate"),
    Scene(choose="estimate", shared=0.7),
)

if __name__ == "__main__":
    print("| prompts | corpus | shared mistakes | chosen by | way | coverage | bias | sd | mean s.e. |")
    for scene in SCENES:
        for name, row in study(scene, 1500).items():
            print(
                f"| {scene.prompts} | {scene.n_rows:,} | {scene.shared:.0%} | {scene.choose} | {name} | "
                f"{row['coverage']:.1%} | {row['bias']:+.4f} | {row['sd']:.4f} | {row['se']:.4f} |"
            )
