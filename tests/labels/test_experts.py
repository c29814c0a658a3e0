import pickle

import numpy as np
import pytest

import karat as kt

L = kt.labels
DataError, ArgumentError = kt.errors.DataError, kt.errors.ArgumentError


def panel(n=400, seed=0, errors=((0.85, 0.9), (0.75, 0.8), (0.9, 0.7)), common=0.0):
    """Three experts label every unit; `common` of the units get one shared answer."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-0.8 * x))).astype(int)
    rows = {"task": np.repeat(np.arange(n), 3), "worker": np.tile(list("abc"), n), "label": np.empty(3 * n, int)}
    said = np.column_stack(
        [np.where(truth == 1, rng.random(n) < s1, rng.random(n) > s0).astype(int) for s1, s0 in errors]
    )
    shared = rng.random(n) < common
    said[shared] = said[shared, rng.integers(3, size=shared.sum())][:, None]
    rows["label"] = said.ravel()
    return rows, truth, x, said


def test_expert_mean():
    rows, _, _, said = panel(50)
    gold = L.experts(rows)
    np.testing.assert_allclose(gold.gold[:, 0], said.mean(axis=1))
    assert gold.names == ("gold",)
    assert "Krippendorff" in str(gold)
    assert gold.cluster is None
    aligned = gold.align([3, 999])
    assert aligned[0] == said[3].mean()
    assert np.isnan(aligned[1])
    assert pickle.loads(pickle.dumps(gold)).names == gold.names


def test_expert_mean_of_numbers_and_of_classes():
    rows = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": [1, 5, 3, 3]}
    np.testing.assert_allclose(L.experts(rows).gold[:, 0], [3, 3])
    shares = L.experts(rows, level="nominal")
    assert shares.names == ("gold_1", "gold_3", "gold_5")
    np.testing.assert_allclose(shares.gold, [[0.5, 0, 0.5], [0, 1, 0]])


def test_groups():
    rows, _, _, said = panel(30)
    gold = L.experts(rows, "group", groups={"a": "x", "b": "x", "c": "y"})
    assert gold.names == ("gold_x", "gold_y")
    np.testing.assert_allclose(gold.gold[:, 0], said[:, :2].mean(axis=1))
    np.testing.assert_allclose(gold.gold[:, 1], said[:, 2])
    with pytest.raises(ArgumentError, match="several gold columns"):
        gold.align([1])
    assert gold.align([0], "gold_y")[0] == said[0, 2]
    with pytest.raises(DataError, match="does not name the expert"):
        L.experts(rows, "group", groups={"a": "x"})
    with pytest.raises(ArgumentError, match="goes with"):
        L.experts(rows, groups={"a": "x"})


def test_latent_truth_is_unbiased_for_the_truth():
    slopes, prevalence, plain = [], [], []
    for seed in range(40):
        rows, truth, x, said = panel(800, seed)
        gold = L.experts(rows, "latent_truth")
        slope = lambda y: np.cov(x, y)[0, 1] / x.var()  # noqa: E731, B023
        slopes.append(slope(gold.gold[:, 0]) - slope(truth))
        plain.append(slope(said.mean(axis=1)) - slope(truth))
        prevalence.append(gold.gold[:, 0].mean() - truth.mean())
    error = np.std(slopes) / np.sqrt(40)
    assert abs(np.mean(slopes)) < 3 * error
    assert abs(np.mean(prevalence)) < 3 * np.std(prevalence) / np.sqrt(40)
    assert np.mean(plain) < -0.05
    np.testing.assert_allclose(gold.confusion[:, 1, 1], [0.85, 0.75, 0.9], atol=0.08)


def test_latent_truth_of_three_classes():
    rng = np.random.default_rng(1)
    truth = rng.choice(3, p=[0.5, 0.3, 0.2], size=2000)
    rows = {"task": np.repeat(np.arange(2000), 4), "worker": np.tile(list("abcd"), 2000)}
    t = truth[rows["task"]]
    rows["label"] = np.where(rng.random(8000) < 0.7, t, (t + rng.integers(1, 3, 8000)) % 3)
    gold = L.experts(rows, "latent_truth")
    assert gold.names == ("gold_0", "gold_1", "gold_2")
    np.testing.assert_allclose(gold.gold.sum(axis=1), 1)
    for c in range(3):
        np.testing.assert_allclose(gold.gold[truth == c].mean(axis=0), np.eye(3)[c], atol=0.05)


def test_sensitivity_to_shared_answers():
    rows, truth, _, _ = panel(4000, 3, common=0.3)
    gold = L.experts(rows, "latent_truth")
    found = gold.sensitivity([0.0, 0.3])
    np.testing.assert_allclose(found.gold[:, 0], gold.gold[:, 0], atol=1e-6)
    assert found.accuracy[1].mean() < found.accuracy[0].mean() - 0.03
    # With the right share the accuracies are right.
    _, _, _, said = panel(4000, 3, common=0.3)
    np.testing.assert_allclose(found.accuracy[1], (said == truth[:, None]).mean(axis=0), atol=0.04)
    assert found.table.columns.tolist() == ["dependence", "mean accuracy", "lowest accuracy", "prevalence"]
    with pytest.raises(ArgumentError, match="below 1"):
        gold.sensitivity([1.0])
    with pytest.raises(ArgumentError, match="belongs to"):
        L.experts(rows).sensitivity()


def test_latent_truth_needs_three_experts_who_know_something():
    rows, _, _, _ = panel(60)
    two = {c: np.asarray(v)[np.asarray(rows["worker"]) != "c"] for c, v in rows.items()}
    with pytest.raises(DataError, match="needs three experts"):
        L.experts(two, "latent_truth")
    rows, _, _, _ = panel(3000, errors=((0.9, 0.9), (0.9, 0.9), (0.5, 0.5)))
    with pytest.raises(DataError, match="hardly depend on the truth"):
        L.experts(rows, "latent_truth")
    with pytest.raises(ArgumentError, match="about classes"):
        L.experts(rows, "latent_truth", level="interval")


def test_one_expert_per_unit_is_a_cluster():
    rows = {"task": [1, 2, 3], "worker": list("aab"), "label": [0, 1, 1]}
    gold = L.experts(rows)
    assert gold.cluster.tolist() == ["a", "a", "b"]
    assert gold.agreement is None
    assert "cluster=gold.cluster" in gold.summary()


# --- rules --------------------------------------------------------------------------------------------------------


def outputs(n=1500, seed=0, copies=0, k=2):
    """Five rules of different accuracy and coverage; `copies` further rules mostly repeat the first."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(k, p=[0.7] + [0.3 / (k - 1)] * (k - 1), size=n)
    accuracy, coverage = [0.65, 0.8, 0.85, 0.75, 0.9], [0.8, 0.5, 0.6, 0.7, 0.3]
    said = []
    for a, c in zip(accuracy, coverage):
        answer = np.where(rng.random(n) < a, truth, (truth + rng.integers(1, k, n)) % k)
        said.append(np.where(rng.random(n) < c, answer, -1))
    said += [np.where(rng.random(n) < 0.95, said[0], -1) for _ in range(copies)]
    return np.column_stack(said), truth


