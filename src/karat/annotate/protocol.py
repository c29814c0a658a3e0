"""The OpenAI-compatible protocol: bodies of requests, and answers checked before anything is believed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .reading import Token
from .saying import Declined, Refused, Unreadable, normal, plain, spoken

_TOKENS_PER_MESSAGE = 16
_TOKENS_OF_TEMPLATE = 128
_MOST_COUNTED = 10**8
_ENDS = ("", "stop", "eos", "error", "abort")
"""Endings that give no reason for an empty answer."""
_FILTERED = re.compile(
    r"content_filter|(?:image_)?(?:safety|recitation|prohibited_content)$|blocklist$|spii$|refusal$", re.IGNORECASE
)
"""Endings of replies that a filter took away, in the words of OpenAI, of Gemini ("content_filter: PROHIBITED_CONTENT",
"SAFETY") and of Anthropic."""
OF_THOUGHTS = "the log-probabilities are those of what the model thought, not of its answer"
_THOUGHTS = ("reasoning", "reasoning_content", "thinking")
"""Fields of a message that hold what the model thought."""
LIMITS = ("max_tokens", "max_completion_tokens")
"""Fields that bound the length of an answer."""


@dataclass(frozen=True)
class Choice:
    """One answer, and why the model stopped.

    ``tokens`` is None when no log-probabilities came, or none that can be read; then ``odd`` says why.
    """

    text: str
    tokens: tuple[Token, ...] | None
    finish: str = ""
    odd: str = ""


@dataclass(frozen=True)
class Reply:
    """What came back, read; ``model`` is the one that the endpoint says it used."""

    choices: tuple[Choice, ...]
    model: str


def most_tokens(body: Mapping[str, Any], media: int | None = None) -> tuple[int, int]:
    """Most tokens a request can be billed for, prompt and completion; ``media``: for an image or sound.

    Notes
    -----
    No tokeniser in use makes more tokens than there are bytes. All of the request counts, since endpoints bill tools
    and formats of the answer as well; room is left for the chat template.

    Examples
    --------
    >>> most_tokens({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, "n": 2})
    (221, 16)
    """
    shown, parts = without_media(body) if media is not None else (body, 0)
    written = json.dumps(shown, ensure_ascii=False).encode("utf-8", "surrogatepass")
    prompt = (
        len(written) + parts * (media or 0) + _TOKENS_PER_MESSAGE * len(body.get("messages", [0])) + _TOKENS_OF_TEMPLATE
    )
    limits = [int(body[name]) for name in LIMITS if body.get(name) is not None]
    best_of = int(body.get("best_of") or 1)
    return prompt * best_of, max(limits) * max(int(body.get("n") or 1), best_of)


def without_media(body: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """A request without its images and sounds, and how many they are."""
    messages, count = [], 0
    for message in body.get("messages", []):
        content = message.get("content")
        if isinstance(content, list):
            words = [part for part in content if part.get("type") == "text"]
            count, message = count + len(content) - len(words), {**message, "content": words}
        messages.append(message)
    return {**body, "messages": messages} if messages else dict(body), count


def words_of(body: Mapping[str, Any]) -> list[str]:
    """What is said in a request, message by message."""
    out = [str(body["prompt"])] if "prompt" in body else []
    for message in body.get("messages", []):
        content = message.get("content")
        out += [part["text"] for part in content if "text" in part] if isinstance(content, list) else [str(content)]
    return out


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
    prompt, completion = int(counts[0]), int(counts[1])  # type: ignore[arg-type]
    total = stated.get("total_tokens")
    if isinstance(total, int) and not isinstance(total, bool) and prompt + completion < total <= _MOST_COUNTED:
        completion = total - prompt  # thoughts are billed, and not everywhere counted with the answer
    return prompt, completion


def decode(raw: str) -> Any:
    """The JSON of a reply."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", type(error).__name__)
        raise Unreadable(f"the reply is not JSON ({why}): {raw[:80]!r}") from None


def read_reply(payload: object, asked: int) -> Reply:
    """Choices of a reply, checked."""
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
        raise Unreadable("a choice of the reply is not an object")
    stated = item.get("message")
    message = stated if isinstance(stated, Mapping) else {"content": item.get("text")}
    text, finish = _text(message.get("content")), str(item.get("finish_reason") or "")
    refused = message.get("refusal")
    if _FILTERED.match(finish) or refused:
        raise Declined(f"the endpoint refused to answer ({str(refused or finish)[:80]})")
    if not spoken(text or "").strip() and (why := _why_empty(message, text, finish)):
        raise Refused(why)
    if text is None:
        raise Unreadable("a choice of the reply holds no text")
    try:
        tokens = _tokens(item.get("logprobs"))
        if tokens and _of_thoughts(tokens, message, text):
            return Choice(text, None, finish, OF_THOUGHTS)
        return Choice(text, tokens, finish)
    except Unreadable as error:  # the answer itself is good
        return Choice(text, None, finish, str(error))


