"""Several regressions in one call: outcomes, covariates, samples, parameters; their joint covariance."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from .. import moments as models
from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import ArgumentError, DataError, DesignWarning, KaratError, KaratWarning, tell
from ..estimate.augment import Units
from ..estimate.clusters import cluster_codes
from ..frames import Table
from ..frames.batches import Batches
from ..frames.formula import parse
from ..frames.kinds import is_text
from ..frames.notation import expand, sides
from ..results.combine import joint_covariance
from ..results.fits import Fits
from .design_matrix import read_clusters
from .entry_points import regress
from .options import Arguments, RegressOptions
from .pipeline import read_frame
from .variables import read_labels

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints, ModelName
    from ..results import Result

_MOST_SAMPLES, _MOST_FITS = 100, 1000
_SCORES = "influence scores were not kept (scores=False, combine='median', or a large fit: then give scores=True)"


@dataclass(frozen=True)
class _Sample:
    """A part of the rows: its name, and which they are (None for all)."""

    name: str
    rows: Bools | None


@dataclass(frozen=True)
class _Job:
    """One regression: its name, and what it differs from the others in."""

    name: str
    formula: str
    sample: _Sample
    parameters: Mapping[str, Any] | None

    @property
    def outcome(self) -> str:
        """Left-hand side."""
        return sides(self.formula)[0]


@dataclass(frozen=True)
class _Made:
    """A job done: its Result and the options it was made with, or why there is none; and what it warned of."""

    job: _Job
    result: Result | None
    arguments: Arguments | None
    error: KaratError | None
    told: tuple[tuple[str, type[KaratWarning]], ...]


@checked_arguments(RegressOptions)
@single_threaded
def several(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    model: ModelName = "ols",
    split: str | None = None,
    fsplit: str | None = None,
    **options: Unpack[RegressOptions],
) -> Fits:
    """Several regressions in one call: several outcomes, sets of covariates, samples, quantiles.

    Parameters
    ----------
    formula : str
        As in :func:`regress`, with steps as pyfixest and fixest write them: ``sw(a, b)`` is a, then b; ``csw(a, b)`` a,
        then ``a + b``; ``sw0`` and ``csw0`` start without any of them; ``mvsw(a, b)`` takes every combination. On the
        left, ``sw(y1, y2)`` is one outcome after the other.
    data : data frame
        As in :func:`regress`.
    surrogates : mapping
        As in :func:`regress`; each regression takes those of the columns it uses.
    model : str
        Which regression: ``"ols"``, ``"logit"``, ``"probit"``, ``"poisson"``, ``"negative_binomial"``,
        ``"multinomial"``, ``"ordered"``, ``"ordered_probit"``, ``"gamma"``, ``"fractional"``, ``"beta"``,
        ``"quantile"``, ``"expectile"``, ``"huber"`` or ``"mean"``.
        A list among ``parameters`` makes a fit for each: ``parameters={"q": [0.25, 0.5, 0.75]}``.
    split, fsplit : str, optional
        Column whose values split the rows into samples; ``fsplit`` also fits all rows. Each sample is a ``subset`` of
        the one draw, so give the design as it was drawn. Rows where the column is missing are in no sample.
    **options
        How to fit.

    Returns
    -------
    Fits
        By name. Each is, to the last digit, the fit made by itself with the same seed. One that cannot be made is
        listed in ``Fits.failed``, with a warning.

    Raises
    ------
    KaratError
        As :func:`regress`, if no fit can be made.

    Notes
    -----
    The joint covariance is made from the influence of all units on all coefficients; a unit outside a sample has none.
    It is exact where fits have the same rows or are samples of one draw. Where missing values leave out different rows,
    correlations are those of the draw from all rows (methods, section 4.8).

    References
    ----------
    Weesie (1999), *Seemingly unrelated estimation and the cluster-adjusted sandwich estimator*, for stacked influences.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> data = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> data["side"] = ["left", "right"] * 1000
    >>> fits = kt.several("outcome ~ hostile + sw0(length)", data, surrogates={"hostile": "hostile_llm"}, fsplit="side",
    ...                   seed=1)
    >>> len(fits), list(fits)[1]
    (6, 'outcome ~ hostile; side=left')
    >>> fits.wald("outcome ~ hostile; side=left: hostile = outcome ~ hostile; side=right: hostile").df_numerator
    1
    """
    if isinstance(data, Batches):
        raise ArgumentError("several() needs the table in memory; fit batches one regression at a time.")
    if isinstance(seed := options.get("seed"), np.random.Generator):
        options["seed"] = int(seed.integers(2**31))  # the same for each fit, whatever their order
    table = Table.read(data)
    notes, samples = _samples(table, split, fsplit, options.pop("subset", None), surrogates)
    jobs = _jobs(expand(formula), samples, options.pop("parameters", None))
    _refuse_unused(jobs, table, surrogates, model, options)
    made = [_fit(job, table, surrogates, model, options) for job in jobs]
    _pass_on(made)
    done = [one for one in made if one.result is not None]
    failed = {one.job.name: str(one.error) for one in made if one.error is not None}
    if not done:
        raise _named(made[0])
    if failed:
        name, why = next(iter(failed.items()))
        more = f"; {len(failed) - 1} more in Fits.failed" if len(failed) > 1 else ""
        tell(f"{len(failed)} of {len(made)} regressions could not be fitted: {name}: {why}{more}", KaratWarning)
    covariance, unknown = _joint(done, table)
    results = tuple(one.result for one in done if one.result is not None)
    return Fits(
        models=tuple(one.job.name for one in done),
        results=results,
        outcomes=tuple(one.job.outcome for one in done),
        samples=tuple(one.job.sample.name for one in done),
        covariance=covariance,
        alpha=results[0].alpha,
        failed=failed,
        notes=notes,
        unknown=unknown,
    )


def _named(one: _Made) -> KaratError:
    """Why a regression could not be fitted, with its name."""
    error = one.error
    assert error is not None
    return error if one.job.name == one.job.formula else type(error)(f"{one.job.name}: {error}")


def _samples(
    table: Table, split: str | None, fsplit: str | None, subset: Any, surrogates: object
) -> tuple[tuple[str, ...], list[_Sample]]:
    """What must be said of rows that are in no sample, and the samples."""
    inside = None if subset is None else table.marked(subset, "subset")
    if split is None and fsplit is None:
        return (), [_Sample("all", inside)]
    if split is not None and fsplit is not None:
        raise ArgumentError("split= and fsplit= are both given; fsplit= fits all rows besides.")
    argument, column = ("split", split) if split is not None else ("fsplit", fsplit)
    if not isinstance(column, str):
        raise ArgumentError(f"{argument} is a {type(column).__name__}; it must be the name of a column.")
    if isinstance(surrogates, Mapping) and column in surrogates:
        raise ArgumentError(
            f"{argument}={column!r} is known for gold rows only; write an interaction with C({column}) in the formula."
        )
    values = table.column(column, argument)
    text, there = is_text(values, column, argument), values.notna().to_numpy()
    there = there if inside is None else there & inside
    held = values[there].unique()
    levels = [v for v in values.cat.categories if v in set(held)] if hasattr(values, "cat") else sorted(held)
    if not 0 < len(levels) <= _MOST_SAMPLES:
        raise DataError(
            f"{argument}={column!r} has {len(levels):,} values; it must have 1 to {_MOST_SAMPLES}, each a sample. "
            "Group them first."
        )
    samples = [_Sample(f"{column}={v if text else _number(v)}", there & (values == v).to_numpy()) for v in levels]
    lost = int((values.isna().to_numpy() & (True if inside is None else inside)).sum())
    notes = (f"{lost:,} row(s) with {column!r} missing are in no sample",) if lost else ()
    for note in notes:
        tell(note + ".", DesignWarning)
    return notes, [*([_Sample("all", inside)] if fsplit is not None else []), *samples]


def _number(value: Any) -> str:
    """A number as a name: whole ones without a point, true and false as such."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    return str(int(value)) if float(value).is_integer() else str(float(value))


