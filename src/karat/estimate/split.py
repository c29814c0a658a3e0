"""What a different random split would have given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .totals import Moments

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .augment import AugmentedSample, Rows


def split_estimates(
    model: Model,
    sample: AugmentedSample,
    blocks: list[tuple[Rows, ...]],
    theta: Floats,
    mixing: Floats | None,
) -> Floats:
    """One Newton step from the combined estimate to the root of each split.

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
        Its predicted rows are replaced.
    blocks : list of tuple of Rows
        Predicted rows of each of S splits.
    theta : ndarray, shape (p,)
    mixing : ndarray, shape (p, p), or None
        Lambda, held fixed.

    Returns
    -------
    ndarray, shape (S, p)
    """
    out = []
    for predicted in blocks:
        score, curvature = Moments.of(model, replace(sample, predicted=predicted)).rectified(mixing)(theta)
        out.append(theta + np.linalg.solve(curvature, score))
    return np.vstack(out)
