"""First stages in formulas: how they are written, and which columns of the design matrix they name."""

from __future__ import annotations

import re
from typing import Any

from ..errors import FormulaError
from .quoting import plain_message, restored

_BRACKETS = re.compile(r"(\+?)\s*\[([^\[\]~]*)~([^\[\]~]*)\]\s*(\+?)")


def first_stage(text: str, code: str, parts: list[str]) -> tuple[str, list[str], tuple[str, ...], tuple[str, ...]]:
    """The first part with all terms side by side, the other parts, and the terms of the first stage, left and right.

    Raises
    ------
    FormulaError
        If there is more than one first stage, or a term stands in it and outside.
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    inside = list(_BRACKETS.finditer(code))
    beside = [part for part in parts if "~" in part]
    stages = [match.group(2, 3) for match in inside] + [tuple(part.split("~", 1)) for part in beside]
    if not stages:
        return code, parts, (), ()
    if len(stages) > 1 or any("~" in side for side in stages[0]) or not all(side.strip() for side in stages[0]):
        raise FormulaError(
            f"formula {text!r} must have one first stage with both sides, as in 'y ~ w + [x ~ z]' or 'y ~ w | x ~ z'; "
            "several endogenous covariates stand in it together, '[x1 + x2 ~ z1 + z2 + z3]'."
        )
    if inside:
        before, after = code[: inside[0].start()].strip(), code[inside[0].end() :].strip()
        code = f"{before} + {after}" if after and not before.endswith("~") else f"{before} {after or ''}".strip()
        code = f"{code} 1" if code.endswith("~") else code
    try:
        left, right = (tuple(str(t) for t in Formula(f"0 + {side}") if str(t) != "1") for side in stages[0])
        outside = {str(term) for term in Formula(code).rhs}
    except (FormulaicError, SyntaxError, AttributeError) as error:
        raise FormulaError(f"formula {text!r} cannot be read: {plain_message(error)}.") from None
    if twice := sorted(outside & {*left, *right}):
        raise FormulaError(
            f"{twice[0]!r} stands in the first stage of {text!r} and outside; covariates outside are instruments for "
            "themselves, so write it once."
        )
    if itself := sorted(set(left) & set(right)):
        raise FormulaError(
            f"{itself[0]!r} is an instrument for itself in {text!r}, so it is exogenous; write it outside the first "
            "stage."
        )
    code = f"{code} + {stages[0][0].strip()} + {stages[0][1].strip()}"
    return code, [part for part in parts if "~" not in part], left, right


def stage_columns(parsed: Any, spec: Any, names: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Columns of the covariates, and of the first stage; empty without instruments.

    Raises
    ------
    FormulaError
        If there are fewer instruments than endogenous covariates.
    """
    if not parsed.endogenous:
        return (), ()
    columns = {str(term): [str(spec.column_names[j]) for j in at] for term, at in spec.term_indices.items()}
    at = {name: j for j, name in enumerate(names)}

    def of(terms: tuple[str, ...]) -> set[int]:
        return {at[restored(name, parsed.aliases)] for term in terms for name in columns.get(term, ())}

    endogenous, instruments = of(parsed.endogenous), of(parsed.instruments)
    exogenous = set(range(len(names))) - endogenous - instruments
    if len(instruments) < len(endogenous):
        raise FormulaError(
            f"{parsed.text!r} has {len(instruments)} instrument(s) for {len(endogenous)} endogenous covariate(s); "
            "there must be as many at least."
        )
    return tuple(sorted(exogenous | endogenous)), tuple(sorted(exogenous | instruments))
