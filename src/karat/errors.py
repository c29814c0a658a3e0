"""Every error and warning karat raises.

All errors derive from :class:`KaratError`, which is a ``ValueError``. A message names
the argument or column, what came, what is allowed, and how to correct it. Warnings derive from
:class:`KaratWarning`, a ``UserWarning``.

Examples
--------
>>> import warnings
>>> import karat as kt
>>> try:
...     kt.SimpleRandom(n=9).draw({"document": [1, 2, 3]})
... except kt.errors.DesignError as error:
...     print(error)
n=9 is not possible: there are only 3 units. Give at most 3.
>>> with warnings.catch_warnings():
...     warnings.simplefilter("ignore", kt.errors.SmallSampleWarning)  # this one is expected
"""

from __future__ import annotations

import math
import numbers
import sys
import warnings
from typing import Any

import numpy as np


class KaratError(ValueError):
    """Root of every error karat raises on purpose.

    Parameters
    ----------
    message : str
        What went wrong, what is allowed and how to correct it.

    Examples
    --------
    >>> import karat as kt
    >>> issubclass(kt.KaratError, ValueError)
    True
    """


class ArgumentError(KaratError):
    """An argument has a value that is not allowed."""


class DataError(KaratError):
    """The data cannot be used as they are: a column is missing, infinite, constant, of the wrong type, ..."""


class FormulaError(KaratError):
    """The formula cannot be read, or asks for something the data do not have."""


class DesignError(KaratError):
    """The data contradict the sampling design, or the design cannot be drawn."""


class LearnerError(KaratError):
    """The predictor of the gold labels cannot be fitted or gives unusable predictions."""


class CacheError(KaratError):
    """A cache on disk cannot be read or written: the disk is full, the file is damaged or belongs to something else."""


class EndpointError(KaratError):
    """A model behind an HTTP endpoint cannot be reached, refuses, or gives answers that cannot be used."""


class BudgetError(KaratError):
    """What is left of a budget does not pay for the next request."""


class ProtocolError(KaratError):
    """What was laid down before the labels were made has been changed, or rows are used for what they are not for."""


class ConvergenceError(KaratError):
    """The moment equation has no root, or the solver did not find one."""


class SeparationError(ConvergenceError):
    """The outcome of a binary model is separated by the covariates: no finite estimate exists."""


class KaratWarning(UserWarning):
    """Root of every warning karat gives."""


class SmallSampleWarning(KaratWarning):
    """Few gold labels, few clusters with gold, or a rare gold class."""


class DesignWarning(KaratWarning):
    """The sampling design was assumed rather than given, or looks odd."""


class NotValidWarning(KaratWarning):
    """The intervals shown are not valid for the target (surrogate-only estimates)."""


class SolverWarning(KaratWarning):
    """The solver had to fall back to a second way of reaching the root."""


class RenamedWarning(KaratWarning, FutureWarning):
    """A name that is going to go was used; the warning says the new one."""


class PositivityWarning(KaratWarning):
    """Some rows are almost never seen uncensored: few rows carry much of the censoring weight."""


def tell(message: str, category: type[KaratWarning]) -> None:
    """Give a warning that points at the user's line, however deep inside the package it arises.

    Parameters
    ----------
    message : str
    category : type of KaratWarning

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     tell("only 12 gold rows", SmallSampleWarning)
    >>> caught[0].category.__name__
    'SmallSampleWarning'
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "karat":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise unless ``value`` is one of ``allowed``.

    Parameters
    ----------
    name : str
        Name of the argument, as the user typed it.
    value : object
        What came.
    allowed : tuple
        What may come.

    Raises
    ------
    ArgumentError
        If ``value`` is not in ``allowed``.

    Examples
    --------
    >>> one_of("target", "finite", ("superpopulation", "finite"))
    """
    try:
        known = value in allowed
    except (TypeError, ValueError):  # arrays and tables do not compare as a whole
        known = False
    if not known:
        listing = ", ".join(repr(option) for option in allowed)
        raise ArgumentError(f"{name}={_shown(value)} is not allowed; choose one of {listing}.")


