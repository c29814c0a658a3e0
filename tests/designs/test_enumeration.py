"""Every sample a design can draw from a tiny population, one by one.

The estimator of a mean with a fixed surrogate is exactly unbiased, and so is its estimated design
variance (Saerndal, Swensson, Wretman 1992, results 2.8.1, 3.3.1, 3.7.1, 4.2.1). No simulation error.
"""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest

import karat as kt

Y = np.array([1.1, -0.5, 3.0, 2.2, 0.1, 4.0])
SURROGATE = np.array([0.7, 0.0, 2.0, 3.0, 0.5, 2.5])
PARTY = np.array(["a", "a", "b", "b", "b", "a"])
AUTHOR = np.array([0, 0, 1, 2, 3, 2])
PI = np.array([0.3, 0.8, 0.5, 0.2, 0.6, 0.4])


def estimate(chosen, design, **options):
    frame = pd.DataFrame({"y": Y, "llm": SURROGATE, "party": PARTY, "author": AUTHOR, "pi": PI})
    frame.loc[~np.isin(np.arange(6), chosen), "y"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        fit = kt.mean(
            "y", frame, surrogates={"y": "llm"}, design=design, learner=None, tuning=None, vcov="HC0",
            target="finite", compare=False, **options,
        )  # fmt: skip
    return fit.theta[0], fit.covariance[0, 0]


def samples_of(name):
    """All samples with their probabilities, and the design that draws them."""
    rows = range(6)
    if name == "simple":
        return [(s, 1 / 20) for s in itertools.combinations(rows, 3)], kt.SimpleRandom(3)
    if name == "stratified":
        parts = [np.flatnonzero(party == PARTY) for party in "ab"]
        pairs = itertools.product(*[itertools.combinations(part, 2) for part in parts])
        return [((*one, *two), 1 / 9) for one, two in pairs], kt.Stratified("party", {"a": 2, "b": 2})
    if name == "clusters":
        pairs = itertools.combinations(range(4), 2)
        return [(tuple(np.flatnonzero(np.isin(AUTHOR, pair))), 1 / 6) for pair in pairs], kt.Clustered("author", 2)
    subsets = itertools.chain.from_iterable(itertools.combinations(rows, n) for n in range(1, 7))
    return [(s, np.prod(np.where(np.isin(rows, s), PI, 1 - PI))) for s in subsets], kt.Bernoulli("pi")


@pytest.mark.parametrize("name", ["simple", "stratified", "clusters", "bernoulli"])
def test_mean_and_variance_are_unbiased(name):
    samples, design = samples_of(name)
    found = np.array([estimate(chosen, design) for chosen, _ in samples])
    probability = np.array([p for _, p in samples])
    if name == "bernoulli":  # nothing drawn: the mean of the surrogate, and no variance to estimate
        found = np.vstack([found, [SURROGATE.mean(), 0.0]])
        probability = np.append(probability, np.prod(1 - PI))
    assert probability.sum() == pytest.approx(1.0, abs=1e-12)
    estimates, variances = found.T
    assert probability @ estimates == pytest.approx(Y.mean(), abs=1e-12)
    true_variance = probability @ (estimates - Y.mean()) ** 2
    assert probability @ variances == pytest.approx(true_variance, abs=1e-12)


def test_gold_only_mean_of_a_simple_random_sample():
    samples, design = samples_of("simple")
    found = np.array([estimate(chosen, design, estimator="gold") for chosen, _ in samples])
    assert found[:, 0].mean() == pytest.approx(Y.mean(), abs=1e-12)
    assert found[:, 1].mean() == pytest.approx(found[:, 0].var(), abs=1e-12)
    assert found[0, 0] == pytest.approx(Y[list(samples[0][0])].mean(), abs=1e-12)


def test_the_surrogate_earns_its_keep():
    """The same samples without the surrogate scatter more: the check above is not about a trivial estimator."""
    samples, design = samples_of("simple")
    with_it = np.array([estimate(chosen, design)[0] for chosen, _ in samples]).var()
    without = np.array([estimate(chosen, design, estimator="gold")[0] for chosen, _ in samples]).var()
    assert with_it < 0.5 * without
