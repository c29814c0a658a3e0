"""``kt.plan``: from a fit, or from surrogates and an assumed quality, to a plan of the gold sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from .._core.types import ModelName
from ..errors import ArgumentError, check_alpha, generator, number, one_of, whole
from ..frames import Table
from ..frames.order import seed_of_result, settled
from ..grouped.shares_result import SharesResult
from ..regression.options import PlanOptions
from ..results import Result
from .forecast import MEASURES, Basis, Learning
from .pilot import OF_THE_FRAME, Profile, pilot_df, slopes
from .reach import squared_reach, with_reach
from .refit import Again, delete_groups, learn
from .report import Needed, Plan
from .resolve import resolve_scheme
from .schemes import Scheme
from .simulated_pilot import from_assumptions

_POINTS = 24
_FEW_CARRIERS, _TOO_FEW = 10.0, 3.0
"""Degrees of freedom of a planned variance below which it is called rough, or an order of magnitude."""

_SETS = "planning sets it by itself"


@checked_arguments(PlanOptions, refused={"scores": _SETS, "compare": _SETS, "subset": OF_THE_FRAME})
@single_threaded
def plan(
    source: Result | str,
    data: object = None,
    *,
    goal: Mapping[str, Any] | None = None,
    design: object = None,
    allocation: object = None,
    contrasts: str | Sequence[str] | None = None,
    n: int | Sequence[int] | None = None,
    population: int | None = None,
    power: float = 0.8,
    band_alpha: float = 0.1,
    band: str = "expected",
    jackknife: int = 20,
    model: ModelName = "ols",
    surrogates: Mapping[str, Any] | None = None,
    accuracy: object = None,
    r_squared: object = None,
    confusion: object = None,
    **options: Unpack[PlanOptions],
) -> Plan:
    r"""Plan the gold sample: standard error, half-width and detectable effect by number of gold labels.

    Parameters
    ----------
    source : Result or str
        The fit of a pilot. A formula plans from surrogates alone, under an assumed quality.
    data : data frame, optional
        With a fit: the table it was made from. Then the pilot is fitted again without groups of its gold, so that the
        interval counts everything that would differ in another pilot, and on halves of it, which shows how fast the
        predictor learns. Without it the interval counts the spread of squared errors only. With a formula: the corpus.
    goal : mapping, optional
        ``{"war": {"half_width": 0.05}}``; measures are ``"se"``, ``"half_width"`` and ``"mde"``. A mapping of measures
        alone is for every coefficient but the intercept.
    design : Design, Sample or Allocation, optional
        How the gold will be drawn; by default as the pilot was (from assumptions: a simple random sample). Sizes and
        probabilities in it count in proportion.
    allocation : {"proportional", "equal", "neyman"} or mapping, optional
        How a stratified design shares out its size; Neyman's is for the goals, or else for all coefficients.
    contrasts : str or list of str, optional
        Linear combinations to plan for besides the coefficients, such as ``"war - economy"``.
    n : int or list of int, optional
        Numbers of gold rows to show.
    population : int, optional
        Rows of the corpus planned for, if it will be larger or smaller than this one.
    power : float
        Of the detectable effect.
    band_alpha : float
        One minus the level of the intervals around planned figures.
    band : {"expected", "reported"}
        Interval for the standard error expected from the design, or for the one that a single draw will report.
    jackknife : int
        Groups of the jackknife; 0 leaves refitting out.
    model : str
        With a formula: which regression.
    surrogates : mapping, optional
        With a formula: as in :func:`regress`. With a fit: only if the fit was given arrays.
    accuracy : float, pair or mapping, optional
        With a formula: probability that gold is the class the (first) surrogate gives. A pair gives a range.
    r_squared : float, pair or mapping, optional
        The same for numbers: share of variance of gold and surrogate in common. Gold is simulated with the mean and the
        spread of the gold values in the data, where there are ten, else with those of the surrogate.
    confusion : array_like or mapping, optional
        Share of each surrogate class (columns) by gold class (rows).
    **options
        Further arguments of :func:`regress` (seed, cluster, weights, learner, ...). Without ``progress`` a bar shows
        after five seconds where somebody sits at a terminal.

    Returns
    -------
    Plan

    Raises
    ------
    KaratError
        One of its children, naming the argument at fault.

    Notes
    -----
    The variance at n' gold labels is the pilot's population part plus the labelling part the new design makes of the
    pilot's labelling errors :math:`e_i = \Psi(m_i - \Lambda h_i)`; under simple random sampling
    :math:`V(n') = \hat\Psi_m/N + (1/n' - 1/N) S_e`. Its square root is freed from the bias that roots of estimated
    variances have. The interval takes the estimated variance for a chi-square whose degrees of freedom fit the
    variance of its logarithm over pilots: the larger of a linearised one and of the delete-a-group jackknife.

    References
    ----------
    Saerndal, Swensson, Wretman (1992), *Model Assisted Survey Sampling*; Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> pilot = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ols("outcome ~ hostile + length", pilot, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> plan = kt.plan(fit, goal={"hostile": {"half_width": 0.15}})
    >>> 200 < plan.needed[0].n < 1000
    True
    """
    one_of("band", band, ("expected", "reported"))
    power = number("power", power, above=0, below=1)
    level = 1.0 - check_alpha(number("band_alpha", band_alpha, above=0, below=1))
    if jackknife != 0:
        jackknife = whole("jackknife", jackknife, least=10, instead="or 0 for no refitting")
    given: dict[str, Any] = dict(options)
    seed = given.pop("seed", None)
    if isinstance(source, Result):
        seed = seed_of_result(seed, source, jackknife)
        given = _for_refits(data, surrogates, (accuracy, r_squared, confusion), given)
        known, table, learning, replicates = _from_fit(source, data, contrasts, jackknife, given, generator(seed))
        remarks = _pilot_remarks(source, data is not None and jackknife > 0, bool(replicates), learning)
    elif isinstance(source, str):
        seed = settled(seed, {}, source, model, sorted(surrogates or {}), repr((accuracy, r_squared, confusion)))
        known, table, learning, remarks = from_assumptions(
            source, data, model, surrogates, (accuracy, r_squared, confusion), given, contrasts, generator(seed)
        )
        replicates = ()
    elif isinstance(source, SharesResult):
        raise ArgumentError(
            "source holds shares of many cells at once; plan them with source.plan(half_width=...), or one class by "
            "kt.plan(source.fits[k])."
        )
    else:
        raise ArgumentError(
            f"source is a {type(source).__name__}; give a fit, or a formula with surrogates= and accuracy=."
        )
    profile = known[0][0]
    goals = read_goals(goal, profile.names)
    aims = [term for term, _, _ in goals] or slopes(profile.names)
    pilot = None if isinstance(source, str) else source
    scheme = resolve_scheme(design, allocation, profile, table, pilot, aims)
    basis = Basis(known, replicates, scheme, _ratio(population, profile, scheme), learning, power, level, band)
    return Plan(
        basis=basis, title=source if isinstance(source, str) else source.formula,
        needed=tuple(needed(basis, *wanted) for wanted in goals), sizes=_sizes(n, basis),
        remarks=tuple(remarks + _scheme_remarks(basis)), reusable=pilot is not None and _extends(basis),
    )  # fmt: skip


def _for_refits(
    data: object, surrogates: object, given: tuple[object, object, object], options: dict[str, Any]
) -> dict[str, Any]:
    """Arguments for fitting the pilot again; raise where some are given that a plan with a pilot does not use."""
    for name, value in zip(("accuracy", "r_squared", "confusion"), given):
        if value is not None:
            raise ArgumentError(f"{name}= is for planning without a pilot; this plan has one, take it out.")
    options = options if surrogates is None else {**options, "surrogates": surrogates}
    if data is None and options:
        raise ArgumentError(f"{next(iter(options))}= is for fitting the pilot again, which needs data=; take it out.")
    return options


def _from_fit(
    fit: Result, data: object, contrasts: object, groups: int, options: dict[str, Any], rng: np.random.Generator
) -> tuple[tuple[tuple[Profile, ...], ...], Table | None, Learning, tuple[Profile, ...]]:
    """Profile of a pilot, the table of its rows, what it says about learning, and the pilot without groups."""
    profile = Profile.of(fit, contrasts)
    learning: Learning = Learning(0.0, profile.n_gold)
    if data is None:
        return ((profile,),), None, learning, ()
    again = Again.of(fit, data, contrasts, options)
    table = Table.read(again.data)
    reach = squared_reach(fit, profile, table, options.get("context"))
    profile = with_reach(profile, reach)
    replicates: tuple[Profile, ...] = ()
    if groups:
        replicates = tuple(with_reach(p, reach) for p in delete_groups(again, groups, rng))
        learning = learn(again, profile, rng)
    return ((profile,),), table, learning, replicates


def _ratio(population: int | None, profile: Profile, scheme: Scheme) -> float:
    if population is None:
        return 1.0
    rows = whole("population", population, least=max(profile.n_gold, scheme.least))
    return rows / profile.n_units


def _sizes(n: Any, basis: Basis) -> tuple[int, ...]:
    """Gold sizes to tabulate: those asked for, or a geometric grid."""
    least = max(basis.scheme.least, basis.profile.reporting.width + 5)
    if n is not None:
        asked = n if isinstance(n, (list, tuple, set, range, np.ndarray)) else [n]
        return tuple(sorted({whole("n", value, least=basis.scheme.least, most=basis.most) for value in asked}))
    start = min(max(least, basis.profile.n_gold // 2 if not basis.assumed else 50), basis.most)
    grid = np.unique(np.round(np.geomspace(start, basis.most, _POINTS)).astype(int))
    return tuple(int(value) for value in grid)


def _extends(basis: Basis) -> bool:
    """Whether the pilot's gold can be part of the planned sample without further ado: more of the same simple draw."""
    labelling = basis.profile.labelling
    same = labelling.fixed_size and labelling.stratum is None and labelling.unit is None
    return same and basis.scheme.n_strata == 1 and basis.scheme.units(10.0) == 10.0 and basis.ratio == 1.0


def _pilot_remarks(fit: Result, asked: bool, refitted: bool, learning: Learning) -> list[str]:
    found = []
    if not asked:
        found.append(
            "the interval counts the spread of squared labelling errors in the pilot only; give the pilot's data, "
            "kt.plan(fit, data), to count coefficients and predictor as well"
        )
    elif not refitted:
        found.append(
            "too few refits of the pilot went through for a jackknife; the interval counts squared errors only"
        )
    elif learning.excess > 0:
        share = 100 * (1 - 1 / (1 + learning.excess))
        found.append(
            f"the predictor is expected to learn: halves of the pilot say that up to {share:.0f} % of the squared "
            "labelling errors would go with ever more gold"
        )
    if asked is False and fit.estimator == "dsl":
        found.append("labelling errors are taken to stay as in the pilot, although the predictor learns from more gold")
    return found


def _scheme_remarks(basis: Basis) -> list[str]:
    """Coefficients that few units of the pilot carry."""
    if basis.assumed:
        return []
    d = pilot_df(basis.log_variance_at(basis.profile.n_gold))
    thin = [name for name, value in zip(basis.names, d) if _TOO_FEW <= value < _FEW_CARRIERS]
    unknown = [name for name, value in zip(basis.names, d) if value < _TOO_FEW]
    found = []
    if unknown:
        found.append(
            f"the pilot is too small to plan {', '.join(unknown)}: take the figures as an order of magnitude. Label "
            "more units that have what these coefficients stand for (draw them with kt.Stratified), and plan again"
        )
    if thin:
        found.append(
            f"few gold units of the pilot carry {', '.join(thin)}; their figures are rough, as their intervals say"
        )
    return found


def read_goals(given: object, names: tuple[str, ...]) -> tuple[tuple[str, str, float], ...]:
    """Goals as the user typed them: term, measure and value of each.

    >>> read_goals({"war": {"half_width": 0.05}}, ("Intercept", "war"))
    (('war', 'half_width', 0.05),)
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping) or not given:
        raise ArgumentError(f"goal={given!r} cannot be read; write for example goal={{'war': {{'half_width': 0.05}}}}.")
    if set(given) <= set(MEASURES) and not set(given) & set(names):
        given = {name: dict(given) for name in slopes(names)}
    found = []
    for term, wanted in given.items():
        if term not in names:
            raise ArgumentError(
                f"goal names {term!r}, which is not a coefficient or contrast of this plan; there are {list(names)}. "
                "A contrast such as 'war - economy' goes into contrasts= as well."
            )
        if not isinstance(wanted, Mapping) or not wanted or not set(wanted) <= set(MEASURES):
            raise ArgumentError(
                f"goal[{term!r}]={wanted!r} must name one or more of {list(MEASURES)}, for example "
                f"{{'half_width': 0.05}}."
            )
        for measure, value in wanted.items():
            found.append((str(term), measure, number(f"goal[{term!r}][{measure!r}]", value, above=0)))
    return tuple(found)


def needed(basis: Basis, term: str, measure: str, value: float) -> Needed:
    """Smallest gold size that reaches a goal, with its interval, by bisection on whole numbers."""
    index = basis.names.index(term)
    least, most = max(basis.scheme.least, basis.profile.reporting.width + 5), basis.most

    @cache
    def figure(n: int) -> Any:
        return [part[index] for part in basis.at(n).measure(measure)]

    best = figure(most)

    def smallest(which: int) -> int | None:
        if not best[which] <= value:
            return None
        low, high = least - 1, most
        while high - low > 1:
            middle = (low + high) // 2
            if figure(middle)[which] <= value:
                high = middle
            else:
                low = middle
        return high

    return Needed(term, measure, value, smallest(0), smallest(1), smallest(2), *map(float, best))
