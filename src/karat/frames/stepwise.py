"""Several formulas written as one: ``sw``, ``csw``, ``sw0``, ``csw0`` and ``mvsw``, as pyfixest writes them.

Text goes in and texts come out, before a formula is parsed: a step may stand on either side and in any part.
"""

from __future__ import annotations

import itertools
import re

from ..errors import FormulaError
from .quoting import masked

_CALL = re.compile(r"(?<![\w.])(mvsw|csw0|csw|sw0|sw)\s*\(")
_ADDITIVE = ("", "+", "-", "~", "|", "(", ")")


def steps_in(text: str) -> str:
    """The first stepwise function of a formula; empty where there is none.

    Examples
    --------
    >>> steps_in("tone ~ csw(war, economy)"), steps_in("tone ~ `sw(war)`")
    ('csw', '')
    """
    found = _CALL.search(masked(text))
    return found.group(1) if found else ""


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
