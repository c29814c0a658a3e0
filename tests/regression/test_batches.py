"""Predicted rows from any source give the numbers of rows in memory; parquet files are read batch by batch."""

from __future__ import annotations

import gc
import tracemalloc
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat import moments
from karat.designs import Labelling, read_counts
from karat.estimate.augment import AugmentedSample, Units
from karat.estimate.clusters import Curvatures
from karat.estimate.infer import Parts, infer
from karat.estimate.plugged import surrogate_estimate
from karat.estimate.rectify import rectify
from karat.estimate.rows import Memory, RowBlock, Rows
from karat.frames.batches import Batches
from karat.regression.batch_digest import _digests
from karat.regression.batch_groups import Groups

from ..profiles import examples

N, GOLD = 240, 90
DESIGNS = {
    "simple random": kt.SimpleRandom(n=GOLD),
    "Bernoulli": kt.Bernoulli(GOLD / N),
    "stratified": kt.Stratified("s", n=GOLD, allocation="equal"),
}
MODELS = {
    "outcome": ("y ~ x + g", {"y": "y_llm"}),
    "covariate": ("y ~ d + x", {"d": "d_llm"}),
    "both": ("y ~ d + np.log(x**2 + 1)", {"y": "y_llm", "d": "d_llm"}),
}


def corpus(n=N, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(["a", "b", "c"], n), "s": rng.choice(["u", "v"], n)})
    frame["d"] = (rng.random(n) < 0.5).astype(float)
    frame["d_llm"] = np.where(rng.random(n) < 0.1, 1 - frame["d"], frame["d"])
    frame["number"] = 1 + frame["x"] + frame["d"] + rng.normal(size=n)
    frame["number_llm"] = frame["number"] + rng.normal(size=n) / 2
    frame["binary"] = (rng.random(n) < 1 / (1 + np.exp(-frame["x"] - frame["d"]))).astype(float)
    frame["binary_llm"] = np.clip(0.7 * frame["binary"] + 0.3 * rng.random(n), 0.0, 1.0)
    return frame


def labelled(model, surrogates, design, n=N):
    frame = corpus(n)
    name = {"ols": "number", "logit": "binary"}[model]
    frame = frame.assign(y=frame[name], y_llm=frame[f"{name}_llm"])
    return kt.datasets.mask_gold(frame, design.draw(frame, seed=1), list(surrogates))


