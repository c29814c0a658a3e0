"""Files that came back copied, renamed, edited or broken."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.errors import ArgumentError, DataError, DesignWarning
from karat.fieldwork.questions import Question
from karat.fieldwork.sheet import escape, read_sheet, sheet, unescape

LABELS = {"h": ["no", "yes"]}
N = 6


@pytest.fixture(scope="module")
def frame():
    return pd.DataFrame({"body": [f"text {k}" for k in range(30)], "x": np.arange(30) % 7})


@pytest.fixture(scope="module")
def sample(frame):
    return kt.SimpleRandom(N).draw(frame, seed=1)


def fill(path, answers, **columns):
    """Fill a file; answers are one for all, or one per row."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False).assign(h=answers, **columns)
    table.to_csv(path, index=False)
    return table


def drawn(gold, name="h"):
    return gold[name].dropna().tolist()


# ---- answers are not lost ----------------------------------------------------------------------------------


def test_answers_are_not_written_over(frame, sample, tmp_path):
    write = lambda **more: sample.to_labelling(tmp_path, frame, "body", LABELS, formats=("csv",), **more)  # noqa: E731
    file = write()[0]
    write()  # nothing was filled in
    fill(file, "yes")
    for again in (write, lambda: write(annotators=2)):
        with pytest.raises(ArgumentError, match=r"annotator.csv|labelling.json.*overwrite=True"):
            again()
    assert not (tmp_path / "annotator-1.csv").exists()
    assert drawn(sample.read_labels(tmp_path, frame)) == ["yes"] * N
    write(overwrite=True)
    assert set(pd.read_csv(file, keep_default_na=False)["h"]) == {""}


