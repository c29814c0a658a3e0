"""Columns of an audit: labels as names, covariates as numbers, clusters as codes."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError
from ...frames.kinds import is_number
from ...frames.table import as_float
from .codes import listed, objects, sorted_codes
from .read import declared_order

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Array, Bools, Floats, Ints
    from ...frames import Table


def labels_of(table: Table, column: str, role: str) -> pd.Series[Any]:
    """A column of labels as names, None where missing or blank."""
    import pandas as pd

    names, code = sorted_codes(table.as_given(column, role), f"column {column!r} ({role})")
    return pd.Series(objects([*listed(names), None])[code]).infer_objects()


def covariates_of(table: Table, names: Sequence[str], labelled: Bools) -> tuple[Floats, tuple[str, ...]]:
    """Covariates of the gold rows as numbers; text becomes indicators, the first level left out."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ArgumentError(f"covariates={names!r} is not allowed; give a list of columns.")
    import pandas as pd

    columns: list[Array] = []
    wide: list[str] = []
    for name in names:
        values = table.column(name, "covariates")[labelled]
        if pd.api.types.is_numeric_dtype(values.dtype) and values.notna().all():
            columns.append(as_float(values, name, "covariate"))
            wide.append(str(name))
            continue
        levels, code = sorted_codes(values, f"column {name!r} (covariates)")
        if (code < 0).any():
            raise DataError(f"covariate {name!r} has {int((code < 0).sum())} missing value(s) on gold rows; fill them.")
        kinds = listed(levels)
        order = declared_order(table, name)
        if not isinstance(values.dtype, pd.CategoricalDtype) and all(map(is_number, kinds)):
            columns.append(np.array(kinds, dtype=np.float64)[code])
            wide.append(str(name))
            continue
        if not all(isinstance(v, (str, numbers.Real)) for v in kinds):
            raise DataError(f"covariate {name!r} holds {type(kinds[0]).__name__} values; give numbers or text.")
        if len(columns) + len(kinds) >= len(code):
            raise DataError(
                f"covariate {name!r} has {len(kinds)} levels on {len(code)} gold rows; merge levels, or drop it."
            )
        kept = [v for v in order or kinds if v in set(kinds)][1:]
        columns += [code == kinds.index(v) for v in kept]
        wide += [f"{name}_{v}" for v in kept]
    return np.column_stack([np.asarray(c, dtype=np.float64) for c in columns]), tuple(wide)


def clusters_of(table: Table, cluster: str | None, labelled: Bools) -> Ints | None:
    """Codes of the clusters of the gold rows."""
    if cluster is None:
        return None
    codes = sorted_codes(table.as_given(cluster, "cluster")[labelled], f"column {cluster!r} (cluster)")[1]
    if (codes < 0).any():
        raise DataError(f"column {cluster!r} (cluster) has {int((codes < 0).sum())} missing value(s) on gold rows.")
    return codes
