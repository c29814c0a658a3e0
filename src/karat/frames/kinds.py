"""What a column holds: the one place that decides what is a number, what a category, and what is missing.

- Numbers are integers, floats, decimals and booleans (1 and 0), whatever the type of the column that holds them, with
  missing values among them or not. Text that looks like a number is text.
- Categories are text and categorical columns. Declared categories keep their order, and those without a row are
  dropped; text is sorted.
- Missing are None, NaN, NaT and pandas.NA. Blank text and words such as "NA" are text; a gold column that holds one is
  refused, since it may mean either.
- Everything else (dates, lists, complex numbers, ...) is refused by name.
"""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal", "boolean")
_TEXT = ("string", "empty")
_EXACT = 2**53
"""Whole numbers up to here are exact as float64."""
_MISSING_WORDS = ("NA", "N/A", "n/a", "NaN", "nan", "<NA>", "NaT", "None", "null", "NULL")


def is_number(value: object) -> bool:
    """Whether a single value is a number: integers, floats, decimals and booleans are, text never is.

    Parameters
    ----------
    value : object

    Examples
    --------
    >>> is_number(True), is_number("1")
    (True, False)
    """
    return isinstance(value, (numbers.Real, Decimal, np.bool_))


def plain(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column in its plain type: numbers as numbers, text as objects, categories without unused ones.

    Parameters
    ----------
    column : pandas.Series

    Returns
    -------
    pandas.Series
        The same values; the column itself where nothing is to be done.

    Examples
    --------
    >>> import pandas as pd
    >>> plain(pd.Series([1, None, 3], dtype=object)).tolist()
    [1.0, nan, 3.0]
    """
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories()
        return column if len(used.cat.categories) == len(column.cat.categories) else used
    if isinstance(column.dtype, pd.api.extensions.ExtensionDtype) and pd.api.types.is_string_dtype(column.dtype):
        return column.astype(object)
    if column.dtype == object and _holds_numbers(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if not (np.abs(values) > _EXACT).any():
            return pd.Series(values, index=column.index, name=column.name)
    return column


def is_text(values: Any, name: object = "values", role: str = "column") -> bool:
    """Whether values are text or categories rather than numbers.

    Parameters
    ----------
    values : array or pandas.Series
    name : object
        Column, for the message.
    role : str
        What the column is used for.

    Raises
    ------
    DataError
        If they are neither: dates, lists, complex numbers, text mixed with numbers.

    Examples
    --------
    >>> is_text(np.array([True, False])), is_text(np.array(["war", None], dtype=object))
    (False, True)
    """
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        return True
    if not pd.api.types.is_complex_dtype(values.dtype) and (
        pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype)
    ):
        return False
    column = values if isinstance(values, pd.Series) else pd.Series(values)
    found = pd.api.types.infer_dtype(column, skipna=True)
    if found in _TEXT:
        return True
    if column.dtype == object and _holds_numbers(column):
        return False
    raise DataError(_refusal(column.dropna(), name, role))


def refuse_missing_words(gold: pd.Series[Any], name: str) -> None:
    """Raise where text of a gold column looks like a missing value.

    Parameters
    ----------
    gold : pandas.Series
    name : str

    Raises
    ------
    DataError
        For blank text and for words such as "NA": only the user knows whether that is a class.
    """
    if not is_text(gold, name, "gold"):
        return
    found = [v for v in gold.dropna().unique() if isinstance(v, str) and (not v.strip() or v.strip() in _MISSING_WORDS)]
    if found:
        count = int((gold == found[0]).sum())
        raise DataError(
            f"gold {name!r} holds the text {found[0]!r} in {count} row(s). If that means 'not labelled', write "
            f"data[{name!r}] = data[{name!r}].replace({found[0]!r}, None); if it is a class, give it another name."
        )


def _holds_numbers(column: pd.Series[Any]) -> bool:
    """Whether all values of an object column that are there are numbers, and one is."""
    import pandas as pd

    found = pd.api.types.infer_dtype(column, skipna=True)
    return found in _NUMBERS or (found.startswith("mixed") and all(is_number(v) for v in column.dropna()))


def _refusal(present: pd.Series[Any], name: object, role: str) -> str:
    number = next((v for v in present if is_number(v)), None)
    text = next((v for v in present if isinstance(v, str)), None)
    if number is not None and text is not None:
        return (
            f"{role} {name!r} mixes numbers and text (for example {number!r} and {text!r}); make all of them text with "
            "astype(str), or recode the text to numbers or missing values."
        )
    odd = next((v for v in present if not isinstance(v, str) and not is_number(v)), None)
    shown = repr(odd) if len(repr(odd)) <= 60 else f"{repr(odd)[:57]}..."
    return (
        f"{role} {name!r} holds values of type {type(odd).__name__} (for example {shown}); only numbers, true/false, "
        "text and categories can be used. Turn it into a number (for a date, years since the first one) or into text "
        "with astype(str), or leave it out."
    )
