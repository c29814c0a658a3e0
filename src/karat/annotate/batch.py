"""Asking in batches: files of requests that a vendor works off within a day, at a lower price."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._core.store import cache_folder
from ..errors import ArgumentError, BudgetError, EndpointError, number, one_of, whole
from .answer_store import AnswerStore, Ticket
from .batch_wire import FINAL, BatchWire, Remote
from .endpoint import Endpoint
from .inputs import VOTES, as_list, check_budget, check_temperature, rows_and_texts
from .labelling import job_name, run
from .media import check_media, check_price
from .one_text import RowAsker
from .protocol import most_tokens, usage
from .question import Question
from .requests import Asker

if TYPE_CHECKING:
    from .result import Annotation

METHODS = ("logprobs", "votes", "json")
_MOST_REQUESTS = 50_000
_MOST_BYTES, _LINE = 180_000_000, 300
"""Bytes of a file of requests at most, of which vendors take 200 million, and those of a line beside its request."""


@dataclass(frozen=True)
class _Ask:
    """What is asked, and where money and answers are."""

    data: Any = field(repr=False)
    question: Question
    model: Endpoint
    text: str | None
    id: str | None
    method: str
    votes: int
    cache: Any
    budget: float | None
    study: str | None
    media: str | None = None


@dataclass(frozen=True)
class Batch:
    """Texts that were handed to a vendor.

    All that is known of it is in the cache: after a crash, or in another session, the same call of :func:`submit` gives
    it back, and hands nothing in twice.

    Parameters
    ----------
    ask : object
        What was asked.
    size : int
        Requests in a file at most.

    Examples
    --------
    >>> batch = kt.annotate.submit(letters, question, model, text="text", method="logprobs")  # doctest: +SKIP
    >>> labels = batch.wait().collect()  # doctest: +SKIP
    """

    ask: Any
    size: int = 5_000

    def state(self) -> dict[str, int]:
        """How far it is: requests ``"waiting"`` at the vendor, ``"answered"``, and ``"open"`` (to be asked again).

        Answers of files that are done are fetched and kept.
        """
        with _Desk(self.ask) as desk:
            desk.fetch()
            return desk.counts()

    def wait(self, every: float = 60.0, longest: float = 172_800.0) -> Batch:
        """Wait until the vendor is done with all files.

        Parameters
        ----------
        every : float
            Seconds between looks.
        longest : float
            Seconds after which waiting is given up; nothing is lost then, call again.

        Returns
        -------
        Batch
            Itself.

        Raises
        ------
        EndpointError
            If it takes longer.
        """
        every, until = number("every", every, above=0), time.monotonic() + number("longest", longest, above=0)
        while (left := self.state()["waiting"]) and time.monotonic() + every < until:
            time.sleep(every)
        if left:
            raise EndpointError(f"{left} requests are still waiting after {longest:g} s; call wait() again later.")
        return self

    def collect(self, *, failures: str = "raise", progress: bool = False) -> Annotation:
        """The labels, as :func:`label` reads them from the answers; what came back without one is asked directly.

        Parameters
        ----------
        failures, progress
            See :func:`label`.

        Returns
        -------
        Annotation

        Raises
        ------
        EndpointError
            If files are still at the vendor.
        """
        if left := self.state()["waiting"]:
            raise EndpointError(f"{left} requests are still at the vendor; wait() first, or call again later.")
        ask = self.ask
        made: Annotation = run(
            ask.data, ask.question, ask.model, text=ask.text, id=ask.id, method=ask.method, votes=ask.votes,
            cache=ask.cache, budget=ask.budget, failures=failures, progress=progress, study=ask.study, media=ask.media,
        )  # fmt: skip
        return made


def submit(
    data: object,
    question: Question,
    model: Endpoint,
    *,
    text: str | None = None,
    id: str | None = None,
    method: str = "logprobs",
    votes: int = VOTES,
    cache: Any = "auto",
    budget: float | None = None,
    size: int = 5_000,
    study: str | None = None,
    media: str | None = None,
) -> Batch:
    """Hand texts to a vendor's batch interface (``/files`` and ``/batches`` as OpenAI has them).

    Parameters
    ----------
    data, question, text, id, votes, cache, budget
        See :func:`label`. The budget covers what all requests can cost together before any is answered.
    model : Endpoint
        With the price of batches, which is lower than that of single requests.
    method : {"logprobs", "votes", "json"}
    size : int
        Requests in a file at most.
    study : str, optional
        Name of the study whose budget it is, as in :func:`label`.
    media : str, optional
        Column of images or sounds, see :func:`label`; the file of requests holds them. A budget needs
        ``Endpoint(media_tokens=)`` where it names web addresses, whose size is not known here.

    Returns
    -------
    Batch
        ``wait()`` until it is done, ``collect()`` the labels.

    Raises
    ------
    BudgetError
        If the budget does not pay for the next file; nothing of that file has been handed in.
    EndpointError
        If the endpoint has no batches, refuses, or it is not known whether a file was handed in.

    Notes
    -----
    What is about to be handed in is on disk first, with the money set aside for it. If the computer goes down before
    the vendor has said yes, the next call looks among the vendor's batches for that file by its mark and takes it over;
    it is handed in again only where it is not there. Answers go to the cache that :func:`label` reads, so that
    each is paid for once, whichever way it came.

    Examples
    --------
    >>> batch = kt.annotate.submit(letters, question, model, text="text", budget=5.0)  # doctest: +SKIP
    >>> batch.state()  # doctest: +SKIP
    {'waiting': 1500, 'answered': 0, 'open': 0}
    """
    one_of("method", method, METHODS)
    as_list(question, Question, "question")
    if not isinstance(model, Endpoint):
        raise ArgumentError(f"model is a {type(model).__name__}; batches are for an Endpoint.")
    if cache is None:
        raise ArgumentError("cache=None would forget what was handed in and paid for; name a folder.")
    check_temperature([model], method)
    check_budget(budget, [model])
    votes, size = whole("votes", votes, least=1, most=1000), whole("size", size, least=1, most=_MOST_REQUESTS)
    check_media(media, [model])
    ask = _Ask(data, question, model, text, id, question.way(method), votes, cache, budget, study, media)
    with _Desk(ask) as desk:
        desk.hand_in(size)
    return Batch(ask, size)


class _Desk:
    """What is known of a batch, in the cache; one process at a time hands in and fetches."""

    def __init__(self, ask: _Ask) -> None:
        self.ask, self.job = ask, job_name(ask.question, ask.model)
        _, texts = rows_and_texts(ask.data, ask.text, ask.id, ask.media)
        if ask.budget is not None:
            check_price(texts, [ask.model])
        self.texts = [t for t in dict.fromkeys(texts) if not ask.question.why_shown(t)]
        self.store = AnswerStore(cache_folder(ask.cache, "answers"))
        self.wire = BatchWire(ask.model, self.store.whereabouts)
        asker = Asker(ask.model, self.store, self.job, None)
        rows = RowAsker(asker, ask.question, ask.method, ask.votes)
        self.bodies = {
            asker.key(body, 0): body for t in self.texts for body in [rows.request(t, ask.method, ask.votes)]
        }
        asker.close()
        self.shared = [self.job]

    def __enter__(self) -> _Desk:
        try:
            if self.ask.study is not None:
                self.shared = list(self.store.enrol(self.ask.study, [self.job]))
            while not self.store.claim(f"batches {self.job}"):  # another process is at it
                time.sleep(0.1)
        except BaseException:
            self.store.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.store.release(f"batches {self.job}")
        self.wire.close()
        self.store.close()

    def waiting(self) -> set[str]:
        """Requests that are with the vendor, or about to be."""
        return {key for _, tickets, _ in self.store.batches(self.job) for key in tickets}

    def counts(self) -> dict[str, int]:
        """Requests by what became of them."""
        answered = sum(1 for key in self.bodies if self.store.get(key) is not None)
        waiting = len(self.waiting() & set(self.bodies))
        return {"waiting": waiting, "answered": answered, "open": len(self.bodies) - answered - waiting}

    def hand_in(self, size: int) -> None:
        """Finish what was begun, then hand in what is neither answered nor waiting."""
        for mark, tickets, remote in self.store.batches(self.job):
            if remote is None:
                self._finish(mark, tickets)
        waiting = self.waiting()
        todo = [key for key in self.bodies if key not in waiting and self.store.get(key) is None]
        for keys in self._files(todo, size):
            self._set_aside(keys)
            mark, tickets, _ = self.store.batches(self.job)[-1]
            made = self.wire.create(mark, {key: self.bodies[key] for key in tickets})
            self.store.note_batch(mark, made.name)

    def _files(self, keys: list[str], size: int) -> list[list[str]]:
        """Requests by the file they go into: no more than ``size``, nor more bytes than vendors take."""
        out: list[list[str]] = []
        room = 0
        for key in keys:
            long = len(json.dumps(self.bodies[key])) + _LINE
            if not out or len(out[-1]) == size or long > room:
                out.append([])
                room = _MOST_BYTES
            out[-1].append(key)
            room -= long
        return out

    def fetch(self) -> None:
        """Look after batches and keep the answers of those that are done."""
        for mark, tickets, remote in self.store.batches(self.job):
            about = self.wire.look(remote or self._finish(mark, tickets))
            if about.state in FINAL:
                self._keep(mark, tickets, about)

    def _set_aside(self, keys: list[str]) -> None:
        """Set money aside for a batch and write down that it is about to be handed in."""
        cost, limit = self.ask.model.cost, check_budget(self.ask.budget, [self.ask.model])
        wanted = {key: cost(*most_tokens(self.bodies[key], self.ask.model.media_tokens)) for key in keys}
        if not self.store.reserve_all(wanted, self.job, limit, self.shared, batch=True):
            amount = self.ask.model.amount
            raise BudgetError(
                f"the budget does not pay for the next batch of {len(keys)} requests, which may cost "
                f"{amount(sum(wanted.values())):.6g} {self.ask.model.currency}: spent or set aside are "
                f"{amount(self.store.spent(self.shared)):.6g}, the limit is {self.ask.budget:g}; collect what is "
                "waiting first, take a smaller size=, or raise budget=."
            )

    def _finish(self, mark: str, tickets: Mapping[str, Any]) -> str:
        """Hand in what an earlier call has begun to, unless the vendor has it already; gives its name there."""
        found = self.wire.find(mark)
        if found is None:
            if lost := [key for key in tickets if key not in self.bodies]:
                raise ArgumentError(
                    f"data lacks {len(lost)} texts of a batch that an earlier call has begun to hand in; pass the same "
                    "data and method again."
                )
            found = self.wire.create(mark, {key: self.bodies[key] for key in tickets})
        self.store.note_batch(mark, found.name)
        return found.name

    def _keep(self, mark: str, tickets: Mapping[str, Any], about: Remote) -> None:
        """Write every answer, then that the file is done; done twice it changes nothing."""
        left = dict(tickets)
        for line in self.wire.lines(about):
            key = line.get("custom_id")
            if key in left:
                attempt, reserved = left.pop(key)
                self._settle(Ticket(key, attempt, self.job, reserved), line)
        for key, (attempt, reserved) in left.items():
            note = f"no answer in a batch that is {about.state}"
            self.store.settle(Ticket(key, attempt, self.job, reserved), "failed", 0, note=note)
        self.store.note_batch(mark, about.name, done=True)

    def _settle(self, ticket: Ticket, line: Mapping[str, Any]) -> None:
        response = line.get("response")
        body = response.get("body") if isinstance(response, Mapping) else None
        if not isinstance(response, Mapping) or response.get("status_code") != 200 or not isinstance(body, Mapping):
            why = str(line.get("error") or (body if body is not None else "no answer"))[:300]
            self.store.settle(ticket, "failed", 0, note=why)
            return
        raw = json.dumps(body)
        billed = usage(raw)
        cost = ticket.reserved if billed is None else self.ask.model.cost(*billed)
        self.store.settle(ticket, "answered", cost, billed or (0, 0), raw)
