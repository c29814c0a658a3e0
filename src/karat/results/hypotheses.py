"""Linear hypotheses as users write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import ArgumentError

if TYPE_CHECKING:
    from .._core.types import Floats

_NUMBER = re.compile(r"[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?")


class Numbers(Protocol):
    """Coefficients by name with their covariance, shape (p, p), and degrees of freedom, shape (p,)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the p coefficients."""

    @property
    def theta(self) -> Floats:
        """Estimates, shape (p,)."""

    @property
    def covariance(self) -> Floats:
        """Of the estimates."""

    @property
    def df(self) -> Floats:
        """Of the t quantiles."""


def read_hypotheses(known: Numbers, hypothesis: object) -> tuple[Floats, Floats, list[str]]:
    """Turn hypotheses into ``(R, r, texts)``.

    Parameters
    ----------
    known : Numbers
    hypothesis : str, list of str or array_like
        Texts, or a matrix of shape (k, p).

    Returns
    -------
    matrix : ndarray, shape (k, p)
    right : ndarray, shape (k,)
    texts : list of str
    """
    p = len(known.names)
    if isinstance(hypothesis, str):
        texts = [part.strip() for part in hypothesis.split(",")] if _splits(known, hypothesis) else [hypothesis.strip()]
    elif isinstance(hypothesis, (list, tuple)) and hypothesis and all(isinstance(h, str) for h in hypothesis):
        texts = [str(h).strip() for h in hypothesis]
    else:
        try:
            matrix = np.atleast_2d(np.asarray(hypothesis, dtype=np.float64))
        except (TypeError, ValueError):
            matrix = np.empty((0, 0))
        if matrix.ndim != 2 or matrix.shape[1] != p or not len(matrix) or not np.abs(matrix).sum(axis=1).all():
            raise ArgumentError(
                f"hypothesis must be text such as 'war = economy', a list of such texts, or a matrix with {p} columns."
            )
        return matrix, np.zeros(len(matrix)), [f"contrast {k + 1}" for k in range(len(matrix))]
    rows = [_read_one(known, text) for text in texts]
    return np.vstack([row for row, _ in rows]), np.array([right for _, right in rows]), texts


def _splits(known: Numbers, text: str) -> bool:
    return "," in text and not any("," in name and name in text for name in known.names)


def _read_one(known: Numbers, text: str) -> tuple[Floats, float]:
    sides = text.split("=")
    if len(sides) > 2:
        name_like = [n for n in known.names if "=" in n]
        if not name_like:
            raise ArgumentError(f"hypothesis {text!r} has more than one '='.")
    left, right = text, "0"
    for cut in [m.start() for m in re.finditer("=", text)]:
        if not any(name in text and text.find(name) < cut < text.find(name) + len(name) for name in known.names):
            left, right = text[:cut], text[cut + 1 :]
            break
    row_left, constant_left = _linear(known, left, text)
    row_right, constant_right = _linear(known, right, text)
    row = row_left - row_right
    if not row.any():
        raise ArgumentError(f"hypothesis {text!r} involves no coefficient; there are {list(known.names)}.")
    return row, constant_right - constant_left


def _linear(known: Numbers, text: str, whole: str) -> tuple[Floats, float]:
    """Coefficients and constant of a linear expression; names may hold any character."""
    row, constant = np.zeros(len(known.names)), 0.0
    names = sorted(known.names, key=len, reverse=True)
    rest, sign, factor, pending = text.strip(), 1.0, 1.0, False
    while rest:
        name = next((n for n in names if rest.startswith(n) and not _continues(rest, n)), None)
        number = _NUMBER.match(rest)
        if name is not None:
            row[known.names.index(name)] += sign * factor
            rest, sign, factor, pending = rest[len(name) :].strip(), 1.0, 1.0, False
        elif number:
            factor, rest = factor * float(number.group()), rest[number.end() :].strip()
            if rest.startswith("*"):
                rest, pending = rest[1:].strip(), True
                continue
            constant += sign * factor
            sign, factor, pending = 1.0, 1.0, False
        elif rest[0] in "+-":
            sign = sign * (-1.0 if rest[0] == "-" else 1.0)
            rest = rest[1:].strip()
            pending = True
            continue
        else:
            raise ArgumentError(
                f"hypothesis {whole!r} cannot be read at {rest!r}; coefficients are {list(known.names)}."
            )
        if rest and rest[0] not in "+-":
            raise ArgumentError(
                f"hypothesis {whole!r} cannot be read at {rest!r}; coefficients are {list(known.names)}."
            )
    if pending:
        raise ArgumentError(f"hypothesis {whole!r} ends too early.")
    return row, constant


def _continues(rest: str, name: str) -> bool:
    """Whether a name in the text goes on beyond this coefficient (``war`` in ``warfare``)."""
    after = rest[len(name) : len(name) + 1]
    return bool(after) and (after.isalnum() or after in "_[(:")
