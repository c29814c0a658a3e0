"""A codebook says what a label means; what cannot be used is refused by the name of its field."""

import json
import textwrap

import pytest

from karat.annotate import Code, Codebook, read_codebook
from karat.errors import ArgumentError, DataError

BOOK = Codebook(
    "support",
    "Does the writer want the tram?",
    [
        Code(1, "yes", "Wants it built.", ["Build it at last!", "I would use it"], "praise of trams elsewhere"),
        Code(0, "no", "Does not want it, or does not say."),
    ],
    language="German",
    notes="Agreed in May.",
)


def written(tmp_path, text, name="book.yaml"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["json", "yaml", "yml"])
def test_what_is_written_comes_back(tmp_path, ending):
    if ending != "json":
        pytest.importorskip("yaml")
    BOOK.save(tmp_path / f"book.{ending}")
    back = read_codebook(tmp_path / f"book.{ending}")
    assert back == BOOK
    assert back.digest == BOOK.digest
    scale = Codebook("tone", "How friendly?", scale=(1, 7))
    scale.save(tmp_path / f"scale.{ending}")
    assert read_codebook(tmp_path / f"scale.{ending}") == scale


def test_the_prompt_holds_definitions_examples_and_boundaries():
    question = BOOK.ask()
    shown = question.messages("Guten Tag")[-1]["content"]
    for part in (
        "in German",
        "- yes: Wants it built.",
        "\u201cI would use it\u201d",
        "Not this code: praise",
        "Labels: yes, no",
    ):
        assert part in shown
    assert "Agreed in May" not in shown
    assert question.labels == (1, 0)
    assert question.why_shown("I would use it") == "quoted in the prompt", "short examples are found, too"
    assert not question.why_shown("I would")
    assert BOOK.ask(instruction="Otherwise.").messages("x")[-1]["content"].startswith("Otherwise.")


def test_notes_do_not_change_the_digest_and_definitions_do():
    about = BOOK.describe()
    assert Codebook("support", "x?", BOOK.codes, notes="a").digest == Codebook("support", "x?", BOOK.codes).digest
    about["codes"][0]["definition"] = "Wants it built soon."
    from karat.annotate.codebook import codebook_of

    assert codebook_of(about).digest != BOOK.digest


FAULTS = {
    "label that YAML takes for true": (
        "codes: [{value: a, word: yes}, {value: b}]",
        r"codes\[0\].word is true .*write",
    ),
    "value that is true": ("codes: [{value: yes}, {value: b}]", r"codes\[0\].value is true"),
    "unknown field": ("codes: [{value: a, defn: x}, {value: b}]", r"codes\[0\].defn is not a field; there are value"),
    "unknown field on top": ("labels: [a, b]", "labels is not a field"),
    "missing value": ("codes: [{word: a}, {value: b}]", r"codes\[0\].value is missing"),
    "examples that are a text": (
        "codes: [{value: a, examples: x}, {value: b}]",
        r"codes\[0\].examples is 'x'; give a list",
    ),
    "an example that is a number": (
        "codes: [{value: a, examples: [x, 3]}, {value: b}]",
        r"examples\[1\] is 3; give a text",
    ),
    "a list that is none": ("codes: abc", "codes is 'abc'; give a list"),
    "twice the same": (
        "codes: [{value: a}, {value: b}, {value: a}]",
        r"codes\[2\] has the value or word of an earlier",
    ),
    "one code": ("codes: [{value: a}]", "two or more"),
    "field twice": ("codes: [{value: a, value: b}, {value: c}]", "field 'value' stands twice"),
    "both": ("scale: [1, 7]\ncodes: [{value: a}, {value: b}]", "scale is given beside codes"),
    "no classes": ("language: German", "codes is empty"),
    "later version": ("version: 2\ncodes: [{value: a}, {value: b}]", "version=2 cannot be read"),
    "code": ("codes: !!python/object/apply:os.system ['true']", "not YAML of plain values"),
    "parent that texts get": ("codes: [{value: a, parent: b}, {value: b}]", r"codes\[0\].parent='b' is itself a code"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_named(tmp_path, text, message):
    pytest.importorskip("yaml")
    path = written(tmp_path, "name: support\nquestion: Does the writer want it?\n" + text)
    with pytest.raises(DataError, match=message) as caught:
        read_codebook(path)
    assert "book.yaml" in str(caught.value)


def test_faults_of_json_are_named(tmp_path):
    with pytest.raises(DataError, match="it is not JSON"):
        read_codebook(written(tmp_path, "{", "book.json"))
    with pytest.raises(DataError, match="field 'name' stands twice"):
        read_codebook(written(tmp_path, '{"name": "a", "name": "b"}', "book.json"))
    with pytest.raises(DataError, match="question is missing"):
        read_codebook(written(tmp_path, json.dumps({"name": "a"}), "book.json"))
    with pytest.raises(DataError, match="cannot be read"):
        read_codebook(tmp_path / "none.json")
    with pytest.raises(ArgumentError, match="ends in"):
        read_codebook(tmp_path / "book.txt")


def test_yaml_without_the_package_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install pyyaml"):
        read_codebook(written(tmp_path, "name: a"))
