"""The page about a fit: it needs nothing else, holds the numbers of the fit, and says what to correct."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

import karat as kt
from karat.errors import ArgumentError
from karat.results.methods_text import REFERENCES, methods_text

from .. import corpora

LABELS = {"stance": "stance_llm"}
EMPTY = {"meta", "img", "br"}


class Page(HTMLParser):
    """Text, pictures and links of a page; complains about tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.words, self.anchors = [], [], [], [], set()
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.images += [found] if tag == "img" else []
        self.links += [value for name, value in attrs if name in ("href", "src", "action")]
        self.anchors |= {found["id"]} if "id" in found else set()
        self.open += [] if tag in EMPTY else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def read(fit, path, **options):
    text = fit.report(path / "report.html", **options).read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def sampled():
    frame = corpora.corpus(400, seed=5)
    sample = kt.SimpleRandom(200).draw(frame, seed=1)
    return corpora.masked(frame, sample.labelled, "stance", "topic"), sample


def test_a_page_that_needs_nothing_else(fit, tmp_path):
    text, page = read(fit, tmp_path, question="Does <b>stance</b> matter?")
    assert all(link.startswith(("data:image/svg+xml;base64,", "#")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} == page.anchors
    assert "@import" not in text
    assert "url(" not in text
    assert "<script" not in text
    assert len(page.images) == 2
    assert all(len(image["alt"]) > 40 for image in page.images)
    for wanted in ('name="viewport"', "prefers-color-scheme: dark", "@media print", 'lang="en"'):
        assert wanted in text
    assert "Does <b>stance</b> matter?" in page.text, "escaped in the source, so that it is text here"
    assert "How is y related to stance, z, size?" in page.text


def test_numbers_are_those_of_the_fit(fit, tmp_path):
    _, page = read(fit, tmp_path)
    bounds = fit.confint()
    for name, b in fit.coef().items():
        low, high = bounds.loc[name]
        assert f"{b:.4f}" in page.text
        assert f"{low:.4f} to {high:.4f}" in page.text
        if name != "Intercept":
            assert f"{name} {b:.3g} ({low:.3g} to {high:.3g})" in page.images[0]["alt"]
    for column in fit.compare().columns:
        assert f"{column.theta[1]:.3f}" in page.text
    assert "Gold labels of stance are known for 150 of the 400 units" in page.text
    assert f"{fit.skill[0].r_squared:.2f}" in page.text
    for finding in kt.diagnose(fit).findings:
        assert finding.check in page.text
        assert " ".join(finding.found.split()) in page.text
    assert f"version {kt.__version__}" in page.text
    assert "numpy" in page.text


def test_references_are_those_cited(fit):
    paragraphs, references = methods_text(fit)
    said = " ".join(paragraphs)
    for reference in REFERENCES.values():
        author, year = reference.split(",")[0], re.search(r"\((\d{4})\)", reference)[1]
        assert (reference in references) == bool(re.search(rf"{author}[^.;()]*(et al\.)?[^.;()]*,? \(?{year}", said)), (
            author
        )


@pytest.mark.parametrize(
    ("door", "formula", "options", "says"),
    [
        ("ols", "y ~ stance + z", {"estimator": "surrogate"}, "its intervals are not valid"),
        ("ols", "y ~ stance", {"estimator": "gold"}, "fitted to the units with gold labels"),
        ("ols", "y ~ stance", {"estimator": "ppi"}, "prediction-powered inference"),
        ("ols", "y ~ stance", {"compare": False, "learner": None}, "design-based supervised learning"),
        ("ols", "y ~ stance | region", {"learner": None}, "With fixed effects: region."),
        ("logit", "vote ~ stance", {"cluster": "author", "learner": None}, "25 clusters of author"),
        ("iv", "y ~ size + [stance ~ z]", {"learner": None}, "Two-stage least squares"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")
def test_other_fits(sampled, tmp_path, door, formula, options, says):
    data, sample = sampled
    fit = getattr(kt, door)(formula, data, surrogates=LABELS, design=sample.design, seed=1, **options)
    _, page = read(fit, tmp_path)
    assert says in page.text
    assert ("Estimators side by side" in page.text) == (fit.comparison is not None and len(fit.comparison.columns) > 1)


def test_classes_means_and_fits_read_back(sampled, tmp_path, fit):
    data, sample = sampled
    topics = kt.multinomial(
        "topic ~ z", data, surrogates={"topic": "topic_llm"}, learner=None, design=sample.design, seed=1
    )
    assert "law: z" in read(topics, tmp_path)[1].text
    means = kt.mean("stance", data, by="region", surrogates=LABELS, learner=None, design=sample.design, seed=1)
    assert "What is the mean of stance in each group of region?" in read(means, tmp_path)[1].text
    assert "Clopper and Pearson (1934)" in read(means, tmp_path)[1].text
    again = kt.Result.from_json(fit.to_json())
    assert (
        "known from gold labels of a sample, and from surrogate labels of all units." in read(again, tmp_path)[1].text
    )


def test_missing_labels_and_a_protocol(sampled, tmp_path):
    data, sample = sampled
    gold = data.assign(stance=data["stance"].where(np.arange(400) % 7 > 0))
    found = kt.sensitivity(
        "y ~ stance", gold, surrogates=LABELS, learner=None, design=sample.design, seed=1, gamma=[-1.0, 1.0]
    )
    study = SimpleNamespace(protocol=SimpleNamespace(hash="abc123"))
    _, page = read(found.fit, tmp_path, sensitivity=found, study=study, title="My title")
    assert "abc123" in page.text
    assert "Lowest and highest: estimates over all labels" in page.text
    assert found.lines()[1] in page.text
    assert len(page.images) == 3
    assert page.text.startswith("My title")


def test_what_is_not_right_is_refused(fit, sampled, tmp_path):
    with pytest.raises(ArgumentError, match=r"must end in \.html"):
        fit.report(tmp_path / "report.pdf")
    with pytest.raises(ArgumentError, match=r"diagnosis= must be what karat\.diagnose"):
        fit.report(tmp_path / "r.html", diagnosis="fine")
    with pytest.raises(ArgumentError, match=r"sensitivity= must be what karat\.sensitivity"):
        fit.report(tmp_path / "r.html", sensitivity=fit)
    with pytest.raises(ArgumentError, match="no protocol yet"):
        fit.report(tmp_path / "r.html", study=SimpleNamespace(protocol=None))
    with pytest.raises(ArgumentError, match=r"study= must be a karat\.annotate\.Study"):
        fit.report(tmp_path / "r.html", study="abc")
    assert not list(tmp_path.iterdir())
    data, _ = sampled
    shares = kt.shares("topic", data, surrogates={"topic": "topic_llm"}, learner=None)
    with pytest.raises(kt.KaratError, match="no report of a SharesResult"):
        shares.report(tmp_path / "r.html")


def test_a_problem_is_told(fit, tmp_path):
    bad = kt.diagnose(fit)
    problem = SimpleNamespace(check="Balance", verdict="problem", found="far <off>", advice="draw again.")
    _, page = read(fit, tmp_path, diagnosis=SimpleNamespace(findings=(*bad.findings, problem), balance=None))
    assert "far <off> To correct: draw again." in page.text


def test_without_matplotlib(fit, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    _, page = read(fit, tmp_path)
    assert "Plots are left out: matplotlib is not installed (pip install 'karat[plot]')." in page.text
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(kt.KaratError, match="pip install jinja2"):
        fit.report(tmp_path / "r.html")