def _of_thoughts(tokens: Sequence[Token], message: Mapping[str, Any], text: str) -> bool:
    """Whether log-probabilities begin with what the model thought, which a parser has taken out of the text, or may."""
    spelled = "".join(token.text for token in tokens)
    if spoken(spelled) != spelled:
        return True
    thought = any(message.get(name) for name in _THOUGHTS) or isinstance(message.get("content"), list)
    return thought and normal(plain(spelled.replace("\u2581", " "))) != normal(plain(text))


def _text(content: object) -> str | None:
    """The text of an answer, which may come in parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _why_empty(message: Mapping[str, Any], text: str | None, finish: str) -> str:
    """Why an answer is empty, where the reply says so: asking again would give the same."""
    thought = bool((text or "").strip()) or isinstance(message.get("content"), list)
    thought = thought or any(message.get(name) for name in _THOUGHTS)
    if message.get("tool_calls") or message.get("function_call") or finish in ("tool_calls", "function_call"):
        return "the model called a tool instead of answering; leave tools out of parameters="
    if finish == "length":
        return (
            f"the answer was cut at max_tokens {'while thinking' if thought else 'before it began'}; raise max_tokens="
        )
    if thought:
        return "the model only thought and gave no answer"
    return "" if finish in _ENDS else f"the model gave no answer ({finish[:40]})"


def _tokens(logprobs: object) -> tuple[Token, ...] | None:
    """Tokens of a chat reply (``content``) or of a completion (``tokens``, ``top_logprobs``), up to an odd one."""
    if not isinstance(logprobs, Mapping):
        return None
    places: list[tuple[Any, Sequence[tuple[Any, Any]], Any]]
    content, tokens, tops = (logprobs.get(name) for name in ("content", "tokens", "top_logprobs"))
    if isinstance(content, list) and content:
        places = [_place(place) for place in content]
    elif isinstance(tokens, list) and isinstance(tops, list) and len(tokens) == len(tops) and tokens:
        chosen = logprobs.get("token_logprobs")
        owns = chosen if isinstance(chosen, list) and len(chosen) == len(tokens) else [None] * len(tokens)
        listed = [list(top.items()) if isinstance(top, Mapping) else [] for top in tops]
        places = list(zip(tokens, listed, owns))
    else:
        return None
    out: list[Token] = []
    for place in places:
        try:
            out.append(_token(*place))
        except Unreadable:
            if not out:
                raise
            break
    return tuple(out)


def _place(place: object) -> tuple[Any, Sequence[tuple[Any, Any]], Any]:
    """Token, what is listed for its place, and its own log-probability."""
    if not isinstance(place, Mapping):
        return None, [], None
    tops = place.get("top_logprobs")
    entries = [top for top in tops if isinstance(top, Mapping)] if isinstance(tops, list) else []
    return place.get("token"), [(top.get("token"), top.get("logprob")) for top in entries], place.get("logprob")


def _token(text: Any, listed: Sequence[tuple[Any, Any]], own: Any) -> Token:
    """One place; an entry that cannot be a log-probability is as good as not listed."""
    if not isinstance(text, str):
        raise Unreadable("the log-probabilities of the reply are not in the form the protocol says")
    chances: dict[str, float] = {}
    for token, log in listed:
        if isinstance(token, str) and _is_log(log):
            chances[token] = max(chances.get(token, 0.0), math.exp(min(log, 0.0)))
    if text not in chances and _is_log(own):
        chances[text] = math.exp(min(own, 0.0))
    if text not in chances:
        odd = str(next((log for token, log in listed if token == text), own))[:40]
        raise Unreadable(f"the reply gives the token {text[:40]!r} the log-probability {odd}, which cannot be")
    if sum(chances.values()) > 1.02:
        raise Unreadable(f"the probabilities of one place add up to {sum(chances.values()):.3f}, more than 1")
    return Token(text, chances)


def _is_log(log: object) -> bool:
    return isinstance(log, (int, float)) and not isinstance(log, bool) and log <= 1e-3
