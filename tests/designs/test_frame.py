"""A sample knows the frame it was drawn from, is saved, and is read back."""

import base64
import datetime
import json
import zlib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import karat as kt
from karat.designs.frame import digest
from karat.errors import DataError, DesignError

from .. import corpora

FIT = {"surrogates": {"y": "y_llm"}, "learner": None, "compare": False}


@pytest.fixture(scope="module")
def frame():
    out = corpora.corpus(200, seed=41).drop(columns=["vote", "count", "stance"])
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(200), unit="h")
    return out.assign(doc=[f"d{i}" for i in range(200)], when=days, note=out["topic"].where(out.index > 2))


def labelled(frame, sample):
    return corpora.masked(frame, sample.labelled, "y")


def test_hash_does_not_depend_on_the_library(frame, tmp_path):
    design = kt.SimpleRandom(30)
    expected = design.draw(frame, seed=1).frame_hash
    assert len(expected) == 32
    as_arrow = frame.convert_dtypes(dtype_backend="pyarrow")
    shuffled_columns = frame[frame.columns[::-1]]
    same = [pl.from_pandas(frame), pa.Table.from_pandas(frame), as_arrow, frame.convert_dtypes(), shuffled_columns]
    assert {design.draw(f, seed=1).frame_hash for f in same} == {expected}
    frame.to_csv(tmp_path / "corpus.csv", index=False)
    read = pd.read_csv(tmp_path / "corpus.csv", parse_dates=["when"])
    assert design.draw(read, seed=1).frame_hash == expected
    assert design.draw(frame.iloc[::-1], seed=1).frame_hash != expected
    assert design.draw(frame.assign(z=frame["z"] + 1e-9), seed=1).frame_hash != expected


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ([True, False], [1, 0], True),
        ([1, None], [1.0, np.nan], True),
        (["a", None], ["a", np.nan], True),
        (["ab", "c"], ["a", "bc"], False),
        (["1", "2"], [1, 2], False),
        ([0.1 + 0.2, 1.0], [0.3, 1.0], True),
        ([1e-300, 1e300], [1e-300, 1e300], True),
        ([1e-300, 1.0], [2e-300, 1.0], False),
        ([-0.0, 0.1], [0.0, 0.1], True),
        ([2**60, 1], [2**60 + 1, 1], False),
        ([np.inf, 1.0], [-np.inf, 1.0], False),
        ([np.inf, 1.0], [np.nan, 1.0], False),
        ([datetime.date(2020, 1, 1), None], [pd.Timestamp("2020-01-01"), None], True),
        ([0.09999999999999999, 1.0], [0.1, 1.0], True),
        ([999999.9999999999, 0.3], [1000000.0, 0.3], True),
        (np.array([0.1, 0.12345679], dtype="float32"), [0.1, 0.12345679], True),
        (np.array([0.1, 0.12345679], dtype="float32"), [0.1, 0.12345678], False),
    ],
)
def test_digest(left, right, same):
    assert (digest(pd.Series(left)) == digest(pd.Series(right))) == same


def test_gold_may_be_filled_in_and_columns_added(frame):
    for start in (frame, frame.drop(columns="y"), frame.assign(y=np.nan)):
        sample = kt.Stratified("region", 60).draw(start, seed=2)
        table = labelled(frame, sample).assign(new=1.0)
        assert kt.ols("y ~ z", table.drop(columns="topic"), design=sample.design, **FIT).n_gold == 60


