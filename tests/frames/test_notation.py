"""Formulas with steps become texts: against a plain expansion of a tree, and case by case."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import FormulaError
from karat.frames.formula import parse
from karat.frames.notation import expand, sides, steps_in

NAMES = ["war", "economy", "np.log(n + 1)", "C(party, contr.treatment('sw(a, b)'))", "`a, (b`", "x:z", "I(a)"]
KINDS = st.sampled_from(["sw", "csw", "sw0", "csw0"])
TERMS = st.recursive(
    st.sampled_from(NAMES), lambda inner: st.tuples(KINDS, st.lists(inner, min_size=2, max_size=3)), max_leaves=5
)
OUTCOMES = st.lists(st.sampled_from(["y", "v", "`t ~ u`"]), unique=True)


def written(term):
    return term if isinstance(term, str) else f"{term[0]}({', '.join(map(written, term[1]))})"


def meant(term):
    """All sums a term stands for, each a tuple of its terms."""
    if isinstance(term, str):
        return [(term,)]
    kind, parts = term
    out = [()] if kind.endswith("0") else []
    for k in range(len(parts)):
        chosen = parts[: k + 1] if kind.startswith("c") else parts[k : k + 1]
        out += [sum(pieces, ()) for pieces in itertools.product(*map(meant, chosen))]
    return out


@given(terms=st.lists(TERMS, min_size=1, max_size=2), outcomes=OUTCOMES)
def test_as_a_plain_expansion(terms, outcomes):
    left = outcomes[0] if len(outcomes) == 1 else f"sw({', '.join(outcomes)})" if outcomes else "y"
    found = expand(f"{left} ~ {' + '.join(map(written, terms))}")
    expected = {
        (outcome, " + ".join(sum(chosen, ())) or "1")
        for outcome in (outcomes or ["y"])
        for chosen in itertools.product(*map(meant, terms))
    }
    assert len(found) == len(set(found))
    assert not any(map(steps_in, found))
    assert {sides(text) for text in found} <= expected
    assert _shares(terms) or {sides(text) for text in found} == expected


def _shares(terms):
    """Whether a call is written twice, so that its steps move together."""
    calls = [call for term in terms for call in _calls(term)]
    return len(calls) != len(set(calls))


def _calls(term):
    return [] if isinstance(term, str) else [written(term), *(c for part in term[1] for c in _calls(part))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sw(y1, y2) ~ x", ["y1 ~ x", "y2 ~ x"]),
        ("np.log(sw(y1, y2)) ~ x", ["np.log(y1) ~ x", "np.log(y2) ~ x"]),
        ("y ~ sw0(a, b)", ["y ~ 1", "y ~ a", "y ~ b"]),
        ("y ~ sw0(a) + x", ["y ~ x", "y ~ a + x"]),
        ("y ~ 0 + sw0(a)", ["y ~ 0", "y ~ 0 + a"]),
        ("y ~ x - sw0(a)", ["y ~ x", "y ~ x - a"]),
        ("y ~ x - csw(a, b)", ["y ~ x - a", "y ~ x - (a + b)"]),
        ("y ~ x:csw(a, b)", ["y ~ x:a", "y ~ x:(a + b)"]),
        ("y ~ x*sw(a, b + c)", ["y ~ x*a", "y ~ x*(b + c)"]),
        ("y ~ x:sw0(a)", ["y ~ x:1", "y ~ x:a"]),
        ("y ~ sw(a, b) + sw(a, b):z", ["y ~ a + a:z", "y ~ b + b:z"]),
        ("y ~ mvsw(a, b)", ["y ~ 1", "y ~ a", "y ~ b", "y ~ a + b"]),
        ("y ~ x | csw0(f, g)", ["y ~ x", "y ~ x | f", "y ~ x | f + g"]),
        ("y ~ x | f + sw(g, h)", ["y ~ x | f + g", "y ~ x | f + h"]),
        ("y ~ a.sw(b, c) + `sw(a, b)` + f('sw(a, b)')", ["y ~ a.sw(b, c) + `sw(a, b)` + f('sw(a, b)')"]),
        ("y ~ sw(a, a)", ["y ~ a"]),
        ("y~x ", ["y~x "]),
    ],
)
def test_cases(text, expected):
    assert expand(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y ~ sw(a)", "lacks a step"),
        ("y ~ sw(a, )", "lacks a step"),
        ("y ~ sw0()", "lacks a step"),
        ("y ~ csw(a, b", "bracket open"),
        ("csw(y1, y2) ~ x", "would add outcomes up"),
        ("y ~ np.log(csw(a, b))", r"csw\(np.log\(a\)"),
    ],
)
def test_refused(text, words):
    with pytest.raises(FormulaError, match=words):
        expand(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("y ~ i(year)", "C(year)"),
        ("y ~ x + i(year, war)", "C(year):war"),
        ("y ~ i(year, ref=2001)", "C(year, contr.treatment(2001))"),
        ("y ~ i(`a year`, war, ref='a, b')", "war + C(`a year`, contr.treatment('a, b')):war"),
        ("y ~ i(year, i.war)", "C(year):C(war)"),
    ],
)
def test_factors_of_pyfixest_are_refused_with_what_to_write(text, written):
    with pytest.raises(FormulaError, match=re.escape(f"written {written} here")):
        parse(text, ["y", "x", "year", "a year", "war"])
    assert parse("y ~ i(x)", ["y", "x"], {"i": abs}).covariate_variables == {"x"}
    assert parse("y ~ a.i(x) + `i(x)`", ["y", "x", "i(x)"], {"a": np}).aliases == {"i(x)": "_column_0"}
    if "ref" in text and "war" not in text:  # what is advised is read
        assert parse(f"y ~ {written}", ["y", "year"]).covariate_variables == {"year"}


def test_one_regression_refuses_steps_and_says_where_they_go():
    columns = ["y", "v", "a", "b"]
    with pytest.raises(FormulaError, match=r"karat.several\(formula, data, model=...\)"):
        parse("y ~ csw(a, b)", columns)
    with pytest.raises(FormulaError, match=r"sw\(y1, y2\) ~ x"):
        parse("y + v ~ a", columns)
    assert parse("y ~ sw(a, b)", columns, {"sw": lambda a, b: a}).covariate_variables == {"a", "b"}
