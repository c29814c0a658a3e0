"""Which combination of groups a row holds, where a table comes batch by batch."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from karat.regression.batch_cells import Found


def found(frame: pd.DataFrame) -> Found:
    ones = np.ones(len(frame))
    return Found(frame, ones, ones, ones)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([None, "a", "b"])), unique=True, min_size=1),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, "a", "z"]))),
)
def test_as_a_dictionary_has_it(known, asked):
    where = {pair: row for row, pair in enumerate(known)}
    columns = ["k", "g"]
    at = found(pd.DataFrame(known, columns=columns)).of(pd.DataFrame(asked, columns=columns))
    assert at.tolist() == [where.get(pair, -1) for pair in asked]


def test_more_combinations_than_a_number_of_64_bits_holds():
    """Four columns of 65,536 levels have 2^64 combinations: as one number the first column counted for nothing."""
    levels = 65_536
    frame = pd.DataFrame({name: np.arange(levels) for name in "abcd"})
    every = found(frame)
    assert every.of(frame).tolist() == list(range(levels))
    stranger = frame.iloc[[5, 7]].assign(a=[6, 7])  # the first is none of them, though b, c and d are those of row 5
    assert every.of(stranger).tolist() == [-1, 7]
