import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import pytest

from karat import datasets
from karat.errors import ArgumentError, DataError

DATA = Path(__file__).resolve().parents[1] / "data"
TEXTS = ["editorials", "reviews"]
NAMES = [*TEXTS, "leaders"]
BACKENDS = ["pandas", "polars", "pyarrow"]
VALUES = range(-4, 5)
COUNTS = [f"rating_{'m' if value < 0 else 'p' if value else ''}{abs(value)}" for value in VALUES]


@pytest.fixture(scope="module")
def tables():
    return {name: datasets.load(name) for name in NAMES}


def small(backend):
    columns = {"tone": [0.5, -1.0, 0.0, 2.0], "fresh": [1, 0, 0, 1], "kind": ["a", "b", "a", "b"]}
    return nw.from_dict(columns, backend=backend).to_native()


def as_lists(native):
    def plain(value):
        return None if value is None or pd.isna(value) else value

    frame = nw.from_native(native)
    return {name: [plain(value) for value in frame[name].to_list()] for name in frame.columns}


# ---- the files ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not DATA.exists(), reason="needs the data folder of a checkout")
@pytest.mark.parametrize("name", NAMES)
def test_table_has_the_stated_checksum(name):
    lines = (DATA / "checksums.sha256").read_text().splitlines()
    stated = {line.split()[-1]: line.split()[0] for line in lines if not line.startswith("#")}
    raw = (DATA / f"{name}.csv.gz").read_bytes()
    assert hashlib.sha256(raw).hexdigest() == stated[f"{name}.csv.gz"]
    assert f"# {hashlib.sha256(gzip.decompress(raw)).hexdigest()}  {name}.csv (uncompressed)" in lines
    assert datasets._packed(name) == raw
    assert raw[4:8] == bytes(4), "the gzip header carries a time"
    assert len(raw) < 1_000_000


@pytest.mark.skipif(not DATA.exists(), reason="needs the data folder of a checkout")
@pytest.mark.parametrize("name", NAMES)
def test_readme_explains_every_column(name, tables):
    readme = (DATA / "README.md").read_text()
    assert [column for column in tables[name] if f"`{column}`" not in readme] == []


@pytest.mark.parametrize("name", NAMES)
def test_description_matches_the_table(name, tables):
    info, table = datasets.describe(name), tables[name]
    assert list(info.columns) == list(table.columns)
    assert str(len(table)) in info.title
    named = {
        info.cluster,
        *info.surrogates,
        *(column for columns in info.surrogates.values() for column in columns),
    }
    assert named <= set(table.columns)
    assert all(line in str(info) for line in info.columns)


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_is_shipped(name, tables):
    strings = tables[name].select_dtypes(exclude="number")
    expected = {"editorials": {"snippet", "vader_tercile"}, "reviews": {"movie", "vader_tercile"}}
    assert set(strings) == expected[name]
    assert strings.map(len).max().max() <= 50
    assert not any(strings[column].str.contains(" ").any() for column in strings)


# ---- the tables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_complete_and_unique(name, tables):
    table = tables[name]
    assert not table.isna().any().any()
    assert (table.select_dtypes(exclude="number") != "").all().all()
    assert table.iloc[:, 0].is_unique


@pytest.mark.parametrize(("name", "mean"), [("editorials", "tone"), ("reviews", "tone_crowd")])
def test_moments_are_those_of_the_rating_counts(name, mean, tables):
    table = tables[name]
    counts, values = table[COUNTS].to_numpy(), np.array(VALUES)
    assert (counts >= 0).all()
    np.testing.assert_array_equal(counts.sum(axis=1), table["ratings"])
    expected = counts @ values / counts.sum(axis=1)
    spread = np.sqrt(np.maximum(counts @ values**2 / counts.sum(axis=1) - expected**2, 0))
    np.testing.assert_allclose(table[mean], expected, atol=6e-5)
    np.testing.assert_allclose(table[f"{mean}_sd"], spread, atol=6e-5)
    rater = table["tone_rater"].to_numpy()
    assert (counts[np.arange(len(table)), rater + 4] > 0).all(), "the first rating is one of those counted"


def test_editorials(tables):
    table = tables["editorials"]
    assert table.shape == (5190, 43)
    assert (table["ratings"] == 20).all()
    assert table["editorial"].nunique() == 498
    assert (table["snippet"] == table["editorial"].astype(str) + "_" + table["number"].astype(str)).all()
    assert table["position"].between(0, 1).all()
    np.testing.assert_array_equal(table["negative"], table["tone"] < 0)
    np.testing.assert_array_equal(table["negative_vader"], table["tone_vader"] < 0)
    assert (table.groupby("editorial")["letter"].nunique() == 1).all()


def test_reviews(tables):
    table = tables["reviews"]
    assert table.shape == (10455, 44)
    assert table["movie"].nunique() == 507
    assert set(table["fresh"]) == {0, 1}
    up = table[COUNTS[5:]].sum(axis=1) + table["rating_0"] / 2
    np.testing.assert_allclose(table["share_crowd"], up / table["ratings"], atol=6e-5)
    for judge in ("vader", "afinn", "textblob", "rater", "crowd"):
        np.testing.assert_array_equal(table[f"fresh_{judge}"], table[f"tone_{judge}"] > 0)


