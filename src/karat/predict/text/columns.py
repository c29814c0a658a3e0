"""Columns of texts as numbers for a fit: each text encoded once, and kept for the fits that follow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError
from .encoder import TextEncoder
from .hashing import HashingEncoder
from .texts import digest_of, distinct, read_texts

if TYPE_CHECKING:
    from ..._core.types import Floats

FITTED_ON, _AT_ONCE = 20_000, 20_000
"""Texts from which n-gram weights and directions are learnt, at most; texts that are encoded at once."""

_DIMENSIONS = 100
_MOST_KEPT, _MOST_NUMBERS = 4, 20_000_000
_kept: dict[Any, Floats] = {}
"""Vectors of the columns that were encoded last."""


def named(text: object) -> dict[str, Any]:
    """Columns and their encoders from what ``text=`` was given.

    Raises
    ------
    ArgumentError
        If no column is named.

    Examples
    --------
    >>> named("body"), named(["title", "body"])
    ({'body': 'hashing'}, {'title': 'hashing', 'body': 'hashing'})
    """
    if isinstance(text, Mapping):
        out = dict(text)
    else:
        items = [text] if isinstance(text, str) else text
        out = dict.fromkeys(items, "hashing") if isinstance(items, (list, tuple)) else {}
    if not out or not all(isinstance(name, str) for name in out):
        raise ArgumentError(
            f"text={text!r} names no column; give the name of a column of texts, a list of names, or a mapping of "
            "names to encoders, such as {'body': karat.predict.TextEncoder('folder of a model')}."
        )
    return out


def encoded(values: Any, encoder: Any, name: str) -> Floats:
    """Vectors of a column of texts, missing ones being empty. Gives (N, k).

    What an encoder learns (weights of n-grams, directions) it learns from texts alone, from at most 20,000 different
    ones in an order that follows from what they say: the order of rows changes nothing.

    Parameters
    ----------
    values : sequence of str
    encoder : str, encoder or estimator
        ``"hashing"``, a folder or name of a sentence model, an encoder of :mod:`karat.predict`, or any transformer
        with ``fit`` and ``transform``.
    name : str
        For messages.
    """
    import pandas as pd

    column = pd.Series(np.asarray(values, dtype=object))
    texts, where = distinct(read_texts(column.where(column.notna(), "").tolist(), f"text={name!r}, the column"))
    order = sorted(range(len(texts)), key=lambda i: hashlib.blake2b(texts[i].encode("utf-8", "surrogatepass")).digest())
    texts, place = [texts[i] for i in order], np.argsort(order)
    made = _encoder(encoder, name)
    settings = _settings(made)
    if settings is None:
        return _vectors(texts, made, name)[place[where]]
    asked = digest_of(texts), settings
    if asked not in _kept:
        found = _vectors(texts, made, name)
        while _kept and (len(_kept) >= _MOST_KEPT or found.size > _MOST_NUMBERS):
            _kept.pop(next(iter(_kept)))
        if found.size > _MOST_NUMBERS:
            return found[place[where]]
        _kept[asked] = found
    return _kept[asked][place[where]]


def _settings(encoder: Any) -> Any:
    """What vectors depend on besides the texts; None where that cannot be known, so that nothing is kept."""
    given = encoder.get_params() if hasattr(encoder, "get_params") else {"": encoder}
    parts = [one for value in given.values() for one in (value if type(value) is tuple else [value])]
    if not all(isinstance(one, (str, int, float, PurePath, type(None))) for one in parts):
        return None
    return type(encoder), repr(sorted(given.items()))


def _encoder(encoder: Any, name: str) -> Any:
    if isinstance(encoder, str):
        return HashingEncoder(_DIMENSIONS) if encoder == "hashing" else TextEncoder(encoder)
    if isinstance(encoder, type) or not (hasattr(encoder, "fit") and hasattr(encoder, "transform")):
        raise ArgumentError(
            f"text={{{name!r}: ...}} holds {encoder!r}, which is not an encoder; give 'hashing', the folder of a "
            "sentence model, or an object with fit and transform, such as karat.predict.TextEncoder(...)."
        )
    from sklearn.base import clone

    return clone(encoder, safe=False)


def _vectors(texts: list[str], encoder: Any, name: str) -> Floats:
    """Vectors of different texts, in blocks."""
    if not any(texts):
        raise DataError(f"text={name!r} holds no text: all of them are missing or empty.")
    some = texts[:FITTED_ON]
    first = encoder.fit_transform(some) if hasattr(encoder, "fit_transform") else encoder.fit(some).transform(some)
    parts = [_dense(first, len(some), name)]
    for start in range(len(some), len(texts), _AT_ONCE):
        block = texts[start : start + _AT_ONCE]
        parts.append(_dense(encoder.transform(block), len(block), name))
    return np.concatenate(parts)


def _dense(block: Any, n: int, name: str) -> Floats:
    if hasattr(block, "toarray") or np.ndim(block) != 2 or len(block) != n:
        raise ArgumentError(
            f"the encoder of text={name!r} must give an array with a row for each text and few columns; this one gives "
            f"{'a sparse matrix' if hasattr(block, 'toarray') else f'shape {np.shape(block)}'}. Set its number of "
            "dimensions, for example HashingEncoder(100)."
        )
    out = np.asarray(block, dtype=np.float64)
    if not np.isfinite(out).all():
        raise DataError(f"the encoder of text={name!r} gives vectors that are not finite.")
    return out
