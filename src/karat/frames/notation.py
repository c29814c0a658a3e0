"""What formulas are written with beyond terms: steps that stand for several formulas, and first stages.

``sw``, ``csw``, ``sw0``, ``csw0`` and ``mvsw`` are as pyfixest writes them: text goes in and texts come out, before a
formula is parsed, and a step may stand on either side and in any part. A first stage is ``[x ~ z]``, or a part of its
own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from ..errors import FormulaError
from .quoting import masked, plain_message, quote, restored

_CALL = re.compile(r"(?<![\w.])(mvsw|csw0|csw|sw0|sw)\s*\(")
_ADDITIVE = ("", "+", "-", "~", "|", "(", ")")
_BRACKETS = re.compile(r"(\+?)\s*\[([^\[\]~]*)~([^\[\]~]*)\]\s*(\+?)")


def steps_in(text: str) -> str:
    """The first stepwise function of a formula; empty where there is none.

    Examples
    --------
    >>> steps_in("tone ~ csw(war, economy)"), steps_in("tone ~ `sw(war)`")
    ('csw', '')
    """
    found = _CALL.search(masked(text))
    return found.group(1) if found else ""


_POWER = re.compile(r"(?<![\w.)\]])([^\W\d]\w*)\s*(?:\^|\*\*)\s*(\d+)")


def refuse_powers(text: str, code: str, aliases: Mapping[str, str]) -> None:
    """Raise for a power of one column, which formulas take for the column itself.

    Raises
    ------
    FormulaError

    Examples
    --------
    >>> refuse_powers("tone ~ words + words**2", "tone ~ words + words**2", {})
    Traceback (most recent call last):
    karat.errors.FormulaError: formula 'tone ~ words + words**2' has 'words**2', which is 'words' itself in formulas; \
    write I(words**2).
    """
    shown = masked(code)
    for found in _POWER.finditer(shown):
        opened: list[int] = []
        for k in range(found.start()):
            if shown[k] in "([{":
                opened.append(k)
            elif shown[k] in ")]}" and opened:
                opened.pop()
        if any(shown[k] != "(" or re.search(r"[\w.]\s*$", shown[:k]) for k in opened):
            continue  # within a function it is arithmetic
        name = quote(next((name for name, alias in aliases.items() if alias == found[1]), found[1]))
        raise FormulaError(
            f"formula {text!r} has {restored(found[0], aliases)!r}, which is {name!r} itself in formulas; write "
            f"I({name}**{found[2]})."
        )


_FACTOR = re.compile(r"(?<![\w.])i\s*\(")


def refuse_factor(text: str) -> None:
    """Raise for ``i()`` of pyfixest, saying how it is written here.

    Raises
    ------
    FormulaError

    Examples
    --------
    >>> refuse_factor("tone ~ i(year, war, ref=2001)")
    Traceback (most recent call last):
    karat.errors.FormulaError: formula 'tone ~ i(year, war, ref=2001)' uses i(), which is written \
