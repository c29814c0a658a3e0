"""The benchmarks run, at sizes at which their figures say nothing; what the one command makes of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_large_corpora_stay_in_their_bounds(tmp_path):
    found = script("large").main(
        [
            "--rows",
            "400000",
            "--gold",
            "500",
            "--results",
            str(tmp_path),
            "--folder",
            str(tmp_path),
            "--most-learnt",
            "0",
        ]
    )
    passes = {one["fit"]: one["passes"] for one in found}
    assert passes["three discrete covariates"] == 1
    assert passes["a continuous covariate"] <= 14
    assert all(one["peak_mb"] - one["before_mb"] < 300 for one in found)
    assert len(json.loads((tmp_path / "large.json").read_text())) == 2
    assert "three discrete covariates | 400,000" in (tmp_path / "large.md").read_text()
    assert not list(tmp_path.glob("**/*.parquet"))


def test_shares_of_cells_stand_beside_their_peer(tmp_path):
    found = script("cells_speed").main(["--cells", "12", "25", "--runs", "1", "--results", str(tmp_path)])
    assert [one["cells"] for one in found["shares"]] == [one["cells"] for one in found["mean"]] == [12, 25]
    assert len(list(script("all").cells(json.loads((tmp_path / "cells_speed.json").read_text())))) == 2
    assert "| 25 |" in (tmp_path / "cells_speed.md").read_text()


def test_ratios_are_held_against_the_reference():
    every = script("all")
    before = {
        "rows": [
            every.row("slower", "peer", 1, 2),
            every.row("as it was", "peer", 1, 2),
            every.row("left", "peer", 1, 1),
        ]
    }
    now = {
        "rows": [
            every.row("slower", "peer", 1.4, 2),
            every.row("as it was", "peer", 3, 5),
            every.row("fresh", "peer", 1, 1),
        ]
    }
    marks = {one["name"]: one["mark"] for one in every.marked(now, before, 1.3)}
    assert marks == {"slower": "worse", "as it was": "", "fresh": "new", "left": "gone"}


def test_committed_results_come_in_one_form():
    every = script("all")
    for one in every.SCRIPTS:
        rows = list(one.read(json.loads((FOLDER / "results" / f"{one.results}.json").read_text())))
        assert rows
        assert all(row["ratio"] == pytest.approx(row["ours"] / row["peers"]) for row in rows)
        assert len({row["name"] for row in rows}) == len(rows)
    page = every.page({"full": {"machine": "m", "versions": {}, "missing": {"x": "not there"}, "rows": rows}})
    assert "- x: not there." in page


def test_what_is_not_installed_is_named(tmp_path, capsys, monkeypatch):
    every = script("all")
    monkeypatch.setattr(every, "version_of", lambda package, python="": None)
    assert every.main(["--quick", "--only", "durations_speed.py", "--out", str(tmp_path)]) == 0
    assert "MISSING scikit-survival: not installed, so durations_speed.py did not run" in capsys.readouterr().out
    assert json.loads((tmp_path / "all.json").read_text())["quick"]["rows"] == []