def fit(model, formula, data, surrogates, design, **options):
    options = {"learner": None, "context": {"np": np}, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        return kt.regress(formula, data, model=model, surrogates=surrogates, design=design, **options)


def same(one, other):
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(one.df, other.df, rtol=1e-10)
    assert one.names == other.names
    left, right = one.compare(), other.compare()
    assert left.remark == right.remark
    assert left.cautions == right.cautions
    for a, b in zip(left.columns, right.columns, strict=True):
        np.testing.assert_allclose(a.theta, b.theta, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(a.se, b.se, rtol=1e-10)
        np.testing.assert_allclose(a.df, b.df, rtol=1e-10)
    if left.difference is not None:
        np.testing.assert_allclose(left.difference.se, right.difference.se, rtol=1e-9, atol=1e-12)
        assert left.difference.p_value == pytest.approx(right.difference.p_value, rel=1e-8)


# ------------------------------------------------------------------ any source, any size of blocks


@dataclass(frozen=True)
class Chopped:
    """Rows handed out in blocks of a size, with the strata of their units."""

    rows: tuple[Rows, ...]
    size: int
    stratum: np.ndarray | None

    def __len__(self):
        return len(self.rows)

    def blocks(self):
        for start in range(0, len(self.rows[0].y), self.size):
            at = slice(start, min(start + self.size, len(self.rows[0].y)))
            here = None if self.stratum is None else self.stratum[at]
            yield RowBlock(at, tuple(rows.take(at) for rows in self.rows), here)

    def at(self, positions):
        return tuple(rows.take(positions) for rows in self.rows)

    def turned(self, basis):
        return Chopped(tuple(rows.turned(basis) for rows in self.rows), self.size, self.stratum)


def counted(labelling, design):
    """The same draw from gold rows and counts."""
    stratum = np.zeros(labelling.n_rows, dtype=int) if labelling.stratum is None else labelling.stratum
    names = list(labelling.strata) or [""]
    gold = labelling.gold
    return read_counts(design, np.bincount(stratum), names, gold, stratum[gold])


@given(size=st.integers(1, N + 1), model=st.sampled_from(["ols", "logit"]), design=st.sampled_from(list(DESIGNS)),
       kind=st.sampled_from(["HC0", "HC1", "HC2", "HC3"]), scale=st.sampled_from([1.0, 1e4]),
       both=st.booleans())  # fmt: skip
@examples(30)
def test_estimates_do_not_depend_on_where_rows_live(size, model, design, kind, scale, both):
    frame = corpus()
    labelling: Labelling = DESIGNS[design].draw(frame, seed=2).labelling
    y = frame["number" if model == "ols" else "binary"].to_numpy()
    x = np.column_stack([np.ones(N), 3.0 + scale + frame["x"], frame["d"]])
    noisy = y + 0.3 * corpus(seed=5)["x"].to_numpy()
    if both:
        p = 0.1 + 0.8 * frame["d_llm"].to_numpy()
        ones = [np.column_stack([x[:, :2], np.full(N, value)]) for value in (0.0, 1.0)]
        rows = (Rows(ones[0], noisy, None, 1 - p), Rows(ones[1], noisy, None, p))
    else:
        rows = (Rows(np.column_stack([x[:, :2], frame["d_llm"]]), noisy),)
    gold = Rows(x, y).take(labelling.gold)
    few = counted(labelling, DESIGNS[design])
    memory = AugmentedSample(gold, Memory(rows), Units(labelling))
    blocks = AugmentedSample(gold, Chopped(rows, size, labelling.stratum), Units(few))
    for estimator in (lambda sample: rectify(moments.get(model), sample, "auto", False),
                      lambda sample: surrogate_estimate(moments.get(model), sample)):  # fmt: skip
        one, other = estimator(memory), estimator(blocks)
        np.testing.assert_allclose(one.theta, other.theta, rtol=1e-9)
        answers = [infer(Parts.of(found, Curvatures()), kind, "superpopulation", "auto") for found in (one, other)]
        np.testing.assert_allclose(answers[0][0].total, answers[1][0].total, rtol=1e-8 * np.sqrt(scale))
        np.testing.assert_allclose(answers[0][1], answers[1][1], rtol=1e-8)


def test_a_draw_told_by_counts_is_that_draw():
    frame = corpus()
    error = frame[["x", "d"]].to_numpy()
    for name, design in DESIGNS.items():
        whole = design.draw(frame, seed=3).labelling
        few = counted(whole, design)
        assert (few.n_rows, few.n_gold, few.n_units, few.n_chance, few.n_strata) == (
            N, whole.n_gold, whole.n_units, whole.n_chance, whole.n_strata), name  # fmt: skip
        assert (few.description, few.strata, few.independent) == (whole.description, whole.strata, whole.independent)
        np.testing.assert_array_equal(few.weight, whole.weight)
        at = whole.gold
        np.testing.assert_allclose(few.cross(error[at], error[at]), whole.cross(error[at], error[at]), rtol=1e-14)
        kinds = few.kinds(slice(10, 90), None if whole.stratum is None else whole.stratum[10:90])
        np.testing.assert_array_equal(few.spread_everywhere[kinds], whole.spread_everywhere[10:90])
        known = [draw.known_part(error[at])[1] for draw in (few, whole)]
        if whole.fixed_size:
            some = [known[0].take(kinds), known[1].take(slice(10, 90))]
            np.testing.assert_allclose(some[0].moved, some[1].moved, rtol=1e-14)
            np.testing.assert_allclose(some[0].level[some[0].stratum], some[1].level[some[1].stratum], rtol=1e-14)
        assert few.probability.size <= 4


# ------------------------------------------------------------------ parquet


@pytest.mark.parametrize("model", ["ols", "logit"])
@pytest.mark.parametrize("where", list(MODELS))
@given(rows=st.integers(N // 8, N + 1), group=st.integers(N // 8, N), design=st.sampled_from(list(DESIGNS)))
@examples(2)
def test_batches_give_the_numbers_of_the_table(tmp_path, model, where, rows, group, design):
    formula, surrogates = MODELS[where]
    data = labelled(model, surrogates, DESIGNS[design])
    data.to_parquet(tmp_path / "corpus.parquet", row_group_size=group)
    found = fit(model, formula, kt.Batches(tmp_path / "corpus.parquet", rows=rows), surrogates, DESIGNS[design])
    same(found, fit(model, formula, data, surrogates, DESIGNS[design]))
    assert (found.n_units, found.n_gold) == (N, int(data[next(iter(surrogates))].notna().sum()))


def test_one_row_at_a_time(tmp_path):
    data = labelled("ols", ["y"], kt.SimpleRandom(n=30), n=60)
    data.to_parquet(tmp_path / "corpus.parquet")
    found = fit("ols", "y ~ x", kt.Batches(tmp_path / "corpus.parquet", rows=1), {"y": "y_llm"}, None)
    same(found, fit("ols", "y ~ x", data, {"y": "y_llm"}, None))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("ols", {"estimator": "ppi"}),
        ("ols", {"estimator": "gold"}),
        ("ols", {"estimator": "surrogate"}),
        ("logit", {"vcov": "HC0"}),
        ("probit", {"tuning": None}),
        ("poisson", {"imputation": "value", "target": "finite"}),
    ],
)
def test_other_estimators_and_options(tmp_path, model, options):
    outcome = "ols" if model in ("ols", "poisson") else "logit"
    data = labelled(outcome, ["y", "d"], DESIGNS["stratified"])
    data = data.assign(y=np.abs(data["y"]), y_llm=np.abs(data["y_llm"]), g=pd.Categorical(data["g"], ["c", "a", "b"]))
    data.to_parquet(tmp_path / "corpus.parquet", row_group_size=70)
    source = ds.dataset(tmp_path / "corpus.parquet")
    surrogates = {"y": "y_llm", "d": "d_llm"}
    call = ("y ~ d + x + g", surrogates, DESIGNS["stratified"])
    whole = fit(model, call[0], pd.read_parquet(tmp_path / "corpus.parquet"), *call[1:], **options)
    same(fit(model, call[0], kt.Batches(source, rows=50), *call[1:], **options), whole)


COUNTS = np.random.default_rng(0).negative_binomial(2, 0.3, N).astype(float)
OTHERS = {
    "multinomial": ["low", "mid", "top"], "ordered": [0.0, 1.0, 2.0], "ordered_probit": ["low", "mid", "top"],
    "negative_binomial": None, "quantile": None, "huber": None,
}  # fmt: skip


@pytest.mark.parametrize("model", list(OTHERS))
def test_other_models(tmp_path, model):
    data, classes = labelled("ols", ["y"], DESIGNS["stratified"]), OTHERS[model]
    full = corpus()
    values = [full["number"], full["number_llm"]]
    if classes is not None:
        values = [pd.Series(np.array(classes)[np.digitize(v, [0.5, 2])]) for v in values]
    elif model == "negative_binomial":
        values = [pd.Series(COUNTS), pd.Series(np.maximum(COUNTS + np.arange(N) % 3 - 1, 0))]
    if model == "ordered_probit":
        values = [pd.Series(pd.Categorical(v, classes, ordered=True)) for v in values]
    data = data.assign(y=values[0].where(data["y"].notna()), y_llm=values[1])
    data.to_parquet(tmp_path / "corpus.parquet")
    formula = "C(y) ~ x" if model == "ordered" else "y ~ x"
    one, other = (
        fit(model, formula, source, {"y": "y_llm"}, DESIGNS["stratified"])
        for source in (kt.Batches(tmp_path / "corpus.parquet", rows=100), data)
    )
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-10)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-10, atol=1e-14)
    assert [column.title for column in one.compare().columns] == ["Surrogate only", "Gold only", "DSL"]
    for a, b in zip(one.compare().columns, other.compare().columns):  # surrogates alone start elsewhere
        np.testing.assert_allclose(a.se, b.se, rtol=1e-7)


