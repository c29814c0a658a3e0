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

    monkeypatch.setattr("karat.annotate.http.Wire.post", breaks)
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


# ---- proxies ------------------------------------------------------------------------------------------------

BASIC = "Basic bWU6cEAvczonJQ=="
"""me and p@/s:'%, as a proxy wants them."""


@pytest.fixture
def through(server, monkeypatch):
    """Have requests go through the server as a proxy that wants a password."""
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    place = server.url.removeprefix("http://").removesuffix("/v1")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://me:p%40%2Fs:'%25@{place}")
    return server


def test_the_password_of_a_proxy_is_used_and_kept_nowhere(through, tmp_path):
    point = Endpoint("http://models.example/v1", "m", retries=1, backoff=0.01)
    got = label(TEXTS, QUESTION, point, cache=tmp_path)
    assert got.labelled.all()
    assert {r["proxy"] for r in through.requests} == {BASIC}
    assert through.requests[0]["path"] == "http://models.example/v1/chat/completions"
    got.save(tmp_path / "labels.json")
    through.always = (502, {}, f"{BASIC} is p@/s:'% or p%40%2Fs:'%25")
    with pytest.raises(EndpointError, match=r"Basic \*\*\* is \*\*\* or \*\*\*") as caught:
        label(["a new p=0.2 text"], QUESTION, point, cache=tmp_path)
    for form in (BASIC.split()[1], "p@/s", "p%40%2Fs"):
        nowhere(form, tmp_path, caught.value)


def test_a_tunnel_through_a_proxy(through, tmp_path, monkeypatch):
    asked = []

    def do_connect(handler):
        asked.append((handler.path, handler.headers["Proxy-Authorization"]))
        handler.send_response(407, f"not with {handler.headers['Proxy-Authorization']} p@/s:'%")
        handler.end_headers()
        handler.close_connection = True

    through.http.RequestHandlerClass.do_CONNECT = do_connect
    point = Endpoint("https://models.example/v1", "m", retries=0)
    with pytest.raises(EndpointError, match=r"407 not with Basic \*\*\* \*\*\*") as caught:
        label(TEXTS, QUESTION, point, cache=tmp_path)
    assert asked == [("models.example:443", BASIC)]
    nowhere(BASIC.split()[1], tmp_path, caught.value)


@pytest.mark.parametrize(
    "address", ["http://me:SECRET/x@proxy:80", "socks5://me:SECRET@proxy:1080", "http://me:SECRET@"]
)
def test_proxies_that_cannot_be_used_are_not_quoted(through, monkeypatch, address):
    monkeypatch.setenv("http_proxy", address)
    with pytest.raises(ArgumentError, match="the proxy in the variable http_proxy cannot be used") as caught:
        label(TEXTS, QUESTION, Endpoint("http://models.example/v1", "m"), cache=None)
    assert "SECRET" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "me:SECRET@host/v1"},
        {"url": "https://me:SECRET@host/v1"},
        {"url": "https://host/v1?key=SECRET"},
        {"url": "https://host/v1#SECRET"},
        {"url": "https://me:SECRET@host:99999/v1"},
        {"parameters": {"api_key": "SECRET"}},
        {"parameters": {"Authorization": "SECRET"}},
        {"parameters": {"x": {1, 2}, "y": "SECRET"}},
    ],
)
def test_keys_in_the_wrong_place_are_refused_and_not_quoted(settings):
    with pytest.raises(ArgumentError) as caught:
        Endpoint(**{"url": "https://host/v1", "model": "m"} | settings)
    assert "SECRET" not in str(caught.value)
