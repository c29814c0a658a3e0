"""Matrices of a formula, and of the features that a predictor sees.

A parsed formula is turned into a spec that is replayed on gold rows, on predicted rows (once per class combination of
labelled covariates) and on new data. Numbers become floats first: ``year**7`` does not overflow, and true is 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError, FormulaError, KaratError
from .formula import Parsed
from .kinds import is_text, plain
from .lookups import are_columns, looked_up, refuse_out_of_reach, within_reach
from .notation import stage_columns
from .quoting import plain_message, quote, restored
from .table import as_float

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats


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
    right, left : tuple of int
        With instruments, columns that are covariates, and those of the first stage: exogenous ones and instruments.
    """

    parsed: Parsed
    outcome: Any = field(repr=False)
    covariates: Any = field(repr=False)
    columns: tuple[str, ...]
    names: tuple[str, ...]
    categories: frozenset[str]
    classes: tuple[Any, ...] = ()
    right: tuple[int, ...] = ()
    left: tuple[int, ...] = ()

    @classmethod
    def learn(
        cls, parsed: Parsed, frame: pd.DataFrame, context: Mapping[str, Any] | None, classes: tuple[Any, ...] = ()
    ) -> tuple[MatrixSpec, Floats]:
        """Fix levels and states on a complete frame; also gives its design matrix, shape (N, p)."""
        categories = frozenset(str(c) for c in frame.columns if is_text(frame[c], c, "covariate"))
        sides = [*parsed.formula.rhs, *(() if classes else parsed.formula.lhs)]
        as_they_are = are_columns(frame, sides, parsed, categories)  # then one row tells what a formula makes of them
        ready = _ready(parsed, frame.iloc[:1] if as_they_are else frame, categories)
        whole = frozenset(parsed.written(str(c)) for c in frame.columns if frame[c].dtype.kind in "iub")
        left = None if classes else _materialise(parsed, parsed.formula.lhs, ready, context, whole)
        right = _materialise(parsed, parsed.formula.rhs, ready, context, whole)
        if left is not None and left.shape[1] != 1:
            raise FormulaError(_not_one_column(parsed, frame, left.shape[1]))
        spec, right = right.model_spec, _without_intercept(parsed, right)
        names = tuple(restored(str(name), parsed.aliases) for name in right.columns)
        if twice := [name for name in names if names.count(name) > 1]:
            raise FormulaError(f"two coefficients of {parsed.text!r} are named {twice[0]!r}; rename a column.")
        outcome = None if left is None else left.model_spec
        of_right, of_left = stage_columns(parsed, spec, names)
        made = cls(parsed, outcome, spec, names, names, categories, classes, of_right, of_left)
        return made, made.x(frame, context) if as_they_are else _matrix(right, names)

    def x(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats:
        """Design matrix of a frame, shape (m, p)."""
        found = looked_up(frame, self.covariates, self.parsed, self.columns, self.categories)
        if found is not None:
            return found
        right = _materialise(self.parsed, self.covariates, self._ready(frame), context)
        none = "Intercept" in right.columns and "Intercept" not in self.columns  # effects or a baseline hold it
        return _matrix(right.drop(columns="Intercept") if none else right, self.columns)

    def y(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats:
        """Outcome of a frame, shape (m,); of a category indicators of all classes but the first, shape (m, K - 1)."""
        if self.classes:
            return class_shares(frame[self.parsed.outcome], self.parsed.outcome, self.classes)
        name = self.parsed.outcome
        as_it_is = self.parsed.outcome_variables == {name}  # then no formula is needed
        if as_it_is and frame[name].dtype == np.float64:
            values = frame[name].to_numpy()
            if within_reach(values, outcome=True):
                return values
        left = _materialise(self.parsed, self.outcome, self._ready(frame), context)
        return _matrix(left, (self.parsed.outcome,), outcome=True)[:, 0]

    def offset(self, frame: pd.DataFrame, context: Mapping[str, Any] | None = None) -> Floats | None:
        """Sum of the offsets, shape (m,), or None."""
        from formulaic import Formula

        total: Floats | None = None
        for expression in self.parsed.offsets:
            column = _materialise(self.parsed, Formula(f"I({expression}) - 1"), self._ready(frame), context)
            name = restored(f"offset({expression})", self.parsed.aliases)
            if column.shape[1] != 1:
                raise FormulaError(f"{name} gives {column.shape[1]} columns; it must be one number per row.")
            values = _matrix(column, (name,), outcome=True)[:, 0]
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
    other = "kt.shares has the shares of all, kt.multinomial their regression"
    return f"{text} Choose a category: write I({quote(name)} == {pick!r}) in its place; {other}."


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


def _without_intercept(parsed: Parsed, matrix: Any) -> Any:
    """Columns of the right-hand side, the intercept left out where fixed effects hold it."""
    return matrix.drop(columns="Intercept") if parsed.effects else matrix


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


def _matrix(matrix: Any, names: tuple[str, ...], outcome: bool = False) -> Floats:
    """Float64 copy, column by column in memory, refused where not finite, or where a size is out of reach."""
    out = np.empty(matrix.shape, dtype=np.float64, order="F")
    for j, name in enumerate(names):
        column = matrix.iloc[:, j]
        try:
            out[:, j] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            out[:, j] = as_float(column, name, "term")
        refuse_out_of_reach(out[:, j], name, outcome)
    return out


LEAST_PROBABILITY = 1e-3
MOST_LEVELS = 50
"""Levels of a text feature that get their own column; rarer ones share one."""


class Block(NamedTuple):
    """Columns that stand together, first to the one before ``stop``; ``alike`` where their sizes can be compared."""

    name: str
    start: int
    stop: int
    alike: bool = False
    shown: Any = None  # rows that show in which directions a wide block varies


@dataclass(frozen=True)
class Features:
    """Numeric features of all units.

    Parameters
    ----------
    matrix : ndarray, shape (N, f)
    names : tuple of str
    surrogate : tuple of int
        Columns that come from surrogates (the others are covariates and extra features).
    blocks : tuple of Block
        Columns after all others that stand together, such as those of a text.
    """

    matrix: Floats
    names: tuple[str, ...]
    surrogate: tuple[int, ...]
    blocks: tuple[Block, ...] = ()


def encode(columns: list[tuple[str, Any, bool]], n_rows: int) -> Features:
    """Build the feature matrix.

    Parameters
    ----------
    columns : list of (name, values, is_surrogate)
        Values of shape (N,) or (N, k). Numbers and booleans stay as they are, with missing ones set
        to the mean and flagged in a column of their own (any function of the features keeps the
        estimator valid); text and categories become indicators, missing being a level. Surrogates
        that lie in [0, 1] also enter as log odds.
    n_rows : int
        N.

    Returns
    -------
    Features

    Raises
    ------
    DataError
        If a feature is infinite or missing throughout.

    Examples
    --------
    >>> encode([("tone_llm", np.array([2.5, np.nan]), True)], 2).names
    ('tone_llm', 'tone_llm is missing')
    >>> encode([("p_llm", np.array([0.5, 0.9]), True)], 2).names
    ('p_llm', 'log odds of p_llm')
    """
    blocks: list[Floats] = []
    names: list[str] = []
    surrogate: list[int] = []
    for name, values, is_surrogate in columns:
        block, labels = _encode_one(name, values)
        if is_surrogate:
            block, labels = _with_log_odds(block, labels)
            surrogate += range(len(names), len(names) + len(labels))
        blocks.append(block)
        names += labels
    matrix = np.empty((n_rows, len(names)), order="F")
    at = 0
    for block in blocks:
        width = 1 if block.ndim == 1 else block.shape[1]
        matrix[:, at : at + width] = block.reshape(n_rows, width)
        at += width
    return Features(matrix, tuple(names), tuple(surrogate))


def _with_log_odds(block: Floats, labels: list[str]) -> tuple[Floats, list[str]]:
    """Add the log odds of surrogates that are probabilities, on which linear learners do better."""
    columns = block.reshape(len(block), -1)
    extra, names = [], []
    for j, name in enumerate(labels):
        values = columns[:, j]
        if values.min() >= 0 and values.max() <= 1 and not np.isin(values, (0.0, 1.0)).all():
            clipped = np.clip(values, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            extra.append(np.log(clipped / (1 - clipped)))
            names.append(f"log odds of {name}")
    if not extra:
        return block, labels
    return np.column_stack([columns, *extra]), labels + names


def _encode_one(name: str, values: Any) -> tuple[Floats, list[str]]:
    import pandas as pd

    if getattr(values, "ndim", 1) == 2:
        if is_text(np.ravel(values), name, "feature"):
            raise DataError(f"features {name!r} are several columns of text; name the columns of the data one by one.")
        matrix = np.asarray(values, dtype=np.float64)
        if not np.isfinite(matrix).all():
            raise DataError(f"features {name!r} hold missing or infinite values; fill them before fitting.")
        return matrix, [f"{name}[{j}]" for j in range(matrix.shape[1])]
    series = plain(values if isinstance(values, pd.Series) else pd.Series(np.asarray(values)))
    if is_text(series, name, "feature"):
        return _indicators(name, series)
    column = series.to_numpy(dtype=np.float64, na_value=np.nan)
    if within_reach(column, outcome=True):
        return column, [name]
    if np.isinf(column).any():
        raise DataError(f"feature {name!r} has {int(np.isinf(column).sum())} infinite value(s); replace them.")
    missing = np.isnan(column)
    if missing.all():
        raise DataError(f"feature {name!r} is missing in every row; leave it out.")
    refuse_out_of_reach(column[~missing], name, outcome=True)
    if missing.any():
        filled = np.where(missing, np.sort(column[~missing]).mean(), column)  # the same in any order of rows
        return np.column_stack([filled, missing]), [name, f"{name} is missing"]
    return column, [name]


def _indicators(name: str, series: pd.Series[Any]) -> tuple[Floats, list[str]]:
    import pandas as pd

    codes, levels = pd.factorize(series, sort=False)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    order = np.argsort([str(level) for level in levels], kind="stable")
    frequent = [k for k in order if k in set(np.argsort(-counts, kind="stable")[:MOST_LEVELS].tolist())]
    labels = [f"{name}={levels[k]}" for k in frequent]
    columns = [codes == k for k in frequent]
    if len(levels) > len(frequent):
        columns.append(~np.isin(codes, frequent) & (codes >= 0))
        labels.append(f"{name}=(rarer)")
    if (codes < 0).any():
        columns.append(codes < 0)
        labels.append(f"{name} is missing")
    return np.column_stack(columns).astype(np.float64), labels
