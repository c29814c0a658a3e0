"""Cross-fitting folds, dealt out in an order that follows from what the rows hold and not from the table's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError, LearnerError, whole
from ..frames.order import mixed

if TYPE_CHECKING:
    from .._core.types import Array, Bools, Floats, Ints


def make_folds(
    labelled: Bools,
    folds: int,
    repeats: int,
    rng: np.random.Generator,
    classes: Ints | None = None,
    group: Ints | None = None,
    order: Ints | None = None,
) -> Ints:
    """Random folds: balanced on gold and on gold class, whole groups in one fold.

    Parameters
    ----------
    labelled : ndarray of bool, shape (N,)
        Gold rows.
    folds : int
        Number of folds K, at least 2.
    repeats : int
        Number of random splits S.
    rng : numpy.random.Generator
    classes : ndarray of int, shape (n,), optional
        Class of the gold rows, to balance on.
    group : ndarray of int, shape (N,), optional
        Cluster codes that must not be split.
    order : ndarray of int, shape (N,), optional
        Order in which rows are dealt out, see :func:`row_order`; by default as they come.

    Returns
    -------
    ndarray of int, shape (N, S)
        Fold of each unit in each split, 0 to K - 1.

    Raises
    ------
    ArgumentError
        If folds or repeats are out of range.
    LearnerError
        If there are fewer gold units, or clusters with gold, than folds.

    Examples
    --------
    >>> make_folds(np.ones(6, bool), 3, 1, np.random.default_rng(0))[:, 0].tolist().count(0)
    2
    """
    folds, repeats = whole("folds", folds, least=2), whole("repeats", repeats, least=1)
    n_gold = int(labelled.sum())
    available = n_gold if group is None else int(np.unique(group[labelled]).size)
    if available < folds:
        what = "gold rows" if group is None else "clusters with gold"
        raise LearnerError(
            f"there are {available} {what} for folds={folds}; " + _fewer_folds(available, group is not None)
        )
    if order is not None:
        return _in_order(labelled, folds, repeats, rng, classes, group, order)
    out = np.empty((len(labelled), repeats), dtype=np.int8 if folds < 128 else np.intp)
    for s in range(repeats):
        if group is None:
            out[:, s] = _split_units(labelled, folds, rng, classes)
        else:
            out[:, s] = _split_groups(labelled, folds, rng, group)
    return out.astype(np.intp) if repeats * len(labelled) < 10_000_000 else out


def _in_order(
    labelled: Bools, folds: int, repeats: int, rng: np.random.Generator, classes: Ints | None, group: Ints | None,
    order: Ints,
) -> Ints:  # fmt: skip
    """Folds dealt out in an order of the rows, put back at the rows."""
    if classes is not None:
        everywhere = np.zeros(len(labelled), dtype=np.intp)
        everywhere[labelled] = classes
        classes = everywhere[order][labelled[order]]
    if group is not None:
        group = renumbered(group, order)[order]
    found = make_folds(labelled[order], folds, repeats, rng, classes, group)
    out = np.empty_like(found)
    out[order] = found
    return out


def check_folds(given: object, n_rows: int, labelled: Bools, group: Ints | None = None) -> Ints:
    """Folds from outside, checked.

    Parameters
    ----------
    given : array_like of int, shape (N,) or (N, S)
    n_rows : int
        N.
    labelled : ndarray of bool, shape (N,)
    group : ndarray of int, shape (N,), optional
        Cluster codes that must not be split.

    Returns
    -------
    ndarray of int, shape (N, S)
        Renumbered from 0 in each split.

    Raises
    ------
    ArgumentError
        If the shape is wrong or some fold leaves no gold to learn from.

    Examples
    --------
    >>> import numpy as np
    >>> check_folds([3, 3, 5, 5], 4, np.ones(4, bool)).ravel().tolist()
    [0, 0, 1, 1]
    """
    folds = np.asarray(given)
    if folds.ndim == 1:
        folds = folds[:, None]
    if folds.ndim != 2 or len(folds) != n_rows:
        raise ArgumentError(
            f"folds has shape {folds.shape}; give one fold per row ({n_rows}), or one column per split."
        )
    out = np.empty(folds.shape, dtype=np.intp)
    for s in range(folds.shape[1]):
        levels, out[:, s] = np.unique(folds[:, s], return_inverse=True)
        if len(levels) < 2:
            raise ArgumentError(f"folds has a single fold in split {s}; give at least two.")
        counts = np.bincount(out[labelled, s], minlength=len(levels))
        if (counts == labelled.sum()).any():
            raise ArgumentError(f"folds puts all gold rows in one fold in split {s}; spread them.")
        if group is not None and (out[:, s] != out[np.unique(group, return_index=True)[1], s][group]).any():
            raise ArgumentError(f"folds splits a cluster over several folds in split {s}; keep clusters whole.")
    return out


def _fewer_folds(available: int, clustered: bool) -> str:
    """What to do where gold does not reach for the folds: fewer of them, or none if there is a single unit."""
    if available >= 2:
        return f"lower folds to at most {available}, or label more."
    more = "label rows of further clusters" if clustered else "label more rows"
    return f"a learner needs at least 2 of them. Fit without one (estimator='gold' or learner=None), or {more}."


def _split_units(labelled: Bools, folds: int, rng: np.random.Generator, classes: Ints | None) -> Ints:
    fold = np.empty(len(labelled), dtype=np.intp)
    gold, rest = np.flatnonzero(labelled), np.flatnonzero(~labelled)
    shuffled = rng.permutation(len(gold))
    if classes is not None:
        shuffled = shuffled[np.argsort(classes[shuffled], kind="stable")]
    fold[gold[shuffled]] = (np.arange(len(gold)) + rng.integers(folds)) % folds
    fold[rest] = rng.integers(folds, size=len(rest))
    return fold


def _split_groups(labelled: Bools, folds: int, rng: np.random.Generator, group: Ints) -> Ints:
    """Groups in random order, those with most gold first, each to the fold with least gold so far."""
    n_groups = int(group.max()) + 1
    gold = np.bincount(group[labelled], minlength=n_groups)
    shuffled = rng.permutation(n_groups)
    order = shuffled[np.argsort(-gold[shuffled], kind="stable")]
    chosen = np.empty(n_groups, dtype=np.intp)
    load = np.zeros(folds)
    with_gold = int((gold > 0).sum())
    for g in order[:with_gold]:
        k = int(np.argmin(load))
        chosen[g] = k
        load[k] += gold[g]
    chosen[order[with_gold:]] = rng.integers(folds, size=n_groups - with_gold)
    return chosen[group]


def row_order(
    parts: Iterable[Array], groups: Iterable[Ints | None] = (), ties: Ints | Callable[[], Ints] | None = None
) -> Ints:
    """An order of rows that is the same for the same rows in any order.

    Parameters
    ----------
    parts : iterable of ndarray, shape (N,) or (N, k)
        Numbers of each row. Only their ranks count, so that other units of measurement and
        constants change nothing.
    groups : iterable of ndarray of int, shape (N,), or None
        Codes of clusters or strata. Codes themselves do not matter: a group is known by its rows.
    ties : ndarray of int, shape (N,), or callable, optional
        Order of rows that are alike in all this; a function is asked where there are any.

    Returns
    -------
    ndarray of int, shape (N,)

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([3.0, 1.0, 2.0])
    >>> turn = np.array([2, 0, 1])
    >>> bool((x[row_order([x])] == x[turn][row_order([x[turn]])]).all())
    True
    """
    columns = [column for part in parts for column in np.reshape(part, (len(part), -1)).T]
    with np.errstate(over="ignore"):
        content = np.zeros(len(columns[0]), dtype=np.uint64)
        for column in columns:
            ranks = _ranks(column)
            content = mixed(content + ranks) if ranks.any() else content
        for group in groups:
            if group is None:
                continue
            codes = np.unique(group, return_inverse=True)[1]
            total = np.zeros(int(codes.max()) + 1, dtype=np.uint64)
            np.add.at(total, codes, content)
            content = mixed(content + mixed(total)[codes])
    if callable(ties):
        ties = ties() if len(np.unique(content)) < len(content) else None
    return np.argsort(content, kind="stable") if ties is None else np.lexsort((ties, content))


def renumbered(codes: Ints, order: Ints) -> Ints:
    """Codes of groups numbered by where they first come up in an order, shape (N,).

    Examples
    --------
    >>> renumbered(np.array([5, 2, 5]), np.array([1, 0, 2])).tolist()
    [1, 0, 1]
    """
    _, first, back = np.unique(codes[order], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    out = np.empty(len(codes), dtype=np.intp)
    out[order] = rank[back]
    return out


def _ranks(column: Floats) -> Array:
    """Number of smaller distinct values; missing values come last."""
    return np.unique(np.asarray(column, dtype=np.float64), return_inverse=True)[1].astype(np.uint64)
