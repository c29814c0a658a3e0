"""``karat app`` without a browser: the guard, every form from planning to a fit, and what is refused."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.app.calculator import Assumed, calculate
from karat.app.project import Project, codebook_of
from karat.errors import ArgumentError, DataError
from karat.regression import family

from ..fieldwork.test_page import saved

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from karat.app import server
from karat.app.server import make

HOME = "http://127.0.0.1:8765"


def client(folder, **options):
    return TestClient(make(folder, 8765, "secret"), base_url=HOME, **options)


@pytest.fixture
def page(tmp_path):
    out = client(tmp_path / "study")
    out.folder = tmp_path / "study"
    assert out.get("/?key=secret").status_code == 200
    return out


@pytest.fixture(scope="module")
def letters():
    table, _ = kt.datasets.simulate_texts(400, seed=4)
    truth = table.pop("support")
    truth = table["text"].map(dict(zip(table["text"], truth)))  # some letters say the same
    wrong = np.random.default_rng(1).random(400) < 0.15
    table.insert(0, "zip", [f"{k:04d}" for k in range(400)])
    return table.assign(support_llm=np.where(wrong, 1 - truth, truth)), truth


QUESTION = {"n": "80", "seed": "3", "name": "support", "question": "For the tram?", "answers": "yes: wants it\nno",
            "scale": "", "by": "", "annotators": "ann, ben", "overlap": "2"}  # fmt: skip


def upload(page, table, name="corpus.csv", **options):
    file = io.BytesIO()
    table.to_csv(file, index=False, **options)
    return page.post("/table", files={"file": (name, file.getvalue())})


def ready(page, letters, **changes):
    assert upload(page, letters[0]).status_code == 200
    chosen = page.post("/columns", data={"text": "text", "machine": ["support_llm"]})
    assert chosen.url.path == "/draw"
    return page.post("/draw", data=QUESTION | changes)


def told(reply):
    """What a page says is wrong."""
    found = re.search(r'class="error" role="alert">(.*?)</p>', reply.text, re.DOTALL)
    return "" if found is None else found[1]


# ---- who is let in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/?key=wrong", {}, 403),
        ("/?key=secret", {"host": "evil.example:8765"}, 403),
        ("/?key=secret", {"host": "127.0.0.1:80"}, 403),
        ("/?key=secret", {"origin": "http://evil.example"}, 403),
        ("/?key=secret", {"origin": "null"}, 403),
        ("/?key=secret", {"origin": HOME}, 200),
        ("/app.css", {}, 403),
    ],
)
def test_only_this_browser_is_let_in(path, headers, status, tmp_path):
    assert client(tmp_path).get(path, headers=headers).status_code == status
    assert client(tmp_path).post("/draw", headers={"cookie": "karat=wrong"}).status_code == 403


def test_the_secret_is_kept_from_other_sites(tmp_path):
    reply = client(tmp_path, follow_redirects=False).get("/?key=secret")
    assert reply.status_code == 303
    assert reply.headers["location"] == "/"
    for part in ("httponly", "samesite=strict"):
        assert part in reply.headers["set-cookie"].lower()


def test_pages_load_nothing_from_elsewhere(page):
    for path in ("/", "/table", "/draw", "/label", "/fit"):
        reply = page.get(path)
        assert reply.status_code == 200
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["referrer-policy"] == "same-origin", "with none, browsers send forms with the origin null"
        assert not re.search(r"https?://|<script", reply.text)
        for name in re.findall(r'<label for="([^"]+)"', reply.text):
            assert f'id="{name}"' in reply.text


# ---- planning ------------------------------------------------------------------------------------------------------


def test_the_calculator_is_a_plan(page, monkeypatch):
    given = {"documents": "5000", "share": "20", "worst": "80", "best": "90", "question": "share", "half_width": "5"}
    made = []
    monkeypatch.setattr(server, "calculate", lambda assumed: made.append((assumed, calculate(assumed))) or made[-1][1])
    shown = [page.post("/", data=given | {"group": "30", "question": q}).text for q in ("share", "difference")]
    assert [assumed for assumed, _ in made] == [Assumed(5000, 0.2, (0.8, 0.9), 0.05, group) for group in (None, 0.3)]
    needed = [plan.goals().iloc[0]["n"] for _, plan in made]
    assert all("&plusmn; 5 percentage points" in text for text in shown)
    for text, n in zip(shown, needed):
        assert f"About {n:,.0f} gold labels" in text
    assert needed[1] > 2.5 * needed[0], "a difference needs more"
    # A share with half-width h needs about 1.96^2 V / h^2 labels; V: the variance of what the machine does not tell.
    assert 0.6 < needed[0] / (1.96**2 * 0.85 * 0.15 / 0.05**2) < 1.6
    wrong = page.post("/", data=given | {"worst": "95"})
    assert wrong.status_code == 422
    assert "the lower end comes first" in told(wrong)
    assert 'value="5000"' in wrong.text, "what was written is kept"
    assert "must be a number" in told(page.post("/", data=given | {"share": "<b>"}))


# ---- from a table to a fit -----------------------------------------------------------------------------------------


def test_from_a_table_to_a_fit(page, letters, tmp_path):
    table, truth = letters
    drawn = ready(page, letters)
    assert drawn.url.path == "/label"
    assert "0 of 80" in drawn.text
    folder = tmp_path / "study"
    right = dict(zip(table["text"], truth.astype(str)))
    flip = lambda each: int(each["document"][-1], 16) % 4 == 0  # noqa: E731
    answers = {"ann": lambda each: {"support": right[each["text"]]},
               "ben": lambda each: {"support": "1" if flip(each) else right[each["text"]]}}  # fmt: skip
    mailed = page.get("/mail/annotators/ann")
    assert mailed.content == (folder / "annotators" / "ann.html").read_bytes()
    here = page.get("/label/annotators/ben")
    assert '"post":"/label/annotators/ben"' in here.text
    assert "connect-src 'self'" in here.text
    for name, answer in answers.items():
        content = saved(folder / "annotators" / f"{name}.html", answer, "away.json").read_bytes()
        (folder / "annotators" / "away.json").unlink()
        if name == "ann":
            back = page.post("/returned", data={"who": "annotators/ann"}, files={"file": ("a.json", content)})
            assert "80 of 80" in back.text
        else:
            assert page.post("/label/annotators/ben", content=content).text == "kept"
    begun = page.get("/label/annotators/ben").text
    assert json.loads(re.search(r'id="labelling">(.*?)</script>', begun, re.DOTALL)[1])["start"]["state"]
    settling = page.post("/settle")
    differ = int(re.findall(r"\b0 of (\d+)", settling.text)[-1])
    assert 0 < differ < 40
    content = saved(folder / "third" / "adjudicator.html", answers["ann"], "x.json").read_bytes()
    (folder / "third" / "x.json").unlink()
    assert page.post("/label/third/adjudicator", content=content).text == "kept"
    assert "being settled already" in told(page.post("/settle"))

    fit = page.post("/fit", data={"model": "logit", "outcome": "support", "covariates": ["car", "distance"]})
    sample = kt.read_sample(folder / "sample.json")
    read = pd.read_csv(folder / "corpus.csv")
    gold = sample.labelled
    same = kt.logit("support ~ car + distance", read.assign(support=truth.where(gold)),
                    surrogates={"support": ["support_llm"]}, design=sample)  # fmt: skip
    assert f"{same.theta[1]:.3f}" in fit.text
    assert "Machine alone" in fit.text
    again = client(folder)  # as when it is started anew
    again.get("/?key=secret")
    assert f"{differ} of {differ}" in again.get("/label").text
    kept = pd.read_csv(io.BytesIO(page.get("/file/labelled.csv").content), dtype=str)
    assert kept["zip"].tolist() == table["zip"].tolist()
    assert kept["support"].notna().sum() == 80
    np.testing.assert_allclose(pd.read_csv(io.BytesIO(page.get("/file/fit.csv").content))["Estimate"], same.theta)
    assert kt.Result.from_json(page.get("/file/fit.json").text).n_gold == 80
    report = page.get("/file/report.html").text
    assert "Experts were asked: For the tram?" in report
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", report)
    counts = page.post("/fit", data={"model": "poisson", "outcome": "district", "covariates": ["support"]})
    same = kt.poisson("district ~ support", read.assign(support=truth.where(gold)),
                      surrogates={"support": ["support_llm"]}, design=sample)  # fmt: skip
    assert f"{same.theta[1]:.3f}" in counts.text
    share = page.post("/fit", data={"model": "mean", "outcome": "support", "covariates": ["car"]})
    assert "Share</th>" in share.text
    assert "car[0]" in share.text or "car" in share.text


def test_words_as_answers(page, letters, monkeypatch):
    table, truth = letters
    asked = []
    answers = "for: wants it\nagainst\nunclear: cannot say"
    ready(page, letters, answers=answers, annotators="ann", overlap="1")
    said = {1: "for", 0: "against"}
    right = {text: said[value] for text, value in zip(table["text"], truth)}
    saved(page.folder / "annotators" / "ann.html", lambda each: {"support": right[each["text"]]})
    assert "Share of which answer?" in page.get("/fit").text
    fit = {"model": "mean", "outcome": "support", "answer": "against"}
    sample = kt.read_sample(page.folder / "sample.json")
    gold = truth.map(said).where(sample.labelled)
    same = kt.mean("I(support == 'against')", pd.read_csv(page.folder / "corpus.csv").assign(support=gold),
                   surrogates={"support": ["support_llm"]}, design=sample)  # fmt: skip
    assert f"{same.theta[0]:.3f}" in page.post("/fit", data=fit).text
    monkeypatch.setattr(family, "ordered", lambda formula, data, levels, **_: asked.append((formula, levels)) or same)
    page.post("/fit", data={"model": "ordered", "outcome": "support", "covariates": ["car"]})
    assert asked == [("support ~ car", ["for", "against", "unclear"])], "answers count in the order of the form"
    assert "choose the answer" in told(page.post("/fit", data=fit | {"answer": "') + exit('"}))


# ---- what is refused -----------------------------------------------------------------------------------------------


def test_tables_that_cannot_be_read(page, letters):
    assert "choose a file first" in told(page.post("/table", data={}))
    assert "no ending that is known" in told(upload(page, letters[0], name="corpus.doc"))
    bad = page.post("/table", files={"file": ("a.xlsx", b"nothing")})
    assert "cannot be read as .xlsx" in told(bad)
    assert "upload" not in {p.stem for p in page.folder.iterdir()}
    noted = upload(page, letters[0].assign(country=["NA", *["DE"] * 399]))
    assert "read as missing" in noted.text
    assert "Go on</a>" in noted.text
    noted = upload(page, letters[0], sep=";", encoding="utf-16")
    assert "columns separated by semicolons" in noted.text
    assert "is not a column" in told(page.post("/columns", data={"text": "<b>", "machine": ["support_llm"]}))
    assert "<b>" not in told(page.post("/columns", data={"text": "<b>", "machine": ["support_llm"]}))
    assert "at least one column" in told(page.post("/columns", data={"text": "text"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": "x"}, "must be a number"),
        ({"n": "1.5"}, "must be a whole number"),
        ({"n": "4000"}, "n=4000"),
        ({"answers": "yes"}, "two or more"),
        ({"answers": "a\na"}, "earlier code"),
        ({"name": ""}, "name is"),
        ({"name": "car"}, "has a column &#39;car&#39; already"),
        ({"scale": "1 to 7"}, "leave the answers empty"),
        ({"answers": "", "scale": "one"}, "cannot be read"),
        ({"annotators": "ann,../x"}, "dot"),
        ({"overlap": "3"}, "overlap=3"),
        ({"by": "none"}, "&#39;none&#39;"),
    ],
)
def test_draws_that_cannot_be_made(changes, message, page, letters):
    reply = ready(page, letters, **changes)
    assert reply.status_code == 422
    assert message in told(reply)
    assert not (page.folder / "sample.json").exists()


def test_answers_that_are_not_taken(page, letters):
    ready(page, letters)
    ann = page.folder / "annotators" / "ann.html"
    content = saved(ann, lambda each: {"support": "1"}, when="2030-01-02").read_bytes()
    (ann.parent / "ann.answers.json").unlink()
    post = lambda body, name="ann": page.post(f"/label/annotators/{name}", content=body)  # noqa: E731
    assert "not a file that a page saved" in post(b"[]").text
    assert "edited or damaged" in post(content.replace(b'"1"', b'"0"', 1)).text
    assert "saved by the page of" in post(content, "ben").text
    assert post(content, "nobody").status_code == 422
    for path in ("/label/annotators/..%2Fsample", "/label/elsewhere/ann", "/mail/annotators/x"):
        assert page.get(path).status_code in (404, 422)
    assert post(content).text == "kept"
    older = saved(ann, lambda each: {"support": "0"}, "old.json", when="2030-01-01").read_bytes()
    (ann.parent / "old.json").unlink()
    assert post(older).text == "kept"
    assert (ann.parent / "ann.answers.json").read_bytes() == content, "an older save does not take its place"
    assert "drawn already" in told(page.post("/draw", data=QUESTION))
    assert "a sample was drawn" in told(upload(page, letters[0]))


def test_fits_that_cannot_be_made(page, letters):
    assert "no sample" in told(page.post("/fit", data={"model": "ols"}))
    ready(page, letters, annotators="ann", overlap="1")
    fit = {"model": "ols", "outcome": "support", "covariates": ["car"]}
    assert "nobody has answered" in told(page.post("/fit", data=fit))
    saved(page.folder / "annotators" / "ann.html", lambda each: {"support": "1"} if each["document"] > "d8" else None)
    assert "drawn" in told(page.post("/fit", data=fit))
    assert page.post("/fit", data=fit | {"ignore": "on"}).status_code in (200, 422)
    assert "not a column" in told(page.post("/fit", data=fit | {"covariates": ["__import__('os').abort()"]}))
    assert "is neither the outcome" in told(
        page.post("/fit", data=fit | {"outcome": "car", "covariates": ["distance"]})
    )
    assert "model" in told(page.post("/fit", data=fit | {"model": "rm"}))


@pytest.mark.parametrize("scale", ["1 to 7", "1-7", " 1 : 7 "])
def test_scales_of_a_form(scale):
    assert codebook_of("tone", "How?", "", scale).scale == (1, 7)


def test_a_project_goes_on_where_it_was(tmp_path):
    project = Project(tmp_path)
    with pytest.raises(ArgumentError, match="no table"):
        _ = project.table
    project.load("t.csv", b"text,llm\na,1\nb,0\nc,1\nd,0\n")
    project.choose("text", ["llm"])
    project.draw(2, "", codebook_of("h", "H?", "yes\nno"), ["me"], 1, 1)
    other = Project(tmp_path)
    assert (other.settings["text"], other.question.name, other.people("annotators")) == ("text", "h", {"me": (2, 0)})
    with pytest.raises(DataError, match="not a file"):
        other.take("annotators", "me", b"{}")


def test_the_column_of_long_entries_is_likely_the_text(page, letters):
    upload(page, letters[0])
    assert "<option selected>text</option>" in page.get("/table").text
