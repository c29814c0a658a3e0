"""Where labelling begins: texts and a question in, soft labels with cost and origin out."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.store import cache_folder
from .._version import __version__
from ..errors import EndpointError, KaratWarning, one_of, tell, whole
from ..predict.text.texts import digest_of
from .answer_store import AnswerStore
from .endpoint import Endpoint
from .inputs import (
    VOTES,
    as_list,
    check_budget,
    check_local,
    check_names,
    check_temperature,
    rows_and_texts,
    slug,
)  # fmt: skip
from .local import LocalModel
from .locked import READING
from .media import WithMedia, check_media, check_price
from .one_text import METHODS, Row, RowAsker
from .panel import Panel
from .question import Question
from .requests import Asker, Stopped
from .result import Annotation, Cost

if TYPE_CHECKING:
    from .._core.types import Array

_FAILURES = ("raise", "keep")
_MOST_VOTES = 1000


@dataclass(frozen=True)
class _Job:
    """What every part of a call shares."""

    ids: Array
    texts: list[str]
    method: str
    votes: int
    failures: str
    progress: bool
    limit: int | None
    names: tuple[str, ...]
    text: str | None
    id: str | None
    occasion: str = ""
    media: str | None = None


def label(
    data: object,
    question: Question | Sequence[Question],
    model: Any,
    *,
    text: str | None = None,
    id: str | None = None,
    media: str | None = None,
    method: str = "auto",
    votes: int = VOTES,
    cache: Any = "auto",
    budget: float | None = None,
    failures: str = "raise",
    progress: bool = False,
    study: str | None = None,
) -> Any:
    """Have texts labelled by one or several models, as distributions over classes.

    Parameters
    ----------
    data : data frame or sequence of str
        A table with a column of texts, or the texts.
    question : Question, sequence of Question, or Form
        A form asks several questions in one request and gives a :class:`Panel` with one member for each of its fields.
    model : Endpoint, LocalModel, or sequence of these
        Several models or questions give a :class:`Panel`, every model answering every question.
    text : str, optional
        Column of texts; needed for a table.
    id : str, optional
        Column that names the rows; by default the row number.
    media : str, optional
        Column with the file or web address of an image (PNG, JPEG, WebP, GIF) or the file of a sound (WAV, MP3), or
        lists of them, that go with each text as parts of the message; for chat endpoints whose model takes them.
        ``text`` may be left out then.
    method : {"auto", "logprobs", "votes", "json"}
        How an endpoint's answer becomes a distribution: from log-probabilities, from repeated answers at
        temperature 1, or as the model states it in JSON. ``"auto"`` takes log-probabilities, and votes for
        texts where they are missing, do not favour any label, contradict the answer, or leave several labels open.
    votes : int
        Answers per text where votes are drawn. It, ``method`` and ``budget`` are for endpoints.
    cache : str, Path, None or "auto"
        Folder in which every answer is kept as it arrives, by content of the request; a call that was cut short asks
        only for the rest. ``"auto"`` is the folder in ``KARAT_CACHE`` or ``~/.cache/karat/answers``; None keeps
        nothing. The texts themselves are not written, the answers are.
    budget : float, optional
        The most that all may cost, in the currency of the endpoints. What the same questions to the same models have
        cost in earlier calls with the same cache is included; another wording, model or setting of the endpoint is
        another job with a budget of its own, and what was asked without a price counts as 0. The budget is never
        exceeded: before a request is sent the most it can cost is set aside, by all threads and processes that
        use the cache together; an endpoint that bills more than that is an error. Needs ``Endpoint(price=...)``.
    failures : {"raise", "keep"}
        What to do when some texts cannot be labelled (refusals, answers that are not a label, requests that stay
        without an answer): an error after all others are done, or NaN and the reason in the status column, with a
        warning. Where texts in a row get no answer at all, it is the endpoint's fault and an error in any case.
    progress : bool
        Show a progress bar.
    study : str, optional
        Any name: all calls that give it, also of other questions and models, and :func:`submit`, share one budget.

    Returns
    -------
    Annotation or Panel

    Raises
    ------
    ArgumentError, DataError
        If an argument or a text cannot be used.
    EndpointError
        If the endpoint cannot be reached, refuses, answers as another model, or labels are missing.
    BudgetError
        If the budget does not pay for the next request.
    CacheError
        If answers cannot be kept; nothing further is asked then.

    Notes
    -----
    Labels of models are surrogates: they need a gold sample beside them, never replace it. Texts that the prompt shows
    are not sent and have no label; :meth:`Annotation.join` leaves them out of the data.

    References
    ----------
    Egami, Hinck, Stewart and Wei (2023), for what to do with the labels; Kadavath et al. (2022), Language models
    (mostly) know what they know, for probabilities of answers as confidence.

    Examples
    --------
    >>> import karat as kt
    >>> question = kt.annotate.Question("Is the letter for the tram?", classes=["yes", "no"])
    >>> model = kt.annotate.Endpoint("http://127.0.0.1:8000/v1", "qwen3-8b")
    >>> labels = kt.annotate.label(letters, question, model, text="text")  # doctest: +SKIP
    >>> kt.ols("trust ~ support", labels.join(letters), surrogates={"support": labels.surrogate})  # doctest: +SKIP
    """
    return run(
        data, question, model, text=text, id=id, media=media, method=method, votes=votes, cache=cache, budget=budget,
        failures=failures, progress=progress, study=study,
    )  # fmt: skip


def run(
    data: object,
    question: Any,
    model: Any,
    *,
    text: str | None,
    id: str | None,
    method: str,
    votes: int,
    cache: Any,
    budget: float | None,
    failures: str,
    progress: bool,
    study: str | None = None,
    occasion: str = "",
    media: str | None = None,
) -> Any:
    """See :func:`label`; the budget is that of all jobs of a study, and answers of another occasion are not used."""
    one_of("method", method, METHODS)
    one_of("failures", failures, _FAILURES)
    votes = whole("votes", votes, least=1, most=_MOST_VOTES)
    questions, models = as_list(question, Question, "question"), as_list(model, (Endpoint, LocalModel), "model")
    check_media(media, models)
    ids, texts = rows_and_texts(data, text, id, media)
    check_names(questions, models)
    check_local(models, questions, method, votes, budget)
    check_temperature(models, method)
    limit = check_budget(budget, models)
    if limit is not None:
        check_price(texts, models)
    for q in questions:
        q.way(method)
    pairs = [(q, m) for m in models for q in questions]
    names = [job_name(q, m) for q, m in pairs]
    store = AnswerStore(None if cache is None else cache_folder(cache, "answers"))
    try:
        if waiting := sum(len(tickets) for name in names for _, tickets, _ in store.batches(name)):
            raise EndpointError(
                f"{waiting} requests to these models are with a vendor as a batch and would be paid for twice; collect "
                "them first: submit(...) with the same arguments, wait(), collect()."
            )
        shared = names if study is None else store.enrol(study, names)
        job = _Job(ids, texts, method, votes, failures, progress, limit, tuple(shared), text, id, occasion, media)
        found = [_annotate(job, q, m, name, store, len(pairs) > 1) for (q, m), name in zip(pairs, names)]
    finally:
        store.close()
    if len(pairs) == 1:
        return found[0]
    return Panel(tuple(member for one in found for member in (one if isinstance(one, Panel) else [one])))


def _annotate(job: _Job, question: Question, model: Any, name: str, store: AnswerStore, several: bool) -> Any:
    """One model, one question."""
    reasons = {text: question.why_shown(text) for text in set(job.texts)}
    todo = list(dict.fromkeys(t for t in job.texts if not reasons[t]))
    started = datetime.now(UTC)
    if isinstance(model, LocalModel):
        rows, asker, served = model.rows(todo, question, store, name, job.progress), None, []
    else:
        asker = Asker(model, store, name, job.limit, job.names, occasion=job.occasion)
        try:
            row_asker = RowAsker(asker, question, job.method, job.votes)
            rows = row_by_row(row_asker, todo, job.progress)
        finally:
            asker.close()
        served = sorted(asker.models - {""})
        if row_asker.switched:
            tell(
                f"the endpoint {model.url} gives no log-probabilities ({row_asker.switched}); labels are shares of "
                f"{job.votes} answers instead. Set method='votes' if that is meant, or top_logprobs= to what it takes.",
                KaratWarning,
            )
    told = {text: row.full(question) for text, row in rows.items()}
    failed = {text: row for text, row in rows.items() if told[text] is None}
    if failed:
        _report(failed, len(todo), job.failures, store.whereabouts)
    nothing = Row(None, "", float("nan"))
    listed = [replace(nothing, status=reasons[t]) if reasons[t] else rows[t] for t in job.texts]
    k = len(question.labels)
    p = np.array([np.full(k, np.nan) if told.get(t) is None else told[t] for t in job.texts], dtype=np.float64)
    cost = cost_of(store, name, model, asker)
    worker = getattr(model, "label", None) or str(model.model)
    methods = Counter(row.method for row in rows.values() if row.p is not None)
    counts = {"texts": len(job.texts), "distinct": len(todo), "failed": len(failed), "methods": dict(methods)}
    made = Annotation(
        ids=job.ids,
        classes=question.labels,
        probabilities=p.reshape(-1, k),
        mass=np.array([row.mass for row in listed], dtype=np.float64),
        method=np.array([row.method for row in listed], dtype=object),
        status=np.array([row.status for row in listed], dtype=object),
        shown=np.array([bool(reasons[t]) for t in job.texts]),
        name=f"{question.name}_{slug(worker)}" if several else question.name,
        worker=f"{worker} / {question.name}" if several else worker,
        numeric=question.scale is not None,
        several=question.several,
        provenance=_provenance(question, model, served, started, store, name, counts, job),
        cost=cost,
    )
    return question.shaped(made, [row.marks for row in listed], job.texts)


def row_by_row(asker: Any, texts: list[str], progress: bool) -> dict[str, Any]:
    """Every text once, by ``asker.label``.

    The first goes alone, to see what the endpoint can do. The first error that concerns all stops the others,
    whose requests under way are still waited for and kept.
    """
    from tqdm import tqdm

    rows: dict[str, Any] = {}
    with tqdm(total=len(texts), disable=not progress, unit="text") as bar:
        for text in texts[:1]:
            rows[text] = asker.label(text)
            bar.update()
        rest = iter(texts[1:])
        workers = asker.asker.endpoint.concurrency
        pending: dict[Future[Any], str] = {}
        first: BaseException | None = None
        with ThreadPoolExecutor(workers, thread_name_prefix="karat-annotate") as pool:
            try:
                while True:
                    if first is None:
                        for text in islice(rest, 2 * workers - len(pending)):
                            pending[pool.submit(asker.label, text)] = text
                    if not pending:
                        break
                    for done in wait(pending, return_when=FIRST_COMPLETED).done:
                        text = pending.pop(done)
                        error = done.exception()
                        if error is None:
                            rows[text] = done.result()
                            bar.update()
                        elif first is None or isinstance(first, Stopped):
                            first = error
                            asker.asker.stop.set()
            except BaseException:  # an interrupt: wait for what is under way, send nothing more
                asker.asker.stop.set()
                raise
        if first is not None:
            raise first
    return rows


def _report(failed: dict[str, Row], n: int, failures: str, whereabouts: str) -> None:
    example = next(iter(failed.values())).status
    message = f"{len(failed)} of {n} texts have no label; for the first: {example}"
    if failures == "raise":
        raise EndpointError(
            f"{message}. Change the question, or set failures='keep' to get NaN for these rows. {whereabouts}."
        )
    tell(f"{message}. Their probabilities are NaN; the status column says why.", KaratWarning)


def job_name(question: Question, model: Any) -> str:
    """What one question to one model is called where costs are added up."""
    about = {"question": question.digest, "model": model.describe()}
    return hashlib.blake2b(json.dumps(about, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()


def cost_of(store: AnswerStore, name: str, model: Any, asker: Asker | None) -> Cost:
    """What a job has cost so far."""
    tally = store.tally([name])
    money: Callable[[int], float] = getattr(model, "amount", float)
    total = [sum(row[i] for row in tally) for i in (1, 2, 3, 4)]
    return Cost(
        amount=money(total[3]) if asker else 0.0,
        currency=getattr(model, "currency", ""),
        requests=int(total[0]) if asker else 0,
        prompt_tokens=int(total[1]),
        completion_tokens=int(total[2]),
        uncertain=sum(row[1] for row in tally if row[0] in ("sent", "unknown")),
        sent=asker.sent if asker else 0,
        cached=asker.cached if asker else 0,
        priced=getattr(model, "price", None) is not None,
    )


def _provenance(
    question: Question,
    model: Any,
    served: list[str],
    started: datetime,
    store: AnswerStore,
    name: str,
    counts: dict[str, Any],
    job: _Job,
) -> dict[str, Any]:
    tally = store.tally([name])
    times = [t for row in tally for t in row[5:7] if t is not None]

    local, kind = isinstance(model, LocalModel), "json" if job.method == "json" else "label"

    def stamp(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

    return {
        "question": question.describe(),
        "prompt": model.shows(question) if local else question.messages("{text}", kind),
        "model": model.describe(),
        "models_reported": served,
        "method": model.built() if local else job.method,
        "votes": None if local else job.votes,
        "reading": READING,
        "counts": counts,
        "rows": {"text": job.text, "id": job.id, "digest": digest_of(job.texts)} | _media(job),
        "called": started.isoformat(timespec="seconds"),
        "first_asked": stamp(min(times)) if times else None,
        "last_answered": stamp(max(times)) if times else None,
        "karat": __version__,
        "python": platform.python_version(),
    }


def _media(job: _Job) -> dict[str, Any]:
    """Column and digest of what went with the texts."""
    if job.media is None:
        return {}
    return {"media": job.media, "media_digest": digest_of([t.digest for t in job.texts if isinstance(t, WithMedia)])}