def whole(name: str, value: object, *, least: int | None = None, most: int | None = None, instead: str = "") -> int:
    """A whole number from the user, checked.

    Parameters
    ----------
    name : str
        Name of the argument, as the user typed it.
    value : object
        What came; ``3.0`` and numpy numbers count, True and ``"3"`` do not.
    least, most : int, optional
        Bounds that are themselves allowed.
    instead : str
        What else is allowed, for the message: ``"or None for all"``.

    Returns
    -------
    int

    Raises
    ------
    ArgumentError
        If ``value`` is not a whole number, or out of bounds.

    Examples
    --------
    >>> whole("draws", 200.0, least=50)
    200
    """
    real = _real(value)
    if real is not None and real == int(real) and _within(real, least, most):
        return int(real)
    raise ArgumentError(_not_allowed(name, value, f"a whole number{_bounds(least, most)}", instead))


def number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    instead: str = "",
) -> float:
    """A finite number from the user, checked.

    Parameters
    ----------
    name : str
        Name of the argument, as the user typed it.
    value : object
        What came; True and ``"0.5"`` do not count as numbers.
    least, most : float, optional
        Bounds that are themselves allowed.
    above, below : float, optional
        Bounds that are not.
    instead : str
        What else is allowed, for the message: ``"or None"``.

    Returns
    -------
    float

    Raises
    ------
    ArgumentError
        If ``value`` is not a finite number, or out of bounds.

    Examples
    --------
    >>> number("alpha", 0.1, above=0, below=1)
    0.1
    """
    real = _real(value)
    if real is not None and abs(real) <= sys.float_info.max and _within(real, least, most, above, below):
        return float(real)
    raise ArgumentError(_not_allowed(name, value, f"a number{_bounds(least, most, above, below)}", instead))


def _real(value: object) -> Any:
    """The value if it is a finite real number (numpy's and fractions too, not True), else None."""
    if isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_)):
        return value
    try:
        good = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)) and math.isfinite(value)
    except OverflowError:
        return None
    return value if good else None


def _within(
    value: Any,
    least: float | None,
    most: float | None,
    above: float | None = None,
    below: float | None = None,
) -> bool:
    return (
        (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def _bounds(least: float | None, most: float | None, above: float | None = None, below: float | None = None) -> str:
    parts = [
        f"{words} {bound:g}"
        for words, bound in (("of at least", least), ("above", above), ("at most", most), ("below", below))
        if bound is not None
    ]
    return f" {' and '.join(parts)}" if parts else ""


def _not_allowed(name: str, value: object, wanted: str, instead: str) -> str:
    return f"{name}={_shown(value)} is not allowed; give {wanted}{', ' + instead if instead else ''}."


def _shown(value: object) -> str:
    """A value in a message, in one line and cut where it is long."""
    text = " ".join(repr(value).split()) if hasattr(value, "shape") else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def generator(seed: object, name: str = "seed") -> np.random.Generator:
    """The random number generator of a seed, checked.

    Parameters
    ----------
    seed : int, sequence of int, numpy.random.Generator, SeedSequence or None
    name : str
        Name of the argument, as the user typed it.

    Returns
    -------
    numpy.random.Generator
        A generator is handed on as it is.

    Raises
    ------
    ArgumentError
        If ``seed`` cannot be one.

    Examples
    --------
    >>> int(generator(7).integers(10))
    9
    """
    if isinstance(seed, numbers.Real):
        seed = whole(name, seed, least=0, instead="a numpy random generator, or None")
    try:
        return np.random.default_rng(seed)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{name}={seed!r} is not allowed; give a whole number of at least 0, a numpy random generator, or None."
        ) from error


def check_alpha(alpha: object) -> float:
    """The level of an interval, checked.

    Parameters
    ----------
    alpha : float
        One minus the confidence level.

    Returns
    -------
    float

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_alpha(0.1)
    0.1
    """
    return number("alpha", alpha, above=0, below=1, instead="such as 0.05")


def processes(n_jobs: object) -> int | None:
    """How many processes to use, checked: joblib's number, or None for one.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> processes(-1)
    -1
    """
    if n_jobs is None:
        return None
    if n_jobs == 0:
        raise ArgumentError("n_jobs=0 is not allowed; give a number of processes, -1 for all, or None.")
    return whole("n_jobs", n_jobs, instead="-1 for all, or None")
