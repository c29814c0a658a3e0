"""How sure soft labels may be: tempering, shrinking, gold, and the report; Dawid-Skene on cells by plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln

import karat as kt
from karat.errors import ArgumentError, DataError
from karat.labels.aggregation.cells import Cells, fit_cells
from karat.labels.aggregation.held_out import (
    DEPENDENCE,
    TRUST,
    _predictions,
    confidence,
    reach_of,
    shrunk_shares,
    tempered,
)
from karat.labels.aggregation.named import Named

from . import plain

L = kt.labels
QUICK = {"mace": {"n_restarts": 2, "n_iter": 20}}


def slow_cells(rows, n, k, workers, rounds, strength, named):
    """Dawid-Skene with confusion matrices drawn to their average, from the definition, with dictionaries."""
    votes = [[(w, y) for i, w, y in rows if i == j] for j in range(n)]
    allowed = [sorted({y for _, y in v}) if named else list(range(k)) for v in votes]
    q = []
    for v, classes in zip(votes, allowed):
        share = np.array([sum(y == c for _, y in v) + 0.5 / k for c in classes])
        q.append(dict(zip(classes, share / share.sum())))
    for _ in range(rounds):
        counts = {}
        for v, own in zip(votes, q):
            for w, y in v:
                for c, p in own.items():
                    counts[w, c, y] = counts.get((w, c, y), 0) + p
        of = np.zeros((k, k))
        for (_, c, y), value in counts.items():
            of[c, y] += value
        mean = (of + np.eye(k) + 1 / k) / (of.sum(axis=1, keepdims=True) + 2)
        total = {(w, c): sum(counts.get((w, c, y), 0) for y in range(k)) for w in range(workers) for c in range(k)}
        prior = np.ones(k)
        for own in q:
            for c, p in own.items():
                prior[c] += p
        prior /= prior.sum()
        for j, (v, classes) in enumerate(zip(votes, allowed)):
            mass = {}
            for c in classes:
                value = prior[c]
                for w, y in v:
                    value *= (counts[w, c, y] + strength * mean[c, y]) / (total[w, c] + strength)
                mass[c] = value
            q[j] = {c: m / sum(mass.values()) for c, m in mass.items()}
    out = np.zeros((n, k))
    for j, own in enumerate(q):
        for c, p in own.items():
            out[j, c] = p
    return out


@pytest.mark.parametrize("named", [False, True])
def test_shrunk_matrices_equal_plain_loops(named):
    rows, _ = plain.simulate(20, 6, 3, 4, 5)
    model = L.DawidSkene(n_iter=6, tol=0, shrink=3.0, truth="named" if named else "any").fit(
        plain.read(rows, classes=range(3))
    )
    np.testing.assert_allclose(model.probabilities_, slow_cells(rows, 20, 3, 6, 6, 3.0, named), atol=1e-10)
    assert model.confusion_.sum(axis=2) == pytest.approx(np.ones((6, 3)))


def test_without_shrinking_cells_are_dawid_skene():
    """Where every class was named for every task, named classes leave nothing out."""
    rng = np.random.default_rng(0)
    rows = [(i, w, y) for i in range(30) for w, y in enumerate(rng.permutation([0, 0, 1, 1, 0, 1]))]
    a = plain.read(rows, classes=[0, 1])
    one, two = (L.DawidSkene(n_iter=30, tol=0, truth=t).fit(a) for t in ("any", "named"))
    np.testing.assert_allclose(one.probabilities_, two.probabilities_, atol=1e-7)
    np.testing.assert_allclose(one.confusion_, two.confusion_, atol=1e-7)


def test_strength_follows_how_much_workers_differ():
    rng = np.random.default_rng(1)
    found = []
    for spread in (0.0, 0.3):
        truth = rng.integers(3, size=300)
        accuracy = 0.7 + spread * rng.uniform(-1, 1, 30)
        rows = []
        for i in range(300):
            for w in rng.choice(30, 8, replace=False):
                right = rng.random() < accuracy[w]
                rows.append((i, int(w), int(truth[i] if right else (truth[i] + rng.integers(1, 3)) % 3)))
        found.append(L.DawidSkene(shrink="auto").fit(plain.read(rows, classes=range(3))).strength_)
    assert found[0] >= 4 * found[1]


def test_each_vote_is_predicted_without_what_its_annotator_said_there():
    """Against loops; a worker gives two half labels to one task, so that both must leave together."""
    rows, _ = plain.simulate(12, 5, 3, 3, 2)
    frame = plain.columns(rows)
    task, worker, label = (list(frame[c]) for c in ("task", "worker", "label"))
    weight = [1.0] * len(rows)
    weight[0] = 0.5
    task, worker, label = [*task, task[0]], [*worker, worker[0]], [*label, (label[0] + 1) % 3]
    weight.append(0.5)
    a = L.Annotations.of(np.array(task), np.array(worker), np.array(label), classes=range(3), weight=np.array(weight))
    fitted = fit_cells(Cells.of(a, named=False), 600, 0.0, 0.0, 4.0, [])[0]
    through, without, given = _predictions(fitted, 2.0)
    p, prior = fitted.probabilities(), fitted.prior
    mean = fitted.average()
    counts = np.zeros((5, 3, 3))
    for i, w, y, v in zip(a.task, a.worker, a.label, a.weights):
        counts[w, :, y] += v * p[i]
    e = (counts + 4.0 * mean) / (counts.sum(axis=2, keepdims=True) + 4.0)
    for j, (i, w, y, v) in enumerate(zip(a.task, a.worker, a.label, a.weights)):
        others = [(b, c, d) for h, b, c, d in zip(a.task, a.worker, a.label, a.weights) if h == i and b != w]
        own = [(c, d) for h, b, c, d in zip(a.task, a.worker, a.label, a.weights) if h == i and b == w]
        left = counts[w].copy()
        for c, d in own:
            left[:, c] -= d * p[i]
        n = sum(d for _, _, d in others)
        for rho, prediction in zip(DEPENDENCE, through):
            power = 1 / (1 + max(n - 1, 0) * rho)
            q = prior * np.prod([e[b, :, c] ** (d * power) for b, c, d in others], axis=0)
            chance = (counts[w][:, y] - v * p[i] + 4 * mean[:, y]) / (left.sum(axis=1) + 4)
            assert prediction[j] == pytest.approx(q @ np.clip(chance, 0, 1) / q.sum(), abs=1e-6)
        overall = (a.counts.sum(axis=0) + 1) / (a.counts.sum(axis=0) + 1).sum()
        same = a.counts[i, y] - v
        assert without[j] == pytest.approx((2 * overall[y] + same) / (2 + n))
        assert given[j] == v


def test_tempering_keeps_the_most_probable_class_and_counts_effective_votes():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 50)
    n = rng.integers(1, 9, 50).astype(float)
    calm = tempered(p, n, 0.2)
    assert (calm.argmax(axis=1) == p.argmax(axis=1)).all()
    np.testing.assert_allclose(tempered(p, n, 0.0), p)
    i = int(np.flatnonzero(n == 5)[0])
    raised = p[i] ** (1 / 1.8)
    np.testing.assert_allclose(calm[i], raised / raised.sum())


def test_spread_of_shares_has_the_largest_marginal_likelihood():
    rows, _ = plain.simulate(40, 8, 3, 4, 1)
    a = plain.read(rows, classes=range(3))
    found = confidence(a).spread
    mean = (a.counts.sum(axis=0) + 1) / (a.counts.sum() + 3)

    def value(s):
        each = gammaln(s) - gammaln(s + 4) + (gammaln(s * mean + a.counts) - gammaln(s * mean)).sum(axis=1)
        return each.sum() - 0.5 * np.log(s / 2) ** 2

    assert value(found) >= max(value(0.8 * found), value(1.25 * found)) - 0.05
    np.testing.assert_allclose(shrunk_shares(a, found), (a.counts + found * mean) / (4 + found))


def test_trust_follows_whether_annotators_differ():
    """Half of the annotators guess: models predict votes better than shares do. Without a truth behind: they do not."""
    rng = np.random.default_rng(3)
    found = []
    for guessing in (0.5, 0.0):
        guesses = rng.random(40) < guessing
        rows = []
        for i in range(250):
            # Without guessers, tasks have shares of their own and nothing behind them.
            share = rng.beta(1, 1) if not guessing else float(rng.random() < 0.5)
            for w in rng.choice(40, 5, replace=False):
                yes = rng.random() < (0.5 if guesses[w] else 0.05 + 0.9 * share if guessing else share)
                rows.append((i, int(w), int(yes)))
        found.append(confidence(plain.read(rows, classes=[0, 1])).trust)
    assert found[0] > 0.75
    assert found[1] < 0.5
    assert TRUST[0] <= found[1]


@pytest.mark.parametrize("pool", ["mean", "jensen_shannon", "log_pool"])
def test_pools_are_calibrated_by_default_and_not_on_request(pool):
    rows, _ = plain.simulate(30, 6, 3, 4, 3)
    a = plain.read(rows, classes=range(3))
    members = ["vote_share", "dawid_skene", "wawa"]
    soft = L.aggregate(a, pool, members=members, keep_members=True)
    told = soft.confidence
    assert set(told) == {"dependence", "trust", "spread"}
    assert "calibration dependence" in soft.summary()
    layers = [
        shrunk_shares(a, told["spread"]), tempered(soft.members["dawid_skene"], a.n_labels, told["dependence"]),
        soft.members["wawa"], shrunk_shares(a, 0.5),
    ]  # fmt: skip
    rest, reach = 1 - told["trust"], 1 / 3  # six annotators
    weights = [rest * reach / 2, told["trust"], rest * reach / 2, rest * (1 - reach)]
    how = {"mean": L.mean_pool, "jensen_shannon": L.jensen_shannon_centroid, "log_pool": L.log_pool}[pool]
    np.testing.assert_allclose(soft.probabilities, how(np.stack(layers), weights), atol=1e-12)
    bare = L.aggregate(a, pool, members=members, keep_members=True, calibrate=None)
    np.testing.assert_allclose(bare.probabilities, how(np.stack(list(bare.members.values()))), atol=1e-12)
    np.testing.assert_array_equal(bare.members["dawid_skene"], L.DawidSkene().fit(a).probabilities_)
    assert bare.confidence == {}


def test_a_single_method_is_tempered_on_request_only():
    rows, _ = plain.simulate(30, 6, 3, 4, 3)
    a = plain.read(rows, classes=range(3))
    bare, calm = L.aggregate(a, "mace", settings=QUICK), L.aggregate(a, "mace", settings=QUICK, calibrate="votes")
    assert bare.confidence == {}
    np.testing.assert_allclose(
        calm.probabilities, tempered(bare.probabilities, a.n_labels, calm.confidence["dependence"])
    )
    assert (calm.hard() == bare.hard()).all()
    with pytest.raises(ArgumentError, match="does not apply to 'wawa'"):
        L.aggregate(a, "wawa", calibrate="votes")
    with pytest.raises(ArgumentError, match="calibrate"):
        L.aggregate(a, calibrate="always")
    with pytest.raises(DataError, match="10 labelled tasks with gold or more, there are 0"):
        L.aggregate(a, calibrate="gold")
    bare = L.read_annotations(plain.columns(rows), classes=range(3), tasks=range(45))
    with pytest.warns(kt.KaratWarning, match="no label"):
        soft = L.aggregate(bare.with_gold(np.where(np.arange(45) < 30, -1, 1)), members=["wawa", "one_coin"])
    assert "temperature" not in soft.confidence, "gold of tasks that nobody labelled teaches nothing"
    counts = L.read_counts({"no": [3, 1], "yes": [1, 3]}, {"no": "no", "yes": "yes"})
    soft = L.aggregate(counts, "vote_share", calibrate="votes")
    assert set(soft.confidence) == {"spread"}
    np.testing.assert_allclose(soft.probabilities, shrunk_shares(counts, soft.confidence["spread"]))


def together(n=300, copies=4, seed=0):
    """Votes of annotators of whom several copy one: their agreement says nothing, and votes cannot show it."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    lead = np.where(rng.random(n) < 0.65, truth, 1 - truth)
    said = [np.where(rng.random(n) < 0.95, lead, 1 - lead) for _ in range(copies)]
    said += [np.where(rng.random(n) < 0.75, truth, 1 - truth)]
    frame = {"task": np.tile(np.arange(n), copies + 1), "worker": np.repeat(np.arange(copies + 1), n)}
    return frame | {"label": np.concatenate(said)}, truth


