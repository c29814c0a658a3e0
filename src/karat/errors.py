"""Every error and warning karat raises.

All errors derive from :class:`KaratError`, which is a ``ValueError``. A message names
the argument or column, what came, what is allowed, and how to mend it.
"""

from __future__ import annotations

import sys
import warnings


class KaratError(ValueError):
    """Root of every error karat raises on purpose.

    Parameters
    ----------
    message : str
        What went wrong, what is allowed and how to mend it.

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
    if value not in allowed:
        listing = ", ".join(repr(option) for option in allowed)
        raise ArgumentError(f"{name}={value!r} is not allowed; choose one of {listing}.")
