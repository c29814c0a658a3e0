"""How much gold shares of a wanted precision need, and in which cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.table import html_page, html_table, text_table
from ..errors import KaratError, number, one_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

_LEAST = 2.0
"""Gold documents in every cell, without which no variance can be estimated."""

_BORROWED = 50.0
"""Degrees of freedom that the variances of all cells bring to that of one, as in small groups."""


@dataclass(frozen=True, eq=False, repr=False)
class SharesPlan:
    """Gold that shares of a wanted half width need.

    Parameters
    ----------
    half_width : float
    of : {"worst", "average"}
    cells : data frame
        For each cell: documents, gold of the pilot and its half width, gold needed where it is shared out over cells,
        and the half width it gives.
    n : int
        Gold in all, shared out over cells.
    n_simple : int or None
        Gold in all, drawn from all documents alike; None where not even all documents are enough.
    reached : bool
        Whether the goal is reached with all documents labelled at most.
    remarks : tuple of str

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> topic = rng.choice(["law", "war"], size=4000)
    >>> corpus = pd.DataFrame({"topic": topic, "model": topic, "party": rng.choice(["a", "b"], size=4000)})
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "topic")
    >>> found = kt.shares("topic", labelled, by="party", surrogates={"topic": "model"}, design=sample.design, seed=1)
    >>> found.plan(half_width=0.05).reached
    True
    """

    half_width: float
    of: str
    cells: pd.DataFrame = field(repr=False)
    n: int
    n_simple: int | None
    reached: bool
    remarks: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """The plan in words."""
        whose = "every share" if self.of == "worst" else "the widest share of a cell, on average over cells,"
        goal = f"{whose} is to be known to plus or minus {self.half_width:.3g}"
        if not self.reached:
            known = "documents are a sample themselves (with target='finite' they are all there is)"
            return [f"{goal}: not even labelling every document would do, since {known}.", *self.remarks]
        simple = "no sample" if self.n_simple is None else f"{self.n_simple:,}"
        return [
            f"{goal[0].upper()}{goal[1:]}: {self.n:,} gold documents shared out over the cells as listed, or {simple} "
            "drawn from all documents alike.",
            *self.remarks,
        ]

    def __str__(self) -> str:
        return "\n".join([*self.sentences(), "", *text_table(self.cells, ".3f")])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_page("Gold for shares", (), html_table(self.cells, ".3f"), self.sentences())


def plan_shares(result: Any, half_width: float, of: str) -> SharesPlan:
    """Plan gold from shares that are there, taken for a pilot; see :meth:`SharesResult.plan`.

    A variance is what sampling documents adds (fixed by their number) plus what labelling adds, ``s^2 (1/n - 1/N)``
    with s read off the pilot, cell by cell and all cells together. Intervals are those that will be reported. For the
    worst share every cell gets what it needs; for the average gold goes where it tells most, in proportion to s
    (Neyman 1934), at least two in a cell. Half widths are expected ones: of many cells the widest of a draw is wider.

    Raises
    ------
    KaratError
        If the shares are from all documents, whose labelling adds nothing that could be planned.
    """
    half_width = number("half_width", half_width, above=0, below=1)
    one_of("of", of, ("worst", "average"))
    k = len(result.classes)
    count, documents = _by_cell(result.shares.count, k), np.maximum(_documents(result), 1.0)
    labelling = np.stack([np.diag(fit.labelling_covariance) for fit in result.fits], axis=1)
    left = 1.0 / count - 1.0 / np.maximum(documents, count)
    if (left <= 0).all():
        raise KaratError("every document is gold, so there is no labelling left to plan.")
    reported = np.diag(result.covariance).reshape(-1, k)
    share = np.divide(labelling, np.diag(result.plain).reshape(-1, k), out=np.ones_like(labelling), where=labelling > 0)
    labelling = reported * np.clip(share, 0.0, 1.0)
    spread = np.divide(labelling, left[:, None], out=np.zeros_like(labelling), where=left[:, None] > 0)
    population = np.maximum(reported - labelling, 0.0)
    spread = _borrowing(spread, result.theta.reshape(-1, k), count)

    def widest(n: Floats) -> Floats:
        """Half width of the widest share of each cell, shape (C,)."""
        variance = population + spread * np.maximum(1.0 / n - 1.0 / documents, 0.0)[:, None]
        shares = _with(result, np.repeat(n / count, k))
        low, high = shares.interval(result.theta, variance.ravel(), result.alpha)
        return np.asarray(((high - low) / 2.0).reshape(-1, k).max(axis=1))

    least = np.minimum(_LEAST, documents)
    enough = widest(documents)
    neyman = np.sqrt(spread.max(axis=1))
    if of == "worst":
        reached = bool((enough <= half_width).all())
        needed = _search(lambda n: widest(n) <= half_width, least, documents)
        simple = _search_one(lambda n: bool((widest(_alike(n, documents)) <= half_width).all()), documents)
    else:
        reached = bool(enough.mean() <= half_width)

        def by_spread(total: float) -> Floats:
            return np.clip(total * neyman / max(neyman.sum(), 1e-300), least, documents)

        total = _search_one(lambda n: bool(widest(by_spread(n)).mean() <= half_width), documents, 50.0)
        needed = np.ceil(by_spread(documents.sum() * 50.0 if total is None else total))
        simple = _search_one(lambda n: bool(widest(_alike(n, documents)).mean() <= half_width), documents)
    table = result.grid.iloc[list(result.cells)].reset_index(drop=True)
    table = table.assign(
        **{
            "documents": documents.astype(int), "gold": count.astype(int), "half width": widest(count),
            "gold needed": needed.astype(int), "half width then": widest(needed),
        }
    )  # fmt: skip
    return SharesPlan(
        half_width, of, table, int(needed.sum()), None if simple is None else int(np.ceil(simple)), reached,
        _remarks(result, count),
    )  # fmt: skip


def _borrowing(spread: Floats, theta: Floats, count: Floats) -> Floats:
    """Variances of a label's error in cells, drawn towards what all cells say of shares like theirs, shape (C, K).

    Cells whose own variance came out small by chance would get too little gold, and end up the widest.
    """
    p = np.clip(theta, 0.0, 1.0)
    plain = p * (1.0 - p)
    freedom = np.maximum(count - 1.0, 0.0)[:, None]
    pooled = plain * (freedom * spread).sum() / max(float((freedom * plain).sum()), 1e-300)
    return np.asarray((freedom * spread + _BORROWED * pooled) / (freedom + _BORROWED))


def _documents(result: Any) -> Floats:
    """Documents of each cell, not their weights, shape (C,)."""
    return np.asarray(result.size * result.n_units / result.size.sum())  # weights of equal size stand for documents


def _by_cell(values: Floats, k: int) -> Floats:
    return np.asarray(values[::k])


def _with(result: Any, factor: Floats) -> Any:
    """What other numbers of gold can carry."""
    own = result.shares
    return replace(
        own, count=own.count * factor, kish=own.kish * factor, unit_variance=own.unit_variance / factor,
        df=np.maximum(own.df * factor, 1.0),
    )  # fmt: skip


def _alike(total: float, documents: Floats) -> Floats:
    return np.clip(total * documents / documents.sum(), np.minimum(1.0, documents), documents)


def _search(enough: Callable[[Floats], Any], least: Floats, most: Floats) -> Floats:
    """Smallest whole number of each cell that is enough, or the most there is."""
    low, high = np.floor(least).copy(), np.floor(most).copy()
    low = np.where(enough(low), low - 1.0, low)
    high = np.maximum(high, low + 1.0)
    while (high - low > 1.0).any():
        middle = np.floor((low + high) / 2.0)
        good = enough(np.maximum(middle, 1.0))
        open_ = high - low > 1.0
        high, low = np.where(open_ & good, middle, high), np.where(open_ & ~good, middle, low)
    return np.asarray(np.clip(high, least, most))


def _search_one(enough: Callable[[float], bool], documents: Floats, times: float = 1.0) -> float | None:
    """Smallest total that is enough, to a whole document; None where all documents are not."""
    low, high = 1.0, float(documents.sum()) * times
    if not enough(high):
        return None
    while high - low > 0.5:
        middle = (low + high) / 2.0
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _remarks(result: Any, count: Floats) -> tuple[str, ...]:
    out = []
    few = int((count < 10).sum())
    if few:
        out.append(
            f"{few} cell(s) have fewer than 10 gold documents, so that their own figures are rough; plan again after a "
            "second wave."
        )
    without = len(result.grid) - len(result.cells)
    if without:
        out.append(f"{without} cell(s) without an estimate are not in this plan.")
    return tuple(out)