def _jobs(formulas: Sequence[str], samples: Sequence[_Sample], parameters: Any) -> list[_Job]:
    """Every formula with every sample and all parameters, named by what they differ in."""
    given = dict(parameters) if isinstance(parameters, Mapping) else {}
    several_of = (list, tuple, np.ndarray)
    lists = {n: list(dict.fromkeys(v)) if isinstance(v, several_of) else [v] for n, v in given.items()}
    settings = [dict(zip(lists, chosen)) for chosen in itertools.product(*lists.values())]
    total = len(formulas) * len(samples) * len(settings)
    if not 0 < total <= _MOST_FITS:
        raise ArgumentError(f"this call stands for {total:,} regressions; 1 to {_MOST_FITS:,} are allowed.")
    right = {sides(formula)[1] for formula in formulas}
    out = []
    for formula, setting, sample in itertools.product(formulas, settings, samples):
        written = formula if len(right) > 1 else sides(formula)[0]
        words = [written] if len(formulas) > 1 else []
        words += [f"{name}={setting[name]}" for name, values in lists.items() if len(values) > 1]
        words += [sample.name] if len(samples) > 1 or sample.name != "all" else []
        kept = setting if isinstance(parameters, Mapping) else parameters
        out.append(_Job("; ".join(words) or formula, formula, sample, kept))
    return out


def _used(job: _Job, table: Table, model: str, parameters: Any, options: Mapping[str, Any]) -> frozenset[str]:
    """Columns that a regression uses."""
    return parse(job.formula, table.names, options.get("context"), models.get(model, parameters).categorical).variables


