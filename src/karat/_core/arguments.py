"""Arguments of public functions: answers to wrong ones, help for those handed on, and what a Result remembers."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, get_type_hints

import numpy as np

from ..errors import ArgumentError, RenamedWarning, tell

_ELSEWHERE = {
    **dict.fromkeys(("split", "fsplit"), "karat.several(formula, data, model=..., {}=...) fits each sample."),
    **dict.fromkeys(("cov_type", "cov_kwds", "se"), "Write vcov='HC1', or vcov={{'CRV1': 'column'}} with clusters."),
    "exposure": "Write + offset(np.log(exposure)) in the formula.",
    "offset": "Write + offset(column) in the formula.",
    "order": "An outcome has its order from its column, data[y] = pd.Categorical(data[y], categories=[...], "
    "ordered=True), or from the formula, C(y, levels=[...]) ~ x.",
}
"""Arguments that users of other packages look for, and where they are."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Option:
    """What is known of an option: default, words for the help, whether a Result remembers it."""

    default: Any
    allowed: str
    doc: str
    remembered: bool = True


def options_in(kinds: type) -> dict[str, Option]:
    """The options that a TypedDict declares.

    Examples
    --------
    >>> from typing import Annotated, TypedDict
    >>> Given = TypedDict("Given", {"alpha": Annotated[float, Option(0.05, "float", "Level.")]})
    >>> options_in(Given)["alpha"].default
    0.05
    """
    return {name: kind.__metadata__[0] for name, kind in get_type_hints(kinds, include_extras=True).items()}


@dataclass(frozen=True)
class Call:
    """Arguments of a fit, so that it can be made again on the same or on masked data.

    Parameters
    ----------
    model, formula : str
    arguments : dict
        Further arguments of :func:`karat.regress`, without the design. Names of columns and settings only.
    left_out : tuple of str
        Arguments that held values of the data (arrays) or functions; whoever repeats the fit gives them again.
    design : Design or None
        The design as the user wrote it, without the sample drawn from it.
    """

    model: str
    formula: str
    arguments: Mapping[str, Any] = field(repr=False)
    left_out: tuple[str, ...] = ()
    design: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, model: str, formula: str, arguments: Mapping[str, Any], design: object = None) -> Call:
        """Remember arguments; values of the data are named, not kept.

        Examples
        --------
        >>> Call.of("ols", "y ~ x", {"cluster": np.zeros(3), "alpha": 0.1}).left_out
        ('cluster',)
        """
        kept = {name: value for name, value in arguments.items() if _is_setting(name, value)}
        return cls(model, formula, kept, tuple(name for name in arguments if name not in kept), _written(design))

    def seeded(self, seed: Any) -> Call:
        """The same call with the seed that was used, where it is a number.

        Examples
        --------
        >>> Call.of("ols", "y ~ x", {"seed": None}).seeded(7).arguments["seed"]
        7
        """
        return replace(self, arguments={**self.arguments, "seed": seed}) if _is_setting("seed", seed) else self


def _is_setting(name: str, value: Any) -> bool:
    """Whether a value is a name or a setting rather than data, a function or a stream of random numbers."""
    if value is None or isinstance(value, (str, bool, int, float, np.number)):
        return True
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, str) or (isinstance(item, Mapping) and _is_setting("", item)) for item in value)
    if isinstance(value, Mapping):
        return all(_is_setting("text" if name == "text" else "", item) for item in value.values())
    return name in ("learner", "text") and hasattr(value, "get_params")


def _written(design: Any) -> Any:
    """The design without the draw; None where it holds probabilities row by row."""
    base = getattr(getattr(design, "design", design), "base", design)
    return base if hasattr(base, "select") and not hasattr(getattr(base, "probability", None), "shape") else None


def checked_arguments(
    *hands_on: type,
    refused: Mapping[str, str] = MappingProxyType({}),
    defaults: Mapping[str, Any] = MappingProxyType({}),
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a public function so that wrong arguments raise an error that names it and the nearest argument.

    Arguments under the name they had in the release before work with a warning (docs/stability.md).

    Parameters
    ----------
    *hands_on : type
        What its ``**options`` are: a TypedDict of options. They join its signature and its help.
    refused : mapping
        Handed-on arguments that the function does not take, and why; they are left out of signature and help.
    defaults : mapping
        Handed-on arguments for which the function has a default of its own.
    renamed : mapping
        Former name of an argument -> its name now.

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
        open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        shown = {name: p for name, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD}
        docs: dict[str, str] = {}
        for other in hands_on:
            more, words = _declared(other)
            new = [name for name in more if name not in shown and name not in refused]
            docs |= {name: words[name] for name in new if name in words}
            shown |= {name: more[name].replace(default=defaults.get(name, more[name].default)) for name in new}
        names = list(shown)

        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            given = _under_present_names(function.__name__, options, renamed)
            for name in given:
                if name in refused:
                    raise ArgumentError(f"{name}= cannot be set here; {refused[name]}.")
            if hands_on or not open_ended:
                known_arguments(given, function.__name__, names)
            try:
                signature.bind(*args, **given)
            except TypeError as error:
                raise ArgumentError(f"{function.__name__}(): {error}.") from None
            return function(*args, **given)

        if hands_on:
            call.__signature__ = signature.replace(parameters=list(shown.values()))  # type: ignore[attr-defined]
            call.__doc__ = _with_options(function.__doc__, docs)
        return call

    return decorate


def _under_present_names(caller: str, given: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Arguments under the names they have now; a former name is warned about.

    Raises
    ------
    ArgumentError
        If an argument is given under both names.
    """
    out = dict(given)
    for name in [name for name in given if name in renamed]:
        now = renamed[name]
        if now in given:
            raise ArgumentError(f"{caller}(): {name}= is the former name of {now}=; give {now}= alone.")
        tell(f"{name}= of {caller}() is now called {now}=; the former name goes in a later release.", RenamedWarning)
        out[now] = out.pop(name)
    return out


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
            hint = _ELSEWHERE[name].format(name) if name in _ELSEWHERE and "formula" in names else hint
            raise ArgumentError(f"{caller}() has no argument {name!r}. {hint}")


def _declared(other: type) -> tuple[dict[str, inspect.Parameter], dict[str, str]]:
    """Options of a TypedDict as keyword arguments, and their entries in the help."""
    hints, options = get_type_hints(other), options_in(other)
    words = {
        name: f"{name} : {option.allowed}\n" + textwrap.indent(textwrap.fill(option.doc, 108), "    ")
        for name, option in options.items()
    }
    only = inspect.Parameter.KEYWORD_ONLY
    return {
        name: inspect.Parameter(name, only, default=option.default, annotation=hints[name])
        for name, option in options.items()
    }, words


def _with_options(doc: str | None, entries: Mapping[str, str]) -> str | None:
    """A docstring whose entry ``**options`` gives way to one for each option."""
    listed = textwrap.indent("\n".join(entries.values()), "    ")
    return doc and re.sub(r"^    \*\*options\n(?:        .*\n)+", lambda _: f"{listed}\n", doc, flags=re.MULTILINE)
