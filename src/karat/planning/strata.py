"""Strata from surrogates, their confidence and covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from .._core.types import Array, Floats, Ints
from ..errors import ArgumentError, DataError, whole
from ..frames import Table


def strata(
    data: object, by: str | Sequence[str] | Mapping[str, int | None], *, cells: int = 3, smallest: int = 20,
    separator: str = " x ",
) -> Array:  # fmt: skip
    """Cross columns into strata: quantile cells of numbers, classes as they are, tiny cells merged.

    Parameters
    ----------
    data : data frame
        N rows.
    by : str, list of str or mapping
        Columns, the most important first: a surrogate label, its confidence, covariates. A mapping gives the number of
        cells of each; None keeps its values as they are.
    cells : int
        Quantile cells of a number with more distinct values than that.
    smallest : int
        Strata with fewer rows are merged with the nearest one; the first columns are kept apart longest.
    separator : str
        Between the parts of a name.

    Returns
    -------
    ndarray of str, shape (N,)
        Name of the stratum of each row; put it into the data as a column for :class:`Stratified`.

    Raises
    ------
    ArgumentError
        If an argument is out of range.
    DataError
        If a column is missing or has missing values.

    References
    ----------
    Cochran (1977), *Sampling Techniques*, chapter 5A; Dalenius and Hodges (1959) on few cells being enough.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1000, seed=1)
    >>> names = kt.strata(corpus, ["hostile_llm", "length"], cells=2)
    >>> sorted(set(names.tolist()))
    ['hostile_llm=0 x length<=-0.0328', 'hostile_llm=0 x length>-0.0328', ...]
    """
    wanted = _wanted(by, cells)
    smallest = whole("smallest", smallest, least=2)
    table = Table.read(data)
    codes, labels = [], []
    for name, count in wanted.items():
        code, label = _cells(table, name, count)
        codes.append(code)
        labels.append(label)
    matrix = np.column_stack(codes)
    distinct, inverse = np.unique(matrix, axis=0, return_inverse=True)
    members = merged(distinct, np.bincount(inverse.ravel()), int(smallest))
    texts = np.array(_distinct([_name(distinct[group], labels, separator) for group in members]), dtype=object)
    group_of = np.empty(len(distinct), dtype=np.intp)
    for g, group in enumerate(members):
        group_of[group] = g
    return texts[group_of[inverse.ravel()]].astype(str)


def merged(cells: Ints, size: Ints, smallest: int) -> list[list[int]]:
    """Join cells until each group holds enough rows.

    The smallest group goes to the nearest one: distances are those of mean codes, scaled to the range of the column,
    each column counting twice as much as the one after it.

    >>> merged(np.array([[0, 0], [0, 1], [1, 0]]), np.array([50, 3, 40]), 20)
    [[0, 1], [2]]
    """
    importance = 2.0 ** np.arange(cells.shape[1])[::-1]
    scaled = cells / np.maximum(cells.max(axis=0), 1) * importance
    groups = [[k] for k in range(len(cells))]
    weight = size.astype(np.float64)
    centre = scaled.astype(np.float64)
    while len(groups) > 1 and weight.min() < smallest:
        least = int(np.argmin(weight))
        distance = np.abs(centre - centre[least]).sum(axis=1)
        distance[least] = np.inf
        into = int(np.argmin(distance))
        both = weight[least] + weight[into]
        centre[into] = (weight[least] * centre[least] + weight[into] * centre[into]) / both
        weight[into] = both
        groups[into] = sorted(groups[into] + groups[least])
        del groups[least]
        weight, centre = np.delete(weight, least), np.delete(centre, least, axis=0)
    return sorted(groups)


def _wanted(by: Any, cells: int) -> dict[str, int | None]:
    given: dict[str, int | None]
    if isinstance(by, Mapping):
        given = {str(name): count for name, count in by.items()}
    else:
        given = dict.fromkeys([by] if isinstance(by, str) else [str(name) for name in by], cells)
    if not given:
        raise ArgumentError("by is empty; name at least one column.")
    for name, count in given.items():
        if count is not None:
            whole(f"cells of {name!r}", count, least=2, instead="or None for one cell per value")
    return given


def _cells(table: Table, name: str, count: int | None) -> tuple[Ints, list[str]]:
    """Codes of the cells of a column, in order, and their names."""
    column = table.column(name, "by")
    if column.isna().any():
        raise DataError(f"column {name!r} has {int(column.isna().sum())} missing value(s); fill them, or leave it out.")
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if count is None or not numeric or column.nunique() <= count:
        code, levels = pd.factorize(column, sort=True)
        return code.astype(np.intp), [f"{name}={_plain(level)}" for level in levels]
    values = column.to_numpy(dtype=np.float64)
    edges = np.unique(np.quantile(values, np.arange(1, count) / count))
    edges = edges[edges < values.max()]
    code = np.searchsorted(edges, values, side="left").astype(np.intp)
    return code, _intervals(name, edges)


def _intervals(name: str, edges: Floats) -> list[str]:
    cuts = [f"{edge:.3g}" for edge in edges]
    if len(set(cuts)) < len(cuts):
        cuts = [f"{edge:.9g}" for edge in edges]
    inner = [f"{low}<{name}<={high}" for low, high in pairwise(cuts)]
    return [f"{name}<={cuts[0]}", *inner, f"{name}>{cuts[-1]}"] if cuts else [name]


def _name(cells: Ints, labels: list[list[str]], separator: str) -> str:
    """Name of a group: the cells of each column that it holds, or what its cells share and how many they are."""
    held = [np.unique(column) for column in cells.T]
    if len(cells) < np.prod([len(codes) for codes in held]):
        shared = [names[codes[0]] for codes, names in zip(held, labels) if len(codes) == 1]
        return separator.join([*shared, f"{len(cells)} cells merged"])
    parts = [
        " or ".join(names[k] for k in codes)
        for codes, names in zip(held, labels)
        if len(codes) < len(names) or len(names) == 1
    ]
    return separator.join(parts) or "all"


def _distinct(names: list[str]) -> list[str]:
    """Names with a number where several groups would share one."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def _plain(level: Any) -> str:
    """A level without a needless decimal point."""
    return str(int(level)) if isinstance(level, (float, np.floating)) and float(level).is_integer() else str(level)
