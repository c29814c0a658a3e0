"""Sums and differences of Results from the same units, with the right covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..estimate.covariance import influence_covariance
from .revise import influence

if TYPE_CHECKING:
    import pandas as pd

    from .._types import Array, Floats


@dataclass(frozen=True, eq=False)
class Combined:
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

    def tidy(self, alpha: float | None = None) -> pd.DataFrame:
        """Estimates with standard errors, two-sided p-values and intervals."""
        from .tests import table_of

        se = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return table_of(self.names, self.theta, se, self.df, self.alpha if alpha is None else alpha)

    def __str__(self) -> str:
        return str(self.tidy())

    __repr__ = __str__


def combine(terms: list[tuple[Any, float]]) -> Combined:
    """Add Results up with weights.

    Parameters
    ----------
    terms : list of (Result, float)
        Fits on the same rows with the same gold, all with scores kept.

    Returns
    -------
    Combined
        With the small-sample correction of the fits for HC2 and HC3, with none for the other kinds.

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
    scores = [influence(result, first.vcov_kind) for result, _ in terms]
    draws = [result.parts.labelling for result, _ in terms]
    if any(not _same(r.parts.kept, first.parts.kept) for r, _ in terms) or any(
        not draw.same(draws[0]) for draw in draws[1:]
    ):
        raise ArgumentError(
            "the Results come from different rows, gold samples or designs, so their covariance is not known; fit "
            "both on the same data."
        )
    clusters = [r.parts.cluster if r.vcov_kind.startswith("CRV") else None for r, _ in terms]
    same = all(_same(a, clusters[0]) for a in clusters)
    if not same or any(r.target != first.target or r.vcov_kind != first.vcov_kind for r, _ in terms):
        raise ArgumentError("the Results differ in their covariance, clusters or target; fit both alike.")
    theta: Any = 0.0
    psi: Any = 0.0
    error: Any = 0.0
    for (result, weight), (own_psi, own_error) in zip(terms, scores):
        index = [result.names.index(n) for n in names]
        theta = theta + weight * result.theta[index]
        psi = psi + weight * own_psi[:, index]
        error = error + weight * own_error[:, index]
    covariance = influence_covariance(psi, error, draws[0], first.target, clusters[0])
    df = np.min([r.df[[r.names.index(n) for n in names]] for r, _ in terms], axis=0)
    return Combined(names, theta, covariance, df, first.alpha)


def _same(left: Array | None, right: Array | None) -> bool:
    """Whether two optional arrays are the same."""
    if left is None or right is None:
        return left is right
    return left.shape == right.shape and bool((left == right).all())
