"""Sums over a partition on a worker, without a cluster: all its rows take part, however many there are."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import karat as kt
from karat import moments
from karat.regression.batches import read_batches
from karat.regression.options import Arguments
from karat.regression.workers import _of_partition

N = 20_000


def counted(blocks):
    """Rows, where the first one stands, and the total of the outcomes."""
    every = list(blocks)
    return (
        sum(len(block.rows[0].y) for block in every),
        every[0].at.start,
        sum(block.rows[0].y.sum() for block in every),
    )


@pytest.mark.parametrize("formula", ["y ~ x", "y ~ x + I(z**2)"])
@pytest.mark.parametrize("size", [N, 9_000, 262_144])
def test_all_rows_of_a_partition_take_part(formula, size):
    """Columns as they stand come in many blocks, and so do wide designs."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=N), "z": rng.uniform(1, 2, N), "y_llm": rng.normal(size=N)})
    frame["y"] = frame["y_llm"].where(rng.random(N) < 0.05)
    arguments = Arguments.of("ols", formula, {"y": "y_llm"}, {"learner": None})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        source = read_batches(arguments, kt.Batches(pa.Table.from_pandas(frame)), moments.get("ols"), alike=False)
    rows = pickle.loads(pickle.dumps(replace(source, batches=None)))
    part = frame.iloc[500:19_000]
    n, first, total = _of_partition(counted, size, rows, part, 500)
    assert (n, first) == (18_500, 500)
    np.testing.assert_allclose(total, part["y_llm"].sum(), rtol=1e-10)
