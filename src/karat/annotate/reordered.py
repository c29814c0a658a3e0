"""Whether answers hang on the order in which labels are listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, generator, whole
from .inputs import VOTES
from .labelling import run
from .question import Question

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from .result import Annotation


@dataclass(frozen=True, eq=False)
class OrderEffect:
    """Answers to the same question with its labels in several orders.

    Parameters
    ----------
    orders : tuple of tuple
        The orders, the one that was given first.
    n : int
        Texts with a label in every order.
    changed : int
        Texts whose label is not the same in all orders.
    interval : (float, float)
        Of the share of such texts among texts such as these (Wilson, 95 %).
    moved : float
        Mean total variation between a text's distribution in the given order and in the others, 0 to 1.
    by_place : ndarray, shape (K,)
        Mean probability of whatever label stands first, second, ...; 1 / K each if places do not matter.
    labels : tuple of Annotation
        Labels in each order. Their mean (:meth:`mean`) does not hang on any one of them.

    Examples
    --------
    >>> import karat as kt
    >>> issubclass(kt.annotate.OrderEffect, object)
    True
    """

    orders: tuple[tuple[Any, ...], ...]
    n: int
    changed: int
    interval: tuple[float, float]
    moved: float
    by_place: Floats
    labels: tuple[Annotation, ...] = field(repr=False)

    @property
    def share(self) -> float:
        """Share of texts whose label changes with the order."""
        return self.changed / self.n

    @property
    def table(self) -> pd.DataFrame:
        """One row an order: shares of the labels of all texts."""
        import pandas as pd

        rows = [np.nanmean(found.probabilities, axis=0) for found in self.labels]
        return pd.DataFrame(
            rows, columns=list(self.labels[0].classes), index=[", ".join(map(str, o)) for o in self.orders]
        )

    def mean(self) -> Annotation:
        """Labels whose distribution is the mean over the orders."""
        p = np.mean([found.probabilities for found in self.labels], axis=0)
        return replace(self.labels[0], probabilities=p)

    def __str__(self) -> str:
        return (
            f"{self.changed} of {self.n} labels change with the order ({self.share:.1%}, 95% interval "
            f"{self.interval[0]:.1%} to {self.interval[1]:.1%}); mean probability by place "
            + ", ".join(f"{p:.3f}" for p in self.by_place)
        )


def order_effect(
    data: object,
    question: Question,
    model: Any,
    *,
    orders: int = 3,
    text: str | None = None,
    id: str | None = None,
    method: str = "auto",
    votes: int = VOTES,
    cache: Any = "auto",
    budget: float | None = None,
    failures: str = "keep",
    progress: bool = False,
    seed: int = 0,
    study: str | None = None,
) -> OrderEffect:
    """Ask the same question with its labels listed in several orders, and count the answers that change.

    Parameters
    ----------
    data : data frame or sequence of str
        Some hundred texts are enough.
    question : Question
        With classes.
    model : Endpoint or LocalModel
    orders : int
        How many orders: that given, its reverse, then others at random.
    text, id, method, votes, cache, failures, progress, study
        As in :func:`label`.
    budget : float, optional
        For all orders together; what they have cost before is included.
    seed : int

    Returns
    -------
    OrderEffect

    Raises
    ------
    ArgumentError, DataError, EndpointError, BudgetError, CacheError
        As :func:`label`.

    References
    ----------
    Pezeshkpour and Hruschka (2024), Large language models sensitivity to the order of options.

    Examples
    --------
    >>> import karat as kt
    >>> question = kt.annotate.Question("Is the letter for the tram?", classes=["yes", "no"])
    >>> model = kt.annotate.Endpoint("http://127.0.0.1:8000/v1", "qwen3-8b")
    >>> print(kt.annotate.order_effect(letters, question, model, orders=2))  # doctest: +SKIP
    """
    if type(question) is not Question or question.classes is None:
        raise ArgumentError("question must be a Question with classes, not a form or passages; a scale has one order.")
    listed = _orders(question, whole("orders", orders, least=2), whole("seed", seed, least=0))
    found = []
    if study is None:
        study = f"orders-{question.digest}-{getattr(model, 'model', '')}"
    for order in listed:
        found.append(
            run(
                data, _reordered(question, order), model, text=text, id=id, method=method, votes=votes, cache=cache,
                budget=budget, failures=failures, progress=progress, study=study,
            )
        )  # fmt: skip
    first = found[0].classes
    aligned = [_aligned(one, first) for one in found]
    keep = np.logical_and.reduce([one.labelled for one in aligned])
    n = int(keep.sum())
    if not n:
        raise DataError("no text has a label in every order, so nothing can be compared.")
    said = np.array([one.label[keep].astype(str) for one in aligned])
    p = np.array([one.probabilities[keep] for one in aligned])
    changed = int((said != said[0]).any(axis=0).sum())
    place = {c: k for k, c in enumerate(first)}
    by_place = np.mean([p[i][:, [place[c] for c in order]].mean(axis=0) for i, order in enumerate(listed)], axis=0)
    from ..labels.quality.scoring import wilson

    moved = float(np.abs(p[1:] - p[0]).sum(axis=2).mean() / 2)
    return OrderEffect(tuple(listed), n, changed, wilson(changed / n, n), moved, by_place, tuple(aligned))


def _orders(question: Question, orders: int, seed: int) -> list[tuple[Any, ...]]:
    """Different orders of the classes: as given, reversed, then at random."""
    given = tuple(question.classes)
    out = [given, given[::-1]]
    rng, most = generator(seed), int(np.prod(np.arange(1, min(len(given), 12) + 1)))
    if orders > most:
        raise ArgumentError(f"orders={orders} is more than there are of {len(given)} classes; ask for {most} at most.")
    while len(out) < orders:
        order = tuple(given[i] for i in rng.permutation(len(given)))
        if order not in out:
            out.append(order)
    return out


def _reordered(question: Question, order: tuple[Any, ...]) -> Question:
    classes = question.classes
    again: Any = {c: classes[c] for c in order} if isinstance(classes, Mapping) else list(order)
    return replace(question, classes=again)


def _aligned(found: Annotation, classes: tuple[Any, ...]) -> Annotation:
    """The same labels with classes in another order."""
    at = [found.classes.index(c) for c in classes]
    return replace(found, classes=classes, probabilities=found.probabilities[:, at])
