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

FITTED_ON, _AT_ONCE, SHOWN = 20_000, 20_000, 2_000
"""Texts from which n-gram weights and directions are learnt, at most; that are encoded at once; of :func:`shown`."""

_DIMENSIONS = 100
_MOST_KEPT, _MOST_NUMBERS = 4, 20_000_000
_kept: dict[Any, Floats] = {}
"""Vectors of the columns that were encoded last."""
_learnt: dict[Any, Learnt] = {}
"""Encoders that were fitted last, for columns that come in parts."""


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
    return encoded_and_shown(values, encoder, name)[0]


def encoded_and_shown(values: Any, encoder: Any, name: str) -> tuple[Floats, Floats]:
    """:func:`encoded`, and those of different texts that :func:`shown` takes. Gives (N, k) and (m, k)."""
    texts, where = distinct(_read(values, name))
    order = sorted(range(len(texts)), key=lambda i: _place_of(texts[i]))
    texts, place = [texts[i] for i in order], np.argsort(order)
    made = _encoder(encoder, name)
    settings = _settings(made)
    asked = digest_of(texts), settings
    found = None if settings is None else _kept.get(asked)
    if found is None:
        found = _vectors(texts, made, name)
        if settings is not None:
            while _kept and (len(_kept) >= _MOST_KEPT or found.size > _MOST_NUMBERS):
                _kept.pop(next(iter(_kept)))
            if found.size <= _MOST_NUMBERS:
                _kept[asked] = found
    return found[place[where]], shown(found)


def _read(values: Any, name: str) -> list[str]:
    """Texts of a column, missing ones being empty."""
    import pandas as pd

    column = pd.Series(np.asarray(values, dtype=object))
    return read_texts(column.where(column.notna(), "").tolist(), f"text={name!r}, the column")


def _place_of(text: str) -> bytes:
    """What orders texts by what they say."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()


def shown(values: Floats) -> Floats:
    """Of vectors of different texts in the order of their content those that show in which directions they vary."""
    return values[:SHOWN]


class Learnt:
    """An encoder that has learnt from some texts, and gives vectors of any.

    Parameters
    ----------
    name : str
        Column, for messages.
    texts : list of str
        Different ones, at most 20,000.
    encoder : encoder or estimator
        Fitted here.
    """

    def __init__(self, name: str, texts: list[str], encoder: Any) -> None:
        self._name, self._encoder = name, encoder
        self._vectors = _fitted(texts, encoder, name)
        self._place = {text: at for at, text in enumerate(texts)}
        self.shown = shown(self._vectors)

    def __call__(self, values: Any) -> Floats:
        """Vectors of a column of texts, missing ones being empty; each different text is encoded once. Gives (m, k)."""
        texts, where = distinct(_read(values, self._name))
        known = np.array([self._place.get(text, -1) for text in texts], dtype=np.intp)
        out = self._vectors[known]
        new = np.flatnonzero(known < 0)
        if len(new):
            out[new] = _dense(self._encoder.transform([texts[at] for at in new]), len(new), self._name)
        return np.asarray(out[where])


class Gathered:
    """Of the texts of a column that comes in parts the ones an encoder learns from: those :func:`encoded` takes.

    Parameters
    ----------
    name : str
        Column, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._texts: dict[bytes, str] = {}
        self._last: bytes | None = None

    def add(self, values: Any) -> None:
        """Take in a part of the column."""
        for text in distinct(_read(values, self._name))[0]:
            key = _place_of(text)
            if self._last is None or key <= self._last:
                self._texts[key] = text
        if len(self._texts) > 2 * FITTED_ON:
            self._cut()

    def _cut(self) -> None:
        keys = sorted(self._texts)[:FITTED_ON]
        self._texts = {key: self._texts[key] for key in keys}
        if len(keys) == FITTED_ON:
            self._last = keys[-1]

    def learnt(self, encoder: Any) -> Learnt:
        """The encoder, fitted, or as it was fitted on the same texts before."""
        self._cut()
        texts, made = list(self._texts.values()), _encoder(encoder, self._name)
        settings = _settings(made)
        asked = digest_of(texts), settings
        if settings is None or asked not in _learnt:
            found = Learnt(self._name, texts, made)
            if settings is None:
                return found
            while len(_learnt) >= _MOST_KEPT:
                _learnt.pop(next(iter(_learnt)))
            _learnt[asked] = found
        return _learnt[asked]


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
    parts = [_fitted(texts[:FITTED_ON], encoder, name)]
    for start in range(FITTED_ON, len(texts), _AT_ONCE):
        block = texts[start : start + _AT_ONCE]
        parts.append(_dense(encoder.transform(block), len(block), name))
    return np.concatenate(parts)


def _fitted(texts: list[str], encoder: Any, name: str) -> Floats:
    """Vectors of the texts that an encoder is fitted on."""
    if not any(texts):
        raise DataError(f"text={name!r} holds no text: all of them are missing or empty.")
    found = encoder.fit_transform(texts) if hasattr(encoder, "fit_transform") else encoder.fit(texts).transform(texts)
    return _dense(found, len(texts), name)


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
