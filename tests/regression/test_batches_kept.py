"""Fixed effects and missing values in tables that are read batch by batch: the numbers of the table in memory."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.frames import Table
from karat.predict.streamed import dealt
from karat.regression.batch_groups import CODE, Grouping

from ..profiles import examples

N = 300
FORMULAS = {
    "outcome": ("y ~ x + z | s", ["y"]),
    "covariate": ("y ~ d + x | s", ["d"]),
    "both, two ways": ("y ~ d + x | s + t", ["y", "d"]),
    "combinations": ("y ~ x | s^t", ["y"]),
    "no effects": ("y ~ d + x", ["y", "d"]),
}
DESIGNS = {"simple": kt.SimpleRandom(n=150), "strata": kt.Stratified("st", n=150), "Bernoulli": kt.Bernoulli(0.5)}
FORMS = {
    "HC1": {"vcov": "HC1"}, "HC2": {"vcov": "HC2"}, "HC3": {"vcov": "HC3"}, "clusters": {"vcov": {"CRV1": "c"}},
    "clusters left out": {"vcov": {"CRV3": "c"}}, "weights": {"weights": "v", "vcov": "HC2"},
}  # fmt: skip


def corpus(names, design, missing=0.0, seed=1):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "x": rng.normal(size=N), "z": 40 + rng.normal(size=N), "s": rng.choice(list("abcdefgh"), N),
        "t": rng.integers(0, 4, N), "v": rng.uniform(0.5, 2, N), "c": rng.integers(0, 20, N).astype(float),
        "st": rng.choice(["u", "w"], N), "d": (rng.random(N) < 0.5).astype(float),
    })  # fmt: skip
    frame["y"] = frame["x"] + frame["d"] + 0.3 * frame["t"] + rng.normal(size=N)
    frame["d_llm"] = np.where(rng.random(N) < 0.1, 1 - frame["d"], frame["d"])
    frame["y_llm"] = frame["y"] + rng.normal(size=N) / 2
    frame = kt.datasets.mask_gold(frame, design.draw(frame, seed=1), names)
    for name in ("x", "s", "v", "c", "z") if missing else ():
        frame[name] = frame[name].where(rng.random(N) >= missing)
    frame.loc[0, "s"] = "alone"
    return frame


def fit(data, formula, names, design, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        return kt.ols(
            formula, data, surrogates={name: f"{name}_llm" for name in names}, learner=None, design=design, **options
        )


def same(one, other):
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(one.df, other.df, rtol=1e-9)
    assert one.sampling.dropped == other.sampling.dropped
    assert (one.n_units, one.n_gold, one.sampling.n_dropped) == (other.n_units, other.n_gold, other.sampling.n_dropped)
    assert one.sampling.effects == other.sampling.effects
    for a, b in zip(one.compare().columns, other.compare().columns, strict=True):
        np.testing.assert_allclose(a.theta, b.theta, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(a.se, b.se, rtol=1e-10)


@given(
    size=st.integers(7, N + 1), formula=st.sampled_from(list(FORMULAS)), design=st.sampled_from(list(DESIGNS)),
    form=st.sampled_from(list(FORMS)), missing=st.sampled_from([0.0, 0.05]),
)  # fmt: skip
@examples(12)
def test_the_numbers_of_the_table(size, formula, design, form, missing):
    text, names = FORMULAS[formula]
    frame = corpus(names, DESIGNS[design], missing)
    arguments = (text, names, DESIGNS[design])
    answers = []
    for data in (frame, kt.Batches(pa.Table.from_pandas(frame), rows=size)):
        try:
            answers.append(fit(data, *arguments, **FORMS[form]))
        except kt.KaratError as error:
            answers.append(error)
    if isinstance(answers[0], kt.KaratError):
        assert str(answers[0]) == str(answers[1])
    else:
        same(*answers)


def test_order_of_files_does_not_matter(tmp_path):
    text, names = FORMULAS["both, two ways"]
    frame = corpus(names, DESIGNS["simple"], 0.05)
    parts = [frame.iloc[:100], frame.iloc[100:120], frame.iloc[120:]]
    for k, part in enumerate(parts):
        part.to_parquet(tmp_path / f"{k}.parquet")
    whole = fit(frame, text, names, DESIGNS["simple"])
    for order in itertools.permutations(range(3)):
        batches = kt.Batches([tmp_path / f"{k}.parquet" for k in order], rows=64)
        np.testing.assert_allclose(fit(batches, text, names, DESIGNS["simple"]).theta, whole.theta, rtol=1e-10)


def test_a_drawn_sample_is_held_against_all_rows():
    frame = corpus(["y"], DESIGNS["simple"], 0.05)
    frame["y"] = frame["y_llm"] + frame["d"]
    sample = DESIGNS["simple"].draw(frame, seed=2)
    frame = kt.datasets.mask_gold(frame, sample, ["y"])
    one, other = (
        fit(data, "y ~ x", ["y"], sample, vcov="HC2") for data in (frame, kt.Batches(pa.Table.from_pandas(frame)))
    )
    same(one, other)


def test_rows_alike_are_told_once_without_those_left_out():
    rng = np.random.default_rng(5)
    frame = corpus(["y"], DESIGNS["simple"])
    frame = frame.assign(y_llm=(frame["y_llm"] > 0) * 1.0, y=(frame["y"] > 0).where(frame["y"].notna()) * 1.0)
    frame["t"] = frame["t"].where(rng.random(N) > 0.1)
    big = pd.concat([frame, *[frame.assign(y=np.nan)] * 30], ignore_index=True)
    one, other = (
        fit(data, "y ~ t + d", ["y"], None) for data in (big, kt.Batches(pa.Table.from_pandas(big), rows=999))
    )
    same(one, other)
    assert other.sampling.n_dropped > 0


def test_missing_values_are_refused_where_rows_are_not_left_out():
    frame = corpus(["y"], DESIGNS["simple"], 0.05)
    told = []
    for data in (frame, kt.Batches(pa.Table.from_pandas(frame))):
        with pytest.raises(kt.errors.DataError, match="missing='drop'") as error:
            fit(data, "y ~ x | s", ["y"], None, missing="raise")
        told.append(str(error.value))
    assert told[0] == told[1]
    frame.loc[5, "y_llm"] = np.nan
    with pytest.raises(kt.errors.DataError, match="y_llm"):
        fit(kt.Batches(pa.Table.from_pandas(frame)), "y ~ x", ["y"], None)
    with pytest.raises(kt.errors.ArgumentError, match="fixed effects after a bar"):
        kt.probit("d ~ x | s", kt.Batches(pa.Table.from_pandas(frame)), surrogates={"d": "d_llm"}, learner=None)


@given(size=st.integers(5, 400), learner=st.sampled_from([0, 3]), seed=st.integers(0, 99))
@examples(15)
def test_cells_hold_the_rows_that_are_alike(size, learner, seed):
    rng, n = np.random.default_rng(seed), 1500
    frame = pd.DataFrame({
        "text": rng.choice(["a", "b", "long"], n), "year": np.sort(rng.integers(-1, 2, n)), "true": rng.random(n) < 0.3,
        "half": rng.integers(0, 2, n) / (2 if seed % 2 else 1), "gold": np.where(rng.random(n) < 0.1, 1.0, np.nan),
    })  # fmt: skip
    names = ("text", "year", "true", "half")
    grouping = Grouping(names, learner)
    for at, table in kt.Batches(pa.Table.from_pandas(frame), rows=size).tables(frame.columns.tolist()):
        grouping.add(at.start, table, table.there("gold"))
    groups, count = grouping.found()
    code = dealt(np.arange(n), learner) if learner else np.zeros(n, dtype=int)
    wanted = frame.assign(code=code)[frame["gold"].isna()].groupby([*names, "code"]).size()
    keys = [*(groups[name] for name in names), groups[CODE] if learner else pd.Series(np.zeros(len(groups), dtype=int))]
    found = pd.Series(count, index=pd.MultiIndex.from_arrays(keys)).sort_index()
    assert found.index.tolist() == wanted.index.tolist()
    np.testing.assert_array_equal(found.to_numpy(), wanted.to_numpy())


def test_values_that_grow_from_batch_to_batch_do_not_pile_up_tables():
    """A day that goes up with the rows widens the table of cells in every batch; few of them are kept at a time."""
    days, grouping = np.repeat(np.arange(60), 400), Grouping(("day",))
    for start in range(0, len(days), 400):
        table = Table.read(pa.table({"day": days[start : start + 400]}))
        grouping.add(start, table, np.zeros(400, dtype=bool))
        assert len(grouping.cells) <= 17
        assert len(grouping.parts) <= 34
    frame, count = grouping.found()
    assert dict(zip(frame["day"].tolist(), count.tolist())) == dict.fromkeys(range(60), 400.0)
