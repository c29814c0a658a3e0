"""Gather the checks of a fit from its pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks.balance import balance, weight_total
from ..checks.values import Balance, Checks, Influential, Stratum

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..designs import Labelling
    from ..estimate.infer import Parts
    from ..frames.encode import Features
    from .design_matrix import Prepared

_SHOWN = 5


def collect(
    prepared: Prepared, features: Features | None, parts: Parts, names: tuple[str, ...], covariance: Floats
) -> Checks:
    """Checks of the gold sample of a fit.

    Parameters
    ----------
    prepared : Prepared
    features : Features or None
        Surrogates and observed columns of the formula, as numbers; None when there are none.
    parts : Parts
    names : tuple of str, length p
    covariance : ndarray, shape (p, p)
        Of the estimates.

    Returns
    -------
    Checks
    """
    labelling = prepared.labelling
    influential, leverage = _influential(prepared, parts, names, np.sqrt(np.maximum(np.diag(covariance), 0.0)))
    return Checks(
        balance=_balance(prepared, features),
        weights=weight_total(labelling),
        strata=_strata(labelling),
        influential=influential,
        largest_leverage=leverage,
        n_drawn=labelling.n_drawn,
        recorded=labelling.recorded,
        caution=labelling.caution,
    )


def _balance(prepared: Prepared, features: Features | None) -> Balance | None:
    labelling = prepared.labelling
    if labelling.labelled.all() or features is None:
        return None
    surrogate, outcome = set(features.surrogate), prepared.parsed.outcome_variables
    roles = []
    for j, name in enumerate(features.names):
        if j in surrogate:
            roles.append("" if name.startswith("log odds of ") else "surrogate")
        else:
            roles.append("outcome" if name in outcome else "covariate")
    return balance(features.matrix, features.names, tuple(roles), labelling)


def _strata(labelling: Labelling) -> tuple[Stratum, ...]:
    """Labelling units, drawn units and gold units of each stratum, largest difference first."""
    drawn = labelling.asked
    if drawn.stratum is None:
        return ()
    codes, asked, gold = drawn.stratum, drawn.gold, labelling.gold
    if drawn.unit is not None:
        first = np.unique(drawn.unit, return_index=True)[1]
        asked, gold = (rows[np.unique(drawn.unit[rows], return_index=True)[1]] for rows in (asked, gold))
        size = np.bincount(codes[first])
    else:
        size = np.bincount(codes)
    n = len(size)
    counts = [size, *(np.bincount(codes[rows], minlength=n) for rows in (asked, gold))]
    names = drawn.strata or tuple(str(s) for s in range(n))
    return tuple(Stratum(names[s], *(int(c[s]) for c in counts)) for s in range(n))


def _influential(
    prepared: Prepared, parts: Parts, names: tuple[str, ...], se: Floats
) -> tuple[tuple[Influential, ...], float]:
    """Gold labels that move a coefficient most, in standard errors, and the largest leverage."""
    scores, weight = parts.scores, parts.labelling.weight
    if not scores.error.any() or not (se > 0).all():
        return (), 0.0
    shift = scores.gold_parts("HC3")[1] * (weight[:, None] / se)
    worst = np.abs(shift).argmax(axis=1)
    size = np.abs(shift[np.arange(len(shift)), worst])
    positions = parts.labelling.gold
    if prepared.kept is not None:
        positions = np.flatnonzero(prepared.kept)[positions]
    out = tuple(
        Influential(
            int(positions[i]),
            names[worst[i]],
            float(shift[i, worst[i]]),
            float(scores.gold_leverage[i]),
            float(weight[i]),
        )
        for i in np.argsort(-size, kind="stable")[:_SHOWN]
    )
    return out, float(scores.gold_leverage.max())
