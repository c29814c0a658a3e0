"""What a name of a task, a worker or a class is, and its code: the one rule that everything here follows.

Missing values and blank text are not a name. Text loses the space around it. Numbers that are equal are one name
(``1``, ``1.0`` and, among numbers, ``True``). A number and a text that are written alike (``1`` and ``"1"``) are
refused, since nobody can see in a table which of them is meant.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError
from ...frames.kinds import is_number

if TYPE_CHECKING:
    from ..._core.types import Array, Ints

UNKNOWN = -1
"""Code of a missing name, or of a task whose true class is not known."""


def name_of(value: Any) -> Any:
    """A value as a name; None where it is missing or blank.

    Examples
    --------
    >>> [name_of(v) for v in (" yes ", "  ", 1.0, float("nan"))]
    ['yes', None, 1, None]
    """
    import pandas as pd

    if isinstance(value, (str, bytes)):
        text = (value if isinstance(value, str) else value.decode("utf-8", "replace")).strip()
        return (text if text.isascii() else unicodedata.normalize("NFC", text)) or None
    if type(value) in (int, bool):
        return value
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        value = value.item()
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    if is_number(value) and not isinstance(value, bool):
        return int(value) if math.isfinite(value) and value == int(value) else float(value)
    return value


def listed(names: Array) -> list[Any]:
    """The entries of an array as names."""
    import pandas as pd

    values = list(pd.Series(names)) if names.dtype.kind in "mM" else names.tolist()
    return [name_of(v) for v in values]


def sorted_codes(names: Any, what: str = "names") -> tuple[Array, Ints]:
    """Distinct names, sorted, and the code of each.

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
    try:
        codes, found = pd.factorize(names)
    except TypeError as error:
        raise DataError(f"{what}: values that are not text or numbers ({error}); recode them.") from None
    uniques = np.asarray(found)
    if uniques.dtype.kind in "OUS":
        distinct, place = _merged(uniques, what)
        return distinct, np.append(place, UNKNOWN)[codes]
    order = np.argsort(uniques, kind="stable")
    place = np.full(len(order) + 1, UNKNOWN, dtype=np.intp)
    place[order] = np.arange(len(order))
    return uniques[order], place[codes]


def _merged(values: Array, what: str) -> tuple[Array, Ints]:
    """Distinct names among values of any type, sorted, and the code of each value."""
    names = [name_of(v) for v in values.tolist()]
    only_text = set(map(type, names)) <= {str, type(None)}
    names = names if only_text else one_kind(names, what)
    distinct = sorted(set(names) - {None}, key=None if only_text else _sort_key)
    place = {name: i for i, name in enumerate(distinct)}
    return objects(distinct), np.array([place.get(n, UNKNOWN) for n in names], dtype=np.intp)


def one_kind(names: list[Any], what: str) -> list[Any]:
    """The names, True and False as 1 and 0 beside other numbers; raises where a number and a text are written alike."""
    if any(is_number(n) and not isinstance(n, bool) for n in names):
        names = [int(n) if isinstance(n, bool) else n for n in names]
    texts = {n for n in names if isinstance(n, str)}
    others = {n: None for n in names if n is not None and not isinstance(n, str)} if texts else {}
    if others:
        alike = {str(n): n for n in others}
        for text in texts:
            twin = alike.get(text, _number_in(text, others))
            if twin is not None:
                raise DataError(
                    f"{what}: {twin!r} ({type(twin).__name__}) and {text!r} (text) are written alike, so it is not "
                    "clear whether they are one; make them all text or all numbers."
                )
    return names


def _number_in(text: str, numbers_: dict[Any, None]) -> Any:
    """The number that a text spells, if it is among the given ones."""
    try:
        value = float(text)
    except ValueError:
        return None
    return next((n for n in numbers_ if n == value), None) if value in numbers_ else None


def _sort_key(name: Any) -> tuple[int, float, str]:
    if isinstance(name, str):
        return 1, 0.0, name
    if is_number(name):
        return 0, float(name), ""
    return 2, 0.0, f"{type(name).__name__} {name}"


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


