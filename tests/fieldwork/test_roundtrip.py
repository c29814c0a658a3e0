"""From sample to annotators' files and back, in files as people and Label Studio leave them."""

import csv
import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, DesignError, DesignWarning
from karat.fieldwork.label_studio import interface, tasks
from karat.fieldwork.questions import read_questions
from karat.frames.files import read_file, write_file

from .. import corpora

LABELS = {"hostile": ["no", "yes"], "tone": "number:-4:4", "clarity": "rating:5", "remark": "text"}


@pytest.fixture(scope="module")
def frame():
    out = corpora.corpus(120, seed=3)[["z", "region", "y_llm"]]
    body = [f'Text {i}, "quoted"; with\nlines, ünïcode = {i}' for i in range(120)]
    return out.assign(body=body, title=[f"Title {i}" for i in range(120)], doc=[f"x{i}" for i in range(120)])


@pytest.fixture(scope="module")
def sample(frame):
    return kt.Stratified("region", 24).draw(frame, seed=5, id="doc")


def truth(frame):
    """What experts would say."""
    i = np.arange(len(frame))
    return pd.DataFrame(
        {
            "hostile": np.where(i % 3 == 0, "yes", "no"),
            "tone": (i % 9 - 4) / 2,
            "clarity": i % 5 + 1.0,
            "remark": [f"remark {k}" for k in i],
        }
    )


def number_of(text):
    return int(text.split(",")[0].removeprefix("Text "))


