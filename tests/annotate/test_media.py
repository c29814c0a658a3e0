"""Images and sounds as parts of the message."""

import base64
import json
import sqlite3

import pandas as pd
import pytest

from karat.annotate import Endpoint, LocalModel, Question, forecast, label, submit
from karat.annotate.protocol import most_tokens
from karat.errors import ArgumentError, DataError

from .batch_server import BatchServer
from .server import reply

QUESTION = Question("Does it show a tram?", classes=["yes", "no"])


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 1, "concurrency": 2} | settings)


def sees(body, text):
    """Reads the chance off the bytes of the image or sound."""
    part = body["messages"][-1]["content"][1]
    coded = (
        part["image_url"]["url"].split("base64,")[-1] if part["type"] == "image_url" else part["input_audio"]["data"]
    )
    said = base64.b64decode(coded).decode() if "://" not in coded else "p=0.5 "
    return reply({**body, "messages": [{"role": "user", "content": said}]}, said)


@pytest.fixture
def photos(tmp_path):
    for name, chance in (("a.png", 0.9), ("b.jpg", 0.2), ("c.wav", 0.7)):
        (tmp_path / name).write_bytes(f"p={chance} ".encode())
    return pd.DataFrame({"note": ["same words"] * 3, "file": [str(tmp_path / n) for n in ("a.png", "b.jpg", "c.wav")]})


def test_images_and_sounds_go_with_the_text(server, photos, tmp_path):
    server.always = sees
    got = label(photos, QUESTION, point(server), text="note", media="file", method="logprobs", cache=tmp_path)
    assert got.probabilities[:, 0] == pytest.approx([0.9, 0.2, 0.7], abs=0.03)
    assert len(server.requests) == 3, "the same words with other images are other texts"
    content = server.requests[0]["body"]["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url"]
    assert "same words" in content[0]["text"]
    assert content[1]["image_url"]["url"].startswith("data:image/png;base64,")
    kinds = [r["body"]["messages"][-1]["content"][1] for r in server.requests]
    assert {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(b"p=0.7 ").decode(), "format": "wav"},
    } in kinds
    again = label(photos, QUESTION, point(server), text="note", media="file", method="logprobs", cache=tmp_path)
    assert len(server.requests) == 3, "nothing is paid twice"
    assert again.provenance["rows"]["media"] == "file"
    assert "llm_p_yes" in got.join(photos)
    alone = label(photos, QUESTION, point(server), media="file", method="logprobs", cache=None)
    assert alone.probabilities == pytest.approx(got.probabilities)


def test_lists_and_addresses(server, photos):
    server.always = sees
    frame = {"file": [[photos["file"][0], "https://example.org/b.png"], ["https://example.org/c.png"]]}
    label(frame, QUESTION, point(server), media="file", method="logprobs", cache=None)
    first = next(r for r in server.requests if len(r["body"]["messages"][-1]["content"]) == 3)
    assert first["body"]["messages"][-1]["content"][2]["image_url"]["url"] == "https://example.org/b.png"


def test_budgets_count_images_as_the_vendor_bills_them(photos, server):
    body = {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "x" * 9000}}],
            }
        ],
        "max_tokens": 8,
    }
    assert most_tokens(body)[0] > 9000
    assert (
        most_tokens(body, 500)[0]
        == most_tokens(body | {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]})[0] + 500
    )
    assert (
        Endpoint("http://127.0.0.1:1/v1", "m", media_tokens=500).describe()
        == Endpoint("http://127.0.0.1:1/v1", "m").describe()
    )
    with pytest.raises(ArgumentError, match="media_tokens=0"):
        point(server, media_tokens=0)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a.pdf"], "'a.pdf' is neither an image"),
        (["none.png"], "'none.png' cannot be read"),
        ([None], "at row 0; give a file"),
    ],
)
def test_what_cannot_be_shown_is_named(files, message, server):
    with pytest.raises(DataError, match=message):
        label({"file": files}, QUESTION, point(server), media="file", cache=None)


def test_models_that_take_text_alone(server, photos):
    for model in (point(server, api="completions"), LocalModel("some/model")):
        with pytest.raises(ArgumentError, match="media is for endpoints with api='chat'"):
            label(photos, QUESTION, model, media="file", cache=None)
    with pytest.raises(ArgumentError, match="media=3"):
        label(photos, QUESTION, point(server), media=3, cache=None)


# ---- batches and forecasts ---------------------------------------------------------------------------------------


def test_in_batches(photos, tmp_path, monkeypatch):
    server = BatchServer()
    server.answer = lambda line: {"status_code": 200, "body": sees(line["body"], "")}
    paid = point(server, price=(1.0, 1.0), media_tokens=100)
    batch = submit(photos, QUESTION, paid, text="note", media="file", cache=tmp_path, budget=1.0)
    content = json.loads(server.files["file-0"].splitlines()[0])["body"]["messages"][-1]["content"]
    assert content[1]["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(b"p=0.9 ").decode()
    reserved = sum(most_tokens(json.loads(line)["body"], 100)[0] for line in server.files["file-0"].splitlines())
    with sqlite3.connect(tmp_path / "answers.sqlite") as link:
        assert abs(link.execute("SELECT SUM(cost) FROM answers").fetchone()[0] / 10**6 - reserved) <= 3 * 16
    server.work()
    got = batch.wait(every=0.01).collect()
    assert got.probabilities[:, 0] == pytest.approx([0.9, 0.2, 0.7], abs=0.03)
    assert not server.requests, "nothing is asked directly"
    assert label(photos, QUESTION, paid, text="note", media="file", method="logprobs", cache=tmp_path).cost.sent == 0
    monkeypatch.setattr("karat.annotate.batch._MOST_BYTES", 1500)
    submit(photos, QUESTION, paid, text="note", media="file", method="json", cache=tmp_path)
    assert len(server.batches) > 2, "no file is larger than vendors take"
    server.close()


def test_forecasts_count_images_or_say_that_their_price_is_not_known(server, photos, tmp_path):
    paid = point(server, price=(1.0, 1.0), media_tokens=1000)
    told = forecast(photos, QUESTION, paid, text="note", media="file", cache=None)
    words = forecast(["same words"] * 3, QUESTION, paid, cache=None)
    assert told.requests == 3
    assert told.prompt_tokens == pytest.approx(3 * words.prompt_tokens + 3000, abs=3)
    assert told.amount < told.most
    with pytest.raises(
        ArgumentError, match=r"not known what an image or a sound costs with 'm'; set Endpoint\(media_t"
    ):
        forecast(photos, QUESTION, point(server), text="note", media="file", cache=None)
    far = {"file": ["https://example.org/a.png"]}
    for ask in (label, submit):
        with pytest.raises(ArgumentError, match="not known what an image"):
            ask(far, QUESTION, point(server, price=(1.0, 1.0)), media="file", cache=tmp_path, budget=1.0)
    with pytest.raises(ArgumentError, match="api='chat'"):
        forecast(far, QUESTION, point(server, api="completions"), media="file", cache=None)
