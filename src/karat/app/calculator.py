"""How many gold labels, before there is a table: from what is assumed of the documents and of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ArgumentError, generator, number, whole

if TYPE_CHECKING:
    from ..planning import Plan

_ROWS = 2000
"""Rows of the table that takes the place of the corpus."""
SIZES = (100, 200, 400, 800, 1600)


@dataclass(frozen=True)
class Assumed:
    """What is assumed, in shares between 0 and 1.

    Examples
    --------
    >>> Assumed(documents=5000, share=0.2, accuracy=(0.8, 0.9), half_width=0.05).group is None
    True
    """

    documents: int
    share: float
    """Of the documents to which the machine gives the label."""
    accuracy: tuple[float, float]
    """How often the machine is right, at worst and at best."""
    half_width: float
    """Of the 95% interval that is wanted."""
    group: float | None = None
    """Share of documents in the smaller of two groups, where their difference is the question."""

    def __post_init__(self) -> None:
        whole("documents", self.documents, least=50)
        for name, value in (("share", self.share), ("half_width", self.half_width)):
            number(name, value, above=0, below=1)
        low, high = (number("accuracy", end, above=0, below=1) for end in self.accuracy)
        if low >= high:
            raise ArgumentError(f"accuracy={self.accuracy!r} is not allowed; the lower end comes first.")
        if self.group is not None:
            number("group", self.group, above=0, most=0.5)


def calculate(assumed: Assumed) -> Plan:
    """The plan for a share, or for the difference of a share between two groups.

    A table with the assumed shares takes the place of the corpus, in which the label of the machine and the group are
    unrelated; all else is :func:`karat.plan`. The learner is linear, which is all that two classes can tell.
    """
    import numpy as np
    import pandas as pd

    from ..planning import plan

    rng = generator(0)
    rows = min(_ROWS, assumed.documents)
    columns = {"machine": rng.permutation(np.arange(rows) < round(assumed.share * rows)).astype(int)}
    if assumed.group is not None:
        columns["group"] = rng.permutation(np.arange(rows) < round(assumed.group * rows)).astype(int)
    if any(column.min() == column.max() for column in columns.values()):
        raise ArgumentError(f"the shares leave a class or group empty among {rows} documents; give larger ones.")
    formula, term = ("label ~ 1", "Intercept") if assumed.group is None else ("label ~ group", "group")
    sizes = [n for n in SIZES if n < assumed.documents] or [assumed.documents // 2]
    return plan(
        formula, pd.DataFrame(columns), surrogates={"label": ["machine"]}, accuracy=assumed.accuracy, n=sizes,
        goal={term: {"half_width": assumed.half_width}}, population=assumed.documents, learner="linear",
        repeats=1, seed=0,
    )  # fmt: skip
