"""Marked passages: from tools and tables, agreement, variables of documents."""

import json

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError

LABELS = ["threat", "praise"]
TEXTS = {"d1": "0123456789" * 2, "d2": "a" * 10}
SPANS = {
    ("d1", "ann"): [(0, 4, "threat"), (10, 12, "praise")],
    ("d1", "ben"): [(2, 6, "threat")],
    ("d2", "ann"): [],
    ("d2", "ben"): [],
}


def as_table():
    rows = [(d, w, s, e, k) for (d, w), found in SPANS.items() for s, e, k in found or [(None, None, None)]]
    return pd.DataFrame(rows, columns=["document", "annotator", "start", "end", "label"])


def exports(folder):
    """The same passages as each tool keeps them."""

    def regions(found):
        return [
            {"type": "labels", "from_name": "l", "value": {"start": s, "end": e, "labels": [k]}} for s, e, k in found
        ]

    def objects(found):
        return [{"start": s, "end": e, "label": k} for s, e, k in found]

    studio = [
        {"data": {"document": d}, "annotations": [{"completed_by": {"email": w}, "result": regions(f)}]}
        for (d, w), f in SPANS.items()
    ]
    argilla = [
        {"id": d, "fields": {}, "responses": {"l": [{"value": objects(f), "user_id": w, "status": "submitted"}]}}
        for (d, w), f in SPANS.items()
    ]
    prodigy = [
        {"document": d, "text": "", "spans": objects(f), "answer": "accept", "_annotator_id": w}
        for (d, w), f in SPANS.items()
    ]
    potato = [
        {"instance_id": d, "user_id": w, "labels": {}, "spans": {"l": objects(f)} if f else {}}
        for (d, w), f in SPANS.items()
    ]
    (folder / "studio.json").write_text(json.dumps(studio))
    (folder / "argilla.json").write_text(json.dumps(argilla))
    for name, lines in (("prodigy", prodigy), ("potato", potato)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for who in ("ann", "ben"):
        lines = [
            {"id": 1, "text": "", "document": d, "label": [list(s) for s in f]}
            for (d, w), f in SPANS.items()
            if w == who
        ]
        (folder / f"{who}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    as_table().to_csv(folder / "table.csv", index=False)
    return {
        "studio": "studio.json",
        "argilla": "argilla.json",
        "prodigy": "prodigy.jsonl",
        "potato": "potato.jsonl",
        "doccano": ("ann.jsonl", "ben.jsonl"),
        "table": "table.csv",
    }


@pytest.mark.parametrize("tool", ["studio", "argilla", "prodigy", "potato", "doccano", "table"])
def test_the_same_passages_from_every_tool(tool, tmp_path):
    names = exports(tmp_path)[tool]
    paths = [tmp_path / name for name in ([names] if isinstance(names, str) else names)]
    spans = kt.read_spans(paths, LABELS)
    frame = kt.read_spans(as_table(), LABELS)
    pd.testing.assert_frame_equal(spans.table, frame.table)
    assert set(spans.seen) == set(SPANS)


def characters(label):
    """Each character's codes by document, written out."""
    out = []
    for d, text in TEXTS.items():
        marks = np.zeros((2, len(text)))
        for i, who in enumerate(("ann", "ben")):
            for s, e, k in SPANS[d, who]:
                marks[i, s:e] = np.maximum(marks[i, s:e], k == label)
        out.append(marks)
    return np.hstack(out)


def test_alpha_is_that_of_characters():
    got = kt.read_spans(as_table(), LABELS).agreement(TEXTS, draws=50)
    for label in LABELS:
        marks = characters(label)
        counts = np.column_stack([2 - marks.sum(axis=0), marks.sum(axis=0)])
        assert got.loc[label, "alpha"] == pytest.approx(kt.labels.krippendorff_alpha(counts), abs=1e-12)
    assert got.loc["threat", ["exact", "overlapping", "passages"]].tolist() == [0.0, 1.0, 2.0]
    assert got.loc["praise", "exact"] == 0.0
    assert got.loc["threat", "2.5%"] <= got.loc["threat", "alpha"] <= got.loc["threat", "97.5%"] + 1e-12


def test_alike_marks_agree_fully():
    table = as_table()
    same = pd.concat([table[table["annotator"] == "ann"].assign(annotator=w) for w in ("ann", "ben", "cy")])
    got = kt.read_spans(same, LABELS).agreement(TEXTS, draws=0)
    assert got[["alpha", "exact", "overlapping"]].to_numpy().ravel().tolist() == [1.0] * 6


def test_variables_of_documents_become_gold():
    spans = kt.read_spans(as_table(), LABELS)
    found = spans.documents(TEXTS).set_index(["document", "annotator"])
    assert found.loc[("d1", "ann")].tolist() == [1, 1, 0.2, 1, 1, 0.1]
    assert found.loc[("d2", "ben")].tolist() == [0, 0, 0, 0, 0, 0]
    overlapping = kt.read_spans(
        {"document": ["d"] * 2, "start": [0, 2], "end": [4, 6], "label": ["threat"] * 2}, LABELS
    )
    assert overlapping.documents({"d": "0" * 10})["threat_share"].tolist() == [0.6], "no character counts twice"
    corpus = pd.DataFrame({"body": list("abcdef")})
    sample = kt.SimpleRandom(n=2).draw(corpus, seed=1)
    names = sample.design.documents(kt.designs.base.Table.read(corpus))[0]
    marked = kt.read_spans(
        {
            "document": [names[0], names[1]],
            "annotator": ["ann"] * 2,
            "start": [0, None],
            "end": [1, None],
            "label": ["threat", None],
        },
        LABELS,
    )
    gold = sample.read_labels(marked.documents(), corpus, labels={"threat_any": [0, 1], "threat_count": "number"})
    assert sorted(gold["threat_any"].dropna()) == [0, 1]
    assert gold["threat_count"].sum() == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"document": ["d"], "start": [0], "end": [4]}, "no column 'label'"),
        ({"document": ["d"], "start": ["x"], "end": [4], "label": ["threat"]}, "row 1: the start of a passage is 'x'"),
        ({"document": ["d"], "start": [0], "end": [1.5], "label": ["threat"]}, "the end of a passage is '1.5'"),
        ({"document": ["d"], "start": [4], "end": [4], "label": ["threat"]}, "from 4 to 4 is none"),
        ({"document": ["d"], "start": [0], "end": [4], "label": ["fear"]}, "the label 'fear' is not among"),
        ({"document": ["d"], "start": [0], "end": [4], "label": [None]}, "has no label"),
        ({"document": [None], "start": [0], "end": [4], "label": ["threat"]}, "row 1 has no 'document'"),
    ],
)
def test_broken_passages_are_named(rows, message):
    with pytest.raises(DataError, match=message):
        kt.read_spans(rows, LABELS)


def test_what_does_not_fit_is_named(tmp_path):
    spans = kt.read_spans(as_table(), LABELS)
    with pytest.raises(DataError, match="no text of the document 'd1'"):
        spans.agreement({"d2": "a" * 10})
    with pytest.raises(DataError, match="ends at 12, its text at 5"):
        spans.documents({"d1": "01234", "d2": ""})
    with pytest.raises(ArgumentError, match="labels='threat'"):
        kt.read_spans(as_table(), "threat")
    with pytest.raises(ArgumentError, match="columns names 'unit'"):
        kt.read_spans(as_table(), LABELS, columns={"unit": "document"})
    with pytest.raises(DataError, match="no document has two annotators"):
        kt.read_spans(as_table().query("annotator == 'ann'"), LABELS).agreement(TEXTS)
    (tmp_path / "a.jsonl").write_text(json.dumps({"document": "d", "label": ["threat"]}))
    with pytest.raises(DataError, match=r"a.jsonl: record 1: 'label' holds 'threat', which is not a passage"):
        kt.read_spans(tmp_path / "a.jsonl", LABELS)
