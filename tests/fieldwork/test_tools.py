"""Answers in the shapes that labelling tools export, and in tables of coders; and what the tools are handed.

Shapes are those of argilla 2 (``records.to_json``, ``to_list(flatten=True)``), doccano's JSONL, ``prodigy db-out``,
Potato 2 (jsonl, csv, ``user_state.json``) and 1 (``annotated_instances.jsonl``), GABRIEL's and quallmer's frames.
"""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.cli import main
from karat.errors import ArgumentError, DataError, DesignWarning

LABELS = {"hostile": ["no", "yes"], "tone": "number:-4:4", "clarity": "rating:5", "remark": "text"}
CHOICE = {"hostile": ["no", "yes"]}
TOOLS = ("csv", "xlsx", "label-studio", "argilla", "doccano", "prodigy", "potato")


@pytest.fixture(scope="module")
def frame():
    return pd.DataFrame(
        {"body": [f'=text {k}, "quoted"\nünïcode' for k in range(30)], "title": [f"T{k}" for k in range(30)]}
    )


@pytest.fixture(scope="module")
def sample(frame):
    return kt.SimpleRandom(6).draw(frame, seed=1)


def said(text):
    """What an expert would say."""
    k = int(text.rsplit("text ", 1)[1].split(",")[0])
    return {"hostile": "yes" if k % 2 else "no", "tone": k % 9 - 4.0, "clarity": k % 5 + 1, "remark": f"[remark] {k}"}


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")


def fill(folder, tool, labels=LABELS):
    """Answer what a tool was handed, and leave it as the tool exports it."""
    if tool == "xlsx":
        table = pd.read_excel(folder / "annotator.xlsx", dtype=str, keep_default_na=False)
        table.assign(**{q: [str(said(t)[q]) for t in table["text"]] for q in labels}).to_excel(
            folder / "annotator.xlsx", index=False
        )
    elif tool == "argilla":
        out = []
        for record in json.loads((folder / "annotator.argilla.json").read_text()):
            answers = {
                q: [{"value": said(record["fields"]["text"])[q], "user_id": "9a93-7c", "status": "submitted"}]
                for q in labels
            }
            out.append({**record, "responses": answers, "status": "completed", "_server_id": "1f"})
        (folder / "annotator.argilla.json").write_text(json.dumps(out))
    elif tool == "doccano":
        write_lines(folder / "annotator.doccano.jsonl", [
            {"id": i, **line, "label": [f"{q}: {said(line['text'])[q]}" for q in labels], "Comments": []}
            for i, line in enumerate(lines(folder / "annotator.doccano.jsonl"), 1)
        ])  # fmt: skip
    elif tool == "prodigy":
        for path in folder.glob("*.prodigy.jsonl"):
            out = []
            for task in lines(path):
                value = str(said(task["text"])[task["question"]])
                answer = (
                    {"accept": [value], "config": {"choice_style": "single"}}
                    if "options" in task
                    else {task["field_id"]: value}
                )
                out.append(
                    {
                        **task,
                        **answer,
                        "answer": "accept",
                        "_input_hash": 1,
                        "_task_hash": 2,
                        "_annotator_id": "gold-ann",
                    }
                )
            write_lines(path, out)
    elif tool == "potato":
        out = []
        for item in lines(folder / "annotator.potato.jsonl"):
            a = said(item["text"])
            stored = {
                "hostile": {a["hostile"]: "true"},
                "tone": {"number_input": a["tone"]},
                "clarity": {str(a["clarity"]): True},
                "remark": {"text_box": a["remark"]},
            }
            out.append(
                {
                    "instance_id": item["id"],
                    "user_id": "ann",
                    "labels": {q: stored[q] for q in labels},
                    "spans": {},
                    "links": {},
                }
            )
        write_lines(folder / "annotations.jsonl", out)


@pytest.mark.parametrize("tool", ["xlsx", "argilla", "doccano", "prodigy", "potato"])
def test_there_and_back(tool, frame, sample, tmp_path):
    labels = {q: LABELS[q] for q in ("hostile", "clarity")} if tool == "doccano" else LABELS
    sample.to_labelling(tmp_path, frame, "body", labels, show=["title"], formats=(tool,))
    assert len(sample.read_annotations(tmp_path, frame)) == 0, "nothing is answered yet"
    fill(tmp_path, tool, labels)
    gold = sample.read_labels(tmp_path, frame)
    for q in labels:
        right = [said(t)[q] for t in frame["body"][sample.positions]]
        assert gold[q].iloc[sample.positions].tolist() == right
        assert gold[q].notna().sum() == 6
    long = sample.read_annotations(tmp_path, frame)
    assert long["annotator"].unique().tolist() == [
        {"argilla": "9a93-7c", "prodigy": "gold-ann", "potato": "ann"}.get(tool, "annotator")
    ]
    assert set(long["status"]) == {"answered"}


