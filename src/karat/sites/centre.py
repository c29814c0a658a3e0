"""The estimator of :mod:`karat.estimate.rectify` from sums: it asks, and goes on where the answers are there.

It is run again from the start with each round of answers, and stops at the first question that has none. So nothing
is kept between rounds but what the sites sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import moments as models
from ..errors import ConvergenceError, DataError, SeparationError
from ..estimate import index
from ..estimate.df import kurtosis_df
from ..estimate.rectify import CLEAR_OF_NOISE, FAR, SOUND
from ..estimate.root import Root, definite, newton, positive
from ..estimate.tune import Tuning, candidates, gold_only, select, untuned
from .left_out import KINDS as LEFT_OUT
from .left_out import corrections

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model

Ask = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Gives the sums over all sites that answer a question."""

_COLLINEAR, _WELL_CONDITIONED, _FLAT, _MOVING = 1e-13, 1e-5, 1e-6, 1e-3


@dataclass(frozen=True)
class Pooled:
    """The estimate over all sites.

    Parameters
    ----------
    theta : ndarray, shape (q,)
    tuning : Tuning
    root : Root
        Where weights were chosen.
    answer : mapping
        Sums of the last round: what covariances are made of.
    alone : ndarray, shape (q,)
        Estimate from gold alone.
    gold_alone : bool
        Whether it is that.
    first : mapping
        Sums of the first round.
    notes : tuple of str
    """

    theta: Floats
    tuning: Tuning
    root: Root
    answer: Mapping[str, Any]
    alone: Floats
    gold_alone: bool
    first: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Sums:
    """Totals of scores over all sites, as functions of the coefficients in well-conditioned coordinates."""

    model: Model
    ask: Ask
    basis: Floats | None
    first: Mapping[str, Any]

    def at(self, theta: Floats) -> Mapping[str, Any]:
        """Score and curvature of each part."""
        if not self.model.linear:
            return self.ask({"kind": "totals", "theta": theta, **self.where})
        turn = np.eye(len(theta)) if self.basis is None else self.basis
        out: dict[str, Any] = {"squares": turn.T @ self.first["squares"] @ turn}
        for name in ("gold", "everywhere", "back"):
            if name in self.first:
                curvature = turn.T @ self.first[name]["curvature"] @ turn
                out[name] = {"score": turn.T @ self.first[name]["score"] - curvature @ theta, "curvature": curvature}
        return out

    @property
    def where(self) -> dict[str, Any]:
        """The coordinates, as a part of a question."""
        return {} if self.basis is None else {"basis": self.basis}

    def gold(self, theta: Floats) -> tuple[Floats, Floats]:
        """Total of the gold rows."""
        found = self.at(theta)["gold"]
        return found["score"], found["curvature"]

    def rectified(self, theta: Floats) -> tuple[Floats, Floats]:
        """Total of the augmented sample."""
        found = self.at(theta)
        gold, every, back = found["gold"], found["everywhere"], found["back"]
        return gold["score"] + every["score"] - back["score"], (
            gold["curvature"] + every["curvature"] - back["curvature"]
        )


