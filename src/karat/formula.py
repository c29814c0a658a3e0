"""Formula text to roles and matrices.

A formula is parsed once and turned into a spec that is replayed on gold rows, on predicted rows
(once per class combination of labelled covariates) and on new data.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DataError, FormulaError
from .frames.table import as_float

if TYPE_CHECKING:
    import pandas as pd

    from ._types import Floats

_STATEFUL = re.compile(r"\b(scale|center|standardize|poly|bs|cs|cr|cc|lag|Q)\s*\(")
AGGREGATE = re.compile(r"\.(mean|std|var|median|min|max|sum|rank|quantile|cumsum|shift|diff)\s*\(")
"""Calls that look at the whole column, so that they mean something else on other rows."""
_COPY_ROWS = 4_096
"""Rows copied at a time from columns to rows, so that a block stays in cache."""
_OFFSET = re.compile(r"^offset\((.*)\)$", re.DOTALL)


@dataclass(frozen=True)
class Parsed:
    """A formula taken apart.

    Parameters
    ----------
    text : str
        What the user typed.
    outcome : str
        Left-hand side.
    outcome_variables, covariate_variables : frozenset of str
        Columns each side reads.
    offsets : tuple of str
        Expressions inside ``offset(...)``.
    coded : frozenset of str
        Variables that stand inside ``C(...)``.
    offset_variables : frozenset of str
        Columns the offsets read.
    formula : formulaic.Formula
        Without the offsets.
    """

    text: str
    outcome: str
    outcome_variables: frozenset[str]
    covariate_variables: frozenset[str]
    offsets: tuple[str, ...]
    coded: frozenset[str]
    offset_variables: frozenset[str]
    formula: Any = field(repr=False)

    @property
    def variables(self) -> frozenset[str]:
        """Every column the formula reads."""
        return self.outcome_variables | self.covariate_variables


def parse(text: str, columns: list[str], context: Mapping[str, Any] | None = None) -> Parsed:
    """Parse a regression formula.

    Parameters
    ----------
    text : str
        ``"outcome ~ covariates"`` in the Wilkinson notation of formulaic; ``offset(x)`` adds an offset.
    columns : list of str
        Columns of the data, so that functions and columns can be told apart.
    context : mapping, optional
        Further names (functions, constants) a formula may use.

    Returns
    -------
    Parsed

    Raises
    ------
    FormulaError
        If the text is not a formula with one outcome.

    Examples
    --------
    >>> sorted(parse("tone ~ war + np.log(words)", ["tone", "war", "words"]).covariate_variables)
    ['war', 'words']
    """
    from formulaic import Formula, SimpleFormula
    from formulaic.errors import FormulaicError

    if not isinstance(text, str):
        raise FormulaError(f"formula is a {type(text).__name__}; give text such as 'tone ~ economy + war'.")
    try:
        formula = Formula(text)
    except FormulaicError as error:
        raise FormulaError(f"formula {text!r} cannot be read: {_plain(error)}") from None
    if not hasattr(formula, "lhs") or not hasattr(formula, "rhs"):
        raise FormulaError(f"formula {text!r} has no outcome; write 'outcome ~ covariates'.")
    if not isinstance(formula.rhs, SimpleFormula) or not isinstance(formula.lhs, SimpleFormula):
        raise FormulaError(
            f"formula {text!r} has a part after a bar '|' (fixed effects or instruments), which is not supported; "
            "write fixed effects as C(column) on the right."
        )
    if len(formula.lhs) != 1:
        raise FormulaError(f"formula {text!r} must have exactly one outcome on the left of '~'.")
    from formulaic.transforms import TRANSFORMS

    clash = next(
        (c for c in columns if c in TRANSFORMS and re.search(rf"(?<![\w.]){re.escape(c)}(?!\w|\s*[(.])", text)), None
    )
    if clash is not None:
        raise FormulaError(
            f"the column {clash!r} in {text!r} has the name of a formula function; rename the column, for example to "
            f"{clash.lower() + '_'!r}."
        )
    kept, offsets = [], []
    for term in formula.rhs:
        match = _OFFSET.match(str(term))
        if match:
            offsets.append(match.group(1))
        else:
            kept.append(term)
    if not kept:
        raise FormulaError(f"formula {text!r} has no covariates and no intercept; there is nothing to estimate.")
    right = SimpleFormula(kept)
    known = set(columns) | set(context or {})
    covariates = _variables(right, columns)
    in_offsets = _offset_variables(offsets, columns)
    covariates |= in_offsets
    outcome = _variables(formula.lhs, columns)
    unknown = sorted((covariates | outcome) - known)
    if unknown:
        import difflib

        near = difflib.get_close_matches(unknown[0], columns, n=3)
        hint = f" Did you mean {', '.join(map(repr, near))}?" if near else f" Columns: {', '.join(columns[:12])}."
        raise FormulaError(f"formula {text!r} uses {unknown[0]!r}, which is not a column of the data.{hint}")
    used = set(columns)
    coded = {v for v in used if re.search(rf"\bC\(\s*`?{re.escape(v)}`?\s*[,)]", text)}
    return Parsed(
        text=text,
        outcome=str(next(iter(formula.lhs))),
        outcome_variables=frozenset(outcome & used),
        covariate_variables=frozenset(covariates & used),
        offsets=tuple(offsets),
        coded=frozenset(coded),
        offset_variables=frozenset(in_offsets & used),
        formula=Formula(lhs=formula.lhs, rhs=right),
    )


def row_by_row(parsed: Parsed) -> bool:
    """Whether every factor is a column or ``C(column)``, so that a row's values depend on that row alone."""
    factors = [str(f.expr) for term in [*parsed.formula.lhs, *parsed.formula.rhs] for f in term.factors]
    return all(re.fullmatch(r"\d+|[\w ]+|C\([\w ]+\)", text.replace("`", "")) for text in factors)