@pytest.mark.parametrize("pool", ["mean", "jensen_shannon", "log_pool"])
def test_three_annotators_give_plain_shares(pool):
    """A skill each explains any agreement of three, so that nothing speaks for one of them."""
    votes, _ = together(80, copies=2)
    a = L.read_annotations(votes)
    soft = L.aggregate(a, pool, settings=QUICK)
    assert soft.confidence["trust"] == 0
    np.testing.assert_allclose(soft.probabilities, shrunk_shares(a, 0.5), atol=1e-3)  # log_pool mixes in a thousandth
    assert [reach_of(w) for w in (1, 3, 9)] == [0, 0, 0.5]


@pytest.mark.parametrize("seed", [1, 2])
def test_copies_in_a_small_panel_cost_little(seed):
    """What the pool leaves of the truth, calibrated linearly: a little more than plain shares, unlike the bare mean."""
    votes, truth = together(2000, copies=3, seed=seed)
    left = []
    for options in ({"method": "vote_share"}, {}, {"calibrate": None}):
        p = L.aggregate(votes, settings=None if "method" in options else QUICK, **options).probabilities[:, 0]
        left.append(1 - np.corrcoef(p, truth)[0, 1] ** 2)
    assert left[1] - left[0] < 0.5 * (left[2] - left[0])
    assert left[1] < 1.03 * left[0]