@pytest.mark.parametrize("by", [["s", "d_llm"], "g"])
def test_strata_of_several_columns_and_of_categories(tmp_path, by):
    design = kt.Stratified(by, n=GOLD, allocation="equal")
    data = labelled("ols", ["y"], design).assign(g=lambda frame: pd.Categorical(frame["g"], ["c", "b", "a"]))
    data.to_parquet(tmp_path / "corpus.parquet", row_group_size=80)
    found = fit("ols", "y ~ x", kt.Batches(tmp_path / "corpus.parquet", rows=33), {"y": "y_llm"}, design, vcov="HC2")
    whole = fit("ols", "y ~ x", data, {"y": "y_llm"}, design, vcov="HC2")
    same(found, whole)
    assert (found.checks.strata, found.sampling) == (whole.checks.strata, whole.sampling)
    assert found.checks.weights == whole.checks.weights


def read_of(monkeypatch):
    """Rows handed out by all batches from now on."""
    counts, tables = [], Batches.tables

    def counting(self, names):
        counts.append(0)
        for at, table in tables(self, names):
            counts[-1] += at.stop - at.start
            yield at, table

    monkeypatch.setattr(Batches, "tables", counting)
    return counts


def test_how_often_the_file_is_read(tmp_path, monkeypatch):
    counts = read_of(monkeypatch)
    for model, most in (("ols", 7), ("logit", 25)):
        data = labelled(model, ["y"], DESIGNS["simple random"])
        data.to_parquet(tmp_path / "corpus.parquet")
        counts.clear()
        fit(model, "y ~ x", kt.Batches(tmp_path / "corpus.parquet", rows=100), {"y": "y_llm"}, None)
        assert set(counts) == {N}
        assert len(counts) <= most


