"""Whether a model has texts by heart: it is given the start of each and goes on."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.store import cache_folder
from ..errors import ArgumentError, DataError, EndpointError, KaratWarning, number, one_of, tell, whole
from .answer_store import AnswerStore
from .endpoint import Endpoint
from .inputs import check_budget, rows_and_texts
from .labelling import cost_of, row_by_row
from .protocol import read_reply
from .requests import Asker, RowError
from .result import Cost

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Bools, Floats

SYSTEM = "You continue texts word for word as they were published. You answer with the continuation and nothing else."
PROMPT = "Continue this text exactly as it goes on in the original:\n\n{start}"
_WORD = re.compile(r"\w+")
_LEAST_WORDS = 8
"""Words that a continuation needs, to say anything."""
_TOKENS_PER_WORD = 3


@dataclass(frozen=True)
class Continued:
    """What a model wrote after the start of a text, or why there is nothing."""

    text: str | None
    status: str = "ok"


@dataclass(frozen=True, eq=False)
class Recall:
    """How much of each text's continuation a model wrote by itself.

    Parameters
    ----------
    ids : ndarray, shape (N,)
    overlap : ndarray, shape (N,)
        Longest run of words that model and original have in common, as a share of the original continuation (0 to 1);
        NaN where the text was too short, or there is no answer.
    chance : ndarray, shape (N,)
        The same against the continuations of other texts of the corpus: what language and topic alone give.
    continuation : ndarray of str, shape (N,)
    status : ndarray of str, shape (N,)
    cost : Cost

    Examples
    --------
    >>> import numpy as np
    >>> from karat.annotate import Cost, Recall
    >>> cost = Cost(0.0, "USD", 0, 0, 0, 0, 0, 0, False)
    >>> found = Recall(np.arange(3), np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.1, 0.05]),
    ...                np.array(["...", "", ""], dtype=object), np.array(["ok"] * 3, dtype=object), cost)
    >>> found.recalled().tolist()
    [True, False, False]
    """

    ids: Array = field(repr=False)
    overlap: Floats = field(repr=False)
    chance: Floats = field(repr=False)
    continuation: Array = field(repr=False)
    status: Array = field(repr=False)
    cost: Cost

    def recalled(self, above: float | None = None) -> Bools:
        """Texts that the model has by heart.

        Parameters
        ----------
        above : float, optional
            Overlap from which a text counts; by default more than every overlap that chance gave.

        Returns
        -------
        ndarray of bool, shape (N,)
            False where there is no answer. Goes into :func:`karat.labels.exposure`.
        """
        if above is None:
            known = self.chance[~np.isnan(self.chance)]
            above = float(known.max()) if len(known) else 0.0
        above = number("above", above, least=0, below=1)
        return np.asarray(np.nan_to_num(self.overlap, nan=0.0) > above)

    @property
    def table(self) -> pd.DataFrame:
        """One row per text."""
        import pandas as pd

        return pd.DataFrame(
            {
                "id": self.ids, "overlap": self.overlap, "chance": self.chance, "continuation": self.continuation,
                "status": self.status,
            }
        )  # fmt: skip

    def __str__(self) -> str:
        n = int((~np.isnan(self.overlap)).sum())
        return (
            f"{int(self.recalled().sum())} of {n} texts recalled; mean overlap {np.nanmean(self.overlap):.3f}, by "
            f"chance {np.nanmean(self.chance):.3f}; {self.cost}"
        )


def recall(
    data: object,
    model: Endpoint,
    *,
    text: str | None = None,
    id: str | None = None,
    share: float = 0.5,
    words: int = 40,
    cache: Any = "auto",
    budget: float | None = None,
    failures: str = "keep",
    progress: bool = False,
    study: str | None = None,
) -> Recall:
    """Probe whether a model has texts by heart: it goes on after the start of each, and the overlap is measured.

    Parameters
    ----------
    data : data frame or sequence of str
    model : Endpoint
    text, id : str, optional
        As in :func:`label`.
    share : float
        Share of each text's words that the model is given.
    words : int
        Most words of the continuation that are compared.
    cache, budget, failures, progress, study
        As in :func:`label`: answers are kept, and no request is sent that the budget does not pay for.

    Returns
    -------
    Recall

    Raises
    ------
    ArgumentError, DataError, EndpointError, BudgetError, CacheError
        As :func:`label`.

    Notes
    -----
    Texts shorter than sixteen words have no overlap. A model that has a text by heart has seen it, and may have seen
    its label; that it has not says little: models that were trained to follow instructions often do not recite.

    References
    ----------
    Carlini et al. (2021), Extracting training data from large language models; Golchin and Surdeanu (2024), Time
    travel in LLMs, for guided continuation.

    Examples
    --------
    >>> import karat as kt
    >>> model = kt.annotate.Endpoint("http://127.0.0.1:8000/v1", "qwen3-8b")
    >>> found = kt.annotate.recall(letters, model, text="body")  # doctest: +SKIP
    >>> kt.labels.exposure(labelled, "support", "llm_label", sample, exposed=found.recalled())  # doctest: +SKIP
    """
    one_of("failures", failures, ("raise", "keep"))
    if not isinstance(model, Endpoint):
        raise ArgumentError(f"model is {type(model).__name__}; recall needs an Endpoint, which writes texts.")
    share, words = number("share", share, above=0, below=1), whole("words", words, least=_LEAST_WORDS, most=1000)
    ids, texts = rows_and_texts(data, text, id)
    limit = check_budget(budget, [model])
    cuts = {t: _cut(t, share, words) for t in dict.fromkeys(texts)}
    starts = list(dict.fromkeys(start for start, rest in cuts.values() if len(rest) >= _LEAST_WORDS))
    if not starts:
        raise DataError(f"every text is too short: the part after share={share:g} needs {_LEAST_WORDS} words.")
    store = AnswerStore(None if cache is None else cache_folder(cache, "answers"))
    try:
        about = {"recall": [SYSTEM, PROMPT, words], "model": model.describe()}
        name = hashlib.blake2b(json.dumps(about, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()
        shared = (name,) if study is None else store.enrol(study, [name])
        asker = Asker(model, store, name, limit, shared)
        try:
            said = row_by_row(_Continuing(asker, words), starts, progress)
        finally:
            asker.close()
        cost = cost_of(store, name, model, asker)
        whereabouts = store.whereabouts
    finally:
        store.close()
    failed = [start for start, row in said.items() if row.text is None]
    if failed:
        message = f"{len(failed)} of {len(starts)} texts were not continued; for the first: {said[failed[0]].status}"
        if failures == "raise":
            raise EndpointError(f"{message}. Set failures='keep' to go without them. {whereabouts}.")
        tell(f"{message}. Their overlap is NaN.", KaratWarning)
    return _measured(ids, texts, cuts, said, cost)


class _Continuing:
    """Asks for one continuation after the other; threads share it."""

    def __init__(self, asker: Asker, words: int) -> None:
        self.asker, self.words = asker, words

    def label(self, start: str) -> Continued:
        """What the model writes after the start of a text."""
        point = self.asker.endpoint
        body: dict[str, Any] = {"model": point.model, "max_tokens": _TOKENS_PER_WORD * self.words, "temperature": 0}
        if point.api == "chat":
            asked = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT.format(start=start)}]
            body["messages"] = asked
        else:
            body["prompt"] = start
        body = {name: value for name, value in (body | dict(point.parameters)).items() if value is not None}
        if not any(name in body for name in ("max_tokens", "max_completion_tokens")):
            raise EndpointError(
                "parameters take max_tokens out; name max_completion_tokens, so that cost stays bounded."
            )

        def read(payload: Any) -> str:
            reply = read_reply(payload, 1)
            self.asker.models.add(reply.model)
            return reply.choices[0].text

        try:
            return Continued(self.asker.ask(body, 0, read))
        except RowError as error:
            return Continued(None, str(error))


def _cut(text: str, share: float, words: int) -> tuple[str, list[str]]:
    """The start that is shown, and the words that follow."""
    places = list(_WORD.finditer(text))
    if len(places) < 2 * _LEAST_WORDS:
        return text, []
    at = min(max(round(share * len(places)), 1), len(places) - 1)
    return text[: places[at].start()].rstrip(), [w.group().casefold() for w in places[at : at + words]]


def _measured(
    ids: Array, texts: list[str], cuts: dict[str, tuple[str, list[str]]], said: dict[str, Continued], cost: Cost
) -> Recall:
    """Overlaps with the original and with another text, in the order of the data."""
    continued, other = {}, {}
    asked = [t for t, (start, rest) in cuts.items() if start in said and len(rest) >= _LEAST_WORDS]
    for i, t in enumerate(asked):
        words = [w.casefold() for w in _WORD.findall(said[cuts[t][0]].text or "")]
        known = said[cuts[t][0]].text is not None
        continued[t] = longest_run(words, cuts[t][1]) / len(cuts[t][1]) if known else np.nan
        rest = cuts[asked[(i + 1) % len(asked)]][1]
        other[t] = longest_run(words, rest) / len(rest) if known and len(asked) > 1 else np.nan
    status = ["the text is too short" if t not in continued else said[cuts[t][0]].status for t in texts]
    written = [said[cuts[t][0]].text or "" if t in continued else "" for t in texts]
    return Recall(
        ids, np.array([continued.get(t, np.nan) for t in texts]), np.array([other.get(t, np.nan) for t in texts]),
        np.array(written, dtype=object), np.array(status, dtype=object), cost,
    )  # fmt: skip


def longest_run(left: list[str], right: list[str]) -> int:
    """Length of the longest run of words that two texts have in common.

    Examples
    --------
    >>> longest_run("the tram is late at last".split(), "why the tram is here at last".split())
    3
    """
    best, row = 0, [0] * (len(right) + 1)
    for word in left:
        row = [0, *(row[j] + 1 if word == other else 0 for j, other in enumerate(right))]
        best = max(best, max(row))
    return best
