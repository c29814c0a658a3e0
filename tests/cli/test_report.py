"""``karat report``: from saved fits to a page or a table."""

import pytest

import karat as kt
from karat import cli


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits")
    corpus, _ = kt.datasets.simulate(400, seed=3)
    labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=120).draw(corpus, seed=1), "hostile")
    labelled.to_csv(folder / "corpus.csv", index=False)
    for name, formula in {"short": "outcome ~ hostile", "long": "outcome ~ hostile + length"}.items():
        fit = kt.ols(formula, labelled, surrogates={"hostile": "hostile_llm"}, learner=None)
        (folder / f"{name}.json").write_text(fit.to_json())
    return folder


def test_a_page_and_tables(fits, tmp_path, capsys):
    names = [str(fits / "short.json"), str(fits / "long.json")]
    page = tmp_path / "new" / "report.html"
    assert cli.main(["report", names[0], "--out", str(page), "--question", "Are hostile texts < read?"]) == 0
    assert "Are hostile texts &lt; read?" in page.read_text(encoding="utf-8")
    assert str(page) in capsys.readouterr().out
    for ending in (".txt", ".html"):
        assert cli.main(["report", *names, "--out", str(tmp_path / f"t{ending}"), "--title", "Two fits"]) == 0
        text = (tmp_path / f"t{ending}").read_text(encoding="utf-8")
        assert all(word in text for word in ("Two fits", "short", "long", "hostile"))
    assert cli.main(["report", names[0], "--compare", "--out", str(tmp_path / "c.html")]) == 0
    assert all(word in (tmp_path / "c.html").read_text() for word in ("Surrogate only", "Gold only", "DSL"))
    told = ["--surrogate", "hostile=hostile_llm", "--simple", "--learner", "none", "--out", str(tmp_path / "f.html")]
    assert cli.main(["fit", str(fits / "corpus.csv"), "outcome ~ hostile", *told]) == 0
    assert "Text for a methods section" in (tmp_path / "f.html").read_text(encoding="utf-8")


def test_refused(fits, tmp_path, capsys):
    short = str(fits / "short.json")
    (tmp_path / "short.json").write_text("{}")
    (tmp_path / "other.json").write_text("no")
    for files, more, message in (
        ([short, str(fits / "long.json")], ["--out", "t.txt", "--question", "Why?"], "--question goes into the report"),
        ([short, str(fits / "long.json")], ["--out", "t.txt", "--compare"], "estimators of one fit"),
        ([short, str(tmp_path / "short.json")], ["--out", "t.txt"], "two files are named 'short'"),
        ([str(tmp_path / "nowhere.json")], ["--out", "t.html"], "cannot be read: No such file"),
        ([str(tmp_path / "other.json")], ["--out", "t.html"], "is not a fit that karat fit wrote"),
        ([short], ["--out", str(tmp_path / "t.pdf")], "t.pdf"),
    ):
        assert cli.main(["report", *files, *more]) == 2
        assert message in capsys.readouterr().err
