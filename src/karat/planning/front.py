"""``kt.plan``: from a fit, or from surrogates and an assumed quality, to a plan of the gold sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.arguments import checked_arguments
from .._core.threads import single_threaded
from ..errors import ArgumentError, generator, number, one_of, whole
from ..frames.seeds import seed_of_result, settled
from ..regression.options import check_alpha
from ..regression.regress import regress
from ..results import Result
from .active import squared_reach
from .assume import read_qualities, worlds
from .basis import Basis
from .figures import Learning
from .profile import Profile
from .reach import with_reach
from .refit import Again, delete_groups, learn
from .report import Plan
from .resolve import resolve_scheme
from .targets import needed, read_targets

if TYPE_CHECKING:
    from ..frames import Table
    from .schemes import Scheme

_POINTS = 24
_FEW_CARRIERS = 10.0


@checked_arguments(regress)
@single_threaded
def plan(
    source: Result | str,
    data: object = None,
    *,
    target: Mapping[str, Any] | None = None,
    design: object = None,
    allocation: object = None,
    contrasts: str | Sequence[str] | None = None,
    n: int | Sequence[int] | None = None,
    population: int | None = None,
    power: float = 0.8,
    level: float = 0.9,
    band: str = "expected",
    groups: int = 20,
    model: str = "ols",
    surrogates: Mapping[str, Any] | None = None,
    accuracy: object = None,
    r_squared: object = None,
    confusion: object = None,
    seed: int | np.random.Generator | None = None,
    **options: Any,
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
    target : mapping, optional
        ``{"war": {"half_width": 0.05}}``; measures are ``"se"``, ``"half_width"`` and ``"mde"``. A mapping of measures
        alone is for every coefficient but the intercept.
    design : Design, Sample or Allocation, optional
        How the gold will be drawn; by default as the pilot was (from assumptions: a simple random sample). Sizes and
        probabilities in it count in proportion.
    allocation : {"proportional", "equal", "neyman"} or mapping, optional
        How a stratified design shares out its size; Neyman's is for the targets, or else for all coefficients.
    contrasts : str or list of str, optional
        Linear combinations to plan for besides the coefficients, such as ``"war - economy"``.
    n : int or list of int, optional
        Numbers of gold rows to show.
    population : int, optional
        Rows of the corpus planned for, if it will be larger or smaller than this one.
    power : float
        Of the detectable effect.
    level : float
        Of the intervals around planned figures.
    band : {"expected", "reported"}
        Interval for the standard error expected from the design, or for the one that a single draw will report.
    groups : int
        Groups of the jackknife; 0 leaves refitting out.
    model : str
        With a formula: which regression.
    surrogates : mapping, optional
        With a formula: as in :func:`regress`. With a fit: only if the fit was given arrays.
    accuracy : float, pair or mapping, optional
        With a formula: probability that gold is the class the (first) surrogate gives. A pair gives a range.
    r_squared : float, pair or mapping, optional
        The same for numbers: share of variance of gold and surrogate in common.
    confusion : array_like or mapping, optional
        Share of each surrogate class (columns) by gold class (rows).
    seed : int or numpy.random.Generator, optional
    **options
        Further arguments of :func:`regress` (cluster, weights, learner, ...).

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
    >>> plan = kt.plan(fit, target={"hostile": {"half_width": 0.15}})
    >>> 200 < plan.needed[0].n < 1000
    True
    """
    one_of("band", band, ("expected", "reported"))
    power, level = check_share("power", power), 1.0 - check_alpha(1.0 - check_share("level", level))
    if groups != 0:
        groups = whole("groups", groups, least=10, instead="or 0 for no refitting")
    if isinstance(source, Result):
        seed = seed_of_result(seed, source, groups)
    elif isinstance(source, str):
        seed = settled(seed, {}, source, model, sorted(surrogates or {}), repr((accuracy, r_squared, confusion)))
    rng = generator(seed)
    remarks: list[str] = []
    if isinstance(source, Result):
        for name, value in (("accuracy", accuracy), ("r_squared", r_squared), ("confusion", confusion)):
            if value is not None:
                raise ArgumentError(f"{name}= is for planning without a pilot; this plan has one, take it out.")
        if surrogates is not None:
            options["surrogates"] = surrogates
        if data is None and options:
            raise ArgumentError(
                f"{next(iter(options))}= is for fitting the pilot again, which needs data=; take it out."
            )
        known, table, learning, replicates = _from_fit(source, data, contrasts, groups, options, rng)
        remarks += _pilot_remarks(source, data is not None and groups > 0, bool(replicates), learning)
    elif isinstance(source, str):
        known, table, learning, remarks = _from_assumptions(
            source, data, model, surrogates, (accuracy, r_squared, confusion), options, contrasts, rng
        )
        replicates = ()
    else:
        raise ArgumentError(
            f"source is a {type(source).__name__}; give a fit, or a formula with surrogates= and accuracy=."
        )
    profile = known[0][0]
    targets = read_targets(target, profile.names)
    aims = [t.term for t in targets] or [name for name in profile.names if name not in ("Intercept", "Mean")]
    pilot = source if isinstance(source, Result) else None
    scheme = resolve_scheme(design, allocation, profile, table, pilot, aims)
    ratio = _ratio(population, profile, scheme)
    basis = Basis(known, replicates, scheme, ratio, learning, power, level, band)
    return Plan(
        basis=basis,
        title=source if isinstance(source, str) else source.formula,
        needed=tuple(needed(basis, t) for t in targets),
        sizes=_sizes(n, basis, targets != ()),
        remarks=tuple(remarks + _scheme_remarks(basis)),
        reusable=pilot is not None and _extends(basis),
    )


