"""How one text gets its distribution from an endpoint: log-probabilities, else repeated answers, or stated JSON."""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EndpointError
from .media import message_content
from .protocol import OF_THOUGHTS, Choice, Reply, read_reply
from .question import Question
from .reading import Reading, from_tokens, hold_against
from .requests import Asker, Declining, RowError
from .saying import Declined, Refused, Unreadable, Useless, begins, declines, usable

if TYPE_CHECKING:
    from .._core.types import Floats

METHODS = ("auto", "logprobs", "votes", "json")
LEAST_MASS = 0.5
"""Probability the classes must have together for log-probabilities to be used."""
MOST_UNRESOLVED = 0.1
"""Share of it that may be split among classes that begin alike."""
MOST_UNLISTED = 0.02
"""Probability that may not be listed where a class is not listed either."""
_ONE_AT_A_TIME = re.compile(r"HTTP 4\d\d:.*(?:(?<!\w)['\"`]n['\"`]|\bn\s*(?:>|must|should|is not|=))", re.DOTALL)
"""An endpoint that gives no several answers to one request."""
_REFUSED = "refused"
"""How :func:`karat.annotate.protocol.read_reply` marks a refusal among answers."""


@dataclass(frozen=True)
class Row:
    """What is known about one text: ``p`` (K,), or None and in ``status`` why there is no label."""

    p: Floats | None
    method: str
    mass: float
    status: str = "ok"
    declined: bool = False
    marks: Any = None

    def full(self, question: Question) -> Floats | None:
        """A probability for each class of a question, refusals included where they count as one, shape (K,)."""
        if self.p is not None:
            more = len(question.labels) - len(self.p)
            return np.concatenate([self.p, np.zeros(more)]) if more else self.p
        return np.eye(len(question.labels))[-1] if self.declined and question.refusal is not None else None

    @classmethod
    def of(cls, reading: Reading, method: str) -> Row:
        """What was read from a reply."""
        return cls(reading.p, method, reading.mass, marks=reading.marks)


class NoLogprobs(Exception):
    """The endpoint gives no log-probabilities, or none that serve."""


