"""Where a model is reached over HTTP, what it costs, and how hard to try."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..errors import ArgumentError, number, one_of, whole

APIS = ("chat", "completions")
_DEAREST = 10**6
_MOST = {"concurrency": 1000, "max_tokens": 10**7, "top_logprobs": 1000, "retries": 1000}
_SECRET = re.compile(
    r"(?:api|access|secret|private)[_-]?key|authorization|password|(?:auth|access|bearer)[_-]?token", re.I
)
_UNITS = 10**6
"""Money is counted in whole millionths of a millionth of the currency unit."""


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible endpoint: commercial, vLLM, Ollama, llama.cpp and others.

    Parameters
    ----------
    url : str
        Base address, such as ``"http://127.0.0.1:8000/v1"``.
    model : str
        Name of the model, as the endpoint knows it.
    price : (float, float), optional
        Price of a million prompt tokens and of a million completion tokens. Needed for a budget.
    currency : str
    key_env : str, optional
        Name of the environment variable that holds the key. The key itself is read when a request is sent and is
        never stored, logged or shown.
    api : {"chat", "completions"}
    serves : str, optional
        Name by which the endpoint calls the model in its replies, where that is another name. A reply from any
        other model is an error.
    top_logprobs : int
        Most likely tokens asked for at each place (vendors allow up to 20).
    max_tokens : int
        Longest answer, in tokens.
    parameters : mapping
        Further fields of the request (``seed``, ``top_p``, ...); None takes a field out, for instance
        ``{"max_tokens": None, "max_completion_tokens": 64}``.
    structured : bool
        Ask for a JSON schema (``response_format``) wherever the answer is JSON, so that it can have no other form.
    media_tokens : int, optional
        Most prompt tokens that an image or a sound is billed for, as the vendor says, for budgets; by default the bytes
        it has, which no vendor bills.
    concurrency : int
        Requests in flight at once.
    requests_per_minute, tokens_per_minute : float, optional
        Rate limits that are kept; tokens are counted at their upper bound.
    timeout : float
        Seconds a reply may take in all.
    retries : int
        Further tries after errors that may pass (timeouts, 408, 409, 425, 429, 5xx, unreadable replies).
    backoff, longest_wait : float
        Seconds before the first further try, doubled each time and drawn at random between half of it and all of
        it; and the most to wait, also where the endpoint asks for more (then it is an error).

    Raises
    ------
    ArgumentError
        If a setting is not allowed, or a key would travel unencrypted.

    Examples
    --------
    >>> from karat.annotate import Endpoint
    >>> Endpoint("http://127.0.0.1:11434/v1", "qwen3:8b").concurrency
    8
    """

    url: str
    model: str
    price: tuple[float, float] | None = None
    currency: str = "USD"
    key_env: str | None = None
    api: str = "chat"
    serves: str | None = None
    top_logprobs: int = 20
    max_tokens: int = 16
    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout: float = 60.0
    retries: int = 6
    backoff: float = 1.0
    longest_wait: float = 300.0
    structured: bool = False
    media_tokens: int | None = None

    def __post_init__(self) -> None:
        one_of("api", self.api, APIS)
        one_of("structured", self.structured, (True, False))
        parts = _address(self.url)
        if not isinstance(self.model, str) or not self.model:
            raise ArgumentError("model is empty; give the name by which the endpoint knows the model.")
        if self.key_env is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", str(self.key_env)):
            raise ArgumentError(
                "key_env must be the NAME of an environment variable, such as 'OPENAI_API_KEY'; a key itself is "
                "not taken."
            )
        if self.key_env is not None and parts.scheme == "http" and not private(parts.hostname or ""):
            raise ArgumentError(f"a key would travel unencrypted to {parts.hostname!r}; use https.")
        _check_price(self.price)
        for name, low in (("concurrency", 1), ("max_tokens", 1), ("top_logprobs", 1), ("retries", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least=low, most=_MOST[name]))
        if self.media_tokens is not None:
            object.__setattr__(self, "media_tokens", whole("media_tokens", self.media_tokens, least=1, most=10**6))
        for name in ("timeout", "backoff", "longest_wait", "requests_per_minute", "tokens_per_minute"):
            if name.endswith("_per_minute") and getattr(self, name) is None:
                continue
            number(name, getattr(self, name), above=0)
        object.__setattr__(self, "parameters", _plain_parameters(self.parameters))

    @property
    def path(self) -> str:
        """Path of the requests."""
        return urlsplit(self.url).path.rstrip("/") + ("/chat/completions" if self.api == "chat" else "/completions")

    def key(self) -> str | None:
        """The key, from the environment.

        Raises
        ------
        ArgumentError
            If the variable is not set, or holds what no header can carry. The message does not quote it.
        """
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise ArgumentError(f"the environment variable {self.key_env} (key_env) is not set; set it to your key.")
        if not re.fullmatch("[!-~]+", key):
            raise ArgumentError(
                f"the environment variable {self.key_env} (key_env) holds blanks, line breaks or characters that are "
                "not ASCII, so it is not a key; set it to the key alone."
            )
        return key

    def cost(self, prompt: int, completion: int) -> int:
        """Price of tokens in millionths of a millionth of the currency unit."""
        if self.price is None:
            return 0
        return prompt * round(self.price[0] * _UNITS) + completion * round(self.price[1] * _UNITS)

    def amount(self, cost: int) -> float:
        """A price in currency units."""
        return cost / _UNITS**2

    def describe(self) -> dict[str, Any]:
        """What the answers depend on, for the record and the cache; no key, no tuning of the traffic."""
        return {
            "url": self.url.rstrip("/"),
            "model": self.model,
            "api": self.api,
            "top_logprobs": self.top_logprobs,
            "max_tokens": self.max_tokens,
            "parameters": dict(self.parameters),
            **({"structured": True} if self.structured else {}),
        }