def test_changed_frames_are_refused(frame):
    sample = kt.Stratified("region", 60).draw(frame, seed=2)
    table = labelled(frame, sample)
    with pytest.raises(DesignError, match=r"all columns differ.*another order.*id="):
        kt.ols("y ~ z", table.sample(frac=1, random_state=1), design=sample.design, **FIT)
    with pytest.raises(DesignError, match="'z' differ"):
        kt.ols("y ~ z", table.assign(z=table["z"].where(table.index != 7, 0.0)), design=sample.design, **FIT)
    with pytest.raises(DesignError, match="drawn from 200 rows, the data have 199"):
        kt.ols("y ~ z", table.iloc[1:], design=sample.design, **FIT)
    with pytest.raises(DesignError, match="none of the columns"):
        kt.ols("a ~ 1", pd.DataFrame({"a": table["y"].to_numpy(), "b": 1.0}), surrogates={"a": "b"}, design=sample)
    swapped = table.copy()
    swapped.iloc[[0, 1]] = table.iloc[[1, 0]].to_numpy()
    with pytest.raises(DesignError, match="changed since"):
        sample.rows(swapped.astype(table.dtypes))


def test_rows_are_matched_by_id(frame):
    sample = kt.Unequal("size", 60, by="region").draw(frame, seed=2, id="doc")
    table = labelled(frame, sample)
    expected = kt.ols("y ~ z", table, design=sample.design, **FIT)
    moved = table.sample(frac=1, random_state=1)
    found = kt.ols("y ~ z", moved.assign(note="edited"), design=sample.design, **FIT)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-10)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-10)
    assert set(sample.rows(moved)["doc"]) == set(frame["doc"][sample.positions])
    with pytest.raises(DesignError, match="'size' differ"):
        kt.ols("y ~ z", moved.assign(size=1.0), design=sample.design, **FIT)
    with pytest.raises(DesignError, match=r"0 row.*gone, 1 are new"):
        kt.ols("y ~ z", pd.concat([table, table.iloc[:1].assign(doc="x")]), design=sample.design, **FIT)
    with pytest.raises(DesignError, match=r"2 row.*gone, 0 are new"):
        kt.ols("y ~ z", moved.iloc[2:], design=sample.design, **FIT)
    with pytest.raises(DesignError, match=r"1 row.*gone, 1 are new.*'y9'"):
        kt.ols("y ~ z", moved.assign(doc=moved["doc"].replace("d9", "y9")), design=sample.design, **FIT)
    with pytest.raises(DesignError, match=r"id='doc'.*not in the data"):
        kt.ols("y ~ z", table.drop(columns="doc"), design=sample.design, **FIT)


def test_ids_must_name_rows(frame):
    with pytest.raises(DataError, match="several rows"):
        kt.SimpleRandom(5).draw(frame, id="topic")
    with pytest.raises(DataError, match="missing in 3"):
        kt.SimpleRandom(5).draw(frame, id="note")


def test_later_waves_accept_filled_gold_and_other_orders(frame):
    pilot = kt.SimpleRandom(40).draw(frame, seed=1, id="doc")
    moved = labelled(frame, pilot).sample(frac=1, random_state=3)
    main = pilot.next_wave(kt.SimpleRandom(50), moved, seed=2)
    assert set(moved["doc"].iloc[main.positions]) >= set(frame["doc"].iloc[pilot.positions])
    table = frame.assign(y=frame["y"].where(frame["doc"].isin(moved["doc"].iloc[main.positions])))
    assert kt.ols("y ~ z", table, design=main, **FIT).n_gold == 90