war + C(year, contr.treatment(2001)):war here; an event study is karat.event_study.
    """
    shown = masked(text)
    if not (found := _FACTOR.search(shown)):
        return
    parts = [part.strip() for part in _arguments(text, shown, found.end())]
    named = {part.split("=", 1)[0].strip(): part.split("=", 1)[1].strip() for part in parts if "=" in part}
    plain = [part for part in parts if "=" not in part] or ["x"]
    base = named.get("ref")
    factor = f"C({plain[0]})" if base is None else f"C({plain[0]}, contr.treatment({base}))"
    if len(plain) > 1:
        other = re.sub(r"^i\.(\w+)$", r"C(\1)", plain[1])
        factor = f"{factor}:{other}" if base is None else f"{other} + {factor}:{other}"
    raise FormulaError(
        f"formula {text!r} uses i(), which is written {factor} here; an event study is karat.event_study."
    )


def sides(text: str) -> tuple[str, str]:
    """What stands left and right of the first ``~``.

    Examples
    --------
    >>> sides("`a~b` ~ war + economy")
    ('`a~b`', 'war + economy')
    """
    at = masked(text).find("~")
    return text[:at].strip(), text[at + 1 :].strip()


def expand(text: str) -> list[str]:
    """The formulas that one formula with steps stands for.

    Parameters
    ----------
    text : str
        ``sw(a, b)`` is a, then b; ``csw(a, b)`` a, then a + b; ``mvsw(a, b)`` every combination. ``sw0`` and ``csw0``
        start without any of them, as ``mvsw`` does. Calls may be nested; those that are written alike move together; of
        others the last one varies fastest. On the left ``sw`` alone is allowed: one outcome after the other.

    Returns
    -------
    list of str
        Each once, in order.

    Raises
    ------
    FormulaError
        If it is not text, a call is not closed, holds too few steps, or adds terms up where only one can stand.

    Examples
    --------
    >>> expand("sw(tone, length) ~ csw(war, economy) + words")
    ['tone ~ war + words', 'tone ~ war + economy + words', 'length ~ war + words', 'length ~ war + economy + words']
    >>> expand("tone ~ words + sw0(war, war:party)")
    ['tone ~ words', 'tone ~ words + war', 'tone ~ words + war:party']
    """
    if not isinstance(text, str):
        raise FormulaError(f"formula is a {type(text).__name__}; give text such as 'sw(tone, length) ~ war'.")
    shown = masked(text)
    found = _CALL.search(shown)
    if not found:
        return [_tidied(text)]
    kind = found.group(1)
    parts = _arguments(text, shown, found.end())
    end = found.end() + sum(len(part) + 1 for part in parts)
    steps = [part.strip() for part in parts]
    call = text[found.start() : end]
    if not all(steps) or (len(steps) < 2 and kind in ("sw", "csw")):
        raise FormulaError(f"{call!r} in {text!r} lacks a step; write for example {kind}(war, economy).")
    _refuse_sums(text, shown, found.start(), kind)
    if kind in ("csw", "csw0"):
        steps = [" + ".join(steps[: k + 1]) for k in range(len(steps))]
    elif kind == "mvsw":
        sizes = range(1, len(steps) + 1)
        steps = [" + ".join(chosen) for size in sizes for chosen in itertools.combinations(steps, size)]
    if kind in ("sw0", "csw0", "mvsw"):
        steps = ["", *steps]
    out = [one for step in steps for one in expand(_put(text, call, step))]
    return list(dict.fromkeys(out))


def _arguments(text: str, shown: str, start: int) -> list[str]:
    """What stands between the commas of a call whose bracket opens before ``start``."""
    depth, at = 0, start
    parts: list[str] = []
    for k in range(start, len(shown)):
        if shown[k] in "([{":
            depth += 1
        elif shown[k] in ")]}" and depth:
            depth -= 1
        elif shown[k] == ")":
            return [*parts, text[at:k]]
        elif shown[k] == "," and not depth:
            parts.append(text[at:k])
            at = k + 1
    raise FormulaError(f"formula {text!r} leaves a bracket open.")


def _refuse_sums(text: str, shown: str, start: int, kind: str) -> None:
    """Raise where steps would add up an outcome, or the argument of a function."""
    if kind == "sw":
        return
    if "~" in shown[start:] and "~" not in shown[:start]:
        raise FormulaError(f"{kind}() on the left of {text!r} would add outcomes up; write sw(), one after the other.")
    opened: list[int] = []
    for k in range(start):
        if shown[k] == "(":
            opened.append(k)
        elif shown[k] == ")" and opened:
            opened.pop()
    around = [word.group(1) for k in opened if (word := re.search(r"([\w.]+)\s*$", shown[:k]))]
    if around:
        raise FormulaError(
            f"{kind}() inside {around[-1]}() in {text!r} would add numbers up; write {kind}({around[-1]}(a), "
            f"{around[-1]}(b)), or use sw()."
        )


def _put(text: str, call: str, step: str) -> str:
    """A formula with a step in the place of a call, wherever that call stands."""
    shown, at = masked(text), 0
    while (start := _next(text, shown, call, at)) >= 0:
        before, after = text[:start], text[start + len(call) :]
        left, right = shown[:start].rstrip()[-1:], shown[start + len(call) :].lstrip()[:1]
        alone = left in _ADDITIVE and right in _ADDITIVE
        if not step and alone:
            before, after = _without(before, after)
        new = step or ("" if alone else "1")
        single = left in _ADDITIVE and left != "-" and right in _ADDITIVE
        if not single and re.search(r"[-+*/|]", _outside(masked(new))):
            new = f"({new})"
        text = before + new + after
        shown, at = masked(text), len(before) + len(new)
    return text


def _next(text: str, shown: str, call: str, at: int) -> int:
    """Where a call stands next, outside quotes; -1 where it does not."""
    for found in _CALL.finditer(shown, at):
        if text.startswith(call, found.start()):
            return found.start()
    return -1


def _without(before: str, after: str) -> tuple[str, str]:
    """What is left around a term that is taken out, the sign that joined it gone."""
    if before.rstrip()[-1:] in ("+", "-"):
        return before.rstrip()[:-1].rstrip(), after
    if after.lstrip()[:1] == "+":
        return before, after.lstrip()[1:].lstrip()
    return before, after


def _outside(shown: str) -> str:
    """A masked text without what stands in brackets."""
    while (inner := re.sub(r"\([^()]*\)", "", shown)) != shown:
        shown = inner
    return shown


def _tidied(text: str) -> str:
    """A formula whose empty parts are gone with their bar; the first keeps its constant."""
    shown = masked(text)
    tilde, depth, cuts = shown.find("~"), 0, []
    for k, sign in enumerate(shown):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "|" and not depth and k > tilde >= 0:
            cuts.append(k)
    ends = [tilde, *cuts, len(shown)]
    parts = [text[a + 1 : b].strip() for a, b in itertools.pairwise(ends)]
    if tilde < 0 or all(parts):
        return text
    return f"{text[:tilde].strip()} ~ {' | '.join([parts[0] or '1', *(part for part in parts[1:] if part)])}"


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