def positions(names: Any, known: Sequence[Any]) -> Ints:
    """Position of each name among known ones, -1 where it is missing or none of them.

    Examples
    --------
    >>> import numpy as np
    >>> positions(np.array(["b", " a", ""], dtype=object), ("a", "b"))
    array([ 1,  0, -1])
    """
    found, code = sorted_codes(names)
    place = {name: i for i, name in enumerate(known)}
    at = np.array([*(place.get(name, UNKNOWN) for name in listed(found)), UNKNOWN], dtype=np.intp)
    return np.asarray(at[code])


def one_column(values: Any, argument: str) -> Any:
    """Values that the user gave for every row: a list, an array, a Series, or a table of one column.

    Examples
    --------
    >>> one_column(np.array([[1], [2]]), "tasks").tolist()
    [1, 2]
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ArgumentError(f"{argument}={values!r} is not allowed; give one value for each row.")
    shape = getattr(values, "shape", None)
    if shape is None:
        return objects(list(values))
    if len(shape) > 1 and shape[1:] != (1,):
        raise ArgumentError(f"{argument} is a table of shape {tuple(shape)}; give one column.")
    return np.asarray(values).ravel()


def known_rows(tasks: Any, known: Array) -> Ints:
    """Row of each task of a corpus among labelled tasks, -1 where it is none of them; one at least must be."""
    place = positions(one_column(tasks, "tasks"), listed(known))
    if len(place) and (place < 0).all():
        raise DataError(
            f"none of the {len(place)} tasks given is among the labelled ones (for example {listed(known[:3])}); give "
            "their names, of the same type."
        )
    return place


def codes_among(names: Any, known: Sequence[Any], what: str) -> Ints:
    """Codes of names that must be among known ones."""
    codes = positions(names, known)
    if (codes < 0).any():
        unseen = list(dict.fromkeys(name_of(v) for v in np.asarray(names)[codes < 0].tolist()))[:5]
        several = f"{what}{'es' if what.endswith('s') else 's'}"
        one_kind([*known, *unseen], several)
        raise DataError(
            f"{what} {unseen} is not among the known {several} ({len(known)}, for example {list(known[:6])}); "
            f"recode the data, or name every {what} when fitting."
        )
    return codes


def codes_in(values: Any, known: Sequence[Any], what: str, column: str) -> Ints:
    """Codes of a column's names among known ones, -1 where missing or blank; any other raises."""
    given = sorted_codes(values, f"column {column!r}")[1] >= 0
    out = np.full(len(given), UNKNOWN, dtype=np.intp)
    out[given] = codes_among(np.asarray(values)[given], known, what)
    return out


def class_tuple(classes: Any, argument: str = "classes", least: int = 2) -> tuple[Any, ...]:
    """Classes in the order given, as names.

    Examples
    --------
    >>> class_tuple(["low ", "high"])
    ('low', 'high')
    """
    if isinstance(classes, (str, bytes, set, frozenset)) or not isinstance(classes, Iterable):
        raise ArgumentError(f"{argument}={classes!r} is not allowed; give a list, in the order wanted.")
    order = tuple(one_kind([name_of(v) for v in classes], argument))
    if None in order:
        raise DataError(f"{argument}={list(order)} holds a missing or blank class; leave it out.")
    if len(set(order)) != len(order):
        raise DataError(f"{argument}={list(order)} names a class twice; name each once.")
    if len(order) < least:
        raise DataError(
            f"the labels hold one class only or none ({list(order)}), so there is nothing to aggregate; name all "
            "possible classes with classes=[...], or check the label column (blank labels are missing)."
        )
    return order


def classes_in(*columns: Any, what: str = "labels") -> tuple[Any, ...]:
    """All names in several columns, sorted; raises where a number and a text are written alike."""
    found = [name for column in columns for name in listed(sorted_codes(column)[0])]
    return tuple(sorted_codes(objects(found), what)[0].tolist()) if found else ()


def objects(values: Sequence[Any]) -> Array:
    """Values as an array of objects, whatever they are."""
    out = np.empty(len(values), dtype=object)
    out[:] = list(values)
    return out


def shown(name: object) -> str:
    """A name as the user would write it, for messages."""
    return repr(name.item() if isinstance(name, np.generic) else name)
