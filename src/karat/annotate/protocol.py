"""The OpenAI-compatible protocol: bodies of requests, and answers checked before anything is believed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .reading import Refused, Token, Unreadable

_TOKENS_PER_MESSAGE = 16
_TOKENS_OF_TEMPLATE = 128
_MOST_COUNTED = 10**8
LIMITS = ("max_tokens", "max_completion_tokens")
"""Fields that bound the length of an answer."""


@dataclass(frozen=True)
class Choice:
    """One answer.

    Parameters
    ----------
    text : str
    tokens : tuple of Token or None
        None when no log-probabilities came.
    finish : str
        Why the model stopped.
    """

    text: str
    tokens: tuple[Token, ...] | None
    finish: str = ""


@dataclass(frozen=True)
class Reply:
    """What came back, read.

    Parameters
    ----------
    choices : tuple of Choice
    model : str
        The model that the endpoint says it used.
    """

    choices: tuple[Choice, ...]
    model: str


def most_tokens(body: Mapping[str, Any]) -> tuple[int, int]:
    """Most tokens a request can be billed for, prompt and completion.

    Parameters
    ----------
    body : mapping

    Returns
    -------
    tuple of int

    Notes
    -----
    No tokeniser in use makes more tokens than there are bytes. All of the request counts, since endpoints bill tools
    and formats of the answer as well; room is left for the chat template.

    Examples
    --------
    >>> most_tokens({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, "n": 2})
    (221, 16)
    """
    written = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    prompt = len(written) + _TOKENS_PER_MESSAGE * len(body.get("messages", [0])) + _TOKENS_OF_TEMPLATE
    limits = [int(body[name]) for name in LIMITS if body.get(name) is not None]
    best_of = int(body.get("best_of") or 1)
    return prompt * best_of, max(limits) * max(int(body.get("n") or 1), best_of)


def usage(raw: str) -> tuple[int, int] | None:
    """Tokens billed for a reply, prompt and completion; None when the reply does not say so, or cannot be right."""
    try:
        payload = decode(raw)
    except Unreadable:
        return None
    stated = payload.get("usage") if isinstance(payload, Mapping) else None
    if not isinstance(stated, Mapping):
        return None
    counts = [stated.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if any(not isinstance(c, int) or isinstance(c, bool) or not 0 <= c <= _MOST_COUNTED for c in counts):
        return None
    return int(counts[0]), int(counts[1])  # type: ignore[arg-type]


def decode(raw: str) -> Any:
    """The JSON of a reply.

    Raises
    ------
    Unreadable
        If it is none.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", type(error).__name__)
        raise Unreadable(f"the reply is no JSON ({why}): {raw[:80]!r}") from None


def read_reply(payload: object, asked: int) -> Reply:
    """Choices of a reply, checked.

    Parameters
    ----------
    payload : object
        Decoded JSON.
    asked : int
        Number of choices asked for.

    Returns
    -------
    Reply

    Raises
    ------
    Unreadable
        If the reply is not what the protocol says, or cannot be true.
    Refused
        If every choice is a refusal; one among several is an empty answer.
    """
    if not isinstance(payload, Mapping):
        raise Unreadable(f"the reply is a JSON {type(payload).__name__} where an object belongs")
    listed = payload.get("choices")
    if not isinstance(listed, list) or not listed:
        stated = payload.get("error")
        raise Unreadable(f"the reply has no choices{f', but an error: {str(stated)[:120]}' if stated else ''}")
    if len(listed) > asked:
        raise Unreadable(f"the reply has {len(listed)} choices where {asked} were asked for")
    choices, refused = [], None
    for item in listed:
        try:
            choices.append(_choice(item))
        except Refused as error:
            choices.append(Choice("", None, "refused"))
            refused = error
    if refused and all(choice.finish == "refused" for choice in choices):
        raise refused
    return Reply(tuple(choices), str(payload.get("model") or ""))


def _choice(item: object) -> Choice:
    if not isinstance(item, Mapping):
        raise Unreadable("a choice of the reply is no object")
    message = item.get("message")
    text = message.get("content") if isinstance(message, Mapping) else item.get("text")
    finish = str(item.get("finish_reason") or "")
    refused = message.get("refusal") if isinstance(message, Mapping) else None
    if finish == "content_filter" or refused:
        raise Refused(f"the endpoint refused to answer ({str(refused or finish)[:80]})")
    if not isinstance(text, str):
        raise Unreadable("a choice of the reply holds no text")
    return Choice(text, _tokens(item.get("logprobs")), finish)


def _tokens(logprobs: object) -> tuple[Token, ...] | None:
    """Tokens of a chat reply (``content``) or of a completion (``tokens``, ``top_logprobs``)."""
    if not isinstance(logprobs, Mapping):
        return None
    content = logprobs.get("content")
    if isinstance(content, list) and content:
        return tuple(_chat_token(place) for place in content) or None
    tokens, tops = logprobs.get("tokens"), logprobs.get("top_logprobs")
    if isinstance(tokens, list) and isinstance(tops, list) and len(tokens) == len(tops) and tokens:
        chosen = logprobs.get("token_logprobs") or [None] * len(tokens)
        pairs = []
        for token, top, own in zip(tokens, tops, chosen):
            chances = dict(top) if isinstance(top, Mapping) else {}
            if own is not None:
                chances.setdefault(str(token), own)
            pairs.append(Token(str(token), _chances(chances)))
        return tuple(pairs)
    return None


def _chat_token(place: object) -> Token:
    if not isinstance(place, Mapping) or not isinstance(place.get("token"), str):
        raise Unreadable("the log-probabilities of the reply are not in the form the protocol says")
    listed = place.get("top_logprobs") or []
    if not isinstance(listed, list) or not all(
        isinstance(t, Mapping) and isinstance(t.get("token"), str) for t in listed
    ):
        raise Unreadable("the log-probabilities of the reply are not in the form the protocol says")
    chances = {top["token"]: top.get("logprob") for top in listed}
    chances.setdefault(place["token"], place.get("logprob"))
    return Token(place["token"], _chances(chances))


def _chances(logs: Mapping[str, Any]) -> dict[str, float]:
    out = {}
    for token, log in logs.items():
        if isinstance(log, bool) or not isinstance(log, (int, float)) or math.isnan(log) or log > 1e-3:
            raise Unreadable(f"the reply gives the token {token!r} the log-probability {log!r}, which cannot be")
        out[str(token)] = math.exp(min(float(log), 0.0))
    if sum(out.values()) > 1.02:
        raise Unreadable(f"the probabilities of one place add up to {sum(out.values()):.3f}, more than 1")
    return out
