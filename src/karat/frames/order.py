"""An order of rows that follows from what they hold, not from where they stand; seeds likewise.

Draws and folds made in this order are the same for the same data in any row order, column order and data-frame
library: numbers count by their first twelve digits whatever their width, booleans as 0 and 1, dates as instants,
missing values as missing.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import generator

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Bools, Ints
    from . import Table

_DIGITS = 12
_EXACT = 2**53
_FEW = 4096


def canonical_order(columns: Mapping[str, Any]) -> Ints:
    """Positions of the rows in an order that depends on their content alone.

    Parameters
    ----------
    columns : mapping of str to array_like of shape (N,)
        Columns that make up the content of a row: an id that is unique, or all there are. Their order does not
        matter; their names do.

    Returns
    -------
    ndarray of int, shape (N,)
        ``values[canonical_order(columns)]`` is the same however the rows were ordered. Rows that are alike in all
        columns keep the order they came in, and may change places without a difference.

    Examples
    --------
    >>> import numpy as np
    >>> names = np.array(["ann", "ben", "cleo", "dan"])
    >>> turned = names[[2, 0, 3, 1]]
    >>> a, b = (values[canonical_order({"name": values})].tolist() for values in (names, turned))
    >>> a == b
    True
    """
    return np.argsort(row_hashes(columns), kind="stable")


def row_hashes(columns: Mapping[str, Any]) -> Array:
    """A number of 64 bits for each row that depends on its content alone.

    Parameters
    ----------
    columns : mapping of str to array_like of shape (N,)

    Returns
    -------
    ndarray of uint64, shape (N,)

    Examples
    --------
    >>> bool((row_hashes({"a": [1, 2]}) == row_hashes({"a": [1.0, 2.0]})).all())
    True
    """
    import pandas as pd

    total: Any = np.uint64(0)
    with np.errstate(over="ignore"):
        for name, values in columns.items():
            series = values if isinstance(values, pd.Series) else pd.Series(values)
            total = total + mixed(_values(series) ^ _text_hash(f"column {name}"))
        return np.asarray(mixed(total))


def number_parts(column: pd.Series[Any], missing: Bools) -> tuple[Array, ...] | None:
    """Numbers, booleans and dates as whole-number arrays; None for anything else.

    Parameters
    ----------
    column : pandas.Series, shape (N,)
    missing : ndarray of bool, shape (N,)
    """
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        kind = column.cat.categories.dtype
        column = column.astype(object if missing.any() and kind.kind in "iub" else kind)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return (_instants(column),)
    if column.dtype == object:
        present = column[~missing]
        kinds = set(map(type, present))
        if kinds and all(issubclass(kind, datetime.date) for kind in kinds):
            return (_instants(column),)
        if not all(issubclass(kind, (bool, int, float, np.number, np.bool_)) for kind in kinds):
            return None
    elif not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)):
        return None
    if pd.api.types.is_complex_dtype(column.dtype):
        return None
    present = column[~missing]
    if _too_large(present):
        return None
    values = np.zeros(len(column))
    values[~missing] = present.to_numpy(dtype=np.float64)
    return _rounded_codes(values) or _rounded(_shortest(values))


def _rounded_codes(values: Array) -> tuple[Array, Array] | None:
    """Those of :func:`_rounded` for whole numbers close together, such as 0/1, codes and years; None for others."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if not -_EXACT < low <= high < min(_EXACT, low + _FEW):
        return None
    codes = values.astype(np.int64)
    if (codes != values).any():
        return None
    mantissa, power = _rounded(np.arange(low, high + 1.0))
    return mantissa[codes - int(low)], power[codes - int(low)]


def _too_large(present: pd.Series[Any]) -> bool:
    """Whether whole numbers are among them that a double-precision number does not hold exactly."""
    import pandas as pd

    if pd.api.types.is_integer_dtype(present.dtype):  # seconds of a corpus, were it done value by value
        return len(present) > 0 and max(int(present.max()), -int(present.min())) > _EXACT
    whole = present.dtype == object
    return whole and any(isinstance(v, (int, np.integer)) and abs(int(v)) > _EXACT for v in present.tolist())


def _values(series: pd.Series[Any]) -> Array:
    """Hash of each value of a column, shape (N,)."""
    import pandas as pd

    missing = series.isna().to_numpy()
    parts = number_parts(series, missing)
    if parts is None:
        texts = np.array(["" if gone else str(v) for v, gone in zip(series.tolist(), missing)], dtype=object)
        codes, found = pd.factorize(texts)
        hashes = np.array([_text_hash(text) for text in found], dtype=np.uint64)[codes]
    else:
        hashes = np.zeros(len(series), dtype=np.uint64)
        for part in parts:
            hashes = mixed(hashes + part.astype(np.int64).view(np.uint64))
    hashes[missing] = _text_hash("missing")
    return hashes