def pooled(settings: Mapping[str, Any], names: tuple[str, ...], ask: Ask) -> Pooled:
    """The estimate over all sites.

    Parameters
    ----------
    settings : mapping
        ``model``, ``parameters``, ``estimator``, ``tuning``, ``crossfitted``.
    names : tuple of str
        Columns of the design.
    ask : callable

    Returns
    -------
    Pooled

    Raises
    ------
    DataError, SeparationError, ConvergenceError
        As for the data in one place.
    """
    model = models.get(settings["model"], settings["parameters"])
    first = ask({"kind": "start"})
    basis = _basis(first["gram"], names)
    sums = _Sums(model, ask, basis, first)
    start, noise = _gold_root(sums, names)
    turn = np.eye(len(start.theta)) if basis is None else index.repeated(basis, len(start.theta))
    alone = turn @ start.theta
    at_gold = {"theta": start.theta, "curvature": start.curvature}
    groups = settings["groups"]
    if settings["estimator"] == "gold":
        question = {"alone": at_gold, **sums.where, **({"groups": alone} if groups else {})}
        return Pooled(alone, gold_only(len(alone)), start, _variance(sums, settings, question), alone, True, first)
    root = newton(sums.rectified, start.theta, positive(start.curvature), noise)
    solved = root.converged and bool(np.isfinite(root.theta).all()) and definite(root.curvature)
    at, tuning = _weights(sums, settings, start, root, solved, turn)
    chosen = {"theta": at.root.theta, "curvature": at.root.curvature, "of": at.of}
    gold_alone = all(choice == "gold" for choice in tuning.choice)
    question = {"alone": at_gold, **sums.where}
    theta, notes = (
        alone,
        () if solved else ("the rectified moment has no root; one Newton step was taken from the gold-only root",),
    )
    if not gold_alone:
        weights = tuning.coefficient_weights @ turn
        inverse = np.linalg.inv(at.root.curvature)
        scores = at.scores
        step = turn @ inverse @ scores["gold"] + weights @ inverse @ (scores["everywhere"] - scores["back"])
        theta = turn @ at.root.theta + step
        moved = at.root.theta + np.linalg.solve(turn, step)
        gold = [j for j, choice in enumerate(tuning.choice) if choice == "gold"]
        theta[gold] = alone[gold]
        question |= {
            "at": {**chosen, "theta": moved},
            "weights": tuning.coefficient_weights, "inflation": tuning.inflation, "gold": gold,
        }  # fmt: skip
        if settings["tuning"] is not None:
            question["pulled"] = {"at": chosen, **{k: scores[k] for k in ("hh", "known")}, "choice": tuning.choice}
    if groups:
        question["groups"] = theta
    back = np.linalg.inv(turn)
    tuning = (
        replace(tuning, mixing=np.zeros_like(turn)) if gold_alone
        else tuning.with_mixing(back.T @ at.root.curvature @ back)
    )  # fmt: skip
    return Pooled(theta, tuning, at.root, _variance(sums, settings, question), alone, gold_alone, first, notes)


def _variance(sums: _Sums, settings: Mapping[str, Any], question: dict[str, Any]) -> Mapping[str, Any]:
    """Sums that covariances are made of; a round more for what HC2 and HC3 correct, where this is not known yet."""
    kind = settings["vcov"]
    if kind in LEFT_OUT:
        found: Mapping[str, Any] = {}
        if "at" in question or kind == "HC2":
            found = sums.ask({"kind": "left out", **question})
        curvature = question.get("at", question["alone"])["curvature"]
        p = len(curvature)
        basis = np.eye(p) if sums.basis is None else index.repeated(sums.basis, p)
        question = {**question, "corrected": corrections(found, curvature, basis, kind)}
    return sums.ask({"kind": "variance", **question})


@dataclass(frozen=True)
class _Chosen:
    """Where weights were chosen, and the total scores there."""

    root: Root
    of: str
    scores: Mapping[str, Floats]


def _weights(
    sums: _Sums, settings: Mapping[str, Any], start: Root, root: Root, solved: bool, turn: Floats
) -> tuple[_Chosen, Tuning]:
    """Weights of the surrogates, by the rules of :func:`karat.estimate.rectify.rectify`."""
    method, q = settings["tuning"], len(start.theta)
    if method is None and solved:
        zero = np.zeros(q)
        return _Chosen(root, "all", {"gold": zero, "everywhere": zero, "back": zero}), untuned(q)
    direction, least = None, 1.0
    if solved:
        from scipy.linalg import eigh

        values, vectors = eigh((root.curvature + root.curvature.T) / 2.0, positive(start.curvature))
        direction, least = (None, values[0]) if values[0] >= SOUND else (vectors[:, 0], values[0])
    look = partial(_look, sums, start, direction)
    at, found = look(root, "all") if solved else look(start, "gold")
    sound = solved and (direction is None or least > CLEAR_OF_NOISE * np.sqrt(max(found["noise"], 0.0)))
    if solved and not sound and method is not None:
        at, found = look(start, "gold")
    if method is None:
        return at, untuned(q)
    if not sound:
        return at, gold_only(q)
    pick = partial(_choose, sums, settings, start)
    tuning = pick(at, found)
    if at.of == "all" and method == "auto" and (found["one"] > FAR * found["alone"]).any():
        at, found = look(start, "gold")
        tuning = pick(at, found)
    return at, tuning


