"""Formula text to roles: what each side reads, and what it must not do.

A formula is code: functions in it are called. Never evaluate a formula that comes from somebody you do not trust.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import FormulaError
from .notation import first_stage, refuse_factor, refuse_powers, steps_in
from .quoting import plain_message, quote, restored, unknown, unquoted

_STATEFUL = re.compile(r"\b(scale|center|standardize|poly|bs|cs|cr|cc|lag|Q)\s*\(")
AGGREGATE = re.compile(r"\.(mean|std|var|median|min|max|sum|rank|quantile|cumsum|shift|diff)\s*\(")
"""Calls that look at the whole column, so that they mean something else on other rows."""
_OFFSET = re.compile(r"^offset\((.*)\)$", re.DOTALL)


@dataclass(frozen=True)
class Parsed:
    """A formula taken apart.

    Parameters
    ----------
    text : str
        What the user typed.
    code : str
        Its first part, with an identifier in the place of each quoted name.
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
    levels : tuple or None
        The categories of the outcome in their order, where the formula states it.
    effects : tuple of tuple of str
        Columns of each fixed effect after the bar, several where their combinations are meant.
    endogenous, instruments : tuple of str
        Terms of the first stage, left and right, which are among the covariates of ``formula``.
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
    levels: tuple[Any, ...] | None = None
    effects: tuple[tuple[str, ...], ...] = ()
    endogenous: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()

    @property
    def variables(self) -> frozenset[str]:
        """Every column the formula reads."""
        return self.outcome_variables | self.covariate_variables | self.effect_variables

    @property
    def effect_variables(self) -> frozenset[str]:
        """Columns of the fixed effects."""
        return frozenset(name for columns in self.effects for name in columns)

    @property
    def effect_names(self) -> tuple[str, ...]:
        """Fixed effects as they are written."""
        return tuple("^".join(map(quote, columns)) for columns in self.effects)

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
        ``"outcome ~ covariates | state + year"`` takes out fixed effects, ``state^year`` those of combinations.
        ``"outcome ~ covariates + [endogenous ~ instruments] | state"`` has instruments; they may also stand in a part
        of their own, ``"outcome ~ covariates | state | endogenous ~ instruments"``.
    columns : list of str
        Columns of the data, to know them from functions.
    context : mapping, optional
        Further names (functions, constants) a formula may use.
    categories : bool
        Whether the outcome is a category: a column, ``C(column)``, ``C(column, contr.treatment(base))`` or
        ``C(column, levels=[...])``.

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
    if (step := steps_in(text)) and step not in (context or {}):
        raise FormulaError(
            f"formula {text!r} means several regressions ({step}); fit them by karat.several(formula, data, model=...)."
        )
    if "i" not in {*(context or {}), *columns}:
        refuse_factor(text)
    code, aliases = unquoted(text, columns)
    known = [aliases.get(name, name) for name in columns]
    code, *further = split_parts(code)
    code, further, endogenous, instruments = first_stage(text, code, further)
    refuse_powers(text, code, aliases)
    names = dict(zip(known, columns))
    effects = _effects(text, further, names)
    formula = _read(text, code)
    _refuse_function_names(text, code, known)
    terms = [(term, _OFFSET.match(str(term))) for term in formula.rhs]
    offsets = [match.group(1) for _, match in terms if match]
    kept = [term for term, match in terms if not match]
    if effects:  # the intercept fixes how categories are coded; its column is left out
        kept = [*Formula("1"), *(term for term in kept if str(term) != "1")]
    if len(kept) == bool(effects):
        raise FormulaError(f"formula {text!r} has no covariates and no intercept; there is nothing to estimate.")
    right = SimpleFormula(kept)
    in_offsets = _offset_variables(offsets, known)
    covariates = _variables(right, known) | in_offsets
    outcome = _variables(formula.lhs, known)
    if strangers := sorted((covariates | outcome) - set(known) - set(context or {})):
        raise unknown(strangers[0], text, columns)
    if "Intercept" in covariates:
        raise FormulaError(f"the column 'Intercept' in {text!r} has the name of the constant; rename the column.")
    written, base, levels = str(next(iter(formula.lhs))), None, None
    coded = re.findall(r"\bC\(\s*(\w+)\s*[,)]", code)
    if categories:
        written, base, levels = _category(text, written, outcome & set(known))
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
        levels=levels,
        effects=effects,
        endogenous=endogenous,
        instruments=instruments,
    )


_APART = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[()\[\]{}|]")