def peak(monkeypatch, tmp_path, times, rows, **options):
    """Most bytes that a fit takes of a table and its copies without gold, garbage taken away between batches."""
    frame, tables = labelled("ols", ["y"], DESIGNS["simple random"]), Batches.tables
    more = [frame.assign(y=np.nan, x=frame["x"] + k / 1e6) for k in range(1, times)]
    pd.concat([frame, *more], ignore_index=True).to_parquet(tmp_path / "corpus.parquet")

    def swept(self, names):
        for each in tables(self, names):
            gc.collect()
            yield each

    monkeypatch.setattr(Batches, "tables", swept)
    gc.freeze()
    for _ in range(2):  # the first pays for imports and caches
        _digests.clear()
        tracemalloc.start()
        fit("ols", "y ~ x", kt.Batches(tmp_path / "corpus.parquet", rows=rows), {"y": "y_llm"}, None, compare=False,
            **options)  # fmt: skip
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    gc.unfreeze()
    monkeypatch.undo()
    return found


def test_memory_does_not_grow_with_rows(monkeypatch, tmp_path):
    """Nothing has an entry for each row, not even a byte."""
    few, many = (peak(monkeypatch, tmp_path, times, rows=2400) for times in (40, 120))
    assert many - few < 80 * N, (few, many)


def test_memory_does_not_grow_with_batches(monkeypatch, tmp_path):
    """A batch without gold leaves nothing behind, not even an empty table, which takes 4 KB."""
    few, many = (peak(monkeypatch, tmp_path, times, rows=N, estimator="gold") for times in (10, 40))
    assert many - few < 30 * 1_000, (few, many)


# ------------------------------------------------------------------ weights, clusters, unequal draws


