"""Formula text to roles and matrices.

A formula is parsed once and turned into a spec that is replayed on gold rows, on predicted rows
(once per class combination of labelled covariates) and on new data. Numbers become floats before it is evaluated, so
that ``year**7`` does not overflow, and true is 1.

A formula is code: functions in it are called. Never evaluate a formula that comes from somebody you do not trust.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, FormulaError, KaratError
from .kinds import is_text
from .quoting import quote, restored, unknown, unquoted
from .table import as_float

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

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
    code : str
        The same with an identifier in the place of each quoted name.
    aliases : dict of str to str
        Column -> the identifier that takes its place, for quoted names.
    outcome : str
        Left-hand side.
    outcome_variables, covariate_variables : frozenset of str
        Columns each side reads.
    offsets : tuple of str
        Expressions inside ``offset(...)``.
    coded : frozenset of str
        Variables that are used inside ``C(...)``.
    offset_variables : frozenset of str
        Columns the offsets read.
    formula : formulaic.Formula
        Without the offsets.
    categories : bool
        Whether the outcome is a column of categories, taken as it is.
    base : object
        The category named first in the outcome; None for the first in order.
    """

    text: str
    code: str
    aliases: dict[str, str]
    outcome: str
    outcome_variables: frozenset[str]
    covariate_variables: frozenset[str]
    offsets: tuple[str, ...]
    coded: frozenset[str]
    offset_variables: frozenset[str]
    formula: Any = field(repr=False)
    categories: bool = False
    base: Any = None

    @property
    def variables(self) -> frozenset[str]:
        """Every column the formula reads."""
        return self.outcome_variables | self.covariate_variables

    def written(self, name: str) -> str:
        """A column as it is written in ``code``."""
        return self.aliases.get(name, name)