@pytest.mark.parametrize("name", TEXTS)
def test_scores_and_indicators_stay_in_range(name, tables):
    table, info = tables[name], datasets.describe(name)
    assert table[["tone_vader", "tone_textblob"]].abs().max().max() <= 1
    assert table["words"].min() >= 1
    indicators = [column for column, meaning in info.columns.items() if meaning.startswith("1 if")]
    assert len(indicators) > 15
    assert table[indicators].isin([0, 1]).all().all()
    assert (table[indicators].mean() > 0.001).all(), "an indicator that is never 1 is of no use"
    order = table.groupby("vader_tercile")["tone_vader"].agg(["min", "max"]).loc[["low", "middle", "high"]]
    assert (order["max"].to_numpy()[:-1] < order["min"].to_numpy()[1:]).all()
    assert table["vader_tercile"].value_counts(normalize=True).min() > 0.25


def test_leaders(tables):
    table = tables["leaders"]
    assert table.shape == (1808, 12)
    assert table["country"].nunique() == 200
    assert (table["years"] == table["last_year"] - table["start_year"] + 1).all()
    assert table["years"].min() == 1
    assert table["start_year"].min() == 1946
    assert table["last_year"].max() == 2008
    assert table["ended"].value_counts().to_dict() == {"left": 1468, "in office": 190, "otherwise": 150}
    np.testing.assert_array_equal(table["left"] == 1, table["ended"] == "left")
    assert (table.loc[table["ended"] == "in office", "last_year"] == 2008).all()
    democratic = table["regime"].isin(["parliamentary", "mixed", "presidential"])
    np.testing.assert_array_equal(table["democracy"] == 1, democratic)
    kennedy = table[(table["country_code"] == 2) & (table["start_year"] == 1961)].iloc[0]
    assert (kennedy["ended"], kennedy["years"]) == ("otherwise", 2)


def test_surrogate_errors_are_differential(tables):
    """Positive words lengthen a text, so word lists find a relation that the verdicts do not show."""
    table = tables["reviews"]
    gap = {column: table.groupby(column)["words"].mean().diff().iloc[-1] for column in ("fresh", "fresh_vader")}
    assert abs(gap["fresh"]) < 0.5
    assert gap["fresh_vader"] > 1.5


# ---- load -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_same_table(backend, tables):
    pytest.importorskip(backend)
    frame = nw.from_native(datasets.load("editorials", backend))
    assert frame.implementation == nw.Implementation.from_string(backend)
    for column, values in tables["editorials"].items():
        assert frame[column].to_list() == values.tolist()


def test_unknown_names_are_refused():
    with pytest.raises(ArgumentError, match=r"name='tweets' .*'editorials', 'reviews', 'leaders'"):
        datasets.load("tweets")
    with pytest.raises(ArgumentError, match="'editorials', 'reviews', 'leaders'"):
        datasets.describe("tweets")
    with pytest.raises(ArgumentError, match=r"backend='r' .*'pandas', 'polars', 'pyarrow'"):
        datasets.load("reviews", backend="r")


def test_backend_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match="pip install polars"):
        datasets.load("reviews", backend="polars")


def test_missing_table(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.resources, "files", lambda package: tmp_path)
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "a" / "b" / "datasets" / "__init__.py"))
    with pytest.raises(DataError, match="'reviews' is missing"):
        datasets.load("reviews")


def test_import_needs_no_data_frame_library():
    code = "import sys, karat.datasets; sys.exit(bool({'pandas', 'polars', 'narwhals'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- mask_gold ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_mask_hides_gold_outside_the_sample_only(backend):
    pytest.importorskip(backend)
    frame, keep = small(backend), np.array([True, False, False, True])
    before = as_lists(frame)
    masked = datasets.mask_gold(frame, keep, ["tone", "fresh"])
    assert type(masked) is type(frame)
    assert as_lists(masked) == {
        "tone": [0.5, None, None, 2.0],
        "fresh": [1, None, None, 1],
        "kind": before["kind"],
    }
    assert as_lists(frame) == before
    assert as_lists(datasets.mask_gold(frame, keep, "kind"))["kind"] == ["a", None, None, "b"]


def test_mask_reads_a_drawn_sample(tables):
    class Sample:
        labelled = np.arange(5190) % 10 == 0

    masked = datasets.mask_gold(tables["editorials"], Sample(), "tone")
    np.testing.assert_array_equal(masked["tone"].notna(), Sample.labelled)
    pd.testing.assert_frame_equal(masked.drop(columns="tone"), tables["editorials"].drop(columns="tone"))


