"""Sums and differences of Results from the same units, with the right covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..estimate.infer import combination, influences, stacked
from .effects import model_of
from .estimates import Estimates
from .revise import kept_parts
from .simultaneous import transport

if TYPE_CHECKING:
    from .._core.types import Array, Floats, Ints
    from ..estimate.augment import Units
    from .result import Result


@dataclass(frozen=True, eq=False, repr=False)
class Combined(Estimates):
    """A linear combination of Results, coefficient by coefficient.

    Parameters
    ----------
    names : tuple of str
        Coefficients the Results share.
    theta : ndarray, shape (p,)
    covariance : ndarray, shape (p, p)
    df : ndarray, shape (p,)
    alpha : float
    title : str
        What it is.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> long = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> short = kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> (long - short).tidy().index.tolist()
    ['Intercept', 'hostile']
    """

    names: tuple[str, ...]
    theta: Floats
    covariance: Floats
    df: Floats
    alpha: float
    title: str = "Combination of fits on the same units"

    def __repr__(self) -> str:
        return str(self)

    def _title(self) -> str:
        return self.title


def combine(terms: list[tuple[Any, float]]) -> Combined:
    """Add Results up with weights.

    Parameters
    ----------
    terms : list of (Result, float)
        Fits on the same rows with the same gold, all with scores kept.

    Returns
    -------
    Combined
        With the small-sample correction of the fits.

    Raises
    ------
    ArgumentError
        If the fits are not on the same units, share no coefficient, or have coefficients on different scales.
    """
    from .result import Result

    for other, _ in terms:
        if not isinstance(other, Result):
            raise ArgumentError(f"only Results can be added or subtracted; got {type(other).__name__}.")
    first = terms[0][0]
    names = tuple(n for n in first.names if all(n in r.names for r, _ in terms))
    if not names:
        raise ArgumentError("the Results share no coefficient, so they cannot be added or subtracted.")
    refuse_other_scales({result.title: result for result, _ in terms})
    parts = [kept_parts(result) for result, _ in terms]
    draws = [one.units.labelling for one in parts]
    if any(not _same(r.parts.units.kept, first.parts.units.kept) for r, _ in terms) or any(
        not draw.same(draws[0]) for draw in draws[1:]
    ):
        raise ArgumentError(
            "the Results come from different rows, gold samples or designs, so their covariance is not known; fit "
            "both on the same data."
        )
    clusters = [r.parts.units.summed_over(r.vcov_kind) for r, _ in terms]
    same = all(_same(a, clusters[0]) for a in clusters)
    if not same or any(r.target != first.target or r.vcov_kind != first.vcov_kind for r, _ in terms):
        raise ArgumentError("the Results differ in their covariance, clusters or target; fit both alike.")
    index = [[r.names.index(n) for n in names] for r, _ in terms]
    matrices = [weight * np.eye(len(r.names))[at] for (r, weight), at in zip(terms, index)]
    theta = sum(matrix @ r.theta for matrix, (r, _) in zip(matrices, terms))
    meat = influences(parts, first.vcov_kind)
    covariance = combination(parts, matrices, first.vcov_kind, first.target, meat)
    unknown = np.any([~np.isfinite(np.diag(r.covariance)[at]) for (r, _), at in zip(terms, index)], axis=0)
    covariance[unknown], covariance[:, unknown] = np.nan, np.nan
    df = np.min([r.df[at] for (r, _), at in zip(terms, index)], axis=0)
    return Combined(names, np.asarray(theta), covariance, df, first.alpha)


def refuse_other_scales(results: Mapping[str, Result]) -> None:
    """Raise where coefficients of Results, named, are differences in different things.

    Raises
    ------
    ArgumentError
    """
    models = {name: model_of(result) for name, result in results.items()}
    scales = {name: "units of the outcome" if model is None else model.measured_in for name, model in models.items()}
    if len(set(scales.values())) > 1:
        said = "; ".join(f"{name}: {scale}" for name, scale in scales.items())
        raise ArgumentError(
            f"coefficients on different scales have no sum and no difference ({said}). Fit both with models on one "
            "scale, or look at average effects side by side, fit.slopes()."
        )


def joint_covariance(results: Sequence[Result], frame: Units, rows: Sequence[Ints]) -> Floats:
    """Covariance of the coefficients of several fits on rows of one frame, by the influence of its units.

    Parameters
    ----------
    results : sequence of Result
        With scores kept, and with the same form of covariance and target.
    frame : Units
        All rows of the draw, with the clusters of the fits.
    rows : sequence of ndarray of int
        Where the units of each fit stand in the frame.

    Returns
    -------
    ndarray, shape (P, P)
        P coefficients in all, fit by fit. The part of each fit is its own covariance, small-sample form included: what
        stacked influences give for it is turned into it, and the rest along with it, which leaves the whole positive
        semidefinite.
    """
    kind, target = results[0].vcov_kind, results[0].target
    parts = [kept_parts(result).within(frame, at) for result, at in zip(results, rows)]
    ends = np.cumsum([0, *(len(result.theta) for result in results)])
    blocks = [slice(start, stop) for start, stop in pairwise(ends)]
    out = stacked(parts, kind, target)
    for result, block in zip(results, blocks):
        own, known = result.covariance, np.isfinite(np.diag(result.covariance))
        turn = np.eye(len(known))
        turn[np.ix_(known, known)] = _turn(out[block, block][np.ix_(known, known)], own[np.ix_(known, known)])
        out[:, block] = out[:, block] @ turn
        out[block] = turn.T @ out[block]
        out[block, block] = own
        out[np.flatnonzero(~known) + block.start] = np.nan
        out[:, np.flatnonzero(~known) + block.start] = np.nan
    return out


def _turn(found: Floats, wanted: Floats) -> Floats:
    """Matrix M with ``M' found M = wanted``: the identity where the two agree."""
    size = np.sqrt(np.maximum(np.diag(wanted), np.finfo(float).tiny))
    found, wanted = found / np.outer(size, size), wanted / np.outer(size, size)
    if np.allclose(found, wanted, rtol=0.0, atol=1e-9):
        return np.eye(len(size))
    return np.asarray(transport(found, wanted) * size / size[:, None])


def _same(left: Array | None, right: Array | None) -> bool:
    """Whether two optional arrays are the same."""
    if left is None or right is None:
        return left is right
    return left.shape == right.shape and bool((left == right).all())