def parse(text: str, columns: list[str], context: Mapping[str, Any] | None = None, categories: bool = False) -> Parsed:
    """Parse a regression formula.

    Parameters
    ----------
    text : str
        ``"outcome ~ covariates"`` in the Wilkinson notation of formulaic; ``offset(x)`` adds an offset. Names that are
        not plain (spaces, dots, numbers, Python keywords) stand in backticks, and a backtick within a name is doubled.
    columns : list of str
        Columns of the data, to know them from functions.
    context : mapping, optional
        Further names (functions, constants) a formula may use.
    categories : bool
        Whether the outcome is a category: a column, ``C(column)``, or ``C(column, contr.treatment(base))``.

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

    if not isinstance(text, str):
        raise FormulaError(f"formula is a {type(text).__name__}; give text such as 'tone ~ economy + war'.")
    code, aliases = unquoted(text, columns)
    known = [aliases.get(name, name) for name in columns]
    formula = _read(text, code)
    _refuse_function_names(text, code, known)
    terms = [(term, _OFFSET.match(str(term))) for term in formula.rhs]
    offsets = [match.group(1) for _, match in terms if match]
    kept = [term for term, match in terms if not match]
    if not kept:
        raise FormulaError(f"formula {text!r} has no covariates and no intercept; there is nothing to estimate.")
    right = SimpleFormula(kept)
    in_offsets = _offset_variables(offsets, known)
    covariates = _variables(right, known) | in_offsets
    outcome = _variables(formula.lhs, known)
    if strangers := sorted((covariates | outcome) - set(known) - set(context or {})):
        raise unknown(strangers[0], text, columns)
    if "Intercept" in covariates:
        raise FormulaError(f"the column 'Intercept' in {text!r} has the name of the constant; rename the column.")
    names = dict(zip(known, columns))
    written, base = str(next(iter(formula.lhs))), None
    coded = re.findall(r"\bC\(\s*(\w+)\s*[,)]", code)
    if categories:
        written, base = _category(text, written, outcome & set(known))
        coded.append(written)
    return Parsed(
        text=text,
        code=code,
        aliases=aliases,
        outcome=names[written] if categories else restored(written, aliases),
        outcome_variables=frozenset(names[v] for v in outcome if v in names),
        covariate_variables=frozenset(names[v] for v in covariates if v in names),
        offsets=tuple(offsets),
        coded=frozenset(names[v] for v in coded if v in names),
        offset_variables=frozenset(names[v] for v in in_offsets if v in names),
        formula=Formula(lhs=formula.lhs, rhs=right),
        categories=categories,
        base=base,
    )


def _category(text: str, outcome: str, columns: set[str]) -> tuple[str, Any]:
    """Column and base category of an outcome that is a category.

    Raises
    ------
    FormulaError
        If the outcome is anything else.
    """
    match = re.fullmatch(r"(?:C\(\s*)?`?(\w+)`?(?:\s*,\s*contr\.treatment\((?:base=)?(.+?)\))?\s*\)?", outcome)
    if match is None or match.group(1) not in columns:
        raise FormulaError(
            f"the outcome of {text!r} must be a column of categories, such as 'topic ~ x'; compute it first."
        )
    try:
        return match.group(1), None if match.group(2) is None else ast.literal_eval(match.group(2))
    except (ValueError, SyntaxError):
        raise FormulaError(f"the base category {match.group(2)} of {text!r} must be a text or a number.") from None


def _read(text: str, code: str) -> Any:
    """The formula as formulaic has it: one outcome, covariates, and no further parts."""
    from formulaic import Formula, SimpleFormula
    from formulaic.errors import FormulaicError

    try:
        formula = Formula(code)
    except (FormulaicError, SyntaxError) as error:
        if code.count("~") > 1 or "|" in code:
            formula = None
        else:
            raise FormulaError(f"formula {text!r} cannot be read: {_plain(error)}.{_keyword_hint(code)}") from None
    if formula is not None and not (hasattr(formula, "lhs") and hasattr(formula, "rhs")):
        raise FormulaError(f"formula {text!r} has no outcome; write 'outcome ~ covariates'.")
    if formula is None or not (isinstance(formula.rhs, SimpleFormula) and isinstance(formula.lhs, SimpleFormula)):
        raise FormulaError(
            f"formula {text!r} has a part after a bar '|' or a second '~' (fixed effects or instruments), which is not "
            "supported; write fixed effects as C(column) on the right. Instruments have no counterpart here."
        )
    if len(formula.lhs) != 1:
        raise FormulaError(f"formula {text!r} must have exactly one outcome on the left of '~'.")
    return formula


def _keyword_hint(code: str) -> str:
    words = [word for word in re.findall(r"\b[a-z]+\b", code) if keyword.iskeyword(word)]
    return f" {words[0]!r} is a word of Python; as a column it is written {quote(words[0])}." if words else ""


def _refuse_function_names(text: str, code: str, columns: list[str]) -> None:
    """Raise where a column that is not quoted has the name of a formula function."""
    from formulaic.transforms import TRANSFORMS

    for name in columns:
        if name in TRANSFORMS and re.search(rf"(?<![\w.]){re.escape(name)}(?!\w|\s*[(.])", code):
            raise FormulaError(
                f"the column {name!r} in {text!r} has the name of a formula function; write {quote(name)}, or rename "
                f"the column, for example to {name.lower() + '_'!r}."
            )


def row_by_row(parsed: Parsed) -> bool:
    """Whether every factor is a column or ``C(column)``, so that a row's values depend on that row alone."""
    terms = [*([] if parsed.categories else parsed.formula.lhs), *parsed.formula.rhs]
    factors = [str(f.expr) for term in terms for f in term.factors]
    return all(re.fullmatch(r"\d+|[\w ]+|C\([\w ]+\)", text.replace("`", "")) for text in factors)


def _offset_variables(offsets: list[str], columns: list[str]) -> set[str]:
    """Columns that offsets read.

    Raises
    ------
    FormulaError
        If one is not an arithmetic expression.
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
                f"offset({expression}) is not an arithmetic expression; write for example offset(np.log(n))."
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
    """Raise where a labelled variable is used in a transform that learns from the data.

    Raises
    ------
    FormulaError
        Centring or scaling a partly observed variable would change with the predictions.
    """
    for term in [*parsed.formula.lhs, *parsed.formula.rhs]:
        for factor in term.factors:
            text = str(factor.expr)
            if _STATEFUL.search(text) or AGGREGATE.search(text):
                inside = [n for n in labelled if re.search(rf"\b{re.escape(parsed.written(n))}\b", text)]
                if inside:
                    raise FormulaError(
                        f"{restored(text, parsed.aliases)!r} learns its scale from {inside[0]!r}, whose gold is known "
                        f"in a sample only; use fixed numbers instead, for example I(({quote(inside[0])} - 50) / 10)."
                    )


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
        said = restored(_plain(error), parsed.aliases)
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


def _plain(error: Exception) -> str:
    """A formulaic message without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m|⧛[^m]*m|⧚", "", str(error)).replace("\n", " ").strip()
