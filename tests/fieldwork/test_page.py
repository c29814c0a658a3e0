"""Pages for annotators: what they hold, what they save, what is refused, and disagreements that are settled."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.errors import ArgumentError, DataError, DesignWarning
from karat.fieldwork import page
from karat.fieldwork.questions import read_questions

N = 12
CODES = [
    kt.annotate.Code(1, "yes", "Wants <it> built.", examples=["Build it!"], boundaries="trams elsewhere"),
    kt.annotate.Code(0, "no", "Does not want it."),
]
BOOK = kt.annotate.Codebook("support", "Does the writer want the tram?", CODES)
TOPICS = kt.annotate.Codebook("topic", "About what?", {"cost": "Money.", "noise": "Loud.", "time": ""}, several=True)
LABELS = {"support": BOOK, "topic": TOPICS, "tone": "scale:-3:3", "words": "number:0:", "remark": "text"}
NASTY = ["</script><script>alert(1)</script>", "<!-- <script>", "سطر\u202e", "a\u2028b\r\n", "{{payload}}"]


@pytest.fixture(scope="module")
def frame():
    body = [f"{NASTY[k % 5]} {k}" for k in range(40)]
    return pd.DataFrame({"body": body, "title": [f"<i>{k}</i>" for k in range(40)], "x": np.arange(40) % 7})


@pytest.fixture(scope="module")
def sample(frame):
    return kt.SimpleRandom(N).draw(frame, seed=8)


def hand_out(sample, frame, folder, labels=LABELS, **options):
    return sample.to_labelling(folder, frame, "body", labels, **{"formats": ("html",), **options})


def payload(path):
    """What a page holds, as its script reads it."""
    text = path.read_text("utf-8")
    inside = re.search(r'<script type="application/json" id="labelling">(.*?)</script>', text, re.DOTALL)
    return json.loads(inside[1])


def saved(path, answer, name=None, when="2030-01-01", **changes):
    """The file that a page saves once each of its documents is answered; ``answer``: document -> entry, or None."""
    about = payload(path)
    content = {"format": page.FORMAT, "version": 1, **{k: about[k] for k in ("page", "origin", "annotator", "settles")}}
    content |= {"asked": about["asked"], "saved": when, "answers": []}
    for each in about["documents"]:
        given = answer(each)
        if given is not None:
            entry = {"document": each["document"], "answers": given, "note": "", "flag": False}
            content["answers"].append(entry | given.pop("more", {}))
    content |= changes
    out = path.with_name(name or f"{path.stem}.answers.json")
    out.write_text(json.dumps({**content, "checksum": page.checksum(content)}, ensure_ascii=True), encoding="utf-8")
    return out


def whole(each):
    return {"support": "1", "topic": ["cost", "time"], "tone": "-2", "words": "12.5"}


# ---- what a page holds ---------------------------------------------------------------------------------------------


def test_a_page_is_blind_whole_and_shows_texts_as_text(frame, sample, tmp_path):
    paths = hand_out(sample, frame, tmp_path, annotators=["ann b", "ben"], overlap=2, show=["title"], instructions="R")
    assert [p.name for p in paths] == ["ann_b.html", "ben.html", "labelling.json"]
    text = paths[0].read_text("utf-8")
    assert not re.search(r"""(src|href)=["'](?!#)|@import|url\(""", text), "nothing is loaded"
    assert "default-src 'none'" in text
    assert "connect-src 'none'" in text
    assert text.count("<script") == text.count("</script>") == 2
    assert "{{" not in re.sub(r'id="labelling">.*?</script>', "", text, flags=re.DOTALL)
    about = payload(paths[0])
    shown = {d["text"]: d["shown"] for d in about["documents"]}
    right = frame.iloc[sample.positions]
    assert set(shown) == set(right["body"])
    assert all(value == {"title": value["title"]} for value in shown.values())
    assert (about["annotator"], about["instructions"]) == ("ann b", "R")
    assert [q["asked"] for q in about["questions"][:2]] == ["Does the writer want the tram?", "About what?"]
    code = about["questions"][0]["codes"][0]
    assert (code["value"], code["word"], code["examples"]) == ("1", "yes", ["Build it!"])
    assert '"x"' not in text