def nll(p, truth):
    return -np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-3)).mean()


def vote(said, k):
    counts = np.column_stack([(said == c).sum(axis=1) for c in range(k)]) + 0.5
    return counts / counts.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [2, 3])
def test_rules_beat_voting(k):
    said, truth = outputs(k=k)
    model = L.RuleModel(correlated=None).fit(said, k)
    assert nll(model.probabilities_, truth) < nll(vote(said, k), truth) - 0.03
    assert model.accuracy_.argmin() == 0
    np.testing.assert_allclose(model.predict_proba(said), model.probabilities_, atol=1e-3)
    assert model.converged_


def test_correlated_rules_are_found_and_harmless():
    said, truth = outputs(copies=2)
    auto = L.RuleModel().fit(said, 2)
    assert (0, 5, 6) in auto.groups_
    assert all(len(g) == 1 for g in auto.groups_ if 0 not in g)
    naive = L.RuleModel(correlated=None).fit(said, 2)
    declared = L.RuleModel(correlated=[(0, 5, 6)]).fit(said, 2)
    np.testing.assert_allclose(auto.probabilities_, declared.probabilities_, atol=1e-6)
    assert nll(auto.probabilities_, truth) < nll(naive.probabilities_, truth) - 0.1


def test_independent_rules_are_left_alone():
    for seed in range(4):
        said, _ = outputs(seed=seed)
        assert all(len(g) == 1 for g in L.RuleModel().fit(said, 2).groups_)


def test_gold_informs_rules():
    said, truth = outputs(600)
    said[:, 1:] = np.where(said[:, 1:] >= 0, 1 - said[:, 1:], -1)  # four of five rules are contrary
    gold = np.where(np.arange(600) < 150, truth, -1)
    blind = L.RuleModel(correlated=None).fit(said, 2)
    taught = L.RuleModel(correlated=None).fit(said, 2, gold)
    rest = gold < 0
    assert nll(taught.probabilities_[rest], truth[rest]) < nll(blind.probabilities_[rest], truth[rest]) - 0.02
    np.testing.assert_array_equal(taught.probabilities_[~rest].argmax(axis=1), truth[~rest])


def test_rules_from_a_table():
    said, truth = outputs(300)
    names = np.array(["calm", "hostile", None], dtype=object)
    frame = {f"r{j}": names[said[:, j]] for j in range(5)} | {"doc": [f"d{i}" for i in range(300)]}
    soft = L.rules(frame, [f"r{j}" for j in range(5)], id="doc", correlated=[["r0", "r1"]])
    assert soft.classes == ("calm", "hostile")
    assert "rules taken as correlated: r0 + r1" in soft.notes
    assert soft.table.columns.tolist() == ["doc", "p_calm", "p_hostile", "entropy", "n_labels"]
    assert (soft.probabilities.argmax(axis=1) == truth).mean() > 0.8
    with pytest.raises(ArgumentError, match="three different rule columns"):
        L.rules(frame, ["r0", "r1"])
    with pytest.raises(ArgumentError, match="not among the rule columns"):
        L.rules(frame, ["r0", "r1", "r2"], correlated=[["r0", "r9"]])
    with pytest.raises(ArgumentError, match="accuracy"):
        L.rules(frame, ["r0", "r1", "r2"], accuracy=0.4)
    with pytest.raises(ArgumentError, match="different rules"):
        L.RuleModel(correlated=[(0, 0)]).fit(said, 2)