def test_gold_finds_what_votes_cannot():
    votes, truth = together()
    gold = {i: int(truth[i]) for i in range(0, 300, 5)}
    rest = {i: int(truth[i]) for i in range(300) if i % 5}
    loss = {}
    for name, options in {"none": {"calibrate": None}, "votes": {"calibrate": "votes"}, "gold": {"gold": gold}}.items():
        soft = L.aggregate(votes, settings=QUICK, **options)
        loss[name] = L.calibration(soft, rest)
    assert soft.confidence["gold"] == 60
    assert soft.confidence["temperature"] > 1.2
    assert soft.confidence["log_loss"] < soft.confidence["log_loss_before"]
    assert loss["gold"].log_loss < loss["votes"].log_loss - 0.05 < loss["none"].log_loss - 0.1
    assert loss["gold"].ece < 0.5 * loss["none"].ece
    assert soft.probabilities[0].max() == 1.0, "gold stays clamped"


def test_gold_calibration_does_not_depend_on_names_or_order():
    votes, truth = together(80)
    name = {i: f"t{j}" for i, j in enumerate(np.random.default_rng(1).permutation(80))}
    one = L.aggregate(votes, settings=QUICK, gold={i: int(truth[i]) for i in range(20)})
    place = np.random.default_rng(2).permutation(len(votes["task"]))
    renamed = {
        "task": [name[int(i)] for i in votes["task"][place]],
        "worker": [f"w{w}" for w in votes["worker"][place]], "label": votes["label"][place],
    }  # fmt: skip
    two = L.aggregate(renamed, settings=QUICK, gold={name[i]: int(truth[i]) for i in range(20)})
    np.testing.assert_allclose(one.probabilities, two.align([name[i] for i in range(80)]), atol=1e-6)