def test_security_policy_names_the_style_and_script_that_are_there(frame, sample, tmp_path):
    text = hand_out(sample, frame, tmp_path)[0].read_text("utf-8")
    for kind in ("style", "script"):
        named = re.search(rf"{kind}-src '(sha256-[^']+)'", text)[1]
        inside = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert [named] == [page._policy(part) for part in inside]


# ---- and back ------------------------------------------------------------------------------------------------------


def test_answers_come_back(frame, sample, tmp_path):
    path = hand_out(sample, frame, tmp_path)[0]
    saved(path, lambda each: {**whole(each), "more": {"note": "why", "flag": True}})
    long = sample.read_annotations(tmp_path, frame)
    assert long["annotator"].unique().tolist() == ["annotator"]
    assert set(long["status"]) == {"flagged"}
    assert not long["settles"].any()
    assert long["note"].unique().tolist() == ["why"]
    labels = {k: v for k, v in LABELS.items() if k != "remark"}
    with pytest.warns(DesignWarning, match=f"{N} document.*are flagged"):
        gold = sample.read_labels(tmp_path, frame, labels=labels).iloc[sample.positions]
    assert gold["support"].tolist() == [1.0] * N
    assert gold[["topic_cost", "topic_noise", "topic_time"]].to_numpy().tolist() == [[1.0, 0.0, 1.0]] * N
    assert gold[["tone", "words"]].to_numpy().tolist() == [[-2.0, 12.5]] * N
    returned = tmp_path / "returned"  # without labelling.json: the file says what was asked
    returned.mkdir()
    shutil.move(tmp_path / "annotator.answers.json", returned)
    assert sample.read_annotations(returned, frame).drop(columns="file").equals(long.drop(columns="file"))


def test_pages_without_a_sample(frame, sample, tmp_path):
    file = saved(hand_out(sample, frame, tmp_path)[0], whole)
    long = sample.read_annotations(tmp_path, frame).drop(columns="position")
    found = kt.read_answers(file, LABELS)
    assert found.equals(long.sort_values("document", ignore_index=True))
    with pytest.raises(DataError, match="asked 'support' in another way"):
        kt.read_answers(file, {"support": ["no", "yes"]})


def test_a_codebook_may_be_worded_anew_but_not_its_answers(frame, sample, tmp_path):
    saved(hand_out(sample, frame, tmp_path, BOOK)[0], lambda each: {"support": "1"})
    reworded = kt.annotate.Codebook("support", "Is the writer for it?", [CODES[0], kt.annotate.Code(0, "no", "Else.")])
    assert set(sample.read_annotations(tmp_path, frame, labels=reworded)["support"]) == {1}
    for other in ({1: "", 2: ""}, {1: "", 0: "", 3: ""}):
        with pytest.raises(DataError, match="in another way"):
            sample.read_annotations(tmp_path, frame, labels=kt.annotate.Codebook("support", "Q?", other))


def test_codebooks_and_several_codes_in_every_form(frame, sample, tmp_path):
    paths = hand_out(sample, frame, tmp_path, [BOOK, TOPICS], formats=("csv", "label-studio", "html"))
    assert "codebook.txt" in [p.name for p in paths]
    book = (tmp_path / "codebook.txt").read_text("utf-8-sig")
    for told in ("About what?", "for example: Build it!", "not this: trams elsewhere", "separated by ;"):
        assert told in book
    xml = (tmp_path / "label-studio.xml").read_text()
    assert '<Choice value="yes" alias="1" hint="Wants &lt;it&gt; built."/>' in xml
    assert 'choice="multiple"' in xml
    tasks = json.loads((tmp_path / "annotator.json").read_text())
    said = {"support": {"choices": ["0"]}, "topic": {"choices": ["noise", "cost"]}}
    result = [{"from_name": name, "value": value} for name, value in said.items()]
    export = [{**task, "annotations": [{"completed_by": 1, "result": result}]} for task in tasks]
    (tmp_path / "annotator.json").write_text(json.dumps(export))
    gold = sample.read_labels(tmp_path / "annotator.json", frame).iloc[sample.positions]
    assert gold[["support", "topic_cost", "topic_noise", "topic_time"]].to_numpy().tolist() == [[0, 1, 1, 0]] * N
    table = pd.read_csv(tmp_path / "annotator.csv", dtype=str)
    table.assign(support="yes", topic=["none", "time; cost"] * 6).to_csv(tmp_path / "annotator.csv", index=False)
    long = sample.read_annotations(tmp_path / "annotator.csv", frame).set_index("document").loc[table["document"]]
    assert long[["topic_cost", "topic_time"]].to_numpy().tolist() == [[0, 0], [1, 1]] * 6
    assert set(long["support"]) == {1}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": "several:x"}, "two or more"),
        ({"a": "several:x,none"}, "cannot be one of several"),
        ({"a": "several:x,y", "a_x": [0, 1]}, "two gold columns named 'a_x'"),
        ({"a": "scale:1.5:3"}, "not understood"),
        ({"a": {"codes": []}}, "not a codebook"),
        ({"a": {"codes": [{"value": 1, "word": "2"}, {"value": 2, "word": "1"}]}}, "the value of another"),
        ([BOOK, BOOK], "two codebooks named 'support'"),
        ({"status": [0, 1]}, "meaning of its own"),
    ],
)
def test_questions_that_cannot_be_asked(labels, message, frame, sample, tmp_path):
    with pytest.raises(ArgumentError, match=message):
        hand_out(sample, frame, tmp_path, labels)


