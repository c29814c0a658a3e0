"""One rule for what a class, a task and a worker is; declared orders; memory asked for first."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat._core import machine
from karat.cli.questions import read_label
from karat.labels.tables.render import build_frame

from ..profiles import examples
from . import plain

L = kt.labels
DataError, ArgumentError = kt.errors.DataError, kt.errors.ArgumentError
SCALE = ["low", "mid", "high"]
RATED = ["low"] * 3 + ["mid"] * 2 + ["high"] * 3 + ["mid"] * 2
PAIRS = {"task": [1, 1, 2, 2, 3, 3, 4, 4, 5, 5], "worker": list("ababababab")}
VOTES = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": list("xyxy")}
BLANKS = ["", "  ", "\t\n", "\u00a0", None, float("nan"), pd.NA, pd.NaT]


def column(values):
    return pd.Series(values, dtype=object)


def shares(labels, **options):
    """Shares of the classes of one task that is labelled once by each of several workers."""
    frame = pd.DataFrame({"task": 1, "worker": range(len(labels)), "label": column(labels)})
    soft = L.aggregate(frame, "vote_share", **options)
    return dict(zip(soft.columns.values(), soft.probabilities[0].round(6).tolist()))


# --- declared order -----------------------------------------------------------------------------------------------


def ordered_frames():
    yield pd.DataFrame({**PAIRS, "label": pd.Categorical(RATED, [*SCALE, "unused"], ordered=True)})
    yield pl.DataFrame({**PAIRS, "label": pl.Series(RATED, dtype=pl.Enum([*SCALE, "unused"]))})
    codes = [SCALE.index(v) for v in RATED]
    yield pa.table({**PAIRS, "label": pa.DictionaryArray.from_arrays(codes, SCALE, ordered=True)})


@pytest.mark.parametrize("frame", list(ordered_frames()), ids=["pandas", "polars", "pyarrow"])
def test_declared_order_is_kept(frame):
    assert L.agreement(frame, "ordinal", draws=0).alpha == pytest.approx(0.7)
    assert L.aggregate(frame, "vote_share").classes == ("low", "mid", "high")
    np.testing.assert_allclose(L.rate(frame, "mean").value, [0, 0.5, 1.5, 2, 1])


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_text_without_an_order_has_no_ordinal_agreement(dtype):
    frame = pd.DataFrame({**PAIRS, "label": pd.Series(RATED, dtype=dtype)})
    with pytest.raises(DataError, match=r"needs the order.*classes=\[\.\.\.\] from low to high"):
        L.agreement(frame, "ordinal")
    with pytest.raises(DataError, match="needs the order"):
        L.experts(frame, level="ordinal")
    assert L.agreement(frame, "ordinal", draws=0, classes=SCALE).alpha == pytest.approx(0.7)
    with pytest.raises(DataError, match="needs the order"):
        L.agreement({**PAIRS, "label": [{"low": "1", "mid": "2", "high": "10"}[v] for v in RATED]}, "ordinal")
    with pytest.raises(ArgumentError, match="in the order wanted"):
        L.agreement(frame, "ordinal", classes=set(SCALE))


def test_numbers_and_two_classes_have_an_order():
    numbers = {**PAIRS, "label": [{"low": 1, "mid": 2, "high": 10}[v] for v in RATED]}
    assert L.agreement(numbers, "ordinal", draws=0).alpha == pytest.approx(0.7)
    assert np.isfinite(L.agreement(VOTES, "ordinal", draws=0).alpha)
    coded = L.Annotations.of(*(np.array(v) for v in (PAIRS["task"], PAIRS["worker"], RATED)), classes=SCALE)
    assert L.agreement(coded, "ordinal", draws=0).alpha == pytest.approx(0.7)


def test_audit_keeps_the_declared_order():
    gold = pd.Categorical(["low", "mid", "high", None] * 10, [*SCALE, "unused"], ordered=True)
    found = L.audit(pd.DataFrame({"g": gold, "s": ["low", "mid", "mid", "low"] * 10}), "g", "s")
    assert found.confusion.classes == ("low", "mid", "high")


# --- what a class is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "right"),
    [
        ([True, 1, 1.0, 0], {"p_0": 0.25, "p_1": 0.75}),
        ([np.int64(1), 1, np.float32(0)], {"p_0": 0.333333, "p_1": 0.666667}),
        ([Decimal("1.0"), 1, Decimal("0.5")], {"p_0.5": 0.333333, "p_1": 0.666667}),
        (["a", " a ", "b"], {"p_a": 0.666667, "p_b": 0.333333}),
        (["e\u0301", "\u00e9", "b"], {"p_b": 0.333333, "p_\u00e9": 0.666667}),
        ([1, 2, 10, "unsure"], {"p_1": 0.25, "p_2": 0.25, "p_10": 0.25, "p_unsure": 0.25}),
    ],
)
def test_equal_labels_are_one_class(labels, right):
    assert shares(labels) == right


@pytest.mark.parametrize("labels", [["1", 1, 0], ["1.0", 1, 0], [True, "True", False], ["1", True, 0]])
def test_labels_written_alike_are_refused(labels):
    with pytest.raises(DataError, match=r"column 'label'.*written alike"):
        shares(labels)
    with pytest.raises(DataError, match="written alike"):
        L.agreement(pd.DataFrame({"task": 1, "worker": [1, 2, 3], "label": column(labels)}))
    with pytest.raises(DataError, match="written alike"):
        L.aggregate_codes({"task": [1, 1, 1], "worker": [1, 2, 3], "label": [{v} for v in labels]})
    with pytest.raises(DataError, match="written alike"):
        L.rules({f"r{j}": column([v, labels[2], labels[2]]) for j, v in enumerate(labels)}, ["r0", "r1", "r2"])


def test_other_places_where_types_may_differ():
    one = {**VOTES, "label": [1, 0, 1, 0]}
    for call in (
        lambda: L.aggregate(one, gold={1: "1"}),
        lambda: L.aggregate(one, classes=[0, 1, "1"]),
        lambda: L.aggregate({**VOTES, "worker": [1, "1", 1, "1"]}),
        lambda: L.aggregate({**VOTES, "task": [1, "1", 1, "1"], "worker": list("abcd")}),
        lambda: L.read_counts({"a": [1], "b": [2]}, {1: "a", "1": "b"}),
        lambda: L.score(np.full((2, 2), 0.5), ["0", "1"], classes=[0, 1]),
        lambda: L.audit({"g": [1, 0, None] * 9, "s": ["1", "0", "1"] * 9}, "g", "s"),
        lambda: L.experts(VOTES, "group", groups={"a": 1, "b": "1"}),
        lambda: L.DawidSkene(smoothing=1).fit(one).predict_proba({"task": [1], "worker": ["a"], "label": ["1"]}),
    ):
        with pytest.raises(DataError, match="written alike"):
            call()
    assert L.audit({"g": [True, False, None] * 9, "s": [1, 0, 1] * 9}, "g", "s").confusion.accuracy == 1


def test_alternative_annotator_compares_classes_not_types():
    rng = np.random.default_rng(1)
    truth = rng.integers(2, size=60)
    said = np.where(rng.random((3, 60)) < 0.8, truth, 1 - truth)
    rows = {"task": np.tile(np.arange(60), 3), "worker": np.repeat(list("abc"), 60), "label": said.ravel()}
    right = L.alternative_annotator(rows, dict(enumerate(truth))).advantage
    assert L.alternative_annotator(rows, {i: bool(t) for i, t in enumerate(truth)}).advantage == right
    half = L.alternative_annotator(rows, {i: "" if i < 20 else t for i, t in enumerate(truth)})
    assert half.table["items"].tolist() == [40, 40, 40]
    for model in ({i: str(t) for i, t in enumerate(truth)}, {str(i): t for i, t in enumerate(truth)}):
        with pytest.raises(DataError, match="written alike"):
            L.alternative_annotator(rows, model)
    with pytest.raises(DataError, match="weighted"):
        L.alternative_annotator({**rows, "w": np.full(180, 2.0)}, dict(enumerate(truth)), weight="w")


def test_no_table_has_two_columns_of_one_name():
    renamed = {"entropy": [1, 1], "worker": ["a", "b"], "label": ["x", "y"]}
    with pytest.raises(DataError, match="two columns named 'entropy'"):
        _ = L.aggregate(renamed, "vote_share", task="entropy").table
    with pytest.raises(DataError, match="two columns named 'a'"):
        build_frame([("a", [1]), ("a", [2])])


# --- blank labels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", BLANKS, ids=repr)
def test_blank_labels_are_missing(blank):
    said = column(["1", "1", "2", "1", "1", blank, blank, "1", "2"])
    votes = pd.DataFrame({"task": [1, 2, 3] * 3, "worker": list("aaabbbccc"), "label": said})
    assert L.agreement(votes, draws=0).alpha == 1
    assert L.aggregate(votes, "vote_share").classes == ("1", "2")
    assert L.aggregate(votes, "vote_share", gold={1: blank, 2: "2"}).probabilities[:2].tolist() == [[1, 0], [0, 1]]
    assert L.experts(votes).gold[:, 0].tolist() == [0, 0, 1]
    assert L.aggregate_codes(votes, "vote_share").codes == ("1", "2")
    assert L.score(np.full((3, 2), 0.5), column(["1", "2", blank]), classes=["1", "2"]).n == 2
    rules = {f"r{j}": column(["1", "2", blank]) for j in range(3)}
    assert L.rules(rules, list(rules)).classes == ("1", "2")
    audit = L.audit(pd.DataFrame({"g": column(["1", "2", blank] * 9), "s": ["1", "2", "1"] * 9}), "g", "s")
    assert (audit.n_gold, audit.confusion.classes) == (18, ("1", "2"))
    with pytest.raises(DataError, match="missing"):
        L.aggregate(votes, missing="raise")
    with pytest.raises(DataError, match=r"column 'worker'.*missing"):
        L.aggregate(votes.assign(worker=column([blank, *"aabbbccc"])))


def test_blank_numbers_are_missing():
    rows = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": [1, 3, "", 6]}
    assert L.rate(rows, "mean").value.tolist() == [2, 6]
    assert L.rate({**rows, "label": ["lo", "hi ", " ", "hi"]}, "mean", levels=["lo", "hi"]).value.tolist() == [0.5, 1]
    sets = {"task": [1, 1], "worker": ["a", "b"], "label": [["war", ""], ["war "]]}
    assert L.aggregate_codes(sets, "vote_share").probabilities.tolist() == [[1.0]]
    with pytest.raises(DataError, match="empty set"):
        L.aggregate({**VOTES, "label": ["x", "y", {" "}, "y"]})


# --- invariances --------------------------------------------------------------------------------------------------

TYPES = {
    "text": lambda y: pd.Series([f"c{v}" for v in y]),
    "padded": lambda y: pd.Series([f" c{v}\t" if i % 3 else f"c{v}" for i, v in enumerate(y)]),
    "category": lambda y: pd.Series([f"c{v}" for v in y], dtype="category"),
    "ordered": lambda y: pd.Series(pd.Categorical([f"c{v}" for v in y], ["c2", "c0", "c1"], ordered=True)),
    "enum": lambda y: pl.Series([f"c{v}" for v in y], dtype=pl.Enum(["c2", "c0", "c1"])),
    "numbers": lambda y: pd.Series(y),
    "floats": lambda y: pd.Series(y, dtype=float),
    "mixed numbers": lambda y: column([float(v) if i % 2 else v for i, v in enumerate(y)]),
    "Int64": lambda y: pd.Series(y, dtype="Int64"),
    "decimal": lambda y: pl.Series(y).cast(pl.Decimal(10, 2)),
}


@examples(3)
@given(seed=st.integers(0, 1000))
@pytest.mark.parametrize("kind", TYPES)
def test_the_type_of_the_column_does_not_matter(kind, seed):
    rows, _ = plain.simulate(15, 5, 3, 4, seed)
    votes = plain.columns(rows)
    labels = TYPES[kind](votes["label"])
    table = pl.DataFrame if isinstance(labels, pl.Series) else pd.DataFrame
    soft = L.aggregate(table({**votes, "label": labels}), "mean", members=["dawid_skene", "wawa"])
    before = L.aggregate(votes, "mean", members=["dawid_skene", "wawa"])
    place = [soft.classes.index(c if soft.classes[0] in (0, 1, 2) else f"c{c}") for c in before.classes]
    np.testing.assert_allclose(soft.probabilities[:, place], before.probabilities, atol=1e-9)
    alpha = L.agreement(table({**votes, "label": labels}), draws=0).alpha
    assert alpha == pytest.approx(L.agreement(votes, draws=0).alpha)


# --- joining by name ----------------------------------------------------------------------------------------------


def test_labels_are_found_by_name():
    votes = {"task": ["t", "t", "u", "u"], "worker": list("abab"), "label": list("xxyy")}
    soft, gold = L.aggregate(votes, "vote_share"), L.experts(votes)
    assert gold.align([" u", "t", "other"]).tolist()[:2] == [1, 0]
    assert soft.align(["u ", "t"]).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(DataError, match="none of the 2 tasks"):
        gold.align([1, 2])
    by_index = pd.Series(["y", "x"], index=["u", "t"])
    assert L.score(soft, by_index).accuracy == L.score(soft, {"u": "y", "t": "x"}).accuracy == 1
    with pytest.raises(DataError, match="have no soft label"):
        L.score(soft, pd.Series(["y", "x"], index=["u", "v"]))


def test_the_gold_says_of_what_it_is_the_share():
    votes = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": ["no", "yes", "yes", "yes"]}
    for classes, of in ((["no", "yes"], "yes"), (["yes", "no"], "no")):
        gold = L.experts(votes, classes=classes)
        assert gold.of == (f"share of {of!r} among the answers",)
        assert f"gold: share of {of!r}" in gold.summary()
        assert "for kt.logit take one class" in gold.summary()
    rows, _ = plain.simulate(40, 3, 2, 3, 1)
    latent = L.experts(plain.columns(rows), "latent_truth")
    assert latent.of == ("a number whose mean is 1 where the truth is 1, else 0",)
    assert latent.sensitivity([0.1]).of == latent.of[0]
    by_group = L.experts(votes, "group", groups={"a": "law", "b": "press"})
    assert by_group.of[1] == "share of 'yes' among the answers of press"
    assert L.experts({**votes, "label": [1, 5, 3, 3]}).of == ("mean of the answers",)


# --- agreement ----------------------------------------------------------------------------------------------------


def test_agreement_is_about_one_class_for_each_worker_and_task():
    for votes, options in (
        ({**VOTES, "w": [2.0, 1, 1, 1]}, {"weight": "w"}),
        ({**VOTES, "worker": list("aaab")}, {"duplicates": "average"}),
        ({**VOTES, "label": [{"x", "y"}, "z", "x", "y"]}, {}),
    ):
        with pytest.raises(DataError, match="one class each"):
            L.agreement(votes, **options)
        assert L.experts(votes, level="nominal", **options).agreement is None
    with pytest.raises(DataError, match="2 classes, counts has 3"):
        L.krippendorff_alpha(np.ones((2, 3)), classes=(0, 1))
    with pytest.raises(DataError, match="needs numbers"):
        L.agreement({**VOTES, "label": ["1", "nan", "2", "1"]}, "interval")


# --- memory -------------------------------------------------------------------------------------------------------


def test_memory_is_asked_for_first(monkeypatch):
    monkeypatch.setattr(machine, "available", lambda: 1e9)
    rng = np.random.default_rng(0)
    votes = {"task": np.repeat(np.arange(800), 5), "worker": np.tile(np.arange(200), 20)}
    votes["label"] = rng.permutation(np.repeat(np.arange(2000), 2))
    for call in (
        lambda: L.aggregate(votes, "dawid_skene", settings={"dawid_skene": {"truth": "any"}}),
        lambda: L.experts(votes, "latent_truth"),
    ):
        with pytest.raises(DataError, match=r"200 workers over 2,000 classes.* 32.0 GB .*1.0 GB are free; merge"):
            call()
    assert L.aggregate(votes, "dawid_skene").probabilities.shape == (800, 2000), "kept to the labels' own cells"
    with pytest.raises(DataError, match=r"levels \(TopTwo\)"):
        L.aggregate(votes, "top_two", settings={"top_two": {"n_levels": 5000}})
    rules = {f"r{j}": rng.permutation(2000) for j in range(3)}
    with pytest.raises(DataError, match="joint answers of rules"):
        L.rules(rules, list(rules), correlated=[list(rules)])
    counts = {"no": np.ones(10), "yes": np.ones(10)}
    monkeypatch.setattr(machine, "available", lambda: 0.0)
    assert len(L.aggregate(L.read_counts(counts, {"no": "no", "yes": "yes"}), "vote_share").tasks) == 10


def test_available_memory_is_known_or_infinite():
    assert machine.available() > 0
    with pytest.raises(DataError, match=r"a table would take about 1,0.*; give fewer rows"):
        machine.needs(1e21, "a table", "give fewer rows")


def test_raters_of_many_tasks_need_no_table_of_tasks_by_workers(monkeypatch):
    from karat.labels.aggregation import numeric

    rows, _ = plain.simulate(40, 6, 5, 3, 1)
    votes = plain.columns(rows)
    before = L.rate(votes, tol=0.01)
    monkeypatch.setattr(numeric, "_BLOCK", 7)
    after = L.rate(votes, tol=0.01)
    np.testing.assert_allclose(after.value, before.value)
    np.testing.assert_allclose(after.sd, before.sd)


# --- arguments ----------------------------------------------------------------------------------------------------

WRONG = [
    lambda: L.agreement(VOTES, draws="many"),
    lambda: L.agreement(VOTES, draws=-1),
    lambda: L.agreement(VOTES, seed="x"),
    lambda: L.aggregate(VOTES, "mace", settings={"mace": {"seed": -1}}),
    lambda: L.aggregate(VOTES, "mace", settings={"mace": {"n_iter": "x"}}),
    lambda: L.aggregate(VOTES, "mace", settings={"mace": {"prior": 3}}),
    lambda: L.aggregate(VOTES, "glad", settings={"glad": {"tol": float("nan")}}),
    lambda: L.aggregate(VOTES, "majority", settings={"majority": {"seed": "q"}}),
    lambda: L.aggregate(VOTES, "dawid_skene", settings={"dawid_skene": {"smoothing": True}}),
    lambda: L.aggregate(VOTES, "zero_based_skill", settings={"zero_based_skill": {"halve_every": 1.5}}),
    lambda: L.aggregate(VOTES, settings=3),
    lambda: L.aggregate(VOTES, settings={"mace": 3}),
    lambda: L.aggregate(VOTES, members="mace"),
    lambda: L.aggregate(VOTES, members=[L.MACE]),
    lambda: L.aggregate(VOTES, L.MACE),
    lambda: L.aggregate(VOTES, "weighted", members=["wawa"], weights={"wawa": "x"}),
    lambda: L.aggregate(VOTES, tasks=5),
    lambda: L.aggregate(VOTES, abstain=3),
    lambda: L.aggregate(VOTES, "vote_share").hard("random", seed=-1),
    lambda: L.rate({**VOTES, "label": [1, 2, 3, 4]}, n_iter=2.5),
    lambda: L.rules(VOTES, None),
    lambda: L.rules(VOTES, ["task", "worker", "label"], strength="x"),
    lambda: L.aggregate_codes(VOTES, codes={"x"}),
    lambda: L.alternative_annotator(VOTES, {}, epsilon="x"),
    lambda: L.experts(VOTES, "group", groups=[1]),
    lambda: L.fit_temperature(np.full((5, 2), 0.5), [0, 1, 0, 1, 0], classes=[0, 1], seed=-3),
    lambda: L.score(np.full((2, 2), 0.5), [0, 1], classes=[0, 1], weights=["a", "b"]),
    lambda: L.ensemble_flags(np.ones((1, 1, 2)), np.array([0]), cutoff="x"),
    lambda: L.log_pool(np.ones((1, 1, 2)), floor=2),
    lambda: kt.datasets.simulate_texts("a"),
    lambda: kt.datasets.simulate_texts(3, seed=-1),
    lambda: L.aggregate(None),
]


@pytest.mark.parametrize("call", WRONG, ids=range(len(WRONG)))
def test_wrong_arguments_raise_argument_errors(call):
    with pytest.raises(ArgumentError, match=r"not allowed|text|not known|must|give"):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: L.aggregate(VOTES, labl="label"), r"aggregate\(\) has no argument 'labl'. Did you mean label="),
        (lambda: L.agreement(VOTES, drawz=3), r"agreement\(\) has no argument.*draws"),
        (lambda: L.experts(VOTES, estimated="x"), r"experts\(\) has no argument.*estimand"),
        (lambda: L.rules(VOTES, ["task", "worker", "label"], strenth=1), r"rules\(\) has no argument.*strength"),
    ],
)
def test_unknown_arguments_are_answered_with_the_nearest(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_whole_floats_and_large_seeds_are_counts():
    one = L.aggregate(VOTES, "dawid_skene", settings={"dawid_skene": {"n_iter": 3.0}})
    two = L.aggregate(VOTES, "dawid_skene", settings={"dawid_skene": {"n_iter": 3}})
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    assert L.aggregate(VOTES, "mace", settings={"mace": {"seed": 2**70}}).classes == ("x", "y")


def test_integer_and_tuple_column_names():
    frame = pd.DataFrame([[1, "a", "x"], [1, "b", "y"]])
    assert L.aggregate(frame, "vote_share", task=0, worker=1, label=2).classes == ("x", "y")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pd.DataFrame(), "no rows"),
        (pd.DataFrame({"task": [1]}), "worker"),
        ({**VOTES, "worker": ["a", " a", "a", "b"]}, "repeat a"),
        ({**VOTES, "label": [""] * 4}, "or none"),
    ],
)
def test_tables_that_say_nothing(rows, message):
    with pytest.raises(kt.KaratError, match=message):
        L.aggregate(rows)


def test_covariates_of_an_audit():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": rng.integers(0, 2, 80), "s": rng.integers(0, 2, 80)})
    frame["n"] = column([Decimal(str(v)) for v in rng.integers(0, 9, 80)])
    frame["c"] = pd.Categorical(rng.choice(list("ab"), 80), list("zab"))
    frame["k"] = pd.Categorical(rng.integers(1, 4, 80))
    frame["d"], frame["many"] = pd.date_range("2020", periods=80), [f"v{i}" for i in range(80)]
    names = L.audit(frame, "g", "s", covariates=["n", "c", "k"]).differential.names
    assert names == ("Intercept", "n", "c_b", "k_2", "k_3")
    for name, message in (("d", "Timestamp"), ("many", "80 levels on 80 gold rows")):
        with pytest.raises(DataError, match=message):
            L.audit(frame, "g", "s", covariates=[name])
    text = frame.assign(g=np.where(frame["g"], "yes", "no"), s=np.where(frame["s"], "yes", "no"))
    assert "share of 'yes'" in str(L.audit(text, "g", "s", covariates=["n"]).differential)


@pytest.mark.parametrize("spec", ["h=yes,,no", "h=yes,yes ", "h=0,00", "=a,b", "h="])
def test_classes_on_the_command_line_are_checked(spec):
    with pytest.raises(ArgumentError, match="--label"):
        read_label([spec])
    assert read_label([" h = a, b "]) == {"h": ["a", "b"]}
    assert read_label(["h=\u00b2,1"]) == {"h": ["\u00b2", "1"]}


def test_one_column_is_as_good_as_a_list():
    soft = L.aggregate(VOTES, "vote_share")
    for tasks in ([2, 1], np.array([[2], [1]]), pd.DataFrame({"task": [2, 1]}), pl.DataFrame({"task": [2, 1]})):
        np.testing.assert_array_equal(soft.align(tasks), soft.probabilities[::-1])
        assert L.experts(VOTES).align(tasks).tolist() == [0.5, 0.5]
    assert L.score(soft, pd.DataFrame({"gold": ["x", "y"]})).n == 2
    for wrong in (5, "task", pd.DataFrame({"a": [1], "b": [2]})):
        with pytest.raises(ArgumentError, match="tasks"):
            soft.align(wrong)
    with pytest.raises(ArgumentError, match="gold=None"):
        L.score(soft, None)


def test_an_audit_needs_two_columns():
    with pytest.raises(ArgumentError, match="same column 'g'"):
        L.audit({"g": [1, 0] * 20}, "g", "g")
    with pytest.raises(ArgumentError, match="seed"):
        L.audit({"g": [1, 0] * 20, "s": [1, 0] * 20}, "g", "s", seed="x")


def test_calls_repeat_and_rows_may_come_in_any_order():
    ties = {"task": np.repeat(np.arange(30), 2), "worker": np.tile([0, 1], 30), "label": np.tile([0, 1], 30)}
    rule = {"majority": {"ties": "random"}}
    one, two = (L.aggregate(ties, "majority", settings=rule).hard().tolist() for _ in range(2))
    assert one == two
    soft = L.aggregate(ties, "vote_share")
    assert soft.hard("random").tolist() == soft.hard("random").tolist()
    rng = np.random.default_rng(0)
    p, gold, order = rng.dirichlet([1, 1], 60), rng.integers(0, 2, 60), rng.permutation(60)
    found, again = (L.fit_temperature(p[o], gold[o], classes=[0, 1]) for o in (np.arange(60), order))
    np.testing.assert_allclose(found.halves, again.halves, rtol=1e-6)


def test_bytes_are_text():
    assert shares([b"x", "x", "y"]) == {"p_x": 0.666667, "p_y": 0.333333}


def test_coded_labels_need_names():
    with pytest.raises(DataError, match="missing or blank names"):
        L.Annotations.of(np.array([1, 1]), np.array(["a", " "], dtype=object), np.array(["x", "y"]))
