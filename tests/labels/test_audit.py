import numpy as np
import pandas as pd
import pytest
from scipy import stats

import karat as kt
from karat.labels.quality.errors_by_design import confusion
from karat.labels.quality.review import _capped

L = kt.labels
DataError, ArgumentError = kt.errors.DataError, kt.errors.ArgumentError


@pytest.fixture(scope="module")
def corpus():
    frame, _ = kt.datasets.simulate(3000, seed=1)
    frame["stratum"] = np.where(frame["hostile_llm"] == 1, "yes", "no")
    frame["p1"] = frame["hostile_score"].clip(0.01, 0.99)
    frame["p0"] = 1 - frame["p1"]
    frame["doc"] = np.arange(len(frame))
    rng = np.random.default_rng(3)
    for name in ("other_llm", "third_llm"):
        frame[name] = np.where(rng.random(len(frame)) < 0.9, frame["hostile"], 1 - frame["hostile"])
    return frame


def drawn(corpus, n=400, seed=1):
    sample = kt.Stratified("stratum", n=n).draw(corpus, seed=seed)
    return kt.datasets.mask_gold(corpus, sample, "hostile"), sample


def test_confusion_is_design_weighted_and_covers(corpus):
    truth = pd.crosstab(corpus["hostile"], corpus["hostile_llm"], normalize="index").to_numpy()
    inside, estimates = [], []
    probability = np.where(corpus["hostile_llm"] == 1, 0.25, 0.08)
    for seed in range(150):
        sample = kt.Bernoulli(probability).draw(corpus, seed=seed, id="doc")
        gold, label = (corpus[c].to_numpy()[sample.positions] for c in ("hostile", "hostile_llm"))
        found = confusion(gold, label, (0, 1), sample.labelling)
        estimates.append(found.recall)
        inside.append((found.recall_interval[..., 0] <= truth) & (truth <= found.recall_interval[..., 1]))
    np.testing.assert_allclose(np.mean(estimates, axis=0), truth, atol=0.012)
    # Intervals are for the population the corpus was drawn from, so on the corpus itself they cover a little more.
    assert (np.mean(inside, axis=0) > 0.92).all()


def test_intervals_of_equal_weights_are_those_of_clopper_and_pearson():
    gold = np.repeat([1, 0], [7, 33])
    label = gold.copy()
    label[[0, 1, 10]] = 1 - label[[0, 1, 10]]
    found = confusion(gold, label, (0, 1), kt.designs.Labelling(np.ones(40), np.ones(40, dtype=bool), fixed_size=False))
    for told, right, of in (
        (found.recall_interval[1, 1], 5, 7), (found.recall_interval[1, 0], 2, 7), (found.accuracy_interval, 37, 40),
        (found.precision_interval[0, 0], 32, 34), (found.precision_interval[1, 0], 2, 34),
    ):  # fmt: skip
        assert told == pytest.approx(tuple(stats.binomtest(right, of).proportion_ci(method="exact")))


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_rare_misses_in_a_stratum_of_large_weights_widen_recall(seen):
    """60 texts labelled 0 stand for 75 each, so that recall is not known to be 1 where none of them was missed."""
    gold = np.repeat([1, 0, 1, 0], [45, 15, seen, 60 - seen])
    label = np.repeat([1, 0], [60, 60])
    stratum = np.repeat([1, 0], [500, 4500])
    drawn = np.r_[np.arange(60), 500 + np.arange(60)]
    labelling = kt.designs.Labelling(
        np.where(stratum, 60 / 500, 60 / 4500), np.isin(np.arange(5000), drawn), fixed_size=True, stratum=stratum
    )
    low, high = confusion(gold, label, (0, 1), labelling).recall_interval[1, 1]
    # as many missed among the 4,500 as Clopper and Pearson's limits at 60 rows, all else taken as known
    few, many = stats.binomtest(seen, 60).proportion_ci(method="exact")
    assert low == pytest.approx(375 / (375 + 4500 * many), abs=0.03)
    assert high == pytest.approx(375 / (375 + 4500 * few), abs=0.03)


