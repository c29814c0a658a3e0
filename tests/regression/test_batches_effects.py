"""Fixed effects of logistic and Poisson regressions read batch by batch: the numbers of the table in memory."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.errors import ArgumentError, DataError
from karat.estimate import curved_blocks

from ..profiles import examples

N = 700
DOORS = {"logit": kt.logit, "poisson": kt.poisson}
FORMULAS = ("y ~ x + z | s", "y ~ x + offset(o) | s + t", "y ~ x + z | s^t")
FORMS = {
    "HC1": {}, "HC2": {"vcov": "HC2"}, "clusters": {"vcov": {"CRV1": "s"}}, "weights": {"weights": "v"},
    "surrogates alone": {"estimator": "surrogate"}, "gold alone": {"estimator": "gold"}, "weight 1": {"tuning": None},
}  # fmt: skip


def corpus(kind, groups=6, n=300, wrong=0.1, seed=1, missing=0.0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "x": rng.normal(size=N), "z": 40 + rng.normal(size=N), "s": rng.integers(0, groups, N),
        "t": rng.integers(0, 3, N), "v": rng.uniform(0.5, 2, N), "o": rng.normal(size=N) / 5,
    })  # fmt: skip
    frame.loc[::9, "v"] = 0.0
    eta = 0.5 * frame["x"] + 0.1 * (frame["z"] - 40) + 0.3 * frame["t"] + 0.6 * np.sin(frame["s"])
    if kind == "logit":
        frame["y"] = (rng.random(N) < 1 / (1 + np.exp(-eta))) * 1.0
        frame["y_llm"] = np.where(rng.random(N) < wrong, 1 - frame["y"], frame["y"])
    else:
        frame["y"] = rng.poisson(np.exp(eta)) * 1.0
        frame["y_llm"] = np.round(frame["y"] * rng.uniform(1 - 5 * wrong, 1 + 5 * wrong, N))
    frame = kt.datasets.mask_gold(frame, kt.SimpleRandom(n=n).draw(frame, seed=1), ["y"])
    for name in ("x", "s", "v") if missing else ():
        frame[name] = frame[name].where(rng.random(N) >= missing)
    return frame


def fit(kind, formula, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        return DOORS[kind](formula, data, surrogates={"y": "y_llm"}, **{"learner": None, **options})


def same(one, other):
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-9, atol=1e-13)
    assert one.sampling.dropped == other.sampling.dropped
    assert set(one.notes) <= set(other.notes)  # of batches it is said that balance was not tested
    for a, b in zip(one.compare().columns, other.compare().columns, strict=True):
        np.testing.assert_allclose(b.theta, a.theta, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(b.se, a.se, rtol=1e-9)


@given(
    kind=st.sampled_from(list(DOORS)), formula=st.sampled_from(FORMULAS), form=st.sampled_from(list(FORMS)),
    size=st.integers(60, N + 1), missing=st.sampled_from([0.0, 0.05]),
)  # fmt: skip
@examples(12)
def test_the_numbers_of_the_table(kind, formula, form, size, missing):
    frame = corpus(kind, missing=missing)
    batches = kt.Batches(pa.Table.from_pandas(frame), rows=size)
    same(*(fit(kind, formula, data, **FORMS[form]) for data in (frame, batches)))


@pytest.mark.parametrize("kind", DOORS)
def test_totals_that_no_effect_gives_are_moved_alike(kind, monkeypatch):
    """Many small groups, whose outcomes gold corrects to totals below 0, or above what a group can hold."""
    found = []
    solved = curved_blocks._solved
    monkeypatch.setattr(curved_blocks, "_solved", lambda *given: found.append(solved(*given)) or found[-1])
    frame = corpus(kind, **{"logit": {"groups": 60, "n": 400}, "poisson": {"groups": 60, "n": 200, "wrong": 0.2}}[kind])
    same(*(fit(kind, "y ~ x | s", data) for data in (frame, kt.Batches(pa.Table.from_pandas(frame), rows=333))))
    assert found[0].moved.any
    assert (found[0].kappa != 1.0) == (kind == "poisson")


def test_groups_whose_predicted_outcomes_are_all_alike_leave_in_turn():
    """A group of one way that leaves takes with it what made the outcomes of a group of the other way differ."""
    frame = corpus("poisson")
    frame["s"] = frame["s"] + 10 * (frame.index < 40)
    frame.loc[frame["s"] >= 10, "y_llm"] = 0.0
    frame["t"] = np.where((frame["s"] >= 13) | ((frame["s"] == 2) & (frame["x"] > 1)), 7, frame["t"])
    frame.loc[frame["t"] == 7, "y_llm"] = 0.0
    same(*(
        fit("poisson", "y ~ x + z | s + t", data, **FORMS["surrogates alone"])
        for data in (frame, kt.Batches(pa.Table.from_pandas(frame), rows=100))
    ))  # fmt: skip


def test_order_of_files_and_learners(tmp_path):
    frame = corpus("logit")
    frame["fold"] = np.arange(N) % 3
    for k, part in enumerate((frame.iloc[:100], frame.iloc[100:120], frame.iloc[120:])):
        part.to_parquet(tmp_path / f"{k}.parquet")
    options = {"learner": "linear", "folds": "fold"}
    whole = fit("logit", "y ~ x | s", frame, **options)
    for order in ((0, 1, 2), (2, 0, 1)):
        found = fit("logit", "y ~ x | s", kt.Batches([tmp_path / f"{k}.parquet" for k in order], rows=64), **options)
        np.testing.assert_allclose(found.theta, whole.theta, rtol=1e-9)
        np.testing.assert_allclose(found.covariance, whole.covariance, rtol=1e-8)


def test_what_is_refused():
    frame = corpus("logit")
    batches = kt.Batches(pa.Table.from_pandas(frame), rows=100)
    with pytest.raises(DataError, match="do not vary within s"):
        fit("logit", "y ~ x + I(2.0 * s) | s", batches)
    both = kt.Batches(pa.Table.from_pandas(frame.assign(d=frame["y"], d_llm=frame["y_llm"])))
    with pytest.raises(ArgumentError, match=r"labelled covariate 'd'.*kt\.ols"):
        kt.logit("y ~ d + x | s", both, surrogates={"y": "y_llm", "d": "d_llm"}, learner=None)
    with pytest.raises(ArgumentError, match="every row has its gold label"):
        fit("logit", "y ~ x | s", kt.Batches(pa.Table.from_pandas(frame.assign(y=frame["y_llm"]))))
    with pytest.raises(ArgumentError, match=r"fixed effects after a bar.*C\(s\)"):
        kt.probit("y ~ x | s", batches, surrogates={"y": "y_llm"}, learner=None)
