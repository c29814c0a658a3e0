"""Column names in formulas: quoted going in, read back coming out.

A formula is code: what is written in it is evaluated. A column name is not code, so every formula that is built from
names quotes them with :func:`quote`, and quoted names never reach the evaluation: an identifier takes their place.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Mapping, Sequence

from ..errors import FormulaError

_TOKENS = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`((?:[^`]|``)+)`|(`)", re.DOTALL)


def quote(name: str) -> str:
    """A column name as it is written in a formula.

    Returns
    -------
    str
        In backticks where it is not a plain name; a backtick within is doubled.

    Examples
    --------
    >>> quote("tone"), quote("tone of voice"), quote("class")
    ('tone', '`tone of voice`', '`class`')
    """
    return name if _is_plain(name) else "`" + name.replace("`", "``") + "`"


def masked(text: str) -> str:
    """A formula of the same length in which names and texts between quotes say nothing.

    Examples
    --------
    >>> masked("tone ~ `a|b` + f('x')")
    'tone ~ _____ + f(___)'
    """
    return _TOKENS.sub(lambda match: "_" * len(match.group()), text)


def unquoted(text: str, columns: Sequence[str]) -> tuple[str, dict[str, str]]:
    """A formula with an identifier in the place of each quoted name.

    Parameters
    ----------
    text : str
        What the user typed.

    Returns
    -------
    aliases : dict of str to str
        Column -> the identifier that takes its place.

    Examples
    --------
    >>> unquoted("tone ~ `word count`", ["tone", "word count"])
    ('tone ~ _column_0', {'word count': '_column_0'})
    """
    aliases: dict[str, str] = {}

    def put(match: re.Match[str]) -> str:
        if match.group(2):
            raise FormulaError(f"formula {text!r} leaves a backtick open; write a column name as {quote('a name')}.")
        if match.group(1) is None:
            return match.group()
        name = match.group(1).replace("``", "`")
        if _is_plain(name):
            return name
        if name not in columns:
            raise unknown(name, text, columns)
        number = len(aliases)
        while f"_column_{number}" in columns or f"_column_{number}" in aliases.values():
            number += 1
        return aliases.setdefault(name, f"_column_{number}")

    return _TOKENS.sub(put, text), aliases


def restored(code: str, aliases: Mapping[str, str]) -> str:
    """A term with the names of the columns put back: quoted inside a function, as they are outside.

    Parameters
    ----------
    aliases : mapping of str to str
        As :func:`unquoted` gives them.

    Examples
    --------
    >>> restored("C(_column_0)[T.b]:_column_0", {"a b": "_column_0"})
    'C(`a b`)[T.b]:a b'
    """
    names = {alias: name for name, alias in aliases.items()}
    if not names:
        return code

    def put(match: re.Match[str]) -> str:
        if match.group() not in names:
            return match.group()
        before = code[: match.start()]
        name = names[match.group()]
        return quote(name) if before.count("(") > before.count(")") else name

    return re.sub(r"\b_column_\d+\b", put, code)


def nearest(name: str, columns: Sequence[str]) -> str:
    """What may have been meant by a name that is not a column.

    Examples
    --------
    >>> nearest("yaer", ["state", "year"]), nearest("state + year", ["state", "year"])
    ("Did you mean 'year'?", "Several columns are a list, ['state', 'year'].")
    """
    parts = [part.strip() for part in name.split("+")]
    if len(parts) > 1 and all(part in columns for part in parts):
        return f"Several columns are a list, {parts!r}."
    if near := difflib.get_close_matches(name, columns, n=3):
        return f"Did you mean {', '.join(map(repr, near))}?"
    more = f", ... ({len(columns)} in all)" if len(columns) > 12 else ""
    return f"Columns: {', '.join(map(repr, columns[:12]))}{more}."


def unknown(name: str, text: str, columns: Sequence[str]) -> FormulaError:
    """The error for a name in a formula that is not a column."""
    odd = next((c for c in columns if not _is_plain(c) and name in c and c in text), None)
    near = difflib.get_close_matches(name, columns, n=3)
    if odd is not None and odd != name:
        hint = f" The column {odd!r} is written {quote(odd)} in a formula."
    elif name == "factor":
        hint = " A column whose numbers are categories is written C(column)."
    elif re.search(rf"(?<![\w.]){re.escape(name)}\s*[.(]", masked(text)):
        hint = f" Functions and modules, numpy's np apart, are given in context={{{name!r}: {name}}}."
    elif near:
        hint = f" Did you mean {', '.join(map(_shown, near))}?"
    else:
        hint = f" Columns: {', '.join(map(_shown, columns[:12]))}."
    return FormulaError(f"formula {text!r} uses {name!r}, which is not a column of the data.{hint}")


def _shown(name: str) -> str:
    return repr(name) if _is_plain(name) else quote(name)


def _is_plain(name: str) -> bool:
    """Whether a name can stand in a formula as it is."""
    from formulaic.transforms import TRANSFORMS

    return name.isidentifier() and not keyword.iskeyword(name) and name not in TRANSFORMS


def plain_message(error: Exception) -> str:
    """A formulaic message without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m|⧛[^m]*m|⧚", "", str(error)).replace("\n", " ").strip()
