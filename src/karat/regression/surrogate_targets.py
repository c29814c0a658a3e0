"""Surrogate labels of all units in the form a learner can be pre-trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..frames.kinds import is_text
from ..predict.values import SurrogateLabels

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..predict import Target
    from .variables import Label


def with_surrogates(labels: tuple[Label, ...], targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Targets with the surrogate labels of all units beside them."""
    by_name = {label.name: label for label in labels}
    return tuple(replace(t, surrogate=surrogate_labels(by_name[t.name], t.n_classes > 0)) for t in targets)


def surrogate_labels(label: Label, classify: bool) -> SurrogateLabels | None:
    """Surrogates of one label: class distributions, averaged over those that give classes, or numbers side by side.

    Parameters
    ----------
    classify : bool
        Whether classes are learnt.

    Returns
    -------
    SurrogateLabels or None
        None where no surrogate can take the place of the label (a table of features, say).
    """
    if classify and label.classes:
        found = [p for p in (_distribution(label, s) for s in label.surrogates) if p is not None]
        if found:
            stacked = np.stack(found)
            there = np.isfinite(stacked[..., :1])
            count = there.sum(axis=0)
            total = np.where(there, stacked, 0.0).sum(axis=0)
            return SurrogateLabels(np.where(count > 0, total / np.maximum(count, 1), np.nan), True)
    columns = []
    for surrogate in label.surrogates:
        values = np.asarray(surrogate.values) if surrogate.probabilities else surrogate.values
        if getattr(values, "ndim", 1) == 2:
            columns.append(np.asarray(values, dtype=np.float64))
        elif not is_text(values):
            columns.append(_numbers(values)[:, None])
    return SurrogateLabels(np.hstack(columns), False) if columns else None


def _distribution(label: Label, surrogate: Any) -> Floats | None:
    """Class distribution of one surrogate, shape (N, K), missing where it is missing; None if it gives no classes."""
    if surrogate.probabilities:
        return np.asarray(surrogate.values, dtype=np.float64)
    if getattr(surrogate.values, "ndim", 1) == 2:
        return None
    k = len(label.classes)
    if is_text(surrogate.values) or label.coded:
        import pandas as pd

        codes = pd.Categorical(surrogate.values, categories=list(label.classes)).codes
        if (codes < 0).all():
            return None
        out: Floats = np.eye(k)[np.maximum(codes, 0)]
        out[codes < 0] = np.nan
        return out
    number = _numbers(surrogate.values)
    if np.nanmin(number) < 0 or np.nanmax(number) > 1:
        return None
    return np.column_stack([1.0 - number, number])


def _numbers(values: Any) -> Floats:
    import pandas as pd

    out: Floats = pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan)
    return out