def test_what_tools_are_handed_is_blind_and_the_same_each_time(frame, sample, tmp_path):
    pytest.importorskip("openpyxl")
    for name in ("a", "b"):
        sample.to_labelling(tmp_path / name, frame, "body", CHOICE, show=["title"], formats=TOOLS)
    files = sorted((tmp_path / "a").iterdir())
    assert len(files) == 12
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    assert [
        o["value"]
        for o in json.loads((tmp_path / "a/argilla-settings.json").read_text())["questions"][0]["settings"]["options"]
    ] == ["no", "yes"]
    assert json.loads((tmp_path / "a/doccano-labels.json").read_text()) == [{"text": "no"}, {"text": "yes"}]
    project = json.loads((tmp_path / "a/annotator.potato.yaml").read_text())
    assert project["data_files"] == ["annotator.potato.jsonl"]
    assert project["annotation_schemes"][0]["labels"] == ["no", "yes"]
    import openpyxl

    page = openpyxl.load_workbook(tmp_path / "a/annotator.xlsx").active
    assert page["C2"].data_type == "s"
    assert page["C2"].value.startswith("=text")
    assert page.data_validations.dataValidation[0].formula1 == '"no,yes"'


def test_questions_that_a_tool_cannot_ask(frame, sample, tmp_path):
    with pytest.raises(ArgumentError, match=r"'doccano'.*'tone' is a number from -4 to 4"):
        sample.to_labelling(tmp_path / "x", frame, "body", LABELS, formats=("doccano",))
    long = frame.assign(body="a" * 40_000)
    drawn = kt.SimpleRandom(2).draw(long, seed=1)
    with pytest.raises(ArgumentError, match=r"'xlsx'.*32,767"):
        drawn.to_labelling(tmp_path / "x", long, "body", CHOICE, formats=("xlsx",))


def read(tmp_path, name, content, labels=CHOICE, **options):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif name.endswith(".jsonl"):
        write_lines(path, content)
    else:
        path.write_text(json.dumps(content))
    table = kt.read_answers(path, labels, **options)
    return (
        table[["document", "annotator", *labels, "status"]]
        .astype(object)
        .where(lambda t: t.notna(), None)
        .to_numpy()
        .tolist()
    )


# ---- several codes, scales, codebooks, decisions ------------------------------------------------------------


CODES = [kt.annotate.Code(1, "yes", "Wants it."), kt.annotate.Code(0, "no", "Does not.")]
BOOK = kt.annotate.Codebook("support", "Wants the tram?", CODES)
ASKED = {"support": BOOK, "topic": "several:law,war", "care": "scale:1:7"}
ANY = ("xlsx", "csv", "argilla", "doccano", "prodigy", "potato", "label-studio")