@pytest.mark.parametrize(("answer", "value"), [([], ()), ("none", ()), (["c", "a"], ("a", "c")), ("C;a", ("a", "c"))])
def test_several(answer, value):
    question = read_questions({"q": "several:a,b,c"})[0]
    assert question.read(answer) == value
    assert read_questions({"q": question.spec})[0] == question
    for bad in (["d"], "none; a"):
        with pytest.raises(DataError):
            question.read(bad)


def test_scales_take_whole_numbers():
    question = read_questions({"q": "scale:-3:3"})[0]
    assert question.read("-3") == -3
    assert read_questions({"q": question.spec})[0] == question
    for bad in ("1.5", "4"):
        with pytest.raises(DataError, match="a whole number from -3 to 3"):
            question.read(bad)


@given(st.lists(st.tuples(st.text(), st.booleans()).map(list)))
def test_checksum_sees_every_change_of_a_text(value):
    before = page.checksum({"answers": [value]})
    assert page.checksum(json.loads(json.dumps({"answers": [value]}))) == before
    assert page.checksum({"answers": [value, "more"]}) != before


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"12.5"', '"13"', 1), "edited or damaged"),
        (lambda text: text.replace('"flag": false', '"flag": true', 1), "edited or damaged"),
        (lambda text: text[:-20], "not JSON"),
        (lambda text: re.sub(r'"checksum": "\w+"', '"checksum": null', text), "edited or damaged"),
        (lambda text: text.replace('"version": 1', '"version": 9'), "version 9"),
    ],
)
def test_files_that_were_edited(change, message, frame, sample, tmp_path):
    file = saved(hand_out(sample, frame, tmp_path)[0], whole)
    file.write_text(change(file.read_text()))
    with pytest.raises(DataError, match=message):
        sample.read_labels(tmp_path, frame)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"origin": "0" * 32}, "belongs to another sample"),
        ({"asked": '{"support": ["no", "yes"]}'}, "asked 'support' in another way"),
        ({"asked": '{"other": "text"}'}, "no answers to 'support'"),
        ({"asked": "{"}, "does not say what was asked"),
        ({"answers": [{"document": "dffffffffffff", "answers": {"support": "1"}}]}, "not in this sample"),
        ({"answers": [{"answers": {"support": "1"}}]}, "without a document"),
        ({"answers": [{"document": "dffffffffffff", "answers": 3}]}, "without a document"),
        ({"answers": "none"}, "edited or damaged"),
    ],
)
def test_files_of_something_else(changes, message, frame, sample, tmp_path):
    saved(hand_out(sample, frame, tmp_path)[0], whole, **changes)
    with pytest.raises(DataError, match=message):
        sample.read_annotations(tmp_path, frame)


def test_answers_that_are_not_allowed(frame, sample, tmp_path):
    path = hand_out(sample, frame, tmp_path)[0]
    saved(path, lambda each: {"support": "maybe", "tone": "1.5"})
    with pytest.raises(DataError, match=r"'maybe' is not allowed for 'support'.*24 in all"):
        sample.read_annotations(tmp_path, frame)
    with pytest.raises(ArgumentError, match="the page itself, which holds no answers"):
        sample.read_annotations(path, frame)


