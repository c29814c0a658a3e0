"""Pictures of shares say what they show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 1500
    frame = pd.DataFrame({"party": rng.choice(["left", "right"], n), "topic": rng.choice(["law", "tax", "war"], n)})
    frame["model"], frame["flag"] = frame["topic"], (rng.random(n) < 0.3) * 1.0
    days = rng.integers(0, 360, n)
    frame["day"] = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.where(days // 90 == 1, 10, days), unit="D")
    gold = np.arange(n) < 400
    return frame.assign(topic=frame["topic"].where(gold), gold_flag=frame["flag"].where(gold))


@pytest.fixture(autouse=True)
def closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def over_time(data):
    given = {"surrogates": {"topic": "model"}, "learner": None, "seed": 1}
    return kt.shares("topic", data, by="party", over="day", period="quarter", **given)


def test_lines_are_named_at_their_ends(over_time):
    ax = over_time.plot(group="left")
    assert {text.get_text() for text in ax.texts} == {"law", "tax", "war"}
    assert ax.get_ylabel() == "share of documents"
    assert ax.get_title(loc="left") == "left"
    assert len(ax.collections) == 6
    assert {t.get_text() for t in over_time.plot("lines", classes=["war"], band=False).texts} == {"left", "right"}


def test_stacked_shares_fill_the_axes(over_time):
    ax = over_time.plot("stacked", group="right")
    assert ax.get_ylim() == (0.0, 1.0)
    assert len(ax.texts) == 3


def test_each_group_has_a_panel(over_time):
    panels = over_time.plot("multiples", title="Topics")
    assert [ax.get_title(loc="left") for ax in panels] == ["left", "right"]
    assert len({ax.get_ylim() for ax in panels}) == 1


def test_groups_without_time_are_bars(data):
    fit = kt.shares("topic", data, by="party", surrogates={"topic": "model"}, learner=None, seed=1)
    ax = fit.plot()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["left", "right"]
    assert fit.differences().plot().get_xlabel().startswith("difference")


def test_pictures_that_cannot_be_are_refused(data, over_time):
    with pytest.raises(ArgumentError, match="name one with group="):
        over_time.plot()
    with pytest.raises(ArgumentError, match="none of"):
        over_time.plot(group="green")
    with pytest.raises(ArgumentError, match="none of"):
        over_time.plot(group="left", classes=["peace"])
    with pytest.raises(ArgumentError, match="figure of its own"):
        over_time.plot("multiples", ax=object())
    codes = kt.shares("gold_flag", data, surrogates={"gold_flag": "flag"}, learner=None, seed=1)
    with pytest.raises(ArgumentError, match="do not stack"):
        codes.plot("stacked")
