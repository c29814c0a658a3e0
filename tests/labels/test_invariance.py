"""Renaming workers, tasks and classes, or shuffling rows, changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.labels.tables.render import build_frame

from ..profiles import examples
from . import plain

L = kt.labels
METHODS = {
    "majority": {},
    "vote_share": {},
    "softmax": {},
    "dawid_skene": {"smoothing": 0.1, "n_iter": 20, "tol": 0},
    "one_coin": {"smoothing": 0.1, "n_iter": 20, "tol": 0},
    "mace": {"n_restarts": 3, "n_iter": 15},
    "glad": {"n_iter": 15, "tol": 0},
    "wawa": {},
    "zero_based_skill": {},
    "top_two": {"n_iter": 15, "tol": 0},
}


def fitted(rows, method):
    single = method in METHODS
    chosen = {method: METHODS[method]} if single else {m: METHODS[m] for m in ("dawid_skene", "mace", "glad")}
    soft = L.aggregate(plain.columns(rows), method, settings=chosen)
    skills = {w: {m: s[i] for m, s in soft.skills.items()} for i, w in enumerate(soft.workers.tolist())}
    table = {
        (t, c): soft.probabilities[i, j] for i, t in enumerate(soft.tasks.tolist()) for j, c in enumerate(soft.classes)
    }
    return table, skills


@examples(6)
@given(seed=st.integers(0, 10_000), n_classes=st.integers(3, 5))
@pytest.mark.parametrize("method", [*METHODS, "mean", "log_pool", "jensen_shannon"])
def test_names_and_order_do_not_matter(method, seed, n_classes):
    rows, _ = plain.simulate(25, 6, n_classes, 4, seed)
    rng = np.random.default_rng(seed)
    task_name = {i: f"t{v}" for i, v in enumerate(rng.permutation(25))}
    worker_name = {i: f"w{v}" for i, v in enumerate(rng.permutation(6))}
    class_name = {i: f"c{v}" for i, v in enumerate(rng.permutation(n_classes))}
    renamed = [(task_name[i], worker_name[w], class_name[y]) for i, w, y in rows]
    rng.shuffle(renamed)
    renamed = [(str(i), str(w), str(y)) for i, w, y in renamed]
    before, skill_before = fitted(rows, method)
    after, skill_after = fitted(renamed, method)
    for (i, y), value in before.items():
        assert after[task_name[i], class_name[y]] == pytest.approx(value, abs=1e-7)
    for w, skills in skill_before.items():
        for m, value in skills.items():
            assert skill_after[worker_name[w]][m] == pytest.approx(value, abs=1e-6)


@examples(10)
@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("ties", ["split", "lowest", "random"])
def test_shuffling_rows_keeps_majority_under_every_rule(ties, seed):
    rows, _ = plain.simulate(20, 5, 3, 4, seed)
    shuffled = list(rows)
    np.random.default_rng(seed).shuffle(shuffled)
    shuffled = [tuple(int(v) for v in row) for row in shuffled]
    one, two = (
        L.aggregate(plain.columns(r), "majority", settings={"majority": {"ties": ties, "seed": 3}}).probabilities
        for r in (rows, shuffled)
    )
    np.testing.assert_array_equal(one, two)


def test_lowest_follows_the_order_of_the_classes():
    votes = {"task": [1, 1], "worker": ["a", "b"], "label": ["x", "y"]}
    rule = {"majority": {"ties": "lowest"}}
    assert L.aggregate(votes, "majority", settings=rule).hard().tolist() == ["x"]
    assert L.aggregate(votes, "majority", settings=rule, classes=["y", "x"]).hard().tolist() == ["y"]


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_every_frame_library(backend):
    rows, _ = plain.simulate(20, 5, 3, 4, 1)
    frame = build_frame({k: np.array(v) for k, v in plain.columns(rows).items()}, backend)
    soft = L.aggregate(frame, "dawid_skene")
    np.testing.assert_allclose(soft.probabilities, L.aggregate(plain.columns(rows), "dawid_skene").probabilities)
    assert type(soft.table).__module__.split(".")[0] == backend
    for other in ("pandas", "polars", "pyarrow"):
        assert type(soft.to_frame(other)).__module__.split(".")[0] == other
    assert list(map(str, soft.to_frame("pandas").columns)) == ["task", "p_0", "p_1", "p_2", "entropy", "n_labels"]