def test_saves_of_one_page(frame, sample, tmp_path):
    path = hand_out(sample, frame, tmp_path)[0]
    first = payload(path)["documents"][0]["document"]
    saved(path, lambda each: {"support": "1"} if each["document"] == first else None, "early.json", "2030-01-01")
    saved(path, lambda each: {"support": "1", "tone": "2"}, "a later one.json", "2030-01-02")
    with pytest.raises(DataError, match="labelled twice by 'annotator', differently"):
        sample.read_annotations(tmp_path, frame)
    assert sample.read_annotations(tmp_path, frame, duplicates="last")["tone"].tolist() == [2.0] * N
    saved(path, lambda each: None if each["document"] == first else {"support": "0"}, "a later one.json", "2030-01-02")
    with pytest.raises(DataError, match=r"no longer holds the answer to 'support'.*duplicates='last'"):
        sample.read_annotations(tmp_path, frame)
    last = sample.read_annotations(tmp_path, frame, duplicates="last")
    assert first not in set(last["document"])
    assert set(last["support"]) == {0}
    named = sample.read_annotations(tmp_path, frame, annotators={"early.json": "ben"})
    assert named["annotator"].value_counts().to_dict() == {"annotator": N - 1, "ben": 1}


# ---- the third round -----------------------------------------------------------------------------------------------


def two_rounds(sample, frame, folder, labels, first, second, **options):
    hand_out(sample, frame, folder, labels, annotators=["ann", "ben"], overlap=2)
    for name, answer in (("ann", first), ("ben", second)):
        saved(folder / f"{name}.html", answer)
    return sample.read_annotations(folder, frame)


@pytest.mark.parametrize("formats", [("html",), ("csv",), ("label-studio",)])
def test_disagreements_are_settled(formats, frame, sample, tmp_path):
    odd = lambda each: int(each["document"][-1], 16) % 2 == 1  # noqa: E731
    long = two_rounds(
        sample, frame, tmp_path, {"support": BOOK, "tone": "scale:1:5"}, lambda each: {"support": "1", "tone": "2"},
        lambda each: {"support": str(int(not odd(each))), "tone": "3", "more": {"note": "unsure"}},
    )  # fmt: skip
    third = tmp_path / "third"
    labels = {"support": BOOK, "tone": "scale:1:5"}
    paths = sample.to_adjudication(third, frame, "body", long, labels, apart=1, formats=formats)
    differ = {d for d in long["document"] if odd({"document": d})}
    assert 0 < len(differ) < N
    if formats == ("html",):
        about = payload(paths[0])
        assert {d["document"] for d in about["documents"]} == differ
        assert about["documents"][0]["earlier"] == {"support": [["A", "yes"], ["B", "no"]], "note": [["B", "unsure"]]}
        assert about["documents"][0]["ask"] == ["support"], "tone lies one apart, which counts as agreeing"
        saved(paths[0], lambda each: {"support": "0"})
    elif formats == ("csv",):
        table = pd.read_csv(paths[0], dtype=str)
        assert set(table["document"]) == differ
        assert table["earlier"][0] == "support: yes (A), no (B)\nnote: unsure (B)"
        table.assign(support="no").to_csv(paths[0], index=False)
    else:
        result = [{"from_name": "support", "value": {"choices": ["0"]}}]
        tasks = json.loads(paths[0].read_text())
        done = [{**task, "annotations": [{"result": result, "completed_by": "chief"}]} for task in tasks]
        paths[0].write_text(json.dumps(done))
    gold = sample.read_labels([tmp_path, third], frame, labels=labels)
    names = dict(zip(long["position"], long["document"]))
    assert gold["support"].dropna().to_dict() == {p: float(d not in differ) for p, d in names.items()}
    assert gold["tone"].dropna().tolist() == [2.5] * N, "what was not settled is joined as before"
    after = sample.read_annotations([tmp_path, third], frame, labels=labels)
    assert set(after.loc[after["settles"], "document"]) == differ
    with pytest.warns(DesignWarning, match="nothing to settle"):
        assert sample.to_adjudication(tmp_path / "4", frame, "body", after, labels, apart=1) == []


