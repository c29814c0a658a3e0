"""How much surrogates and levels count: a weight for each, coefficient by coefficient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DesignError
from .df import kurtosis_df
from .tune import MOST_LEARNT, UNITS_PER_WEIGHT, Tuning

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..designs.phases import Errors, Phases
    from .rectify import Estimate

_CLEARLY_BETTER = 0.9
"""Fixed weights give way to estimated ones only for a labelling variance below this share of theirs."""


@dataclass(frozen=True)
class LevelScores:
    """Scores of the full rows at coefficients, plain and left out, as coefficients; and totals that Lambda multiplies.

    ``totals`` are those of ``w m``, ``(1 - w) h`` and ``(w_k - w) (h_k - h)``, each of shape (p,); ``h`` and ``levels``
    hold ``h`` and ``h_k - h``.
    """

    m: tuple[Floats, Floats]
    h: tuple[Floats, Floats]
    levels: tuple[tuple[Floats, Floats], ...]
    totals: tuple[Floats, ...]


def choose_weights(
    at: LevelScores, alone: Estimate, phases: Phases, tuning: str | None, crossfitted: bool, solved: bool
) -> tuple[Tuning, Floats]:
    """What each coefficient takes, and its weights of surrogates and levels, shape (K + 1, p).

    "gold" is full rows alone, "full rows" these with surrogates and no levels, "one" weight 1 for all, "levels" an
    estimated weight for each.
    """
    p, n_levels = at.m[0].shape[1], len(at.levels)
    one = np.ones(n_levels + 1)
    complete = np.eye(n_levels + 1)[0]
    gold = np.diag(phases.cross((alone.scores.left_out[0], *(np.zeros_like(at.m[1]),) * n_levels)))
    weights, choice, gain = np.zeros((n_levels + 1, p)), [], np.zeros(p)
    tuned, inflation = np.zeros(p), np.ones(p)
    size = _effective_size(at, phases)
    for j in range(p):
        covariance = phases.cross(_stacked(at, j))
        found: dict[str, tuple[Floats, float]] = {"gold": (0.0 * one, float(gold[j]))}
        q = 1.0 + n_levels
        if solved:
            found |= {"full rows": (complete, _variance(covariance, complete))}
            found |= {"one": (one, _variance(covariance, one))}
        best, own = _smallest(covariance), 1.0
        allowed = size[j] >= UNITS_PER_WEIGHT * q and (
            not crossfitted or bool(((best >= 0.0) & (best <= MOST_LEARNT)).all())
        )
        if allowed or tuning == "coefficient":
            own = size[j] / max(size[j] - q, 0.5 * size[j])
            found["levels"] = (best, _variance(covariance, best) * own)
        name = min((c for c in found if c != "levels"), key=lambda c: found[c][1])
        if tuning is None:
            name = "one" if solved else "gold"
        elif "levels" in found and (tuning == "coefficient" or found["levels"][1] < _CLEARLY_BETTER * found[name][1]):
            name = "levels"
            tuned[j], inflation[j] = q, np.sqrt(own)
        weights[:, j] = found[name][0]
        gain[j] = 1.0 - found[name][1] / gold[j] if gold[j] > 0 else 0.0
        choice.append(name)
    return Tuning(None, np.diag(weights[0]), tuned, tuple(choice), gain, inflation), weights


def _stacked(at: LevelScores, j: int) -> Errors:
    """Errors of coefficient j that go with ``m``, ``h`` and each level: what the full row and each level are given."""
    n, n_levels = len(at.m[1]), len(at.levels)
    levels = [pair[1][:, j] for pair in at.levels]
    full = np.column_stack([at.m[1][:, j], -at.h[1][:, j], *(-one for one in levels)])
    out = [full]
    for k, one in enumerate(levels):
        own = np.zeros((n, n_levels + 2))
        own[:, 2 + k] = one
        out.append(own)
    return tuple(out)


def _variance(covariance: Floats, weights: Floats) -> float:
    own = np.r_[1.0, weights]
    return float(own @ covariance @ own)


def _smallest(covariance: Floats) -> Floats:
    """Weights with the smallest variance."""
    size = np.sqrt(np.maximum(np.diag(covariance)[1:], 0.0))
    size[size == 0] = 1.0
    inner = np.linalg.pinv(covariance[1:, 1:] / np.outer(size, size), rcond=1e-10, hermitian=True)
    return np.asarray(-(inner @ (covariance[1:, 0] / size)) / size)


def _effective_size(at: LevelScores, phases: Phases) -> Floats:
    """Full rows that carry the labelling variance of each coefficient, at most all of them."""
    if (phases.full.weight < 1.0).any():
        raise DesignError("a probability is above 1; correct the probabilities of the design.")
    levels = [pair[0] for pair in at.levels]
    share = phases.shares((at.m[0] - at.h[0] - sum(levels), *levels))
    return np.clip(kurtosis_df(share.sum(axis=0), (share**2).sum(axis=0)), 2.0, float(phases.full.n_gold))
