"""``karat fit`` and ``karat adjudicate``; tables of any make, whose columns stay as they are written."""

import io
import json

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat import cli
from karat.frames.files import read_file

from ..fieldwork.test_page import saved


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    corpus, _ = kt.datasets.simulate(400, seed=3)
    corpus = corpus.assign(doc=[f"d{k:04d}" for k in range(400)], body=[f"text {k}" for k in range(400)])
    sample = kt.SimpleRandom(n=120).draw(corpus, seed=1)
    labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    labelled.to_csv(folder / "labelled.csv", index=False)
    corpus.drop(columns="hostile").to_csv(folder / "corpus.csv", index=False)
    sample.save(folder / "sample.json")
    return folder, corpus, labelled, sample


@pytest.fixture
def folder(made, monkeypatch):
    monkeypatch.chdir(made[0])
    return made[0]


def karat(*text):
    return cli.main([*text])


FORMULA = "outcome ~ hostile + length"
PLAIN = ["--learner", "none", "--seed", "1"]


def test_a_fit_is_the_one_that_python_gives(made, folder, capsys, tmp_path):
    _, _, labelled, sample = made
    paths = [str(tmp_path / f"fit{ending}") for ending in (".txt", ".json", ".csv", ".md", ".tex", ".xlsx")]
    out = [part for path in paths for part in ("--out", path)]
    told = ["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm", "--sample", "sample.json", "--compare"]
    assert karat("fit", *told, *PLAIN, *out) == 0
    fit = kt.ols(FORMULA, labelled, surrogates={"hostile": ["hostile_llm"]}, design=sample, learner=None, seed=1)
    said = capsys.readouterr().out
    assert str(fit.summary()) in said
    assert str(fit.compare()) in said
    assert (tmp_path / "fit.txt").read_text() == f"{fit.summary()}\n"
    np.testing.assert_allclose(kt.Result.from_json((tmp_path / "fit.json").read_text()).theta, fit.theta, rtol=1e-14)
    for ending in (".csv", ".xlsx"):
        np.testing.assert_allclose(read_file(tmp_path / f"fit{ending}")["Estimate"], fit.theta, rtol=1e-14)
    named = ["--data", "labelled.csv", "--gold", "hostile", "--surrogate", "hostile_llm", "--simple"]
    assert karat("fit", FORMULA, *named, *PLAIN) == 0
    again = capsys.readouterr().out
    assert f"{fit.theta[1]:.4f}"[:5] in again


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["hostile", "--model", "mean", "--surrogate", "hostile=hostile_llm"],
         lambda d, s: kt.mean("hostile", d, surrogates={"hostile": "hostile_llm"}, design=s, learner=None, seed=1)),
        (["hostile ~ length", "--model", "logit", "--surrogate", "hostile=hostile_llm", "--finite", "--alpha", "0.1"],
         lambda d, s: kt.logit("hostile ~ length", d, surrogates={"hostile": "hostile_llm"}, design=s, learner=None,
                               seed=1, target="finite", alpha=0.1)),
        (["outcome ~ hostile", "--model", "quantile", "--quantile", "0.3", "--surrogate", "hostile=hostile_llm"],
         lambda d, s: kt.quantile("outcome ~ hostile", d, q=0.3, surrogates={"hostile": "hostile_llm"}, design=s,
                                  learner=None, seed=1)),
    ],
)  # fmt: skip
def test_models(words, call, made, folder, capsys, tmp_path):
    out = tmp_path / "fit.csv"
    assert karat("fit", "labelled.csv", *words, "--sample", "sample.json", *PLAIN, "--out", str(out)) == 0
    right = call(made[2], made[3])
    np.testing.assert_allclose(pd.read_csv(out)["Estimate"], right.theta, rtol=1e-9)
    np.testing.assert_allclose(pd.read_csv(out)["Std. Error"], right.se(), rtol=1e-9)


