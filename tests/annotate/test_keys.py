"""A key is sent to the endpoint it belongs to; it is neither kept nor shown, whatever goes wrong."""

import pytest

from karat.annotate import Endpoint, Question, label
from karat.errors import ArgumentError, EndpointError

QUESTION = Question("Is the letter for the tram?", classes=["yes", "no"])
TEXTS = ["letter p=0.2 end", "letter p=0.7 end"]


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 1, "key_env": "K1"} | settings)


def nowhere(secret, folder, error):
    assert secret not in str(error)
    assert secret not in repr(error.__cause__)
    for path in folder.iterdir():
        assert secret.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("key", ["sk-SECRET1\nsk-SECRET1", "sk-SECRET1\u200b\u2026abc", "sk-SECRET1 b"])
def test_what_is_no_key_is_refused_and_not_quoted(server, tmp_path, monkeypatch, key):
    monkeypatch.setenv("K1", key)
    with pytest.raises(ArgumentError, match=r"K1 \(key_env\) holds blanks") as caught:
        label(TEXTS, QUESTION, point(server), cache=tmp_path)
    nowhere("SECRET1", tmp_path, caught.value)
    assert not server.requests


@pytest.mark.parametrize(
    "body",
    [
        r'{"error": {"message": "bad key sk\/SECRET1"}}',
        r'{"error": {"message": "bad key sk/SECRET\u0031"}}',
        r'{"error": {"message": "bad key \u0073K\u002fSECRET1"}}',
        r'{"error": {"message": "nested {\"key\": \"sk\\/SECRET1\"}"}}',
        "bad key sk/SECRET1",
    ],
)
def test_a_key_that_comes_back_in_other_writing(server, tmp_path, monkeypatch, body):
    monkeypatch.setenv("K1", "sk/SECRET1")
    server.always = (401, {}, body)
    with pytest.raises(EndpointError, match=r"\*\*\*") as caught:
        label(TEXTS, QUESTION, point(server), cache=tmp_path)
    for form in ("sk/SECRET1", r"sk\/SECRET1", r"SECRET\u0031"):
        nowhere(form, tmp_path, caught.value)


def test_errors_nobody_foresaw_are_kept_without_their_text(server, tmp_path, monkeypatch):
    monkeypatch.setenv("K1", "sk-SECRET1")

    def breaks(self, path, body, headers):
        raise ValueError(f"Invalid header value {headers}")

    monkeypatch.setattr("karat.annotate.wire.Wire.post", breaks)
    with pytest.raises(EndpointError, match="ValueError") as caught:
        label(TEXTS, QUESTION, point(server), cache=tmp_path)
    nowhere("SECRET1", tmp_path, caught.value)


def test_no_proxy_stands_between_this_machine_and_itself(server, monkeypatch):
    monkeypatch.setenv("K1", "sk-SECRET1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url.replace("/v1", ""))
    with pytest.raises(EndpointError, match="gives no answer"):
        label(TEXTS, QUESTION, Endpoint("http://127.0.0.1:9/v1", "m", key_env="K1", retries=0), cache=None)
    assert not server.requests
