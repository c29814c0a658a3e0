"""Any data frame in, named columns by position out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from .._types import Array


@dataclass(frozen=True)
class Table:
    """A data frame of any library, read by position.

    Parameters
    ----------
    native : narwhals.DataFrame
        The user's frame, wrapped and never changed.

    Notes
    -----
    Rows are known by position alone, so an index with duplicates or gaps does no harm.
    """

    native: Any

    @classmethod
    def read(cls, data: object) -> Table:
        """Wrap a pandas, polars, pyarrow (or any eager narwhals) frame, or a mapping of columns.

        Parameters
        ----------
        data : data frame or mapping
            Table with one row per unit.

        Returns
        -------
        Table

        Raises
        ------
        ArgumentError
            If ``data`` is not a table.
        DataError
            If it has no rows, or two columns of the same name.

        Examples
        --------
        >>> Table.read({"tone": [0.1, 0.4]}).n_rows
        2
        """
        import narwhals as nw

        if isinstance(data, Table):
            return data
        if isinstance(data, Mapping):
            import pandas as pd

            data = pd.DataFrame(dict(data))
        if not hasattr(data, "collect"):
            _refuse_repeated_names(data)
        try:
            native: Any = data
            frame = nw.from_native(native, eager_only=True)
        except TypeError:
            raise ArgumentError(
                f"data is a {type(data).__name__}; give a pandas, polars or pyarrow table "
                "(a lazy frame must be collected first)."
            ) from None
        if not isinstance(frame, nw.DataFrame):
            raise ArgumentError(f"data is a {type(data).__name__}; give a table with columns, not a single column.")
        if len(frame) == 0:
            raise DataError("data has no rows; give at least one unit.")
        return cls(frame)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.native)

    @property
    def columns(self) -> list[str]:
        """Column names."""
        return list(self.native.columns)

    def filter(self, rows: Array) -> Table:
        """Some of the rows, in the same order.

        Parameters
        ----------
        rows : ndarray of bool, shape (N,)
        """
        return Table(self.native.filter(rows.tolist()))

    def require(self, names: Iterable[str], role: str) -> None:
        """Raise unless every name is a column.

        Parameters
        ----------
        names : iterable of str
            Columns that must be there.
        role : str
            Where the user named them, for the message.

        Raises
        ------
        DataError
            Naming the missing column, the role and the nearest existing names.
        """
        known = self.columns
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=3)
                hint = f" Did you mean {', '.join(map(repr, near))}?" if near else f" Columns: {_listing(known)}."
                raise DataError(f"{role} names the column {name!r}, which is not in the data.{hint}")

    def column(self, name: str, role: str) -> pd.Series[Any]:
        """One column as a pandas Series with positions as index."""
        import pandas as pd

        self.require([name], role)
        column = self.native.get_column(name)
        native = column.to_native()
        if isinstance(native, pd.Series):
            return _plain_text(native.reset_index(drop=True))
        return pd.Series(_to_pandas_values(column), name=name)

    def pandas(self, names: Sequence[str], role: str) -> pd.DataFrame:
        """Several columns as a pandas DataFrame with positions as index."""
        import pandas as pd

        self.require(names, role)
        native = self.native.to_native()
        if isinstance(native, pd.DataFrame):
            frame: pd.DataFrame = native[list(names)]
            if not isinstance(frame.index, pd.RangeIndex) or frame.index.start != 0 or frame.index.step != 1:
                frame = frame.reset_index(drop=True)
            text = {name: _plain_text(frame[name]) for name in names if _is_nullable_text(frame[name])}
            return frame.assign(**text) if text else frame
        return pd.DataFrame({name: self.column(name, role) for name in names})

    def values(self, given: object, argument: str) -> Array:
        """Resolve an argument that may be a column name or an array to an array.

        Parameters
        ----------
        given : str or array_like
            Column name, or values of shape (N,) or (N, k) in row order.
        argument : str
            Name of the argument, for messages.

        Returns
        -------
        ndarray, shape (N,) or (N, k)

        Raises
        ------
        DataError
            If the column does not exist.
        ArgumentError
            If the array has another number of rows than the data.
        """
        if isinstance(given, str):
            return np.asarray(self.column(given, argument))
        if hasattr(given, "toarray") and hasattr(given, "nnz"):
            raise ArgumentError(
                f"{argument} is a sparse matrix; reduce it to a dense array of few columns first, for example with "
                "karat.predict.TextEncoder(n_components=100)."
            )
        array = np.asarray(given)
        if array.ndim == 0 or array.shape[0] != self.n_rows:
            came = "a single value" if array.ndim == 0 else f"{array.shape[0]} rows"
            raise ArgumentError(
                f"{argument} has {came}, the data have {self.n_rows}; give a column name or one value per row."
            )
        return array


def as_float(values: object, name: str, role: str) -> Array:
    """Values as float64 with NaN where missing; strings are refused, infinities too.

    Parameters
    ----------
    values : array_like, shape (N,)
        Numbers or booleans, missing allowed.
    name : str
        Column name for messages.
    role : str
        What the column is used for.

    Returns
    -------
    ndarray of float64, shape (N,)

    Raises
    ------
    DataError
        If values are text or not finite.

    Examples
    --------
    >>> as_float([True, False], "war", "covariate")
    array([1., 0.])
    """
    import pandas as pd

    series = values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))
    if isinstance(series.dtype, pd.CategoricalDtype) or (
        not pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_bool_dtype(series.dtype)
    ):
        present = series.dropna()
        if not all(isinstance(v, (int, float, np.number, np.bool_)) for v in present.head(1000)):
            example = present.iloc[0] if len(present) else None
            raise DataError(
                f"{role} {name!r} holds text or categories (for example {example!r}) where numbers belong; "
                "recode it to numbers first."
            )
        series = present.reindex(series.index)
    out = series.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(out).any():
        raise DataError(
            f"{role} {name!r} has {int(np.isinf(out).sum())} infinite value(s); replace them or set them missing."
        )
    return out


def _is_nullable_text(column: pd.Series[Any]) -> bool:
    """Whether a pandas column holds text in a nullable or Arrow type, which formulaic does not read as categories."""
    import pandas as pd

    return isinstance(column.dtype, pd.api.extensions.ExtensionDtype) and pd.api.types.is_string_dtype(column.dtype)


def _plain_text(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.astype(object) if _is_nullable_text(column) else column


def _to_pandas_values(column: Any) -> Any:
    """Values of a narwhals column of a non-pandas frame, as pandas would hold them."""
    import narwhals as nw

    if column.dtype.is_numeric():
        return column.cast(nw.Float64).to_numpy() if column.null_count() else column.to_numpy()
    values = column.to_list()
    if column.dtype == nw.Boolean and not column.null_count():
        return np.asarray(values, dtype=bool)
    return np.asarray(values, dtype=object)


def _refuse_repeated_names(data: object) -> None:
    columns = getattr(data, "columns", None)
    names = getattr(data, "column_names", columns)
    if names is None or callable(names):
        return
    seen: set[object] = set()
    for name in names:
        if isinstance(name, str) and name in seen:
            raise DataError(f"data has two columns named {name!r}; rename one.")
        if isinstance(name, str):
            seen.add(name)


def _listing(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f", ... ({len(names)} in all)" if len(names) > most else "")