def _refuse_unused(jobs: Sequence[_Job], table: Table, surrogates: Any, model: str, options: Mapping[str, Any]) -> None:
    """Raise where surrogates= names a column that no regression uses."""
    found: set[str] = set()
    for job in jobs:
        try:
            found |= _used(job, table, model, job.parameters, options)
        except KaratError:
            return
    if isinstance(surrogates, Mapping) and (unused := sorted({str(name) for name in surrogates} - found)):
        raise ArgumentError(f"surrogates names {unused[0]!r}, which no regression of this call uses; take it out.")


def _fit(job: _Job, table: Table, surrogates: Any, model: ModelName, options: Mapping[str, Any]) -> _Made:
    """One regression by itself, with the labels it uses."""
    result = arguments = error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            used = _used(job, table, model, job.parameters, options)
            own: dict[str, Any] = {**options, "parameters": job.parameters, "subset": job.sample.rows}
            labels = surrogates
            if isinstance(surrogates, Mapping):
                labels = {name: given for name, given in surrogates.items() if str(name) in used}
                if surrogates and not labels:
                    raise ArgumentError(
                        f"{job.formula!r} uses none of {sorted(map(str, surrogates))}, so nothing in it is to be "
                        "corrected; any other package fits it."
                    )
            if isinstance(options.get("predictions"), Mapping):
                own["predictions"] = {name: given for name, given in options["predictions"].items() if name in used}
            arguments = Arguments.of(model, job.formula, labels, own)
            result = regress(job.formula, table, model=model, surrogates=labels, **own)
        except KaratError as wrong:
            error = wrong
    told = tuple((str(w.message), w.category) for w in caught if issubclass(w.category, KaratWarning))
    return _Made(job, result, arguments, error, told)


def _pass_on(made: Sequence[_Made]) -> None:
    """Give every warning once, with the fits it is about where it is not about all."""
    about: dict[tuple[str, type[KaratWarning]], list[str]] = {}
    for one in made:
        for item in dict.fromkeys(one.told):
            about.setdefault(item, []).append(one.job.name)
    for (message, category), names in about.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        tell(message if len(names) == len(made) else f"{names[0]}{more}: {message}", category)


def _joint(done: Sequence[_Made], table: Table) -> tuple[Floats, str]:
    """Covariance of all coefficients, and why some of it is not known."""
    results = [one.result for one in done if one.result is not None]
    ends = np.cumsum([0, *(len(result.theta) for result in results)])
    blocks = [np.arange(start, stop) for start, stop in itertools.pairwise(ends)]
    covariance = np.full((ends[-1], ends[-1]), np.nan)
    for result, block in zip(results, blocks):
        covariance[np.ix_(block, block)] = result.covariance
    if len(results) == 1:
        return covariance, ""
    lost = [one.job.name for one, result in zip(done, results) if result.parts is None]
    if lost:
        return covariance, f"the covariance between fits is not known, since of {lost[0]} {_SCORES}."
    frames = _frames(done, table)
    draws: list[list[int]] = []
    for k, (units, _) in enumerate(frames):
        same = next((d for d in draws if frames[d[0]][0].labelling.same(units.labelling)), None)
        if same is None:
            draws.append([k])
        else:
            same.append(k)
    for members in draws:
        index = np.concatenate([blocks[k] for k in members])
        rows = [frames[k][1] for k in members]
        found = joint_covariance([results[k] for k in members], frames[members[0]][0], rows)
        covariance[np.ix_(index, index)] = found
    if len(draws) == 1:
        return covariance, ""
    first, second = (done[members[0]].job.name for members in draws[:2])
    return covariance, f"{first} and {second} rest on different gold rows, so that their joint covariance is not known."


def _frames(done: Sequence[_Made], table: Table) -> list[tuple[Units, Ints]]:
    """For each fit all rows of its draw, and where its units stand among them."""
    known: dict[frozenset[str], tuple[Units, Bools]] = {}
    out = []
    for one in done:
        assert one.arguments is not None
        assert one.result is not None
        assert one.result.parts is not None
        labels = frozenset(map(str, one.arguments.surrogates))
        if labels not in known:
            known[labels] = _frame(one.arguments, table)
        units, there = known[labels]
        kept = one.result.parts.units.kept
        rows = np.arange(units.n_units) if kept is None else np.flatnonzero(kept[there])
        out.append((units, rows))
    return out


def _frame(options: Arguments, table: Table) -> tuple[Units, Bools]:
    """All rows of the draw as units, and which rows of the table these are."""
    model = models.get(options.model, options.parameters)
    parsed = parse(options.formula, table.names, options.context, model.categorical)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each fit has told
        _, shown, labelling = read_frame(options, table, read_labels(parsed, table, options.surrogates))
    there = np.ones(table.n_rows, dtype=bool) if shown is None else ~shown
    cluster = None
    if options.cluster is not None:
        cluster = cluster_codes(read_clusters(table, options.cluster)[there])
        cluster = np.where(cluster < 0, cluster.max(axis=0) + 1, cluster)
    return Units(labelling, cluster=cluster), there
