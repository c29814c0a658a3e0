"""Matrices of a formula.

A parsed formula is turned into a spec that is replayed on gold rows, on predicted rows (once per class combination of
labelled covariates) and on new data. Numbers become floats before it is evaluated, so that ``year**7`` does not
overflow, and true is 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, FormulaError, KaratError
from .formula import Parsed, plain_message
from .kinds import is_text
from .quoting import quote, restored
from .table import as_float

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

_COPY_ROWS = 4_096
"""Rows copied at a time from columns to rows, so that a block stays in cache."""


@dataclass(frozen=True)
class MatrixSpec:
    """A formula fixed on the levels and states of a first frame, replayed on others.

    Parameters
    ----------
    parsed : Parsed
    outcome, covariates : formulaic.ModelSpec
    columns : tuple of str
        Names of the columns of the design matrix.
    names : tuple of str
        Names of the coefficients: those of the columns, unless the model has several linear predictors.
    categories : frozenset of str
        Columns of text or categories in the first frame.
    classes : tuple
        Of an outcome that is a category, the base first; empty for numbers.
    """

    parsed: Parsed
    outcome: Any = field(repr=False)
    covariates: Any = field(repr=False)
    columns: tuple[str, ...]
    names: tuple[str, ...]
    categories: frozenset[str]
    classes: tuple[Any, ...] = ()

    @classmethod
    def learn(
        cls, parsed: Parsed, frame: pd.DataFrame, context: Mapping[str, Any] | None, classes: tuple[Any, ...] = ()
    ) -> tuple[MatrixSpec, Floats]:
        """Fix levels and states on a complete frame; also gives its design matrix, shape (N, p)."""
        categories = frozenset(str(c) for c in frame.columns if is_text(frame[c], c, "covariate"))
        ready = _ready(parsed, frame, categories)
        whole = frozenset(parsed.written(str(c)) for c in frame.columns if frame[c].dtype.kind in "iub")
        left = None if classes else _materialise(parsed, parsed.formula.lhs, ready, context, whole)
        right = _materialise(parsed, parsed.formula.rhs, ready, context, whole)
        if left is not None and left.shape[1] != 1:
            raise FormulaError(_not_one_column(parsed, frame, left.shape[1]))
        names = tuple(restored(str(name), parsed.aliases) for name in right.model_spec.column_names)
        if twice := [name for name in names if names.count(name) > 1]:
            raise FormulaError(f"two coefficients of {parsed.text!r} are named {twice[0]!r}; rename a column.")
        outcome = None if left is None else left.model_spec
        return cls(parsed, outcome, right.model_spec, names, names, categories, classes), _matrix(right, names)

    def x(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats:
        """Design matrix of a frame, shape (m, p)."""
        return _matrix(_materialise(self.parsed, self.covariates, self._ready(frame), context), self.columns)

    def y(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats:
        """Outcome of a frame, shape (m,); of a category indicators of all classes but the first, shape (m, K - 1)."""
        if self.classes:
            return class_shares(frame[self.parsed.outcome], self.parsed.outcome, self.classes)
        left = _materialise(self.parsed, self.outcome, self._ready(frame), context)
        return _matrix(left, (self.parsed.outcome,))[:, 0]

    def offset(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats | None:
        """Sum of the offsets, shape (m,), or None."""
        from formulaic import Formula

        total: Floats | None = None
        for expression in self.parsed.offsets:
            column = _materialise(self.parsed, Formula(f"I({expression}) - 1"), self._ready(frame), context)
            name = restored(f"offset({expression})", self.parsed.aliases)
            if column.shape[1] != 1:
                raise FormulaError(f"{name} gives {column.shape[1]} columns; it must be one number per row.")
            values = _matrix(column, (name,))[:, 0]
            total = values if total is None else total + values
        return total

    def _ready(self, frame: pd.DataFrame) -> pd.DataFrame:
        return _ready(self.parsed, frame, self.categories)


def class_shares(values: Any, name: str, classes: tuple[Any, ...]) -> Floats:
    """Indicators of all classes but the first, shape (m, K - 1), or (m,) for two classes.

    Raises
    ------
    DataError
        If a value is none of the classes.

    Examples
    --------
    >>> class_shares(["war", "law", "tax"], "topic", ("law", "tax", "war"))
    array([[0., 1.],
           [0., 0.],
           [1., 0.]])
    """
    import pandas as pd

    codes = pd.Categorical(values, categories=list(classes)).codes
    if (codes < 0).any():
        stranger = np.asarray(values)[codes < 0][0]
        raise DataError(f"the outcome {name!r} holds {stranger!r}, which is none of its classes {list(classes)}.")
    shares: Floats = np.eye(len(classes))[codes, 1:]
    return shares[:, 0] if len(classes) == 2 else shares


def least_columns(parsed: Parsed, frame: pd.DataFrame) -> int:
    """Columns the design matrix has at least, counted from the categories before it is built.

    Parameters
    ----------
    parsed : Parsed
    frame : pandas.DataFrame
        Covariates of all rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from karat.frames.formula import parse
    >>> least_columns(parse("y ~ x + C(g)", ["y", "x", "g"]), pd.DataFrame({"x": [0.1, 0.2], "g": [1, 2]}))
    3
    """
    columns = {parsed.written(str(name)): name for name in frame.columns}

    def width(factor: str) -> int:
        match = re.fullmatch(r"(C\()?(\w+)\)?", factor)
        if match is None or match.group(2) not in columns:
            return 1
        column = frame[columns[match.group(2)]]
        return max(column.nunique() - 1, 1) if match.group(1) or is_text(column, column.name, "covariate") else 1

    terms = parsed.formula.rhs
    return sum(int(np.prod([width(str(f.expr)) for f in term.factors], dtype=float)) for term in terms)


def _not_one_column(parsed: Parsed, frame: pd.DataFrame, n_columns: int) -> str:
    text = f"the outcome {parsed.outcome!r} gives {n_columns} columns; it must be one number per row."
    name = next(iter(parsed.outcome_variables), None)
    if name is None or name not in frame or not is_text(frame[name]):
        return text
    values = [v for v in frame[name].dropna().unique()]
    pick = next((v for v in values if str(v).lower() in ("yes", "true", "1")), values[-1])
    return f"{text} Choose a category: write I({quote(name)} == {pick!r}) in its place, or use kt.multinomial."


def _materialise(
    parsed: Parsed,
    spec: Any,
    ready: pd.DataFrame,
    context: Mapping[str, Any] | None,
    whole: frozenset[str] = frozenset(),
) -> Any:
    """Evaluate a formula on a frame that is ready; ``whole`` names columns that came as whole numbers or booleans."""
    known = {"C": partial(_categories, whole), **(context or {})}
    try:
        return spec.get_model_matrix(ready, context=known, na_action="ignore", output="pandas")
    except (KaratError, Warning):
        raise
    except Exception as error:
        said = restored(plain_message(error), parsed.aliases)
        if "TypeError" in said and re.search(r"[&|]|\(~", parsed.code):
            said += " True/false columns are 1 and 0 here: write a * b for 'and', 1 - a for 'not'."
        raise FormulaError(f"formula {parsed.text!r} cannot be evaluated: {said}") from None


def _ready(parsed: Parsed, frame: pd.DataFrame, categories: frozenset[str]) -> pd.DataFrame:
    """The frame as formulas see it: numbers and booleans as floats, quoted names as identifiers.

    Raises
    ------
    DataError
        If a column holds text where the fit had numbers.
    """
    changed: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        text = is_text(column, name, "covariate")
        if text and name not in categories:
            raise DataError(f"column {name!r} holds text or categories; in the fit it held numbers.")
        if not text and name in categories:
            changed[name] = column.astype(object)
        elif not text and column.dtype != np.float64:
            changed[name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    ready = frame.assign(**changed) if changed else frame
    return ready.rename(columns=parsed.aliases) if parsed.aliases else ready


def _categories(whole: frozenset[str], data: Any, *args: Any, **options: Any) -> Any:
    """``C()`` of formulas: numbers are compared by value, and named as whole numbers where they came as such."""
    import pandas as pd
    from formulaic.transforms.contrasts import C

    if isinstance(data, pd.Series) and data.dtype == np.float64 and data.name in whole and (np.mod(data, 1) == 0).all():
        data = data.astype(np.int64)
    return C(data, *args, **options)


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
            f"{int(np.flatnonzero(bad[:, j])[0])}; a logarithm of zero or a division by zero makes this. "
            "Correct the column or the transform."
        )
    return out