def _question(sums: _Sums, root: Root, of: str) -> dict[str, Any]:
    return {"at": {"theta": root.theta, "curvature": root.curvature, "of": of}, **sums.where}


def _look(sums: _Sums, start: Root, direction: Floats | None, root: Root, of: str) -> tuple[_Chosen, Mapping[str, Any]]:
    """Scores of the gold units at a root."""
    question = {"kind": "scores", **_question(sums, root, of)}
    question["alone"] = {"theta": start.theta, "curvature": start.curvature}
    found = sums.ask({**question, "direction": direction} if direction is not None and of == "all" else question)
    if found["negative"]:
        raise DataError(
            f"{int(found['negative'])} gold row(s) would take away from the labelling variance (a probability above "
            "1); correct the probabilities of the design."
        )
    return _Chosen(root, of, found), found


def _choose(sums: _Sums, settings: Mapping[str, Any], start: Root, at: _Chosen, found: Mapping[str, Any]) -> Tuning:
    """The tuning of :func:`karat.estimate.tune.tune` from sums."""
    method, crossfitted, q = settings["tuning"], settings["crossfitted"], len(start.theta)
    units = float(sums.first["n_drawn_units"])
    size, of_surrogate = (
        np.clip(kurtosis_df(found[name]["second"], found[name]["fourth"]), 2.0, units)
        for name in ("error", "surrogate")
    )
    rows = candidates(found["mh"], found["hh"])
    question = {"kind": "weights", **_question(sums, at.root, at.of), "hh": found["hh"], "known": found["known"]}
    variance = dict(sums.ask({**question, "candidates": rows}))
    chosen = np.full(q, "gold", dtype=object)
    if method != "auto":
        chosen[:] = method
    elif found["hh"].any():
        allowed = [*(["one"] if at.of == "all" else []), "coefficient", *([] if crossfitted else ["full"])]
        chosen = select(variance, of_surrogate, allowed, np.diag(rows["coefficient"]) if crossfitted else None)
    weights = np.vstack([rows[chosen[j]][j] for j in range(q)])
    best = np.array([variance[chosen[j]][j] for j in range(q)])
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(variance["gold"] > 0, 1.0 - best / variance["gold"], 0.0)
    tuned = np.array([{"scalar": 1, "coefficient": 1, "full": q}.get(c, 0) for c in chosen], dtype=np.float64)
    inflation = np.sqrt(size / np.maximum(size - tuned, 0.5 * size))
    return Tuning(None, weights, tuned, tuple(chosen), gain, inflation)


def _gold_root(sums: _Sums, names: tuple[str, ...]) -> tuple[Root, float]:
    """The gold-only root, and the unit of the solver at it."""
    model, first, basis = sums.model, sums.first, sums.basis
    p = len(first["gram"])
    turn = np.eye(p) if basis is None else basis
    gram = turn.T @ first["gram"] @ turn
    if model.linear:
        begin = np.zeros(len(first["gold"]["score"]))
    else:
        begin = np.asarray(np.linalg.solve(gram, turn.T @ first["working"]).T.ravel())
    found = sums.at(begin)
    scale = positive(found["gold"]["curvature"])
    last: dict[bytes, Floats] = {}

    def gold(theta: Floats) -> tuple[Floats, Floats]:
        score, curvature = sums.gold(theta)
        last[theta.tobytes()] = score
        return score, curvature

    root = newton(gold, begin, scale, _unit(scale, found["squares"]))
    if model.separable or (model.vanishes and model.first is None and _still_moving(root, last, gram)):
        _refuse_separation(root, gram, turn, names, model.separable)
    if not root.converged:
        raise ConvergenceError(
            f"the {model.title.lower()} did not converge on the gold rows of all sites (norm of the moment "
            f"{root.norm:.2e}); rescale covariates, check the outcome for outliers, or label more units."
        )
    scale = positive(root.curvature)
    return root, _unit(scale, found["squares"])