def test_from_answers_to_a_fit_in_one_step(made, folder, capsys, tmp_path):
    corpus = made[1]
    gold = tmp_path / "gold"
    pages = ["--text", "body", "--label", "hostile=0,1", "--format", "html", "--annotators", "ann,ben"]
    assert karat("draw", "corpus.csv", "--n", "60", "--seed", "2", *pages, "--overlap", "2", "--out", str(gold)) == 0
    answer = lambda each: {"hostile": str(int(corpus["hostile"][int(each["text"].split()[1])]))}  # noqa: E731
    first = saved(gold / "annotators" / "ann.html", answer)
    saved(gold / "annotators" / "ben.html", lambda each: {"hostile": "1"})
    told = ["--sample", str(gold / "sample.json")]
    assert karat("adjudicate", str(gold / "annotators"), *told, "--corpus", "corpus.csv", "--text", "body", "--by",
                 "chief", "--out", str(gold / "third")) == 0  # fmt: skip
    assert "chief.html" in capsys.readouterr().out
    saved(gold / "third" / "chief.html", answer)
    both = [str(gold / "annotators"), str(gold / "third")]
    fit = ["corpus.csv", FORMULA, "--surrogate", "hostile=hostile_llm", *told, *PLAIN]
    assert karat("fit", *fit, "--answers", *both, "--out", str(tmp_path / "fit.csv")) == 0
    settled = pd.read_csv(tmp_path / "fit.csv")["Estimate"]
    assert karat("fit", *fit, "--answers", str(first), "--out", str(tmp_path / "ann.csv")) == 0
    np.testing.assert_allclose(settled, pd.read_csv(tmp_path / "ann.csv")["Estimate"])
    assert not any(name.startswith("hostile_c") for name in pd.read_csv("corpus.csv"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm"], "say how gold was drawn"),
        (["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm", "--simple", "--strata", "a"], "simple"),
        (["labelled.csv", FORMULA, "--surrogate", "hostile_llm", "--simple"], "--gold"),
        (["labelled.csv", FORMULA, "--surrogate", "hostile=", "--simple"], "whose surrogate"),
        (["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm", "--gold", "x", "--simple"], "no surrogate"),
        ([FORMULA, "--surrogate", "hostile=hostile_llm", "--simple"], "table is not named"),
        (["labelled.csv", "y", "~", "x", "--surrogate", "hostile=hostile_llm", "--simple"], "table is not named"),
        (["y", "~ x", "--data", "labelled.csv", "--surrogate", "hostile=hostile_llm", "--simple"], "quotation marks"),
        (["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm", "--simple", "--by", "a"], "--by names groups"),
        (["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm", "--simple", "--quantile", "1"], "no effect"),
        (["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm", "--simple", "--out", "a.doc"], "ending"),
        (["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm", "--simple", "--answers", "x"], "--sample"),
        (["labelled.csv", "outcome ~ nothing", "--surrogate", "hostile=hostile_llm", "--simple"], "nothing"),
    ],
)
def test_what_does_not_fit_is_said(words, message, folder, capsys):
    assert karat("fit", *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1


ODD = 'zip;share;country;big;on;body;date\n007;"1,50";NA;12345678901234567890;TRUE;"a; ""b""";01.02.2020\n' + "".join(
    f"{k:03d};{k},25;DE;{10**19 + k};FALSE;text {k};02.02.2020\n" for k in range(8, 20)
)
WRITTEN = ODD.replace('"1,50"', "1.50").replace(",25", ".25")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "cp1252"])
def test_columns_stay_as_they_are_written(encoding, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = ODD.replace("text 9", "für")
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    draw = ["draw", "a.csv", "--n", "5", "--seed", "1", "--text", "body", "--label", "h=no,yes", "--out", "g"]
    assert karat(*draw) == 0
    said = capsys.readouterr().err
    assert "read a.csv: 13 rows, 7 columns; columns separated by semicolons, decimal commas" in said
    assert "column 'country' holds 'NA' in 1 row(s), which is read as missing" in said
    table = pd.read_csv("g/annotators/annotator.csv", dtype=str).assign(h="yes")
    table.to_csv("g/annotators/annotator.csv", index=False)
    assert karat("labels", "g/annotators", "--sample", "g/sample.json", "--corpus", "a.csv", "--out", "l.csv") == 0
    right = pd.read_csv(io.StringIO(WRITTEN.replace("text 9", "für")), sep=";", dtype=str, keep_default_na=False)
    after = pd.read_csv("l.csv", dtype=str, keep_default_na=False)
    assert after.drop(columns="h").equals(right)
    assert (after["h"] == "yes").sum() == 5
    drawn = pd.read_csv("g/drawn.csv", dtype=str, keep_default_na=False)
    assert drawn[right.columns].equals(right.iloc[drawn["position"].astype(int)].reset_index(drop=True))
    assert karat("labels", "g/annotators", "--sample", "g/sample.json", "--corpus", "a.csv", "--out", "l.parquet") == 0
    assert "column 'zip' holds numbers that begin with 0" in capsys.readouterr().err


def test_tables_of_other_makes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"doc": [f"d{k}" for k in range(9)], "x": np.arange(9) / 4, "t": ["привет"] * 9})
    frame.to_csv("bar.csv", sep="|", index=False)
    frame.to_csv("cyrillic.csv", encoding="cp1251", sep="^", index=False)
    with pd.ExcelWriter("book.xlsx") as book:
        frame.to_excel(book, sheet_name="one", index=False)
        frame.to_excel(book, sheet_name="two", index=False)
    assert read_file("bar.csv").equals(frame)
    assert read_file("cyrillic.csv", sep="^", encoding="cp1251").equals(frame)
    for words in (["bar.csv"], ["cyrillic.csv", "--sep", "^", "--encoding", "cp1251"], ["book.xlsx"]):
        assert karat("draw", *words, "--n", "3", "--seed", "1", "--out", f"g-{words[0]}") == 0
        drawn = pd.read_csv(f"g-{words[0]}/drawn.csv")
        assert drawn[["doc", "x", "t"]].equals(frame.iloc[drawn["position"]].reset_index(drop=True))
    said = capsys.readouterr().err
    assert "separated by bars" in said
    assert "has 2 sheets; the first one, 'one', was read" in said
    (tmp_path / "bad.xlsx").write_bytes(b"no zip")
    assert karat("draw", "bad.xlsx", "--n", "3", "--out", "x") == 2
    assert "cannot be read as .xlsx" in capsys.readouterr().err


