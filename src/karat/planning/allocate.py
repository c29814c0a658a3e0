"""Which documents go to the experts: allocations side by side, before sampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

import numpy as np
import pandas as pd

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from .._core.types import Floats, Ints, ModelName
from ..designs import Design
from ..designs.given import codes_of
from ..display.table import html_page, html_table, text_cells
from ..errors import ArgumentError, DataError, generator, number, whole
from ..frames import Table
from ..frames.table import as_float
from ..regression.options import AllocationOptions
from ..results import Result
from .forecast import Basis, Learning
from .pilot import OF_THE_FRAME, Profile, slopes
from .reach import Sizing, by_stratum, sizes, squared_reach, with_reach
from .resolve import aim_weights, stratified
from .schemes import IndependentScheme, Scheme, simple_random
from .simulated_pilot import assumed_fit, in_words, read_qualities

_NOTICEABLE = 0.02


@dataclass(frozen=True, eq=False)
class Allocation:
    """One way to share the gold out, ready to draw.

    ``n`` are gold rows and ``cost`` what they cost (both expected, where units are drawn on their own), ``se`` (q,) the
    predicted standard errors.
    """

    name: str
    scheme: Scheme = field(repr=False)
    n: int
    se: Floats
    cost: float | None

    @property
    def design(self) -> Design:
        """Hand this to ``draw``, or to :func:`karat.plan`."""
        return self.scheme.design(self.n)

    @property
    def probability(self) -> Floats:
        """Inclusion probability of each row, shape (N,)."""
        return self.scheme.probability(self.n)

    @property
    def sizes(self) -> dict[str, int]:
        """Gold rows per stratum; empty without strata."""
        wanted = getattr(self.design, "n", None)
        return dict(wanted) if isinstance(wanted, Mapping) else {}


@dataclass(frozen=True, eq=False)
class Allocations(Mapping[str, Allocation]):
    """Allocations by name, with the table of standard errors to look at before sampling.

    ``names`` are coefficients and contrasts, ``aims`` those that Neyman's and the optimal allocation serve.
    """

    found: dict[str, Allocation]
    names: tuple[str, ...]
    aims: tuple[str, ...]
    remarks: tuple[str, ...]
    basis: Basis = field(repr=False)
    sizing: Sizing = field(repr=False)

    def __getitem__(self, name: str) -> Allocation:
        if name not in self.found:
            raise ArgumentError(f"there is no allocation {name!r}; there are {list(self.found)}.")
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __contains__(self, name: object) -> bool:
        return name in self.found

    def __repr__(self) -> str:
        return f"<karat Allocations: {', '.join(self.found)}>"

    def __str__(self) -> str:
        head = f"Predicted standard errors, for {', '.join(self.aims)}:"
        return "\n".join([head, *text_cells(self._texts()), "", *self.sentences()])

    def _repr_html_(self) -> str:
        head = f"Predicted standard errors, for {', '.join(self.aims)}"
        return html_page(head, (), html_table(self._texts()), self.sentences())

    def table(self, relative: bool = False) -> pd.DataFrame:
        """Predicted standard errors of all coefficients under each allocation.

        Parameters
        ----------
        relative : bool
            Divided by those of the simple random sample.

        Returns
        -------
        pandas.DataFrame, shape (q, number of allocations)
        """
        table = pd.DataFrame({name: item.se for name, item in self.found.items()}, index=list(self.names))
        return table.div(table["simple random"], axis=0) if relative else table

    @checked_arguments()
    def path(self, equal_shares: Sequence[float] = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)) -> pd.DataFrame:
        """Standard errors on the way from optimal (equal share 0) to equal probabilities (equal share 1).

        Parameters
        ----------
        equal_shares : sequence of float
            Shares of the sample drawn with equal probabilities.

        Returns
        -------
        pandas.DataFrame
            One row per share: smallest probability, then the standard errors.
        """
        rows, s, n = [], self.sizing, self.found["optimal"].n
        for share in equal_shares:
            if not 0 <= share <= 1:
                raise ArgumentError(
                    f"equal_shares holds {share!r}; give numbers from 0 (optimal) to 1 (equal probabilities)."
                )
            scheme = IndependentScheme(s.size, "", float(share), s.honest, s.expected)
            row = {"equal share": share, "smallest probability": scheme.probability(n).min()}
            rows.append(row | dict(zip(self.names, self.basis.with_scheme(scheme).at(n).se)))
        return pd.DataFrame(rows).set_index("equal share")

    def sentences(self) -> list[str]:
        """What each allocation gains for its aims and costs elsewhere, in words."""
        ratio = self.table(relative=True)
        out = []
        for name in list(self.found)[1:]:
            change = ratio[name] - 1.0
            gains = [f"{term} {100 * change[term]:+.0f} %" for term in self.aims]
            others = change[(change > _NOTICEABLE) & ~change.index.isin(self.aims)]
            worse = [f"{term} {100 * value:+.0f} %" for term, value in others.items()]
            cost = f"; it costs {', '.join(worse)}" if worse else "; nothing else gets worse by more than 2 %"
            out.append(f"{name}, against simple random: {', '.join(gains)}{cost}.")
        return out + [remark[0].upper() + remark[1:] + "." for remark in self.remarks]

    def _texts(self) -> pd.DataFrame:
        base = self.found["simple random"].se
        columns = {}
        for name, item in self.found.items():
            columns[name] = [
                f"{value:.4g}" if item.se is base else f"{value:.4g} ({100 * (value / at - 1):+.0f} %)"
                for value, at in zip(item.se, base)
            ]
            columns[name] += [f"{item.n:,}", f"{item.probability.min():.3g}"]
            columns[name] += [] if item.cost is None else [f"{item.cost:,.0f}"]
        extra = ["(gold labels)", "(smallest probability)", "(cost)"]
        return pd.DataFrame(columns, index=[*self.names, *extra][: len(columns["optimal"])])


@checked_arguments(
    AllocationOptions,
    refused=dict.fromkeys(("design", "scores", "compare"), "an allocation sets it by itself")
    | {"subset": OF_THE_FRAME},
    defaults={"seed": 0},
)
@single_threaded
def allocate(
    source: Result | str,
    data: object,
    n: int | None = None,
    *,
    by: str | Sequence[str] | None = None,
    terms: Sequence[str] | str | None = None,
    contrasts: str | Sequence[str] | None = None,
    error_features: Any = None,
    probability: object = None,
    equal_share: float = 0.2,
    cost: Any = None,
    budget: float | None = None,
    model: ModelName = "ols",
    surrogates: Mapping[str, Any] | None = None,
    accuracy: object = None,
    r_squared: object = None,
    confusion: object = None,
    **options: Unpack[AllocationOptions],
) -> Allocations:
    r"""Share gold labels out: simple random, proportional, Neyman, and optimal probabilities, side by side.

    Parameters
    ----------
    source : Result or str
        The fit of a pilot; or a formula, to allocate from surrogates and an assumed quality (see :func:`plan`).
    data : data frame
        The corpus, in the order of the pilot.
    n : int, optional
        Gold labels; or give a budget.
    by : str or list of str, optional
        Columns that form strata, see :func:`karat.strata`.
    terms : str or list of str, optional
        Coefficients or contrasts to serve; by default all but the intercept.
    contrasts : str or list of str, optional
        Linear combinations to plan for besides the coefficients.
    error_features : list of columns or arrays, optional
        What squared labelling errors may depend on; by default the surrogates and the observed columns of the formula.
    probability : str or array_like, optional
        A predicted probability of class 1 of the labelled outcome: its uncertainty then steers, with leverage.
    equal_share : float
        Share of the optimal sample drawn with equal probabilities, so that no probability falls below that share of
        ``n / N``.
    cost : float, str, mapping or array_like, optional
        Cost of a gold label: one for all, a column, one per row, or one per stratum.
    budget : float, optional
        In the place of n: what the gold labels may cost (expected).
    model, surrogates, accuracy, r_squared, confusion
        With a formula, as in :func:`plan`.
    **options
        With a formula: further arguments of :func:`regress`. With a fit: ``context``, and the ``seed`` (0) of the
        cross-validation folds.

    Returns
    -------
    Allocations
        Prints the table of standard errors; ``allocations["neyman"].design.draw(data)`` draws.

    Raises
    ------
    KaratError
        One of its children, naming the argument at fault.

    Notes
    -----
    Neyman's sizes are :math:`n_s \propto N_s \sqrt{\sum_j a_j S_{sj}^2 / c_s}` with :math:`S_{sj}` the standard
    deviation of labelling errors of coefficient j in stratum s; optimal probabilities are
    :math:`\pi_i = \min(1, \kappa u_i / \sqrt{c_i})`, :math:`u_i^2 = E(\sum_j a_j e_{ij}^2)`, mixed with equal ones. The
    coefficients served count equally, relative to their variances.

    References
    ----------
    Neyman (1934); Cochran (1977), *Sampling Techniques*, chapter 5; Zrnic and Candes (2024), *Active statistical
    inference*.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> pilot = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ols("outcome ~ hostile + length", pilot, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> found = kt.allocate(fit, corpus, 400, by="hostile_llm", terms="hostile")
    >>> list(found)
    ['simple random', 'proportional', 'neyman', 'optimal']
    >>> sum(found["neyman"].sizes.values())
    400
    """
    number("equal_share", 0.5 if equal_share in (0, 1) else equal_share, above=0, below=1)
    given: dict[str, Any] = dict(options)
    seed, context = given.pop("seed", 0), given.get("context")
    if isinstance(source, Result):
        given.pop("context", None)
    generator(seed)
    table = Table.read(data)
    result, remarks = _pilot(source, table, model, surrogates, (accuracy, r_squared, confusion), given, seed)
    profile = _profile(result, contrasts, table)
    aims = slopes(profile.names) if terms is None else [terms] if isinstance(terms, str) else list(terms)
    weights = aim_weights(profile, aims)
    by = by if by is None or isinstance(by, str) else tuple(by)
    codes = None if by is None else codes_of(table, by, "by")
    prices = prices_of(cost, table, codes)
    profile = with_reach(profile, squared_reach(result, profile, table, context))
    sizing = sizes(result, profile, table, weights, error_features, probability, seed)
    root = 1.0 if prices is None else np.sqrt(prices)
    expected = sizing.expected if codes is None else by_stratum(profile, codes[0], sizing.expected)
    steer = Sizing(sizing.size / root, sizing.honest / root, expected)

    schemes: dict[str, Scheme] = {"simple random": replace(simple_random(table.n_rows), expected=expected)}
    if codes is not None:
        code, names = codes
        mean = None if prices is None else np.bincount(code, weights=prices) / np.bincount(code)
        most = _left(source, profile, code, names, remarks)
        for name in ("proportional", "neyman"):
            schemes[name] = replace(stratified(code, names, by, name, profile, aims, mean, expected), most=most)
    title = (
        f"Bernoulli, optimal probabilities for {', '.join(aims)}, {100 * equal_share:g} % of the sample by equal ones"
    )
    schemes["optimal"] = IndependentScheme(steer.size, title, float(equal_share), steer.honest, steer.expected)

    learning = Learning(0.0, profile.n_gold)
    basis = Basis(((profile,),), (), schemes["simple random"], 1.0, learning, 0.8, 0.9, "expected")
    found = {}
    for name, scheme in schemes.items():
        size = size_of(n, budget, prices, scheme)
        paid = None if prices is None else float(scheme.probability(size) @ prices)
        found[name] = Allocation(name, scheme, size, basis.with_scheme(scheme).at(size).se, paid)
    return Allocations(found, profile.names, tuple(aims), tuple(remarks), basis, steer)


def _pilot(
    source: Any, table: Table, model: ModelName, surrogates: Any, given: tuple[object, object, object],
    options: dict[str, Any], seed: int,
) -> tuple[Result, list[str]]:  # fmt: skip
    """The pilot's fit, or one on simulated gold."""
    if isinstance(source, Result):
        if surrogates is not None or options or any(value is not None for value in given):
            raise ArgumentError(
                "surrogates=, accuracy= and arguments of the fit are for allocating without a pilot; take them out."
            )
        return source, []
    if not isinstance(source, str):
        raise ArgumentError(
            f"source is a {type(source).__name__}; give a fit, or a formula with surrogates= and accuracy=."
        )
    qualities = read_qualities(surrogates, *given)
    fit = assumed_fit(model, source, table, qualities, {**options, "surrogates": surrogates}, seed=seed)
    return fit, [
        f"no gold yet: the figures assume that {in_words(qualities)}, with mistakes that depend on nothing else"
    ]


def _profile(result: Result, contrasts: object, table: Table) -> Profile:
    """What the pilot says of a labelling error of each row of the table, which must be the one it was fitted on."""
    profile = Profile.of(result, contrasts)
    if result.parts is not None and result.parts.units.kept is not None:
        raise DataError(
            "the pilot's fit left rows out for missing values; drop or fill them in the data first, and fit again."
        )
    if table.n_rows != profile.n_units:
        raise DataError(
            f"data has {table.n_rows} rows, the pilot was fitted on {profile.n_units}; give the same table."
        )
    return profile


def _left(source: Any, profile: Profile, code: Ints, names: list[str], remarks: list[str]) -> Floats | None:
    """Units of each stratum that the pilot has left, so that a further wave can be drawn; None without a pilot."""
    if not isinstance(source, Result):
        return None
    count = np.bincount(code, minlength=len(names))
    left = count - np.bincount(code[np.unique(profile.position)], minlength=len(names))
    if (used := [names[s] for s in np.flatnonzero((left < 2) & (count > left))]) and len(used):
        remarks.append(
            f"the pilot has used up {', '.join(map(repr, used))}: a further wave cannot be drawn there; leave it "
            "out of that wave's n, or merge strata"
        )
    return np.asarray(np.where(left < 2, count, left), dtype=np.float64)


def prices_of(cost: Any, table: Table, codes: Any) -> Floats | None:
    """Cost of a gold label of each row, shape (N,)."""
    if cost is None:
        return None
    if isinstance(cost, Mapping):
        if codes is None:
            raise ArgumentError("cost= is by stratum, but there are no strata; give strata=, a column or one number.")
        code, names = codes
        asked = {str(key): value for key, value in cost.items()}
        if set(asked) != set(names):
            raise ArgumentError(f"cost must name every stratum: {names}; it names {sorted(asked)}.")
        values = np.array([number(f"cost[{name!r}]", asked[name], above=0) for name in names])[code]
    elif np.ndim(cost) == 0 and not isinstance(cost, str):
        values = np.full(table.n_rows, number("cost", cost, above=0, instead="a column, or a mapping by stratum"))
    else:
        values = as_float(table.values(cost, "cost"), cost if isinstance(cost, str) else "cost", "cost")
    if not np.isfinite(values).all() or (values <= 0).any():
        raise ArgumentError("the cost of a gold label must be a positive number in every row.")
    return values


def size_of(n: Any, budget: Any, prices: Floats | None, scheme: Scheme) -> int:
    """Gold labels of an allocation: as given, or as many as the budget pays for."""
    if (n is None) == (budget is None):
        raise ArgumentError("give either n, the number of gold labels, or budget with cost.")
    most = scheme.n_frame
    if n is not None:
        return whole("n", n, least=scheme.least, most=most)
    if prices is None:
        raise ArgumentError("a budget needs cost=, what a gold label costs.")
    budget = number("budget", budget, above=0)
    low, high = scheme.least, most
    if scheme.probability(low) @ prices > budget:
        raise ArgumentError(f"budget={budget!r} does not pay for {low} gold labels; raise it.")
    while low < high:
        middle = (low + high + 1) // 2
        affordable = scheme.probability(middle) @ prices <= budget * (1 + 1e-12)
        low, high = (middle, high) if affordable else (low, middle - 1)
    return low
