"""What is said where surrogates cost precision."""

from types import SimpleNamespace

import numpy as np
import pytest

from karat.errors import SmallSampleWarning
from karat.regression.comparison_fits import wider_than_gold


@pytest.mark.parametrize(("tuning", "advice"), [(None, "tuning='auto'"), ("auto", "estimator='gold'")])
def test_advice_does_not_name_what_was_asked_for(tuning, advice):
    fit = SimpleNamespace(names=("a", "b"), covariance=np.diag([1.0, 4.0]), estimator="dsl")
    with pytest.warns(SmallSampleWarning, match=r"brackets: b \(2\.00\)"):
        (note,) = wider_than_gold(fit, SimpleNamespace(se=np.ones(2)), SimpleNamespace(tuning=tuning))
    assert note.split("; ")[1].startswith(advice)
