"""How many documents a strong model, and how many coders, should label after a cheap model has labelled all.

With ``s^2`` the variance of a gold score, ``R1`` the share of it that the cheap label removes and ``R2`` that of both
labels, N, n2 and n3 labels of each kind give ``s^2 {R1 / N + (R2 - R1) / n2 + (1 - R2) / n3}``. For a sum ``a / n``
over parts at costs ``c``, numbers in proportion to ``sqrt(a / c)`` are the cheapest (Neyman 1938; Cochran 1977,
section 12.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .._core.arguments import checked_arguments
from ..display.table import html_page, html_table, text_cells
from ..errors import ArgumentError, number, one_of, whole
from ..results import Result
from .budget import GOLD, Known, read_pilots

CHEAP, STRONG, CASCADE = "cheap and gold", "strong and gold", "cascade"
OPTIONS = (GOLD, CHEAP, STRONG, CASCADE)


@dataclass(frozen=True)
class Mix:
    """Labels of each kind that one way to spend asks for, for one coefficient.

    ``variance`` is in units of that of one gold label where this is not known. Where the option is not possible numbers
    of labels are missing, and cost or variance infinite.
    """

    option: str
    term: str
    cheap: float
    strong: float
    gold: float
    cost: float
    variance: float


@dataclass(frozen=True, eq=False)
class CascadePlan:
    """Ways to mix cheap, strong and gold labels, side by side.

    ``goal`` says what was asked for; ``absolute`` whether standard errors are in the units of the coefficients, or
    relative to that of one gold label.
    """

    mixes: tuple[Mix, ...]
    goal: str
    absolute: bool

    def table(self) -> pd.DataFrame:
        """One row per coefficient and way to spend.

        Returns
        -------
        pandas.DataFrame
            Columns ``term, option, cheap, strong, gold, cost, se``: labels of each kind, what they cost in all, the
            standard error. Numbers of labels are missing where an option is not possible.
        """
        rows = [(m.term, m.option, m.cheap, m.strong, m.gold, m.cost, np.sqrt(m.variance)) for m in self.mixes]
        return pd.DataFrame(rows, columns=["term", "option", "cheap", "strong", "gold", "cost", "se"])

    def best(self, term: str | None = None) -> str:
        """The way with the smallest standard error, or the cheapest: of one coefficient, or most often the best."""
        terms = list(dict.fromkeys(m.term for m in self.mixes))
        if term is not None and term not in terms:
            raise ArgumentError(f"there is no coefficient {term!r} in this table; it has {terms}.")
        by_cost = self.goal.startswith("standard error")
        won = []
        for name in terms if term is None else [term]:
            mine = [m for m in self.mixes if m.term == name]
            won.append(min(mine, key=lambda m: m.cost if by_cost else m.variance).option)
        return max(OPTIONS, key=lambda option: (won.count(option), OPTIONS.index(option)))

    def sentences(self) -> list[str]:
        """What to buy, in words."""
        out = []
        for term in dict.fromkeys(m.term for m in self.mixes):
            found = {m.option: m for m in self.mixes if m.term == term}
            mix = found[self.best(term)]
            if not np.isfinite(mix.gold):
                out.append(f"{term}: not even gold labels of all documents are enough.")
                continue
            bought = [(mix.cheap, "cheap"), (mix.strong, "strong"), (mix.gold, "gold")]
            told = ", ".join(f"{n:,.0f} {what} labels" for n, what in bought if n > 0)
            se = np.sqrt(mix.variance)
            out.append(f"{term}: {mix.option}, {told}, cost {mix.cost:,.6g}, standard error {se:.3g}.")
        return out

    def __str__(self) -> str:
        return "\n".join([f"Mix of cheap, strong and gold labels, {self.goal}", *text_cells(self._texts()), "",
                          *self.sentences()])  # fmt: skip

    def __repr__(self) -> str:
        return f"<karat CascadePlan: {self.goal}>"

    def _repr_html_(self) -> str:
        return html_page(f"Mix of labels, {self.goal}", (), html_table(self._texts()), self.sentences())

    def _texts(self) -> pd.DataFrame:
        table = self.table()
        shown = {
            head: [f"{v:{form}}" if np.isfinite(v) else "-" for v in table[name]]
            for head, name, form in (
                ("cheap", "cheap", ",.0f"), ("strong", "strong", ",.0f"), ("gold", "gold", ",.0f"),
                ("cost", "cost", ",.6g"), ("std. error", "se", ".4g"),
            )
        }  # fmt: skip
        return pd.DataFrame(shown, index=[f"{t}: {o}" for t, o in zip(table["term"], table["option"])])


@checked_arguments()
def plan_cascade(
    r_squared: Mapping[str, Any], *, population: int, gold_cost: float, strong_cost: float, cheap_cost: float = 0.0,
    budget: float | None = None, se: float | None = None, terms: str | Sequence[str] | None = None,
    target: str = "superpopulation",
) -> CascadePlan:  # fmt: skip
    """The cheapest mix of cheap, strong and gold labels for a standard error, or the most precise for a budget.

    Parameters
    ----------
    r_squared : mapping
        ``{"cheap": ..., "strong": ...}``: the share of the gold-only labelling variance that the cheap label removes,
        and that both labels remove together (one number each, or one per coefficient); or fits of a pilot, with the
        cheap surrogate alone and with both (``surrogates={"hostile": ["cheap", "strong"]}``) on the same rows.
    population : int
        Documents there are; all get the cheap label.
    gold_cost, strong_cost, cheap_cost : float
        Cost of a label of each kind.
    budget : float, optional
        What labels may cost in all.
    se : float, optional
        Standard error wanted; in units of the coefficient with pilot fits, otherwise relative to that of a single gold
        label (n gold labels alone have ``n ** -0.5``). One of ``budget`` and ``se`` is given.
    terms : str or list of str, optional
        Coefficients; by default all but the intercept.
    target : {"superpopulation", "finite"}

    Returns
    -------
    CascadePlan
        The cascade beside gold only, cheap labels of all documents and gold, and strong labels of as many documents as
        pays and gold (with the R squared of both labels). Numbers of labels are not rounded.

    Raises
    ------
    ArgumentError
        Naming the argument that does not fit.

    Notes
    -----
    Samples are simple random ones, gold among the rows with a strong label (methods, section 5).

    References
    ----------
    Neyman (1938), *Contribution to the theory of sampling human populations*; Cochran (1977), section 12.3.

    Examples
    --------
    >>> import karat as kt
    >>> plan = kt.plan_cascade({"cheap": 0.3, "strong": 0.8}, population=50_000, gold_cost=2.0, strong_cost=0.05,
    ...                        budget=1000)
    >>> plan.best()
    'cascade'
    >>> print(plan.sentences()[0])
    coefficient: cascade, 50,000 cheap labels, 4,000 strong labels, 400 gold labels, cost 1,000, standard error 0.0251.
    """
    one_of("target", target, ("superpopulation", "finite"))
    if not isinstance(r_squared, Mapping) or set(r_squared) != {"cheap", "strong"}:
        raise ArgumentError("r_squared must be {'cheap': ..., 'strong': ...}, R squared or fits of a pilot.")
    if (budget is None) == (se is None):
        raise ArgumentError("give one of budget= and se=.")
    size = whole("population", population, least=2, instead="the number of documents")
    costs = (
        number("cheap_cost", cheap_cost, least=0), number("strong_cost", strong_cost, above=0),
        number("gold_cost", gold_cost, above=0),
    )  # fmt: skip
    known = read_pilots({name: r_squared[name] for name in ("cheap", "strong")}, terms)
    limit = number("budget", budget, above=0) if budget is not None else number("se", se, above=0)
    found: list[Mix] = []
    for term in known.unit:
        for option, parts in _parts(known, term, costs).items():
            found.append(_mix(option, term, parts, known.unit[term], float(size), budget is not None, limit, target))
    goal = f"budget of {limit:,.6g}" if budget is not None else f"standard error of {limit:.6g}"
    absolute = any(isinstance(value, Result) for value in r_squared.values())
    return CascadePlan(tuple(found), goal, absolute)


_Part = tuple[float, float]
"""A share of the variance, and the cost of a label that it falls with the number of."""


def _parts(known: Known, term: str, costs: tuple[float, float, float]) -> dict[str, tuple[_Part, _Part, _Part]]:
    """Cheap, strong and gold part of each option."""
    cheap, strong = (min(max(known.shares[name][term], 0.0), 1.0) for name in ("cheap", "strong"))
    strong = max(strong, cheap)
    none = (0.0, 0.0)
    return {
        GOLD: (none, none, (1.0, costs[2])),
        CHEAP: ((cheap, costs[0]), none, (1.0 - cheap, costs[2])),
        STRONG: (none, (strong, costs[1]), (1.0 - strong, costs[2])),
        CASCADE: ((cheap, costs[0]), (strong - cheap, costs[1]), (1.0 - strong, costs[2])),
    }


def _mix(
    option: str, term: str, parts: tuple[_Part, _Part, _Part], unit: float, size: float, by_budget: bool, limit: float,
    target: str,
) -> Mix:  # fmt: skip
    """Numbers of labels of one option."""
    (a1, c1), second, third = parts
    cheap = size if option in (CHEAP, CASCADE) else 0.0
    fixed = (1.0 / size if target == "finite" else 0.0) - a1 / size
    rest = limit - cheap * c1 if by_budget else limit**2 / unit + fixed
    strong, gold = cheapest(second, third, size, rest, by_budget) if rest > 0 else (0.0, np.nan)
    if not 0.0 < gold <= size * (1 + 1e-9):
        cost, variance = (limit, np.inf) if by_budget else (np.inf, limit**2)
        return Mix(option, term, np.nan, np.nan, np.nan, cost, variance)
    sum_of_parts = (second[0] / strong if second[0] > 0 else 0.0) + third[0] / gold - fixed
    cost = cheap * c1 + strong * second[1] + gold * third[1]
    return Mix(option, term, cheap, strong, gold, cost, max(unit * sum_of_parts, 0.0))


def cheapest(second: _Part, third: _Part, most: float, limit: float, by_budget: bool) -> tuple[float, float]:
    """Numbers n2 >= n3 that minimise ``a2 / n2 + a3 / n3`` for a budget, or the cost for a sum.

    Parameters
    ----------
    second, third : tuple of float
        ``a`` and ``c`` of each.
    most : float
        Largest n2.
    limit : float
        Budget ``c2 n2 + c3 n3``, or the sum of parts that is wanted.
    by_budget : bool

    Returns
    -------
    tuple of float
        ``n2`` is 0 where the second part is. ``n3`` is larger than ``most`` where the sum cannot be had.

    Examples
    --------
    >>> cheapest((0.5, 0.05), (0.2, 2.0), 50_000, 1000.0, True)
    (4000.0, 400.0)
    """
    (a2, c2), (a3, c3) = second, third
    if a2 <= 0:
        return 0.0, min(limit / c3, most) if by_budget else a3 / limit
    scale = np.sqrt(a2 * c2) + np.sqrt(a3 * c3)
    factor = limit / scale if by_budget else scale / limit
    n2, n3 = factor * np.sqrt(a2 / c2), factor * np.sqrt(a3 / c3)
    if n3 > n2:  # as many strong labels as gold: they bring nothing
        both = limit / (c2 + c3) if by_budget else (a2 + a3) / limit
        n2 = n3 = both
    if n2 > most:
        n2 = most
        left = limit - c2 * most if by_budget else limit - a2 / most
        n3 = min(left / c3, most) if by_budget else a3 / left if left > 0 else np.inf
    return float(n2), float(n3)