def _offset_variables(offsets: list[str], columns: list[str]) -> set[str]:
    """Columns that offsets read.

    Raises
    ------
    FormulaError
        If one is no arithmetic expression.
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    found: set[str] = set()
    for expression in offsets:
        try:
            ast.parse(expression, mode="eval")
            found |= _variables(Formula(f"I({expression}) - 1"), columns)
        except (FormulaicError, SyntaxError):
            raise FormulaError(
                f"offset({expression}) is no arithmetic expression; write for example offset(np.log(n))."
            ) from None
    return found


def _variables(formula: Any, columns: list[str]) -> set[str]:
    """Columns and unknown names a formula reads; formulaic leaves out the arguments of stateful transforms."""
    found = {str(v) for v in formula.required_variables}
    for term in formula:
        for factor in term.factors:
            try:
                tree = ast.parse(str(factor.expr), mode="eval")
            except SyntaxError:
                continue
            found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in columns}
    return found


def refuse_stateful(parsed: Parsed, labelled: list[str]) -> None:
    """Raise where a labelled variable stands in a transform that learns from the data.

    Raises
    ------
    FormulaError
        Centring or scaling a partly observed variable would change with the predictions.
    """
    for term in [*parsed.formula.lhs, *parsed.formula.rhs]:
        for factor in term.factors:
            text = str(factor.expr)
            if _STATEFUL.search(text) or AGGREGATE.search(text):
                inside = [name for name in labelled if re.search(rf"\b{re.escape(name)}\b", text)]
                if inside:
                    raise FormulaError(
                        f"{text!r} learns its scale from {inside[0]!r}, whose gold is known in a sample only; "
                        f"use fixed "
                        f"numbers instead, for example I(({inside[0]} - 50) / 10)."
                    )


@dataclass(frozen=True)
class MatrixSpec:
    """A formula fixed on the levels and states of a first frame, replayed on others.

    Parameters
    ----------
    parsed : Parsed
    outcome, covariates : formulaic.ModelSpec
    names : tuple of str
        Coefficient names.
    """

    parsed: Parsed
    outcome: Any = field(repr=False)
    covariates: Any = field(repr=False)
    names: tuple[str, ...]

    @classmethod
    def learn(cls, parsed: Parsed, frame: pd.DataFrame, context: Mapping[str, Any] | None) -> tuple[MatrixSpec, Floats]:
        """Fix levels and states on a complete frame; also gives its design matrix, shape (N, p)."""
        left = _materialise(parsed.formula.lhs, frame, context, parsed.text)
        right = _materialise(parsed.formula.rhs, frame, context, parsed.text)
        if left.shape[1] != 1:
            raise FormulaError(
                f"the outcome {parsed.outcome!r} gives {left.shape[1]} columns; it must be one number per row. "
                f"Recode a category, for example I({parsed.outcome} == 'value')."
            )
        spec = cls(parsed, left.model_spec, right.model_spec, tuple(map(str, right.model_spec.column_names)))
        return spec, _matrix(right, spec.names)

    def x(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats:
        """Design matrix of a frame, shape (m, p)."""
        return _matrix(_materialise(self.covariates, frame, context, self.parsed.text), self.names)

    def y(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats:
        """Outcome of a frame, shape (m,)."""
        left = _materialise(self.outcome, frame, context, self.parsed.text)
        return _matrix(left, (self.parsed.outcome,))[:, 0]

    def offset(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats | None:
        """Sum of the offsets, shape (m,), or None."""
        from formulaic import Formula

        total: Floats | None = None
        for expression in self.parsed.offsets:
            column = _materialise(Formula(f"I({expression}) - 1"), frame, context, self.parsed.text)
            if column.shape[1] != 1:
                raise FormulaError(
                    f"offset({expression}) gives {column.shape[1]} columns; it must be one number per row."
                )
            values = _matrix(column, (f"offset({expression})",))[:, 0]
            total = values if total is None else total + values
        return total


def _materialise(spec: Any, frame: pd.DataFrame, context: Mapping[str, Any] | None, text: str) -> Any:
    from formulaic.errors import FormulaicError

    try:
        return spec.get_model_matrix(frame, context=dict(context or {}), na_action="ignore", output="pandas")
    except FormulaicError as error:
        raise FormulaError(f"formula {text!r} cannot be evaluated: {_plain(error)}") from None


def _matrix(matrix: Any, names: tuple[str, ...]) -> Floats:
    """Row-major float64 copy, refused where not finite."""
    columns = []
    for j, name in enumerate(names):
        column = matrix.iloc[:, j]
        try:
            columns.append(column.to_numpy(dtype=np.float64, na_value=np.nan))
        except (TypeError, ValueError):
            columns.append(as_float(column, name, "term"))
    out = np.empty(matrix.shape, dtype=np.float64)
    for start in range(0, len(out), _COPY_ROWS):
        block = slice(start, start + _COPY_ROWS)
        for j, values in enumerate(columns):
            out[block, j] = values[block]
    if not np.isfinite(out.sum()):
        bad = ~np.isfinite(out)
        j = int(np.flatnonzero(bad.any(axis=0))[0])
        raise DataError(
            f"the term {names[j]!r} is not finite in {int(bad[:, j].sum())} row(s), first at position "
            f"{int(np.flatnonzero(bad[:, j])[0])}; a logarithm of zero or a division by zero makes this. Mend "
            f"the column "
            "or the transform."
        )
    return out


def _plain(error: Exception) -> str:
    """A formulaic message without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m|⧛[^m]*m|⧚", "", str(error)).replace("\n", " ").strip()