def check_share(name: str, value: object) -> float:
    """A number strictly between 0 and 1.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_share("power", 0.8)
    0.8
    """
    return number(name, value, above=0, below=1)


def _from_fit(
    fit: Result, data: object, contrasts: object, groups: int, options: dict[str, Any], rng: np.random.Generator
) -> tuple[tuple[tuple[Profile, ...], ...], Table | None, Learning, tuple[Profile, ...]]:
    """Profile of a pilot, the table of its rows, what it says about learning, and the pilot without groups."""
    from ..frames import Table

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


def _from_assumptions(
    formula: str,
    data: object,
    model: str,
    surrogates: Mapping[str, Any] | None,
    given: tuple[object, object, object],
    options: dict[str, Any],
    contrasts: object,
    rng: np.random.Generator,
) -> tuple[tuple[tuple[Profile, ...], ...], Table, Learning, list[str]]:
    """Profiles of simulated pilots, and the assumptions in words."""
    from ..frames import Table

    if data is None:
        raise ArgumentError("a plan from a formula needs data=, the corpus with its surrogates.")
    qualities = read_qualities(surrogates, *given)
    found, learning = worlds(model, formula, data, qualities, {**options, "surrogates": surrogates}, contrasts, rng)
    words = [f"the first surrogate of {name} {quality.words()}" for name, quality in qualities.items()]
    remarks = [
        "no gold yet: gold was simulated from the surrogates, assuming that " + "; ".join(words),
        "it is assumed that mistakes depend on nothing but the surrogate's own value; where they also depend on "
        "covariates or "
        "on the outcome, or come in clusters, more gold is needed. Treat this as a first guess and plan again from a "
        "pilot",
    ]
    if "r_squared" in {quality.kind for quality in qualities.values()}:
        remarks.append("numeric gold is assumed to have the mean and the spread of its surrogate")
    if len(found) == 1:
        remarks.append(
            "the interval holds only the noise of the simulation; give a pair, such as accuracy=(0.7, 0.9), for a range"
        )
    return found, Table.read(data), learning, remarks


def _ratio(population: int | None, profile: Profile, scheme: Scheme) -> float:
    if population is None:
        return 1.0
    rows = whole("population", population, least=max(profile.n_gold, scheme.least))
    return rows / profile.n_units


def _sizes(n: Any, basis: Basis, has_target: bool) -> tuple[int, ...]:
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
            "labelling "
            "errors would go with ever more gold"
        )
    if asked is False and fit.estimator == "dsl":
        found.append("labelling errors are taken to stay as in the pilot, although the predictor learns from more gold")
    return found


def _scheme_remarks(basis: Basis) -> list[str]:
    """Coefficients that few units of the pilot carry."""
    if basis.assumed:
        return []
    from .figures import pilot_df

    d = pilot_df(basis.log_variance_at(basis.profile.n_gold))
    thin = [name for name, value in zip(basis.names, d) if value < _FEW_CARRIERS]
    if thin:
        return [f"few gold units of the pilot carry {', '.join(thin)}; their figures are rough, as their intervals say"]
    return []
