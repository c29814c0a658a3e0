"""What users hand to labelling, checked: texts, questions, models, budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, number
from ..predict.text.texts import read_texts
from .endpoint import Endpoint
from .local import LocalModel
from .media import with_media
from .question import Question

if TYPE_CHECKING:
    from .._core.types import Array

VOTES = 5
"""Answers per text where votes are drawn, unless told otherwise."""


def rows_and_texts(
    data: object, text: str | None, id_: str | None, media: str | None = None
) -> tuple[Array, list[str]]:
    """Names of the rows and their texts."""
    if text is None and media is None:
        if id_ is not None:
            raise ArgumentError("id= names a column of a table; name the column of texts as well, text='...'.")
        texts = read_texts(data, "data")
        return np.arange(len(texts)), texts
    from ..frames import Table

    table = Table.read(data)
    texts = [""] * table.n_rows
    if text is not None:
        texts = read_texts(table.column(text, "text"), f"the column {text!r}")
    if media is not None:
        texts = with_media(table, texts, media)
    return (np.arange(table.n_rows) if id_ is None else np.asarray(table.column(id_, "id"))), texts


def as_list(given: Any, kind: Any, name: str) -> list[Any]:
    """One or several of a kind as a list."""
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    if not items or not all(isinstance(item, kind) for item in items):
        wanted = "Question(...)" if kind is Question else "Endpoint(...) or LocalModel(...)"
        came = type(items[0]).__name__ if items else "empty"
        raise ArgumentError(f"{name} is {came}; give {wanted}, or a list of these.")
    return items


def check_names(questions: list[Question], models: list[Any]) -> None:
    """Raise where two have the same name."""
    for what, names in (
        ("questions", [q.name for q in questions]),
        ("models", [slug(getattr(m, "label", None) or str(m.model)) for m in models]),
    ):
        if len(set(names)) < len(names):
            raise ArgumentError(f"two {what} have the same name in {names}; their columns need names of their own.")


def check_temperature(models: list[Any], method: str) -> None:
    """Raise where answers would not give probabilities."""
    for m in models:
        if method != "json" and isinstance(m, Endpoint) and m.parameters.get("temperature") is not None:
            raise ArgumentError(
                f"parameters of {m.model!r} hold a temperature; log-probabilities are read at 0 and votes drawn at 1, "
                "other temperatures do not give probabilities. Leave it out ({'temperature': None} where the endpoint "
                "takes none)."
            )


def check_local(models: list[Any], questions: list[Question], method: str, votes: int, budget: float | None) -> None:
    """Raise where a local model is asked for what only endpoints do."""
    local = [m for m in models if isinstance(m, LocalModel)]
    for m in local:
        for q in questions:
            m.shows(q)
    if len(local) < len(models):
        return
    for name, given, default in (("method", method, "auto"), ("votes", votes, VOTES), ("budget", budget, None)):
        if given != default:
            raise ArgumentError(
                f"{name}={given!r} is for endpoints; a LocalModel has one way and no price. Leave it out."
            )


def check_budget(budget: float | None, models: list[Any]) -> int | None:
    """A budget in millionths of a millionth of the currency unit."""
    if budget is None:
        return None
    paid = [m for m in models if isinstance(m, Endpoint)]
    budget = number("budget", budget, least=0, below=1e6, instead="or None for no limit")
    if unpriced := [m.model for m in paid if m.price is None]:
        raise ArgumentError(
            f"a budget needs prices: set price=(per million prompt, per million completion) for {unpriced}."
        )
    if len({m.currency for m in paid}) > 1:
        raise ArgumentError(f"a budget needs one currency; the models have {sorted({m.currency for m in paid})}.")
    return int(budget * 10**12)


def slug(name: str) -> str:
    """A model's name as the end of a column's name."""
    return "".join(c if c.isalnum() else "_" for c in name.rstrip("/").split("/")[-1]).strip("_")