def test_differential_error_test_has_its_level():
    """With errors that depend on nothing, the joint test rejects one time in twenty. Monte Carlo error .02."""
    rejected = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"x": rng.normal(size=800), "z": rng.exponential(size=800)})
        frame["gold"] = (rng.random(800) < 0.4).astype(int)
        frame["llm"] = np.where(rng.random(800) < 0.85, frame["gold"], 1 - frame["gold"])
        probability = np.clip(0.1 + 0.1 * frame["z"], 0.05, 0.6).to_numpy()
        sample = kt.Bernoulli(probability).draw(frame, seed=seed)
        masked = kt.datasets.mask_gold(frame, sample, "gold")
        rejected.append(
            L.audit(masked, "gold", "llm", sample.design, covariates=["x", "z"]).differential.joint_pvalue < 0.05
        )
    assert 0 < np.mean(rejected) < 0.05 + 2.6 * 0.02


def test_differential_error_is_found(corpus):
    masked, sample = drawn(corpus)
    found = L.audit(masked, "hostile", "hostile_llm", sample.design, covariates=["outcome", "length", "stratum"])
    assert found.differential.joint_pvalue < 1e-4
    assert found.differential.names == ("Intercept", "outcome", "length", "stratum_yes")
    assert "differential error" in str(found)


def test_whole_audit_and_its_page(corpus, tmp_path):
    masked, sample = drawn(corpus)
    rng = np.random.default_rng(0)
    items = sample.positions[:60]
    said = [
        np.where(rng.random(60) < 0.8, corpus["hostile"].to_numpy()[items], rng.integers(2, size=60)) for _ in range(3)
    ]
    humans = {"task": np.tile(items, 3), "worker": np.repeat(list("abc"), 60), "label": np.concatenate(said)}
    found = L.audit(
        masked, "hostile", "hostile_llm", sample.design, covariates=["outcome", "length"],
        formula="outcome ~ hostile + length", probabilities={0: "p0", 1: "p1"},
        models=["other_llm", "third_llm"], humans=humans, id="document",
    )  # fmt: skip
    assert found.gains.index.tolist() == ["Intercept", "hostile", "length"]
    assert (found.gains["se with"] < found.gains["se gold only"]).all()
    assert (found.gains["R2"] > 0.2).all()
    assert found.alternative is not None
    truth = corpus["hostile"].to_numpy()[found.flagged]
    assert (truth != corpus["hostile_llm"].to_numpy()[found.flagged]).mean() > 0.8
    assert found.scores.n == 400
    page = found.to_html(tmp_path / "audit.html")
    assert (tmp_path / "audit.html").read_text(encoding="utf-8") == page
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page.replace("http://www.w3.org", "")
    for part in ("Confusion", "covariates", "Calibration", "saves", "Alternative", "Contradicted", "Review next"):
        assert part in page


def test_review_design_keeps_known_probabilities(corpus):
    masked, sample = drawn(corpus)
    review = L.audit(masked, "hostile", "hostile_llm", sample.design, probabilities={0: "p0", 1: "p1"}).review
    done = sample.labelled
    design = review.design(200, done=done)
    assert len(design.probability) == (~done).sum()
    assert design.probability.sum() == pytest.approx(200)
    assert design.probability.min() > 0
    assert design.probability.max() <= 1
    rest = corpus[~done]
    wrong = (rest["hostile"] != rest["hostile_llm"]).to_numpy()
    assert design.probability[wrong].mean() > 1.1 * design.probability[~wrong].mean()
    # Inverse probabilities give back the error rate, although suspicious labels are over-sampled.
    estimates = []
    for seed in range(200):
        second = design.draw(rest, seed=seed, id="doc")
        estimates.append((wrong[second.positions] / second.probability[second.positions]).sum() / len(rest))
    assert np.mean(estimates) == pytest.approx(wrong.mean(), abs=0.01)
    with pytest.raises(ArgumentError, match="not possible"):
        review.design(10**6)
    with pytest.raises(ArgumentError, match="equal_share"):
        review.design(10, equal_share=0)


def test_capped_probabilities_add_up():
    share = np.array([0.9, 0.05, 0.03, 0.02])
    p = _capped(share, 3.0)
    assert p.sum() == pytest.approx(3)
    assert p.max() <= 1 + 1e-12
    np.testing.assert_allclose(_capped(np.full(4, 0.25), 4.0), 1)