def test_report_against_gold_votes_and_withheld_gold():
    rng = np.random.default_rng(5)
    rows, truth = plain.simulate(150, 10, 3, 4, 4)
    frame = plain.columns(rows)
    gold = {i: int(truth[i]) for i in range(60)}
    soft = L.aggregate(frame, "wawa")
    direct = L.calibration(soft, gold)
    scores = L.score(soft, gold)
    assert (direct.log_loss, direct.ece, direct.accuracy) == (scores.nll, scores.ece, scores.accuracy)
    assert direct.against == "gold"
    withheld = L.calibration(frame, gold, method="dawid_skene", settings={"dawid_skene": {"smoothing": 1.0}})
    assert withheld.against == "withheld gold"
    assert withheld.n == 60
    assert withheld.accuracy < 1, "clamped gold would be right always"
    sure = L.calibration(frame, method="dawid_skene")
    calm = L.calibration(frame, method="dawid_skene", settings={"dawid_skene": {"shrink": "auto"}}, calibrate="votes")
    assert sure.against == "held-out votes"
    assert sure.n == len(rows)
    assert calm.log_loss < sure.log_loss
    assert calm.log_loss < calm.baseline
    assert "too sure" in str(sure)
    assert set(calm.to_dict()) == {"against", "n", "log_loss", "baseline", "ece", "confidence", "accuracy"}
    pytest.importorskip("matplotlib").use("Agg")
    assert sure.plot().get_ylabel() == "share of votes that gave it"
    assert direct.plot().get_ylabel() == "share correct"
    order = rng.permutation(len(rows))
    shuffled = {name: [values[i] for i in order] for name, values in frame.items()}
    assert L.calibration(shuffled, method="dawid_skene").log_loss == pytest.approx(sure.log_loss)


