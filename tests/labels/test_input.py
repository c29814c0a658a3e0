"""What labels may look like, and what is refused."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.labels.aggregation.aggregate import SEVEN

from . import plain

L = kt.labels
DataError, ArgumentError = kt.errors.DataError, kt.errors.ArgumentError
VOTES = {"task": [1, 1, 1, 2, 2, 3], "worker": list("abcaba"), "label": list("xxyyyx")}
ALL = ["majority", "vote_share", "softmax", "dawid_skene", "one_coin", "mace", "glad", "wawa", "zero_based_skill"]


def changed(**columns):
    return {**VOTES, **columns}


def test_duplicates_are_refused_with_an_example():
    votes = changed(task=[1, 1, 1, 2, 2, 3], worker=list("aacaba"))
    with pytest.raises(DataError, match=r"repeat a \(task, worker\) pair, for example task 1 and worker 'a'"):
        L.aggregate(votes)


def test_duplicates_share_one_vote_when_asked():
    votes = {"task": [1, 1, 1], "worker": ["a", "a", "b"], "label": ["x", "y", "y"]}
    soft = L.aggregate(votes, "vote_share", duplicates="average")
    np.testing.assert_allclose(soft.probabilities, [[0.25, 0.75]])
    assert soft.n_labels[0] == 2
    assert "share one vote" in soft.summary()


@pytest.mark.parametrize("method", ALL)
def test_a_worker_with_one_label_is_kept(method):
    rows, _ = plain.simulate(20, 5, 3, 3, 0)
    soft = L.aggregate(plain.columns([*rows, (0, 99, 1)]), method)
    assert 99 in soft.workers
    assert np.isfinite(soft.probabilities).all()
    assert all(np.isfinite(s).all() for s in soft.skills.values())


@pytest.mark.parametrize("method", [*ALL, "mean"])
def test_a_task_without_labels_keeps_a_row(method):
    with pytest.warns(kt.KaratWarning, match="1 task"):
        soft = L.aggregate(VOTES, method, tasks=[1, 2, 3, 4])
    assert soft.n_labels.tolist() == [3, 2, 1, 0]
    assert soft.probabilities[3].sum() == pytest.approx(1)
    assert soft.probabilities[3].min() > 0


def test_a_task_with_abstentions_only_keeps_a_row():
    with pytest.warns(kt.KaratWarning, match="no label"):
        soft = L.aggregate(changed(label=["x", "x", "y", "y", "y", "unsure"]), "vote_share", abstain=["unsure"])
    np.testing.assert_allclose(soft.probabilities[2], 0.5)
    assert "1 abstention(s)" in soft.notes


def test_tasks_must_name_all_labelled():
    with pytest.raises(DataError, match="tasks does not name every labelled task"):
        L.aggregate(VOTES, tasks=[1, 2])


def test_unseen_class_is_refused():
    with pytest.raises(DataError, match=r"label \['y'\] is not among the known labels"):
        L.aggregate(VOTES, classes=["x", "z"])


def test_unseen_class_and_worker_in_new_data_are_refused():
    model = L.DawidSkene(smoothing=0.1).fit(VOTES)
    with pytest.raises(DataError, match="label"):
        model.predict_proba({"task": [1], "worker": ["a"], "label": ["z"]})
    with pytest.raises(DataError, match="worker"):
        model.predict_proba({"task": [1], "worker": ["q"], "label": ["x"]})
    assert model.predict_proba({"task": [9], "worker": ["a"], "label": ["y"]}).shape == (1, 2)


def test_one_class_only_is_refused_unless_named():
    votes = changed(label=["x"] * 6)
    with pytest.raises(DataError, match="one class only"):
        L.aggregate(votes)
    assert L.aggregate(votes, "vote_share", classes=["x", "y"]).probabilities[0, 0] == 1


def test_missing_labels_are_abstentions_or_refused():
    votes = changed(label=["x", "x", None, "y", "y", "x"])
    soft = L.aggregate(votes, "vote_share")
    assert soft.n_labels.tolist() == [2, 2, 1]
    assert "1 missing label(s) taken as abstentions" in soft.notes
    with pytest.raises(DataError, match="missing label"):
        L.aggregate(votes, missing="raise")
    with pytest.raises(DataError, match="one class only"):
        L.aggregate(changed(label=[None] * 6))


@pytest.mark.parametrize("column", ["task", "worker"])
def test_missing_names_are_refused(column):
    votes = changed(**{column: [None, *VOTES[column][1:]]})
    with pytest.raises(DataError, match=f"column '{column}'"):
        L.aggregate(votes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "means"}, "not known"),
        ({"method": "wawa", "members": ["mace"]}, "members belong"),
        ({"members": []}, "empty"),
        ({"members": ["wawa", "wawa"]}, "twice"),
        ({"settings": {"top_two": {}}}, "not among the methods"),
        ({"settings": {"mace": {"n": 1}}}, "no setting"),
        ({"weights": {"mace": 1}}, "belong to method='weighted'"),
        ({"method": "weighted"}, "needs weights"),
        ({"method": "weighted", "members": ["wawa"], "weights": {"wawa": -1}}, "weights"),
        ({"abstain": "unsure"}, "give a list"),
        ({"missing": "drop"}, "missing"),
        ({"duplicates": "first"}, "duplicates"),
        ({"label": "labels"}, "Did you mean 'label'"),
        ({"gold": {9: "x"}}, "no label is about"),
        ({"gold": 3}, "gold must be"),
        ({"gold": {1: "z"}, "classes": ["x", "y"]}, "gold class"),
        ({"classes": ["x", "y", "x"]}, "twice"),
        ({"probabilities": {"x": "p"}}, "two or more"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(kt.KaratError, match=message):
        L.aggregate(VOTES, **arguments)


def test_gold_is_clamped_and_teaches():
    rows, truth = plain.simulate(60, 6, 3, 3, 2)
    gold = {i: int(truth[i]) for i in range(30)}
    for method in [*ALL, "top_two", "mean"]:
        soft = L.aggregate(plain.columns(rows), method, gold=gold)
        assert all(soft.probabilities[i, y] == pytest.approx(1) for i, y in gold.items())
    without = L.aggregate(plain.columns(rows), "dawid_skene").probabilities
    given = L.aggregate(plain.columns(rows), "dawid_skene", gold=gold).probabilities
    assert np.abs(without[30:] - given[30:]).max() > 1e-6
    column = [gold.get(i) for i, _, _ in rows]
    again = L.aggregate({**plain.columns(rows), "gold": column}, "dawid_skene", gold="gold").probabilities
    np.testing.assert_array_equal(given, again)


def test_gold_column_must_agree_within_a_task():
    with pytest.raises(DataError, match="two classes for task"):
        L.aggregate({**VOTES, "gold": ["x", "y", None, None, None, None]}, gold="gold")


def test_weights():
    votes = {**VOTES, "w": [2.0, 1, 3, 1, 1, 1]}
    soft = L.aggregate(votes, "vote_share", weight="w")
    np.testing.assert_allclose(soft.probabilities[0], [0.5, 0.5])
    with pytest.raises(DataError, match="above 0"):
        L.aggregate({**VOTES, "w": [0.0] * 6}, weight="w")


@pytest.mark.parametrize("method", [*ALL, "top_two"])
def test_weights_of_one_change_nothing(method):
    rows, _ = plain.simulate(20, 5, 3, 3, 4)
    one = L.aggregate({**plain.columns(rows), "v": [1.0] * len(rows)}, method, weight="v")
    two = L.aggregate(plain.columns(rows), method)
    np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-9)


# --- imprecise labels ---------------------------------------------------------------------------------------------

EM = {
    "dawid_skene": {"n_iter": 60, "tol": 0, "smoothing": 0.0},
    "one_coin": {"n_iter": 60, "tol": 0},
    "glad": {"n_iter": 60, "tol": 0},
}


def blurred(seed=0, n=60, share=0.4):
    """Rows in which some labels are sets or are ruled out; and the truth."""
    rows, truth = plain.simulate(n, 6, 4, 5, seed)
    rng = np.random.default_rng(seed)
    labels = []
    for _, _, y in rows:
        u = rng.random()
        if u < share / 2:
            labels.append({y, int((y + rng.integers(1, 4)) % 4)})
        elif u < share:
            labels.append(L.Not(int((y + rng.integers(1, 4)) % 4)))
        else:
            labels.append(y)
    return {**plain.columns(rows), "label": labels}, truth


def test_sets_of_one_and_complements_of_two_classes_are_plain_labels():
    rows, _ = plain.simulate(30, 5, 2, 4, 1)
    votes = plain.columns(rows)
    sets = {**votes, "label": [{y} if i % 2 else L.Not(1 - y) for i, y in enumerate(votes["label"])]}
    for method in ALL:
        one, two = (L.aggregate(v, method).probabilities for v in (votes, sets))
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("method", EM)
def test_imprecise_labels_never_lower_the_objective(method):
    votes, _ = blurred()
    model = {"dawid_skene": L.DawidSkene, "one_coin": L.OneCoin, "glad": L.GLAD}[method](**EM[method])
    model.fit(votes)
    assert (np.diff(model.loss_history_) > -1e-9).all()


def test_dawid_skene_posterior_with_sets_by_hand():
    votes, _ = blurred(3)
    model = L.DawidSkene(n_iter=200, tol=0, smoothing=0.2).fit(votes)
    logs = np.log(model.prior_[0])[None].repeat(60, axis=0)
    for i, w, y in zip(votes["task"], votes["worker"], votes["label"]):
        allowed = {y} if isinstance(y, int) else y if isinstance(y, set) else set(range(4)) - {y.label}
        logs[i] += np.log(sum(model.confusion_[w][:, k] for k in allowed))
    p = np.exp(logs - logs.max(axis=1, keepdims=True))
    np.testing.assert_allclose(model.probabilities_, p / p.sum(axis=1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize("method", ["dawid_skene", "one_coin", "mace", "glad"])
def test_imprecise_labels_carry_information(method):
    """Sets and complements beat throwing them away, over 6 data sets."""
    gain = []
    for seed in range(6):
        votes, truth = blurred(seed, n=300, share=0.8)
        keep = [i for i, y in enumerate(votes["label"]) if isinstance(y, int)]
        few = {c: [v[i] for i in keep] for c, v in votes.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kt.KaratWarning)
            one = L.aggregate(few, method, tasks=range(300), classes=range(4), settings=_mild(method))
        two = L.aggregate(votes, method, classes=range(4), settings=_mild(method))
        gain.append((two.probabilities.argmax(1) == truth).mean() - (one.probabilities.argmax(1) == truth).mean())
    assert np.mean(gain) > 0.03


def _mild(method):
    return {"dawid_skene": {"dawid_skene": {"smoothing": 0.5}}, "mace": {"mace": {"n_restarts": 2}}}.get(method, {})


def test_ruled_out_column_equals_not():
    votes, _ = blurred(2)
    plain_only = {**votes, "label": [y.label if isinstance(y, L.Not) else y for y in votes["label"]]}
    plain_only["label"] = [min(y) if isinstance(y, set) else y for y in plain_only["label"]]
    flags = [isinstance(y, L.Not) for y in votes["label"]]
    with_not = {**plain_only, "label": [L.Not(y) if f else y for y, f in zip(plain_only["label"], flags)]}
    one = L.aggregate({**plain_only, "isnt": flags}, "dawid_skene", negated="isnt").probabilities
    np.testing.assert_array_equal(one, L.aggregate(with_not, "dawid_skene").probabilities)


def test_lists_in_polars():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"task": [1, 1, 2], "worker": ["a", "b", "a"], "label": [["x"], ["x", "y"], ["z", "y"]]})
    soft = L.aggregate(frame, "vote_share")
    np.testing.assert_allclose(soft.probabilities, [[0.75, 0.25, 0], [0, 0.5, 0.5]])


def test_sets_are_checked():
    with pytest.raises(DataError, match="empty set"):
        L.aggregate(changed(label=["x", "y", set(), "y", "y", "x"]))
    with pytest.raises(DataError, match="not among the classes"):
        L.aggregate(changed(label=["x", "y", {"q"}, "y", "y", "x"]), classes=["x", "y", "z"])


# --- models that give probabilities -------------------------------------------------------------------------------


def test_log_probabilities_of_a_model_join_plain_labels():
    votes = {
        "task": [1, 1, 2, 2],
        "worker": ["ann", "llm"] * 2,
        "label": ["x", None, "y", None],
        "lx": [None, np.log(0.8), None, np.log(0.3)],
        "ly": [None, np.log(0.2), None, np.log(0.7)],
    }
    soft = L.aggregate(votes, "vote_share", log_probabilities={"x": "lx", "y": "ly"})
    np.testing.assert_allclose(soft.probabilities, [[0.9, 0.1], [0.15, 0.85]])
    p = {**votes, "px": np.exp(np.array(votes["lx"], float)), "py": np.exp(np.array(votes["ly"], float))}
    again = L.aggregate(p, "vote_share", probabilities={"x": "px", "y": "py"})
    np.testing.assert_allclose(again.probabilities, soft.probabilities)
    assert np.isfinite(L.aggregate(votes, log_probabilities={"x": "lx", "y": "ly"}).probabilities).all()


def test_certain_probabilities_are_plain_labels():
    rows, _ = plain.simulate(30, 5, 3, 4, 2)
    votes = plain.columns(rows)
    y = np.array(votes["label"])
    soft = {c: votes[c] for c in ("task", "worker")} | {f"p{k}": (y == k).astype(float) for k in range(3)}
    for method in [*ALL, "top_two"]:
        one = L.aggregate(votes, method).probabilities
        two = L.aggregate(soft, method, probabilities={k: f"p{k}" for k in range(3)}).probabilities
        np.testing.assert_allclose(one, two, atol=1e-9)


def test_probabilities_are_checked():
    base = {"task": [1, 2], "worker": ["m", "m"], "a": [0.5, 0.9], "b": [0.5, 0.4]}
    with pytest.raises(DataError, match="add up to"):
        L.aggregate(base, probabilities={"x": "a", "y": "b"})
    with pytest.raises(ArgumentError, match="not both"):
        L.aggregate(base, probabilities={"x": "a", "y": "b"}, log_probabilities={"x": "a", "y": "b"})
    with pytest.raises(DataError, match="negative"):
        L.aggregate({**base, "a": [-0.5, 0.9]}, probabilities={"x": "a", "y": "b"})


# --- what comes back ----------------------------------------------------------------------------------------------


def test_soft_labels_object():
    soft = L.aggregate(VOTES, keep_members=True, calibrate=None)
    assert set(soft.members) == set(SEVEN)
    np.testing.assert_allclose(np.mean(list(soft.members.values()), axis=0), soft.probabilities)
    copy = pickle.loads(pickle.dumps(soft))
    np.testing.assert_array_equal(copy.probabilities, soft.probabilities)
    assert copy.confusion_of("a").loc["x"].sum() == pytest.approx(1)
    assert soft.worker_table()["n_labels"].tolist() == [3, 2, 1]
    assert soft.columns == {"x": "p_x", "y": "p_y"}
    assert "Soft labels by mean" in soft.summary()
    with pytest.raises(AttributeError):
        soft.method = "other"
    aligned = soft.align([3, 1, 1])
    np.testing.assert_array_equal(aligned, soft.probabilities[[2, 0, 0]])
    with pytest.raises(DataError, match="no soft label"):
        soft.align([3, 8])
    np.testing.assert_array_equal(soft.align([8], missing="uniform"), [[0.5, 0.5]])
    assert np.isnan(soft.align([8], missing="nan")).all()
    with pytest.raises(ArgumentError, match="no confusion"):
        L.aggregate(VOTES, "wawa").confusion_of("a")
    with pytest.raises(ArgumentError, match="no labels"):
        soft.confusion_of("q")


def test_hard_labels_and_ties():
    votes = {"task": [1, 1, 2], "worker": ["a", "b", "a"], "label": ["x", "y", "y"]}
    soft = L.aggregate(votes, "vote_share")
    assert soft.hard().tolist() == ["x", "y"]
    assert soft.hard("split").tolist() == [None, "y"]
    assert {soft.hard("random", seed)[0] for seed in range(20)} == {"x", "y"}


def test_input_is_not_changed():
    frame = pd.DataFrame(VOTES)
    before = frame.copy()
    L.aggregate(frame, gold={1: "y"})
    pd.testing.assert_frame_equal(frame, before)


def test_uncommon_names():
    votes = {"doc": [(1, 2), (1, 2), "d"], "who": [1, "b", 1], "code": [True, False, True]}
    soft = L.aggregate(pd.DataFrame(votes), "vote_share", task="doc", worker="who", label="code")
    assert soft.classes == (False, True)
    assert soft.table.columns[0] == "doc"


def test_annotations_take_no_column_arguments():
    coded = L.read_annotations(VOTES)
    np.testing.assert_array_equal(L.aggregate(coded).probabilities, L.aggregate(VOTES).probabilities)
    with pytest.raises(ArgumentError, match="belong to a table"):
        L.aggregate(coded, task="doc")


def test_pools():
    rng = np.random.default_rng(0)
    members = rng.dirichlet([1, 1, 1], size=(4, 20))
    np.testing.assert_allclose(L.mean_pool(members, [1, 0, 0, 0]), members[0])
    np.testing.assert_allclose(L.log_pool(members[:1], floor=0), members[0])
    centre = L.jensen_shannon_centroid(members)

    def cost(c):
        mid = (members + c) / 2
        kl = lambda a, b: (a * np.log(a / b)).sum(axis=-1)  # noqa: E731
        return (kl(members, mid) + kl(c[None], mid)).sum(axis=0)

    best = cost(centre)
    for _ in range(200):
        other = np.abs(centre + rng.normal(0, 0.01, centre.shape))
        assert (cost(other / other.sum(axis=1, keepdims=True)) > best - 1e-9).all()
    weighted = L.aggregate(VOTES, "weighted", members=["wawa", "softmax"], weights={"wawa": 3, "softmax": 1})
    parts = [L.aggregate(VOTES, m).probabilities for m in ("wawa", "softmax")]
    np.testing.assert_allclose(weighted.probabilities, 0.75 * parts[0] + 0.25 * parts[1])


def test_counts_without_names():
    data = {"doc": ["b", "a"], "no": [3, 0], "yes": [1, 2]}
    counts = L.read_counts(data, {"no": "no", "yes": "yes"}, task="doc")
    soft = L.aggregate(counts, "vote_share")
    assert soft.tasks.tolist() == ["a", "b"]
    np.testing.assert_allclose(soft.probabilities, [[0, 1], [0.75, 0.25]])
    assert soft.n_labels.tolist() == [2, 4]
    assert L.agreement(counts, draws=0).n_tasks == 2
    for method in ("dawid_skene", "mean"):
        with pytest.raises(ArgumentError, match="counts without names"):
            L.aggregate(counts, method)
    with pytest.raises(DataError, match="0 or more"):
        L.read_counts({"no": [-1.0], "yes": [1.0]}, {"no": "no", "yes": "yes"})
    with pytest.raises(DataError, match="differently"):
        L.read_counts({**data, "doc": ["a", "a"]}, {"no": "no", "yes": "yes"}, task="doc")
    with pytest.raises(ArgumentError, match="must map"):
        L.read_counts(data, ["no", "yes"])
