"""Variances from entries equal those from arrays, on every design."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.designs import entries as module
from karat.designs.domain import within
from karat.designs.entries import Mixed, cross_product, dense, entries, in_columns, of_rows, side_by_side
from karat.estimate.augment import Units
from karat.estimate.covariance import stack, with_population
from karat.estimate.scores import Scores, StoredBlocks
from karat.estimate.tune import effective_size

N = 240
FRAME = {
    "row": np.arange(N), "size": np.tile([0.5, 1.0, 2.5], N // 3), "author": np.arange(N) // 4,
    "kind": np.array(list("abc"))[np.arange(N) % 3],
}  # fmt: skip
DESIGNS = {
    "simple": kt.SimpleRandom(n=60), "independent": kt.Bernoulli(0.3), "strata": kt.Stratified("kind", n=60),
    "unequal": kt.Unequal("size", n=60), "clusters": kt.Clustered("author", n=20),
    "waves": kt.Waves([kt.SimpleRandom(40), kt.Unequal("size", n=40)]),
}  # fmt: skip


def drawn(name, seed):
    if name == "answers":
        first = kt.SimpleRandom(n=80).draw(FRAME, seed=seed)
        rng = np.random.default_rng(seed)
        came = first.labelling.labelled & (rng.random(N) < np.where(FRAME["size"] > 1, 0.9, 0.6))
        table = kt.frames.Table.read(FRAME)
        return kt.designs.with_answers(first.design, table, came, first.labelling.labelled, ["size"])
    labelling = DESIGNS["simple" if name == "part" else name].draw(FRAME, seed=seed).labelling
    return within(labelling, FRAME["size"] < 2) if name == "part" else labelling


def both(labelling, seed, cells=9):
    rng = np.random.default_rng(seed)
    found = [entries(rng.normal(1.0, 1.0, labelling.n_gold), inside, cells)
             for inside in [rng.integers(cells, size=labelling.n_gold)] for _ in range(2)]  # fmt: skip
    return found, [dense(one) for one in found]


@pytest.mark.parametrize("design", [*DESIGNS, "answers", "part"])
@given(seed=st.integers(0, 10**6))
def test_entries_tell_what_arrays_tell(design, seed):
    labelling = drawn(design, seed % 50)
    (left, right), (a, b) = both(labelling, seed)
    cluster = FRAME["author"][: labelling.n_rows] % 7
    close = {"rtol": 1e-12, "atol": 1e-9}
    np.testing.assert_allclose(labelling.cross(left, right), labelling.cross(a, b), **close)
    np.testing.assert_allclose(labelling.independent_cross(left, right), labelling.independent_cross(a, b), **close)
    codes = labelling.independent_cross(left, right, cluster)
    np.testing.assert_allclose(codes, labelling.independent_cross(a, b, cluster), **close)
    rest = labelling.known_part(a)[0]
    np.testing.assert_allclose(dense(labelling.known_part(left)[0]), rest, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(effective_size(left, labelling), effective_size(a, labelling), rtol=1e-12)
    known = labelling.known(left)
    if known is not None:
        own, wanted = known.take(labelling.gold), cross_product(rest, rest, labelling.spread)
        np.testing.assert_allclose(own.cross_product(left, left, labelling.spread), wanted, **close)


@pytest.mark.parametrize("kind", ["HC0", "HC2", "HC3"])
@pytest.mark.parametrize("design", [*DESIGNS, "answers"])
@given(seed=st.integers(0, 10**6))
def test_covariances_of_entries_are_those_of_arrays(design, kind, seed):
    labelling = drawn(design, seed % 50)
    (moment, error), _ = both(labelling, seed)
    rng = np.random.default_rng(seed)
    left = Mixed(((moment * 1.1, np.eye(9) + rng.normal(size=(9, 9)) / 50),))
    psi = entries(rng.normal(size=N), rng.integers(9, size=N), 9)
    nothing = np.zeros(N)
    scores = Scores(StoredBlocks(psi, nothing), moment, error, (left, error * 1.2), Units(labelling), nothing)
    pair, arrays = [scores, scores], [scores.written_out()] * 2
    found, wanted = stack(pair, kind), stack(arrays, kind)
    np.testing.assert_allclose(found.population, wanted.population, rtol=1e-11, atol=1e-8)
    np.testing.assert_allclose(found.concentration, wanted.concentration, rtol=1e-11)
    np.testing.assert_allclose(scores.gold_leverage, arrays[0].gold_leverage)
    for (at, some), (_, every) in zip(scores.blocks(kind), scores.written_out().blocks(kind)):
        np.testing.assert_allclose(dense(some), every, atol=1e-12, err_msg=str(at))
    assert np.isnan(stack(pair, kind, counted=False).concentration).all() or labelling.independent


def test_matrices_side_by_side_are_written_out_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    rows = [entries(rng.normal(size=50), rng.integers(4, size=50), 4) for _ in range(3)]
    mixed = Mixed(((rows[0], rng.normal(size=(4, 5))),))
    whole = side_by_side([rows[1], mixed, rows[2]])
    np.testing.assert_allclose(dense(whole), np.hstack([dense(one) for one in (rows[1], mixed, rows[2])]))
    monkeypatch.setattr(module, "_BLOCK", 100)
    sums = in_columns(lambda x, y: (x**2 + y).sum(axis=0), whole, side_by_side([rows[2]] * 3 + [rows[0][:, :1]]))
    other = dense(side_by_side([rows[2]] * 3 + [rows[0][:, :1]]))
    np.testing.assert_allclose(sums, (dense(whole) ** 2 + other).sum(axis=0))
    weight = rng.uniform(size=50)
    np.testing.assert_allclose(
        cross_product(whole, rows[0], weight), cross_product(dense(whole), dense(rows[0]), weight)
    )
    column, value = of_rows(rows[0])
    np.testing.assert_allclose(of_rows(dense(rows[0]))[1], value)
    assert (of_rows(dense(rows[0]))[0] == column).all()


def test_a_difference_of_squares_is_never_below_the_labelling_part():
    population, design = np.array([[1.0, 2.0], [2.0, 1.0]]), np.eye(2)
    raised = with_population(population, design, False)
    assert np.linalg.eigvalsh(raised - design)[0] > -1e-12
    np.testing.assert_array_equal(with_population(population, design, True), population + design)


def test_sums_without_any_entry_are_numbers_that_others_can_be_added_to():
    nothing = entries(np.zeros(0), np.zeros(0, dtype=np.intp), 3)
    total = module.column_sums(nothing)
    total += 0.5
    np.testing.assert_array_equal(total, 0.5)
