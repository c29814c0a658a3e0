"""Covariates of the censoring distribution, taken from what a learner is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.types import Array, Ints
from ..errors import ArgumentError, DataError
from .methods import Kernel, Method, Strata


def censoring_covariates(X: Any, method: Method, columns: Any) -> Array | None:
    """V, the covariates of G.

    ``X`` (n, p); ``method``: may name columns; ``columns``: columns of X, or a function of X; None means those the
    method names, else all of X.

    >>> from karat.censoring import Cox
    >>> censoring_covariates(np.array([[1.0, 2.0], [3.0, 4.0]]), Cox(), [1]).tolist()
    [[2.0], [4.0]]
    """
    if columns is not None and method.columns:
        raise ArgumentError(
            f"the censoring method names the columns {list(method.columns)} and covariates={columns!r} names some too; "
            "use one of them."
        )
    if callable(columns):
        return _from_function(columns, X)
    names = list(method.columns) if columns is None else [columns] if np.ndim(columns) == 0 else list(columns)
    if not names and not method.needs_covariates:
        return None
    if names:
        return _dense(_take(X, names))
    v = _dense(X)
    if isinstance(method, (Kernel, Strata)) and v.shape[1] != 1:
        raise ArgumentError(
            f"X has {v.shape[1]} columns; name those that censoring depends on, for example "
            f"{type(method).__name__}('age') or covariates=['age'] (positions for an array)."
        )
    return v


def rows_of(X: Any, rows: Ints) -> Any:
    """Some rows of an array, a list, a sparse matrix or a data frame."""
    from sklearn.utils import _safe_indexing

    return _safe_indexing(X.tocsr() if hasattr(X, "tocsr") else X if hasattr(X, "__len__") else np.asarray(X), rows)


def count_rows(X: Any) -> int:
    """Number of rows."""
    if hasattr(X, "shape"):
        return int(X.shape[0])
    return len(X) if hasattr(X, "__len__") else len(np.asarray(X))


def note_features(estimator: Any, X: Any, *, reset: bool) -> None:
    """Set or check the number and names of features, leaving X as it is for the learner.

    ``reset``: set (in fit) rather than check.
    """
    from sklearn.utils.validation import validate_data

    if _has_features(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)


def _has_features(X: Any) -> bool:
    """Tables and lists of lists have features; texts have none, and what else has none is the learner's to refuse."""
    if hasattr(X, "shape"):
        return len(X.shape) == 2
    return isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], (list, tuple, np.ndarray))


def _take(X: Any, names: list[Any]) -> Any:
    from sklearn.utils import _safe_indexing

    if any(isinstance(name, str) for name in names):
        known = _names(X)
        if known is None:
            raise ArgumentError(
                f"the covariates of censoring are named {names} but X has no column names; give a data frame, or "
                "positions in covariates=. In a pipeline, set_output(transform='pandas') keeps the names."
            )
        if missing := [name for name in names if name not in known]:
            raise ArgumentError(f"X has no column {missing}; it has {known[:20]}.")
        if not isinstance(X, dict) and hasattr(X, "column_names"):  # pyarrow
            return X.select(names).to_pandas()
    values = X if hasattr(X, "shape") else np.asarray(X)
    try:
        return _safe_indexing(values, names, axis=1)
    except (IndexError, ValueError) as error:
        raise ArgumentError(f"covariates={names} are not columns of X: {error}.") from error


def _names(X: Any) -> list[str] | None:
    for attribute in ("column_names", "columns"):
        if (found := getattr(X, attribute, None)) is not None:
            return [str(name) for name in found]
    return None


def _from_function(function: Callable[[Any], Any], X: Any) -> Array:
    values = np.asarray(function(X))
    if values.ndim not in (1, 2) or len(values) != count_rows(X):
        raise ArgumentError(
            f"the function given as covariates returned shape {values.shape} for {count_rows(X)} rows; one line each."
        )
    return values[:, None] if values.ndim == 1 else values


def _dense(values: Any) -> Array:
    if hasattr(values, "toarray"):
        values = values.toarray()
    array = np.asarray(values)
    if array.ndim != 2:
        raise DataError(f"X has shape {array.shape}; the covariates of censoring need rows and columns.")
    return array