def _address(url: object) -> SplitResult:
    """An endpoint's address, checked; what may hold a password is not quoted."""
    shown = f"={url!r}" if "@" not in str(url) else ""
    parts = None
    with contextlib.suppress(ValueError):
        read = urlsplit(url if isinstance(url, str) else "")
        parts = read if read.scheme in ("http", "https") and read.hostname and read.port != 0 else None
    if parts is None:
        raise ArgumentError(f"url{shown[:100]} is not an address; give one such as 'http://127.0.0.1:8000/v1'.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ArgumentError("url holds a user name, password or query; keys belong in the variable key_env names.")
    return parts


def _check_price(price: object) -> None:
    if price is None:
        return
    if not isinstance(price, (tuple, list)) or len(price) != 2:
        raise ArgumentError(f"price={price!r} is not allowed; give (per million prompt, per million completion).")
    for each in price:
        number("price", each, least=0, most=_DEAREST)


def _plain_parameters(given: object) -> dict[str, Any]:
    """Parameters as JSON can hold them."""
    if not isinstance(given, Mapping):
        raise ArgumentError(f"parameters is a {type(given).__name__}; give a mapping of field to value.")
    if reserved := sorted({"messages", "prompt", "model", "n", "stream", "logprobs"} & set(given)):
        raise ArgumentError(f"parameters may not hold {reserved}; these are set by karat.")
    if secret := sorted(str(name) for name in given if _SECRET.search(str(name))):
        raise ArgumentError(f"parameters may not hold {secret}; a key belongs in the variable key_env names.")
    try:
        plain = json.loads(json.dumps(dict(given), default=lambda value: value.tolist(), allow_nan=False))
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArgumentError(f"parameters cannot be sent as JSON ({str(error)[:100]}); give plain values.") from None
    for name in ("max_tokens", "max_completion_tokens", "best_of"):
        value = plain.get(name)
        if value is not None:
            plain[name] = whole(f"parameters[{name!r}]", value, least=1, most=10**7)
    return dict(plain)


def private(host: str) -> bool:
    """Whether a host is this machine or in a private network.

    Examples
    --------
    >>> private("127.0.0.1"), private("example.org")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
