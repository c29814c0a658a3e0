"""Rows of a design that are worked out once for each combination of values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from karat.regression import batch_columns
from karat.regression.batch_columns import OnceEach

from ..profiles import examples

RNG = np.random.default_rng(1)
N = 3_000
FRAME = pd.DataFrame({
    "text": RNG.choice(["a", "b", "c"], N), "year": RNG.integers(2000, 2006, N), "true": RNG.random(N) < 0.5,
    "kind": pd.Categorical(RNG.choice(["u", "w"], N)), "number": RNG.normal(size=N),
})  # fmt: skip


def design(frame):
    own = [frame["text"] == "b", frame["year"] * (frame["kind"] == "u"), np.log(frame["year"]), frame["true"]]
    return np.column_stack([np.asarray(column, dtype=float) for column in own])


@given(
    names=st.sampled_from([["text", "year", "kind", "true"], ["text", "year", "kind", "true", "number"]]),
    size=st.integers(200, N), most=st.sampled_from([1 << 21, 40, 200]),
)  # fmt: skip
@examples(8)
def test_rows_are_those_of_the_whole_table(names, size, most):
    """Whatever the blocks, and however few combinations may be kept."""
    known, before = OnceEach(), batch_columns._MOST_KNOWN
    batch_columns._MOST_KNOWN = most
    try:
        parts = [FRAME[names].iloc[start : start + size] for start in range(0, N, size)]
        found = [known.matrix(part, lambda rows, part=part: design(part.iloc[rows])) for part in parts]
        np.testing.assert_array_equal(np.vstack(found), design(FRAME))
        assert sum(row.size for row in known.rows.values()) <= most
    finally:
        batch_columns._MOST_KNOWN = before


def test_few_combinations_are_asked_for_once():
    known, asked = OnceEach(), []
    for start in range(0, N, 1_000):
        part = FRAME[["text", "true"]].iloc[start : start + 1_000]

        def ones(rows, part=part):
            asked.append(len(part.iloc[rows]))
            return np.ones((asked[-1], 1))

        known.matrix(part, ones)
    assert asked == [6]
