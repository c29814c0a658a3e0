"""The study on the critics' ground at its smallest: one corpus, and figures of made-up runs."""

from __future__ import annotations

import numpy as np
import pytest

from .critics import MACHINES, WAYS, corpus, drawn, figures, tables


def test_the_coefficient_is_the_difference_between_groups():
    frame = corpus(0.1, np.random.default_rng(1))
    gap = frame.groupby("group")["y"].mean().diff()[1]
    assert abs(gap - 0.1) < 4 * np.sqrt(4 * 0.25 / len(frame))


@pytest.mark.parametrize(("machine", "bias"), [(MACHINES[0], -0.01), (MACHINES[2], 0.1), (MACHINES[3], 0.2)])
def test_machines_are_off_by_what_they_are_meant_to_be(machine, bias):
    rng = np.random.default_rng(2)
    found = []
    for _ in range(40):
        frame = corpus(0.1, rng)
        label = machine.label(frame["y"].to_numpy(), frame["group"].to_numpy(), rng)
        found.append(label[frame["group"] == 1].mean() - label[frame["group"] == 0].mean() - 0.1)
    assert abs(np.mean(found) - bias) < 4 * np.std(found) / np.sqrt(40)


def test_one_corpus_each_way():
    found = drawn(MACHINES[2], 200, 0.1, np.random.default_rng(3))
    assert set(found) == set(WAYS)
    widths = {way: high - low for way, (_, low, high) in found.items()}
    assert widths["machine alone"] < widths["karat"] < widths["gold alone"]
    assert not found["machine alone"][1] <= 0.1 <= found["machine alone"][2]


def test_figures_count_what_they_say():
    runs = [dict.fromkeys(WAYS, run) for run in [(0.2, 0.1, 0.3), (0.0, -0.1, 0.1), (-0.3, -0.4, -0.2)]]
    found = figures(runs, 0.1)["karat"]
    assert found["covered"] == pytest.approx(2 / 3)
    assert found["found"] == pytest.approx(1 / 3)
    assert found["wrong_sign"] == pytest.approx(1 / 3)
    assert found["rmse"] == pytest.approx(np.sqrt((0.01 + 0.01 + 0.16) / 3))
    assert found["width"] == pytest.approx(0.2)
    rows = [{"machine": "m", "n": 50, "effect": e, "repetitions": 3, "ways": figures(runs, e)} for e in (0.1, 0.0)]
    text = tables(rows, {}, 1)
    assert "| m | 50 | 0.245" in text
    assert "| all | 0.5" in text
