"""A protocol that is laid down: question, prompt, model, settings and parsing under one hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ProtocolError
from .endpoint import Endpoint
from .forms import Form
from .local import LocalModel
from .question import Question
from .span_question import SpanQuestion

if TYPE_CHECKING:
    from .panel import Panel
    from .result import Annotation

READING = 2  # 1 took log-probabilities of thoughts for those of the answer, and knew fewer words for filters
"""Raised whenever the same reply would be read as another label."""
_TRAFFIC = (
    "price", "currency", "key_env", "concurrency", "requests_per_minute", "tokens_per_minute", "timeout", "retries",
    "backoff", "longest_wait", "media_tokens",
)  # fmt: skip
"""Settings of an endpoint on which no answer depends."""
_KINDS: dict[str, type[Question]] = {kind.__name__: kind for kind in (Question, Form, SpanQuestion)}


@dataclass(frozen=True)
class Protocol:
    """How labels are made, once and for all.

    Parameters
    ----------
    question : Question
    model : Endpoint or LocalModel
    method : str
    votes : int
        See :func:`label`.

    Examples
    --------
    >>> import karat as kt
    >>> question = kt.annotate.Question("Is the letter for the tram?", classes=["yes", "no"])
    >>> model = kt.annotate.Endpoint("http://127.0.0.1:8000/v1", "qwen3-8b")
    >>> protocol = kt.annotate.Protocol(question, model)
    >>> other = kt.annotate.Protocol(question, model, votes=9)
    >>> protocol.hash == other.hash, protocol.differences(other)
    (False, ['votes is 9 where 5 is laid down'])
    """

    question: Question
    model: Any
    method: str = "auto"
    votes: int = 5

    def __post_init__(self) -> None:
        self.question.way(self.method)

    def describe(self) -> dict[str, Any]:
        """All that the labels depend on, as plain values."""
        local = isinstance(self.model, LocalModel)
        kind = "json" if self.method == "json" else "label"
        return _plain(
            {
                "question": self.question.describe(),
                "prompt": self.model.shows(self.question) if local else self.question.messages("{text}", kind),
                "model": self.model.describe(),
                "method": self.model.built() if local else self.method,
                "votes": None if local else self.votes,
                "reading": READING,
            }
        )

    @property
    def hash(self) -> str:
        """Digest of all that the labels depend on, 32 hexadecimal digits."""
        return hash_of(self.describe())

    def differences(self, other: Protocol | Annotation | Panel) -> list[str]:
        """What another protocol, or that of some labels, has otherwise; empty where it is the same.

        Parameters
        ----------
        other : Protocol, Annotation or Panel

        Returns
        -------
        list of str
        """
        theirs = other.describe() if isinstance(other, Protocol) else described(other)
        return differences(self.describe(), theirs)

    def to_dict(self) -> dict[str, Any]:
        """All of it for a file; no key, and no settings of the traffic."""
        kind = "endpoint" if isinstance(self.model, Endpoint) else "local"
        model = {f.name: getattr(self.model, f.name) for f in dataclasses.fields(self.model) if f.name not in _TRAFFIC}
        about = {"question": _said(self.question), kind: model, "method": self.method, "votes": self.votes}
        return _plain(about)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Protocol:
        """What :meth:`to_dict` gave."""
        model = Endpoint(**given["endpoint"]) if "endpoint" in given else LocalModel(**given["local"])
        return cls(_question(given["question"]), model, given["method"], given["votes"])


def _said(question: Question) -> dict[str, Any]:
    """A question of any kind as plain values."""
    out = {f.name: getattr(question, f.name) for f in dataclasses.fields(question)}
    if isinstance(question.classes, Mapping):
        out["classes"] = {"pairs": [list(pair) for pair in question.classes.items()]}
    if isinstance(question, Form):
        out["fields"] = [_said(field) for field in question.fields]
    return out if type(question) is Question else out | {"kind": type(question).__name__}


def _question(given: Mapping[str, Any]) -> Question:
    """What :func:`_said` gave."""
    about = dict(given)
    kind = _KINDS[about.pop("kind", "Question")]
    if isinstance(about["classes"], Mapping):
        about["classes"] = dict(about["classes"]["pairs"])
    about["examples"] = [tuple(pair) for pair in about["examples"]]
    if about["scale"] is not None:
        about["scale"] = tuple(about["scale"])
    if "fields" in about:
        about["fields"] = tuple(_question(field) for field in about["fields"])
    return kind(**about)


def described(labels: Annotation | Panel) -> dict[str, Any]:
    """The protocol that labels were made under, from their record."""
    record = labels.provenance
    lost = [name for name in ("question", "prompt", "model", "method") if name not in record]
    if lost:
        raise ProtocolError(f"the labels do not say how they were made ({lost[0]!r} is not in their provenance).")
    about = {name: record[name] for name in ("question", "prompt", "model", "method")}
    return _plain({**about, "votes": record.get("votes"), "reading": record.get("reading", 1)})


def differences(mine: Any, theirs: Any, where: str = "") -> list[str]:
    """Where two records of plain values differ, field by field."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return [
            line
            for key in dict.fromkeys([*mine, *theirs])
            for line in differences(mine.get(key), theirs.get(key), f"{where}.{key}".lstrip("."))
        ]
    return [] if mine == theirs else [f"{where} is {_short(theirs)} where {_short(mine)} is laid down"]


def hash_of(about: Mapping[str, Any]) -> str:
    """Digest of plain values, whatever the order of their fields."""
    text = json.dumps(about, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(about: Any) -> dict[str, Any]:
    out: dict[str, Any] = json.loads(json.dumps(about, default=str))
    return out


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:60]} ... ({len(text)} characters)"
