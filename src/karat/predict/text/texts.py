"""A column of texts, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, DataError


def read_texts(texts: object, name: str = "X") -> list[str]:
    """Texts as a list of str.

    ``texts``: a list, numpy array, or column of a pandas, polars or pyarrow table. Empty texts are allowed; ``name``:
    name of the argument, for messages.

    >>> read_texts(np.array(["a text", ""]))
    ['a text', '']
    """
    shape = getattr(texts, "shape", (0,))
    if isinstance(texts, (str, bytes, Mapping)) or not hasattr(texts, "__iter__") or len(shape) != 1:
        came = f"an array of shape {shape}" if len(shape) != 1 else f"a {type(texts).__name__}"
        raise ArgumentError(f"{name} is {came}; give a list or one column of texts, for example df['text'].")
    convert = getattr(texts, "to_list", None) or getattr(texts, "to_pylist", None) or getattr(texts, "tolist", None)
    out = convert() if convert is not None else list(texts)
    if not out:
        raise DataError(f"{name} holds no text.")
    bad = [i for i, text in enumerate(out) if not isinstance(text, str)]
    if bad:
        value = out[bad[0]]
        missing = value is None or type(value).__name__ in ("NAType", "NaTType") or value != value
        what = "missing" if missing else f"no text but {value!r}"
        raise DataError(
            f"{name} must hold texts; {len(bad)} of {len(out)} do not, the first at position {bad[0]}, which is "
            f"{what}. Drop these rows, or fill them with an empty text."
        )
    return [str(text) for text in out]


def distinct(texts: list[str]) -> tuple[list[str], np.ndarray]:
    """Distinct texts in order of appearance, and where each text is among them. Gives (len(texts),).

    >>> distinct(["b", "a", "b"])[0]
    ['b', 'a']
    """
    place: dict[str, int] = {}
    where = np.fromiter((place.setdefault(text, len(place)) for text in texts), dtype=np.intp, count=len(texts))
    return list(place), where


def digest_of(texts: Sequence[str]) -> str:
    """What tells a list of texts from any other list, order included."""
    whole = hashlib.blake2b(digest_size=16)
    for text in texts:
        part = text.encode("utf-8", "surrogatepass")
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


class OfTexts:
    """What the scikit-learn estimators of texts share: they take texts, and models are loaded again when unpickled."""

    def __getstate__(self) -> dict[str, Any]:
        above: Any = super()
        state = dict(above.__getstate__())
        state.pop("_loaded", None)  # loaded again when needed, if it is still the same model
        state.pop("_located", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