class RowAsker:
    """Labels texts one by one; threads share it. ``votes`` are drawn where log-probabilities are not to be had."""

    def __init__(self, asker: Asker, question: Question, method: str, votes: int) -> None:
        self.asker, self.question, self.votes, self.asked_for = asker, question, votes, method
        self.method = question.way(method)
        self.switched = ""
        self.at_once = votes
        self._first = True
        self._lock = threading.Lock()

    def label(self, text: str) -> Row:
        """The distribution of one text."""
        try:
            return self._label(text)
        except RowError as error:
            return Row(None, self.method, float("nan"), str(error), isinstance(error, Declining))
        finally:
            self._first = False

    def _label(self, text: str) -> Row:
        if self.method == "json":
            return Row.of(self._json(text), "json")
        if self.method == "logprobs":
            try:
                return Row.of(self._logprobs(text), "logprobs")
            except NoLogprobs as error:
                if self.asked_for != "auto":
                    raise RowError(str(error)) from None
        return Row.of(self._sampled(text), "votes")

    def request(self, text: str, method: str, votes: int = 1) -> dict[str, Any]:
        """The body of a request about a text, for log-probabilities, some votes at once, or stated JSON."""
        point = self.asker.endpoint
        if method == "json":
            return self._body(text, "json", temperature=0, **self._room("json", text))
        fields: dict[str, Any] = {"temperature": 1} | ({"n": votes} if votes > 1 else {})
        if method == "logprobs":
            chat = {"logprobs": True, "top_logprobs": point.top_logprobs}
            fields = {"temperature": 0, **(chat if point.api == "chat" else {"logprobs": point.top_logprobs})}
        return self._body(text, "label", **fields, **self._room("label", text))

    def _body(self, text: str, kind: str, **fields: Any) -> dict[str, Any]:
        point = self.asker.endpoint
        body: dict[str, Any] = {"model": point.model, "max_tokens": point.max_tokens}
        if point.api == "chat":
            messages: list[dict[str, Any]] = list(self.question.messages(text, kind))
            messages[-1] = {**messages[-1], "content": message_content(messages[-1]["content"], text)}
            body["messages"] = messages
        else:
            body["prompt"] = self.question.prompt(text, kind)
        body |= fields | dict(point.parameters)
        body = {name: value for name, value in body.items() if value is not None}
        if not any(name in body for name in ("max_tokens", "max_completion_tokens")):
            raise EndpointError(
                "parameters take max_tokens out; name max_completion_tokens, so that cost stays bounded."
            )
        return body

    def _read(self, payload: Any, asked: int) -> Reply:
        reply, point = read_reply(payload, asked), self.asker.endpoint
        if reply.model not in ("", point.model, point.serves):
            raise EndpointError(
                f"the endpoint {point.url} was asked for the model {point.model!r} and answers as "
                f"{reply.model[:100]!r}. If that is the model you want, set serves= to that name; the answer is kept."
            )
        self.asker.models.add(reply.model)
        return reply

    def _logprobs(self, text: str) -> Reading:
        body = self.request(text, "logprobs")

        def read(payload: Any) -> Reading | str:
            choice = self._read(payload, 1).choices[0]
            if choice.tokens is None and choice.odd in ("", OF_THOUGHTS) and self._first and choice.text.strip():
                self._switch(choice.odd or "its replies hold none")  # an empty answer says nothing about the endpoint
            return self._of_tokens(choice, body.get("temperature") == 0)

        try:
            reading = self.asker.ask(body, 0, read)
        except RowError as error:
            if "logprob" not in str(error):
                raise
            self._switch(str(error))
            raise NoLogprobs(str(error)) from error
        if isinstance(reading, str):
            raise NoLogprobs(reading)
        return reading

    def _of_tokens(self, choice: Choice, likeliest: bool) -> Reading | str:
        """A distribution from log-probabilities, or why they give none."""
        if choice.tokens is None:
            return choice.odd or "the reply holds no log-probabilities; use method='votes' or 'json'"
        if self.question.several:
            return self._of_fields(choice)
        words, reading = self.question.words, None
        with contextlib.suppress(Unreadable):
            reading = from_tokens(choice.tokens, words)
        mass = 0.0 if reading is None else reading.mass
        wide = self.question.scale is not None and len(words) > self.asker.endpoint.top_logprobs
        if reading is not None and reading.unlisted > MOST_UNLISTED and not wide:
            return (
                f"the reply lists {1 - reading.unlisted:.0%} of the probability and not all labels; raise "
                "top_logprobs=, or use method='votes'"
            )
        if reading is None or mass < LEAST_MASS:
            return (
                f"the labels have probability {mass:.2f} together, so the answer would not be one of them; say in the "
                "instruction how to answer, or use method='votes'"
            )
        if reading.unresolved > MOST_UNRESOLVED:
            return (
                f"{reading.unresolved:.0%} of the probability lies on tokens with which several labels begin; give "
                "labels that begin differently, or use method='votes'"
            )
        if choice.finish != "length" or not begins(choice.text, words):
            try:
                hold_against(reading, choice.text, choice.tokens, words, likeliest)
            except Unreadable as error:
                return str(error)
        return reading

    def _of_fields(self, choice: Choice) -> Reading | str:
        """Probabilities of classes of which several may hold, or why there are none."""
        assert choice.tokens is not None
        if choice.finish == "length":
            return "the answer was cut at max_tokens; raise max_tokens="
        try:
            reading = self.question.from_fields(choice.tokens)
        except Unreadable as error:
            return str(error)
        if reading.mass < LEAST_MASS:
            return (
                f"the answers allowed have probability {reading.mass:.2f} together at one of the fields; use "
                "method='votes'"
            )
        return reading

    def _switch(self, why: str) -> None:
        """No log-probabilities are to be had here: the other texts need not try.

        Said by the first text, which goes alone, or by the endpoint itself; what happens to a single later text says
        nothing about the others.
        """
        if self.asked_for == "logprobs":
            raise EndpointError(
                f"the endpoint {self.asker.endpoint.url} gives no log-probabilities; use method='votes' or 'json' "
                f"({why})."
            )
        with self._lock:
            if self.asked_for == "auto" and self.method == "logprobs":
                self.method, self.switched = "votes", why

    def _sampled(self, text: str) -> Reading:
        answers: list[Choice] = []
        for round_ in range(self.votes):
            wanted = min(self.votes - len(answers), self.at_once)

            def read(payload: Any, wanted: int = wanted) -> tuple[Choice, ...]:
                try:
                    return self._read(payload, wanted).choices
                except Refused:
                    if wanted == self.votes:
                        raise
                    return (Choice("", None, _REFUSED),)  # one refusal among answers

            body = self.request(text, "votes", wanted)
            if isinstance(body.get("seed"), int):
                body["seed"] += round_  # the same seed would draw the same answer again
            try:
                answers += self.asker.ask(body, round_, read)
            except RowError as error:
                if wanted == 1 or not _ONE_AT_A_TIME.search(str(error)):
                    raise
                self.at_once = 1  # for all texts from now on
                return self._sampled(text)
            if len(answers) >= self.votes:
                break
        return self._counted(answers, text)

    def _counted(self, answers: list[Choice], text: str) -> Reading:
        """Shares of answers; those of refusals are theirs where they count as a class."""
        words, several = self.question.words, self.question.several
        refused = [answer.finish == _REFUSED or declines(answer.text) for answer in answers]
        share = float(np.mean(refused))
        if self.question.refusal is not None and share:
            answers = [answer for answer, gone in zip(answers, refused) if not gone]
            if not answers:
                raise Declining("the model declines to judge the text")
        else:
            share = 0.0
        whole = [
            (a.text if a.finish != "length" else "") if several else usable(a.text, a.finish, words) for a in answers
        ]
        try:
            reading = self.question.from_answers(whole, text)
            if share:
                return Reading(np.append(reading.p * (1 - share), share), reading.mass)
            return reading
        except Unreadable as error:
            cut = sum(answer.text != kept for answer, kept in zip(answers, whole))
            more = f"; {cut} of {len(answers)} answers were cut at max_tokens, raise max_tokens=" if cut else ""
            raise RowError(f"{error}{more}") from None

    def _json(self, text: str) -> Reading:
        body = self.request(text, "json")

        def read(payload: Any) -> Reading:
            choice = self._read(payload, 1).choices[0]
            try:
                return self.question.from_json(choice.text, text)
            except Unreadable as error:
                if declines(choice.text):
                    raise Declined(f"the model declines to judge the text ({choice.text.strip()[:60]!r})") from None
                if choice.finish == "length":
                    raise Refused("the JSON was cut at max_tokens; raise max_tokens=") from None
                raise (Useless(str(error)) if body.get("temperature") == 0 else error) from None

        return self.asker.ask(body, 0, read)

    def _room(self, kind: str, text: str) -> dict[str, Any]:
        """Tokens for an answer in JSON, and its form where the endpoint is to keep to it; nothing for a single word."""
        point, room = self.asker.endpoint, self.question.room(kind, text)
        if not room:
            return {}
        form = {"response_format": self.question.schema(kind)} if point.structured else {}
        return {"max_tokens": max(room, point.max_tokens), **form}
