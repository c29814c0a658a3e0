"""Every aggregator against an independent plain re-implementation, or a published one."""

import json
from pathlib import Path

import numpy as np
import pytest

import karat as kt
from karat.labels.aggregation.base import winners
from karat.labels.aggregation.mace import content_keys, uniforms

from . import plain

L = kt.labels


@pytest.fixture(scope="module", params=[(40, 8, 3, 4, 0), (30, 6, 2, 5, 1), (50, 10, 5, 3, 2)], ids=str)
def setting(request):
    n, w, k, per, seed = request.param
    rows, _ = plain.simulate(n, w, k, per, seed)
    return rows, n, k, plain.read(rows, classes=list(range(k)))


def test_vote_share(setting):
    rows, n, k, a = setting
    np.testing.assert_allclose(L.VoteShare().fit(a).probabilities_, plain.vote_share(rows, n, k))


def test_softmax(setting):
    rows, n, k, a = setting
    counts = np.zeros((n, k))
    for i, _, y in rows:
        counts[i, y] += 1
    expected = np.exp(counts) / np.exp(counts).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(L.Softmax().fit(a).probabilities_, expected)


def test_wawa(setting):
    rows, n, k, a = setting
    p, skill = plain.wawa(rows, n, k)
    model = L.Wawa().fit(a)
    np.testing.assert_allclose(model.probabilities_, p, atol=1e-12)
    np.testing.assert_allclose(model.skills_, [skill[w] for w in sorted(skill)], atol=1e-12)


def test_zero_based_skill(setting):
    rows, n, k, a = setting
    p, skill = plain.zero_based_skill(rows, n, k)
    model = L.ZeroBasedSkill().fit(a)
    np.testing.assert_allclose(model.probabilities_, p, atol=1e-9)
    np.testing.assert_allclose(model.skills_, [skill[w] for w in sorted(skill)], atol=1e-9)


def test_dawid_skene(setting):
    rows, n, k, a = setting
    p, error = plain.dawid_skene(rows, n, k, rounds=15)
    model = L.DawidSkene(n_iter=15, tol=0).fit(a)
    np.testing.assert_allclose(model.probabilities_, p, atol=1e-8)
    for (w, y, c), value in error.items():
        assert model.confusion_[w, c, y] == pytest.approx(value, abs=1e-7)


def test_dawid_skene_equals_crowdkit_at_convergence():
    """Frozen answer of crowd-kit 1.4.2 (600 rounds) on 300 tasks; made by benchmarks/labels_reference.py."""
    saved = json.loads((Path(__file__).parent / "crowdkit.json").read_text())["three"]
    model = L.DawidSkene(n_iter=600, tol=0).fit(saved["annotations"])
    assert model.converged_
    np.testing.assert_allclose(model.probabilities_, saved["dawid_skene"], atol=1e-8)


@pytest.mark.parametrize("method", ["wawa", "zero_based_skill"])
def test_votes_equal_crowdkit_where_nothing_ties(method):
    saved = json.loads((Path(__file__).parent / "crowdkit.json").read_text())["two"]
    soft = L.aggregate(saved["annotations"], method)
    np.testing.assert_allclose(soft.probabilities, saved[method], atol=1e-8)


def test_one_coin_is_dawid_skene_with_tied_cells(setting):
    rows, n, k, a = setting
    model = L.OneCoin(n_iter=500, tol=0).fit(a)
    s = model.skills_
    confusion = np.where(np.eye(k, dtype=bool), s[:, None, None], ((1 - s) / (k - 1))[:, None, None])
    logs = np.tile(np.log(model.prior_), (n, 1))
    for i, w, y in rows:
        logs[i] += np.log(confusion[w][:, y])
    p = np.exp(logs - logs.max(axis=1, keepdims=True))
    np.testing.assert_allclose(model.probabilities_, p / p.sum(axis=1, keepdims=True), atol=1e-3)
    right = np.zeros(len(s))
    total = np.zeros(len(s))
    for i, w, y in rows:
        right[w] += model.probabilities_[i, y]
        total[w] += 1
    np.testing.assert_allclose(s, right / total, atol=1e-9)


def test_mace(setting):
    rows, n, k, a = setting
    model = L.MACE(n_restarts=3, n_iter=20, seed=4).fit(a)
    worker_key, class_key = content_keys(a)
    best = None
    for restart in range(3):
        seed = 1000003 * 4 + 2 * restart
        knowing = 1 + 1.5 * uniforms(seed, worker_key[:, None], np.arange(2, dtype=np.uint64)[None, :])
        habits = 1 + 1.5 * uniforms(seed + 1, worker_key[:, None], class_key[None, :])
        knowing /= knowing.sum(axis=1, keepdims=True)
        habits /= habits.sum(axis=1, keepdims=True)
        found = plain.mace(rows, n, k, knowing, habits, rounds=20)
        assert model.likelihoods_[restart] == pytest.approx(found[1], abs=1e-7)
        if best is None or found[1] > best[1]:
            best = found
    np.testing.assert_allclose(model.probabilities_, best[0], atol=1e-8)
    np.testing.assert_allclose(model.knowing_, best[2], atol=1e-8)
    np.testing.assert_allclose(model.strategies_, best[3], atol=1e-8)