DESIGNS = {
    "simple": kt.SimpleRandom(60),
    "bernoulli": kt.Bernoulli("pi"),
    "array": kt.Bernoulli(np.linspace(0.2, 0.4, 200)),
    "stratified": kt.Stratified("region", {"east": 20, "north": 20, "west": 20}),
    "two columns": kt.Stratified(["region", "vote_llm"], 60),
    "clusters": kt.Clustered("author", 10),
    "unequal": kt.Unequal("size", 60, by=("region", "vote_llm"), floor=0.05),
}


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS.keys())
@pytest.mark.parametrize("waves", [1, 2])
def test_saved_samples_are_the_same(design, waves, frame, tmp_path):
    sample = design.draw(frame, seed=4, id="doc")
    if waves == 2:
        other = kt.Clustered("author", 4) if isinstance(design, kt.Clustered) else kt.Bernoulli(0.2)
        sample = sample.next_wave(other, frame, seed=5, share=0.3)
    sample.save(tmp_path / "sample.json")
    back = kt.read_sample(tmp_path / "sample.json")
    assert back.labelling.same(sample.labelling)
    assert back.frame_hash == sample.frame_hash
    assert (back.seed, back.sent, repr(back)) == (sample.seed, sample.sent, repr(sample))
    assert repr(back.design.base) == repr(sample.design.base).replace(
        "['region', 'vote_llm']", "('region', 'vote_llm')"
    )
    table = labelled(frame, sample).sample(frac=1, random_state=2)
    fits = [kt.ols("y ~ z", table, design=s, **FIT) for s in (sample, back)]
    np.testing.assert_array_equal(fits[0].covariance, fits[1].covariance)


def test_files_that_are_no_samples(frame, tmp_path):
    path = tmp_path / "sample.json"
    with pytest.raises(DataError, match="cannot be read"):
        kt.read_sample(path)
    for text, message in (("{", "not JSON"), ("{}", "is not a karat sample"), ("[" * 100_000, "not JSON")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            kt.read_sample(path)
    kt.SimpleRandom(5).draw(frame, seed=1).save(path)
    stored = json.loads(path.read_text())
    for version, message in ((99, "later karat"), ("2", "version '2'"), (None, "version None"), (0, "version 0")):
        path.write_text(json.dumps(stored | {"version": version}))
        with pytest.raises(DataError, match=message):
            kt.read_sample(path)
    with pytest.raises(DataError, match="cannot be written"):
        kt.SimpleRandom(5).draw(frame, seed=1).save(tmp_path / "none" / "sample.json")


def packed(values):
    return {"dtype": values.dtype.str, "zlib_base64": base64.b64encode(zlib.compress(values.tobytes())).decode()}


FORGED = {
    "probabilities above 1": ("labelling", "probability", packed(np.full(300, 2.0))),
    "probabilities that are missing": ("labelling", "probability", packed(np.full(300, np.nan))),
    "other rows": ("labelling", "labelled", packed(np.arange(299) < 5)),
    "numbers for true and false": ("labelling", "labelled", packed(np.arange(300))),
    "an array of objects": ("labelling", "labelled", {"dtype": "O", "zlib_base64": ""}),
    "not base64": ("labelling", "labelled", {"dtype": "|b1", "zlib_base64": "@@"}),
    "no array": ("labelling", "labelled", None),
    "a list": ("labelling", "labelled", [1, 0]),
    "a size that is not one": ("design", "arguments", {"n": "x"}),
    "an unknown design": ("design", "name", "Quota"),
    "a frame hash": ("frame", "n_rows", 301),
    "an array that is large when unpacked": ("labelling", "probability", packed(np.zeros(2**14))),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("version", [1, 2])
def test_samples_that_were_edited(change, version, frame, tmp_path, monkeypatch):
    monkeypatch.setattr("karat.designs.store._MOST_BYTES", 2**16)
    path = tmp_path / "sample.json"
    kt.SimpleRandom(5).draw(frame, seed=1).save(path)
    stored = json.loads(path.read_text()) | {"version": version}
    part, key, value = change
    stored[part][key] = value
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match="edited or damaged" if version == 2 else "damaged sample file"):
        kt.read_sample(path)


def test_samples_without_a_checksum_are_read_in_version_1_only(frame, tmp_path):
    path = tmp_path / "sample.json"
    kt.SimpleRandom(5).draw(frame, seed=1).save(path)
    stored = json.loads(path.read_text())
    del stored["checksum"]
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match="edited or damaged"):
        kt.read_sample(path)
    path.write_text(json.dumps(stored | {"version": 1}))
    assert len(kt.read_sample(path).positions) == 5
