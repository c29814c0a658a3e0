"""The study of learning for the coefficient: what it weighs by, and that its learners learn."""

import numpy as np

from . import estimand
from .guess import joined


def test_leverage_of_an_outcome_is_that_of_its_row():
    """Slopes of least squares move by ``(X'X / N)^-1 x`` for an error of one."""
    frame, formula, surrogates, model = estimand.corpus("outcome number skewed")
    gold = np.arange(len(frame)) < 200
    found = estimand.leverage(frame, formula, surrogates, model, gold)
    moved = (frame["x"] - frame["x"].mean()) ** 2
    np.testing.assert_allclose(found, moved / moved.mean(), rtol=1e-10)


def test_ways_of_learning_differ_and_stay_near_each_other():
    runs = [estimand.one("both skewed", 80, r) for r in range(2)]
    width = {way: np.mean([run[way][0] for run in runs]) for way in runs[0]}
    assert set(width) == {"gold", *estimand.WAYS}
    assert len({round(w, 8) for w in width.values()}) > 4
    assert all(0.5 < width[way] / width["gold"] < 1.3 for way in estimand.WAYS)
    assert estimand.steps.crossfit is estimand.PLAIN
    assert estimand.line("both skewed", 80, runs).count("|") == 4 + len(estimand.WAYS)


def test_lines_of_cells_that_were_not_run_stay(tmp_path):
    before = tmp_path / "guess.json"
    before.write_text('[{"setting": "letters", "gold": 60, "fit": "with", "width": 1}, '
                      '{"setting": "reviews", "gold": 60, "fit": "with", "width": 2}]')  # fmt: skip
    new = [{"setting": "letters", "gold": 60, "fit": "with", "width": 3},
           {"setting": "letters", "gold": 150, "fit": "with", "width": 4}]  # fmt: skip
    assert [line["width"] for line in joined(new, before)] == [2, 3, 4]
    assert joined(new, tmp_path / "none.json") == new