@pytest.mark.parametrize(
    ("design", "options"),
    [
        (None, {"cluster": "town"}),
        (None, {"cluster": ["town", "name"], "vcov": "CRV1"} ),
        (kt.Bernoulli("p"), {"vcov": "HC1", "weights": "v"}),
        (kt.Bernoulli("p"), {"vcov": "HC3"}),
        (kt.Unequal("p", n=GOLD), {"weights": "v"}),
        (kt.Clustered("town", n=12), {"cluster": "town"}),
        (kt.Stratified("s", n=GOLD, allocation="equal"), {"cluster": "name", "vcov": "CRV2", "weights": "v"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("learner", [None, "linear"])
def test_weights_clusters_and_designs_by_columns(tmp_path, design, options, learner):
    frame = corpus().assign(town=np.arange(N) // 8, name=[f"n{k % 11}" for k in range(N)])
    frame = frame.assign(p=0.2 + 0.2 * (frame["x"] > 0), v=1.0 + np.arange(N) % 3, y=frame["number"],
                         y_llm=frame["number_llm"], fold=frame["town"] % 3)  # fmt: skip
    if isinstance(options.get("cluster"), list) or options.get("cluster") == "name":
        learner = None  # folds that keep both ways whole leave one fold
    sample = (design or kt.SimpleRandom(n=GOLD)).draw(frame, seed=1)
    data = kt.datasets.mask_gold(frame, sample, "y")
    data.to_parquet(tmp_path / "corpus.parquet", row_group_size=90)
    more = {} if learner is None else {"folds": "fold"}
    one, other = (
        fit("ols", "y ~ x + d", source, {"y": "y_llm"}, design, learner=learner, **options, **more)
        for source in (kt.Batches(tmp_path / "corpus.parquet", rows=100), data)
    )
    same(one, other)
    assert one.sampling == other.sampling


@pytest.mark.parametrize("design", [*DESIGNS.values(), kt.Unequal("p", n=GOLD), kt.Clustered("town", n=12)])
def test_a_sample_that_was_drawn_is_held_against_its_rows(tmp_path, design):
    frame = corpus().assign(town=np.arange(N) // 8, p=0.2 + 0.2 * (np.arange(N) % 2), y_llm=corpus()["number_llm"])
    sample = design.draw(frame, seed=1)
    data = kt.datasets.mask_gold(frame.assign(y=frame["number"]), sample, "y")
    file = tmp_path / "corpus.parquet"
    data.to_parquet(file)
    one, other = (fit("ols", "y ~ x", d, {"y": "y_llm"}, sample.design) for d in (kt.Batches(file, rows=100), data))
    same(one, other)
    assert one.sampling == other.sampling
    assert one.checks.recorded
    for changed in (data.iloc[::-1], data.iloc[1:], data.assign(y=data["y"].where(data["y"] < data["y"].max()))):
        changed.to_parquet(file)
        with pytest.raises(kt.errors.DesignError, match=r"rows were drawn, and of \d+ rows"):
            fit("ols", "y ~ x", kt.Batches(file), {"y": "y_llm"}, sample.design)


@pytest.mark.parametrize("cluster", ["town", ["town", "name"]])
def test_folds_keep_clusters_whole(tmp_path, cluster):
    """Ways that hang together leave one group, so that folds keep the first alone whole, as in memory."""
    towns, names = ([f"t{k // 8}" for k in range(N)], [f"n{k % 11}" for k in range(N)])
    data = labelled("ols", ["y"], DESIGNS["simple random"]).assign(town=towns, name=names)
    data.to_parquet(tmp_path / "corpus.parquet")
    options = {"learner": "linear", "cluster": cluster, "vcov": "CRV1", "repeats": 2, "seed": 1, "compare": False}
    one, other = (
        fit("ols", "y ~ x", kt.Batches(tmp_path / "corpus.parquet", rows=rows), {"y": "y_llm"}, None, **options)
        for rows in (240, 71)
    )
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-10)
    whole = fit("ols", "y ~ x", data, {"y": "y_llm"}, None, **options)
    np.testing.assert_allclose(np.diag(one.covariance), np.diag(whole.covariance), rtol=0.1)


# ------------------------------------------------------------------ rows that are alike


def alike(n=4 * N):
    """A corpus in which everything but the label has few values."""
    frame = corpus(n).drop(columns=["x", "number_llm"])
    frame = frame.assign(year=np.arange(n) % 3 - 1.0, y=frame["number"], y_llm=frame["number"].round().clip(0, 3),
                         fold=frame["d_llm"] + (frame["g"] == "a"), b=frame["binary"],
                         b_llm=(2 * frame["binary_llm"]).round() / 2)  # fmt: skip
    return frame.assign(g=pd.Categorical(frame["g"], ["c", "a", "b"]))


@pytest.mark.parametrize("model", ["ols", "logit", "poisson", "mean", "multinomial"])
@given(design=st.sampled_from(list(DESIGNS)), rows=st.sampled_from([100, 5000]),
       kind=st.sampled_from(["HC0", "HC1", "HC3"]), learner=st.sampled_from([None, "linear"]))  # fmt: skip
@examples(1)
def test_groups_give_the_numbers_of_their_rows(tmp_path, model, design, rows, kind, learner):
    frame, label = alike(), "b" if model in ("logit", "multinomial") else "y"
    if model == "poisson":
        frame = frame.assign(y=frame["y"].clip(0), y_llm=frame["y_llm"].clip(0))
    if model == "multinomial":
        frame = frame.assign(b_llm=np.where(np.arange(len(frame)) % 7 > 0, frame["b"], 1.0 - frame["b"]))
    draw = kt.Bernoulli(0.1) if design == "Bernoulli" else DESIGNS[design]
    data = kt.datasets.mask_gold(frame, draw.draw(frame, seed=1), label)
    data.to_parquet(tmp_path / "corpus.parquet", row_group_size=300)
    formula = {"mean": f"{label} ~ 0 + g", "multinomial": "C(b) ~ g + year"}.get(model, f"{label} ~ g + year")
    more = {} if learner is None else {"folds": "fold", "learner": learner}
    groups = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Groups, "tables", lambda *given, of=Groups.tables: groups.append(1) or of(*given))
        found = fit(model, formula, kt.Batches(tmp_path / "corpus.parquet", rows=rows), {label: f"{label}_llm"}, draw,
                    vcov=kind, **more)  # fmt: skip
    assert groups
    whole = fit(model, formula, data, {label: f"{label}_llm"}, draw, vcov=kind, **more)
    same(found, whole)
    seen, known = ([(one.position, one.shift) for one in fitted.checks.influential] for fitted in (found, whole))
    assert [one[0] for one in seen] == [one[0] for one in known]
    np.testing.assert_allclose([one[1] for one in seen], [one[1] for one in known], rtol=1e-9)


def test_groups_are_dealt_over_splits_and_folds(tmp_path, monkeypatch):
    monkeypatch.setattr("karat.predict.streamed.ALL_SPLITS_UP_TO", 0)
    monkeypatch.setattr("karat.regression.batches.ALL_SPLITS_UP_TO", 0)
    data = kt.datasets.mask_gold(alike(8 * N), kt.SimpleRandom(n=GOLD).draw(alike(8 * N), seed=1), "b")
    data.to_parquet(tmp_path / "corpus.parquet")
    options = {"learner": "linear", "seed": 3, "repeats": 2, "folds": 2}
    call = ("logit", "b ~ year", kt.Batches(tmp_path / "corpus.parquet", rows=500), {"b": "b_llm"}, None)
    groups = fit(*call, **options)
    monkeypatch.setattr("karat.regression.batch_groups.MOST_GROUPS", 1)
    _digests.clear()
    same(groups, fit(*call, **options))


def test_a_fit_reads_rows_that_are_alike_once(tmp_path, monkeypatch):
    counts = read_of(monkeypatch)
    data = kt.datasets.mask_gold(alike(), kt.SimpleRandom(n=GOLD).draw(alike(), seed=1), "b")
    data.to_parquet(tmp_path / "corpus.parquet")
    for _ in range(2):
        fit("logit", "b ~ g + year", kt.Batches(tmp_path / "corpus.parquet"), {"b": "b_llm"}, None)
    assert len(counts) == 1


# ------------------------------------------------------------------ learners


@pytest.mark.parametrize("model", ["ols", "logit"])
@pytest.mark.parametrize("where", list(MODELS))
@given(rows=st.integers(N // 4, N + 1), design=st.sampled_from(list(DESIGNS)),
       learner=st.sampled_from(["linear", "auto"]), features=st.sampled_from([None, "g", ["s", "number"]]),
       imputation=st.sampled_from(["moment", "value"]))  # fmt: skip
@examples(1)
def test_learners_give_the_numbers_of_the_table(tmp_path, model, where, rows, design, learner, features, imputation):
    """With folds that are given; those that are dealt out follow from other things of the rows in memory."""
    formula, surrogates = MODELS[where]
    data = labelled(model, surrogates, DESIGNS[design])
    data = data.assign(fold=np.arange(N) % 3, number=corpus(seed=3)["x"])
    data.to_parquet(tmp_path / "corpus.parquet", row_group_size=90)
    options = {"learner": learner, "features": features, "folds": "fold", "imputation": imputation, "seed": 1}
    found = fit(model, formula, kt.Batches(tmp_path / "corpus.parquet", rows=rows), surrogates, DESIGNS[design],
                **options)  # fmt: skip
    whole = fit(model, formula, data, surrogates, DESIGNS[design], **options)
    same(found, whole)
    assert [one.learner for one in found.skill] == [one.learner for one in whole.skill]
    np.testing.assert_allclose([s.r_squared for s in found.skill], [s.r_squared for s in whole.skill], rtol=1e-9)


def test_several_surrogates_distributions_and_texts_are_learnt_from(tmp_path):
    data, p = labelled("ols", ["y"], DESIGNS["simple random"]), corpus(seed=7)["binary_llm"]
    kinds = np.where(corpus()["d"] > 0, "war", np.where(data["x"] > 0, "peace", "trade"))
    data = data.assign(fold=np.arange(N) % 3, many=[f"m{k % 70}" for k in range(N)], kind=kinds,
                       s_llm=np.where(np.arange(N) % 9 > 0, kinds, "war"), war=p * 0.5, peace=p**2 * 0.3,
                       trade=1 - p * 0.5 - p**2 * 0.3)  # fmt: skip
    data["kind"] = data["kind"].where(data["y"].notna())
    data.to_parquet(tmp_path / "corpus.parquet")
    source, soft = kt.Batches(tmp_path / "corpus.parquet", rows=50), {"war": "war", "peace": "peace", "trade": "trade"}
    several = {"y": ["y_llm", "x", "d_llm"], "kind": [soft, "s_llm"]}
    for surrogates, options in (
        (several, {"learner": "linear", "folds": "fold", "features": "many"}),
        ({"y": "y_llm", "kind": soft}, {}),
        (several, {"predictions": {"y": "number", "kind": "s_llm"}, "learner": "auto", "imputation": "value"}),
    ):
        found, whole = (fit("ols", "y ~ kind + x", one, surrogates, None, **options) for one in (source, data))
        same(found, whole)


@pytest.mark.parametrize("everywhere", [0, 10**6])
def test_folds_that_are_dealt_out_do_not_depend_on_batches(tmp_path, monkeypatch, everywhere):
    monkeypatch.setattr("karat.predict.streamed.ALL_SPLITS_UP_TO", everywhere)
    monkeypatch.setattr("karat.regression.batches.ALL_SPLITS_UP_TO", everywhere)
    data = labelled("logit", ["y"], DESIGNS["simple random"])
    data.to_parquet(tmp_path / "corpus.parquet")
    options = {"learner": "linear", "seed": 1, "vcov": "HC1", "repeats": 2, "compare": False}
    one, other = (
        fit("logit", "y ~ x", kt.Batches(tmp_path / "corpus.parquet", rows=rows), {"y": "y_llm"}, None, **options)
        for rows in (240, 71)
    )
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-10)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-10)
    whole = fit("logit", "y ~ x", data, {"y": "y_llm"}, None, **options)
    np.testing.assert_allclose(one.theta, whole.theta, atol=0.2 * np.sqrt(np.diag(whole.covariance)).max())
    np.testing.assert_allclose(np.diag(one.covariance), np.diag(whole.covariance), rtol=0.1)


# ------------------------------------------------------------------ what needs all rows


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learner": "pretrained"}, "learner='pretrained' learns from the surrogates of all rows"),
        ({"learner": "auto", "features": np.zeros(N)}, "features= holds values"),
        ({"learner": "auto", "folds": np.arange(N) % 2}, "folds= holds values"),
        ({"learner": "auto", "combine": "median"}, "combine='median'"),
        ({"predictions": {"y": np.zeros(N)}}, "predictions= holds values"),
        ({"cluster": np.arange(N) // 3}, "cluster= holds values"),
        ({"weights": np.ones(N)}, "weights= holds values"),
        ({"scores": True}, "scores= is about all rows"),
        ({"features": "x", "learner": None}, "features="),
        ({"labelled": "d"}, "labelled= is about all rows"),
        ({"design": kt.Unequal(np.ones(N))}, "must see all rows at once"),
        ({"design": kt.Propensity("~ x")}, "must see all rows at once"),
        ({"nonresponse": "ignorable"}, "nonresponse= is about all rows"),
        ({"surrogates": {"y": np.zeros(N)}}, "holds values"),
    ],
)
def test_what_needs_all_rows_is_refused_by_name(tmp_path, options, message):
    data = labelled("ols", ["y"], DESIGNS["simple random"])
    data.to_parquet(tmp_path / "corpus.parquet")
    options = {"surrogates": {"y": "y_llm"}, "design": None, **options}
    with pytest.raises(kt.errors.ArgumentError, match=message):
        fit("ols", "y ~ x", kt.Batches(tmp_path / "corpus.parquet"), **options)


def test_data_and_formulas_that_batches_cannot_serve(tmp_path):
    data = labelled("ols", ["y"], DESIGNS["simple random"])
    file = tmp_path / "corpus.parquet"

    def refused(error, message, formula="y ~ x", context=None, **changes):
        data.assign(**changes).to_parquet(file)
        with pytest.raises(error, match=message):
            fit("ols", formula, kt.Batches(file, rows=50), {"y": "y_llm"}, None, context={"np": np, **(context or {})})

    errors = kt.errors
    refused(errors.DataError, r"values are missing in 'y_llm' \(2\)", y_llm=data["y_llm"].where(data.index > 1))
    refused(errors.FormulaError, "made from a whole column", formula="y ~ center(x)")
    refused(errors.DataError, "must lie in", y=(data["y"] > 1).astype(float).where(data["y"].notna()))
    refused(errors.FormulaError, "made from a whole column", formula="y ~ I(x - x.mean())")
    refused(errors.FormulaError, "another value when other rows", formula="y ~ f(x)",
            context={"f": lambda x: x / np.linalg.norm(x)})  # fmt: skip
    refused(errors.DataError, "column.* zero in all gold rows", formula="y ~ g",
            g=data["g"].where(data["y"].notna() | (data.index % 7 > 0), "rare"))  # fmt: skip
    last = data.index == data.index[data["y"].isna()][-1]
    refused(
        errors.DataError,
        "rows 200 to 239 of .*not finite",
        formula="y ~ I(1 / (x + 100))",
        x=np.where(last, -100.0, data["x"]),
    )
    with pytest.raises(errors.ArgumentError, match="give a pandas, polars or pyarrow table"):
        kt.bootstrap(lambda gold, every: np.ones(1), kt.Batches(file), surrogates={"y": "y_llm"})
    with pytest.raises(errors.ArgumentError, match="model='iv' needs all rows in memory"):
        kt.iv("y ~ 1 + [x ~ s]", kt.Batches(file), surrogates={"y": "y_llm"}, learner=None)


def test_paths_that_are_no_parquet_file(tmp_path):
    (tmp_path / "broken.parquet").write_text("no parquet")
    for source, message in (("a.csv", "path of a .parquet file"), (tmp_path / "none.parquet", "there is no file"),
                            (tmp_path / "broken.parquet", "cannot be read"), (3, "no table in batches")):  # fmt: skip
        with pytest.raises(kt.errors.ArgumentError, match=message):
            kt.Batches(source)
    with pytest.raises(kt.errors.ArgumentError, match="rows"):
        kt.Batches("a.parquet", rows=0)