def fill_csv(path, frame, change=lambda row: row, **settings):
    """Fill a CSV as an annotator would, and write it as a spreadsheet program would."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    right = truth(frame)
    for row in rows:
        row |= {name: str(right[name][number_of(row["text"])]) for name in LABELS if name in row}
        change(row)
    encoding = settings.pop("encoding", "utf-8-sig")
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), **settings)
        writer.writeheader()
        writer.writerows(rows)


def export(path, frame, who=1, skip=0, minimal=False):
    """What Label Studio exports once the tasks of a file are done."""
    right, out = truth(frame), []
    for number, task in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        values = right.iloc[number_of(task["data"]["text"])]
        if minimal:
            row = {**task["data"], **values.to_dict(), "id": number, "annotator": who, "annotation_id": number}
            out.append(row)
            continue
        kinds = {"hostile": "choices", "tone": "number", "clarity": "rating", "remark": "textarea"}
        result = []
        for name, kind in kinds.items():
            value = values[name]
            content = (
                {"choices": [value]}
                if kind == "choices"
                else {"text": [value]}
                if kind == "textarea"
                else {kind: value}
            )
            result.append(
                {
                    "id": f"r{number}",
                    "from_name": name,
                    "to_name": "document_text",
                    "type": kind,
                    "value": content,
                    "origin": "manual",
                }
            )
        done = {
            "id": 1000 + number, "completed_by": who, "result": result, "was_cancelled": number < skip,
            "ground_truth": False, "lead_time": 3.2, "task": number, "prediction": {}, "result_count": 0,
        }  # fmt: skip
        more = {"id": number, "drafts": [], "predictions": [], "meta": {}, "project": 7, "inner_id": number + 1}
        out.append({**more, "annotations": [done], "data": task["data"]})
    path.write_text(json.dumps(out), encoding="utf-8")


def check(filled, frame, sample, names=tuple(LABELS)):
    right = truth(frame)
    for name in names:
        given = filled[name].to_numpy()
        assert pd.isna(given[~sample.labelled]).all()
        assert given[sample.labelled].tolist() == right[name].to_numpy()[sample.labelled].tolist()


def hand_out(sample, frame, folder, **options):
    return sample.to_labelling(folder, frame, "body", LABELS, **options)


# ---- what is written ---------------------------------------------------------------------------------------


def test_files_are_blind(frame, sample, tmp_path):
    paths = hand_out(sample, frame, tmp_path, show=["title"])
    assert [p.name for p in paths] == ["annotator.csv", "annotator.json", "label-studio.xml", "labelling.json"]
    rows = pd.read_csv(tmp_path / "annotator.csv")
    assert rows.columns.tolist() == ["document", "title", "text", *LABELS, "note", "annotator"]
    assert set(rows["annotator"]) == {"annotator"}
    assert rows[[*LABELS, "note"]].isna().all(axis=None)
    given = rows["text"].map(number_of).to_numpy()
    assert sorted(given) == sample.positions.tolist()
    assert abs(np.corrcoef(given, np.arange(24))[0, 1]) < 0.6
    assert rows["title"].tolist() == [f"Title {k}" for k in given]
    assert rows["text"].tolist() == frame["body"].iloc[given].tolist()
    stored = json.loads((tmp_path / "annotator.json").read_text())
    assert set(stored[0]["data"]) == {"document", "text", "title"}
    assert [t["data"]["document"] for t in stored] == rows["document"].tolist()
    everything = "".join(p.read_text(encoding="utf-8") for p in paths)
    for hidden in ("region", "probability", "stratum", "y_llm", "east", '"x1"'):
        assert hidden not in everything
    assert (tmp_path / "annotator.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_same_sample_same_files(frame, sample, tmp_path):
    first, second, other = (
        hand_out(sample, frame, tmp_path / name, seed=seed)[0].read_text()
        for name, seed in (("a", None), ("b", None), ("c", 1))
    )
    assert first == second != other


def test_labelling_interface_is_the_xml_label_studio_reads():
    questions = read_questions({**LABELS, "odd": ["a<b", 'say "no"']})
    root = ET.fromstring(interface(questions, ["title"], "Read & decide"))
    assert root.tag == "View"
    assert [c.tag for c in root if c.tag != "Header"] == ["Text", "Choices", "Number", "Rating", "TextArea", "Choices"]
    assert {c.get("toName") for c in root if c.get("toName")} == {root.find("Text").get("name")}
    assert [c.get("value") for c in root.findall("Choices")[1]] == ["a<b", 'say "no"']
    assert root.find("Number").attrib["min"] == "-4"
    assert root.find("Rating").attrib["maxRating"] == "5"
    assert root.find("Text").get("value") == "$text"
    assert list(tasks(["d1"], ["hello"], [{}])) == [{"data": {"document": "d1", "text": "hello"}}]


def test_documents_are_shared_out_evenly(frame, sample, tmp_path):
    hand_out(sample, frame, tmp_path, annotators=["Ann B.", "ben", "cy"], overlap=1.5, formats=("csv",))
    lists = [pd.read_csv(tmp_path / f"{n}.csv")["document"].tolist() for n in ("Ann_B.", "ben", "cy")]
    assert [len(x) for x in lists] == [12, 12, 12]
    times = pd.Series([d for x in lists for d in x]).value_counts()
    assert times.value_counts().to_dict() == {1: 12, 2: 12}
    assert all(len(set(x)) == len(x) for x in lists)


# ---- and read back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", [pd.DataFrame, pl.from_pandas])
def test_csv(library, frame, sample, tmp_path, quiet):
    hand_out(sample, frame, tmp_path)
    fill_csv(tmp_path / "annotator.csv", frame)
    filled = sample.read_labels(tmp_path, library(frame))
    assert type(filled) is type(library(frame))
    check(filled, frame, sample)
    assert "hostile" not in frame
    fit = kt.ols("tone ~ z", filled, surrogates={"tone": "y_llm"}, design=sample, learner=None, compare=False)
    assert fit.n_gold == 24


@pytest.mark.parametrize(
    "settings",
    [
        {"delimiter": ";"},
        {"delimiter": "\t"},
        {"encoding": "cp1252"},
        {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"},
    ],
)
def test_csv_as_spreadsheet_programs_write_it(settings, frame, sample, tmp_path):
    def comma(row):
        row["tone"] = row["tone"].replace(".", ",")
        row["hostile"] = row["hostile"].upper() + " "

    hand_out(sample, frame, tmp_path)
    fill_csv(tmp_path / "annotator.csv", frame, comma, **settings)
    check(sample.read_labels(tmp_path, frame), frame, sample)


@pytest.mark.parametrize("minimal", [False, True])
def test_label_studio(minimal, frame, sample, tmp_path):
    hand_out(sample, frame, tmp_path, formats=("label-studio",))
    export(tmp_path / "annotator.json", frame, minimal=minimal, who=7)
    check(sample.read_labels(tmp_path / "annotator.json", frame), frame, sample)
    long = sample.read_annotations(tmp_path, frame)
    assert set(long["annotator"]) == {"7"}
    names = ["position", "document", "annotator", "file", *LABELS, "status", "note", "settles"]
    assert long.columns.tolist() == names


def test_frames_in_another_order(frame, sample, tmp_path):
    hand_out(sample, frame, tmp_path)
    fill_csv(tmp_path / "annotator.csv", frame)
    moved = frame.sample(frac=1, random_state=1)
    filled = sample.read_labels(tmp_path, moved)
    assert (filled.index == moved.index).all()
    check(filled.sort_index(), frame, sample)


def test_changed_frames_are_refused(frame, sample, tmp_path):
    hand_out(sample, frame, tmp_path)
    fill_csv(tmp_path / "annotator.csv", frame)
    with pytest.raises(DesignError, match="gone"):
        sample.read_labels(tmp_path, frame.iloc[1:])
    with pytest.raises(DesignError, match="'region' differ"):
        sample.read_labels(tmp_path, frame.assign(region="east"))
    by_rows = kt.SimpleRandom(10).draw(frame, seed=1)
    with pytest.raises(DesignError, match="another order"):
        by_rows.to_labelling(tmp_path / "b", frame.iloc[::-1], "body", LABELS)
    with pytest.raises(DataError, match="belongs to another sample"):
        by_rows.read_labels(tmp_path, frame)
    (tmp_path / "labelling.json").unlink()
    with pytest.raises(DataError, match=r"24 document\(s\) are not in this sample"):
        by_rows.read_labels(tmp_path, frame, labels=LABELS)


def test_cancelled_and_missing_labels(frame, sample, tmp_path):
    hand_out(sample, frame, tmp_path, formats=("label-studio",))
    export(tmp_path / "annotator.json", frame, skip=3)
    with pytest.warns(DesignWarning, match=r"3 of 24 drawn row.*\(3 skipped\)"):
        filled = sample.read_labels(tmp_path, frame)
    assert filled["tone"].notna().sum() == 21
    with pytest.raises(DataError, match="3 of 24"):
        sample.read_labels(tmp_path, frame, missing="raise")


def test_waves_come_back_one_by_one(frame, tmp_path):
    pilot = kt.SimpleRandom(15).draw(frame, seed=1)
    hand_out(pilot, frame, tmp_path / "1")
    fill_csv(tmp_path / "1/annotator.csv", frame)
    first = pilot.read_labels(tmp_path / "1", frame)
    main = pilot.next_wave(kt.SimpleRandom(20), first, seed=2)
    hand_out(main, first, tmp_path / "2")
    assert len(pd.read_csv(tmp_path / "2/annotator.csv")) == 20
    fill_csv(tmp_path / "2/annotator.csv", frame)
    check(main.read_labels(tmp_path / "2", first), frame, main)
    check(main.read_labels([tmp_path / "1", tmp_path / "2"], frame), frame, main)
    with pytest.raises(DataError, match=r"already holds gold in 15.*other values"):
        main.read_labels([tmp_path / "1", tmp_path / "2"], first.assign(tone=first["tone"] + 1))


# ---- several annotators ------------------------------------------------------------------------------------


def test_several_annotators_are_joined(frame, sample, tmp_path):
    def lean(row):
        row["tone"] = str(float(row["tone"]) + 0.5)
        row["hostile"] = "yes"

    hand_out(sample, frame, tmp_path, annotators=["ann", "ben", "cy"], overlap=3, formats=("csv",))
    for name in ("ann", "ben", "cy"):
        fill_csv(tmp_path / f"{name}.csv", frame, lean if name == "cy" else lambda row: row)
    long = sample.read_annotations(tmp_path, frame)
    assert len(long) == 72
    agreement = kt.labels.agreement(long, task="position", worker="annotator", label="hostile", draws=0)
    assert 0.05 < agreement.alpha < 0.5
    labels = {k: v for k, v in LABELS.items() if k != "remark"}
    with pytest.warns(DesignWarning, match=r"differ on 'hostile' for 17.*hostile_no, hostile_yes.*'majority'"):
        mean = sample.read_labels(tmp_path, frame, labels=labels)
    right = truth(frame)
    drawn = sample.positions
    np.testing.assert_allclose(mean["tone"].iloc[drawn], right["tone"][drawn] + 0.5 / 3)
    np.testing.assert_allclose(mean["hostile_yes"].iloc[drawn], np.where(right["hostile"][drawn] == "yes", 1, 1 / 3))
    np.testing.assert_allclose(mean["hostile_no"].iloc[drawn], 1 - mean["hostile_yes"].iloc[drawn], atol=1e-15)
    assert "hostile" not in mean
    majority = sample.read_labels(tmp_path, frame, labels={"hostile": ["no", "yes"]}, join="majority")
    assert majority["hostile"].iloc[drawn].tolist() == right["hostile"][drawn].tolist()
    with pytest.raises(ArgumentError, match="about classes"):
        sample.read_labels(tmp_path, frame, labels={"tone": "number"}, join="majority")
    check(sample.read_labels(tmp_path, frame, labels={"remark": "text"}), frame, sample, ["remark"])


def test_three_classes_become_three_columns(frame, tmp_path):
    sample = kt.SimpleRandom(6).draw(frame, seed=1)
    labels = {"topic": ["law", "war", "other"]}
    sample.to_labelling(tmp_path, frame, "body", labels, annotators=2, overlap=2, formats=("csv",))
    for name, answer in (("annotator-1", "law"), ("annotator-2", "war")):
        path = tmp_path / f"{name}.csv"
        rows = pd.read_csv(path, dtype=str)
        rows.assign(topic=answer).to_csv(path, index=False)
    with pytest.warns(DesignWarning, match="topic_law, topic_war, topic_other"):
        filled = sample.read_labels(tmp_path, frame)
    assert filled["topic_law"].dropna().tolist() == [0.5] * 6
    assert filled["topic_other"].dropna().tolist() == [0.0] * 6


def test_names_of_annotators(frame, sample, tmp_path):
    hand_out(sample, frame, tmp_path, annotators=2, overlap=2, formats=("label-studio",))
    export(tmp_path / "annotator-1.json", frame, who=1)
    export(tmp_path / "annotator-2.json", frame, who={"id": 2, "email": "b@c.org"})
    assert set(sample.read_annotations(tmp_path, frame)["annotator"]) == {"1", "b@c.org"}
    named = sample.read_annotations(tmp_path, frame, annotators={"annotator-1.json": "ann"})
    assert set(named["annotator"]) == {"ann", "b@c.org"}
    with pytest.raises(ArgumentError, match="not among the files"):
        sample.read_annotations(tmp_path, frame, annotators={"x.json": "ann"})


# ---- what cannot be right ----------------------------------------------------------------------------------


def broken(sample, frame, folder, change):
    hand_out(sample, frame, folder)
    fill_csv(folder / "annotator.csv", frame, change)
    return sample.read_labels(folder, frame)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hostile", "maybe", r"'maybe' is not allowed for 'hostile'; it must be one of 'no', 'yes'"),
        ("tone", "4.5", r"'4.5' is not allowed for 'tone'; it must be a number from -4 to 4"),
        ("tone", "high", "'high'"),
        ("tone", "nan", "'nan'"),
        ("tone", "1,234", "'1,234' for 'tone' may be 1234 or 1.234"),
        ("clarity", "6", "a number from 1 to 5"),
        ("document", "dffffffffffff", "not in this sample.*dffffffffffff"),
    ],
)
def test_answers_that_are_not_allowed(name, value, message, frame, sample, tmp_path):
    with pytest.raises(DataError, match=message):
        broken(sample, frame, tmp_path, lambda row: row.update({name: value}))


def test_one_person_twice(frame, sample, tmp_path):
    hand_out(sample, frame, tmp_path, annotators=2, overlap=2, formats=("label-studio",))
    for name in ("annotator-1", "annotator-2"):
        export(tmp_path / f"{name}.json", frame, who=1)
    with pytest.warns(DesignWarning, match=r"annotator-2.json repeats 24 answer\(s\) of annotator-1.json"):
        assert len(sample.read_annotations(tmp_path, frame)) == 24
    second = tmp_path / "annotator-2.json"
    second.write_text(second.read_text().replace('"yes"', '"no"'))
    with pytest.raises(DataError, match=r"labelled twice by '1'.*annotators="):
        sample.read_annotations(tmp_path, frame)
    with pytest.warns(DesignWarning, match="repeats 17"):
        last = sample.read_annotations(tmp_path, frame, duplicates="last")
    assert (last["hostile"] == "no").all()


def test_files_that_are_not_answers(frame, sample, tmp_path):
    hand_out(sample, frame, tmp_path)
    bad = tmp_path / "bad"
    bad.mkdir()
    read = lambda name, text: ((bad / name).write_text(text), sample.read_labels(bad / name, frame, labels=LABELS))  # noqa: E731
    for name, text, message in (
        ("a.csv", "document,tone\nd1,2\n", "no column 'hostile'"),
        ("a.json", "{", "not JSON"),
        ("a.json", "{}", "list of tasks"),
        ("a.json", '[{"data": {"text": "a"}}]', "no 'document'"),
    ):
        with pytest.raises(DataError, match=message):
            read(name, text)
    with pytest.raises(ArgumentError, match="neither"):
        read("a.txt", "")
    with pytest.raises(ArgumentError, match="no file or folder"):
        sample.read_labels(bad / "none.csv", frame)
    with pytest.raises(ArgumentError, match=r"labelling\.json"):
        sample.read_labels(bad / "a.csv", frame)
    token = json.loads((tmp_path / "annotator.json").read_text())[0]["data"]["document"]
    two = [{"from_name": "hostile", "value": {"choices": [c]}} for c in ("no", "yes")]
    with pytest.raises(DataError, match="two answers to 'hostile'"):
        read("b.json", json.dumps([{"data": {"document": token}, "annotations": [{"result": two}]}]))
    both = [{"from_name": "hostile", "value": {"choices": ["no", "yes"]}}]
    with pytest.raises(DataError, match="2 answers to 'hostile'"):
        read("b.json", json.dumps([{"data": {"document": token}, "annotations": [{"result": both}]}]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": {}}, "must map"),
        ({"labels": {"a": ["one"]}}, r"labels\['a'\]"),
        ({"labels": {"a": "rating:x"}}, r"labels\['a'\]"),
        ({"labels": {"a": "numbers"}}, r"labels\['a'\]"),
        ({"labels": {"body": "text"}}, "name of another column"),
        ({"labels": {"a b": "text"}}, "Label Studio"),
        ({"show": ["region"]}, "must not see it"),
        ({"show": ["annotator"], "formats": ["csv"]}, "'annotator' is a column of the annotators' files"),
        ({"labels": {"annotator": "text"}}, "'annotator' is a column of the annotators' files"),
        ({"labels": {"a": ["yes", "yes "]}}, "ends with a space"),
        ({"labels": {"a": ["yes", ""]}}, "is empty"),
        ({"labels": {"a": ["yes", None]}}, "None is neither"),
        ({"labels": {"a": [1, 1.0]}}, "cannot be distinguished"),
        ({"labels": {"a": [1, "1"]}}, "cannot be distinguished"),
        ({"labels": {"a": [["no"], ["yes"]]}}, "neither a text"),
        ({"labels": {"": ["no", "yes"]}}, "gold column ''"),
        ({"labels": {3: ["no", "yes"]}}, "gold column 3"),
        ({"annotators": 0}, "annotators=0.*at least 1"),
        ({"annotators": 1.5}, "annotators=1.5"),
        ({"annotators": True}, "annotators=True"),
        ({"annotators": "anna"}, "annotators='anna'"),
        ({"annotators": []}, "annotators="),
        ({"annotators": [1, 2]}, "not a name"),
        ({"annotators": ["a", "A"]}, "same file name"),
        ({"annotators": ["an na", "an/na"]}, "contains '/'"),
        ({"annotators": ["an na", "an_na"]}, "same file name"),
        ({"annotators": ["\u00e9va", "e\u0301va"]}, "same file name"),
        ({"annotators": ["anna", "Labelling"]}, "same file name"),
        ({"annotators": ["anna", ""]}, "is empty"),
        ({"annotators": ["anna", "  "]}, "is empty"),
        ({"annotators": ["."]}, "dot"),
        ({"annotators": [".."]}, "dot"),
        ({"annotators": ["../anna"]}, "dot"),
        ({"annotators": ["/tmp/anna"]}, "contains '/'"),
        ({"annotators": ["a\\b"]}, "contains"),
        ({"annotators": ["a:b"]}, "contains ':'"),
        ({"annotators": ["a\nb"]}, "contains"),
        ({"annotators": ["a\0b"]}, "contains"),
        ({"annotators": ["nul"]}, "reserved"),
        ({"annotators": ["COM1.x"]}, "reserved"),
        ({"annotators": ["a" * 300]}, "longer than 200"),
        ({"annotators": ["\u00e9" * 101]}, "longer than 200"),
        ({"annotators": 2, "overlap": 3}, "overlap=3.*at most 2"),
        ({"annotators": 2, "overlap": "2"}, "overlap='2'"),
        ({"seed": "x"}, "seed='x'"),
        ({"labels": {"a": "rating:2.5"}}, r"labels\['a'\]"),
        ({"labels": {"a": "number:4:-4"}}, "lower bound"),
        ({"labels": {"a": {"no", "yes"}}}, r"labels\['a'\]"),
        ({"show": 3}, "show=3"),
        ({"show": ["title", 3]}, "show="),
        ({"formats": 3}, "formats=3"),
        ({"instructions": 3}, "instructions=3"),
        ({"formats": ["xml"]}, "formats"),
    ],
)
def test_handouts_that_cannot_be_written(options, message, frame, sample, tmp_path):
    frame = frame.assign(annotator="ann")
    settings = {"labels": LABELS} | options
    with pytest.raises(ArgumentError, match=message):
        sample.to_labelling(tmp_path / "x", frame, "body", settings.pop("labels"), **settings)
    assert not (tmp_path / "x").exists()
    with pytest.raises(DataError, match="'bodi'"):
        sample.to_labelling(tmp_path / "x", frame, "bodi", LABELS)


def test_numeric_classes_stay_numbers(frame, tmp_path):
    sample = kt.SimpleRandom(4).draw(frame, seed=2)
    sample.to_labelling(tmp_path, frame, "body", {"h": [0, 1]}, formats=("csv",))
    path = tmp_path / "annotator.csv"
    rows = pd.read_csv(path, dtype=str).assign(h=["0", "1", "1.0", "0"])
    rows.to_csv(path, index=False)
    filled = sample.read_labels(tmp_path, frame)
    assert sorted(filled["h"].dropna()) == [0.0, 0.0, 1.0, 1.0]


def test_documents_with_breaks_that_are_no_lines(frame, tmp_path):
    odd = frame.assign(body=[f"Text {i}, page\x0cnext\u2028line\x85end\x1c" for i in range(len(frame))])
    sample = kt.SimpleRandom(5).draw(odd, seed=2)
    hand_out(sample, odd, tmp_path, formats=("csv",))
    assert (tmp_path / "annotator.csv").read_text(encoding="utf-8-sig").startswith('"document","text"')
    fill_csv(tmp_path / "annotator.csv", odd)
    check(sample.read_labels(tmp_path, odd), odd, sample)
    plain = (tmp_path / "annotator.csv").read_text(encoding="utf-8-sig").replace('"', "").replace("\r\n", "\r")
    (tmp_path / "annotator.csv").write_bytes(plain.replace(", page", " page").encode())
    assert sample.read_labels(tmp_path, odd)["tone"].notna().sum() == 5


@pytest.mark.parametrize("classes", [["no", "yes"], ["no", "yes", "both"]])
def test_waves_with_other_codings_are_refused(classes, frame, tmp_path):
    """One annotator gives classes, two give shares: not in one column."""
    pilot = kt.SimpleRandom(15).draw(frame, seed=1)
    main = pilot.next_wave(kt.SimpleRandom(20), frame, seed=2)
    for sample, name, who in ((pilot, "1", 1), (main, "2", 2)):
        sample.to_labelling(tmp_path / name, frame, "body", {"hostile": classes}, annotators=who, overlap=who)
        for path in (tmp_path / name).glob("*.csv"):
            fill_csv(path, frame, (lambda row: row.update(hostile="no")) if path.stem == "annotator-2" else len)
    first = pilot.read_labels(tmp_path / "1", frame)
    with (
        pytest.warns(DesignWarning, match="differ on"),
        pytest.raises(DataError, match=r"holds gold as text, what was read is numbers.*in one call"),
    ):
        main.read_labels(tmp_path / "2", first)
    with pytest.warns(DesignWarning, match="differ on"):
        whole = main.read_labels([tmp_path / "1", tmp_path / "2"], frame)
    assert whole[[c for c in whole if c.startswith("hostile")]].notna().all(axis=1).sum() == 35
    with pytest.warns(DesignWarning, match="no class is ahead"):
        by_class = main.read_labels(tmp_path / "2", first, join="majority")
    assert by_class["hostile"].dropna().isin(classes).sum() == 35


def test_decimal_commas_that_cannot_be_thousands():
    question = read_questions({"n": "number"})[0]
    assert [question.read(v) for v in ("0,125", "1,5", "12,34", "1234", "1234,567")] == [
        0.125,
        1.5,
        12.34,
        1234,
        1234.567,
    ]
    for text in ("1,234", "-12,000"):
        with pytest.raises(DataError, match="without a comma"):
            question.read(text)


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_ids_in_json_stay_text(ending, tmp_path):
    table = pd.DataFrame({"id": ["001", "002", "010"], "x": [1, 2, 3], "y": [0.5, None, 1.5], "t": ["a", None, "1"]})
    write_file(table, tmp_path / f"a{ending}")
    back = read_file(tmp_path / f"a{ending}")
    assert back["id"].tolist() == ["001", "002", "010"]
    assert back["x"].dtype.kind == "i"
    assert back["y"].dtype.kind == "f"
    assert back["t"].isna().tolist() == [False, True, False]
