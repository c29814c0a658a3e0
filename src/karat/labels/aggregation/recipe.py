"""Methods fitted, made as sure as votes (and gold) say they may be, and pooled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ArgumentError, DataError, one_of
from ..tables.codes import UNKNOWN
from .dawid_skene import DawidSkene
from .held_out import Confidence, confidence, raised, shrunk_shares, spread_of, tempered
from .mace import content_keys, task_keys
from .pooling import jensen_shannon_centroid, log_pool, mean_pool
from .votes import VoteShare

if TYPE_CHECKING:
    from ..._core.types import Floats, Ints
    from ..tables.annotations import Annotations
    from .base import Aggregator

POOLS = ("mean", "jensen_shannon", "log_pool", "weighted")
"""Ways to pool several methods."""
CALIBRATE = ("auto", "votes", "gold", None)
FEWEST_GOLD = 10
"""Gold tasks from which a temperature is learnt."""
FOLDS = 3
_FLOOR = 0.01
_HALF = 0.5
"""Votes that the shares of all tasks count for in the shares that a pool falls back on."""
_TEMPERATURE_SD, _TRUST_SD = 0.35, 1.0
"""Scales of the priors of log temperature (Student's t, three degrees, about 0), and of the logit of trust (normal,
about what votes say)."""


@dataclass(frozen=True)
class Recipe:
    """Which methods, how pooled, how calibrated.

    ``weights`` are those of the user, by method; None leaves them to the pool.
    """

    models: list[Aggregator]
    pool: str | None
    weights: Mapping[str, float] | None
    calibrate: str | None

    def made(self, annotations: Annotations) -> Made:
        """Fit, calibrate and pool."""
        out = self._fitted(annotations)
        if self.calibrate == "gold":
            trust, temperature, told = _taught(self, annotations, out)
            out = replace(out, trust=trust, temperature=temperature, withheld=told)
        return out

    def _fitted(self, annotations: Annotations) -> Made:
        raw = [m.fit(annotations).probabilities_ for m in self.models]
        if self.calibrate is None:
            return Made(self, raw, raw, None)
        if not any(m.models for m in self.models):
            found = Confidence(0.0, 0.0, spread_of(annotations.folded()))
            return Made(self, raw, [_calmed(m, p, annotations, found) for m, p in zip(self.models, raw)], found)
        cells = [m.fit_ for m in self.models if isinstance(m, DawidSkene) and hasattr(m, "fit_")]
        found = confidence(annotations, cells[0] if cells else None)
        layers = [_calmed(m, p, annotations, found) for m, p in zip(self.models, raw)]
        if self.weighs:
            layers.append(annotations.clamp(shrunk_shares(annotations, _HALF)))
        return Made(self, raw, layers, found)

    @property
    def weighs(self) -> bool:
        """Whether methods that model annotators are weighed against those that count, and both against plain shares."""
        sure = [m.models for m in self.models]
        return self.weights is None and self.calibrate is not None and any(sure) and not all(sure)

    def shares(self, found: Confidence | None, trust: float | None) -> list[float] | None:
        """Weights of the methods in the pool, and of plain vote shares behind them; ``trust``: all models together."""
        if self.weights is not None:
            return [self.weights[m.name] for m in self.models]
        if not self.weighs or found is None or trust is None:
            return None
        sure = [m.models for m in self.models]
        count = (1.0 - trust) * found.reach / (len(sure) - sum(sure))
        return [*(trust / sum(sure) if s else count for s in sure), (1.0 - trust) * (1.0 - found.reach)]


@dataclass(frozen=True, eq=False)
class Made:
    """Probabilities of each method as fitted and as calibrated (and plain vote shares), and what was chosen."""

    recipe: Recipe
    raw: list[Floats]
    layers: list[Floats]
    confidence: Confidence | None
    trust: float | None = None
    temperature: float = 1.0
    withheld: Mapping[str, float] = field(default_factory=dict)

    def probabilities(self) -> Floats:
        """The pooled and calibrated probabilities, shape (n, K)."""
        trust = self.trust if self.trust is not None or self.confidence is None else self.confidence.trust
        return _finished(self.recipe, self.layers, self.confidence, trust, self.temperature)

    def figures(self) -> dict[str, float]:
        """What was chosen, by name."""
        if self.confidence is None:
            return {}
        sure = any(m.models for m in self.recipe.models)
        out = {"dependence": self.confidence.dependence} if sure else {}
        if self.recipe.weighs:
            out["trust"] = self.confidence.trust if self.trust is None else self.trust
        if any(isinstance(m, VoteShare) for m in self.recipe.models):
            out["spread"] = self.confidence.spread
        if self.recipe.calibrate == "gold":
            out["temperature"] = self.temperature
        return out | dict(self.withheld)


def settle(calibrate: str | None, models: list[Aggregator], pool: str | None, annotations: Annotations) -> str | None:
    """What ``calibrate`` means for these methods and labels."""
    one_of("calibrate", calibrate, CALIBRATE)
    gold = 0 if annotations.gold is None else int(((annotations.gold >= 0) & (annotations.n_labels > 0)).sum())
    if calibrate == "auto":
        if pool is None:
            return None
        return "gold" if gold >= FEWEST_GOLD else "votes"
    if calibrate is None:
        return None
    if calibrate == "gold" and gold < FEWEST_GOLD:
        raise DataError(
            f"calibrate='gold' needs {FEWEST_GOLD} labelled tasks with gold or more, there are {gold}; give them with "
            "gold=, or set calibrate='votes'."
        )
    if calibrate == "votes" and not any(m.models or isinstance(m, VoteShare) for m in models):
        names = ", ".join(repr(m.name) for m in models)
        raise ArgumentError(
            f"calibrate='votes' does not apply to {names}: it tempers methods that model annotators and shrinks vote "
            "shares. Set calibrate=None, or calibrate='gold' with gold labels."
        )
    return calibrate


def _calmed(model: Aggregator, probabilities: Floats, annotations: Annotations, found: Confidence) -> Floats:
    if isinstance(model, VoteShare):
        return annotations.clamp(shrunk_shares(annotations, found.spread))
    if not model.models:
        return probabilities
    return annotations.clamp(tempered(probabilities, annotations.n_labels, found.dependence))


def _finished(
    recipe: Recipe, layers: list[Floats], found: Confidence | None, trust: float | None, temperature: float
) -> Floats:
    shares = recipe.shares(found, trust)
    if recipe.pool is None:
        out = layers[0]
    elif recipe.pool == "jensen_shannon":
        out = jensen_shannon_centroid(np.stack(layers), shares)
    elif recipe.pool == "log_pool":
        out = log_pool(np.stack(layers), shares)
    else:
        out = mean_pool(np.stack(layers), shares)
    return out if temperature == 1.0 else raised(out, 1.0 / temperature)


def _taught(recipe: Recipe, annotations: Annotations, made: Made) -> tuple[float | None, float, dict[str, float]]:
    """Trust and temperature that suit gold tasks whose gold was withheld from the fit; by penalised likelihood."""
    from scipy.optimize import minimize

    assert annotations.gold is not None
    assert made.confidence is not None
    rows, layers = _withheld(recipe, annotations)
    truth, k = annotations.gold[rows], annotations.n_classes
    start = float(np.clip(made.confidence.trust, 0.02, 0.98))
    centre = np.log(start / (1 - start))
    free = recipe.weighs

    def loss_at(trust: float, temperature: float) -> float:
        p = _finished(recipe, layers, made.confidence, trust, temperature)[np.arange(len(rows)), truth]
        return float(-np.log((1 - _FLOOR) * p + _FLOOR / k).sum())

    def penalised(at: Floats) -> float:
        trust = 1.0 / (1.0 + np.exp(-at[1])) if free else start
        penalty = 2.0 * np.log1p((at[0] / _TEMPERATURE_SD) ** 2 / 3.0)
        penalty += 0.5 * ((at[1] - centre) / _TRUST_SD) ** 2 if free else 0.0
        return loss_at(float(trust), float(np.exp(np.clip(at[0], -3, 3)))) + float(penalty)

    begin = np.array([0.0, centre] if free else [0.0])
    best = minimize(penalised, begin, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    trust = float(1.0 / (1.0 + np.exp(-best[1]))) if free else start
    temperature = float(np.exp(np.clip(best[0], -3, 3)))
    size = len(rows)
    told = {
        "gold": float(size),
        "log_loss_before": loss_at(start, 1.0) / size,
        "log_loss": loss_at(trust, temperature) / size,
    }
    return trust if free else None, temperature, told


def _withheld(recipe: Recipe, annotations: Annotations) -> tuple[Ints, list[Floats]]:
    """Gold tasks with labels, and each method's probabilities there when the gold of their fold was not known."""
    assert annotations.gold is not None
    gold = annotations.gold
    rows = np.flatnonzero((gold >= 0) & (annotations.n_labels > 0))
    # In the order of what they hold, so that neither names nor order of tasks decide about folds.
    plain = annotations.folded()
    fold = np.empty(len(rows), dtype=np.intp)
    fold[np.lexsort((task_keys(plain)[rows], content_keys(plain)[1][gold[rows]]))] = np.arange(len(rows)) % FOLDS
    layers = [np.empty((len(rows), annotations.n_classes)) for _ in range(len(recipe.models) + recipe.weighs)]
    anew = Recipe([type(m)(**m.get_params()) for m in recipe.models], recipe.pool, recipe.weights, "votes")
    for f in range(FOLDS):
        hidden = gold.copy()
        hidden[rows[fold == f]] = UNKNOWN
        part = anew._fitted(annotations.with_gold(hidden))
        for layer, own in zip(layers, part.layers):
            layer[fold == f] = own[rows[fold == f]]
    return rows, layers
