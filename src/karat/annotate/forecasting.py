"""What labelling is going to cost, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._core.store import cache_folder
from ..errors import one_of, whole
from .answer_store import AnswerStore
from .endpoint import Endpoint
from .inputs import VOTES, as_list, check_temperature, rows_and_texts
from .labelling import job_name
from .media import check_media, check_price
from .one_text import METHODS, RowAsker
from .protocol import most_tokens, without_media, words_of
from .question import Question
from .requests import Asker

_BYTES_A_TOKEN = 4.0
"""Of English prose, with tokenisers in use; other languages have fewer bytes a token and cost more."""
_TOKENS_A_MESSAGE = 4.0
_ANSWER = 4.0
"""Tokens of an answer in a word."""


@dataclass(frozen=True)
class Forecast:
    """What labels are going to cost.

    Parameters
    ----------
    texts, cached : int
        Different texts to be asked about, and those whose answer is in the cache.
    requests : int
        Requests to be sent if none fails.
    prompt_tokens, completion_tokens : int
        Expected: as billed for this question and model so far where there is something, else from a rule of thumb.
    amount, most : float
        Expected cost, and the most that can be billed if no request has to be made again.
    spent : float
        What the same question to the same model has cost so far.
    currency : str
    minutes : float
        At least so long, by the rate limits of the endpoint; 0 where it has none.
    measured : bool
        Whether tokens are as billed so far.

    Examples
    --------
    >>> from karat.annotate import Forecast
    >>> print(Forecast(1500, 0, 1500, 400_000, 1_500, 0.061, 0.31, 0.0, "USD", 3.0, False))
    1500 requests for 1500 texts (0 in the cache): about 0.061 USD, 0.31 at most; 3 minutes or more (rule of thumb)
    """

    texts: int
    cached: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    amount: float
    most: float
    spent: float
    currency: str
    minutes: float
    measured: bool

    def __str__(self) -> str:
        time = f"; {self.minutes:.0f} minutes or more" if self.minutes >= 0.5 else ""
        basis = "as billed so far" if self.measured else "rule of thumb"
        return (
            f"{self.requests} requests for {self.texts} texts ({self.cached} in the cache): about {self.amount:.3g} "
            f"{self.currency}, {self.most:.3g} at most{time} ({basis})"
        )


def forecast(
    data: object,
    question: Question | Sequence[Question],
    model: Any,
    *,
    text: str | None = None,
    method: str = "auto",
    votes: int = VOTES,
    cache: Any = "auto",
    media: str | None = None,
) -> Forecast | list[Forecast]:
    """Forecast what :func:`label` is going to cost; nothing is sent.

    Parameters
    ----------
    data, question, text, method, votes, cache
        See :func:`label`. For ``"auto"`` log-probabilities are taken to be had.
    model : Endpoint or sequence of Endpoint
    media : str, optional
        Column of images or sounds, see :func:`label`. Needs ``Endpoint(media_tokens=)``, which every one of them is
        taken to cost.

    Returns
    -------
    Forecast, or list of Forecast
        One for each question to each model.

    Notes
    -----
    ``most`` is what a budget sets aside: no tokeniser in use makes more tokens than there are bytes, and answers are at
    most ``max_tokens`` long. Votes are taken to come from one request.

    Examples
    --------
    >>> import karat as kt
    >>> question = kt.annotate.Question("Is the letter for the tram?", classes=["yes", "no"])
    >>> model = kt.annotate.Endpoint("http://127.0.0.1:8000/v1", "qwen3-8b", price=(0.15, 0.60))
    >>> found = kt.annotate.forecast(["I love it.", "Never!"], question, model, cache=None)
    >>> found.requests, found.amount < found.most
    (2, True)
    """
    one_of("method", method, METHODS)
    votes = whole("votes", votes, least=1, most=1000)
    questions, models = as_list(question, Question, "question"), as_list(model, Endpoint, "model")
    check_temperature(models, method)
    check_media(media, models)
    _, texts = rows_and_texts(data, text, None, media)
    check_price(texts, models, always=True)
    store = AnswerStore(None if cache is None else cache_folder(cache, "answers"))
    try:
        out = [_one(texts, q, m, method, votes, store) for m in models for q in questions]
    finally:
        store.close()
    return out[0] if len(out) == 1 else out


def _one(
    texts: list[str], question: Question, model: Endpoint, method: str, votes: int, store: AnswerStore
) -> Forecast:
    job = job_name(question, model)
    asker = Asker(model, store, job, None)
    rows = RowAsker(asker, question, method, votes)
    asker.close()
    todo = [t for t in dict.fromkeys(texts) if not question.why_shown(t)]
    way = question.way(method)
    bodies = [body for body in (rows.request(t, way, votes) for t in todo) if store.get(asker.key(body, 0)) is None]
    bounds = [most_tokens(body, model.media_tokens) for body in bodies]
    prompt, completion = (sum(bound[i] for bound in bounds) for i in (0, 1))
    billed = [row for row in store.tally([job]) if row[0] in ("answered", "unreadable") and row[2]]
    done = sum(row[1] for row in billed)
    if done:
        expected = [sum(row[i] for row in billed) / done * len(bodies) for i in (2, 3)]
    else:
        plain = [without_media(body) for body in bodies]
        written = sum(len(said.encode()) for body, _ in plain for said in words_of(body))
        shown = sum(parts for _, parts in plain) * (model.media_tokens or 0)
        messages = sum(len(b.get("messages", [0])) for b in bodies)
        long = _ANSWER * (votes if way == "votes" else 1)
        if way == "json" or question.several:
            long *= 2 * len(question.words) + 1
        expected = [
            written / _BYTES_A_TOKEN + _TOKENS_A_MESSAGE * messages + shown,
            min(long * len(bodies), completion),
        ]
    gaps = [len(bodies) / model.requests_per_minute if model.requests_per_minute else 0.0]
    gaps += [(prompt + completion) / model.tokens_per_minute] if model.tokens_per_minute else []
    return Forecast(
        texts=len(todo),
        cached=len(todo) - len(bodies),
        requests=len(bodies),
        prompt_tokens=round(expected[0]),
        completion_tokens=round(expected[1]),
        amount=model.amount(model.cost(round(expected[0]), round(expected[1]))),
        most=model.amount(model.cost(prompt, completion)),
        spent=model.amount(store.spent([job])),
        currency=model.currency,
        minutes=max(gaps),
        measured=bool(done),
    )
