"""Images and sounds as parts of the message."""

import base64

import pandas as pd
import pytest

from karat.annotate import Endpoint, LocalModel, Question, label
from karat.annotate.protocol import most_tokens
from karat.errors import ArgumentError, DataError

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
