import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import karat as kt

from . import plain

L = kt.labels
KRIPPENDORFF = ["123321 4 12 . . .", "123322 4 12 5 . 3", ".33323 4 22 5 1 .", "123324 4 12 5 1 ."]


def krippendorff_rows():
    """The worked example of Krippendorff (2011): four observers, twelve units."""
    rows = {"task": [], "worker": [], "label": []}
    for w, line in enumerate(KRIPPENDORFF):
        for i, v in enumerate(line.replace(" ", "")):
            if v != ".":
                for column, value in zip(rows.values(), (i, w, int(v))):
                    column.append(value)
    return rows


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level, value):
    found = L.agreement(krippendorff_rows(), level, draws=50)
    assert round(found.alpha, 3) == value
    assert found.interval[0] < found.alpha < found.interval[1]
    assert "Krippendorff alpha" in str(found)


def test_kappas():
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=200)
    said = [np.where(rng.random(200) < 0.7, truth, rng.integers(3, size=200)) for _ in range(3)]
    rows = {
        "task": list(range(200)) * 3,
        "worker": [w for w in "abc" for _ in range(200)],
        "label": np.concatenate(said),
    }
    found = L.agreement(rows, draws=0)
    by_sklearn = [metrics.cohen_kappa_score(said[a], said[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(sorted(found.pairs["kappa"]), sorted(by_sklearn))
    assert found.cohen == pytest.approx(np.mean(by_sklearn))
    assert abs(found.fleiss - found.alpha) < 0.01


def test_agreement_is_checked():
    with pytest.raises(kt.errors.DataError, match="no task has two labels"):
        L.agreement({"task": [1, 2], "worker": ["a", "b"], "label": ["x", "y"]})
    votes = {"task": [1, 1], "worker": ["a", "b"], "label": ["x", "y"]}
    with pytest.raises(kt.errors.DataError, match="needs numbers"):
        L.agreement(votes, "interval")
    with pytest.raises(kt.errors.ArgumentError, match="level"):
        L.agreement(votes, "ratio")


def simulated(n=400, k=3, seed=0, sharpen=1.0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(k, 0.6), size=n)
    truth = np.array([rng.choice(k, p=row) for row in p])
    q = p**sharpen
    return q / q.sum(axis=1, keepdims=True), truth


def test_scores_against_sklearn():
    p, truth = simulated()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(truth))
    s = L.score(p, truth, classes=[0, 1, 2], weights=weights)
    guess = p.argmax(axis=1)
    assert s.accuracy == pytest.approx(metrics.accuracy_score(truth, guess, sample_weight=weights))
    assert s.macro_f1 == pytest.approx(metrics.f1_score(truth, guess, average="macro", sample_weight=weights))
    assert s.nll == pytest.approx(metrics.log_loss(truth, 0.99 * p + 0.01 / 3, sample_weight=weights))
    hit = np.eye(3)[truth]
    assert s.brier == pytest.approx(np.average(((p - hit) ** 2).sum(axis=1), weights=weights))
    assert s.ece < 0.12
    assert s.to_dict()["n"] == 400


def test_reliability_bins():
    p, truth = simulated(2000)
    table = L.reliability(p, truth, classes=[0, 1, 2])
    assert table["n"].sum() == 2000
    assert table["share"].sum() == pytest.approx(1)
    inside = (table["2.5%"] <= table["confidence"]) & (table["confidence"] <= table["97.5%"])
    assert inside.mean() > 0.7


@pytest.mark.filterwarnings("ignore::karat.errors.DesignWarning")
def test_reliability_intervals_are_those_of_an_audit():
    """Of equal weights Clopper and Pearson's; rows of large weights count for as few as they are."""
    from scipy import stats

    p, truth = np.tile([0.9, 0.1], (40, 1)), np.arange(40) % 8 == 0
    row = L.reliability(p, truth.astype(int), classes=[0, 1]).iloc[0]
    exact = stats.binomtest(35, 40).proportion_ci()
    np.testing.assert_allclose(row[["2.5%", "97.5%"]].to_numpy(float), exact, rtol=1e-9)
    heavy = np.where(truth, 40.0, 1.0)
    frame = pd.DataFrame({"gold": truth.astype(int), "label": 0})
    expected = L.audit(frame, "gold", "label", kt.Bernoulli(1 / heavy)).confusion.accuracy_interval
    row = L.reliability(p, truth.astype(int), classes=[0, 1], weights=heavy).iloc[0]
    np.testing.assert_allclose(row[["2.5%", "97.5%"]].to_numpy(float), expected, rtol=0.1)
    assert row["97.5%"] - row["2.5%"] > 2 * (exact.high - exact.low)


def test_temperature_undoes_sharpening():
    p, truth = simulated(4000, sharpen=3.0)
    fit = L.fit_temperature(p, truth, classes=[0, 1, 2])
    assert fit.value == pytest.approx(3, rel=0.3)
    assert fit.after.nll < fit.before.nll
    assert fit.after.ece < fit.before.ece
    assert fit.after.accuracy == fit.before.accuracy
    np.testing.assert_allclose(fit.apply(p).sum(axis=1), 1)


def test_scores_of_soft_labels_by_mapping():
    rows, truth = plain.simulate()
    soft = L.aggregate(plain.columns(rows), "wawa")
    gold = {i: int(truth[i]) for i in range(0, 40, 2)}
    a = L.score(soft, gold)
    b = L.score(soft.probabilities, [int(t) if i % 2 == 0 else None for i, t in enumerate(truth)], classes=[0, 1, 2])
    assert a == b
    assert a.n == 20


@pytest.mark.parametrize(
    ("gold", "options", "message"),
    [
        ([None] * 3, {"classes": [0, 1]}, "no task has gold"),
        ([0, 1], {"classes": [0, 1]}, "2 entries"),
        ([0, 1, 5], {"classes": [0, 1]}, "gold class"),
        ([0, 1, 1], {}, "need classes"),
        ({0: 1}, {"classes": [0, 1]}, "mapping"),
        ([0, 1, 1], {"classes": [0, 1], "weights": np.ones(2)}, "weights has shape"),
        ([0, 1, 1], {"classes": [0, 1], "weights": -np.ones(3)}, "0 or more"),
        ([0, 1, 1], {"classes": [0, 1], "n_bins": 0}, "n_bins"),
    ],
)
def test_scores_are_checked(gold, options, message):
    with pytest.raises(kt.KaratError, match=message):
        L.score(np.full((3, 2), 0.5), gold, **options)
    with pytest.raises(kt.errors.DataError, match="add up to 1"):
        L.score(np.ones((1, 2)), [0], classes=[0, 1])