def _unit(scale: Floats, squares: Floats) -> float:
    """The solver's unit, as :func:`karat.estimate.root.noise_of`."""
    size = float(np.sqrt(max(np.trace(np.linalg.solve(scale, squares)), 0.0) / len(scale)))
    return size if size > 0 and np.isfinite(size) else 1.0


def _basis(gram: Floats, names: tuple[str, ...]) -> Floats | None:
    """Coordinates in which the gold rows are about orthogonal; None where the columns will do.

    Raises
    ------
    DataError
        If columns are empty, or combinations of others.
    """
    from scipy.linalg import solve_triangular

    size = np.sqrt(np.diag(gram))
    if empty := [names[j] for j in np.flatnonzero(size == 0)]:
        raise DataError(
            f"column(s) {', '.join(empty)} are zero in all gold rows of all sites, so their coefficients cannot be "
            "learnt; label units that have them, merge categories, or drop them."
        )
    scaled = gram / np.outer(size, size)
    values, vectors = np.linalg.eigh(scaled)
    if values[0] > _WELL_CONDITIONED:
        return None
    if values[0] <= _COLLINEAR * values[-1]:
        which = names[int(np.abs(vectors[:, 0]).argmax())]
        raise DataError(
            f"column {which!r} is a combination of the other columns in the gold rows of all sites, or so far from 0 "
            "that sums lose its digits; drop it, merge categories, or subtract a constant, as in I(year - 2000)."
        )
    triangle = np.linalg.cholesky(scaled).T
    return np.asarray(solve_triangular(triangle, np.eye(len(triangle))) / size[:, None] * np.sqrt(gram[0, 0]))


def _still_moving(root: Root, last: Mapping[bytes, Floats], gram: Floats) -> bool:
    """Whether Newton still moves: where outcomes are all 0, each step takes 1 off the logarithm of their mean."""
    score = last.get(root.theta.tobytes())
    if score is None or not np.isfinite(root.curvature).all():
        return False
    step = np.linalg.lstsq(root.curvature, score, rcond=0.0)[0]
    size = np.sqrt(np.diag(gram))
    return bool((np.abs(step) * size).max() > _MOVING * size.max())


def _refuse_separation(root: Root, gram: Floats, turn: Floats, names: tuple[str, ...], separable: bool) -> None:
    """Raise where coefficients run to infinity: some direction of the covariates has no curvature left."""
    from scipy.linalg import eigh

    q = len(root.theta)
    whole = index.repeated(gram, q)
    size = np.sqrt(np.diag(whole))
    scale = np.outer(size, size)
    values, vectors = eigh((root.curvature + root.curvature.T) / 2 / scale, whole / scale)
    if values[0] > (_FLAT if separable else _FLAT * values[-1]):
        return
    direction, own = vectors[:, 0], index.repeated(turn, q)
    if np.count_nonzero(own - np.diag(np.diag(own))):
        direction = (own @ (direction / size)) / np.linalg.norm(own, axis=1)
    column = names[int(np.abs(direction).argmax()) % len(names)]
    raise SeparationError(
        f"the gold outcome is separated: {column!r}, alone or with other columns, predicts it perfectly in some gold "
        "rows of all sites, so no finite coefficient exists. Drop or merge what separates, or label more units."
    )