def test_report_is_checked():
    votes = {"task": [1, 1, 2], "worker": list("aba"), "label": list("xyx")}
    soft = L.aggregate(votes, "vote_share")
    for wrong in ({}, {"gold": {1: "x"}, "method": "wawa"}, {"gold": {1: "x"}, "folds": 3}):
        with pytest.raises(ArgumentError, match="held against gold"):
            L.calibration(soft, **wrong)
    with pytest.raises(DataError, match="10 or more"):
        L.calibration(votes, {1: "x"})
    with pytest.raises(DataError, match="two labels"):
        L.calibration({"task": [1, 2], "worker": ["a", "a"], "label": ["x", "y"]}, method="vote_share")
    with pytest.raises(ArgumentError, match="no argument 'labl'"):
        L.calibration(votes, labl="label")
    with pytest.raises(ArgumentError, match="folds"):
        L.calibration(votes, folds=1)
    many = {"task": list(range(30)), "worker": ["a"] * 30, "label": list(range(30))}
    with pytest.raises(DataError, match="more than 20 classes"):
        L.calibration(many, method="vote_share")


def test_thousands_of_classes_and_many_annotators_stay_small():
    rng = np.random.default_rng(0)
    k, workers, n = 2000, 200, 400
    truth = rng.integers(k, size=n)
    task = np.repeat(np.arange(n), 5)
    worker = np.concatenate([rng.choice(workers, 5, replace=False) for _ in range(n)])
    label = np.where(rng.random(5 * n) < 0.7, truth[task], rng.integers(k, size=5 * n))
    a = L.read_annotations({"task": task, "worker": worker, "label": label}, classes=range(k))
    model = L.DawidSkene(shrink="auto").fit(a)
    assert not hasattr(model, "confusion_")
    assert len(model.fit_.counts) < 20 * len(task)
    assert (model.probabilities_.argmax(axis=1) == truth).mean() > 0.95
    assert model.skills_.shape == (workers,)
    with pytest.raises(ArgumentError, match="fit old and new labels together"):
        model.predict_proba(a)


@pytest.mark.parametrize(
    "settings", [{"shrink": -1}, {"shrink": "often"}, {"truth": "some"}, {"shrink": True}], ids=str
)
def test_new_settings_are_checked(settings):
    rows, _ = plain.simulate(10, 4, 2, 3, 0)
    with pytest.raises(ArgumentError, match=next(iter(settings))):
        L.DawidSkene(**settings).fit(plain.read(rows))


@pytest.mark.parametrize("known", [0, 15])
def test_named_classes_are_exact_for_mace_and_glad(known, monkeypatch):
    rng = np.random.default_rng(0)
    truth, task = rng.integers(30, size=60), np.repeat(np.arange(60), 4)
    worker = np.concatenate([rng.choice(12, 4, replace=False) for _ in range(60)])
    label = np.where(rng.random(240) < 0.6, truth[task], rng.integers(30, size=240))
    a = L.read_annotations({"task": task, "worker": worker, "label": label}, classes=range(30))
    if known:
        a = a.with_gold(np.where(np.arange(60) < known, truth, -1))
    for model in (lambda: L.MACE(n_restarts=2, n_iter=10), lambda: L.GLAD(n_iter=15, tol=0)):
        few = model().fit(a)
        with monkeypatch.context() as change:
            change.setattr(Named, "pays", staticmethod(lambda data: False))
            every = model().fit(a)
        np.testing.assert_allclose(few.probabilities_, every.probabilities_, atol=1e-12)
        np.testing.assert_allclose(few.skills_, every.skills_, atol=1e-12)
    assert few.loss_history_ == pytest.approx(every.loss_history_)