def answer(folder, tool, given):
    """Leave what a tool was handed as it exports it; ``given``: document -> question -> list of words."""
    if tool in ("csv", "xlsx"):
        path = folder / f"annotator.{tool}"
        read_table = pd.read_csv if tool == "csv" else pd.read_excel
        table = read_table(path, dtype=str, keep_default_na=False)
        for q in given(table["document"][0]):
            table[q] = ["; ".join(given(d)[q]) for d in table["document"]]
        table.to_csv(path, index=False) if tool == "csv" else table.to_excel(path, index=False)
    elif tool == "argilla":
        path = folder / "annotator.argilla.json"
        asked = json.loads((folder / "argilla-settings.json").read_text())["questions"]
        value = {q["name"]: {o["text"]: o["value"] for o in q["settings"].get("options", ())} for q in asked}
        many = {q["name"] for q in asked if q["settings"]["type"] == "multi_label_selection"}
        records = json.loads(path.read_text())
        for record in records:
            for q, words in given(record["id"]).items():
                values = [value[q][word] for word in words]
                one = {"value": values if q in many else values[0], "user_id": "u", "status": "submitted"}
                record["responses"][q] = [one]
        path.write_text(json.dumps(records))
    elif tool == "doccano":
        offered = {label["text"] for label in json.loads((folder / "doccano-labels.json").read_text())}
        out = []
        for line in lines(folder / "annotator.doccano.jsonl"):
            asked = given(line["document"])
            chosen = [f"{q}: {w}" if len(asked) > 1 else w for q, words in asked.items() for w in words]
            assert set(chosen) <= offered
            out.append({**line, "label": chosen})
        write_lines(folder / "annotator.doccano.jsonl", out)
    elif tool == "prodigy":
        for path in folder.glob("*.prodigy.jsonl"):
            out = []
            for task in lines(path):
                ids = {o["text"]: o["id"] for o in task["options"]}
                accept = [ids[word] for word in given(task["document"])[task["question"]]]
                assert len(accept) == 1 or task["config"]["choice_style"] == "multiple"
                out.append({**task, "accept": accept, "answer": "accept", "_annotator_id": "u"})
            write_lines(path, out)
    elif tool == "potato":
        schemes = {
            s["name"]: s for s in json.loads((folder / "annotator.potato.yaml").read_text())["annotation_schemes"]
        }
        out = []
        for item in lines(folder / "annotator.potato.jsonl"):
            stored = {q: {word: "true" for word in words} for q, words in given(item["id"]).items()}
            assert all(schemes[q]["annotation_type"] == "multiselect" for q in stored if len(stored[q]) > 1)
            out.append({"instance_id": item["id"], "user_id": "u", "labels": stored})
        write_lines(folder / "annotations.jsonl", out)
    else:
        path = folder / "annotator.json"
        tasks = json.loads(path.read_text())
        for task in tasks:
            result = [
                {"from_name": q, "value": {"number": 7} if q == "care" else {"choices": words}}
                for q, words in given(task["data"]["document"]).items()
            ]
            task["annotations"] = [{"result": result, "completed_by": 1}]
        path.write_text(json.dumps(tasks))


@pytest.mark.parametrize("tool", ANY)
def test_several_codes_codebooks_and_scales_in_every_tool(tool, frame, sample, tmp_path):
    paths = sample.to_labelling(tmp_path, frame, "body", ASKED, formats=(tool,))
    assert "codebook.txt" in {p.name for p in paths}
    topics = {d: (["law", "war"], ["war"], ["none"])[k % 3] for k, d in enumerate(sorted(_documents(tmp_path)))}
    answer(tmp_path, tool, lambda d: {"support": ["yes"], "topic": topics[d], "care": ["7"]})
    long = sample.read_annotations(tmp_path, frame).set_index("document")
    assert long["topic_law"].to_dict() == {d: int("law" in words) for d, words in topics.items()}
    assert long["topic_war"].to_dict() == {d: int("war" in words) for d, words in topics.items()}
    assert set(long["support"]) == {1}
    assert set(long["care"]) == {7}
    again = long.reset_index()[["document", "annotator", "support", "topic_law", "topic_war", "care"]]
    split = kt.read_answers(again, ASKED).set_index("document")
    assert split.loc[long.index, ["topic_law", "topic_war"]].equals(long[["topic_law", "topic_war"]])


def _documents(folder):
    given = json.loads((folder / "labelling.json").read_text())["annotators"]
    return {document for documents in given.values() for document in documents}


@pytest.mark.parametrize("tool", [tool for tool in ANY if tool != "potato"])
def test_decisions_come_back_from_every_tool(tool, frame, sample, tmp_path):
    labels = {"topic": "several:law,war"}
    sample.to_labelling(tmp_path, frame, "body", labels, formats=("csv",), annotators=["ann", "ben"], overlap=2)
    for name, topic in (("ann", "law"), ("ben", "law; war")):
        table = pd.read_csv(tmp_path / f"{name}.csv", dtype=str)
        table.assign(topic=topic).to_csv(tmp_path / f"{name}.csv", index=False)
    long = sample.read_annotations(tmp_path, frame)
    third = tmp_path / "third"
    sample.to_adjudication(third, frame, "body", long, labels, annotators=["annotator"], formats=(tool,))
    answer(third, tool, lambda d: {"topic": ["none"]})
    gold = sample.read_labels([tmp_path, third], frame).iloc[sample.positions]
    assert gold[["topic_law", "topic_war"]].to_numpy().tolist() == [[0, 0]] * 6
    with pytest.raises(ArgumentError, match="'potato', whose exports do not hold what others answered"):
        sample.to_adjudication(third, frame, "body", long, labels, formats=("potato",))


