"""Truths of the rows that are more than a regression of independent rows, against large corpora with all labels."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate
from scipy.stats import norm

from . import more_rows


def test_horizons_are_means_over_the_cohorts_that_reach_them():
    found = more_rows.horizons({4: 0.3, 6: 0.0}, range(-3, -1))
    assert (found["-3"], found["-2"], found["0"], found["1"], found["2"]) == pytest.approx((0, 0, 0.5, 0.65, 1.1))
    assert found["ATT"] == pytest.approx((0.5 + 0.8 + 1.1 + 1.4 + 0.5 + 0.5) / 6)


def test_share_of_the_treated_with_the_confounder():
    def treated(c):
        return integrate.quad(lambda x: norm.pdf(x) / (1 + np.exp(0.4 - 0.5 * x - 0.9 * c)), -9, 9)[0]

    share = 0.4 * treated(1) / (0.4 * treated(1) + 0.6 * treated(0))
    assert pytest.approx(share, abs=5e-5) == more_rows.TREATED


def test_intervals_are_held_against_others_by_name():
    class Fit:
        names = ("a", "b")

        def coef(self):
            return pd.Series({"a": 1.0, "b": 2.0})

        def se(self):
            return pd.Series({"a": 0.1, "b": 0.2})

        def confint(self):
            return pd.DataFrame([[0.8, 1.2], [1.6, 2.4]], index=["a", "b"])

    other = pd.DataFrame([[1.0, 3.0], [1.1, 1.4]], index=["b", "a"])
    found = more_rows.held(Fit(), {"b": 2.5, "a": 1.1}, other)
    assert found == pytest.approx(np.array([[-0.5, 0.2, 0, 0.8, 1, 2.0], [-0.1, 0.1, 1, 0.4, 1, 0.3]]))
