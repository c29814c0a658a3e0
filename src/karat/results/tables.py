"""Fits side by side, for a paper: ``kt.table``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.arguments import checked_arguments
from ..display.side_by_side import SideBySide
from ..errors import ArgumentError, check_alpha, one_of, whole
from .comparison import Comparison
from .described import facts_of
from .estimates import Estimates
from .fits import Fits

if TYPE_CHECKING:
    from .._core.types import Floats

_CONSTANTS = ("Intercept", "(Intercept)")
_LEVELS = (0.05, 0.01, 0.001)
_LONGEST_FACT = 24


@dataclass(frozen=True)
class _Column:
    """One column: what it estimates by name of the row, and what the foot says of it."""

    head: str
    names: tuple[str, ...]
    theta: Floats
    se: Floats
    low: Floats
    high: Floats
    p: Floats
    valid: bool = True
    facts: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""
    group: str = ""
    """Name of the fit, where it gives several columns."""


@checked_arguments()
def table(
    fits: object,
    *,
    under: str = "se",
    keep: str | Sequence[str] | None = None,
    hide: str | Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    digits: int = 3,
    stars: bool | Sequence[float] = False,
    alpha: float | None = None,
    classes: str = "rows",
    title: str | None = None,
    notes: str | Sequence[str] = (),
) -> SideBySide:
    """Put fits side by side in a table for a paper.

    Parameters
    ----------
    fits : estimates, list of estimates, or mapping of str to estimates
        A :class:`karat.Result`, or any other estimates of karat: of :func:`karat.shares`, :func:`karat.small_groups`,
        :func:`karat.did`, :func:`karat.slopes`, ``fit.ratios()``, sums and differences of fits, :func:`karat.several`.
        Each is a column. ``fit.compare()`` is a column for each estimator: surrogates alone, gold alone, and the
        fit. Names of a mapping head the columns; those of a list are numbered.
    under : {"se", "interval"}
        What stands below an estimate: the standard error in round brackets, or the confidence interval in square ones.
    keep : str or sequence of str, optional
        Rows shown, in this order: names, or patterns in which ``*`` stands for anything (``"C(state)*"``).
    hide : str or sequence of str, optional
        Rows left out, in the same way. For each name or pattern, constants apart, the foot says which columns have such
        rows: yes or no.
    labels : mapping of str to str, optional
        What rows are called in the table, by name; parts of interactions, outcomes and what ``hide`` names, too.
    digits : int
        Decimals.
    stars : bool or sequence of float
        Stars behind estimates whose p-value is below .05, .01, .001, or below the levels given. None by default, and
        never where intervals are not valid (surrogates alone).
    alpha : float, optional
        One minus the level of the intervals; by default that of each fit.
    classes : {"rows", "columns"}
        Where estimates are of classes (:func:`karat.multinomial`, :func:`karat.shares`): whether each class of the
        outcome has rows of its own, or a column.
    title : str, optional
        By default what was fitted, where that is the same in all columns.
    notes : str or sequence of str
        Further notes below the table.

    Returns
    -------
    SideBySide
        Prints as text and shows as HTML in a notebook; ``to_latex()``, ``to_markdown()``, ``to_html()``, ``frame()``,
        and ``save("table.docx")`` for files (.docx, .xlsx, .tex, .html, .md, .txt).

    Raises
    ------
    ArgumentError
        If something is not an estimate of karat, or a name or pattern fits no row.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> found = kt.table(fit.compare(), hide="length", labels={"hostile": "Hostile tone"})
    >>> found.heads, found.names
    (('Surrogate only', 'Gold only', 'DSL'), ('Hostile tone', 'Intercept'))
    """
    one_of("under", under, ("se", "interval"))
    one_of("classes", classes, ("rows", "columns"))
    level = None if alpha is None else check_alpha(alpha)
    digits = whole("digits", digits, least=0)
    levels = _star_levels(stars)
    named = dict(labels or {})
    read = _columns(fits, level)
    columns = [part for column, fit in read for part in (_by_class(column, fit) if classes == "columns" else [column])]
    every = list(dict.fromkeys(name for column in columns for name in column.names))
    rows, hidden = _chosen(every, _patterns("keep", keep), _patterns("hide", hide))
    values = {part: _matrix(columns, rows, part) for part in ("theta", "se", "low", "high", "p")}
    valid = np.array([column.valid for column in columns])
    marks = tuple(
        tuple(_mark(p, levels) if fine else "" for p, fine in zip(line, valid)) for line in values["p"]
    ) if levels else ()  # fmt: skip
    facts, alike = _foot(columns, hidden, named)
    left = len(every) - len(rows) - sum(len(found) for found in hidden.values())
    remarks = [
        *_told(fits, under, level, levels), *alike, *_unknown(values),
        *([f"{left} further coefficient(s) are not shown."] if left else []),
        *dict.fromkeys(column.remark for column in columns if column.remark),
        *([notes] if isinstance(notes, str) else notes),
    ]  # fmt: skip
    models = {column.facts.get("Model", "") for column in columns}
    return SideBySide(
        title if title is not None else (models.pop() if len(models) == 1 else ""),
        tuple(column.head for column in columns),
        tuple(_renamed(name, named) for name in rows),
        values["theta"], values["se"], facts, tuple(remarks), digits,
        (values["low"], values["high"]) if under == "interval" else None, marks,
    )  # fmt: skip


def _columns(fits: object, alpha: float | None) -> list[tuple[_Column, Any]]:
    """Columns with the estimates behind them, headed by name or number."""
    if isinstance(fits, (Comparison, Estimates)) and not isinstance(fits, Fits):
        given: list[tuple[str, Any]] = [("", fits)]
    elif isinstance(fits, Mapping):
        given = [(str(name), fit) for name, fit in fits.items()]
    elif isinstance(fits, Sequence) and not isinstance(fits, str):
        given = [(f"({k})", fit) for k, fit in enumerate(fits, 1)]
    else:
        given = [("", fits)]
    if not given:
        raise ArgumentError("fits is empty; give at least one fit.")
    out: list[tuple[_Column, Any]] = []
    for name, fit in given:
        found = _read(fit, alpha, name)
        for column in found:
            head = f"{name} {column.head}" if len(found) > 1 and name else name or column.head
            out.append((replace(column, head=head or "Estimate", group=name), fit))
    return out


def _read(fit: Any, alpha: float | None, name: str) -> list[_Column]:
    """The columns of one estimate."""
    if isinstance(fit, Comparison):
        return _compared(fit, alpha)
    if isinstance(fit, Fits) or not isinstance(fit, Estimates):
        what = f"fits[{name!r}]" if name else "fits"
        raise ArgumentError(
            f"{what} is a {type(fit).__name__}; give Results, other estimates of karat, or fit.compare(). Fits of "
            "kt.several are given by themselves; tables with fits of other packages are made by maketables' ETable."
        )
    bounds = fit.confint(alpha=alpha)
    coefficients = fit.coef()
    names = fit._numbers().names if coefficients.index.nlevels > 1 else coefficients.index
    facts = facts_of(fit)
    valid = getattr(fit, "estimator", "") != "surrogate"
    remark = "" if valid else "Surrogate only takes labels for truth; its intervals are not valid."
    return [
        _Column(
            facts.get("Estimator", ""), tuple(str(name) for name in names),
            coefficients.to_numpy(dtype=float), fit.se().to_numpy(dtype=float), bounds.iloc[:, 0].to_numpy(dtype=float),
            bounds.iloc[:, 1].to_numpy(dtype=float), fit.pvalue().to_numpy(dtype=float), valid, facts, remark,
        )
    ]  # fmt: skip


def _compared(found: Comparison, alpha: float | None) -> list[_Column]:
    """A column for each estimator of a comparison."""
    from scipy.stats import t

    facts = dict(found.facts) or {"Gold": f"{found.n_gold:,}"}
    out = []
    for column in found.columns:
        low, high = found.bounds(column, alpha)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2.0 * t.sf(np.abs(column.theta / column.se), column.df)
        caution = found.cautions.get(column.title, "")
        own = {name: value for name, value in facts.items() if name != "Estimator"}
        if column.title in _NO_GOLD:
            own["Gold"] = "0"
        remark = f"{column.title}: {caution}." if caution else ""
        out.append(_Column(column.title, found.names, column.theta, column.se, low, high, p, not caution, own, remark))
    return out


_NO_GOLD = ("Surrogate only", "Uncorrected")


def _by_class(column: _Column, fit: Any) -> list[_Column]:
    """A column for each class of the outcome; the column itself where there are none."""
    known = getattr(fit, "model", "") == "multinomial" or (
        isinstance(fit, Comparison) and dict(fit.facts).get("Model", "").startswith("Multinomial")
    )
    if not (known or hasattr(fit, "whole") or getattr(fit, "n_classes", 1) > 1):
        raise ArgumentError(
            f"classes='columns': {column.head!r} has no classes of an outcome; use classes='rows', or give only fits "
            "of kt.multinomial, kt.shares or kt.small_groups with classes."
        )
    spec = getattr(fit, "spec", None)
    terms = sorted(getattr(spec, "names", ()) or (), key=len, reverse=True)
    split = [_parted(name, terms) for name in column.names]
    out = []
    for value in dict.fromkeys(value for value, _ in split):
        at = [j for j, (own, _) in enumerate(split) if own == value]
        parts = {part: getattr(column, part)[at] for part in ("theta", "se", "low", "high", "p")}
        head = f"{column.head} {value}" if isinstance(fit, Comparison) or column.group else value
        out.append(replace(column, head=head, names=tuple(split[j][1] for j in at), **parts))
    return out


def _parted(name: str, terms: Sequence[str]) -> tuple[str, str]:
    """Class and term of ``"class: term"``; terms that are known are looked for at the end."""
    for term in terms:
        if name.endswith(f": {term}"):
            return name[: -len(term) - 2], term
    value, _, term = name.partition(": ")
    return value, term or "Share"


def _patterns(argument: str, given: str | Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None
    found = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(pattern, str) for pattern in found):
        raise ArgumentError(f"{argument}={given!r} must be names or patterns, such as 'C(state)*'.")
    return found


def _chosen(every: list[str], keep: list[str] | None, hide: list[str] | None) -> tuple[list[str], dict[str, list[str]]]:
    """Rows in their order, constants last unless named; and what each pattern of ``hide`` leaves out."""
    rows = [n for n in every if not _constant(n)] + [n for n in every if _constant(n)]
    if keep is not None:
        rows = list(dict.fromkeys(name for pattern in keep for name in _matching("keep", pattern, every)))
    hidden: dict[str, list[str]] = {}
    for pattern in hide or []:
        hidden[pattern] = [name for name in _matching("hide", pattern, every) if name in rows]
        rows = [name for name in rows if name not in hidden[pattern]]
    if not rows:
        raise ArgumentError(f"no row is left to show; keep some of {every}.")
    return rows, hidden


def _constant(name: str) -> bool:
    return name.rpartition(": ")[2] in _CONSTANTS


def _matching(argument: str, pattern: str, every: list[str]) -> list[str]:
    wanted = re.compile(re.escape(pattern).replace(r"\*", ".*"))
    found = [name for name in every if name == pattern or wanted.fullmatch(name)]
    if not found:
        raise ArgumentError(f"{argument}={pattern!r} fits no coefficient; there are {every}.")
    return found


def _matrix(columns: Sequence[_Column], rows: Sequence[str], part: str) -> Floats:
    """Values of all columns, shape (rows, columns); NaN where a column has no such row."""
    out = np.full((len(rows), len(columns)), np.nan)
    for k, column in enumerate(columns):
        known = dict(zip(column.names, getattr(column, part)))
        out[:, k] = [known.get(name, np.nan) for name in rows]
    return out


def _renamed(name: str, labels: Mapping[str, str]) -> str:
    """A row as the reader sees it: by its own label, or by those of its parts."""
    if name in labels:
        return labels[name]
    value, mark, term = name.rpartition(": ")
    if mark:
        return f"{labels.get(value, value)}: {_renamed(term, labels)}"
    parts = re.split(r":(?![^\[(]*[\])])", name)
    if any(part in labels for part in parts):
        return " × ".join(labels.get(part, part) for part in parts)
    return name


def _star_levels(stars: bool | Sequence[float]) -> tuple[float, ...]:
    if isinstance(stars, (bool, np.bool_)):
        return _LEVELS if stars else ()
    try:
        return tuple(sorted((check_alpha(level) for level in stars), reverse=True))
    except TypeError:
        raise ArgumentError(f"stars={stars!r} must be true, false, or a list of levels such as [0.1, 0.05].") from None


def _mark(p: float, levels: Sequence[float]) -> str:
    return "*" * sum(p < level for level in levels)


def _foot(
    columns: Sequence[_Column], hidden: Mapping[str, Sequence[str]], labels: Mapping[str, str]
) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], list[str]]:
    """Rows of facts that differ between columns, and notes for those that do not or are long."""
    rows: list[tuple[str, tuple[str, ...]]] = []
    for pattern, names in hidden.items():
        if all(_constant(name) for name in names):
            continue
        has = tuple("yes" if set(names) & set(column.names) else "no" for column in columns)
        rows.append((labels.get(pattern, pattern), has))
    alike, apart = [], []
    for name in dict.fromkeys(name for column in columns for name in column.facts):
        told = tuple(labels.get(value, value) for value in (column.facts.get(name, "") for column in columns))
        if name in ("Units", "Gold"):
            rows.append((name, told))
        elif name.endswith(" effects"):
            rows.append((name, tuple(value or "no" for value in told)))
        elif len(set(told)) == 1:
            alike += [] if name == "Model" else [told[0] if name == "About" else f"{name}: {told[0]}"]
        elif max(map(len, told)) <= _LONGEST_FACT:
            rows.append((name, told))
        else:
            apart += [_listed(name, value, columns, told) for value in dict.fromkeys(told) if value]
    return tuple(rows), [*(["; ".join(alike) + "."] if alike else []), *apart]


def _listed(name: str, value: str, columns: Sequence[_Column], told: Sequence[str]) -> str:
    having = dict.fromkeys(c.group or c.head for c, own in zip(columns, told) if own == value)
    return f"{'' if name == 'About' else f'{name}, '}{', '.join(having)}: {value}."


def _unknown(values: Mapping[str, Floats]) -> list[str]:
    """A note where estimates have no standard error."""
    missing = (np.isfinite(values["theta"]) & np.isnan(values["se"])).any()
    return ["Where nothing stands below an estimate, its standard error is not known."] if missing else []


def _told(fits: object, under: str, alpha: float | None, levels: Sequence[float]) -> list[str]:
    """What stands in brackets, and what stars mean."""
    if under == "se":
        out = ["Standard errors in brackets."]
    else:
        used = {alpha} if alpha is not None else {getattr(fit, "alpha", None) for _, fit in _columns(fits, alpha)}
        share = f"{100 * (1 - (used.pop() or 0.05)):g}% c" if len(used) == 1 else "C"
        out = [f"{share}onfidence intervals in brackets."]
    if levels:
        out.append(", ".join(f"{'*' * k} p < {level:g}" for k, level in enumerate(levels, 1)) + ".")
    return out
