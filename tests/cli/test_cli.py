"""The command line from a CSV to a fit."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat import cli

from .. import corpora


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = corpora.corpus(150, seed=3)
    frame = frame.assign(doc=range(1000, 1150), body=[f"text {i}" for i in range(150)]).drop(columns="vote")
    frame.to_csv("corpus.csv", index=False)
    return tmp_path


def karat(text):
    return cli.main(text.split())


def fill(path, frame):
    rows = pd.read_csv(path, dtype=str)
    place = rows["text"].str.removeprefix("text ").astype(int)
    rows.assign(vote=(frame["z"].to_numpy()[place] > 0).astype(int)).to_csv(path, index=False)


def test_draw_label_fit_and_draw_again(folder, capsys):
    frame = pd.read_csv("corpus.csv")
    files = "--text body --label vote=0,1"
    assert karat(f"draw corpus.csv --design stratified --by region --n 45 --seed 7 --id doc {files} "
                 "--annotators ann,ben --out gold") == 0  # fmt: skip
    said = capsys.readouterr().out
    sample = kt.read_sample("gold/sample.json")
    assert "45 to label now; seed 7" in said
    assert sample.frame_hash in said
    same = kt.Stratified("region", 45).draw(frame, seed=7, id="doc")
    assert sample.labelling.same(same.labelling)
    drawn = pd.read_csv("gold/drawn.csv")
    np.testing.assert_allclose(drawn["probability"], sample.probability[sample.positions])
    for name in ("ann", "ben"):
        fill(folder / f"gold/annotators/{name}.csv", frame)
    assert karat("labels gold/annotators --sample gold/sample.json --corpus corpus.csv --out out/labelled.csv") == 0
    assert "vote: 45 of 45 drawn documents have gold" in capsys.readouterr().out
    table = pd.read_csv("out/labelled.csv")
    fit = kt.ols("vote ~ z", table, surrogates={"vote": "vote_llm"}, design=sample, learner=None, compare=False)
    assert fit.n_gold == 45
    assert karat("draw out/labelled.csv --design unequal --size size --n 20 --after gold/sample.json --seed 2 "
                 f"--share 0.5 {files} --format csv --out main") == 0  # fmt: skip
    main = kt.read_sample("main/sample.json")
    assert [w.share for w in main.labelling.waves] == [0.5, 0.5]
    fill(folder / "main/annotators/annotator.csv", frame)
    (folder / "main/annotators/annotator.csv").rename(folder / "returned.csv")
    assert karat("labels returned.csv --sample main/sample.json --corpus out/labelled.csv --out all.parquet") == 0
    assert pd.read_parquet("all.parquet")["vote"].notna().sum() == 65


@pytest.mark.parametrize(
    "options",
    [
        "--design simple --n 30",
        "--design stratified --by region --by vote_llm --n 60 --allocation equal",
        "--design stratified --by region --n east=9,north=8,west=7",
        "--design clustered --cluster author --n 5",
        "--design clustered --cluster author --n 6 --size many --method systematic --floor 0.1",
        "--design unequal --size size --n 30 --by region",
        "--design bernoulli --probability pi",
        "--design bernoulli --probability 0.2",
    ],
)
def test_designs(options, folder):
    frame = pd.read_csv("corpus.csv")
    frame.assign(many=1.0 + frame["author"] % 3).to_json("corpus.json", orient="records")
    assert karat(f"draw corpus.json {options} --seed 4 --out gold") == 0
    sample = kt.read_sample("gold/sample.json")
    assert sample.seed == 4
    assert len(pd.read_csv("gold/drawn.csv")) == len(sample.positions)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("draw corpus.csv --n 5 --by region --out g", "--by has no effect"),
        ("draw corpus.csv --design stratified --n 5 --out g", "needs --by"),
        ("draw corpus.csv --design stratified --by regoin --n 9 --out g", "'region'"),
        ("draw corpus.csv --n x --out g", "whole number"),
        ("draw none.csv --n 5 --out g", "no file"),
        ("draw corpus.doc --n 5 --out g", "ending"),
        ("draw corpus.csv --n 5 --text body --out g", "needs --label"),
        ("draw corpus.csv --n 5 --label a=0,1 --out g", "need --text"),
        ("draw corpus.csv --n 5 --text body --label a --out g", "NAME=SPEC"),
        ("draw corpus.csv --n 5 --share 0.5 --out g", "--after"),
        ("draw corpus.csv --n 5 --out .", "holds files"),
        ("labels x.csv --sample none.json --corpus corpus.csv --out l.csv", "cannot be read"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(command, message, folder, capsys):
    assert karat(command) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (folder / "g").exists()


def test_seed_is_reported_when_none_is_given(folder, capsys):
    assert karat("draw corpus.csv --n 30 --out a") == 0
    seed = capsys.readouterr().out.split("seed ")[1].split()[0]
    assert karat(f"draw corpus.csv --n 30 --seed {seed} --out b") == 0
    assert (folder / "a/sample.json").read_text() == (folder / "b/sample.json").read_text()


def test_as_a_module():
    out = subprocess.run([sys.executable, "-m", "karat.cli", "--version"], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == f"karat {kt.__version__}"
    with pytest.raises(SystemExit):
        cli.main(["draw", "--help"])
