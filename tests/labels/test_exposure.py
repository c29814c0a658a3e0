"""Errors of labels before and after a model's cut-off date."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import karat as kt
from karat.errors import ArgumentError, DataError


def frame(n=400, before=0.95, after=0.7, seed=1):
    rng = np.random.default_rng(seed)
    year = rng.integers(2018, 2026, n)
    y = rng.integers(0, 2, n)
    right = rng.random(n) < np.where(year < 2023, before, after)
    return pd.DataFrame({
        "id": np.arange(n), "y": np.where(y, "yes", "no"), "llm": np.where(right, y, 1 - y), "year": year,
        "day": [f"{k}-06-01" for k in year], "x": rng.normal(size=n),
    }).assign(llm=lambda t: np.where(t["llm"], "yes", "no"))  # fmt: skip


def test_shares_before_and_after_by_hand():
    data = frame()
    old = data["year"] < 2023
    right = data["y"] == data["llm"]
    found = kt.labels.exposure(data, "y", "llm", date="day", cutoff="2023-01-01")
    assert found.values == pytest.approx((right[old].mean(), right[~old].mean()))
    assert found.counts == (old.sum(), (~old).sum())
    assert found.difference == pytest.approx(right[old].mean() - right[~old].mean())
    assert found.pvalue < 1e-6
    assert found.table.loc["difference", "share right"] == found.difference
    same = kt.labels.exposure(data, "y", "llm", exposed=old)
    assert same.interval == found.interval
    # Newcombe (1998), method 10, from Wilson intervals of two independent samples
    ends = [kt.labels.exposure(data, "y", "llm", exposed=old).intervals[k] for k in (0, 1)]
    (l1, u1), (l2, u2) = ends
    p1, p2 = found.values
    low = p1 - p2 - np.hypot(p1 - l1, u2 - p2)
    high = p1 - p2 + np.hypot(u1 - p1, p2 - l2)
    assert found.interval == pytest.approx((low, high), abs=0.005), "all gold: next to no correlation"


def test_the_draw_counts():
    """Gold drawn more densely where labels are wrong: weighted by the design, and not by rows."""
    data = frame(2000, 0.8, 0.8).assign(wrong=lambda t: np.where(t["y"] == t["llm"], "no", "yes"))
    sample = kt.Stratified("wrong", n={"no": 150, "yes": 150}).draw(data, seed=1, id="id")
    labelled = kt.datasets.mask_gold(data, sample, "y")
    found = kt.labels.exposure(labelled, "y", "llm", sample, exposed=data["year"] < 2023)
    right, old = data["y"] == data["llm"], data["year"] < 2023
    truth = [right[old].mean(), right[~old].mean()]
    assert np.abs(np.array(found.values) - truth).max() < 0.05
    assert abs(found.difference) < 0.1


def test_numbers_and_controls():
    rng = np.random.default_rng(4)
    data = frame()
    data = data.assign(score=data["x"], guess=data["x"] + 0.3 * (data["year"] < 2023) + rng.normal(0, 0.5, len(data)))
    found = kt.labels.exposure(data, "score", "guess", exposed=data["year"] < 2023, controls=["x"])
    assert found.measure == "mean absolute error"
    error = (data["guess"] - data["score"]).abs()
    old = data["year"] < 2023
    assert found.difference == pytest.approx(error[old].mean() - error[~old].mean())
    welch = stats.ttest_ind(error[old], error[~old], equal_var=False)
    assert found.pvalue == pytest.approx(welch.pvalue, rel=0.1)
    assert found.test.names == ("Intercept", "exposed", "x")
    assert found.test.estimate[1] == pytest.approx(0.3, abs=0.15)
    assert found.test.pvalue[1] < 0.001


def test_level_and_coverage():
    """60 draws: intervals of a difference of .1 hold it, at 80 % less often than at 95 %."""
    hits = {0.95: 0, 0.8: 0}
    for seed in range(60):
        data = frame(300, 0.9, 0.8, seed=seed)
        for level in hits:
            low, high = kt.labels.exposure(data, "y", "llm", exposed=data["year"] < 2023, level=level).interval
            hits[level] += low <= 0.1 <= high
    assert hits[0.95] >= 51
    assert 38 <= hits[0.8] <= 57


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give exposed=, or date="),
        ({"exposed": "year", "date": "day"}, "give exposed=, or date="),
        ({"date": "day"}, "needs cutoff="),
        ({"date": "day", "cutoff": "soon"}, "cutoff='soon' is not a date"),
        ({"date": "y", "cutoff": "2023-01-01"}, r"400 value\(s\) that are not dates"),
        ({"exposed": [True] * 400}, "400 gold rows are exposed and 0 are not"),
        ({"exposed": "year"}, "must be true or false"),
        ({"exposed": [True] * 200 + [False] * 200, "level": 2}, "level=2"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises((ArgumentError, DataError), match=message):
        kt.labels.exposure(frame(), "y", "llm", **options)


def test_errors_in_a_stratum_of_large_weights_widen_intervals():
    """40 texts of either side labelled 0 stand for 2,000: that none of them is wrong leaves room for some that are."""
    llm = np.repeat([1, 0], [200, 4000])
    drawn = np.r_[np.arange(80), 200 + np.arange(80)]
    gold = np.full(4200, np.nan)
    gold[drawn] = llm[drawn]
    gold[:20] = 0.0
    data = pd.DataFrame({"y": gold, "llm": llm, "old": np.arange(4200) % 2 == 0})
    found = kt.labels.exposure(data, "y", "llm", kt.Stratified("llm", n={1: 80, 0: 80}), exposed="old")
    rest = stats.binomtest(0, 40).proportion_ci(method="exact")[1]
    for low, high in found.intervals:
        assert low < 1 - 0.25 * 200 / 4200 - 0.5 * rest
        assert high > 0.98
