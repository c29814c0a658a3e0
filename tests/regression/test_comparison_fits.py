"""What is said where surrogates cost precision."""

from types import SimpleNamespace

import numpy as np
import pytest

import karat as kt
from karat.errors import SmallSampleWarning
from karat.regression.comparison_fits import wider_than_gold


@pytest.mark.parametrize(("tuning", "advice"), [(None, "tuning='auto'"), ("auto", "estimator='gold'")])
def test_advice_does_not_name_what_was_asked_for(tuning, advice):
    fit = SimpleNamespace(names=("a", "b"), covariance=np.diag([1.0, 4.0]), estimator="dsl")
    with pytest.warns(SmallSampleWarning, match=r"brackets: b \(2\.00\)"):
        (note,) = wider_than_gold(fit, SimpleNamespace(se=np.ones(2)), SimpleNamespace(tuning=tuning))
    assert note.split("; ")[1].startswith(advice)


@pytest.mark.filterwarnings("ignore:only 7 clusters hold gold")
def test_estimates_that_are_the_same_but_for_rounding_do_not_differ():
    """No gold label is wrong: the fit is that of surrogates alone, and rounding is no evidence against them."""
    rng = np.random.default_rng(1)
    corpus, _ = kt.datasets.simulate(800, seed=1)
    corpus["author"] = rng.permutation(800) % 40
    corpus["moved"] = 0.6 * corpus["hostile"] + rng.normal(size=800)
    corpus["model"] = corpus["hostile"]
    sample = kt.Clustered("author", 7).draw(corpus, seed=1)
    data = kt.datasets.mask_gold(corpus, sample, "hostile")
    fit = kt.iv(
        "outcome ~ length + [moved ~ hostile]", data, surrogates={"hostile": "model"}, design=sample.design,
        learner=None, cluster="author",
    )  # fmt: skip
    difference = fit.comparison.difference
    assert (difference.se == 0).all()
    np.testing.assert_array_equal(difference.p_values, 1.0)
    assert difference.p_value == 1.0