def test_label_studio_files_are_not_written_over(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", LABELS, formats=("label-studio",))
    (tmp_path / "annotator.json").write_text("[]")
    with pytest.raises(ArgumentError, match=r"'annotator.json'.*overwrite"):
        sample.to_labelling(tmp_path, frame, "body", LABELS)
    assert not (tmp_path / "annotator.csv").exists()


def test_a_folder_that_cannot_be_written(frame, sample, tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ArgumentError, match="cannot be written"):
        sample.to_labelling(tmp_path / "x", frame, "body", LABELS)


# ---- one person counts once --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["annotator (1).csv", "annotator copy.csv", "Kopie von annotator.csv", "final.csv"])
@pytest.mark.parametrize("column", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_a_copy_is_not_a_second_person(name, column, order, frame, sample, tmp_path):
    file, *_ = sample.to_labelling(tmp_path, frame, "body", LABELS, formats=("csv",))
    table = fill(file, "yes")
    copy = table.assign(h=["no"] * N)[::order]
    if not column:
        table, copy = table[["document", "h"]], copy[["document", "h"]]
    table.to_csv(file, index=False)
    copy.to_csv(tmp_path / name, index=False)
    with pytest.raises(DataError) as caught:
        sample.read_labels(tmp_path, frame)
    assert name in str(caught.value)
    assert "annotator.csv" in str(caught.value)
    assert "annotators={" in str(caught.value)
    named = {"annotator.csv": "ann", name: "ben"}
    assert set(sample.read_annotations(tmp_path, frame, annotators=named)["annotator"]) == {"ann", "ben"}


def test_a_copy_that_is_the_same_is_ignored_with_a_note(frame, sample, tmp_path):
    file, *_ = sample.to_labelling(tmp_path, frame, "body", LABELS, formats=("csv",))
    shutil.copy(file, tmp_path / "unfilled.csv")
    fill(file, "yes")
    shutil.copy(file, tmp_path / "annotator (2).csv")
    with pytest.warns(DesignWarning, match=r"annotator.csv repeats 6 answer\(s\) of annotator \(2\).csv"):
        gold = sample.read_labels(tmp_path, frame)
    assert drawn(gold) == ["yes"] * N


def test_a_copy_of_one_of_two_peoples_files(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", LABELS, annotators=["ann", "ben"], overlap=2, formats=("csv",))
    fill(tmp_path / "ann.csv", "yes")
    fill(tmp_path / "ben.csv", "yes")
    assert set(sample.read_annotations(tmp_path, frame)["annotator"]) == {"ann", "ben"}
    shutil.copy(tmp_path / "ann.csv", tmp_path / "ann (1).csv")
    fill(tmp_path / "ann (1).csv", "no")
    with pytest.raises(DataError, match=r"labelled twice by 'ann'.*ann"):
        sample.read_labels(tmp_path, frame)


def test_files_without_names_are_known_by_their_place_in_the_handout(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", LABELS, annotators=["Ann B", "ben"], overlap=2, formats=("csv",))
    for name in ("Ann_B", "ben"):
        fill(tmp_path / f"{name}.csv", "yes")[["document", "h"]].to_csv(tmp_path / f"{name}.csv", index=False)
    assert set(sample.read_annotations(tmp_path, frame)["annotator"]) == {"Ann B", "ben"}


def test_one_person_under_two_spellings(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", LABELS, annotators=["ann", "ben"], overlap=2, formats=("csv",))
    fill(tmp_path / "ann.csv", "yes")
    fill(tmp_path / "ben.csv", "yes", annotator=" Ann")
    with pytest.raises(DataError, match=r"'ann' \(ann.csv\) and 'Ann' \(ben.csv\) differ only"):
        sample.read_labels(tmp_path, frame)
    with pytest.raises(ArgumentError, match="is empty"):
        sample.read_labels(tmp_path, frame, annotators={"ben.csv": ""})


# ---- classes and shares ------------------------------------------------------------------------------------


def twice(sample, frame, folder, classes, first, second, **options):
    sample.to_labelling(folder, frame, "body", {"h": classes}, annotators=2, overlap=2, formats=("csv",))
    fill(folder / "annotator-1.csv", first)
    fill(folder / "annotator-2.csv", second)
    return sample.read_labels(folder, frame, **options)


@pytest.mark.parametrize("classes", [["yes", "no"], ["no", "yes"], ["no", "maybe", "yes"]])
def test_annotators_who_agree_give_classes_in_any_order_of_typing(classes, frame, sample, tmp_path, quiet):
    assert drawn(twice(sample, frame, tmp_path, classes, "yes", "yes")) == ["yes"] * N


@pytest.mark.parametrize("classes", [["yes", "no"], ["no", "yes"]])
def test_annotators_who_differ_give_shares_that_say_of_what(classes, frame, sample, tmp_path):
    with pytest.warns(DesignWarning, match="join='majority' gives classes"):
        gold = twice(sample, frame, tmp_path, classes, "yes", "no")
    assert "h" not in gold
    assert drawn(gold, "h_yes") == drawn(gold, "h_no") == [0.5] * N
    even = f"on {N} of {N} document.*'h' no class is ahead.*named first there, of '{classes[0]}', '{classes[1]}'"
    with pytest.warns(DesignWarning, match=even):
        majority = sample.read_labels(tmp_path, frame, join="majority")
    assert drawn(majority) == [classes[0]] * N


def test_a_majority_is_no_tie(frame, sample, tmp_path, quiet):
    sample.to_labelling(tmp_path, frame, "body", {"h": ["no", "yes"]}, annotators=3, overlap=3, formats=("csv",))
    for number, answer in enumerate(("no", "yes", "yes"), 1):
        fill(tmp_path / f"annotator-{number}.csv", answer)
    assert drawn(sample.read_labels(tmp_path, frame, join="majority")) == ["yes"] * N


def test_shares_of_a_true_class_say_of_what(frame, tmp_path):
    sample = kt.SimpleRandom(30).draw(frame, seed=1)
    truth = dict(zip(frame["body"], np.arange(30) % 3 == 0))
    gold = {}
    for classes in (["no", "yes"], ["yes", "no"]):
        folder = tmp_path / classes[0]
        sample.to_labelling(folder, frame, "body", {"h": classes}, annotators=3, overlap=3, formats=("csv",))
        for k in range(3):
            path = folder / f"annotator-{k + 1}.csv"
            texts = pd.read_csv(path)["text"]
            fill(path, ["yes" if truth[t] != (int(t.split()[1]) % 10 == k) else "no" for t in texts])
        with pytest.warns(DesignWarning, match="latent_truth"):
            gold[classes[0]] = sample.read_labels(folder, frame, join="latent_truth")
    yes = gold["no"]["h_yes"]
    np.testing.assert_allclose(yes, gold["yes"]["h_yes"], atol=1e-6)
    np.testing.assert_allclose(yes + gold["no"]["h_no"], 1, atol=1e-9)
    assert np.corrcoef(yes, list(truth.values()))[0, 1] > 0.9


def test_boolean_classes_are_gold_of_0_and_1(frame, sample, tmp_path):
    gold = twice(sample, frame, tmp_path / "a", [True, False], "TRUE", "true")
    assert drawn(gold) == [1.0] * N
    gold = twice(sample, frame, tmp_path / "b", [False, True], "TRUE", "0")
    assert drawn(gold) == [0.5] * N
    sample.to_labelling(tmp_path / "c", frame, "body", {"h": np.array([True, False])}, formats=("csv",))
    fill(tmp_path / "c" / "annotator.csv", ["True", "False", "", "1", "0", "False"])
    with pytest.warns(DesignWarning, match="1 of 6"):
        assert sorted(drawn(sample.read_labels(tmp_path / "c", frame))) == [0, 0, 0, 1, 1]


def test_classes_that_differ_only_in_capital_letters():
    question = Question("h", "choices", ("US", "us"))
    assert [question.read(v) for v in ("US", "us")] == ["US", "us"]
    with pytest.raises(DataError, match="'Us' is not allowed"):
        question.read("Us")


# ---- spreadsheets ------------------------------------------------------------------------------------------

ODD = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "'tis",
    "''",
    "'=1",
    "'",
    "",
    "a=1",
    '"',
    "a\r\nb;c,d\te",
    "\u00a0x",
]


@given(st.text(alphabet=st.sampled_from("='+-@\t\ra\"")))
def test_escaping_is_undone_exactly(text):
    assert unescape(escape(text)) == text
    assert not escape(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_odd_texts_survive_the_sheet(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(sheet(["=name", "b"], [[text, "x"] for text in ODD]))
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert not any(cell.startswith(tuple("=+-@\t\r")) for row in csv.reader(file) for cell in row)
    assert read_sheet(path)["=name"].tolist() == ODD


def test_texts_of_any_length_are_written_and_read(tmp_path):
    frame = pd.DataFrame({"body": ["x" * 200_000 + str(k) for k in range(8)]})
    sample = kt.SimpleRandom(4).draw(frame, seed=1)
    limit = csv.field_size_limit()
    file, *_ = sample.to_labelling(tmp_path, frame, "body", LABELS | {"why": "text"}, formats=("csv",))
    fill(file, "yes", why="because " * 30_000)
    gold = sample.read_labels(tmp_path, frame)
    assert drawn(gold) == ["yes"] * 4
    assert gold["why"].dropna().str.len().tolist() == [239_999] * 4
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_and_separators(encoding, separator, frame, sample, tmp_path):
    file, *_ = sample.to_labelling(tmp_path, frame, "body", {"h": ["für", "gegen"]}, formats=("csv",))
    table = fill(file, "für", note="one\r\ntwo; three, fo\tur")
    table.to_csv(file, index=False, encoding=encoding, sep=separator)
    assert drawn(sample.read_labels(tmp_path, frame)) == ["für"] * N


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("document,h\na,b,c\n", "cannot be read as a table"),
        ('document,h\n"a,b\n', "cannot be read as a table"),
        ("", "cannot be read as a table"),
        ("document,h,h\na,b,c\n", "two columns named 'h'"),
    ],
)
def test_tables_that_cannot_be_read(text, message, frame, sample, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        sample.read_labels(tmp_path / "a.csv", frame, labels=LABELS)


# ---- labelling.json ----------------------------------------------------------------------------------------


def test_what_was_asked_comes_back_unchanged_or_is_refused(frame, sample, tmp_path):
    file, path = sample.to_labelling(tmp_path, frame, "body", LABELS, formats=("csv",))
    fill(file, "yes")
    stored = json.loads(path.read_text())
    for change, message in (
        ({"labels": {"h": ["yes", "no"]}}, "edited or damaged"),
        ({"frame_hash": "0"}, "edited or damaged"),
        ({"version": 99, "karat": "9.9"}, r"later karat \(9.9: version 99"),
        ({"version": "1"}, "version '1'"),
        ({"version": 1, "origin": "0"}, "belongs to another sample"),
        ({"version": 1, "labels": {"h": ["yes"]}}, r"labels\['h'\].*two or more"),
        ({"version": 1, "labels": None}, "must map each gold column"),
        ({"version": 1, "annotators": None}, "who got which"),
        ({"format": "other"}, "is not a karat labelling"),
    ):
        path.write_text(json.dumps(stored | change))
        with pytest.raises(DataError, match=message):
            sample.read_labels(tmp_path, frame)
    for text in ("{", "[]", "null", "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")):
        path.write_text(text)
        with pytest.raises(DataError, match="is not a karat labelling"):
            sample.read_labels(tmp_path, frame)
    path.write_text(json.dumps({k: v for k, v in stored.items() if k != "checksum"} | {"version": 1}))
    assert drawn(sample.read_labels(tmp_path, frame)) == ["yes"] * N


def test_files_of_three_waves_are_read_with_the_last(frame, tmp_path):
    samples = [kt.SimpleRandom(4).draw(frame, seed=1)]
    table = frame
    for k in range(3):
        file, *_ = samples[-1].to_labelling(tmp_path / str(k), table, "body", LABELS, formats=("csv",))
        fill(file, "yes")
        table = samples[-1].read_labels(tmp_path / str(k), table)
        samples.append(samples[-1].next_wave(kt.SimpleRandom(4), table, seed=k))
    gold = samples[2].read_labels([tmp_path / str(k) for k in range(3)], frame)
    assert drawn(gold) == ["yes"] * 12


# ---- Label Studio ------------------------------------------------------------------------------------------


def token(sample, frame):
    return sample.design.documents(kt.frames.Table.read(frame))[0][0]


def task(document, **annotation):
    done = {"completed_by": 1, "result": [{"from_name": "h", "value": {"choices": ["yes"]}}]} | annotation
    return {"data": {"document": document}, "annotations": [done]}


BROKEN = [
    (lambda d: [task(d) | {"data": None}], "no 'document'"),
    (lambda d: [task(d) | {"data": [d]}], "'data' of task 1"),
    (lambda d: [task(d) | {"data": {"document": None}}], "no 'document'"),
    (lambda d: [task(d) | {"annotations": {"a": 1}}], "'annotations'.*a list belongs"),
    (lambda d: [task(d) | {"annotations": [3]}], "an annotation.*object"),
    (lambda d: [task(d, result="yes")], "'result' of an annotation"),
    (lambda d: [task(d, result=["yes"])], "entry of 'result'"),
    (lambda d: [task(d, result=[{"from_name": "hh", "value": {"choices": ["yes"]}}])], "'hh'.*none to 'h'"),
    (lambda d: [task(d, result=[{"fromname": "h", "value": {"choices": ["yes"]}}])], "None.*none to 'h'"),
    (lambda d: [task(d, result=[{"from_name": "h", "value": {"choice": ["yes"]}}])], r"fields \['choice'\]"),
    (lambda d: [task(d, result=[{"from_name": "h", "value": {"choices": [{"v": "yes"}]}}])], "not a text or number"),
    (lambda d: [task(d, result=[{"from_name": "h", "value": {"choices": {"yes": 1}}}])], "not a text or number"),
    (lambda d: [task(d, result=[{"from_name": "h", "value": {"choices": ["Yes!"]}}])], "'Yes!' is not allowed"),
    (lambda d: [{"document": d, "hostile": "yes", "annotator": 1}], "no task has a field 'h'"),
    (lambda d: [{"document": d, "h": {"value": "yes"}, "annotator": 1}], r"fields \['value'\]"),
    (lambda d: [None], "list of tasks"),
    (lambda d: "yes", "list of tasks"),
]


@pytest.mark.parametrize(("make", "message"), BROKEN, ids=range(len(BROKEN)))
def test_broken_exports_are_named(make, message, frame, sample, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(make(token(sample, frame))))
    with pytest.raises(DataError, match=message):
        sample.read_annotations(tmp_path / "a.json", frame, labels=LABELS)


@pytest.mark.parametrize(
    "make",
    [
        lambda d: [task(d) | {"annotations": None}],
        lambda d: [task(d, result=None)],
        lambda d: [task(d, result=[{"from_name": "h", "value": None}])],
        lambda d: [task(d, result=[{"from_name": "h", "value": {"choices": []}}])],
        lambda d: [{"document": d, "h": None}],
    ],
)
def test_tasks_without_an_answer_give_nothing(make, frame, sample, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(make(token(sample, frame))))
    assert len(sample.read_annotations(tmp_path / "a.json", frame, labels=LABELS)) == 0


def test_cancelled_annotations_are_skipped_ones(frame, sample, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([task(token(sample, frame), was_cancelled=True)]))
    long = sample.read_annotations(tmp_path / "a.json", frame, labels=LABELS)
    assert long["status"].tolist() == ["skipped"]
    assert long["h"].isna().all()


def test_exports_in_utf_16(frame, sample, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([task(token(sample, frame))]), encoding="utf-16")
    assert sample.read_annotations(tmp_path / "a.json", frame, labels=LABELS)["h"].tolist() == ["yes"]


def test_paths_and_mappings_of_another_kind(frame, sample, tmp_path):
    for call in (
        lambda: sample.to_labelling(None, frame, "body", LABELS),
        lambda: sample.save(3),
        lambda: kt.read_sample(None),
        lambda: sample.read_labels(tmp_path, frame, labels=LABELS, annotators=["ann"]),
    ):
        (tmp_path / "a.csv").write_text("document,h\n")
        with pytest.raises(ArgumentError, match="is not allowed; give a"):
            call()


@pytest.mark.parametrize("make", [np.array, pd.Series, pl.Series, pd.Index, tuple])
def test_classes_from_a_column(make, frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", {"h": make(["no", "yes"])})
    assert json.loads((tmp_path / "labelling.json").read_text())["labels"] == {"h": ["no", "yes"]}


def test_letters_that_cannot_be_written_are_replaced(tmp_path):
    odd = pd.DataFrame({"body": pd.Series(["a\ud800"] * 5, dtype=object)})
    sample = kt.SimpleRandom(2).draw(odd, seed=1)
    sample.to_labelling(tmp_path, odd, "body", LABELS)
    assert pd.read_csv(tmp_path / "annotator.csv")["text"].tolist() == ["a?"] * 2


@pytest.mark.parametrize("paths", [None, 3, [None], [], ""])
def test_paths_that_are_not_files(paths, frame, sample):
    with pytest.raises(ArgumentError):
        sample.read_labels(paths, frame, labels=LABELS)
