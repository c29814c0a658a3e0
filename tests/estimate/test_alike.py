"""Rows that are alike, told once: the sums of all rows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat import moments
from karat.estimate import totals
from karat.estimate.rows import Rows, pieces_of
from karat.estimate.totals import row_totals

from ..profiles import examples


@pytest.fixture(autouse=True)
def few_rows_are_enough(monkeypatch):
    monkeypatch.setattr(totals, "_LEAST", 100)


@given(
    seed=st.integers(0, 99), model=st.sampled_from(["logit", "poisson", "multinomial"]), weights=st.booleans(),
    share=st.booleans(), offset=st.booleans(),
)  # fmt: skip
@examples(20)
def test_sums_are_those_of_all_rows(seed, model, weights, share, offset):
    rng, n = np.random.default_rng(seed), 900
    x = np.column_stack([np.ones(n), rng.integers(0, 3, n), rng.integers(0, 2, n)]).astype(float)
    y = np.eye(3)[rng.integers(0, 3, n), 1:] if model == "multinomial" else rng.integers(0, 2, n).astype(float)
    shift = rng.integers(0, 2, n) / 3 if offset and model != "multinomial" else None
    rows, v = Rows(x, y, shift, rng.random(n) if share else None), rng.random(n) if weights else None
    found = totals.told_once(rows, v)
    assert found is not None
    few, total = found
    assert len(few.y) <= 3 * 2 * 3 * 2
    theta = rng.normal(size=x.shape[1] * (2 if model == "multinomial" else 1)) / 3
    one = row_totals(moments.get(model), pieces_of((rows,), v))(theta)
    other = row_totals(moments.get(model), pieces_of((few,), total))(theta)
    for a, b in zip(one, other):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-10)


def test_rows_that_differ_are_left_as_they_are():
    rng = np.random.default_rng(1)
    assert totals.told_once(Rows(rng.normal(size=(500, 2)), np.zeros(500)), None) is None
    assert totals.told_once(Rows(np.ones((50, 2)), np.zeros(50)), None) is None


def test_rows_with_one_number_that_differ_are_found_out(monkeypatch):
    monkeypatch.setattr(totals, "_number", lambda rows: np.zeros(len(rows.y)))
    assert totals.told_once(Rows(np.arange(400.0)[:, None] % 2, np.zeros(400)), None) is None


@pytest.mark.parametrize("learner", [None, "linear"])
def test_a_fit_is_that_of_all_rows(monkeypatch, learner):
    rng, n = np.random.default_rng(3), 2000
    frame = pd.DataFrame({"year": rng.integers(0, 4, n), "party": rng.choice(["a", "b"], n), "v": rng.random(n)})
    truth = (rng.random(n) < 0.3 + 0.1 * frame["year"]) * 1.0
    frame["y_llm"] = np.where(rng.random(n) < 0.1, 1 - truth, truth)
    frame["y"] = np.where(rng.random(n) < 0.2, truth, np.nan)
    found = []
    for least in (100, n + 1):
        monkeypatch.setattr(totals, "_LEAST", least)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kt.KaratWarning)
            found.append(
                kt.logit(
                    "y ~ C(year) + party", frame, surrogates={"y": "y_llm"}, learner=learner, weights="v", seed=1,
                    design=kt.Bernoulli(0.2),
                )
            )  # fmt: skip
    np.testing.assert_allclose(found[0].theta, found[1].theta, rtol=1e-10)
    np.testing.assert_allclose(found[0].covariance, found[1].covariance, rtol=1e-10)
