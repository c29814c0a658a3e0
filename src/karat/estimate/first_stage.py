"""What estimating a nuisance on the same rows adds to the influence of units."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..designs import Labelling
    from .scores import Scores


def add_gold_stage(scores: Scores, extra: Floats, labelling: Labelling) -> Scores:
    """The nuisance was estimated from gold rows with their inverse probabilities: it adds to their labelling error too.

    Parameters
    ----------
    scores : Scores
    extra : ndarray, shape (n, p)
        Influence of each gold row on the coefficients through the nuisance, inverse probability included.
    labelling : Labelling

    Returns
    -------
    Scores
    """
    return scores.plus(None, extra / labelling.weight[:, None])


def add_population_stage(scores: Scores, extra: Floats) -> Scores:
    """The nuisance was estimated from all rows: it adds nothing to labelling errors.

    Parameters
    ----------
    scores : Scores
    extra : ndarray, shape (N, p)
        Influence of each row on the coefficients through the nuisance.

    Returns
    -------
    Scores
        On all N rows, also where ``scores`` were on gold rows alone.
    """
    whole = scores.everywhere(len(extra))
    return whole.plus(extra, extra[whole.gold])