def test_confident_joint_finds_planted_errors():
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=900)
    p = rng.dirichlet([0.4] * 3, size=900) * 0.3
    p[np.arange(900), truth] += 0.7
    labels = truth.copy()
    planted = rng.choice(900, 60, replace=False)
    labels[planted] = (labels[planted] + rng.integers(1, 3, 60)) % 3
    review = L.rank_for_review(p, labels, ("a", "b", "c"))
    assert np.isin(review.order[:60], planted).mean() > 0.95
    assert review.joint.sum() == pytest.approx(1)
    assert 1 - np.trace(review.joint) == pytest.approx(60 / 900, abs=0.02)
    with pytest.raises(DataError, match="codes"):
        L.rank_for_review(p, labels + 1, ("a", "b", "c"))


def test_alternative_annotator_by_hand():
    rng = np.random.default_rng(2)
    truth = rng.integers(3, size=120)
    said = np.column_stack([np.where(rng.random(120) < a, truth, rng.integers(3, size=120)) for a in (0.8, 0.7, 0.75)])
    rows = {"task": np.repeat(np.arange(120), 3), "worker": np.tile(list("abc"), 120), "label": said.ravel()}
    good = L.alternative_annotator(rows, dict(enumerate(truth)))
    bad = L.alternative_annotator(rows, dict(enumerate(rng.integers(3, size=120))))
    assert good.passes
    assert not bad.passes
    assert bad.winning_rate == 0
    gap = []
    for i in range(120):
        others = [said[i, 1], said[i, 2]]
        human = np.mean([said[i, 0] == o for o in others])
        model = np.mean([truth[i] == o for o in others])
        gap.append((human >= model) * 1.0 - (model >= human))
    from scipy import stats

    expected = stats.ttest_1samp(gap, 0.15, alternative="less").pvalue
    assert good.table["p-value"][0] == pytest.approx(expected)
    assert "passes" in str(good)


def test_alternative_annotator_needs_enough():
    rows = {"task": [1, 1, 1], "worker": list("abc"), "label": [0, 1, 1]}
    with pytest.raises(DataError, match="needs 3 humans with 30 items"):
        L.alternative_annotator(rows, {1: 1})
    with pytest.raises(ArgumentError, match="epsilon"):
        L.alternative_annotator(rows, {1: 1}, epsilon=1.5)
    with pytest.raises(ArgumentError, match="must map"):
        L.alternative_annotator(rows, [1])


def test_numeric_labels():
    data = kt.datasets.load("editorials")
    sample = kt.SimpleRandom(n=500).draw(data, seed=3)
    masked = kt.datasets.mask_gold(data, sample, "tone")
    found = L.audit(masked, "tone", "tone_vader", sample.design, covariates=["words", "war"], cluster="editorial")
    error = data["tone_vader"] - data["tone"]
    assert found.numeric["bias"] == pytest.approx(error.mean(), abs=0.1)
    assert found.numeric["bias_interval"][0] < error.mean() < found.numeric["bias_interval"][1]
    assert "root mean squared error" in str(found)
    assert "Errors" in found.to_html()
    with pytest.raises(ArgumentError, match="these are numbers"):
        L.audit(masked, "tone", "tone_vader", sample.design, models=["tone_vader", "tone_afinn"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariates": "length"}, "give a list"),
        ({"models": ["hostile_llm"]}, "two columns"),
        ({"models": ["hostile_llm", "length"]}, "not among"),
        ({"humans": {"task": [1], "worker": ["a"], "label": [1]}}, "needs id="),
        ({"probabilities": {0: "p0", 2: "p1"}}, "does not name"),
        ({"covariates": ["length", "length2"]}, "Did you mean|not in the data"),
    ],
)
def test_audit_is_checked(corpus, options, message):
    masked, sample = drawn(corpus)
    with pytest.raises(kt.KaratError, match=message):
        L.audit(masked, "hostile", "hostile_llm", sample.design, **options)


def test_audit_notes(corpus):
    masked, _ = drawn(corpus)
    humans = {"task": [1], "worker": ["a"], "label": [1]}
    found = L.audit(masked, "hostile", "hostile_llm", humans={**humans, "label": [1]}, id="document")
    assert any("no design was given" in n for n in found.notes)
    assert any("no alternative annotator test" in n for n in found.notes)
    with pytest.raises(DataError, match="is empty"):
        L.audit(masked.assign(hostile=np.nan), "hostile", "hostile_llm")
    with pytest.raises(DataError, match="missing value"):
        L.audit(masked.assign(hostile_llm=np.nan), "hostile", "hostile_llm")