def test_mace_restarts_differ(setting):
    model = L.MACE(n_restarts=4, n_iter=1).fit(setting[3])
    assert len(set(np.round(model.likelihoods_, 9))) == 4


def test_glad(setting):
    rows, n, k, a = setting
    p, alpha, easiness = plain.glad(rows, n, k)
    model = L.GLAD(n_iter=5000, tol=1e-12).fit(a)
    np.testing.assert_allclose(model.probabilities_, p, atol=1e-5)
    np.testing.assert_allclose(model.skills_, alpha, atol=1e-4)
    np.testing.assert_allclose(model.easiness_, easiness, rtol=1e-3)


@pytest.mark.parametrize("name", ["DawidSkene", "OneCoin", "GLAD"])
def test_objective_never_falls(setting, name):
    model = getattr(L, name)(n_iter=60, tol=0).fit(setting[3])
    assert (np.diff(model.loss_history_) > -1e-9).all()


def test_toptwo_likelihood_by_enumeration():
    rows, _ = plain.simulate(6, 5, 3, 4, seed=3)
    a = plain.read(rows, classes=[0, 1, 2])
    model = L.TopTwo(n_iter=0, n_levels=3).fit(a)
    p = model.skills_
    for i in range(6):
        mass = np.zeros((3, 3))
        for q in model.levels_:
            for g in range(3):
                for h in range(3):
                    if g != h:
                        value = 1.0
                        for j, w, y in rows:
                            if j == i:
                                serious = q * (y == g) + (1 - q) * (y == h)
                                value *= p[w] * serious + (1 - p[w]) / 3
                        mass[g, h] += value
        np.testing.assert_allclose(model.probabilities_[i], mass.sum(axis=1) / mass.sum(), atol=1e-10)
        np.testing.assert_allclose(model.second_probabilities_[i], mass.sum(axis=0) / mass.sum(), atol=1e-10)


def test_toptwo_objective_never_falls():
    rows, _ = plain.simulate(60, 8, 4, 5, seed=3)
    model = L.TopTwo(n_iter=40, tol=0).fit(plain.read(rows, classes=range(4)))
    assert (np.diff(model.loss_history_) > -1e-9).all()


def test_toptwo_survives_many_agreeing_labels():
    rows = [(0, w, 0) for w in range(300)] + [(1, w, w % 3) for w in range(300)]
    model = L.TopTwo().fit(plain.read(rows, classes=range(3)))
    assert np.isfinite(model.probabilities_).all()
    assert model.probabilities_[0, 0] > 0.99


def test_toptwo_refuses_two_classes():
    with pytest.raises(kt.errors.DataError, match="three classes or more"):
        L.aggregate(plain.columns(plain.simulate(n_classes=2)[0]), "top_two")


@pytest.mark.parametrize("name", ["DawidSkene", "OneCoin", "MACE", "GLAD", "Wawa", "ZeroBasedSkill", "TopTwo"])
def test_predict_on_the_same_labels_gives_the_same(setting, name):
    if name == "TopTwo" and setting[2] < 3:
        pytest.skip("needs three classes")
    settings = {"n_iter": 3000, "tol": 1e-12} if name in ("DawidSkene", "OneCoin", "GLAD") else {}
    model = getattr(L, name)(**settings).fit(setting[3])
    np.testing.assert_allclose(model.predict_proba(setting[3]), model.probabilities_, atol=2e-3)


def test_winners_rules():
    scores = np.array([[2.0, 2.0 + 1e-12, 1.0], [0.0, 1.0, 1.0]])
    np.testing.assert_array_equal(winners(scores), [[0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_array_equal(winners(scores, "lowest"), [[1, 0, 0], [0, 1, 0]])
    drawn = [winners(scores, "random", np.random.default_rng(s)).argmax(axis=1).tolist() for s in range(40)]
    assert {tuple(d) for d in drawn} == {(0, 1), (0, 2), (1, 1), (1, 2)}
    with pytest.raises(kt.errors.ArgumentError, match="ties"):
        winners(scores, "first")


def test_sklearn_manners():
    model = L.DawidSkene(smoothing=0.5)
    assert model.get_params() == {"n_iter": 100, "tol": 1e-6, "smoothing": 0.5, "shrink": 0.0, "truth": "auto"}
    assert model.set_params(n_iter=7).n_iter == 7
    assert "smoothing=0.5" in repr(model)
    with pytest.raises(kt.errors.ArgumentError, match="no setting 'smoth'"):
        model.set_params(smoth=1)
    with pytest.raises(kt.errors.ArgumentError, match="not fitted"):
        model.predict_proba()
    from sklearn.base import clone

    assert clone(model).smoothing == 0.5


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DawidSkene", {"n_iter": 0}),
        ("DawidSkene", {"smoothing": -1}),
        ("OneCoin", {"tol": float("nan")}),
        ("MACE", {"method": "mcmc"}),
        ("MACE", {"n_restarts": 0}),
        ("MACE", {"prior": (1,)}),
        ("MACE", {"seed": -1}),
        ("GLAD", {"n_iter": 1.5}),
        ("TopTwo", {"n_levels": 0}),
        ("ZeroBasedSkill", {"halve_every": 0}),
        ("Wawa", {"ties": "random"}),
    ],
)
def test_settings_are_checked(setting, name, settings):
    with pytest.raises(kt.errors.ArgumentError):
        getattr(L, name)(**settings).fit(setting[3])
