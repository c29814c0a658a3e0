"""Whether surrogates pay, which one to buy, and for how many documents.

With ``s^2`` the variance of a gold score and ``R^2`` the share of it that a surrogate removes, n gold labels at cost
``c_g`` and N surrogate labels at cost ``c_k`` give ``s^2 {(1 - R^2) / n + R^2 / N}``. Under a budget B the best ratio
is ``n / N = sqrt((1 - R^2) c_k / (R^2 c_g))`` and the variance ``s^2 / B (sqrt(c_g (1 - R^2)) + sqrt(c_k R^2))^2``;
gold alone has ``s^2 c_g / B`` (two-phase sampling, Cochran 1977, section 12.3).
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
from .pilot import Profile, slopes
from .refit import mean_square

GOLD = "gold only"
_NO_HELP = 1e-6


@dataclass(frozen=True)
class Purchase:
    """What one way to spend the budget gives for one coefficient.

    ``gold`` and ``surrogate`` are labels to buy, infinite for surrogate labels that cost nothing and are not limited;
    ``variance`` is in units of that of one gold label if this is not known; ``break_even`` is the cost of a surrogate
    label from which on gold alone is better.
    """

    option: str
    term: str
    r_squared: float
    gold: float
    surrogate: float
    variance: float
    break_even: float


@dataclass(frozen=True, eq=False)
class Budget:
    """Ways to spend a budget, side by side.

    ``costs`` are of a label of each surrogate; ``absolute`` says whether standard errors are in the units of the
    coefficients, or relative to those of gold alone.
    """

    purchases: tuple[Purchase, ...]
    spend: float
    gold_cost: float
    costs: dict[str, float]
    population: float | None
    corpus: str
    absolute: bool

    def table(self) -> pd.DataFrame:
        """One row per coefficient and way to spend.

        Returns
        -------
        pandas.DataFrame
            Columns ``term, option, r_squared, gold, surrogate, se, relative, break_even``: labels to buy, the standard
            error, that relative to gold alone, and the cost of a surrogate label at which it stops to pay.
        """
        rows = []
        for p in self.purchases:
            alone = self._find(GOLD, p.term).variance
            relative = np.sqrt(p.variance / alone) if alone > 0 else np.nan
            se = np.sqrt(p.variance) if self.absolute else relative
            rows.append((p.term, p.option, p.r_squared, p.gold, p.surrogate, se, relative, p.break_even))
        columns = ["term", "option", "r_squared", "gold", "surrogate", "se", "relative", "break_even"]
        return pd.DataFrame(rows, columns=columns)

    def best(self, term: str | None = None) -> str:
        """The option with the smallest variance: of one coefficient, or on average over all (of logarithms)."""
        options = list(dict.fromkeys(p.option for p in self.purchases))
        terms = list(dict.fromkeys(p.term for p in self.purchases)) if term is None else [term]
        if term is not None and term not in {p.term for p in self.purchases}:
            raise ArgumentError(f"there is no coefficient {term!r} in this table.")
        with np.errstate(divide="ignore"):
            mean = [np.mean([np.log(self._find(option, name).variance) for name in terms]) for option in options]
        return options[int(np.argmin(mean))]

    def sentences(self) -> list[str]:
        """Which surrogate to buy, and whether it pays, in words."""
        out = []
        for term in dict.fromkeys(p.term for p in self.purchases):
            chosen = self._find(self.best(term), term)
            alone = self._find(GOLD, term)
            if chosen.option == GOLD:
                out.append(f"{term}: no surrogate pays; buy {alone.gold:,.0f} gold labels")
                continue
            share = 100 * (1 - np.sqrt(chosen.variance / alone.variance))
            number = "all documents" if np.isinf(chosen.surrogate) else f"{chosen.surrogate:,.0f} documents"
            line = f"{term}: buy {chosen.option} for {number} and {chosen.gold:,.0f} gold labels"
            line += f"; the standard error is {share:.0f} % smaller than with {alone.gold:,.0f} gold labels alone"
            if np.isfinite(chosen.break_even):
                line += f". It pays up to {chosen.break_even:.3g} per label (it costs {self.costs[chosen.option]:.3g})"
            out.append(line)
        return [line + "." for line in out]

    def __str__(self) -> str:
        how = "every document of the corpus is labelled" if self.corpus == "fixed" else "documents to label are chosen"
        head = f"Budget of {self.spend:,.6g}, {self.gold_cost:g} per gold label; {how}"
        return "\n".join([head, *text_cells(self._texts()), "", *self.sentences()])

    def __repr__(self) -> str:
        return f"<karat Budget: {self.spend:g}, {list(self.costs)}>"

    def _repr_html_(self) -> str:
        return html_page(f"Budget of {self.spend:,.6g}", (), html_table(self._texts()), self.sentences())

    def _texts(self) -> pd.DataFrame:
        table = self.table()
        shown = {
            "R2": [f"{v + 0.0:.2f}" for v in table["r_squared"].round(2)],
            "gold labels": [f"{v:,.0f}" for v in table["gold"]],
            "surrogate labels": [f"{v:,.0f}" for v in table["surrogate"]],
            "std. error" if self.absolute else "std. error / gold only": [f"{v:.4g}" for v in table["se"]],
            "against gold only": [f"{100 * (v - 1):+.0f} %" for v in table["relative"]],
            "pays up to": ["" if np.isnan(v) else f"{v:.3g}" for v in table["break_even"]],
        }
        return pd.DataFrame(shown, index=[f"{t}: {o}" for t, o in zip(table["term"], table["option"])])

    def _find(self, option: str, term: str) -> Purchase:
        return next(p for p in self.purchases if p.option == option and p.term == term)


@checked_arguments()
def budget(
    surrogates: Mapping[str, Any], budget: float, *, gold_cost: float, surrogate_cost: float | Mapping[str, float],
    population: int | None = None, corpus: str = "fixed", terms: str | Sequence[str] | None = None,
    target: str = "superpopulation",
) -> Budget:  # fmt: skip
    r"""Compare ways to spend a budget on gold and surrogate labels.

    Parameters
    ----------
    surrogates : mapping
        Name of each surrogate that could be bought -> the fit of a pilot that uses it, or an assumed R squared (the
        share of the gold-only labelling variance that it removes; one number, or one per coefficient).
    budget : float
        What the labels may cost.
    gold_cost : float
        Cost of a gold label.
    surrogate_cost : float or mapping
        Cost of a surrogate label, by surrogate if they differ.
    population : int, optional
        Documents there are; by default those of the pilot. Needed for a fixed corpus without a pilot.
    corpus : {"fixed", "free"}
        Whether every document gets a surrogate label, or their number is chosen, up to ``population`` if given.
    terms : str or list of str, optional
        Coefficients; by default all but the intercept.
    target : {"superpopulation", "finite"}
        The second for a fixed corpus only.

    Returns
    -------
    Budget

    Raises
    ------
    ArgumentError
        Naming the argument that does not fit.

    Notes
    -----
    What analysis clusters add to the variance is counted for a fixed corpus; where N is free they are left out.

    References
    ----------
    Cochran (1977), *Sampling Techniques*, section 12.3; Angelopoulos, Eisenstein, Berant, Agarwal, Fisch (2025),
    *Cost-optimal active AI model evaluation*.

    Examples
    --------
    >>> import karat as kt
    >>> found = kt.budget({"large model": 0.6, "word list": 0.1}, 1000, gold_cost=1.0,
    ...                   surrogate_cost={"large model": 0.02, "word list": 0.0}, population=5000)
    >>> found.best()
    'large model'
    >>> print(found.sentences()[0])
    coefficient: buy large model for 5,000 documents and 900 gold labels; the standard error is 25 % smaller than with
    ...
    """
    one_of("corpus", corpus, ("fixed", "free"))
    one_of("target", target, ("superpopulation", "finite"))
    if target == "finite" and corpus == "free":
        raise ArgumentError("target='finite' is about the corpus that is there; use corpus='fixed'.")
    if not isinstance(surrogates, Mapping) or not surrogates or GOLD in surrogates:
        raise ArgumentError(f"surrogates must map names (other than {GOLD!r}) to pilot fits or R squared.")
    spend, gold_cost = number("budget", budget, above=0), number("gold_cost", gold_cost, above=0)
    costs = _costs(surrogate_cost, list(surrogates))
    known = read_pilots(surrogates, terms)
    size = population if population is not None else known.n_units
    if size is not None:
        size = whole("population", size, least=2, instead="the number of documents")
    if size is None and corpus == "fixed":
        raise ArgumentError("a fixed corpus needs population=, the number of documents.")
    most = np.inf if size is None or (corpus == "free" and population is None) else float(size)
    finite = target == "finite"
    found = []
    for term, unit in known.unit.items():
        more = known.excess[term] / most if corpus == "fixed" and not finite else 0.0
        alone = _alone(spend / gold_cost, most, finite) + more
        found.append(Purchase(GOLD, term, 0.0, min(spend / gold_cost, most), 0.0, unit * alone, np.nan))
        for name, by_term in known.shares.items():
            r2 = by_term[term]
            gold, bought = _sizes(r2, spend, gold_cost, costs[name], most, corpus)
            value = unit * (variance_of(r2, gold, bought, finite) + more) if gold >= 2 else np.inf
            until = break_even(r2, spend, gold_cost, most, corpus, finite)
            found.append(Purchase(name, term, r2, gold, bought, value, until))
    absolute = any(isinstance(value, Result) for value in surrogates.values())
    return Budget(
        tuple(found), float(spend), float(gold_cost), costs, None if np.isinf(most) else most, corpus, absolute
    )


def variance_of(r_squared: float, gold: float, bought: float, finite: bool = False) -> float:
    """``(1 - R^2) / n + R^2 / N``, in units of the variance of one gold score; a finite corpus has ``1 / N`` less.

    >>> round(variance_of(0.5, 100.0, 1000.0), 6)
    0.0055
    """
    rest = 0.0 if np.isinf(bought) else 1.0 / bought
    return (1.0 - r_squared) * (1.0 / gold - rest) + (0.0 if finite else rest)


def break_even(r_squared: float, spend: float, gold_cost: float, most: float, corpus: str, finite: bool) -> float:
    """Cost of a surrogate label at which gold alone is as good.

    Free choice of N without limit: ``c_g (1 - sqrt(1 - R^2))^2 / R^2``. Fixed corpus: what is left of the budget after
    the n gold labels that then give the variance of gold alone, by document. With a limit on N it is found by
    bisection.
    """
    if r_squared < _NO_HELP:
        return 0.0
    alone = _alone(spend / gold_cost, most, finite)
    if corpus == "free" and np.isinf(most):
        return gold_cost * (1.0 - np.sqrt(1.0 - min(r_squared, 1.0))) ** 2 / r_squared
    low, high = 0.0, spend / (most if corpus == "fixed" else 1.0)

    def worse(cost: float) -> bool:
        gold, bought = _sizes(r_squared, spend, gold_cost, cost, most, corpus)
        return gold < 2 or variance_of(r_squared, gold, bought, finite) > alone

    if worse(0.0):
        return 0.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if worse(middle) else (middle, high)
    return low


def _sizes(
    r_squared: float, spend: float, gold_cost: float, cost: float, most: float, corpus: str
) -> tuple[float, float]:
    """Gold and surrogate labels to buy."""
    if corpus == "fixed":
        return float(min(most, max(0.0, (spend - most * cost) / gold_cost))), most
    share = np.clip(r_squared, 0.0, 1.0)
    ratio = 1.0 if share <= 0 else min(1.0, float(np.sqrt((1.0 - share) * cost / (share * gold_cost))))
    each = gold_cost * ratio + cost
    bought = np.inf if each <= 0 else spend / each
    if bought > most or ratio == 0.0:
        bought = most
    gold = (spend - (0.0 if cost == 0 else bought * cost)) / gold_cost
    return float(min(gold, bought)), float(bought)


def _alone(affordable: float, most: float, finite: bool) -> float:
    gold = min(affordable, most)
    return max(1.0 / gold - (1.0 / most if finite else 0.0), 0.0)


@dataclass(frozen=True)
class Known:
    """R squared by surrogate and coefficient; by coefficient the variance of a gold score, what clusters add; N."""

    shares: dict[str, dict[str, float]]
    unit: dict[str, float]
    excess: dict[str, float]
    n_units: int | None


def read_pilots(surrogates: Mapping[str, Any], terms: Any) -> Known:
    """What fits or assumed shares say of each surrogate and coefficient."""
    fits = {name: Profile.of(value) for name, value in surrogates.items() if isinstance(value, Result)}
    wanted = [terms] if isinstance(terms, str) else terms
    if fits:
        first = next(iter(fits.values()))
        if any(profile.names != first.names or profile.n_units != first.n_units for profile in fits.values()):
            raise ArgumentError("the pilot fits differ in their coefficients or rows; fit one formula on one table.")
        names = slopes(first.names)
    else:
        named = [list(value) for value in surrogates.values() if isinstance(value, Mapping)]
        names = named[0] if named else ["coefficient"]
    chosen = list(wanted) if wanted is not None else names
    shares: dict[str, dict[str, float]] = {}
    squares: list[dict[str, float]] = []
    excesses: list[dict[str, float]] = []
    for name, value in surrogates.items():
        if name in fits:
            profile = fits[name]
            removed, gold = mean_square(profile), mean_square(profile.gold_alone())
            squares.append(dict(zip(profile.names, profile.n_units * gold)))  # N times that of a draw of half the rows
            rest = profile.gold_alone().population.value / np.maximum(gold, 1e-300) - 1.0
            excesses.append(dict(zip(profile.names, map(float, rest))))
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where(gold > 0, 1.0 - removed / gold, 0.0)
            shares[name] = dict(zip(profile.names, map(float, share)))
        elif isinstance(value, Mapping):
            shares[name] = {str(term): _share(name, v) for term, v in value.items()}
        else:
            shares[name] = dict.fromkeys(chosen, _share(name, value))
        if lacking := [term for term in chosen if term not in shares[name]]:
            raise ArgumentError(f"surrogate {name!r} says nothing about {lacking[0]!r}; it has {list(shares[name])}.")
    unit = {term: float(np.mean([s[term] for s in squares])) if squares else 1.0 for term in chosen}
    excess = {term: float(np.mean([e[term] for e in excesses])) if excesses else 0.0 for term in chosen}
    return Known(shares, unit, excess, next(iter(fits.values())).n_units if fits else None)


def _share(name: str, value: Any) -> float:
    return number(f"surrogates[{name!r}]", value, below=1, instead="an R squared, or a pilot fit")


def _costs(given: Any, names: list[str]) -> dict[str, float]:
    by_name = dict(given) if isinstance(given, Mapping) else dict.fromkeys(names, given)
    if set(by_name) != set(names):
        raise ArgumentError(
            f"surrogate_cost names {sorted(map(str, by_name))}, surrogates are {names}; name each once."
        )
    return {str(name): number(f"surrogate_cost[{name!r}]", value, least=0) for name, value in by_name.items()}
