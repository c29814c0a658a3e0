"""Columns of any kind to a numeric feature matrix for the predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .kinds import is_text, plain

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

_LEAST_PROBABILITY = 1e-3
_MOST_LEVELS = 50
"""Levels of a text feature that get their own column; rarer ones share one."""


@dataclass(frozen=True)
class Features:
    """Numeric features of all units.

    Parameters
    ----------
    matrix : ndarray, shape (N, f)
    names : tuple of str
    surrogate : tuple of int
        Columns that come from surrogates (the others are covariates and extra features).
    """

    matrix: Floats
    names: tuple[str, ...]
    surrogate: tuple[int, ...]


def encode(columns: list[tuple[str, Any, bool]], n_rows: int) -> Features:
    """Build the feature matrix.

    Parameters
    ----------
    columns : list of (name, values, is_surrogate)
        Values of shape (N,) or (N, k). Numbers and booleans stay as they are, with missing ones set
        to the mean and flagged in a column of their own (any function of the features keeps the
        estimator valid); text and categories become indicators, missing being a level. Surrogates
        that lie in [0, 1] also enter as log odds.
    n_rows : int
        N.

    Returns
    -------
    Features

    Raises
    ------
    DataError
        If a feature is infinite or missing throughout.

    Examples
    --------
    >>> encode([("tone_llm", np.array([2.5, np.nan]), True)], 2).names
    ('tone_llm', 'tone_llm is missing')
    >>> encode([("p_llm", np.array([0.5, 0.9]), True)], 2).names
    ('p_llm', 'log odds of p_llm')
    """
    blocks: list[Floats] = []
    names: list[str] = []
    surrogate: list[int] = []
    for name, values, is_surrogate in columns:
        block, labels = _encode_one(name, values)
        if is_surrogate:
            block, labels = _with_log_odds(block, labels)
            surrogate += range(len(names), len(names) + len(labels))
        blocks.append(block)
        names += labels
    matrix = np.empty((n_rows, len(names)))
    at = 0
    for block in blocks:
        width = 1 if block.ndim == 1 else block.shape[1]
        matrix[:, at : at + width] = block.reshape(n_rows, width)
        at += width
    return Features(matrix, tuple(names), tuple(surrogate))


def _with_log_odds(block: Floats, labels: list[str]) -> tuple[Floats, list[str]]:
    """Add the log odds of surrogates that are probabilities, on which linear learners do better."""
    columns = block.reshape(len(block), -1)
    extra, names = [], []
    for j, name in enumerate(labels):
        values = columns[:, j]
        if values.min() >= 0 and values.max() <= 1 and not np.isin(values, (0.0, 1.0)).all():
            clipped = np.clip(values, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
            extra.append(np.log(clipped / (1 - clipped)))
            names.append(f"log odds of {name}")
    if not extra:
        return block, labels
    return np.column_stack([columns, *extra]), labels + names


def _encode_one(name: str, values: Any) -> tuple[Floats, list[str]]:
    import pandas as pd

    if getattr(values, "ndim", 1) == 2:
        if is_text(np.ravel(values), name, "feature"):
            raise DataError(f"features {name!r} are several columns of text; name the columns of the data one by one.")
        matrix = np.asarray(values, dtype=np.float64)
        if not np.isfinite(matrix).all():
            raise DataError(f"features {name!r} hold missing or infinite values; fill them before fitting.")
        return matrix, [f"{name}[{j}]" for j in range(matrix.shape[1])]
    series = plain(values if isinstance(values, pd.Series) else pd.Series(np.asarray(values)))
    if is_text(series, name, "feature"):
        return _indicators(name, series)
    column = series.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(column).any():
        raise DataError(f"feature {name!r} has {int(np.isinf(column).sum())} infinite value(s); replace them.")
    missing = np.isnan(column)
    if missing.all():
        raise DataError(f"feature {name!r} is missing in every row; leave it out.")
    if missing.any():
        filled = np.where(missing, np.sort(column[~missing]).mean(), column)  # the same in any order of rows
        return np.column_stack([filled, missing]), [name, f"{name} is missing"]
    return column, [name]


def _indicators(name: str, series: pd.Series[Any]) -> tuple[Floats, list[str]]:
    import pandas as pd

    codes, levels = pd.factorize(series, sort=False)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    order = np.argsort([str(level) for level in levels], kind="stable")
    frequent = [k for k in order if k in set(np.argsort(-counts, kind="stable")[:_MOST_LEVELS].tolist())]
    labels = [f"{name}={levels[k]}" for k in frequent]
    columns = [codes == k for k in frequent]
    if len(levels) > len(frequent):
        columns.append(~np.isin(codes, frequent) & (codes >= 0))
        labels.append(f"{name}=(rarer)")
    if (codes < 0).any():
        columns.append(codes < 0)
        labels.append(f"{name} is missing")
    return np.column_stack(columns).astype(np.float64), labels
