"""A page for an annotator: one HTML file that works offline, and the file of answers that it saves.

The page shows texts as text, never as markup, and its security policy lets it load and send nothing. Answers come back
in a JSON file with a checksum, so that an edited or damaged one is noticed, and with what was asked, so that answers to
other questions are refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ..errors import ArgumentError, DataError
from .answers import ANSWERED, FLAGGED, Given
from .codes import codes_of
from .questions import Question, read_questions

FORMAT, VERSION = "karat answers", 1
_RESAVE = "open it in the page that saved it, or take the file as it was saved"


def write(
    about: Mapping[str, Any],
    questions: Sequence[Question],
    documents: Sequence[tuple[str, str, Mapping[str, str]]],
    earlier: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]] | None = None,
) -> bytes:
    """The page of one annotator.

    Parameters
    ----------
    about : mapping
        ``annotator``, ``stem`` (of file names), ``origin`` (of the sample), ``asked`` (labels as JSON) and
        ``instructions``.
    questions : sequence of Question
    documents : sequence of (document, text, further columns to show)
    earlier : mapping, optional
        What others answered about each document, where disagreements are settled.
    """
    listed = []
    for document, text, shown in documents:
        one: dict[str, Any] = {"document": document, "text": text, "shown": dict(shown)}
        if earlier is not None:
            one |= {"shown": {k: v for k, v in shown.items() if k != "earlier"}, "earlier": earlier[document]}
            one["ask"] = [q.name for q in questions if q.name in earlier[document]]
        listed.append(one)
    asked = [
        {"name": q.name, "asked": q.asked, "kind": q.kind, "allowed": q.allowed, "codes": codes_of(q), "low": q.low,
         "high": q.high}
        for q in questions
    ]  # fmt: skip
    payload = {**about, "settles": earlier is not None, "questions": asked, "documents": listed}
    payload["page"] = hashlib.blake2b(_json(payload).encode("utf-8", "replace"), digest_size=16).hexdigest()
    return _assembled(payload, {})


def served(page: bytes, post: str, answers: Mapping[str, Any] | None) -> bytes:
    """A page that was written, as a server of the same machine hands it out.

    Parameters
    ----------
    page : bytes
        As :func:`write` gave it.
    post : str
        Where the page sends answers as they are given.
    answers : mapping, optional
        What it saved before.
    """
    text = page.decode("utf-8")
    start = text.index(_OPENING) + len(_OPENING)
    payload = json.loads(text[start : text.index("</script>", start)])
    given = {} if answers is None else {e.pop("document"): e for e in ({**each} for each in answers["answers"])}
    return _assembled(payload, {"post": post, "start": {"state": given, "changed": False}})


_OPENING = '<script type="application/json" id="labelling">'


def _assembled(payload: Mapping[str, Any], more: Mapping[str, Any]) -> bytes:
    """Template, style, script and what they show in one file."""
    style, script = _asset("page.css"), _asset("page.js")
    parts = {
        "style": style, "script": script, "style_hash": _policy(style), "script_hash": _policy(script),
        "connect": "'self'" if "post" in more else "'none'", "payload": _json({**payload, **more}),
    }  # fmt: skip
    pieces = _asset("page.html").split("{{")
    out = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        out += [parts[name], rest]
    return "".join(out).encode("utf-8", "replace")


def is_answers(content: object) -> bool:
    """Whether the content of a JSON file was saved by a page."""
    return isinstance(content, dict) and content.get("format") == FORMAT


@dataclass(frozen=True)
class Saved:
    """A file that a page saved, and whose it is; ``content`` is as :func:`checked` passed it."""

    file: str
    who: str
    content: Mapping[str, Any]

    @property
    def page(self) -> tuple[str, str]:
        """Which page saved it."""
        return self.who, self.content["page"]

    @property
    def answers(self) -> Iterator[Given]:
        """What the person answered about each document."""
        for each in self.content["answers"]:
            note, status = each.get("note"), FLAGGED if each.get("flag") is True else ANSWERED
            raw = {name: value for name, value in each["answers"].items() if _is_plain(value)}
            note = note if isinstance(note, str) else ""
            yield Given(each["document"], self.who, raw, status, note, self.content.get("settles") is True)


def last_saves(saved: Sequence[Saved], duplicates: str) -> list[Saved]:
    """What counts of what pages saved, the earlier first.

    A page may be saved many times. With ``"raise"`` later files must hold what the earlier ones do, and all are held
    against each other; with ``"last"`` the one that was saved last counts.
    """
    saved = sorted(saved, key=lambda one: str(one.content.get("saved")))
    last = {one.page: one for one in saved}
    if duplicates == "last":
        return [one for one in saved if one is last[one.page]]
    for one in saved:
        later = last[one.page]
        kept = {each["document"]: each["answers"] for each in later.content["answers"]}
        for each in one.content["answers"]:
            gone = [name for name in each["answers"] if name not in kept.get(each["document"], {})]
            if gone:
                raise DataError(
                    f"{one.file} and {later.file} were saved by the same page; the later one no longer holds the "
                    f"answer to {gone[0]!r} about document {each['document']}. Keep the file that is right, or use "
                    "duplicates='last', which takes the later one alone."
                )
    return saved


def checked(
    content: Any, file: str, origins: set[str | None] | None, questions: Sequence[Question] | None
) -> dict[str, Any]:
    """A file of answers, held against the sample and the questions (if they are known).

    Raises
    ------
    DataError
        If it was edited or damaged, belongs to another sample, or answers other questions.
    """
    if content.get("version") != VERSION:
        raise DataError(f"{file} has version {content.get('version')!r} of its format; this karat reads {VERSION}.")
    rest = {name: value for name, value in content.items() if name != "checksum"}
    if not isinstance(rest.get("answers"), list) or content.get("checksum") != checksum(rest):
        raise DataError(f"{file} has been edited or damaged since the page saved it (its checksum differs); {_RESAVE}.")
    for each in rest["answers"]:
        if not (
            isinstance(each, dict) and isinstance(each.get("document"), str) and isinstance(each.get("answers"), dict)
        ):
            raise DataError(f"{file} holds an answer without a document; {_RESAVE}.")
    if not isinstance(content.get("page"), str):
        raise DataError(f"{file} does not say which page saved it; {_RESAVE}.")
    if origins is not None and content.get("origin") not in origins:
        raise DataError(
            f"{file} belongs to another sample (its frame hash is {str(content.get('origin'))[:8]}); read it with the "
            "sample that its page was written for."
        )
    asked = asked_in(content, file)
    for q in questions or ():
        if q.name not in asked:
            raise DataError(f"{file} has no answers to {q.name!r} (its page asked {', '.join(asked)}).")
        try:
            then = read_questions({q.name: asked[q.name]})[0]
        except ArgumentError:
            then = None
        if then != q:
            raise DataError(
                f"{file}: its page asked {q.name!r} in another way ({_brief(asked[q.name])}) than it is read "
                f"({_brief(q.spec)}); read it with the labelling.json that was written with the page."
            )
    return dict(content)


def asked_in(content: Mapping[str, Any], file: str) -> dict[str, Any]:
    """What the page asked, as users write labels."""
    try:
        found = json.loads(content["asked"])
    except (KeyError, TypeError, ValueError):
        found = None
    if not isinstance(found, dict) or not found:
        raise DataError(f"{file} does not say what was asked; {_RESAVE}.")
    return found


def checksum(content: Mapping[str, Any]) -> str:
    """Checksum of what a page saved, without the field ``checksum``: SHA-256 of its keys and values in their order.

    Examples
    --------
    >>> checksum({"format": "karat answers", "answers": [{"flag": True}]})[:12]
    'ca3b3efec180'
    """
    text = "\n".join(_leaves(content)).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return hashlib.sha256(text.encode()).hexdigest()


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value if isinstance(value, str) else json.dumps(value)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))


def _brief(spec: Any) -> str:
    text = spec if isinstance(spec, str) else json.dumps(spec, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _json(value: Any) -> str:
    """JSON that can stand in a page: nothing in it ends the element or begins a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _policy(text: str) -> str:
    """A style or script as the security policy of the page names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    return (resources.files(__package__) / "_page" / name).read_text(encoding="utf-8")
