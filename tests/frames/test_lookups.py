"""Columns of numbers taken as they stand give the matrix that the formula gives."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat import errors
from karat.frames import matrices
from karat.frames.formula import parse
from karat.frames.lookups import finite, looked_up
from karat.frames.matrices import MatrixSpec

from ..profiles import examples

COLUMNS = {
    "x": np.array([0.1, -2.0, 3.5]), "year": np.array([1, 2, 3], dtype=np.int8), "yes": np.array([True, False, True]),
    "word count": np.array([1e9, 2.0, 7.0], dtype=np.float32), "Intercept": np.array([5.0, 6.0, 8.0]),
}  # fmt: skip
FRAME = pd.DataFrame({"y": [1.0, 2.0, 4.0], "g": ["a", "b", "a"], **COLUMNS})


def spec_of(formula):
    return MatrixSpec.learn(parse(formula, list(FRAME.columns)), FRAME, None)


def lookups(spec, frame):
    return looked_up(frame, spec.covariates, spec.parsed, spec.columns, spec.categories)


@given(names=st.lists(st.sampled_from([n for n in COLUMNS if n != "Intercept"]), min_size=1, unique=True),
       constant=st.booleans())  # fmt: skip
@examples(10)
def test_they_are_the_matrix_of_the_formula(names, constant):
    formula = "y ~ " + ("" if constant else "0 + ") + " + ".join(f"`{n}`" for n in names)
    spec, matrix = spec_of(formula)
    found = lookups(spec, FRAME)
    np.testing.assert_array_equal(found, matrix)
    assert found.flags.f_contiguous
    assert found.dtype == np.float64
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrices, "looked_up", lambda *given: None)
        np.testing.assert_array_equal(spec.x(FRAME), found)


@pytest.mark.parametrize(
    ("formula", "rows"), [("y ~ x + year + `word count`", 1), ("y ~ x + C(year)", 3), ("log(y) ~ x", 3), ("y ~ g", 3)]
)
def test_formulas_of_columns_are_learnt_from_one_row(formula, rows, monkeypatch):
    seen, real = set(), matrices._materialise
    monkeypatch.setattr(matrices, "_materialise", lambda *given: seen.add(len(given[2])) or real(*given))
    spec_of(formula)
    assert seen == {rows}


@pytest.mark.parametrize(
    "formula", ["y ~ x + g", "y ~ C(year)", "y ~ x:year", "y ~ log(`word count`)", "y ~ I(x + 1)", "y ~ (x + year)**2"]
)
def test_other_formulas_are_evaluated(formula):
    spec, matrix = spec_of(formula)
    assert lookups(spec, FRAME) is None
    np.testing.assert_array_equal(spec.x(FRAME), matrix)


def test_what_was_a_number_must_be_one():
    spec, _ = spec_of("y ~ x + year")
    with pytest.raises(errors.DataError, match="'x' holds text or categories"):
        spec.x(FRAME.assign(x=["a", "b", "c"]))
    with pytest.raises(errors.DataError, match=r"'x' is not finite in 1 row\(s\), first at position 2"):
        spec.x(FRAME.assign(x=[1.0, 2.0, np.inf]))
    other = spec.x(FRAME.assign(x=pd.array([1, 2, 3], dtype="Int64")))
    np.testing.assert_array_equal(other[:, 1], [1.0, 2.0, 3.0])


def test_finite():
    assert finite(np.array([1e308, 1.0]))
    assert not finite(np.array([1.0, np.nan]))
