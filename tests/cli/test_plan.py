"""``karat plan`` from a CSV."""

import argparse

import pandas as pd
import pytest

import karat as kt
from karat.cli import plan as command
from karat.errors import ArgumentError


def run(text):
    parser = argparse.ArgumentParser()
    command.register(parser.add_subparsers())
    options = parser.parse_args(text)
    return options.run(options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("plan")
    corpus, _ = kt.datasets.simulate(900, seed=3)
    corpus.to_csv(out / "corpus.csv", index=False)
    corpus["half"] = (corpus["length"] > 0).astype(int)
    sample = kt.Stratified("half", n=150, allocation="equal").draw(corpus, seed=1)
    kt.datasets.mask_gold(corpus, sample, "hostile").to_csv(out / "pilot.csv", index=False)
    return out


FORMULA = "outcome ~ hostile + length"


def test_from_gold_so_far(folder, capsys):
    table, plot = folder / "figures.csv", folder / "plot.png"
    text = ["plan", str(folder / "pilot.csv"), FORMULA, "--surrogate", "hostile=hostile_llm,hostile_score"]
    text += [
        "--strata",
        "half",
        "--goal",
        "hostile:half_width=0.17",
        "--goal",
        "length:se=0.0001",
        "--n",
        "200,400",
    ]
    text += ["--contrast", "hostile - length", "--table", str(table), "--plot", str(plot)]
    assert run(text) == 0
    said = capsys.readouterr().out
    assert "pilot of 150 gold labels" in said
    assert "hostile: half-width 0.17 takes" in said
    assert "length: standard error 0.0001 is not reachable even with all 900 rows labelled" in said
    figures = pd.read_csv(table)
    assert set(figures["n"]) == {200, 400}
    assert "hostile - length" in set(figures["term"])
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_without_gold(folder, capsys):
    corpus = pd.read_csv(folder / "corpus.csv").drop(columns="hostile")
    corpus.to_csv(folder / "bare.csv", index=False)
    text = ["plan", str(folder / "bare.csv"), FORMULA, "--surrogate", "hostile=hostile_llm", "--accuracy", "0.7,0.9"]
    text += ["--design", "stratified", "--by", "hostile_llm", "--allocation", "neyman", "--n", "100,300"]
    assert run(text) == 0
    said = capsys.readouterr().out
    assert "agrees with gold in 80 % of the rows (from 0.7 to 0.9)" in said
    assert "Neyman" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--goal", "hostile=3"], "--goal"),
        (["--surrogate", "hostile"], "--surrogate"),
        (["--design", "stratified"], "needs --by"),
        (["--by", "half"], "say which with --design"),
        (["--accuracy", "high"], "between 0 and 1"),
        (["--n", "some"], "whole number"),
        (["--strata", "half", "--probability", "length"], "not both"),
        (["--accuracy", "0.8", "--strata", "half"], "take --accuracy out"),
    ],
)
def test_what_does_not_fit(folder, more, message):
    text = ["plan", str(folder / "pilot.csv"), FORMULA, "--surrogate", "hostile=hostile_llm", *more]
    with pytest.raises(ArgumentError, match=message):
        run(text)


def test_no_such_file(folder):
    for name, message in [("none.csv", "no file"), ("plot.png", "ending")]:
        (folder / "plot.png").touch()
        with pytest.raises(ArgumentError, match=message):
            run(["plan", str(folder / name), FORMULA, "--surrogate", "hostile=hostile_llm"])
