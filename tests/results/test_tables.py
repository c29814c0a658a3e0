"""Fits side by side: numbers, rows shown and hidden, forms of the table, what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError

from .. import corpora

LABELS = {"stance": "stance_llm"}


@pytest.fixture(scope="module")
def data():
    frame = corpora.corpus(400, seed=5)
    return corpora.masked(frame, np.arange(400) % 2 == 0, "stance", "topic")


@pytest.fixture(scope="module")
def short(data):
    return kt.ols("y ~ stance + z", data, surrogates=LABELS, learner=None)


@pytest.fixture(scope="module")
def long(data):
    return kt.ols("y ~ stance * z + C(region)", data, surrogates=LABELS, learner=None, cluster="author")


@pytest.fixture(scope="module")
def topics(data):
    return kt.multinomial("topic ~ z", data, surrogates={"topic": "topic_llm"}, learner=None)


def cells(table):
    """Cells by row; standard errors under the name of their row with a quote mark."""
    names, rows = table.rows
    at = [name or f"{names[k - 1]}'" for k, name in enumerate(names)]
    return dict(zip(at, rows))


def test_numbers_are_those_of_the_fits(short, long):
    table = kt.table([short, long], digits=4)
    assert table.heads == ("(1)", "(2)")
    found = cells(table)
    for k, fit in enumerate((short, long)):
        for name, b, se in zip(fit.names, fit.theta, fit.se()):
            assert found[name][k] == f"{b:.4f}"
            assert found[f"{name}'"][k] == f"({se:.4f})"
    assert found["stance:z"][0] == ""
    assert table.names[-1] == "Intercept"
    assert found["Units"] == ["400", "400"]
    assert found["Gold"] == ["200", "200"]
    text = str(table)
    assert "Covariance, (1): HC3." in text
    assert "Covariance, (2): CRV3 by author (25 clusters)." in text
    assert "Design: simple random sample, 200 of 400 (assumed)" in text
    assert "*" not in text


@pytest.mark.parametrize("alpha", [None, 0.1])
def test_intervals_instead_of_standard_errors(short, alpha):
    found = kt.table(short, under="interval", alpha=alpha)
    bounds = short.confint(alpha)
    for name in short.names:
        low, high = bounds.loc[name]
        assert cells(found)[f"{name}'"] == [f"[{low:.3f}, {high:.3f}]"]
    assert f"{95 if alpha is None else 90}% confidence intervals" in str(found)


def test_estimators_as_columns(short, long):
    table = kt.table(short.compare(), under="interval", stars=[0.999])
    assert table.heads == ("Surrogate only", "Gold only", "DSL")
    side = short.compare().table()
    for k, head in enumerate(table.heads):
        np.testing.assert_array_equal(table.estimates[:2, k], side[head]["Estimate"].loc[["stance", "z"]])
        np.testing.assert_array_equal(table.bounds[0][:2, k], side[head]["2.5%"].loc[["stance", "z"]])
    assert cells(table)["Gold"] == ["0", "200", "200"]
    assert cells(table)["stance"][0][-1] != "*", "intervals of surrogates alone are not valid"
    assert cells(table)["stance"][2].endswith("*")
    assert "its intervals are not valid" in str(table)
    both = kt.table({"short": short.compare(), "long": long.compare()})
    assert both.heads[:2] == ("short Surrogate only", "short Gold only")
    assert "Covariance, long: CRV3" in str(both)


def test_rows_are_kept_and_hidden_by_name_or_pattern(short, long):
    table = kt.table([short, long], hide=["C(region)*", "Intercept"], labels={"C(region)*": "Regions"})
    assert [name for name in table.names if "region" in name or name == "Intercept"] == []
    assert cells(table)["Regions"] == ["no", "yes"]
    assert "Intercept" not in cells(table)
    kept = kt.table([short, long], keep=["z", "stance*"])
    assert kept.names == ("z", "stance", "stance:z")
    assert "3 further coefficient(s) are not shown." in str(kept)
    with pytest.raises(ArgumentError, match=r"hide='C\(state\)\*' fits no coefficient; there are \['Intercept'"):
        kt.table(short, hide="C(state)*")
    with pytest.raises(ArgumentError, match="keep='stanze' fits no"):
        kt.table(short, keep="stanze")
    with pytest.raises(ArgumentError, match="no row is left"):
        kt.table(short, hide="*")


def test_labels_rename_rows_parts_of_interactions_and_outcomes(long):
    table = kt.table(long, labels={"stance": "Hostile", "z": "Age", "y": "Vote", "C(region)[T.north]": "North"})
    assert {"Hostile", "Age", "Hostile × Age", "North"} <= set(table.names)
    assert "Outcome: Vote" in str(table)


def test_stars_follow_p_values(long):
    p = long.pvalue()
    table = kt.table(long, stars=True)
    for name, marks in zip(("stance", "z"), table.marks):
        assert marks[0] == "*" * sum(p[name] < level for level in (0.05, 0.01, 0.001))
    assert "* p < 0.05, ** p < 0.01, *** p < 0.001." in table.notes
    assert kt.table(long, stars=[0.1, 0.01]).notes[1] == "* p < 0.1, ** p < 0.01."
    with pytest.raises(ArgumentError, match="stars="):
        kt.table(long, stars=3)


def test_classes_of_the_outcome_as_columns(topics, short):
    table = kt.table(topics, classes="columns")
    assert table.heads == ("law", "war")
    assert table.names == ("z", "Intercept")
    np.testing.assert_array_equal(table.estimates[0], topics.coef()[["law: z", "war: z"]])
    compared = kt.table(topics.compare(), classes="columns")
    assert compared.heads[:2] == ("Surrogate only law", "Surrogate only war")
    with pytest.raises(ArgumentError, match="has no classes of an outcome"):
        kt.table(short, classes="columns")


def test_shares_have_a_column_for_each_class(data):
    found = kt.shares("topic", data, by="region", surrogates={"topic": "topic_llm"}, learner=None)
    table = kt.table(found, classes="columns")
    assert table.heads == ("economy", "law", "war")
    assert table.names == ("region=east", "region=north", "region=west")
    np.testing.assert_allclose(table.estimates.sum(axis=1), 1.0)
    assert cells(table)["Gold"] == ["200"] * 3


def test_other_estimates(data, short):
    several = kt.several("y ~ stance + sw0(z)", data, surrogates=LABELS, learner=None)
    assert kt.table(several).heads == tuple(several)
    logit = kt.logit("vote ~ stance", data, surrogates=LABELS, learner=None)
    for found in (logit.ratios(), kt.slopes(logit, data), several[1] - several[0], several.differences("stance"),
                  kt.confidence_sequence(short, planned=300), kt.Result.from_json(short.to_json())):  # fmt: skip
        table = kt.table(found)
        np.testing.assert_array_equal(np.sort(table.estimates[:, 0]), np.sort(found.coef().to_numpy()))
        assert len(table.heads) == 1


def test_what_is_no_estimate_is_refused(short, data):
    with pytest.raises(ArgumentError, match=r"fits\['\(2\)'\] is a DataFrame; give Results"):
        kt.table([short, data])
    with pytest.raises(ArgumentError, match="fits is empty"):
        kt.table([])
    with pytest.raises(ArgumentError, match="under="):
        kt.table(short, under="t")


def test_word(long, tmp_path):
    docx = pytest.importorskip("docx")
    table = kt.table({"a": long, "b": long}, title="Votes & texts", notes="My note.", stars=True)
    document = docx.Document(str(table.save(tmp_path / "table.docx")))
    grid = [[cell.text for cell in row.cells] for row in document.tables[0].rows]
    names, rows = table.rows
    assert grid == [["", "a", "b"], *([name, *line] for name, line in zip(names, rows))]
    assert [p.text for p in document.paragraphs if p.text] == ["Votes & texts", *table.notes]
    assert "<w:tblHeader" in document.tables[0].rows[0]._tr.xml
    assert document.core_properties.author == ""


def test_excel_holds_numbers(short, long, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    sheet = openpyxl.load_workbook(kt.table([short, long], stars=True, title="T").save(tmp_path / "t.xlsx")).active
    rows = {row[0].value: row for row in sheet.iter_rows() if row[0].value}
    assert rows["stance"][1].value == short.coef()["stance"]
    assert rows["stance"][1].number_format.startswith("0.000")
    assert rows["stance:z"][1].value is None
    below = sheet.cell(rows["stance"][1].row + 1, 2)
    assert (below.value, below.number_format) == (short.se()["stance"], '"("0.000")"')
    assert rows["Units"][1].value == 400
    assert kt.table([short, long]).notes[0] in rows
    text = openpyxl.load_workbook(kt.table(short, under="interval").save(tmp_path / "i.xlsx")).active
    assert text.cell(5, 2).value.startswith("[")


@pytest.mark.parametrize(
    ("module", "ending", "package"), [("docx", "docx", "python-docx"), ("openpyxl", "xlsx", "openpyxl")]
)
def test_what_is_missing_is_named(short, tmp_path, monkeypatch, module, ending, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        kt.KaratError, match=rf"{package}, which is not installed; install it with: pip install 'karat\[tables\]'"
    ):
        kt.table(short).save(tmp_path / f"t.{ending}")


def test_text_forms(short, tmp_path):
    table = kt.table(short, labels={"stance": "a_b <i> & 5%"}, notes=["p < 0.1 & more"])
    for ending, start in {"txt": "Linear", "md": "|  |", "html": "<!doctype html>", "tex": r"\begin{table}"}.items():
        assert table.save(tmp_path / f"t.{ending}").read_text(encoding="utf-8").startswith(start)
    page = table.to_html()
    assert "a_b &lt;i&gt; &amp; 5%" in page
    assert "<i>" not in page
    assert '<th scope="col">DSL</th>' in page
    tex = table.to_latex("Cap", "tab:x")
    assert r"a\_b \textless{}i\textgreater{} \& 5\%" in tex
    assert r"p \textless{} 0.1 \& more" in tex
    assert tex.count(r"\midrule") == 2
    assert r"\label{tab:x}" in tex
    with pytest.raises(ArgumentError, match=r"must end in \.txt"):
        table.save(tmp_path / "t.pdf")


def test_group_without_gold_is_an_empty_cell():
    frame = pd.DataFrame({"y": [1.0, 2.0, np.nan, 3.0] * 20, "m": [1.0, 2.0, 2.5, 3.0] * 20})
    fit = kt.mean("y", frame, surrogates={"y": "m"}, learner=None)
    assert cells(kt.table(fit))["Mean"][0] == f"{fit.theta[0]:.3f}"


@pytest.mark.parametrize("first", ["karat.results", "maketables"])
def test_maketables_knows_a_result_whatever_is_imported_first(first):
    pytest.importorskip("maketables")
    second = "maketables" if first == "karat.results" else "karat.results"
    code = (
        f"import {first}, {second}; from maketables.extractors import _EXTRACTOR_REGISTRY as found;"
        "from karat.results import Result;"
        "print(found[0].can_handle(Result.__new__(Result)), found[0].can_handle(1), len(found) == len(set(found)))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "True"]
