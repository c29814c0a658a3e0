"""Sums and differences of Results from the same units, with the right covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..estimate.infer import combination, influences
from .estimates import Estimates
from .revise import kept_parts

if TYPE_CHECKING:
    from .._core.types import Array, Floats


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

    def __repr__(self) -> str:
        return str(self)

    def _title(self) -> str:
        return "Combination of fits on the same units"


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
        If the fits are not on the same units, or share no coefficient.
    """
    from .result import Result

    for other, _ in terms:
        if not isinstance(other, Result):
            raise ArgumentError(f"only Results can be added or subtracted; got {type(other).__name__}.")
    first = terms[0][0]
    names = tuple(n for n in first.names if all(n in r.names for r, _ in terms))
    if not names:
        raise ArgumentError("the Results share no coefficient, so they cannot be added or subtracted.")
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


def _same(left: Array | None, right: Array | None) -> bool:
    """Whether two optional arrays are the same."""
    if left is None or right is None:
        return left is right
    return left.shape == right.shape and bool((left == right).all())
