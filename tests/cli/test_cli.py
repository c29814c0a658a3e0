"""The command line from a CSV to a fit."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat import cli
from karat.errors import ArgumentError
from karat.frames.files import read_file, write_file

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
        ("draw corpus.csv --n 5 --out corpus.csv", "is a file"),
        ("draw corpus.csv --n 0 --out g", "n=0"),
        ("draw corpus.csv --n \u00b2 --out g", "whole number"),
        ("draw corpus.csv --n 5 --seed -1 --out g", "seed=-1"),
        ("draw corpus.csv --n 5 --sep ab --out g", "--sep 'ab'"),
        ("draw corpus.csv --n 5 --sep a --out g", "sep='a'"),
        ("draw corpus.csv --n 5 --encoding nonsense --out g", "encoding='nonsense' is not known"),
        ("draw corpus.csv --n 5 --decimal . --sep tab --id doc --out g", "'doc'"),
        ("draw corpus.csv --n 5 --text body --label a=0,1 --annotators ann,ben, --out g", "'' is empty"),
        ("draw corpus.csv --n 5 --text body --label a=0,1 --annotators . --out g", "dot"),
        ("draw corpus.csv --n 5 --text body --label a=0,1 --annotators ../ann --out g", "dot"),
        ("draw corpus.csv --n 5 --text body --label a=0,1 --annotators a/b,c --out g", "contains '/'"),
        ("draw corpus.csv --n 5 --text body --label a=0,1 --annotators ann,ANN --out g", "same file name"),
        ("draw corpus.csv --n 5 --text body --label a=0,1 --annotators 0 --out g", "annotators=0"),
        ("draw corpus.csv --n 5 --text body --label a=0,1 --annotators -2 --out g", "annotators=-2"),
        ("draw corpus.csv --n 5 --text body --label a=yes, --out g", "blank class"),
        ("draw corpus.csv --n 5 --text body --label a=0,1 --overlap nan --out g", "overlap=nan"),
        ("labels x.csv --sample s.json --corpus corpus.csv --out x.csv", "one of the files"),
        ("plan corpus.csv y~z --surrogate y=y_llm --n \u00b2", "whole number"),
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


def test_drawing_over_a_folder_needs_insistence(folder, capsys):
    command = "draw corpus.csv --n 9 --seed 1 --id doc --text body --label vote=0,1 --out gold"
    assert karat(command) == 0
    file = folder / "gold/annotators/annotator.csv"
    blank = file.read_bytes()
    fill(file, pd.read_csv("corpus.csv"))
    filled = file.read_bytes()
    assert karat(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert file.read_bytes() == filled
    assert karat(f"{command} --overwrite") == 0
    assert file.read_bytes() == blank


def test_a_second_copy_is_not_a_second_expert(folder, capsys):
    assert karat("draw corpus.csv --n 9 --seed 1 --id doc --text body --label h=no,yes --format csv --out gold") == 0
    file = folder / "gold/annotators/annotator.csv"
    for path, answer in ((file, "yes"), (file.with_name("annotator (1).csv"), "no")):
        pd.read_csv(file, dtype=str).assign(h=answer).to_csv(path, index=False)
    read = "labels gold/annotators --sample gold/sample.json --corpus corpus.csv --out l.csv"
    assert karat(read) == 2
    said = capsys.readouterr().err
    assert "annotator.csv" in said
    assert "annotator (1).csv" in said
    assert "--annotator FILE=NAME" in said
    assert not (folder / "l.csv").exists()
    named = [*read.split(), "--annotator", "annotator.csv=ann", "--annotator", "annotator (1).csv=ben"]
    assert cli.main(named) == 0
    assert pd.read_csv("l.csv")["h_yes"].dropna().tolist() == [0.5] * 9


TABLES = {
    "semicolons and decimal commas": (";", ",", "utf-8-sig", ""),
    "tabs and decimal commas": ("\t", ",", "utf-16", ""),
    "commas and points": (",", ".", "utf-8", ""),
    "semicolons and points": (";", ".", "utf-8", ""),
    "western": (";", ",", "cp1252", ""),
    "named": (";", ".", "latin-1", "--sep semicolon --decimal point"),
}


@pytest.mark.parametrize(("sep", "decimal", "encoding", "options"), TABLES.values(), ids=TABLES)
def test_tables_as_spreadsheets_export_them(sep, decimal, encoding, options, folder, capsys):
    frame = pd.DataFrame({
        "doc": [f"d{k}" for k in range(20)],
        "body": [f"f\u00fcr; a, b\tc\r\nline {k}" for k in range(20)],
        "score": np.arange(20) / 4,
        "year": range(2000, 2020),
    })  # fmt: skip
    frame.to_csv("a.csv", sep=sep, decimal=decimal, encoding=encoding, index=False)
    files = f"{options} --text body --label h=no,yes"
    assert karat(f"draw a.csv --design unequal --size year --n 6 --seed 1 --id doc {files} --out g") == 0
    drawn = pd.read_csv("g/drawn.csv").set_index("doc")
    assert drawn["score"].tolist() == frame.set_index("doc").loc[drawn.index, "score"].tolist()
    fill_all = pd.read_csv("g/annotators/annotator.csv", dtype=str).assign(h="yes")
    assert set(fill_all["text"]) <= set(frame["body"])
    fill_all.to_csv("g/annotators/annotator.csv", index=False)
    assert karat(f"labels g/annotators --sample g/sample.json --corpus a.csv {options} --out l.csv") == 0
    assert pd.read_csv("l.csv")["h"].notna().sum() == 6
    assert ("decimal commas" in capsys.readouterr().err) == (decimal == ",")


def test_tables_that_are_not_clear(folder, capsys):
    (folder / "a.csv").write_text("doc;x;y\na;1,5;1.5\nb;2,5;2.5\n")
    assert karat("draw a.csv --n 1 --out g") == 2
    assert "decimal comma (column 'x') and with a decimal point (column 'y')" in capsys.readouterr().err
    assert read_file("a.csv", decimal=".")["x"].tolist() == ["1,5", "2,5"]
    (folder / "b.csv").write_text("doc;x\na;1,234\nb;2,345\n")
    assert read_file("b.csv")["x"].tolist() == ["1,234", "2,345"]
    assert read_file("b.csv", decimal=",")["x"].tolist() == [1.234, 2.345]
    (folder / "c.csv").write_text('doc,x\na,"1,5"\nb,"2,25"\n')
    assert read_file("c.csv")["x"].tolist() == ["1,5", "2,25"]
    for sep, decimal in (("ab", None), (None, "x")):
        with pytest.raises(ArgumentError, match="is not allowed"):
            read_file("b.csv", sep=sep, decimal=decimal)
    pd.DataFrame({"a": [1]}).to_parquet("a.parquet")
    with pytest.raises(ArgumentError, match="have no effect"):
        read_file("a.parquet", sep=";")


def test_files_that_are_damaged(folder):
    (folder / "a.csv.gz").write_bytes(b"not gzip")
    (folder / "b.csv").write_bytes(b"")
    (folder / "c.csv").write_text("a,b\n1,2,3\n4,5,6,7\n")
    (folder / "d.json").write_text("{")
    (folder / "e.csv").mkdir()
    for name in ("a.csv.gz", "b.csv", "c.csv", "d.json", "e.csv"):
        with pytest.raises(ArgumentError, match="cannot be read"):
            read_file(name)
    with pytest.raises(ArgumentError, match="cannot be written"):
        write_file(pd.DataFrame({"a": [1]}), "b.csv/x.csv")


def test_as_a_module():
    out = subprocess.run([sys.executable, "-m", "karat.cli", "--version"], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == f"karat {kt.__version__}"
    with pytest.raises(SystemExit):
        cli.main(["draw", "--help"])