def test_who_answered_first_may_decide(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", CHOICE, formats=("csv",), annotators=["ann", "ben"], overlap=2)
    for name, said in (("ann", "no"), ("ben", "yes")):
        table = pd.read_csv(tmp_path / f"{name}.csv", dtype=str)
        table.assign(hostile=said).to_csv(tmp_path / f"{name}.csv", index=False)
    long = sample.read_annotations(tmp_path, frame)
    third = tmp_path / "third"
    path, _ = sample.to_adjudication(third, frame, "body", long, CHOICE, annotators=["ann"], formats=("csv",))
    pd.read_csv(path, dtype=str).assign(hostile="yes").to_csv(path, index=False)
    assert set(sample.read_labels([tmp_path, third], frame)["hostile"].dropna()) == {"yes"}
    both = sample.read_annotations([tmp_path, third], frame)
    assert both.groupby("annotator")["settles"].sum().to_dict() == {"ann": 6, "ben": 0}


def test_guidelines_and_hints(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", ASKED, formats=("argilla", "potato", "xlsx"), instructions="Read it.")
    settings = json.loads((tmp_path / "argilla-settings.json").read_text())
    assert settings["guidelines"].startswith("Read it.")
    assert "yes: Wants it." in settings["guidelines"]
    first = settings["questions"][0]
    assert (first["title"], first["settings"]["options"][0]) == (
        "Wants the tram?", {"value": "1", "text": "yes", "description": "Wants it."},
    )  # fmt: skip
    scheme = json.loads((tmp_path / "annotator.potato.yaml").read_text())["annotation_schemes"][0]
    assert scheme["labels"][0] == {"name": "yes", "tooltip": "Wants it."}
    import openpyxl

    rules = openpyxl.load_workbook(tmp_path / "annotator.xlsx").active.data_validations.dataValidation
    assert [rule.formula1 for rule in rules] == ['"yes,no"', '"1,2,3,4,5,6,7"']


def test_several_codes_in_tables_and_what_is_refused(tmp_path):
    topic = {"topic": "several:law,war"}
    listed = pd.DataFrame({"id": [1, 2, 3], "topic": [["war"], [], None]})
    found = kt.read_answers(listed, topic)
    assert found[["topic_law", "topic_war"]].to_numpy().tolist() == [[0, 1], [0, 0]]
    texts = 'id,topic\na,"[""war"", ""law""]"\nb,[]\nc,law\nd,\n'
    (tmp_path / "a.csv").write_text(texts)
    assert kt.read_answers(tmp_path / "a.csv", topic)[["topic_law", "topic_war"]].to_numpy().tolist() == [
        [1, 1], [0, 0], [1, 0],
    ]  # fmt: skip
    polars = kt.read_answers(pl.DataFrame({"id": [1], "topic": [["war"]]}), topic)
    assert polars["topic_war"].tolist() == [1]
    split = pd.DataFrame({"id": [1, 2], "topic_law": [True, False], "topic_war": [False, False]})
    assert kt.read_answers(split, topic)["topic_law"].tolist() == [1, 0]
    with pytest.raises(DataError, match="'1': 'topic_war' is empty, but other classes of 'topic'"):
        kt.read_answers(split.astype(object).assign(topic_war=[None, 0]), topic)
    with pytest.raises(DataError, match="'law' was asked alone"):
        read(tmp_path, "b.jsonl", [{"document": "d", "label": "law", "answer": "accept"}], topic)
    with pytest.raises(ArgumentError, match=r"'status', a column of the table of answers.*columns="):
        kt.read_answers({"id": [1], "status": ["yes"]}, {"status": ["no", "yes"]})
    found = kt.read_answers({"id": [1], "status": ["yes"]}, {"state": ["no", "yes"]}, columns={"state": "status"})
    assert found["state"].tolist() == ["yes"]


def test_notes_and_flags_without_an_answer(tmp_path):
    text = "document,annotator,hostile,note,status\nd1,ann,,torn,\nd2,ann,,,flagged\nd3,ann,no,odd,\nd4,ann,,,\n"
    (tmp_path / "a.csv").write_text(text)
    found = kt.read_answers(tmp_path / "a.csv", CHOICE)
    assert found["status"].tolist() == ["skipped", "flagged", "answered"]
    assert found["note"].where(found["note"].notna(), None).tolist() == ["torn", None, "odd"]
    assert not found["settles"].any()


# ---- statuses ----------------------------------------------------------------------------------------------


def test_statuses_of_argilla(tmp_path):
    flat = {
        "id": "d1", "status": "completed", "text": "a", "hostile.responses": ["yes", "no", "no"],
        "hostile.responses.users": ["u1", "u2", "u3"], "hostile.responses.status": ["submitted", "discarded", "draft"],
        "hostile.suggestion": "no", "hostile.suggestion.score": 0.4,
    }  # fmt: skip
    assert read(tmp_path, "a.json", [flat]) == [["d1", "u1", "yes", "answered"], ["d1", "u2", None, "skipped"]]
    nested = {"id": "d1", "fields": {"text": "a"}, "responses": {"hostile": [{"value": "yes", "user_id": "u1"}]}}
    with pytest.warns(DesignWarning, match="a.json does not say which answers are drafts or discarded"):
        assert read(tmp_path, "a.json", [nested]) == [["d1", "u1", "yes", "answered"]]


def test_statuses_of_prodigy(tmp_path):
    task = {"text": "a", "options": [{"id": "no", "text": "no"}, {"id": "yes", "text": "yes"}], "_session_id": "s-ann"}
    rows = [
        {**task, "document": "d1", "accept": ["yes"], "answer": "accept"},
        {**task, "document": "d2", "accept": [], "answer": "ignore"},
        {**task, "document": "d3", "accept": ["no"], "answer": "reject"},
        {**task, "document": "d4", "accept": ["no"], "answer": "accept", "flagged": True},
        {**task, "meta": {"document": "d5"}, "accept": [], "answer": "accept"},
    ]
    assert read(tmp_path, "a.jsonl", rows) == [
        ["d1", "s-ann", "yes", "answered"], ["d2", "s-ann", None, "skipped"], ["d3", "s-ann", None, "refused"],
        ["d4", "s-ann", "no", "flagged"],
    ]  # fmt: skip
    binary = [
        {"document": d, "label": "yes", "answer": a} for d, a in (("d1", "accept"), ("d2", "reject"), ("d3", "ignore"))
    ]
    assert [row[2:] for row in read(tmp_path, "b.jsonl", binary)] == [
        ["yes", "answered"],
        ["no", "answered"],
        [None, "skipped"],
    ]
    with pytest.raises(DataError, match="'yes' was rejected, which leaves 2 classes"):
        read(tmp_path, "b.jsonl", binary, {"hostile": ["no", "yes", "both"]})


def test_statuses_in_tables(tmp_path):
    text = "document,annotator,hostile,status\nd1,ann,yes,\nd2,ann,yes,skipped\nd3,ann,,Refused\n"
    text += "d4,ann,no,flag\nd5,ann,,\nd6,ann,no,draft\n"
    assert read(tmp_path, "a.csv", text) == [
        ["d1", "ann", "yes", "answered"], ["d2", "ann", None, "skipped"], ["d3", "ann", None, "refused"],
        ["d4", "ann", "no", "flagged"],
    ]  # fmt: skip
    with pytest.raises(
        DataError, match=r"a.csv: document 'd1': the status 'later' is not known; write one of answered"
    ):
        read(tmp_path, "a.csv", text.replace("yes,\n", "yes,later\n"))


def test_flagged_and_refused_documents_are_told_of(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", CHOICE, formats=("csv",))
    table = pd.read_csv(tmp_path / "annotator.csv", dtype=str).assign(
        hostile="no", status=["flagged", "refused", "skipped", "", "", ""]
    )
    table.to_csv(tmp_path / "annotator.csv", index=False)
    with pytest.warns(DesignWarning) as told:
        gold = sample.read_labels(tmp_path, frame)
    assert gold["hostile"].notna().sum() == 4
    said = " ".join(str(w.message) for w in told)
    assert "1 document(s) are flagged; their answers count" in said
    assert "2 of 6 drawn row(s) have no 'hostile' yet" in said
    assert "(1 skipped and 1 refused)" in said


# ---- further shapes ----------------------------------------------------------------------------------------


def test_doccano_of_one_question_and_of_texts(tmp_path):
    rows = [
        {"id": 1, "text": "a", "document": "d1", "label": ["yes"], "Comments": ["?"]},
        {"id": 2, "text": "b", "document": "d2", "label": []},
    ]
    assert read(tmp_path, "anna.jsonl", rows) == [["d1", "anna", "yes", "answered"]]
    assert read(
        tmp_path, "all.json", [{"text": "a", "meta": {"document": "d1"}, "label": ["a word"]}], {"remark": "text"}
    ) == [["d1", "all", "a word", "answered"]]
    for label, message in (
        ([[0, 3, "yes"]], "a marked passage and no label of the text"),
        (["yes", "no"], "two answers to 'hostile'"),
        (["maybe"], "document d1: 'maybe' is not allowed for 'hostile'"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path, "anna.jsonl", [{"text": "a", "document": "d1", "label": label}])
    with pytest.raises(DataError, match="'yes' does not say which question it answers"):
        read(tmp_path, "anna.jsonl", [{"text": "a", "document": "d1", "label": ["yes"]}], {**CHOICE, "b": [0, 1]})


def test_potato_in_its_other_shapes(tmp_path):
    csv = "instance_id,user_id,hostile.yes,hostile.no,tone.number_input,hostile._spans\n"
    csv += "d1,u1,true,,0,\nd2,u1,,True,-2.5,\nd3,u1,,,,\n"
    both = {**CHOICE, "tone": "number"}
    assert read(tmp_path, "annotations.csv", csv, {**CHOICE, "tone": "number"}) == [
        ["d1", "u1", "yes", 0.0, "answered"],
        ["d2", "u1", "no", -2.5, "answered"],
    ]
    state = {
        "user_id": "u1",
        "instance_id_to_label_to_value": {
            "d1": {"hostile": {"labels": {"yes": True}}, "tone": {"labels": {"slider": 3}}}
        },
    }
    assert read(tmp_path, "u1/user_state.json", state, both) == [["d1", "u1", "yes", 3.0, "answered"]]
    old = {"id": "d1", "displayed_text": "a", "label_annotations": {"hostile": {"no": "2"}}, "span_annotations": {}}
    assert read(tmp_path, "eve/annotated_instances.jsonl", [old]) == [["d1", "eve", "no", "answered"]]
    assert kt.read_answers(tmp_path / "eve", CHOICE)["annotator"].tolist() == ["eve"]
    (tmp_path / "annotations.csv").unlink()
    found = kt.read_answers(tmp_path, CHOICE)
    assert set(found["annotator"]) == {"u1", "eve"}, "a folder with a folder for each user"
    with pytest.raises(DataError, match="2 answers to 'hostile'"):
        read(
            tmp_path,
            "a.jsonl",
            [{"instance_id": "d1", "user_id": "u", "labels": {"hostile": {"yes": "true", "no": "true"}}}],
        )


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_wide_tables(make):
    table = make(
        {
            "id": [1, 2, 3],
            "hostile_ann": ["yes", "no", None],
            "hostile_ben": ["no", "no", None],
            "hostile war_ann": ["x", "y", "z"],
        }
    )
    expected = [["1", "ann", "yes"], ["1", "ben", "no"], ["2", "ann", "no"], ["2", "ben", "no"]]
    found = kt.read_answers(table, CHOICE, coders={"ann": "hostile_ann", "ben": "hostile_ben"})
    assert found[["document", "annotator", "hostile"]].to_numpy().tolist() == expected
    found = kt.read_answers(table, CHOICE, coders=["hostile_ann", "hostile_ben"])
    assert found["annotator"].tolist() == ["hostile_ann", "hostile_ben"] * 2
    found = kt.read_answers(make({"id": [1], "A": ["yes"], "B": ["no"]}), CHOICE, coders=["A", "B"])
    assert found[["annotator", "hostile"]].to_numpy().tolist() == [["A", "yes"], ["B", "no"]]
    two = make({"unit": ["a"], "hostile.ann": ["yes"], "tone.ann": [1.5], "tone.ben": [2.0]})
    both = {**CHOICE, "tone": "number"}
    for coders in (
        None,
        ["ann", "ben"],
        {"ann": {"hostile": "hostile.ann", "tone": "tone.ann"}, "ben": {"tone": "tone.ben"}},
    ):
        found = kt.read_answers(two, both, columns={"document": "unit"}, coders=coders)
        assert found["tone"].tolist() == [1.5, 2.0]
        assert found["hostile"].tolist() == ["yes", None]


def test_longest_label_takes_a_wide_column():
    table = {"id": [1], "war_ann": [1], "war_crimes_ann": [0]}
    found = kt.read_answers(table, {"war": [0, 1], "war_crimes": [0, 1]})
    assert found[["annotator", "war", "war_crimes"]].to_numpy().tolist() == [["ann", 1, 0]]


def test_frames_of_gabriel_and_quallmer(tmp_path):
    rated = pd.DataFrame({"text": ["a", "b"], "run": [1, 1], "hostility": [80.0, np.nan]})
    found = kt.read_answers(rated, {"hostility": "number:0:100"})
    assert found[["document", "annotator", "hostility"]].to_numpy().tolist() == [["a", "1", 80.0]]
    classified = 'text,predicted_classes,war,law\na,"[""war""]",True,False\nb,[],False,False\n'
    topic = {"topic": ["law", "war"]}
    assert read(tmp_path, "cleaned.csv", classified, topic, columns={"topic": "predicted_classes"}) == [
        ["a", "cleaned", "war", "answered"]
    ]
    assert [row[2] for row in read(tmp_path, "cleaned.csv", classified, {"war": [False, True]})] == [True, False]
    assert [row[2] for row in read(tmp_path, "cleaned.csv", classified, {"war": [0, 1]})] == [1, 0]
    with pytest.raises(DataError, match="document 'a' has 2 answers to 'topic'"):
        read(
            tmp_path,
            "cleaned.csv",
            classified.replace('""war""', '""war"", ""law""'),
            topic,
            columns={"topic": "predicted_classes"},
        )
    coded = ".id,hostile,score\ndoc1,yes,3\ndoc2,NA,NA\ndoc3,no,NA\n"
    assert read(tmp_path, "q.csv", coded, {**CHOICE, "score": "number"}) == [
        ["doc1", "q", "yes", 3.0, "answered"], ["doc3", "q", "no", None, "answered"],
    ]  # fmt: skip


def test_paths_that_can_be_gone_through_once(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", CHOICE, formats=("csv",))
    table = pd.read_csv(tmp_path / "annotator.csv", dtype=str).assign(hostile="no")
    table.to_csv(tmp_path / "annotator.csv", index=False)
    for paths in (lambda: tmp_path.glob("*.csv"), lambda: {tmp_path / "annotator.csv"}):
        assert sample.read_labels(paths(), frame)["hostile"].notna().sum() == 6
        assert len(sample.read_annotations(paths(), frame)) == 6
        assert len(kt.read_answers(paths(), CHOICE)) == 6


def test_a_long_table_under_other_headers(frame, sample, tmp_path):
    sample.to_labelling(tmp_path, frame, "body", CHOICE, formats=("csv",))
    table = pd.read_csv(tmp_path / "annotator.csv", dtype=str)
    names = table["document"].tolist()
    long = pd.DataFrame({"unit": names * 2, "who": ["ann"] * 6 + ["ben"] * 6, "value": ["no"] * 12})
    gold = sample.read_labels(
        long, frame, labels=CHOICE, columns={"document": "unit", "annotator": "who", "hostile": "value"}
    )
    assert gold["hostile"].notna().sum() == 6
    wide = pd.DataFrame({"document": names, "hostile_ann": "no", "hostile_ben": "yes"})
    wide.to_csv(tmp_path / "wide.csv", index=False)
    found = sample.read_annotations(tmp_path / "wide.csv", frame)
    assert found["annotator"].tolist() == ["ann", "ben"] * 6


# ---- what is broken is named -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", [{"id": None, "fields": {}, "responses": {}}], "record 1 has no 'id'"),
        ("a.json", [{"id": "d", "fields": {}, "responses": []}], "'responses' is .* where an object"),
        ("a.json", [{"id": "d", "fields": {}, "responses": {"hostile": "yes"}}], "a list belongs"),
        ("a.json", [{"id": "d", "fields": {}, "responses": {"hostile": [{"user_id": "u"}]}}], "but no 'value'"),
        (
            "a.json",
            [{"id": "d", "fields": {}, "responses": {"hostil": [{"value": "yes"}]}}],
            "'?hostil'?, but none to 'hostile'",
        ),
        (
            "a.json",
            [{"id": "d", "hostile.responses": ["yes"], "hostile.responses.users": ["a", "b"]}],
            "1 answers of 2 users",
        ),
        ("a.jsonl", [{"text": "a", "answer": "accept", "accept": ["yes"]}], "line 1 has no 'document'"),
        ("a.jsonl", [{"document": "d", "answer": "accept", "text": "a"}], "neither 'accept' nor 'hostile'"),
        ("a.jsonl", [{"document": "d", "answer": "perhaps", "accept": []}], "the status 'perhaps' is not known"),
        ("a.jsonl", [{"document": "d", "accept": ["yes", "no"], "answer": "accept"}], "2 answers to 'hostile'"),
        ("a.jsonl", [{"document": "d", "accept": ["Y"], "answer": "accept"}], "'Y' is not allowed for 'hostile'"),
        ("a.jsonl", [{"text": "a", "label": ["yes"]}], "line 1 has no 'document'"),
        ("a.jsonl", [{"instance_id": "d", "labels": ["yes"]}], "'labels' is .* where an object"),
        ("a.jsonl", [{"foo": 1}], r"fields \['foo'\], which no tool writes"),
        ("a.jsonl", "{", "is not JSON"),
        ("a.jsonl", "3", "must hold a list of tasks"),
        ("a.csv", "id,other\n1,2\n", "no column 'hostile'"),
        ("a.csv", "hostile\nyes\n", "no column 'document'"),
        ("a.csv", "id,hostile\n,yes\n", "row 1 has no 'id'"),
        ("a.xlsx", "no workbook", "cannot be read as an Excel file"),
    ],
)
def test_broken_files_are_named(name, content, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, name, content)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"documents": "id"}}, "columns names 'documents'"),
        ({"columns": ["id"]}, "columns=.*is not allowed"),
        ({"coders": "ann"}, "coders='ann' is not allowed"),
        ({"coders": {"ann": {"tone": "hostile_ann"}}}, "'tone', which is not among the labels"),
        ({"coders": {"ann": 3}}, r"coders\['ann'\]=3"),
        ({"annotators": {"a.csv": "ann"}}, "not among the files"),
        ({"duplicates": "first"}, "duplicates"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    with pytest.raises(ArgumentError, match=message):
        kt.read_answers({"id": [1], "hostile_ann": ["yes"]}, CHOICE, **options)


def test_columns_that_are_not_there():
    table = {"id": [1], "hostile_ann": ["yes"]}
    for options in ({"columns": {"document": "doc"}}, {"coders": {"ann": "hostile_eve"}}):
        with pytest.raises(DataError, match="the table has no column"):
            kt.read_answers(table, CHOICE, **options)


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"unit": ["a", "b"], "A": ["yes", "no"], "B": ["yes", ""]}).to_excel("coders.xlsx", index=False)
    command = ["answers", "coders.xlsx", "--label", "hostile=no,yes", "--column", "document=unit", "--coder", "ann=A"]
    assert main([*command, "--coder", "ben=B", "--out", "long.csv"]) == 0
    assert "3 answers of 2 annotator(s) about 2 document(s)" in capsys.readouterr().out
    assert pd.read_csv("long.csv")[["document", "annotator", "hostile"]].to_numpy().tolist() == [
        ["a", "ann", "yes"],
        ["a", "ben", "yes"],
        ["b", "ann", "no"],
    ]
    assert main([*command, "--coder", "ann=B", "--out", "long.csv"]) == 2
    assert "--coder names 'ann' twice" in capsys.readouterr().err
    pd.DataFrame({"doc": range(9), "body": [f"text {k}" for k in range(9)]}).to_csv("corpus.csv", index=False)
    draw = "draw corpus.csv --n 4 --seed 1 --id doc --text body --label hostile=no,yes --out gold --format"
    assert main([*draw.split(), "xml"]) == 2
    assert "--format 'xml' is not known" in capsys.readouterr().err
    assert main([*draw.split(), "xlsx,prodigy"]) == 0
    tasks = lines(tmp_path / "gold/annotators/annotator.hostile.prodigy.jsonl")
    write_lines(
        tmp_path / "out.jsonl", [{**t, "accept": ["no"], "answer": "accept", "_annotator_id": "a"} for t in tasks]
    )
    assert (
        main(["labels", "out.jsonl", "--sample", "gold/sample.json", "--corpus", "corpus.csv", "--out", "labelled.csv"])
        == 0
    )
    assert pd.read_csv("labelled.csv")["hostile"].notna().sum() == 4
