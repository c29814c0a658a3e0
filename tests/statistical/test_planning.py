"""Small version of the planning study: planned standard errors come true, and their intervals hold them."""

import numpy as np
import pytest

import karat as kt

from . import planning


@pytest.mark.statistical
def test_planned_and_realised_standard_errors():
    case = planning.Case(
        "small", "ols", "outcome ~ hostile + length", lambda: kt.datasets.simulate(1200, "ols", seed=5)[0],
        {"hostile": ["hostile_llm", "hostile_score"]}, kt.SimpleRandom, 150,
        lambda n: kt.Stratified("hostile_llm", n=n, allocation="equal"), 290, {"learner": "linear"},
    )  # fmt: skip
    lines = planning.run(case, pilots=5, draws=12, seed=1)
    assert max(abs(line.bias) for line in lines) < 0.15
    assert np.mean([line.covers_expected for line in lines]) > 0.6
    assert "| small | hostile |" in planning.table(lines)
