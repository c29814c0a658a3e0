"""Wrong keyword arguments, answered by the function that was called."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from ..errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")


def checked_arguments(*hands_on: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a public function so that wrong arguments raise an error that names it and the nearest argument.

    Parameters
    ----------
    *hands_on : callable
        Functions that take its ``**options``; their keyword arguments are allowed too.

    Returns
    -------
    callable
        A decorator.

    Examples
    --------
    >>> @checked_arguments()
    ... def fit(data, *, learner="auto"):
    ...     return learner
    >>> fit([1], learnr="linear")
    Traceback (most recent call last):
    karat.errors.ArgumentError: fit() has no argument 'learnr'. Did you mean learner=?
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        names = [name for name, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD]
        for other in hands_on:
            names += [n for n, p in inspect.signature(other).parameters.items() if p.kind is p.KEYWORD_ONLY]

        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            known_arguments(options, function.__name__, names)
            try:
                signature.bind(*args, **options)
            except TypeError as error:
                raise ArgumentError(f"{function.__name__}(): {error}.") from None
            return function(*args, **options)

        return call

    return decorate


def known_arguments(given: Iterable[str], caller: str, known: Iterable[str]) -> None:
    """Raise where a function is given an argument that it does not have.

    Parameters
    ----------
    given : iterable of str
    caller : str
        Name of the function.
    known : iterable of str
        Arguments it has.

    Raises
    ------
    ArgumentError
        With the nearest name.
    """
    names = list(dict.fromkeys(known))
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}=?" if near else f"It takes {', '.join(names)}."
            raise ArgumentError(f"{caller}() has no argument {name!r}. {hint}")