def test_mask_keeps_a_pandas_index_with_repeats():
    frame = small("pandas").set_index(pd.Index([7, 7, None, "a"], name="key"))
    masked = datasets.mask_gold(frame, [True, False, True, False], "tone")
    pd.testing.assert_index_equal(masked.index, frame.index)
    np.testing.assert_array_equal(masked["tone"], [0.5, np.nan, 0.0, np.nan])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("int64", "float64"),
        ("bool", "float64"),
        ("float32", "float32"),
        ("Int64", "Int64"),
        ("boolean", "boolean"),
    ],
)
def test_mask_types_in_pandas(dtype, expected):
    frame = pd.DataFrame({"gold": [1, 0, 1]}).astype(dtype)
    masked = datasets.mask_gold(frame, [True, False, True], "gold")
    assert str(masked["gold"].dtype) == expected
    assert masked["gold"].isna().tolist() == [False, True, False]
    assert float(masked["gold"].iloc[0]) == 1.0


def test_mask_refuses_what_it_cannot_read():
    frame = small("pandas")
    with pytest.raises(DataError, match="'tone_gold'"):
        datasets.mask_gold(frame, [True] * 4, "tone_gold")
    with pytest.raises(ArgumentError, match=r"shape \(3,\), data has 4 rows"):
        datasets.mask_gold(frame, [True] * 3, "tone")
    with pytest.raises(ArgumentError, match="sample holds int64"):
        datasets.mask_gold(frame, np.array([0, 3]), "tone")
    with pytest.raises(ArgumentError, match="columns is empty"):
        datasets.mask_gold(frame, [True] * 4, [])


# ---- simulate -------------------------------------------------------------------------------------------


def fitted(frame, kind, covariate):
    import statsmodels.formula.api as smf

    model = {"ols": smf.ols, "logit": smf.logit, "poisson": smf.poisson}[kind]
    options = {} if kind == "ols" else {"disp": 0}
    return model(f"outcome ~ {covariate} + length", frame).fit(**options)


@pytest.mark.parametrize("kind", ["ols", "logit", "poisson"])
def test_simulated_truth_holds_for_gold_and_not_for_the_surrogate(kind):
    frame, truth = datasets.simulate(8000, kind, seed=11)
    gold, naive = fitted(frame, kind, "hostile"), fitted(frame, kind, "hostile_llm")
    assert list(truth) == list(gold.params.index)
    assert (abs(gold.params - pd.Series(truth)) < 4 * gold.bse).all()
    assert abs(naive.params["hostile_llm"] - truth["hostile"]) > 4 * naive.bse["hostile_llm"]


def test_simulated_errors_without_differential_depend_on_gold_alone():
    frame, _ = datasets.simulate(8000, differential=0.0, seed=5)
    wrong = (frame["hostile"] != frame["hostile_llm"]).astype(float)
    for _, rows in frame.assign(wrong=wrong).groupby("hostile"):
        assert abs(rows["wrong"].corr(rows["outcome"])) < 0.06
        assert abs(rows["wrong"].corr(rows["length"])) < 0.06


def test_simulation_is_seeded_and_refuses_what_it_does_not_know():
    first, again = (datasets.simulate(50, "poisson", seed=3)[0] for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert len(first) == 50
    with pytest.raises(ArgumentError, match="'ols', 'logit', 'poisson'"):
        datasets.simulate(10, "probit")
    with pytest.raises(ArgumentError, match="n=0"):
        datasets.simulate(0)


# ---- simulate_texts -------------------------------------------------------------------------------------


def test_simulated_letters_have_the_stated_truth_and_mislead_word_counts():
    import statsmodels.formula.api as smf

    letters, truth = datasets.simulate_texts(6000, seed=2)
    gold = smf.logit("support ~ car + distance", letters).fit(disp=0)
    assert (abs(gold.params - pd.Series(truth)) < 4 * gold.bse).all()
    bad = letters["text"].str.contains("awful|terrible|hate|horrible|disgrace|misery|sad", case=False)
    shares = bad.groupby([letters["support"], letters["car"]]).mean()
    assert shares[1, 0] > shares[1, 1] + 0.2, "supporters without a car complain"
    assert not letters["text"].str.contains("[{}]").any(), "a slot was left open"
    assert letters["text"].nunique() > 0.9 * len(letters)
    assert letters["text"].str.split().str.len().between(5, 90).all()


def test_simulated_letters_are_seeded():
    first, again = (datasets.simulate_texts(30, seed=3)[0] for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["text"].equals(datasets.simulate_texts(30, seed=4)[0]["text"])
    with pytest.raises(ArgumentError, match="n=0"):
        datasets.simulate_texts(0)


@pytest.mark.parametrize(("argument", "value"), [("n", "many"), ("n", 1.5), ("differential", "x"), ("seed", -1)])
def test_simulation_says_what_is_wrong(argument, value):
    with pytest.raises(ArgumentError, match=f"{argument}={value!r}"):
        datasets.simulate(**{argument: value})


def test_masking_keeps_odd_names_and_aligns_a_series():
    frame = pd.DataFrame(np.arange(8.0).reshape(2, 4), columns=[0, ("a", "b"), "x", "x"], index=["p", "q"])
    masked = datasets.mask_gold(frame, pd.Series([True, False], index=["q", "p"]), "0")
    assert masked.columns.equals(frame.columns)
    assert np.isnan(masked[0]).tolist() == [True, False]