def test_flagged_documents_and_names(frame, sample, tmp_path):
    more = {"more": {"flag": True, "note": "two writers"}}
    long = two_rounds(
        sample, frame, tmp_path, {"topic": TOPICS}, lambda each: {"topic": []}, lambda each: {"topic": [], **more}
    )
    paths = sample.to_adjudication(tmp_path / "3", frame, "body", long, TOPICS, names=True, annotators=["c", "d"])
    first, second = payload(paths[0])["documents"], payload(paths[1])["documents"]
    assert len(first) + len(second) == N
    assert first[0]["earlier"] == {"topic": [["ann", "none"], ["ben", "none"]], "note": [["ben", "two writers"]]}
    for path in paths[:2]:
        saved(path, lambda each: {"topic": ["time"]})
    gold = sample.read_labels([tmp_path, tmp_path / "3"], frame)  # decided, so that nobody is told of flags
    assert gold["topic_time"].dropna().tolist() == [1] * N
    with pytest.warns(DesignWarning, match="nothing to settle"):
        sample.to_adjudication(tmp_path / "4", frame, "body", long, TOPICS, flagged=False)
    with pytest.raises(ArgumentError, match=r"read_annotations gave for these labels.*document"):
        sample.to_adjudication(tmp_path / "4", frame, "body", frame, TOPICS)
    with pytest.raises(DataError, match="not in this sample"):
        sample.to_adjudication(tmp_path / "4", frame, "body", long.assign(document="dx"), TOPICS)


def test_notes_without_answers_are_kept(frame, sample, tmp_path):
    path = hand_out(sample, frame, tmp_path, {"support": BOOK})[0]
    saved(path, lambda each: {"more": {"note": "not a letter"}})
    long = sample.read_annotations(tmp_path, frame)
    assert long["support"].isna().all()
    assert len(long) == N
    with pytest.warns(DesignWarning, match=f"{N} of {N} drawn row"):
        sample.read_labels(tmp_path, frame)


# ---- in a browser --------------------------------------------------------------------------------------------------

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = """
<script>
const $ = (s) => document.querySelector(s);
const say = (name, value) => document.body.setAttribute("data-" + name, value);
URL.createObjectURL = (blob) => { blob.text().then((text) => say("saved", text)); return "#"; };
HTMLAnchorElement.prototype.click = () => {};
const press = (k) => (document.activeElement || document.body).dispatchEvent(
  new KeyboardEvent("keydown", { key: k, bubbles: true, cancelable: true }));
press("2"); press("1"); press("3"); press("u"); press("f");
const typed = document.querySelectorAll("fieldset")[3].querySelector("input");
typed.focus(); typed.value = "-1"; press("Enter"); say("wrong", typed.getAttribute("aria-invalid"));
typed.value = "12,5"; typed.dispatchEvent(new Event("change"));
$("#note").value = "caf\\u00e9 \\ud83d\\ude8b"; $("#note").dispatchEvent(new Event("change"));
say("where", $("#where").textContent); say("text", $("#text").textContent); say("inside", $("#text").children.length);
document.activeElement.blur(); press("s");
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_browser_labels_and_saves(frame, sample, tmp_path):
    path = hand_out(sample, frame, tmp_path)[0]
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text("utf-8"))
    (tmp_path / "driven.html").write_text(text.replace("</body>", f"{DRIVER}</body>"), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=3000", "--dump-dom", (tmp_path / "driven.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    body = re.search(r"<body([^>]*)>", done.stdout)
    assert body, done.stderr[-2000:]
    said = {name: html.unescape(value) for name, value in re.findall(r'data-([a-z]+)="([^"]*)"', body[1])}
    about = payload(path)
    assert said["where"].startswith(f"Document 1 of {N}")
    assert said["text"] == about["documents"][0]["text"].replace("\r\n", "\n")
    assert (said["inside"], said["wrong"]) == ("0", "true")
    (tmp_path / "annotator.answers.json").write_text(said["saved"], encoding="utf-8")
    long = sample.read_annotations(tmp_path / "annotator.answers.json", frame)
    row = long.iloc[0]
    assert row["document"] == about["documents"][0]["document"]
    assert row[["support", "topic_cost", "topic_noise", "topic_time"]].tolist() == [0, 1, 0, 0]
    assert (row["words"], row["note"], row["status"]) == (12.5, "café \U0001f68b", "flagged")