def _text_hash(text: str) -> np.uint64:
    found = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(found, "little"))


def mixed(values: Array) -> Array:
    """Spread over all 64 bits, one to one.

    References
    ----------
    Steele, Lea, Flood (2014), *Fast splittable pseudorandom number generators* (the finalizer of SplitMix64).
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _shortest(values: Array) -> Array:
    """Single-precision numbers as they are printed: 0.1 rather than 0.10000000149."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    uneven = np.isfinite(values) & (values != np.rint(values))
    if not uneven.any() or (single[uneven] != values[uneven]).any():
        return values
    out = values.copy()
    out[uneven] = single[uneven].astype(str).astype(np.float64)
    return out


def _rounded(values: Array) -> tuple[Array, Array]:
    """Mantissa of twelve digits and power of ten of each number; large whole numbers exactly."""
    finite = np.isfinite(values)
    size = np.abs(np.where(finite, values, 1.0))
    power = np.floor(np.log10(np.where(size > 0, size, 1.0)))
    shift = _DIGITS - 1 - power
    half = np.trunc(shift / 2)  # in two steps: a single power of ten may overflow
    mantissa = np.rint(np.where(finite, values, 0.0) * 10.0**half * 10.0 ** (shift - half))
    large = np.abs(mantissa) >= 10**_DIGITS
    mantissa, power = np.where(large, np.rint(mantissa / 10), mantissa), np.where(large, power + 1, power)
    exact = finite & (values == np.rint(values)) & (size >= 10**_DIGITS) & (size <= 2**53)
    mantissa = np.where(exact, values, mantissa)
    power = np.where(exact | (mantissa == 0), 0, power)
    power = np.where(finite, power, np.where(values > 0, 9999, np.where(values < 0, -9999, 9998)))
    return mantissa.astype("<i8"), power.astype("<i8")


def _instants(column: pd.Series[Any]) -> Array:
    """Nanoseconds since 1970."""
    import pandas as pd

    moments = pd.to_datetime(column, utc=True)
    return np.asarray(moments.astype("datetime64[ns, UTC]").astype("int64").to_numpy().astype("<i8"))


class Seeded(Protocol):
    """A fit whose seed is known."""

    @property
    def seed(self) -> Any:
        """Seed of its folds and learners."""

    @property
    def formula(self) -> str:
        """Its formula."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its coefficients."""


def settled(seed: Any, columns: Mapping[str, Any], *words: object) -> Any:
    """The seed given, checked; without one, a number made from the columns and the words of the call.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
    columns : mapping of str to array_like of shape (n,)
        Columns that the call uses. The order of their rows does not matter.
    *words : object
        What else makes the call this one, such as the formula.

    Returns
    -------
    int or numpy.random.Generator

    Raises
    ------
    ArgumentError
        If the seed given cannot be one.

    Examples
    --------
    >>> settled(None, {"a": [1, 2]}, "y ~ a") == settled(None, {"a": [2.0, 1.0]}, "y ~ a")
    True
    >>> settled(7, {})
    7
    """
    if seed is not None:
        generator(seed)
        return seed
    total = int(np.sum(row_hashes(columns), dtype=np.uint64)) if columns else 0
    text = repr((total, sorted(columns), words))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")


def seed_of_table(seed: Any, table: Table, gold: Mapping[str, Any] | None, *words: object) -> Any:
    """The seed of a call on a table: the one given, or one made from its gold columns.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
    table : Table
    gold : mapping, optional
        Its keys are the gold columns, as in ``surrogates=``.
    *words : object
        What else makes the call this one.

    Returns
    -------
    int or numpy.random.Generator
    """
    if seed is not None:
        return settled(seed, {})
    names = [name for name in gold or {} if name in table.columns]
    return settled(None, {name: table.column(name, "surrogates") for name in names}, table.n_rows, *words)


def seed_of_result(seed: Any, result: Seeded, *words: object) -> Any:
    """The seed given, or that of the fit a Result comes from.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
    result : Result
    *words : object
        What makes the call another one than the fit.

    Returns
    -------
    int or numpy.random.Generator
    """
    if seed is not None:
        return settled(seed, {})
    return settled(None, {}, result.seed, result.formula, result.names, *words)
