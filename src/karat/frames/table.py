"""Any data frame in, named columns by position out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from .kinds import is_number, is_text, plain
from .lookups import NUMBERS
from .quoting import nearest
from .sources import ALLOWED, source_of, table_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Bools, Ints

_ARROW_NUMBER = re.compile(r"(bool|u?int\d+|float|double)$")
"""Arrow's types that numpy keeps as they are."""
_ARROW_TEXT = ("string", "large_string")


@dataclass(frozen=True)
class Table:
    """A data frame of any library, read by position.

    Parameters
    ----------
    native : narwhals.DataFrame
        The user's frame, wrapped and never changed. Column names are text; a name that is a number or a tuple is
        written as text.
    repeated : frozenset of str
        Names that several columns share; those columns cannot be read.

    Notes
    -----
    Rows are known by position, so an index with duplicates or gaps does no harm. What comes with an index of its own
    (a pandas Series or DataFrame given for an argument) is aligned with the index of the data, or refused.
    """

    native: Any
    repeated: frozenset[str] = frozenset()

    @classmethod
    def read(cls, data: object) -> Table:
        """Wrap a pandas, polars, pyarrow (or any eager narwhals) frame, or a mapping of columns; read a source.

        Parameters
        ----------
        data : data frame or mapping
            Table with one row per unit, or a source of at most 10^6 rows (:mod:`karat.frames.sources`).

        Returns
        -------
        Table

        Raises
        ------
        ArgumentError
            If ``data`` is not a table.
        DataError
            If it has no rows.

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

            try:
                data = pd.DataFrame(dict(data))
            except ValueError as error:
                raise ArgumentError(
                    f"data is a mapping that makes no table ({error}); give each column a list."
                ) from None
        if (source := source_of(data)) is not None:
            data = table_of(source, source.names)
        data, repeated = _by_text_names(data)
        try:
            native: Any = data
            frame = nw.from_native(native, eager_only=True)
        except TypeError:
            raise ArgumentError(
                f"data is a {type(data).__name__}; give a pandas, polars or pyarrow table, or {ALLOWED}."
            ) from None
        if not isinstance(frame, nw.DataFrame):
            raise ArgumentError(f"data is a {type(data).__name__}; give a table with columns, not a single column.")
        if len(frame) == 0:
            raise DataError("data has no rows; give at least one unit.")
        return cls(frame, repeated)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.native)

    @property
    def columns(self) -> list[str]:
        """Names of the columns that can be read."""
        return list(self.native.columns)

    @property
    def names(self) -> list[str]:
        """All column names, repeated ones too."""
        return self.columns + sorted(self.repeated)

    def filter(self, rows: Array) -> Table:
        """Some of the rows, in the same order.

        Parameters
        ----------
        rows : ndarray of bool, shape (N,)
        """
        return Table(self.native.filter(rows.tolist()), self.repeated)

    def put(self, columns: Iterable[Any]) -> Any:
        """The frame (narwhals) with Series put in or replaced, in its own library."""
        if not self.native.implementation.is_pandas_like():
            return self.native.with_columns(*columns)
        import narwhals as nw

        native = self.native.to_native().assign(**{s.name: s.to_native().to_numpy() for s in columns})
        return nw.from_native(native, eager_only=True)

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
        for name in map(str, names):
            if name in self.repeated:
                raise DataError(f"{role} names {name!r}, and the data has two columns named {name!r}; rename one.")
            if name not in known:
                raise DataError(f"{role} names the column {name!r}, which is not in the data. {nearest(name, known)}")

    def column(self, name: str, role: str) -> pd.Series[Any]:
        """One column as a pandas Series with positions as index, its values in their plain type."""
        return plain(self.as_given(name, role))

    def as_given(self, name: str, role: str) -> pd.Series[Any]:
        """One column as a pandas Series with positions as index, True and False in a column of objects kept."""
        import pandas as pd

        self.require([name], role)
        if (coded := self.codes(str(name))) is not None:  # each text is made once, and not for each row
            values = np.array([*coded[1], None], dtype=object)[coded[0]]
            return pd.Series(values, name=str(name), dtype=object)
        column = self.native.get_column(str(name))
        native = column.to_native()
        if isinstance(native, pd.Series):
            return native.reset_index(drop=True)
        return pd.Series(_to_pandas_values(column), name=str(name))

    def numbers(self, name: str) -> Array | None:
        """A column of numbers as it is kept, shape (N,), not to be changed; None of others, or where any is missing."""
        native = self.native.get_column(name).to_native()
        if self.native.implementation.is_pyarrow():
            if native.null_count or native.num_chunks != 1 or not _ARROW_NUMBER.match(str(native.type)):
                return None
            return np.asarray(native.chunk(0).to_numpy(zero_copy_only=False))
        kept = getattr(native, "dtype", None)
        return np.asarray(native) if isinstance(kept, np.dtype) and kept.kind in NUMBERS else None

    def codes(self, name: str) -> tuple[Ints, list[str]] | None:
        """A column of text as codes, -1 where missing, and its different values as they first come; None of others."""
        native = self.native.get_column(name).to_native()
        if not self.native.implementation.is_pyarrow() or str(native.type) not in _ARROW_TEXT:
            return None
        found = native.combine_chunks().dictionary_encode()
        found = found.chunk(0) if hasattr(found, "chunks") else found
        return found.indices.fill_null(-1).to_numpy(zero_copy_only=False), found.dictionary.to_pylist()

    def holds_numbers(self, name: str) -> bool:
        """Whether a column is of a type of numbers or true/false; columns of objects are not, whatever they hold."""
        import narwhals as nw

        kind = self.native.get_column(name).dtype
        return bool(kind.is_numeric() or kind == nw.Boolean)

    def take(self, rows: Ints) -> Table:
        """Rows at some positions."""
        return Table(self.native[rows], self.repeated)

    def there(self, name: str) -> Bools:
        """Where a column is not missing, shape (N,)."""
        native = self.native.get_column(name).to_native()
        if self.native.implementation.is_pyarrow():
            import pyarrow.compute as pc

            return np.asarray(pc.invert(pc.is_null(native, nan_is_null=True)))
        return np.asarray(self.as_given(name, "data").notna())

    def pandas(self, names: Sequence[str], role: str) -> pd.DataFrame:
        """Several columns as a pandas DataFrame with positions as index."""
        import pandas as pd

        self.require(names, role)
        names = list(map(str, names))
        native = self.native.to_native()
        if isinstance(native, pd.DataFrame):
            frame: pd.DataFrame = native[names]
            if not isinstance(frame.index, pd.RangeIndex) or frame.index.start != 0 or frame.index.step != 1:
                frame = frame.reset_index(drop=True)
            changed = {name: new for name in names if (new := plain(frame[name])) is not frame[name]}
            return frame.assign(**changed) if changed else frame
        return pd.DataFrame({name: self.column(name, role) for name in names}, index=pd.RangeIndex(self.n_rows))

    def values(self, given: object, argument: str) -> Array:
        """Resolve an argument that may be a column name or an array to an array.

        Parameters
        ----------
        given : str or array_like
            Column name, or values of shape (N,) or (N, k) in row order; a pandas Series or DataFrame is aligned with
            the data by its index.
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
            If the array has another number of rows than the data, or an index that is not the data's.
        """
        if isinstance(given, str):
            return np.asarray(self.column(given, argument))
        if hasattr(given, "toarray") and hasattr(given, "nnz"):
            raise ArgumentError(
                f"{argument} is a sparse matrix; reduce it to a dense array of few columns first, for example with "
                "karat.predict.TextEncoder(n_components=100)."
            )
        array = np.asarray(self._aligned(given, argument))
        if array.ndim == 0 or array.shape[0] != self.n_rows:
            came = "a single value" if array.ndim == 0 else f"{array.shape[0]} rows"
            raise ArgumentError(
                f"{argument} has {came}, the data have {self.n_rows}; give a column name or one value per row."
            )
        return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array

    def marked(self, given: object, argument: str) -> Bools:
        """Rows that a true/false column, or true/false values, mark.

        Parameters
        ----------
        given : str or array_like
        argument : str
            Name of the argument, for messages.

        Returns
        -------
        ndarray of bool, shape (N,)

        Raises
        ------
        DataError
            If a value is missing, or neither true nor false (1 nor 0).
        """
        name = given if isinstance(given, str) else argument
        values = as_float(self.values(given, argument), name, f"values of {argument}=")
        if not np.isin(values, (0.0, 1.0)).all():
            missing, odd = int(np.isnan(values).sum()), int((~np.isin(values, (0.0, 1.0)) & ~np.isnan(values)).sum())
            raise DataError(
                f"{argument}={name!r} must be true or false (or 1 or 0) in every row; {missing} value(s) are missing "
                f"and {odd} are neither. Fill them, or decide which side they belong to."
            )
        return np.asarray(values == 1.0)

    def _aligned(self, given: object, argument: str) -> object:
        """A pandas Series or DataFrame in the row order of the data, by index; anything else as it is."""
        import pandas as pd

        if not isinstance(given, (pd.Series, pd.DataFrame)) or len(given) != self.n_rows:
            return given
        native = self.native.to_native()
        indexed = isinstance(native, pd.DataFrame)
        own = native.index if indexed else pd.RangeIndex(self.n_rows)
        if given.index.equals(own):
            return given
        if indexed and own.is_unique and given.index.is_unique:
            order = given.index.get_indexer(own)
            if (order >= 0).all():
                return given.iloc[order]
        why = "is not that of the data" if given.index.is_unique else "repeats values"
        raise ArgumentError(
            f"{argument} is a pandas {type(given).__name__} whose index {why}, so that its rows cannot be matched with "
            "those of the data; make it a column of the data, or give .to_numpy() if it is in the order of the rows."
        )


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

    array: Any = values if isinstance(values, pd.Series) else np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{role} {name!r} has {array.ndim} dimensions; give one value per row.")
    series = plain(pd.Series(array))
    text = is_text(series, name, role)
    if text:
        example = next((v for v in series.dropna() if not is_number(v)), None)
        if example is not None:
            raise DataError(
                f"{role} {name!r} holds text or categories (for example {example!r}) where numbers belong; "
                "recode it to numbers first."
            )
        series = series.astype(object)
    out = series.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(out).any():
        raise DataError(
            f"{role} {name!r} has {int(np.isinf(out).sum())} infinite value(s); replace them or set them missing."
        )
    return out


def _to_pandas_values(column: Any) -> Any:
    """Values of a narwhals column of a non-pandas frame, as pandas would hold them."""
    import narwhals as nw
    import pandas as pd

    if column.dtype.is_numeric():
        changes = column.null_count() or column.dtype == nw.Decimal
        return column.cast(nw.Float64).to_numpy() if changes else column.to_numpy()
    if column.dtype == nw.Enum:
        return pd.Categorical(column.to_list(), categories=list(column.dtype.categories), ordered=True)
    if column.dtype == nw.Categorical and column.implementation.is_pyarrow():
        return column.to_native().to_pandas().array
    values = column.to_list()
    if column.dtype == nw.Boolean and not column.null_count():
        return np.asarray(values, dtype=bool)
    return np.fromiter(values, dtype=object, count=len(values))


def _by_text_names(data: object) -> tuple[object, frozenset[str]]:
    """The frame with text for names and without columns that share a name, and the names that are shared."""
    import pandas as pd

    arrow = isinstance(getattr(data, "column_names", None), list)
    if not arrow and not isinstance(data, pd.DataFrame):
        return data, frozenset()
    given: Any = data
    names = list(given.column_names if arrow else given.columns)
    text = [str(name) for name in names]
    if len(set(text)) == len(text) and all(isinstance(name, str) for name in names):
        return data, frozenset()
    keep = [k for k, name in enumerate(text) if text.count(name) == 1]
    kept = given.select(keep) if arrow else given.iloc[:, keep].set_axis([text[k] for k in keep], axis=1)
    return kept, frozenset(text) - {text[k] for k in keep}