def test_codebooks_and_pages_from_the_shell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"body": [f"text {k}" for k in range(30)]}).to_csv("c.csv", index=False)
    kt.annotate.Codebook("support", "For it?", {"a": "For.", "b": "Against."}, several=True).save("book.json")
    draw = [
        "draw",
        "c.csv",
        "--n",
        "5",
        "--seed",
        "1",
        "--text",
        "body",
        "--label",
        "care=scale:1:7",
        "--format",
        "all",
    ]
    assert karat(*draw, "--codebook", "book.json", "--out", "g") == 0
    names = {p.name for p in (tmp_path / "g/annotators").iterdir()}
    assert names == {"annotator.csv", "annotator.html", "annotator.json", "codebook.txt", "label-studio.xml",
                     "labelling.json"}  # fmt: skip
    asked = json.loads((tmp_path / "g/annotators/labelling.json").read_text())["labels"]
    assert asked["care"] == "scale:1:7"
    assert asked["support"]["several"]
    assert karat(*draw, "--codebook", "book.json", "--codebook", "book.json", "--out", "h") == 2
    assert "named already" in capsys.readouterr().err


def test_app_names_what_is_missing(monkeypatch, capsys, tmp_path):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "uvicorn" else find(name, *a))
    assert karat("app", "--folder", str(tmp_path)) == 2
    assert "karat app needs uvicorn: pip install uvicorn." in capsys.readouterr().err


@pytest.mark.parametrize("id", ["doc", None])
@pytest.mark.parametrize("texts", [True, False])
def test_ids_with_zeros_are_those_that_were_drawn(texts, id, made, monkeypatch, tmp_path, capsys):
    """0001 in a CSV is a text where Python drew from texts, and a number where it drew from numbers."""
    monkeypatch.chdir(tmp_path)
    corpus = made[1].assign(doc=[f"{k:04d}" for k in range(400)] if texts else range(400))
    sample = kt.SimpleRandom(n=120).draw(corpus, seed=1, id=id)
    labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    if id is not None:
        labelled = labelled[::-1]
    labelled.assign(doc=[f"{int(k):04d}" for k in labelled["doc"]]).to_csv("labelled.csv", index=False)
    sample.save("sample.json")
    told = ["labelled.csv", FORMULA, "--surrogate", "hostile=hostile_llm", "--sample", "sample.json"]
    assert karat("fit", *told, *PLAIN) == 0
    fit = kt.ols(FORMULA, labelled, surrogates={"hostile": ["hostile_llm"]}, design=sample, learner=None, seed=1)
    assert str(fit.summary()) in capsys.readouterr().out
