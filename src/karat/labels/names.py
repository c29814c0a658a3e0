"""Names of tasks, workers and classes, and their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from .._types import Array, Ints

UNKNOWN = -1
"""Code of a task whose true class is not known."""


def sorted_codes(names: Any) -> tuple[Array, Ints]:
    """Distinct names, sorted, and the code of each.

    Parameters
    ----------
    names : ndarray or Series, shape (m,)
        Names; mixed types are sorted by type, then value. Missing ones get the code -1.

    Returns
    -------
    names : ndarray
    codes : ndarray of int, shape (m,)

    Examples
    --------
    >>> import numpy as np
    >>> sorted_codes(np.array([3, 1, 3]))[1]
    array([1, 0, 1])
    """
    import pandas as pd

    whole = isinstance(getattr(names, "dtype", None), np.dtype) and names.dtype.kind in "iu"
    quick = _dense_codes(np.asarray(names)) if whole else None
    if quick is not None:
        return quick
    codes, found = pd.factorize(names)
    uniques = np.asarray(found)
    try:
        order = np.argsort(uniques, kind="stable")
    except TypeError:
        values = uniques.tolist()
        order = np.array(sorted(range(len(values)), key=lambda i: (type(values[i]).__name__, str(values[i]))))
    place = np.full(len(order) + 1, UNKNOWN, dtype=np.intp)
    place[order] = np.arange(len(order))
    return uniques[order], place[codes]


def _dense_codes(names: Array) -> tuple[Array, Ints] | None:
    """Codes of whole numbers that lie close together, by counting; None for anything else."""
    if names.dtype.kind not in "iu" or names.ndim != 1 or not len(names):
        return None
    low, high = int(names.min()), int(names.max())
    if high - low > 4 * len(names) + 1000 or high >= 2**62:
        return None
    shifted = names - names.dtype.type(low)
    seen = np.bincount(shifted, minlength=high - low + 1) > 0
    place = np.cumsum(seen) - 1
    return np.flatnonzero(seen).astype(names.dtype) + names.dtype.type(low), place[shifted].astype(np.intp, copy=False)


def codes_among(names: Array, known: tuple[Any, ...], what: str) -> Ints:
    """Codes of names among known ones.

    Parameters
    ----------
    names : ndarray, shape (m,)
    known : tuple
        Allowed names.
    what : str
        What the names are, for the message.

    Returns
    -------
    ndarray of int, shape (m,)

    Raises
    ------
    DataError
        If a name is not known.
    """
    import pandas as pd

    index = pd.Index(np.array(known, dtype=object) if any(isinstance(v, str) for v in known) else list(known))
    codes = index.get_indexer(pd.Index(names))
    if (codes < 0).any():
        unseen = list(dict.fromkeys(np.asarray(names)[codes < 0].tolist()))
        raise DataError(
            f"{what} {unseen[:5]} is not among the known {what}s ({len(known)}, for example {list(known[:6])}); "
            f"recode the data, or name every {what} when fitting."
        )
    return np.asarray(codes, dtype=np.intp)


def shown(name: object) -> str:
    """A name as the user would write it, for messages."""
    return repr(name.item() if isinstance(name, np.generic) else name)


def check_classes(classes: tuple[Any, ...]) -> None:
    """Raise unless there are two or more distinct classes.

    Parameters
    ----------
    classes : tuple

    Raises
    ------
    DataError
        If there is one class only, or a class is named twice.
    """
    if len(set(classes)) != len(classes):
        raise DataError(f"classes={list(classes)} names a class twice; name each once.")
    if len(classes) < 2:
        raise DataError(
            f"the labels hold one class only ({list(classes)}), so there is nothing to aggregate; name all possible "
            "classes with classes=[...], or check the label column."
        )