def split_parts(code: str) -> list[str]:
    """The parts of a formula: what bars outside brackets and texts part.

    Examples
    --------
    >>> split_parts("y ~ x + I(a | b) | state + year")
    ['y ~ x + I(a | b)', 'state + year']
    """
    depth, start, out = 0, 0, []
    for match in _APART.finditer(code):
        token = match.group()
        depth += (token in "([{") - (token in ")]}")
        if token == "|" and depth == 0:
            out.append(code[start : match.start()].strip())
            start = match.end()
    return [*out, code[start:].strip()]


def _effects(text: str, parts: list[str], names: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Columns of the fixed effects, from what stands after the first bar; ``names`` maps what is written to columns.

    Raises
    ------
    FormulaError
        If an effect is not a column.
    """
    if not parts:
        return ()
    if len(parts) > 1:
        raise FormulaError(f"formula {text!r} has more than one bar; all fixed effects stand after the first one.")
    out: dict[tuple[str, ...], None] = {}
    for term in parts[0].split("+"):
        columns = [column.strip() for column in term.split("^")]
        for column in columns:
            if re.fullmatch(r"[^\W\d]\w*", column) and column not in names:
                raise unknown(column, text, list(names.values()))
            if column not in names:
                raise FormulaError(
                    f"formula {text!r} has {term.strip()!r} after the bar; fixed effects are columns, as in "
                    "'y ~ x | state + year', or combinations of columns, 'state^year'."
                )
        out[tuple(dict.fromkeys(names[column] for column in columns))] = None
    return tuple(out)


def _category(text: str, outcome: str, columns: set[str]) -> tuple[str, Any, tuple[Any, ...] | None]:
    """Column, base category and stated order of an outcome that is a category.

    Raises
    ------
    FormulaError
        If the outcome is anything else.
    """
    match = re.fullmatch(
        r"(?:C\(\s*)?`?(\w+)`?(?:\s*,\s*contr\.treatment\((?:base=)?(.+?)\))?(?:\s*,\s*levels=(\[.+\]))?\s*\)?", outcome
    )
    if match is None or match.group(1) not in columns:
        raise FormulaError(
            f"the outcome of {text!r} must be a column of categories, such as 'topic ~ x'; compute it first."
        )
    try:
        base, levels = (None if part is None else ast.literal_eval(part) for part in match.groups()[1:])
    except (ValueError, SyntaxError):
        raise FormulaError(f"the categories named in {text!r} must be texts or numbers.") from None
    return match.group(1), base, None if levels is None else tuple(levels)


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
            raise FormulaError(
                f"formula {text!r} cannot be read: {plain_message(error)}.{_keyword_hint(code)}"
            ) from None
    if formula is not None and not (hasattr(formula, "lhs") and hasattr(formula, "rhs")):
        raise FormulaError(f"formula {text!r} has no outcome; write 'outcome ~ covariates'.")
    if formula is None or not (isinstance(formula.rhs, SimpleFormula) and isinstance(formula.lhs, SimpleFormula)):
        raise FormulaError(
            f"formula {text!r} has a second '~', or a bar in brackets, which is not supported; write one outcome, "
            "covariates, and fixed effects after a bar outside brackets, as in 'y ~ x | state'."
        )
    if len(formula.lhs) != 1:
        raise FormulaError(
            f"formula {text!r} must have exactly one outcome on the left of '~'; write several ones as sw(y1, y2) ~ x "
            "(with karat.several), and a sum as I(y1 + y2)."
        )
    return formula


def _keyword_hint(code: str) -> str:
    if found := re.search(r"\b(?:as\.)?factor\((\w+)\)", code):
        return f" A column whose numbers are categories is written C({found[1]})."
    if found := re.search(r"(\w+ *[=!<>]= *[^\s)]+)", code):
        return f" A comparison is written I({found[1]})."
    if re.search(r"(?<![\w.])\.(?![\w.])", code):
        return " A dot does not stand for all other columns here; name the covariates."
    words = [word for word in re.findall(r"\b[a-z]+\b", code) if keyword.iskeyword(word)]
    if words:
        return f" {words[0]!r} is a word of Python; as a column it is written {quote(words[0])}."
    spaced = re.search(r"[\w)]\s+[\w(]", code)
    return " A column whose name holds spaces or signs stands in backticks, as in `net income`." if spaced else ""


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


def refuse_learnt(parsed: Parsed) -> None:
    """Raise where a formula learns from a whole column, which a table that is read batch by batch does not show.

    Raises
    ------
    FormulaError
        Naming the term.
    """
    factors = [str(f.expr) for term in [*parsed.formula.lhs, *parsed.formula.rhs] for f in term.factors]
    for text in (*factors, *parsed.offsets):
        if _STATEFUL.search(text) or AGGREGATE.search(text):
            raise FormulaError(
                f"{restored(text, parsed.aliases)!r} is made from a whole column, and the data come in parts (batches, "
                "sites); use fixed numbers, for example I((x - 50) / 10), or compute the column first."
            )
