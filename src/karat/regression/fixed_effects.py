"""Fixed effects after a bar, read from columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import pair_codes
from ..errors import SmallSampleWarning, tell
from ..estimate.absorb import FixedEffects
from ..estimate.curved import empty
from ..estimate.totals import linear_predictor
from ..estimate.within import within
from ..frames.table import as_float

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, Floats
    from ..estimate.augment import AugmentedSample
    from ..frames.formula import Parsed
    from ..moments import Model
    from ..results import Result
    from .variables import Label

_FEW = 30.0
"""Rows of a group, as precise as observed ones, below which a logistic regression with effects is off."""

_TOO_FAR = 1.4
"""Distance of such coefficients from the truth, as a share of it, times rows of a group less 1 (Greene 2004)."""


def read_effects(parsed: Parsed, frame: pd.DataFrame) -> FixedEffects:
    """Fixed effects of the rows of a frame, in which none is missing."""
    import pandas as pd

    codes = []
    for columns in parsed.effects:
        own = pd.factorize(frame[columns[0]])[0].astype(np.intp)
        for name in columns[1:]:
            own = pair_codes(own, pd.factorize(frame[name])[0].astype(np.intp))
        codes.append(own)
    return FixedEffects(parsed.effect_names, np.column_stack(codes))


def drop_singletons(
    parsed: Parsed, frame: pd.DataFrame, complete: Bools, among: Bools, dropped: dict[str, int]
) -> None:
    """Take out of ``complete`` the rows that are alone in a fixed effect: they tell nothing of coefficients."""
    rows = np.flatnonzero(complete & among)
    if len(rows) and (alone := read_effects(parsed, frame.iloc[rows]).singletons()).any():
        complete[rows[alone]] = False
        dropped[f"alone in {' + '.join(parsed.effect_names)}"] = int(alone.sum())


def drop_alike(
    parsed: Parsed, frame: pd.DataFrame, labels: tuple[Label, ...], labelled: Bools, there: Bools, among: Bools,
    complete: Bools, weights: Floats | None, model: Model, dropped: dict[str, int],
) -> None:  # fmt: skip
    """Take out of ``complete`` groups whose outcomes are all 0, or all 1: no effect is finite there.

    Only where every outcome is known: what a sample shows of a group does not say that all are alike.
    """
    label = next((one for one in labels if one.in_outcome and one.name == parsed.outcome), None)
    if label is None:
        return
    gold = np.zeros(len(complete), dtype=bool)
    gold[there] = labelled
    rows = np.flatnonzero(complete & among)
    if not len(rows) or not gold[rows].all():
        return
    effects = read_effects(parsed, frame.iloc[rows])
    y = as_float(label.gold.iloc[rows], label.name, "gold")
    alike = empty(effects, y, np.ones(len(rows)) if weights is None else weights[rows], model)
    if alike.any() and not alike.all():
        complete[rows[alike]] = False
        kind = "0 or 1" if model.separable else "0"
        dropped[f"in groups of {' + '.join(parsed.effect_names)} whose outcomes are all {kind}"] = int(alike.sum())


def _noise(rows: AugmentedSample, model: Model, theta: Floats, corrected: bool) -> float:
    """Squares of residuals of outcomes over curvatures, of all units; 1 where outcomes are as precise as observed."""
    gold, w = rows.units.gold, rows.units.labelling.weight
    more = w * (rows.gold.y - rows.predicted.at(gold)[0].y)
    squares, curvatures = 0.0, 0.0
    for block in rows.predicted.blocks():
        residual, curvature = model.evaluate(linear_predictor(model, block.rows[0], theta), block.rows[0].y)
        if corrected:
            first, last = np.searchsorted(gold, (block.at.start, block.at.stop))
            residual[gold[first:last] - block.at.start] += more[first:last]
        squares, curvatures = squares + float(residual @ residual), curvatures + float(curvature.sum())
    return squares / curvatures


def incidental(result: Result, model: Model, sample: AugmentedSample, estimator: str) -> tuple[str, ...]:
    """A warning, and a note, where effects of a logistic regression rest on so few outcomes that coefficients are off.

    Rows of a group count by how precise their corrected outcomes are: labelling adds to the variance of an outcome.

    References
    ----------
    Neyman and Scott (1948); Greene (2004), *The behaviour of the maximum likelihood estimator of limited dependent
    variable models in the presence of fixed effects*.
    """
    effects = sample.units.effects
    if sample.curved is None or effects is None or not model.separable:
        return ()
    if not sample.predicted or result.estimator == "gold":
        size = sample.units.labelling.n_gold / max(np.unique(c[sample.units.gold]).size for c in effects.codes.T)
    else:
        noise = _noise(within(sample, estimator), model, result.theta, estimator != "surrogate")
        size = sample.units.n_units / max(effects.sizes) / max(1.0, noise)
    if size >= _FEW:
        return ()
    note = (
        f"groups of {' + '.join(effects.names)} hold about {size:.1f} outcomes' worth of information each, so that "
        f"coefficients of a logistic regression are too far from 0 by about {_TOO_FAR / max(size - 1.0, 1.0):.0%}; "
        "take coarser effects, label more, or use kt.ols"
    )
    tell(f"{note}.", SmallSampleWarning)
    return (note,)
