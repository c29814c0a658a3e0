"""Axes of plots say what they show: a share or a mean is not a coefficient."""

import matplotlib as mpl
import numpy as np
import pytest

import karat as kt

mpl.use("Agg")


@pytest.fixture(scope="module")
def told():
    corpus, _ = kt.datasets.simulate(600, seed=1)
    corpus = corpus.assign(party=np.where(np.arange(600) % 2, "left", "right"))
    sample = kt.SimpleRandom(n=200).draw(corpus, seed=1)
    data = kt.datasets.mask_gold(corpus, sample, "hostile")
    return {"data": data, "surrogates": {"hostile": "hostile_llm"}, "design": sample.design, "learner": None, "seed": 1}


def test_axes_name_the_quantity(told):
    share = kt.mean("hostile", by="party", **told)
    number = kt.mean("I(2 * hostile)", **told)
    slope = kt.ols("outcome ~ hostile", **told)
    shown = [fit.plot().get_xlabel() for fit in (share, number, slope)]
    assert shown == [f"{word}, 95% interval" for word in ("share", "mean", "coefficient")]


def test_sensitivity_of_a_share_shows_no_coefficient(told):
    data = told["data"].copy()
    data.loc[data.index[::7], "hostile"] = np.nan
    found = kt.sensitivity("hostile ~ 1", **(told | {"data": data}), model="mean")
    assert found.plot().get_ylabel() in ("mean", "share")


def test_fits_side_by_side_differ_in_more_than_colour(told):
    axes = kt.several("outcome ~ hostile + csw(length, party)", **told).plot()
    marks = {line.get_marker() for line in axes.get_lines() if line.get_marker() not in ("None", "|", 0, 1, 2, 3)}
    assert {"o", "s"} <= marks
